#pragma once

/*
 * One message, from its params to its report: the only place that joins
 * composing, secrets and the network.
 */

#include "base/base.h"

struct err;
struct mail_params;
struct ready;
struct report;
struct sysinfo;
struct trace;
struct transport;

/* What may be shown meanwhile; any function may be NULL. */
struct deliver_hooks {
	const struct trace *trace;
	void (*progress)(void *ctx, int64_t sent, int64_t total);
	void *ctx;
};

/*
 * @p is finished; *@taken: of prepare(), NULL afterwards. 0: *ret says what became of every recipient (of a dry
 * run: that it was composed), and *ret_transport is to be closed by transport_close() after the report was given
 * (NULL: nothing to close). -1: our own failure; *ret is filled all the same (report_error()), nothing was sent
 * that a server could have accepted, or the report says what was. The caller clears *ret in both cases.
 */
int deliver_now(struct report *ret, struct transport **ret_transport, const struct mail_params *p,
		struct ready **taken, const struct sysinfo *sys, const struct deliver_hooks *hooks,
		struct err *e) MUST_CHECK;
