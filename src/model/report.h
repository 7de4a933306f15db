#pragma once

/*
 * What became of each recipient.
 *
 * report_init() makes one entry per envelope recipient, all RCPT_PENDING.
 * Each entry is settled exactly once; settling twice is a bug and asserts.
 * A tentative verdict (a lost connection, a 4xx) can be replaced by a later
 * attempt (another server, another session) until report_close() makes it
 * final, so that at the end every recipient is accounted for even if the
 * connection died in the middle of a reply.
 *
 * Between the final dot and the report nothing is allocated: texts live in
 * storage made by report_reserve().
 *
 * Strings are never NULL: unknown is "". The JSON form has a version number
 * and is described in mailchute-report(5); add keys freely, never change one.
 */

#include "base/base.h"
#include "base/err.h"

struct envelope;
struct json_out;

enum rcpt_state {
	RCPT_PENDING,
	RCPT_ACCEPTED,      /* 2xx after the dot, or LMTP's own reply */
	RCPT_REJECTED,      /* 5xx */
	RCPT_DEFERRED,      /* 4xx, or lost before the dot: certainly not delivered */
	RCPT_UNKNOWN,       /* dot sent, no usable reply: may have been delivered */
	RCPT_NOT_ATTEMPTED,
};
enum smtp_stage { STAGE_LOCAL, STAGE_CONNECT, STAGE_GREETING, STAGE_EHLO, STAGE_TLS, STAGE_AUTH,
		  STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_DOT };

enum cause {
	CAUSE_NONE, CAUSE_USAGE, CAUSE_DATA, CAUSE_INPUT, CAUSE_HOST, CAUSE_REFUSED, CAUSE_TIMEOUT,
	CAUSE_LOST, CAUSE_TLS, CAUSE_AUTH, CAUSE_POLICY, CAUSE_PROTOCOL, CAUSE_SENDER, CAUSE_SIZE,
	CAUSE_EXTENSION, CAUSE_RECIPIENT, CAUSE_CONTENT, CAUSE_LOCAL,
};
const char *rcpt_state_name(enum rcpt_state s);
const char *smtp_stage_name(enum smtp_stage s);
const char *cause_name(enum cause c);

enum { RESULT_TEXT_MAX = 512 };

/* A verdict on its way into the report; text is copied (cut to RESULT_TEXT_MAX - 1). */
struct verdict {
	enum rcpt_state state;
	enum smtp_stage stage;      /* where it was settled */
	enum cause cause;           /* why not accepted; decides the exit code */
	int code;                   /* 250, 550, ...; 0 if no reply was heard */
	const char *enhanced;       /* "5.1.1"; NULL: none */
	const char *text;           /* the server's words (raw), or ours if none */
	size_t len;
};

struct rcpt_result {
	const char *addr;           /* in the report's own storage: a report outlives its envelope */
	enum rcpt_state state;
	enum smtp_stage stage;
	enum cause cause;
	int code;
	bool final;
	char enhanced[12];
	const char *text;           /* in the report's own storage; equal ones may be shared */
};

struct report {
	struct rcpt_result *rcpt;   /* same order as the envelope */
	size_t n_rcpt;
	char message_id[260], queue_id[128], server[300];
	int64_t size;               /* octets sent of the last message; -1: none was */
	int64_t connect_us, tls_us, auth_us, send_us, total_us;  /* -1: did not happen */
	/* What `error` says where no recipient tells it: a local failure, of STAGE_LOCAL. exit 0: none. */
	int error_exit; enum cause error_cause; char error_text[1024];
	bool dry_run;               /* nothing was to be sent: result "composed", exit 0 */
	bool skipped;               /* with dry_run: the text was empty (skip_empty): result "skipped" */
	struct report_block *blocks;    /* all addresses and texts */
};

#define REPORT_VERSION 1

void report_init(struct report *r, const struct envelope *env);
/*
 * Room for @n more texts, so that as many verdicts can be stored without allocating: called before each
 * final dot.
 */
void report_reserve(struct report *r, size_t n);
/* Final at once. */
void report_settle(struct report *r, size_t rcpt, const struct verdict *how);
/* May be replaced by a later settle or tentative, until report_close(). */
void report_tentative(struct report *r, size_t rcpt, const struct verdict *how);
/* The tentative verdict of one entry is final. */
void report_confirm(struct report *r, size_t rcpt);
/* Make tentative verdicts final; entries that have none get @rest. */
void report_close(struct report *r, const struct verdict *rest);

/*
 * We could not do our work: @e tells the whole, whatever the recipients say. Entries without a verdict
 * become not attempted. A report that was never initialised (no envelope yet) has no recipients then.
 */
void report_error(struct report *r, const struct err *e);

/*
 * The part of it that is told of the whole: `error`, with @behind (may be "") after its text. Recipients
 * are left alone. Gives its cause.
 */
enum cause report_own_failure(struct report *r, const struct err *e, const char *behind);

/* Deferred by something that speaks SMTP: whoever sends it again may be heard. */
bool rcpt_is_put_off(const struct rcpt_result *c);

/* 0 all accepted, 1 mixed, 2 any unknown; else 75 any deferred; else the latest stage decides. */
int report_exit_code(const struct report *r);
const char *report_result_name(const struct report *r);  /* sent partial deferred rejected unknown error */

/* One object, a newline after it. Allocates nothing. */
void report_json(const struct report *r, struct json_out *out);
/* What is between its braces, for an object that says more. */
void report_json_members(const struct report *r, struct json_out *out);
/* --report=text: a line per recipient and a last one for the whole. @put as in json_out. */
int report_text(const struct report *r, int (*put)(void *ctx, const char *mem, size_t len), void *ctx);
/* The one line for standard error when not all were accepted, into out[cap]; "" when all were. */
void report_line(const struct report *r, char *out, size_t cap);
void report_clear(struct report *r);
bool report_final(const struct report *r, size_t rcpt);
