/* The doctor's walk to one server; see probe.h. */

#include "net/probe.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "net/capabilities.h"
#include "net/lookup.h"
#include "net/opening.h"
#include "text/addr.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <arpa/inet.h>

enum { TEXT_MAX = 1200, ENDS_SOON_DAYS = 14, DAY_S = 86400 };

struct probe {
	const struct server *server;
	const struct server_params *s;
	const struct probe_hooks *hooks;
	int64_t deadline_ms;
	/* heard by our trace on the way */
	char greeting[TEXT_MAX], cipher[128];
	bool verified, greeted;
	struct certificate leaf;
	size_t chain;
	char address[64];
};

static void tell(const struct probe *p, const char *name, enum probe_state state, int64_t us, int code,
		 const char *text, const char *hint)
{
	const struct probe_step step = { name, state, us, code, text, hint };

	p->hooks->step(p->hooks->ctx, &step);
}

/* ---- what the opening lets us hear ---- */

static void hear_line(void *ctx, bool sent, const char *line, size_t len)
{
	struct probe *p = ctx;
	const struct trace *t = p->hooks->trace;

	if (!sent && !p->greeted && len >= 3) {
		p->greeted = len == 3 || line[3] != '-';
		if (!p->greeting[0])
			snprintf(p->greeting, sizeof(p->greeting), "%.*s", (int)(len > 500 ? 500 : len), line);
	}
	if (t && t->line)
		t->line(t->ctx, sent, line, len);
}

static void hear_note(void *ctx, const char *text)
{
	static const char using[] = "TLS: SSL connection using ";
	struct probe *p = ctx;
	const struct trace *t = p->hooks->trace;

	if (!strncmp(text, using, sizeof(using) - 1))
		snprintf(p->cipher, sizeof(p->cipher), "%s", text + sizeof(using) - 1);
	if (t && t->note)
		t->note(t->ctx, text);
}

/* ---- certificates ---- */

static void keep(char *out, size_t cap, const char *value)
{
	snprintf(out, cap, "%s", value);
}

/* "DNS:a.example, IP Address:127.0.0.1" as "a.example, 127.0.0.1". */
static void keep_names(char *out, size_t cap, const char *value)
{
	size_t at = 0;

	out[0] = '\0';
	while (*value && at + 1 < cap) {
		size_t len = strcspn(value, ",\n");
		const char *colon = memchr(value, ':', len);
		const char *from = colon ? colon + 1 : value;
		size_t n = len - (size_t)(from - value);

		at += (size_t)snprintf(out + at, cap - at, "%s%.*s", at ? ", " : "", (int)(n > 200 ? 200 : n),
				       from);
		value += len;
		value += strspn(value, ", \n");
	}
}

/* "C = US, O = Let's Encrypt, CN = R3": the name that says most. */
static void keep_common_name(char *out, size_t cap, const char *value)
{
	static const char *const keys[] = { "CN = ", "CN=", "O = ", "O=" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *at = strstr(value, keys[i]);
		size_t len;

		if (!at)
			continue;
		at += strlen(keys[i]);
		len = strcspn(at, ",/\n");
		snprintf(out, cap, "%.*s", (int)(len > 200 ? 200 : len), at);
		return;
	}
	keep(out, cap, value);
}

void certificate_heard(struct certificate *c, const char *line)
{
	static const char san[] = "X509v3 Subject Alternative Name:";

	if (!strncasecmp(line, "Subject:", 8))
		keep_common_name(c->subject, sizeof(c->subject), line + 8);
	else if (!strncasecmp(line, "Issuer:", 7))
		keep_common_name(c->issuer, sizeof(c->issuer), line + 7);
	else if (!strncasecmp(line, "Expire date:", 12))
		c->ends_s = curl_getdate(line + 12, NULL);
	else if (!strncasecmp(line, san, sizeof(san) - 1))
		keep_names(c->names, sizeof(c->names), line + sizeof(san) - 1);
}

static void look_at_certificates(struct probe *p, struct session *s)
{
	struct curl_certinfo *info = NULL;

	p->leaf.ends_s = -1;
	if (curl_easy_getinfo(s->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info ||
	    info->num_of_certs < 1)
		return;
	p->chain = (size_t)info->num_of_certs;
	for (struct curl_slist *at = info->certinfo[0]; at; at = at->next)
		certificate_heard(&p->leaf, at->data);
}

static int64_t days_left(const struct probe *p)
{
	return p->leaf.ends_s < 0 ? -1 : (p->leaf.ends_s - (int64_t)time(NULL)) / DAY_S;
}

static void describe_end(const struct probe *p, char *out, size_t cap)
{
	time_t ends = (time_t)p->leaf.ends_s;
	char date[32] = "";
	struct tm tm;

	out[0] = '\0';
	if (p->leaf.ends_s < 0 || !gmtime_r(&ends, &tm))
		return;
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	if (ends < time(NULL))
		snprintf(out, cap, ", expired on %s", date);
	else
		snprintf(out, cap, ", %lld days left (until %s)", (long long)days_left(p), date);
}

/* "certificate of a.example (names ...) from R3, 71 days left (until 2027-02-05), chain of 3" */
static void describe_certificate(const struct probe *p, char *out, size_t cap)
{
	const struct certificate *c = &p->leaf;
	char ends[80], chain[40] = "";

	describe_end(p, ends, sizeof(ends));
	if (p->chain > 1)
		snprintf(chain, sizeof(chain), ", chain of %zu", p->chain);
	snprintf(out, cap, "certificate of %s%s%s%s from %s%s%s", *c->subject ? c->subject : "(no name)",
		 *c->names ? " (for " : "", c->names, *c->names ? ")" : "",
		 strcmp(c->subject, c->issuer) ? c->issuer : "itself (self-signed)", ends, chain);
}

/* ---- the steps of the opening ---- */

static bool is_literal(const char *host)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

/* False: without an address there is no way to go on. */
static bool probe_dns(const struct probe *p)
{
	const char *host = p->server->host;
	int family = p->s->ip_version == IP_4 ? AF_INET : p->s->ip_version == IP_6 ? AF_INET6 : AF_UNSPEC;
	int64_t started = io_now_us();
	struct lookup_result found;
	char text[TEXT_MAX] = "";
	size_t at = 0;

	if (p->server->unix_socket || is_literal(host) || p->s->proxy) {
		tell(p, "dns", PROBE_SKIPPED, -1, 0,
		     p->server->unix_socket ? "a Unix socket has no name to look up"
		     : p->s->proxy          ? "the proxy looks the name up"
					    : "an address needs no looking up",
		     "");
		return true;
	}
	if (lookup(&found, host, family, io_now_ms() + (int64_t)p->s->connect_timeout * 1000) < 0) {
		tell(p, "dns", PROBE_FAILED, io_now_us() - started, 0, "the resolver does not answer",
		     "look at /etc/resolv.conf and the network");
		return false;
	}
	if (found.rc) {
		snprintf(text, sizeof(text), "%s: %s", host, gai_strerror(found.rc));
		tell(p, "dns", PROBE_FAILED, io_now_us() - started, 0, text, lookup_says_unknown(found.rc) ?
		     "is the name spelt right?" : "look at /etc/resolv.conf and the network");
		return false;
	}
	for (size_t i = 0; i < found.n && at + ADDRESS_MAX < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? ", " : "", found.address[i]);
	tell(p, "dns", PROBE_OK, io_now_us() - started, 0, text, "");
	return true;
}

static void tell_connected(const struct probe *p, const struct session *s)
{
	char text[TEXT_MAX];
	const char *ip = NULL;

	if (p->server->unix_socket)
		snprintf(text, sizeof(text), "to %s", p->server->unix_socket);
	else if (s && curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && *ip)
		snprintf(text, sizeof(text), "to %s port %u%s", ip, p->server->port,
			 p->s->proxy ? ", by a proxy" : "");
	else
		snprintf(text, sizeof(text), "to %s", p->server->label);
	tell(p, "connect", PROBE_OK, s ? s->times.connect : -1, 0, text, "");
}

static void tell_greeting(const struct probe *p)
{
	if (p->greeting[0])
		tell(p, "greeting", PROBE_OK, -1, atoi(p->greeting), p->greeting, "");
}

static void tell_tls(struct probe *p, struct session *s)
{
	char certificate[TEXT_MAX - 200], text[TEXT_MAX];
	const char *hint = "";
	enum probe_state state = PROBE_OK;

	if (s->times.tls < 0) {
		bool near = p->server->loopback;

		tell(p, "tls", near ? PROBE_SKIPPED : PROBE_WARNING, -1, 0,
		     near              ? "none, and on this machine none is needed"
		     : s->cap.starttls ? "none, though the server offers STARTTLS"
				       : "none: the server offers no STARTTLS",
		     near ? ""
			  : "everybody on the way can read the mail: --starttls or --tls, or another port");
		return;
	}
	look_at_certificates(p, s);
	describe_certificate(p, certificate, sizeof(certificate));
	snprintf(text, sizeof(text), "%s%s%s%s", p->cipher, p->cipher[0] ? "; " : "", certificate,
		 p->s->tls_verify ? ", verified" : "");
	if (!p->s->tls_verify && !p->s->tls_pinned_key) {
		state = PROBE_WARNING;
		hint = "the certificate is not verified (tls_verify is false)";
	} else if (p->leaf.ends_s >= 0 && days_left(p) < ENDS_SOON_DAYS) {
		state = PROBE_WARNING;
		hint = "the certificate ends soon: whoever runs the server renews it";
	}
	tell(p, "tls", state, s->times.tls, 0, text, hint);
}

static void list_capabilities(const struct capabilities *c, char *out, size_t cap)
{
	const struct { bool has; const char *name;
	} known[] = {
		{ c->pipelining, "PIPELINING" }, { c->eightbit, "8BITMIME" },
		{ c->smtputf8, "SMTPUTF8" },     { c->dsn, "DSN" },
		{ c->chunking, "CHUNKING" },     { c->requiretls, "REQUIRETLS" },
		{ c->starttls, "STARTTLS" },
	};
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].has)
			at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? ", " : "", known[i].name);
	if (c->size_limit)
		at += (size_t)snprintf(out + at, cap - at, "%sSIZE of %llu octets", at ? ", " : "",
				       (unsigned long long)c->size_limit);
	if (c->auth[0])
		at += (size_t)snprintf(out + at, cap - at, "%sAUTH %s", at ? ", " : "", c->auth);
	if (!at)
		snprintf(out, cap, "no extension");
}

static void tell_ehlo(const struct probe *p, const struct session *s)
{
	char text[TEXT_MAX];

	list_capabilities(&s->cap, text, sizeof(text));
	tell(p, "ehlo", s->cap.esmtp ? PROBE_OK : PROBE_WARNING, -1, 0, text,
	     s->cap.esmtp ? "" : "the server knows HELO only: no TLS, no login, no 8-bit text");
}

static void tell_auth(const struct probe *p, const struct session *s)
{
	char text[TEXT_MAX];

	if (!p->s->has_credentials) {
		tell(p, "auth", PROBE_SKIPPED, -1, 0, "no credentials are given",
		     s->cap.auth_offered && !p->server->loopback
			     ? "the server offers a login: --username, if it wants one"
			     : "");
		return;
	}
	snprintf(text, sizeof(text), "logged in%s%s", p->s->username ? " as " : "",
		 p->s->username ? p->s->username : "");
	tell(p, "auth", PROBE_OK, s->times.auth, 235, text, "");
}

/* ---- an opening that failed ---- */

/*
 * A certificate that was refused is looked at once more, on a connection of its own that nothing is sent over:
 * without verification, without credentials, only to say what is wrong with it.
 */
static void look_again(struct probe *p)
{
	struct server_params open_minded = *p->s;
	const struct trace trace = { .line = NULL, .note = hear_note, .ctx = p };
	struct session_failure why = {0};
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	CLEANUP(session_closep) struct session *s = NULL;
	struct probe quiet = *p;
	struct probe_hooks nothing = *p->hooks;
	struct trace silent = trace;
	char text[TEXT_MAX];

	nothing.trace = NULL;
	quiet.hooks = &nothing;
	silent.ctx = &quiet;
	open_minded.tls_verify = false;
	open_minded.tls_pinned_key = NULL;
	open_minded.has_credentials = false;
	if (session_open(&s, p->server, &open_minded, NULL, &silent, p->deadline_ms, &why, &ignored) <= 0)
		return;
	look_at_certificates(&quiet, s);
	if (!quiet.chain)
		return;
	describe_certificate(&quiet, text, sizeof(text));
	tell(p, "tls", PROBE_FAILED, -1, 0, text, "this is the certificate that was refused");
}

static void tell_failure(struct probe *p, const struct session_failure *why)
{
	static const char *const names[] = {
		[STAGE_LOCAL] = "connect", [STAGE_CONNECT] = "connect", [STAGE_GREETING] = "greeting",
		[STAGE_EHLO] = "ehlo", [STAGE_TLS] = "tls", [STAGE_AUTH] = "auth", [STAGE_MAIL] = "mail",
		[STAGE_RCPT] = "rcpt", [STAGE_DATA] = "data", [STAGE_DOT] = "dot",
	};

	if (why->stage > STAGE_CONNECT)
		tell_connected(p, NULL);
	if (why->stage > STAGE_GREETING)
		tell_greeting(p);
	tell(p, names[why->stage], PROBE_FAILED, -1, why->code, why->text, "");
	if (why->stage == STAGE_TLS && why->cause == CAUSE_TLS && p->s->tls_verify)
		look_again(p);
}

static void settle_all(struct report *r, const struct session_failure *why)
{
	const struct verdict v = { .state = why->state,
				   .stage = why->stage,
				   .cause = why->cause,
				   .code = why->code,
				   .enhanced = why->enhanced,
				   .text = why->text,
				   .len = strlen(why->text) };

	for (size_t i = 0; i < r->n_rcpt; i++)
		report_tentative(r, i, &v);
}

/* ---- MAIL and RCPT ---- */

struct talk {
	const struct probe *p;
	struct session *s;
	struct reply reply;
	char in[4096];
	const char *why;                /* no reply: this is the reason */
};

static void trace_line(const struct talk *t, bool sent, const char *line, size_t len)
{
	const struct trace *trace = t->p->hooks->trace;

	if (trace && trace->line)
		trace->line(trace->ctx, sent, line, len);
}

static void hear_reply_line(void *ctx, const char *line, size_t len)
{
	trace_line(ctx, false, line, len);
}

static bool send_line(struct talk *t, const char *line, int64_t until)
{
	size_t len = strlen(line), done = 0;

	trace_line(t, true, line, len - 2);
	while (done < len) {
		ssize_t n = session_send(t->s, line + done, len - done);

		if (n < 0 || (n == 0 && session_wait(t->s, true, -1, until) <= 0)) {
			t->why = n < 0 ? session_error(t->s) : "the server takes nothing more";
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

/* One command and its reply, which is in t->reply then. */
static bool ask(struct talk *t, const char *line)
{
	int64_t until = io_now_ms() + (int64_t)t->p->s->timeout * 1000;

	if (until > t->p->deadline_ms)
		until = t->p->deadline_ms;
	if (!send_line(t, line, until))
		return false;
	reply_init(&t->reply);
	t->reply.on_line = hear_reply_line;
	t->reply.ctx = t;
	for (;;) {
		ssize_t n = session_recv(t->s, t->in, sizeof(t->in));
		size_t used = 0;
		int r;

		if (n == 0 && session_wait(t->s, false, -1, until) <= 0) {
			t->why = "no reply in time";
			return false;
		}
		if (n < 0) {
			t->why = session_error(t->s);
			return false;
		}
		r = n ? reply_feed(&t->reply, t->in, (size_t)n, &used, &t->why) : 0;
		if (r)
			return r > 0;
	}
}

/* The verdict of a reply, or of none. */
static struct verdict verdict_of(const struct talk *t, bool heard, enum smtp_stage stage, enum cause cause,
				 char *enhanced)
{
	struct verdict v = { .stage = stage, .cause = CAUSE_LOST, .state = RCPT_DEFERRED, .text = t->why };

	if (heard) {
		enhanced_code(enhanced, t->reply.code, t->reply.text, t->reply.len);
		v = (struct verdict){ .stage = stage,
				      .code = t->reply.code,
				      .text = t->reply.text,
				      .enhanced = enhanced,
				      .cause = t->reply.code / 100 == 2 ? CAUSE_NONE : cause,
				      .state = t->reply.code / 100 == 2   ? RCPT_ACCEPTED
					       : t->reply.code / 100 == 4 ? RCPT_DEFERRED
									  : RCPT_REJECTED };
	}
	v.len = strlen(v.text);
	return v;
}

static void tell_reply(const struct talk *t, const char *name, const char *address, const struct verdict *v)
{
	char text[TEXT_MAX];

	if (v->code)
		snprintf(text, sizeof(text), "<%s>: %d %.900s", address, v->code, v->text);
	else
		snprintf(text, sizeof(text), "<%s>: %.900s", address, v->text);
	tell(t->p, name, v->state == RCPT_ACCEPTED ? PROBE_OK : PROBE_FAILED, -1, v->code, text, "");
}

static void probe_rcpts(struct talk *t, const struct envelope *env, struct report *r)
{
	char line[700], enhanced[12] = "";

	for (size_t i = 0; i < env->n_rcpt; i++) {
		struct verdict v;

		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", env->rcpt[i].addr);
		v = verdict_of(t, ask(t, line), STAGE_RCPT, CAUSE_RECIPIENT, enhanced);
		tell_reply(t, "rcpt", env->rcpt[i].addr, &v);
		report_tentative(r, i, &v);
	}
}

static bool needs_utf8(const struct envelope *env)
{
	bool eai = env->from_eai;

	for (size_t i = 0; i < env->n_rcpt; i++)
		eai |= env->rcpt[i].eai;
	return eai;
}

static void probe_mail(struct talk *t, const struct envelope *env, struct report *r)
{
	char line[700], enhanced[12] = "";
	struct verdict v;

	snprintf(line, sizeof(line), "MAIL FROM:<%s>%s\r\n", env->from, needs_utf8(env) && t->s->cap.smtputf8 ?
		 " SMTPUTF8" : "");
	v = verdict_of(t, ask(t, line), STAGE_MAIL, CAUSE_SENDER, enhanced);
	tell_reply(t, "mail", env->from, &v);
	if (v.state == RCPT_ACCEPTED) {
		probe_rcpts(t, env, r);
		if (!ask(t, "RSET\r\n"))
			return;
		return;
	}
	for (size_t i = 0; i < r->n_rcpt; i++)
		report_tentative(r, i, &v);
}

static void accept_all(struct report *r)
{
	static const struct verdict fine = { .state = RCPT_ACCEPTED, .stage = STAGE_AUTH, .text = "" };

	for (size_t i = 0; i < r->n_rcpt; i++)
		report_tentative(r, i, &fine);
}

/* ---- the whole ---- */

static void probe_opened(struct probe *p, struct session *s, const struct envelope *env, bool mail,
			 struct report *r)
{
	struct talk *t = xcalloc(1, sizeof(*t));

	t->p = p;
	t->s = s;
	tell_connected(p, s);
	tell_greeting(p);
	tell_tls(p, s);
	tell_ehlo(p, s);
	tell_auth(p, s);
	if (mail)
		probe_mail(t, env, r);
	else
		accept_all(r);
	if (send_line(t, "QUIT\r\n", io_now_ms() + 1000) && session_wait(s, false, -1, io_now_ms() + 1000) > 0 &&
	    session_recv(s, t->in, sizeof(t->in)) < 0)
		t->why = "";            /* gone before it said goodbye: nobody minds */
	free(t);
}

int probe_server(const struct server *server, const struct server_params *s,
		 const struct session_credentials *cred, const struct envelope *env, bool mail,
		 struct report *report, const struct probe_hooks *hooks, struct err *e)
{
	struct probe p = { .server = server, .s = s, .hooks = hooks };
	const struct trace trace = { .line = hear_line, .note = hear_note, .ctx = &p };
	CLEANUP(session_closep) struct session *session = NULL;
	struct session_failure why = {0};
	int r;

	p.deadline_ms = s->max_time ? io_now_ms() + (int64_t)s->max_time * 1000 : INT64_MAX;
	if (!probe_dns(&p)) {
		/* the send's own words and code for it are made by the opening, which fails at the same point */
		r = session_open(&session, server, s, cred, NULL, p.deadline_ms, &why, e);
		if (r == 0)
			settle_all(report, &why);
		return r;
	}
	r = session_open(&session, server, s, cred, &trace, p.deadline_ms, &why, e);
	if (r < 0)
		return -1;
	if (r == 0) {
		tell_failure(&p, &why);
		settle_all(report, &why);
		return 0;
	}
	probe_opened(&p, session, env, mail, report);
	return 1;
}
