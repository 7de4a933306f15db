/*
 * The loop between dialog and session: send a group, hear replies, stream the
 * message, wait, time out. What became of whom is decided in dialog.c; which
 * sessions there are, in transport.c.
 */

#include "net/attempt.h"

#include "base/err.h"
#include "base/io.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/message.h"
#include "net/dotstuff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 64 * 1024,              /* octets of the message at a time */
	GROUP_MAX = 1 << 30,            /* of commands: 100 000 recipients with DSN are some 100 MB */
	SIGNAL_GRACE_MS = 5000,         /* after the dot, a signal waits so long for the reply */
	PROGRESS_MS = 250,
	FUTILE_MS = 20,                 /* writable, and yet nothing was taken: TLS waits for the server */
	RECORD = 16384,                 /* of TLS: taken whole or not at all (RFC 8446 5.1) */
};

/* ---- trace ---- */

static void trace_commands(struct attempt *a, size_t from)
{
	const struct trace *trace = a->t->o.trace;
	const char *at = a->out.data + from, *end = a->out.data + a->out.len;

	while (trace && at < end) {
		const char *eol = memchr(at, '\r', (size_t)(end - at));

		if (!eol)
			break;
		trace->line(trace->ctx, true, at, (size_t)(eol - at));
		at = eol + 2;
	}
}

static void trace_note(struct attempt *a, const char *text)
{
	if (a->t->o.trace)
		a->t->o.trace->note(a->t->o.trace->ctx, text);
}

static void trace_reply_line(void *ctx, const char *line, size_t len)
{
	struct attempt *a = ctx;

	if (a->t->o.trace)
		a->t->o.trace->line(a->t->o.trace->ctx, false, line, len);
}

/* ---- replies ---- */

static void next_reply(struct attempt *a)
{
	reply_init(&a->reply);
	a->reply.on_line = trace_reply_line;
	a->reply.ctx = a;
}

static int64_t reply_time(const struct attempt *a)
{
	const struct server_params *s = a->t->o.server;
	bool dot = a->d.phase == PHASE_DOT || a->d.phase == PHASE_LONE_DOT;

	return (int64_t)(dot ? s->dot_timeout : s->timeout) * 1000;
}

static void restart_clock(struct attempt *a)
{
	a->clock_ms = io_now_ms() + reply_time(a);
}

static void lost(struct attempt *a, enum cause cause, const char *text)
{
	struct verdict v = { .state = RCPT_DEFERRED, .cause = cause, .text = text, .len = strlen(text) };

	dialog_lost(&a->d, &v);
}

/* Our own failure: no dot, no further attempt; what to say is in @e. */
static int local_failure(struct attempt *a, const struct err *e)
{
	const struct report *r = a->report;
	bool before = false;            /* an earlier transaction may have delivered */
	const char *behind;

	for (size_t i = 0; i < r->n_rcpt; i++)
		before |= r->rcpt[i].state == RCPT_ACCEPTED || r->rcpt[i].state == RCPT_UNKNOWN;
	behind = before ? "; nothing more was sent that a server could have accepted" :
			  "; nothing was sent that a server could have accepted";
	lost(a, report_own_failure(a->report, e, behind), e->text);
	a->stop = true;
	return -1;
}

/* The name by which a server knows the message, out of "queued as X", "id=X" or "X Message accepted". */
static void queue_id(struct report *r, const char *text)
{
	static const char *const before[] = { "queued as ", "queued mail for delivery as ", "id=" };

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		const char *at = strstr(text, before[i]);
		size_t len;

		if (!at)
			continue;
		at += strlen(before[i]);
		len = strcspn(at, " \t\r\n;,)");
		if (len >= sizeof(r->queue_id))
			len = sizeof(r->queue_id) - 1;
		snprintf(r->queue_id, sizeof(r->queue_id), "%.*s", (int)len, at);
		return;
	}
}

static int hear_reply(struct attempt *a)
{
	bool dot = a->d.phase == PHASE_DOT;
	int r;

	if (dot && a->reply.code / 100 == 2)
		queue_id(a->report, a->reply.text);
	r = dialog_heard(&a->d, a->reply.code, a->reply.text, a->reply.len);
	next_reply(a);
	restart_clock(a);
	return r;
}

/* Replies out of @len octets. What comes after the last reply that is due is a stray, or QUIT's answer. */
static int hear_octets(struct attempt *a, size_t len)
{
	const char *why;
	size_t at = 0, used;

	while (at < len) {
		int r;

		if (a->d.phase == PHASE_IDLE) {
			a->stray = true;
			return 0;
		}
		r = reply_feed(&a->reply, a->in + at, len - at, &used, &why);
		if (r < 0) {
			char text[200];

			snprintf(text, sizeof(text), "the server does not speak %s: %s",
				 a->d.lmtp ? "LMTP" : "SMTP", why);
			lost(a, CAUSE_PROTOCOL, text);
			return -1;
		}
		at += used;
		if (r > 0 && hear_reply(a) < 0)
			return -1;
	}
	return 0;
}

static int connection_lost(struct attempt *a, ssize_t how)
{
	char text[300];

	if (how == -2)
		snprintf(text, sizeof(text), "the server closed the connection");
	else
		snprintf(text, sizeof(text), "%s", session_error(a->session));
	lost(a, CAUSE_LOST, text);
	return -1;
}

/* Hear what is there, without waiting. */
static int hear(struct attempt *a)
{
	for (;;) {
		ssize_t n = session_recv(a->session, a->in, sizeof(a->in));

		if (n == 0)
			return 0;
		if (n < 0)
			return connection_lost(a, n);
		if (hear_octets(a, (size_t)n) < 0)
			return -1;
		if (a->stray)
			return 0;
	}
}

/* ---- waiting ---- */

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A new signal: before the dot the connection is dropped; after it the reply has some seconds more. */
static int heed_signal(struct attempt *a)
{
	if (!io_signal_heard || a->stop)
		return 0;
	a->stop = true;
	a->signals = io_signal_count();
	if (a->d.phase != PHASE_DOT) {
		lost(a, CAUSE_LOCAL, "interrupted by a signal, before the server could accept the message");
		return -1;
	}
	a->deadline_ms = sooner(a->deadline_ms, io_now_ms() + SIGNAL_GRACE_MS);
	return 0;
}

static int overdue(struct attempt *a)
{
	long long seconds = (long long)reply_time(a) / 1000;
	char text[160];

	if (a->stop)
		snprintf(text, sizeof(text), "interrupted by a signal while the reply to the "
			 "message was awaited");
	else if (io_now_ms() >= a->deadline_ms)
		snprintf(text, sizeof(text), "not finished within max_time (%u s)", a->t->o.server->max_time);
	else if (a->d.phase == PHASE_BODY)
		snprintf(text, sizeof(text), "the server took nothing more of the message for %lld s",
			 seconds);
	else
		snprintf(text, sizeof(text), "no reply within %lld s", seconds);
	lost(a, CAUSE_TIMEOUT, text);
	return -1;
}

/* Wait for the server, to read or (@want_write) to write, no longer than the clocks allow. */
static int wait_for_server(struct attempt *a, bool want_write)
{
	/*
	 * TLS may have to hear before it can write (a renegotiation). The socket is writable all the while:
	 * no clock would ever be looked at, and no other process get its turn.
	 */
	const bool futile = want_write && a->writable;
	int64_t until;
	int ready;

	if (heed_signal(a) < 0)
		return -1;
	until = sooner(a->clock_ms, a->deadline_ms);
	ready = session_wait(a->session, want_write && !futile,
			     futile ? sooner(io_now_ms() + FUTILE_MS, until) : until);
	if (ready < 0)
		return connection_lost(a, -1);
	a->writable = ready & SESSION_WRITABLE;
	if (ready & SESSION_READABLE)
		return hear(a);
	if (!ready && (io_now_ms() >= until || (a->stop && io_signal_count() > a->signals)))
		return overdue(a);
	return 0;
}

/* ---- sending ---- */

/* Send what it can of @mem at once; octets sent, 0: the connection is full, -1: lost. */
static ssize_t send_some(struct attempt *a, const char *mem, size_t len)
{
	ssize_t n = session_send(a->session, mem, len);

	if (n < 0) {
		/* What the server said before it went away explains it better than the reset does. */
		if (hear(a) < 0)
			return -1;
		return connection_lost(a, -1);
	}
	if (n > 0) {
		a->writable = false;
		restart_clock(a);
	}
	return n;
}

/*
 * The commands of @a->out, hearing replies meanwhile, so that two full windows never wait for each other
 * (RFC 2920 3.1).
 */
static int send_commands(struct attempt *a)
{
	while (a->out_sent < a->out.len) {
		ssize_t n = send_some(a, a->out.data + a->out_sent, a->out.len - a->out_sent);

		if (n < 0)
			return -1;
		a->out_sent += (size_t)n;
		if (a->out_sent < a->out.len && wait_for_server(a, true) < 0)
			return -1;
	}
	buf_reset(&a->out);
	a->out_sent = 0;
	return 0;
}

static int hear_one(struct attempt *a)
{
	size_t before = a->d.heard;
	enum dialog_phase phase = a->d.phase;
	size_t dot_at = a->d.dot_at;

	while (a->d.phase == phase && a->d.heard == before && a->d.dot_at == dot_at && !a->stray)
		if (wait_for_server(a, false) < 0)
			return -1;
	return 0;
}

/* ---- the message ---- */

struct body {
	struct source *source;
	struct dotstuff stuff;
	int64_t octets;                 /* of the message, as the source gave them */
	char *raw, *wire;
	size_t wire_len;
	bool ended;
	size_t dot_end;                 /* in wire: behind the final dot's CRLF; 0: not there yet */
	int64_t started_ms, told_ms;
};

/* The next octets of the message into wire[], until it holds a chunk or the message ended. */
static int fill(struct body *b, struct err *e)
{
	b->wire_len = 0;
	while (b->wire_len < CHUNK && !b->ended) {
		size_t n;

		if (source_read(b->source, b->raw, CHUNK, &n, e) < 0)
			return -1;
		b->ended = n == 0;
		b->octets += (int64_t)n;
		b->wire_len += dotstuff_feed(&b->stuff, b->wire + b->wire_len, b->raw, n);
	}
	return 0;
}

/*
 * Everything was read: is it the message that was announced, whole and unchanged? Then, and only then, the
 * dot.
 */
static int add_dot(struct attempt *a, struct body *b, struct err *e)
{
	int64_t announced = message_size(&a->msg->needs, a->d.seven);

	if (announced >= 0 && b->octets != announced)
		return err_set(e, ERR_DATA, "the message changed its length while it was sent (%lld octets, "
			       "announced %lld)", (long long)b->octets, (long long)announced);
	if (!dotstuff_at_line_start(&b->stuff))
		return err_set(e, ERR_SOFTWARE, "the message does not end in CRLF");
	if (message_verify(a->msg, e) < 0)
		return -1;
	memcpy(b->wire + b->wire_len, ".\r\n", 3);
	b->wire_len += 3;
	b->dot_end = b->wire_len;
	if (dialog_quit_rides(&a->d)) {
		memcpy(b->wire + b->wire_len, "QUIT\r\n", 6);
		b->wire_len += 6;
	}
	return 0;
}

static void tell_progress(struct attempt *a, struct body *b, bool last)
{
	int64_t now;

	if (!a->t->o.progress)
		return;
	now = io_now_ms();
	if (!last && now - b->told_ms < PROGRESS_MS)
		return;
	b->told_ms = now;
	a->t->o.progress(a->t->o.progress_ctx, b->octets, message_size(&a->msg->needs, a->d.seven));
}

/*
 * limit_rate: be no further than the rate allows. The clock of the server's silence stands still meanwhile.
 */
static int keep_to_rate(struct attempt *a, struct body *b)
{
	uint64_t rate = a->t->o.server->limit_rate;
	int64_t until;
	int ready;

	if (!rate)
		return 0;
	until = b->started_ms + (int64_t)((double)b->octets * 1000 / (double)rate);
	while (io_now_ms() < until) {
		a->clock_ms = until + reply_time(a);
		if (heed_signal(a) < 0)
			return -1;
		if (io_now_ms() >= a->deadline_ms)
			return overdue(a);
		ready = session_wait(a->session, false, sooner(until, a->deadline_ms));
		if ((ready & SESSION_READABLE) && hear(a) < 0)
			return -1;
	}
	restart_clock(a);
	return 0;
}

static int send_wire(struct attempt *a, struct body *b)
{
	size_t sent = 0;

	while (sent < b->wire_len) {
		/*
		 * Of several TLS records nothing counts as taken until the last one is; the one with the
		 * dot could be with the server by then, and its answer be taken for one that came before
		 * the dot.
		 */
		size_t most = b->dot_end && b->wire_len - sent > RECORD ? RECORD : b->wire_len - sent;
		ssize_t n = send_some(a, b->wire + sent, most);

		if (n < 0)
			return -1;
		sent += (size_t)n;
		if (b->dot_end && sent >= b->dot_end && a->d.phase == PHASE_BODY) {
			dialog_dot_sent(&a->d);
			restart_clock(a);
		}
		if (sent < b->wire_len && wait_for_server(a, true) < 0)
			return -1;
	}
	return 0;
}

/* A reply that began before our dot cannot be the answer to it: the dot waits for what it becomes. */
static int hear_out(struct attempt *a)
{
	restart_clock(a);
	while (reply_pending(&a->reply))
		if (wait_for_server(a, false) < 0)
			return -1;
	return 0;
}

/* A chunk: read, hear what the server has to say about it so far, send. 1: the dot is out. */
static int send_chunk(struct attempt *a, struct body *b)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	if (fill(b, &e) < 0)
		return local_failure(a, &e);
	if (b->ended && add_dot(a, b, &e) < 0)
		return local_failure(a, &e);
	if (hear(a) < 0)
		return -1;
	if (b->ended && reply_pending(&a->reply) && hear_out(a) < 0)
		return -1;
	if (heed_signal(a) < 0)
		return -1;
	if (io_now_ms() >= a->deadline_ms)
		return overdue(a);
	if (send_wire(a, b) < 0)
		return -1;
	if (!b->ended)
		tell_progress(a, b, false);
	return b->ended ? 1 : keep_to_rate(a, b);
}

static int send_body(struct attempt *a)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(source_freep) struct source *source = NULL;
	CLEANUP(freep) char *raw = xmalloc(CHUNK);
	/* A chunk already there, one more stuffed to the utmost, the dot, QUIT. */
	CLEANUP(freep) char *wire = xmalloc(CHUNK * 3 + 16);
	struct body b = { .stuff = DOTSTUFF_INIT, .raw = raw, .wire = wire, .started_ms = io_now_ms() };
	char note[80];
	int r;

	b.told_ms = b.started_ms;
	report_reserve(a->report, a->d.lmtp ? a->d.accepted + 2 : 2);
	if (message_open(a->msg, a->d.seven, &source, &e) < 0)
		return local_failure(a, &e);
	b.source = source;
	restart_clock(a);
	do
		r = send_chunk(a, &b);
	while (r == 0);
	if (r < 0)
		return -1;
	a->report->size = b.octets;
	tell_progress(a, &b, true);
	snprintf(note, sizeof(note), "%lld octets of message and the final dot sent%s", (long long)b.octets,
		 dialog_quit_rides(&a->d) ? ", QUIT with them" : "");
	trace_note(a, note);
	if (dialog_quit_rides(&a->d))
		a->t->quit_sent = true;
	return 0;
}

/* ---- one session ---- */

/* Transactions until nobody is left to do, or the session is over. */
void attempt_run(struct attempt *a)
{
	for (;;) {
		size_t from = a->out.len;
		enum dialog_need need;

		if (a->stray && a->d.phase == PHASE_IDLE && dialog_any_todo(&a->d))
			return;         /* what answers nothing must not answer the next MAIL */
		if (a->stop && a->d.phase == PHASE_IDLE && dialog_any_todo(&a->d)) {
			lost(a, CAUSE_LOCAL, "interrupted by a signal, before this recipient's turn");
			return;
		}
		need = dialog_next(&a->d, &a->out);
		trace_commands(a, from);
		switch (need) {
		case DIALOG_WAIT:
			if (a->out.len > a->out_sent)
				restart_clock(a);
			if (send_commands(a) < 0 || (dialog_waits(&a->d) && hear_one(a) < 0))
				return;
			break;
		case DIALOG_BODY:
			if (send_body(a) < 0)
				return;
			break;
		case DIALOG_DONE:
			a->t->clean = true;
			return;
		case DIALOG_BROKEN:
			return;
		}
	}
}

/* What is needed and was not offered may be offered to those who are logged in. */
int attempt_ask_again(struct attempt *a, const struct server *server)
{
	int64_t until = sooner(io_now_ms() + reply_time(a), a->deadline_ms);

	if (!dialog_lacks(&a->d))
		return 0;
	if (session_ask_again(a->session, server->lmtp, until, a->t->o.trace) == 0)
		return 0;
	a->stop = io_signal_heard != 0;
	lost(a, io_now_ms() >= until ? CAUSE_TIMEOUT : CAUSE_LOST, session_error(a->session));
	return -1;
}

struct attempt *attempt_new(struct transport *t, const struct server *server, const struct envelope *env,
			    struct message *msg, struct report *report, bool *todo, int64_t deadline_ms)
{
	struct attempt *a = xcalloc(1, sizeof(*a));

	*a = (struct attempt){ .t = t, .session = t->session, .msg = msg, .report = report,
			       .out = BUF_INIT(GROUP_MAX), .deadline_ms = deadline_ms };
	a->d = (struct dialog){ .env = env, .cap = session_capabilities(t->session), .needs = &msg->needs,
				.report = report, .todo = todo, .lmtp = server->lmtp,
				.all_or_nothing = t->o.all_or_nothing, .once = msg->needs.once,
				.max_rcpt = t->o.server->max_rcpt };
	next_reply(a);
	return a;
}

void attempt_free(struct attempt *a)
{
	dialog_clear(&a->d);
	buf_clear(&a->out);
	free(a);
}
