/*
 * The grammar of sendmail(8), as Postfix, Exim, OpenSMTPD, dma and msmtp take
 * it, and as their callers use it.
 *
 * Accepted and without effect is what says how a spool, a daemon or a parser of
 * theirs works. Refused, before any file is touched, is what names a file of
 * theirs (-C -D -X, -oQ, -oA ...: by these an address that became an option has
 * written files, CVE-2016-10033) and what asks for a program that we are not
 * (-bd, -bt, -be ...).
 */

#include "input/input.h"

#include "base/err.h"
#include "base/utf8.h"
#include "input/letters.h"
#include "input/words.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN = 160, ENVID_MOST = 100 };         /* RFC 3461 4.4 */

static int refuse(struct letters *l, const char *option, const char *value)
{
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), value, strlen(value));
	return err_set(l->e, ERR_USAGE,
		       "%s: %s%s is refused: it names a file, and mailchute opens none for an option "
		       "of sendmail's",
		       l->program, option, shown);
}

static int refuse_C(struct letters *l, const char *value) { return refuse(l, "-C ", value); }
static int refuse_D(struct letters *l, const char *value) { return refuse(l, "-D ", value); }
static int refuse_X(struct letters *l, const char *value) { return refuse(l, "-X ", value); }

/* What the message is like, or who it is from. */

static int take_f(struct letters *l, const char *value) { return letter_set(l, "envelope_from", value); }
static int take_F(struct letters *l, const char *value) { return letter_set(l, "from_name", value); }
static int take_i(struct letters *l, const char *value) { return letter_true(l, "ignore_dots"); }
static int take_t(struct letters *l, const char *value) { return letter_true(l, "read_recipients"); }
static int take_v(struct letters *l, const char *value) { return letter_true(l, "verbose"); }

/* The type that the body has is seen in the body; here it is only looked at whether it is one (as Postfix). */
static int take_B(struct letters *l, const char *value)
{
	char shown[SHOWN];

	if (!strcasecmp(value, "7BIT") || !strcasecmp(value, "8BITMIME"))
		return 0;
	utf8_escape(shown, sizeof(shown), value, strlen(value));
	return err_set(l->e, ERR_USAGE, "%s: -B %s: must be 7BIT or 8BITMIME", l->program, shown);
}

/* Delivery notices. A value that is none is no reason to lose the mail (as Postfix). */

static bool is_notify(const char *s)
{
	static const char *const words[] = { "success", "failure", "delay" };

	if (!strcasecmp(s, "never"))
		return true;
	for (;;) {
		size_t len = strcspn(s, ","), i = 0;

		while (i < ARRAY_SIZE(words) && (strlen(words[i]) != len || strncasecmp(s, words[i], len)))
			i++;
		if (i == ARRAY_SIZE(words))
			return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

static bool is_envid(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return len && len <= ENVID_MOST;
}

static int take_dsn(struct letters *l, const char *name, const char *value, bool valid, const char *warning)
{
	if (!valid) {
		l->inv->warning = warning;
		return 0;
	}
	l->p->dsn_optional = true;
	return letter_set(l, name, value);
}

static int take_N(struct letters *l, const char *value)
{
	return take_dsn(l, "dsn_notify", value, is_notify(value),
			"-N is ignored: it must be never, or some of success,failure,delay");
}

static int take_R(struct letters *l, const char *value)
{
	bool full = !strcasecmp(value, "full");

	return take_dsn(l, "dsn_return", full ? "full" : "hdrs", full || !strcasecmp(value, "hdrs"),
			"-R is ignored: it must be full or hdrs");
}

static int take_V(struct letters *l, const char *value)
{
	return take_dsn(l, "dsn_envid", value, is_envid(value),
			"-V is ignored: it must be printable ASCII, at most 100 characters");
}

/* Modes. */

static int take_b(struct letters *l, const char *value)
{
	static const struct { const char *word; enum mode mode;
	} modes[] = {
		{ "m", MODE_SEND },
		{ "s", MODE_SERVE },
		{ "v", MODE_VERIFY },
		{ "p", MODE_QUEUE },
		{ "i", MODE_NOTHING },
		/* the host status of a daemon */
		{ "h", MODE_NOTHING },
		{ "H", MODE_NOTHING },
	};
	char shown[SHOWN];

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i].word))
			continue;
		l->inv->mode = modes[i].mode;
		return 0;
	}
	utf8_escape(shown, sizeof(shown), value, strlen(value));
	if (*value && !value[1] && strchr("dDlt", *value))
		return err_set(l->e, ERR_USAGE,
			       "%s: -b%s: mailchute is no daemon and has no test mode; it sends "
			       "(-bm), speaks SMTP on standard input (-bs), verifies (-bv)",
			       l->program, shown);
	return err_set(l->e, ERR_USAGE, "%s: -b%s: unknown mode", l->program, shown);
}

/* The queue: every message is sent while its caller waits, so there is never anything in it. */
static int take_q(struct letters *l, const char *value)
{
	l->inv->mode = MODE_NOTHING;
	return 0;
}

static int take_I(struct letters *l, const char *value)
{
	l->inv->mode = MODE_NOTHING;
	return 0;
}

/* -e and -oe: how errors are told. Ours are a line on standard error and the exit code; q: the code alone. */
static int take_e(struct letters *l, const char *value)
{
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), value, strlen(value));
	if (!*value || value[1] || !strchr("pmeqw", *value))
		return err_set(l->e, ERR_USAGE, "%s: -e%s: must be p, m, e, q or w", l->program, shown);
	l->inv->silent = *value == 'q';
	return 0;
}

static int take_o(struct letters *l, const char *value)
{
	if (!*value)
		return err_set(l->e, ERR_USAGE, "%s: -o: a value is missing", l->program);
	if (strchr("AHQS", *value))
		return refuse(l, "-o", value);
	if (*value == 'e')
		return take_e(l, value + 1);
	if (*value == 'i' && strcasecmp(value + 1, "false"))
		return letter_true(l, "ignore_dots");
	return 0;
}

/* -O name=value */

static int take_requiretls(struct letters *l, const char *value)
{
	if (!strcasecmp(value, "yes"))
		return letter_true(l, "require_tls");
	if (!strcasecmp(value, "no"))
		return 0;
	return err_set(l->e, ERR_USAGE, "%s: -O REQUIRETLS: must be yes or no", l->program);
}

static int take_O(struct letters *l, const char *value)
{
	static const char *const files[] = {
		"QueueDirectory", "AliasFile", "HelpFile", "StatusFile", "ForwardPath", "HostsFile", "PidFile",
		"ServiceSwitchFile", "ControlSocketName", "UserDatabaseSpec", "HostStatusDirectory",
		"RunAsUser", "CACertFile", "CACertPath", "ServerCertFile", "ServerKeyFile", "ClientCertFile",
		"ClientKeyFile", "CRLFile", "DHParameters", "RandFile",
	};
	size_t len = strcspn(value, "=");

	if (!strncasecmp(value, "REQUIRETLS", len) && len == 10 && value[len])
		return take_requiretls(l, value + len + 1);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strlen(files[i]) == len && !strncasecmp(value, files[i], len))
			return refuse(l, "-O ", value);
	return 0;
}

static int take_A(struct letters *l, const char *value)
{
	char shown[SHOWN];

	if (!strcmp(value, "c") || !strcmp(value, "m"))
		return 0;
	utf8_escape(shown, sizeof(shown), value, strlen(value));
	return err_set(l->e, ERR_USAGE, "%s: -A%s: must be c or m", l->program, shown);
}

static const struct letter table[] = {
	{'A', LETTER_VALUE, take_A},  {'B', LETTER_VALUE, take_B},  {'b', LETTER_VALUE, take_b},
	{'C', LETTER_VALUE, refuse_C}, {'c', LETTER_ALONE, NULL},   {'D', LETTER_VALUE, refuse_D},
	{'d', LETTER_GLUED, NULL},    {'E', LETTER_GLUED, NULL},    {'e', LETTER_VALUE, take_e},
	{'F', LETTER_VALUE, take_F},  {'f', LETTER_VALUE, take_f},  {'G', LETTER_ALONE, NULL},
	{'h', LETTER_VALUE, NULL},    {'I', LETTER_ALONE, take_I},  {'i', LETTER_ALONE, take_i},
	{'J', LETTER_GLUED, NULL},    {'L', LETTER_VALUE, NULL},    {'M', LETTER_VALUE, NULL},
	{'m', LETTER_ALONE, NULL},    {'N', LETTER_VALUE, take_N},  {'n', LETTER_ALONE, NULL},
	{'O', LETTER_VALUE, take_O},  {'o', LETTER_VALUE, take_o},  {'p', LETTER_VALUE, NULL},
	{'Q', LETTER_GLUED, take_q},  {'q', LETTER_GLUED, take_q},  {'R', LETTER_VALUE, take_R},
	{'r', LETTER_VALUE, take_f},  {'S', LETTER_GLUED, NULL},    {'s', LETTER_ALONE, NULL},
	{'T', LETTER_GLUED, NULL},    {'t', LETTER_ALONE, take_t},  {'U', LETTER_ALONE, NULL},
	{'V', LETTER_VALUE, take_V},  {'v', LETTER_ALONE, take_v},  {'X', LETTER_VALUE, refuse_X},
	{'x', LETTER_ALONE, NULL},    {0},
};

/* NAME is what the user calls himself where no -F does (as Postfix and sendmail have it). */
static int name_of_environment(struct mail_params *p, struct err *e)
{
	const char *name = getenv("NAME");
	CLEANUP(value_freep) struct value *v = NULL;

	if (!name || !*name || strpbrk(name, "\r\n") || utf8_valid(name, strlen(name)) < strlen(name))
		return 0;
	v = value_text(name);
	return mail_params_set(p, param_row("from_name"), v, ORIGIN_DEFAULT, NULL, e);
}

/* Standard input is the message, whole, unless a setting names another. */
static int message_of_input(struct letters *l)
{
	static const char *const others[] = { "message_file", "body", "body_file", "html", "html_file" };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (mail_params_given(l->p, others[i]))
			return 0;
	return letter_set(l, "message_file", "-");
}

/* A mode's last words: who gets it. */
static int take_words(struct letters *l)
{
	bool addressed = l->inv->mode == MODE_SEND || l->inv->mode == MODE_VERIFY;

	if (l->inv->mode == MODE_SEND && message_of_input(l) < 0)
		return -1;
	if (!addressed)
		return 0;
	l->p->headless = !l->p->read_recipients;
	for (size_t i = 0; i < l->n_words; i++)
		if (letter_set(l, "rcpt", l->word[i]) < 0)
			return -1;
	if (l->n_words || l->p->read_recipients || mail_params_given(l->p, "rcpt"))
		return 0;
	return err_set(l->e, ERR_USAGE, "%s: no recipient: name one, or use -t to take those of the message",
		       l->program);
}

int input_sendmail_options(struct mail_params *p, struct invocation *inv, const char *program, int argc,
			   char *argv[], struct err *e)
{
	struct letters l = { .program = program, .table = table, .p = p, .inv = inv, .e = e };
	int end, r;

	letters_init(&l, argc);
	r = letters_read(&l, 0, argc, argv, &end);
	if (r == 0 && (l.n_words || end < argc))
		r = err_set(e, ERR_USAGE, "%s: behind -- there are options of sendmail, not recipients",
			    program);
	letters_clear(&l);
	return r;
}

int input_sendmail(struct mail_params *p, struct invocation *ret, int argc, char *argv[], struct err *e)
{
	struct letters l = { .program = "sendmail", .table = table, .p = p, .inv = ret, .e = e };
	int end = argc, r;

	letters_init(&l, argc);
	r = argc > 0 ? letters_read(&l, 1, argc, argv, &end) : 0;
	for (; r == 0 && end < argc; end++)
		l.word[l.n_words++] = argv[end];
	if (r == 0)
		r = letters_settings(&l);
	if (ret->as == AS_MAILQ && ret->mode == MODE_SEND)
		ret->mode = MODE_QUEUE;
	else if (ret->as == AS_NEWALIASES && ret->mode == MODE_SEND)
		ret->mode = MODE_NOTHING;
	if (r == 0)
		r = name_of_environment(p, e);
	if (r == 0)
		r = take_words(&l);
	letters_clear(&l);
	return r;
}
