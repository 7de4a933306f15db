#pragma once

/* Private to src/text: parameters of MIME header fields, shared by header.c and param.c. */

#include "base/base.h"

struct buf;
struct err;

/* "Name: @value CRLF", @value read by the grammar and its parameters written again (RFC 2231 where not
 * ASCII). */
int params_rewrite(struct buf *out, const char *name, const char *value, struct err *e) MUST_CHECK;
