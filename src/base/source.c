/* The generic part of sources, and the one that reads memory. */

#include "base/source.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

int source_rewind(struct source *s, struct err *e)
{
	return s->ops->rewind(s, e);
}

int64_t source_size(const struct source *s)
{
	return s->ops->size(s);
}

void source_free(struct source *s)
{
	if (s)
		s->ops->free(s);
}

int source_drain(struct source *s, struct buf *out, struct err *e)
{
	char chunk[16384];
	size_t n;

	do {
		if (source_read(s, chunk, sizeof(chunk), &n, e) < 0)
			return -1;
		if (buf_add(out, chunk, n) < 0)
			return err_set(e, ERR_DATA, "more than %zu octets", out->max);
	} while (n);
	return 0;
}

struct memory_source {
	struct source source;
	const char *mem;
	size_t len, at;
};

static int memory_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct memory_source *m = (struct memory_source *)s;
	size_t n = m->len - m->at < cap ? m->len - m->at : cap;

	(void)e;
	if (n)
		memcpy(buf, m->mem + m->at, n);
	m->at += n;
	*ret_len = n;
	return 0;
}

static int memory_rewind(struct source *s, struct err *e)
{
	(void)e;
	((struct memory_source *)s)->at = 0;
	return 0;
}

static int64_t memory_size(const struct source *s)
{
	return (int64_t)((const struct memory_source *)s)->len;
}

static void memory_free(struct source *s)
{
	free(s);
}

static const struct source_ops memory_ops = {
	.name = "memory", .read = memory_read, .rewind = memory_rewind, .size = memory_size,
	.free = memory_free,
};

struct source *source_bytes(const void *mem, size_t len)
{
	struct memory_source *m = xcalloc(1, sizeof(*m));

	m->source.ops = &memory_ops;
	m->mem = mem;
	m->len = len;
	return &m->source;
}
