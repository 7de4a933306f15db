/* Options of one letter; see letters.h. */

#include "input/letters.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "input/words.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 160 };

void letters_init(struct letters *l, int argc)
{
	l->word = xcalloc((size_t)argc + 1, sizeof(*l->word));
	l->setting = xcalloc((size_t)argc + 1, sizeof(*l->setting));
}

void letters_clear(struct letters *l)
{
	free(l->word);
	free(l->setting);
	l->word = l->setting = NULL;
}

static const struct letter *row_of(const struct letters *l, char c)
{
	for (const struct letter *row = l->table; row->letter; row++)
		if (row->letter == c)
			return row;
	return NULL;
}

static int unknown(const struct letters *l, char c)
{
	char shown[16];

	utf8_escape(shown, sizeof(shown), &c, 1);
	return err_set(l->e, ERR_USAGE, "%s: unknown option -%s", l->program, shown);
}

/* A word of letters; *at is its index, and moves where a value is the word behind. */
static int read_cluster(struct letters *l, int *at, int argc, char *argv[])
{
	for (const char *s = argv[*at] + 1; *s; s++) {
		const struct letter *row = row_of(l, *s);
		const char *value = s + 1;

		if (!row)
			return unknown(l, *s);
		if (row->value == LETTER_ALONE) {
			if (row->take && row->take(l, NULL) < 0)
				return -1;
			continue;
		}
		if (!*value && row->value == LETTER_VALUE) {
			if (*at + 1 >= argc)
				return err_set(l->e, ERR_USAGE, "%s: -%c: a value is missing", l->program, *s);
			value = argv[++*at];
		}
		return row->take ? row->take(l, value) : 0;
	}
	return 0;
}

int letters_read(struct letters *l, int from, int argc, char *argv[], int *ret_end)
{
	int at = from;

	for (; at < argc && strcmp(argv[at], "--"); at++) {
		const char *word = argv[at];

		if (word[0] != '-' || !word[1])
			l->word[l->n_words++] = word;
		else if (word[1] == '-')
			l->setting[l->n_settings++] = word;
		else if (read_cluster(l, &at, argc, argv) < 0)
			return -1;
	}
	*ret_end = at < argc ? at + 1 : argc;
	return 0;
}

int letters_settings(struct letters *l)
{
	CLEANUP(freep) char **argv = NULL;
	struct invocation inv = { .mode = l->inv->mode };

	if (!l->n_settings)
		return 0;
	argv = xcalloc(l->n_settings + 2, sizeof(*argv));
	argv[0] = (char *)l->program;
	for (size_t i = 0; i < l->n_settings; i++)
		argv[i + 1] = (char *)l->setting[i];
	if (input_argv(l->p, &inv, (int)l->n_settings + 1, argv, l->e) < 0)
		return -1;
	if (inv.mode != MODE_SEND)
		l->inv->mode = inv.mode;
	l->inv->params_file = inv.params_file;
	l->inv->config_file = inv.config_file;
	return 0;
}

int letter_set(struct letters *l, const char *name, const char *word)
{
	CLEANUP(value_freep) struct value *v = NULL;
	char shown[SHOWN];
	size_t len = strlen(word);

	if (utf8_valid(word, len) < len) {
		utf8_escape(shown, sizeof(shown), word, len);
		return err_set(l->e, ERR_DATA, "%s: '%s' is not valid UTF-8", l->program, shown);
	}
	v = value_text(word);
	return mail_params_set(l->p, param_row(name), v, ORIGIN_ARGV, NULL, l->e);
}

int letter_true(struct letters *l, const char *name)
{
	CLEANUP(value_freep) struct value *v = value_new(VALUE_BOOL);

	v->boolean = true;
	return mail_params_set(l->p, param_row(name), v, ORIGIN_ARGV, NULL, l->e);
}
