#pragma once

/*
 * Readers for the tests and the fuzz targets, written from the RFCs and not
 * from our writers: unfolding and the lint of a header field, encoded words
 * (RFC 2047), parameters (RFC 2231), quoted-printable and base64. Strict: what
 * is not right gives NULL or a complaint.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static inline int md_hex(char c)
{
	const char *digits = "0123456789ABCDEF", *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* What is wrong with one header field (CRLF at its end), or NULL. @ours: its encoded words are all of our
 * making. */
static inline const char *md_lint_any(const char *field, size_t len, bool ours)
{
	size_t start = 0;
	bool first = true;

	if (len < 2 || memcmp(field + len - 2, "\r\n", 2))
		return "no CRLF at the end";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)field[i];

		if (c == '\n' || !c || c >= 127 || (c < 32 && c != '\t' && c != '\r'))
			return "an octet that must not be there";
		if (c != '\r')
			continue;
		if (field[i + 1] != '\n')
			return "bare CR";
		size_t n = i - start, blanks = 0;
		const char *line = field + start;
		bool encoded = ours && memmem(line, n, "=?utf-8?", 8) != NULL;

		if (n > 998)
			return "a line over 998";
		while (blanks < n && (line[blanks] == ' ' || line[blanks] == '\t'))
			blanks++;
		if (!first && (!blanks || blanks == n))
			return "a continuation without white space or with nothing else";
		if (encoded && n > 78)
			return "a line with encoded words over 78";
		start = i + 2;
		first = false;
		i++;
	}
	return NULL;
}

static inline const char *md_lint(const char *field, size_t len) { return md_lint_any(field, len, true); }
static inline const char *md_lint_given(const char *field, size_t len) { return md_lint_any(field, len, false); }

/* Longest line of @text, without its CRLF. */
static inline size_t md_longest(const char *text, size_t len)
{
	size_t most = 0, line = 0;

	for (size_t i = 0; i < len; i++) {
		line = text[i] == '\n' ? 0 : line + (text[i] != '\r');
		most = line > most ? line : most;
	}
	return most;
}

/* The field's body unfolded, behind "name: "; malloc. */
static inline char *md_unfold(const char *field, size_t len)
{
	char *out = malloc(len + 1);
	const char *colon = memchr(field, ':', len);
	size_t n = 0;

	for (const char *p = colon + 1; p < field + len; p++)
		if (*p != '\r' && *p != '\n')
			out[n++] = *p;
	out[n] = '\0';
	if (out[0] == ' ')
		memmove(out, out + 1, n);
	return out;
}

static inline int md_b64(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Octets into @out; -1 where it is not base64. CRLF is skipped where @lines. */
static inline long md_base64(char *out, const char *in, size_t len, bool lines)
{
	uint32_t bits = 0;
	unsigned have = 0, pads = 0;
	long n = 0;

	for (size_t i = 0; i < len; i++) {
		if (lines && i + 1 < len && in[i] == '\r' && in[i + 1] == '\n') {
			i++;
			continue;
		}
		if (in[i] == '=') {
			pads++;
			bits <<= 6;
		} else if (pads || md_b64(in[i]) < 0) {
			return -1;
		} else {
			bits = bits << 6 | (uint32_t)md_b64(in[i]);
		}
		if (++have < 4)
			continue;
		if (pads > 2)
			return -1;
		for (unsigned k = 0; k < 3 - pads; k++)
			out[n++] = (char)(bits >> (16 - 8 * k));
		have = 0;
		bits = 0;
	}
	return have ? -1 : n;
}

/* RFC 2045 6.7, strict; line ends stay CRLF. -1 where a line is over 76 or something stands that must be
 * encoded. */
static inline long md_qp(char *out, const char *in, size_t len)
{
	long n = 0;
	size_t column = 0;

	for (size_t i = 0; i < len; ) {
		unsigned char c = (unsigned char)in[i];

		if (c == '\r') {
			if (i + 1 >= len || in[i + 1] != '\n')
				return -1;
			if (i && (in[i - 1] == ' ' || in[i - 1] == '\t'))
				return -1;
			out[n++] = '\r';
			out[n++] = '\n';
			i += 2;
			column = 0;
			continue;
		}
		if (c == '=' && i + 2 < len && in[i + 1] == '\r' && in[i + 2] == '\n') {
			if (column + 1 > 76 || i + 3 == len)
				return -1;
			i += 3;
			column = 0;
			continue;
		}
		if (c == '=') {
			if (i + 2 >= len || md_hex(in[i + 1]) < 0 || md_hex(in[i + 2]) < 0)
				return -1;
			out[n++] = (char)(md_hex(in[i + 1]) * 16 + md_hex(in[i + 2]));
			i += 3;
			column += 3;
		} else {
			if (c != '\t' && (c < 32 || c > 126))
				return -1;
			out[n++] = (char)c;
			i++;
			column++;
		}
		if (column > 76)
			return -1;
	}
	return len && (in[len - 1] == ' ' || in[len - 1] == '\t') ? -1 : n;
}

/* One encoded word at @s, ended by white space or the end: its length, its octets in @out; 0 where there is
 * none. */
static inline size_t md_word(const char *s, char *out, long *ret_n)
{
	size_t len = strcspn(s, " \t"), n = len - 12;
	const char *text = s + 10;

	*ret_n = 0;
	if (len < 13 || len > 75 || strncmp(s, "=?utf-8?", 8) || s[9] != '?' || strncmp(s + len - 2, "?=", 2))
		return 0;
	if (s[8] == 'B') {
		*ret_n = md_base64(out, text, n, false);
		return *ret_n < 0 ? 0 : len;
	}
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '_') {
			out[(*ret_n)++] = ' ';
		} else if (text[i] == '=') {
			if (i + 2 >= n || md_hex(text[i + 1]) < 0 || md_hex(text[i + 2]) < 0)
				return 0;
			out[(*ret_n)++] = (char)(md_hex(text[i + 1]) * 16 + md_hex(text[i + 2]));
			i += 2;
		} else if (strchr("?()<>@,;:\\\".[]", text[i])) {
			return 0;       /* what a phrase may not have; we never write it */
		} else {
			out[(*ret_n)++] = text[i];
		}
	}
	return s[8] == 'Q' ? len : 0;
}

/* An unfolded text with its encoded words decoded; malloc. White space between two of them is dropped. */
static inline char *md_decode_words(const char *text)
{
	char *out = malloc(strlen(text) + 1);
	size_t n = 0, kept = 0;
	bool behind = false;

	while (*text) {
		size_t blanks = strspn(text, " \t"), len;
		long m = 0;

		len = blanks || !kept ? md_word(text + blanks, out + n + blanks, &m) : 0;
		if (len && behind) {
			memmove(out + n, out + n + blanks, (size_t)m);
			n += (size_t)m;
		} else if (len) {
			memcpy(out + n, text, blanks);
			n += blanks + (size_t)m;
		} else {
			len = strcspn(text + blanks, " \t");
			memcpy(out + n, text, blanks + len);
			n += blanks + len;
			kept++;
			behind = false;
			text += blanks + len;
			continue;
		}
		kept++;
		behind = true;
		text += blanks + len;
	}
	out[n] = '\0';
	return out;
}

/* The value of parameter @name in an unfolded "value; a=b; ...": extended and continued forms first, by RFC
 * 2231; malloc. */
static inline char *md_param(const char *text, const char *name, bool plain_only)
{
	size_t room = strlen(text) + 1, have = 0, want = 0;
	char *out = calloc(1, room), *plain = NULL;
	const char *p = strchr(text, ';');
	bool found = false;

	while (p && *p == ';') {
		char key[128], *value = malloc(room);
		size_t n = 0, k = 0;

		for (p++; *p == ' '; p++)
			;
		while (*p && *p != '=' && k + 1 < sizeof(key))
			key[k++] = *p++;
		key[k] = '\0';
		if (*p == '=')
			p++;
		if (*p == '"') {
			for (p++; *p && *p != '"'; p++) {
				if (*p == '\\')
					p++;
				value[n++] = *p;
			}
			p += *p == '"';
		} else {
			while (*p && *p != ';')
				value[n++] = *p++;
		}
		value[n] = '\0';
		char *star = strchr(key, '*');
		bool extended = star && key[k - 1] == '*';

		if (star)
			*star = '\0';
		if (strcasecmp(key, name)) {
			;
		} else if (!star) {
			free(plain);
			plain = strdup(value);
		} else {
			const char *v = value;
			unsigned section = extended && star == key + k - 1 ? 0 : (unsigned)atoi(star + 1);

			if (section != want++)
				have = room;
			if (extended && !section) {
				if (strncmp(v, "utf-8''", 7))
					have = room;
				v += strlen(v) >= 7 ? 7 : 0;
			}
			for (; *v && have < room; v++) {
				if (extended && *v == '%') {
					out[have++] = (char)(md_hex(v[1]) * 16 + md_hex(v[2]));
					v += 2;
				} else {
					out[have++] = *v;
				}
			}
			found = true;
		}
		free(value);
	}
	if (p && *p) {
		free(out);
		free(plain);
		return NULL;
	}
	if (found && !plain_only && have < room) {
		free(plain);
		out[have] = '\0';
		return out;
	}
	free(out);
	return plain;
}
