#pragma once

/*
 * A message's fate as one line of a log. Whatever strangers wrote into it, it
 * stays one line, and a value ends where its quote ends. Pure: the clock, the
 * process and the sink are the caller's.
 *
 *   result=sent exit=0 from=<a@x.example> to=<b@y.example>,<c@y.example> server=mx:25 id=<...> queue_id=4F
 *   size=1234 seconds=0.123 reply="250 2.0.0 Ok"
 *   result=partial exit=1 ... to=<b@y.example> rejected=<c@y.example> ... error="..."
 */

#include "base/base.h"

struct buf;
struct report;

struct log_facts {
	const char *time;               /* "2026-11-26T07:00:00+01:00" */
	long pid, uid;
	const char *account;            /* NULL: none */
	const char *from;               /* the envelope's sender, "" the null one; NULL: unknown yet */
	int exit;                       /* as the caller of the program sees it */
};

enum { LOG_RCPTS_MOST = 1000 };         /* of a text line; how many more there are is said */

/* Without time and process, which a sink puts before it, and without a line feed. -1: out->max is too small. */
int log_line_text(struct buf *out, const struct report *r, const struct log_facts *f, size_t rcpts_most)
	MUST_CHECK;
/* One object with the facts and the members of mailchute-report(5), without a line feed. */
int log_line_json(struct buf *out, const struct report *r, const struct log_facts *f) MUST_CHECK;
