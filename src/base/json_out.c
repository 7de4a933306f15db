/* JSON as it is printed; see json_out.h. */

#include "base/json_out.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static void put(struct json_out *j, const char *mem, size_t len)
{
	if (!j->failed && len && j->put(j->ctx, mem, len) < 0)
		j->failed = true;
}

static void put_string(struct json_out *j, const char *s, size_t len)
{
	size_t run = 0;

	put(j, "\"", 1);
	for (size_t at = 0; at < len; ) {
		unsigned char c = (unsigned char)s[at];
		char piece[8];
		uint32_t cp;
		size_t n = utf8_decode(s + at, len - at, &cp), m;

		if (n && c >= 0x20 && c != '"' && c != '\\' && cp != 0x7f && !(cp >= 0x80 && cp < 0xa0)) {
			at += n;
			run += n;
			continue;
		}
		put(j, s + at - run, run);
		run = 0;
		if (!n)
			m = (size_t)snprintf(piece, sizeof(piece), "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			m = (size_t)snprintf(piece, sizeof(piece), "\\%c", c);
		else if (c == '\n')
			m = (size_t)snprintf(piece, sizeof(piece), "\\n");
		else
			m = (size_t)snprintf(piece, sizeof(piece), "\\u%04x", (unsigned)cp);
		put(j, piece, m);
		at += n ? n : 1;
	}
	put(j, s + len - run, run);
	put(j, "\"", 1);
}

static void before(struct json_out *j, const char *key)
{
	if (j->comma)
		put(j, ",", 1);
	j->comma = true;
	if (key) {
		put_string(j, key, strlen(key));
		put(j, ":", 1);
	}
}

void json_open(struct json_out *j, const char *key, char bracket)
{
	before(j, key);
	put(j, &bracket, 1);
	j->comma = false;
}

void json_close(struct json_out *j, char bracket)
{
	put(j, &bracket, 1);
	j->comma = true;
}

void json_strn(struct json_out *j, const char *key, const char *s, size_t len)
{
	before(j, key);
	put_string(j, s, len);
}

void json_str(struct json_out *j, const char *key, const char *s)
{
	json_strn(j, key, s, strlen(s));
}

void json_int(struct json_out *j, const char *key, int64_t n)
{
	char digits[24];

	before(j, key);
	put(j, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)n));
}

void json_bool(struct json_out *j, const char *key, bool b)
{
	before(j, key);
	put(j, b ? "true" : "false", b ? 4 : 5);
}

void json_null(struct json_out *j, const char *key)
{
	before(j, key);
	put(j, "null", 4);
}

static int put_buf(void *ctx, const char *mem, size_t len)
{
	return buf_add(ctx, mem, len);
}

struct json_out json_to_buf(struct buf *out)
{
	return (struct json_out){ .put = put_buf, .ctx = out };
}
