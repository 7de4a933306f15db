/*
 * Mailboxes and the words of SMTP; see addr.h.
 *
 * One forward scan. A struct scan is a place in the text; each function below reads one thing of the grammar
 * at that place and leaves the place behind it, or gives the one error. Whether a word begins a display name
 * or is itself the address shows only behind it ('<', ':' or '@'), so that one word may be read twice, never
 * more: the time is linear in the text. Whatever is kept (name, local part, domain) is kept as its meaning;
 * quoting and escaping are made anew by mailbox_wire(), which trusts nothing that a caller put in the struct.
 */

#include "text/addr.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/chars.h"
#include "text/idn.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RFC 5321, 4.5.3.1.1 to 4.5.3.1.3 and RFC 1035, 2.3.4. */
enum {
	LOCAL_MAX = 64,
	DOMAIN_MAX = 255,
	PATH_MAX_OCTETS = 256,          /* with the two brackets */
	LABEL_MAX = 63,
};

/* Ours. */
enum {
	NAME_MAX_OCTETS = 8192,         /* a display name; far over the longest that anyone has shown */
	U_DOMAIN_MAX = 4 * DOMAIN_MAX,  /* as UTF-8, where an A-label has one octet for each character */
	COMMENT_DEPTH_MAX = 100,        /* honest mail has two */
};

struct scan {
	const char *start;              /* of the element; errors count and quote from here */
	const char *at, *end;
	unsigned flags;
	struct err *e;
};

static bool is_high(char c) { return (c & 0x80) != 0; }

/* RFC 5322, 3.2.3 with the UTF8-non-ascii of RFC 6532, 3.2. */
static bool is_utf8_atext(char c)
{
	return is_atext(c) || is_high(c);
}

/* Of a word of a phrase, where dots are taken too. */
static bool is_word_char(char c)
{
	return is_utf8_atext(c) || c == '.';
}

/* Letters, digits, hyphen, and what may be part of a U-label. */
static bool is_label(char c)
{
	return is_letter(c) || is_digit(c) || c == '-' || is_high(c);
}

static bool ended(const struct scan *s) { return s->at == s->end; }
static bool next_is(const struct scan *s, char c) { return !ended(s) && *s->at == c; }

/* The error, with the text around it up to the next separator, and where in that text the scan stands. */
static int fail(const struct scan *s, const char *why)
{
	char shown[120];
	const char *stop = s->at;

	while (stop < s->end && stop - s->at < 60 && *stop != ',' && *stop != ';')
		stop++;
	stop += stop == s->start && stop < s->end;      /* the separator itself, rather than nothing */
	if (stop == s->start)
		return err_set(s->e, ERR_DATA, "address: %s", why);
	utf8_escape(shown, sizeof(shown), s->start, (size_t)(stop - s->start));
	return err_set(s->e, ERR_DATA, "address '%s': %s (offset %zu)", shown, why,
		       (size_t)(s->at - s->start));
}

/* The thing at the place cannot stand there. */
static int fail_unexpected(const struct scan *s)
{
	char shown[24], why[64];
	uint32_t cp;
	size_t n;

	if (ended(s))
		return fail(s, "it ends too early");
	n = utf8_decode(s->at, (size_t)(s->end - s->at), &cp);
	utf8_escape(shown, sizeof(shown), s->at, n ? n : 1);
	snprintf(why, sizeof(why), "'%s' cannot stand here", shown);
	return fail(s, why);
}

/* A character that may be part of no address and no name, whatever the quoting. */
static bool is_forbidden(uint32_t cp)
{
	return (cp < 0x20 && cp != '\t') || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029;
}

/* Octets of the character at the place, or 0 with the error. */
static size_t text_char(const struct scan *s)
{
	uint32_t cp;
	size_t n = utf8_decode(s->at, (size_t)(s->end - s->at), &cp);

	if (!n)
		fail(s, "not valid UTF-8");
	else if (is_forbidden(cp))
		fail(s, "a control character");
	else
		return n;
	return 0;
}

/* The character at the place goes to @out. */
static int keep_char(struct scan *s, struct buf *out)
{
	size_t n = text_char(s);

	if (!n)
		return -1;
	if (buf_add(out, s->at, n) < 0)
		return fail(s, "too long");
	s->at += n;
	return 0;
}

/* The character at the place, which @is_part takes, and ASCII behind it that it takes too go to @out. */
static int keep_part(struct scan *s, struct buf *out, bool (*is_part)(char c))
{
	size_t most = out->max - out->len, n = 0;

	if (most > (size_t)(s->end - s->at))
		most = (size_t)(s->end - s->at);
	while (n < most && !is_high(s->at[n]) && is_part(s->at[n]))
		n++;
	if (!n || buf_add(out, s->at, n) < 0)
		return keep_char(s, out);
	s->at += n;
	return 0;
}

/* RFC 5322, 3.2.2: a comment, at its '('. Only its depth is remembered. */
static int skip_comment(struct scan *s)
{
	unsigned depth = 0;
	size_t n;

	do {
		if (ended(s))
			return fail(s, "a comment without its ')'");
		if (*s->at == '\\') {
			s->at++;
			if (ended(s))
				return fail(s, "a comment without its ')'");
		} else if (*s->at == '(') {
			if (++depth > COMMENT_DEPTH_MAX)
				return fail(s, "comments nested too deep");
		} else if (*s->at == ')') {
			depth--;
		}
		n = text_char(s);
		if (!n)
			return -1;
		s->at += n;
	} while (depth);
	return 0;
}

/* RFC 5322, 3.2.2: CFWS, or nothing. *ret_any (may be NULL): there was some. */
static int skip_cfws(struct scan *s, bool *ret_any)
{
	const char *from = s->at;

	while (!ended(s)) {
		if (is_blank(*s->at))
			s->at++;
		else if (*s->at != '(')
			break;
		else if (skip_comment(s) < 0)
			return -1;
	}
	if (ret_any)
		*ret_any = s->at != from;
	return 0;
}

/* RFC 5322, 3.2.4: a quoted string at its '"'; what it means goes to @out. */
static int quoted_string(struct scan *s, struct buf *out)
{
	s->at++;
	while (!ended(s) && *s->at != '"') {
		if (*s->at == '\\') {
			s->at++;
			if (ended(s))
				break;
		}
		if (keep_char(s, out) < 0)
			return -1;
	}
	if (ended(s))
		return fail(s, "a quoted string without its closing quote");
	s->at++;
	return 0;
}

/* RFC 5322, 3.2.3: dot-atom-text of what @is_part takes, without white space around its dots. */
static int dotted(struct scan *s, struct buf *out, bool (*is_part)(char c))
{
	bool part_missing = true;

	while (!ended(s) && (*s->at == '.' || is_part(*s->at))) {
		if (*s->at == '.' && part_missing)
			return fail(s, "nothing before the dot");
		part_missing = *s->at == '.';
		if ((part_missing ? keep_char(s, out) : keep_part(s, out, is_part)) < 0)
			return -1;
	}
	if (!part_missing)
		return 0;
	return out->len ? fail(s, "nothing behind the dot") : fail_unexpected(s);
}

/*
 * RFC 5322, 3.2.5: a phrase and the CFWS behind it. Dots are taken in it too (obs-phrase, 4.1), because
 * "John Q. Public" is what people write. One space stands for whatever CFWS was between two words.
 */
static int phrase(struct scan *s, struct buf *out)
{
	bool first = true, gap = false;

	while (!ended(s) && (*s->at == '"' || is_utf8_atext(*s->at) || (*s->at == '.' && !first))) {
		if (gap && buf_adds(out, " ") < 0)
			return fail(s, "a name too long");
		if (*s->at == '"') {
			if (quoted_string(s, out) < 0)
				return -1;
		} else {
			while (!ended(s) && is_word_char(*s->at))
				if (keep_part(s, out, is_word_char) < 0)
					return -1;
		}
		if (skip_cfws(s, &gap) < 0)
			return -1;
		first = false;
	}
	return first ? fail_unexpected(s) : 0;
}

/* Does the local part need no quotes (RFC 5321, 4.1.2: Dot-string)? */
static bool is_dot_string(const char *local)
{
	bool part_missing = true;

	for (; *local; local++) {
		if (*local != '.' && !is_utf8_atext(*local))
			return false;
		if (*local == '.' && part_missing)
			return false;
		part_missing = *local == '.';
	}
	return !part_missing;
}

/* Octets of the local part between quotes. */
static size_t quoted_len(const char *local)
{
	size_t n = 2;

	for (; *local; local++)
		n += 1 + (*local == '"' || *local == '\\');
	return n;
}

/* Octets of the local part on the wire. */
static size_t local_wire_len(const char *local)
{
	return is_dot_string(local) ? strlen(local) : quoted_len(local);
}

/*
 * An address literal with its brackets (RFC 5321, 4.1.3), in its one normal spelling in @out. IPv6 is the
 * only tag that was ever registered. NULL, or what is wrong with it.
 */
static const char *literal_normal(char out[64], const char *text, size_t len)
{
	unsigned char raw[16];
	char inner[64], shown[INET6_ADDRSTRLEN];

	if (len < 2 || text[0] != '[' || text[len - 1] != ']')
		return "an address literal without its ']'";
	if (len - 2 >= sizeof(inner) || memchr(text, '\0', len))
		return "not an address literal";
	memcpy(inner, text + 1, len - 2);
	inner[len - 2] = '\0';
	if (!strncasecmp(inner, "IPv6:", 5)) {
		if (inet_pton(AF_INET6, inner + 5, raw) != 1)
			return "not an IPv6 address literal";
		snprintf(out, 64, "[IPv6:%s]", inet_ntop(AF_INET6, raw, shown, sizeof(shown)));
		return NULL;
	}
	if (inet_pton(AF_INET, inner, raw) == 1) {
		snprintf(out, 64, "[%s]", inet_ntop(AF_INET, raw, shown, sizeof(shown)));
		return NULL;
	}
	return inet_pton(AF_INET6, inner, raw) == 1 ? "an IPv6 address literal is written [IPv6:...]"
						   : "not an address literal";
}

/* U+3002 and its like, which IDNA takes for dots. They would move the boundary of a label behind our back. */
static bool is_idna_dot(uint32_t cp)
{
	return cp == 0x3002 || cp == 0xff0e || cp == 0xff61;
}

/* One label, without its dots. NULL, or what is wrong. */
static const char *label_check(const char *label, size_t len, bool underscore)
{
	uint32_t cp;

	if (!len)
		return "a domain has an empty label";
	if (label[0] == '-' || label[len - 1] == '-')
		return "a label of a domain begins or ends with a hyphen";
	for (size_t at = 0, n; at < len; at += n) {
		n = 1;
		if (!is_high(label[at]) && is_label(label[at]))
			continue;
		n = utf8_decode(label + at, len - at, &cp);
		if (!n)
			return "a domain that is not valid UTF-8";
		if (is_forbidden(cp))
			return "a control character in a domain";
		if (is_idna_dot(cp))
			return "a domain's dots must be ASCII dots";
		if (!is_label(label[at]) && !(underscore && cp == '_'))
			return "a character that no domain can have";
	}
	return len > LABEL_MAX && ascii_only(label, len) ? "a label of a domain is over 63 octets" : NULL;
}

/* A whole name. NULL, or what is wrong with it. @underscore: as hosts, not mail domains, may have it. */
static const char *name_check(const char *name, size_t len, bool underscore)
{
	const char *end = name + len, *dot, *why;

	if (!len)
		return "an empty domain";
	if (len > U_DOMAIN_MAX || (len > DOMAIN_MAX && ascii_only(name, len)))
		return "a domain over 255 octets";
	do {
		dot = memchr(name, '.', (size_t)(end - name));
		why = label_check(name, (size_t)((dot ? dot : end) - name), underscore);
		if (why)
			return why;
		name = dot ? dot + 1 : end;
	} while (dot);
	return NULL;
}

/* *ret (malloc): a name in A-labels, checked before and after IDNA, which maps some characters to others. */
static int name_to_ascii(char **ret, const char *name, size_t len, bool underscore, struct err *e)
{
	CLEANUP(freep) char *ascii = NULL;
	const char *why = name_check(name, len, underscore);

	if (why)
		return err_set(e, ERR_DATA, "%s", why);
	if (ascii_only(name, len)) {
		*ret = xmemdup0(name, len);
		return 0;
	}
	if (idn_to_ascii(&ascii, name, len, e) < 0)
		return -1;
	why = name_check(ascii, strlen(ascii), underscore);
	if (why)
		return err_set(e, ERR_DATA, "%s", why);
	*ret = ascii;
	ascii = NULL;
	return 0;
}

/* The literal's octets up to its ']' go to @out; they are judged by domain(). */
static int literal_text(struct scan *s, struct buf *out)
{
	while (!ended(s)) {
		bool last = *s->at == ']';

		if (keep_char(s, out) < 0)
			return -1;
		if (last)
			return 0;
	}
	return fail(s, "an address literal without its ']'");
}

/* RFC 5322, 3.4.1: a domain as written; CFWS before and behind it. */
static int domain(struct scan *s, char **ret)
{
	char room[U_DOMAIN_MAX + 1], normal[64];
	struct buf text = BUF_IN(room);
	const char *why, *from;
	int r;

	if (skip_cfws(s, NULL) < 0)
		return -1;
	from = s->at;
	r = next_is(s, '[') ? literal_text(s, &text) : dotted(s, &text, is_label);
	if (r == 0) {
		why = text.data[0] == '[' ? literal_normal(normal, text.data, text.len)
					  : name_check(text.data, text.len, false);
		if (why) {
			s->at = from;
			r = fail(s, why);
		}
	}
	if (r == 0)
		r = skip_cfws(s, NULL);
	if (r == 0)
		*ret = xmemdup0(text.data, text.len);
	return r;
}

/* RFC 5322, 3.4.1: a local part as its meaning; CFWS before and behind it. */
static int local_part(struct scan *s, char **ret)
{
	char room[4 * LOCAL_MAX + 1];
	struct buf text = BUF_IN(room);
	const char *from;
	int r;

	if (skip_cfws(s, NULL) < 0)
		return -1;
	from = s->at;
	r = next_is(s, '"') ? quoted_string(s, &text) : dotted(s, &text, is_utf8_atext);
	if (r == 0 && (memchr(text.data, '\t', text.len) || local_wire_len(text.data) > LOCAL_MAX)) {
		s->at = from;
		r = fail(s, memchr(text.data, '\t', text.len) ? "a tab in a local part"
							      : "a local part over 64 octets");
	}
	if (r == 0)
		r = skip_cfws(s, NULL);
	if (r == 0)
		*ret = xmemdup0(text.data, text.len);
	return r;
}

/* A local part stood alone, and behind it is no '@'. */
static int bare_local_check(const struct scan *s, const char *local)
{
	if (!ended(s) && !strchr(",;>", *s->at))
		return fail(s, *s->at == ':' ? "a group cannot stand here" :
			    "an '@' is missing before this (a name goes before \"<address>\")");
	if ((s->flags & ADDR_BARE_LOCAL) || !strcasecmp(local, "postmaster"))
		return 0;
	return fail(s, "it has no '@' and domain");
}

/* RFC 5322, 3.4.1: addr-spec. */
static int addr_spec(struct scan *s, struct mailbox *m)
{
	if (local_part(s, &m->local) < 0)
		return -1;
	if (!next_is(s, '@'))
		return bare_local_check(s, m->local);
	s->at++;
	if (domain(s, &m->domain) < 0)
		return -1;
	if (m->domain[0] != '[' && !ascii_only(m->domain, strlen(m->domain)))
		return 0;
	return local_wire_len(m->local) + strlen(m->domain) > PATH_MAX_OCTETS - 3 ?
		fail(s, "an address over 254 octets") : 0;
}

static void mailbox_set_null(struct mailbox *m)
{
	m->local = xstrdup("");
	m->domain = xstrdup("");
}

/* RFC 5322, 3.4: angle-addr, at its '<', and the CFWS behind it. */
static int angle_addr(struct scan *s, struct mailbox *m)
{
	s->at++;
	if (skip_cfws(s, NULL) < 0)
		return -1;
	if (next_is(s, '@'))
		return fail(s, "a source route (<@host:address>) is not taken");
	if (next_is(s, '>') && (s->flags & ADDR_NULL) && !m->name)
		mailbox_set_null(m);
	else if (next_is(s, '>'))
		return fail(s, "an empty address");
	else if (addr_spec(s, m) < 0)
		return -1;
	if (!next_is(s, '>'))
		return ended(s) ? fail(s, "a '>' is missing") : fail_unexpected(s);
	s->at++;
	return skip_cfws(s, NULL);
}

/* White space of a name is a space; an empty name is none. */
static char *name_take(struct buf *text)
{
	if (!text->len)
		return NULL;
	for (size_t i = 0; i < text->len; i++)
		if (text->data[i] == '\t')
			text->data[i] = ' ';
	return xmemdup0(text->data, text->len);
}

/* Behind a phrase that began at @from: what was it? 1: a mailbox, in @m. 0: a group's name, its ':' taken. */
static int after_phrase(struct scan *s, struct mailbox *m, struct buf *words, const char *from)
{
	if (next_is(s, ':')) {
		s->at++;
		return 0;
	}
	if (next_is(s, '<')) {
		m->name = name_take(words);
		return angle_addr(s, m) < 0 ? -1 : 1;
	}
	s->at = from;
	return addr_spec(s, m) < 0 ? -1 : 1;
}

/*
 * RFC 5322, 3.4: an address, at its first word. 1: a mailbox, *ret filled. 0: a group begins, its name in
 * *ret.
 */
static int element(struct scan *s, struct mailbox *ret)
{
	char room[NAME_MAX_OCTETS + 1];
	struct buf words = BUF_IN(room);
	struct mailbox m = { 0 };
	const char *from = s->at;
	int r;

	if (next_is(s, '<'))
		r = angle_addr(s, &m) < 0 ? -1 : 1;
	else
		r = phrase(s, &words) < 0 ? -1 : after_phrase(s, &m, &words, from);
	if (r == 0)
		m.name = name_take(&words);
	if (r >= 0)
		*ret = m;
	else
		mailbox_clear(&m);
	return r;
}

int mailbox_parse(struct mailbox *ret, const char *text, size_t len, unsigned flags, struct err *e)
{
	struct scan s = { .start = text, .at = text, .end = text + len, .flags = flags, .e = e };
	struct mailbox m = { 0 };
	int r;

	if (skip_cfws(&s, NULL) < 0)
		return -1;
	if (ended(&s)) {
		if (!(flags & ADDR_NULL))
			return fail(&s, "it is empty");
		mailbox_set_null(&m);
		*ret = m;
		return 0;
	}
	r = element(&s, &m);
	if (r == 0)
		r = fail(&s, "a group where one address is wanted");
	if (r == 1 && !ended(&s))
		r = fail(&s, *s.at == ',' ? "more than one address where one is wanted"
					  : "something stands behind the address");
	if (r < 0) {
		mailbox_clear(&m);
		return -1;
	}
	*ret = m;
	return 0;
}

/* A ',' or ';' between elements, at the place. */
static int separator(struct scan *s, struct addr_cursor *c)
{
	if (*s->at == ';') {
		if (!c->in_group)
			return fail(s, "addresses are separated by commas");
		c->in_group = false;
		c->after_element = true;
	} else {
		c->after_element = false;
	}
	s->at++;
	return 0;
}

/* Behind a group's ':', its name in @m. 0: nobody wants to know. */
static int group_begins(const struct scan *s, struct addr_cursor *c, struct mailbox *m)
{
	bool inside = c->in_group;

	c->in_group = true;
	c->after_element = false;
	if (!inside && (s->flags & ADDR_GROUPS))
		return ADDR_GROUP;
	mailbox_clear(m);
	return inside ? fail(s, "a group inside a group") : 0;
}

int mailbox_list_next(struct addr_cursor *cursor, struct mailbox *ret, unsigned flags, struct err *e)
{
	struct scan s = { .start = cursor->at, .at = cursor->at, .end = cursor->end, .flags = flags, .e = e };
	int r = 0;

	while (r == 0) {
		if (skip_cfws(&s, NULL) < 0)
			return -1;
		cursor->at = s.start = s.at;
		if (ended(&s))
			return cursor->in_group ? fail(&s, "a ':' begins a group without its ';'") : 0;
		if (*s.at == ',' || *s.at == ';') {
			bool closes = *s.at == ';';

			if (separator(&s, cursor) < 0)
				return -1;
			r = closes && (flags & ADDR_GROUPS) ? ADDR_GROUP_END : 0;
			continue;
		}
		if (cursor->after_element)
			return fail(&s, "a comma is missing before this");
		r = element(&s, ret);
		if (r == 0)
			r = group_begins(&s, cursor, ret);
		else
			cursor->after_element = r == ADDR_MAILBOX;
	}
	if (r > 0)
		cursor->at = s.at;
	return r;
}

/* The local part as SMTP has it (RFC 5321, 4.1.2; RFC 6531, 3.3): only printable characters and spaces. */
static int local_wire(const char *local, struct buf *out, struct err *e)
{
	bool plain = is_dot_string(local);
	size_t len = strlen(local);
	uint32_t cp;

	if ((plain ? len : quoted_len(local)) > LOCAL_MAX)
		return err_set(e, ERR_DATA, "a local part over 64 octets");
	for (size_t at = printable_run(local, len), n; at < len; at += n) {
		n = utf8_decode(local + at, len - at, &cp);
		if (!n)
			return err_set(e, ERR_DATA, "a local part that is not valid UTF-8");
		if (is_forbidden(cp) || cp == '\t')
			return err_set(e, ERR_DATA, "a control character in a local part");
	}
	if (plain)
		return buf_add(out, local, len);
	if (buf_adds(out, "\"") < 0)
		return -1;
	for (; *local; local++) {
		bool escape = *local == '"' || *local == '\\';

		if ((escape && buf_adds(out, "\\") < 0) || buf_add(out, local, 1) < 0)
			return -1;
	}
	return buf_adds(out, "\"");
}

/* The domain as SMTP has it. */
static int domain_wire(const char *text, struct buf *out, struct err *e)
{
	CLEANUP(freep) char *ascii = NULL;
	size_t len = strlen(text);
	char normal[64];
	const char *why;

	if (text[0] != '[' && ascii_only(text, len)) {
		why = name_check(text, len, false);
		return why ? err_set(e, ERR_DATA, "%s", why) : buf_add(out, text, len);
	}
	if (text[0] != '[') {
		if (name_to_ascii(&ascii, text, len, false, e) < 0)
			return -1;
		return buf_adds(out, ascii);
	}
	why = literal_normal(normal, text, len);
	return why ? err_set(e, ERR_DATA, "%s", why) : buf_adds(out, normal);
}

/* Say which address it was. */
static int wire_fail(const struct mailbox *m, struct err *e)
{
	char local[96], right[160];

	utf8_escape(local, sizeof(local), m->local, strlen(m->local));
	utf8_escape(right, sizeof(right), m->domain ? m->domain : "", m->domain ? strlen(m->domain) : 0);
	return err_wrap(e, "address '%s%s%s'", local, m->domain ? "@" : "", right);
}

int mailbox_wire(const struct mailbox *m, struct buf *out, bool *ret_eai, struct err *e)
{
	/* The longest of each: one that passes fits. */
	char room[LOCAL_MAX + 1 + DOMAIN_MAX + 1];
	struct buf path = BUF_IN(room);
	int r = 0;

	if (m->domain && !*m->domain && !*m->local) {
		*ret_eai = false;
		return 0;
	}
	if (local_wire(m->local, &path, e) < 0 ||
	    (m->domain && (buf_adds(&path, "@") < 0 || domain_wire(m->domain, &path, e) < 0)))
		r = wire_fail(m, e);
	else if (path.len > PATH_MAX_OCTETS - 2) {
		err_set(e, ERR_DATA, "over 254 octets");
		r = wire_fail(m, e);
	} else if (buf_add(out, path.data, path.len) < 0)
		r = err_set(e, ERR_DATA, "too many addresses");
	else
		*ret_eai = !ascii_only(m->local, strlen(m->local));
	return r;
}

/* Where the domain of a wire address begins: its '@', or the end. A quoted local part may hold others. */
static const char *wire_at(const char *wire)
{
	if (*wire == '"') {
		for (wire++; *wire && *wire != '"'; wire++)
			if (*wire == '\\' && wire[1])
				wire++;
	}
	return wire + strcspn(wire, "@");
}

/* strcasecmp() in no locale. */
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

bool addr_same(const char *a, const char *b)
{
	const char *a_at = wire_at(a), *b_at = wire_at(b);

	if (a_at - a != b_at - b || memcmp(a, b, (size_t)(a_at - a)))
		return false;
	while (*a_at && lower(*a_at) == lower(*b_at)) {
		a_at++;
		b_at++;
	}
	return lower(*a_at) == lower(*b_at);
}

/* FNV-1a, 64 bit, and a last mixing so that the low bits alone can be used. */
uint64_t addr_hash(const char *wire)
{
	const char *at = wire_at(wire);
	uint64_t h = 14695981039346656037u;

	for (; *wire; wire++) {
		h ^= (unsigned char)(wire < at ? *wire : lower(*wire));
		h *= 1099511628211u;
	}
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	return h ^ h >> 33;
}

void mailbox_clear(struct mailbox *m)
{
	free(m->name);
	free(m->local);
	free(m->domain);
	*m = (struct mailbox){ 0 };
}

/* Say which word it was. */
static int word_fail(const char *what, const char *text, size_t len, struct err *e)
{
	char shown[96];

	utf8_escape(shown, sizeof(shown), text, len);
	return err_wrap(e, "%s '%s'", what, shown);
}

/* An IP address, with brackets around IPv6 taken off; its family, or 0: it is none. */
static int ip_read(unsigned char raw[16], const char *text, size_t len)
{
	bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	int family;
	char inner[64];

	if (brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(inner) || memchr(text, '\0', len))
		return 0;
	memcpy(inner, text, len);
	inner[len] = '\0';
	family = strchr(inner, ':') ? AF_INET6 : AF_INET;
	if (family == AF_INET && brackets)
		return 0;
	return inet_pton(family, inner, raw) == 1 ? family : 0;
}

/* *ret is the address in its normal spelling. */
static bool ip_parse(char **ret, const char *text, size_t len)
{
	char shown[INET6_ADDRSTRLEN];
	unsigned char raw[16];
	int family = ip_read(raw, text, len);

	if (family == AF_INET)
		*ret = xmemdup0(text, len);     /* inet_pton() takes no other */
	else if (family)
		*ret = xstrdup(inet_ntop(family, raw, shown, sizeof(shown)));
	return family;
}

/*
 * Is the last label a number, decimal or 0x...? Resolvers read "127.1", "0x7f000001" or "2130706433" as IPv4
 * addresses in spellings that no check of ours would recognise as what they are.
 */
static bool ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;

	if (last[strspn(last, "0123456789")] == '\0')
		return true;
	return last[0] == '0' && lower(last[1]) == 'x' &&
	       !last[2 + strspn(last + 2, "0123456789abcdefABCDEF")];
}

int host_parse(char **ret, const char *text, size_t len, struct err *e)
{
	char *name;

	if (!len)
		return err_set(e, ERR_DATA, "the host's name is empty");
	if (ip_parse(ret, text, len))
		return 0;
	if (name_to_ascii(&name, text, len, true, e) < 0)
		return word_fail("host", text, len, e);
	if (ends_in_number(name)) {
		free(name);
		err_set(e, ERR_DATA, "neither a name nor an IP address");
		return word_fail("host", text, len, e);
	}
	*ret = name;
	return 0;
}

int helo_parse(char **ret, const char *text, size_t len, struct err *e)
{
	char normal[64], *name = NULL;
	const char *why;

	if (len && text[0] == '[') {
		why = literal_normal(normal, text, len);
		if (why) {
			err_set(e, ERR_DATA, "%s", why);
			return word_fail("EHLO name", text, len, e);
		}
		*ret = xstrdup(normal);
		return 0;
	}
	if (name_to_ascii(&name, text, len, false, e) < 0)
		return word_fail("EHLO name", text, len, e);
	*ret = name;
	return 0;
}

int xtext_add(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool plain = c >= '!' && c <= '~' && c != '+' && c != '=';
		int r = plain ? buf_add(out, s + i, 1) : buf_addf(out, "+%02X", c);

		if (r < 0)
			return -1;
	}
	return 0;
}

bool host_is_loopback(const char *host)
{
	static const unsigned char one[16] = { [15] = 1 }, mapped[13] = { [10] = 0xff, 0xff, 127 };
	unsigned char raw[16];
	int family;

	if (!strcasecmp(host, "localhost"))
		return true;
	family = ip_read(raw, host, strlen(host));
	if (family == AF_INET)
		return raw[0] == 127;
	return family && (!memcmp(raw, one, sizeof(one)) || !memcmp(raw, mapped, sizeof(mapped)));
}
