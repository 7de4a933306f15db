#pragma once

/*
 * A-labels (RFC 5890) for U-labels, by libcurl's URL API under a UTF-8
 * LC_CTYPE of this thread only (uselocale), so that the process' locale,
 * LANG=C included, does not matter. The only file besides net/ that includes
 * <curl/curl.h>.
 */

#include "base/base.h"

struct err;

/* *ret (malloc): @domain in A-labels, ASCII labels unchanged but for case folding by IDNA of the U ones. -1
 * ERR_DATA: IDNA refuses it, this libcurl has no IDN, or no UTF-8 locale (C.UTF-8) is there. Pure ASCII input
 * is copied without calling libcurl. */
int idn_to_ascii(char **ret, const char *domain, size_t len, struct err *e) MUST_CHECK;
