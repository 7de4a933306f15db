#pragma once

/*
 * A batch as it comes: JSON Lines or CSV, a record at a time, with the memory of one record however many
 * there are. The reader knows where a record ends and whether it can be one; what is in it is for json.c and
 * csv.c. One thread reads; rows_taken() and rows_size() may be asked by another meanwhile.
 *
 * LF or CRLF ends a line; the last one needs none. Lines of spaces, tabs and CR alone are skipped and
 * counted. A line of JSON Lines is a record. A record of CSV ends at a line end that is in no quotes (RFC 4180, 2(6)
 * and 2(7)); only at the beginning of a field does a quote open any, so that a row with a stray one ends where it ends.
 *
 * What cannot be a record is given too, with its fault, and the stream is in step again behind its end: one
 * bad record never ends a batch, and nothing of it is taken for a record of its own.
 */

#include "base/base.h"

struct err;

enum rows_format { ROWS_JSONL, ROWS_CSV };

enum { ROW_MAX = 16 << 20 };    /* octets of a record; what is larger belongs in files */

struct row {
	char *text;                     /* without its line end, NUL behind it; the caller's, free(3) */
	size_t len;
	unsigned long long line;        /* its first line's number, from 1 */
	/*
	 * NULL, or static text, what is wrong with it: "has a NUL"; "longer than 16 MiB" (@text is empty
	 * then); JSON Lines: "begins with a byte order mark" (in CSV it is skipped: Excel writes one); CSV:
	 * "the file ends inside a quoted field".
	 */
	const char *fault;
};

/* "name:line: what is wrong", and where the record is of several lines, which. ERR_DATA; -1. */
int row_refuse(const struct row *row, const char *name, struct err *e);

struct rows;
/*
 * @path "-" or "/dev/stdin": standard input, from where it stands. A regular file, a FIFO, or what standard
 * input is. ERR_NOINPUT where it cannot be read, ERR_OS.
 */
int rows_open(struct rows **ret, const char *path, enum rows_format f, struct err *e) MUST_CHECK;
/*
 * 1: *ret is the next record; 0: the end, or a signal (io_signal_heard); 2: @wake, a descriptor of the
 * caller's (-1: none), is readable, and nothing was taken; -1: ERR_IO. @wake is looked at only where there
 * is more to be read: a record that is here already is given. A writer that stalls is waited for.
 */
int rows_next(struct rows *r, int wake, struct row *ret, struct err *e) MUST_CHECK;
/* A regular file that everybody can read, and not standard input: no place for a secret. */
bool rows_exposed(const struct rows *r);
/* CSV: behind which octet a field begins. Until it is said: ',', ';' or a tab, for the header tells which. */
void rows_set_delimiter(struct rows *r, char delimiter);
/* Octets of a regular file from where it was begun, or -1; and those that were taken so far. */
long long rows_size(const struct rows *r);
long long rows_taken(const struct rows *r);
void rows_close(struct rows *r);
DEFINE_CLEANUP(struct rows *, rows_close);
