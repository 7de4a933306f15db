/*
 * The replies of RFC 5321 4.2, read octet by octet and judged as early as an octet can be judged: what is not
 * SMTP is told from what is slow, at once and not after a timeout. And the keywords of an EHLO or LHLO reply.
 *
 * Lenient where real servers are and where it does no harm: LF as line end, blank lines before a reply, a
 * reply of three digits and nothing else. Strict everywhere else: two codes in one reply are two meanings.
 */

#include "net/capabilities.h"

#include "base/ascii.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	REPLY_OCTETS_MAX = 1 << 20, /* a reply that is longer is not one: no server has that much to say */
	REPLY_LINES_MAX = 4096,
};

static char to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void capabilities_init(struct capabilities *c)
{
	*c = (struct capabilities){ 0 };
}

/* The next word of [*at, end), without the spaces and tabs around it. False: there is none. */
static bool next_word(const char **at, const char *end, const char **word, size_t *len)
{
	const char *p = *at;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	*word = p;
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	*len = (size_t)(p - *word);
	*at = p;
	return *len > 0;
}

static bool word_is(const char *word, size_t len, const char *want)
{
	return len == strlen(want) && strncasecmp(word, want, len) == 0;
}

/* Decimal, all of the word, or -1: not a number, or more than 64 bits. */
static int number(uint64_t *ret, const char *word, size_t len)
{
	uint64_t n = 0;

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(word[i]) || n > (UINT64_MAX - (uint64_t)(word[i] - '0')) / 10)
			return -1;
		n = n * 10 + (uint64_t)(word[i] - '0');
	}
	*ret = n;
	return 0;
}

static void size_heard(struct capabilities *c, const char *at, const char *end)
{
	const char *word;
	size_t len;
	uint64_t n;

	c->size = true;
	/* RFC 1870 4: no number or 0 both mean that no limit is told. */
	if (next_word(&at, end, &word, &len) && number(&n, word, len) == 0)
		c->size_limit = n;
}

static bool has_word(const char *list, const char *word, size_t len)
{
	const char *at = list, *end = list + strlen(list), *item;
	size_t item_len;

	while (next_word(&at, end, &item, &item_len))
		if (item_len == len && strncasecmp(item, word, len) == 0)
			return true;
	return false;
}

/* RFC 4954 4: several lines of mechanisms add up; what has no room is as if it had not been offered. */
static void auth_heard(struct capabilities *c, const char *at, const char *end)
{
	const char *word;
	size_t len;

	c->auth_offered = true;
	while (next_word(&at, end, &word, &len)) {
		size_t used = strlen(c->auth);

		if (used + 1 + len + 1 > sizeof(c->auth) || has_word(c->auth, word, len))
			continue;
		if (used)
			c->auth[used++] = ' ';
		for (size_t i = 0; i < len; i++)
			c->auth[used + i] = to_upper(word[i]);
		c->auth[used + len] = '\0';
	}
}

/* RFC 9422 4.1: "LIMITS RCPTMAX=100 MAILMAX=20". */
static void limits_heard(struct capabilities *c, const char *at, const char *end)
{
	static const char name[] = "RCPTMAX=";
	const size_t skip = sizeof(name) - 1;
	const char *word;
	size_t len;
	uint64_t n;

	while (next_word(&at, end, &word, &len))
		if (len > skip && strncasecmp(word, name, skip) == 0 &&
		    number(&n, word + skip, len - skip) == 0)
			c->rcpt_max = n > UINT32_MAX ? UINT32_MAX : (unsigned)n;
}

void capabilities_heard(struct capabilities *c, const char *line, size_t len)
{
	const struct { const char *name; bool *flag; } flags[] = {
		{ "PIPELINING", &c->pipelining },       /* RFC 2920 */
		{ "8BITMIME", &c->eightbit },           /* RFC 6152 */
		{ "SMTPUTF8", &c->smtputf8 },           /* RFC 6531 */
		{ "DSN", &c->dsn },                     /* RFC 3461 */
		{ "CHUNKING", &c->chunking },           /* RFC 3030 */
		{ "REQUIRETLS", &c->requiretls },       /* RFC 8689 */
		{ "STARTTLS", &c->starttls },           /* RFC 3207 */
		{ "ENHANCEDSTATUSCODES", &c->enhanced },/* RFC 2034 */
	};
	const char *at = line, *end = line + len, *word;
	size_t n;

	if (!next_word(&at, end, &word, &n))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (word_is(word, n, flags[i].name))
			*flags[i].flag = true;
	if (word_is(word, n, "SIZE"))
		size_heard(c, at, end);
	else if (word_is(word, n, "AUTH"))
		auth_heard(c, at, end);
	else if (word_is(word, n, "LIMITS"))
		limits_heard(c, at, end);
}

int reply_line_parse(struct reply_line *ret, const char *line, size_t len)
{
	if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]))
		return -1;
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return -1;
	if (memchr(line, '\0', len))
		return -1;
	ret->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
	ret->more = len > 3 && line[3] == '-';
	ret->text = line + (len > 3 ? 4 : 3);
	ret->len = len > 3 ? len - 4 : 0;
	return 0;
}

/* Digits of [at, end), 1 to 3 of them, no leading zero but "0" itself (RFC 3463 2). The octets, or 0. */
static size_t code_part(const char *at, const char *end)
{
	size_t n = 0;

	while (at + n < end && n < 4 && is_digit(at[n]))
		n++;
	return n > 3 || (n > 1 && at[0] == '0') ? 0 : n;
}

void enhanced_code(char ret[12], int code, const char *text, size_t len)
{
	const char *end = text + len, *at = text;
	size_t n;

	ret[0] = '\0';
	if (len < 5 || text[0] != '0' + code / 100 || (text[0] != '2' && text[0] != '4' && text[0] != '5'))
		return;
	at++;
	for (int part = 0; part < 2; part++) {
		if (at == end || *at != '.')
			return;
		n = code_part(++at, end);
		if (n == 0)
			return;
		at += n;
	}
	if (at < end && *at != ' ')
		return;
	memcpy(ret, text, (size_t)(at - text));         /* 9 at most: "5.999.999" */
	ret[at - text] = '\0';
}

void reply_init(struct reply *r)
{
	/* without its rooms, which are as good as empty */
	r->code = 0;
	r->text[0] = '\0';
	r->len = r->line_len = r->line_total = r->lines = r->octets = 0;
	r->started = false;
	r->on_line = NULL;
	r->ctx = NULL;
}

/* Whether @c can stand at @at of a line: what no later octet can mend is refused here. */
static const char *octet_judge(size_t at, char c)
{
	if (c == '\0')
		return "a NUL octet in a reply";
	if (at == 0 && (c < '2' || c > '5'))
		return "a reply line that does not begin with a reply code";
	if (at < 3 && !is_digit(c))
		return "a reply line that does not begin with three digits";
	if (at == 3 && c != ' ' && c != '-' && c != '\r')
		return "a reply code with something other than a space behind it";
	return NULL;
}

static void text_add(struct reply *r, const char *mem, size_t len)
{
	const size_t room = sizeof(r->text) - 1 - r->len;

	if (len > room)
		len = room;
	memcpy(r->text + r->len, mem, len);
	r->len += len;
	r->text[r->len] = '\0';
}

/* A line has ended. 1: and the reply with it; 0: more to come; -1: not SMTP. */
static int line_end(struct reply *r, const char **why)
{
	struct reply_line line;
	const size_t kept = r->line_len;
	size_t len = kept;

	r->line_len = 0;
	if (r->line_total == kept && len && r->line[len - 1] == '\r')
		len--;
	r->line_total = 0;
	if (len == 0) {
		*why = "an empty line inside a reply";
		return r->started ? -1 : 0;
	}
	if (reply_line_parse(&line, r->line, len) < 0) {
		*why = "a line that is not a reply";
		return -1;
	}
	if (r->on_line)
		r->on_line(r->ctx, r->line, len);
	if (!r->started) {
		r->code = line.code;
		r->len = 0;
		r->text[0] = '\0';
	} else if (r->code != line.code) {
		*why = "a reply with two different codes";
		return -1;
	} else if (r->len && line.len) {
		text_add(r, " ", 1);
	}
	text_add(r, line.text, line.len);
	r->started = line.more;
	if (line.more)
		return 0;
	r->lines = r->octets = 0;
	return 1;
}

int reply_feed(struct reply *r, const char *mem, size_t len, size_t *used, const char **why)
{
	const char *bad;

	for (size_t i = 0; i < len; i++) {
		int rc;

		*used = i + 1;
		if (++r->octets > REPLY_OCTETS_MAX) {
			*why = "a reply without an end";
			return -1;
		}
		if (mem[i] != '\n') {
			/* A CR at the very start may be that of a blank line. */
			bad = r->line_total == 0 && mem[i] == '\r' ? NULL
								   : octet_judge(r->line_total, mem[i]);
			if (bad) {
				*why = bad;
				return -1;
			}
			if (r->line_len < sizeof(r->line))
				r->line[r->line_len++] = mem[i];
			r->line_total++;
			continue;
		}
		if (++r->lines > REPLY_LINES_MAX) {
			*why = "a reply of more lines than any server needs";
			return -1;
		}
		rc = line_end(r, why);
		if (rc != 0)
			return rc;
	}
	*used = len;
	return 0;
}

bool reply_pending(const struct reply *r)
{
	return r->started || r->line_total > 0;
}
