#pragma once

/*
 * Classes of ASCII characters. <ctype.h> asks the locale, and no grammar of
 * ours does.
 */

#include "base/base.h"

static inline bool is_digit(int c) { return c >= '0' && c <= '9'; }
static inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Of the low four bits; in capitals, as RFC 2045 6.7, 2047 4.2 and 3461 4 have it. */
static inline char hex_digit(unsigned char c) { return "0123456789ABCDEF"[c & 15]; }
