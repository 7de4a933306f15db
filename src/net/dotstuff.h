#pragma once

/*
 * Transparency, RFC 5321 section 4.5.2: a dot at the start of a line gets
 * another one before it. Pure; the text may be cut anywhere.
 */

#include "base/base.h"

/* matched: octets of CRLF that the text so far ends with; 2 at the start of the text */
struct dotstuff { unsigned matched; };

#define DOTSTUFF_INIT { .matched = 2 }

/*
 * Copy @len octets of @in to @out, which has room for 2 * @len: only a text of nothing but dots at line
 * starts needs it. Gives the octets written.
 */
size_t dotstuff_feed(struct dotstuff *d, char *out, const char *in, size_t len);
/* The text so far ends in CRLF (or is empty), so that ".CRLF" ends the data. */
static inline bool dotstuff_at_line_start(const struct dotstuff *d) { return d->matched == 2; }
