#pragma once

/*
 * Replies and EHLO keywords, RFC 5321 section 4.2 and 4.1.1.1: pure, strict.
 */

#include "base/base.h"

struct capabilities {           /* from the EHLO or LHLO reply; keywords in any letter case */
	bool pipelining, size, eightbit, smtputf8, dsn, chunking, requiretls, starttls, enhanced,
		auth_offered;
	uint64_t size_limit;    /* octets; 0: none announced */
	unsigned rcpt_max;      /* RFC 9422 LIMITS RCPTMAX; 0: none */
	char auth[512];         /* mechanisms in capitals, separated by spaces */
	bool esmtp;             /* EHLO or LHLO was accepted (false: HELO) */
};

void capabilities_init(struct capabilities *c);
/* One line of the reply behind its first, without code and CRLF: "SIZE 10240000". Unusable values are ignored
 * (SIZE without a number: no limit). */
void capabilities_heard(struct capabilities *c, const char *line, size_t len);

struct reply_line { int code; bool more; const char *text; size_t len; };
/*
 * One line without its line end. 0, or -1 where it is not an SMTP reply line: three digits 200..599, then
 * end, ' ' or '-'. (The caller accepts LF as line end, and blank lines before a reply.)
 */
int reply_line_parse(struct reply_line *ret, const char *line, size_t len) MUST_CHECK;
/* "5.1.1" out of the text's start, where it is RFC 3463 and its class is that of @code; else "". */
void enhanced_code(char ret[12], int code, const char *text, size_t len);

/*
 * A reply, gathered from any cutting of the octets. Bounded: text kept to the first 1 KiB, lines to 64 KiB,
 * at most 1 MiB and 4096 lines a reply. Feed octets; 1: *r is complete (code, text with the lines joined by a
 * space), *used octets taken; 0: needs more (all taken); -1: not SMTP: mixed codes, malformed, too long (why:
 * static text). No allocation.
 */
struct reply {
	int code;
	char text[1024];        /* NUL-ended, raw octets but NUL; escape before showing */
	size_t len;
	/* private */
	char line[1100]; size_t line_len; size_t line_total; size_t lines, octets; bool started;
	void (*on_line)(void *ctx, const char *line, size_t len);
	void *ctx; /* each line as it ends, for trace and EHLO; may be NULL */
};
void reply_init(struct reply *r);
int reply_feed(struct reply *r, const char *mem, size_t len, size_t *used, const char **why) MUST_CHECK;
/* Begun but not ended: bytes of a reply are there. */
bool reply_pending(const struct reply *r);
