#pragma once

/*
 * What the program asks of the world besides files and the network. Tests
 * pass their own, and then Date, Message-ID and boundaries are constant.
 */

#include "base/base.h"

struct sysinfo {
	int64_t (*now_s)(void);                 /* seconds since 1970; SOURCE_DATE_EPOCH where set and valid */
	void (*random)(void *mem, size_t len);  /* getrandom(2); ends the process (71) where it fails */
	/* The fully qualified host name, "" where the machine has none. Looked up once, without DNS where gethostname() has a dot;
	 * else getaddrinfo(AI_CANONNAME) of it (which is /etc/hosts on most machines). */
	const char *(*hostname)(void);
};

extern const struct sysinfo sysinfo_real;
