#pragma once

/*
 * TAP on standard output, for the unit tests. A test program is a main() that
 * calls functions full of check() and ends with `return check_done();`.
 * Each case() opens a line of the plan; every check inside it that fails is
 * told with its place, and the line is then "not ok".
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int check_cases, check_failed_cases, check_checks_in_case;
static bool check_failed_now;
static char check_name[256];

static inline void check_close_case(void)
{
	if (!check_name[0])
		return;
	if (!check_checks_in_case) {
		printf("# a case without a check\n");
		check_failed_now = true;
	}
	check_cases++;
	check_failed_cases += check_failed_now;
	printf("%s %d - %s\n", check_failed_now ? "not ok" : "ok", check_cases, check_name);
	fflush(stdout);
	check_name[0] = '\0';
}

/* Open a case; printf-like. */
#define test_case(...) do { \
	check_close_case(); \
	snprintf(check_name, sizeof(check_name), __VA_ARGS__); \
	for (char *c_ = check_name; *c_; c_++) if (*c_ == '#' || (unsigned char)*c_ < 0x20) *c_ = '?'; \
	check_failed_now = false; check_checks_in_case = 0; \
} while (0)

#define check(cond) do { \
	check_checks_in_case++; \
	if (!(cond)) { check_failed_now = true; printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); } \
} while (0)

#define check_str(got, want) do { \
	const char *g_ = (got), *w_ = (want); \
	check_checks_in_case++; \
	if (!g_ || !w_ || strcmp(g_, w_)) { \
		check_failed_now = true; \
		printf("# %s:%d: got \"%s\"\n#   want \"%s\"\n", __FILE__, __LINE__, g_ ? g_ : "(null)", w_ ? w_ : "(null)"); \
	} \
} while (0)

#define check_int(got, want) do { \
	long long g_ = (long long)(got), w_ = (long long)(want); \
	check_checks_in_case++; \
	if (g_ != w_) { check_failed_now = true; printf("# %s:%d: %s is %lld, want %lld\n", __FILE__, __LINE__, #got, g_, w_); } \
} while (0)

#define check_mem(got, got_len, want, want_len) do { \
	size_t gl_ = (got_len), wl_ = (want_len); \
	check_checks_in_case++; \
	if (gl_ != wl_ || memcmp((got), (want), wl_)) { \
		check_failed_now = true; \
		printf("# %s:%d: %zu octets, want %zu, or they differ\n", __FILE__, __LINE__, gl_, wl_); \
	} \
} while (0)

static inline int check_done(void)
{
	check_close_case();
	printf("1..%d\n", check_cases);
	return check_failed_cases || !check_cases ? 1 : 0;
}
