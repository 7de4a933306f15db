#pragma once

/*
 * A source: bytes pulled on demand.
 *
 * read() puts 1..cap bytes in @buf, or 0 at the end; it never waits to fill
 * the buffer, and after it has said 0 it says 0 again. rewind() makes the
 * next read start again and must yield the same bytes (another server, another
 * transaction, a size pass); a source that streams a pipe unstaged refuses it
 * and says so. size() is exact or -1; it never guesses.
 *
 * Sources stack: an encoder is a source that owns the source under it.
 * Freeing the top frees the chain. Memory is O(1) in the length read.
 */

#include "base/base.h"

struct buf;
struct err;
struct source;

struct source_ops {
	const char *name;           /* for messages of bugs */
	int (*read)(struct source *s, char *buf, size_t cap, size_t *ret_len,
		    struct err *e);
	int (*rewind)(struct source *s, struct err *e);
	int64_t (*size)(const struct source *s);        /* octets, or -1 */
	void (*free)(struct source *s);
};

struct source { const struct source_ops *ops; };

static inline int source_read(struct source *s, char *buf, size_t cap,
			      size_t *ret_len, struct err *e)
{
	return s->ops->read(s, buf, cap, ret_len, e);
}
int source_rewind(struct source *s, struct err *e) MUST_CHECK;
int64_t source_size(const struct source *s);
void source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free);

struct source *source_bytes(const void *mem, size_t len);   /* borrows @mem */

/* Read all of @s into @out, for small things; out->max is the limit: -1, ERR_DATA beyond. */
int source_drain(struct source *s, struct buf *out, struct err *e) MUST_CHECK;
