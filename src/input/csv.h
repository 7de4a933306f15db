#pragma once

/*
 * CSV (RFC 4180): a record of rows.h as an object, its strings under the names that the header gives their
 * columns. Stands on libcsv. Narrower than it, and than what spreadsheets accept: a quote is only where a
 * field begins, ends, or is doubled inside of quotes; spaces belong to their field; every record has as many
 * fields as the header; all is UTF-8.
 *
 * @name is the file's for messages. A row that has a fault is ERR_DATA with that fault. All functions take a
 * const header, which any number of threads may use at once.
 */

#include "base/base.h"

struct err;
struct row;
struct value;

enum { CSV_COLUMNS_MAX = 4096 };

/* The names of the columns, and the delimiter: the one of , ; TAB that is in the header most often. */
struct csv_header;

/*
 * ERR_DATA "name:line: what" where a column has no name, two have the same, one's is not UTF-8, there are
 * more than CSV_COLUMNS_MAX, or the quotes are wrong. Copies what it needs of @row.
 */
int csv_header_read(struct csv_header **ret, const char *name, const struct row *row,
		    struct err *e) MUST_CHECK;
void csv_header_free(struct csv_header *h);
DEFINE_CLEANUP(struct csv_header *, csv_header_free);

/*
 * *ret: VALUE_OBJECT of a VALUE_STR a column, in their order; a value's `line` is the record's, its `column`
 * the field's number from 1. ERR_DATA "name:line: 4 fields, but the header has 5 columns", "name:line: column
 * 'subject': what".
 */
int csv_record(struct value **ret, const struct csv_header *h, const char *name, const struct row *row,
	       struct err *e) MUST_CHECK;

bool csv_has_column(const struct csv_header *h, const char *name, size_t len);
char csv_delimiter(const struct csv_header *h);
/* "a, b, c" for messages: escaped, cut with "..." where it is long; the caller's, free(3). */
char *csv_columns(const struct csv_header *h);
