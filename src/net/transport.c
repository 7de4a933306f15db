/*
 * A delivery: rounds of servers, sessions with each, attempts in those; and
 * the farewell. What happens in a session is in conductor.c.
 */

#include "net/transport.h"

#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/message.h"
#include "net/conductor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	FAREWELL_MS = 1000,             /* for 221 */
	RETRY_MOST_MS = 24 * 3600 * 1000,
};

struct transport {
	struct transport_options o;
	struct session *session;        /* open, or NULL */
	bool renewed;                   /* the token was asked for once again */
	struct conducted_state state;   /* of the last session that was open */
};

struct transport *transport_new(const struct transport_options *o)
{
	struct transport *t = xcalloc(1, sizeof(*t));

	t->o = *o;
	return t;
}

/*
 * "Come again" of an earlier server is not undone by one that cannot be had at all: sent later, the message
 * may still be taken there, and nobody who hears 68 or 77 sends it again. True: it is the last word on
 * somebody.
 */
static bool opening_failed(struct report *r, const bool *todo, const struct session_failure *why)
{
	struct verdict v = { .state = why->state, .stage = why->stage, .cause = why->cause, .code = why->code,
			     .enhanced = why->enhanced, .text = why->text, .len = strlen(why->text) };
	bool told = false;

	for (size_t i = 0; i < r->n_rcpt; i++) {
		const struct rcpt_result *was = &r->rcpt[i];

		if (!todo[i] || (v.state == RCPT_NOT_ATTEMPTED && rcpt_is_put_off(was)))
			continue;
		report_tentative(r, i, &v);
		told = true;
	}
	return told;
}

static void note_times(struct report *r, const struct session *s)
{
	const struct session_times *times = session_times(s);

	r->connect_us = times->connect;
	r->tls_us = times->tls;
	r->auth_us = times->auth;
}

/* What is not connecting, TLS or AUTH is sending. */
static void note_total(struct report *r, int64_t total_us)
{
	r->total_us = total_us;
	if (r->connect_us < 0)
		return;
	r->send_us = total_us - r->connect_us;
	r->send_us -= r->tls_us > 0 ? r->tls_us : 0;
	r->send_us -= r->auth_us > 0 ? r->auth_us : 0;
}

/* What a delivery is about, for the loops over sessions and servers. */
struct delivery {
	struct transport *t;
	const struct envelope *env;
	struct message *msg;
	struct report *report;
	bool *todo;
	int64_t deadline_ms;
	const struct server *speaker;   /* whose words the report has; NULL: nobody's yet */
	bool stop;                      /* no further server in this round */
	bool give_up;                   /* no further round either: a signal, or a failure of our own */
	bool no_chunking;               /* learnt of this server */
	bool asked;                     /* the conductor has its message */
	struct shipment shipment;
};

static void name_server(struct report *r, const struct server *server)
{
	snprintf(r->server, sizeof(r->server), "%s", server->label);
}

/* A token that the server does not take any more is asked for once again, where it can be. */
static bool token_renewed(struct transport *t, const struct session_failure *why)
{
	if (why->cause != CAUSE_AUTH || why->code / 100 != 5 || !t->o.renew || t->renewed)
		return false;
	t->renewed = true;
	return t->o.renew(t->o.renew_ctx);
}

/* The one message, once. */
static struct shipment *only_message(void *ctx, int64_t *ret_until_ms, bool *ret_end)
{
	struct delivery *y = ctx;

	(void)ret_until_ms;
	*ret_end = y->asked;
	if (y->asked)
		return NULL;
	y->asked = true;
	return &y->shipment;
}

static void message_over(void *ctx, struct shipment *s)
{
	(void)ctx;
	(void)s;                        /* conduct() is about to return */
}

static void show_progress(void *ctx, int64_t sent, int64_t total)
{
	const struct transport_options *o = &((struct delivery *)ctx)->t->o;

	o->progress(o->progress_ctx, sent, total);
}

/* The transactions in the session that is open. True: somebody new was settled and others are left. */
static bool transactions(struct delivery *y, const struct server *server)
{
	struct transport *t = y->t;
	struct conducting how = {
		.server = t->o.server, .trace = t->o.trace, .lmtp = server->lmtp,
		.logged_in = t->o.credentials != NULL, .no_chunking = y->no_chunking, .window = 1,
		.rate = t->o.server->limit_rate, .deadline_ms = y->deadline_ms,
		.hooks = { .next = only_message, .over = message_over,
			   .progress = t->o.progress ? show_progress : NULL, .ctx = y, .wake_fd = -1 },
	};
	enum conducted ending;
	bool again;

	y->asked = false;
	y->shipment = (struct shipment){ .env = y->env, .msg = y->msg, .report = y->report, .todo = y->todo,
					 .all_or_nothing = t->o.all_or_nothing };
	ending = conduct(t->session, &how, &t->state);
	again = (y->shipment.d.settled_new || (t->state.no_chunking && !y->no_chunking)) &&
		dialog_any_todo(&y->shipment.d) && !y->msg->needs.once;
	y->no_chunking = t->state.no_chunking;
	y->stop = y->give_up = ending == CONDUCTED_FAILED || ending == CONDUCTED_STOPPED ||
			       y->report->error_exit;
	return again && !y->stop;
}

/*
 * One session with @server for those to do. 1: somebody new was settled and others are left: once more; 0:
 * no; -1: err.
 */
static int one_session(struct delivery *y, const struct server *server, struct err *e)
{
	struct transport *t = y->t;
	struct session_failure why = {0};
	int opened = session_open(&t->session, server, t->o.server, t->o.credentials, t->o.trace,
				  y->deadline_ms, &why, e);

	if (opened < 0)
		return -1;
	if (!opened) {
		if (opening_failed(y->report, y->todo, &why))
			y->speaker = server;
		else if (y->speaker)
			name_server(y->report, y->speaker);
		if (token_renewed(t, &why))
			return 1;
		y->stop = !why.try_next || io_signal_heard;
		return 0;
	}
	y->speaker = server;
	note_times(y->report, t->session);
	return transactions(y, server);
}

/* Sessions with one server until it has answered for everybody, or a session brought nothing new. */
static int one_server(struct delivery *y, const struct server *server, struct err *e)
{
	int r;

	name_server(y->report, server);
	y->no_chunking = false;
	do {
		session_close(y->t->session);
		y->t->session = NULL;
		r = one_session(y, server, e);
	} while (r > 0);
	return r;
}

/* May the next server be asked? Only if nothing can have been accepted by those before it. */
static bool next_server_may(const struct delivery *y)
{
	bool any_left = false;

	if (y->stop || y->msg->needs.once)
		return false;
	for (size_t i = 0; i < y->report->n_rcpt; i++) {
		const struct rcpt_result *c = &y->report->rcpt[i];

		if (c->final && (c->state != RCPT_REJECTED || y->t->o.all_or_nothing))
			return false;
		any_left |= !c->final;
	}
	return any_left;
}

/* ---- rounds ---- */

/* Every server in order, for those whose last word may still change. */
static int one_round(struct delivery *y, bool first, struct err *e)
{
	const struct server_params *s = y->t->o.server;

	y->stop = false;
	for (size_t i = 0; i < s->n_list; i++) {
		for (size_t k = 0; k < y->env->n_rcpt; k++)
			y->todo[k] = !report_final(y->report, k) &&
				     (first || y->report->rcpt[k].state == RCPT_DEFERRED);
		if (one_server(y, &s->list[i], e) < 0)
			return -1;
		if (!next_server_may(y))
			break;
	}
	return 0;
}

static size_t count_deferred(const struct report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_rcpt; i++)
		n += !r->rcpt[i].final && r->rcpt[i].state == RCPT_DEFERRED;
	return n;
}

int64_t retry_wait_ms(unsigned delay_s, unsigned round, uint32_t random)
{
	int64_t wait = (int64_t)delay_s * 1000;

	for (unsigned i = 1; i < round && wait < RETRY_MOST_MS; i++)
		wait *= 2;
	if (wait > RETRY_MOST_MS)
		wait = RETRY_MOST_MS;
	return wait + wait / 2 * (random & 0xffff) / 0x10000;
}

/* Wait for the next round. False: there is none, for want of recipients, of tries, of time. */
static bool wait_for_round(const struct delivery *y, unsigned round)
{
	const struct transport_options *o = &y->t->o;
	size_t n = count_deferred(y->report);
	uint32_t random = 0;
	int64_t wait, until;
	char note[160];

	if (!n || round > o->server->retries || y->give_up || y->msg->needs.once || io_signal_heard)
		return false;
	if (getrandom(&random, sizeof(random), 0) < 0)
		random = 0;
	wait = retry_wait_ms(o->server->retry_delay, round, random);
	until = io_now_ms() + wait;
	if (until >= y->deadline_ms)
		return false;
	snprintf(note, sizeof(note), "retry %u of %u in %lld s, for %zu recipient%s", round,
		 o->server->retries, (long long)(wait + 999) / 1000, n, n == 1 ? "" : "s");
	if (o->trace)
		o->trace->note(o->trace->ctx, note);
	session_close(y->t->session);
	y->t->session = NULL;
	return io_sleep_until(until);
}

int transport_send(struct transport *t, const struct envelope *env, struct message *msg,
		   struct report *report, struct err *e)
{
	static const char why[] = "not attempted";
	struct verdict rest = { .state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL, .cause = CAUSE_LOCAL,
				.text = why, .len = sizeof(why) - 1 };
	const struct server_params *s = t->o.server;
	CLEANUP(freep) bool *todo = xcalloc(env->n_rcpt, sizeof(*todo));
	struct delivery y = { .t = t, .env = env, .msg = msg, .report = report, .todo = todo };
	int64_t started = io_now_us();

	y.deadline_ms = s->max_time ? io_now_ms() + (int64_t)s->max_time * 1000 : INT64_MAX;
	for (unsigned round = 1; ; round++) {
		if (one_round(&y, round == 1, e) < 0)
			return -1;
		if (!wait_for_round(&y, round))
			break;
	}
	report_close(report, &rest);
	note_total(report, io_now_us() - started);
	return 0;
}

/* ---- the farewell ---- */

void transport_forget_credentials(struct transport *t)
{
	t->o.credentials = NULL;
}

/* Until the peer closes or answers, a second at most; TLS and TCP end in order then, and not in a reset. */
static void await_farewell(struct session *s)
{
	int64_t until = io_now_ms() + FAREWELL_MS;
	char in[512];

	while (!io_signal_heard && io_now_ms() < until) {
		ssize_t n = session_recv(s, in, sizeof(in));

		if (n < 0 || (n > 0 && memchr(in, '\n', (size_t)n)))
			return;
		if (session_wait(s, false, -1, until) <= 0)
			return;
	}
}

void transport_farewell(struct session *s, const struct conducted_state *state, const struct trace *trace)
{
	bool said = state->quit_sent;

	if (state->clean && !said && session_send(s, "QUIT\r\n", 6) == 6) {
		said = true;
		if (trace)
			trace->line(trace->ctx, true, "QUIT", 4);
	}
	if (state->clean && said)
		await_farewell(s);
	session_close(s);
}

void transport_close(struct transport *t)
{
	if (t->session)
		transport_farewell(t->session, &t->state, t->o.trace);
	free(t);
}
