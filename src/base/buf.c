/* Growable byte buffer with a ceiling; see buf.h. */

#include "base/buf.h"

#include "base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char buf_empty[1];

/* And for the NUL, doubling up to max. */
int buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;

	if (more > b->max - b->len)
		return -1;
	need = b->len + more + 1;
	if (b->data != buf_empty && need <= b->cap)
		return 0;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	b->data = xreallocarray(b->data == buf_empty ? NULL : b->data, cap, 1);
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *mem, size_t len)
{
	/* cap is never over max + 1, and 0 where there is nothing yet */
	if (len >= b->cap - b->len && buf_reserve(b, len) < 0)
		return -1;
	if (len)
		memcpy(b->data + b->len, mem, len);
	b->len += len;
	if (b->data != buf_empty)
		b->data[b->len] = '\0';
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list va;
	size_t room = b->data == buf_empty ? 0 : b->cap - b->len;
	int n;

	/* mostly it fits */
	va_start(va, fmt);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, va);
	va_end(va);
	if (n >= 0 && (size_t)n < room) {
		b->len += (size_t)n;
		return 0;
	}
	if (room)
		b->data[b->len] = '\0';
	if (n < 0 || buf_reserve(b, (size_t)n) < 0)
		return -1;
	va_start(va, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, va);
	va_end(va);
	b->len += (size_t)n;
	return 0;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data != buf_empty)
		b->data[0] = '\0';
}

char *buf_take(struct buf *b, size_t *ret_len)
{
	char *mem = b->data == buf_empty ? xmemdup0("", 0) : b->data;

	if (ret_len)
		*ret_len = b->len;
	b->data = buf_empty;
	b->len = b->cap = 0;
	return mem;
}

void buf_clear(struct buf *b)
{
	if (b->data && b->data != buf_empty)
		free(b->data);
	b->data = buf_empty;
	b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->data && b->data != buf_empty)
		explicit_bzero(b->data, b->cap);
	buf_clear(b);
}
