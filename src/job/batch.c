/*
 * Many messages: the beginning, the reader thread, the settling of results, the end. See batch.h; pool.h says which
 * file does what.
 */

#include "job/pool.h"

#include "base/err.h"
#include "base/io.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/csv.h"
#include "input/secret.h"
#include "job/merge.h"
#include "job/once.h"
#include "job/prepare.h"
#include "mime/ready.h"
#include "model/params_impl.h"
#include "net/outlet.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	WORKERS_AUTO = 4,               /* sessions that any server bears, where nobody said how many */
	BACKLOG = 64, SPAWN_MS = 100,   /* by need: so many rows wait, and the last worker had its time to begin */
	LIMIT_MS = 10000,               /* a server that had no room is asked again for a further session after that */
	TICK_MS = 100, PROGRESS_MS = 250,
	MANY = 64, GATHER_US = 1000,
	MARKS_MAX = 64 << 20,
	EXIT_PARTIAL = 1, EXIT_UNKNOWN = 2,
};

/* ---- the reader ---- */

struct reader {
	struct pool *pool;
	struct rows *rows;
	pthread_t thread;
	int wake_fd;
	struct err e;                   /* all three: under the pool's lock, once input_end is set */
	bool failed;
	bool whole;                     /* the input was read to its end */
	unsigned dropped;               /* a row that nobody wanted any more */
};

/* Room for one more. False: nobody wants any. Under the lock. */
static bool wait_for_room(struct pool *p, unsigned long long seq)
{
	bool ordered = p->defaults->batch.ordered;

	while (!p->stop && (p->n_rows == ROWS_WAITING || p->row_octets > ROW_OCTETS_WAITING ||
			    (ordered && seq >= p->next_seq + ORDER_ROOM)))
		pthread_cond_wait(&p->for_reader, &p->lock);
	return !p->stop;
}

static void wake_for_row(struct pool *p)
{
	if (crew_composes_ahead(p))
		pthread_cond_signal(&p->for_composer);
	else if (crew_wake_one(p))
		return;
	if (p->n_workers < p->limit && (p->workers_given || !p->n_workers || p->n_rows >= BACKLOG))
		pthread_cond_signal(&p->for_settler);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct pool *p = r->pool;
	unsigned long long seq = 0;
	struct row row;
	int rc = 1;

	while (rc == 1) {
		rc = rows_next(r->rows, r->wake_fd, &row, &r->e);
		if (rc != 1)
			break;
		pthread_mutex_lock(&p->lock);
		if (wait_for_room(p, seq)) {
			p->row[(p->first_row + p->n_rows++) % ROWS_WAITING] = (struct waiting_row){ row, seq++ };
			p->row_octets += row.len;
			wake_for_row(p);
		} else {
			free(row.text);
			r->dropped = 1;
			rc = 2;
		}
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_lock(&p->lock);
	r->failed = rc < 0;
	r->whole = rc == 0 && !io_signal_heard;
	p->input_end = true;
	crew_wake_all(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- workers come and go ---- */

/* With our signals blocked: they are the main thread's. */
static int start_thread(pthread_t *ret, void *(*run)(void *), void *arg, struct err *e)
{
	sigset_t ours, before;
	int r;

	sigfillset(&ours);
	pthread_sigmask(SIG_SETMASK, &ours, &before);
	r = pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r ? err_sys(e, ERR_OS, r, "cannot start a thread") : 0;
}

/* One more. Under the lock. False: it cannot be had, and those that are there must do. */
static bool spawn(struct pool *p, unsigned number)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct worker *w = xcalloc(1, sizeof(*w));

	w->pool = p;
	w->number = number;
	w->marks = (struct buf)BUF_INIT(MARKS_MAX);
	parcels_init(&w->held);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->spawned_ms = io_now_ms();
	if (w->wake_fd < 0)
		err_sys(&e, ERR_OS, errno, "cannot make an eventfd");
	if (w->wake_fd < 0 || start_thread(&w->thread, worker_main, w, &e) < 0) {
		if (w->wake_fd >= 0)
			close(w->wake_fd);
		free(w);
		p->limit = p->n_workers;
		p->limit_ms = p->spawned_ms;
		if (!p->n_workers)
			crew_fail_locked(p, &e);
		return false;
	}
	w->next = p->workers;
	p->workers = w;
	p->n_workers++;
	/* one that waits for the composer: from the second on they compose for themselves */
	crew_wake_one(p);
	return true;
}

static bool any_waiting(const struct pool *p)
{
	for (const struct worker *w = p->workers; w; w = w->next)
		if (w->waiting && !w->starved)
			return true;
	return false;
}

/* As many as there is work for. Under the lock. */
static void adjust_workers(struct pool *p)
{
	int64_t now = io_now_ms();

	if (p->limit < p->workers_most && now - p->limit_ms > LIMIT_MS) {
		p->limit++;
		p->limit_ms = now;
	}
	while (!p->stop && p->n_workers < p->limit && p->n_rows + p->stock.n + p->again.n) {
		bool by_need = p->n_rows >= BACKLOG && now - p->spawned_ms >= SPAWN_MS;

		if (p->n_workers && any_waiting(p))
			return;
		if (p->n_workers && !p->workers_given && !by_need)
			return;
		if (p->workers_given && p->n_workers >= p->n_rows + p->stock.n + p->again.n && p->n_workers)
			return;
		if (!spawn(p, p->n_workers))
			return;
	}
}

/* It is there to use a second processor, so not where there is none, and not where messages have to wait anyway. */
static void start_composer(struct pool *p)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	struct worker *c;
	cpu_set_t cpus;

	if (p->second.most || p->minute.most || sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 2)
		return;
	c = xcalloc(1, sizeof(*c));
	c->pool = p;
	pthread_mutex_lock(&p->lock);
	p->composer = c;
	pthread_mutex_unlock(&p->lock);
	if (start_thread(&c->thread, composer_main, c, &ignored) == 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->composer = NULL;
	pthread_mutex_unlock(&p->lock);
	free(c);
}

static void end_composer(struct pool *p)
{
	if (!p->composer)
		return;
	pthread_join(p->composer->thread, NULL);
	p->composer->next = p->retired;
	p->retired = p->composer;
}

static void reap(struct pool *p, bool all)
{
	for (struct worker **at = &p->workers; *at;) {
		struct worker *w = *at;

		pthread_mutex_lock(&p->lock);
		if (!all && !w->gone) {
			pthread_mutex_unlock(&p->lock);
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = p->retired;
		p->retired = w;
		pthread_mutex_unlock(&p->lock);
		pthread_join(w->thread, NULL);
		close(w->wake_fd);
	}
}

/* Only now can no parcel name them any more. */
static void workers_free(struct worker *all)
{
	while (all) {
		struct worker *w = all;
		struct parcel *spent = w->spent;

		all = w->next;
		while (spent) {
			struct parcel *x = spent;

			spent = x->next;
			parcel_free(x);
		}
		free(w);
	}
}

/* ---- settling ---- */

struct settling {
	struct pool *pool;
	struct rows *rows;
	struct batch_counts *counts;
	struct parcel **order;          /* ring of ORDER_ROOM, with `ordered` */
	int first_exit;                 /* of the first message that was not sent to all */
	bool any_sent, any_not, any_unknown, any_deferred;
	struct err *e;
};

static void count(struct settling *s, const struct parcel *x)
{
	struct batch_counts *c = s->counts;
	const struct { const char *name; unsigned long long *n; } names[] = {
		{"sent", &c->sent}, {"partial", &c->partial}, {"deferred", &c->deferred},
		{"rejected", &c->rejected}, {"unknown", &c->unknown}, {"error", &c->error},
		{"composed", &c->composed}, {"skipped", &c->empty},
	};
	const char *result = report_result_name(&x->report);
	int exit = report_exit_code(&x->report);

	c->messages++;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, result))
			++*names[i].n;
	for (size_t i = 0; i < x->report.n_rcpt; i++) {
		c->recipients++;
		c->recipients_accepted += x->report.rcpt[i].state == RCPT_ACCEPTED;
	}
	s->any_sent |= exit == EX_OK || exit == EXIT_PARTIAL;
	if (exit == EX_OK)
		return;
	s->any_not = true;
	s->any_unknown |= exit == EXIT_UNKNOWN;
	s->any_deferred |= exit == EX_TEMPFAIL;
	if (!s->first_exit)
		s->first_exit = exit;
}

/* Of many as of the recipients of one: interface.md's rules, a message for a recipient. */
static int exit_code(const struct settling *s)
{
	if (!s->any_not)
		return EX_OK;
	if (s->any_sent)
		return EXIT_PARTIAL;
	if (s->any_unknown)
		return EXIT_UNKNOWN;
	return s->any_deferred ? EX_TEMPFAIL : s->first_exit;
}

static void stop(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	crew_wake_all(p);
	pthread_mutex_unlock(&p->lock);
}

static void tell(struct settling *s, struct parcel *x, struct parcel **told)
{
	const struct batch_result r = { .line = x->line, .id = x->id, .report = &x->report,
					.params = x->p ? x->p : s->pool->defaults,
					.placed = x->placed, .from_journal = x->from_journal };

	if (x->skipped) {
		s->counts->skipped++;
		s->any_sent = true;
	} else {
		count(s, x);
		if (s->pool->hooks->settled(s->pool->hooks->ctx, &r) < 0)
			stop(s->pool);
	}
	x->next = *told;
	*told = x;
}

/* In the order of the lines: who comes early waits. */
static void tell_in_order(struct settling *s, struct parcel *x, struct parcel **told)
{
	struct pool *p = s->pool;
	unsigned long long next = p->next_seq;

	s->order[x->seq % ORDER_ROOM] = x;
	while ((x = s->order[next % ORDER_ROOM])) {
		s->order[next++ % ORDER_ROOM] = NULL;
		tell(s, x, told);
	}
	pthread_mutex_lock(&p->lock);
	p->next_seq = next;
	pthread_cond_signal(&p->for_reader);
	pthread_mutex_unlock(&p->lock);
}

static void tell_all(struct settling *s, struct parcel *list)
{
	struct parcel *told = NULL;

	while (list) {
		struct parcel *x = list;

		list = x->next;
		if (s->order)
			tell_in_order(s, x, &told);
		else
			tell(s, x, &told);
	}
	crew_spent(s->pool, told);
	if (s->pool->hooks->flush(s->pool->hooks->ctx) < 0)
		stop(s->pool);
}

/* Under the lock. */
static void note_counts(struct settling *s)
{
	struct batch_counts *c = s->counts;

	/* those of which nobody was told */
	c->messages += s->pool->plain;
	*(s->pool->dry_run ? &c->composed : &c->sent) += s->pool->plain;
	c->recipients += s->pool->plain_rcpts;
	c->recipients_accepted += s->pool->dry_run ? 0 : s->pool->plain_rcpts;
	s->any_sent |= s->pool->plain > 0;
	s->pool->plain = s->pool->plain_rcpts = 0;
	c->taken = rows_taken(s->rows);
	c->size = rows_size(s->rows);
	c->elapsed_ms = io_now_ms() - s->pool->started_ms;
	c->workers = s->pool->n_workers;
}

static void abstime(struct timespec *ret, int ms)
{
	clock_gettime(CLOCK_REALTIME, ret);
	ret->tv_nsec += (long)ms * 1000000;
	ret->tv_sec += ret->tv_nsec / 1000000000;
	ret->tv_nsec %= 1000000000;
}

/* Rows and parcels that nobody will begin. Under the lock. */
static void drop_rest(struct settling *s, struct parcel **ret)
{
	struct pool *p = s->pool;

	while (p->n_rows) {
		free(p->row[p->first_row].row.text);
		p->first_row = (p->first_row + 1) % ROWS_WAITING;
		p->n_rows--;
		s->counts->unread++;
	}
	for (struct parcel *x = crew_drop_stock(p), *next; x; x = next, s->counts->unread++) {
		next = x->next;
		parcel_free(x);
	}
	*ret = p->again.first;
	parcels_init(&p->again);
}

/* Until everything that was read is settled. -1: the journal failed. */
static int settle_all(struct settling *s)
{
	struct pool *p = s->pool;
	int64_t told_ms = p->started_ms;
	bool many = false, failed = false;
	int rc = 0;

	for (bool finished = false; !finished;) {
		struct parcel *list, *dropped = NULL;
		struct timespec until;

		abstime(&until, TICK_MS);
		pthread_mutex_lock(&p->lock);
		adjust_workers(p);
		if (!p->done.n && !crew_finished(p))
			pthread_cond_timedwait(&p->for_settler, &p->lock, &until);
		if (many && p->n_hands && p->done.n < MANY) {
			/* many a moment: what follows in the next one goes along */
			pthread_mutex_unlock(&p->lock);
			usleep(GATHER_US);
			pthread_mutex_lock(&p->lock);
		}
		many = p->done.n > MANY / 16;
		if (io_signal_heard || io_now_ms() >= p->deadline_ms)
			p->stop = true;
		if (p->stop) {
			drop_rest(s, &dropped);
			crew_wake_all(p);
		}
		failed = p->failed;
		list = p->done.first;
		parcels_init(&p->done);
		pthread_cond_broadcast(&p->for_results);
		note_counts(s);
		pthread_mutex_unlock(&p->lock);
		while (dropped) {
			struct parcel *x = dropped;
			const struct verdict rest = crew_rest(p);

			dropped = x->next;
			parcel_close(x, &rest);
			x->next = list;
			list = x;
		}
		/* written by who settled it; before anybody hears of it, it is on the disk */
		if (rc == 0 && list && p->journal && (failed || journal_sync(p->journal, s->e) < 0)) {
			rc = -1;
			stop(p);
		}
		if (list)
			tell_all(s, list);
		if (p->hooks->progress && io_now_ms() - told_ms >= PROGRESS_MS) {
			told_ms = io_now_ms();
			p->hooks->progress(p->hooks->ctx, s->counts);
		}
		reap(p, false);
		pthread_mutex_lock(&p->lock);
		finished = crew_finished(p);
		pthread_mutex_unlock(&p->lock);
	}
	if (p->failed && !s->e->text)   /* no thread is left that could say so */
		return err_set(s->e, p->failed_class, "%s", p->failed_text);
	return rc;
}

/* With `ordered` and an end before the end: what waited for its turn. */
static void tell_leftovers(struct settling *s)
{
	struct parcel *told = NULL;

	for (size_t i = 0; s->order && i < ORDER_ROOM; i++) {
		struct parcel *x = s->order[(s->pool->next_seq + i) % ORDER_ROOM];

		if (x)
			tell(s, x, &told);
	}
	crew_spent(s->pool, told);
	if (s->pool->hooks->flush(s->pool->hooks->ctx) < 0)
		return;
}

/* ---- the beginning ---- */

static bool is_csv(const char *path)
{
	size_t len = strlen(path);
	static const char *const json[] = { ".jsonl", ".ndjson", ".json" };

	for (size_t i = 0; i < ARRAY_SIZE(json); i++)
		if (len > strlen(json[i]) && !strcasecmp(path + len - strlen(json[i]), json[i]))
			return false;
	return true;
}

static void init_bucket(struct bucket *b, unsigned most, double per_us)
{
	if (!most)
		return;
	/* a burst of a twentieth, so that a fast rate does not need a wake-up a message */
	b->most = most < 20 ? 1 : most / 20;
	b->tokens = b->most;
	b->per_us = per_us * most;
	b->at_us = io_now_us();
}

/* What every message would fail of is said once, before anything is read or sent. */
static int check_defaults(struct mail_params *defaults, const struct batch_input *input,
			  const struct config *config, const struct sysinfo *sys, struct err *e)
{
	static const char *const texts[] = { "from", "sender", "envelope_from", "to", "cc", "bcc", "rcpt", "reply_to",
					     "headers", "message_id", "in_reply_to", "references", "dsn_envid",
					     "subject", "body", "html", "attachments", "from_name" };
	struct mail_params p;
	struct ready *none = NULL;
	int r;

	if (once_settle(defaults, e) < 0)
		return -1;
	mail_params_copy(&p, defaults);
	p.probing = true;
	for (size_t i = 0; input->merge && i < ARRAY_SIZE(texts); i++)
		param_reset(&p, param_row(texts[i]));
	r = prepare(&p, config, &none, sys, e);
	ready_free(none);
	mail_params_clear(&p);
	return r;
}

static int read_header(struct pool *p, struct rows *rows, struct csv_header **ret, struct err *e)
{
	struct row row;
	int r = rows_next(rows, -1, &row, e);

	if (r < 0)
		return -1;
	if (r != 1)
		return err_set(e, ERR_DATA, "%s: no header row: the file is empty", p->name);
	r = csv_header_read(ret, p->name, &row, e);
	free(row.text);
	if (r < 0 || merge_check_columns(p->merge, *ret, e) < 0)
		return -1;
	p->header = *ret;
	rows_set_delimiter(rows, csv_delimiter(*ret));
	return 0;
}

static int check_combination(const struct mail_params *d, struct err *e)
{
	if (d->batch.resume && !d->batch.journal)
		return err_set(e, ERR_USAGE, "--resume: needs the --journal of the earlier run");
	if (d->batch.journal && (d->dry_run || d->output))
		return err_set(e, ERR_USAGE, "--journal: a dry run sends nothing that it could note");
	if (d->dry_run && !d->output && d->report == REPORT_JSON)
		return err_set(e, ERR_USAGE, "--report=json with a dry run: standard output is the messages'; --output "
			       "FILE or DIRECTORY/ takes them");
	return 0;
}

struct opened {
	struct rows *rows;
	struct merge *merge;
	struct csv_header *header;
	struct journal *journal;
	struct outlet *outlet;
};

static void opened_clear(struct opened *o)
{
	rows_closep(&o->rows);
	merge_freep(&o->merge);
	csv_header_freep(&o->header);
	journal_closep(&o->journal);
	outlet_closep(&o->outlet);
}

static int open_all(struct pool *p, struct opened *o, struct mail_params *d, struct err *e)
{
	const struct batch_input *in = p->input;

	if (in->merge && merge_new(&o->merge, d, e) < 0)
		return -1;
	p->merge = o->merge;
	p->csv = in->merge && is_csv(in->path);
	if (rows_open(&o->rows, in->path, p->csv ? ROWS_CSV : ROWS_JSONL, e) < 0)
		return -1;
	p->exposed = rows_exposed(o->rows);
	if (p->csv && read_header(p, o->rows, &o->header, e) < 0)
		return -1;
	if (d->batch.journal && journal_open(&o->journal, d->batch.journal, d->batch.resume, e) < 0)
		return -1;
	p->journal = o->journal;
	if (p->dry_run && outlet_open(&o->outlet, d->output, e) < 0)
		return -1;
	p->outlet = o->outlet;
	return 0;
}

static void pool_init(struct pool *p, const struct mail_params *d)
{
	pthread_mutexattr_t spinning;

	p->dry_run = d->dry_run || d->output;
	p->workers_given = d->batch.workers;
	p->workers_most = p->dry_run ? 1 : d->batch.workers ? d->batch.workers : WORKERS_AUTO;
	p->limit = p->workers_most;
	p->counts_only = d->report == REPORT_SILENT && !d->batch.journal && !d->log && !d->batch.ordered;
	p->started_ms = io_now_ms();
	p->deadline_ms = d->server.max_time ? p->started_ms + (int64_t)d->server.max_time * 1000 : INT64_MAX;
	/* it is held for some instructions: whoever finds it taken had better look again than go to sleep */
	pthread_mutexattr_init(&spinning);
	pthread_mutexattr_settype(&spinning, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&p->lock, &spinning);
	pthread_mutexattr_destroy(&spinning);
	pthread_cond_init(&p->for_reader, NULL);
	pthread_cond_init(&p->for_settler, NULL);
	pthread_cond_init(&p->for_results, NULL);
	pthread_cond_init(&p->for_composer, NULL);
	parcels_init(&p->stock);
	p->stock_most = STOCK_FIRST;
	parcels_init(&p->again);
	parcels_init(&p->done);
	init_bucket(&p->second, d->batch.max_per_second, 1e-6);
	init_bucket(&p->minute, d->batch.max_per_minute, 1e-6 / 60);
}

/* Everything is open: read, send, settle. */
static int run(struct pool *p, struct opened *o, struct batch_counts *counts, int *ret_exit, struct err *e)
{
	struct reader reader = { .pool = p, .rows = o->rows, .e = ERR_INIT };
	struct settling s = { .pool = p, .rows = o->rows, .counts = counts, .e = e };
	const uint64_t one = 1;
	int r;

	reader.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reader.wake_fd < 0)
		return err_sys(e, ERR_OS, errno, "cannot make an eventfd");
	if (p->defaults->batch.ordered)
		s.order = xcalloc(ORDER_ROOM, sizeof(*s.order));
	if (start_thread(&reader.thread, reader_main, &reader, e) < 0) {
		close(reader.wake_fd);
		free(s.order);
		return -1;
	}
	start_composer(p);
	r = settle_all(&s);
	stop(p);
	if (write(reader.wake_fd, &one, sizeof(one)) < 0)
		abort();                /* its counter is 0 */
	pthread_join(reader.thread, NULL);
	counts->more = !reader.whole;
	counts->unread += reader.dropped;
	reap(p, true);
	end_composer(p);
	tell_leftovers(&s);
	note_counts(&s);
	workers_free(p->retired);
	if (r == 0 && p->outlet)
		r = outlet_finish(p->outlet, e);
	if (r == 0 && reader.failed) {
		*e = reader.e;
		reader.e = (struct err)ERR_INIT;
		r = -1;
	}
	err_clear(&reader.e);
	close(reader.wake_fd);
	free(s.order);
	*ret_exit = exit_code(&s);
	if ((counts->more || counts->unread) && *ret_exit == EX_OK)
		*ret_exit = counts->messages ? EXIT_PARTIAL : EX_TEMPFAIL;
	return r;
}

int batch(struct mail_params *defaults, const struct batch_input *input, const struct config *config,
	  const struct sysinfo *sys, const struct batch_hooks *hooks, struct batch_counts *ret_counts, int *ret_exit,
	  struct err *e)
{
	CLEANUP(opened_clear) struct opened opened = {0};
	struct pool *p;
	int r;

	*ret_counts = (struct batch_counts){ .size = -1 };
	*ret_exit = EX_OK;
	if (check_combination(defaults, e) < 0 || check_defaults(defaults, input, config, sys, e) < 0)
		return -1;
	p = xcalloc(1, sizeof(*p));
	p->defaults = defaults;
	p->input = input;
	p->config = config;
	p->sys = sys;
	p->hooks = hooks;
	p->name = !strcmp(input->path, "-") ? "standard input" : input->path;
	pool_init(p, defaults);
	sys->hostname();                /* asked for once, before there are threads */
	r = p->dry_run ? 0 : session_library_start(e);
	if (r == 0)
		r = open_all(p, &opened, defaults, e);
	if (r == 0)
		r = run(p, &opened, ret_counts, ret_exit, e);
	routes_free(p->routes);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->for_reader);
	pthread_cond_destroy(&p->for_composer);
	pthread_cond_destroy(&p->for_settler);
	pthread_cond_destroy(&p->for_results);
	free(p);
	return r;
}
