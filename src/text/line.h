#pragma once

/*
 * Private to src/text: one header field while it is written. Pieces are put
 * with the white space before them; the line is folded in front of that white
 * space where the piece would pass the limit. So there is never a line of
 * only white space, and what unfolds is exactly what was put.
 *
 * A buffer that is full is remembered and told by line_end(), which also
 * takes the half-written field out again.
 */

#include "base/base.h"
#include "text/chars.h"
#include "text/encode.h"
#include "text/header.h"

struct buf;
struct err;

enum {
	FOLD_AT = 78,           /* RFC 5322 2.1.1 */
	FOLD_ENCODED = 76,      /* a line with an encoded word, RFC 2047 section 2 */
	SPACE_MOST = 50,        /* white space before an encoded word that leaves the word room on a line */
};

bool looks_encoded(const char *s, size_t len);          /* "=?" anywhere in it */
/* The first control character but tab, or @len. */
size_t find_control(const char *s, size_t len);
/* No CR, LF; valid UTF-8. -1 ERR_DATA names what and where. */
int header_check(const char *what, const char *utf8, size_t len, struct err *e) MUST_CHECK;

int line_begin(struct header_line *l, struct buf *out, const char *name, struct err *e) MUST_CHECK;
int line_end(struct header_line *l, struct err *e) MUST_CHECK;
/* Forget the field. */
void line_undo(struct header_line *l);

/* Octets as they are, no fold. */
void line_put(struct header_line *l, const char *s, size_t len);
/* @space and @text; folded before @space where @text with @behind more octets would pass the limit. */
struct span { const char *at; size_t len; };
void line_piece(struct header_line *l, struct span space, struct span text, size_t behind);
/* @space, then @text as encoded words (RFC 2047), @text valid UTF-8. space.len 1..SPACE_MOST. */
void line_encoded(struct header_line *l, struct span space, struct span text);
#define SPACE ((struct span){ " ", 1 })
