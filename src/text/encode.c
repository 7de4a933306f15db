/*
 * The encoders as sources: a table of codecs, and one driver that feeds them
 * from the source under it. The driver pulls large pieces, lets the codec
 * write straight into the reader's buffer where that has room, and through a
 * small one of its own where it has not.
 */

#include "text/codec.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
	[CTE_AUTO] = "auto", [CTE_7BIT] = "7bit", [CTE_8BIT] = "8bit", [CTE_BINARY] = "binary",
	[CTE_QP] = "quoted-printable", [CTE_BASE64] = "base64",
};

const char *cte_name(enum cte c)
{
	return names[c];
}

int cte_by_name(enum cte *ret, const char *name, size_t len)
{
	for (size_t i = CTE_7BIT; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == len && !strncasecmp(names[i], name, len)) {
			*ret = (enum cte)i;
			return 0;
		}
	}
	return -1;
}

/* A run without CR and LF that 7bit or 8bit cannot carry: -1, with the octet's offset. */
static int identity_check(const struct codec_state *st, const char *run, size_t n, struct err *e)
{
	const char *nul;

	if (st->cte == CTE_BINARY)
		return 0;
	if (st->line + n > LINE_MOST)
		return err_set(e, ERR_DATA, "the line at octet %llu has over %d octets and does not go as %s",
			       (unsigned long long)(st->offset - st->line), LINE_MOST, cte_name(st->cte));
	nul = memchr(run, '\0', n);
	if (nul)
		return err_set(e, ERR_DATA, "a NUL at octet %llu does not go as %s",
			       (unsigned long long)(st->offset + (size_t)(nul - run)), cte_name(st->cte));
	if (st->cte == CTE_8BIT || ascii_only(run, n))
		return 0;
	for (n = 0; !(run[n] & 0x80); n++)
		;
	return err_set(e, ERR_DATA, "octet %llu is over 127 and does not go as 7bit",
		       (unsigned long long)(st->offset + n));
}

/* A CR or LF. What is not text has them only as CRLF (RFC 2045 2.7, 2.8). */
static int identity_line_end(struct codec_state *st, struct codec_io *io, struct err *e)
{
	char c = io->in[io->used];
	bool second = c == '\n' && st->last_cr;

	if (!st->text && (c == '\n') != st->last_cr)
		return err_set(e, ERR_DATA, "a bare %s at octet %llu does not go as %s",
			       st->last_cr ? "CR" : "LF", (unsigned long long)(st->offset - st->last_cr),
			       cte_name(st->cte));
	if (!second) {
		memcpy(io->out + io->made, "\r\n", 2);
		io->made += 2;
	}
	st->last_cr = c == '\r';
	st->line = 0;
	st->offset++;
	io->used++;
	return 0;
}

/* 7bit, 8bit and binary: the octets as they are, a text's line ends as CRLF. */
int identity_step(struct codec_state *st, struct codec_io *io, struct err *e)
{
	if (!st->text && st->cte == CTE_BINARY) {
		io->used = io->made = io->in_len < io->out_cap ? io->in_len : io->out_cap;
		memcpy(io->out, io->in, io->used);
		return 0;
	}
	while (io->used < io->in_len && io->out_cap - io->made >= 2) {
		size_t most = io->in_len - io->used, n;

		if (most > io->out_cap - io->made)
			most = io->out_cap - io->made;
		n = run_of_line(io->in + io->used, most);
		if (!n) {
			if (identity_line_end(st, io, e) < 0)
				return -1;
			continue;
		}
		if (st->last_cr && !st->text)
			return err_set(e, ERR_DATA, "a bare CR at octet %llu does not go as %s",
				       (unsigned long long)st->offset - 1, cte_name(st->cte));
		if (identity_check(st, io->in + io->used, n, e) < 0)
			return -1;
		memcpy(io->out + io->made, io->in + io->used, n);
		io->used += n;
		io->made += n;
		st->line += n;
		st->offset += n;
		st->last_cr = false;
	}
	if (io->final && io->used == io->in_len && st->last_cr && !st->text)
		return err_set(e, ERR_DATA, "a bare CR at the end does not go as %s", cte_name(st->cte));
	return 0;
}

/* Rows by enum cte. An encoding that nobody chose is the one that carries everything. */
static int (*const steps[])(struct codec_state *, struct codec_io *, struct err *) = {
	[CTE_AUTO] = base64_step, [CTE_7BIT] = identity_step, [CTE_8BIT] = identity_step,
	[CTE_BINARY] = identity_step, [CTE_QP] = qp_step, [CTE_BASE64] = base64_step,
};

enum { IN_LEAST = 1024 - 8, IN_MOST = 65536 };

struct encoder {
	struct source source;
	struct source *under;           /* owned */
	int64_t size;                   /* what the caller knew, or -1 */
	struct codec_state start, st;
	char *in;                       /* only between the first read and the end */
	size_t in_size, in_at, in_len;
	bool under_ended, ended;
	char out[CODEC_ROOM];           /* for readers with less room than a step needs */
	size_t out_at, out_len;
};

/* Large pieces of what is large, or of unknown size. */
static void encoder_room(struct encoder *c)
{
	int64_t size = source_size(c->under);

	c->in_size = size < 0 || size > IN_MOST ? IN_MOST : size < IN_LEAST ? IN_LEAST : (size_t)size;
	c->in = xmalloc(c->in_size);
}

/* What the codec left, and more behind it. */
static int encoder_fill(struct encoder *c, struct err *e)
{
	size_t left = c->in_len - c->in_at, n;

	memmove(c->in, c->in + c->in_at, left);
	c->in_at = 0;
	c->in_len = left;
	if (source_read(c->under, c->in + left, c->in_size - left, &n, e) < 0)
		return -1;
	c->in_len += n;
	c->under_ended = !n;
	return 0;
}

/* One step into @out; *ret_made 0 where the end was reached. */
static int encoder_step(struct encoder *c, char *out, size_t cap, size_t *ret_made, struct err *e)
{
	*ret_made = 0;
	if (!c->in && !c->ended)
		encoder_room(c);
	while (!c->ended) {
		struct codec_io io = {
			.in = c->in + c->in_at, .in_len = c->in_len - c->in_at, .final = c->under_ended,
			.out = out, .out_cap = cap,
		};

		if (steps[c->st.cte](&c->st, &io, e) < 0)
			return -1;
		c->in_at += io.used;
		if (io.made) {
			*ret_made = io.made;
			return 0;
		}
		if (io.used)
			continue;
		if (!c->under_ended) {
			if (encoder_fill(c, e) < 0)
				return -1;
			continue;
		}
		c->ended = true;
		free(c->in);
		c->in = NULL;
		c->in_at = c->in_len = 0;
	}
	return 0;
}

static int encoder_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct encoder *c = (struct encoder *)s;
	size_t n;

	if (c->out_at == c->out_len && cap >= CODEC_ROOM)
		return encoder_step(c, buf, cap, ret_len, e);
	if (c->out_at == c->out_len) {
		if (encoder_step(c, c->out, sizeof(c->out), &n, e) < 0)
			return -1;
		c->out_at = 0;
		c->out_len = n;
	}
	n = c->out_len - c->out_at < cap ? c->out_len - c->out_at : cap;
	memcpy(buf, c->out + c->out_at, n);
	c->out_at += n;
	*ret_len = n;
	return 0;
}

static int encoder_rewind(struct source *s, struct err *e)
{
	struct encoder *c = (struct encoder *)s;

	if (source_rewind(c->under, e) < 0)
		return -1;
	c->st = c->start;
	c->in_at = c->in_len = c->out_at = c->out_len = 0;
	c->under_ended = c->ended = false;
	return 0;
}

static int64_t encoder_size(const struct source *s)
{
	const struct encoder *c = (const struct encoder *)s;

	if (c->size >= 0)
		return c->size;
	if (c->start.text || c->start.cte == CTE_QP)
		return -1;
	if (steps[c->start.cte] == base64_step)
		return base64_size(source_size(c->under));
	return source_size(c->under);
}

static void encoder_free(struct source *s)
{
	struct encoder *c = (struct encoder *)s;

	source_free(c->under);
	free(c->in);
	free(c);
}

static const struct source_ops encoder_ops = {
	.name = "encoder", .read = encoder_read, .rewind = encoder_rewind, .size = encoder_size,
	.free = encoder_free,
};

static struct source *encoder_new(enum cte c, bool text, struct source *under, int64_t size)
{
	struct encoder *enc = xcalloc(1, sizeof(*enc));

	enc->source.ops = &encoder_ops;
	enc->under = under;
	enc->size = size;
	enc->start = enc->st = (struct codec_state){ .cte = c, .text = text };
	return &enc->source;
}

struct source *encode_source(enum cte c, bool text, struct source *under, int64_t size)
{
	/* base64 of a text is base64 of its canonical form (RFC 2045 6.8) */
	if (text && steps[c] == base64_step)
		return encoder_new(c, false, encoder_new(CTE_BINARY, true, under, -1), size);
	return encoder_new(c, text, under, size);
}
