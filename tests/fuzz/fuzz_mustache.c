/*
 * Mustache templates from any octets: the template, and behind an octet 0 a row of data as JSON (else one that has a
 * value of every kind). Beside not crashing:
 *  - what is refused has a line and a column, and the class of bad data;
 *  - a plain template has no tag, and comes out as it is; its names are in its text, and have no control
 *    character and no dot ("First Name" is a column's name);
 *  - rendered twice it is the same, and behind what the buffer has;
 *  - without the flag for missing names it is the same or an error, and never fails only with it;
 *  - no more than the buffer's maximum comes out, and half of it is refused.
 */

#include "base/buf.h"
#include "base/err.h"
#include "input/input.h"
#include "model/mustache.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond) do { if (!(cond)) abort(); } while (0)

enum { OUT_MAX = 1 << 20 };

static const char usual[] = "{\"a\":\"<x>\",\"b\":[1,{\"a\":2.50},[3]],\"c\":{\"a\":null,\"d\":true},\"e\":\"\",\"f\":false,"
			    "\"name\":\"&'\\\"\"}";

struct within { const char *text; size_t len; bool plain; };

static void check_name(void *ctx, const char *name, size_t len)
{
	const struct within *w = ctx;

	require(!w->plain && len && memmem(w->text, w->len, name, len));
	for (size_t i = 0; i < len; i++)
		require((unsigned char)name[i] >= 0x20 && name[i] != 0x7f && name[i] != '.');
}

static int render(const struct mustache *t, const struct value *row, unsigned flags, struct buf *out)
{
	struct err e = ERR_INIT;
	int r;

	require(buf_add(out, "x", 1) == 0);
	r = mustache_render(t, row, flags, out, &e);
	require(r == 0 || (e.class == ERR_DATA && e.text));
	require(out->len <= out->max && out->data[0] == 'x' && !out->data[out->len]);
	err_clear(&e);
	return r;
}

static void check_render(const struct mustache *t, const struct value *row, unsigned flags, const struct within *w)
{
	struct buf once = BUF_INIT(OUT_MAX), twice = BUF_INIT(OUT_MAX), strict = BUF_INIT(OUT_MAX);
	int r = render(t, row, flags | MUSTACHE_MISSING_EMPTY, &once);

	if (render(t, row, flags, &strict) == 0)
		require(r == 0 && strict.len == once.len && !memcmp(strict.data, once.data, once.len));
	if (r == 0) {
		twice.max = once.len;
		require(render(t, row, flags | MUSTACHE_MISSING_EMPTY, &twice) == 0);
		require(twice.len == once.len && !memcmp(once.data, twice.data, once.len));
		buf_clear(&twice);
		twice.max = once.len / 2 + 1;
		require(twice.max >= once.len || render(t, row, flags | MUSTACHE_MISSING_EMPTY, &twice) == -1);
	}
	if (w->plain)
		require(r < 0 || (once.len == w->len + 1 && !memcmp(once.data + 1, w->text, w->len)));
	buf_clear(&once);
	buf_clear(&twice);
	buf_clear(&strict);
}

/* "1:2: " */
static bool has_place(const char *text)
{
	size_t line = strspn(text, "0123456789"), column = text[line] == ':' ? strspn(text + line + 1, "0123456789") : 0;

	return line && column && text[line + 1 + column] == ':';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *zero = memchr(text ? text : "", 0, size);
	struct within w = { text, zero ? (size_t)(zero - text) : size, false };
	const char *json = zero ? zero + 1 : usual;
	struct mustache *t = NULL;
	struct value *row = NULL;
	struct err e = ERR_INIT;

	if (json_read_data(&row, "row", 1, json, zero ? size - w.len - 1 : strlen(usual), &e) < 0) {
		require(e.class == ERR_DATA && !row);
	} else if (mustache_compile(&t, text, w.len, &e) < 0) {
		require(e.class == ERR_DATA && has_place(e.text) && !t);
	} else {
		w.plain = mustache_is_plain(t);
		require(w.plain == !memmem(text, w.len, "{{", 2));
		mustache_names(t, check_name, &w);
		check_render(t, row, 0, &w);
		check_render(t, row, MUSTACHE_HTML, &w);
	}
	err_clear(&e);
	mustache_free(t);
	value_free(row);
	return 0;
}
