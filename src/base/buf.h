#pragma once

/*
 * Growable byte buffer with a ceiling.
 *
 * Invariants, between any two calls:
 *   - data is never NULL and data[len] == '\0';
 *   - len <= max. A caller that would pass max gets -1 and an unchanged
 *     buffer: input from a file or a server can never size our memory.
 * The bytes may contain NUL; len is the truth.
 *
 * Running out of memory is not reported here: xalloc.h ends the process then.
 * One stretch may not allocate, from the final dot to the report: results and
 * texts live in storage made before the dot.
 */

#include "base/base.h"

#include <string.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
};

extern char buf_empty[1];
#define BUF_INIT(limit) { .data = buf_empty, .max = (limit) }
/* In a char array, which it never leaves: for what is short-lived. Not to be taken, nor cleared. */
#define BUF_IN(array) { .data = memset((array), 0, 1), .cap = sizeof(array), .max = sizeof(array) - 1 }

/* Octets behind those that are there: 0, or -1 where max has no room for all of them. */
int buf_add(struct buf *b, const void *mem, size_t len) MUST_CHECK;
static inline MUST_CHECK int buf_adds(struct buf *b, const char *str)
{
	return buf_add(b, str, strlen(str));
}
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3) MUST_CHECK;
/* Room for @more octets at once, so that adding them moves nothing. Errors as buf_add(). */
int buf_reserve(struct buf *b, size_t more) MUST_CHECK;
/* Empty again; the memory stays for what comes. */
void buf_reset(struct buf *b);

/*
 * Hand the bytes, NUL-ended, to the caller, who must free(3) them; @ret_len may be NULL. @b is empty after.
 */
char *buf_take(struct buf *b, size_t *ret_len);
void buf_clear(struct buf *b);
/*
 * For secrets: overwritten before it is freed. A buffer that grew left copies behind: buf_reserve() it
 * first.
 */
void buf_wipe(struct buf *b);
