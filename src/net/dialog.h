#pragma once

/*
 * The mail transactions of one session, SMTP or LMTP, as pure logic: what to
 * send next, and what each reply settles. No I/O, no clock, no libcurl; its
 * test is two columns of text.
 *
 *   dialog_next()  appends the next group of commands to @out and says what the caller does then. With
 *                  PIPELINING a group is MAIL, every RCPT and DATA at once (RFC 2920); without, one command.
 *   dialog_heard() takes one whole reply.
 *
 *   phase      left by                                           to
 *   IDLE       recipients left: first group sent                 ENVELOPE
 *   ENVELOPE   every reply of the group heard: 354, accepted > 0  BODY
 *              354, nobody accepted                              LONE_DOT
 *              MAIL or DATA refused, nobody accepted             IDLE
 *   BODY       caller sent the dot: dialog_dot_sent()            DOT
 *              a reply before that                               BROKEN
 *   DOT        the reply (LMTP: one per accepted recipient)      IDLE
 *   LONE_DOT   whatever it says                                  IDLE
 *   any        dialog_lost()                                     BROKEN
 *
 * With CHUNKING (RFC 3030) the message goes as one "BDAT size LAST": a small one right behind its envelope,
 * before anything of that was answered. BODY and DOT then begin while replies of the envelope are due, and the
 * dot is the last octet of the chunk:
 *
 *   ENVELOPE   BDAT went                                         BODY
 *   BODY       caller sent the last octet: dialog_dot_sent()     DOT
 *   DOT        every reply, BDAT's last                          IDLE
 *
 * Recipients to do are marked in todo[]; a transaction takes at most max_rcpt of them. Any 2xx that answers
 * a dot is acceptance (RFC 5321 4.3.2). Nothing is allocated from dialog_dot_sent() on.
 */

#include "base/base.h"
#include "model/report.h"
#include "net/capabilities.h"

struct buf;
struct envelope;
struct message_needs;

enum dialog_need {
	DIALOG_WAIT,            /* send what is in @out, then read a reply */
	DIALOG_BODY,            /* stream the message and the dot, then dialog_dot_sent() */
	DIALOG_DONE,            /* nothing left to do in this session */
	DIALOG_BROKEN,          /* close the connection: no further command, and above all no dot */
};

enum { DIALOG_FEW = 4 };

enum dialog_phase { PHASE_IDLE, PHASE_ENVELOPE, PHASE_BODY, PHASE_DOT, PHASE_LONE_DOT, PHASE_BROKEN };

struct dialog {
	/* set by the caller before dialog_init(); borrowed */
	const struct envelope *env;
	const struct capabilities *cap;
	const struct message_needs *needs;
	struct report *report;
	bool *todo;                     /* one per recipient of env; cleared by a verdict of this server */
	bool lmtp, all_or_nothing, once;
	bool no_chunking;               /* this server offers CHUNKING and does not know BDAT */
	unsigned max_rcpt;              /* recipients a transaction at most; the server may lower it */
	/*
	 * RSET goes first: a transaction was left open. The caller's to set, too, before dialog_next(), where one
	 * may have been by the message before.
	 */
	bool reset_first;
	bool behind;                    /* the caller's: its MAIL leaves while another message is unanswered */

	/* private */
	enum dialog_phase phase;
	bool seven;                     /* the message goes as its 7-bit rendering */
	bool closing;                   /* 421 was heard */
	bool settled_new;               /* this session gave somebody a final answer */
	size_t *rcpt, n;                /* the recipients of this transaction: indices into env */
	unsigned char *answer;          /* per recipient of this transaction: enum in dialog.c */
	size_t sent, heard;             /* commands of this transaction, in the order RSET? MAIL RCPT* DATA */
	size_t accepted, refused, data_code;
	bool mail_refused, again;       /* again: some were put off to a further transaction */
	size_t dot_at;                  /* LMTP: next recipient of the transaction whose reply is due */
	bool chunks;                    /* this transaction goes by BDAT */
	bool chunk_accepted;            /* the last BDAT had 2xx: nothing of it was left open */
	bool chunking_refused;          /* BDAT is not known here: once more without */
	bool told_closing;              /* the end was told by 421, in its turn: nothing behind it was done */
	size_t few_rcpt[DIALOG_FEW];    /* rcpt and answer, for most messages */
	unsigned char few_answer[DIALOG_FEW];
};

/*
 * The server does not offer something that the message or the envelope needs. May be asked before
 * dialog_init().
 */
bool dialog_lacks(const struct dialog *d);
/*
 * What the capabilities make of the message: settles everyone and leaves nothing to do where something
 * needed is not there.
 */
void dialog_init(struct dialog *d);
enum dialog_need dialog_next(struct dialog *d, struct buf *out);
/* 0, or -1 when the connection must be closed now (what was left is settled or tentative already). */
int dialog_heard(struct dialog *d, int code, const char *text, size_t len) MUST_CHECK;
/* The final dot, or the last octet of the chunk, was handed to the connection: from now on silence means unknown. */
void dialog_dot_sent(struct dialog *d);
/* Nobody is left for a further transaction of this message, as far as is known. */
bool dialog_is_last(const struct dialog *d);
/* May QUIT ride in the group of the dot? (PIPELINING, and no transaction follows.) */
bool dialog_quit_rides(const struct dialog *d);
/*
 * 421 was heard in answer to what came before all of this message: the server closed without doing any of it, and
 * dialog_lost() is about a message that certainly was not delivered.
 */
void dialog_not_done(struct dialog *d);
/*
 * The session ended: before the dot everything left is deferred (tentatively), after it unknown. @why:
 * cause and text; code, stage and state are filled here. @why->state NOT_ATTEMPTED is kept before the dot
 * (a local failure).
 */
void dialog_lost(struct dialog *d, const struct verdict *why);
/* The stage whose reply is awaited, for messages and clocks. */
enum smtp_stage dialog_stage(const struct dialog *d);
/* Replies still due. */
bool dialog_waits(const struct dialog *d);
bool dialog_any_todo(const struct dialog *d);
void dialog_clear(struct dialog *d);
