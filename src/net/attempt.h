#pragma once

/*
 * Private to transport.c: one session's part in a delivery, from the hand-over
 * of an open channel to the last reply.
 */

#include "base/buf.h"
#include "net/dialog.h"
#include "net/transport.h"

struct transport {
	struct transport_options o;
	struct session *session;        /* open, or NULL */
	bool renewed;                   /* the token was asked for once again */
	bool quit_sent, clean;          /* clean: between transactions, QUIT may be said */
};

/* One session's part in one delivery. */
struct attempt {
	struct transport *t;
	struct session *session;
	struct dialog d;
	struct message *msg;
	struct report *report;
	struct buf out;                 /* commands not sent yet */
	size_t out_sent;
	struct reply reply;
	int64_t clock_ms;               /* when the awaited reply, or progress, is overdue */
	int64_t deadline_ms;            /* max_time; after a signal at the dot SIGNAL_GRACE_MS at most */
	bool stray;                     /* octets came that answer nothing: no further transaction in here */
	bool stop;                      /* a local failure or a signal: nothing further at all, anywhere */
	int signals;                    /* heard when that was set */
	bool writable;                  /* said the last wait, and nothing was taken since */
	char in[16384];
};

/*
 * An attempt over t->session, for those of @todo; @deadline_ms is absolute (max_time). What it borrows lives
 * as long as it does.
 */
struct attempt *attempt_new(struct transport *t, const struct server *server, const struct envelope *env,
			    struct message *msg, struct report *report, bool *todo, int64_t deadline_ms);
/*
 * What is needed and was not offered may be offered to those who are logged in: EHLO once more. 0; -1: the
 * session is lost, and who was to do has his verdict.
 */
int attempt_ask_again(struct attempt *a, const struct server *server) MUST_CHECK;
/* Transactions until nobody is left to do, or the session is over. */
void attempt_run(struct attempt *a);
void attempt_free(struct attempt *a);
