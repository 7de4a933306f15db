/* Content-transfer encodings: exact bytes, exact sizes, any cutting; rows MSG-01..05, 08, 13 in unit form. */

#include "check.h"
#include "mime_decode.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"
#include "text/encode.h"

/* A source that gives its bytes in pieces of the sizes of a small generator. */
struct cut_source { struct source source; const char *mem; size_t len, at, piece; unsigned seed; bool rewinds; };

static int cut_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct cut_source *c = (struct cut_source *)s;
	size_t n = c->piece;

	(void)e;
	if (!n) {
		c->seed = c->seed * 1103515245u + 12345u;
		n = 1 + (c->seed >> 16) % 97;
	}
	if (n > cap)
		n = cap;
	if (n > c->len - c->at)
		n = c->len - c->at;
	memcpy(buf, c->mem + c->at, n);
	c->at += n;
	*ret_len = n;
	return 0;
}

static int cut_rewind(struct source *s, struct err *e)
{
	struct cut_source *c = (struct cut_source *)s;

	if (!c->rewinds)
		return err_set(e, ERR_DATA, "no");
	c->at = 0;
	return 0;
}

static int64_t cut_size(const struct source *s) { return (int64_t)((const struct cut_source *)s)->len; }
static void cut_free(struct source *s) { free(s); }
static const struct source_ops cut_ops = { "cut", cut_read, cut_rewind, cut_size, cut_free };

static struct source *source_cut(const char *mem, size_t len, size_t piece, bool rewinds)
{
	struct cut_source *c = xcalloc(1, sizeof(*c));

	*c = (struct cut_source){ .source.ops = &cut_ops, .mem = mem, .len = len, .piece = piece, .rewinds = rewinds,
				  .seed = (unsigned)len };
	return &c->source;
}

static int drain(struct source *s, size_t cap, struct buf *out, struct err *e)
{
	char *chunk = malloc(cap);
	size_t n = 0;
	int r;

	do {
		r = source_read(s, chunk, cap, &n, e);
		if (!r)
			r = buf_add(out, chunk, n);
	} while (!r && n);
	/* the end stays the end */
	if (!r && (source_read(s, chunk, cap, &n, e) < 0 || n))
		r = -2;
	free(chunk);
	return r;
}

static int encode(enum cte c, bool text, const char *in, size_t len, struct buf *out, struct err *e)
{
	struct source *s = encode_source(c, text, source_bytes(in, len), -1);
	int r = drain(s, 4096, out, e);

	source_free(s);
	return r;
}

/* What a text means: every line end as CRLF. */
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

#define REPEAT10(s) s s s s s s s s s s
#define X70 REPEAT10("xxxxxxx")

/* rows: MSG-03, MSG-05 */
static void test_qp_table(void)
{
	static const struct { const char *name, *in, *out; bool binary; } rows[] = {
		{ "empty", "", "", false },
		{ "plain", "hello\n", "hello\r\n", false },
		{ "no final line end", "hello", "hello", false },
		{ "LF CRLF CR", "a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd", false },
		{ "CR CR LF is two", "a\r\r\nb", "a\r\n\r\nb", false },
		{ "equals", "a=b\n", "a=3Db\r\n", false },
		{ "trailing space", "a \nb\t\nc", "a=20\r\nb=09\r\nc", false },
		{ "two trailing spaces", "a  \n", "a =20\r\n", false },
		{ "space at the end", "a ", "a=20", false },
		{ "only a space", " \n", "=20\r\n", false },
		{ "space before CR", "a \rb", "a=20\r\nb", false },
		{ "From at a line start", "From me\nxFrom \nFrom", "=46rom me\r\nxFrom=20\r\nFrom", false },
		{ "From with a tab is none", "From\tme\n", "From\tme\r\n", false },
		{ "dots", ".\n..\n.", ".\r\n..\r\n.", false },
		{ "high", "\xc3\xa9\n", "=C3=A9\r\n", false },
		{ "controls", "\x01\x7f\n", "=01=7F\r\n", false },
		{ "75 and end", X70 "12345\n", X70 "12345\r\n", false },
		{ "76 and end", X70 "123456\n", X70 "123456\r\n", false },
		{ "76 at the end of all", X70 "123456", X70 "123456", false },
		{ "77", X70 "1234567\n", X70 "12345=\r\n67\r\n", false },
		{ "triplet to column 76", X70 "123=\n", X70 "123=3D\r\n", false },
		{ "triplet to column 76, more behind", X70 "123=x\n", X70 "123=\r\n=3Dx\r\n", false },
		{ "triplet to column 75", X70 "12=xy\n", X70 "12=3D=\r\nxy\r\n", false },
		{ "space in column 76 before the end", X70 "12345 \n", X70 "12345=\r\n=20\r\n", false },
		{ "space in column 75", X70 "1234 xy\n", X70 "1234 =\r\nxy\r\n", false },
		{ "From at a soft line's start", X70 "12345From me\n", X70 "12345=\r\n=46rom me\r\n", false },
		{ "binary line ends", "a\r\nb\nc\r", "a=0D=0Ab=0Ac=0D", true },
		{ "binary trailing space", "a \n", "a =0A", true },
		{ "binary space at the end", "a ", "a=20", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		test_case("quoted-printable: %s", rows[i].name);
		check_int(encode(CTE_QP, !rows[i].binary, rows[i].in, strlen(rows[i].in), &out, &e), 0);
		check_str(out.data, rows[i].out);
	}
}

/* rows: MSG-13 */
static void test_base64_table(void)
{
	static const struct { const char *in, *out; } rows[] = {    /* RFC 4648 section 10 */
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	char data[57 * 40 + 1];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 151 + i / 57);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20), one = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		char *back;
		size_t len;

		test_case("base64: \"%s\"", rows[i].in);
		check_int(encode(CTE_BASE64, false, rows[i].in, strlen(rows[i].in), &out, &e), 0);
		check_str(out.data, rows[i].out);
		check_int(base64_add(&one, rows[i].in, strlen(rows[i].in)), 0);
		check_str(one.data, rows[i].out);
		check_int(base64_decode(&back, &len, out.data, out.len, &e), 0);
		check_mem(back, len, rows[i].in, strlen(rows[i].in));
		free(back);
	}
	for (size_t lines = 1; lines <= 40; lines += lines < 5 ? 1 : 7) {
		for (int delta = -1; delta <= 1; delta++) {
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
			size_t n = (size_t)((int)lines * 57 + delta);
			char back[57 * 40 + 3];
			struct err e = ERR_INIT;
			long m;

			test_case("base64: %zu octets", n);
			check_int(encode(CTE_BASE64, false, data, n, &out, &e), 0);
			check_int(out.len, base64_size((int64_t)n));
			check_int(md_longest(out.data, out.len), 76);
			check(memcmp(out.data + out.len - 2, "\r\n", 2));
			m = md_base64(back, out.data, out.len, true);
			check_mem(back, (size_t)m, data, n);
		}
	}
	test_case("base64: sizes of 4 GB and beyond");
	check_int(base64_size(0), 0);
	check_int(base64_size(57), 76);
	check_int(base64_size(58), 76 + 2 + 4);
	check_int(base64_size(4294967296 - 1), 5877323666);
	check_int(base64_size(4294967296), 5877323670);
	check_int(base64_size(-1), -1);
	check_int(base64_size(INT64_MAX), -1);
}

static void test_base64_decode(void)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "Zm9v\r\n YmFy\t", "foobar" }, { "", "" }, { " \n", "" }, { "Zg=\n=", "f" },
		{ "Zg", NULL }, { "Zg=", NULL }, { "Z", NULL }, { "Zg==Zg==", NULL }, { "Zm9v=", NULL },
		{ "=", NULL },
		{ "====", NULL }, { "Zh==", NULL }, { "Zm9=", NULL }, { "Zm9v!", NULL }, { "Zm-_", NULL },
		{ "Zg===", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		char *back = NULL;
		size_t len = 0;

		test_case("base64 read: \"%s\"", rows[i].in);
		if (rows[i].out) {
			check_int(base64_decode(&back, &len, rows[i].in, strlen(rows[i].in), &e), 0);
			check_str(back, rows[i].out);
			free(back);
		} else {
			check_int(base64_decode(&back, &len, rows[i].in, strlen(rows[i].in), &e), -1);
			check_int(e.class, ERR_DATA);
		}
		err_clear(&e);
	}
}

/* rows: MSG-01, MSG-03, MSG-04 */
static void test_identity(void)
{
	char *longest = malloc(4000);
	static const struct { const char *name, *in; size_t len; enum cte c; bool text; const char *out; } rows[] = {
		{ "LF CRLF CR", "a\nb\r\nc\rd", 8, CTE_7BIT, true, "a\r\nb\r\nc\r\nd" },
		{ "CR CR LF", "\r\r\n.\r\r\n", 7, CTE_7BIT, true, "\r\n\r\n.\r\n\r\n" },
		{ "LF dot LF", "\n.\n", 3, CTE_8BIT, true, "\r\n.\r\n" },
		{ "LF dot CR", "\n.\r", 3, CTE_7BIT, true, "\r\n.\r\n" },
		{ "CR dot LF", "\r.\n", 3, CTE_7BIT, true, "\r\n.\r\n" },
		{ "CR dot CR", "\r.\r", 3, CTE_7BIT, true, "\r\n.\r\n" },
		{ "CRLF dot at the end", "\r\n.", 3, CTE_7BIT, true, "\r\n." },
		{ "NUL", "\r\n\0.\r\n", 6, CTE_7BIT, true, NULL },
		{ "NUL in 8bit", "a\0", 2, CTE_8BIT, true, NULL },
		{ "8 bits in 7bit", "a\xc3\xa9", 3, CTE_7BIT, true, NULL },
		{ "8 bits in 8bit", "a\xc3\xa9\n", 4, CTE_8BIT, true, "a\xc3\xa9\r\n" },
		{ "8 bits in binary", "a\xc3\xa9\n", 4, CTE_BINARY, false, "a\xc3\xa9\n" },
		{ "not text, CRLF", "a\r\nb\r\n", 6, CTE_7BIT, false, "a\r\nb\r\n" },
		{ "not text, LF", "a\nb", 3, CTE_7BIT, false, NULL },
		{ "not text, CR", "a\rb", 3, CTE_8BIT, false, NULL },
		{ "not text, CR CR LF", "a\r\r\n", 4, CTE_8BIT, false, NULL },
		{ "not text, CR at the end", "a\r", 2, CTE_8BIT, false, NULL },
		{ "not text, CR in binary", "a\r", 2, CTE_BINARY, false, "a\r" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		int r;

		test_case("identity: %s", rows[i].name);
		r = encode(rows[i].c, rows[i].text, rows[i].in, rows[i].len, &out, &e);
		check_int(r, rows[i].out ? 0 : -1);
		check_int(e.class, rows[i].out ? ERR_NONE : ERR_DATA);
		if (rows[i].out)
			check_str(out.data, rows[i].out);
		err_clear(&e);
	}
	memset(longest, 'x', 4000);
	for (size_t n = 997; n <= 1000; n++) {
		for (size_t piece = 1; piece < 5000; piece *= 17) {
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
			struct source *s = encode_source(CTE_7BIT, true, source_cut(longest, n, piece, true), -1);
			struct err e = ERR_INIT;

			test_case("identity: a line of %zu in pieces of %zu", n, piece);
			check_int(drain(s, 200, &out, &e), n <= 998 ? 0 : -1);
			source_free(s);
			err_clear(&e);
		}
	}
	free(longest);
}

/* Every encoding, every cutting: same bytes, decode gives the input back, sizes exact. rows: MSG-02, MSG-05
 * */
static void check_all_ways(const char *in, size_t len)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 0, 56, 57, 58, 4096, 1 << 20 };
	static const size_t caps[] = { 1, 2, 5, 77, 78, 127, 128, 129, 4096, 16385, 65536, 131072 };
	static const struct { enum cte c; bool text; } ways[] = {
		{ CTE_QP, true }, { CTE_QP, false }, { CTE_BASE64, true }, { CTE_BASE64, false },
		{ CTE_BINARY, true }, { CTE_BINARY, false },
	};
	char *want = malloc(2 * len + 1), *back = malloc(2 * len + 8);
	size_t want_len = canonical(want, in, len);
	struct text_scan s, t;

	scan(&s, in, len, len ? len : 1);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		scan(&t, in, len, pieces[i] ? pieces[i] : 7);
		check(s.qp == t.qp && s.canonical == t.canonical && s.base64 == t.base64 && s.longest == t.longest);
		check(s.utf8 == t.utf8 && s.nul == t.nul && s.bare_cr == t.bare_cr && s.high == t.high);
		check(s.from_line == t.from_line && s.trailing_space == t.trailing_space && s.octets == len);
	}
	check_int(s.canonical, want_len);
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		CLEANUP(buf_clear) struct buf first = BUF_INIT(1 << 26);
		const char *meaning = ways[w].text ? want : in;
		size_t meaning_len = ways[w].text ? want_len : len;
		struct err e = ERR_INIT;
		long n = -1;

		check_int(encode(ways[w].c, ways[w].text, in, len, &first, &e), 0);
		if (ways[w].c == CTE_QP)
			n = md_qp(back, first.data, first.len);
		else if (ways[w].c == CTE_BASE64)
			n = md_base64(back, first.data, first.len, true);
		else
			memcpy(back, first.data, (size_t)(n = (long)first.len));
		check(n >= 0);
		if (n >= 0)
			check_mem(back, (size_t)n, meaning, meaning_len);
		if (ways[w].c != CTE_BINARY)
			check(md_longest(first.data, first.len) <= 76);
		if (ways[w].text)
			check_int(first.len, ways[w].c == CTE_QP ? s.qp : ways[w].c == CTE_BASE64 ? s.base64 : s.canonical);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			size_t cap = caps[(i * 5 + len) % ARRAY_SIZE(caps)];
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 26);
			struct source *src = encode_source(ways[w].c, ways[w].text, source_cut(in, len, pieces[i], true), -1);

			if (!ways[w].text && ways[w].c != CTE_QP)
				check_int(source_size(src), first.len);
			check_int(drain(src, cap, &out, &e), 0);
			check_mem(out.data, out.len, first.data, first.len);
			buf_reset(&out);
			check_int(source_rewind(src, &e), 0);
			check_int(drain(src, caps[i % ARRAY_SIZE(caps)], &out, &e), 0);
			check_mem(out.data, out.len, first.data, first.len);
			source_free(src);
		}
	}
	free(want);
	free(back);
}

static void test_properties(void)
{
	static const char *const seeds[] = {
		"", "\n", "\r", "\r\n", "\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n",
		"\r\n.\n", "\r\n.", ".", "From ", "From", "\nFrom \n", " ", "\t\n", "=\n=", "caf\xc3\xa9 \xe6\xb5\x8b\xf0\x9f\x98\x80",
	};
	/* what makes decisions, more often than chance would have it */
	static const char pool[] = "\r\n\r\n \t=F.From aaaaaaaaaaaa\xc3\xa9\xff\x7f";
	unsigned seed = 1;
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		test_case("any cutting: seed %zu", i);
		check_all_ways(seeds[i], strlen(seeds[i]));
	}
	text = malloc(200000);
	for (unsigned round = 0; round < 60; round++) {
		size_t len = round * 7u, run = 0;

		test_case("any cutting: generated text %u", round);
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245u + 12345u;
			if (run) {
				run--;
				text[i] = 'x';
				continue;
			}
			text[i] = pool[(seed >> 16) % (sizeof(pool) - 1)];
			if ((seed >> 8) % 19 == 0)
				run = 60 + (seed >> 20) % 20;
		}
		check_all_ways(text, len);
	}
	/* rows: MSG-02: the dot and its line ends at the borders of every buffer we have */
	static const size_t edges[] = { 4095, 4096, 4097, 16383, 16384, 16385, 65532, 65533, 65534, 65535, 65536, 65537, 65538,
					131071, 131072 };

	memset(text, 'y', 200000);
	for (size_t i = 60; i < 200000; i += 61)
		text[i] = '\n';
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		CLEANUP(buf_clear) struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);
		struct source *s = encode_source(CTE_QP, true, source_bytes(text, 140000), -1);
		struct text_scan sc;
		struct err e = ERR_INIT;

		test_case("edge %zu", edges[i]);
		memcpy(text + edges[i] - 2, "\r\n.\r\n", 5);
		check_int(drain(s, 131072, &a, &e), 0);
		source_free(s);
		s = encode_source(CTE_QP, true, source_cut(text, 140000, 0, true), -1);
		check_int(drain(s, 77, &b, &e), 0);
		source_free(s);
		check_mem(a.data, a.len, b.data, b.len);
		scan(&sc, text, 140000, 8191);
		check_int(sc.qp, a.len);
	}
	free(text);
}

/* rows: MSG-04 */
static void test_choice(void)
{
	static const struct { const char *name, *in; enum cte c; } rows[] = {
		{ "empty", "", CTE_7BIT }, { "ascii", "hello\nworld\n", CTE_7BIT },
		{ "only dots", ".\n..\n", CTE_7BIT },
		{ "some high", "gr\xc3\xbc\xc3\x9f" "e aus M\xc3\xbcnchen, und noch mehr Text\n", CTE_QP },
		{ "all high", "\xe6\xb5\x8b\xe8\xaf\x95\xe6\xb5\x8b\xe8\xaf\x95\n", CTE_BASE64 },
		{ "From", "From me\n", CTE_QP }, { "From in the middle", "x From me\n", CTE_7BIT },
		{ "trailing space", "-- \nme\n", CTE_QP }, { "trailing space at the end", "a ", CTE_QP },
		{ "space only inside", " a b\n", CTE_7BIT }, { "CR as line end", "a\rb\r", CTE_7BIT },
	};
	char *text = malloc(200000);
	struct text_scan s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("choice: %s", rows[i].name);
		scan(&s, rows[i].in, strlen(rows[i].in), 3);
		check_str(cte_name(cte_choose(&s)), cte_name(rows[i].c));
	}
	memset(text, 'x', 200000);
	for (size_t n = 997; n < 1001; n++) {
		test_case("choice: a line of %zu", n);
		scan(&s, text, n, 100);
		check_int(s.longest, n);
		check_str(cte_name(cte_choose(&s)), n <= 998 ? "7bit" : "quoted-printable");
	}
	test_case("choice: 100 KB without a line end");
	scan(&s, text, 102400, 1000);
	check_str(cte_name(cte_choose(&s)), "quoted-printable");
	free(text);

	test_case("scan: NUL, bare CR, UTF-8");
	scan(&s, "a\0b", 3, 3);
	check(s.nul && cte_choose(&s) != CTE_7BIT);
	scan(&s, "a\rb\r\n", 5, 2);
	check(s.bare_cr);
	scan(&s, "a\r\nb\r\n", 6, 1);
	check(!s.bare_cr);
	scan(&s, "a\r", 2, 1);
	check(s.bare_cr);
	scan(&s, "\xf0\x9f\x98\x80", 4, 1);
	check(s.utf8);
	scan(&s, "\xf0\x9f\x98", 3, 1);
	check(!s.utf8);
	scan(&s, "\xc0\x80", 2, 1);
	check(!s.utf8);
	scan(&s, "\xed\xa0\x80 and more", 12, 2);
	check(!s.utf8);
	scan(&s, "ok \xff", 4, 4);
	check(!s.utf8);
}

static void test_names(void)
{
	enum cte c;

	test_case("names");
	check_int(cte_by_name(&c, "Quoted-Printable", 16), 0);
	check_int(c, CTE_QP);
	check_int(cte_by_name(&c, "BASE64", 6), 0);
	check_int(c, CTE_BASE64);
	check_int(cte_by_name(&c, "8bit; x", 4), 0);
	check_int(c, CTE_8BIT);
	check_int(cte_by_name(&c, "uuencode", 8), -1);
	check_int(cte_by_name(&c, "auto", 4), -1);
	check_int(cte_by_name(&c, "", 0), -1);
	check_str(cte_name(CTE_7BIT), "7bit");
}

static void test_refusals(void)
{
	struct err e = ERR_INIT;
	struct source *s = encode_source(CTE_BASE64, false, source_cut("abc", 3, 1, false), -1);

	test_case("a source that cannot rewind says so through the encoder");
	check_int(source_rewind(s, &e), -1);
	check_int(e.class, ERR_DATA);
	err_clear(&e);
	source_free(s);
	test_case("sizes: what is known, and -1 where it is not");
	s = encode_source(CTE_QP, true, source_bytes("a", 1), 1);
	check_int(source_size(s), 1);
	source_free(s);
	s = encode_source(CTE_QP, true, source_bytes("a", 1), -1);
	check_int(source_size(s), -1);
	source_free(s);
	s = encode_source(CTE_7BIT, true, source_bytes("a", 1), -1);
	check_int(source_size(s), -1);
	source_free(s);
	s = encode_source(CTE_BASE64, true, source_bytes("a", 1), -1);
	check_int(source_size(s), -1);
	source_free(s);
}

int main(void)
{
	test_names();
	test_qp_table();
	test_base64_table();
	test_base64_decode();
	test_identity();
	test_properties();
	test_choice();
	test_refusals();
	return check_done();
}
