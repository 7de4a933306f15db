/*
 * Files that are read while they are sent; see file.h.
 *
 * Every decision about what a file is comes from fstat(2) of a descriptor
 * already held, so nothing can be swapped between the look and the use.
 */

#include "base/file.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	STAGE_MEMORY = 1 << 20,         /* what a staged pipe may hold in memory; more goes to a file */
	CHUNK = 16384,                  /* on the stack: small enough for a 64 KiB stack */
	SHOWN = 512,                    /* of a path in a message */
};

static const char *shown(char out[SHOWN], const char *path)
{
	utf8_escape(out, SHOWN, path, strlen(path));
	return out;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* open(2), beneath a directory where one is given. -1 and errno. */
static int open_once(const char *path, const char *beneath, int flags)
{
	CLEANUP(close_fd) int dir = -1;
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	if (!beneath)
		return open(path, flags | O_CLOEXEC);
	dir = open(beneath, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	/* No fall-back to openat(2) where the kernel lacks this: the confinement is the point. */
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/*
 * A file system behind a network or a program (NFS, FUSE) may be interrupted by a signal that is not for
 * us.
 */
static int open_raw(const char *path, const char *beneath, int flags)
{
	int fd;

	do
		fd = open_once(path, beneath, flags);
	while (fd < 0 && errno == EINTR && !io_signal_heard);
	return fd;
}

static int open_failed(const char *path, const char *beneath, int num, struct err *e)
{
	char name[SHOWN], dir[SHOWN];

	if (num == EMFILE || num == ENFILE || num == ENOMEM)
		return err_sys(e, ERR_OS, num, "cannot open '%s'", shown(name, path));
	if (beneath && (num == EXDEV || num == ELOOP))
		return err_set(e, ERR_DATA, "'%s' leads out of '%s', the only directory that files may "
			       "come from",
			       shown(name, path), shown(dir, beneath));
	if (beneath && num == ENOSYS)
		return err_set(e, ERR_NOINPUT, "cannot open '%s': this kernel cannot confine files to a "
			       "directory (openat2)",
			       shown(name, path));
	if (num == ENXIO)
		return err_set(e, ERR_NOINPUT, "cannot read '%s': it is a socket or a device",
			       shown(name, path));
	if (!*path)
		return err_set(e, ERR_NOINPUT, "cannot open '': the file name is empty");
	return err_sys(e, ERR_NOINPUT, num, "cannot open '%s'", shown(name, path));
}

/* The kernel's own files say that they are regular and lie about their size: they are taken like a pipe. */
static bool is_generated(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == DEBUGFS_MAGIC ||
		fs.f_type == TRACEFS_MAGIC);
}

static bool is_dev_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* Which of the two kinds that can be read is @fd? -1 where it is neither. */
static int judge(bool *ret_pipe, int fd, const struct stat *st, const char *path, struct err *e)
{
	char name[SHOWN];
	const char *what;

	if (S_ISREG(st->st_mode)) {
		*ret_pipe = is_generated(fd);
		return 0;
	}
	if (S_ISFIFO(st->st_mode) || is_dev_null(st)) {
		*ret_pipe = true;
		return 0;
	}
	what = S_ISDIR(st->st_mode) ? "a directory" : S_ISCHR(st->st_mode) ? "a character device" :
	       S_ISBLK(st->st_mode) ? "a block device" : S_ISSOCK(st->st_mode) ? "a socket" : "not a file";
	return err_set(e, ERR_NOINPUT, "cannot read '%s': it is %s", shown(name, path), what);
}

static void id_take(struct file_id *id, const struct stat *st)
{
	*id = (struct file_id){
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size,
		.mtime = st->st_mtim, .ctim = st->st_ctim,
	};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool id_same(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) && same_time(&a->ctim, &b->ctim);
}

static bool is_still(const struct file_id *id, const struct stat *st)
{
	struct file_id now;

	id_take(&now, st);
	return id_same(id, &now);
}

static int changed(const char *path, struct err *e)
{
	char name[SHOWN];

	return err_set(e, ERR_DATA, "'%s' changed while it was being sent", shown(name, path));
}

int file_open(int *ret_fd, bool *ret_pipe, struct file_id *ret_id, const char *path, const char *beneath,
	      struct err *e)
{
	/* Without O_NONBLOCK the open itself would wait for a FIFO's writer, outside of any time limit. */
	CLEANUP(close_fd) int fd = open_raw(path, beneath, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return open_failed(path, beneath, errno, e);
	if (fstat(fd, &st) < 0)
		return open_failed(path, beneath, errno, e);
	if (judge(ret_pipe, fd, &st, path, e) < 0)
		return -1;
	if (!*ret_pipe)
		id_take(ret_id, &st);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* What @path names now. O_PATH: it needs no permission on the file, and no FIFO's writer sees a reader go. */
static int look(struct stat *ret, int *ret_fd, const char *path, const char *beneath)
{
	*ret_fd = open_raw(path, beneath, O_PATH);
	if (*ret_fd < 0)
		return -1;
	return fstat(*ret_fd, ret);
}

bool file_is_pipe(const char *path, const char *beneath)
{
	CLEANUP(close_fd) int seen = -1;
	struct stat st;

	return look(&st, &seen, path, beneath) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int file_unchanged(const struct file_id *id, const char *path, const char *beneath, struct err *e)
{
	CLEANUP(close_fd) int seen = -1;
	struct stat st;
	int failed;

	if (beneath)
		failed = look(&st, &seen, path, beneath);
	else
		failed = stat(path, &st);
	if (failed < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return open_failed(path, beneath, errno, e);
	if (failed < 0 || !is_still(id, &st))
		return changed(path, e);
	return 0;
}

/* --- a regular file as a source ---
 *
 *   fd < 0, !done   not opened yet
 *   fd >= 0         at octet `at`
 *   fd < 0, done    the end was reached and everything was as @id says
 */
struct file_source {
	struct source source;
	char *path, *beneath;
	struct file_id id;
	int fd;
	int64_t at;
	bool done;
};

static int file_begin(struct file_source *f, struct err *e)
{
	struct file_id now;
	CLEANUP(close_fd) int fd = -1;
	bool pipe;

	if (file_open(&fd, &pipe, &now, f->path, f->beneath, e) < 0)
		return -1;
	if (pipe || !id_same(&now, &f->id))
		return changed(f->path, e);
	/* Advice; a file system that does not take it reads as well without. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	f->fd = fd;
	f->at = 0;
	fd = -1;
	return 0;
}

/* The last octet was read: the descriptor and the path must both still be the file that was identified. */
static int file_end(struct file_source *f, struct err *e)
{
	struct stat st;
	bool same = fstat(f->fd, &st) == 0 && is_still(&f->id, &st);

	close_fd(&f->fd);
	if (!same)
		return changed(f->path, e);
	if (file_unchanged(&f->id, f->path, f->beneath, e) < 0)
		return -1;
	f->done = true;
	return 0;
}

static int file_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct file_source *f = (struct file_source *)s;
	char name[SHOWN];
	ssize_t n;

	if (f->done) {
		*ret_len = 0;
		return 0;
	}
	if (f->fd < 0 && file_begin(f, e) < 0)
		return -1;
	if (f->at == f->id.size) {
		*ret_len = 0;
		return file_end(f, e);
	}
	do
		n = read(f->fd, buf, cap);
	while (n < 0 && errno == EINTR && !io_signal_heard);
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "reading '%s' failed after %lld octets",
			       shown(name, f->path), (long long)f->at);
	f->at += n;
	if (n == 0 || f->at > f->id.size)
		return changed(f->path, e);
	*ret_len = (size_t)n;
	return 0;
}

static int file_rewind(struct source *s, struct err *e)
{
	struct file_source *f = (struct file_source *)s;

	close_fd(&f->fd);
	f->done = false;
	return 0;
}

static int64_t file_size(const struct source *s)
{
	return ((const struct file_source *)s)->id.size;
}

static void file_free(struct source *s)
{
	struct file_source *f = (struct file_source *)s;

	close_fd(&f->fd);
	free(f->path);
	free(f->beneath);
	free(f);
}

static const struct source_ops file_ops = {
	.name = "file", .read = file_read, .rewind = file_rewind, .size = file_size, .free = file_free,
};

struct source *source_file(const char *path, const char *beneath, const struct file_id *id)
{
	struct file_source *f = xcalloc(1, sizeof(*f));

	f->source.ops = &file_ops;
	f->path = xstrdup(path);
	f->beneath = xstrdup(beneath);
	f->id = *id;
	f->fd = -1;
	return &f->source;
}

/* --- pipes --- */

/*
 * Wait until @fd has something to say, its end included. poll(2) and not the read decides: a FIFO opened
 * without blocking reads as if at its end until its first writer comes, while poll() knows the difference.
 */
static int wait_readable(int fd, const char *name, unsigned timeout_ms, struct err *e)
{
	const int64_t until = timeout_ms ? io_now_ms() + timeout_ms : INT64_MAX;
	char text[SHOWN];

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = fd, .events = POLLIN }, { .fd = io_signal_fd(), .events = POLLIN },
		};
		int n = poll(p, 2, io_poll_ms(until));

		if (io_signal_heard)
			return err_set(e, ERR_IO, "'%s': interrupted while waiting for data",
				       shown(text, name));
		if (n < 0 && errno != EINTR)
			return err_sys(e, ERR_OS, errno, "waiting for '%s'", shown(text, name));
		if (n > 0 && p[0].revents & POLLNVAL)
			return err_set(e, ERR_NOINPUT, "'%s' is not an open descriptor", shown(text, name));
		if (n > 0 && p[0].revents)
			return 0;
		if (io_now_ms() >= until)
			return err_set(e, ERR_NOINPUT, "'%s': nothing was written to it for %u.%u s",
				       shown(text, name), timeout_ms / 1000, timeout_ms % 1000 / 100);
	}
}

/* 1..cap octets, or 0 at the end. */
static int read_some(int fd, const char *name, unsigned timeout_ms, char *buf, size_t cap, size_t *ret_len,
		     struct err *e)
{
	char text[SHOWN];

	for (;;) {
		ssize_t n;

		if (wait_readable(fd, name, timeout_ms, e) < 0)
			return -1;
		n = read(fd, buf, cap);
		if (n >= 0) {
			*ret_len = (size_t)n;
			return 0;
		}
		if (errno == EINTR || errno == EAGAIN)
			continue;
		/* Not open for reading, or a directory: it never was an input. Else it broke midway. */
		return err_sys(e, errno == EBADF || errno == EISDIR || errno == EINVAL ? ERR_NOINPUT : ERR_IO,
			       errno, "cannot read '%s'", shown(text, name));
	}
}

struct staged {
	char *mem;              /* the first octets, up to STAGE_MEMORY */
	size_t mem_len;
	int fd;                 /* an unlinked file with the rest, or -1 */
	int64_t size;
};

static int stage_file(int *ret_fd, struct err *e)
{
	const char *dir = secure_getenv("TMPDIR");
	CLEANUP(freep) char *template = NULL;
	char name[SHOWN];
	int fd;

	if (!dir || !*dir)
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && errno != EMFILE && errno != ENFILE) {
		template = xasprintf("%s/mailchute-XXXXXX", dir);
		fd = mkostemp(template, O_CLOEXEC);
		if (fd >= 0)
			unlink(template);
	}
	if (fd < 0)
		return err_sys(e, errno == EMFILE || errno == ENFILE ? ERR_OS : ERR_CANTCREAT, errno,
			       "cannot create a temporary file in '%s'", shown(name, dir));
	*ret_fd = fd;
	return 0;
}

static int stage_append(struct staged *s, const char *mem, size_t len, struct err *e)
{
	size_t room = STAGE_MEMORY - s->mem_len, head = len < room ? len : room;

	/* Doubling: a pipe of ten octets must not cost a megabyte. */
	if (head) {
		size_t cap = CHUNK;

		while (cap < s->mem_len + head)
			cap *= 2;
		s->mem = xreallocarray(s->mem, cap, 1);
		memcpy(s->mem + s->mem_len, mem, head);
		s->mem_len += head;
		s->size += (int64_t)head;
	}
	if (head == len)
		return 0;
	if (s->fd < 0 && stage_file(&s->fd, e) < 0)
		return -1;
	if (io_write_all(s->fd, mem + head, len - head) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write to the temporary file that holds the input");
	s->size += (int64_t)(len - head);
	return 0;
}

struct staged *staged_new(void)
{
	struct staged *s = xcalloc(1, sizeof(*s));

	s->fd = -1;
	return s;
}

int staged_add(struct staged *s, const char *mem, size_t len, struct err *e)
{
	return stage_append(s, mem, len, e);
}

/*
 * A line that is a dot alone, sought in what comes piece by piece: what might become one is held back until it
 * is one or not.
 */
struct dot_line {
	enum { LINE_BEGIN, LINE_DOT, LINE_DOT_CR, LINE_MIDDLE, LINE_FOUND } at;
};

/* One octet more. Its held-back forerunners are put first where they were no dot line. */
static int dot_line_octet(struct dot_line *d, char c, struct staged *s, struct err *e)
{
	static const char *const held[] = { [LINE_BEGIN] = "", [LINE_DOT] = ".", [LINE_DOT_CR] = ".\r",
					    [LINE_MIDDLE] = "" };
	const char *before = held[d->at];

	if (c == '\n' && (d->at == LINE_DOT || d->at == LINE_DOT_CR)) {
		d->at = LINE_FOUND;
		return 0;
	}
	if ((d->at == LINE_BEGIN && c == '.') || (d->at == LINE_DOT && c == '\r')) {
		d->at = d->at == LINE_BEGIN ? LINE_DOT : LINE_DOT_CR;
		return 0;
	}
	d->at = c == '\n' ? LINE_BEGIN : LINE_MIDDLE;
	if (*before && stage_append(s, before, strlen(before), e) < 0)
		return -1;
	return stage_append(s, &c, 1, e);
}

/* What ends with its input: the last line may have no line end, so a lone dot there is one. */
static int dot_line_end(struct dot_line *d, enum staged_end how, struct staged *s, struct err *e)
{
	if (d->at == LINE_DOT || d->at == LINE_DOT_CR)
		d->at = LINE_FOUND;
	if (how == STAGED_DOT_REQUIRED && d->at != LINE_FOUND)
		return err_set(e, ERR_DATA,
			       "the input was cut short: it does not end with a line that is a dot alone "
			       "(require_end)");
	return 0;
}

static int append_to_dot(struct dot_line *d, const char *mem, size_t len, struct staged *s, struct err *e)
{
	for (size_t i = 0; i < len && d->at != LINE_FOUND; i++)
		if (dot_line_octet(d, mem[i], s, e) < 0)
			return -1;
	return 0;
}

int staged_take(struct staged **ret, int fd, const char *name, unsigned timeout_ms, enum staged_end end,
		struct err *e)
{
	CLEANUP(close_fd) int in = fd;
	CLEANUP(staged_freep) struct staged *s = staged_new();
	struct dot_line dot = { LINE_BEGIN };
	char chunk[CHUNK];
	size_t n;

	do {
		if (read_some(in, name, timeout_ms, chunk, sizeof(chunk), &n, e) < 0)
			return -1;
		if (end == STAGED_EOF ? stage_append(s, chunk, n, e) < 0 :
					append_to_dot(&dot, chunk, n, s, e) < 0)
			return -1;
	} while (n && dot.at != LINE_FOUND);
	if (end != STAGED_EOF && dot_line_end(&dot, end, s, e) < 0)
		return -1;
	*ret = s;
	s = NULL;
	return 0;
}

int64_t staged_size(const struct staged *s)
{
	return s->size;
}

void staged_free(struct staged *s)
{
	if (!s)
		return;
	close_fd(&s->fd);
	free(s->mem);
	free(s);
}

struct staged_source {
	struct source source;
	const struct staged *staged;
	int64_t at;
};

static int staged_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct staged_source *r = (struct staged_source *)s;
	const struct staged *from = r->staged;
	int64_t left = from->size - r->at;
	ssize_t n;

	if (left < (int64_t)cap)
		cap = (size_t)left;
	if (r->at < (int64_t)from->mem_len) {
		n = (ssize_t)from->mem_len - (ssize_t)r->at;
		if ((size_t)n > cap)
			n = (ssize_t)cap;
		memcpy(buf, from->mem + r->at, (size_t)n);
	} else if (!left) {
		n = 0;
	} else {
		do
			n = pread(from->fd, buf, cap, r->at - (int64_t)from->mem_len);
		while (n < 0 && errno == EINTR && !io_signal_heard);
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "cannot read the temporary file that holds the "
				       "input");
		if (!n)
			return err_set(e, ERR_IO, "the temporary file that holds the input was cut short");
	}
	r->at += n;
	*ret_len = (size_t)n;
	return 0;
}

static int staged_rewind(struct source *s, struct err *e)
{
	(void)e;
	((struct staged_source *)s)->at = 0;
	return 0;
}

static int64_t staged_source_size(const struct source *s)
{
	return ((const struct staged_source *)s)->staged->size;
}

static void staged_source_free(struct source *s)
{
	free(s);
}

static const struct source_ops staged_ops = {
	.name = "staged", .read = staged_read, .rewind = staged_rewind, .size = staged_source_size,
	.free = staged_source_free,
};

struct source *source_staged(const struct staged *s)
{
	struct staged_source *r = xcalloc(1, sizeof(*r));

	r->source.ops = &staged_ops;
	r->staged = s;
	return &r->source;
}

struct stream_source {
	struct source source;
	int fd;
	char *name;
	unsigned timeout_ms;
	bool begun, done;
};

static int stream_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct stream_source *r = (struct stream_source *)s;

	*ret_len = 0;
	if (r->done)
		return 0;
	r->begun = true;
	if (read_some(r->fd, r->name, r->timeout_ms, buf, cap, ret_len, e) < 0)
		return -1;
	r->done = !*ret_len;
	return 0;
}

static int stream_rewind(struct source *s, struct err *e)
{
	struct stream_source *r = (struct stream_source *)s;
	char name[SHOWN];

	if (!r->begun)
		return 0;
	return err_set(e, ERR_SOFTWARE, "'%s' is sent as it comes and cannot be read again",
		       shown(name, r->name));
}

static int64_t stream_size(const struct source *s)
{
	(void)s;
	return -1;
}

static void stream_free(struct source *s)
{
	struct stream_source *r = (struct stream_source *)s;

	close_fd(&r->fd);
	free(r->name);
	free(r);
}

static const struct source_ops stream_ops = {
	.name = "stream", .read = stream_read, .rewind = stream_rewind, .size = stream_size,
	.free = stream_free,
};

struct source *source_stream(int fd, const char *name, unsigned timeout_ms)
{
	struct stream_source *r = xcalloc(1, sizeof(*r));

	r->source.ops = &stream_ops;
	r->fd = fd;
	r->name = xstrdup(name);
	r->timeout_ms = timeout_ms;
	return &r->source;
}

/* --- small files, whole --- */

static int slurp_fd(struct buf *out, int fd, const char *name, unsigned timeout_ms, struct err *e)
{
	char chunk[CHUNK], text[SHOWN];
	int failed = 0;
	size_t n;

	do {
		if (read_some(fd, name, timeout_ms, chunk, sizeof(chunk), &n, e) < 0)
			failed = -1;
		else if (buf_add(out, chunk, n) < 0)
			failed = err_set(e, ERR_DATA, "'%s' has more than %zu octets", shown(text, name),
					 out->max);
	} while (!failed && n);
	/* It may have been a secret. */
	explicit_bzero(chunk, sizeof(chunk));
	return failed;
}

int file_slurp(struct buf *out, const char *path, const char *beneath, unsigned timeout_ms, mode_t *ret_mode,
	       uid_t *ret_uid, struct err *e)
{
	bool standard = !strcmp(path, "-"), pipe;
	CLEANUP(close_fd) int fd = -1;
	struct file_id id;
	struct stat st;

	if (!standard && file_open(&fd, &pipe, &id, path, beneath, e) < 0)
		return -1;
	if (fstat(standard ? STDIN_FILENO : fd, &st) < 0)
		return err_sys(e, ERR_NOINPUT, errno, "cannot read '%s'", standard ? "standard input" : path);
	if (slurp_fd(out, standard ? STDIN_FILENO : fd, standard ? "standard input" : path, timeout_ms,
		     e) < 0)
		return -1;
	if (ret_mode)
		*ret_mode = st.st_mode;
	if (ret_uid)
		*ret_uid = st.st_uid;
	return 0;
}
