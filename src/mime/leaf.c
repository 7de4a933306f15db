/* One content on its way into the message; see leaf.h. */

#include "mime/leaf.h"

#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536 };

/* Reading one descriptor for two contents would give the second one nothing, in silence. */
static int fd_claim(struct taken_fds *t, int fd, struct err *e)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->fd[i] == fd)
			return err_set(e, ERR_DATA, "%s is already read for another part of the message",
				       fd ? "this descriptor" : "standard input");
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 8;
		t->fd = xreallocarray(t->fd, t->cap, sizeof(*t->fd));
	}
	t->fd[t->count++] = fd;
	return 0;
}

enum staged_end leaf_input_end(const struct mail_params *p)
{
	if (p->require_end)
		return STAGED_DOT_REQUIRED;
	return !p->ignore_dots && isatty(STDIN_FILENO) ? STAGED_DOT : STAGED_EOF;
}

/* Take in @fd (closed here, or kept for the stream). @slow: its writer may take any time. */
static int leaf_take_pipe(struct leaf *l, int fd, const char *name, bool slow, const struct leaf_taking *how,
			  struct err *e)
{
	unsigned timeout_ms = slow ? how->slow_ms : how->timeout_ms;

	if (how->p->many) {
		close(fd);
		return err_set(e, ERR_DATA, "%s can be read once, and a batch has many messages; a file can be read for "
			       "each", name);
	}
	if (!how->stream)
		return staged_take(&l->staged, fd, name, timeout_ms,
				   slow ? leaf_input_end(how->p) : STAGED_EOF, e);
	l->is_stream = true;
	l->fd = fd;
	l->timeout_ms = timeout_ms;
	return 0;
}

/* The caller's descriptor stays open: data never becomes descriptor 0 because we closed it. */
static int leaf_take_fd(struct leaf *l, int fd, const struct leaf_taking *how, struct err *e)
{
	char name[40] = "standard input";
	int copy, mode = fcntl(fd, F_GETFL);

	if (fd)
		snprintf(name, sizeof(name), "descriptor %d", fd);
	else if (mode >= 0 && (mode & O_ACCMODE) == O_WRONLY)   /* or see io_standard_fds() */
		return err_set(e, ERR_NOINPUT,
			       "standard input is closed, or not open for reading; give a file or the text "
			       "itself");
	if (fd_claim(how->taken, fd, e) < 0)
		return -1;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return err_sys(e, errno == EMFILE ? ERR_OS : ERR_NOINPUT, errno, "%s", name);
	return leaf_take_pipe(l, copy, name, !fd, how, e);
}

static int leaf_take_path(struct leaf *l, const char *path, const struct leaf_taking *how, struct err *e)
{
	bool pipe;
	int fd;

	if (file_open(&fd, &pipe, &l->id, path, l->beneath, e) < 0)
		return -1;
	if (pipe)
		return leaf_take_pipe(l, fd, path, false, how, e);
	close(fd);
	l->is_file = true;
	return 0;
}

static int leaf_take_content(struct leaf *l, const struct leaf_taking *how, struct err *e)
{
	const struct content *c = l->content;

	switch (c->kind) {
	case CONTENT_FILE:
		if (!strcmp(c->path, "-"))
			return leaf_take_fd(l, STDIN_FILENO, how, e);
		return leaf_take_path(l, c->path, how, e);
	case CONTENT_FD:
		return leaf_take_fd(l, c->fd, how, e);
	case CONTENT_STDIN:
		return leaf_take_fd(l, STDIN_FILENO, how, e);
	case CONTENT_STAGED:
	case CONTENT_TEXT:
	case CONTENT_BYTES:
	case CONTENT_NONE:
		return 0;
	case CONTENT_PARTS:
		break;
	}
	return err_set(e, ERR_SOFTWARE, "parts are not a leaf");
}

int leaf_take(struct leaf **ret, const struct content *content, const struct leaf_taking *how, struct err *e)
{
	static const struct content nothing = { .kind = CONTENT_TEXT };
	CLEANUP(leaf_freep) struct leaf *l = xcalloc(1, sizeof(*l));

	l->content = content ? content : &nothing;
	l->beneath = l->content->confined ? how->files_dir : NULL;
	l->fd = -1;
	if (leaf_take_content(l, how, e) < 0)
		return -1;
	*ret = l;
	l = NULL;
	return 0;
}

void leaf_free(struct leaf *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	staged_free(l->staged);
	free(l);
}

bool leaf_is_stream(const struct leaf *l)
{
	return l->is_stream;
}

/* What was taken in: here, or by whoever gave it. */
static const struct staged *staged_of(const struct leaf *l)
{
	return l->content->kind == CONTENT_STAGED ? l->content->staged : l->staged;
}

int64_t leaf_raw_size(const struct leaf *l)
{
	if (leaf_is_stream(l))
		return -1;
	if (l->is_file)
		return l->id.size;
	if (staged_of(l))
		return staged_size(staged_of(l));
	return (int64_t)l->content->len;
}

/* A stream's descriptor goes to its source. */
int leaf_raw(struct leaf *l, struct source **ret, struct err *e)
{
	if (l->is_stream) {
		if (l->stream_used)
			return err_set(e, ERR_SOFTWARE, "a stream can be read only once");
		*ret = source_stream(l->fd, "standard input", l->timeout_ms);
		l->fd = -1;
		l->stream_used = true;
		return 0;
	}
	if (l->is_file)
		*ret = source_file(l->content->path, l->beneath, &l->id);
	else if (staged_of(l))
		*ret = source_staged(staged_of(l));
	else
		*ret = source_bytes(l->content->data, l->content->len);
	return 0;
}

/* @n > 0 octets more. */
static void facts_feed(struct leaf_facts *f, const char *mem, size_t n)
{
	for (size_t i = 0; i < n && f->first_len < sizeof(f->first); i++)
		f->first[f->first_len++] = (unsigned char)mem[i];
	f->ends_line = mem[n - 1] == '\n' || mem[n - 1] == '\r';
	scan_feed(&f->scan, mem, n);
}

/* The content itself has them. */
static bool is_in_memory(const struct leaf *l)
{
	return !l->is_stream && !l->is_file && !staged_of(l);
}

static int scan_source(const struct leaf *l, struct leaf_facts *ret, struct err *e)
{
	CLEANUP(source_freep) struct source *s = NULL;
	CLEANUP(freep) char *chunk = xmalloc(CHUNK);
	size_t n;

	/* Not a stream, so that nothing of the leaf changes. */
	if (leaf_raw((struct leaf *)l, &s, e) < 0)
		return -1;
	for (;;) {
		if (source_read(s, chunk, CHUNK, &n, e) < 0)
			return -1;
		if (!n)
			return 0;
		facts_feed(ret, chunk, n);
	}
}

int leaf_scan(const struct leaf *l, struct leaf_facts *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	scan_init(&ret->scan);
	ret->ends_line = true;
	if (is_in_memory(l)) {
		if (l->content->len)
			facts_feed(ret, l->content->data, l->content->len);
	} else if (scan_source(l, ret, e) < 0) {
		return -1;
	}
	scan_end(&ret->scan);
	return 0;
}

/* The size of an encoding that no formula gives: by doing it. */
static int leaf_measure(struct leaf *l, struct err *e)
{
	CLEANUP(source_freep) struct source *s = NULL;
	CLEANUP(freep) char *chunk = xmalloc(CHUNK);
	int64_t total = 0;
	char last = '\n';
	size_t n;

	l->size = -1;
	if (leaf_open(l, &s, e) < 0)
		return -1;
	for (;;) {
		if (source_read(s, chunk, CHUNK, &n, e) < 0)
			return -1;
		if (!n)
			break;
		total += (int64_t)n;
		last = chunk[n - 1];
	}
	l->size = total;
	l->end = last == '\n' ? PART_END_LINE : PART_END_OPEN;
	return 0;
}

int leaf_encode(struct leaf *l, enum cte cte, bool text, const struct leaf_facts *facts, struct err *e)
{
	l->cte = cte;
	l->text = text;
	l->size = -1;
	l->end = PART_END_UNKNOWN;
	if (leaf_is_stream(l))
		return 0;
	if (cte == CTE_BASE64) {
		l->size = text ? (int64_t)facts->scan.base64 : base64_size(leaf_raw_size(l));
		l->end = PART_END_OPEN;
		return 0;
	}
	if (!text)
		return leaf_measure(l, e);
	l->size = (int64_t)(cte == CTE_QP ? facts->scan.qp : facts->scan.canonical);
	l->end = facts->ends_line ? PART_END_LINE : PART_END_OPEN;
	return 0;
}

int leaf_open(void *leaf, struct source **ret, struct err *e)
{
	struct leaf *l = leaf;
	struct source *raw;

	if (leaf_raw(l, &raw, e) < 0)
		return -1;
	*ret = encode_source(l->cte, l->text, raw, l->size);
	return 0;
}

int leaf_verify(const struct leaf *l, struct err *e)
{
	return l->is_file ? file_unchanged(&l->id, l->content->path, l->beneath, e) : 0;
}
