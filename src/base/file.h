#pragma once

/*
 * Files that are read while they are sent.
 *
 * A struct file_id is taken when a message is composed: what the path named
 * then. The file is opened late, compared when opened, at its end, and once
 * more just before the final dot; any difference is ERR_DATA ("changed while
 * it was being sent") and the mail is not sent. Descriptors are therefore
 * needed one at a time, however many files a message has.
 *
 * With a beneath directory (files_dir) every open goes through openat2(2)
 * with RESOLVE_BENEATH: neither "..", nor an absolute path, nor a symbolic
 * link leads out of it.
 */

#include "base/base.h"
#include "base/source.h"

#include <sys/stat.h>
#include <time.h>

struct err;
struct buf;

struct file_id {
	uint64_t dev, ino;
	int64_t size;                   /* octets */
	struct timespec mtime, ctim;
};

/*
 * Open @path for reading (O_CLOEXEC, O_NOCTTY, O_NONBLOCK for FIFOs), judged by fstat(2) on the descriptor: a
 * regular file gives *ret_fd with *ret_id filled and *ret_pipe false; a FIFO, a pipe (/dev/fd/N), /dev/null
 * and the kernel's own files (/proc), whose size is not to be believed, give *ret_pipe true and leave
 * *ret_id alone. @beneath NULL, or a directory: see above. Errors: ERR_NOINPUT (missing, no permission, a
 * directory, a socket, a block device, a name too long or empty), ERR_OS (no descriptor left).
 */
int file_open(int *ret_fd, bool *ret_pipe, struct file_id *ret_id, const char *path,
	      const char *beneath, struct err *e) MUST_CHECK;

/* -1, ERR_DATA where @path is no longer what @id says. */
int file_unchanged(const struct file_id *id, const char *path, const char *beneath,
		   struct err *e) MUST_CHECK;

/*
 * A regular file as a source: opened at the first read, compared with @id then and at its end, closed at its
 * end; size() is id->size. Copies @path and @beneath.
 */
struct source *source_file(const char *path, const char *beneath, const struct file_id *id);

/*
 * Take a pipe in whole: 1 MiB stays in memory, more goes to an unlinked temporary file (O_TMPFILE, else
 * mkstemp and unlink, 0600, in $TMPDIR or /tmp). Waits at most @timeout_ms for each read (0: for ever);
 * ERR_NOINPUT when the writer is silent longer. Takes @fd (closes it). The staged bytes can be opened any
 * number of times.
 */
struct staged;
enum staged_end {
	STAGED_EOF,             /* all there is */
	STAGED_DOT,             /* or up to a line that is a dot alone, which is not staged */
	STAGED_DOT_REQUIRED,    /* that line has to come: ERR_DATA else, the input was cut short */
};
int staged_take(struct staged **ret, int fd, const char *name, unsigned timeout_ms, enum staged_end end,
		struct err *e) MUST_CHECK;
/* The same by octets of the caller's: an empty one, more behind what is there. ERR_IO, ERR_CANTCREAT, ERR_OS. */
struct staged *staged_new(void);
int staged_add(struct staged *s, const char *mem, size_t len, struct err *e) MUST_CHECK;
int64_t staged_size(const struct staged *s);
struct source *source_staged(const struct staged *s);       /* borrows @s */
void staged_free(struct staged *s);
DEFINE_CLEANUP(struct staged *, staged_free);

/* A descriptor read as it comes: size -1, rewind refused once read. Takes @fd. */
struct source *source_stream(int fd, const char *name, unsigned timeout_ms);

/*
 * Does @path (beneath a directory, where one is given) name something that is no file: a FIFO, a pipe of /dev/fd, a
 * device? It is looked at and not opened. False where it cannot be.
 */
bool file_is_pipe(const char *path, const char *beneath);
/* The whole of a small file (params, secrets, a CA list): up to out->max octets. *ret_mode: st_mode, owner in
 * *ret_uid; either may be NULL. "-" is standard input. Errors as file_open; too large: ERR_DATA. */
int file_slurp(struct buf *out, const char *path, const char *beneath, unsigned timeout_ms,
	       mode_t *ret_mode, uid_t *ret_uid, struct err *e) MUST_CHECK;
