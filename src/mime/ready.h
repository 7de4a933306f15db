#pragma once

/*
 * A ready RFC 5322 message (message_file): its own bytes kept. Bcc and Resent-Bcc fields are left out (name
 * and folded lines), line ends made CRLF, a leading mbox "From " line dropped; NUL, lines over 998 and bare
 * CR are dealt with as interface.md says; headers are read with bounds (1 MiB a header in all), the body
 * streamed. The 7-bit rendering re-encodes 8-bit leaves part by part (multipart/signed: not possible).
 */

#include "base/base.h"
#include "model/message.h"

struct err;
struct mail_params;
struct sysinfo;

int message_ready(struct message **ret, const struct mail_params *p, const struct sysinfo *sys,
		  struct err *e) MUST_CHECK;
