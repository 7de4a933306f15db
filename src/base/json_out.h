#pragma once

/*
 * JSON as it is printed: a stack-free writer over a put function. It
 * allocates nothing, so that a report can be given when memory is short.
 * Text that is not UTF-8 has its bad octets replaced by U+FFFD; control
 * characters are escaped.
 */

#include "base/base.h"

struct json_out {
	int (*put)(void *ctx, const char *mem, size_t len);     /* 0, or -1: then the writer stays failed */
	void *ctx;
	bool comma;                     /* the next value of this container needs one before it */
	bool failed;
};

void json_open(struct json_out *j, const char *key, char bracket);      /* '{' or '['; key NULL in a list */
void json_close(struct json_out *j, char bracket);                      /* '}' or ']' */
void json_str(struct json_out *j, const char *key, const char *s);
void json_strn(struct json_out *j, const char *key, const char *s, size_t len);
void json_int(struct json_out *j, const char *key, int64_t n);
void json_bool(struct json_out *j, const char *key, bool b);
void json_null(struct json_out *j, const char *key);

struct buf;
struct json_out json_to_buf(struct buf *out);   /* put into a buf; failed where it is full */
