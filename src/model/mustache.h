#pragma once

/*
 * Mustache templates (mustache(5)) over values: variables, sections, inverted sections, comments, set delimiters,
 * dotted names and the implicit iterator. Partials are refused, and there are no lambdas.
 *
 * A template is compiled once, to a list of steps, and rendered by any number of threads.
 */

#include "base/base.h"

struct buf;
struct err;
struct mustache;
struct value;

/* ERR_DATA "2:7: what", line and column of the tag. Copies what it needs of @text. */
int mustache_compile(struct mustache **ret, const char *text, size_t len, struct err *e) MUST_CHECK;

enum {
	MUSTACHE_HTML = 1 << 0,                 /* {{name}} is escaped for HTML; {{{name}}} and {{&name}} are not */
	MUSTACHE_MISSING_EMPTY = 1 << 1,        /* a name that nothing has is empty, and no error */
};
/*
 * Append the text for @data, an object, to @out, whose max is the limit. Errors, all ERR_DATA: a name that is
 * nowhere ("{{nmae}}: no such name in the data, did you mean 'name'?"), but not that of a section, which is then
 * false; a list or an object as a variable; too long. Null is empty. False are null, false, an empty list and an
 * empty text, so that an empty cell of CSV is.
 */
int mustache_render(const struct mustache *t, const struct value *data, unsigned flags, struct buf *out,
		    struct err *e) MUST_CHECK;
/*
 * Each name outside of all sections, and those of the outermost sections: its first word, where it is dotted.
 * They are what a row of data itself must have.
 */
void mustache_names(const struct mustache *t, void (*each)(void *ctx, const char *name, size_t len), void *ctx);
void mustache_free(struct mustache *t);
DEFINE_CLEANUP(struct mustache *, mustache_free);
