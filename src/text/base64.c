/*
 * base64, RFC 2045 section 6.8 and RFC 4648 section 4. Attachments are large
 * and this loop is most of what the program computes for them, so whole lines
 * (57 octets to 76) go through AVX2 where the processor has it.
 */

#include "text/codec.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Two characters for each 12 bits, made by the compiler: faster than one by one where there is no AVX2. */
#define ALL_OF(f, a) \
	f(a, 'A') f(a, 'B') f(a, 'C') f(a, 'D') f(a, 'E') f(a, 'F') f(a, 'G') f(a, 'H') \
	f(a, 'I') f(a, 'J') f(a, 'K') f(a, 'L') f(a, 'M') f(a, 'N') f(a, 'O') f(a, 'P') \
	f(a, 'Q') f(a, 'R') f(a, 'S') f(a, 'T') f(a, 'U') f(a, 'V') f(a, 'W') f(a, 'X') \
	f(a, 'Y') f(a, 'Z') f(a, 'a') f(a, 'b') f(a, 'c') f(a, 'd') f(a, 'e') f(a, 'f') \
	f(a, 'g') f(a, 'h') f(a, 'i') f(a, 'j') f(a, 'k') f(a, 'l') f(a, 'm') f(a, 'n') \
	f(a, 'o') f(a, 'p') f(a, 'q') f(a, 'r') f(a, 's') f(a, 't') f(a, 'u') f(a, 'v') \
	f(a, 'w') f(a, 'x') f(a, 'y') f(a, 'z') f(a, '0') f(a, '1') f(a, '2') f(a, '3') \
	f(a, '4') f(a, '5') f(a, '6') f(a, '7') f(a, '8') f(a, '9') f(a, '+') f(a, '/')
#define PAIR(a, b) { a, b },
#define ROW(a) ALL_OF(PAIR, a)

static const char pairs[4096][2] = {
	ROW('A') ROW('B') ROW('C') ROW('D') ROW('E') ROW('F') ROW('G') ROW('H')
	ROW('I') ROW('J') ROW('K') ROW('L') ROW('M') ROW('N') ROW('O') ROW('P')
	ROW('Q') ROW('R') ROW('S') ROW('T') ROW('U') ROW('V') ROW('W') ROW('X')
	ROW('Y') ROW('Z') ROW('a') ROW('b') ROW('c') ROW('d') ROW('e') ROW('f')
	ROW('g') ROW('h') ROW('i') ROW('j') ROW('k') ROW('l') ROW('m') ROW('n')
	ROW('o') ROW('p') ROW('q') ROW('r') ROW('s') ROW('t') ROW('u') ROW('v')
	ROW('w') ROW('x') ROW('y') ROW('z') ROW('0') ROW('1') ROW('2') ROW('3')
	ROW('4') ROW('5') ROW('6') ROW('7') ROW('8') ROW('9') ROW('+') ROW('/')
};

int64_t base64_size(int64_t octets)
{
	int64_t chars;

	if (octets < 0 || octets > INT64_MAX / 2)
		return -1;
	if (!octets)
		return 0;
	chars = (octets + 2) / 3 * 4;
	return chars + (chars - 1) / BASE64_OUT * 2;
}

/* Any number of octets without line breaks, padded. Gives the end of the output. */
static char *encode_plain(char *out, const unsigned char *in, size_t len)
{
	for (; len >= 3; in += 3, len -= 3) {
		uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		memcpy(out, pairs[v >> 12], 2);
		memcpy(out + 2, pairs[v & 4095], 2);
		out += 4;
	}
	if (len) {
		uint32_t v = (uint32_t)in[0] << 16 | (len == 2 ? (uint32_t)in[1] << 8 : 0);

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = len == 2 ? alphabet[v >> 6 & 63] : '=';
		*out++ = '=';
	}
	return out;
}

/* @n whole lines, each with a CRLF before it. */
static void lines_portable(char *out, const unsigned char *in, size_t n)
{
	for (; n; n--, in += BASE64_IN) {
		*out++ = '\r';
		*out++ = '\n';
		out = encode_plain(out, in, BASE64_IN);
	}
}

#if defined(__x86_64__)
/*
 * 24 octets to 32 characters (after Muła and Lemire, "Faster Base64 Encoding and Decoding using AVX2
 * Instructions", 2018). The upper lane is loaded 4 octets early, so that nothing past in[23] is read.
 */
__attribute__((target("avx2")))
static inline void encode24(char *out, const unsigned char *in)
{
	const __m256i spread = _mm256_setr_epi8(
		1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,
		5, 4, 6, 5, 8, 7, 9, 8, 11, 10, 12, 11, 14, 13, 15, 14);
	const __m256i shift = _mm256_setr_epi8(
		71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0,
		71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0);
	__m256i v, hi, lo, index, row;

	v = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)in)),
				    _mm_loadu_si128((const __m128i *)(in + 8)), 1);
	v = _mm256_shuffle_epi8(v, spread);
	hi = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
				_mm256_set1_epi32(0x04000040));
	lo = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
				_mm256_set1_epi32(0x01000010));
	index = _mm256_or_si256(hi, lo);
	/* 0: a-z, 1..10: digits, 11: '+', 12: '/', 13: A-Z; the row's number is what to add to the index */
	row = _mm256_subs_epu8(index, _mm256_set1_epi8(51));
	row = _mm256_or_si256(row, _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), index),
						    _mm256_set1_epi8(13)));
	_mm256_storeu_si256((__m256i *)out, _mm256_add_epi8(_mm256_shuffle_epi8(shift, row), index));
}

__attribute__((target("avx2")))
static void lines_avx2(char *out, const unsigned char *in, size_t n)
{
	for (; n; n--, in += BASE64_IN, out += BASE64_OUT + 2) {
		out[0] = '\r';
		out[1] = '\n';
		encode24(out + 2, in);
		encode24(out + 34, in + 24);
		encode24(out + 46, in + 33);    /* 57 = 24 + 24 + 9: the last 24 overlap the second */
	}
}
#endif

static void encode_lines(char *out, const char *in, size_t n)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		lines_avx2(out, (const unsigned char *)in, n);
		return;
	}
#endif
	lines_portable(out, (const unsigned char *)in, n);
}

int base64_step(struct codec_state *st, struct codec_io *io, struct err *e)
{
	size_t lines = io->in_len / BASE64_IN, room, rest;

	(void)e;
	if (lines && !st->started) {
		encode_plain(io->out, (const unsigned char *)io->in, BASE64_IN);
		st->started = true;
		io->used = BASE64_IN;
		io->made = BASE64_OUT;
		lines--;
	}
	room = (io->out_cap - io->made) / (BASE64_OUT + 2);
	if (lines > room)
		lines = room;
	encode_lines(io->out + io->made, io->in + io->used, lines);
	io->used += lines * BASE64_IN;
	io->made += lines * (BASE64_OUT + 2);

	rest = io->in_len - io->used;
	if (io->final && rest && rest < BASE64_IN && io->out_cap - io->made >= BASE64_OUT + 2) {
		char *at = io->out + io->made;

		if (st->started)
			at = (char *)memcpy(at, "\r\n", 2) + 2;
		st->started = true;
		at = encode_plain(at, (const unsigned char *)io->in + io->used, rest);
		io->made = (size_t)(at - io->out);
		io->used += rest;
	}
	return 0;
}

int base64_add(struct buf *out, const void *mem, size_t len)
{
	const unsigned char *in = mem;
	char piece[1024];
	size_t before = out->len;

	while (len) {
		size_t n = len < sizeof(piece) / 4 * 3 ? len : sizeof(piece) / 4 * 3;
		char *end = encode_plain(piece, in, n);

		if (buf_add(out, piece, (size_t)(end - piece)) < 0) {
			out->len = before;
			out->data[before] = '\0';
			return -1;
		}
		in += n;
		len -= n;
	}
	return 0;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What the last, padded group gives; -1: it is not one that an encoder writes (RFC 4648 3.5: the unused bits
 * are 0). */
static int last_group(char *out, uint32_t bits, unsigned have, unsigned pads)
{
	if (!have && !pads)
		return 0;
	if (have < 2 || have + pads != 4 || (have == 2 ? bits & 0xf : bits & 0x3))
		return -1;
	bits <<= 6 * pads;
	out[0] = (char)(bits >> 16);
	if (have == 3)
		out[1] = (char)(bits >> 8);
	return (int)have - 1;
}

int base64_decode(char **ret, size_t *ret_len, const char *text, size_t len, struct err *e)
{
	CLEANUP(freep) char *out = xmalloc(len / 4 * 3 + 4);
	unsigned have = 0, pads = 0;
	uint32_t bits = 0;
	size_t n = 0;
	int last;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		int v;

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=' && have >= 2 && have + pads < 4) {
			pads++;
			continue;
		}
		v = base64_value(c);
		if (v < 0 || pads)
			return err_set(e, ERR_DATA, "not base64 at octet %zu", i);
		bits = bits << 6 | (uint32_t)v;
		if (++have < 4)
			continue;
		out[n++] = (char)(bits >> 16);
		out[n++] = (char)(bits >> 8);
		out[n++] = (char)bits;
		have = 0;
		bits = 0;
	}
	last = last_group(out + n, bits, have, pads);
	if (last < 0)
		return err_set(e, ERR_DATA, "base64 ends amid a group of four at octet %zu", len);
	n += (size_t)last;
	out[n] = '\0';
	*ret = out;
	*ret_len = n;
	out = NULL;
	return 0;
}
