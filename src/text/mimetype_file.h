#pragma once

/* Private to src/text/mimetype.c and its test: a table in the form of /etc/mime.types, from any path. */

#include "base/base.h"

struct mime_entry { const char *extension, *type; };

struct mime_types {
	struct mime_entry *entries;     /* sorted; they point into @text */
	size_t n, room;
	char *text;
};

/* Fills @t; a file that is missing gives an empty table. Lines that are not "type extension..." are passed
 * over. */
void mime_types_read(struct mime_types *t, const char *path);
/* As mimetype_of(): the table's type, else the built-in one's, else application/octet-stream. */
const char *mime_types_find(const struct mime_types *t, const char *path);
void mime_types_clear(struct mime_types *t);
