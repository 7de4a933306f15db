#pragma once

/*
 * Content-transfer encodings (RFC 2045 section 6), as sources over a source.
 * Output lines are at most 76 octets (encoders) or 998 (identity) and end in
 * CRLF; the input may be cut anywhere; the same bytes come out for every
 * cutting. An encoder owns the source under it.
 *
 * All end without a final CRLF of their own beyond what the input says: the
 * MIME stream puts the CRLF before a boundary. base64's last line ends in
 * CRLF only by the stream. (So that a part's size is exact and decoding gives
 * the input back.)
 *
 * Text is taken line by line: LF, CRLF and lone CR each end a line (CR CR LF is two). Binary
 * input is taken octet by octet.
 */

#include "base/base.h"
#include "base/source.h"

struct err;

enum { LINE_MOST = 998 };       /* octets of a line, without the CRLF: RFC 5322 2.1.1 */

enum cte { CTE_AUTO, CTE_7BIT, CTE_8BIT, CTE_BINARY, CTE_QP, CTE_BASE64 };

const char *cte_name(enum cte c);               /* "quoted-printable" */
/* The five of RFC 2045 section 6.1, in any case; -1: unknown ("auto" too, which is no encoding). */
int cte_by_name(enum cte *ret, const char *name, size_t len);

/* What one pass over a text tells; feed any cutting, then scan_end(). */
struct text_scan {
	uint64_t octets;        /* as read */
	uint64_t canonical;     /* with every line end as CRLF */
	uint64_t qp;            /* size as quoted-printable (text) */
	uint64_t base64;        /* size as base64 of the canonical form, CRLF between its lines */
	uint64_t high;          /* octets over 127 */
	uint64_t longest;       /* longest line, octets without its end */
	bool utf8;              /* all valid so far; after scan_end(): and not cut */
	bool nul, bare_cr, from_line, trailing_space;
	/* private */
	uint64_t line;                  /* octets of the line so far */
	bool last_cr;
	char last;                      /* the line's last octet so far */
	unsigned from_matched;          /* octets of "From " that the line began with */
	char tail[4];                   /* what quoted-printable needs to see more behind */
	unsigned tail_len, qp_column;
	bool qp_cr;
	char part[4];                   /* a UTF-8 character that the cutting split */
	unsigned part_len;
};
void scan_init(struct text_scan *s);
void scan_feed(struct text_scan *s, const char *mem, size_t len);
void scan_end(struct text_scan *s);

/*
 * The encoding for a text: 7bit where it is pure ASCII, no line is over 998 octets and there is no NUL;
 * else quoted-printable or base64, whichever is shorter (a tie is quoted-printable). "From " at a line start
 * and trailing white space ask for quoted-printable (RFC 2049 section 3); a lone "." does not.
 */
enum cte cte_choose(const struct text_scan *s);

/*
 * Encoder of @under (owned). @text: line by line, else octets. @size: the exact size of the output where the
 * caller knows it by a scan, or -1; base64 of binary computes its own from source_size(under), identity of
 * binary has that. 7bit and 8bit refuse (ERR_DATA, with the octet's offset) NUL, lines over 998 octets, 7bit
 * also octets over 127; not as text, they refuse a bare CR or LF as well. binary refuses nothing. CTE_AUTO is
 * to be settled before; here it is base64.
 */
struct source *encode_source(enum cte c, bool text, struct source *under, int64_t size);

/* Octets of base64 for @octets, CRLF between lines of 76, none after the last. */
int64_t base64_size(int64_t octets);

/* base64 text to octets, strict but for white space: malloc in *ret, -1 ERR_DATA with the offset. */
int base64_decode(char **ret, size_t *ret_len, const char *text, size_t len, struct err *e) MUST_CHECK;
/* One line, no breaks, appended. */
struct buf;
int base64_add(struct buf *out, const void *mem, size_t len) MUST_CHECK;
