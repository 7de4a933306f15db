#pragma once

/*
 * What can be read only once, and is asked for by every message of a batch: pipes, descriptors, standard input. The
 * first message would have it, and all others nothing, in silence.
 */

#include "base/base.h"

struct err;
struct mail_params;

/*
 * The file that setting @file names ("body_file") becomes the text of setting @text ("body"), with its origin. UTF-8,
 * 16 MiB at most; errors as file_slurp(), and ERR_DATA. Nothing where no file is named.
 */
int once_read_in(struct mail_params *p, const char *file, const char *text, struct err *e) MUST_CHECK;
/*
 * The settings of all messages: a text, and a file of aliases, that comes by a pipe is read in; an attachment, a
 * part or a ready message that does is refused (ERR_USAGE). Whatever a line names itself is refused where it is read (mail_params.many).
 */
int once_settle(struct mail_params *p, struct err *e) MUST_CHECK;
