#pragma once

/*
 * A ready RFC 5322 message (message_file, -t): its own bytes kept. Bcc and Resent-Bcc fields are left out (name
 * and folded lines), line ends (a bare CR is one) made CRLF, a leading mbox "From " line dropped. A NUL is
 * refused; lines over 998 octets are mended where that changes nothing for a reader, else refused. Headers
 * are read with bounds (1 MiB a header in all), the body streamed. The 7-bit rendering re-encodes 8-bit
 * leaves part by part (multipart/signed: not possible).
 *
 * Two steps, because the params depend on its header (who gets it with -t, which account): ready_take() reads
 * the header before the params are finished, message_ready() makes the message of it after that.
 */

#include "base/base.h"
#include "model/message.h"

struct err;
struct found;
struct mail_params;
struct ready;
struct sysinfo;

/* Is it a ready message that @p asks for? */
bool ready_asked(const struct mail_params *p);
/*
 * Take the message in (a pipe whole, within p's times) and read its header. @p is settled, and what it says of the
 * message is borrowed until ready_free() or message_free(). ERR_DATA for what is no header; else as leaf_take().
 */
int ready_take(struct ready **ret, const struct mail_params *p, struct err *e) MUST_CHECK;
/* What params depend on. @ret: empty; owned by the caller. */
void ready_found(const struct ready *r, struct found *ret);
void ready_free(struct ready *r);
DEFINE_CLEANUP(struct ready *, ready_free);

/*
 * The message. Takes *@taken (which is NULL then, whatever comes of it); one that is NULL is taken here first. @p
 * is finished.
 */
int message_ready(struct message **ret, struct ready **taken, const struct mail_params *p,
		  const struct sysinfo *sys, struct err *e) MUST_CHECK;
