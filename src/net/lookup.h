#pragma once

/*
 * getaddrinfo(3) within a time. It cannot be interrupted, so it runs in a thread of its own, which is left
 * behind where it does not come back; the answer then belongs to the thread alone.
 */

#include "base/base.h"

enum { LOOKUP_MAX = 16, ADDRESS_MAX = 64 };

struct lookup_result {
	int rc;                                 /* 0, or an EAI_ value */
	size_t n;
	char address[LOOKUP_MAX][ADDRESS_MAX];  /* in the resolver's order */
};

/* @family: AF_UNSPEC, AF_INET or AF_INET6. 0, or -1 and errno: ETIMEDOUT, @until_ms is past; EINTR, a signal
 * was heard; else the system has no descriptor or thread for it. */
int lookup(struct lookup_result *ret, const char *host, int family, int64_t until_ms) MUST_CHECK;
/* The host does not exist (68), as against a resolver that does not answer (75). */
bool lookup_says_unknown(int rc);
