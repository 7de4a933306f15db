#pragma once

/*
 * What the program asks of the world besides files and the network. Tests
 * pass their own, and then Date, Message-ID and boundaries are constant.
 */

#include "base/base.h"

struct err;

struct sysinfo {
	/* seconds since 1970; SOURCE_DATE_EPOCH where set and valid */
	int64_t (*now_s)(void);
	/* getrandom(2), by way of a store of each thread; ends the process (71) where it fails */
	void (*random)(void *mem, size_t len);
	/* The fully qualified host name, "" where the machine has none (never "localhost" or a name without
	 * a dot). Looked up once, without DNS where gethostname() has a dot; else getaddrinfo(AI_CANONNAME)
	 * of it (which is /etc/hosts on most machines). */
	const char *(*hostname)(void);
};

extern const struct sysinfo sysinfo_real;

/* What sysinfo_real takes from the environment is well formed: -1 ERR_USAGE for a SOURCE_DATE_EPOCH that is
 * not a plain decimal number (now_s would go by the clock then). For main to call before it composes. */
int sysinfo_check(struct err *e) MUST_CHECK;
