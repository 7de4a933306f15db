#pragma once

/*
 * From what the inputs stored to params that are finished: the account, the
 * header of a ready message, and the aliases come in here, in the one order
 * in which each can be known.
 */

#include "base/base.h"

struct config;
struct err;
struct mail_params;
struct ready;
struct sysinfo;

/*
 * @p as asked for. *ret_ready: the ready message that was taken in for it (deliver_now() takes it), or NULL.
 * 0: @p is finished.
 */
int prepare(struct mail_params *p, const struct config *c, struct ready **ret_ready,
	    const struct sysinfo *sys, struct err *e) MUST_CHECK;
