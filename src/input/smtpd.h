#pragma once

/*
 * SMTP as the server hears it, for `sendmail -bs`: a way in. Pure: octets of
 * the client in, replies out, no descriptor; who calls it stores the message's
 * octets and delivers. RFC 5321, with what RFC 1870, 2920, 6152 and 2034 give
 * for nothing (SIZE without limit, PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES).
 * No relay's trust is at stake: the client is our own user, on our own standard input.
 */

#include "base/base.h"
#include "base/buf.h"

enum smtpd_event {
	SMTPD_MORE,             /* all of the input is used up: give more */
	SMTPD_BODY,             /* octets of the message are in @body: store them, go on */
	SMTPD_MESSAGE,          /* the message is whole: deliver it, then smtpd_answer() */
	SMTPD_QUIT,             /* the farewell is in @out: write it and end */
};

struct smtpd;
struct smtpd *smtpd_new(const char *host);      /* the name in the greeting */
void smtpd_greet(struct smtpd *s, struct buf *out);
/*
 * Take from mem[*used..len): replies are appended to @out, octets of a message (dots removed, line ends as they
 * came) to @body. Lines over 2048 octets outside of a message are answered 500.
 */
enum smtpd_event smtpd_feed(struct smtpd *s, const char *mem, size_t len, size_t *used, struct buf *out,
			    struct buf *body);
/* At SMTPD_MESSAGE: the envelope. Addresses without brackets, "" is the null sender. */
const char *smtpd_sender(const struct smtpd *s);
size_t smtpd_recipients(const struct smtpd *s, const char *const **ret);
/* The reply to the message, its text escaped to one line; the transaction is over. */
void smtpd_answer(struct smtpd *s, int code, const char *enhanced, const char *text, struct buf *out);
/* The client is gone: is a message on its way and not whole (DATA was answered, no dot)? */
bool smtpd_cut_short(const struct smtpd *s);
void smtpd_free(struct smtpd *s);
DEFINE_CLEANUP(struct smtpd *, smtpd_free);
