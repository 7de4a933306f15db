#pragma once

/*
 * UTF-8 (RFC 3629): strict, no overlong forms, no surrogates, at most
 * U+10FFFF.
 */

#include "base/base.h"

/*
 * Length of the character at @s (1..4) and its code point, or 0 where it is not UTF-8 (also when cut
 * short).
 */
size_t utf8_decode(const char *s, size_t len, uint32_t *ret_cp);
/* Offset of the first octet that is not UTF-8, or @len. */
size_t utf8_valid(const char *s, size_t len);
/* Octets over 127; and whether there are none. */
uint64_t count_high(const char *mem, size_t len);
bool ascii_only(const char *s, size_t len);
/* Octets before the first that is not printable ASCII (' ' to '~'). */
size_t printable_run(const char *s, size_t len);

/*
 * For a terminal or a one-line message: control characters (C0, DEL, C1), bidirectional overrides and bytes
 * that are not UTF-8 are shown as \xNN or \u{NNNN}. At most @cap-1 octets, NUL-ended, cut at a character.
 * Gives the length. No allocation.
 */
size_t utf8_escape(char *out, size_t cap, const char *s, size_t len);
