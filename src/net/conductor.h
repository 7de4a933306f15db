#pragma once

/*
 * The mail transactions of one open session, from its hand-over to its last reply: of one message, or of as many
 * as there are (RFC 2920, RFC 3030).
 *
 * Messages are asked for when the session has room for one. With PIPELINING the envelope of the next one leaves
 * with the dot of the one before; with CHUNKING envelopes and messages stream, and only `window` of them are
 * unanswered at any time. Replies are heard while octets are sent, and belong to the messages strictly in order.
 * What becomes of a recipient is decided in dialog.c; which sessions there are, by the caller.
 */

#include "base/base.h"
#include "net/dialog.h"

struct conductor;
struct err;
struct message;
struct server_params;
struct session;
struct trace;

/*
 * One message on its way. The caller's, and lent from next() to over(); zeroed but for the first fields. @todo and
 * the verdicts in @report are true when over() is called: who is still to do has no last word of this server. The
 * report's send_us grows by the time from the first command to that.
 */
struct shipment {
	const struct envelope *env;
	struct message *msg;
	struct report *report;
	bool *todo;
	bool all_or_nothing;
	bool announced;                 /* since committing(): it may leave, though commit() says -1 */
	/* by the conductor */
	struct dialog d;                /* as it was left: settled_new, chunking_refused */
	struct shipment *next;
	int64_t begun_us;
	bool committed;                 /* its last octet was handed to the connection at least once */
	bool suspect;                   /* the session was lost when it was this one's turn, unannounced or at once */
};

struct conductor_hooks {
	/*
	 * The next message, or NULL: none now. Then *ret_until_ms says when to ask again at the latest (INT64_MAX:
	 * when wake_fd is readable), and *ret_end that there will be none.
	 */
	struct shipment *(*next)(void *ctx, int64_t *ret_until_ms, bool *ret_end);
	/* The octets by which the server could accept @s are about to leave. NULL: nobody wants to know. */
	void (*committing)(void *ctx, struct shipment *s);
	/* Before they do, once for all that were named since. -1: only those may that are announced. NULL: all may. */
	int (*commit)(void *ctx, struct err *e);
	/* It is over in this session. It may be given again by next(). */
	void (*over)(void *ctx, struct shipment *s);
	/* Before every wait for the server: what was heard so far can be acted on. NULL: none. */
	void (*pause)(void *ctx);
	/* While a message is sent, at most a few times a second; total -1: unknown. NULL: none. */
	void (*progress)(void *ctx, int64_t sent, int64_t total);
	void *ctx;
	int wake_fd;                    /* readable where next() may have something, or a signal came; -1: none */
};

struct conducting {
	const struct server_params *server;     /* its clocks, limit_rate, max_rcpt; borrowed, as all of these */
	const struct trace *trace;              /* NULL: none */
	bool lmtp, logged_in;
	bool no_chunking;                       /* not to be used, though it is offered */
	unsigned window;                        /* messages unanswered at most */
	unsigned max_messages;                  /* in this session; 0: no limit */
	uint64_t rate;                          /* octets a second; 0: no limit */
	int64_t deadline_ms;                    /* absolute: max_time */
	struct conductor_hooks hooks;
};

enum conducted {
	CONDUCTED_END,          /* next() said so, and everything is answered */
	CONDUCTED_FULL,         /* max_messages, and everything is answered */
	CONDUCTED_LOST,         /* closed by the server, lost, out of time, or it does not speak SMTP */
	CONDUCTED_FAILED,       /* by a failure of our own: the report of that message has it */
	CONDUCTED_STOPPED,      /* a signal */
};

/* What is left of the session. */
struct conducted_state {
	bool quit_sent;
	bool clean;             /* between transactions: QUIT may be said */
	bool no_chunking;       /* learnt: BDAT is not known there, or replies fell out of step */
	unsigned long long settled;     /* messages of which somebody got a word of this server */
	bool told_closing;      /* 421 was heard */
	char why[300];          /* of CONDUCTED_LOST */
};

/* Until the session has nothing more to give. @session is borrowed, and is not closed. */
enum conducted conduct(struct session *session, const struct conducting *how, struct conducted_state *ret);
