/* Mends what is called quoted-printable or base64 and is not quite; see repair.h. */

#include "mime/repair.h"

#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 76, IN_SIZE = 8192 };

struct sink { char *out; size_t len; };

static void sink_put(struct sink *s, const char *mem, size_t len)
{
	memcpy(s->out + s->len, mem, len);
	s->len += len;
}

/* Room for @n octets on this line, and one for the "=" of a soft line break. */
static void qp_room(struct repair *r, struct sink *s, unsigned n)
{
	if (r->column + n < COLUMNS)
		return;
	sink_put(s, "=\r\n", 3);
	r->column = 0;
	r->broken = true;
}

static void qp_coded(struct repair *r, struct sink *s, unsigned char u)
{
	static const char hex[] = "0123456789ABCDEF";
	const char coded[3] = { '=', hex[u >> 4], hex[u & 15] };

	qp_room(r, s, 3);
	sink_put(s, coded, 3);
	r->column += 3;
	r->escape = 0;
}

static void qp_octet(struct repair *r, struct sink *s, char c)
{
	unsigned char u = (unsigned char)c;

	if (c == '\r' || c == '\n') {
		sink_put(s, &c, 1);
		r->column = r->escape = 0;
		return;
	}
	r->broken = false;
	if (u > 127) {
		/* The "=" before began nothing, and readers show it; before our "=XX" it would be taken for more. */
		if (r->escape == 2) {
			sink_put(s, "3D", 2);
			r->column += 2;
		}
		qp_coded(r, s, u);
		return;
	}
	if (c == '=') {
		qp_room(r, s, 3);
		r->escape = 3;
	} else if (!r->escape) {
		qp_room(r, s, 1);
		/* A line that begins where none did must not be a boundary. */
		if (r->broken && c == '-') {
			qp_coded(r, s, u);
			return;
		}
	}
	r->escape -= r->escape > 0;
	sink_put(s, &c, 1);
	r->column++;
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
		c == '/' || c == '=';
}

static void base64_octet(struct repair *r, struct sink *s, char c)
{
	if (!is_base64(c))
		return;
	if (r->column == COLUMNS) {
		sink_put(s, "\r\n", 2);
		r->column = 0;
	}
	sink_put(s, &c, 1);
	r->column++;
}

size_t repair_feed(struct repair *r, const char *in, size_t len, char *out)
{
	struct sink s = { .out = out };

	for (size_t i = 0; i < len; i++) {
		if (r->cte == CTE_QP)
			qp_octet(r, &s, in[i]);
		else
			base64_octet(r, &s, in[i]);
	}
	return s.len;
}

struct repair_stream {
	struct source source;
	struct source *under;
	struct repair repair;
	int64_t size;
	size_t at, len;
	char in[IN_SIZE], out[IN_SIZE * REPAIR_GROWTH];
};

static int repair_read(struct source *source, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct repair_stream *s = (struct repair_stream *)source;
	size_t n;

	while (s->at == s->len) {
		*ret_len = 0;
		if (source_read(s->under, s->in, sizeof(s->in), &n, e) < 0)
			return -1;
		if (!n)
			return 0;
		s->at = 0;
		s->len = repair_feed(&s->repair, s->in, n, s->out);
	}
	n = s->len - s->at < cap ? s->len - s->at : cap;
	memcpy(buf, s->out + s->at, n);
	s->at += n;
	*ret_len = n;
	return 0;
}

static int repair_rewind(struct source *source, struct err *e)
{
	(void)source;
	return err_set(e, ERR_SOFTWARE, "a mended part does not rewind");
}

static int64_t repair_size(const struct source *source)
{
	return ((const struct repair_stream *)source)->size;
}

static void repair_free(struct source *source)
{
	source_free(((struct repair_stream *)source)->under);
	free(source);
}

static const struct source_ops repair_ops = {
	.name = "repair", .read = repair_read, .rewind = repair_rewind, .size = repair_size,
	.free = repair_free,
};

struct source *repair_source(enum cte cte, struct source *under, int64_t size)
{
	struct repair_stream *s = xcalloc(1, sizeof(*s));

	s->source.ops = &repair_ops;
	s->under = under;
	s->repair.cte = cte;
	s->size = size;
	return &s->source;
}
