/* Mustache templates: a table of text, data and what comes of them; and the numbers of data rows. */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "model/mustache.h"
#include "model/value.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>

enum { HTML = MUSTACHE_HTML, EMPTY = MUSTACHE_MISSING_EMPTY };

/* @want: the text; or "!" and a pattern that the error matches. */
struct row { const char *text, *json; unsigned flags; const char *want; };

static const struct row rows[] = {
	/* variables */
	{ "", "{}", 0, "" }, { "plain { text } }}", "{}", 0, "plain { text } }}" },
	{ "Hello {{name}}!", "{\"name\":\"Zo\xc3\xab\"}", 0, "Hello Zo\xc3\xab!" },
	{ "{{ name }}|{{\tname\n}}", "{\"name\":\"a\"}", 0, "a|a" },
	{ "{{a}}{{b}}{{a}}", "{\"a\":\"1\",\"b\":\"2\"}", 0, "121" },
	{ "{{aa}}{{a}}{{aaa}}", "{\"aaa\":\"3\",\"a\":\"1\",\"aa\":\"2\"}", 0, "213" },
	{ "{{\xc3\xa9}}", "{\"\\u00e9\":\"e\"}", 0, "e" },
	{ "{{x-y}}{{x_y}}{{x/y}}{{1}}", "{\"x-y\":1,\"x_y\":2,\"x/y\":3,\"1\":4}", 0, "1234" },
	/* numbers as they were written */
	{ "{{n}}", "{\"n\":1.10}", 0, "1.10" }, { "{{n}}", "{\"n\":-0}", 0, "-0" }, { "{{n}}", "{\"n\":1e5}", 0, "1e5" },
	{ "{{n}}", "{\"n\":12345678901234567890123}", 0, "12345678901234567890123" },
	{ "{{n}}", "{\"n\":1E+400}", HTML, "1E+400" },
	/* other values */
	{ "{{t}}{{f}}", "{\"t\":true,\"f\":false}", 0, "truefalse" },
	{ "[{{n}}]", "{\"n\":null}", 0, "[]" }, { "[{{n}}]", "{\"n\":null}", EMPTY, "[]" }, { "[{{n}}]", "{\"n\":\"\"}", 0, "[]" },
	{ "{{l}}", "{\"l\":[1]}", 0, "!{{l}}: is a list in the data, and no text" },
	{ "{{o}}", "{\"o\":{}}", EMPTY, "!{{o}}: is an object in the data, and no text" },
	{ "{{.}}", "{}", 0, "!{{.}}: is an object*" }, { "{{.}}", "\"x\"", 0, "x" }, { "{{a}}", "[1]", 0, "!{{a}}: there is no such name in the data" },
	/* HTML */
	{ "{{x}}{{{x}}}{{&x}}", "{\"x\":\"<&>\\\"'\"}", HTML, "&lt;&amp;&gt;&quot;&#39;<&>\"'<&>\"'" },
	{ "{{x}}", "{\"x\":\"<&>\\\"'\"}", 0, "<&>\"'" }, { "{{x}}", "{\"x\":\"a<b\"}", HTML, "a&lt;b" },
	{ "<{{x}}>", "{\"x\":\"<\"}", HTML, "<&lt;>" }, { "{{#x}}{{.}}{{{.}}}{{/x}}", "{\"x\":[\"<\"]}", HTML, "&lt;<" },
	/* missing names */
	{ "{{nmae}}", "{\"name\":1}", 0, "!{{nmae}}: there is no such name in the data, did you mean 'name'[?]" },
	{ "{{nmae}}", "{\"name\":1}", EMPTY, "" }, { "{{&nmae}}", "{\"name\":1}", HTML, "!{{nmae}}: *'name'[?]" },
	{ "{{zzzzzz}}", "{\"name\":1}", 0, "!{{zzzzzz}}: there is no such name in the data" },
	{ "{{usre.name}}", "{\"user\":{\"name\":1}}", 0, "!{{usre.name}}: *, did you mean 'user'[?]" },
	{ "{{user.nmae}}", "{\"user\":{\"name\":1}}", 0, "!{{user.nmae}}: there is no such name in the data" },
	{ "{{#s}}{{nmae}}{{/s}}", "{\"s\":1,\"name\":1}", 0, "!*'name'[?]" },
	{ "{{#no}}x{{nmae}}{{/no}}{{^no}}y{{/no}}", "{}", 0, "y" }, { "{{#no.no}}x{{/no.no}}", "{}", 0, "" },
	{ "{{a\x1b[2J}}", "{}", 0, "!1:1: a*x1b*: a name with a control character in it" },
	/* dotted names */
	{ "{{a.b.c}}", "{\"a\":{\"b\":{\"c\":\"x\"}}}", 0, "x" }, { "{{a.b}}", "{\"a.b\":\"x\"}", EMPTY, "" }, { "{{a.b}}", "{\"a\":\"x\"}", EMPTY, "" },
	{ "{{#a}}{{b.c}}{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"x\"}}", EMPTY, "" }, { "{{#a}}{{b.c}}{{/a}}", "{\"a\":{},\"b\":{\"c\":\"x\"}}", 0, "x" },
	{ "{{a.b}}", "{\"a\":{\"b\":null}}", 0, "" }, { "{{a.b.c}}", "{\"a\":{\"b\":null}}", 0, "!{{a.b.c}}: there*" },
	/* sections: what is false */
	{ "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":null}", 0, "n" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":false}", 0, "n" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":[]}", 0, "n" },
	{ "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":\"\"}", 0, "n" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{}", 0, "n" },
	{ "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":0}", 0, "y" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":\"0\"}", 0, "y" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":{}}", 0, "y" },
	{ "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":true}", 0, "y" }, { "{{#s}}y{{/s}}{{^s}}n{{/s}}", "{\"s\":[null]}", 0, "y" },
	/* lists and contexts */
	{ "{{#l}}{{a}}{{x}},{{/l}}", "{\"x\":\"-\",\"l\":[{\"a\":1},{\"a\":2,\"x\":\"+\"}]}", 0, "1-,2+," },
	{ "{{#l}}({{#.}}{{.}}{{/.}}){{/l}}", "{\"l\":[[1,2],[],[3]]}", 0, "(12)()(3)" }, { "{{#s}}{{.}}{{s}}{{/s}}", "{\"s\":\"x\"}", 0, "xx" },
	{ "{{#a}}{{#a}}{{.}}{{/a}}{{/a}}", "{\"a\":[1,2]}", 0, "1212" }, { "{{#a}}{{^b}}{{.}}{{/b}}{{/a}}", "{\"a\":[1,2],\"b\":false}", 0, "12" },
	{ "{{^a}}{{b}}{{.}}{{/a}}", "{\"b\":1}", 0, "!{{.}}: is an object*" }, { "{{#.}}{{a}}{{/.}}", "{\"a\":1}", 0, "1" }, { "{{#.}}{{.}}{{/.}}", "[1,2]", 0, "12" },
	{ "{{#o}}{{k}}{{/o}}{{k}}", "{\"o\":{\"k\":null},\"k\":\"x\"}", 0, "x" },
	/* lines */
	{ "a\n{{#s}}\nb\n{{/s}}\nc\n", "{\"s\":1}", 0, "a\nb\nc\n" }, { "a\r\n {{#s}} \r\nb\r\n\t{{/s}}\r\nc", "{\"s\":1}", 0, "a\r\nb\r\nc" },
	{ "{{#s}}\n{{/s}}", "{\"s\":1}", 0, "" }, { "  {{!x}}  ", "{}", 0, "" }, { "  {{!x}} .\n", "{}", 0, "   .\n" }, { "{{!a}} {{!b}}\n", "{}", 0, " \n" },
	{ "{{!a\nb}}\nc", "{}", 0, "c" }, { "x{{!a\n}}\nc", "{}", 0, "x\nc" }, { " {{s}}\n", "{\"s\":1}", 0, " 1\n" }, { "{{!}}\r", "{}", 0, "\r" },
	{ "{{!a}}\n\n{{!b}}\n", "{}", 0, "\n" }, { "{{=<% %>=}}\r\n<%s%>\r\n", "{\"s\":1}", 0, "1\r\n" }, { "{{^s}}\n{{^s}}\nx\n{{/s}}\n{{/s}}\n", "{}", 0, "x\n" },
	/* delimiters */
	{ "{{=<% %>=}}<%a%>{{a}}<%={{ }}=%>{{a}}", "{\"a\":1}", 0, "1{{a}}1" }, { "{{= | | =}}|a||#a|x|/a|", "{\"a\":1}", 0, "1x" },
	{ "{{={{ }}=}}{{a}}", "{\"a\":1}", 0, "1" }, { "{{=<% %>=}}<%{a}%><%&a%><%a%>", "{\"a\":\"<\"}", HTML, "<<&lt;" }, { "{{=}}", "{}", 0, "!1:1: a tag that does not end" }, { "{{=a b}}a", "{}", 0, "!1:1: a tag that*" },
	{ "{{==}}", "{}", 0, "!1:1: a change of delimiters must name two*" }, { "{{=a=}}", "{}", 0, "!1:1: a change*" }, { "{{=a b c=}}", "{}", 0, "!1:1: a change*" },
	{ "{{=a= b=}}", "{}", 0, "!1:1: a change*" }, { "{{=aaaaaaaaaaaaaaaa b=}}", "{}", 0, "!1:1: a change*" }, { "{{=aaaaaaaaaaaaaaa bbbbbbbbbbbbbbb=}}aaaaaaaaaaaaaaaxbbbbbbbbbbbbbbb", "{\"x\":1}", 0, "1" },
	/* what is no template */
	{ "{{", "{}", 0, "!1:1: a tag that does not end" }, { "ab\n\xc3\xa9{{name", "{}", 0, "!2:2: a tag that does not end" }, { "{{name}", "{}", 0, "!1:1: a tag that does not end" },
	{ "{{{name}}", "{}", 0, "!1:1: a tag that does not end" }, { "{{a} {{b}}", "{}", 0, "!1:1: a tag that does not end" }, { "{{!x", "{}", 0, "!1:1: a tag that does not end" }, { "{{ ", "{}", 0, "!1:1: a tag that does not end" },
	{ "a {{#s}} b", "{}", 0, "!1:3: s: a section that does not end" }, { "{{#a}}\n {{^b}}{{/b}}{{#c}}", "{}", 0, "!2:14: c: a section that does not end" }, { "{{/s}}", "{}", 0, "!1:1: s: ends a section that was not begun" },
	{ "{{#a}}{{#b}}{{/a}}{{/b}}", "{}", 0, "!1:13: a: ends another section*" }, { "{{#a}}{{/ab}}", "{}", 0, "!1:7: ab: ends another*" },
	{ "{{>part}}", "{}", 0, "!1:1: partials*not supported" }, { "{{}}", "{}", 0, "!1:1: a tag without a name" }, { "{{#}}{{/}}", "{}", 0, "!1:1: a tag without a name" }, { "{{{}}}", "{}", 0, "!1:1: a tag without a name" },
	{ "{{ a b }}", "{\"a b\":\"c\"}", 0, "c" }, { "{{a\nb}}", "{}", 0, "!1:1: a*b: a name with a line break*" }, { "{{.a}}", "{}", 0, "!1:1: .a: a name with an empty part" }, { "{{a.}}", "{}", 0, "!1:1: a.: *" }, { "{{a..b}}", "{}", 0, "!1:1: a..b: *" }, { "{{..}}", "{}", 0, "!1:1: *" },
	{ "{{&{a}}}", "{}", EMPTY, "}" },
};

/* The text of @text[len] with the data @json, or "!" and the error; the caller's. */
static char *render(const char *text, size_t len, const char *json, unsigned flags, size_t max)
{
	CLEANUP(mustache_freep) struct mustache *t = NULL;
	CLEANUP(value_freep) struct value *data = NULL;
	struct buf out = BUF_INIT(max);
	struct err e = ERR_INIT;
	char *copy = xmemdup0(text, len), *r;

	if (json_read_data(&data, "data", 1, json, strlen(json), &e) < 0 || mustache_compile(&t, copy, len, &e) < 0) {
		check(e.class == ERR_DATA);
	} else {
		/* the text is the template's own by now */
		memset(copy, '#', len);
		if (mustache_render(t, data, flags, &out, &e) < 0)
			check(e.class == ERR_DATA && e.text);
		else
			check(!mustache_is_plain(t) || (out.len == len && !memmem(text, len, "{{", 2)));
	}
	free(copy);
	r = e.text ? xasprintf("!%s", e.text) : xmemdup0(out.data, out.len);
	err_clear(&e);
	buf_clear(&out);
	return r;
}

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		char *got = render(r->text, strlen(r->text), r->json, r->flags, 1 << 20);

		test_case("%zu: %s", i, r->text);
		if (r->want[0] != '!' || fnmatch(r->want, got, 0))
			check_str(got, r->want);
		else
			check(true);
		free(got);
	}
}

static void test_octets(void)
{
	static const char nul_name[] = "{{ab\0cdefghijklmnop}}", nul_text[] = "a\0{{x}}\0\xff";
	CLEANUP(mustache_freep) struct mustache *t = NULL;
	CLEANUP(value_freep) struct value *data = NULL;
	struct buf out = BUF_INIT(100);
	struct err e = ERR_INIT;
	char *got;

	test_case("a NUL in a name is refused, and no key is read beyond its end");
	got = render(nul_name, sizeof(nul_name) - 1, "{\"ab\":1}", 0, 100);
	check(!fnmatch("!1:1: ab*: a name with a control character in it", got, 0));
	free(got);

	test_case("a text may have any octets, and is behind what is there");
	check_int(json_read_data(&data, "data", 1, "{\"x\":\"1\"}", 9, &e), 0);
	check_int(mustache_compile(&t, nul_text, sizeof(nul_text) - 1, &e), 0);
	check_int(buf_adds(&out, "was"), 0);
	check_int(mustache_render(t, data, 0, &out, &e), 0);
	check_mem(out.data, out.len, "wasa\0" "1\0\xff", 8);
	buf_clear(&out);
}

static void test_plain(void)
{
	static const struct { const char *text; bool plain; } table[] = {
		{ "", true }, { "text", true }, { "}} { {", true }, { "{{!}}", false }, { "a{{!b}}", false }, { "{{a}}", false }, { "{{=| |=}}a", false },
	};

	test_case("what is plain");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		CLEANUP(mustache_freep) struct mustache *t = NULL;
		struct err e = ERR_INIT;

		check_int(mustache_compile(&t, table[i].text, strlen(table[i].text), &e), 0);
		check_int(mustache_is_plain(t), table[i].plain);
	}
}

static void note(void *ctx, const char *name, size_t len)
{
	struct buf *b = ctx;

	if (buf_add(b, name, len) < 0 || buf_adds(b, ",") < 0)
		check(false);
}

static void test_names(void)
{
	static const struct { const char *text, *names; } table[] = {
		{ "", "" }, { "text{{!a}}{{=| |=}}", "" }, { "{{a}}{{{b}}}{{&c}}{{a}}", "a,b,c,a," }, { "{{a.b.c}}{{.}}", "a," },
		{ "{{#s}}{{x}}{{#t}}{{y}}{{/t}}{{/s}}{{z}}", "s,z," }, { "{{^s}}{{x}}{{/s}}{{z}}", "s,x,z," },
		{ "{{#.}}{{x}}{{#s}}{{y}}{{/s}}{{/.}}", "x,s," }, { "{{#s.t}}{{x}}{{/s.t}}", "s," }, { "{{#s}}{{#.}}{{x}}{{/.}}{{/s}}", "s," },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		CLEANUP(mustache_freep) struct mustache *t = NULL;
		struct buf b = BUF_INIT(1000);
		struct err e = ERR_INIT;

		test_case("the names of %s", table[i].text);
		check_int(mustache_compile(&t, table[i].text, strlen(table[i].text), &e), 0);
		mustache_names(t, note, &b);
		check_str(b.data, table[i].names);
		buf_clear(&b);
	}
}

/* @n times each of the parts, in a buffer of its own. */
static char *times(const char *a, size_t n, const char *mid, const char *b)
{
	struct buf out = BUF_INIT(64 << 20);

	for (size_t i = 0; i < n; i++)
		check(buf_adds(&out, a) == 0);
	check(buf_adds(&out, mid) == 0);
	for (size_t i = 0; i < n; i++)
		check(buf_adds(&out, b) == 0);
	return buf_take(&out, NULL);
}

static void check_big(const char *a, size_t n, const char *mid, const char *b, const char *json, const char *want)
{
	char *text = times(a, n, mid, b), *got = render(text, strlen(text), json, 0, 1 << 20);

	if (fnmatch(want, got, 0)) {
		got[strnlen(got, 200)] = '\0';
		check_str(got, want);
	}
	free(text);
	free(got);
}

static void test_limits(void)
{
	char *got;

	test_case("256 sections in each other, no more");
	check_big("{{#a}}", 256, "x", "{{/a}}", "{\"a\":1}", "x");
	check_big("{{#a}}", 257, "x", "{{/a}}", "{\"a\":1}", "!1:1537: a: too many sections*");
	check_big("{{#a}}", 10000, "x", "{{/a}}", "{\"a\":1}", "!1:1537: a: too many sections*");
	check_big("{{^a}}", 10000, "", "", "{}", "!1:1537: *");
	check_big("{{/a}}", 10000, "", "", "{}", "!1:1: *");

	test_case("2^16 tags and texts, no more");
	check_big("{{a}}", 1 << 16, "", "", "{\"a\":\"\"}", "");
	check_big("{{a}}", (1 << 16) + 1, "", "", "{\"a\":\"\"}", "!1:327681: too many tags");

	test_case("a large text, and many octets that are nearly tags");
	check_big("{", 1, "", "", "{}", "{");
	check_big("{ ", 300000, "", "", "{}", "{ { { {*");
	check_big("{{a} ", 300000, "", "", "{}", "!1:1: a tag that does not end");
	check_big("{{!", 300000, "}}", "", "{}", "");

	test_case("more than the buffer may hold");
	got = render("12345{{a}}", 10, "{\"a\":\"678901\"}", 0, 10);
	check_str(got, "!the text made of the data is longer than 10 octets");
	free(got);
	got = render("12345{{a}}", 10, "{\"a\":\"67890\"}", 0, 10);
	check_str(got, "1234567890");
	free(got);
	got = render("{{a}}", 5, "{\"a\":\"<<\"}", HTML, 7);
	check_str(got, "!the text made of the data is longer than 7 octets");
	free(got);
	got = render("12345678901", 11, "{}", 0, 10);
	check_str(got, "!the text made of the data is longer than 10 octets");
	free(got);

	test_case("turns without end that print nothing");
	check_big("{{#a}}", 100, "", "{{/a}}", "{\"a\":[1,2,3,4,5,6,7,8]}", "!the sections go through more than 16777216*");
}

struct shared { const struct mustache *t; const struct value *data; bool failed; };

static void *render_often(void *ctx)
{
	struct shared *s = ctx;
	struct buf out = BUF_INIT(1000);

	for (int i = 0; i < 2000; i++) {
		struct err e = ERR_INIT;

		buf_reset(&out);
		s->failed |= mustache_render(s->t, s->data, MUSTACHE_HTML, &out, &e) < 0 || strcmp(out.data, "a&lt;1;2;");
		err_clear(&e);
	}
	buf_clear(&out);
	return NULL;
}

static void test_threads(void)
{
	static const char text[] = "a{{x}}{{#l}}{{.}};{{/l}}", json[] = "{\"x\":\"<\",\"l\":[1,2]}";
	CLEANUP(mustache_freep) struct mustache *t = NULL;
	CLEANUP(value_freep) struct value *data = NULL;
	struct shared s[4];
	pthread_t thread[ARRAY_SIZE(s)];
	struct err e = ERR_INIT;

	test_case("one template and one row, rendered by many threads");
	check_int(mustache_compile(&t, text, strlen(text), &e), 0);
	check_int(json_read_data(&data, "data", 1, json, strlen(json), &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		s[i] = (struct shared){ t, data, false };
		check_int(pthread_create(&thread[i], NULL, render_often, &s[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		pthread_join(thread[i], NULL);
		check(!s[i].failed);
	}
}

/* What setters make, and JSON data do not: INT and TEXT. */
static void test_other_values(void)
{
	static const char text[] = "{{i}} {{t}}{{#i}}!{{/i}}";
	CLEANUP(mustache_freep) struct mustache *t = NULL;
	CLEANUP(value_freep) struct value *data = value_new(VALUE_OBJECT);
	struct value *i = value_new(VALUE_INT), *word = value_text("w");
	struct buf out = BUF_INIT(100);
	struct err e = ERR_INIT;

	test_case("whole numbers and words");
	i->key = xstrdup("i");
	i->number = INT64_MIN;
	word->key = xstrdup("t");
	value_append(data, i);
	value_append(data, word);
	check_int(mustache_compile(&t, text, strlen(text), &e), 0);
	check_int(mustache_render(t, data, 0, &out, &e), 0);
	check_str(out.data, "-9223372036854775808 w!");
	buf_clear(&out);
}

/* ---- numbers of data rows ---- */

static void test_numbers(void)
{
	static const char *const good[] = {
		"0", "-0", "1.10", "1e5", "1E+05", "-1.5e-10", "0.00", "123456789012345678901234567890", "1e999999", "-1e-999999",
		"9007199254740993", "0.1234567890123456789012345678901234567890123456789012345678901234567890123456789",
		"1111111111222222222233333333334444444444555555555566666666667777777777e12345678901234567890123456789012345678901",
	};
	static const struct { const char *text, *want; } bad[] = {
		{ "01", "*1:2: *[0-9]*begin with 0" }, { "-", "*a minus sign*" }, { "1.", "*without digits after its point" }, { ".5", "*" }, { "1e", "*exponent" },
		{ "+1", "*" }, { "1e+", "*exponent" }, { "NaN", "*" }, { "0x10", "*" }, { "1_000", "*" }, { "1.2.3", "*" }, { "1-2", "*" }, { "--1", "*a minus sign*" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CLEANUP(value_freep) struct value *v = NULL;
		char *text = xasprintf("{\"a\":[%s,\"%s\"],\"b\":%s\n}", good[i], good[i], good[i]);
		struct err e = ERR_INIT;

		test_case("the number %s", good[i]);
		check_int(json_read_data(&v, "n", 7, text, strlen(text), &e), 0);
		if (v) {
			const struct value *a = value_get(v, "a"), *b = value_get(v, "b");

			check(a->first->type == VALUE_NUMBER && b->type == VALUE_NUMBER && a->last->type == VALUE_STR);
			check_str(a->first->str, good[i]);
			check_str(b->str, good[i]);
			check_str(a->last->str, good[i]);
			check_int(b->len, strlen(good[i]));
			check_int(b->line, 7);
		}
		free(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(value_freep) struct value *v = NULL;
		char *text = xasprintf("[%s]", bad[i].text);
		struct err e = ERR_INIT;

		test_case("no number: %s", bad[i].text);
		check_int(json_read_data(&v, "n", 1, text, strlen(text), &e), -1);
		check(e.class == ERR_DATA && !fnmatch(bad[i].want, e.text, 0));
		err_clear(&e);
		free(text);
	}

	test_case("data are read as strictly as settings else, and settings as before");
	static const char *const strict[] = { "{\"a\":1,\"a\":2}", "[\"\\u0000\"]", "[1,]", "[1]x", "[\"\\ud800\"]", "[\"\xff\"]", "", "\xef\xbb\xbf[]" };

	for (size_t i = 0; i < ARRAY_SIZE(strict); i++) {
		struct value *v = NULL;
		struct err e = ERR_INIT;

		check_int(json_read_data(&v, "n", 1, strict[i], strlen(strict[i]), &e), -1);
		check(e.class == ERR_DATA && !v);
		err_clear(&e);
	}
	for (size_t i = 2; i < 6; i++) {
		struct value *v = NULL;
		struct err e = ERR_INIT;

		check_int(json_read(&v, "n", good[i], strlen(good[i]), &e), -1);
		err_clear(&e);
	}
}

int main(void)
{
	test_table();
	test_octets();
	test_plain();
	test_names();
	test_limits();
	test_threads();
	test_other_values();
	test_numbers();
	return check_done();
}
