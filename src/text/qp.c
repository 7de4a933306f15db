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

#include "base/ascii.h"

#include <string.h>

enum { QP_MOST = 6 };    /* a soft break and a triplet, what one octet may need */

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

/* A walk over some input. @out NULL: count only. */
struct walk {
	const char *in;
	size_t at, len;
	size_t stop;            /* octets from here on wait for what follows them */
	char *out;
	size_t made, cap;
	unsigned column;
	bool text, last_cr;
};

#define INLINE static inline __attribute__((always_inline))

/* The end of a line, or of all, stands at @at. */
INLINE bool at_end(const struct walk *w, size_t at)
{
	return at == w->len || (w->text && (w->in[at] == '\r' || w->in[at] == '\n'));
}

INLINE void put(struct walk *w, const char *s, size_t n)
{
	if (w->out)
		memcpy(w->out + w->made, s, n);
	w->made += n;
	w->column += (unsigned)n;
}

INLINE void put_triplet(struct walk *w, unsigned char c)
{
	char t[3] = { '=', hex_digit(c >> 4), hex_digit(c) };

	put(w, t, 3);
}

/* Line ends of a text: the LF of a CRLF was written with its CR. */
INLINE bool take_line_end(struct walk *w)
{
	char c = w->in[w->at];
	bool second = c == '\n' && w->last_cr;

	w->last_cr = false;
	if (!w->text || (c != '\n' && c != '\r'))
		return false;
	if (!second) {
		put(w, "\r\n", 2);
		w->column = 0;
	}
	w->last_cr = c == '\r';
	w->at++;
	return true;
}

/* As much as goes unchanged into columns 1 to 75. */
INLINE bool take_plain(struct walk *w)
{
	size_t n;

	if (w->column >= QP_WIDTH - 1)
		return false;
	n = qp_plain_run(w->in + w->at, min_of(QP_WIDTH - 1 - w->column, w->stop - w->at, w->cap - w->made));
	if (n && is_blank(w->in[w->at + n - 1]) && at_end(w, w->at + n))
		n--;
	put(w, w->in + w->at, n);
	w->at += n;
	return n;
}

/* As many octets over 127 as go into columns 1 to 75. */
INLINE bool take_high(struct walk *w)
{
	size_t n;

	if (w->column >= QP_WIDTH)
		return false;
	n = high_run(w->in + w->at,
		     min_of((QP_WIDTH - 1 - w->column) / 3, w->stop - w->at, (w->cap - w->made) / 3));
	for (size_t i = 0; i < n; i++)
		put_triplet(w, (unsigned char)w->in[w->at + i]);
	w->at += n;
	return n;
}

/* One octet with regard to what follows it; or a soft line break, and the octet is looked at again. */
INLINE void take_octet(struct walk *w, bool encode)
{
	unsigned char c = (unsigned char)w->in[w->at];
	bool last = at_end(w, w->at + 1);

	encode |= !qp_is_plain(c) || (last && is_blank((char)c));
	if (w->column + (encode ? 3u : 1u) > (last ? QP_WIDTH : QP_WIDTH - 1)) {
		put(w, "=\r\n", 3);
		w->column = 0;
		return;
	}
	if (encode)
		put_triplet(w, c);
	else
		put(w, (const char *)&c, 1);
	w->at++;
}

/*
 * Uses all but the last CODEC_LOOK octets of an input that is not final, and stops early where there is no
 * room. Gives the octets used; *ret_made grows by what was written.
 */
INLINE size_t qp_walk(struct codec_state *st, struct walk w, bool final, size_t *ret_made)
{
	w.text = st->text;
	w.column = st->column;
	w.last_cr = st->last_cr;
	w.stop = final ? w.len : w.len > CODEC_LOOK ? w.len - CODEC_LOOK : 0;
	while (w.at < w.stop && w.cap - w.made >= QP_MOST) {
		bool from;

		if (take_line_end(&w))
			continue;
		from = w.column == 0 && w.in[w.at] == 'F' && w.len - w.at >= 5 &&
		       !memcmp(w.in + w.at, "From ", 5);
		if (from || (!take_plain(&w) && !take_high(&w)))
			take_octet(&w, from);
	}
	st->column = w.column;
	st->last_cr = w.last_cr;
	*ret_made += w.made;
	return w.at;
}

int qp_step(struct codec_state *st, struct codec_io *io, struct err *e)
{
	struct walk w = { .in = io->in, .len = io->in_len, .out = io->out, .cap = io->out_cap };

	(void)e;
	io->used = qp_walk(st, w, io->final, &io->made);
	return 0;
}

size_t qp_count(struct codec_state *st, const char *in, size_t len, bool final, uint64_t *size)
{
	struct walk w = { .in = in, .len = len, .cap = SIZE_MAX };
	size_t made = 0, used = qp_walk(st, w, final, &made);

	*size += made;
	return used;
}
