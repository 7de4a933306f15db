#pragma once

/*
 * --dry-run and --output: the exact bytes of the message, to a descriptor or
 * a file, and no socket.
 */

#include "base/base.h"

struct err;
struct message;

/*
 * To @path, or to standard output where it is NULL. A regular file appears whole or not at all (written
 * beside it, then renamed, mode 0600 where it is new); devices and pipes are written to directly.
 * *ret_size: octets. Errors: ERR_CANTCREAT, ERR_IO, and those of the message's source.
 */
int output_message(struct message *m, const char *path, int64_t *ret_size, struct err *e) MUST_CHECK;
