#pragma once

/*
 * sendmail -bs: a conversation in SMTP on two descriptors; each message is
 * delivered before its dot is answered, with an envelope of its own and all
 * other settings as they are for the whole.
 */

#include "base/base.h"

struct config;
struct err;
struct mail_params;
struct report;
struct sysinfo;

struct serve_hooks {
	const struct deliver_hooks *deliver;
	/* What became of a message, once it was answered: to log it and to say what is not well. */
	void (*settled)(void *ctx, const struct report *r, const struct mail_params *p);
	void *ctx;
};

/*
 * @p: the settings, not finished. The exit code: that of the first message that was not accepted by all, else 0;
 * -1: ERR_IO, the conversation broke. A client that ends without QUIT between messages has done no harm.
 */
int serve(int in, int out, const struct mail_params *p, const struct config *c, const struct sysinfo *sys,
	  const struct serve_hooks *hooks, struct err *e) MUST_CHECK;
