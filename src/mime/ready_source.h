#pragma once

/*
 * A rendering of a ready message as one source: the header, then the input
 * from body_at on with CRLF line ends and the plan's edits, then a CRLF where
 * the last line lacks one. The state is (edit, octets of the stretch that
 * are left).
 */

#include "base/base.h"

struct err;
struct ready_plan;
struct source;

/* Owns @raw, the whole input; borrows @head and @plan. */
struct source *ready_source(struct source *raw, const char *head, size_t head_len,
			    const struct ready_plan *plan, bool seven);

/*
 * One more pass over @raw (borrowed, at its start), for the sizes of what the plan mends. Errors of the
 * source.
 */
int ready_measure(struct ready_plan *plan, struct source *raw, struct err *e) MUST_CHECK;
