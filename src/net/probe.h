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

/* One step. Strings are valid during the call, and raw: the receiver escapes them. */
struct probe_step {
	const char *name;               /* "dns" "connect" "greeting" "tls" "ehlo" "auth" "mail" "rcpt" */
	enum probe_state state;
	int64_t us;                     /* it took; -1: unknown */
	int code;                       /* of the reply; 0: none */
	const char *text;               /* in plain words: "TLSv1.3 ..., certificate of ..., 71 days left" */
	const char *hint;               /* what to do about it; "": nothing */
};

struct probe_hooks {
	void (*step)(void *ctx, const struct probe_step *step);
	void *ctx;
	const struct trace *trace;      /* NULL: none */
};

/*
 * @mail: MAIL and RCPT are tried with @env. What became of the recipients is settled in @report as a send would
 * settle it, but that one whose RCPT was taken is "accepted". 1: the session was opened, 0: it was not, -1: *e.
 */
int probe_server(const struct server *server, const struct server_params *s,
		 const struct session_credentials *cred, const struct envelope *env, bool mail,
		 struct report *report, const struct probe_hooks *hooks, struct err *e) MUST_CHECK;

/* Of a certificate, as libcurl lists it ("Expire date:Nov 30 07:00:00 2026 GMT"). */
struct certificate {
	char subject[256], issuer[256], names[512];     /* names: of subjectAltName, "a, b" */
	int64_t ends_s;                                 /* seconds since 1970; -1: unknown */
};
/* One "name:value" of the list into its place. */
void certificate_heard(struct certificate *c, const char *line);
