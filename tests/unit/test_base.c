/* What is under everything: buf, err, utf8, memory sources, and what sysinfo_real takes from outside. */

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void buffers(void)
{
	struct buf b = BUF_INIT(100);
	struct buf zero = BUF_INIT(0);
	size_t len = 99;
	char *taken;

	test_case("an empty buffer is a string");
	check_str(b.data, "");
	check_int(b.len, 0);
	check_int(buf_add(&b, "", 0), 0);
	check_int(buf_add(&b, NULL, 0), 0);
	check_str(b.data, "");

	test_case("bytes are added, NULs too");
	check_int(buf_adds(&b, "ab"), 0);
	check_int(buf_add(&b, "c\0d", 3), 0);
	check_int(buf_addf(&b, "%d-%s", 42, "x"), 0);
	check_mem(b.data, b.len + 1, "abc\0d42-x", 10);

	test_case("the ceiling is exact and an overflow changes nothing");
	buf_reset(&b);
	check_str(b.data, "");
	for (int i = 0; i < 100; i++)
		check_int(buf_add(&b, "x", 1), 0);
	check_int(b.len, 100);
	check_int(b.data[100], 0);
	check_int(buf_add(&b, "y", 1), -1);
	check_int(buf_addf(&b, "%s", "y"), -1);
	check_int(buf_add(&b, "y", SIZE_MAX), -1);
	check_int(buf_add(&b, "", 0), 0);
	check_int(b.len, 100);
	check_int(strspn(b.data, "x"), 100);

	test_case("what is taken belongs to the taker");
	taken = buf_take(&b, &len);
	check_int(len, 100);
	check_int(strlen(taken), 100);
	check_str(b.data, "");
	check_int(b.len, 0);
	free(taken);
	taken = buf_take(&b, NULL);
	check_str(taken, "");
	free(taken);
	check_int(buf_adds(&b, "again"), 0);
	check_str(b.data, "again");

	test_case("cleared, wiped, and of no size");
	buf_clear(&b);
	buf_clear(&b);
	check_str(b.data, "");
	check_int(buf_adds(&b, "secret"), 0);
	buf_wipe(&b);
	buf_wipe(&b);
	check_str(b.data, "");
	check_int(buf_adds(&zero, "x"), -1);
	check_int(buf_adds(&zero, ""), 0);
	check_str(zero.data, "");
	buf_clear(&zero);

	test_case("a megabyte a byte at a time");
	b = (struct buf)BUF_INIT(1 << 20);
	for (int i = 0; i < 1 << 20; i++)
		if (buf_add(&b, "z", 1) < 0)
			check(false);
	check_int(b.len, 1 << 20);
	check(b.cap <= (1 << 20) + 1);
	check_int(buf_add(&b, "z", 1), -1);
	buf_clear(&b);
	check(buf_empty[0] == '\0');
}

static void errors(void)
{
	static const struct { enum err_class class; int code; } codes[] = {
		{ ERR_NONE, 0 }, { ERR_USAGE, 64 }, { ERR_DATA, 65 }, { ERR_NOINPUT, 66 },
		{ ERR_SOFTWARE, 70 }, { ERR_OS, 71 },
		{ ERR_CANTCREAT, 73 }, { ERR_IO, 74 }, { ERR_POLICY, 77 }, { ERR_CONFIG, 78 },
	};
	struct err e = ERR_INIT;

	test_case("set, wrapped, set again");
	check_int(err_set(&e, ERR_DATA, "bad %s at %d", "thing", 7), -1);
	check_str(e.text, "bad thing at 7");
	check_int(err_wrap(&e, "attachment '%s'", "a.pdf"), -1);
	check_str(e.text, "attachment 'a.pdf': bad thing at 7");
	check_int(e.class, ERR_DATA);
	check_int(err_set(&e, ERR_USAGE, "%s", e.text), -1);    /* of its own text */
	check_str(e.text, "attachment 'a.pdf': bad thing at 7");
	check_int(e.class, ERR_USAGE);
	check_int(err_sys(&e, ERR_IO, ENOSPC, "writing %s", "x"), -1);
	check_str(e.text, "writing x: No space left on device");
	check_int(err_exit_code(&e), 74);
	err_clear(&e);
	err_clear(&e);
	check(!e.text && e.class == ERR_NONE);
	check_int(err_wrap(&e, "context of nothing"), -1);
	check_str(e.text, "context of nothing: ");
	err_clear(&e);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		test_case("exit code %zu", i);
		e.class = codes[i].class;
		check_int(err_exit_code(&e), codes[i].code);
	}
}

/* By the table of RFC 3629, 3. */
static size_t utf8_encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

static void utf8_all(void)
{
	uint32_t cp = 0, got;
	size_t n;
	char c[4];

	test_case("every code point there and back");
	for (cp = 0; cp <= 0x10ffff; cp++) {
		if (cp == 0xd800)
			cp = 0xe000;
		n = utf8_encode(cp, c);
		got = 0xffffffff;
		if (utf8_decode(c, n, &got) != n || got != cp || utf8_valid(c, n) != n)
			check_int(got, cp);
		for (size_t cut = 1; cut < n; cut++)
			if (utf8_decode(c, cut, &got) || utf8_valid(c, cut))
				check_int(cut, n);
	}
	check_int(utf8_decode("", 0, &got), 0);

	test_case("every pair of octets as a decoder by the table of RFC 3629 has it");
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char two[2] = { (char)a, (char)b };
			size_t want = a < 0x80 ? 1 : a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf ? 2 : 0;

			if (utf8_decode(two, 2, &got) != want)
				check_int(a << 8 | b, -1);
		}
	}
	check(true);
}

static void utf8_bad(void)
{
	static const struct { const char *s; size_t len, valid; } table[] = {
		{ "", 0, 0 }, { "abc", 3, 3 }, { "a\0b", 3, 3 }, { "\200", 1, 0 }, { "\277", 1, 0 },
		{ "\300\200", 2, 0 },
		{ "\301\277", 2, 0 }, { "\302\200", 2, 2 }, { "\340\237\277", 3, 0 },
		{ "\340\240\200", 3, 3 },
		{ "\355\237\277", 3, 3 }, { "\355\240\200", 3, 0 }, { "\355\277\277", 3, 0 },
		{ "\356\200\200", 3, 3 },
		{ "\360\217\277\277", 4, 0 }, { "\360\220\200\200", 4, 4 }, { "\364\217\277\277", 4, 4 },
		{ "\364\220\200\200", 4, 0 },
		{ "\365\200\200\200", 4, 0 }, { "\370\210\200\200\200", 5, 0 }, { "\376", 1, 0 },
		{ "\377", 1, 0 },
		{ "abc\303", 4, 3 }, { "abcdefgh\303\274x\200", 12, 11 }, { "12345678123456\377", 15, 14 },
		{ "1234567\303\274", 9, 9 }, { "\303\274\303", 3, 2 }, { "\342\202", 2, 0 },
		{ "\342\202A", 3, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("the first octet that is not UTF-8, %zu", i);
		check_int(utf8_valid(table[i].s, table[i].len), table[i].valid);
	}
	test_case("ASCII");
	check(ascii_only("abc\177\0", 5));
	check(!ascii_only("abc\200", 4));
	check(ascii_only("\200", 0));
}

static void escapes(void)
{
	static const struct { const char *s; size_t len, cap; const char *want; } table[] = {
		{ "abc", 3, 100, "abc" }, { "", 0, 100, "" },
		{ "a\tb\r\n\0", 6, 100, "a\\x09b\\x0d\\x0a\\x00" },
		{ "\033[31mred\177", 9, 100, "\\x1b[31mred\\x7f" }, { "\303\274", 2, 100, "\303\274" },
		{ "\302\205", 2, 100, "\\u{85}" }, { "\302\233", 2, 100, "\\u{9b}" },
		{ "\342\200\256x", 4, 100, "\\u{202e}x" },
		{ "\342\201\246", 3, 100, "\\u{2066}" }, { "\342\200\250", 3, 100, "\\u{2028}" },
		{ "\377\303", 2, 100, "\\xff\\xc3" },
		{ "abcdef", 6, 4, "abc" }, { "ab\303\274", 4, 4, "ab" }, { "ab\303\274", 4, 5, "ab\303\274" },
		{ "a\n", 2, 5, "a" },
		{ "a\n", 2, 6, "a\\x0a" }, { "abc", 3, 1, "" }, { "\360\237\230\200", 4, 4, "" },
		{ "\360\237\230\200", 4, 5, "\360\237\230\200" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char out[100] = "?";

		test_case("shown on one line, %zu", i);
		check_int(utf8_escape(out, table[i].cap, table[i].s, table[i].len), strlen(table[i].want));
		check_str(out, table[i].want);
	}
	test_case("shown in no room");
	{
		char c = '?';

		check_int(utf8_escape(&c, 0, "x", 1), 0);
		check_int(c, '?');
	}
}

static void one_source(struct source *s, const char *want, size_t len)
{
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT(1000), small = BUF_INIT(len ? len - 1 : 0);
	char c[3];
	size_t n, at = 0;

	check_int(source_size(s), len);
	check_int(source_drain(s, &out, &e), 0);
	check_mem(out.data, out.len, want, len);
	/* After the end it says the end. */
	check_int(source_read(s, c, sizeof(c), &n, &e), 0);
	check_int(n, 0);
	for (size_t cap = 1; cap <= 3; cap++) {
		check_int(source_rewind(s, &e), 0);
		check_int(source_size(s), len);
		at = 0;
		do {
			check_int(source_read(s, c, cap, &n, &e), 0);
			check(n <= cap && at + n <= len && !memcmp(want + at, c, n));
			at += n;
		} while (n);
		check_int(at, len);
	}
	check_int(source_rewind(s, &e), 0);
	check_int(source_drain(s, &small, &e), len ? -1 : 0);
	check_int(e.class, len ? ERR_DATA : ERR_NONE);
	check(small.len <= small.max);
	source_free(s);
	buf_clear(&out);
	buf_clear(&small);
	err_clear(&e);
}

static void sources(void)
{
	test_case("bytes of memory");
	one_source(source_bytes("hello\0world", 11), "hello\0world", 11);
	test_case("no bytes");
	one_source(source_bytes("", 0), "", 0);
	one_source(source_bytes(NULL, 0), "", 0);
	source_free(NULL);
	test_case("more than one chunk");
	{
		char *big = xmalloc(100000);
		struct source *s = source_bytes(big, 100000);
		struct buf out = BUF_INIT(100000);
		struct err e = ERR_INIT;

		for (int i = 0; i < 100000; i++)
			big[i] = (char)(i * 7);
		check_int(source_drain(s, &out, &e), 0);
		check_mem(out.data, out.len, big, 100000);
		source_free(s);
		buf_clear(&out);
		free(big);
	}
}

static void allocation(void)
{
	char *p;

	test_case("allocation gives what it says");
	p = xmemdup0("a\0b", 3);
	check_mem(p, 4, "a\0b\0", 4);
	free(p);
	check(xstrdup(NULL) == NULL);
	p = xasprintf("%s-%d", "x", 1);
	check_str(p, "x-1");
	wipe_free(p);
	wipe_free(NULL);
	p = xcalloc(0, 0);
	check(p != NULL);
	p = xreallocarray(p, 10, 10);
	check(p != NULL);
	free(p);
}

/* rows: HDR-08 */
static void clocks(void)
{
	static const struct { const char *epoch; int64_t want; } table[] = {
		{ "0", 0 }, { "1", 1 }, { "1795643220", 1795643220 }, { "000017", 17 },
		{ "2147483648", 2147483648 },
		{ "253402300799", 253402300799 },
		{ "", -1 }, { "-1", -1 }, { "+1", -1 }, { " 1", -1 }, { "1 ", -1 }, { "1.5", -1 },
		{ "0x10", -1 }, { "1e3", -1 }, { "now", -1 },
		{ "1\n", -1 }, { "253402300800", -1 }, { "18446744073709551616", -1 },
		{ "99999999999999999999999999999999", -1 },
		{ "\331\241", -1 },
	};
	struct err e = ERR_INIT;
	int64_t now;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("SOURCE_DATE_EPOCH %zu: '%s'", i, table[i].epoch);
		setenv("SOURCE_DATE_EPOCH", table[i].epoch, 1);
		check_int(sysinfo_check(&e), table[i].want < 0 ? -1 : 0);
		check_int(e.class, table[i].want < 0 ? ERR_USAGE : ERR_NONE);
		now = (int64_t)time(NULL);
		if (table[i].want >= 0)
			check_int(sysinfo_real.now_s(), table[i].want);
		else
			check(sysinfo_real.now_s() - now >= 0 && sysinfo_real.now_s() - now < 60);
		err_clear(&e);
	}
	test_case("no SOURCE_DATE_EPOCH");
	unsetenv("SOURCE_DATE_EPOCH");
	check_int(sysinfo_check(&e), 0);
	now = (int64_t)time(NULL);
	check(sysinfo_real.now_s() - now >= 0 && sysinfo_real.now_s() - now < 60);
}

static void machine(void)
{
	char a[64] = "", b[64] = "", big[4096];
	const char *name = sysinfo_real.hostname();

	test_case("random bytes are not the same twice");
	sysinfo_real.random(a, sizeof(a));
	sysinfo_real.random(b, sizeof(b));
	check(memcmp(a, b, sizeof(a)) != 0);
	sysinfo_real.random(big, sizeof(big));
	sysinfo_real.random(a, 0);
	check(memcmp(big, big + 2048, 2048) != 0);

	test_case("the host name is qualified or empty, and is asked for once");
	check(!*name || (strchr(name, '.') && strncmp(name, "localhost", 9)));
	check(sysinfo_real.hostname() == name);
}

int main(void)
{
	buffers();
	errors();
	utf8_all();
	utf8_bad();
	escapes();
	sources();
	allocation();
	clocks();
	machine();
	return check_done();
}
