/*
 * The records of a batch: tables of what is in a file and what comes of it, whole, through a pipe in pieces of
 * any size, and from a writer that takes its time. JSL-03, JSL-04 and JSL-07 of the list of cases, as far as
 * they are the reader's matter.
 */

#include "check.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "input/rows.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOM "\xef\xbb\xbf"

static char dir[] = "/tmp/mailchute-test-XXXXXX", path[64], fifo[64];

/* What is wanted of a file: "LINE[text]" a record, "LINE!fault[text]" one with a fault. */
static const struct { const char *what; enum rows_format format; const char *in; size_t len; const char *out; } rows[] = {
#define J(what, in, out) { what, ROWS_JSONL, in, sizeof(in) - 1, out }
#define C(what, in, out) { what, ROWS_CSV, in, sizeof(in) - 1, out }
	J("nothing", "", ""),
	J("a line", "{}\n", "1[{}]"),
	J("LF and CRLF", "{\"a\":1}\n{\"b\":2}\r\n[3]\n", "1[{\"a\":1}]2[{\"b\":2}]3[[3]]"),
	J("no line end at the end", "a\nb", "1[a]2[b]"),
	J("a CR at the end is no line end", "a\r", "1[a\r]"),
	J("only the CR before the LF goes", "a\r\r\nb\rc\n", "1[a\r]2[b\rc]"),
	J("blank lines are counted", "\n \t\r\n\r\na\n\n  \nb\n \n", "4[a]7[b]"),
	J("blank lines alone", "\n\n \r\n\t", ""),
	J("spaces around are the record's", " a \n\tb\t\n", "1[ a ]2[\tb\t]"),
	J("quotes mean nothing", "\"a\n\"\nb\"\n", "1[\"a]2[\"]3[b\"]"),
	J("a byte order mark", BOM "{}\n{}\n", "1!begins with a byte order mark[" BOM "{}]2[{}]"),
	J("a byte order mark alone", BOM, "1!begins with a byte order mark[" BOM "]"),
	J("a byte order mark elsewhere is the parser's", "\n" BOM "{}\n" BOM "\n", "2[" BOM "{}]3[" BOM "]"),
	J("the beginning of a mark", "\xef\xbb\n", "1[\xef\xbb]"),
	J("a NUL", "a\nb\0c\nd\n\0\n", "1[a]2!has a NUL[b@c]3[d]4!has a NUL[@]"),
	J("UTF-16", "{\0}\0\n\0", "1!has a NUL[{@}@]2!has a NUL[@]"),
	J("U+2028 is no line end", "a\xe2\x80\xa8" "b\x0b\x0c\n", "1[a\xe2\x80\xa8" "b\x0b\x0c]"),
	C("nothing", "", ""),
	C("a line", "a,b\n", "1[a,b]"),
	C("LF and CRLF, none at the end", "a,b\r\nc\nd", "1[a,b]2[c]3[d]"),
	C("blank lines", "\n \r\na\n\t\nb\n\n", "3[a]5[b]"),
	C("a stray quote", "a,5\" disk\nb,c\n", "1[a,5\" disk]2[b,c]"),
	C("two of them", "a,5\"\"\nb\"\nc\n", "1[a,5\"\"]2[b\"]3[c]"),
	C("one behind a closing quote's text", "\"a\"b\"\nc\n", "1[\"a\"b\"]2[c]"),
	C("one and a quoted field behind it", "5\",\"b\nc\"\nd\n", "1[5\",\"b\nc\"]3[d]"),
	C("behind a space", "a, \"b\nc\n", "1[a, \"b]2[c]"),
	C("a quote behind a doubled one", "\"a\"\"\"\nb\n", "1[\"a\"\"\"]2[b]"),
	C("semicolons and tabs", "a;\"b\nc\";d\t\"e\nf\"\n", "1[a;\"b\nc\";d\t\"e\nf\"]"),
	C("a line end inside of quotes", "a,\"b\nc\"\nd\n", "1[a,\"b\nc\"]3[d]"),
	C("CRLF inside of quotes stays", "\"a\r\nb\"\r\nc\r\n", "1[\"a\r\nb\"]3[c]"),
	C("blank lines inside of quotes", "x\n\"\n\n \n\"\n\ny\n", "1[x]2[\"\n\n \n\"]7[y]"),
	C("doubled quotes", "\"a\"\"\n\"\"b\"\n\"\"\"\"\n", "1[\"a\"\"\n\"\"b\"]3[\"\"\"\"]"),
	C("a file that ends inside of quotes", "a\n\"b\nc\n", "1[a]2!the file ends inside a quoted field[\"b\nc\n]"),
	C("the same without a line end", "\"", "1!the file ends inside a quoted field[\"]"),
	C("a byte order mark is skipped", BOM "a,b\nc\n", "1[a,b]2[c]"),
	C("before a quote", BOM "\"a\nb\"\n", "1[\"a\nb\"]"),
	C("before nothing", BOM "\n\na\n" BOM "\n", "3[a]4[" BOM "]"),
	C("a mark and no more", BOM, ""),
	C("a NUL", "a\0,b\n\"\0\n\"\nc\n", "1!has a NUL[a@,b]2!has a NUL[\"@\n\"]4[c]"),
#undef J
#undef C
};

static void put(const char *mem, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || io_write_all(fd, mem, len) < 0)
		abort();
	close(fd);
}

static void tell(struct buf *out, const struct row *row)
{
	if (buf_addf(out, row->fault ? "%llu!%s[" : "%llu%s[", row->line, row->fault ? row->fault : "") < 0)
		abort();
	for (size_t i = 0; i < row->len; i++)
		if (buf_add(out, row->text[i] ? &row->text[i] : "@", 1) < 0)
			abort();
	if (buf_adds(out, "]") < 0)
		abort();
	check(row->text[row->len] == '\0');
}

/* All records of @r, told one behind the other; what the last rows_next() gave. */
static int tell_all(struct buf *out, struct rows *r, struct err *e)
{
	struct row row;
	int n;

	while ((n = rows_next(r, -1, &row, e)) == 1) {
		tell(out, &row);
		free(row.text);
	}
	return n;
}

static void test_files(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(rows_closep) struct rows *r = NULL;
		struct row row;

		test_case("a file, %s: %s", rows[i].format == ROWS_CSV ? "CSV" : "JSON Lines", rows[i].what);
		put(rows[i].in, rows[i].len);
		check_int(rows_open(&r, path, rows[i].format, &e), 0);
		check_int(rows_size(r), rows[i].len);
		check_int(rows_taken(r), 0);
		check_int(tell_all(&out, r, &e), 0);
		check_str(out.data, rows[i].out);
		check_int(rows_next(r, -1, &row, &e), 0);
		if (*rows[i].out)
			check(rows_taken(r) > 0 && rows_taken(r) <= rows_size(r));
	}
}

/* --- writers --- */

struct writer {
	const char *path, *mem;
	size_t len, step;
	unsigned pause_us;
	int wake;                       /* >= 0: written to behind half of it */
};

static void *write_slowly(void *data)
{
	const struct writer *w = data;
	int fd = open(w->path, O_WRONLY);
	const uint64_t one = 1;

	for (size_t at = 0; at < w->len; at += w->step) {
		size_t n = w->len - at < w->step ? w->len - at : w->step;

		if (io_write_all(fd, w->mem + at, n) < 0)
			break;
		if (w->wake >= 0 && at <= w->len / 2 && at + w->step > w->len / 2 && write(w->wake, &one, sizeof(one)) < 0)
			abort();
		if (w->pause_us)
			usleep(w->pause_us);
	}
	close(fd);
	return NULL;
}

static void from_fifo(struct buf *out, size_t i, size_t step, unsigned pause_us)
{
	struct writer w = { .path = fifo, .mem = rows[i].in, .len = rows[i].len, .step = step, .pause_us = pause_us, .wake = -1 };
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(rows_closep) struct rows *r = NULL;
	pthread_t thread;

	check_int(rows_open(&r, fifo, rows[i].format, &e), 0);
	check_int(rows_size(r), -1);
	check_int(pthread_create(&thread, NULL, write_slowly, &w), 0);
	check_int(tell_all(out, r, &e), 0);
	pthread_join(thread, NULL);
	check_int(rows_taken(r) <= (long long)rows[i].len, 1);
}

static void test_pipes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step < 8; step += 3) {
			CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);

			test_case("a pipe, by %zu octets, %s: %s", step, rows[i].format == ROWS_CSV ? "CSV" : "JSON Lines",
				  rows[i].what);
			/* With a pause the reader sees each piece alone. */
			from_fifo(&out, i, step, step == 1 ? 200 : 0);
			check_str(out.data, rows[i].out);
		}
}

static void test_stall(void)
{
	static const char text[] = "{\"a\":1}\n{\"b\":";
	struct writer w = { .path = fifo, .mem = text, .len = strlen(text), .step = 10, .pause_us = 300000, .wake = -1 };
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(rows_closep) struct rows *r = NULL;
	int64_t began = io_now_ms();
	struct row row;
	pthread_t thread;

	test_case("a writer that stalls amid a line is waited for; the first record is given at once");
	check_int(rows_open(&r, fifo, ROWS_JSONL, &e), 0);
	check_int(pthread_create(&thread, NULL, write_slowly, &w), 0);
	check_int(rows_next(r, -1, &row, &e), 1);
	check(io_now_ms() - began < 250);
	check_str(row.text, "{\"a\":1}");
	check_int(rows_taken(r), 8);
	free(row.text);

	test_case("a writer that dies amid a line: what there is of it is given, for the parser to refuse");
	check_int(tell_all(&out, r, &e), 0);
	check_str(out.data, "2[{\"b\":]");
	check(io_now_ms() - began > 500);
	pthread_join(thread, NULL);
}

static void test_wake(void)
{
	static const char text[] = "a\nbcdefghi\n";
	int wake = eventfd(0, EFD_CLOEXEC);
	struct writer w = { .path = fifo, .mem = text, .len = strlen(text), .step = 4, .pause_us = 100000, .wake = wake };
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(rows_closep) struct rows *r = NULL;
	struct row row;
	pthread_t thread;
	uint64_t n;

	test_case("the caller's eventfd ends the waiting, and nothing is lost");
	check_int(rows_open(&r, fifo, ROWS_JSONL, &e), 0);
	check_int(pthread_create(&thread, NULL, write_slowly, &w), 0);
	check_int(rows_next(r, wake, &row, &e), 1);
	check_str(row.text, "a");
	free(row.text);
	check_int(rows_next(r, wake, &row, &e), 2);
	check_int(rows_next(r, wake, &row, &e), 2);
	check_int(rows_taken(r), 2);
	check_int(read(wake, &n, sizeof(n)), sizeof(n));
	check_int(rows_next(r, wake, &row, &e), 1);
	check_str(row.text, "bcdefghi");
	check_int(row.line, 2);
	free(row.text);
	check_int(rows_next(r, wake, &row, &e), 0);
	pthread_join(thread, NULL);
	close(wake);
}

static void *kill_soon(void *data)
{
	(void)data;
	usleep(100000);
	kill(getpid(), SIGTERM);
	return NULL;
}

static void test_signal(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(rows_closep) struct rows *r = NULL;
	struct row row;
	pthread_t thread;
	int fd;

	test_case("a signal ends the waiting");
	check_int(rows_open(&r, fifo, ROWS_JSONL, &e), 0);
	fd = open(fifo, O_WRONLY);
	check(io_write_all(fd, "a\nb\nc", 5) == 0);
	check_int(pthread_create(&thread, NULL, kill_soon, NULL), 0);
	check_int(rows_next(r, -1, &row, &e), 1);
	free(row.text);
	check_int(rows_next(r, -1, &row, &e), 1);
	free(row.text);
	check_int(rows_next(r, -1, &row, &e), 0);
	check_int(io_signal_heard, SIGTERM);
	pthread_join(thread, NULL);
	close(fd);
	io_signal_heard = 0;
	io_signal_seen();
}

/* --- sizes --- */

/* "first", a record of @len octets that @edge begins and ends, "last". */
static void put_large(size_t len, const char *edge, const char *end)
{
	CLEANUP(freep) char *large = xmalloc(len);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(large, 'x', len);
	if (*edge) {
		large[0] = large[len - 1] = *edge;
		for (size_t i = 1000; i < len - 1; i += 1000)
			large[i] = '\n';
	}
	if (io_write_all(fd, "first\n", 6) < 0 || io_write_all(fd, large, len) < 0 || io_write_all(fd, end, strlen(end)) < 0)
		abort();
	close(fd);
}

static const struct { size_t len; const char *edge, *end; bool fits; } large[] = {
	{ ROW_MAX - 1, "", "\nlast\n", true }, { ROW_MAX, "", "\nlast\n", true }, { ROW_MAX, "", "\r\nlast\n", true },
	{ ROW_MAX + 1, "", "\nlast\n", false }, { ROW_MAX + 1, "", "\r\nlast\n", false }, { ROW_MAX + 2, "", "\nlast", false },
	{ 3 * ROW_MAX, "", "\r\nlast", false }, { ROW_MAX, "", "", true }, { ROW_MAX + 1, "", "", false },
	{ ROW_MAX + 3, "", "", false }, { ROW_MAX, "\"", "\nlast\n", true }, { ROW_MAX + 1, "\"", "\nlast\n", false },
	{ 2 * ROW_MAX, "\"", "\r\nlast\n", false }, { 2 * ROW_MAX, "\"", "", false }, { 2 * ROW_MAX, "\"", "\"\nx", false },
	{ 300000, "", "\nlast\n", true }, { 300000, "\"", "\nlast\n", true },
};

static void test_large(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
		enum rows_format format = *large[i].edge ? ROWS_CSV : ROWS_JSONL;
		size_t lines = *large[i].edge ? 1 + (large[i].len - 2) / 1000 : 1;
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(rows_closep) struct rows *r = NULL;
		struct row row = {0};

		test_case("%zu octets in %zu lines, then %zu octets", large[i].len, lines, strlen(large[i].end));
		put_large(large[i].len, large[i].edge, large[i].end);
		check_int(rows_open(&r, path, format, &e), 0);
		check_int(rows_next(r, -1, &row, &e), 1);
		check_str(row.text, "first");
		free(row.text);
		check_int(rows_next(r, -1, &row, &e), 1);
		check_int(row.line, 2);
		check_int(row.len, large[i].fits ? large[i].len : 0);
		check_int(strlen(row.text), row.len);
		check_str(row.fault ? row.fault : "", large[i].fits ? "" : "longer than 16 MiB");
		free(row.text);
		row.text = NULL;
		if (strstr(large[i].end, "last")) {
			check_int(rows_next(r, -1, &row, &e), 1);
			check_str(row.text, "last");
			check_int(row.line, 2 + lines);
			check(!row.fault);
			free(row.text);
		}
		check_int(rows_next(r, -1, &row, &e), 0);
		check_int(rows_taken(r), rows_size(r));
	}
}

/* A quote that opens a field of a record too long, at every place around the edge of a block. */
static void test_dropped_quotes(void)
{
	for (int shift = -2; shift <= 2; shift++) {
		CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 30);
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(rows_closep) struct rows *r = NULL;
		size_t until = ROW_MAX + 3 * (256 << 10) + 4 + (size_t)(shift + 2) - 2;
		struct row row;

		test_case("a quoted field begins where a block does, and %d octets", shift);
		if (buf_adds(&text, "h,i\nlong,") < 0 || buf_reserve(&text, until) < 0)
			abort();
		memset(text.data + text.len, 'x', until - 1 - text.len);
		text.len = until - 1;
		if (buf_adds(&text, ",\"\nnot,a row\n\",z\nlast,row\n") < 0)
			abort();
		put(text.data, text.len);
		check_int(rows_open(&r, path, ROWS_CSV, &e), 0);
		for (int i = 0; i < 3; i++) {
			check_int(rows_next(r, -1, &row, &e), 1);
			check_str(row.fault ? row.fault : row.text, i == 0 ? "h,i" : i == 1 ? "longer than 16 MiB" : "last,row");
			free(row.text);
		}
		check_int(rows_next(r, -1, &row, &e), 0);
	}
}

/* Records whose sizes go past every edge of the block. */
static void test_edges(void)
{
	enum { RECORDS = 700, UNIT = 2999 };
	CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 30);
	CLEANUP(err_clear) struct err e = ERR_INIT;

	for (int i = 0; i < RECORDS; i++) {
		size_t len = (size_t)i * UNIT % 5003 + (i % 97 == 0 ? 270000 : 0);

		if (buf_addf(&text, "\"%d:", i) < 0)
			abort();
		for (size_t k = 0; k < len; k++)
			if (buf_add(&text, k % 701 == 700 ? "\n" : &"abcdefghij"[(k + (size_t)i) % 10], 1) < 0)
				abort();
		if (buf_adds(&text, i % 2 ? "\"\r\n" : "\"\n") < 0)
			abort();
	}
	put(text.data, text.len);
	test_case("%zu octets of records of many sizes are the same again", text.len);
	for (int by_pipe = 0; by_pipe < 2; by_pipe++) {
		struct writer w = { .path = fifo, .mem = text.data, .len = text.len, .step = 4801, .wake = -1 };
		CLEANUP(buf_clear) struct buf again = BUF_INIT(1 << 30);
		CLEANUP(rows_closep) struct rows *r = NULL;
		unsigned long long line = 1;
		pthread_t thread;
		struct row row;

		check_int(rows_open(&r, by_pipe ? fifo : path, ROWS_CSV, &e), 0);
		if (by_pipe)
			check_int(pthread_create(&thread, NULL, write_slowly, &w), 0);
		for (int i = 0; rows_next(r, -1, &row, &e) == 1; i++) {
			if (row.fault || row.line != line || buf_add(&again, row.text, row.len) < 0 ||
			    buf_adds(&again, i % 2 ? "\r\n" : "\n") < 0)
				abort();
			line++;
			for (const char *s = row.text; (s = strchr(s, '\n')); s++)
				line++;
			free(row.text);
		}
		check_mem(again.data, again.len, text.data, text.len);
		check_int(rows_taken(r), text.len);
		if (by_pipe)
			pthread_join(thread, NULL);
	}
}

/* Is the memory that of one record, however many there are? And how long it takes. */
static void test_many(void)
{
	enum { RECORDS = 1000000 };
	CLEANUP(buf_clear) struct buf some = BUF_INIT(1 << 20);
	CLEANUP(err_clear) struct err e = ERR_INIT;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct rusage before, after;

	for (int i = 0; i < 1000; i++)
		if (buf_addf(&some, "\"person%d@x.example\",\"A Name, %d\",some,short,fields\n", i, i) < 0)
			abort();
	for (int i = 0; i < RECORDS / 1000; i++)
		if (io_write_all(fd, some.data, some.len) < 0)
			abort();
	close(fd);
	for (enum rows_format f = ROWS_JSONL; f <= ROWS_CSV; f++) {
		CLEANUP(rows_closep) struct rows *r = NULL;
		int64_t began = io_now_us();
		struct row row;
		int n = 0;

		test_case("a million records as %s in the memory of a few", f == ROWS_CSV ? "CSV" : "JSON Lines");
		getrusage(RUSAGE_SELF, &before);
		check_int(rows_open(&r, path, f, &e), 0);
		for (; rows_next(r, -1, &row, &e) == 1; n++)
			free(row.text);
		getrusage(RUSAGE_SELF, &after);
		check_int(n, RECORDS);
		printf("# %lld ns a record, %ld KiB more\n", (long long)(io_now_us() - began) * 1000 / RECORDS,
		       after.ru_maxrss - before.ru_maxrss);
#ifndef __SANITIZE_ADDRESS__
		/* The sanitizer keeps what was freed. */
		check(after.ru_maxrss - before.ru_maxrss < 1024);
#endif
	}
}

/* --- what can be opened --- */

static void test_open(void)
{
	static const struct { const char *path, *text; } bad[] = {
		{ "/nonexistent", "cannot open '/nonexistent': No such file or directory" }, { "", "the file name is empty" },
		{ "/", "cannot read '/': it is a directory" },
	};
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	struct rows *r = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(err_clear) struct err e = ERR_INIT;

		test_case("refused: '%s'", bad[i].path);
		check_int(rows_open(&r, bad[i].path, ROWS_JSONL, &e), -1);
		check_int(e.class, ERR_NOINPUT);
		check(e.text && strstr(e.text, bad[i].text));
		check(!r);
	}
}

/* @fd as standard input, which it is no more after; closes it. What rows_open() gave, and the records. */
static int from_standard(struct buf *out, const char *name, int fd, struct err *e)
{
	CLEANUP(rows_closep) struct rows *r = NULL;
	int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100), opened;

	dup2(fd, STDIN_FILENO);
	if (fd != STDIN_FILENO)
		close(fd);
	opened = rows_open(&r, name, ROWS_JSONL, e);
	if (opened == 0)
		check_int(tell_all(out, r, e), 0);
	check(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	dup2(saved, STDIN_FILENO);
	close(saved);
	return opened;
}

static void test_standard(void)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	CLEANUP(err_clear) struct err e = ERR_INIT;
	int pair[2], fd;

	put("a\nb\nc\n", 6);
	test_case("standard input: a file, from where it stands");
	fd = open(path, O_RDONLY);
	check_int(lseek(fd, 2, SEEK_SET), 2);
	check_int(from_standard(&out, "-", fd, &e), 0);
	check_str(out.data, "1[b]2[c]");

	test_case("standard input: a pipe, by its other name");
	buf_reset(&out);
	check(pipe(pair) == 0 && io_write_all(pair[1], "x\ny", 3) == 0);
	close(pair[1]);
	check_int(from_standard(&out, "/dev/stdin", pair[0], &e), 0);
	check_str(out.data, "1[x]2[y]");

	test_case("standard input: a socket");
	buf_reset(&out);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && io_write_all(pair[1], "x\ny\n", 4) == 0);
	close(pair[1]);
	check_int(from_standard(&out, "-", pair[0], &e), 0);
	check_str(out.data, "1[x]2[y]");

	test_case("standard input: not for reading, a directory");
	check_int(from_standard(&out, "-", open("/dev/null", O_WRONLY), &e), -1);
	check_int(e.class, ERR_NOINPUT);
	check(strstr(e.text, "not open for reading"));
	err_clear(&e);
	check_int(from_standard(&out, "-", open("/", O_RDONLY), &e), -1);
	check(e.class == ERR_NOINPUT && strstr(e.text, "a directory"));
	err_clear(&e);

	test_case("a kernel's file, whose size is not to be believed; no records");
	{
		CLEANUP(rows_closep) struct rows *r = NULL;

		check_int(rows_open(&r, "/proc/self/limits", ROWS_JSONL, &e), 0);
		check_int(rows_size(r), -1);
		buf_reset(&out);
		check_int(tell_all(&out, r, &e), 0);
		check(strstr(out.data, "1[Limit "));
	}
	buf_reset(&out);
	check_int(from_standard(&out, "-", open("/dev/null", O_RDONLY), &e), 0);
	check_str(out.data, "");
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/rows", dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	if (mkfifo(fifo, 0600) < 0)
		return 1;
	io_signals_init();
	/* First: what it measures is the most that there ever was. */
	test_many();
	test_files();
	test_pipes();
	test_stall();
	test_wake();
	test_signal();
	test_large();
	test_dropped_quotes();
	test_edges();
	test_open();
	test_standard();
	unlink(path);
	unlink(fifo);
	rmdir(dir);
	return check_done();
}
