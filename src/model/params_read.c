/*
 * What the readers of settings share, and the readers of single values: words
 * of flags and variables, typed values of JSON.
 */

#include "model/params_read.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Put the place of @at before the text that e holds, and the class that its origin asks for. */
int reader_wrap(const struct reader *r, const struct value *at)
{
	char path[256], place[768];

	value_path(at, path, sizeof(path));
	param_place(place, sizeof(place), r->which, r->o, r->file, at->line, at->column, path);
	r->e->class = param_error_class(r->which, r->o);
	return err_wrap(r->e, "%s", place);
}

int reader_fail(const struct reader *r, const struct value *at, const char *fmt, ...)
{
	va_list va;
	char text[512];

	va_start(va, fmt);
	vsnprintf(text, sizeof(text), fmt, va);
	va_end(va);
	err_set(r->e, ERR_DATA, "%s", text);
	return reader_wrap(r, at);
}

int reader_wrong_type(const struct reader *r, const struct value *at, const char *wanted)
{
	static const char *const word[] = {
		[VALUE_NULL] = "null",     [VALUE_BOOL] = "a boolean", [VALUE_INT] = "an integer",
		[VALUE_STR] = "a string",  [VALUE_LIST] = "a list",    [VALUE_OBJECT] = "an object",
		[VALUE_TEXT] = "a word",
	};

	return reader_fail(r, at, "must be %s, not %s", wanted, word[at->type]);
}

struct shown value_shown(const char *s, size_t len)
{
	struct shown shown;

	utf8_escape(shown.text, sizeof(shown.text), s, len);
	return shown;
}

bool value_is_string(const struct value *v)
{
	return v->type == VALUE_STR || v->type == VALUE_TEXT;
}

/* Words of a table, for nearest_word(). */
static const char *next_key(void *ctx)
{
	const char *const **at = ctx;

	return **at ? *(*at)++ : NULL;
}

/* Every key of @object is one of @keys (NULL-ended). */
int reader_check_keys(const struct reader *r, const struct value *object, const char *const *keys)
{
	for (const struct value *v = object->first; v; v = v->next) {
		const char *const *k = keys, *near;

		while (*k && strcmp(*k, v->key))
			k++;
		if (*k)
			continue;
		k = keys;
		near = nearest_word(v->key, strlen(v->key), next_key, &k);
		if (near)
			return reader_fail(r, v, "unknown key, did you mean '%s'?", near);
		return reader_fail(r, v, "unknown key");
	}
	return 0;
}

/* Exactly one of @keys is in @object: *ret. */
int reader_one_of(const struct reader *r, const struct value *object, const char *const *keys,
		  const char *in_words, const struct value **ret)
{
	const struct value *found = NULL;

	for (; *keys; keys++) {
		const struct value *v = value_get(object, *keys);

		if (v && found)
			return reader_fail(r, v, "'%s' and '%s' exclude each other", found->key, v->key);
		if (v)
			found = v;
	}
	if (!found)
		return reader_fail(r, object, "needs one of %s", in_words);
	*ret = found;
	return 0;
}

/*
 * The scalars.
 */

int read_bool(const struct reader *r, const struct value *v, union field_of *f)
{
	static const struct { const char *word; bool value; } words[] = {
		{"true", true}, {"yes", true}, {"on", true}, {"1", true},
		{"false", false}, {"no", false}, {"off", false}, {"0", false},
	};

	if (v->type == VALUE_BOOL) {
		f->boolean = v->boolean;
		return 0;
	}
	if (v->type != VALUE_TEXT)
		return reader_wrong_type(r, v, "true or false");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(v->str, words[i].word)) {
			f->boolean = words[i].value;
			return 0;
		}
	return reader_fail(r, v, "must be true or false, not '%s'", value_shown(v->str, v->len).text);
}

/* Decimal digits only: no sign, no space, no 0x. *ret stops at UINT64_MAX. False where it is not a number. */
static bool decimal(const char *s, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s[i] - '0'), &n))
			n = UINT64_MAX;
		if (n == UINT64_MAX) {
			/* Too large already; only digits may follow. */
			while (i < len && s[i] >= '0' && s[i] <= '9')
				i++;
			*ret = n;
			return i == len;
		}
	}
	*ret = n;
	return len > 0;
}

int read_uint(const struct reader *r, const struct value *v, union field_of *f)
{
	uint64_t n;

	if (v->type == VALUE_INT)
		n = v->number < 0 ? UINT64_MAX : (uint64_t)v->number;
	else if (v->type != VALUE_TEXT)
		return reader_wrong_type(r, v, "an integer");
	else if (!decimal(v->str, v->len, &n))
		n = UINT64_MAX;
	if (n >= r->which->min && n <= r->which->max) {
		f->uint = (unsigned)n;
		return 0;
	}
	if (v->type == VALUE_INT)
		return reader_fail(r, v, "must be an integer from %u to %u, not %" PRId64, r->which->min,
				   r->which->max, v->number);
	return reader_fail(r, v, "must be an integer from %u to %u, not '%s'", r->which->min, r->which->max,
		    value_shown(v->str, v->len).text);
}

/* The largest that libcurl's curl_off_t, and a JSON integer of ours, can hold. */
#define MAX_SIZE ((uint64_t)INT64_MAX)

int read_size(const struct reader *r, const struct value *v, union field_of *f)
{
	unsigned shift = 0;
	size_t len = v->len;
	uint64_t n;

	if (v->type == VALUE_INT) {
		if (v->number < 0)
			return reader_fail(r, v, "must be an integer from 0 to %" PRIu64 ", not %" PRId64,
					   MAX_SIZE, v->number);
		f->size = (uint64_t)v->number;
		return 0;
	}
	if (v->type != VALUE_TEXT)
		return reader_wrong_type(r, v, "an integer");
	if (len) {
		const char *unit = strchr("KkMmGg", v->str[len - 1]);

		if (unit && *unit) {
			shift = 10 * (1 + (unsigned)(unit - "KkMmGg") / 2);
			len--;
		}
	}
	if (!decimal(v->str, len, &n))
		return reader_fail(r, v, "must be an integer, K, M or G may follow, not '%s'",
				   value_shown(v->str, v->len).text);
	if (n > MAX_SIZE >> shift)
		return reader_fail(r, v, "must be from 0 to %" PRIu64 ", not '%s'", MAX_SIZE,
				   value_shown(v->str, v->len).text);
	f->size = n << shift;
	return 0;
}

static const char *next_choice(void *ctx)
{
	const struct param_choice **at = ctx;

	return (*at)->word ? (*at)++->word : NULL;
}

static void choices_text(char *out, size_t cap, const struct param_choice *c)
{
	size_t at = 0;

	for (out[0] = '\0'; c->word && at < cap; c++)
		at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? c[1].word ? ", " : " or " : "",
				       c->word);
}

int read_enum(const struct reader *r, const struct value *v, union field_of *f)
{
	const struct param_choice *c = r->which->choices;
	const char *near;
	char words[128];

	choices_text(words, sizeof(words), c);
	if (!value_is_string(v)) {
		char wanted[160];

		snprintf(wanted, sizeof(wanted), "a string (%s)", words);
		return reader_wrong_type(r, v, wanted);
	}
	for (; c->word; c++)
		if (!strcasecmp(c->word, v->str)) {
			f->choice = c->value;
			return 0;
		}
	c = r->which->choices;
	near = nearest_word(v->str, v->len, next_choice, &c);
	if (near)
		return reader_fail(r, v, "must be %s, not '%s'; did you mean '%s'?", words,
				   value_shown(v->str, v->len).text, near);
	return reader_fail(r, v, "must be %s, not '%s'", words, value_shown(v->str, v->len).text);
}

/* UTF-8 text of any length and any characters. */
int read_text(const struct reader *r, const struct value *v, char **ret, size_t *ret_len)
{
	size_t good;

	if (!value_is_string(v))
		return reader_wrong_type(r, v, "a string");
	good = utf8_valid(v->str, v->len);
	if (good < v->len)
		return reader_fail(r, v, "is not UTF-8 at octet %zu", good + 1);
	*ret = xmemdup0(v->str, v->len);
	if (ret_len)
		*ret_len = v->len;
	return 0;
}

/* UTF-8 text of one line: what goes into a header, a command or a name. Injection stops here for every key at
 * once. */
int read_line(const struct reader *r, const struct value *v, char **ret)
{
	if (value_is_string(v) && strpbrk(v->str, "\r\n"))
		return reader_fail(r, v, "must not hold a line break");
	return read_text(r, v, ret, NULL);
}

/* A path: octets as they are, for file names need not be UTF-8. */
int read_path(const struct reader *r, const struct value *v, char **ret)
{
	if (!value_is_string(v))
		return reader_wrong_type(r, v, "a string");
	if (!v->len)
		return reader_fail(r, v, "must not be empty");
	*ret = xmemdup0(v->str, v->len);
	return 0;
}

int read_plain_bool(const struct reader *r, const struct value *v, bool *ret)
{
	if (v->type != VALUE_BOOL)
		return reader_wrong_type(r, v, "true or false");
	*ret = v->boolean;
	return 0;
}

/* Descriptors are small; the bound keeps the check for one given twice small too. */
enum { MAX_FD = 65535 };

int read_fd(const struct reader *r, const struct value *v, int *ret)
{
	uint64_t n = 0;

	if (v->type == VALUE_INT)
		n = v->number < 0 ? UINT64_MAX : (uint64_t)v->number;
	else if (v->type != VALUE_TEXT)
		return reader_wrong_type(r, v, "an integer");
	else if (!decimal(v->str, v->len, &n))
		n = UINT64_MAX;
	if (n > MAX_FD)
		return reader_fail(r, v, "must be a descriptor from 0 to %d", MAX_FD);
	*ret = (int)n;
	return 0;
}

/* A list of strings as one, with a space between. */
int read_joined(const struct reader *r, const struct value *list, char **ret)
{
	size_t len = 0, at = 0;
	char *s;

	for (const struct value *v = list->first; v; v = v->next) {
		if (v->type != VALUE_STR)
			return reader_wrong_type(r, v, "a string");
		if (strpbrk(v->str, "\r\n"))
			return reader_fail(r, v, "must not hold a line break");
		len += v->len + 1;
	}
	s = xmalloc(len + 1);
	for (const struct value *v = list->first; v; v = v->next) {
		if (at)
			s[at++] = ' ';
		memcpy(s + at, v->str, v->len);
		at += v->len;
	}
	s[at] = '\0';
	*ret = s;
	return 0;
}

int read_str(const struct reader *r, const struct value *v, union field_of *f)
{
	if ((r->which->flags & PARAM_JOINED) && v->type == VALUE_LIST)
		return read_joined(r, v, &f->str);
	if (r->which->flags & PARAM_FILE)
		return read_path(r, v, &f->str);
	if (r->which->offset == offsetof(struct mail_params, html))
		return read_text(r, v, &f->str, NULL);
	return read_line(r, v, &f->str);
}
