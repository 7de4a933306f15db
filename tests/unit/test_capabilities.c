/* Replies (RFC 5321 4.2) and EHLO keywords, in every cutting of the octets. */
#include "net/capabilities.h"

#include <stdlib.h>

#include "check.h"

static void test_capabilities(void)
{
	static const char *const lines[] = {
		"pipelining", "Size 10240000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "REQUIRETLS",
		"StartTLS", "ENHANCEDSTATUSCODES", "AUTH PLAIN login", "AUTH  LOGIN XOAUTH2 ",
		"LIMITS MAILMAX=3 RCPTMAX=20", "", "X-FOO bar",
	};
	struct capabilities c;

	test_case("keywords in any letter case");
	capabilities_init(&c);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		capabilities_heard(&c, lines[i], strlen(lines[i]));
	check(c.pipelining && c.size && c.eightbit && c.smtputf8 && c.dsn && c.chunking && c.requiretls);
	check(c.starttls && c.enhanced && c.auth_offered && !c.esmtp);
	check_int(c.size_limit, 10240000);
	check_int(c.rcpt_max, 20);
	check_str(c.auth, "PLAIN LOGIN XOAUTH2");
}

static void test_odd_capabilities(void)
{
	static const struct {
		const char *line; bool size, auth; uint64_t limit; unsigned rcpt_max; const char *mechs;
	} rows[] = {
		{ "SIZE", true, false, 0, 0, "" },
		{ "SIZE 0", true, false, 0, 0, "" },
		{ "SIZE many", true, false, 0, 0, "" },
		{ "SIZE 18446744073709551615", true, false, UINT64_MAX, 0, "" },
		{ "SIZE 18446744073709551616", true, false, 0, 0, "" },
		{ "SIZE=100", false, false, 0, 0, "" },
		{ "SIZEX 100", false, false, 0, 0, "" },
		{ "AUTH", false, true, 0, 0, "" },
		{ "AUTH=LOGIN", false, false, 0, 0, "" },
		{ "AUTHX LOGIN", false, false, 0, 0, "" },
		{ "LIMITS RCPTMAX=x", false, false, 0, 0, "" },
		{ "LIMITS RCPTMAX=99999999999", false, false, 0, UINT32_MAX, "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct capabilities c;

		test_case("keyword: %s", rows[i].line);
		capabilities_init(&c);
		capabilities_heard(&c, rows[i].line, strlen(rows[i].line));
		check_int(c.size, rows[i].size);
		check_int(c.auth_offered, rows[i].auth);
		check(c.size_limit == rows[i].limit);
		check_int(c.rcpt_max, rows[i].rcpt_max);
		check_str(c.auth, rows[i].mechs);
	}
	test_case("more mechanisms than have room");
	struct capabilities c;
	char line[600] = "AUTH ";

	capabilities_init(&c);
	memset(line + 5, 'A', 506);
	memcpy(line + 511, " PLAIN B C", 10);
	capabilities_heard(&c, line, 521);
	check_int(strlen(c.auth), 506 + 2 + 2);
	check(!strstr(c.auth, "PLAIN"));
}

static void test_lines(void)
{
	static const struct { const char *line; int rc, code; bool more; const char *text;
	} rows[] = {
		{ "250 ok", 0, 250, false, "ok" }, { "250-ok", 0, 250, true, "ok" },
		{ "250", 0, 250, false, "" },      { "250 ", 0, 250, false, "" },
		{ "599 x", 0, 599, false, "x" },   { "200-", 0, 200, true, "" },
		{ "25", -1, 0, false, "" },        { "", -1, 0, false, "" },
		{ "2500 ok", -1, 0, false, "" },   { "-250", -1, 0, false, "" },
		{ "250\tok", -1, 0, false, "" },   { "001 x", -1, 0, false, "" },
		{ "100 x", -1, 0, false, "" },     { "999 x", -1, 0, false, "" },
		{ "abc", -1, 0, false, "" },       { "600 x", -1, 0, false, "" },
		{ "250\rx", -1, 0, false, "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reply_line r = { 0 };

		test_case("line: %s", rows[i].line);
		check_int(reply_line_parse(&r, rows[i].line, strlen(rows[i].line)), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		check_int(r.code, rows[i].code);
		check_int(r.more, rows[i].more);
		check_mem(r.text, r.len, rows[i].text, strlen(rows[i].text));
	}
}

static void test_enhanced(void)
{
	static const struct { int code; const char *text, *want;
	} rows[] = {
		{ 550, "5.1.1 no such user", "5.1.1" },
		{ 250, "2.0.0", "2.0.0" },
		{ 451, "4.7.650 slow", "4.7.650" },
		{ 250, "5.1.1 no", "" },
		{ 550, "5.1", "" },
		{ 550, "5.1.1x", "" },
		{ 550, "5.1.1234 x", "" },
		{ 550, "5.01.1 x", "" },
		{ 354, "3.0.0 go", "" },
		{ 550, "5..1 x", "" },
		{ 550, "5.1. x", "" },
		{ 550, "5.999.999 x", "5.999.999" },
		{ 550, "", "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char got[12];

		test_case("enhanced: %d %s", rows[i].code, rows[i].text);
		enhanced_code(got, rows[i].code, rows[i].text, strlen(rows[i].text));
		check_str(got, rows[i].want);
	}
}

struct fed { int rc, code; char text[1025]; size_t used; };

/* Feed @mem in pieces of @step, until it is complete or refused. */
static struct fed feed(struct reply *r, const char *mem, size_t len, size_t step)
{
	struct fed f = { 0 };
	const char *why = NULL;

	for (size_t at = 0; at < len; at += step) {
		size_t used = 0, n = len - at < step ? len - at : step;
		char *piece = malloc(n);        /* its own block, so that a read past it is seen */

		memcpy(piece, mem + at, n);
		f.rc = reply_feed(r, piece, n, &used, &why);
		free(piece);
		f.used = at + used;
		if (f.rc)
			break;
	}
	check(f.rc >= 0 || why);
	f.code = r->code;
	snprintf(f.text, sizeof(f.text), "%s", r->text);
	return f;
}

#define S(s) s, sizeof(s) - 1
static void test_replies(void)
{
	static const struct {
		const char *in;
		size_t len;
		int rc, code;
		const char *text;
		size_t used;
	} rows[] = {
		{ S("250 ok\r\n"), 1, 250, "ok", 8 },
		{ S("250 ok\n"), 1, 250, "ok", 7 },
		{ S("250\r\n"), 1, 250, "", 5 },
		{ S("250 \r\n"), 1, 250, "", 6 },
		{ S("\r\n\n250 ok\r\n"), 1, 250, "ok", 11 },
		{ S("250-a\r\n250-b\r\n250 c\r\nMORE"), 1, 250, "a b c", 21 },
		{ S("250-a\r\n250-\r\n250 c\r\n"), 1, 250, "a c", 20 },
		{ S("250-a\r\n"), 0, 0, "", 7 },
		{ S("250 o"), 0, 0, "", 5 },
		{ S("250-a\r\n550 b\r\n"), -1, 0, NULL, 0 },
		{ S("550-a\r\n250 b\r\n"), -1, 0, NULL, 0 },
		{ S("250-a\r\n\r\n250 b\r\n"), -1, 0, NULL, 0 },
		{ S("abc\r\n"), -1, 0, NULL, 1 },
		{ S("25\r\n"), -1, 0, NULL, 3 },
		{ S("25\n"), -1, 0, NULL, 3 },
		{ S("2500 ok\r\n"), -1, 0, NULL, 4 },
		{ S("-250 \r\n"), -1, 0, NULL, 1 },
		{ S("250\tok\r\n"), -1, 0, NULL, 4 },
		{ S("\0"
		    "250 ok\r\n"),
		  -1, 0, NULL, 1 },
		{ S("250 o\0k\r\n"), -1, 0, NULL, 6 },
		{ S("001 ok\r\n"), -1, 0, NULL, 1 },
		{ S("100 ok\r\n"), -1, 0, NULL, 1 },
		{ S("999 ok\r\n"), -1, 0, NULL, 1 },
		{ S("\xff\xfe"
		    "2\0005\0000\0"),
		  -1, 0, NULL, 1 },
		{ S("250\rx\r\n"), -1, 0, NULL, 7 },
		{ S(" 250 ok\r\n"), -1, 0, NULL, 1 },
		{ S("250 a\rb\r\n"), 1, 250, "a\rb", 9 },
		{ S("250 \xe9\x1b[2J\r\n"), 1, 250, "\xe9\x1b[2J", 11 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("reply %zu: %.20s", i, rows[i].in);
		for (size_t step = 1; step <= rows[i].len; step++) {
			struct reply r;
			struct fed f;

			reply_init(&r);
			check(!reply_pending(&r));
			f = feed(&r, rows[i].in, rows[i].len, step);
			check_int(f.rc, rows[i].rc);
			if (rows[i].used)
				check_int(f.used, rows[i].used);
			if (f.rc == 1) {
				check_int(f.code, rows[i].code);
				check_str(f.text, rows[i].text);
				check(!reply_pending(&r));
			} else if (f.rc == 0) {
				check(reply_pending(&r));
			}
		}
	}
}

static void test_sequence(void)
{
	static const char in[] = "250-one\r\n250 two\r\n354 go\r\n";
	struct reply r;
	const char *why;
	size_t used;

	test_case("one reply after another");
	reply_init(&r);
	check_int(reply_feed(&r, in, sizeof(in) - 1, &used, &why), 1);
	check_str(r.text, "one two");
	check_int(reply_feed(&r, in + used, sizeof(in) - 1 - used, &used, &why), 1);
	check_int(r.code, 354);
	check_str(r.text, "go");
}

static void test_limits(void)
{
	enum { BIG = 1000000 };
	char *big = malloc(BIG + 100);
	struct reply r;
	struct fed f;
	const char *why = NULL;
	size_t used;
	int rc = 0;

	memset(big, 'x', BIG + 100);
	memcpy(big, "250 ", 4);
	memcpy(big + BIG, "\r\n", 2);
	test_case("a line of a million octets counts, its text is cut");
	reply_init(&r);
	f = feed(&r, big, BIG + 2, 4096);
	check_int(f.rc, 1);
	check_int(f.code, 250);
	check_int(strlen(f.text), sizeof(r.text) - 1);

	test_case("a line without an end");
	reply_init(&r);
	check_int(feed(&r, "250 ", 4, 4).rc, 0);
	memset(big, 'x', BIG);
	check_int(feed(&r, big, BIG, BIG).rc, 0);
	check_int(feed(&r, big, BIG, BIG).rc, -1);

	test_case("250- without an end");
	reply_init(&r);
	for (int i = 0; i < 5000 && rc == 0; i++)
		rc = reply_feed(&r, "250-x\r\n", 7, &used, &why);
	check_int(rc, -1);

	test_case("blank lines without an end");
	reply_init(&r);
	rc = 0;
	for (int i = 0; i < 5000 && rc == 0; i++)
		rc = reply_feed(&r, "\r\n", 2, &used, &why);
	check_int(rc, -1);
	free(big);
}

static void count_line(void *ctx, const char *line, size_t len)
{
	strncat(ctx, line, len);
	strcat(ctx, "|");
}

static void test_on_line(void)
{
	struct reply r;
	char seen[100] = "";

	test_case("each line is handed on as it ends");
	reply_init(&r);
	r.on_line = count_line;
	r.ctx = seen;
	check_int(feed(&r, S("250-a\r\n250-b\n250 c\r\n"), 3).rc, 1);
	check_str(seen, "250-a|250-b|250 c|");
}

int main(void)
{
	test_capabilities();
	test_odd_capabilities();
	test_lines();
	test_enhanced();
	test_replies();
	test_sequence();
	test_limits();
	test_on_line();
	return check_done();
}
