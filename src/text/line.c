/* One header field while it is written: folding and encoded words; see line.h. */

#include "text/line.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

#include <string.h>

bool looks_encoded(const char *s, size_t len)
{
	return memmem(s, len, "=?", 2) != NULL;
}

size_t find_control(const char *s, size_t len)
{
	size_t i = 0;

	for (;; i++) {
		i += printable_run(s + i, len - i);
		if (i == len || (!(s[i] & 0x80) && s[i] != '\t'))
			return i;
	}
}

int header_check(const char *what, const char *utf8, size_t len, struct err *e)
{
	size_t at = strcspn(utf8, "\r\n");

	if (at < len)
		return err_set(e, ERR_DATA, "%s has a line break at octet %zu", what, at);
	at = utf8_valid(utf8, len);
	if (at < len)
		return err_set(e, ERR_DATA, "%s is not UTF-8 at octet %zu", what, at);
	return 0;
}

int line_begin(struct header_line *l, struct buf *out, const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (field_name_check(name, len, e) < 0)
		return -1;
	*l = (struct header_line){ .out = out, .start = out->len };
	line_put(l, name, len);
	line_put(l, ":", 1);
	l->content = false;
	return 0;
}

void line_undo(struct header_line *l)
{
	l->out->len = l->start;
	l->out->data[l->start] = '\0';
}

int line_end(struct header_line *l, struct err *e)
{
	/* a field without a value is "Name: " */
	if (!l->content)
		line_put(l, " ", 1);
	line_put(l, "\r\n", 2);
	if (!l->full)
		return 0;
	line_undo(l);
	return err_set(e, ERR_DATA, "the header is longer than %zu octets", l->out->max);
}

void line_put(struct header_line *l, const char *s, size_t len)
{
	if (buf_add(l->out, s, len) < 0)
		l->full = true;
	l->column += len;
	l->content = true;
}

static void line_fold(struct header_line *l)
{
	line_put(l, "\r\n", 2);
	l->column = 0;
	l->encoded = false;
}

void line_piece(struct header_line *l, struct span space, struct span text, size_t behind)
{
	size_t most = l->encoded ? FOLD_ENCODED : FOLD_AT;

	if (l->content && l->column + space.len + text.len + behind > most)
		line_fold(l);
	line_put(l, space.at, space.len);
	line_put(l, text.at, text.len);
}

/*
 * What may stand as itself in a Q word anywhere, in phrases too (RFC 2047 5(3)). Without comma, dot, quote
 * and "@": a reader that decodes before it parses still finds no address in it.
 */
static bool q_plain(unsigned char c)
{
	return is_letter((char)c) || is_digit(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t q_cost(unsigned char c)
{
	return q_plain(c) || c == ' ' ? 1 : 3;
}

static bool q_is_shorter(struct span text)
{
	size_t cost = 0;

	for (size_t i = 0; i < text.len; i++)
		cost += q_cost((unsigned char)text.at[i]);
	return cost <= (text.len + 2) / 3 * 4;
}

static size_t put_q(char *out, struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c == ' ') {
			out[n++] = '_';
		} else if (q_plain(c)) {
			out[n++] = (char)c;
		} else {
			out[n++] = '=';
			out[n++] = hex_digit(c >> 4);
			out[n++] = hex_digit(c);
		}
	}
	return n;
}

/* How many octets of @text, in whole characters, go into @room characters of payload. */
static size_t fitting(struct span text, size_t room, bool q)
{
	size_t n = 0, used = 0;

	while (n < text.len) {
		uint32_t cp;
		size_t step = utf8_decode(text.at + n, text.len - n, &cp), cost = 0;

		if (!step)
			step = 1;       /* cannot be: the text was checked */
		for (size_t i = 0; q && i < step; i++)
			cost += q_cost((unsigned char)text.at[n + i]);
		if (q ? used + cost > room : (n + step + 2) / 3 * 4 > room)
			break;
		used += cost;
		n += step;
	}
	return n;
}

/*
 * The most of @n octets of @text, in whole characters, that base64 has without padding. GMime takes the
 * payloads of neighbouring B words for one and ends at the first "=": what is behind it would be lost to
 * its users.
 */
static size_t unpadded(struct span text, size_t n)
{
	size_t most = 0, at = 0, step;
	uint32_t cp;

	while (at < n && (step = utf8_decode(text.at + at, text.len - at, &cp))) {
		at += step;
		if (at % 3 == 0)
			most = at;
	}
	return most;
}

static void put_word(struct header_line *l, struct span text, bool q)
{
	char payload[FOLD_ENCODED];

	line_put(l, q ? "=?utf-8?Q?" : "=?utf-8?B?", 10);
	if (q) {
		line_put(l, payload, put_q(payload, text));
	} else {
		size_t before = l->out->len;

		if (base64_add(l->out, text.at, text.len) < 0)
			l->full = true;
		l->column += l->out->len - before;
	}
	line_put(l, "?=", 2);
	l->encoded = true;
}

/* Payload characters of an encoded word that begins, behind @space, at @column. */
static size_t word_room(size_t column, size_t space)
{
	enum { FRAME = 12, WORD_MOST = 75 };    /* "=?utf-8?Q?" and "?="; RFC 2047 section 2 */
	size_t used = column + space + FRAME, room = used < FOLD_ENCODED ? FOLD_ENCODED - used : 0;

	return room < WORD_MOST - FRAME ? room : WORD_MOST - FRAME;
}

void line_encoded(struct header_line *l, struct span space, struct span text)
{
	bool q = q_is_shorter(text);

	/* one word on the next line rather than two: in a phrase some readers keep the blank between two */
	if (l->content && fitting(text, word_room(l->column, space.len), q) < text.len &&
	    fitting(text, word_room(0, space.len), q) == text.len)
		line_fold(l);
	while (text.len) {
		size_t room = word_room(l->column, space.len), n = fitting(text, room, q);
		bool this_q = q;

		if (!q && n < text.len) {
			n = unpadded(text, n);
			this_q = !n;    /* no such place: the characters after this word may have one */
			if (this_q)
				n = fitting(text, room, true);
		}
		if (!n) {
			line_fold(l);
			continue;
		}
		line_put(l, space.at, space.len);
		put_word(l, (struct span){ text.at, n }, this_q);
		text.at += n;
		text.len -= n;
		space = SPACE;          /* between encoded words: readers drop it */
	}
}
