#pragma once

/*
 * Many messages to one place, for a dry run: a directory with a file for each, or an mbox (RFC 4155, in the
 * "mboxrd" form, which quotes every line that could begin a message, and from which each is got back as it was,
 * but for its line ends, which are LF there).
 */

#include "base/base.h"

struct err;
struct message;
struct outlet;

/*
 * @path: a directory (one that exists, or is to be made: its name ends in '/'), a file, which is replaced when the
 * outlet is finished, or another thing that can be written to; NULL: an mbox to standard output. ERR_CANTCREAT.
 */
int outlet_open(struct outlet **ret, const char *path, struct err *e) MUST_CHECK;
/*
 * One message; in a directory it is the file "@number.eml" (at least six digits, CRLF as on the wire). @sender and
 * @now_s are for the line that begins it in an mbox. *ret_size: octets. On an error nothing of it is there.
 */
int outlet_add(struct outlet *o, struct message *m, unsigned long long number, const char *sender, int64_t now_s,
	       int64_t *ret_size, struct err *e) MUST_CHECK;
/* The file that all go into, or standard output, takes no more: no later message can be added. */
bool outlet_failed(const struct outlet *o);
/* All is written, and the file is in its place. */
int outlet_finish(struct outlet *o, struct err *e) MUST_CHECK;
/* Without outlet_finish(): a file is not replaced. */
void outlet_close(struct outlet *o);
DEFINE_CLEANUP(struct outlet *, outlet_close);
