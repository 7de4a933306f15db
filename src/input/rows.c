/*
 * Records out of a stream; see rows.h.
 *
 * One block of memory holds what was read and not yet taken:
 *
 *	0       at                 scanned          have          cap
 *	| taken | the record so far, | not looked at | to be read  |
 *
 * No octet is looked at twice for a record's end. The block grows only where one record is larger than it,
 * and at most to what shows that the record is too long; the rest of that one is read and dropped.
 */

#include "input/rows.h"

#include "base/err.h"
#include "base/file.h"
#include "base/io.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BLOCK = 256 << 10,              /* read at once; more is not faster */
	KEEP = 1 << 20,                 /* a block grown beyond it shrinks behind the record that needed it */
	SHOWN = 512,
};

#define BOM "\xef\xbb\xbf"

struct rows {
	int fd;
	bool owned, ended;              /* close @fd; the end of the file was read */
	enum rows_format format;
	char *block;
	size_t cap, at, scanned, have;  /* see above */
	unsigned long long line;        /* the number of the line that is at @at */
	unsigned long long inner;       /* line ends between @at and @scanned */
	/* CSV: */
	const char *delimiters;
	char delimiter[2];
	bool quoted;                    /* @scanned is inside quotes */
	size_t closed;                  /* in the block: behind the last closing quote; SIZE_MAX: none */
	bool dropping;                  /* the record was too long: what is read is not kept */
	char dropped;                   /* its last octet so far */
	bool begun;                     /* something was taken: no byte order mark any more */
	long long size;
	atomic_llong taken;
	char name[SHOWN];
};

/* Where a regular file (not a kernel's that says so) is at, to its end. */
static long long size_left(int fd)
{
	struct stat st;
	off_t at;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	at = lseek(fd, 0, SEEK_CUR);
	return at < 0 || at > st.st_size ? -1 : (long long)(st.st_size - at);
}

/* Opened by whoever started us, and perhaps for something else. */
static int check_standard(struct err *e)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(STDIN_FILENO, &st) < 0)
		return err_sys(e, ERR_NOINPUT, errno, "cannot read standard input");
	if ((flags & O_ACCMODE) == O_WRONLY)
		return err_set(e, ERR_NOINPUT, "cannot read standard input: it is not open for reading");
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_NOINPUT, "cannot read standard input: it is a directory");
	return 0;
}

int rows_open(struct rows **ret, const char *path, enum rows_format f, struct err *e)
{
	bool standard = !strcmp(path, "-") || !strcmp(path, "/dev/stdin"), pipe = false;
	const char *name = standard ? "standard input" : path;
	struct file_id id;
	int fd = STDIN_FILENO;
	struct rows *r;

	if (standard ? check_standard(e) < 0 : file_open(&fd, &pipe, &id, path, NULL, e) < 0)
		return -1;
	r = xcalloc(1, sizeof(*r));
	r->fd = fd;
	r->owned = !standard;
	r->format = f;
	r->cap = BLOCK;
	r->block = xmalloc(r->cap);
	r->line = 1;
	r->delimiters = ",;\t";
	r->closed = SIZE_MAX;
	r->size = pipe ? -1 : size_left(fd);
	utf8_escape(r->name, sizeof(r->name), name, strlen(name));
	/* Advice; a file system that does not take it reads as well without. */
	if (r->size >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	*ret = r;
	return 0;
}

int row_refuse(const struct row *row, const char *name, struct err *e)
{
	unsigned long long last = row->line;
	char lines[64] = "";

	for (const char *s = row->text; (s = memchr(s, '\n', row->len - (size_t)(s - row->text))); s++)
		last += s + 1 < row->text + row->len;
	if (last > row->line)
		snprintf(lines, sizeof(lines), " (lines %llu to %llu)", row->line, last);
	return err_set(e, ERR_DATA, "%s:%llu: %s%s", name, row->line, row->fault, lines);
}

bool rows_exposed(const struct rows *r)
{
	struct stat st;

	return r->owned && fstat(r->fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH);
}

void rows_set_delimiter(struct rows *r, char delimiter)
{
	r->delimiter[0] = delimiter;
	r->delimiters = r->delimiter;
}

long long rows_size(const struct rows *r)
{
	return r->size;
}

long long rows_taken(const struct rows *r)
{
	return atomic_load_explicit(&r->taken, memory_order_relaxed);
}

void rows_close(struct rows *r)
{
	if (!r)
		return;
	if (r->owned)
		close(r->fd);
	/* A record may have held a secret. */
	explicit_bzero(r->block, r->cap);
	free(r->block);
	free(r);
}

/* --- octets into the block --- */

static void take(struct rows *r, size_t n)
{
	long long taken = atomic_load_explicit(&r->taken, memory_order_relaxed) + (long long)n;

	r->at += n;
	r->begun = true;
	atomic_store_explicit(&r->taken, taken, memory_order_relaxed);
}

/* Room behind what is there. Moves at most one record's beginning a block. */
static void make_room(struct rows *r)
{
	if (r->at) {
		memmove(r->block, r->block + r->at, r->have - r->at);
		r->scanned -= r->at;
		r->closed = r->closed >= r->at && r->closed != SIZE_MAX ? r->closed - r->at : SIZE_MAX;
		r->have -= r->at;
		r->at = 0;
	}
	if (r->cap > KEEP && r->have <= BLOCK / 2)
		r->cap = BLOCK;
	else if (r->cap - r->have < BLOCK / 2)
		r->cap = r->cap < ROW_MAX ? r->cap * 2 : ROW_MAX + BLOCK;
	else
		return;
	r->block = xreallocarray(r->block, r->cap, 1);
}

/* 1: there is something to be read, its end included; else as rows_next(). */
static int wait_for(struct rows *r, int wake, struct err *e)
{
	for (;;) {
		struct pollfd p[3] = {
			{ .fd = r->fd, .events = POLLIN }, { .fd = io_signal_fd(), .events = POLLIN },
			{ .fd = wake, .events = POLLIN },
		};
		int n = poll(p, 3, -1);

		if (io_signal_heard)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, errno, "waiting for '%s'", r->name);
		if (n > 0 && p[2].revents)
			return 2;
		if (n > 0 && p[0].revents & POLLNVAL)
			return err_set(e, ERR_IO, "'%s' is not an open descriptor", r->name);
		if (n > 0 && p[0].revents)
			return 1;
	}
}

/* 1: more is in the block, or the file has ended; else as rows_next(). */
static int fill(struct rows *r, int wake, struct err *e)
{
	make_room(r);
	for (;;) {
		int ready = wait_for(r, wake, e);
		ssize_t n;

		if (ready != 1)
			return ready;
		n = read(r->fd, r->block + r->have, r->cap - r->have);
		if (n >= 0) {
			r->have += (size_t)n;
			r->ended = !n;
			return 1;
		}
		if (errno != EINTR && errno != EAGAIN)
			return err_sys(e, ERR_IO, errno, "reading '%s' failed after line %llu", r->name,
				       r->line + r->inner - 1);
	}
}

/* --- a record's end --- */

/* Does a field begin at octet @at of the block? */
static bool begins_field(const struct rows *r, size_t at)
{
	const char *from = r->block + r->at;
	char before;

	/* a mark that Excel writes */
	if (!r->begun && at - r->at == strlen(BOM) && !memcmp(from, BOM, strlen(BOM)))
		return true;
	if (at == r->at && !r->dropping)
		return true;
	before = at == r->at ? r->dropped : r->block[at - 1];
	return before && strchr(r->delimiters, before);
}

/* Octets of a record, without an LF that ends it. */
static void walk_quotes(struct rows *r, size_t from, size_t to)
{
	const char *quote;

	for (; (quote = memchr(r->block + from, '"', to - from)); from++) {
		from = (size_t)(quote - r->block);
		if (r->quoted) {
			r->quoted = false;
			r->closed = from + 1;
		} else if (r->closed == from || begins_field(r, from)) {
			r->quoted = true;       /* the second of two is one of the field's */
		}
	}
}

/* The LF that ends the record at @at, or NULL: not among what was read. */
static const char *find_end(struct rows *r)
{
	for (;;) {
		const char *from = r->block + r->scanned;
		size_t len = r->have - r->scanned;
		const char *lf = len ? memchr(from, '\n', len) : NULL;
		size_t n = lf ? (size_t)(lf - from) : len;

		if (r->format == ROWS_CSV)
			walk_quotes(r, r->scanned, r->scanned + n);
		r->scanned += n;
		if (!lf || !r->quoted)
			return lf;
		r->scanned++;
		r->inner++;
	}
}

/* Too long already, if the next octet were its LF and the last a CR? */
static bool too_long(const struct rows *r)
{
	return r->have - r->at > (size_t)ROW_MAX + 1;
}

/* What was looked at is of no use: the record is too long. */
static void drop(struct rows *r)
{
	r->dropping = true;
	if (r->scanned > r->at)
		r->dropped = r->block[r->scanned - 1];
	take(r, r->scanned - r->at);
}

/* 1: *ret_len octets of the block are a record, *ret_whole with its line end; else as rows_next(). */
static int find_record(struct rows *r, int wake, size_t *ret_len, size_t *ret_whole, struct err *e)
{
	for (;;) {
		const char *lf = find_end(r);
		int filled;

		if (lf || r->ended) {
			*ret_len = (lf ? (size_t)(lf - r->block) : r->have) - r->at;
			*ret_whole = *ret_len + (lf != NULL);
			if (lf && *ret_len && lf[-1] == '\r')
				--*ret_len;
			return lf || *ret_len || r->dropping;
		}
		if (r->dropping || too_long(r))
			drop(r);
		filled = fill(r, wake, e);
		if (filled != 1)
			return filled;
	}
}

static bool is_blank(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r'))
		i++;
	return i == len;
}

static const char *fault_of(const struct rows *r, const char *text, size_t len, bool marked)
{
	if (r->dropping || len > ROW_MAX)
		return "longer than 16 MiB";
	if (marked)
		return "begins with a byte order mark";
	if (r->quoted)
		return "the file ends inside a quoted field";
	return memchr(text, '\0', len) ? "has a NUL" : NULL;
}

/* The record at @at. False: a blank line, and nothing was given. */
static bool give(struct rows *r, size_t len, struct row *ret)
{
	const char *text = r->block + r->at;
	bool marked = !r->begun && len >= strlen(BOM) && !memcmp(text, BOM, strlen(BOM));
	bool too_large = r->dropping || len > ROW_MAX;

	if (marked && r->format == ROWS_CSV) {
		text += strlen(BOM);
		len -= strlen(BOM);
		marked = false;
	}
	if (!too_large && is_blank(text, len))
		return false;
	ret->fault = fault_of(r, text, len, marked);
	ret->len = too_large ? 0 : len;
	ret->text = xmemdup0(text, ret->len);
	ret->line = r->line;
	return true;
}

int rows_next(struct rows *r, int wake, struct row *ret, struct err *e)
{
	bool given = false;

	while (!given) {
		size_t len, whole;
		int found = io_signal_heard ? 0 : find_record(r, wake, &len, &whole, e);

		if (found != 1)
			return found;
		given = give(r, len, ret);
		take(r, whole);
		r->scanned = r->at;
		r->line += r->inner + 1;
		r->inner = 0;
		r->quoted = r->dropping = false;
		r->closed = SIZE_MAX;
	}
	return 1;
}
