#pragma once

/*
 * A ready RFC 5322 message (message_file): its own bytes kept. Bcc and Resent-Bcc fields are left out (name
 * and folded lines), line ends (a bare CR is one) made CRLF, a leading mbox "From " line dropped. A NUL is
 * refused; lines over 998 octets are mended where that changes nothing for a reader, else refused. Headers
 * are read with bounds (1 MiB a header in all), the body streamed. The 7-bit rendering re-encodes 8-bit
 * leaves part by part (multipart/signed: not possible).
 */

#include "base/base.h"
#include "model/message.h"

struct err;
struct mail_params;
struct sysinfo;

int message_ready(struct message **ret, const struct mail_params *p, const struct sysinfo *sys,
		  struct err *e) MUST_CHECK;
