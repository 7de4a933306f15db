/*
 * Header fields from text. A value is cut into words at white space; words
 * that ASCII cannot carry become encoded words, neighbours among them
 * together with the white space between (which readers drop between encoded
 * words). Everything else passes octet for octet. One pass, linear time.
 */

#include "text/header.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "text/addr.h"
#include "text/line.h"
#include "text/param.h"

#include <string.h>
#include <strings.h>

static const struct { const char *name; enum field_kind kind; } registry[] = {
	/* RFC 5322 3.6.2, 3.6.3, 3.6.6; RFC 8098 2.1; the rest by usage */
	{ "From", FIELD_ADDRESSES }, { "Sender", FIELD_ADDRESSES }, { "Reply-To", FIELD_ADDRESSES },
	{ "To", FIELD_ADDRESSES }, { "Cc", FIELD_ADDRESSES }, { "Bcc", FIELD_ADDRESSES },
	{ "Resent-From", FIELD_ADDRESSES }, { "Resent-Sender", FIELD_ADDRESSES },
	{ "Resent-To", FIELD_ADDRESSES },
	{ "Resent-Cc", FIELD_ADDRESSES }, { "Resent-Bcc", FIELD_ADDRESSES },
	{ "Resent-Reply-To", FIELD_ADDRESSES },
	{ "Disposition-Notification-To", FIELD_ADDRESSES }, { "Return-Receipt-To", FIELD_ADDRESSES },
	{ "Errors-To", FIELD_ADDRESSES }, { "Apparently-To", FIELD_ADDRESSES },
	{ "Delivered-To", FIELD_ADDRESSES },
	{ "Mail-Followup-To", FIELD_ADDRESSES }, { "Mail-Reply-To", FIELD_ADDRESSES },
	/* RFC 2045 section 5, RFC 2183 */
	{ "Content-Type", FIELD_PARAMETERS }, { "Content-Disposition", FIELD_PARAMETERS },
	/* RFC 5322 3.6.1, 3.6.4, 3.6.7 */
	{ "Date", FIELD_TOKEN }, { "Resent-Date", FIELD_TOKEN }, { "Message-ID", FIELD_TOKEN },
	{ "Resent-Message-ID", FIELD_TOKEN }, { "In-Reply-To", FIELD_TOKEN }, { "References", FIELD_TOKEN },
	{ "Return-Path", FIELD_TOKEN }, { "Received", FIELD_TOKEN },
	/* RFC 2045 4, 6, 7; RFC 1864; RFC 2557; RFC 3282; RFC 2424 */
	{ "MIME-Version", FIELD_TOKEN }, { "Content-Transfer-Encoding", FIELD_TOKEN },
	{ "Content-ID", FIELD_TOKEN },
	{ "Content-MD5", FIELD_TOKEN }, { "Content-Location", FIELD_TOKEN }, { "Content-Base", FIELD_TOKEN },
	{ "Content-Language", FIELD_TOKEN }, { "Content-Duration", FIELD_TOKEN },
	{ "Accept-Language", FIELD_TOKEN },
	/* RFC 2369, RFC 8058: URLs; RFC 3834; RFC 6376, 8601, 8617; RFC 4021's words */
	{ "List-Help", FIELD_TOKEN }, { "List-Unsubscribe", FIELD_TOKEN }, { "List-Subscribe", FIELD_TOKEN },
	{ "List-Post", FIELD_TOKEN }, { "List-Owner", FIELD_TOKEN }, { "List-Archive", FIELD_TOKEN },
	{ "List-Unsubscribe-Post", FIELD_TOKEN }, { "Auto-Submitted", FIELD_TOKEN },
	{ "DKIM-Signature", FIELD_TOKEN },
	{ "Authentication-Results", FIELD_TOKEN }, { "ARC-Seal", FIELD_TOKEN },
	{ "ARC-Message-Signature", FIELD_TOKEN }, { "ARC-Authentication-Results", FIELD_TOKEN },
	{ "Importance", FIELD_TOKEN }, { "Priority", FIELD_TOKEN }, { "Sensitivity", FIELD_TOKEN },
	{ "Expires", FIELD_TOKEN }, { "Autocrypt", FIELD_TOKEN },
};

enum field_kind field_kind(const char *name)
{
	/* the first letter tells most of them apart, and is cheap to ask; case is a bit of it */
	for (size_t i = 0; i < ARRAY_SIZE(registry); i++)
		if (!((registry[i].name[0] ^ name[0]) & ~0x20) && !strcasecmp(registry[i].name, name))
			return registry[i].kind;
	return FIELD_UNSTRUCTURED;
}

int field_name_check(const char *name, size_t len, struct err *e)
{
	enum { NAME_MOST = 76 };        /* so that "Name: " leaves the first line room for a fold */

	if (!len)
		return err_set(e, ERR_DATA, "a header field's name is empty");
	if (len > NAME_MOST)
		return err_set(e, ERR_DATA, "a header field's name has %zu octets; %d are allowed", len,
			       NAME_MOST);
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			return err_set(e, ERR_DATA, "a header field's name cannot have the octet at %zu", i);
	return 0;
}

static size_t blank_run(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && is_blank(s[n]))
		n++;
	return n;
}

/*
 * The next place to fold behind: white space and a word. Never between a backslash and a blank, which may be
 * one quoted-pair (RFC 5322 3.2.1).
 */
static void next_piece(const char *at, const char *end, struct span *space, struct span *word)
{
	*space = (struct span){ at, blank_run(at, (size_t)(end - at)) };
	at += space->len;
	word->at = at;
	while (at < end && !(is_blank(*at) && at[-1] != '\\'))
		at++;
	word->len = (size_t)(at - word->at);
}

/* Every piece of an ASCII value fits on a line of 998. */
static bool raw_fits(const char *name, const char *value, size_t len)
{
	const char *at = value, *end = value + len;
	size_t before = strlen(name) + 2;       /* "Name: " */
	struct span space, word;

	while (at < end) {
		next_piece(at, end, &space, &word);
		if (word.len && before + space.len + word.len > LINE_MOST)
			return false;
		before = 0;
		at = word.at + word.len;
	}
	return true;
}

/* An ASCII value octet for octet. White space at its end stays on the last line, if it has room. */
static int put_raw(struct buf *out, const char *name, struct span value, struct err *e)
{
	const char *at = value.at, *end = value.at + value.len;
	struct span space, word;
	struct header_line l;

	if (line_begin(&l, out, name, e) < 0)
		return -1;
	if (blank_run(value.at, value.len) == value.len)
		return line_end(&l, e);
	line_put(&l, " ", 1);
	l.content = false;
	while (at < end) {
		next_piece(at, end, &space, &word);
		if (word.len)
			line_piece(&l, space, word, 0);
		else if (l.column + space.len <= LINE_MOST)
			line_put(&l, space.at, space.len);
		at = word.at + word.len;
	}
	return line_end(&l, e);
}

/*
 * Words to be encoded. In a text that must read back as itself (@exact) these are also words that look
 * encoded, and words beside white space at the value's ends, which readers trim.
 */
struct words { struct span value; bool exact; };

static bool word_needs(const struct words *w, struct span space, struct span word)
{
	enum { LITERAL_MOST = 800 };    /* with a name and white space before it still under 998 */
	const char *end = w->value.at + w->value.len, *behind = word.at + word.len;
	bool first = space.at == w->value.at;
	size_t after = blank_run(behind, (size_t)(end - behind));

	if (word.len > LITERAL_MOST || !ascii_only(word.at, word.len) ||
	    find_control(word.at, word.len) < word.len)
		return true;
	if (w->exact && looks_encoded(word.at, word.len))
		return true;
	if (w->exact && ((first && space.len) || (after && behind + after == end)))
		return true;
	return (!first && space.len > SPACE_MOST) || (after > SPACE_MOST && behind + after < end);
}

static struct span word_at(struct span space, const char *end)
{
	const char *at = space.at + space.len;

	while (at < end && !is_blank(*at))
		at++;
	return (struct span){ space.at + space.len, (size_t)(at - space.at) - space.len };
}

/* The end of the run of words to be encoded that begins with @word. *behind: where the words go on. */
static const char *run_end(const struct words *w, struct span word)
{
	const char *end = w->value.at + w->value.len, *last = word.at + word.len;

	for (;;) {
		struct span space = { last, blank_run(last, (size_t)(end - last)) };

		word = word_at(space, end);
		if (!word.len)
			return w->exact ? end : last;
		if (!word_needs(w, space, word))
			return last;
		last = word.at + word.len;
	}
}

/* A literal that a reader takes for an encoded word; white space between it and one of ours would be lost. */
static bool is_encoded_word(struct span word)
{
	return word.len > 8 && !memcmp(word.at, "=?", 2) && !memcmp(word.at + word.len - 2, "?=", 2);
}

/* Between the colon and the first word: a blank, and the value's own white space if that is not encoded. */
static struct span first_gap(struct header_line *l, const struct words *w, struct span space)
{
	if (w->exact || !space.len || space.len > SPACE_MOST)
		return SPACE;
	line_put(l, " ", 1);
	l->content = false;
	return space;
}

static void put_words(struct header_line *l, const struct words *w)
{
	const char *at = w->value.at, *end = at + w->value.len;
	bool behind_encoded = false;    /* an encoded word that is not ours stands before */

	while (at < end) {
		struct span space = { at, blank_run(at, (size_t)(end - at)) };
		struct span word = word_at(space, end);
		bool first = at == w->value.at;
		struct span gap = space, text;

		if (!word.len && !(w->exact && first)) {
			if (space.len <= SPACE_MOST)
				line_put(l, space.at, space.len);
			return;
		}
		if (first)
			gap = first_gap(l, w, space);
		if (word.len && !word_needs(w, space, word)) {
			line_piece(l, gap, word, 0);
			behind_encoded = is_encoded_word(word);
			at = word.at + word.len;
			continue;
		}
		text.at = first && w->exact ? space.at : word.at;
		at = word.len ? run_end(w, word) : end;
		if (behind_encoded) {
			text.at = space.at;
			gap = SPACE;
		}
		text.len = (size_t)(at - text.at);
		if (text.len && at < end && !w->exact) {
			/* the same on the other side */
			struct span next = { at, blank_run(at, (size_t)(end - at)) };

			if (is_encoded_word(word_at(next, end))) {
				text.len += next.len;
				at += next.len - 1;     /* one blank stays as the separator */
			}
		}
		line_encoded(l, gap, text);
		behind_encoded = false;
	}
}

static int put_unstructured(struct buf *out, const char *name, struct span value, bool exact, struct err *e)
{
	struct words w = { .value = value, .exact = exact };
	struct header_line l;

	if (line_begin(&l, out, name, e) < 0)
		return -1;
	put_words(&l, &w);
	return line_end(&l, e);
}

/*
 * What most fields are: printable ASCII, for which one line has room and nothing is to be decided. False:
 * nothing was put.
 */
static bool put_short(struct buf *out, const char *name, struct span value)
{
	size_t len = strlen(name);

	if (len + 2 + value.len > FOLD_AT || printable_run(value.at, value.len) < value.len ||
	    blank_run(value.at, value.len) == value.len || buf_reserve(out, len + 2 + value.len + 2) < 0)
		return false;
	return buf_add(out, name, len) == 0 && buf_add(out, ": ", 2) == 0 &&
	       buf_add(out, value.at, value.len) == 0 && buf_add(out, "\r\n", 2) == 0;
}

int header_text(struct buf *out, const char *name, const char *utf8, struct err *e)
{
	struct span v = { utf8, strlen(utf8) };

	if (field_name_check(name, strlen(name), e) < 0)
		return -1;
	if (!looks_encoded(utf8, v.len) && !(v.len && (is_blank(utf8[0]) || is_blank(utf8[v.len - 1]))) &&
	    put_short(out, name, v))
		return 0;
	if (header_check(name, utf8, v.len, e) < 0)
		return -1;
	if (ascii_only(utf8, v.len) && find_control(utf8, v.len) == v.len && !looks_encoded(utf8, v.len) &&
	    !(v.len && (is_blank(utf8[0]) || is_blank(utf8[v.len - 1]))) && raw_fits(name, utf8, v.len))
		return put_raw(out, name, v, e);
	return put_unstructured(out, name, v, true, e);
}

/* Address fields. */

/* Atoms with one blank between, none longer than a line takes. */
static bool is_atoms(const char *s)
{
	size_t run = 0;

	for (; *s; s++) {
		if (*s == ' ' ? !run : !is_atext(*s))
			return false;
		run = *s == ' ' ? 0 : run + 1;
		if (run > FOLD_AT - 2)
			return false;
	}
	return run;
}

/* @name as a quoted-string of at most @cap octets; 0 where it is longer. */
static size_t quote(char *out, size_t cap, const char *name)
{
	size_t n = 0;

	out[n++] = '"';
	for (; *name; name++) {
		if (n + 3 > cap)
			return 0;
		if (*name == '"' || *name == '\\')
			out[n++] = '\\';
		out[n++] = *name;
	}
	out[n++] = '"';
	return n;
}

static void put_atoms(struct header_line *l, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, " ");

		line_piece(l, SPACE, (struct span){ name, n }, 1);      /* a group's ':' may follow */
		name += n + (name[n] == ' ');
	}
}

/*
 * A display name: atoms, a quoted string that fits on one line, else encoded words. With @pass what looks
 * like an encoded word is one, and goes as atoms.
 */
static void put_phrase(struct header_line *l, const char *name, bool pass)
{
	size_t len = strlen(name), n;
	char quoted[FOLD_AT - 1];

	if (printable_run(name, len) == len && (pass || !looks_encoded(name, len))) {
		/* a first word that passes the limit behind the field's name could not be folded */
		size_t most = FOLD_AT - 2 - (l->content ? 0 : l->column);

		if (is_atoms(name) && strcspn(name, " ") <= most) {
			put_atoms(l, name);
			return;
		}
		n = quote(quoted, sizeof(quoted), name);
		if (n && n <= most) {
			line_piece(l, SPACE, (struct span){ quoted, n }, 0);
			return;
		}
	}
	line_encoded(l, SPACE, (struct span){ name, len });
}

static int addresses_add(struct header_addresses *h, const struct mailbox *m, bool pass, bool *ret_eai,
			 struct err *e)
{
	char room[LINE_MOST / 2 + 1];
	struct buf addr = BUF_IN(room);
	bool named = m->name && *m->name;

	if (named && header_check("a display name", m->name, strlen(m->name), e) < 0)
		return -1;
	if (named && buf_adds(&addr, "<") < 0)
		return err_set(e, ERR_DATA, "an address is too long");
	if (mailbox_wire(m, &addr, ret_eai, e) < 0)
		return -1;
	if (addr.len == named)
		return err_set(e, ERR_DATA, "an address in a header field is empty");
	if (header_check("an address", addr.data, addr.len, e) < 0)
		return -1;
	if (named && buf_adds(&addr, ">") < 0)
		return err_set(e, ERR_DATA, "an address is too long");
	if (h->any)
		line_put(&h->line, ",", 1);
	if (named)
		put_phrase(&h->line, m->name, pass);
	line_piece(&h->line, SPACE, (struct span){ addr.data, addr.len }, 1);
	h->any = true;
	return 0;
}

int header_addresses_begin(struct header_addresses *h, struct buf *out, const char *name, struct err *e)
{
	h->any = false;
	return line_begin(&h->line, out, name, e);
}

int header_addresses_add(struct header_addresses *h, const struct mailbox *m, bool *ret_eai, struct err *e)
{
	bool eai = false;

	if (addresses_add(h, m, false, &eai, e) < 0) {
		line_undo(&h->line);
		return -1;
	}
	*ret_eai |= eai;
	return 0;
}

int header_addresses_end(struct header_addresses *h, struct err *e)
{
	if (!h->any) {
		line_undo(&h->line);
		return 0;
	}
	return line_end(&h->line, e);
}

/* "name:", and the members behind it. A name that looks encoded is. */
static int group_begin(struct header_addresses *h, const char *name, struct err *e)
{
	if (header_check("a group's name", name, strlen(name), e) < 0)
		return -1;
	if (h->any)
		line_put(&h->line, ",", 1);
	put_phrase(&h->line, name, true);
	line_put(&h->line, ":", 1);
	h->any = false;
	return 0;
}

static void group_end(struct header_addresses *h)
{
	line_put(&h->line, ";", 1);
	h->any = true;
}

static int put_address(struct header_addresses *h, int found, const struct mailbox *m, struct err *e)
{
	bool eai = false;

	if (found == ADDR_MAILBOX)
		return addresses_add(h, m, true, &eai, e);
	if (found == ADDR_GROUP)
		return group_begin(h, m->name ? m->name : "", e);
	group_end(h);
	return 0;
}

/* A custom address field that is not ASCII: read, and written again with the names in it encoded. */
static int put_addresses(struct buf *out, const char *name, struct span value, struct err *e)
{
	struct addr_cursor cursor = { .at = value.at, .end = value.at + value.len };
	struct header_addresses h;
	struct mailbox m = {0};
	int r;

	if (header_addresses_begin(&h, out, name, e) < 0)
		return -1;
	while ((r = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL | ADDR_GROUPS, e)) > 0) {
		r = put_address(&h, r, &m, e);
		mailbox_clear(&m);
		if (r < 0)
			break;
	}
	if (!r && !h.any)
		r = err_set(e, ERR_DATA, "%s has no address", name);
	if (r < 0) {
		line_undo(&h.line);
		return -1;
	}
	return header_addresses_end(&h, e);
}

int header_raw(struct buf *out, const char *name, const char *utf8, struct err *e)
{
	struct span v = { utf8, strlen(utf8) };
	enum field_kind kind;
	bool ascii, fits;

	if (field_name_check(name, strlen(name), e) < 0)
		return -1;
	if (put_short(out, name, v))
		return 0;
	if (header_check(name, utf8, v.len, e) < 0)
		return -1;
	kind = field_kind(name);
	ascii = ascii_only(utf8, v.len);
	if (kind != FIELD_UNSTRUCTURED && find_control(utf8, v.len) < v.len)
		return err_set(e, ERR_DATA, "%s has a control character at octet %zu", name,
			       find_control(utf8, v.len));
	fits = raw_fits(name, utf8, v.len);
	if (ascii && fits && find_control(utf8, v.len) == v.len)
		return put_raw(out, name, v, e);
	if (kind == FIELD_UNSTRUCTURED)
		return put_unstructured(out, name, v, false, e);
	if (ascii)
		return err_set(e, ERR_DATA, "%s cannot be folded to lines of %d octets", name, LINE_MOST);
	if (kind == FIELD_ADDRESSES)
		return put_addresses(out, name, v, e);
	if (kind == FIELD_PARAMETERS)
		return params_rewrite(out, name, utf8, e);
	return err_set(e, ERR_DATA, "%s takes only ASCII", name);
}
