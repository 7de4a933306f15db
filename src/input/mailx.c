/*
 * The grammar of mail(1), mailx(1): what sends. BSD's, s-nail's and mailutils'
 * options differ, and their callers (smartd, scripts of all ages) know one of
 * them; where a letter means two things, its value decides.
 */

#include "input/input.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/letters.h"
#include "input/words.h"
#include "model/mail_params.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int take_s(struct letters *l, const char *value) { return letter_set(l, "subject", value); }
static int take_c(struct letters *l, const char *value) { return letter_set(l, "cc", value); }
static int take_b(struct letters *l, const char *value) { return letter_set(l, "bcc", value); }
static int take_r(struct letters *l, const char *value) { return letter_set(l, "from", value); }
static int take_C(struct letters *l, const char *value) { return letter_set(l, "headers", value); }
static int take_i(struct letters *l, const char *value) { return letter_true(l, "ignore_dots"); }
static int take_E(struct letters *l, const char *value) { return letter_true(l, "skip_empty"); }
static int take_t(struct letters *l, const char *value) { return letter_true(l, "read_recipients"); }
static int take_v(struct letters *l, const char *value) { return letter_true(l, "verbose"); }

/* "Name: value", by the characters that a field's name may have (RFC 5322 3.6.8). */
static bool is_field(const char *s)
{
	const char *colon = strchr(s, ':');

	if (!colon || colon == s)
		return false;
	for (; s < colon; s++)
		if (*s <= ' ' || *s > '~' || *s == '/')
			return false;
	return true;
}

/* A file is one that is there; its name may have a colon. */
static int take_a(struct letters *l, const char *value)
{
	bool field = is_field(value) && access(value, F_OK) < 0;

	return letter_set(l, field ? "headers" : "attachments", value);
}

/* -A file is mailutils', -A account s-nail's. */
static int take_A(struct letters *l, const char *value)
{
	return letter_set(l, access(value, F_OK) == 0 ? "attachments" : "account", value);
}

/* -S variable=value: those that say what a message is like; the others are about a mail reader. */
static int take_S(struct letters *l, const char *value)
{
	static const struct { const char *variable, *setting; } known[] = {
		{"from", "from"}, {"sender", "sender"}, {"replyto", "reply_to"}, {"reply_to", "reply_to"},
		{"reply-to", "reply_to"}, {"ttycharset", "charset"}, {"hostname", "helo_name"},
	};
	size_t len = strcspn(value, "=");

	for (size_t i = 0; value[len] && i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].variable) == len && !strncmp(value, known[i].variable, len))
			return letter_set(l, known[i].setting, value + len + 1);
	/* mta=/usr/sbin/sendmail is a program; a URL or host is a server */
	if (value[len] &&
	    ((len == 3 && !strncmp(value, "mta", 3)) || (len == 4 && !strncmp(value, "smtp", 4))) &&
	    value[len + 1] && value[len + 1] != '/')
		return letter_set(l, "server", value + len + 1);
	return 0;
}

/* Reading mail. */
static int reads(struct letters *l, const char *value)
{
	return err_set(l->e, ERR_USAGE,
		       "%s: mailchute sends mail and does not read it (-e, -f, -H, -u, -L, -p, -P are "
		       "refused)",
		       l->program);
}

static const struct letter table[] = {
	{'A', LETTER_VALUE, take_A}, {'a', LETTER_VALUE, take_a}, {'B', LETTER_ALONE, NULL},
	{'b', LETTER_VALUE, take_b}, {'C', LETTER_VALUE, take_C}, {'c', LETTER_VALUE, take_c},
	{'d', LETTER_ALONE, NULL},   {'E', LETTER_ALONE, take_E}, {'e', LETTER_ALONE, reads},
	{'F', LETTER_ALONE, NULL},   {'f', LETTER_GLUED, reads},  {'H', LETTER_ALONE, reads},
	{'I', LETTER_ALONE, NULL},   {'i', LETTER_ALONE, take_i}, {'L', LETTER_VALUE, reads},
	{'N', LETTER_ALONE, NULL},   {'n', LETTER_ALONE, NULL},   {'P', LETTER_ALONE, reads},
	{'p', LETTER_ALONE, reads},  {'r', LETTER_VALUE, take_r}, {'S', LETTER_VALUE, take_S},
	{'s', LETTER_VALUE, take_s}, {'t', LETTER_ALONE, take_t}, {'u', LETTER_VALUE, reads},
	{'v', LETTER_ALONE, take_v}, {'~', LETTER_ALONE, NULL},   {'#', LETTER_ALONE, NULL},
	{':', LETTER_VALUE, NULL},   {0},
};

/*
 * BSD's "recipient -- sendmail-options": a "--" behind a recipient. One before the first is the end of our own
 * options.
 */
static int read_words(struct letters *l, int argc, char *argv[])
{
	int end = argc;

	if (argc > 0 && letters_read(l, 1, argc, argv, &end) < 0)
		return -1;
	if (!l->n_words)
		for (; end < argc && strcmp(argv[end], "--"); end++)
			l->word[l->n_words++] = argv[end];
	end += end < argc && !strcmp(argv[end], "--");
	if (end == argc)
		return 0;
	return input_sendmail_options(l->p, l->inv, l->program, argc - end, argv + end, l->e);
}

static int take_words(struct letters *l)
{
	const char *who = l->p->read_recipients ? "rcpt" : "to";

	for (size_t i = 0; i < l->n_words; i++)
		if (letter_set(l, who, l->word[i]) < 0)
			return -1;
	if (l->n_words || l->p->read_recipients || l->inv->mode != MODE_SEND ||
	    mail_params_given(l->p, "to") || mail_params_given(l->p, "cc") || mail_params_given(l->p, "bcc"))
		return 0;
	return err_set(l->e, ERR_USAGE, "%s: no recipient; mailchute sends mail and does not read it",
		       l->program);
}

int input_mail(struct mail_params *p, struct invocation *ret, int argc, char *argv[], struct err *e)
{
	struct letters l = { .program = "mail", .table = table, .p = p, .inv = ret, .e = e };
	int r;

	letters_init(&l, argc);
	r = read_words(&l, argc, argv);
	if (r == 0)
		r = letters_settings(&l);
	if (r == 0)
		r = take_words(&l);
	letters_clear(&l);
	return r;
}
