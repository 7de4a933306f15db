#pragma once

/*
 * Where secrets come from that need more than a read: a command, ~/.netrc, a
 * terminal. Each puts the raw octets in a buffer that secret_room() has given
 * all its room, so that no copy is left behind by growing; secret.c judges them.
 */

#include "base/base.h"

struct buf;
struct err;

/* octets of a secret; the longest tokens have a few thousand */
enum { SECRET_MAX = 64 << 10 };

/* Room for SECRET_MAX octets, at once. */
void secret_room(struct buf *b);

/*
 * Read @fd to its end into @out, within @timeout_ms for the whole (0: for ever). -1: errno; EMSGSIZE: too
 * much, ETIMEDOUT, EINTR.
 */
int secret_read(struct buf *out, int fd, unsigned timeout_ms) MUST_CHECK;

/*
 * One line from `/bin/sh -c @command`, without its newline: in its own process group, input from /dev/null,
 * without the variables in @hidden (NULL-ended names) and without our descriptors; killed with all its
 * children when it is not done within @timeout_ms. ERR_CONFIG where it fails, prints nothing, more than one
 * line or too much, hangs; ERR_IO where a signal told us to end. The command is not in the text: it may hold
 * a secret itself.
 */
int secret_from_command(struct buf *out, const char *command, const char *const hidden[], unsigned timeout_ms,
			struct err *e) MUST_CHECK;

/*
 * The password of @user at exactly @host in a netrc text; 1: *out has it, 0: none. Never that of "default",
 * nor of an entry with another login. Tokens may be quoted ("…", with \" and \\). Macros are skipped.
 */
int netrc_find(struct buf *out, const char *text, size_t len, const char *host, const char *user) MUST_CHECK;

/*
 * Ask on /dev/tty, without echo. 1: *out has the line; 0: there is no terminal to ask on; -1: ERR_IO,
 * interrupted.
 */
int secret_from_terminal(struct buf *out, const char *prompt, struct err *e) MUST_CHECK;
