/* A source line by line, and header blocks; see lines.h. */

#include "mime/lines.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "text/codec.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINES_SIZE = 65536 };

void lines_init(struct lines *l, struct source *source)
{
	*l = (struct lines){ .source = source, .mem = xmalloc(LINES_SIZE) };
}

void lines_clear(struct lines *l)
{
	free(l->mem);
	l->mem = NULL;
}

static int lines_fill(struct lines *l, struct err *e)
{
	const char *nul;
	size_t n;

	memmove(l->mem, l->mem + l->used, l->have - l->used);
	l->have -= l->used;
	l->used = 0;
	if (source_read(l->source, l->mem + l->have, LINES_SIZE - l->have, &n, e) < 0)
		return -1;
	nul = n ? memchr(l->mem + l->have, '\0', n) : NULL;
	if (nul)
		return err_set(e, ERR_DATA, "has a NUL at octet %llu, which no message may have",
			       (unsigned long long)(l->at + (size_t)(nul - l->mem)));
	l->have += n;
	l->ended = !n;
	return 0;
}

static void lines_give(struct lines *l, struct line *ret, size_t len, unsigned end, bool last)
{
	*ret = (struct line){ .mem = l->mem + l->used, .len = len, .end = end, .first = !l->inside,
			      .last = last, .at = l->at };
	l->used += len + end;
	l->at += len + end;
	l->inside = !last;
}

int lines_next(struct lines *l, struct line *ret, struct err *e)
{
	size_t looked = 0, len;
	const char *mem;

	for (;;) {
		mem = l->mem + l->used;
		len = l->have - l->used;
		looked += run_of_line(mem + looked, len - looked);
		/* A CR needs the octet behind it. */
		if (looked < len && (mem[looked] == '\n' || looked + 1 < len || l->ended)) {
			bool crlf = mem[looked] == '\r' && looked + 1 < len && mem[looked + 1] == '\n';

			lines_give(l, ret, looked, crlf ? 2 : 1, true);
			return 1;
		}
		if (l->ended) {
			if (!len && !l->inside)
				return 0;
			lines_give(l, ret, len, 0, true);
			return 1;
		}
		if (len == LINES_SIZE) {
			lines_give(l, ret, looked, 0, false);
			return 1;
		}
		if (lines_fill(l, e) < 0)
			return -1;
	}
}

/*
 * The length of the field name that @line begins with (RFC 5322 2.2; white space before the colon: 4.5.8), or
 * 0.
 */
static size_t field_name_len(const struct line *line, size_t *ret_colon)
{
	size_t n = 0, colon;

	while (n < line->len && line->mem[n] > ' ' && line->mem[n] <= '~' && line->mem[n] != ':')
		n++;
	for (colon = n; colon < line->len && (line->mem[colon] == ' ' || line->mem[colon] == '\t'); colon++)
		;
	if (!n || colon == line->len || line->mem[colon] != ':')
		return 0;
	*ret_colon = colon;
	return n;
}

void lines_put_back(struct lines *l, const struct line *line)
{
	l->used -= line->len + line->end;
	l->at = line->at;
	l->inside = false;
}

bool line_is_field(const struct line *line)
{
	size_t colon;

	return field_name_len(line, &colon) > 0;
}

void block_init(struct block *b)
{
	*b = (struct block){ .text = BUF_INIT(BLOCK_MAX) };
}

void block_reset(struct block *b)
{
	buf_reset(&b->text);
	b->count = 0;
	b->high = 0;
	b->overlong = false;
}

void block_clear(struct block *b)
{
	buf_clear(&b->text);
	free(b->field);
	b->field = NULL;
}

static struct block_field *block_add(struct block *b)
{
	if (b->count == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 16;
		b->field = xreallocarray(b->field, b->cap, sizeof(*b->field));
	}
	b->field[b->count] = (struct block_field){ .at = b->text.len };
	return &b->field[b->count++];
}

static int line_refused(const struct block *b, struct err *e)
{
	if (!b->count)
		return err_set(e, ERR_DATA, "its first line is not a header field");
	return err_set(
		e, ERR_DATA,
		"the line behind header field %zu is neither a field nor the empty line before the body",
		b->count);
}

int block_line(struct block *b, const struct line *line, bool strict, struct err *e)
{
	bool folded = line->len && (line->mem[0] == ' ' || line->mem[0] == '\t');
	size_t colon = 0, name_len = folded ? 0 : field_name_len(line, &colon);
	struct block_field *f;
	uint64_t high;

	if (strict && line->first && ((!folded && !name_len) || (folded && !b->count)))
		return line_refused(b, e);
	if (!line->first || (folded && b->count)) {
		f = &b->field[b->count - 1];
	} else {
		f = block_add(b);
		f->name_len = name_len;
		f->value_at = b->text.len + (name_len ? colon + 1 : 0);
	}
	if (buf_add(&b->text, line->mem, line->len) < 0 || (line->last && buf_adds(&b->text, "\r\n") < 0))
		return err_set(e, ERR_DATA, "has a header of more than %d octets", BLOCK_MAX);
	f->len = b->text.len - f->at;
	high = count_high(line->mem, line->len);
	f->high |= high > 0;
	b->high += high;
	f->overlong |= line->len > BLOCK_LINE_MOST;
	b->overlong |= f->overlong;
	return 0;
}

bool block_is(const struct block *b, const struct block_field *f, const char *name)
{
	return f->name_len == strlen(name) && !strncasecmp(b->text.data + f->at, name, f->name_len);
}

/* RFC 5322 2.2.3: without the CRLFs. The blank behind the colon is not the value's. */
char *block_field_value(const struct block *b, const struct block_field *f)
{
	const char *at = b->text.data + f->value_at, *end = b->text.data + f->at + f->len;
	char *value = xmalloc((size_t)(end - at) + 1), *to = value;

	if (at < end && (*at == ' ' || *at == '\t'))
		at++;
	for (; at < end; at++)
		if (*at != '\r' && *at != '\n')
			*to++ = *at;
	*to = '\0';
	return value;
}

char *block_value(const struct block *b, const char *name)
{
	for (size_t i = 0; i < b->count; i++)
		if (block_is(b, &b->field[i], name))
			return block_field_value(b, &b->field[i]);
	return NULL;
}

/* But for the white space (RFC 5322 4.5.8) in "From :", which begins like a line of an mbox file. */
static int put_as_it_is(struct buf *out, const struct block *b, const struct block_field *f)
{
	const char *colon = b->text.data + f->value_at - 1, *end = b->text.data + f->at + f->len;

	if (!block_is(b, f, "From"))
		return buf_add(out, b->text.data + f->at, f->len);
	if (buf_add(out, b->text.data + f->at, f->name_len) < 0)
		return -1;
	return buf_add(out, colon, (size_t)(end - colon));
}

int block_put(struct buf *out, const struct block *b, const struct block_field *f, bool part, struct err *e)
{
	CLEANUP(freep) char *name = NULL, *value = NULL;
	const size_t before = out->len;

	if (!f->high && !f->overlong)
		return put_as_it_is(out, b, f) < 0 ? err_set(e, ERR_DATA, "the header is too long") : 0;
	if (!f->name_len)
		return err_set(e, ERR_DATA, "a header has a line that is not a field");
	name = xmemdup0(b->text.data + f->at, f->name_len);
	value = block_field_value(b, f);
	if (header_raw(out, name, value, e) < 0)
		return -1;
	if (!part || ascii_only(out->data + before, out->len - before))
		return 0;
	out->len = before;
	return header_text(out, name, value, e);
}
