/*
 * LMTP (RFC 2033), which libcurl does not speak: it makes the connection and TLS (an http or https transfer
 * that ends before its first octet), and the dialogue up to AUTH is here.
 *
 * STARTTLS: libcurl cannot put TLS on a connection of its own afterwards, but a new handle can be given the
 * connected socket. libcurl 7.88 forgets that it is connected and calls connect(2) once more; that succeeds
 * on a socket that libcurl itself connected without blocking, which is the only kind that comes here.
 */

#include "net/opening.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "net/sasl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { COMMAND_MAX = 1 << 20 };         /* a token in base64 is the longest thing sent */

struct dialogue {
	char in[4096];
	size_t at, len;                 /* of in: not yet fed to the reply reader */
	unsigned lines;                 /* of the present reply */
	bool keywords;                  /* it answers LHLO */
};

static void waits(struct opening *o, enum smtp_stage stage, const char *what)
{
	o->stage = stage;
	opening_wait(o, o->params->timeout, what);
}

static void heard_line(void *ctx, const char *line, size_t len)
{
	struct opening *o = ctx;
	struct dialogue *d = o->engine;
	struct reply_line r;

	opening_trace(o, false, line, len);
	/* The first line is the server's name, not a keyword. */
	if (d->keywords && reply_line_parse(&r, line, len) == 0 && d->lines++ > 0)
		capabilities_heard(&o->session->cap, r.text, r.len);
}

/* More octets. 1: there are some; 0: failed. */
static int fill(struct opening *o)
{
	struct dialogue *d = o->engine;

	for (;;) {
		ssize_t n = session_recv(o->session, d->in, sizeof(d->in));

		if (n > 0) {
			d->at = 0;
			d->len = (size_t)n;
			o->heard += d->len;
			return 1;
		}
		if (n < 0)
			return opening_fail_lost(o);
		if (!opening_poll(o, POLLIN))
			return 0;
	}
}

/* The next reply, into o->reply. 1, or 0: failed. */
static int hear(struct opening *o)
{
	struct dialogue *d = o->engine;

	d->lines = 0;
	for (;;) {
		const char *why = "";
		size_t used = 0;
		int rc;

		if (d->at == d->len && !fill(o))
			return 0;
		rc = reply_feed(&o->reply, d->in + d->at, d->len - d->at, &used, &why);
		if (rc < 0)
			return reply_garbage(o, d->in[d->at], why);
		d->at += used;
		if (rc > 0)
			break;
	}
	if (d->at < d->len)
		return opening_fail_protocol(o, "octets behind a reply that nothing asked for");
	if (o->reply.code == 421)
		return opening_fail_reply(o, RCPT_DEFERRED,
					  o->stage == STAGE_AUTH ? CAUSE_AUTH : CAUSE_REFUSED,
					  "the server ends the session");
	return 1;
}

/* Send @line and hear its reply. 1, or 0: failed. @line stays the caller's, and where it is. */
static int ask(struct opening *o, struct buf *line)
{
	opening_trace_command(o, line->data, line->len);
	if (buf_adds(line, "\r\n") < 0)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_LOCAL, "a command that is too long");
	for (size_t at = 0; at < line->len; ) {
		ssize_t n = session_send(o->session, line->data + at, line->len - at);

		if (n < 0)
			return opening_fail_lost(o);
		if (n == 0 && !opening_poll(o, POLLOUT))
			return 0;
		at += (size_t)n;
	}
	return hear(o);
}

static int ask_text(struct opening *o, const char *text)
{
	struct buf line CLEANUP(buf_clear) = BUF_INIT(COMMAND_MAX);

	if (buf_adds(&line, text) < 0)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_LOCAL, "a command that is too long");
	return ask(o, &line);
}

/* The connection --------------------------------------------------------- */

static void tick(struct opening *o)
{
	if (!o->connected && opening_connected(o) && o->server->tls == TLS_IMPLICIT)
		waits(o, STAGE_TLS, "TLS handshake");
}

/* One handle, up to its socket. 1; 0 failed; -1 *e. */
static int channel(struct opening *o, bool tls)
{
	char url[700];
	CURLcode rc;
	int done;

	if (opening_handle(o, "http,https") < 0 ||
	    opening_url(o, url, sizeof(url), tls ? "https" : "http", "") < 0 ||
	    opening_set_ptr(o, CURLOPT_URL, url, "server") < 0)
		return -1;
	if ((tls || opening_by_proxy(o)) && tls_options_set(o) < 0)
		return -1;
	done = opening_drive(o, tick, &rc);
	if (done <= 0)
		return done;
	if (rc)
		return opening_curl_failed(o, rc);
	if (tls) {
		o->tls = true;
		o->session->times.tls = io_now_us() - o->since_us;
	}
	return opening_socket(o) < 0 ? -1 : 1;
}

/* Leave the plain handle, keep its socket. 0, or -1 (*e). */
static int take_socket(struct opening *o)
{
	struct session *s = o->session;
	const char *ip = NULL;

	if (curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &ip) || !ip || !*ip)
		ip = "127.0.0.1";       /* never connected to: it only keeps libcurl from a look-up */
	snprintf(o->address, sizeof(o->address), "%s", ip);
	o->adopt = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
	if (o->adopt < 0) {
		o->ours = true;
		return err_sys(o->e, ERR_OS, errno, "STARTTLS");
	}
	curl_multi_remove_handle(s->multi, s->easy);
	curl_easy_cleanup(s->easy);
	s->easy = NULL;
	s->fd = CURL_SOCKET_BAD;
	return 0;
}

/* The steps -------------------------------------------------------------- */

static int greeting(struct opening *o)
{
	waits(o, STAGE_GREETING, "greeting");
	return hear(o) && reply_greeting(o);
}

static int lhlo(struct opening *o)
{
	struct dialogue *d = o->engine;
	char line[HELO_MAX + 8];
	int code, rc;

	waits(o, STAGE_EHLO, "answer to LHLO");
	capabilities_init(&o->session->cap);
	snprintf(line, sizeof(line), "LHLO %s", o->helo);
	d->keywords = true;
	rc = ask_text(o, line);
	d->keywords = false;
	if (!rc)
		return 0;
	code = o->reply.code;
	if (code == 250) {
		o->session->cap.esmtp = true;
		return 1;
	}
	if (code == 500 || code == 502)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_PROTOCOL,
				    "it is not LMTP: LHLO is answered by %d (SMTP? then without "
				    "--lmtp)",
				    code);
	if (code / 100 == 4 || code / 100 == 5)
		return opening_fail_reply(o, RCPT_REJECTED, code / 100 == 4 ? CAUSE_REFUSED : CAUSE_SENDER,
					  "the server refuses LHLO");
	return opening_fail_protocol(o, "LHLO is answered by neither 250 nor a refusal");
}

static bool proxy_is_tls(const struct opening *o)
{
	return opening_by_proxy(o) && strncasecmp(o->params->proxy, "https:", 6) == 0;
}

static int starttls(struct opening *o)
{
	int rc;

	if (proxy_is_tls(o))
		return opening_error(o, ERR_USAGE,
				     "starttls: not for LMTP through a proxy that itself speaks TLS");
	waits(o, STAGE_TLS, "answer to STARTTLS");
	if (!ask_text(o, "STARTTLS") || !reply_starttls(o))
		return 0;
	if (take_socket(o) < 0)
		return -1;
	o->since_us = io_now_us();
	waits(o, STAGE_TLS, "TLS handshake");
	rc = channel(o, true);
	return rc <= 0 ? rc : lhlo(o);
}

/* 1; 0 failed; -1 *e. */
static int secure(struct opening *o)
{
	if (o->tls || o->server->tls == TLS_NEVER)
		return 1;
	if (o->session->cap.starttls)
		return starttls(o);
	return o->need_tls ? reply_starttls_missing(o) : 1;
}

static int answer_challenge(struct opening *o, struct sasl *s)
{
	struct buf line CLEANUP(buf_wipe) = BUF_INIT(COMMAND_MAX);
	const char *why = "";
	const int rc = sasl_answer(s, o->reply.text, o->reply.len, &line, &why);

	waits(o, STAGE_AUTH, "answer to AUTH");
	if (!ask(o, &line))
		return 0;
	/* Cancelled (RFC 4954 4): the reply to that is a matter of form. */
	return rc < 0 ? opening_fail_protocol(o, why) : reply_auth(o);
}

static int authenticate(struct opening *o)
{
	struct sasl s = { .cred = &o->cred, .host = o->server->host, .port = o->server->port };
	struct buf line CLEANUP(buf_wipe) = BUF_INIT(COMMAND_MAX);
	int challenges = 0;

	if (!reply_auth_offered(o))
		return 0;
	s.mechanism = sasl_choose(o->session->cap.auth, o->mechanisms);
	if (!s.mechanism)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
				    "the server offers AUTH %.200s; for LMTP, PLAIN, LOGIN, "
				    "XOAUTH2, OAUTHBEARER and EXTERNAL are known",
				    o->session->cap.auth);
	if (sasl_first(&s, &line) < 0)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH, "credentials that are too long");
	o->since_us = io_now_us();
	waits(o, STAGE_AUTH, "answer to AUTH");
	if (!ask(o, &line) || !reply_auth(o))
		return 0;
	while (o->reply.code == 334) {
		if (++challenges > CHALLENGES_MAX)
			return opening_fail_protocol(o, "challenges without an end (AUTH)");
		if (!answer_challenge(o, &s))
			return 0;
	}
	if (s.mechanism == AUTH_LOGIN && s.step < 2)
		return opening_fail_protocol(o, "235 before the credentials were given");
	o->quiet_auth = false;
	o->session->times.auth = io_now_us() - o->since_us;
	return 1;
}

int session_open_lmtp(struct opening *o)
{
	struct dialogue d = { .len = 0 };
	int rc = helo_decide(o);

	if (rc)
		return rc < 0 ? -1 : 0;
	o->engine = &d;
	reply_init(&o->reply);
	o->reply.on_line = heard_line;
	o->reply.ctx = o;
	rc = channel(o, o->server->tls == TLS_IMPLICIT);
	if (rc <= 0)
		return rc;
	if (!greeting(o) || !lhlo(o))
		return 0;
	rc = secure(o);
	if (rc <= 0)
		return rc;
	return o->has_credentials ? authenticate(o) : 1;
}
