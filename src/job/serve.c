/* sendmail -bs: read, deliver, answer; see serve.h. The dialogue is input/smtpd.c's. */

#include "job/serve.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/io.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/smtpd.h"
#include "job/deliver.h"
#include "job/prepare.h"
#include "mime/ready.h"
#include "model/mail_params.h"
#include "model/report.h"
#include "model/value.h"
#include "net/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INPUT = 65536, REPLIES_MAX = 4 << 20, BODY_MAX = 2 * INPUT };

struct serving {
	int in, out;
	const struct mail_params *p;
	const struct config *config;
	const struct sysinfo *sys;
	const struct serve_hooks *hooks;
	struct smtpd *smtpd;
	struct staged *staged;          /* the message so far; NULL: none */
	struct buf replies, body;
	int exit;                       /* of the first message that did not reach all; 0: none */
	struct err *e;
};

/* ---- one message ---- */

static int set(struct mail_params *p, const char *name, const char *word, struct err *e)
{
	CLEANUP(value_freep) struct value *v = value_text(word);

	return mail_params_set(p, param_row(name), v, ORIGIN_LINE, NULL, e);
}

/* The envelope is what the client said, whatever the arguments were. */
static int take_envelope(const struct serving *s, struct mail_params *p, struct err *e)
{
	CLEANUP(value_freep) struct value *no = value_new(VALUE_BOOL);
	const char *const *rcpt;
	size_t n = smtpd_recipients(s->smtpd, &rcpt);

	if (mail_params_set(p, param_row("read_recipients"), no, ORIGIN_LINE, NULL, e) < 0 ||
	    set(p, "envelope_from", smtpd_sender(s->smtpd), e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (set(p, "rcpt", rcpt[i], e) < 0)
			return -1;
	p->message = (struct content){ .kind = CONTENT_STAGED, .staged = s->staged, .fd = -1 };
	return 0;
}

static size_t count(const struct report *r, enum rcpt_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_rcpt; i++)
		n += r->rcpt[i].state == state;
	return n;
}

/*
 * One reply for all recipients. Some took it, some did not: 250, for a client that hears anything else sends it
 * to all of them again; who did not is named, here and by the caller.
 */
static void answer(struct serving *s, const struct report *r)
{
	size_t accepted = count(r, RCPT_ACCEPTED);
	int exit = report_exit_code(r);
	char line[1024], text[1200];

	report_line(r, line, sizeof(line));
	if (exit == 0) {
		snprintf(text, sizeof(text), "Ok, accepted by %s%s%s", r->server, *r->queue_id ? " as " : "",
			 r->queue_id);
		smtpd_answer(s->smtpd, 250, "2.0.0", text, &s->replies);
	} else if (accepted) {
		snprintf(text, sizeof(text), "Accepted for %zu of %zu recipients: %s", accepted, r->n_rcpt,
			 line);
		smtpd_answer(s->smtpd, 250, "2.0.0", text, &s->replies);
	} else if (count(r, RCPT_UNKNOWN) || count(r, RCPT_DEFERRED) || exit == 75) {
		smtpd_answer(s->smtpd, 451, "4.0.0", line, &s->replies);
	} else {
		smtpd_answer(s->smtpd, 554, "5.0.0", line, &s->replies);
	}
}

static int flush(struct serving *s)
{
	int r = s->replies.len ? io_write_all(s->out, s->replies.data, s->replies.len) : 0;

	buf_reset(&s->replies);
	return r < 0 ? err_sys(s->e, ERR_IO, errno, "cannot answer the SMTP client") : 0;
}

static void keep_exit(struct serving *s, const struct report *r)
{
	if (!s->exit)
		s->exit = report_exit_code(r);
}

/* Delivered before it is answered: what the client hears as accepted, somebody else has. */
static int deliver_message(struct serving *s)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(report_clear) struct report report = {0};
	CLEANUP(transport_closep) struct transport *t = NULL;
	CLEANUP(ready_freep) struct ready *ready = NULL;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	int r;

	mail_params_copy(&p, s->p);
	if (take_envelope(s, &p, &e) < 0 || prepare(&p, s->config, &ready, s->sys, &e) < 0)
		report_error(&report, &e);
	else if (deliver_now(&report, &t, &p, &ready, s->sys, s->hooks->deliver, &e) < 0 && !report.error_exit)
		report_error(&report, &e);
	keep_exit(s, &report);
	answer(s, &report);
	r = flush(s);
	s->hooks->settled(s->hooks->ctx, &report, &p);
	staged_free(s->staged);
	s->staged = NULL;
	return r;
}

/* ---- the conversation ---- */

static int store_body(struct serving *s)
{
	int r = 0;

	if (!s->staged)
		s->staged = staged_new();
	if (s->body.len)
		r = staged_add(s->staged, s->body.data, s->body.len, s->e);
	buf_reset(&s->body);
	return r;
}

/* What was read. 1: it was QUIT. */
static int take(struct serving *s, const char *mem, size_t len)
{
	size_t used = 0;

	for (;;) {
		switch (smtpd_feed(s->smtpd, mem, len, &used, &s->replies, &s->body)) {
		case SMTPD_MORE:
			return flush(s);
		case SMTPD_BODY:
			if (store_body(s) < 0)
				return -1;
			break;
		case SMTPD_MESSAGE:
			if (flush(s) < 0 || store_body(s) < 0 || deliver_message(s) < 0)
				return -1;
			break;
		case SMTPD_QUIT:
			return flush(s) < 0 ? -1 : 1;
		}
		if (used == len)
			return flush(s);
	}
}

/* Octets of the client; 0: he is gone, or a signal came; -1. */
static ssize_t hear(const struct serving *s, char *mem, size_t cap)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = s->in, .events = POLLIN }, { .fd = io_signal_fd(), .events = POLLIN },
		};
		ssize_t n;

		if (io_signal_heard)
			return 0;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(s->e, ERR_IO, errno, "cannot wait for the SMTP client");
		if (!p[0].revents)
			continue;
		n = read(s->in, mem, cap);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		return n < 0 ? err_sys(s->e, ERR_IO, errno, "cannot read from the SMTP client") : n;
	}
}

static int converse(struct serving *s)
{
	CLEANUP(freep) char *mem = xmalloc(INPUT);
	int r = 0;

	smtpd_greet(s->smtpd, &s->replies);
	r = flush(s);
	while (r == 0) {
		ssize_t n = hear(s, mem, INPUT);

		if (n < 0)
			return -1;
		if (n == 0 && smtpd_cut_short(s->smtpd))
			return err_set(s->e, ERR_IO, "the SMTP client ended amid a message: it was not sent");
		if (n == 0)
			return 0;
		r = take(s, mem, (size_t)n);
	}
	return r < 0 ? -1 : 0;
}

int serve(int in, int out, const struct mail_params *p, const struct config *c, const struct sysinfo *sys,
	  const struct serve_hooks *hooks, struct err *e)
{
	const char *host = sys->hostname();
	struct serving s = { .in = in, .out = out, .p = p, .config = c, .sys = sys, .hooks = hooks,
			     .smtpd = smtpd_new(*host ? host : "localhost"), .replies = BUF_INIT(REPLIES_MAX),
			     .body = BUF_INIT(BODY_MAX), .e = e };
	int r = converse(&s);

	smtpd_free(s.smtpd);
	staged_free(s.staged);
	buf_clear(&s.replies);
	buf_clear(&s.body);
	return r < 0 ? -1 : s.exit;
}
