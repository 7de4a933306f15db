/*
 * Mustache: text to steps, steps and a value to text; see mustache.h. A section is a step that knows where
 * its end is, and its end one that knows where it began, so that nothing recurses.
 */

#include "model/mustache.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/param_table.h"
#include "model/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEPTH_MAX = 256,                /* of sections in each other: so many frames on the stack, 4 KiB */
	STEPS_MAX = 1 << 16,            /* 2.5 MiB */
	DELIMITER_MAX = 16,
	NAME_SHOWN = 128,
	/* Lists in lists may turn without end and print nothing, so the output's limit is not enough. */
	TAKEN_MAX = 1 << 24,            /* about a tenth of a second */
};

enum step_kind { STEP_TEXT, STEP_VALUE, STEP_RAW, STEP_SECTION, STEP_INVERTED, STEP_END };

struct step {
	enum step_kind kind;
	const char *at;                 /* in the template's own copy: the text, or the name */
	size_t len;
	size_t other;                   /* SECTION, INVERTED: its END; END: its begin */
};

struct mustache {
	char *text;
	struct step *step;
	size_t n, cap;
	bool has_tags;
};

/* ---- compiling ---- */

/* An open section: its step, and where its tag is. */
struct begun { size_t step; const char *tag; };

struct compiling {
	struct mustache *t;
	const char *at, *end;
	char open[DELIMITER_MAX], close[DELIMITER_MAX];
	size_t open_len, close_len;
	const char *tag;                /* the one being read: where a fault is */
	struct begun begun[DEPTH_MAX];
	size_t depth;
	struct err *e;
};

static int fail(const struct compiling *c, const char *what, const char *name, size_t len)
{
	unsigned line = 1, column = 1;
	char shown[NAME_SHOWN];

	for (const char *p = c->t->text; p < c->tag; p++) {
		column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
		line += *p == '\n';
	}
	utf8_escape(shown, sizeof(shown), name, len);
	return err_set(c->e, ERR_DATA, "%u:%u: %s%s%s", line, column, len ? shown : "", len ? ": " : "",
		       what);
}

static int add(struct compiling *c, enum step_kind kind, const char *at, size_t len)
{
	struct mustache *t = c->t;

	if (kind == STEP_TEXT && !len)
		return 0;
	if (t->n == STEPS_MAX)
		return fail(c, "too many tags", NULL, 0);
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->step = xreallocarray(t->step, t->cap, sizeof(*t->step));
	}
	t->step[t->n++] = (struct step){ kind, at, len, 0 };
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(const char **at, size_t *len)
{
	while (*len && is_space(**at)) {
		++*at;
		--*len;
	}
	while (*len && is_space((*at)[*len - 1]))
		--*len;
}

/* Of {{=<% %>=}} what is between the '='. */
static int set_delimiters(struct compiling *c, const char *at, size_t len)
{
	const char *space;
	size_t open_len, close_len;

	trim(&at, &len);
	for (space = at; space < at + len && !is_space(*space); space++)
		;
	open_len = (size_t)(space - at);
	while (space < at + len && is_space(*space))
		space++;
	close_len = (size_t)(at + len - space);
	for (size_t i = 0; i < close_len; i++)
		if (is_space(space[i]))
			close_len = 0;
	if (!open_len || !close_len || open_len >= DELIMITER_MAX || close_len >= DELIMITER_MAX ||
	    memchr(at, '=', len))
		return fail(c, "a change of delimiters must name two, without '='", NULL, 0);
	memcpy(c->open, at, c->open_len = open_len);
	memcpy(c->close, space, c->close_len = close_len);
	return 0;
}

static int open_section(struct compiling *c, enum step_kind kind, const char *name, size_t len)
{
	if (c->depth == DEPTH_MAX)
		return fail(c, "too many sections in each other", name, len);
	c->begun[c->depth++] = (struct begun){ c->t->n, c->tag };
	return add(c, kind, name, len);
}

static int close_section(struct compiling *c, const char *name, size_t len)
{
	struct step *begin;
	size_t at;

	if (!c->depth)
		return fail(c, "ends a section that was not begun", name, len);
	at = c->begun[--c->depth].step;
	begin = &c->t->step[at];
	if (begin->len != len || memcmp(begin->at, name, len))
		return fail(c, "ends another section than the one that is open", name, len);
	begin->other = c->t->n;
	if (add(c, STEP_END, name, len) < 0)
		return -1;
	c->t->step[c->t->n - 1].other = at;
	return 0;
}

static int check_name(const struct compiling *c, const char *name, size_t len)
{
	/* {{name} and, further on, {{other}} */
	if (memmem(name, len, c->open, c->open_len))
		return fail(c, "a tag that does not end", NULL, 0);
	if (!len)
		return fail(c, "a tag without a name", NULL, 0);
	if (len == 1 && *name == '.')
		return 0;
	if (name[0] == '.' || name[len - 1] == '.' || memmem(name, len, "..", 2))
		return fail(c, "a name with an empty part", name, len);
	for (size_t i = 0; i < len; i++) {
		/* "First Name" is what columns are called */
		if (is_space(name[i]) && name[i] != ' ')
			return fail(c, "a name with a line break or a tab in it", name, len);
		/* member() relies on it: no NUL */
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return fail(c, "a name with a control character in it", name, len);
	}
	return 0;
}

/* What is between the delimiters, without the sigil, which is 0 for a plain {{name}}. */
static int take_tag(struct compiling *c, char sigil, const char *at, size_t len)
{
	if (sigil == '!')
		return 0;
	if (sigil == '=')
		return set_delimiters(c, at, len);
	if (sigil == '>')
		return fail(c, "partials ({{>name}}) are not supported", NULL, 0);
	trim(&at, &len);
	if (check_name(c, at, len) < 0)
		return -1;
	switch (sigil) {
	case '#': return open_section(c, STEP_SECTION, at, len);
	case '^': return open_section(c, STEP_INVERTED, at, len);
	case '/': return close_section(c, at, len);
	case '{':
	case '&': return add(c, STEP_RAW, at, len);
	default: return add(c, STEP_VALUE, at, len);
	}
}

/*
 * A tag that prints nothing, alone on its line, takes the line with it: *begin back to the line's first
 * octet, *end behind its end. @text_at: where the text before it may begin.
 */
static void take_line(const struct compiling *c, const char *text_at, const char **begin, const char **end)
{
	const char *left = *begin, *right = *end;

	while (left > text_at && (left[-1] == ' ' || left[-1] == '\t'))
		left--;
	/* what is before text_at is a tag on the same line, unless a line begins there */
	if (left > c->t->text && left[-1] != '\n')
		return;
	while (right < c->end && (*right == ' ' || *right == '\t'))
		right++;
	if (right < c->end && *right == '\r' && right + 1 < c->end && right[1] == '\n')
		right++;
	if (right < c->end && *right != '\n')
		return;
	*begin = left;
	*end = right < c->end ? right + 1 : right;
}

/*
 * Where the tag's content ends, whose first octet is at @at: before the closing delimiter, or NULL. {{{x}}}
 * (with other delimiters <%{x}%>) ends in '}' and the delimiter, {{=<% %>=}} in '=' and the delimiter.
 */
static const char *content_end(const struct compiling *c, const char *at, char sigil)
{
	char close[DELIMITER_MAX + 1];
	size_t len = 0;

	if (sigil == '{' || sigil == '=')
		close[len++] = sigil == '{' ? '}' : '=';
	memcpy(close + len, c->close, c->close_len);
	len += c->close_len;
	return memmem(at, (size_t)(c->end - at), close, len);
}

/* The text at c->at and the tag behind it, at c->tag. Then c->at is behind the tag, or behind its line. */
static int step_tag(struct compiling *c)
{
	const char *text_at = c->at, *at = c->tag + c->open_len, *begin = c->tag, *close, *end;
	char sigil;

	while (at < c->end && is_space(*at))
		at++;
	sigil = at < c->end ? *at : 0;
	if (!sigil || !strchr("{&#^/!=>", sigil))
		sigil = 0;
	at += sigil != 0;
	close = content_end(c, at, sigil);
	if (!close)
		return fail(c, "a tag that does not end", NULL, 0);
	end = close + c->close_len + (sigil == '{' || sigil == '=');
	if (sigil && strchr("#^/!=", sigil))
		take_line(c, text_at, &begin, &end);
	if (add(c, STEP_TEXT, text_at, (size_t)(begin - text_at)) < 0)
		return -1;
	c->at = end;
	return take_tag(c, sigil, at, (size_t)(close - at));
}

static int compile(struct compiling *c)
{
	const char *tag;

	while ((tag = memmem(c->at, (size_t)(c->end - c->at), c->open, c->open_len))) {
		c->tag = tag;
		c->t->has_tags = true;
		if (step_tag(c) < 0)
			return -1;
	}
	if (add(c, STEP_TEXT, c->at, (size_t)(c->end - c->at)) < 0)
		return -1;
	if (c->depth) {
		const struct begun *b = &c->begun[c->depth - 1];
		const struct step *s = &c->t->step[b->step];

		c->tag = b->tag;
		return fail(c, "a section that does not end", s->at, s->len);
	}
	return 0;
}

int mustache_compile(struct mustache **ret, const char *text, size_t len, struct err *e)
{
	CLEANUP(mustache_freep) struct mustache *t = xcalloc(1, sizeof(*t));
	struct compiling c = { .t = t, .open = "{{", .close = "}}", .open_len = 2, .close_len = 2, .e = e };

	t->text = xmemdup0(text, len);
	c.at = c.tag = t->text;
	c.end = t->text + len;
	if (compile(&c) < 0)
		return -1;
	*ret = t;
	t = NULL;
	return 0;
}

void mustache_free(struct mustache *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->step);
	free(t);
}

bool mustache_is_plain(const struct mustache *t)
{
	return !t->has_tags;
}

static size_t first_word(const char *name, size_t len)
{
	const char *dot = memchr(name, '.', len);

	return dot ? (size_t)(dot - name) : len;
}

void mustache_names(const struct mustache *t, void (*each)(void *ctx, const char *name, size_t len),
		    void *ctx)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct step *s = &t->step[i];

		if (s->kind == STEP_TEXT || s->kind == STEP_END)
			continue;
		if (first_word(s->at, s->len))
			each(ctx, s->at, first_word(s->at, s->len));
		/* in {{#.}} the context is what it was, and in an inverted section */
		if (s->kind == STEP_SECTION && first_word(s->at, s->len))
			i = s->other;
	}
}

/* ---- rendering ---- */

/* An open section: what its names are looked up in, and where in a list it is. */
struct frame { const struct value *context, *item; };

struct rendering {
	const struct mustache *t;
	const struct value *data;
	unsigned flags;
	struct buf *out;
	struct frame frame[DEPTH_MAX];
	size_t depth;
	struct err *e;
};

static const struct value *member(const struct value *v, const char *name, size_t len)
{
	if (!v || v->type != VALUE_OBJECT)
		return NULL;
	for (v = v->first; v; v = v->next)
		/* a name has no NUL, so a shorter key differs at its end */
		if (v->key[0] == name[0] && !strncmp(v->key, name, len) && !v->key[len])
			return v;
	return NULL;
}

/* From the innermost context outwards for the first word; the others are looked up in what it gave. */
static const struct value *look_up(const struct rendering *r, const char *name, size_t len)
{
	const struct value *v = NULL;
	size_t word = first_word(name, len);

	if (len == 1 && *name == '.')
		return r->depth ? r->frame[r->depth - 1].context : r->data;
	for (size_t i = r->depth; i > 0 && !v; i--)
		v = member(r->frame[i - 1].context, name, word);
	if (!v)
		v = member(r->data, name, word);
	while (v && word < len) {
		name += word + 1;
		len -= word + 1;
		word = first_word(name, len);
		v = member(v, name, word);
	}
	return v;
}

static bool is_true(const struct value *v)
{
	if (!v)
		return false;
	switch (v->type) {
	case VALUE_NULL: return false;
	case VALUE_BOOL: return v->boolean;
	case VALUE_LIST: return v->first;
	case VALUE_STR:
	case VALUE_TEXT: return v->len;
	default: return true;
	}
}

static int too_long(const struct rendering *r)
{
	return err_set(r->e, ERR_DATA, "the text made of the data is longer than %zu octets", r->out->max);
}

static int put_escaped(struct rendering *r, const char *text, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		const char c = text[i], *as = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" :
					      c == '"' ? "&quot;" : c == '\'' ? "&#39;" : NULL;

		if (!as)
			continue;
		if (buf_add(r->out, text + from, i - from) < 0 || buf_adds(r->out, as) < 0)
			return too_long(r);
		from = i + 1;
	}
	return buf_add(r->out, text + from, len - from) < 0 ? too_long(r) : 0;
}

struct words { const struct value *next; };

static const char *next_key(void *ctx)
{
	struct words *w = ctx;
	const struct value *v = w->next;

	if (!v)
		return NULL;
	w->next = v->next;
	return v->key;
}

/* Of "usre.name" the first word is what the data may have in another spelling, if not in this one. */
static int missing(const struct rendering *r, const struct step *s)
{
	size_t word = first_word(s->at, s->len);
	struct words words = { r->data->type == VALUE_OBJECT ? r->data->first : NULL };
	const char *near = look_up(r, s->at, word) ? NULL : nearest_word(s->at, word, next_key, &words);
	char name[NAME_SHOWN], other[NAME_SHOWN];

	utf8_escape(name, sizeof(name), s->at, s->len);
	if (!near)
		return err_set(r->e, ERR_DATA, "{{%s}}: there is no such name in the data", name);
	utf8_escape(other, sizeof(other), near, strlen(near));
	return err_set(r->e, ERR_DATA, "{{%s}}: there is no such name in the data, did you mean '%s'?", name,
		       other);
}

static int put_value(struct rendering *r, const struct step *s)
{
	const struct value *v = look_up(r, s->at, s->len);
	char number[24], name[NAME_SHOWN];
	const char *text;
	size_t len;

	if (!v)
		return r->flags & MUSTACHE_MISSING_EMPTY ? 0 : missing(r, s);
	switch (v->type) {
	case VALUE_NULL:
		return 0;
	case VALUE_STR:
	case VALUE_TEXT:
	case VALUE_NUMBER:
		text = v->str;
		len = v->len;
		break;
	case VALUE_BOOL:
		text = v->boolean ? "true" : "false";
		len = strlen(text);
		break;
	case VALUE_INT:
		len = (size_t)snprintf(number, sizeof(number), "%lld", (long long)v->number);
		text = number;
		break;
	default:
		utf8_escape(name, sizeof(name), s->at, s->len);
		return err_set(r->e, ERR_DATA, "{{%s}}: is %s in the data, and no text", name,
			       v->type == VALUE_LIST ? "a list" : "an object");
	}
	if (s->kind == STEP_VALUE && (r->flags & MUSTACHE_HTML))
		return put_escaped(r, text, len);
	return buf_add(r->out, text, len) < 0 ? too_long(r) : 0;
}

/* Enter the section of step @i, or pass it: the next step. */
static size_t enter(struct rendering *r, size_t i)
{
	const struct step *s = &r->t->step[i];
	const struct value *v = look_up(r, s->at, s->len);
	struct frame *f;

	if (is_true(v) != (s->kind == STEP_SECTION))
		return s->other + 1;
	f = &r->frame[r->depth++];
	*f = (struct frame){0};
	if (s->kind == STEP_SECTION) {
		f->item = v->type == VALUE_LIST ? v->first : NULL;
		f->context = f->item ? f->item : v;
	} else if (r->depth > 1) {
		f->context = r->frame[r->depth - 2].context;
	} else {
		f->context = r->data;
	}
	return i + 1;
}

/* The end of the section: its next turn, or what is behind it. */
static size_t leave(struct rendering *r, size_t i)
{
	struct frame *f = &r->frame[r->depth - 1];

	if (f->item && f->item->next) {
		f->context = f->item = f->item->next;
		return r->t->step[i].other + 1;
	}
	r->depth--;
	return i + 1;
}

int mustache_render(const struct mustache *t, const struct value *data, unsigned flags, struct buf *out,
		    struct err *e)
{
	struct rendering r;

	r.t = t;
	r.data = data;
	r.flags = flags;
	r.out = out;
	r.depth = 0;
	r.e = e;
	for (size_t i = 0, taken = 0; i < t->n; taken++) {
		const struct step *s = &t->step[i];

		if (taken == TAKEN_MAX)
			return err_set(e, ERR_DATA, "the sections go through more than %d tags and texts",
				       TAKEN_MAX);
		switch (s->kind) {
		case STEP_TEXT:
			if (buf_add(out, s->at, s->len) < 0)
				return too_long(&r);
			i++;
			break;
		case STEP_VALUE:
		case STEP_RAW:
			if (put_value(&r, s) < 0)
				return -1;
			i++;
			break;
		case STEP_SECTION:
		case STEP_INVERTED:
			i = enter(&r, i);
			break;
		case STEP_END:
			i = leave(&r, i);
			break;
		}
	}
	return 0;
}
