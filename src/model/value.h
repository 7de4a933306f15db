#pragma once

/*
 * A value on its way from an input into mail_params: what JSON can say, plus
 * VALUE_TEXT, the untyped words of flags and variables, which each setting's
 * type reads in its own way.
 *
 * A tree with links, so that no walk recurses, value_free() included.
 */

#include "base/base.h"

enum value_type {
	VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_STR, VALUE_LIST, VALUE_OBJECT, VALUE_TEXT,
	VALUE_NUMBER,                   /* of data rows only: str is the number as it was written */
};

struct value {
	enum value_type type;
	bool boolean;
	int64_t number;
	char *str;                      /* STR, TEXT, NUMBER: NUL-ended; STR is valid UTF-8 without NUL */
	size_t len;
	char *key;                      /* its name where the parent is an object, else NULL */
	unsigned line, column;          /* of its first character in the JSON text, 1-based; 0: no text */
	struct value *parent, *first, *last, *next;
};

struct value *value_new(enum value_type type);
struct value *value_text(const char *word);             /* copies */
void value_append(struct value *parent, struct value *child);   /* parent owns child */
const struct value *value_get(const struct value *object, const char *key);     /* or NULL */
/* "attachments[1].path", from below the root; appended to out[cap], NUL-ended, cut where too long. */
void value_path(const struct value *v, char *out, size_t cap);
void value_free(struct value *root);                    /* wipes strings as it goes: they may be secrets */
DEFINE_CLEANUP(struct value *, value_free);
