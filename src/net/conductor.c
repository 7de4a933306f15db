/*
 * The loop between dialogs and their session: fill a buffer with commands and
 * messages, send it, hear replies, wait, time out. See conductor.h.
 */

#include "net/conductor.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/message.h"
#include "net/dotstuff.h"
#include "net/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 64 * 1024,              /* octets of a message at a time */
	GATHERED = 14 * 1024,           /* so many go in one piece, a record: the server is busy while more is made */
	GROUP_MAX = 1 << 30,            /* of commands: 100 000 recipients with DSN are some 100 MB */
	SIGNAL_GRACE_MS = 5000,         /* after the dot, a signal waits so long for the reply */
	PROGRESS_MS = 250,
	FUTILE_MS = 20,                 /* writable, and yet nothing was taken: TLS waits for the server */
	RECORD = 16384,                 /* of TLS: taken whole or not at all (RFC 8446 5.1) */
};

/* A place in c->out behind which the server can accept a message. */
struct commit { size_t end; struct shipment *s; };

struct conductor {
	struct session *session;
	const struct conducting *how;
	struct conducted_state *state;
	/* messages of which something was put into c->out, and that are not over: the oldest first */
	struct shipment *head, *tail;
	unsigned n_flight, n_taken;
	struct shipment *filling;       /* the last of them, while it is not put whole */
	struct shipment *pending;       /* taken from next(), not begun */
	bool end;                       /* next() will give none */
	int64_t next_ms;                /* and otherwise is asked again then */
	bool proven;                    /* a chunk was accepted in this session */
	bool left_open;                 /* what came before may have left a transaction open */
	bool asked_again;
	bool more;                      /* c->out was full before the window was, or the messages were at an end */
	/* the message of `filling`, while it is read */
	struct source *source;
	struct dotstuff stuff;
	int64_t octets;                 /* of it, as the source gave them */
	char *raw;
	int64_t told_ms;
	size_t begun_at;                /* in out: where its first command is; SIZE_MAX: it was sent already */
	bool doomed;                    /* it failed amid its octets: what is before it is heard out, then we go */
	/* octets on their way */
	struct buf out;
	size_t out_sent;
	struct commit *commit;
	size_t n_commit, cap_commit, committed;
	int64_t rate_ms;                /* limit_rate: nothing before that */
	/* replies */
	struct reply reply;
	char in[16384];
	int64_t clock_ms;               /* when the awaited reply, or progress, is overdue */
	int64_t deadline_ms;            /* max_time; after a signal SIGNAL_GRACE_MS at most */
	bool stray;                     /* octets came that answer nothing: no further transaction in here */
	bool stop;                      /* a signal was heard */
	int signals;                    /* so many were, when that was set */
	bool writable;                  /* said the last wait, and nothing was taken since */
	enum conducted ending;          /* how it ends, where a step said that it does */
};

/* ---- trace ---- */

static void trace_commands(struct conductor *c, size_t from)
{
	const struct trace *trace = c->how->trace;
	const char *at = c->out.data + from, *end = c->out.data + c->out.len;

	while (trace && at < end) {
		const char *eol = memchr(at, '\r', (size_t)(end - at));

		if (!eol)
			break;
		trace->line(trace->ctx, true, at, (size_t)(eol - at));
		at = eol + 2;
	}
}

static void trace_reply_line(void *ctx, const char *line, size_t len)
{
	const struct trace *trace = ((struct conductor *)ctx)->how->trace;

	trace->line(trace->ctx, false, line, len);
}

static void next_reply(struct conductor *c)
{
	reply_init(&c->reply);
	c->reply.on_line = c->how->trace ? trace_reply_line : NULL;
	c->reply.ctx = c;
}

/* ---- messages come and go ---- */

static struct verdict words(enum cause cause, const char *text)
{
	return (struct verdict){ .state = RCPT_DEFERRED, .cause = cause, .text = text, .len = strlen(text) };
}

static void add_flight(struct conductor *c, struct shipment *s)
{
	s->next = NULL;
	*(c->head ? &c->tail->next : &c->head) = s;
	c->tail = s;
	c->n_flight++;
	c->filling = s;
}

static void close_source(struct conductor *c)
{
	source_free(c->source);
	c->source = NULL;
}

static void give_back(struct conductor *c, struct shipment *s)
{
	c->state->settled += s->d.settled_new;
	s->report->send_us = (s->report->send_us > 0 ? s->report->send_us : 0) + io_now_us() - s->begun_us;
	dialog_clear(&s->d);
	c->how->hooks.over(c->how->hooks.ctx, s);
}

/* The oldest is over. */
static void pop(struct conductor *c)
{
	struct shipment *s = c->head;

	c->head = s->next;
	c->tail = c->head ? c->tail : NULL;
	c->n_flight--;
	if (c->filling == s) {
		c->filling = NULL;
		close_source(c);
	}
	if (s->d.chunks) {
		c->left_open = !s->d.chunk_accepted;
		c->proven |= s->d.chunk_accepted;
	} else {
		c->left_open = s->d.reset_first;
	}
	give_back(c, s);
}

/* The last one is over, without having begun. */
static void unlink_last(struct conductor *c, struct shipment *s)
{
	struct shipment **at = &c->head;

	c->tail = NULL;
	for (; *at != s; at = &(*at)->next)
		c->tail = *at;
	*at = NULL;
	c->n_flight--;
	c->filling = NULL;
	close_source(c);
	give_back(c, s);
}

/* The session ends for everybody in it: what was handed over is unknown, where the server did not say otherwise. */
static void end_all(struct conductor *c, const struct verdict *why)
{
	bool told = c->head && c->head->d.told_closing;

	if (c->head)
		c->head->suspect = !c->stop && !c->head->d.settled_new && (!told || !c->state->settled);
	while (c->head) {
		if (told)
			dialog_not_done(&c->head->d);
		dialog_lost(&c->head->d, why);
		pop(c);
	}
	close_source(c);
}

/* How the whole ends; always -1. */
static int ends(struct conductor *c, enum conducted how, enum cause cause, const char *text)
{
	struct verdict v = words(cause, text);

	c->ending = how;
	snprintf(c->state->why, sizeof(c->state->why), "%s", text);
	end_all(c, &v);
	return -1;
}

static int lost(struct conductor *c, enum cause cause, const char *text)
{
	return ends(c, c->stop ? CONDUCTED_STOPPED : CONDUCTED_LOST, cause, text);
}

/* ---- clocks ---- */

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t reply_time(const struct conductor *c)
{
	const struct server_params *s = c->how->server;
	bool dot = c->head && (c->head->d.phase == PHASE_DOT || c->head->d.phase == PHASE_LONE_DOT);

	return (int64_t)(dot ? s->dot_timeout : s->timeout) * 1000;
}

static void restart_clock(struct conductor *c)
{
	c->clock_ms = io_now_ms() + reply_time(c);
}

static bool any_in_doubt(const struct conductor *c)
{
	for (const struct shipment *s = c->head; s; s = s->next)
		if (s->d.phase == PHASE_DOT)
			return true;
	return false;
}

/* A new signal: who is before his dot is dropped; who is behind it, the reply has some seconds more. */
static int heed_signal(struct conductor *c)
{
	if (!io_signal_heard || c->stop)
		return 0;
	c->stop = true;
	c->signals = io_signal_count();
	if (!any_in_doubt(c))
		return lost(c, CAUSE_LOCAL, "interrupted by a signal, before the server could accept the message");
	c->deadline_ms = sooner(c->deadline_ms, io_now_ms() + SIGNAL_GRACE_MS);
	return 0;
}

static int overdue(struct conductor *c)
{
	long long seconds = (long long)reply_time(c) / 1000;
	char text[160];

	if (c->stop)
		snprintf(text, sizeof(text), "interrupted by a signal while the reply to the "
			 "message was awaited");
	else if (io_now_ms() >= c->deadline_ms)
		snprintf(text, sizeof(text), "not finished within max_time (%u s)", c->how->server->max_time);
	else if (c->head && c->head->d.phase == PHASE_BODY)
		snprintf(text, sizeof(text), "the server took nothing more of the message for %lld s",
			 seconds);
	else
		snprintf(text, sizeof(text), "no reply within %lld s", seconds);
	return lost(c, CAUSE_TIMEOUT, text);
}

/* ---- replies ---- */

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
		memcpy(r->queue_id, at, len);
		r->queue_id[len] = '\0';
		return;
	}
}

/* Its dialog ended the session: with 421, with words that answer nothing, or because BDAT is not known. */
static int broken(struct conductor *c)
{
	static const char closed[] = "the server closed the session";
	static const char other[] = "the server's replies did not follow the protocol";
	bool told = c->head->d.told_closing || c->head->d.closing;

	c->state->no_chunking |= c->head->d.chunking_refused || (c->head->d.chunks && !told);
	if (c->head->d.closing)
		c->head->d.told_closing = true;
	c->state->told_closing |= told;
	return lost(c, told ? CAUSE_LOST : CAUSE_PROTOCOL, told ? closed : other);
}

/* After a reply: whoever has all of his is over. */
static int settle(struct conductor *c)
{
	while (c->head && c->head->d.phase == PHASE_IDLE) {
		struct shipment *s = c->head;

		if (dialog_any_todo(&s->d) && !c->stop && !c->state->quit_sent &&
		    (s == c->filling || (!c->filling && !s->next))) {
			c->filling = s;         /* a further transaction of the same message */
			break;
		}
		pop(c);
	}
	if (c->head && c->head->d.phase == PHASE_BROKEN && !(c->doomed && c->head == c->filling))
		return broken(c);
	return 0;
}

static int hear_reply(struct conductor *c)
{
	struct shipment *s = c->head;
	int r;

	if (s->d.phase == PHASE_DOT && c->reply.code / 100 == 2 && s->d.heard >= s->d.sent - s->d.chunks)
		queue_id(s->report, c->reply.text);
	r = dialog_heard(&s->d, c->reply.code, c->reply.text, c->reply.len);
	next_reply(c);
	restart_clock(c);
	return r < 0 ? broken(c) : settle(c);
}

/* Replies out of @len octets. What comes when nothing is due is a stray, or QUIT's answer. */
static int hear_octets(struct conductor *c, size_t len)
{
	const char *why;
	size_t at = 0, used;

	while (at < len) {
		int r;

		if (!c->head || c->head->d.phase == PHASE_IDLE) {
			c->stray = true;
			return 0;
		}
		r = reply_feed(&c->reply, c->in + at, len - at, &used, &why);
		if (r < 0) {
			char text[200];

			snprintf(text, sizeof(text), "the server does not speak %s: %s",
				 c->how->lmtp ? "LMTP" : "SMTP", why);
			return lost(c, CAUSE_PROTOCOL, text);
		}
		at += used;
		if (r > 0 && hear_reply(c) < 0)
			return -1;
	}
	return 0;
}

static int connection_lost(struct conductor *c, ssize_t how)
{
	char text[300];

	if (how == -2)
		snprintf(text, sizeof(text), "the server closed the connection");
	else
		snprintf(text, sizeof(text), "%s", session_error(c->session));
	return lost(c, CAUSE_LOST, text);
}

/* Hear what is there, without waiting. */
static int hear(struct conductor *c)
{
	for (;;) {
		ssize_t n = session_recv(c->session, c->in, sizeof(c->in));

		if (n == 0)
			return 0;
		if (n < 0)
			return connection_lost(c, n);
		if (hear_octets(c, (size_t)n) < 0)
			return -1;
		if (c->stray)
			return 0;
		/* TLS may hold more than it gave; else a short read says that there was no more */
		if ((size_t)n < sizeof(c->in) && !session_is_tls(c->session))
			return 0;
	}
}

/* ---- waiting ---- */

/*
 * Wait for the server, to read or (@want_write) to write, or with @idle for a message to send; no longer than the
 * clocks allow, and than @until_ms.
 */
static int wait_for_server(struct conductor *c, bool want_write, bool idle, int64_t until_ms)
{
	/*
	 * TLS may have to hear before it can write (a renegotiation). The socket is writable all the while:
	 * no clock would ever be looked at, and no other process get its turn.
	 */
	const bool futile = want_write && c->writable;
	bool due = c->head && (want_write || dialog_waits(&c->head->d));
	int64_t until, clock = due ? c->clock_ms : INT64_MAX;
	int ready;

	if (heed_signal(c) < 0)
		return -1;
	if (c->how->hooks.pause)
		c->how->hooks.pause(c->how->hooks.ctx);
	clock = sooner(clock, c->deadline_ms);
	until = sooner(clock, until_ms);
	if (futile)
		until = sooner(until, io_now_ms() + FUTILE_MS);
	ready = session_wait(c->session, want_write && !futile, idle ? c->how->hooks.wake_fd : -1, until);
	if (ready < 0)
		return connection_lost(c, -1);
	c->writable = ready & SESSION_WRITABLE;
	if (ready & SESSION_READABLE)
		return hear(c);
	if (!ready && (io_now_ms() >= clock || (c->stop && io_signal_count() > c->signals)))
		return overdue(c);
	return 0;
}

/* ---- putting: commands and messages into c->out ---- */

/* The most that may be unanswered: one before a chunk was accepted here, for CHUNKING may be a lie. */
static unsigned window(const struct conductor *c)
{
	const struct capabilities *cap = session_capabilities(c->session);

	if (!cap->pipelining)
		return 1;
	if (!cap->chunking || c->how->no_chunking)
		return 2;               /* one awaits its dot's reply, the other is begun with that dot */
	return c->proven ? c->how->window : 1;
}

static bool is_full(const struct conductor *c)
{
	return c->how->max_messages && c->n_taken >= c->how->max_messages;
}

/* Is next() to be asked for a further message? */
static bool wants_message(const struct conductor *c)
{
	return !c->pending && !c->end && !is_full(c) && !c->stop && !c->stray && !c->doomed && !c->state->quit_sent;
}

/* The next message into c->pending, if there is one. */
static bool take_pending(struct conductor *c)
{
	if (!wants_message(c))
		return c->pending;
	c->next_ms = INT64_MAX;
	c->pending = c->how->hooks.next(c->how->hooks.ctx, &c->next_ms, &c->end);
	c->n_taken += c->pending != NULL;
	return c->pending;
}

/* What is needed and was not offered may be offered to those who are logged in: EHLO once more. */
static int ask_again(struct conductor *c, struct shipment *s)
{
	int64_t until = sooner(io_now_ms() + reply_time(c), c->deadline_ms);
	struct verdict v;

	if (!c->how->logged_in || c->asked_again || !dialog_lacks(&s->d))
		return 0;
	c->asked_again = true;
	if (session_ask_again(c->session, c->how->lmtp, until, c->how->trace) == 0)
		return 0;
	c->stop = io_signal_heard != 0;
	v = words(io_now_ms() >= until ? CAUSE_TIMEOUT : CAUSE_LOST, session_error(c->session));
	c->pending = NULL;
	dialog_lost(&s->d, &v);
	give_back(c, s);
	return lost(c, v.cause, session_error(c->session));
}

/* 1: c->filling is a message; 0: none now; -1. */
static int begin(struct conductor *c)
{
	const bool alone = !c->head;
	struct shipment *s;

	if (!alone && c->n_flight >= window(c))
		return 0;
	if (!take_pending(c))
		return 0;
	s = c->pending;
	s->committed = s->suspect = false;
	s->begun_us = io_now_us();
	s->d = (struct dialog){ .env = s->env, .cap = session_capabilities(c->session), .needs = &s->msg->needs,
				.report = s->report, .todo = s->todo, .lmtp = c->how->lmtp,
				.all_or_nothing = s->all_or_nothing, .once = s->msg->needs.once,
				.no_chunking = c->how->no_chunking, .max_rcpt = c->how->server->max_rcpt };
	if (c->how->logged_in && !c->asked_again && dialog_lacks(&s->d)) {
		if (!alone)
			return 0;       /* the session must be quiet for that */
		if (ask_again(c, s) < 0)
			return -1;
	}
	c->pending = NULL;
	dialog_init(&s->d);
	/* What is unanswered may turn out to be refused, and then be open still (RFC 3030, 4.2). */
	s->d.reset_first = alone ? c->left_open : c->tail->d.chunks;
	s->d.behind = !alone;
	c->begun_at = c->out.len;
	add_flight(c, s);
	return 1;
}

static void add_commit(struct conductor *c, struct shipment *s)
{
	if (c->n_commit == c->cap_commit) {
		c->cap_commit = c->cap_commit ? c->cap_commit * 2 : 64;
		c->commit = xreallocarray(c->commit, c->cap_commit, sizeof(*c->commit));
	}
	c->commit[c->n_commit++] = (struct commit){ c->out.len, s };
	if (c->how->hooks.committing)
		c->how->hooks.committing(c->how->hooks.ctx, s);
}

static void put(struct conductor *c, const char *mem, size_t len)
{
	if (buf_add(&c->out, mem, len) < 0)
		abort();
}

/*
 * Our own failure amid the message @s: no dot. Where nothing of it has left, it is as if it had never begun; else
 * who is before it is heard out, and then the connection is dropped.
 */
static int local_failure(struct conductor *c, struct shipment *s, const struct err *e)
{
	const struct report *r = s->report;
	bool before = false;            /* an earlier transaction may have delivered */
	const char *behind;
	struct verdict v = { .state = RCPT_DEFERRED, .text = e->text, .len = strlen(e->text) };

	for (size_t i = 0; i < r->n_rcpt; i++)
		before |= r->rcpt[i].state == RCPT_ACCEPTED || r->rcpt[i].state == RCPT_UNKNOWN;
	behind = before ? "; nothing more was sent that a server could have accepted" :
			  "; nothing was sent that a server could have accepted";
	v.cause = report_own_failure(s->report, e, behind);
	close_source(c);
	if (c->begun_at != SIZE_MAX && s->d.heard == 0) {
		c->out.len = c->begun_at;
		c->out.data[c->out.len] = '\0';
		dialog_lost(&s->d, &v);
		unlink_last(c, s);
		return 0;
	}
	dialog_lost(&s->d, &v);
	c->doomed = true;
	return 0;
}

/* Its octets are begun. */
static int open_body(struct conductor *c, struct shipment *s, struct err *e)
{
	report_reserve(s->report, s->d.lmtp && !s->d.chunks ? s->d.accepted + 2 : 2 + (s->d.chunks ? s->d.n : 0));
	if (message_open(s->msg, s->d.seven, &c->source, e) < 0)
		return -1;
	c->stuff = (struct dotstuff)DOTSTUFF_INIT;
	c->octets = 0;
	c->told_ms = io_now_ms();
	return 0;
}

/* As much of the message as c->out is to hold. 1: it is all there. */
static int put_octets(struct conductor *c, struct shipment *s, struct err *e)
{
	int64_t announced = message_size(&s->msg->needs, s->d.seven);
	size_t n, first = c->out.len;

	do {
		if (buf_reserve(&c->out, CHUNK * 2 + 16) < 0)
			abort();
		if (s->d.chunks) {
			if (source_read(c->source, c->out.data + c->out.len, CHUNK, &n, e) < 0)
				return -1;
			c->out.len += n;
		} else {
			if (source_read(c->source, c->raw, CHUNK, &n, e) < 0)
				return -1;
			c->out.len += dotstuff_feed(&c->stuff, c->out.data + c->out.len, c->raw, n);
		}
		c->octets += (int64_t)n;
		if (!n || (announced >= 0 && c->octets > announced))
			return 1;
		/* of a chunk the last octets must not leave before it is known that they are the last */
	} while (c->out.len - first < CHUNK || (s->d.chunks && c->octets == announced));
	return 0;
}

/*
 * Everything was read: is it the message that was announced, whole and unchanged? Then, and only then, the
 * dot, or of a chunk the last octets.
 */
static int put_end(struct conductor *c, struct shipment *s, struct err *e)
{
	int64_t announced = message_size(&s->msg->needs, s->d.seven);

	if (announced >= 0 && c->octets != announced)
		return err_set(e, ERR_DATA, "the message changed its length while it was sent (%lld octets, "
			       "announced %lld)", (long long)c->octets, (long long)announced);
	if (!s->d.chunks && !dotstuff_at_line_start(&c->stuff))
		return err_set(e, ERR_SOFTWARE, "the message does not end in CRLF");
	if (message_verify(s->msg, e) < 0)
		return -1;
	if (!s->d.chunks)
		put(c, ".\r\n", 3);
	add_commit(c, s);
	return 0;
}

static void tell_progress(struct conductor *c, struct shipment *s, bool last)
{
	int64_t now;

	if (!c->how->hooks.progress)
		return;
	now = io_now_ms();
	if (!last && now - c->told_ms < PROGRESS_MS)
		return;
	c->told_ms = now;
	c->how->hooks.progress(c->how->hooks.ctx, c->octets, message_size(&s->msg->needs, s->d.seven));
}

/* The message is put whole. Does something follow it, or QUIT? */
static void put_behind(struct conductor *c, struct shipment *s)
{
	bool quit = false;

	s->report->size = c->octets;
	tell_progress(c, s, true);
	close_source(c);
	if (dialog_is_last(&s->d)) {
		c->filling = NULL;
		if (dialog_quit_rides(&s->d) && !take_pending(c) && (c->end || is_full(c))) {
			put(c, "QUIT\r\n", 6);
			quit = c->state->quit_sent = true;
		}
	}
	if (c->how->trace) {
		char note[80];

		snprintf(note, sizeof(note), "%lld octets of message%s sent%s", (long long)c->octets,
			 s->d.chunks ? "" : " and the final dot", quit ? ", QUIT with them" : "");
		c->how->trace->note(c->how->trace->ctx, note);
	}
}

/* The message of c->filling, as far as it goes. 1: more can be put; 0: not now. */
static int put_body(struct conductor *c)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct shipment *s = c->filling;
	size_t body_at = c->out.len;
	int r = 0;

	if (!c->source)
		r = open_body(c, s, &e);
	if (r == 0)
		r = put_octets(c, s, &e);
	if (r > 0 && put_end(c, s, &e) < 0)
		r = -1;
	if (r < 0) {
		c->out.len = body_at;
		return local_failure(c, s, &e);
	}
	if (r > 0)
		put_behind(c, s);
	return r;
}

/* One step of filling c->out. 1: more can be put; 0: replies have to be heard first, or messages to come; -1: over. */
static int put_more(struct conductor *c)
{
	size_t from = c->out.len;
	enum dialog_need need;
	int r;

	if (!c->filling) {
		r = begin(c);
		if (r <= 0)
			return r;
	}
	if (c->source)
		return put_body(c);
	if (c->n_commit && c->commit[c->n_commit - 1].s == c->filling)
		return 0;               /* put whole, and yet to leave: a further transaction comes after that */
	need = dialog_next(&c->filling->d, &c->out);
	trace_commands(c, from);
	switch (need) {
	case DIALOG_BODY:
		return put_body(c);
	case DIALOG_DONE:
		if (c->head == c->filling)
			pop(c);
		else
			unlink_last(c, c->filling);
		return 1;
	case DIALOG_BROKEN:
		return c->head == c->filling ? broken(c) : 0;
	case DIALOG_WAIT:
		break;
	}
	return 0;
}

/* Can a further message begin? Not a message at a time where the window was full: a few at once. */
static bool has_room(const struct conductor *c)
{
	unsigned most = window(c);

	return !c->n_flight || c->n_flight < (most > 16 ? most - most / 16 + 1 : most);
}

static int fill(struct conductor *c)
{
	int r = 1;

	c->more = false;
	if (!c->filling && !has_room(c))
		return 0;
	while (r > 0 && c->out.len < GATHERED && !c->doomed && !c->stop)
		r = put_more(c);
	c->more = r > 0;
	return r < 0 ? -1 : 0;
}

/* ---- sending ---- */

/* Send what it can of @mem at once; octets sent, 0: the connection is full, -1: lost. */
static ssize_t send_some(struct conductor *c, const char *mem, size_t len)
{
	ssize_t n = session_send(c->session, mem, len);

	if (n < 0) {
		/* What the server said before it went away explains it better than the reset does. */
		if (hear(c) < 0)
			return -1;
		return connection_lost(c, -1);
	}
	if (n > 0) {
		c->writable = false;
		restart_clock(c);
	}
	return n;
}

/* Those whose last octet is out: from now on silence means unknown. */
static void note_commits(struct conductor *c)
{
	while (c->committed < c->n_commit && c->commit[c->committed].end <= c->out_sent) {
		struct shipment *s = c->commit[c->committed++].s;

		s->committed = true;
		dialog_dot_sent(&s->d);
		if (s == c->head)
			restart_clock(c);
	}
}

/* Nothing of this message was answered that is due, and yet a reply has begun: it cannot be the answer to our dot. */
static bool reply_before_dot(const struct conductor *c)
{
	return c->head && c->committed < c->n_commit && c->commit[c->committed].s == c->head &&
	       !dialog_waits(&c->head->d) && reply_pending(&c->reply);
}

/* The dot waits for what it becomes. */
static int hear_out(struct conductor *c)
{
	restart_clock(c);
	while (reply_pending(&c->reply))
		if (wait_for_server(c, false, false, c->clock_ms) < 0)
			return -1;
		else if (io_now_ms() >= c->clock_ms)
			return overdue(c);
	return 0;
}

/* limit_rate: what was sent is paid for with time. The clock of the server's silence stands still meanwhile. */
static int keep_to_rate(struct conductor *c, size_t n)
{
	uint64_t rate = c->how->rate;
	int64_t now = io_now_ms();

	if (!rate)
		return 0;
	if (c->rate_ms < now)
		c->rate_ms = now;
	c->rate_ms += (int64_t)((double)n * 1000 / (double)rate);
	while ((now = io_now_ms()) < c->rate_ms) {
		int ready;

		c->clock_ms = c->rate_ms + reply_time(c);
		if (heed_signal(c) < 0)
			return -1;
		if (now >= c->deadline_ms)
			return overdue(c);
		ready = session_wait(c->session, false, -1, sooner(c->rate_ms, c->deadline_ms));
		if ((ready & SESSION_READABLE) && hear(c) < 0)
			return -1;
		if (c->stop || c->stray)
			break;
	}
	restart_clock(c);
	return 0;
}

/*
 * Not all dots in c->out may leave: from the first message on that must not, they are dropped. Who is before it is
 * heard out, and then we go.
 */
static void drop_commits(struct conductor *c, const struct err *e)
{
	struct verdict v = words(CAUSE_LOCAL, e->text);
	struct shipment **at = &c->head, *s;
	size_t first = c->committed;

	while (first < c->n_commit && c->commit[first].s->announced)
		first++;
	if (first == c->n_commit)
		return;
	for (size_t i = first; i < c->n_commit; i++)
		report_own_failure(c->commit[i].s->report, e, "; nothing was sent that a server could have accepted");
	c->tail = NULL;
	for (; *at != c->commit[first].s; at = &(*at)->next)
		c->tail = *at;
	s = *at;
	*at = NULL;
	c->out.len = first ? c->commit[first - 1].end : 0;
	c->out.data[c->out.len] = '\0';
	c->n_commit = first;
	c->filling = NULL;
	close_source(c);
	while (s) {
		struct shipment *dropped = s;

		s = s->next;
		c->n_flight--;
		dialog_lost(&dropped->d, &v);
		give_back(c, dropped);
	}
	c->doomed = true;
}

/* May the dots in c->out leave? */
static int allow_commits(struct conductor *c)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	if (c->committed == c->n_commit)
		return 0;
	if (c->how->hooks.commit && c->how->hooks.commit(c->how->hooks.ctx, &e) < 0) {
		drop_commits(c, &e);
		return 0;
	}
	/* what the server has to say so far comes before the dot */
	if (hear(c) < 0)
		return -1;
	return reply_before_dot(c) ? hear_out(c) : 0;
}

/*
 * Everything in c->out, hearing replies meanwhile, so that two full windows never wait for each other
 * (RFC 2920 3.1).
 */
static int flush(struct conductor *c)
{
	/*
	 * Of several TLS records nothing counts as taken until the last one is; one with a dot could be with the
	 * server by then, and its answer be taken for one that came before the dot.
	 */
	const bool records = c->n_commit > c->committed;

	if (c->out_sent == c->out.len)
		return 0;
	if (allow_commits(c) < 0)
		return -1;
	if (c->out_sent == c->out.len)
		return 0;               /* nothing is left of it */
	if (heed_signal(c) < 0)
		return -1;
	if (io_now_ms() >= c->deadline_ms)
		return overdue(c);
	restart_clock(c);
	while (c->out_sent < c->out.len && !c->stop) {
		size_t most = c->out.len - c->out_sent;
		ssize_t n = send_some(c, c->out.data + c->out_sent, records && most > RECORD ? RECORD : most);

		if (n < 0)
			return -1;
		c->out_sent += (size_t)n;
		note_commits(c);
		if (settle(c) < 0)      /* a chunk that was refused before its end */
			return -1;
		if (c->out_sent < c->out.len && wait_for_server(c, true, false, INT64_MAX) < 0)
			return -1;
	}
	if (c->stop)
		return 0;
	if (c->filling && c->source)
		tell_progress(c, c->filling, false);
	if (keep_to_rate(c, c->out.len) < 0)
		return -1;
	buf_reset(&c->out);
	c->out_sent = c->n_commit = c->committed = 0;
	c->begun_at = SIZE_MAX;
	return 0;
}

/* ---- the session ---- */

/* A signal: what can be answered is, for some seconds; who did not get so far is dropped. */
static int wind_up(struct conductor *c)
{
	while (any_in_doubt(c))
		if (wait_for_server(c, false, false, INT64_MAX) < 0)
			return -1;
	return lost(c, CAUSE_LOCAL, "interrupted by a signal, before the server could accept the message");
}

/* One round. 1: go on; 0: all is done; -1: over, c->ending says how. */
static int step(struct conductor *c)
{
	/* what answers nothing must not answer the next MAIL: a further transaction has a session of its own */
	if (c->stray && c->head && c->head->d.phase == PHASE_IDLE)
		pop(c);
	if (fill(c) < 0 || flush(c) < 0)
		return -1;
	if (c->stop)
		return wind_up(c);
	if (c->doomed && c->head == c->filling)
		return ends(c, CONDUCTED_FAILED, CAUSE_LOCAL, "not sent");
	if (c->doomed)
		return wait_for_server(c, false, false, INT64_MAX) < 0 ? -1 : 1;
	if (c->more || (c->filling && (c->source || !dialog_waits(&c->filling->d))))
		return 1;               /* more can be put at once */
	if (c->head)
		return wait_for_server(c, false, !c->filling && has_room(c) && wants_message(c), c->next_ms) < 0 ? -1 : 1;
	if (c->pending)
		return c->stray ? lost(c, CAUSE_PROTOCOL, "octets came that answer nothing") : 1;
	if (c->end || is_full(c) || c->stray || c->state->quit_sent)
		return 0;
	if (take_pending(c) || c->end)
		return 1;
	if (io_signal_heard) {
		c->stop = true;
		return lost(c, CAUSE_LOCAL, "interrupted by a signal");
	}
	return wait_for_server(c, false, true, c->next_ms) < 0 ? -1 : 1;
}

/* What was asked for and not begun goes back as it came. */
static void give_back_pending(struct conductor *c)
{
	struct shipment *s = c->pending;

	c->pending = NULL;
	if (!s)
		return;
	s->d = (struct dialog){ .todo = s->todo };
	c->how->hooks.over(c->how->hooks.ctx, s);
}

enum conducted conduct(struct session *session, const struct conducting *how, struct conducted_state *ret)
{
	struct conductor *c = xmalloc(sizeof(*c));
	enum conducted ending;
	int r;

	memset(c, 0, offsetof(struct conductor, in));
	*ret = (struct conducted_state){ .no_chunking = how->no_chunking };
	c->session = session;
	c->how = how;
	c->state = ret;
	c->out = (struct buf)BUF_INIT(GROUP_MAX);
	c->raw = xmalloc(CHUNK);
	c->begun_at = SIZE_MAX;
	c->next_ms = INT64_MAX;
	c->clock_ms = INT64_MAX;
	c->deadline_ms = how->deadline_ms;
	c->stray = c->stop = c->writable = false;
	c->signals = 0;
	next_reply(c);
	do
		r = step(c);
	while (r > 0);
	ending = r < 0 ? c->ending : c->end ? CONDUCTED_END : c->stray ? CONDUCTED_LOST : CONDUCTED_FULL;
	ret->clean = r == 0;
	give_back_pending(c);
	close_source(c);
	buf_clear(&c->out);
	free(c->commit);
	free(c->raw);
	free(c);
	return ending;
}
