#pragma once

/*
 * --check, the doctor: every server of the list, step by step (net/probe.h),
 * as a send would go: with the configuration, account, secrets and sender
 * that it would have.
 */

#include "base/base.h"
#include "net/probe.h"

struct mail_params;

/*
 * @p is finished. *ret_exit: as a send to the same server and recipients would have it, 0 where all went well.
 * -1: *e, before any server was tried. Each server's steps come through @hooks, between server(ctx, label).
 */
struct check_hooks {
	struct probe_hooks probe;
	void (*server)(void *ctx, const char *label);
};
int check(int *ret_exit, const struct mail_params *p, const struct check_hooks *hooks,
	  struct err *e) MUST_CHECK;
