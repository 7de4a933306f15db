/*
 * A worker: takes rows, makes messages of them, and sends them over one session after the other. See pool.h.
 *
 * It opens a session only when it has a message for it, and asks for the next one when the session has room. So a
 * slow or dead session holds up no message but those that it has.
 */

#include "job/pool.h"

#include "base/err.h"
#include "base/io.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "net/outlet.h"
#include "net/transport.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LOST_MOST = 3,                  /* sessions that were lost with the same message at their head */
	FAILS_FIRST = 1, FAILS_LATER = 8,       /* in a row, before a server is given up: never reached, or reached once */
	BACKOFF_S = 1, BACKOFF_MOST_MS = 30000,
	DELAYED_MOST = 10000,           /* messages that wait for a retry; more are told as deferred */
};

static struct parcel *parcel_of(struct shipment *s)
{
	return (struct parcel *)s;      /* its first member */
}

/* ---- what becomes of a parcel ---- */

/*
 * What was settled, with its record written: before anything more is sent, so that after a kill -9 no more is in doubt
 * than was unanswered.
 */
static void hand_over(struct worker *w)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct pool *p = w->pool;
	struct parcel *list = w->held.first;

	if (w->marks.len && journal_write(p->journal, &w->marks, &e) < 0) {
		w->unwritten = true;
		crew_fail(p, &e);
	}
	for (size_t i = 0; i < w->n_announcing; i++)
		w->announcing[i]->shipment.announced = !e.text;
	w->n_announcing = 0;
	buf_reset(&w->marks);
	parcels_init(&w->held);
	while (list) {
		struct parcel *x = list;

		list = x->next;
		crew_settle(p, x);
	}
}

static void put_done(struct worker *w, struct parcel *x)
{
	x->in_doubt = false;
	if (journal_put_done(&w->marks, x->line, &x->key, x->id, &x->report, &x->past) < 0)
		abort();
}

static void settle(struct worker *w, struct parcel *x)
{
	static const struct verdict nothing_asked = { .state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL, .text = "" };
	const struct verdict rest = x->report.dry_run ? nothing_asked : crew_rest(w->pool);

	parcel_close(x, &rest);
	/* what was never begun leaves no trace: it may be a second line with the id of one that is */
	if (!w->pool->journal || x->skipped || x->from_journal || !x->shipment.msg) {
		crew_settle(w->pool, x);
		return;
	}
	put_done(w, x);
	parcels_add(&w->held, x);
}

/*
 * It goes round once more, or a further transaction of it begins: what became of it so far is not in doubt. Written
 * before anybody can send it again, whose "sent" must stand behind this.
 */
static void note_so_far(struct worker *w, struct parcel *x)
{
	if (x->in_doubt)
		put_done(w, x);
}

static void again(struct worker *w, struct parcel *x)
{
	note_so_far(w, x);
	hand_over(w);
	crew_again(w->pool, x);
}

static bool any_deferred(const struct parcel *x)
{
	for (size_t i = 0; i < x->report.n_rcpt; i++)
		if (!x->report.rcpt[i].final && rcpt_is_put_off(&x->report.rcpt[i]))
			return true;
	return false;
}

/* --retries: those deferred once more, later. */
static bool put_off(struct worker *w, struct parcel *x)
{
	const struct server_params *s = &x->p->server;
	struct pool *p = w->pool;
	uint32_t random;
	bool room;

	if (x->tries >= s->retries || !any_deferred(x) || x->m->needs.once)
		return false;
	pthread_mutex_lock(&p->lock);
	room = p->again.n < DELAYED_MOST && !p->stop;
	pthread_mutex_unlock(&p->lock);
	if (!room)
		return false;
	x->tries++;
	p->sys->random(&random, sizeof(random));
	x->not_before_ms = io_now_ms() + retry_wait_ms(s->retry_delay, x->tries, random);
	for (size_t i = 0; i < x->env.n_rcpt; i++)
		x->todo[i] = !x->report.rcpt[i].final && rcpt_is_put_off(&x->report.rcpt[i]);
	again(w, x);
	return true;
}

/* Its part in a session is over: its last word, or once more. */
static void over(void *ctx, struct shipment *s)
{
	struct worker *w = ctx;
	struct parcel *x = parcel_of(s);
	bool left = parcel_any_todo(x);

	w->n_flight--;
	snprintf(x->report.server, sizeof(x->report.server), "%s", w->server->label);
	if (x->report.error_exit || io_signal_heard) {
		settle(w, x);
	} else if (left && x->lost < LOST_MOST && !x->m->needs.once) {
		/* where a session is lost again and again with this one, it is this one */
		x->lost += s->suspect;
		x->not_before_ms = s->suspect ? 1 : 0;  /* behind all others */
		again(w, x);
	} else if (left || !put_off(w, x)) {
		settle(w, x);
	}
}

/* What a session that cannot be had says about a message. */
static void tell_failure(struct parcel *x, const struct session_failure *why)
{
	struct verdict v = { .state = why->state, .stage = why->stage, .cause = why->cause, .code = why->code,
			     .enhanced = why->enhanced, .text = why->text, .len = strlen(why->text) };

	for (size_t i = 0; i < x->report.n_rcpt; i++)
		if (x->todo[i])
			report_tentative(&x->report, i, &v);
	if (x->route->params->server.n_list)
		snprintf(x->report.server, sizeof(x->report.server), "%s", x->route->params->server.list[0].label);
}

/* ---- taking ---- */

/* A parcel that is to be sent, of the next row, or that comes back; NULL: none, as *how says. */
static struct parcel *next_parcel(struct worker *w, enum taking *how, int64_t *until_ms)
{
	struct taken taken;

	for (;;) {
		struct parcel *x;

		*how = crew_take(w, &taken, until_ms);
		if (*how != TAKEN)
			return NULL;
		if (taken.again)
			return taken.again;
		x = taken.made ? taken.made : parcel_new(w, &taken);
		if (taken.made && taken.not_to_be_sent && x->shipment.msg && !x->report.skipped)
			parcel_withhold(x);
		if (x->shipment.msg && !x->report.skipped) {
			if (!w->pool->dry_run)
				x->route = route_of(w->pool, x->p);
			return x;
		}
		settle(w, x);
	}
}

/* The conductor's next message: one for the session that is open. */
static struct shipment *next(void *ctx, int64_t *ret_until_ms, bool *ret_end)
{
	struct worker *w = ctx;
	struct parcel *x = w->carry;
	enum taking how = TAKEN;

	*ret_end = false;
	hand_over(w);
	if (!x)
		x = next_parcel(w, &how, ret_until_ms);
	w->carry = NULL;
	if (x && x->route == w->route) {
		w->n_flight++;
		return &x->shipment;
	}
	w->carry = x;                   /* for another server */
	*ret_end = x || how == NOTHING_MORE;
	return NULL;
}

/* ---- the journal's marks ---- */

static void committing(void *ctx, struct shipment *s)
{
	struct worker *w = ctx;
	struct parcel *x = parcel_of(s);

	note_so_far(w, x);
	x->in_doubt = true;
	s->announced = false;
	if (w->n_announcing == w->cap_announcing) {
		w->cap_announcing = w->cap_announcing ? 2 * w->cap_announcing : 16;
		w->announcing = xreallocarray(w->announcing, w->cap_announcing, sizeof(*w->announcing));
	}
	w->announcing[w->n_announcing++] = x;
	if (journal_put_sent(&w->marks, x->line, &x->key, x->id, x->report.message_id) < 0)
		abort();
}

static int commit(void *ctx, struct err *e)
{
	struct worker *w = ctx;

	hand_over(w);
	if (!w->unwritten)
		return 0;               /* what was announced may leave, though others could not write */
	pthread_mutex_lock(&w->pool->lock);
	err_set(e, w->pool->failed_class, "%s", w->pool->failed_text);
	pthread_mutex_unlock(&w->pool->lock);
	return -1;
}

static void before_wait(void *ctx)
{
	hand_over(ctx);
}

/* ---- sessions ---- */

static bool is_stopped(struct pool *p)
{
	bool stop;

	pthread_mutex_lock(&p->lock);
	stop = p->stop;
	pthread_mutex_unlock(&p->lock);
	return stop || io_signal_heard;
}

/*
 * Wait to be woken, or for a time. False: the end, there is nothing more to wait for. Whoever wakes us for that says
 * so first, so it is looked at first: the octet of the waking may have been read along with that of an earlier one.
 */
static bool wait_woken(struct worker *w, int64_t until_ms)
{
	struct pollfd f = { .fd = w->wake_fd, .events = POLLIN };
	uint64_t count;

	if (is_stopped(w->pool))
		return false;
	if (poll(&f, 1, io_poll_ms(until_ms)) > 0 && read(w->wake_fd, &count, sizeof(count)) < 0)
		return true;
	return !is_stopped(w->pool);
}

static bool wait_until(struct worker *w, int64_t until_ms)
{
	while (io_now_ms() < until_ms)
		if (!wait_woken(w, until_ms))
			return false;
	return !io_signal_heard;
}

static int64_t backoff_ms(const struct pool *p, unsigned fails)
{
	int64_t wait;
	uint32_t random;

	p->sys->random(&random, sizeof(random));
	wait = retry_wait_ms(BACKOFF_S, fails, random);
	return wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS;
}

/* A session could not be had, or brought nothing. @firm: and waiting does not help. Under the lock. */
static void count_failure(struct pool *p, struct route *r, const struct session_failure *why, bool firm)
{
	unsigned most = (r->ever_open ? FAILS_LATER : FAILS_FIRST) + r->params->server.retries;

	r->fails++;
	r->why = *why;
	r->dead |= firm || r->fails >= most;
	r->next_open_ms = io_now_ms() + backoff_ms(p, r->fails);
}

/*
 * The server has no room for a further session, while others are open or may yet be: this worker is one too many.
 * Under the lock.
 */
static bool one_too_many(struct pool *p, const struct route *r)
{
	if (!(r->open + r->opening) || p->n_workers < 2)
		return false;
	p->limit = p->n_workers - 1;
	p->limit_ms = io_now_ms();
	return true;
}

/* 1: w->session is open; 0: not, and *why says it; -1: err. */
static int open_one(struct worker *w, struct route *r, struct session_failure *why, struct err *e)
{
	const struct server_params *s = &r->params->server;
	const struct session_credentials *cred;
	int rc = 0;

	if (route_credentials(r, &cred, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n_list; i++) {
		*why = (struct session_failure){0};
		w->server = &s->list[i];
		rc = session_open(&w->session, w->server, s, cred, w->pool->hooks->trace, w->pool->deadline_ms, why, e);
		if (rc == 0 && why->cause == CAUSE_AUTH && why->code / 100 == 5 && route_renew(r)) {
			i--;            /* another token for the same server */
			continue;
		}
		if (rc || !why->try_next || io_signal_heard)
			break;
	}
	return rc;
}

enum opened { OPENED, NOT_OPENED, LEAVE };

/* Tries until there is a session. NOT_OPENED: *why, or err, says why not; LEAVE: this worker is not wanted. */
static enum opened try_to_open(struct worker *w, struct route *r, struct session_failure *why, struct err *e)
{
	struct pool *p = w->pool;

	for (;;) {
		bool dead, leave = false;
		int64_t wait;
		int rc;

		pthread_mutex_lock(&p->lock);
		dead = r->dead || p->stop;
		*why = r->why;
		wait = r->next_open_ms;
		pthread_mutex_unlock(&p->lock);
		if (dead || !wait_until(w, wait))
			return NOT_OPENED;
		pthread_mutex_lock(&p->lock);
		r->opening++;
		pthread_mutex_unlock(&p->lock);
		rc = open_one(w, r, why, e);
		pthread_mutex_lock(&p->lock);
		r->opening--;
		if (rc > 0) {
			r->open++;
			r->ever_open = true;
		} else if (rc < 0) {
			*why = (struct session_failure){ .state = RCPT_NOT_ATTEMPTED, .cause = CAUSE_LOCAL };
			snprintf(why->text, sizeof(why->text), "%s", e->text);
			r->why = *why;
			r->dead = true;
		} else if (one_too_many(p, r)) {
			leave = true;
		} else {
			count_failure(p, r, why, why->state != RCPT_DEFERRED && !r->ever_open);
		}
		pthread_mutex_unlock(&p->lock);
		if (rc > 0)
			return OPENED;
		if (leave)
			return LEAVE;
	}
}

static void note_times(struct report *r, const struct session *s)
{
	const struct session_times *times = session_times(s);

	r->connect_us = times->connect;
	r->tls_us = times->tls;
	r->auth_us = times->auth;
}

/* A session to @r, the route of w->carry. What becomes of that is done with, if it is not OPENED. */
static enum opened open_session(struct worker *w, struct route *r)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct session_failure why = {0};
	struct pool *p = w->pool;
	enum opened opened;
	struct parcel *x;

	pthread_mutex_lock(&p->lock);
	w->opening_ms = io_now_ms();
	pthread_mutex_unlock(&p->lock);
	opened = try_to_open(w, r, &why, &e);
	pthread_mutex_lock(&p->lock);
	w->opening_ms = 0;
	x = w->carry;                   /* NULL: another took it over */
	if (opened != OPENED)
		w->carry = NULL;
	pthread_mutex_unlock(&p->lock);
	if (!x)
		return opened;
	switch (opened) {
	case OPENED:
		note_times(&x->report, w->session);
		break;
	case LEAVE:
		x->not_before_ms = 0;
		again(w, x);
		break;
	case NOT_OPENED:
		if (e.text)
			report_own_failure(&x->report, &e, "");
		if (why.text[0])
			tell_failure(x, &why);
		settle(w, x);
		break;
	}
	return opened;
}

static void close_session(struct worker *w)
{
	transport_farewell(w->session, &w->state, w->pool->hooks->trace);
	w->session = NULL;
}

/* What the session taught about the server. Under the lock. */
static void learn(struct pool *p, struct route *r, const struct conducted_state *s, enum conducted how)
{
	struct session_failure why = { .state = RCPT_DEFERRED, .stage = STAGE_MAIL, .cause = CAUSE_LOST };

	r->open--;
	r->no_chunking |= s->no_chunking;
	/* once may be chance; twice the same number is the server's rule, and then we end before it */
	if (s->told_closing && s->settled && s->settled < UINT32_MAX) {
		if (s->settled == r->closed_after)
			r->session_most = (unsigned)s->settled;
		r->closed_after = s->settled;
	}
	if (s->settled) {
		r->fails = 0;
		r->next_open_ms = 0;
	} else if (how == CONDUCTED_LOST && !(s->no_chunking && r->fails == 0)) {
		snprintf(why.text, sizeof(why.text), "%s", s->why[0] ? s->why : "the session was lost");
		count_failure(p, r, &why, false);
	}
}

static unsigned fewer(unsigned a, unsigned b)
{
	return !a ? b : !b || a < b ? a : b;
}

static void run_session(struct worker *w, struct route *r)
{
	struct pool *p = w->pool;
	const struct server_params *s = &r->params->server;
	struct conducting how = {
		.server = s, .trace = p->hooks->trace, .lmtp = w->server->lmtp,
		.logged_in = s->has_credentials, .window = p->defaults->batch.window,
		.rate = s->limit_rate ? s->limit_rate / p->workers_most + 1 : 0, .deadline_ms = p->deadline_ms,
		.hooks = { .next = next, .over = over, .ctx = w, .wake_fd = w->wake_fd },
	};
	enum conducted ending;

	if (p->journal) {
		how.hooks.committing = committing;
		how.hooks.commit = commit;
		how.hooks.pause = before_wait;
	}
	pthread_mutex_lock(&p->lock);
	how.no_chunking = r->no_chunking;
	how.max_messages = fewer(p->defaults->batch.max_per_session, r->session_most);
	pthread_mutex_unlock(&p->lock);
	w->route = r;
	ending = conduct(w->session, &how, &w->state);
	w->route = NULL;
	hand_over(w);
	pthread_mutex_lock(&p->lock);
	learn(p, r, &w->state, ending);
	pthread_mutex_unlock(&p->lock);
	close_session(w);
}

/* ---- a dry run ---- */

static void write_out(struct worker *w, struct parcel *x)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct pool *p = w->pool;

	if (outlet_add(p->outlet, x->m, x->line, x->env.from, p->sys->now_s(), &x->report.size, &e) < 0) {
		if (outlet_failed(p->outlet)) {
			/* it would be the same with each */
			crew_fail(p, &e);
			crew_give_back(p, x);
			return;
		}
		report_error(&x->report, &e);
	}
	settle(w, x);
}

/* ---- the thread ---- */

/* The next parcel for a session that is yet to be opened. NULL: there will be none. */
static struct parcel *wait_for_parcel(struct worker *w)
{
	for (;;) {
		struct parcel *x;
		enum taking how;
		int64_t until_ms;

		hand_over(w);
		x = next_parcel(w, &how, &until_ms);
		if (x)
			return x;
		/* what others send may come back: the end is when all is settled, and then we are woken */
		if (how == NOTHING_MORE && w->pool->dry_run)
			return NULL;
		if (!wait_woken(w, how == NOTHING_MORE ? INT64_MAX : until_ms))
			return NULL;
	}
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	enum opened opened = OPENED;
	struct route *route;

	while (opened != LEAVE) {
		if (!w->carry)
			w->carry = wait_for_parcel(w);
		if (!w->carry)
			break;
		if (p->dry_run) {
			write_out(w, w->carry);
			w->carry = NULL;
			continue;
		}
		/* its parcel may be settled before the session is over */
		route = w->carry->route;
		route_hold(p, route);
		opened = open_session(w, route);
		if (opened == OPENED)
			run_session(w, route);
		route_drop(p, route);
	}
	hand_over(w);
	buf_clear(&w->marks);
	free(w->announcing);
	crew_leave(w);
	return NULL;
}
