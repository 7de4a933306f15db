/*
 * The strict JSON reader, and the only user of cJSON.
 *
 * cJSON builds the tree, but it lets through what must never reach a mail:
 * strings cut at \u0000, invalid UTF-8, duplicate keys, lone surrogates,
 * numbers that are rounded, text after the end. So three steps:
 *
 *   1. the gate walks the text once: the grammar of RFC 8259 and our limits,
 *      with an explicit stack, and notes where each value starts (pre-order);
 *   2. cJSON parses what the gate let through;
 *   3. the tree becomes struct value, in the same order, so the n-th value gets
 *      the n-th start as its line and column. Duplicate keys are found here,
 *      by their unescaped names.
 *
 * Narrower than RFC 8259, on purpose: numbers are whole (25.0 is 25; no setting
 * takes a fraction or an exponent), a raw DEL in a string is refused like the
 * other control characters, and U+0000 cannot be written at all. Data rows may
 * have any number; it is not read, but kept as its text.
 */

#include "input/input.h"

#include "base/ascii.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/value.h"

#include <cjson/cJSON.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
	/* cJSON's own limit is 1000, and it recurses: 999 fit in a 256 KiB stack */
	DEPTH_MAX = 999,
	VALUES_MAX = 1 << 21,           /* about 200 octets of memory each */
	NUMBER_CHARS_MAX = 32,          /* cJSON copies a number into 64 */
	PATH_SHOWN = 256,
};
#define INTEGER_MAX 9007199254740991    /* 2^53 - 1: beyond it a double no longer tells neighbours apart */

/* An open array or object: where in it we are, for the path of an error. */
struct frame {
	bool object;
	size_t key, key_len;            /* offset of the present key's text, without quotes */
	size_t index;
};

struct gate {
	const char *name, *text;
	size_t len, at;
	struct frame *frame;
	size_t depth, cap_frames;
	size_t *start;                  /* where each value begins, in pre-order */
	size_t n_starts, cap_starts;
	unsigned first_line;            /* the number of the text's first line */
	bool data;                      /* any number of RFC 8259, kept as its text */
	bool long_numbers;              /* there are some over NUMBER_CHARS_MAX; only in data */
	struct err *e;
};

struct place { size_t at; unsigned line, column; };

/* Move @p on to offset @to; a column is a character, not an octet. */
static void place_advance(struct place *p, const char *text, size_t to)
{
	while (p->at < to) {
		const char *from = text + p->at, *end = memchr(from, '\n', to - p->at);
		size_t n = end ? (size_t)(end - from) : to - p->at;
		unsigned column = p->column;

		for (size_t i = 0; i < n; i++)
			column += (from[i] & 0xc0) != 0x80;
		p->column = column;
		p->at += n;
		if (!end)
			return;
		p->at++;
		p->line++;
		p->column = 1;
	}
}

/*
 * A character is counted when its first octet is passed, so a position is that of the next one to come:
 * right for every offset that begins a character, and the gate reports no other.
 */
static struct place place_of(const struct gate *g, size_t at)
{
	struct place p = { .line = g->first_line, .column = 1 };

	place_advance(&p, g->text, at);
	return p;
}

/* "attachments[1].path: " of where the gate stands, or "" at the top. Cut, with dots, where too long. */
static void gate_path(const struct gate *g, char out[PATH_SHOWN])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < g->depth; i++) {
		const struct frame *f = &g->frame[i];
		size_t room = PATH_SHOWN - used;
		int n = 0;

		if (room < 64) {
			used += (size_t)snprintf(out + used, room, "...");
			break;
		}
		if (!f->object) {
			n = snprintf(out + used, room, "[%zu]", f->index);
		} else if (f->key_len) {
			if (used)
				out[used++] = '.';
			n = (int)utf8_escape(out + used, 40, g->text + f->key, f->key_len);
		}
		used += (size_t)n;
	}
	if (used)
		snprintf(out + used, PATH_SHOWN - used, ": ");
}

static int gate_fail(const struct gate *g, size_t at, const char *fmt, ...) PRINTF(3, 4);

static int gate_fail(const struct gate *g, size_t at, const char *fmt, ...)
{
	struct place p = place_of(g, at);
	char path[PATH_SHOWN], what[PATH_SHOWN];
	va_list va;

	va_start(va, fmt);
	vsnprintf(what, sizeof(what), fmt, va);
	va_end(va);
	gate_path(g, path);
	return err_set(g->e, ERR_DATA, "%s:%u:%u: %s%s", g->name, p.line, p.column, path, what);
}

/* The octet at the cursor, or -1 at the end. */
static int gate_peek(const struct gate *g)
{
	return g->at < g->len ? (unsigned char)g->text[g->at] : -1;
}

static void gate_space(struct gate *g)
{
	int c;

	while ((c = gate_peek(g)) == ' ' || c == '\t' || c == '\n' || c == '\r')
		g->at++;
}

static int gate_hex4(const struct gate *g, size_t at, unsigned *ret)
{
	*ret = 0;
	for (size_t i = at; i < at + 4; i++) {
		int c = i < g->len ? (unsigned char)g->text[i] : -1;
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return gate_fail(g, at - 2, "\\u wants four hexadecimal digits");
		*ret = *ret << 4 | (unsigned)digit;
	}
	return 0;
}

/* At the 'u' of an escape: it must be a character of Unicode, so surrogates come in pairs. */
static int gate_unicode_escape(struct gate *g)
{
	unsigned unit, low;
	size_t begin = g->at - 1;

	if (gate_hex4(g, g->at + 1, &unit) < 0)
		return -1;
	g->at += 5;
	if (!unit)
		return gate_fail(g, begin, "the character U+0000 (\\u0000) is not allowed");
	if (unit < 0xd800 || unit > 0xdfff)
		return 0;
	if (unit > 0xdbff || g->len - g->at < 6 || g->text[g->at] != '\\' || g->text[g->at + 1] != 'u')
		return gate_fail(g, begin, "half of a surrogate pair stands alone (\\u%04x)", unit);
	if (gate_hex4(g, g->at + 2, &low) < 0)
		return -1;
	if (low < 0xdc00 || low > 0xdfff)
		return gate_fail(g, begin, "half of a surrogate pair stands alone (\\u%04x)", unit);
	g->at += 6;
	return 0;
}

static int gate_escape(struct gate *g)
{
	int c;

	g->at++;
	c = gate_peek(g);
	if (c == 'u')
		return gate_unicode_escape(g);
	if (c < 0)
		return gate_fail(g, g->at, "the text ends inside a string");
	if (!c || !strchr("\"\\/bfnrt", c))
		return gate_fail(g, g->at - 1, "not an escape of JSON; a backslash itself is written \\\\");
	g->at++;
	return 0;
}

/* Octets of a string before a quote, a backslash, or what is not printable ASCII. */
static size_t plain_run(const char *s, size_t len)
{
	size_t n = 0;

#if defined(__SSE2__)
	while (len - n >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(s + n));
		/* signed: octets over 127 are below the space */
		__m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpgt_epi8(_mm_set1_epi8(' '), v),
							_mm_cmpeq_epi8(v, _mm_set1_epi8(127))),
					   _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
							_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		unsigned mask = (unsigned)_mm_movemask_epi8(odd);

		if (mask)
			return n + (unsigned)__builtin_ctz(mask);
		n += 16;
	}
#endif
	while (n < len && s[n] >= ' ' && s[n] < 127 && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

/* At the opening quote; leaves the cursor behind the closing one. */
static int gate_string(struct gate *g)
{
	size_t begin = g->at++;

	for (;;) {
		uint32_t cp;
		size_t n;
		int c;

		g->at += plain_run(g->text + g->at, g->len - g->at);
		c = gate_peek(g);
		if (c == '"') {
			g->at++;
			return 0;
		}
		if (c < 0)
			return gate_fail(g, begin, "the string that begins here has no end");
		if (c == '\\') {
			if (gate_escape(g) < 0)
				return -1;
		} else if (c < 0x20 || c == 0x7f) {
			return gate_fail(g, g->at, "a control character in a string is written \\u%04x",
					 (unsigned)c);
		} else {
			n = utf8_decode(g->text + g->at, g->len - g->at, &cp);
			if (!n)
				return gate_fail(g, g->at, "not valid UTF-8 (octet 0x%02x)", (unsigned)c);
			g->at += n;
		}
	}
}

static size_t gate_digits(struct gate *g)
{
	size_t begin = g->at;

	while (is_digit(gate_peek(g)))
		g->at++;
	return g->at - begin;
}

/* The text of a number that has the grammar: is it whole, and exact in a double? Says why not, or NULL. */
static const char *number_flaw(const char *s, size_t len)
{
	const char *dot = memchr(s, '.', len);
	bool minus = *s == '-';
	int64_t n = 0;

	for (size_t i = minus; i < len && is_digit(s[i]); i++) {
		n = n * 10 + (s[i] - '0');
		if (n > INTEGER_MAX)
			return "number too large";
	}
	if (memchr(s, 'e', len) || memchr(s, 'E', len))
		return "a number with an exponent; write it out";
	for (size_t i = dot ? (size_t)(dot - s) + 1 : len; i < len; i++)
		if (s[i] != '0')
			return "not a whole number";
	if (minus && !n)
		return "-0 is not a number here";
	if (len > NUMBER_CHARS_MAX)
		return "number too long";
	return NULL;
}

/* number = [ "-" ] int [ "." 1*DIGIT ] [ "e" [ sign ] 1*DIGIT ], RFC 8259, 6. */
static int gate_number(struct gate *g)
{
	size_t begin = g->at;
	const char *flaw;
	int c;

	if (gate_peek(g) == '-')
		g->at++;
	c = gate_peek(g);
	if (!is_digit(c))
		return gate_fail(g, begin, "a minus sign without a number");
	if (gate_digits(g) > 1 && c == '0')
		return gate_fail(g, begin, "a number does not begin with 0");
	if (gate_peek(g) == '.') {
		g->at++;
		if (!gate_digits(g))
			return gate_fail(g, begin, "a number without digits after its point");
	}
	if (gate_peek(g) == 'e' || gate_peek(g) == 'E') {
		g->at++;
		if (gate_peek(g) == '+' || gate_peek(g) == '-')
			g->at++;
		if (!gate_digits(g))
			return gate_fail(g, begin, "a number without digits in its exponent");
	}
	g->long_numbers |= g->at - begin > NUMBER_CHARS_MAX;
	flaw = g->data ? NULL : number_flaw(g->text + begin, g->at - begin);
	return flaw ? gate_fail(g, begin, "%s", flaw) : 0;
}

static int gate_word(struct gate *g)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);

		if (g->len - g->at >= n && !memcmp(g->text + g->at, words[i], n)) {
			g->at += n;
			return 0;
		}
	}
	return gate_fail(g, g->at, "not a value of JSON (text goes in double quotes)");
}

/* What stands where a value should: the commonest slips by name. */
static int gate_no_value(const struct gate *g, int c)
{
	if (c < 0)
		return gate_fail(g, g->at, g->n_starts ? "the text ends where a value should be" :
				 "no JSON: the text is empty");
	if (c == ',')
		return gate_fail(g, g->at, "a comma where a value should be");
	if (c == ']' || c == '}')
		return gate_fail(g, g->at, "'%c' where a value should be (is a comma too many before it?)",
				 c);
	if (c == '\'')
		return gate_fail(g, g->at, "text goes in double quotes, not single ones");
	if (c == '/' || c == '#')
		return gate_fail(g, g->at, "JSON has no comments");
	if (c == 0)
		return gate_fail(g, g->at, "an octet 0 (is this UTF-16?)");
	return gate_fail(g, g->at, "not a value of JSON");
}

static int gate_note_start(struct gate *g)
{
	if (g->n_starts == VALUES_MAX)
		return gate_fail(g, g->at, "more than %d values", VALUES_MAX);
	if (g->n_starts == g->cap_starts) {
		g->cap_starts = g->cap_starts ? g->cap_starts * 2 : 64;
		g->start = xreallocarray(g->start, g->cap_starts, sizeof(*g->start));
	}
	g->start[g->n_starts++] = g->at;
	return 0;
}

enum want { WANT_VALUE, WANT_FIRST_ITEM, WANT_FIRST_KEY, WANT_KEY, WANT_NEXT, WANT_END };

static int gate_open(struct gate *g, bool object, enum want *ret_want)
{
	if (g->depth == DEPTH_MAX)
		return gate_fail(g, g->at, "nested deeper than %d", DEPTH_MAX);
	if (g->depth == g->cap_frames) {
		g->cap_frames = g->cap_frames ? 2 * g->cap_frames : 16;
		g->frame = xreallocarray(g->frame, g->cap_frames, sizeof(*g->frame));
	}
	g->frame[g->depth++] = (struct frame){ .object = object };
	g->at++;
	*ret_want = object ? WANT_FIRST_KEY : WANT_FIRST_ITEM;
	return 0;
}

static void gate_close(struct gate *g, enum want *ret_want)
{
	g->at++;
	g->depth--;
	*ret_want = g->depth ? WANT_NEXT : WANT_END;
}

static int gate_value(struct gate *g, enum want *ret_want)
{
	int c = gate_peek(g);

	if (gate_note_start(g) < 0)
		return -1;
	*ret_want = g->depth ? WANT_NEXT : WANT_END;
	if (c == '{' || c == '[')
		return gate_open(g, c == '{', ret_want);
	if (c == '"')
		return gate_string(g);
	if (c == '-' || is_digit(c))
		return gate_number(g);
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return gate_word(g);
	g->n_starts--;
	return gate_no_value(g, c);
}

static int gate_key(struct gate *g, enum want *ret_want)
{
	struct frame *f = &g->frame[g->depth - 1];
	int c = gate_peek(g);
	size_t begin = g->at;

	f->key_len = 0;
	if (c == '}')
		return gate_fail(g, begin, "a comma with nothing behind it");
	if (c < 0)
		return gate_fail(g, begin, "the text ends inside an object");
	if (c != '"')
		return gate_fail(g, begin, "a key, in double quotes, should be here");
	if (gate_string(g) < 0)
		return -1;
	f->key = begin + 1;
	f->key_len = g->at - begin - 2;
	gate_space(g);
	if (gate_peek(g) != ':')
		return gate_fail(g, g->at, "a ':' should be here");
	g->at++;
	*ret_want = WANT_VALUE;
	return 0;
}

/* Behind a value in an array or object. */
static int gate_next(struct gate *g, enum want *ret_want)
{
	struct frame *f = &g->frame[g->depth - 1];
	int c = gate_peek(g), close = f->object ? '}' : ']';

	if (c == close) {
		gate_close(g, ret_want);
		return 0;
	}
	if (c < 0)
		return gate_fail(g, g->at, "the text ends inside an %s", f->object ? "object" : "array");
	if (c != ',')
		return gate_fail(g, g->at, "a ',' or '%c' should be here", close);
	g->at++;
	f->index++;
	*ret_want = f->object ? WANT_KEY : WANT_VALUE;
	return 0;
}

static int gate_step(struct gate *g, enum want *want)
{
	int c = gate_peek(g);

	switch (*want) {
	case WANT_FIRST_ITEM:
		if (c != ']')
			return gate_value(g, want);
		gate_close(g, want);
		return 0;
	case WANT_FIRST_KEY:
		if (c != '}')
			return gate_key(g, want);
		gate_close(g, want);
		return 0;
	case WANT_KEY:
		return gate_key(g, want);
	case WANT_NEXT:
		return gate_next(g, want);
	case WANT_VALUE:
	case WANT_END:
		break;
	}
	return gate_value(g, want);
}

static void gate_clear(struct gate *g)
{
	free(g->frame);
	free(g->start);
}

static int gate_run(struct gate *g)
{
	enum want want = WANT_VALUE;

	if (g->len >= 3 && !memcmp(g->text, "\xef\xbb\xbf", 3))
		return gate_fail(g, 0, "the text begins with a byte order mark; JSON has none");
	while (gate_space(g), want != WANT_END)
		if (gate_step(g, &want) < 0)
			return -1;
	if (g->at < g->len)
		return gate_fail(g, g->at, "something follows the end of the JSON text");
	return 0;
}

/* --- cJSON, and from its tree to ours --- */

/* The tree holds passwords for a while; malloc_usable_size() is what may be overwritten. */
static void wiping_free(void *mem)
{
	if (mem)
		explicit_bzero(mem, malloc_usable_size(mem));
	free(mem);
}

static void cjson_deletep(cJSON **tree)
{
	cJSON_Delete(*tree);
}

static void set_hooks(void)
{
	cJSON_Hooks hooks = { .malloc_fn = xmalloc, .free_fn = wiping_free };

	cJSON_InitHooks(&hooks);
}

/* Of the number that begins at @start, which the gate has let through. */
static size_t number_len(const struct gate *g, size_t start)
{
	size_t end = start;

	while (end < g->len && (is_digit(g->text[end]) || memchr("+-.eE", g->text[end], 5)))
		end++;
	return end - start;
}

/*
 * The text with every number that is too long for cJSON made "0" and spaces: of a number in data its place
 * alone counts, for its digits are taken from our text.
 */
static char *short_numbers(const struct gate *g)
{
	char *copy = xmemdup0(g->text, g->len);

	for (size_t i = 0; i < g->n_starts; i++) {
		size_t n, at = g->start[i];

		if (g->text[at] != '-' && !is_digit(g->text[at]))
			continue;
		n = number_len(g, at);
		if (n <= NUMBER_CHARS_MAX)
			continue;
		memset(copy + at, ' ', n);
		copy[at] = '0';
	}
	return copy;
}

/* NULL: cJSON and the gate disagree, which is a bug. */
static cJSON *parse(const char *text, size_t len)
{
	static pthread_once_t hooks_set = PTHREAD_ONCE_INIT;
	const char *end = NULL;
	cJSON *tree;

	pthread_once(&hooks_set, set_hooks);
	tree = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	if (!tree)
		return NULL;
	while (end < text + len && strchr(" \t\r\n", *end))
		end++;
	if (end == text + len)
		return tree;
	cJSON_Delete(tree);
	return NULL;
}

/*
 * One node of cJSON's as one of ours; its strings change hands. NULL: a type that the gate does not let
 * through.
 */
static struct value *convert_one(cJSON *item, const struct gate *g, size_t start)
{
	struct value *v;

	if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
		v = value_new(cJSON_IsObject(item) ? VALUE_OBJECT : VALUE_LIST);
	} else if (cJSON_IsString(item)) {
		v = value_new(VALUE_STR);
		v->str = item->valuestring;
		v->len = strlen(v->str);
		item->valuestring = NULL;
	} else if (cJSON_IsNumber(item) && g->data) {
		v = value_new(VALUE_NUMBER);
		v->len = number_len(g, start);
		v->str = xmemdup0(g->text + start, v->len);
	} else if (cJSON_IsNumber(item)) {
		v = value_new(VALUE_INT);
		v->number = (int64_t)item->valuedouble;
	} else if (cJSON_IsBool(item)) {
		v = value_new(VALUE_BOOL);
		v->boolean = cJSON_IsTrue(item);
	} else if (cJSON_IsNull(item)) {
		v = value_new(VALUE_NULL);
	} else {
		return NULL;
	}
	v->key = item->string;
	item->string = NULL;
	return v;
}

/* The way back to the root of the tree: the open ones, and the value of each. */
struct way { cJSON *node; struct value *value; };

/*
 * The next node of @tree in pre-order, or NULL. A node is visited once and its children follow it at once, as
 * in the gate.
 */
static cJSON *next_node(cJSON *node, struct value *value, struct way *up, size_t *depth)
{
	if (node->child) {
		up[(*depth)++] = (struct way){ node, value };
		return node->child;
	}
	while (!node->next) {
		if (!*depth)
			return NULL;
		node = up[--*depth].node;
	}
	return node->next;
}

static int convert(struct value **ret, cJSON *tree, const struct gate *g)
{
	/* never deeper than the gate was */
	CLEANUP(freep) struct way *up = xreallocarray(NULL, g->cap_frames, sizeof(*up));
	CLEANUP(value_freep) struct value *root = NULL;
	struct place p = { .line = g->first_line, .column = 1 };
	size_t depth = 0, n = 0;
	struct value *v;

	for (cJSON *node = tree; node; node = next_node(node, v, up, &depth)) {
		v = n < g->n_starts ? convert_one(node, g, g->start[n]) : NULL;
		if (!v)
			return err_set(g->e, ERR_SOFTWARE, "%s: the two JSON readers disagree", g->name);
		place_advance(&p, g->text, g->start[n++]);
		v->line = p.line;
		v->column = p.column;
		if (depth)
			value_append(up[depth - 1].value, v);
		else
			root = v;
	}
	if (n != g->n_starts)
		return err_set(g->e, ERR_SOFTWARE, "%s: the two JSON readers disagree", g->name);
	*ret = root;
	root = NULL;
	return 0;
}

/* By name, then by place, so that of two equal names the later one comes second. */
static int by_key(const void *a, const void *b)
{
	const struct value *x = *(struct value *const *)a, *y = *(struct value *const *)b;
	int order = strcmp(x->key, y->key);

	if (order)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

/* The first member of @object that repeats an earlier one's key, or NULL. n log n. */
static const struct value *duplicate_in(const struct value *object)
{
	CLEANUP(freep) const struct value **member = NULL;
	const struct value *found = NULL;
	size_t n = 0, i = 0;

	for (const struct value *v = object->first; v; v = v->next)
		n++;
	if (n < 2)
		return NULL;
	member = xcalloc(n, sizeof(*member));
	for (const struct value *v = object->first; v; v = v->next)
		member[i++] = v;
	qsort(member, n, sizeof(*member), by_key);
	for (i = 1; i < n; i++)
		if (!strcmp(member[i - 1]->key, member[i]->key) &&
		    (!found || member[i]->line < found->line ||
		     (member[i]->line == found->line && member[i]->column < found->column)))
			found = member[i];
	return found;
}

static int refuse_duplicates(const struct value *root, const char *name, struct err *e)
{
	const struct value *v = root;

	while (v) {
		const struct value *twice = v->type == VALUE_OBJECT ? duplicate_in(v) : NULL;
		char path[PATH_SHOWN], shown[PATH_SHOWN];

		if (twice) {
			value_path(twice, path, sizeof(path));
			utf8_escape(shown, sizeof(shown), path, strlen(path));
			return err_set(e, ERR_DATA, "%s:%u:%u: %s: the key is there twice", name, twice->line,
				       twice->column, shown);
		}
		if (v->first) {
			v = v->first;
			continue;
		}
		while (v && !v->next)
			v = v->parent;
		if (v)
			v = v->next;
	}
	return 0;
}

const char *json_library(void)
{
	return cJSON_Version();
}

static int read_text(struct value **ret, const char *name, unsigned line, bool data, const char *text, size_t len,
		     struct err *e)
{
	CLEANUP(cjson_deletep) cJSON *tree = NULL;
	CLEANUP(value_freep) struct value *root = NULL;
	CLEANUP(freep) char *shorter = NULL;
	CLEANUP(gate_clear) struct gate g = { .name = name, .text = text, .len = len, .first_line = line,
					      .data = data, .e = e };
	int failed = gate_run(&g);

	if (!failed) {
		if (g.long_numbers)
			shorter = short_numbers(&g);
		tree = parse(shorter ? shorter : text, len);
		failed = tree ? convert(&root, tree, &g) :
			 err_set(e, ERR_SOFTWARE, "%s: the two JSON readers disagree", name);
	}
	if (failed || refuse_duplicates(root, name, e) < 0)
		return -1;
	*ret = root;
	root = NULL;
	return 0;
}

int json_read(struct value **ret, const char *name, const char *text, size_t len, struct err *e)
{
	return read_text(ret, name, 1, false, text, len, e);
}

int json_read_line(struct value **ret, const char *name, unsigned line, const char *text, size_t len, struct err *e)
{
	return read_text(ret, name, line, false, text, len, e);
}

int json_read_data(struct value **ret, const char *name, unsigned line, const char *text, size_t len, struct err *e)
{
	return read_text(ret, name, line, true, text, len, e);
}
