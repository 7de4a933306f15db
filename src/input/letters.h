#pragma once

/*
 * Options of one letter, as the traditional programs have them: in clusters,
 * values glued or behind, anywhere among the words, up to "--". A grammar is a
 * table of letters. Words with two dashes are settings of our own, as
 * "--name=value" or "--name", so that a wrapper can say --config=FILE to
 * whatever name it runs.
 */

#include "base/base.h"

struct err;
struct invocation;
struct mail_params;
struct letters;

enum letter_value {
	LETTER_ALONE,           /* takes none; more letters may follow in its word */
	LETTER_VALUE,           /* the rest of the word, else the next word */
	LETTER_GLUED,           /* the rest of the word, which may be empty */
};
struct letter {
	char letter;
	enum letter_value value;
	int (*take)(struct letters *l, const char *value);      /* NULL: accepted, and nothing is done */
};

struct letters {
	const char *program;            /* for messages: "sendmail" */
	const struct letter *table;     /* {0}-ended */
	struct mail_params *p;
	struct invocation *inv;
	struct err *e;
	/* what was found; both are the caller's to free */
	const char **word, **setting;
	size_t n_words, n_settings;
};

/* Room for what @argc words can hold. */
void letters_init(struct letters *l, int argc);
void letters_clear(struct letters *l);
/*
 * Read argv[from..argc) up to a "--". *ret_end: the index behind the "--", or argc. Words that are no options
 * go to word[]. ERR_USAGE naming the option.
 */
int letters_read(struct letters *l, int from, int argc, char *argv[], int *ret_end) MUST_CHECK;
/* The settings among what was read, with ORIGIN_ARGV. */
int letters_settings(struct letters *l) MUST_CHECK;

/* For the rows: setting @name of @l->p by a word or as true. */
int letter_set(struct letters *l, const char *name, const char *word) MUST_CHECK;
int letter_true(struct letters *l, const char *name) MUST_CHECK;
