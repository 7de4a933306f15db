/*
 * Parameters of Content-Type and Content-Disposition: the grammar of RFC 2045
 * section 5.1 and RFC 2183, read and written; values that are not ASCII or
 * too long for a line by RFC 2231.
 *
 * Readers differ in what they know. So what is plain stays a token or a
 * quoted string; only what would pass column 78 is continued, a boundary not
 * even then (it has at most 70 characters, and readers that split messages
 * often know no continuations).
 */

#include "text/param.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/header.h"
#include "text/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	PARAM_NAME_MOST = 40,   /* so that a continuation has room on its line */
	PARAM_VALUE_MOST = 16384,
	PARAMS_MOST = 500,      /* of one field, when reading */
	COMMENT_DEPTH = 100,
};

static size_t token_run(const char *s)
{
	size_t n = 0;

	while (s[n] && is_token_char(s[n]))
		n++;
	return n;
}

static bool is_token(const char *s)
{
	return *s && !s[token_run(s)];
}

/* RFC 2231 attribute-char: what an extended value has as itself. */
static bool is_attribute_char(char c)
{
	return is_token_char(c) && c != '*' && c != '\'' && c != '%';
}

/* What needs no quotes. A token may have "*", "'" and "%" too, but some readers take them for RFC 2231's. */
static bool is_plain(const char *s)
{
	size_t n = 0;

	while (s[n] && is_attribute_char(s[n]))
		n++;
	return n && !s[n];
}

/* Writing. */

/* The part of a value that fits in one line, as text of at most @room characters. Gives the octets used. */
struct piece { char text[FOLD_AT + 1]; size_t len; };

static size_t quoted_piece(struct piece *p, const char *value, size_t room)
{
	size_t n = 0;

	p->text[0] = '"';
	p->len = 1;
	for (; value[n]; n++) {
		size_t cost = value[n] == '"' || value[n] == '\\' ? 2 : 1;

		if (p->len + cost + 1 > room)
			break;
		if (cost == 2)
			p->text[p->len++] = '\\';
		p->text[p->len++] = value[n];
	}
	p->text[p->len++] = '"';
	return n;
}

static size_t extended_piece(struct piece *p, const char *value, size_t room, bool first)
{
	size_t n = 0, len = strlen(value);

	p->len = 0;
	if (first) {
		memcpy(p->text, "utf-8''", 7);
		p->len = 7;
	}
	while (n < len) {
		uint32_t cp;
		/* whole characters: some readers decode piece by piece */
		size_t step = utf8_decode(value + n, len - n > 4 ? 4 : len - n, &cp);
		size_t cost = step == 1 && is_attribute_char(value[n]) ? 1 : 3 * step;

		if (p->len + cost > room)
			break;
		for (size_t i = 0; i < step; i++) {
			unsigned char c = (unsigned char)value[n + i];

			if (cost == 1) {
				p->text[p->len++] = (char)c;
				continue;
			}
			p->text[p->len++] = '%';
			p->text[p->len++] = hex_digit(c >> 4);
			p->text[p->len++] = hex_digit(c);
		}
		n += step;
	}
	return n;
}

/* "; name=text", folded before the name where it must. */
static void put_param(struct header_line *l, const char *name, const char *mark, const char *text, size_t len)
{
	char room[LINE_MOST + 1];
	struct buf whole = BUF_IN(room);

	if (buf_adds(&whole, name) < 0 || buf_adds(&whole, mark) < 0 || buf_adds(&whole, "=") < 0 ||
	    buf_add(&whole, text, len) < 0)
		l->full = true;
	line_put(l, ";", 1);
	line_piece(l, SPACE, (struct span){ whole.data, whole.len }, 1);
}

/* name*0="..."; name*1="..." or, extended, name*0*=utf-8''...; name*1*=... */
static void put_sections(struct header_line *l, const char *name, const char *value, bool extended)
{
	struct piece p;

	for (unsigned section = 0; !section || *value; section++) {
		char mark[16];
		int n = snprintf(mark, sizeof(mark), "*%u%s", section, extended ? "*" : "");
		size_t room = FOLD_AT - 3 - strlen(name) - (size_t)n;   /* the blank, "=" and ";" */

		value += extended ? extended_piece(&p, value, room, !section) : quoted_piece(&p, value, room);
		put_param(l, name, mark, p.text, p.len);
	}
}

static void put_extended(struct header_line *l, const char *name, const char *value)
{
	struct piece p;
	size_t room = FOLD_AT - 4 - strlen(name);               /* the blank, "*=" and ";" */

	if (!value[extended_piece(&p, value, room, true)])
		put_param(l, name, "*", p.text, p.len);
	else
		put_sections(l, name, value, true);
}

static void put_ascii(struct header_line *l, const char *name, const char *value)
{
	bool boundary = !strcasecmp(name, "boundary");
	size_t room = FOLD_AT - 3 - strlen(name);
	struct piece p;

	if (is_plain(value) && (strlen(value) <= room || boundary))
		put_param(l, name, "", value, strlen(value));
	else if (!value[quoted_piece(&p, value, boundary ? sizeof(p.text) : room)])
		put_param(l, name, "", p.text, p.len);
	else
		put_sections(l, name, value, false);
}

/*
 * For readers that know no RFC 2231: the value with "_" for each character that needs it, shortened before
 * its extension to fit on a line.
 */
static void put_fallback(struct header_line *l, const char *name, const char *value)
{
	enum { EXTENSION_MOST = 10 };
	CLEANUP(buf_clear) struct buf text = BUF_INIT(PARAM_VALUE_MOST + 2);
	size_t most = FOLD_AT - 4 - strlen(name);       /* opening quote in, closing one not */
	size_t len = strlen(value), ext = 0;
	const char *dot;

	l->full |= buf_add(&text, "\"", 1) < 0;
	for (size_t at = 0, n; at < len; at += n ? n : 1) {
		uint32_t cp = 0;
		bool good;

		n = utf8_decode(value + at, len - at, &cp);
		good = cp >= ' ' && cp < 127 && !strchr("\"\\/%*'=?", (int)cp);
		l->full |= buf_add(&text, good ? value + at : "_", 1) < 0;
	}
	dot = strrchr(text.data, '.');
	if (dot && strlen(dot) <= EXTENSION_MOST)
		ext = strlen(dot);
	if (text.len > most) {
		memmove(text.data + most - ext, text.data + text.len - ext, ext + 1);
		text.len = most;
	}
	l->full |= buf_add(&text, "\"", 1) < 0;
	put_param(l, name, "", text.data, text.len);
}

static int param_check(const struct header_param *p, struct err *e)
{
	size_t len = strlen(p->value);

	/* "*" would say that the value is in a form of RFC 2231 already */
	if (!is_token(p->name) || strpbrk(p->name, "*'%"))
		return err_set(e, ERR_DATA, "a parameter's name has a character that is not allowed");
	if (strlen(p->name) > PARAM_NAME_MOST)
		return err_set(e, ERR_DATA, "a parameter's name has over %d octets", PARAM_NAME_MOST);
	if (header_check(p->name, p->value, len, e) < 0)
		return -1;
	if (len > PARAM_VALUE_MOST)
		return err_set(e, ERR_DATA, "parameter %s has over %d octets", p->name, PARAM_VALUE_MOST);
	return 0;
}

/* The extended form stands first: readers that know both take the first they meet (Python, GMime). */
static void put_one(struct header_line *l, const struct header_param *p)
{
	size_t len = strlen(p->value);
	bool plain = ascii_only(p->value, len) && find_control(p->value, len) == len &&
		     !strchr(p->value, '\t');

	/* some readers decode encoded words in quoted strings, against RFC 2047 5(3) */
	if (plain && !looks_encoded(p->value, len)) {
		put_ascii(l, p->name, p->value);
		return;
	}
	put_extended(l, p->name, p->value);
	if (!strcasecmp(p->name, "name") || !strcasecmp(p->name, "filename"))
		put_fallback(l, p->name, p->value);
}

int header_params(struct buf *out, const char *name, const char *value,
		  const struct header_param *params, size_t n_params, struct err *e)
{
	size_t len = strlen(value);
	struct header_line l;

	if (header_check(name, value, len, e) < 0)
		return -1;
	if (!len || len > FOLD_AT * 4 || !ascii_only(value, len) || find_control(value, len) < len ||
	    strpbrk(value, ";\""))
		return err_set(e, ERR_DATA, "%s: its value is not a word of this field", name);
	for (size_t i = 0; i < n_params; i++)
		if (param_check(&params[i], e) < 0)
			return -1;
	if (line_begin(&l, out, name, e) < 0)
		return -1;
	line_piece(&l, SPACE, (struct span){ value, len }, n_params > 0);
	for (size_t i = 0; i < n_params; i++)
		put_one(&l, &params[i]);
	return line_end(&l, e);
}

/* Reading. */

/* White space and comments (RFC 5322 3.2.2), nested without recursion. -1: a comment that does not end. */
static int skip_cfws(const char **at)
{
	const char *s = *at;
	unsigned depth = 0;

	for (; *s; s++) {
		if (depth && *s == '\\' && s[1])
			s++;
		else if (*s == '(' && ++depth > COMMENT_DEPTH)
			return -1;
		else if (*s == '(' || (depth && *s != ')'))
			continue;
		else if (*s == ')' && depth)
			depth--;
		else if (!is_blank(*s))
			break;
	}
	*at = s;
	return depth ? -1 : 0;
}

static int read_quoted(const char **at, struct buf *value)
{
	const char *s = *at + 1;

	for (; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		if (buf_add(value, s, 1) < 0)
			return -1;
	}
	if (*s != '"')
		return -1;
	*at = s + 1;
	return 0;
}

/*
 * One parameter at the ";" where *at stands; 1, 0 at the end of the field, -1 where it is not the grammar. A
 * ";" with nothing behind it is let pass: many programs write it.
 */
static int read_param(const char **at, struct buf *name, struct buf *value)
{
	size_t n;

	buf_reset(name);
	buf_reset(value);
	if (skip_cfws(at) < 0)
		return -1;
	if (!**at)
		return 0;
	if (*(*at)++ != ';' || skip_cfws(at) < 0)
		return -1;
	if (!**at)
		return 0;
	n = token_run(*at);
	if (!n || buf_add(name, *at, n) < 0)
		return -1;
	*at += n;
	if (skip_cfws(at) < 0 || *(*at)++ != '=' || skip_cfws(at) < 0)
		return -1;
	if (**at == '"')
		return read_quoted(at, value) < 0 ? -1 : 1;
	n = token_run(*at);
	if (!n || buf_add(value, *at, n) < 0)
		return -1;
	*at += n;
	return 1;
}

/* "type/subtype" or, for Content-Disposition, one token: malloc in *ret, lower case. */
static int read_main(char **ret, const char **at, bool slash)
{
	size_t n, m = 0;
	const char *s;

	if (skip_cfws(at) < 0)
		return -1;
	s = *at;
	n = token_run(s);
	if (slash && s[n] == '/')
		m = 1 + token_run(s + n + 1);
	if (!n || (slash && m < 2))
		return -1;
	*ret = xmemdup0(s, n + m);
	for (char *c = *ret; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	*at = s + n + m;
	return 0;
}

int media_type_parse(char **ret_type, const char *value, struct err *e)
{
	CLEANUP(buf_clear) struct buf name = BUF_INIT(LINE_MOST), text = BUF_INIT(PARAM_VALUE_MOST);
	CLEANUP(freep) char *type = NULL;
	const char *at = value;
	size_t count = 0;
	int r;

	if (header_check("a media type", value, strlen(value), e) < 0)
		return -1;
	if (find_control(value, strlen(value)) < strlen(value))
		return err_set(e, ERR_DATA, "a media type has a control character at octet %zu",
			       find_control(value, strlen(value)));
	if (read_main(&type, &at, true) < 0)
		return err_set(e, ERR_DATA, "a media type is \"type/subtype\", as in text/plain");
	while ((r = read_param(&at, &name, &text)) > 0)
		if (++count > PARAMS_MOST)
			return err_set(e, ERR_DATA, "a media type has over %d parameters", PARAMS_MOST);
	if (r < 0)
		return err_set(e, ERR_DATA, "behind \"%s\" at octet %zu: not \"; name=value\"", type,
			       (size_t)(at - value));
	*ret_type = type;
	type = NULL;
	return 0;
}

char *media_type_param(const char *value, const char *name)
{
	CLEANUP(buf_clear) struct buf found = BUF_INIT(LINE_MOST), text = BUF_INIT(PARAM_VALUE_MOST);
	CLEANUP(freep) char *type = NULL;
	const char *at = value;

	if (read_main(&type, &at, true) < 0)
		return NULL;
	while (read_param(&at, &found, &text) > 0)
		if (!strcasecmp(found.data, name))
			return buf_take(&text, NULL);
	return NULL;
}

static void params_free(struct header_param *params, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)params[i].name);
		free((char *)params[i].value);
	}
	free(params);
}

static int read_params(struct header_param **ret, size_t *ret_n, const char *field, const char *at,
		       struct err *e)
{
	CLEANUP(buf_clear) struct buf name = BUF_INIT(LINE_MOST), text = BUF_INIT(PARAM_VALUE_MOST);
	struct header_param *params = NULL;
	size_t n = 0;
	int r;

	while ((r = read_param(&at, &name, &text)) > 0 && n < PARAMS_MOST) {
		params = xreallocarray(params, n + 1, sizeof(*params));
		params[n++] = (struct header_param){
			.name = xmemdup0(name.data, name.len), .value = xmemdup0(text.data, text.len),
		};
	}
	if (r) {
		params_free(params, n);
		return err_set(e, ERR_DATA, "%s: its parameters are not \"; name=value\"", field);
	}
	*ret = params;
	*ret_n = n;
	return 0;
}

int params_rewrite(struct buf *out, const char *name, const char *value, struct err *e)
{
	CLEANUP(freep) char *type = NULL;
	struct header_param *params = NULL;
	const char *at = value;
	size_t n = 0;
	int r;

	if (read_main(&type, &at, !strcasecmp(name, "Content-Type")) < 0)
		return err_set(e, ERR_DATA, "%s: its value does not begin with a %s", name,
			       !strcasecmp(name, "Content-Type") ? "media type" : "token");
	if (read_params(&params, &n, name, at, e) < 0)
		return -1;
	r = header_params(out, name, type, params, n, e);
	params_free(params, n);
	return r;
}
