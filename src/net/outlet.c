/* Many messages to a directory or an mbox; see outlet.h. */

#include "net/outlet.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "model/message.h"
#include "net/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, KEPT = 256 * 1024, MESSAGE_MAX = 1 << 30 };

struct outlet {
	char *path;                     /* NULL: standard output */
	bool directory;
	char *beside;                   /* the file that becomes path; NULL: it is written to as it is */
	mode_t mode;                    /* of the file that is replaced */
	bool keep_mode;
	int fd;
	bool failed;
	struct buf out;                 /* not written yet: whole messages, and the one on its way */
	char *raw;
};

static const char from_[] = "From ";

static int open_file(struct outlet *o, const char *path, struct err *e)
{
	struct stat st;
	bool there = stat(path, &st) == 0;

	if (there && !S_ISREG(st.st_mode)) {
		o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return o->fd < 0 ? err_sys(e, ERR_CANTCREAT, errno, "%s: cannot open for writing", path) : 0;
	}
	if (there) {
		char *real = realpath(path, NULL);

		o->mode = st.st_mode & 0777;
		o->keep_mode = true;
		if (real) {
			free(o->path);
			o->path = real;
		}
	}
	o->beside = xasprintf("%s.XXXXXX", o->path);
	o->fd = mkostemp(o->beside, O_CLOEXEC);
	if (o->fd >= 0)
		return 0;
	free(o->beside);
	o->beside = NULL;
	return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot create", path);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int outlet_open(struct outlet **ret, const char *path, struct err *e)
{
	CLEANUP(outlet_closep) struct outlet *o = xcalloc(1, sizeof(*o));
	size_t len = path ? strlen(path) : 0;

	o->fd = -1;
	o->out = (struct buf)BUF_INIT(MESSAGE_MAX);
	o->raw = xmalloc(CHUNK);
	if (!path) {
		o->fd = STDOUT_FILENO;
	} else {
		o->path = xstrdup(path);
		o->directory = is_directory(path) || (len && path[len - 1] == '/');
		if (o->directory && mkdir(path, 0777) < 0 && !is_directory(path))
			return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot create the directory", path);
		if (!o->directory && open_file(o, path, e) < 0)
			return -1;
	}
	*ret = o;
	o = NULL;
	return 0;
}

static const char *shown(const struct outlet *o)
{
	return o->path ? o->path : "standard output";
}

/* The first @n octets of o->out. */
static int write_out(struct outlet *o, size_t n, struct err *e)
{
	if (n && io_write_all(o->fd, o->out.data, n) < 0) {
		o->failed = true;
		return err_sys(e, ERR_IO, errno, "%s: cannot write the messages", shown(o));
	}
	memmove(o->out.data, o->out.data + n, o->out.len - n);
	o->out.len -= n;
	return 0;
}

/* ---- mbox ---- */

static int full(struct err *e)
{
	return err_set(e, ERR_DATA, "a message over 1 GiB does not go into an mbox");
}

/* A line without its end, quoted where it could begin a message. */
static int put_line(struct outlet *o, const char *mem, size_t len, struct err *e)
{
	size_t quotes = 0;

	while (quotes < len && mem[quotes] == '>')
		quotes++;
	if (len - quotes >= sizeof(from_) - 1 && !memcmp(mem + quotes, from_, sizeof(from_) - 1) &&
	    buf_add(&o->out, ">", 1) < 0)
		return full(e);
	return buf_add(&o->out, mem, len) < 0 || buf_add(&o->out, "\n", 1) < 0 ? full(e) : 0;
}

/* The message behind what o->out has, with LF for CRLF; it is CRLF-ended lines of up to 998 octets, or so. */
static int put_message(struct outlet *o, struct message *m, int64_t *ret_size, struct err *e)
{
	CLEANUP(source_freep) struct source *s = NULL;
	CLEANUP(buf_clear) struct buf rest = BUF_INIT(MESSAGE_MAX);
	size_t n;

	*ret_size = 0;
	if (message_open(m, false, &s, e) < 0)
		return -1;
	do {
		const char *at, *end;

		if (source_read(s, o->raw, CHUNK, &n, e) < 0)
			return -1;
		*ret_size += (int64_t)n;
		at = o->raw;
		end = at + n;
		while (at < end) {
			const char *lf = memchr(at, '\n', (size_t)(end - at));
			size_t len = (size_t)((lf ? lf + 1 : end) - at);

			if ((!lf || rest.len) && buf_add(&rest, at, len) < 0)
				return full(e);
			if (lf) {
				const char *line = rest.len ? rest.data : at;
				size_t line_len = rest.len ? rest.len : len;

				if (line_len >= 2 && line[line_len - 2] == '\r')
					line_len--;
				line_len--;
				if (put_line(o, line, line_len, e) < 0)
					return -1;
				buf_reset(&rest);
			}
			at += len;
		}
	} while (n);
	if (m->needs.size >= 0 && *ret_size != m->needs.size)
		return err_set(e, ERR_DATA, "the message changed its length while it was written");
	return message_verify(m, e);
}

static int put_separator(struct outlet *o, const char *sender, int64_t now_s, struct err *e)
{
	time_t now = (time_t)now_s;
	char when[40] = "Thu Jan  1 00:00:00 1970";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%a %b %e %H:%M:%S %Y", &tm);
	return buf_addf(&o->out, "From %s %s\n", sender && *sender && !strchr(sender, ' ') ? sender : "MAILER-DAEMON",
			when) < 0 ? full(e) : 0;
}

static int add_to_mbox(struct outlet *o, struct message *m, const char *sender, int64_t now_s, int64_t *ret_size,
		       struct err *e)
{
	size_t before = o->out.len;

	if (put_separator(o, sender, now_s, e) < 0 || put_message(o, m, ret_size, e) < 0 ||
	    (buf_add(&o->out, "\n", 1) < 0 && full(e) < 0)) {
		o->out.len = before;
		o->out.data[before] = '\0';
		return -1;
	}
	return o->out.len >= KEPT ? write_out(o, o->out.len, e) : 0;
}

int outlet_add(struct outlet *o, struct message *m, unsigned long long number, const char *sender, int64_t now_s,
	       int64_t *ret_size, struct err *e)
{
	CLEANUP(freep) char *name = NULL;

	if (!o->directory)
		return add_to_mbox(o, m, sender, now_s, ret_size, e);
	name = xasprintf("%s/%06llu.eml", o->path, number);
	return output_message(m, name, ret_size, e);
}

bool outlet_failed(const struct outlet *o)
{
	return o->failed;
}

int outlet_finish(struct outlet *o, struct err *e)
{
	int fd = o->fd;

	if (o->directory)
		return 0;
	if (write_out(o, o->out.len, e) < 0)
		return -1;
	if (!o->path)
		return 0;
	if (o->beside && o->keep_mode && fchmod(fd, o->mode) < 0)
		return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot keep its mode", o->path);
	o->fd = -1;
	if (close(fd) < 0)
		return err_sys(e, ERR_IO, errno, "%s: cannot write the messages", o->path);
	if (o->beside && rename(o->beside, o->path) < 0)
		return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot create", o->path);
	free(o->beside);
	o->beside = NULL;
	return 0;
}

void outlet_close(struct outlet *o)
{
	if (!o)
		return;
	if (o->beside) {
		unlink(o->beside);
		free(o->beside);
	}
	if (o->path && o->fd >= 0)
		close(o->fd);
	buf_clear(&o->out);
	free(o->raw);
	free(o->path);
	free(o);
}
