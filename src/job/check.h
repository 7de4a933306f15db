#pragma once

/*
 * --check, the doctor: every server of the list, step by step (net/probe.h),
 * as a send would go: with the configuration, account, secrets and sender
 * that it would have. Nothing is sent.
 */

#include "base/base.h"

struct err;
struct mail_params;
struct trace;

/* Where the lines go; as json_out's put. */
struct check_out {
	int (*put)(void *ctx, const char *mem, size_t len);
	void *ctx;
	const struct trace *trace;      /* NULL: none */
	const char *config;             /* the configuration's file, to be named; NULL: there is none */
};

/*
 * @p is finished, and asks for text or JSON by its `report`. *ret_exit: as a send to the same server and
 * recipients would have it. -1: *e, before any server was tried or amid the output.
 */
int check(int *ret_exit, const struct mail_params *p, const struct check_out *out, struct err *e) MUST_CHECK;
