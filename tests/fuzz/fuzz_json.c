/*
 * The strict JSON reader from any octets, and what it accepts as a params file. Beside not crashing:
 *  - never accepted: an octet 0, octets that are not UTF-8, control characters, nesting beyond the limit;
 *  - what is accepted, printed again, reads back as the same text (a fixed point), and so has no duplicate keys;
 *  - every value has a place inside the text, and its first octet there is one that begins such a value;
 *  - what is refused has a place and the class of bad data;
 *  - the settings of an accepted object are stored or refused, without a secret of theirs in the error.
 */

#include "input/input.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond) do { if (!(cond)) abort(); } while (0)

static void print_one(struct json_out *j, const struct value *v, const char *key)
{
	switch (v->type) {
	case VALUE_NULL: json_null(j, key); break;
	case VALUE_BOOL: json_bool(j, key, v->boolean); break;
	case VALUE_INT: json_int(j, key, v->number); break;
	case VALUE_STR: json_strn(j, key, v->str, v->len); break;
	case VALUE_LIST: json_open(j, key, '['); break;
	case VALUE_OBJECT: json_open(j, key, '{'); break;
	case VALUE_NUMBER: case VALUE_TEXT: abort();
	}
}

static void print_tree(struct buf *out, const struct value *root)
{
	struct json_out j = json_to_buf(out);
	const struct value *v = root;

	while (v) {
		print_one(&j, v, v == root ? NULL : v->key);
		if (v->first) {
			v = v->first;
			continue;
		}
		if (v->type == VALUE_LIST || v->type == VALUE_OBJECT)
			json_close(&j, v->type == VALUE_LIST ? ']' : '}');
		while (v != root && !v->next) {
			v = v->parent;
			json_close(&j, v->type == VALUE_LIST ? ']' : '}');
		}
		v = v == root ? NULL : v->next;
	}
	require(!j.failed);
}

/* What a value of this type may begin with. */
static bool begins(const struct value *v, char c)
{
	switch (v->type) {
	case VALUE_NULL: return c == 'n';
	case VALUE_BOOL: return c == (v->boolean ? 't' : 'f');
	case VALUE_INT: return c == '-' || (c >= '0' && c <= '9');
	case VALUE_STR: return c == '"';
	case VALUE_LIST: return c == '[';
	case VALUE_OBJECT: return c == '{';
	case VALUE_NUMBER: case VALUE_TEXT: break;
	}
	return false;
}

/* Every value's line and column, found again by a second counting. */
static void check_places(const struct value *root, const char *text, size_t len)
{
	const struct value *v = root;
	unsigned line = 1, column = 1;
	size_t at = 0;

	while (v) {
		require(v->line && v->column);
		while (line < v->line || (line == v->line && column < v->column)) {
			uint32_t cp;
			size_t n = utf8_decode(text + at, len - at, &cp);

			require(n);
			column = cp == '\n' ? 1 : column + 1;
			line += cp == '\n';
			at += n;
		}
		require(line == v->line && column == v->column && at < len && begins(v, text[at]));
		if (v->first) {
			v = v->first;
			continue;
		}
		while (v && !v->next)
			v = v->parent;
		v = v ? v->next : NULL;
	}
}

static void reads_back(const struct value *root)
{
	struct buf once = BUF_INIT(64 << 20), twice = BUF_INIT(64 << 20);
	struct value *again = NULL;
	struct err e = ERR_INIT;

	print_tree(&once, root);
	require(json_read(&again, "again", once.data, once.len, &e) == 0);
	print_tree(&twice, again);
	require(once.len == twice.len && !memcmp(once.data, twice.data, once.len));
	value_free(again);
	buf_clear(&once);
	buf_clear(&twice);
}

static void check_text(const char *text, size_t len)
{
	size_t depth = 0;
	bool quoted = false;

	require(!memchr(text, 0, len) && utf8_valid(text, len) == len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		require(c >= 0x20 || (!quoted && strchr("\t\r\n", c)));
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{'))
			require(++depth <= 999);
		else if (!quoted && (c == ']' || c == '}'))
			depth--;
	}
}

/* Is the marker of a password in the text once, and so only in the password? */
static bool marked_once(const char *text, size_t len)
{
	const char *mark = memmem(text, len, "hunter2", 7);

	return mark && !memmem(mark + 7, len - (size_t)(mark + 7 - text), "hunter2", 7);
}

static void as_params(const struct value *root, const char *text, size_t len)
{
	struct mail_params p = {0};
	struct err e = ERR_INIT;
	const struct value *password = value_get(root, "password");

	mail_params_init(&p);
	if (input_json(&p, "f", text, len, &e) < 0) {
		require(e.class != ERR_NONE && e.class != ERR_SOFTWARE && !strncmp(e.text, "f:", 2));
		if (password && password->type == VALUE_STR && !strncmp(password->str, "hunter2", 7) && marked_once(text, len))
			require(!strstr(e.text, "hunter2"));
	}
	err_clear(&e);
	mail_params_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct value *root = NULL;
	struct err e = ERR_INIT;

	if (json_read(&root, "f", text, size, &e) < 0) {
		require(e.class == ERR_DATA && !strncmp(e.text, "f:", 2) && !root);
		err_clear(&e);
		return 0;
	}
	require(root && !e.text);
	check_text(text, size);
	check_places(root, text, size);
	reads_back(root);
	if (root->type == VALUE_OBJECT)
		as_params(root, text, size);
	value_free(root);
	return 0;
}
