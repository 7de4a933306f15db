/*
 * A batch as CSV, from any octets: the reader of records and the parser of each, the first being the header. Beside
 * not crashing:
 *  - every record's text is the file's, in its order, at its line, and is no more than the file has;
 *  - what is accepted has the header's fields, each UTF-8 without NUL, and written again in quotes reads back the same;
 *  - what is refused has its place and the class of bad data.
 * The same octets as JSON Lines: every line that is not blank is a record.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "input/csv.h"
#include "input/rows.h"
#include "model/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond) do { if (!(cond)) abort(); } while (0)

static struct rows *open_octets(const uint8_t *data, size_t size, enum rows_format f)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	struct rows *r = NULL;
	char path[32];

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	require(rows_open(&r, path, f, &e) == 0);
	close(fd);
	return r;
}

/* Where the record begins: behind @from, in its line, and what is between them is blank or a mark. */
static const char *check_place(const struct row *row, const char *from, const char *begin, const char *end)
{
	const char *at = begin;

	for (unsigned long long line = 1; line < row->line; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		require(at);
		at++;
	}
	if (at == begin && row->len && end - at >= 3 && !memcmp(at, "\xef\xbb\xbf", 3) &&
	    (end - at < (ssize_t)row->len || memcmp(at, row->text, row->len)))
		at += 3;
	require(at >= from && row->len <= (size_t)(end - at) && !memcmp(at, row->text, row->len) && !row->text[row->len]);
	for (const char *s = from; s < at; s++)
		require(strchr(" \t\r\n\xef\xbb\xbf", *s) && *s);
	return at + row->len;
}

static void check_record(const struct csv_header *h, const struct value *object, unsigned long long line)
{
	static const char *const separators[] = { ",\"", ";\"", "\t\"" };
	struct buf again = BUF_INIT(64 << 20);
	struct value *second = NULL;
	struct err e = ERR_INIT;
	struct row row = { .line = line };
	const struct value *w;

	for (const struct value *v = object->first; v; v = v->next) {
		require(v->type == VALUE_STR && utf8_valid(v->str, v->len) == v->len && strlen(v->str) == v->len);
		require(v->column && csv_has_column(h, v->key, strlen(v->key)));
	}
	/* The header's delimiter is not told: one of the three reads back. */
	for (size_t k = 0; k < 3 && !second; k++) {
		buf_reset(&again);
		for (const struct value *v = object->first; v; v = v->next) {
			require(buf_adds(&again, v == object->first ? "\"" : separators[k]) == 0);
			for (const char *s = v->str; *s; s++)
				require(buf_add(&again, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1) == 0);
			require(buf_adds(&again, "\"") == 0);
		}
		row.text = again.data;
		row.len = again.len;
		if (csv_record(&second, h, "again", &row, &e) < 0)
			err_clear(&e);
	}
	require(second);
	w = second->first;
	for (const struct value *v = object->first; v; v = v->next, w = w->next)
		require(w && w->len == v->len && !memcmp(w->str, v->str, v->len) && !strcmp(w->key, v->key));
	require(!w);
	value_free(second);
	buf_clear(&again);
}

static void take_record(struct csv_header **h, const struct row *row)
{
	struct value *object = NULL;
	struct err e = ERR_INIT;
	int failed = *h ? csv_record(&object, *h, "f", row, &e) : csv_header_read(h, "f", row, &e);

	if (failed)
		require(e.class == ERR_DATA && !strncmp(e.text, "f:", 2) && !object);
	else
		require(!row->fault && !e.text);
	if (object)
		check_record(*h, object, row->line);
	err_clear(&e);
	value_free(object);
}

static void read_all(const uint8_t *data, size_t size, enum rows_format f)
{
	struct rows *r = open_octets(data, size, f);
	const char *begin = (const char *)data, *at = begin;
	struct csv_header *h = NULL;
	struct err e = ERR_INIT;
	struct row row;
	int n;

	while ((n = rows_next(r, -1, &row, &e)) == 1) {
		at = check_place(&row, at, begin, begin + size);
		require(f == ROWS_CSV || !memchr(row.text, '\n', row.len));
		if (f == ROWS_CSV)
			take_record(&h, &row);
		free(row.text);
	}
	require(n == 0);
	for (; at < begin + size; at++)
		require(*at && strchr(" \t\r\n\xef\xbb\xbf", *at));
	csv_header_free(h);
	rows_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_all(data, size, ROWS_CSV);
	read_all(data, size, ROWS_JSONL);
	return 0;
}
