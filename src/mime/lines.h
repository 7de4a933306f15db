#pragma once

/*
 * A source line by line, and header blocks made of lines. LF, CRLF and lone CR
 * each end a line (CR CR LF is two), as in text/encode.h. A line of any length
 * is given, in fragments where it passes 64 KiB; NUL is refused.
 */

#include "base/base.h"
#include "base/buf.h"

struct err;
struct source;

struct line {
	const char *mem;        /* valid until the next call */
	size_t len;
	unsigned end;           /* octets of its end: 0 (a fragment, or the last line has none), 1 or 2 */
	bool first, last;       /* fragment of its line */
	uint64_t at;            /* octets of the source before it */
};

struct lines {
	struct source *source;  /* borrowed */
	char *mem;
	size_t have, used;
	uint64_t at;
	bool ended, inside;     /* inside: the last fragment did not end its line */
};

void lines_init(struct lines *l, struct source *source);
/* 1 and *ret, 0 at the end, -1: the source's error, or ERR_DATA for a NUL. */
int lines_next(struct lines *l, struct line *ret, struct err *e) MUST_CHECK;
/* The line that was just given, the first fragment of its line, is given once more. */
void lines_put_back(struct lines *l, const struct line *line);
void lines_clear(struct lines *l);
/* It begins like a header field. */
bool line_is_field(const struct line *line);

/* A header block as it stands: canonical text, and where its fields are. */
struct block_field {
	size_t at, len;         /* of all its lines in text, the last CRLF included */
	size_t name_len;        /* 0: not a field (only where that is tolerated) */
	size_t value_at;        /* behind the colon, in text */
	bool high, overlong;    /* octets over 127; a line over 998 */
};
struct block {
	struct buf text;
	struct block_field *field;
	size_t count, cap;
	uint64_t high;
	bool overlong;
};

enum { BLOCK_MAX = 1024 * 1024, BLOCK_LINE_MOST = 998 };

void block_init(struct block *b);
void block_reset(struct block *b);
void block_clear(struct block *b);
/*
 * One more line, not the empty one. @strict: what is neither a field nor the continuation of one is ERR_DATA;
 * else it is kept as it is. ERR_DATA beyond 1 MiB.
 */
int block_line(struct block *b, const struct line *line, bool strict, struct err *e) MUST_CHECK;

bool block_is(const struct block *b, const struct block_field *f, const char *name);
/* RFC 5322 2.2.3: the value without its CRLFs and the blank behind the colon (malloc). */
char *block_field_value(const struct block *b, const struct block_field *f);
/* The value of the first field @name, unfolded (malloc), or NULL. */
char *block_value(const struct block *b, const char *name);
/*
 * The field as ASCII and under 998: by its own octets where they are that, else written anew (RFC 2047,
 * 2231). A raw address stays (SMTPUTF8), but in a @part, where it is nobody's to deliver to: text there.
 * ERR_DATA.
 */
int block_put(struct buf *out, const struct block *b, const struct block_field *f, bool part,
	      struct err *e) MUST_CHECK;
