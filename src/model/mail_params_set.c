/*
 * mail_params_set(): a value of an input becomes the field of a setting.
 *
 * Each type of setting has a reader, which fills a fresh field; only a value
 * that was read whole is then merged by the rule of origins. So a bad value is
 * an error also where a higher origin hides it, and the order in which the
 * inputs are read does not matter.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/params_impl.h"
#include "model/value.h"
#include "text/encode.h"
#include "text/header.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What every reader needs to know, and to say where it stumbled. */
struct reader {
	const struct param *which;
	enum origin o;
	const char *file;
	struct err *e;
};

/* A field of any type, on its way. */
union field_of {
	bool boolean;
	unsigned uint;
	uint64_t size;
	int choice;
	char *str;
	struct strlist strs;
	struct rcpts rcpts;
	struct fields fields;
	struct part_params *part;
	struct attachments attachments;
	struct secret secret;
};

static bool from_json(const struct reader *r)
{
	return r->o == ORIGIN_JSON || r->o == ORIGIN_LINE;
}

/* Put the place of @at before the text that e holds, and the class that its origin asks for. */
static int wrap(const struct reader *r, const struct value *at)
{
	char path[256], place[768];

	value_path(at, path, sizeof(path));
	param_place(place, sizeof(place), r->which, r->o, r->file, at->line, at->column, path);
	r->e->class = param_error_class(r->which, r->o);
	return err_wrap(r->e, "%s", place);
}

static int PRINTF(3, 4) fail(const struct reader *r, const struct value *at, const char *fmt, ...)
{
	va_list va;
	char text[512];

	va_start(va, fmt);
	vsnprintf(text, sizeof(text), fmt, va);
	va_end(va);
	err_set(r->e, ERR_DATA, "%s", text);
	return wrap(r, at);
}

static int wrong_type(const struct reader *r, const struct value *at, const char *wanted)
{
	static const char *const word[] = {
		[VALUE_NULL] = "null",     [VALUE_BOOL] = "a boolean", [VALUE_INT] = "an integer",
		[VALUE_STR] = "a string",  [VALUE_LIST] = "a list",    [VALUE_OBJECT] = "an object",
		[VALUE_TEXT] = "a word",
	};

	return fail(r, at, "must be %s, not %s", wanted, word[at->type]);
}

/* Of a value, for a message: escaped and short. */
struct shown { char text[64]; };
static struct shown show(const char *s, size_t len)
{
	struct shown shown;

	utf8_escape(shown.text, sizeof(shown.text), s, len);
	return shown;
}

static bool is_string(const struct value *v)
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
static int check_keys(const struct reader *r, const struct value *object, const char *const *keys)
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
			return fail(r, v, "unknown key, did you mean '%s'?", near);
		return fail(r, v, "unknown key");
	}
	return 0;
}

/* Exactly one of @keys is in @object: *ret. */
static int one_of(const struct reader *r, const struct value *object, const char *const *keys, const char *in_words,
		  const struct value **ret)
{
	const struct value *found = NULL;

	for (; *keys; keys++) {
		const struct value *v = value_get(object, *keys);

		if (v && found)
			return fail(r, v, "'%s' and '%s' exclude each other", found->key, v->key);
		if (v)
			found = v;
	}
	if (!found)
		return fail(r, object, "needs one of %s", in_words);
	*ret = found;
	return 0;
}

/*
 * The scalars.
 */

static int read_bool(const struct reader *r, const struct value *v, union field_of *f)
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
		return wrong_type(r, v, "true or false");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(v->str, words[i].word)) {
			f->boolean = words[i].value;
			return 0;
		}
	return fail(r, v, "must be true or false, not '%s'", show(v->str, v->len).text);
}

/* Decimal digits only: no sign, no space, no 0x. *ret stops at UINT64_MAX. False where it is not a number. */
static bool decimal(const char *s, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(s[i] - '0'), &n))
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

static int read_uint(const struct reader *r, const struct value *v, union field_of *f)
{
	uint64_t n;

	if (v->type == VALUE_INT)
		n = v->number < 0 ? UINT64_MAX : (uint64_t)v->number;
	else if (v->type != VALUE_TEXT)
		return wrong_type(r, v, "an integer");
	else if (!decimal(v->str, v->len, &n))
		n = UINT64_MAX;
	if (n >= r->which->min && n <= r->which->max) {
		f->uint = (unsigned)n;
		return 0;
	}
	if (v->type == VALUE_INT)
		return fail(r, v, "must be an integer from %u to %u, not %" PRId64, r->which->min, r->which->max,
			    v->number);
	return fail(r, v, "must be an integer from %u to %u, not '%s'", r->which->min, r->which->max,
		    show(v->str, v->len).text);
}

/* The largest that libcurl's curl_off_t, and a JSON integer of ours, can hold. */
#define MAX_SIZE ((uint64_t)INT64_MAX)

static int read_size(const struct reader *r, const struct value *v, union field_of *f)
{
	unsigned shift = 0;
	size_t len = v->len;
	uint64_t n;

	if (v->type == VALUE_INT) {
		if (v->number < 0)
			return fail(r, v, "must be an integer from 0 to %" PRIu64 ", not %" PRId64, MAX_SIZE, v->number);
		f->size = (uint64_t)v->number;
		return 0;
	}
	if (v->type != VALUE_TEXT)
		return wrong_type(r, v, "an integer");
	if (len) {
		const char *unit = strchr("KkMmGg", v->str[len - 1]);

		if (unit && *unit) {
			shift = 10 * (1 + (unsigned)(unit - "KkMmGg") / 2);
			len--;
		}
	}
	if (!decimal(v->str, len, &n))
		return fail(r, v, "must be an integer, K, M or G may follow, not '%s'", show(v->str, v->len).text);
	if (n > MAX_SIZE >> shift)
		return fail(r, v, "must be from 0 to %" PRIu64 ", not '%s'", MAX_SIZE, show(v->str, v->len).text);
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
		at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? c[1].word ? ", " : " or " : "", c->word);
}

static int read_enum(const struct reader *r, const struct value *v, union field_of *f)
{
	const struct param_choice *c = r->which->choices;
	const char *near;
	char words[128];

	choices_text(words, sizeof(words), c);
	if (!is_string(v)) {
		char wanted[160];

		snprintf(wanted, sizeof(wanted), "a string (%s)", words);
		return wrong_type(r, v, wanted);
	}
	for (; c->word; c++)
		if (!strcasecmp(c->word, v->str)) {
			f->choice = c->value;
			return 0;
		}
	c = r->which->choices;
	near = nearest_word(v->str, v->len, next_choice, &c);
	if (near)
		return fail(r, v, "must be %s, not '%s'; did you mean '%s'?", words, show(v->str, v->len).text, near);
	return fail(r, v, "must be %s, not '%s'", words, show(v->str, v->len).text);
}

/* UTF-8 text of any length and any characters. */
static int take_text(const struct reader *r, const struct value *v, char **ret, size_t *ret_len)
{
	size_t good;

	if (!is_string(v))
		return wrong_type(r, v, "a string");
	good = utf8_valid(v->str, v->len);
	if (good < v->len)
		return fail(r, v, "is not UTF-8 at octet %zu", good + 1);
	*ret = xmemdup0(v->str, v->len);
	if (ret_len)
		*ret_len = v->len;
	return 0;
}

/* UTF-8 text of one line: what goes into a header, a command or a name. Injection stops here for every key at once. */
static int take_line(const struct reader *r, const struct value *v, char **ret)
{
	if (is_string(v) && strpbrk(v->str, "\r\n"))
		return fail(r, v, "must not hold a line break");
	return take_text(r, v, ret, NULL);
}

/* A path: octets as they are, for file names need not be UTF-8. */
static int take_path(const struct reader *r, const struct value *v, char **ret)
{
	if (!is_string(v))
		return wrong_type(r, v, "a string");
	if (!v->len)
		return fail(r, v, "must not be empty");
	*ret = xmemdup0(v->str, v->len);
	return 0;
}

static int take_bool(const struct reader *r, const struct value *v, bool *ret)
{
	if (v->type != VALUE_BOOL)
		return wrong_type(r, v, "true or false");
	*ret = v->boolean;
	return 0;
}

/* Descriptors are small; the bound keeps the check for one given twice small too. */
enum { MAX_FD = 65535 };

static int take_fd(const struct reader *r, const struct value *v, int *ret)
{
	uint64_t n = 0;

	if (v->type == VALUE_INT)
		n = v->number < 0 ? UINT64_MAX : (uint64_t)v->number;
	else if (v->type != VALUE_TEXT)
		return wrong_type(r, v, "an integer");
	else if (!decimal(v->str, v->len, &n))
		n = UINT64_MAX;
	if (n > MAX_FD)
		return fail(r, v, "must be a descriptor from 0 to %d", MAX_FD);
	*ret = (int)n;
	return 0;
}

/* A list of strings as one, with a space between. */
static int read_joined(const struct reader *r, const struct value *list, char **ret)
{
	size_t len = 0, at = 0;
	char *s;

	for (const struct value *v = list->first; v; v = v->next) {
		if (v->type != VALUE_STR)
			return wrong_type(r, v, "a string");
		if (strpbrk(v->str, "\r\n"))
			return fail(r, v, "must not hold a line break");
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

static int read_str(const struct reader *r, const struct value *v, union field_of *f)
{
	if ((r->which->flags & PARAM_JOINED) && v->type == VALUE_LIST)
		return read_joined(r, v, &f->str);
	if (r->which->flags & PARAM_FILE)
		return take_path(r, v, &f->str);
	if (r->which->offset == offsetof(struct mail_params, html))
		return take_text(r, v, &f->str, NULL);
	return take_line(r, v, &f->str);
}

/*
 * The lists.
 */

static int add_string(const struct reader *r, const struct value *v, struct strlist *l)
{
	char *s;

	if (l->count >= MAX_STRINGS)
		return fail(r, v, "more than %d", MAX_STRINGS);
	if (take_line(r, v, &s) < 0)
		return -1;
	strlist_add(l, s);
	return 0;
}

static int read_strs(const struct reader *r, const struct value *v, union field_of *f)
{
	if (is_string(v))
		return add_string(r, v, &f->strs);
	if (v->type != VALUE_LIST)
		return wrong_type(r, v, "a string or a list of strings");
	for (v = v->first; v; v = v->next)
		if (add_string(r, v, &f->strs) < 0)
			return -1;
	return 0;
}

static int read_rcpt_object(const struct reader *r, const struct value *v, struct rcpt_param *rcpt)
{
	static const char *const keys[] = { "address", "notify", "orcpt", NULL };
	const struct value *address = value_get(v, "address"), *notify = value_get(v, "notify"),
			   *orcpt = value_get(v, "orcpt");

	if (check_keys(r, v, keys) < 0)
		return -1;
	if (!address)
		return fail(r, v, "needs an 'address'");
	if (take_line(r, address, &rcpt->address) < 0)
		return -1;
	if (notify && notify->type == VALUE_LIST && read_joined(r, notify, &rcpt->notify) < 0)
		return -1;
	if (notify && notify->type != VALUE_LIST && take_line(r, notify, &rcpt->notify) < 0)
		return -1;
	return orcpt ? take_line(r, orcpt, &rcpt->orcpt) : 0;
}

static int add_rcpt(const struct reader *r, const struct value *v, struct rcpts *l)
{
	struct rcpt_param *rcpt;

	if (l->count >= MAX_ADDRESSES)
		return fail(r, v, "more than %d recipients", MAX_ADDRESSES);
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	rcpt = &l->item[l->count++];    /* counted at once: what it owns is then released whatever happens */
	if (v->type == VALUE_OBJECT)
		return read_rcpt_object(r, v, rcpt);
	if (!is_string(v))
		return wrong_type(r, v, "an address (a string or an object)");
	return take_line(r, v, &rcpt->address);
}

static int read_rcpts(const struct reader *r, const struct value *v, union field_of *f)
{
	if (v->type == VALUE_LIST) {
		for (v = v->first; v; v = v->next)
			if (add_rcpt(r, v, &f->rcpts) < 0)
				return -1;
		return 0;
	}
	if (!is_string(v) && v->type != VALUE_OBJECT)
		return wrong_type(r, v, "an address (a string or an object) or a list of them");
	return add_rcpt(r, v, &f->rcpts);
}

/* Header fields, of the message (@whole) or of one of its parts. */
struct fields_reader {
	const struct reader *r;
	struct fields *fields;
	bool whole;
};

static int add_field(struct fields_reader *fr, const char *name, size_t name_len, const struct value *value)
{
	struct field *f;
	char *text;

	if (fr->fields->count >= MAX_FIELDS)
		return fail(fr->r, value, "more than %d fields", MAX_FIELDS);
	if (take_line(fr->r, value, &text) < 0)
		return -1;
	fields_add(fr->fields, xmemdup0(name, name_len), text);
	f = &fr->fields->item[fr->fields->count - 1];
	if ((fr->whole ? message_field_check(f, fr->r->e) : field_check(f, fr->r->e)) < 0)
		return wrap(fr->r, value);
	return 0;
}

/* {"X-A": "v", "X-B": ["v", "w"]} */
static int read_fields_object(struct fields_reader *fr, const struct value *object)
{
	for (const struct value *v = object->first; v; v = v->next) {
		if (v->type != VALUE_LIST && v->type != VALUE_STR)
			return wrong_type(fr->r, v, "a string or a list of strings");
		if (v->type == VALUE_STR && add_field(fr, v->key, strlen(v->key), v) < 0)
			return -1;
		for (const struct value *each = v->first; each; each = each->next)
			if (add_field(fr, v->key, strlen(v->key), each) < 0)
				return -1;
	}
	return 0;
}

/* ["X-A", "v"] or {"name": "X-A", "value": "v"} */
static int read_field_pair(struct fields_reader *fr, const struct value *pair)
{
	static const char *const keys[] = { "name", "value", NULL };
	const struct value *name, *value;

	if (pair->type == VALUE_OBJECT) {
		if (check_keys(fr->r, pair, keys) < 0)
			return -1;
		name = value_get(pair, "name");
		value = value_get(pair, "value");
		if (!name || !value)
			return fail(fr->r, pair, "needs 'name' and 'value'");
	} else if (pair->type == VALUE_LIST) {
		name = pair->first;
		value = name ? name->next : NULL;
		if (!value || value->next)
			return fail(fr->r, pair, "must be a pair [name, value]");
	} else {
		return wrong_type(fr->r, pair, "a pair [name, value] or an object of name and value");
	}
	if (name->type != VALUE_STR)
		return wrong_type(fr->r, name, "a string");
	return add_field(fr, name->str, name->len, value);
}

/* "X-A: v", as a flag has it. The name must be right; the white space before the value is not part of it. */
static int read_field_line(struct fields_reader *fr, const struct value *word)
{
	const char *colon = memchr(word->str, ':', word->len);
	struct value value = *word;

	if (!colon)
		return fail(fr->r, word, "must be 'Name: value', not '%s'", show(word->str, word->len).text);
	value.str = (char *)colon + 1;
	value.str += strspn(value.str, " \t");
	value.len = strlen(value.str);
	return add_field(fr, word->str, (size_t)(colon - word->str), &value);
}

static int read_fields_value(struct fields_reader *fr, const struct value *v)
{
	if (v->type == VALUE_TEXT)
		return read_field_line(fr, v);
	if (v->type == VALUE_OBJECT)
		return read_fields_object(fr, v);
	if (v->type != VALUE_LIST)
		return wrong_type(fr->r, v, "an object or a list of pairs");
	for (v = v->first; v; v = v->next)
		if (read_field_pair(fr, v) < 0)
			return -1;
	return 0;
}

static int read_fields(const struct reader *r, const struct value *v, union field_of *f)
{
	return read_fields_value(&(struct fields_reader){ r, &f->fields, true }, v);
}

/*
 * Content, attachments, secrets.
 */

static void content_file(const struct reader *r, struct content *c, char *takes_path)
{
	c->confined = from_json(r);
	if (is_stdin_path(takes_path)) {
		free(takes_path);
		c->kind = CONTENT_STDIN;
		return;
	}
	c->kind = CONTENT_FILE;
	c->path = takes_path;
}

static int content_base64(const struct reader *r, const struct value *v, struct content *c)
{
	if (!is_string(v))
		return wrong_type(r, v, "a string");
	if (base64_decode(&c->data, &c->len, v->str, v->len, r->e) < 0)
		return wrap(r, v);
	c->kind = CONTENT_BYTES;
	return 0;
}

/* One of the keys by which octets are named. */
static int read_content(const struct reader *r, const struct value *v, struct content *c)
{
	c->confined = from_json(r);
	if (!strcmp(v->key, "file") || !strcmp(v->key, "path")) {
		char *path;

		if (take_path(r, v, &path) < 0)
			return -1;
		content_file(r, c, path);
		return 0;
	}
	if (!strcmp(v->key, "base64"))
		return content_base64(r, v, c);
	if (!strcmp(v->key, "fd")) {
		c->kind = CONTENT_FD;
		return take_fd(r, v, &c->fd);
	}
	c->kind = CONTENT_TEXT;
	return take_text(r, v, &c->data, &c->len);
}

/* {"preamble", "parts", "epilogue"}: *ret_parts is the list, whose members are read later, not here. */
static int read_multipart(const struct reader *r, const struct value *body, const struct value *parts,
			  struct part_params *part)
{
	const struct value *preamble = value_get(body, "preamble"), *epilogue = value_get(body, "epilogue");

	if (parts->type != VALUE_LIST)
		return wrong_type(r, parts, "a list of messages");
	if (!parts->first)
		return fail(r, parts, "must not be empty: a multipart has at least one part");
	if (value_get(body, "encoded"))
		return fail(r, value_get(body, "encoded"), "belongs to a part that has no parts");
	part->content.kind = CONTENT_PARTS;
	if (preamble && take_text(r, preamble, &part->preamble, NULL) < 0)
		return -1;
	return epilogue ? take_text(r, epilogue, &part->epilogue, NULL) : 0;
}

/* *ret_parts: the list of parts that is still to be read, or NULL. */
static int read_body(const struct reader *r, const struct value *v, struct part_params *part,
		     const struct value **ret_parts)
{
	static const char *const keys[] = {
		"text", "file", "fd", "base64", "parts", "preamble", "epilogue", "encoded", NULL,
	};
	static const char *const kinds[] = { "text", "file", "fd", "base64", "parts", NULL };
	const struct value *is, *encoded;

	*ret_parts = NULL;
	if (is_string(v)) {
		part->content.kind = CONTENT_TEXT;
		return take_text(r, v, &part->content.data, &part->content.len);
	}
	if (v->type != VALUE_OBJECT)
		return wrong_type(r, v, "a string or an object");
	if (check_keys(r, v, keys) < 0 || one_of(r, v, kinds, "text, file, fd, base64, parts", &is) < 0)
		return -1;
	if (!strcmp(is->key, "parts")) {
		*ret_parts = is;
		return read_multipart(r, v, is, part);
	}
	if (value_get(v, "preamble") || value_get(v, "epilogue"))
		return fail(r, value_get(v, "preamble") ? value_get(v, "preamble") : value_get(v, "epilogue"),
			    "belongs to a body with parts");
	encoded = value_get(v, "encoded");
	if (encoded && take_bool(r, encoded, &part->encoded) < 0)
		return -1;
	return read_content(r, is, &part->content);
}

/* A part: {headers, body, encoded}. *ret_body is its body, read by the caller. */
static int read_part(const struct reader *r, const struct value *v, struct part_params *part,
		     const struct value **ret_body)
{
	static const char *const keys[] = { "headers", "body", "encoded", NULL };
	const struct value *headers, *encoded;

	if (v->type != VALUE_OBJECT)
		return wrong_type(r, v, "an object of headers and body");
	if (check_keys(r, v, keys) < 0)
		return -1;
	headers = value_get(v, "headers");
	encoded = value_get(v, "encoded");
	*ret_body = value_get(v, "body");
	if (!*ret_body)
		return fail(r, v, "needs a 'body'");
	if (encoded && take_bool(r, encoded, &part->encoded) < 0)
		return -1;
	return headers ? read_fields_value(&(struct fields_reader){ r, &part->headers, false }, headers) : 0;
}

/* The message of the list that a part's body is in, from one of its members: list, body, message. */
static const struct value *message_around(const struct value *message)
{
	return message->parent->parent->parent;
}

/*
 * The tree of parts, to any depth. Where we are is the pair of @part and its @message in the JSON; both trees have
 * links up, so nothing recurses.
 */
static int read_part_tree(const struct reader *r, const struct value *body, union field_of *f)
{
	struct part_params *part = part_params_new();
	const struct value *message = NULL, *list;
	size_t count = 1;

	f->part = part;
	for (;;) {
		struct part_params *child;

		if (read_body(r, body, part, &list) < 0)
			return -1;
		if (list) {
			message = list->first;
		} else {
			while (part != f->part && !message->next) {
				message = message_around(message);
				part = part->parent;
			}
			if (part == f->part)
				return 0;
			message = message->next;
			part = part->parent;
		}
		if (count++ >= MAX_PARTS)
			return fail(r, message, "more than %d parts", MAX_PARTS);
		child = part_params_new();
		part_params_append(part, child);
		part = child;
		if (read_part(r, message, part, &body) < 0)
			return -1;
	}
}

static int read_disposition(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (take_line(r, v, &a->disposition) < 0)
		return -1;
	if (strcasecmp(a->disposition, "attachment") && strcasecmp(a->disposition, "inline"))
		return fail(r, v, "must be attachment or inline, not '%s'", show(v->str, v->len).text);
	return 0;
}

/* RFC 2045 7: a Content-ID is a msg-id. A bare word is taken as its text and put in brackets when written. */
static int read_content_id(const struct reader *r, const struct value *v, struct attachment *a)
{
	const char *s;
	size_t len;

	if (take_line(r, v, &a->content_id) < 0)
		return -1;
	s = a->content_id;
	len = strlen(s);
	if (len > 2 && s[0] == '<' && s[len - 1] == '>') {
		s++;
		len -= 2;
	}
	if (!len || len > 250)
		return fail(r, v, "must have 1 to 250 characters");
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr("<>()[],;:\\\"", s[i]))
			return fail(r, v, "may hold no space, bracket, quote, comma, colon or non-ASCII character");
	memmove(a->content_id, s, len);
	a->content_id[len] = '\0';
	return 0;
}

static int read_cte(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (!is_string(v))
		return wrong_type(r, v, "a string");
	if (!strcasecmp(v->str, "auto")) {
		a->encoding = CTE_AUTO;
		return 0;
	}
	if (cte_by_name(&a->encoding, v->str, v->len) < 0)
		return fail(r, v, "must be auto, 7bit, 8bit, binary, quoted-printable or base64, not '%s'",
			    show(v->str, v->len).text);
	return 0;
}

static int read_type(const struct reader *r, const struct value *v, struct attachment *a)
{
	char *type;

	if (take_line(r, v, &a->type) < 0)
		return -1;
	if (media_type_parse(&type, a->type, r->e) < 0)
		return wrap(r, v);
	free(type);
	return 0;
}

static int read_filename(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (is_string(v) && !v->len)
		return fail(r, v, "must not be empty");
	return take_line(r, v, &a->filename);
}

static int read_encoded(const struct reader *r, const struct value *v, struct attachment *a)
{
	return take_bool(r, v, &a->encoded);
}

static int read_headers(const struct reader *r, const struct value *v, struct attachment *a)
{
	return read_fields_value(&(struct fields_reader){ r, &a->headers, false }, v);
}

static int read_attachment_object(const struct reader *r, const struct value *v, struct attachment *a)
{
	static const char *const keys[] = {
		"path", "text", "base64", "fd", "filename", "type", "disposition", "content_id", "encoding",
		"encoded", "headers", NULL,
	};
	static const char *const kinds[] = { "path", "text", "base64", "fd", NULL };
	static const struct {
		const char *key;
		int (*read)(const struct reader *r, const struct value *v, struct attachment *a);
	} members[] = {
		{"filename", read_filename}, {"type", read_type}, {"disposition", read_disposition},
		{"content_id", read_content_id}, {"encoding", read_cte}, {"encoded", read_encoded},
		{"headers", read_headers},
	};
	const struct value *is;

	if (check_keys(r, v, keys) < 0 || one_of(r, v, kinds, "path, text, base64, fd", &is) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct value *m = value_get(v, members[i].key);

		if (m && members[i].read(r, m, a) < 0)
			return -1;
	}
	return read_content(r, is, &a->content);
}

static int add_attachment(const struct reader *r, const struct value *v, struct attachments *l)
{
	struct attachment *a;
	char *path;

	if (l->count >= MAX_PARTS)
		return fail(r, v, "more than %d attachments", MAX_PARTS);
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	a = &l->item[l->count++];       /* counted at once: what it owns is then released whatever happens */
	a->content.fd = -1;
	if (v->type == VALUE_OBJECT)
		return read_attachment_object(r, v, a);
	if (!is_string(v))
		return wrong_type(r, v, "a path or an object");
	if (take_path(r, v, &path) < 0)
		return -1;
	content_file(r, &a->content, path);
	return 0;
}

static int read_attachments(const struct reader *r, const struct value *v, union field_of *f)
{
	if (v->type == VALUE_LIST) {
		for (v = v->first; v; v = v->next)
			if (add_attachment(r, v, &f->attachments) < 0)
				return -1;
		return 0;
	}
	if (!is_string(v) && v->type != VALUE_OBJECT)
		return wrong_type(r, v, "a path, an object or a list of them");
	return add_attachment(r, v, &f->attachments);
}

static int read_secret(const struct reader *r, const struct value *v, union field_of *f)
{
	static const char *const keys[] = { "env", "file", "command", "fd", NULL };
	struct secret *s = &f->secret;
	const struct value *is;

	if (is_string(v)) {
		if (r->o == ORIGIN_ARGV)
			return fail(r, v, "other users of this machine can read it; use --%s-env, -file, -command or -fd",
				    r->which->offset == offsetof(struct mail_params, server.password) ?
				    "password" : "oauth2-token");
		s->kind = SECRET_LITERAL;
		s->text = xmemdup0(v->str, v->len);
		return 0;
	}
	if (v->type != VALUE_OBJECT)
		return wrong_type(r, v, "a string or an object of env, file, command or fd");
	if (check_keys(r, v, keys) < 0 || one_of(r, v, keys, "env, file, command, fd", &is) < 0)
		return -1;
	if (!strcmp(is->key, "fd")) {
		s->kind = SECRET_FD;
		return take_fd(r, is, &s->fd);
	}
	s->kind = !strcmp(is->key, "env") ? SECRET_ENV : !strcmp(is->key, "file") ? SECRET_FILE : SECRET_COMMAND;
	if (s->kind == SECRET_ENV && is_string(is) && strchr(is->str, '='))
		return fail(r, is, "is not the name of a variable");
	return take_path(r, is, &s->text);
}

static int (*const read_type_of[])(const struct reader *r, const struct value *v, union field_of *f) = {
	[PARAM_BOOL] = read_bool,         [PARAM_UINT] = read_uint,     [PARAM_SIZE] = read_size,
	[PARAM_ENUM] = read_enum,         [PARAM_STR] = read_str,       [PARAM_STRS] = read_strs,
	[PARAM_RCPTS] = read_rcpts,       [PARAM_FIELDS] = read_fields, [PARAM_CONTENT] = read_part_tree,
	[PARAM_ATTACHMENTS] = read_attachments, [PARAM_SECRET] = read_secret,
};

/*
 * Merging.
 */

/* Move the items of @from behind those of @to; every list has this shape. */
#define LIST_MOVE(to, from, max, ret) do { \
	ret = (to)->count + (from)->count <= (max); \
	for (size_t i_ = 0; ret && i_ < (from)->count; i_++) { \
		(to)->item = list_more((to)->item, (to)->count, &(to)->cap, sizeof(*(to)->item)); \
		(to)->item[(to)->count++] = (from)->item[i_]; \
	} \
	if (ret) \
		(from)->count = 0; \
} while (0)

/* Within one origin a list's values add up. False: too many. */
static bool append(const struct param *which, void *field, union field_of *new)
{
	bool fits = true;

	switch (which->type) {
	case PARAM_STRS: LIST_MOVE((struct strlist *)field, &new->strs, MAX_STRINGS, fits); break;
	case PARAM_RCPTS: LIST_MOVE((struct rcpts *)field, &new->rcpts, MAX_ADDRESSES, fits); break;
	case PARAM_FIELDS: LIST_MOVE((struct fields *)field, &new->fields, MAX_FIELDS, fits); break;
	case PARAM_ATTACHMENTS: LIST_MOVE((struct attachments *)field, &new->attachments, MAX_PARTS, fits); break;
	default: break;
	}
	return fits;
}

static bool is_list(const struct param *which)
{
	return which->type == PARAM_STRS || which->type == PARAM_RCPTS || which->type == PARAM_FIELDS ||
	       which->type == PARAM_ATTACHMENTS;
}

static size_t size_of(const struct param *which)
{
	static const size_t size[] = {
		[PARAM_BOOL] = sizeof(bool),        [PARAM_UINT] = sizeof(unsigned),
		[PARAM_SIZE] = sizeof(uint64_t),    [PARAM_ENUM] = sizeof(int),
		[PARAM_STR] = sizeof(char *),       [PARAM_STRS] = sizeof(struct strlist),
		[PARAM_RCPTS] = sizeof(struct rcpts), [PARAM_FIELDS] = sizeof(struct fields),
		[PARAM_CONTENT] = sizeof(struct part_params *),
		[PARAM_ATTACHMENTS] = sizeof(struct attachments), [PARAM_SECRET] = sizeof(struct secret),
	};

	return size[which->type];
}

static void keep_place(struct mail_params *p, const struct param *which, const struct value *v, const char *file)
{
	size_t id = param_id(which);

	if (!p->place[id].file || !file || strcmp(p->place[id].file, file)) {
		free(p->place[id].file);
		p->place[id].file = xstrdup(file);
	}
	p->place[id].line = v->line;
	p->place[id].column = v->column;
}

/*
 * files_dir is the operator's fence around params files of others. One that the configuration or the environment has put
 * up is not moved by the file it is meant for, in whichever order the two are read.
 */
static bool moves_the_fence(const struct mail_params *p, const struct reader *r)
{
	enum origin have = p->origin[param_id(r->which)];

	if (r->which->offset != offsetof(struct mail_params, files_dir) || have == ORIGIN_DEFAULT)
		return false;
	if (from_json(r))
		return have != ORIGIN_JSON && have != ORIGIN_LINE;
	return (have == ORIGIN_JSON || have == ORIGIN_LINE) && r->o < have;
}

static int merge(struct mail_params *p, const struct reader *r, const struct value *v, union field_of *new)
{
	const struct param *which = r->which;
	enum origin have = p->origin[param_id(which)];
	void *field = param_field(p, which);

	if (moves_the_fence(p, r))
		return fail(r, v, "a params file cannot replace the files_dir that was set for it");
	if (r->o < have)
		return 0;
	if (is_list(which) && r->o == have && have != ORIGIN_DEFAULT) {
		if (!append(which, field, new))
			return fail(r, v, "too many");
	} else {
		param_clear(p, which);
		memcpy(field, new, size_of(which));
		*new = (union field_of){0};
	}
	p->origin[param_id(which)] = (unsigned char)r->o;
	keep_place(p, which, v, r->file);
	return 0;
}

/* Release what is still in @new: param_clear() of a mail_params that has nothing but this field. */
static void drop(const struct param *which, union field_of *new)
{
	struct mail_params rest = {0};

	memcpy(param_field(&rest, which), new, size_of(which));
	param_clear(&rest, which);
}

int mail_params_set(struct mail_params *p, const struct param *which, const struct value *value,
		    enum origin o, const char *file, struct err *e)
{
	struct reader r = { which, o, file, e };
	union field_of new = {0};
	int ret;

	if (which->type == PARAM_ACTION)
		return fail(&r, value, "is a way to run, not a setting");
	if (from_json(&r) && (which->flags & PARAM_NO_JSON))
		return fail(&r, value, "cannot be set in a params file");
	if (which->type == PARAM_SECRET)
		new.secret.fd = -1;
	ret = read_type_of[which->type](&r, value, &new);
	if (ret == 0)
		ret = merge(p, &r, value, &new);
	drop(which, &new);
	return ret;
}
