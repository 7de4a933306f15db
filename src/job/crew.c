/*
 * Who hands what to whom, under one lock: rows from the reader to workers, parcels that come back, results to the
 * settler. See pool.h.
 */

#include "job/pool.h"

#include "base/err.h"
#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void parcels_init(struct parcels *l)
{
	*l = (struct parcels){ .end = &l->first };
}

void parcels_add(struct parcels *l, struct parcel *x)
{
	x->next = NULL;
	*l->end = x;
	l->end = &x->next;
	l->n++;
}

void parcels_insert(struct parcels *l, struct parcel *x)
{
	struct parcel **at = &l->first;

	while (*at && (*at)->seq < x->seq)
		at = &(*at)->next;
	x->next = *at;
	*at = x;
	if (!x->next)
		l->end = &x->next;
	l->n++;
}

/* Where the first stands that may be sent by now, or NULL; *until_ms: when the next one may. */
static struct parcel **parcels_due(struct parcels *l, int64_t now, int64_t *until_ms)
{
	for (struct parcel **at = &l->first; *at; at = &(*at)->next) {
		if ((*at)->not_before_ms <= now)
			return at;
		*until_ms = sooner_ms(*until_ms, (*at)->not_before_ms);
	}
	return NULL;
}

static struct parcel *parcels_take(struct parcels *l, struct parcel **at)
{
	struct parcel *x = *at;

	*at = x->next;
	if (l->end == &x->next)
		l->end = at;
	l->n--;
	return x;
}

static void wake(struct worker *w)
{
	const uint64_t one = 1;

	w->waiting = false;
	w->woken = true;
	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return;                 /* its counter is full: it is readable */
}

bool crew_wake_one(struct pool *p)
{
	struct worker *best = NULL;

	for (struct worker *w = p->workers; w; w = w->next)
		if (w->waiting && (!best || w->busy < best->busy))
			best = w;
	if (best)
		wake(best);
	return best;
}

void crew_wake_all(struct pool *p)
{
	for (struct worker *w = p->workers; w; w = w->next)
		wake(w);
	pthread_cond_broadcast(&p->for_reader);
	pthread_cond_broadcast(&p->for_composer);
	pthread_cond_broadcast(&p->for_results);
	pthread_cond_broadcast(&p->for_settler);
}

struct verdict crew_rest(const struct pool *p)
{
	static const char signal[] = "interrupted by a signal, before this message's turn";
	static const char late[] = "not begun within max_time";
	static const char stopped[] = "not attempted: the run was stopped";
	struct verdict v = { .state = RCPT_DEFERRED, .stage = STAGE_LOCAL, .cause = CAUSE_LOCAL, .text = signal,
			     .len = sizeof(signal) - 1 };

	if (io_signal_heard)
		return v;
	v.text = late;
	v.len = sizeof(late) - 1;
	v.cause = CAUSE_TIMEOUT;
	if (io_now_ms() >= p->deadline_ms)
		return v;
	v.text = stopped;
	v.len = sizeof(stopped) - 1;
	v.state = RCPT_NOT_ATTEMPTED;
	v.cause = CAUSE_LOCAL;
	return v;
}

bool crew_finished(const struct pool *p)
{
	return (p->input_end || p->stop) && !p->n_rows && !p->n_hands && !p->again.n && !p->done.n;
}

/* ---- rates ---- */

static void refill(struct bucket *b, int64_t now_us)
{
	b->tokens += (double)(now_us - b->at_us) * b->per_us;
	if (b->tokens > b->most)
		b->tokens = b->most;
	b->at_us = now_us;
}

/* Milliseconds until there is one; 0: there is. */
static int64_t token_wait_ms(const struct bucket *b)
{
	return b->tokens >= 1 ? 0 : (int64_t)((1 - b->tokens) / b->per_us / 1000) + 1;
}

/* May a message begin now? Else *until_ms is when. */
static bool rate_allows(struct pool *p, int64_t *until_ms)
{
	struct bucket *all[] = { &p->second, &p->minute };
	int64_t now_us, wait = 0;

	if (!p->second.most && !p->minute.most)
		return true;
	now_us = io_now_us();
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i]->most)
			continue;
		refill(all[i], now_us);
		if (token_wait_ms(all[i]) > wait)
			wait = token_wait_ms(all[i]);
	}
	if (wait) {
		*until_ms = sooner_ms(*until_ms, now_us / 1000 + wait);
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->most)
			all[i]->tokens -= 1;
	return true;
}

/* ---- what workers take and give ---- */

static void take_row(struct pool *p, struct taken *ret)
{
	struct waiting_row *at = &p->row[p->first_row];

	*ret = (struct taken){ .row = at->row, .seq = at->seq, .not_to_be_sent = p->stopped_by };
	p->first_row = (p->first_row + 1) % ROWS_WAITING;
	p->n_rows--;
	p->row_octets -= at->row.len;
	p->n_hands++;
	if (p->n_rows == ROWS_WAITING / 2 || !p->n_rows)
		pthread_cond_signal(&p->for_reader);
}

/* While one worker is all there is: so messages leave in the order of their rows. Several compose for themselves. */
bool crew_composes_ahead(const struct pool *p)
{
	return p->composer && p->n_workers == 1;
}

/* From the stock. NULL: the composer is asked for more at a time, for it was slower than what takes from it. */
static struct parcel *take_made(struct pool *p)
{
	struct parcel *x = p->stock.first;

	if (x) {
		p->stock.first = x->next;
		if (!--p->stock.n)
			p->stock.end = &p->stock.first;
		p->stock_octets -= x->row_len;
	} else if (p->stock_most < STOCK_MOST) {
		p->stock_most *= 2;
	}
	if (p->stock.n <= p->stock_most / 2)
		pthread_cond_signal(&p->for_composer);
	return x;
}

/*
 * The message of one who has long been opening a further session to the same server: a server may let us wait there
 * while it has others of ours. Or NULL; *until_ms: when one would have been for long.
 */
static struct parcel *take_over(const struct worker *w, int64_t *until_ms)
{
	for (struct worker *v = w->route ? w->pool->workers : NULL; v; v = v->next) {
		int64_t long_ms = v->opening_ms + OPENING_MS;
		struct parcel *x = v->opening_ms ? v->carry : NULL;

		if (!x || x->route != w->route)
			continue;
		if (long_ms <= io_now_ms()) {
			v->carry = NULL;
			return x;
		}
		*until_ms = sooner_ms(*until_ms, long_ms);
	}
	return NULL;
}

static enum taking take(struct worker *w, struct taken *ret, int64_t *until_ms)
{
	struct pool *p = w->pool;
	struct parcel **again, *made;
	int64_t over_ms = INT64_MAX;

	*until_ms = INT64_MAX;
	if (p->stop)
		return NOTHING_MORE;
	again = p->again.n ? parcels_due(&p->again, io_now_ms(), until_ms) : NULL;
	if ((again || p->n_rows) && !rate_allows(p, until_ms))
		return NOTHING_NOW;
	if (again) {
		*ret = (struct taken){ .again = parcels_take(&p->again, again) };
		p->n_hands++;
		return TAKEN;
	}
	if (p->stock.n || (crew_composes_ahead(p) && p->n_rows + p->composing)) {
		made = take_made(p);
		w->starved = !made;
		*ret = (struct taken){ .made = made, .not_to_be_sent = p->stopped_by };
		return made ? TAKEN : NOTHING_NOW;
	}
	if (p->n_rows) {
		take_row(p, ret);
		return TAKEN;
	}
	*ret = (struct taken){ .again = take_over(w, &over_ms) };
	if (ret->again)
		return TAKEN;
	*until_ms = sooner_ms(*until_ms, over_ms);
	return p->input_end && !p->again.n && !p->composing && over_ms == INT64_MAX ? NOTHING_MORE : NOTHING_NOW;
}

static void free_all(struct parcel *list)
{
	while (list) {
		struct parcel *x = list;

		list = x->next;
		parcel_free(x);
	}
}

enum taking crew_take(struct worker *w, struct taken *ret, int64_t *ret_until_ms)
{
	struct parcel *spent;
	enum taking r;
	uint64_t count;

	pthread_mutex_lock(&w->pool->lock);
	if (w->woken && read(w->wake_fd, &count, sizeof(count)) < 0)
		count = 0;              /* it was read by the wait already */
	w->woken = w->starved = false;
	r = take(w, ret, ret_until_ms);
	w->waiting = r != TAKEN;
	w->busy = w->n_flight ? 2 : w->route ? 0 : 1;
	spent = w->spent;
	w->spent = NULL;
	pthread_mutex_unlock(&w->pool->lock);
	free_all(spent);
	return r;
}

static bool has_room(const struct pool *p)
{
	return p->stock.n < p->stock_most && (!p->stock.n || p->stock_octets < STOCK_OCTETS);
}

/* A worker is woken for several, where more are coming. */
static void put_made(struct pool *p, struct parcel *made)
{
	p->composing = false;
	parcels_add(&p->stock, made);
	p->stock_octets += made->row_len;
	if (p->stock.n >= p->stock_most / 2 || !p->n_rows || !has_room(p) || !crew_composes_ahead(p))
		crew_wake_one(p);
	if (p->stop)
		pthread_cond_signal(&p->for_settler);
}

bool crew_take_ahead(struct worker *composer, struct parcel *made, struct taken *ret)
{
	struct pool *p = composer->pool;
	struct parcel *spent;
	bool any;

	pthread_mutex_lock(&p->lock);
	if (made)
		put_made(p, made);
	while (!p->stop && !(p->input_end && !p->n_rows) && !(p->n_rows && crew_composes_ahead(p) && has_room(p)))
		pthread_cond_wait(&p->for_composer, &p->lock);
	any = !p->stop && p->n_rows;
	if (any) {
		take_row(p, ret);
		p->composing = true;
	}
	spent = composer->spent;
	composer->spent = NULL;
	pthread_mutex_unlock(&p->lock);
	free_all(spent);
	return any;
}

void crew_fail_locked(struct pool *p, const struct err *e)
{
	if (!p->failed) {
		p->failed = true;
		p->failed_class = e->class;
		snprintf(p->failed_text, sizeof(p->failed_text), "%s", e->text);
	}
	p->stop = true;
	crew_wake_all(p);
}

void crew_fail(struct pool *p, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	crew_fail_locked(p, e);
	pthread_mutex_unlock(&p->lock);
}

void crew_give_back(struct pool *p, struct parcel *x)
{
	pthread_mutex_lock(&p->lock);
	parcels_insert(&p->stock, x);
	pthread_cond_signal(&p->for_settler);
	pthread_mutex_unlock(&p->lock);
}

struct parcel *crew_drop_stock(struct pool *p)
{
	struct parcel *list = p->stock.first;

	p->n_hands -= p->stock.n;
	p->stock_octets = 0;
	parcels_init(&p->stock);
	return list;
}

/* Sent to all, and that is all there is to it: counted, and freed where it was made. */
static bool settle_plain(struct pool *p, struct parcel *x)
{
	if (!p->counts_only || x->skipped || x->from_journal || report_exit_code(&x->report) || x->report.skipped)
		return false;
	pthread_mutex_lock(&p->lock);
	p->plain++;
	p->plain_rcpts += x->report.n_rcpt;
	p->n_hands--;
	if (!p->n_hands && !p->n_rows)
		pthread_cond_signal(&p->for_settler);
	if (x->maker == p->composer) {
		x->next = x->maker->spent;
		x->maker->spent = x;
		x = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	if (x)
		parcel_free(x);
	return true;
}

void crew_settle(struct pool *p, struct parcel *x)
{
	if (settle_plain(p, x))
		return;
	parcel_shrink(x);
	pthread_mutex_lock(&p->lock);
	/* here, and not where it is told: the next row is taken before that */
	if (p->defaults->batch.stop_on_error && !p->stopped_by && !x->skipped && !x->from_journal &&
	    report_exit_code(&x->report))
		p->stopped_by = x->line;
	while (p->done.n >= RESULTS_WAITING)
		pthread_cond_wait(&p->for_results, &p->lock);
	parcels_add(&p->done, x);
	p->n_hands--;
	if (p->done.n == 1 || !p->n_hands)
		pthread_cond_signal(&p->for_settler);
	pthread_mutex_unlock(&p->lock);
}

void crew_spent(struct pool *p, struct parcel *list)
{
	struct parcel *ours = NULL;

	pthread_mutex_lock(&p->lock);
	while (list) {
		struct parcel *x = list, **to = x->maker ? &x->maker->spent : &ours;

		list = x->next;
		x->next = *to;
		*to = x;
	}
	pthread_mutex_unlock(&p->lock);
	free_all(ours);
}

void crew_leave(struct worker *w)
{
	struct pool *p = w->pool;
	struct parcel *spent;

	pthread_mutex_lock(&p->lock);
	spent = w->spent;
	w->spent = NULL;
	w->gone = true;
	w->waiting = false;
	p->n_workers--;
	pthread_cond_signal(&p->for_settler);
	pthread_cond_signal(&p->for_composer);
	pthread_mutex_unlock(&p->lock);
	free_all(spent);
}

void crew_again(struct pool *p, struct parcel *x)
{
	pthread_mutex_lock(&p->lock);
	if (x->not_before_ms)
		parcels_add(&p->again, x);
	else
		parcels_insert(&p->again, x);
	p->n_hands--;
	crew_wake_one(p);
	pthread_cond_signal(&p->for_settler);
	pthread_mutex_unlock(&p->lock);
}
