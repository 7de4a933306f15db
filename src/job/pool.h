#pragma once

/*
 * Private to the batch: what its threads share.
 *
 *   batch.c    the reader thread, the settling of results, the beginning and the end
 *   worker.c   a thread that composes messages and sends them over sessions of its own
 *   composer.c a thread that composes ahead, where one worker is all there is
 *   crew.c     rows, messages to be sent again, results: who hands what to whom, under one lock
 *   route.c    where messages go: a server with its credentials, and how it has fared
 *   parcel.c   one message, from its row to its report
 */

#include "base/buf.h"
#include "input/rows.h"
#include "job/batch.h"
#include "job/journal.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/message.h"
#include "net/conductor.h"
#include "net/session.h"

#include <pthread.h>

struct csv_header;
struct merge;
struct outlet;
struct ready;

/* ---- route.c ---- */

/*
 * A server and its credentials. Messages whose lines say nothing about servers share the route of their account.
 * What changes is under the pool's lock.
 */
struct route {
	struct route *next;
	const struct mail_params *params;       /* of the first message that went here; kept as long as the route */
	bool shared;                    /* kept to the end; another is as long as somebody holds it */
	unsigned held;                  /* one that is not shared: by its parcel, and by a session */
	/* credentials, resolved once, under their own lock, for that may take a while */
	pthread_mutex_t lock;
	struct secrets *secrets;
	bool renewed;                   /* its token was asked for once again */
	/* how it has fared */
	unsigned open, opening;         /* sessions that are, and that are being opened */
	bool ever_open;
	bool no_chunking;               /* learnt */
	unsigned long long closed_after;        /* messages that the last session with a 421 bore */
	unsigned session_most;          /* so many at most; 0: no such limit was met */
	unsigned fails;                 /* openings in a row that failed, and sessions that brought nothing */
	int64_t next_open_ms;           /* not before that */
	bool dead;                      /* given up, for: */
	struct session_failure why;
};

/* ---- parcel.c ---- */

/* A message on its way through the batch. */
struct parcel {
	struct shipment shipment;       /* first: the conductor's handle */
	unsigned long long seq, line;
	size_t row_len;
	struct mail_params *p;
	struct ready *ready;
	struct envelope env;
	struct message *m;
	struct report report;
	bool *todo;
	struct route *route;
	char *id;
	struct journal_key key;
	struct journal_past past;
	bool from_journal;              /* settled by what the journal knows */
	bool in_doubt;                  /* by the journal: "sent", and no "done" yet */
	bool placed;                    /* the error in its report says where it is from */
	bool skipped;                   /* accepted by all in an earlier run: no result */
	struct worker *maker;           /* whose memory it is (or the composer's): it frees it best */
	unsigned lost, tries;
	int64_t not_before_ms, begun_us;
	struct parcel *next;
};

/* ---- crew.c ---- */

enum {
	ROWS_WAITING = 1024, ROW_OCTETS_WAITING = 16 << 20, RESULTS_WAITING = 1024, ORDER_ROOM = 2048,
	STOCK_FIRST = 16, STOCK_MOST = 64, STOCK_OCTETS = 1 << 20,
	OPENING_MS = 200,               /* in that time a session is there; else another takes its message over */
};

struct waiting_row { struct row row; unsigned long long seq; };

struct parcels { struct parcel *first, **end; size_t n; };

struct worker {
	struct pool *pool;
	unsigned number;
	pthread_t thread;
	int wake_fd;                    /* eventfd */
	bool waiting;                   /* under the lock: to be woken where there is something for it */
	bool starved;                   /* the same: it waits for the composer, and not for want of rows */
	unsigned busy;                  /* the same: 0: its session has nothing to do; 1: it has none; 2: it has messages */
	int64_t opening_ms;             /* the same: since when it opens a session for `carry`; 0: it does not */
	unsigned n_flight;              /* messages that its session has */
	bool woken;                     /* the same: wake_fd has an octet since */
	bool gone;                      /* its thread ended, and is to be joined */
	struct parcel *carry;           /* taken, to be sent by the next session; under the lock while it is opened */
	struct route *route;            /* of its session */
	const struct server *server;
	struct session *session;
	struct conducted_state state;
	struct buf marks;               /* records for the journal: "sent", and "done" of those in held */
	struct parcels held;            /* settled, and the settler's when marks are written */
	struct parcel **announcing;     /* whose "sent" is in marks */
	size_t n_announcing, cap_announcing;
	bool unwritten;                 /* marks that could not be */
	struct parcel *spent;           /* under the lock: told, to be freed */
	struct worker *next;
};

struct pool {
	/* set before the threads are there, and constant */
	const struct mail_params *defaults;
	const struct batch_input *input;
	const struct config *config;
	const struct sysinfo *sys;
	const struct batch_hooks *hooks;
	const char *name;               /* of the input, for messages */
	struct merge *merge;
	const struct csv_header *header;
	bool csv;
	bool exposed;                   /* others can read the input's file */
	struct journal *journal;
	struct outlet *outlet;          /* of a dry run */
	bool dry_run;
	bool counts_only;               /* nobody hears of a message that was sent to all: no report, journal, log */
	unsigned workers_most;
	bool workers_given;             /* somebody said how many */
	int64_t started_ms, deadline_ms;

	pthread_mutex_t lock;           /* all below */
	pthread_cond_t for_reader;      /* there is room for rows */
	pthread_cond_t for_composer;    /* rows, room in the stock, one worker left */
	pthread_cond_t for_settler;     /* results, rows for which there may be a worker too few, a worker gone */
	pthread_cond_t for_results;     /* there is room for results */
	struct waiting_row row[ROWS_WAITING];
	size_t first_row, n_rows, row_octets;
	bool input_end;
	/* composed ahead, in the order of their rows; counted in n_hands */
	struct worker *composer;        /* NULL: there is none */
	struct parcels stock;
	size_t stock_octets, stock_most;        /* of its rows; parcels: more, the faster they go */
	bool composing;                 /* the composer has one that is not there yet */
	struct parcels again;           /* to be sent once more */
	struct parcels done;            /* settled */
	unsigned long long n_hands;     /* rows and parcels that workers hold */
	unsigned long long plain, plain_rcpts;  /* settled, sent to all, and nothing to be told about them */
	unsigned long long next_seq;    /* of the next result, with `ordered` */
	unsigned long long stopped_by;  /* stop_on_error: the line that failed; nothing more is sent */
	/* the run as a whole: a record, or the messages of a dry run, cannot be written; no thread can be had */
	bool failed;
	enum err_class failed_class;
	char failed_text[300];
	bool stop;                      /* begin nothing more: a signal, results that nobody takes, time is over */
	struct route *routes;
	struct worker *workers, *retired;       /* retired: their threads have ended */
	unsigned n_workers, limit;      /* threads now; and at most, as the servers bear */
	int64_t limit_ms, spawned_ms;   /* when limit was lowered; the last thread begun */
	/* how fast messages may begin: a bucket of tokens for a second's rate and one for a minute's */
	struct bucket { double tokens, most, per_us; int64_t at_us; } second, minute;
};

static inline int64_t sooner_ms(int64_t a, int64_t b) { return a < b ? a : b; }

void parcels_init(struct parcels *l);
void parcels_add(struct parcels *l, struct parcel *x);
void parcels_insert(struct parcels *l, struct parcel *x);      /* before those of later rows */

/* A row that is to be handled, or a parcel: to be sent again, or from the stock. */
struct taken {
	struct parcel *again, *made;
	struct row row;
	unsigned long long seq;
	bool not_to_be_sent;
};
enum taking { TAKEN, NOTHING_NOW, NOTHING_MORE };
/* For @w. NOTHING_NOW: its wake_fd becomes readable when there may be something, or ask at *ret_until_ms. */
enum taking crew_take(struct worker *w, struct taken *ret, int64_t *ret_until_ms);
/* Is the next row the composer's? Under the lock. */
bool crew_composes_ahead(const struct pool *p);
/* For the composer, who brings the one that it made (or NULL). False: there will be no more. */
bool crew_take_ahead(struct worker *composer, struct parcel *made, struct taken *ret);
/* The whole run fails: nothing more is begun. The first one to say so is told. */
void crew_fail(struct pool *p, const struct err *e);
void crew_fail_locked(struct pool *p, const struct err *e);
/* Back unsent, to be dropped. */
void crew_give_back(struct pool *p, struct parcel *x);
/* What was composed ahead and nobody will take. Under the lock. */
struct parcel *crew_drop_stock(struct pool *p);
/* A parcel is settled: to the settler, where he has anything to do with it. Waits while he has too many. */
void crew_settle(struct pool *p, struct parcel *x);
/* They were told: back to whose memory they are. */
void crew_spent(struct pool *p, struct parcel *list);
/* The thread of @w ends. */
void crew_leave(struct worker *w);
/* To be sent again, by anybody, from x->not_before_ms on. */
void crew_again(struct pool *p, struct parcel *x);
/* What is to be said of a message that nothing was tried for. */
struct verdict crew_rest(const struct pool *p);
void crew_wake_all(struct pool *p);
/* One who waits, where there is one, and best one whose session has nothing to do. Under the lock. */
bool crew_wake_one(struct pool *p);
/* Everything that was read is settled or with the settler. */
bool crew_finished(const struct pool *p);       /* under the lock */

/* ---- the rest ---- */

/* A parcel of a row; one that is not to be sent has its report closed, and no message. Takes row->text. */
struct parcel *parcel_new(struct worker *maker, const struct taken *taken);
/* It was composed before a message failed, with --stop-on-error: as if it had been after it. */
void parcel_withhold(struct parcel *x);
/* What it is not needed for any more once it is settled: memory is for those that are not. */
void parcel_shrink(struct parcel *x);
/* Its last word is spoken: nothing is tentative any more. */
void parcel_close(struct parcel *x, const struct verdict *rest);
bool parcel_any_todo(const struct parcel *x);
void parcel_free(struct parcel *x);

/* The route of finished params, held; made where there is none like it. */
struct route *route_of(struct pool *p, const struct mail_params *params);
void route_hold(struct pool *p, struct route *r);
/* NULL is a no-op. */
void route_drop(struct pool *p, struct route *r);
/* Params are needed as long as their route: true, and then they are freed with it, and not with their parcel. */
bool route_keeps(const struct route *r, const struct mail_params *params);
/* Credentials for a session; *ret NULL: none are needed. -1: err, for everybody. */
int route_credentials(struct route *r, const struct session_credentials **ret, struct err *e) MUST_CHECK;
/* They were refused: true where they are others now. Asked once a route. */
bool route_renew(struct route *r);
/* All, with the params that they keep. */
void routes_free(struct route *all);

void *worker_main(void *worker);
void *composer_main(void *composer);
