/*
 * Z6: for any octets, any cutting and any read size each encoding gives the
 * same bytes, 7-bit where it says so, in lines of at most 76, which decode to
 * the input; the scan's sizes are exact.
 *
 * Input: 4 octets (encoding, text, piece, read size), then the data.
 */

#include "mime_decode.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"
#include "text/encode.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cut { struct source source; const char *mem; size_t len, at, piece; };

static int cut_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct cut *c = (struct cut *)s;
	size_t n = c->piece < cap ? c->piece : cap;

	(void)e;
	n = n < c->len - c->at ? n : c->len - c->at;
	if (n)
		memcpy(buf, c->mem + c->at, n);
	c->at += n;
	*ret_len = n;
	return 0;
}

static int cut_rewind(struct source *s, struct err *e)
{
	(void)e;
	((struct cut *)s)->at = 0;
	return 0;
}

static int64_t cut_size(const struct source *s) { return (int64_t)((const struct cut *)s)->len; }
static void cut_free(struct source *s) { free(s); }
static const struct source_ops cut_ops = { "cut", cut_read, cut_rewind, cut_size, cut_free };

static int drain(struct source *s, size_t cap, struct buf *out, struct err *e)
{
	char chunk[4096];
	size_t n;

	do {
		if (source_read(s, chunk, cap, &n, e) < 0)
			return -1;
		assert(n <= cap);
		assert(!buf_add(out, chunk, n));
	} while (n);
	return 0;
}

static size_t canonical(char *out, const char *in, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\n' && i && in[i - 1] == '\r')
			continue;
		if (in[i] == '\n' || in[i] == '\r') {
			out[n++] = '\r';
			out[n++] = '\n';
		} else {
			out[n++] = in[i];
		}
	}
	return n;
}

static void scan(struct text_scan *s, const char *in, size_t len, size_t piece)
{
	scan_init(s);
	for (size_t at = 0; at < len; at += piece)
		scan_feed(s, in + at, len - at < piece ? len - at : piece);
	scan_end(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum cte ways[] = { CTE_QP, CTE_BASE64, CTE_7BIT, CTE_8BIT, CTE_BINARY };
	CLEANUP(buf_clear) struct buf whole = BUF_INIT(1 << 26), cut = BUF_INIT(1 << 26);
	struct err e = ERR_INIT, f = ERR_INIT;
	struct text_scan a, b;
	struct cut *c;
	struct source *s;

	if (size < 4)
		return 0;
	enum cte cte = ways[data[0] % ARRAY_SIZE(ways)];
	bool text = data[1] & 1;
	size_t piece = 1u + data[2], cap = 1u + data[3] * 3u, len = size - 4;
	const char *in = (const char *)data + 4;

	s = encode_source(cte, text, source_bytes(in, len), -1);
	int r = drain(s, 4096, &whole, &e);
	source_free(s);

	c = xcalloc(1, sizeof(*c));
	*c = (struct cut){ .source.ops = &cut_ops, .mem = in, .len = len, .piece = piece };
	s = encode_source(cte, text, &c->source, -1);
	assert(drain(s, cap, &cut, &f) == r);
	if (!r) {
		assert(cut.len == whole.len && !memcmp(cut.data, whole.data, cut.len));
		assert(source_size(s) == -1 || source_size(s) == (int64_t)whole.len);
		buf_reset(&cut);
		assert(!source_rewind(s, &f) && !drain(s, 4096, &cut, &f));
		assert(cut.len == whole.len && !memcmp(cut.data, whole.data, cut.len));
	} else {
		assert(e.class == ERR_DATA && (cte == CTE_7BIT || cte == CTE_8BIT));
	}
	source_free(s);

	scan(&a, in, len, len ? len : 1);
	scan(&b, in, len, piece);
	assert(a.qp == b.qp && a.base64 == b.base64 && a.canonical == b.canonical && a.longest == b.longest);
	assert(a.utf8 == b.utf8 && a.nul == b.nul && a.bare_cr == b.bare_cr && a.high == b.high);
	assert(a.from_line == b.from_line && a.trailing_space == b.trailing_space);
	if (cte == CTE_7BIT && text)
		assert((r == 0) == (!a.nul && !a.high && a.longest <= 998));

	char *want = malloc(2 * len + 1), *back = malloc(2 * len + whole.len + 8);
	size_t want_len = text ? canonical(want, in, len) : len;
	long n = (long)whole.len;

	if (!text)
		memcpy(want, in, len);
	if (cte == CTE_QP)
		n = md_qp(back, whole.data, whole.len);
	else if (cte == CTE_BASE64)
		n = md_base64(back, whole.data, whole.len, true);
	else
		memcpy(back, whole.data, whole.len);
	if (!r)
		assert(n >= 0 && (size_t)n == want_len && !memcmp(back, want, want_len));
	if (!r && text)
		assert(whole.len == (cte == CTE_QP ? a.qp : cte == CTE_BASE64 ? a.base64 : a.canonical));
	if (cte == CTE_QP || cte == CTE_BASE64)
		assert(md_longest(whole.data, whole.len) <= 76);
	free(want);
	free(back);
	err_clear(&e);
	err_clear(&f);
	return 0;
}
