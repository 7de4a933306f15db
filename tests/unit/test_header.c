/* Header fields: folding, encoded words, address lists, parameters, media types; rows HDR-01..07, ADR-12,
 * ADR-13. */

#include "check.h"
#include "mime_decode.h"

#include "base/buf.h"
#include "base/err.h"
#include "text/addr.h"
#include "text/header.h"

enum { TEXT, RAW };

static int put(int how, struct buf *out, const char *name, const char *value, struct err *e)
{
	return how == TEXT ? header_text(out, name, value, e) : header_raw(out, name, value, e);
}

/* The field is well formed, and reads back as @value. */
static void check_reads_back(const struct buf *out, const char *value)
{
	const char *wrong = md_lint(out->data, out->len);
	char *text, *back;

	if (wrong)
		printf("# %s\n", wrong);
	check(!wrong);
	text = md_unfold(out->data, out->len);
	back = md_decode_words(text);
	check_mem(back, strlen(back), value, strlen(value));
	free(text);
	free(back);
}

#define LONG60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* rows: HDR-04, HDR-06 */
static void test_exact(void)
{
	static const struct { const char *name, *field, *value, *out; int how; } rows[] = {
		{ "plain", "Subject", "Hello world", "Subject: Hello world\r\n", TEXT },
		{ "empty", "Subject", "", "Subject: \r\n", TEXT },
		{ "empty, raw", "X-A", "", "X-A: \r\n", RAW },
		{ "Q", "Subject", "m\xc3\xbcller", "Subject: =?utf-8?Q?m=C3=BCller?=\r\n", TEXT },
		{ "only the words that need it", "Subject", "Re: the m\xc3\xbcller there",
			"Subject: Re: the =?utf-8?Q?m=C3=BCller?= there\r\n", TEXT },
		{ "two words: the blank between is inside", "Subject", "\xc3\xa9 \xc3\xa8 x",
			"Subject: =?utf-8?B?w6kgw6g=?= x\r\n", TEXT },
		{ "B where it is shorter", "Subject", "\xe6\xb5\x8b\xe8\xaf\x95", "Subject: =?utf-8?B?5rWL6K+V?=\r\n", TEXT },
		{ "what looks encoded", "Subject", "=?utf-8?Q?x?= y", "Subject: =?utf-8?B?PT91dGYtOD9RP3g/PQ==?= y\r\n",
			TEXT },
		{ "what looks encoded, raw", "X-A", "=?utf-8?Q?x?= y", "X-A: =?utf-8?Q?x?= y\r\n", RAW },
		{ "blanks inside", "Subject", "a  b\tc", "Subject: a  b\tc\r\n", TEXT },
		{ "blanks at the ends", "Subject", " a b ", "Subject: =?utf-8?Q?_a_b_?=\r\n", TEXT },
		{ "blanks at the ends, raw", "X-A", "  a b ", "X-A:   a b \r\n", RAW },
		{ "only blanks", "Subject", "   ", "Subject: =?utf-8?Q?___?=\r\n", TEXT },
		{ "only blanks, raw", "X-A", " \t ", "X-A: \r\n", RAW },
		{ "folded at 78", "Subject", LONG60 " bbbbbbbb cc", "Subject: " LONG60 " bbbbbbbb\r\n cc\r\n", TEXT },
		{ "not folded at 78", "Subject", LONG60 " bbbbbbbb", "Subject: " LONG60 " bbbbbbbb\r\n", TEXT },
		{ "the white space folded at stays", "X-A", LONG60 LONG60 "\t  b", "X-A: " LONG60 LONG60 "\r\n\t  b\r\n", RAW },
		{ "no fold behind a backslash", "X-A", LONG60 " bbbbbbb\\ cccccccccccc dd",
			"X-A: " LONG60 "\r\n bbbbbbb\\ cccccccccccc dd\r\n", RAW },
		{ "raw, not ASCII", "X-A", "a \xc3\xa9 b ", "X-A: a =?utf-8?B?w6k=?= b \r\n", RAW },
		{ "raw: ours beside a given encoded word", "X-A", "=?utf-8?Q?x?= \xc3\xa9 =?utf-8?Q?y?=",
			"X-A: =?utf-8?Q?x?= =?utf-8?Q?_=C3=A9_?= =?utf-8?Q?y?=\r\n", RAW },
		{ "token", "Message-ID", "<a@b>", "Message-ID: <a@b>\r\n", RAW },
		{ "addresses as they are", "Reply-To", "\"A, B\" <a@b>,c@d", "Reply-To: \"A, B\" <a@b>,c@d\r\n", RAW },
		{ "type as it is", "Content-Type", "text/plain;charset=x", "Content-Type: text/plain;charset=x\r\n", RAW },
		{ "disposition, not ASCII", "Content-Disposition", "form-data; name=\"f\"; filename=\"\xc3\xa9.txt\"",
			"Content-Disposition: form-data; name=f; filename*=utf-8''%C3%A9.txt;\r\n filename=\"_.txt\"\r\n", RAW },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		test_case("exact: %s", rows[i].name);
		check_int(put(rows[i].how, &out, rows[i].field, rows[i].value, &e), 0);
		check_str(out.data, rows[i].out);
		check(!md_lint(out.data, out.len));
		if (rows[i].how == TEXT)
			check_reads_back(&out, rows[i].value);
		err_clear(&e);
	}
}

/* rows: HDR-01 */
static void test_injection(void)
{
	static const char *const refused[] = {
		"x\r\nBcc: e@x", "x\nBcc: e@x", "x\rBcc: e@x", "x\r\n\r\nbody", "x\n\nbody", "x\r\n Bcc: e@x", "\r", "\n",
		"x\xff", "x\xc3", "\xed\xa0\x80", "\x85",
	};
	static const char *const inert[] = {
		"x\vBcc: e@x", "x\fBcc: e@x", "x\xc2\x85" "Bcc: e@x", "x\xe2\x80\xa8" "Bcc: e@x", "=?utf-8?Q?=0D=0ABcc:_e?=",
		"x%0aBcc: e@x", "x\\r\\nBcc: e@x", "\x01", "\x7f x", "\xe5\x98\x8d\xe5\x98\x8a" "Bcc: e@x",
	};
	static const char *const fields[] = {
		"Subject", "X-Custom", "Message-ID", "In-Reply-To", "References", "List-Unsubscribe", "Reply-To", "Content-Type",
		"Content-ID", "Content-Description", "Content-Disposition",
	};

	for (size_t k = 0; k < ARRAY_SIZE(refused); k++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct mailbox m = { .name = (char *)refused[k], .local = (char *)"a", .domain = (char *)"b" };
		struct header_param p = { "filename", refused[k] };
		struct header_addresses h;
		struct err e = ERR_INIT;
		bool eai = false;

		test_case("refused payload %zu", k);
		check_int(buf_adds(&out, "before"), 0);
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			check_int(header_raw(&out, fields[i], refused[k], &e), -1);
			check_int(e.class, ERR_DATA);
			check_int(header_text(&out, fields[i], refused[k], &e), -1);
		}
		check_int(header_text(&out, refused[k], "x", &e), -1);
		check_int(header_params(&out, "Content-Disposition", "attachment", &p, 1, &e), -1);
		check_int(header_params(&out, "Content-Type", refused[k], NULL, 0, &e), -1);
		check_int(header_addresses_begin(&h, &out, "To", &e), 0);
		check_int(header_addresses_add(&h, &m, &eai, &e), -1);
		check_str(out.data, "before");
		err_clear(&e);
	}
	for (size_t k = 0; k < ARRAY_SIZE(inert); k++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct header_param p = { "filename", inert[k] };
		struct err e = ERR_INIT;
		char *text, *back;

		test_case("inert payload %zu", k);
		check_int(header_text(&out, "Subject", inert[k], &e), 0);
		check_reads_back(&out, inert[k]);
		buf_reset(&out);
		check_int(header_params(&out, "Content-Disposition", "attachment", &p, 1, &e), 0);
		check(!md_lint(out.data, out.len));
		text = md_unfold(out.data, out.len);
		back = md_param(text, "filename", false);
		check_str(back, inert[k]);
		free(text);
		free(back);
		buf_reset(&out);
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			buf_reset(&out);
			if (!header_raw(&out, fields[i], inert[k], &e))
				check(!md_lint(out.data, out.len));
			err_clear(&e);
		}
	}
}

/* rows: HDR-02 */
static void test_names(void)
{
	static const struct { const char *name; int r; } rows[] = {
		{ "", -1 }, { ":", -1 }, { " ", -1 }, { "a b", -1 }, { "\t", -1 }, { "a\tb", -1 },
		{ "\xc3\xa9", -1 },
		{ "a:b", -1 }, { "a\x7f", -1 }, { "a\n", -1 }, { "X-Ok", 0 }, { "!#$%&'*+-.^_`|~", 0 },
		{ LONG60 "aaaaaaaaaaaaaaaa", 0 }, { LONG60 "aaaaaaaaaaaaaaaaa", -1 },
	};
	static const struct { const char *name; enum field_kind kind; } kinds[] = {
		{ "subject", FIELD_UNSTRUCTURED }, { "X-Anything", FIELD_UNSTRUCTURED },
		{ "REPLY-TO", FIELD_ADDRESSES },
		{ "Resent-Cc", FIELD_ADDRESSES }, { "content-type", FIELD_PARAMETERS },
		{ "Content-Disposition", FIELD_PARAMETERS },
		{ "references", FIELD_TOKEN }, { "Date", FIELD_TOKEN }, { "List-Unsubscribe", FIELD_TOKEN },
		{ "Comments", FIELD_UNSTRUCTURED }, { "Content-Description", FIELD_UNSTRUCTURED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;

		test_case("field name \"%s\"", rows[i].name);
		check_int(field_name_check(rows[i].name, strlen(rows[i].name), &e), rows[i].r);
		err_clear(&e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		test_case("kind of %s", kinds[i].name);
		check_int(field_kind(kinds[i].name), kinds[i].kind);
	}
	test_case("a long name still lets its value be encoded");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		check_int(header_text(&out, LONG60 "aaaaaaaaaaaaaaaa", "\xf0\x9f\x98\x80 \xf0\x9f\x98\x80", &e), 0);
		check_reads_back(&out, "\xf0\x9f\x98\x80 \xf0\x9f\x98\x80");
	}
}

/* Values of every length of one kind of text: legal lines that read back. rows: HDR-04, HDR-05 */
static void test_lengths(void)
{
	static const struct { const char *name, *unit; } kinds[] = {
		{ "words", "word " }, { "no white space", "x" }, { "two-octet letters", "\xc3\xa9" },
		{ "four-octet characters", "\xf0\x9f\x98\x80" }, { "mixed words", "a\xc3\xa9 b " },
		{ "blanks", " " },
		{ "tabs and letters", "\ty" }, { "question", "=?" },
		{ "long gaps", "w                              " },
	};
	static const size_t lengths[] = { 0, 1, 2, 20, 37, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 75, 76, 77, 78, 79, 200, 988,
					  989, 990, 997, 998, 999, 1000, 5000, 10240, 1 << 20 };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 22), out = BUF_INIT(1 << 24);
			struct err e = ERR_INIT;

			test_case("%s to %zu octets", kinds[k].name, lengths[i]);
			while (text.len < lengths[i])
				if (buf_adds(&text, kinds[k].unit) < 0)
					break;
			check_int(header_text(&out, "Subject", text.data, &e), 0);
			check_reads_back(&out, text.data);
			buf_reset(&out);
			check_int(header_raw(&out, "X-Raw", text.data, &e), 0);
			check(!md_lint(out.data, out.len));
			buf_reset(&out);
			if (header_raw(&out, "References", text.data, &e) == 0)
				check(!md_lint(out.data, out.len));
			err_clear(&e);
		}
	}
	test_case("one word that fills a line of 998 in a token field fits, one octet more does not; a text is encoded");
	{
		CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		while (text.len < 986)
			if (buf_add(&text, "x", 1) < 0)
				break;
		check_int(header_raw(&out, "References", text.data, &e), 0);
		check_int(md_longest(out.data, out.len), 998);
		check_int(buf_add(&text, "x", 1), 0);
		check_int(header_raw(&out, "References", text.data, &e), -1);
		check_int(e.class, ERR_DATA);
		err_clear(&e);
		buf_reset(&out);
		check_int(header_text(&out, "References", text.data, &e), 0);
		check(md_longest(out.data, out.len) <= 78);
	}
	test_case("a buffer that is full: an error, and nothing left in it");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(40);
		struct err e = ERR_INIT;

		check_int(buf_adds(&out, "before"), 0);
		check_int(header_text(&out, "Subject", "a text that is longer than that", &e), -1);
		check_int(e.class, ERR_DATA);
		check_str(out.data, "before");
		err_clear(&e);
	}
}

/* Round trip of generated text. rows: HDR-04 */
static void test_generated(void)
{
	static const char *const pool[] = {
		" ", " ", "\t", "  ", "a", "word", "=?", "?=", "=?utf-8?Q?a?=", "\xc3\xa9", "\xe6\xb5\x8b", "\xf0\x9f\x98\x80", "=", "_", "\\ ",
		",", "\"", "<a@b>", "\x01", "\x7f", LONG60, "                                                                 ",
	};
	unsigned seed = 7;

	for (unsigned round = 0; round < 400; round++) {
		CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		if (round % 20 == 0)
			test_case("generated texts %u and on", round);
		for (unsigned i = 0; i < round % 40; i++) {
			seed = seed * 1103515245u + 12345u;
			if (buf_adds(&text, pool[(seed >> 16) % ARRAY_SIZE(pool)]) < 0)
				break;
		}
		check_int(header_text(&out, "Subject", text.data, &e), 0);
		check_reads_back(&out, text.data);
		buf_reset(&out);
		check_int(header_raw(&out, "X-R", text.data, &e), 0);
		check(!md_lint_given(out.data, out.len));
	}
}

static void check_mailbox(const char *name, const char *local, const char *domain, const char *want)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	struct mailbox m = { .name = (char *)name, .local = (char *)local, .domain = (char *)domain };
	struct header_addresses h;
	struct err e = ERR_INIT;
	bool eai = false;

	check_int(header_addresses_begin(&h, &out, "To", &e), 0);
	check_int(header_addresses_add(&h, &m, &eai, &e), 0);
	check_int(header_addresses_end(&h, &e), 0);
	check_str(out.data, want);
	err_clear(&e);
}

/* rows: ADR-12, ADR-13 */
static void test_addresses(void)
{
	static const struct { const char *name, *display, *out; } rows[] = {
		{ "none", NULL, "To: a@b.example\r\n" }, { "empty", "", "To: a@b.example\r\n" },
		{ "atoms", "Ann Lee", "To: Ann Lee <a@b.example>\r\n" },
		{ "dot", "Ann B. Lee", "To: \"Ann B. Lee\" <a@b.example>\r\n" },
		{ "comma", "Lee, Ann", "To: \"Lee, Ann\" <a@b.example>\r\n" },
		{ "quote and backslash", "a\"b\\c", "To: \"a\\\"b\\\\c\" <a@b.example>\r\n" },
		{ "an address as name", "x@y", "To: \"x@y\" <a@b.example>\r\n" },
		{ "two blanks", "a  b", "To: \"a  b\" <a@b.example>\r\n" },
		{ "blank at the end", "a ", "To: \"a \" <a@b.example>\r\n" },
		{ "looks encoded", "=?utf-8?Q?a=40b?=", "To: =?utf-8?B?PT91dGYtOD9RP2E9NDBiPz0=?= <a@b.example>\r\n" },
		{ "not ASCII, with comma", "M\xc3\xbcller, J", "To: =?utf-8?Q?M=C3=BCller=2C_J?= <a@b.example>\r\n" },
		{ "override", "a\xe2\x80\xae" "b", "To: =?utf-8?B?YeKArmI=?= <a@b.example>\r\n" },
		{ "control", "a\x01", "To: =?utf-8?Q?a=01?= <a@b.example>\r\n" },
		{ "long atoms fold", LONG60 " bbbbbbbbbbbbbb ccc",
			"To: " LONG60 "\r\n bbbbbbbbbbbbbb ccc <a@b.example>\r\n" },
		{ "long quoted stands alone", LONG60 ", b",
			"To: \"" LONG60 ", b\"\r\n <a@b.example>\r\n" },
		{ "longer is encoded", LONG60 ", bbbbbbbbbbbbbb",
			"To: =?utf-8?Q?" LONG60 "?=\r\n =?utf-8?Q?=2C_bbbbbbbbbbbbbb?= <a@b.example>\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("display name: %s", rows[i].name);
		check_mailbox(rows[i].display, "a", "b.example", rows[i].out);
	}
	test_case("a quoted local part and a bare one");
	check_mailbox(NULL, "a b", "c.example", "To: \"a b\"@c.example\r\n");
	check_mailbox("P", "postmaster", NULL, "To: P <postmaster>\r\n");

	test_case("a long list folds between mailboxes; commas stay outside of encoded words");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 24);
		struct mailbox m = { .name = (char *)"J\xc3\xb6rg, Dr.", .local = (char *)"joerg", .domain = (char *)"example.org" };
		struct header_addresses h;
		struct err e = ERR_INIT;
		bool eai = false;
		size_t commas = 0;

		check_int(header_addresses_begin(&h, &out, "Cc", &e), 0);
		for (int i = 0; i < 1000; i++)
			if (header_addresses_add(&h, &m, &eai, &e) < 0)
				check(false);
		check_int(header_addresses_end(&h, &e), 0);
		check(!md_lint(out.data, out.len) && md_longest(out.data, out.len) <= 78 && !eai);
		for (size_t i = 0; i < out.len; i++)
			commas += out.data[i] == ',';
		check_int(commas, 999);
	}
	test_case("no mailbox: no field; a null mailbox is refused");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct mailbox null = { .local = (char *)"", .domain = (char *)"" };
		struct header_addresses h;
		struct err e = ERR_INIT;
		bool eai = false;

		check_int(header_addresses_begin(&h, &out, "Cc", &e), 0);
		check_int(header_addresses_end(&h, &e), 0);
		check_str(out.data, "");
		check_int(header_addresses_begin(&h, &out, "Cc", &e), 0);
		check_int(header_addresses_add(&h, &null, &eai, &e), -1);
		check_str(out.data, "");
		err_clear(&e);
	}
	test_case("a non-ASCII local part is raw and told");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct mailbox m = { .local = (char *)"\xc3\xbc", .domain = (char *)"example.org" };
		struct header_addresses h;
		struct err e = ERR_INIT;
		bool eai = false;

		check_int(header_addresses_begin(&h, &out, "To", &e), 0);
		check_int(header_addresses_add(&h, &m, &eai, &e), 0);
		check_int(header_addresses_end(&h, &e), 0);
		check_str(out.data, "To: \xc3\xbc@example.org\r\n");
		check(eai);
	}
	test_case("a raw address field with groups that is not ASCII keeps their names");
	{
		static const struct { const char *value, *want; } table[] = {
			{ "Gr\xc3\xb6\xc3\x9f" "e:;", "To: =?utf-8?B?R3LDtsOfZQ==?=:;\r\n" },
			{ "Team: a@b, J\xc3\xb6rg <c@d>;, e@f",
			  "To: Team: a@b, =?utf-8?B?SsO2cmc=?= <c@d>;, e@f\r\n" },
			{ "x@y, A: ; , \xc3\xbc: , g@h; ,i@j",
			  "To: x@y, A:;, =?utf-8?B?w7w=?=: g@h;, i@j\r\n" },
			{ "\"a, b\": \xc3\xbc <c@d>;", "To: \"a, b\": =?utf-8?B?w7w=?= <c@d>;\r\n" },
		};

		for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
			struct err e = ERR_INIT;

			check_int(header_raw(&out, "To", table[i].value, &e), 0);
			check_str(out.data, table[i].want);
			err_clear(&e);
		}
	}
	test_case("a raw address field that is not ASCII");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		check_int(header_raw(&out, "Reply-To", "J\xc3\xb6rg <j@example.org>, =?utf-8?Q?x?= <x@example.org>", &e), 0);
		check_str(out.data, "Reply-To: =?utf-8?B?SsO2cmc=?= <j@example.org>, =?utf-8?Q?x?=\r\n <x@example.org>\r\n");
		check_int(header_raw(&out, "Reply-To", "J\xc3\xb6rg j@", &e), -1);
		check_int(e.class, ERR_DATA);
		check_int(header_raw(&out, "References", "<\xc3\xb6@b>", &e), -1);
		err_clear(&e);
	}
}

/* rows: HDR-07 */
/* Only the last word of a run may have padding: GMime ends a run of B words there. */
static void test_padding(void)
{
	static const char *const units[] = { "\xc3\xa4", "\xf0\x9f\x98\x80", "\xe6\xb5\x8b", "a\xc3\xa4\xc3\xa4",
					     "\xc3\xa4\xf0\x9f\x98\x80" };
	static const char *const before[] = { "", "a", "ab", "\xc3\xa4" };

	for (size_t u = 0; u < ARRAY_SIZE(units); u++)
		for (size_t b = 0; b < ARRAY_SIZE(before); b++) {
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20), value = BUF_INIT(1 << 20);
			struct err e = ERR_INIT;

			test_case("no padding but at the end: %zu behind %zu", u, b);
			check(buf_addf(&value, "%s", before[b]) == 0);
			for (unsigned i = 0; i < 200; i++)
				check(buf_addf(&value, "%s", units[u]) == 0);
			check_int(put(TEXT, &out, "Subject", value.data, &e), 0);
			for (const char *at = strstr(out.data, "=?="); at; at = strstr(at + 3, "=?="))
				check(!strcmp(at, "=?=\r\n"));
			check_reads_back(&out, value.data);
			err_clear(&e);
		}
}

static void test_params(void)
{
	static const struct { const char *name, *value, *out; } rows[] = {
		{ "token", "a.pdf", "X: attachment; filename=a.pdf\r\n" },
		{ "empty", "", "X: attachment; filename=\"\"\r\n" },
		{ "dot", ".", "X: attachment; filename=.\r\n" },
		{ "blank", "a b.pdf", "X: attachment; filename=\"a b.pdf\"\r\n" },
		{ "quote, backslash", "a\"b\\c", "X: attachment; filename=\"a\\\"b\\\\c\"\r\n" },
		{ "path", "../../x", "X: attachment; filename=\"../../x\"\r\n" },
		{ "percent, quote, star", "a%b'c*", "X: attachment; filename=\"a%b'c*\"\r\n" },
		{ "windows", "C:\\x.txt", "X: attachment; filename=\"C:\\\\x.txt\"\r\n" },
		{ "not ASCII", "r\xc3\xa9sum\xc3\xa9.pdf",
			"X: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf; filename=\"r_sum_.pdf\"\r\n" },
		{ "override", "a\xe2\x80\xae" "fdp.exe",
			"X: attachment; filename*=utf-8''a%E2%80%AEfdp.exe; filename=\"a_fdp.exe\"\r\n" },
		{ "looks encoded", "=?utf-8?Q?x?=.txt",
			"X: attachment; filename*=utf-8''%3D%3Futf-8%3FQ%3Fx%3F%3D.txt;\r\n filename=\"__utf-8_Q_x__.txt\"\r\n" },
		{ "tab", "a\tb", "X: attachment; filename*=utf-8''a%09b; filename=\"a_b\"\r\n" },
	};
	static const char *const units[] = { "x", "\xc3\xa9", "\xf0\x9f\x98\x80", "a b", "\"\\", "%'*", "\xe6\xb5\x8b.", "\x01" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct header_param p = { "filename", rows[i].value };
		struct err e = ERR_INIT;

		test_case("parameter: %s", rows[i].name);
		check_int(header_params(&out, "X", "attachment", &p, 1, &e), 0);
		check_str(out.data, rows[i].out);
	}
	for (size_t u = 0; u < ARRAY_SIZE(units); u++) {
		for (size_t n = 1; n <= 4096; n = n < 100 ? n + 1 : n * 4 - 1) {
			CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
			struct header_param p[2] = { { "name", NULL }, { "charset", "utf-8" } };
			struct err e = ERR_INIT;
			char *whole, *back, *plain;

			if (n < 3 || n % 16 == 0 || n > 100)
				test_case("parameter: %zu octets, kind %zu", n, u);
			while (text.len < n)
				if (buf_adds(&text, units[u]) < 0)
					break;
			p[0].value = text.data;
			check_int(header_params(&out, "Content-Type", "text/plain", p, 2, &e), 0);
			check(!md_lint(out.data, out.len) && md_longest(out.data, out.len) <= 78);
			whole = md_unfold(out.data, out.len);
			back = md_param(whole, "name", false);
			check_str(back, text.data);
			free(back);
			back = md_param(whole, "charset", false);
			check_str(back, "utf-8");
			plain = md_param(whole, "name", true);
			if ((unsigned char)units[u][0] >= 128)
				check(plain && strlen(plain) <= 74);
			free(plain);
			free(back);
			free(whole);
		}
	}
	test_case("a boundary of 70 is never continued");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		struct header_param p = { "boundary", "=_" LONG60 "12345678" };
		struct err e = ERR_INIT;

		check_int(header_params(&out, "Content-Type", "multipart/mixed", &p, 1, &e), 0);
		check_str(out.data, "Content-Type: multipart/mixed;\r\n boundary=\"=_" LONG60 "12345678\"\r\n");
	}
	test_case("names and values that are refused");
	{
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		static const char *const bad[] = { "", "a b", "a=", "\xc3\xa9", "a*", "a'", "a;b", "a\n", LONG60 };
		struct err e = ERR_INIT;

		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			struct header_param p = { bad[i], "x" };

			check_int(header_params(&out, "X", "attachment", &p, 1, &e), -1);
			check_int(e.class, ERR_DATA);
		}
		check_int(header_params(&out, "X", "attachment; a=b", NULL, 0, &e), -1);
		check_int(header_params(&out, "X", "", NULL, 0, &e), -1);
		check_int(header_params(&out, "X", "\xc3\xa9", NULL, 0, &e), -1);
		check_str(out.data, "");
		err_clear(&e);
	}
}

/* rows: MSG-08 */
static void test_media_type(void)
{
	static const struct { const char *value, *type, *charset; } rows[] = {
		{ "text/plain", "text/plain", NULL }, { "Text/HTML; Charset=UTF-8", "text/html", "UTF-8" },
		{ "text/plain; charset=\"us-ascii\"", "text/plain", "us-ascii" },
		{ "text/plain;charset=\"a\\\"b\"", "text/plain", "a\"b" },
		{ " text/plain (a (nested) \\) comment) ; (x) charset (y) = (z) utf-8 (w)", "text/plain", "utf-8" },
		{ "multipart/mixed; boundary=\"a;b\"; charset=x", "multipart/mixed", "x" },
		{ "application/vnd.a+xml;", "application/vnd.a+xml", NULL },
		{ "text/plain; name=\"\xc3\xa9\"; charset=x", "text/plain", "x" },
		{ "text", NULL, NULL }, { "text/", NULL, NULL }, { "/plain", NULL, NULL }, { "", NULL, NULL },
		{ "text/plain charset=x", NULL, NULL }, { "text/plain; charset", NULL, NULL },
		{ "text/plain; =x", NULL, NULL },
		{ "text/plain; charset=", NULL, NULL }, { "text/plain; charset=\"x", NULL, NULL },
		{ "text/plain; a=b c", NULL, NULL },
		{ "text/plain (open", NULL, NULL }, { "text/plain)", NULL, NULL },
		{ "text/pl\xc3\xa9in", NULL, NULL },
		{ "text/plain; charset=x\r\nBcc: y", NULL, NULL }, { "text/plain; a=\x01", NULL, NULL },
		{ "text / plain", NULL, NULL }, { "text/plain; charset=a=b", NULL, NULL },
		{ "text/plain;; a=b", NULL, NULL },
	};
	char *deep = malloc(100001);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		char *type = NULL, *charset;

		test_case("media type \"%s\"", rows[i].value);
		check_int(media_type_parse(&type, rows[i].value, &e), rows[i].type ? 0 : -1);
		if (rows[i].type) {
			check_str(type, rows[i].type);
			charset = media_type_param(rows[i].value, "charset");
			if (rows[i].charset)
				check_str(charset, rows[i].charset);
			else
				check(!charset);
			free(charset);
		} else {
			check_int(e.class, ERR_DATA);
		}
		free(type);
		err_clear(&e);
	}
	test_case("comments 100000 deep are refused, not followed");
	{
		struct err e = ERR_INIT;
		char *type;

		memset(deep, '(', 100000);
		deep[100000] = '\0';
		check_int(media_type_parse(&type, deep, &e), -1);
		err_clear(&e);
	}
	free(deep);
}

int main(void)
{
	test_exact();
	test_injection();
	test_names();
	test_lengths();
	test_generated();
	test_addresses();
	test_padding();
	test_params();
	test_media_type();
	return check_done();
}
