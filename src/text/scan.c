/*
 * One pass over a text that tells all that the choice of an encoding and the
 * exact size of each need. Any cutting gives the same figures.
 */

#include "text/codec.h"

#include "base/ascii.h"
#include "base/utf8.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

size_t run_of_line(const char *s, size_t len)
{
	size_t n = 0;

#if defined(__SSE2__)
	while (len - n >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(s + n));
		__m128i ends = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
					    _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));
		unsigned mask = (unsigned)_mm_movemask_epi8(ends);

		if (mask)
			return n + (unsigned)__builtin_ctz(mask);
		n += 16;
	}
#endif
	while (n < len && s[n] != '\n' && s[n] != '\r')
		n++;
	return n;
}

void scan_init(struct text_scan *s)
{
	memset(s, 0, sizeof(*s));
	s->utf8 = true;
}

/* @final: nothing follows that matters to what is there: the end, or a line ends with it. */
static void feed_qp(struct text_scan *s, const char *mem, size_t len, bool final)
{
	struct codec_state st = { .text = true, .column = s->qp_column, .last_cr = s->qp_cr };
	char joint[2 * CODEC_LOOK];
	size_t take, used;

	if (s->tail_len || len < CODEC_LOOK) {
		/* what was left, with as much of the new as lets all of it go */
		take = len < CODEC_LOOK ? len : CODEC_LOOK;
		memcpy(joint, s->tail, s->tail_len);
		if (take)
			memcpy(joint + s->tail_len, mem, take);
		used = qp_count(&st, joint, s->tail_len + take, final && len < CODEC_LOOK, &s->qp);
		if (len < CODEC_LOOK) {
			s->tail_len = (unsigned)(s->tail_len + take - used);
			memcpy(s->tail, joint + used, s->tail_len);
			len = 0;
		}
	}
	if (len) {
		used = qp_count(&st, mem, len, final, &s->qp);
		s->tail_len = (unsigned)(len - used);
		memcpy(s->tail, mem + used, s->tail_len);
	}
	s->qp_column = st.column;
	s->qp_cr = st.last_cr;
}

static void end_line(struct text_scan *s)
{
	if (s->line > s->longest)
		s->longest = s->line;
	s->trailing_space |= s->line && (s->last == ' ' || s->last == '\t');
	s->line = 0;
	s->from_matched = 0;
}

/* @n > 0 octets inside of a line. */
static void feed_line(struct text_scan *s, const char *mem, size_t n)
{
	for (size_t i = 0; i < n && s->line + i < 5 && s->from_matched == s->line + i; i++)
		s->from_matched += mem[i] == "From "[s->line + i];
	s->from_line |= s->from_matched == 5;
	s->line += n;
	s->last = mem[n - 1];
}

static void feed_lines(struct text_scan *s, const char *mem, size_t len)
{
	for (size_t at = 0; at < len; ) {
		size_t n = run_of_line(mem + at, len - at);

		if (n) {
			s->bare_cr |= s->last_cr;
			s->last_cr = false;
			feed_line(s, mem + at, n);
			s->canonical += n;
			at += n;
			continue;
		}
		if (mem[at] == '\n' && s->last_cr) {
			s->last_cr = false;     /* of a CRLF, counted at its CR */
		} else {
			s->bare_cr |= s->last_cr;
			s->last_cr = mem[at] == '\r';
			s->canonical += 2;
			end_line(s);
		}
		at++;
	}
}

/* A character that the cutting split waits in part[]. */
static void feed_utf8(struct text_scan *s, const char *mem, size_t len)
{
	uint32_t cp;
	size_t at;

	while (s->part_len && len && s->utf8) {
		s->part[s->part_len++] = *mem++;
		len--;
		if (utf8_decode(s->part, s->part_len, &cp))
			s->part_len = 0;
		else
			s->utf8 = s->part_len < 4 && ((unsigned char)s->part[s->part_len - 1] & 0xc0) == 0x80;
	}
	if (!s->utf8 || !len)
		return;
	at = utf8_valid(mem, len);
	if (len - at < 4) {
		memcpy(s->part, mem + at, len - at);
		s->part_len = (unsigned)(len - at);
		/* what is cut may only be one character's beginning */
		for (unsigned i = 0; i < s->part_len; i++)
			s->utf8 &= i ? (s->part[i] & 0xc0) == 0x80 : (unsigned char)s->part[0] >= 0xc2;
	} else {
		s->utf8 = false;
	}
}

/*
 * Whole lines as most texts have them: up to 76 octets that no encoding alters, an LF behind them. The octets taken.
 * One look at each octet, where feed_lines() and feed_qp() take two, and more.
 */
static size_t feed_clean_lines(struct text_scan *s, const char *mem, size_t len)
{
	size_t at = 0;

	if (s->line || s->last_cr || s->tail_len || s->qp_column || s->qp_cr)
		return 0;
	for (;;) {
		const char *line = mem + at;
		size_t n = qp_plain_run(line, len - at);

		if (n == len - at || line[n] != '\n' || n > QP_WIDTH || (n && is_blank(line[n - 1])) ||
		    (n >= 5 && !memcmp(line, "From ", 5)))
			return at;
		if (n > s->longest)
			s->longest = n;
		s->canonical += n + 2;
		s->qp += n + 2;
		at += n + 1;
	}
}

/* Without octets over 127. */
static void feed_ascii(struct text_scan *s, const char *mem, size_t len)
{
	size_t clean = 0;

	for (size_t at = 0; at < len; at += clean) {
		const char *end;
		size_t n;

		clean = feed_clean_lines(s, mem + at, len - at);
		if (clean)
			continue;
		/* another line, or what is here of one */
		end = memchr(mem + at, '\n', len - at);
		n = end ? (size_t)(end + 1 - (mem + at)) : len - at;
		s->nul = s->nul || memchr(mem + at, '\0', n);
		feed_lines(s, mem + at, n);
		feed_qp(s, mem + at, n, end);
		clean = n;
	}
}

static void feed_any(struct text_scan *s, const char *mem, size_t len)
{
	uint64_t high = count_high(mem, len);

	s->high += high;
	s->nul = s->nul || memchr(mem, '\0', len);
	if (s->utf8 && (high || s->part_len))
		feed_utf8(s, mem, len);
	feed_lines(s, mem, len);
	feed_qp(s, mem, len, false);
}

void scan_feed(struct text_scan *s, const char *mem, size_t len)
{
	s->octets += len;
	/* in pieces that stay in the first-level cache from one look to the next */
	while (len) {
		size_t n = len < 8192 ? len : 8192;

		if (s->part_len || !ascii_only(mem, n))
			feed_any(s, mem, n);
		else
			feed_ascii(s, mem, n);
		mem += n;
		len -= n;
	}
}

void scan_end(struct text_scan *s)
{
	feed_qp(s, NULL, 0, true);
	s->bare_cr |= s->last_cr;
	s->last_cr = false;
	end_line(s);
	s->utf8 &= !s->part_len;
	s->base64 = (uint64_t)base64_size((int64_t)s->canonical);
}

enum cte cte_choose(const struct text_scan *s)
{
	if (!s->high && !s->nul && s->longest <= LINE_MOST && !s->from_line && !s->trailing_space)
		return CTE_7BIT;
	return s->qp <= s->base64 ? CTE_QP : CTE_BASE64;
}
