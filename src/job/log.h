#pragma once

/*
 * The log: a line for each message, to syslog or a file, in one write(2) of an
 * O_APPEND descriptor that is opened for it, so that several processes and
 * logrotate get along. What strangers wrote (addresses, server texts) is
 * escaped: no line feed, no control character, no quote ends a value early.
 * No secret is in it.
 */

#include "base/base.h"

struct err;
struct mail_params;
struct report;
struct sysinfo;

/*
 * One line for @r into p->log, which is set, in p->log_format; @exit: what the caller of the program hears. -1:
 * ERR_IO or ERR_CANTCREAT, for a warning: the message's fate does not change by it.
 */
int log_report(const struct report *r, const struct mail_params *p, int exit, const struct sysinfo *sys,
	       struct err *e) MUST_CHECK;
