/*
 * Addresses, lists, hosts and EHLO names from any octets. Beside not crashing:
 *  - what is accepted goes to the wire as something that reads back as itself;
 *  - the wire form has no CR, LF, NUL or other control, and '<', '>' or a space only inside of quotes;
 *  - a display name quoted anew reads back as itself;
 *  - a plain addr-spec is accepted exactly where a second, independent reading of the grammar says so;
 *  - a list of one gives what the address alone gives.
 * The first octet chooses the flags.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond) do { if (!(cond)) abort(); } while (0)

/* What may be on a command line between '<' and '>'. */
static void wire_is_safe(const char *wire, size_t len)
{
	bool quoted = false;

	require(strlen(wire) == len && len <= 254 && utf8_valid(wire, len) == len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)wire[i];

		require(c >= 0x20 && c != 0x7f);
		require(!(c == 0xc2 && (unsigned char)wire[i + 1] < 0xa0));
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else
			require(quoted || !strchr("<> ,;:()\\", c) || (c == ':' && strstr(wire, "@[IPv6:")));
	}
	require(!quoted);
}

static void reads_back(const struct mailbox *m, unsigned flags)
{
	struct buf wire = BUF_INIT(1000), again = BUF_INIT(1000);
	struct mailbox back = { 0 };
	struct err e = ERR_INIT;
	bool eai, eai_again;

	if (mailbox_wire(m, &wire, &eai, &e) == 0) {
		wire_is_safe(wire.data, wire.len);
		require(mailbox_parse(&back, wire.data, wire.len, flags, &e) == 0);
		require(!strcmp(back.local, m->local) && !back.name);
		require(!back.domain == !m->domain);
		require(mailbox_wire(&back, &again, &eai_again, &e) == 0);
		require(!strcmp(wire.data, again.data) && eai == eai_again);
		require(addr_same(wire.data, again.data) && addr_hash(wire.data) == addr_hash(again.data));
	} else {
		require(e.class == ERR_DATA && e.text);
		/* only IDNA refuses late */
		require(m->domain && !ascii_only(m->domain, strlen(m->domain)));
	}
	mailbox_clear(&back);
	buf_clear(&wire);
	buf_clear(&again);
	err_clear(&e);
}

static void name_reads_back(const struct mailbox *m)
{
	struct buf text = BUF_INIT(100000);
	struct mailbox back = { 0 };
	struct err e = ERR_INIT;

	if (!m->name || strlen(m->name) > 4000)
		return;
	require(utf8_valid(m->name, strlen(m->name)) == strlen(m->name) && !strpbrk(m->name, "\r\n\t"));
	require(buf_adds(&text, "\"") == 0);
	for (const char *c = m->name; *c; c++)
		require((strchr("\"\\", *c) ? buf_adds(&text, "\\") : 0) == 0 && buf_add(&text, c, 1) == 0);
	require(buf_adds(&text, "\" <a@b>") == 0);
	require(mailbox_parse(&back, text.data, text.len, 0, &e) == 0);
	require(back.name && !strcmp(back.name, m->name));
	mailbox_clear(&back);
	buf_clear(&text);
}

/* One side of a plain addr-spec: parts of @chars between single dots, @part_max octets each, @max in all. */
static bool plain_side(const char *s, size_t len, const char *chars, size_t part_max, size_t max)
{
	size_t part = 0;

	if (len > max)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i == len || s[i] == '.') {
			if (!part || part > part_max)
				return false;
			if (chars[0] == '-' && (s[i - 1] == '-' || s[i - part] == '-'))
				return false;
			part = 0;
		} else if (!s[i] || !strchr(chars, s[i])) {
			return false;
		} else {
			part++;
		}
	}
	return true;
}

#define ALNUM "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
static const char alnum[] = ALNUM;
static const char atext[] = "!" ALNUM "#$%&'*+/=?^_`{|}~";

/* Text of nothing but atext, '.' and '@' needs no tokens: the grammar is a look at two sides of one '@'. */
static void agrees_with_grammar(const char *text, size_t len, bool accepted)
{
	const char *at = NULL;
	size_t ats = 0;

	for (size_t i = 0; i < len; i++) {
		if (!text[i] || (text[i] != '.' && text[i] != '@' && !strchr(atext, text[i])))
			return;
		if (text[i] == '@') {
			ats++;
			at = text + i;
		}
	}
	if (!ats)
		return;
	require(accepted == (ats == 1 && len <= 254 &&
			     plain_side(text, (size_t)(at - text), atext, 64, 64) &&
			     plain_side(at + 1, (size_t)(text + len - at - 1), alnum, 63, 255)));
}

static void one(const char *text, size_t len, unsigned flags)
{
	struct addr_cursor c = { .at = text, .end = text + len };
	struct mailbox m = { 0 }, first = { 0 }, second = { 0 };
	struct err e = ERR_INIT;
	int r = mailbox_parse(&m, text, len, flags, &e);

	agrees_with_grammar(text, len, r == 0);
	if (r < 0) {
		require(r == -1 && e.class == ERR_DATA && e.text && !m.local && !m.name && !m.domain);
		require(!strpbrk(e.text, "\r\n\033") && utf8_valid(e.text, strlen(e.text)) == strlen(e.text));
	} else {
		reads_back(&m, flags);
		name_reads_back(&m);
	}
	if (r == 0 && !(m.domain && !*m.domain && !*m.local)) {
		require(mailbox_list_next(&c, &first, flags, &e) == 1);
		require(!strcmp(first.local, m.local) && !first.domain == !m.domain);
		require(mailbox_list_next(&c, &second, flags, &e) == 0);
	}
	mailbox_clear(&m);
	mailbox_clear(&first);
	err_clear(&e);
}

static void many(const char *text, size_t len, unsigned flags)
{
	struct addr_cursor c = { .at = text, .end = text + len };
	struct mailbox m = { 0 };
	struct err e = ERR_INIT;
	const char *before = c.at;
	size_t n = 0;
	int r;

	while ((r = mailbox_list_next(&c, &m, flags, &e)) == 1) {
		require(c.at > before && c.at <= c.end);
		before = c.at;
		reads_back(&m, flags);
		mailbox_clear(&m);
		require(++n <= len);
	}
	require(r == 0 || (r == -1 && e.class == ERR_DATA && e.text && !m.local));
	require(r || c.at == c.end);
	err_clear(&e);
}

static void words(const char *text, size_t len)
{
	static int (*const parse[])(char **, const char *, size_t, struct err *) = { host_parse, helo_parse };

	for (size_t i = 0; i < ARRAY_SIZE(parse); i++) {
		struct err e = ERR_INIT;
		char *got = NULL, *again = NULL;

		if (parse[i](&got, text, len, &e) == 0) {
			require(*got && strlen(got) <= 255 && ascii_only(got, strlen(got)));
			require(!strpbrk(got, " \t\r\n/@?#%\\<>\"'()"));
			require(parse[i](&again, got, strlen(got), &e) == 0 && !strcmp(got, again));
			(void)host_is_loopback(got);
		} else {
			require(!got && e.class == ERR_DATA && e.text && !strpbrk(e.text, "\r\n\033"));
		}
		free(got);
		free(again);
		err_clear(&e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf x = BUF_INIT(1 << 20);
	const char *text;
	unsigned flags;

	if (!size)
		return 0;
	flags = data[0] & (ADDR_BARE_LOCAL | ADDR_NULL);
	/* A copy of just the text, so that a read beyond it is seen. */
	text = size > 1 ? memcpy(malloc(size - 1), data + 1, size - 1) : malloc(1);
	size--;
	one(text, size, flags);
	many(text, size, flags);
	words(text, size);
	if (xtext_add(&x, text, size) == 0)
		for (size_t i = 0; i < x.len; i++)
			require(x.data[i] > ' ' && x.data[i] < 0x7f && x.data[i] != '=');
	buf_clear(&x);
	free((void *)text);
	return 0;
}
