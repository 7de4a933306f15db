#pragma once

/*
 * Mustache templates (mustache(5)) over values: variables, sections, inverted sections, comments, set
 * delimiters, dotted names and the implicit iterator. Partials are refused, and there are no lambdas. Numbers
 * are printed as they were written.
 *
 * A template is compiled once, to a flat list of steps, and rendered by any number of threads at once:
 * everything that takes it const changes nothing.
 */

#include "base/base.h"

struct buf;
struct err;
struct mustache;
struct value;

/*
 * *ret is the caller's, who mustache_free()s it; @text, any octets, is copied. ERR_DATA "2:7: what", line and
 * column (in characters) of the tag: one that does not end, a section that does not, the end of another
 * section, a partial, a name with white space or a control character in it or an empty part, more than 256
 * sections in each other, more than 2^16 tags and texts.
 */
int mustache_compile(struct mustache **ret, const char *text, size_t len, struct err *e) MUST_CHECK;
/* There is no tag in it, not even a comment: what is rendered is the text. */
bool mustache_is_plain(const struct mustache *t);

enum {
	MUSTACHE_HTML = 1 << 0,         /* in {{x}} & < > " ' are escaped; in {{{x}}} and {{&x}} nothing is */
	MUSTACHE_MISSING_EMPTY = 1 << 1,        /* a name that nothing has is empty, and no error */
};
/*
 * Append the text for @data, an object (any other value is {{.}}), to @out, whose max is the limit. All are
 * borrowed for the call. After an error what is in @out behind its former end has no meaning.
 *
 * Errors, all ERR_DATA: a name that is nowhere ("{{nmae}}: there is no such name in the data, did you mean
 * 'name'?"), but not that of a section, which is then false; a list or an object as a variable; too long;
 * more than 2^24 tags and texts gone through. Null is empty. False are null, false, an empty list and an
 * empty text, so that an empty cell of CSV is; 0 is true.
 */
int mustache_render(const struct mustache *t, const struct value *data, unsigned flags, struct buf *out,
		    struct err *e) MUST_CHECK;
/*
 * Each name that is looked up in the data themselves, in the order of the template and as often as it is
 * there: the names outside of all sections, in inverted ones (their context is that around them) and in
 * {{#.}}, and those of the outermost sections. Of a dotted name its first word; "." is none. They are the
 * columns that CSV must have. @name has @len octets, is not NUL-ended, and is the template's.
 */
void mustache_names(const struct mustache *t, void (*each)(void *ctx, const char *name, size_t len),
		    void *ctx);
void mustache_free(struct mustache *t);
DEFINE_CLEANUP(struct mustache *, mustache_free);
