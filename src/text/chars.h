#pragma once

/* Private to src/text: the classes of characters that the grammars of mail name. */

#include "base/ascii.h"
#include "base/base.h"

#include <string.h>

/* RFC 5322, 3.2.3. */
static inline bool is_atext(char c)
{
	switch (c) {
	case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+': case '-': case '/':
	case '=': case '?': case '^': case '_': case '`': case '{': case '|': case '}': case '~':
		return true;
	}
	return is_letter(c) || is_digit(c);
}

/* RFC 2045, 5.1: token. */
static inline bool is_token_char(char c)
{
	switch (c) {
	case '(': case ')': case '<': case '>': case '@': case ',': case ';': case ':': case '\\': case '"':
	case '/': case '[': case ']': case '?': case '=':
		return false;
	}
	return c > ' ' && c < 127;
}
