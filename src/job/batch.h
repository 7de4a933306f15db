#pragma once

/*
 * Many messages: a line of JSON, or a row of data and a template, each becomes mail_params, a message, and a report;
 * sessions are kept open between them.
 *
 *   reader thread   rows of the input, so many as are wanted soon
 *   workers         threads; each takes a row when its session has room for a message, composes it, and sends it
 *   the caller      settles: journal, report, log; gives progress
 *
 * Nothing here grows with the number of lines, but what a journal has to remember (job/journal.h).
 */

#include "base/base.h"

struct config;
struct err;
struct mail_params;
struct report;
struct sysinfo;
struct trace;

/* One message that is settled. Borrowed for the call. */
struct batch_result {
	unsigned long long line;
	const char *id;                 /* of the line; NULL: none */
	const struct report *report;
	const struct mail_params *params;       /* finished, or as far as they got */
	bool placed;                    /* the report's error says where it is from, "jobs.jsonl:17: ..." */
	bool from_journal;              /* not sent in this run: what the journal knows */
};

struct batch_counts {
	unsigned long long messages;    /* settled, without those of the next two */
	unsigned long long sent, partial, deferred, rejected, unknown, error;   /* by their reports' result */
	unsigned long long composed;    /* of a dry run */
	unsigned long long empty;       /* not sent, for --skip-empty */
	unsigned long long skipped;     /* sent already, the journal says */
	unsigned long long recipients_accepted, recipients;
	unsigned long long unread;      /* lines taken from the input and not begun: a signal, or no more results wanted */
	long long taken, size;          /* octets of the input so far, and of all of it (-1: not to be known) */
	unsigned workers;
	int64_t elapsed_ms;
	bool more;                      /* the input was not read to its end */
};

struct batch_hooks {
	const struct trace *trace;      /* NULL: none */
	/* A message is settled, and its journal synced. -1: results cannot be given any more, so no more is begun. */
	int (*settled)(void *ctx, const struct batch_result *r);
	/* Several may have been settled: what was buffered may leave now. -1 as above. */
	int (*flush)(void *ctx);
	/* Some times a second. NULL: none. */
	void (*progress)(void *ctx, const struct batch_counts *c);
	void *ctx;
};

struct batch_input {
	const char *path;               /* of the lines or rows; "-": standard input */
	bool merge;                     /* rows of data for the template that the defaults are */
};

/*
 * @defaults: as asked for; batch() takes what it needs and changes it. 0: all that could be done was done, and
 * *ret_exit says how it went; -1: err, and nothing was sent. *ret_counts is filled in both cases.
 */
int batch(struct mail_params *defaults, const struct batch_input *input, const struct config *config,
	  const struct sysinfo *sys, const struct batch_hooks *hooks, struct batch_counts *ret_counts, int *ret_exit,
	  struct err *e) MUST_CHECK;
