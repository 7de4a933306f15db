/*
 * The server's side of SMTP for one client, who is our own user; see smtpd.h.
 *
 *   state      left by                                  to
 *   COMMAND    a line                                   COMMAND
 *              DATA, with a sender and a recipient      MESSAGE
 *              QUIT                                     (SMTPD_QUIT)
 *   MESSAGE    a line that is a dot alone               ANSWER (SMTPD_MESSAGE)
 *   ANSWER     smtpd_answer()                           COMMAND
 */

#include "input/smtpd.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	LINE_MOST = 2048, /* RFC 5321 4.5.3.1.4 says 512; parameters and long addresses need more */
	RCPTS_MOST = 100000,
	HOST_MOST = 255,
};

enum state { STATE_COMMAND, STATE_MESSAGE, STATE_ANSWER };
/* Where in a line of the message: the dot of its beginning is not the message's. */
enum place { PLACE_BEGIN, PLACE_DOT, PLACE_DOT_CR, PLACE_MIDDLE };

struct smtpd {
	enum state state;
	enum place place;
	char host[HOST_MOST + 1];
	char line[LINE_MOST + 1];
	size_t line_len;
	bool overlong, greeted;
	char *sender;                   /* NULL: no MAIL was heard */
	char **rcpt;
	size_t n_rcpt, cap_rcpt;
};

struct smtpd *smtpd_new(const char *host)
{
	struct smtpd *s = xcalloc(1, sizeof(*s));

	utf8_escape(s->host, sizeof(s->host), host, strlen(host));
	return s;
}

static void forget_transaction(struct smtpd *s)
{
	for (size_t i = 0; i < s->n_rcpt; i++)
		free(s->rcpt[i]);
	s->n_rcpt = 0;
	free(s->sender);
	s->sender = NULL;
}

void smtpd_free(struct smtpd *s)
{
	if (!s)
		return;
	forget_transaction(s);
	free(s->rcpt);
	free(s);
}

/* What has no room is cut off: the caller's buffer is as large as all replies to one feed. */
static void reply(struct buf *out, const char *text)
{
	if (buf_addf(out, "%s\r\n", text) < 0)
		buf_reset(out);
}

void smtpd_greet(struct smtpd *s, struct buf *out)
{
	if (buf_addf(out, "220 %s ESMTP mailchute\r\n", s->host) < 0)
		buf_reset(out);
}

/* ---- commands ---- */

static void say_hello(struct smtpd *s, const char *arg, struct buf *out)
{
	forget_transaction(s);
	s->greeted = true;
	if (buf_addf(out, "250 %s\r\n", s->host) < 0)
		buf_reset(out);
}

static void say_ehlo(struct smtpd *s, const char *arg, struct buf *out)
{
	forget_transaction(s);
	s->greeted = true;
	if (buf_addf(out, "250-%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250-SMTPUTF8\r\n"
		     "250 ENHANCEDSTATUSCODES\r\n", s->host) < 0)
		buf_reset(out);
}

/*
 * "<path> parameters" behind FROM: or TO:. The path's octets between its brackets; what is behind them in
 * *ret_rest. NULL: it is none.
 */
static char *take_path(const char *arg, const char **ret_rest)
{
	bool quoted = false;
	const char *s;

	arg += strspn(arg, " ");
	if (*arg != '<')
		return NULL;
	for (s = ++arg; *s && (quoted || *s != '>'); s++) {
		if (*s == '\\' && s[1])
			s++;
		else if (*s == '"')
			quoted = !quoted;
	}
	if (!*s)
		return NULL;
	*ret_rest = s + 1;
	return xmemdup0(arg, (size_t)(s - arg));
}

/* The parameters of MAIL that mean something here; those of RCPT (DSN) are not offered. */
static bool mail_parameter(const char *word, size_t len)
{
	static const char *const known[] = { "SIZE=", "BODY=7BIT", "BODY=8BITMIME", "SMTPUTF8" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i]);

		if (len >= n && !strncasecmp(word, known[i], n) && (known[i][n - 1] == '=' || len == n))
			return true;
	}
	return false;
}

static bool parameters_known(const char *rest, bool mail)
{
	for (rest += strspn(rest, " "); *rest; rest += strspn(rest, " ")) {
		size_t len = strcspn(rest, " ");

		if (!mail || !mail_parameter(rest, len))
			return false;
		rest += len;
	}
	return true;
}

static bool is_address(const char *text, bool sender)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	struct mailbox m = {0};
	bool good = mailbox_parse(&m, text, strlen(text), ADDR_BARE_LOCAL | (sender ? ADDR_NULL : 0),
				  &ignored) == 0 &&
		    !m.name;

	mailbox_clear(&m);
	return good;
}

/* An address that is none, and every other slip, is the client's; the other recipients are not touched by it. */
static char *address_of(const char *arg, const char *word, bool sender, struct buf *out)
{
	size_t n = strlen(word);
	const char *rest = NULL;
	char *path = strncasecmp(arg, word, n) ? NULL : take_path(arg + n, &rest);
	const char *wrong = NULL;

	if (!path)
		wrong = sender ? "501 5.5.4 Syntax: MAIL FROM:<address>"
			       : "501 5.5.4 Syntax: RCPT TO:<address>";
	else if (!parameters_known(rest, sender))
		wrong = "555 5.5.4 Unknown parameter";
	else if (!is_address(path, sender))
		wrong = sender ? "553 5.1.7 Not an address" : "553 5.1.3 Not an address";
	if (!wrong)
		return path;
	reply(out, wrong);
	free(path);
	return NULL;
}

static void take_mail(struct smtpd *s, const char *arg, struct buf *out)
{
	char *address;

	if (!s->greeted || s->sender) {
		reply(out, s->sender ? "503 5.5.1 MAIL was said already" : "503 5.5.1 Say EHLO first");
		return;
	}
	address = address_of(arg, "FROM:", true, out);
	if (!address)
		return;
	s->sender = address;
	reply(out, "250 2.1.0 Ok");
}

static void take_rcpt(struct smtpd *s, const char *arg, struct buf *out)
{
	char *address;

	if (!s->sender) {
		reply(out, "503 5.5.1 Say MAIL first");
		return;
	}
	if (s->n_rcpt == RCPTS_MOST) {
		reply(out, "452 4.5.3 Too many recipients");
		return;
	}
	address = address_of(arg, "TO:", false, out);
	if (!address)
		return;
	if (s->n_rcpt == s->cap_rcpt) {
		s->cap_rcpt = s->cap_rcpt ? 2 * s->cap_rcpt : 8;
		s->rcpt = xreallocarray(s->rcpt, s->cap_rcpt, sizeof(*s->rcpt));
	}
	s->rcpt[s->n_rcpt++] = address;
	reply(out, "250 2.1.5 Ok");
}

static void take_data(struct smtpd *s, const char *arg, struct buf *out)
{
	if (!s->sender || !s->n_rcpt) {
		reply(out, s->sender ? "554 5.5.1 No valid recipients" : "503 5.5.1 Say MAIL first");
		return;
	}
	s->state = STATE_MESSAGE;
	s->place = PLACE_BEGIN;
	reply(out, "354 End with a line that is a dot alone");
}

static void take_rset(struct smtpd *s, const char *arg, struct buf *out)
{
	forget_transaction(s);
	reply(out, "250 2.0.0 Ok");
}

static void take_noop(struct smtpd *s, const char *arg, struct buf *out) { reply(out, "250 2.0.0 Ok"); }

static void take_vrfy(struct smtpd *s, const char *arg, struct buf *out)
{
	reply(out, "252 2.1.5 Send some mail, it will be tried");
}

static void take_help(struct smtpd *s, const char *arg, struct buf *out)
{
	reply(out, "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY QUIT");
}

static void take_quit(struct smtpd *s, const char *arg, struct buf *out) { reply(out, "221 2.0.0 Bye"); }

static const struct command {
	const char *verb;
	void (*take)(struct smtpd *s, const char *arg, struct buf *out);
} commands[] = {
	{ "EHLO", say_ehlo },  { "HELO", say_hello }, { "MAIL", take_mail }, { "RCPT", take_rcpt },
	{ "DATA", take_data }, { "RSET", take_rset }, { "NOOP", take_noop }, { "VRFY", take_vrfy },
	{ "HELP", take_help }, { "QUIT", take_quit },
};

/* True: it was QUIT. */
static bool take_command(struct smtpd *s, struct buf *out)
{
	size_t len = strcspn(s->line, " ");
	const char *arg = s->line + len + strspn(s->line + len, " ");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strlen(commands[i].verb) != len || strncasecmp(s->line, commands[i].verb, len))
			continue;
		commands[i].take(s, arg, out);
		return commands[i].take == take_quit;
	}
	reply(out, "500 5.5.2 Unknown command");
	return false;
}

/* A whole line is in line[]. */
static bool take_line(struct smtpd *s, struct buf *out)
{
	bool quit = false;

	while (s->line_len && (s->line[s->line_len - 1] == '\r' || s->line[s->line_len - 1] == ' '))
		s->line_len--;
	s->line[s->line_len] = '\0';
	if (s->overlong)
		reply(out, "500 5.5.2 Line too long");
	else if (memchr(s->line, '\0', s->line_len) || memchr(s->line, '\r', s->line_len))
		reply(out, "500 5.5.2 A control character is in this line");
	else
		quit = take_command(s, out);
	s->line_len = 0;
	s->overlong = false;
	return quit;
}

/* ---- the message ---- */

static int put(struct buf *body, const char *mem, size_t len)
{
	return buf_add(body, mem, len);
}

/* One octet of it. True: it was the last one of the dot line. */
static bool take_octet(struct smtpd *s, char c, struct buf *body)
{
	int failed = 0;

	if (c == '\n' && (s->place == PLACE_DOT || s->place == PLACE_DOT_CR))
		return true;
	if (s->place == PLACE_BEGIN && c == '.') {
		s->place = PLACE_DOT;
		return false;
	}
	if (s->place == PLACE_DOT && c == '\r') {
		s->place = PLACE_DOT_CR;
		return false;
	}
	if (s->place == PLACE_DOT_CR)
		failed = put(body, "\r", 1);
	s->place = c == '\n' ? PLACE_BEGIN : PLACE_MIDDLE;
	failed |= put(body, &c, 1);
	if (failed)
		abort();                /* smtpd_feed() takes no more than there is room for */
	return false;
}

/* ---- all of it ---- */

enum { ROOM_OF_OCTET = 2 };     /* octets of body that one of the input may bring */

static enum smtpd_event feed_message(struct smtpd *s, const char *mem, size_t len, size_t *used,
				     struct buf *body)
{
	while (*used < len) {
		if (body->max - body->len < ROOM_OF_OCTET)
			return SMTPD_BODY;
		if (take_octet(s, mem[(*used)++], body)) {
			s->state = STATE_ANSWER;
			return SMTPD_MESSAGE;
		}
	}
	return body->len ? SMTPD_BODY : SMTPD_MORE;
}

enum smtpd_event smtpd_feed(struct smtpd *s, const char *mem, size_t len, size_t *used, struct buf *out,
			    struct buf *body)
{
	while (*used < len) {
		char c;

		if (s->state == STATE_MESSAGE)
			return feed_message(s, mem, len, used, body);
		if (s->state == STATE_ANSWER)
			return SMTPD_MESSAGE;
		c = mem[(*used)++];
		if (c == '\n') {
			if (take_line(s, out))
				return SMTPD_QUIT;
		} else if (s->line_len < LINE_MOST) {
			s->line[s->line_len++] = c;
		} else {
			s->overlong = true;
		}
	}
	return SMTPD_MORE;
}

const char *smtpd_sender(const struct smtpd *s)
{
	return s->sender;
}

size_t smtpd_recipients(const struct smtpd *s, const char *const **ret)
{
	*ret = (const char *const *)s->rcpt;
	return s->n_rcpt;
}

void smtpd_answer(struct smtpd *s, int code, const char *enhanced, const char *text, struct buf *out)
{
	char line[480];                 /* RFC 5321 4.5.3.1.5: a reply line has 512 */

	utf8_escape(line, sizeof(line), text, strlen(text));
	if (buf_addf(out, "%d %s %s\r\n", code, enhanced, line) < 0)
		buf_reset(out);
	forget_transaction(s);
	s->state = STATE_COMMAND;
}

bool smtpd_cut_short(const struct smtpd *s)
{
	return s->state == STATE_MESSAGE;
}
