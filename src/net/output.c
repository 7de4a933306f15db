/* The message to a file: whole or not at all; see output.h. */

#include "net/output.h"

#include "base/err.h"
#include "base/io.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "model/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024 };

static int copy(struct message *m, int fd, const char *name, int64_t *ret_size, struct err *e)
{
	CLEANUP(source_freep) struct source *s = NULL;
	CLEANUP(freep) char *chunk = xmalloc(CHUNK);
	int64_t total = 0;
	size_t n;

	if (message_open(m, false, &s, e) < 0)
		return -1;
	do {
		if (source_read(s, chunk, CHUNK, &n, e) < 0)
			return -1;
		if (io_signal_heard)
			return err_set(e, ERR_IO, "%s: interrupted by a signal", name);
		if (io_write_all(fd, chunk, n) < 0)
			return err_sys(e, ERR_IO, errno, "%s: cannot write the message", name);
		total += (int64_t)n;
	} while (n);
	if (m->needs.size >= 0 && total != m->needs.size)
		return err_set(e, ERR_DATA, "the message changed its length while it was written");
	*ret_size = total;
	return message_verify(m, e);
}

/* A name beside @path, made and opened; *ret_name is the caller's. */
static int open_beside(const char *path, char **ret_name, struct err *e)
{
	char *name = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(name, O_CLOEXEC);

	if (fd < 0) {
		free(name);
		return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot create", path);
	}
	*ret_name = name;
	return fd;
}

/*
 * The mode that a file which is replaced had stays, but for a program's rights: it may have been another's
 * and is ours now. A new one is for its owner only until umask says less.
 */
static int to_regular(struct message *m, const char *path, const struct stat *old, int64_t *ret_size,
		      struct err *e)
{
	CLEANUP(freep) char *name = NULL;
	int fd = open_beside(path, &name, e), r;

	if (fd < 0)
		return -1;
	r = copy(m, fd, path, ret_size, e);
	if (r == 0 && old && fchmod(fd, old->st_mode & 0777) < 0)
		r = err_sys(e, ERR_CANTCREAT, errno, "%s: cannot keep its mode", path);
	if (close(fd) < 0 && r == 0)
		r = err_sys(e, ERR_IO, errno, "%s: cannot write the message", path);
	if (r == 0 && rename(name, path) < 0)
		r = err_sys(e, ERR_CANTCREAT, errno, "%s: cannot create", path);
	if (r < 0)
		unlink(name);
	return r;
}

static int to_device(struct message *m, const char *path, int64_t *ret_size, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), r;

	if (fd < 0)
		return err_sys(e, ERR_CANTCREAT, errno, "%s: cannot open for writing", path);
	r = copy(m, fd, path, ret_size, e);
	if (close(fd) < 0 && r == 0)
		r = err_sys(e, ERR_IO, errno, "%s: cannot write the message", path);
	return r;
}

/* Through a symbolic link the file behind it is replaced, not the link. */
static int replace_regular(struct message *m, const char *path, const struct stat *old, int64_t *ret_size,
			   struct err *e)
{
	CLEANUP(freep) char *real = realpath(path, NULL);

	return to_regular(m, real ? real : path, old, ret_size, e);
}

int output_message(struct message *m, const char *path, int64_t *ret_size, struct err *e)
{
	struct stat st;

	if (!path)
		return copy(m, STDOUT_FILENO, "standard output", ret_size, e);
	if (stat(path, &st) < 0)
		return to_regular(m, path, NULL, ret_size, e);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_CANTCREAT, "%s: is a directory", path);
	if (!S_ISREG(st.st_mode))
		return to_device(m, path, ret_size, e);
	return replace_regular(m, path, &st, ret_size, e);
}
