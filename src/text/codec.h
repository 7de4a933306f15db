#pragma once

/*
 * Private to src/text: what the encoders' rows share. A codec is one step
 * function over a small state. It is given some input and some room and says
 * how much of each it used; it may leave octets that it must see together
 * with what follows, and it must give the same output however the input is
 * cut and however small the room (CODEC_ROOM at least) is.
 */

#include "base/base.h"
#include "text/encode.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct err;

enum {
	CODEC_ROOM = 128,       /* least room of a step: a base64 line with its CRLF is 78 */
	QP_WIDTH = 76,          /* columns of a line, RFC 2045 6.7 */
	CODEC_LOOK = 4,         /* octets that quoted-printable looks ahead: "rom " behind an F */
	BASE64_IN = 57, BASE64_OUT = 76,        /* one line, RFC 2045 6.8 */
};

static inline bool qp_is_plain(unsigned char c)
{
	return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

/* Octets at @s that quoted-printable writes as they are, white space that is not at a line's end too. */
static inline size_t qp_plain_run(const char *s, size_t max)
{
	size_t n = 0;

#if defined(__SSE2__)
	while (max - n >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(s + n));
		/* signed: octets over 127 are below the space */
		__m128i odd = _mm_or_si128(_mm_cmpgt_epi8(_mm_set1_epi8(' '), v),
					   _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')),
							_mm_cmpeq_epi8(v, _mm_set1_epi8(127))));
		unsigned mask = (unsigned)_mm_movemask_epi8(odd);

		if (mask)
			return n + (unsigned)__builtin_ctz(mask);
		n += 16;
	}
#endif
	while (n < max && qp_is_plain((unsigned char)s[n]))
		n++;
	return n;
}

struct codec_state {
	enum cte cte;
	bool text;
	bool last_cr;           /* the octet before was a CR */
	bool started;           /* base64: a line is out, the next one needs a CRLF before it */
	unsigned column;        /* of the output line (quoted-printable) */
	uint64_t line;          /* octets of the input line so far (identity) */
	uint64_t offset;        /* of the input, for messages (identity) */
};

struct codec_io {
	const char *in;
	size_t in_len;
	bool final;             /* nothing follows @in */
	char *out;
	size_t out_cap;
	size_t used, made;      /* 0 when called */
};

int base64_step(struct codec_state *st, struct codec_io *io, struct err *e) MUST_CHECK;
int qp_step(struct codec_state *st, struct codec_io *io, struct err *e) MUST_CHECK;
int identity_step(struct codec_state *st, struct codec_io *io, struct err *e) MUST_CHECK;

/* What qp_step() would write for @in, without writing: adds to *size, gives the octets used. */
size_t qp_count(struct codec_state *st, const char *in, size_t len, bool final, uint64_t *size);

/* Octets before the first CR or LF of @s, or @len. */
size_t run_of_line(const char *s, size_t len);
