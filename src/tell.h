#pragma once

/*
 * What the program says: results on standard output, all else on standard error, a line each. Only tell.c and main.c
 * print; nothing here decides what happened.
 */

#include "input/input.h"
#include "net/session.h"

struct batch_counts;
struct batch_result;
struct buf;
struct err;
struct mail_params;
struct report;

enum { TELL_EXIT_UNKNOWN = 2 };

/* What the run is like, for whoever tells how it ended. */
struct telling {
	enum personality as;
	bool silent;                    /* the exit code alone tells */
};

/* Standard output through a buffer of fixed size: after the dot nothing is allocated. */
struct tell_out { char mem[4096]; size_t len; };
int tell_put(void *out, const char *mem, size_t len);
int tell_flush(struct tell_out *o);
/* A text of ours. ERR_IO. */
int tell_text(const struct buf *text, struct err *e) MUST_CHECK;

/* "mailchute: <what><text>" on standard error, escaped for one line. */
void tell(const char *what, const char *text);
/* The conversation, for -v. */
extern const struct trace tell_trace;
/* A line on the terminal for messages that take over a second; wiped away at the end. @ctx: struct tell_progress. */
struct tell_progress { int64_t started_ms; bool shown; };
void tell_progress(void *ctx, int64_t sent, int64_t total);

/* The exit code as callers of this grammar know it. */
int tell_exit_code(int code, const struct telling *how);
/* The line of the log, where there is one. */
void tell_log(const struct report *r, const struct mail_params *p, int exit);
/* Say what became of it: the report, one line where something is not well, the log; and the exit code. */
int tell_conclusion(const struct report *r, const struct mail_params *p, const struct telling *how);
void tell_waivers(const struct mail_params *p);

/* A batch: a line of report for each message, a line on standard error for each that is not well, progress, a summary. */
struct tell_batch {
	const struct telling *how;
	const struct mail_params *defaults;
	struct buf *out;                /* report lines that have not left yet */
	bool bar, shown;
	bool failed;                    /* standard output takes nothing more */
	int error;                      /* errno of that */
};
int tell_batch_settled(void *ctx, const struct batch_result *r);
int tell_batch_flush(void *ctx);
void tell_batch_progress(void *ctx, const struct batch_counts *c);
void tell_batch_summary(struct tell_batch *t, const struct batch_counts *c);
