#pragma once

/*
 * The way to one server, step by step, for `--check`: what a send does up to
 * RCPT, told as it goes, then RSET and QUIT. Never DATA, so nothing is sent.
 */

#include "base/base.h"
#include "model/report.h"
#include "net/session.h"

struct envelope;
struct err;
struct server;
struct server_params;

enum probe_state { PROBE_OK, PROBE_WARNING, PROBE_FAILED, PROBE_SKIPPED };

/* One step. Strings are valid during the call. */
struct probe_step {
	enum smtp_stage stage;          /* LOCAL is DNS here */
	const char *name;               /* "dns", "connect", "greeting", "tls", "ehlo", "auth", "mail", "rcpt" */
	enum probe_state state;
	int64_t us;                     /* it took; -1: unknown */
	int code;                       /* of the reply; 0: none */
	const char *text;               /* in plain words: "TLSv1.3, certificate of ... from ..., 71 days left" */
	const char *hint;               /* what to do about it; "": nothing */
};

struct probe_hooks {
	void (*step)(void *ctx, const struct probe_step *step);
	void *ctx;
	const struct trace *trace;
};

/*
 * @env may have no recipient: then MAIL and RCPT are left out. Recipients and the opening's failure are settled
 * in @report as a send would settle them, but an accepted RCPT is RCPT_NOT_ATTEMPTED with code 250: nothing was
 * sent. 0; -1: *e is ours.
 */
int probe_server(const struct server *server, const struct server_params *s,
		 const struct session_credentials *cred, const struct envelope *env, struct report *report,
		 const struct probe_hooks *hooks, struct err *e) MUST_CHECK;
