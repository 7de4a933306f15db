/*
 * Quoted-printable, RFC 2045 section 6.7. One walk serves the encoder and the
 * scan that must know its exact size: qp_count() is the encoder without the
 * stores.
 *
 * An octet is placed with knowledge of what follows: white space before a
 * line end or the end is encoded, column 76 is used only by the last octet
 * of a line, and "From " at the start of an output line is written
 * "=46rom ", because some hosts still put a ">" before it (RFC 2049
 * section 3).
 */

#include "text/codec.h"

#include "base/err.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { QP_WIDTH = 76, QP_MOST = 6 };    /* QP_MOST: a soft break and a triplet, what one octet may need */

static bool is_plain(unsigned char c)
{
	return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

static bool is_white(char c)
{
	return c == ' ' || c == '\t';
}

/* Octets at @s that are written as they are (white space too). */
static inline size_t plain_run(const char *s, size_t max)
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
	while (n < max && is_plain((unsigned char)s[n]))
		n++;
	return n;
}

/* Octets over 127 at @s: text that is not in Latin letters is mostly these. */
static inline size_t high_run(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] & 0x80)
		n++;
	return n;
}

static inline size_t min_of(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* The end of a line, or of all, stands at @at. Octets up to len are there to look at. */
static inline bool at_end(const struct codec_state *st, const char *in, size_t at, size_t len)
{
	return at == len || (st->text && (in[at] == '\r' || in[at] == '\n'));
}

static inline char *put_triplet(char *out, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";

	out[0] = '=';
	out[1] = hex[c >> 4];
	out[2] = hex[c & 15];
	return out + 3;
}

/*
 * The walk. @out NULL: count only. *ret_made grows by what was written. Uses all but the last CODEC_LOOK octets
 * of an input that is not final, and stops early where there is no room.
 */
static inline __attribute__((always_inline))
size_t qp_walk(struct codec_state *st, const char *in, size_t len, bool final, char *out, size_t cap, size_t *ret_made)
{
	size_t stop = final ? len : len > CODEC_LOOK ? len - CODEC_LOOK : 0;
	size_t at = 0, made = 0, run;
	unsigned column = st->column;
	bool last_cr = st->last_cr;

	while (at < stop && cap - made >= QP_MOST) {
		unsigned char c = (unsigned char)in[at];
		bool encode, last;

		if (st->text && (c == '\n' || c == '\r')) {
			if (!(c == '\n' && last_cr)) {
				if (out)
					memcpy(out + made, "\r\n", 2);
				made += 2;
				column = 0;
			}
			last_cr = c == '\r';
			at++;
			continue;
		}
		last_cr = false;
		encode = column == 0 && c == 'F' && len - at >= 5 && !memcmp(in + at, "From ", 5);
		if (!encode && column < QP_WIDTH - 1) {
			run = plain_run(in + at, min_of(QP_WIDTH - 1 - column, stop - at, cap - made));
			if (run && is_white(in[at + run - 1]) && at_end(st, in, at + run, len))
				run--;
			if (run) {
				if (out)
					memcpy(out + made, in + at, run);
				made += run;
				column += (unsigned)run;
				at += run;
				continue;
			}
		}
		run = high_run(in + at, min_of(column < QP_WIDTH ? (QP_WIDTH - 1 - column) / 3 : 0, stop - at, (cap - made) / 3));
		if (run) {
			for (size_t i = 0; out && i < run; i++)
				put_triplet(out + made + 3 * i, (unsigned char)in[at + i]);
			made += 3 * run;
			column += 3 * (unsigned)run;
			at += run;
			continue;
		}
		last = at_end(st, in, at + 1, len);
		encode |= !is_plain(c) || (last && is_white((char)c));
		if (column + (encode ? 3u : 1u) > (last ? QP_WIDTH : QP_WIDTH - 1)) {
			if (out)
				memcpy(out + made, "=\r\n", 3);
			made += 3;
			column = 0;
			continue;       /* the octet once more, now at a line's start */
		}
		if (!encode && out)
			out[made] = (char)c;
		else if (out)
			put_triplet(out + made, c);
		made += encode ? 3 : 1;
		column += encode ? 3 : 1;
		at++;
	}
	st->column = column;
	st->last_cr = last_cr;
	*ret_made += made;
	return at;
}

int qp_step(struct codec_state *st, struct codec_io *io, struct err *e)
{
	(void)e;
	io->used = qp_walk(st, io->in, io->in_len, io->final, io->out, io->out_cap, &io->made);
	return 0;
}

size_t qp_count(struct codec_state *st, const char *in, size_t len, bool final, uint64_t *size)
{
	size_t made = 0, used = qp_walk(st, in, len, final, NULL, SIZE_MAX, &made);

	*size += made;
	return used;
}
