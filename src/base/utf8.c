/* UTF-8 by RFC 3629, and showing foreign text on one harmless line. */

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

size_t utf8_decode(const char *s, size_t len, uint32_t *ret_cp)
{
	const unsigned char *u = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t cp;
	size_t n;

	if (!len)
		return 0;
	if (u[0] < 0x80) {
		*ret_cp = u[0];
		return 1;
	}
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	cp = u[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (u[i] & 0x3fu);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*ret_cp = cp;
	return n;
}

/* Octets of ASCII at @s, in whole steps of 64 and of 8. */
static size_t ascii_steps(const char *s, size_t len)
{
	const uint64_t high = 0x8080808080808080u;
	uint64_t w;
	size_t at = 0;

#if defined(__SSE2__)
	for (; len - at >= 64; at += 64) {
		const __m128i *v = (const __m128i *)(s + at);
		__m128i all = _mm_or_si128(_mm_or_si128(_mm_loadu_si128(v), _mm_loadu_si128(v + 1)),
					   _mm_or_si128(_mm_loadu_si128(v + 2), _mm_loadu_si128(v + 3)));

		if (_mm_movemask_epi8(all))
			break;
	}
#endif
	for (; len - at >= sizeof(w); at += sizeof(w)) {
		memcpy(&w, s + at, sizeof(w));
		if (w & high)
			break;
	}
	return at;
}

size_t utf8_valid(const char *s, size_t len)
{
	size_t at = 0, n;
	uint32_t cp;

	while (at < len) {
		if (len - at >= 8 && !(s[at] & 0x80)) {
			n = ascii_steps(s + at, len - at);
			at += n;
			if (n)
				continue;
		}
		n = s[at] & 0x80 ? utf8_decode(s + at, len - at, &cp) : 1;
		if (!n)
			return at;
		at += n;
	}
	return at;
}

bool ascii_only(const char *s, size_t len)
{
	size_t i = ascii_steps(s, len);

	while (i < len && !(s[i] & 0x80))
		i++;
	return i == len;
}

size_t printable_run(const char *s, size_t len)
{
	const uint64_t spaces = 0x2020202020202020u, ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t word;
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		memcpy(&word, s + i, 8);
		/* a top bit is set, or would be by the borrow of an octet below ' ' or the carry of 127 */
		if ((word | (word - spaces) | (word + ones)) & high)
			break;
	}
	while (i < len && s[i] >= ' ' && s[i] <= '~')
		i++;
	return i;
}

uint64_t count_high(const char *mem, size_t len)
{
	uint64_t n = 0, word;
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		memcpy(&word, mem + i, 8);
		/* the eight top bits, added up in the highest octet */
		n += ((word & 0x8080808080808080u) >> 7) * 0x0101010101010101u >> 56;
	}
	for (; i < len; i++)
		n += (unsigned char)mem[i] >> 7;
	return n;
}

/* Characters that move the cursor, colour the screen or turn the text around. */
static bool drives_terminal(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
	       (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
	       cp == 0x200e || cp == 0x200f || cp == 0x61c;
}

size_t utf8_escape(char *out, size_t cap, const char *s, size_t len)
{
	size_t used = 0;

	if (!cap)
		return 0;
	for (size_t at = 0; at < len; ) {
		char piece[16];
		uint32_t cp;
		size_t n = utf8_decode(s + at, len - at, &cp), m;

		if (!n) {
			m = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char)s[at]);
			n = 1;
		} else if (drives_terminal(cp)) {
			m = (size_t)snprintf(piece, sizeof(piece), cp < 0x80 ? "\\x%02x" : "\\u{%x}",
					     (unsigned)cp);
		} else {
			memcpy(piece, s + at, n);
			m = n;
		}
		if (m >= cap - used)
			break;
		memcpy(out + used, piece, m);
		used += m;
		at += n;
	}
	out[used] = '\0';
	return used;
}
