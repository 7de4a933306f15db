/*
 * Mail merge; see merge.h. The template and a copy of it have the same shape, so the places to fill in are found by
 * one walk, in one order: the n-th place of a copy is made by the n-th compiled text.
 */

#include "job/merge.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/csv.h"
#include "job/once.h"
#include "model/mail_params.h"
#include "model/mustache.h"
#include "model/params_impl.h"
#include "model/value.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 64 << 20 };

enum place_kind { PLACE_TEXT, PLACE_HTML, PLACE_ADDRESS, PLACE_PATH };

/* A text of mail_params that may be filled in. */
struct place {
	char **text;
	size_t *len;                    /* of octets that are no string; NULL: it is one */
	enum place_kind kind;
	const char *setting;
	bool *confined;                 /* PLACE_PATH */
};

typedef int place_visit(void *ctx, const struct place *p, struct err *e);

/* One text, compiled. Of "name <address>" the two are apart. */
struct filling { struct mustache *text, *name; };

struct merge {
	struct filling *list;
	size_t n, cap;
	unsigned flags;                 /* MUSTACHE_MISSING_EMPTY */
	bool has_files_dir;
};

/* ---- the walk ---- */

struct walk { place_visit *visit; void *ctx; struct err *e; };

static int at_text(const struct walk *w, char **text, enum place_kind kind, const char *setting)
{
	const struct place p = { .text = text, .kind = kind, .setting = setting };

	return *text ? w->visit(w->ctx, &p, w->e) : 0;
}

static int at_fields(const struct walk *w, struct fields *f, const char *setting)
{
	for (size_t i = 0; i < f->count; i++)
		if (at_text(w, &f->item[i].value, PLACE_TEXT, setting) < 0)
			return -1;
	return 0;
}

static int at_rcpts(const struct walk *w, struct rcpts *l, const char *setting)
{
	for (size_t i = 0; i < l->count; i++)
		if (at_text(w, &l->item[i].address, PLACE_ADDRESS, setting) < 0 ||
		    at_text(w, &l->item[i].orcpt, PLACE_TEXT, setting) < 0)
			return -1;
	return 0;
}

static bool is_html(const char *type)
{
	return type && !strncasecmp(type, "text/html", 9) && (!type[9] || strchr("; \t", type[9]));
}

static const char *type_of(const struct fields *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (!strcasecmp(f->item[i].name, "content-type"))
			return f->item[i].value;
	return NULL;
}

static int at_content(const struct walk *w, struct content *c, const char *type, const char *setting)
{
	const struct place text = { .text = &c->data, .len = &c->len, .setting = setting,
				    .kind = is_html(type) ? PLACE_HTML : PLACE_TEXT };
	const struct place path = { .text = &c->path, .kind = PLACE_PATH, .setting = setting,
				    .confined = &c->confined };

	if (c->kind == CONTENT_TEXT && c->data)
		return w->visit(w->ctx, &text, w->e);
	return c->kind == CONTENT_FILE && c->path ? w->visit(w->ctx, &path, w->e) : 0;
}

static struct part_params *next_part(struct part_params *part, const struct part_params *root)
{
	if (part->first)
		return part->first;
	while (part != root && !part->next)
		part = part->parent;
	return part == root ? NULL : part->next;
}

static int at_parts(const struct walk *w, struct part_params *root)
{
	for (struct part_params *part = root; part; part = next_part(part, root))
		if (at_fields(w, &part->headers, "body") < 0 ||
		    at_content(w, &part->content, type_of(&part->headers), "body") < 0 ||
		    at_text(w, &part->preamble, PLACE_TEXT, "body") < 0 ||
		    at_text(w, &part->epilogue, PLACE_TEXT, "body") < 0)
			return -1;
	return 0;
}

static int at_attachments(const struct walk *w, struct attachments *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct attachment *a = &l->item[i];

		if (at_text(w, &a->filename, PLACE_TEXT, "attachments") < 0 ||
		    at_text(w, &a->content_id, PLACE_TEXT, "attachments") < 0 ||
		    at_content(w, &a->content, a->type ? a->type : type_of(&a->headers), "attachments") < 0 ||
		    at_fields(w, &a->headers, "attachments") < 0)
			return -1;
	}
	return 0;
}

static int each_place(struct mail_params *p, place_visit *visit, void *ctx, struct err *e)
{
	const struct walk w = { visit, ctx, e };
	const struct { char **text; enum place_kind kind; const char *setting; } texts[] = {
		{&p->subject, PLACE_TEXT, "subject"}, {&p->from, PLACE_ADDRESS, "from"},
		{&p->from_name, PLACE_TEXT, "from_name"}, {&p->sender, PLACE_ADDRESS, "sender"},
		{&p->envelope_from, PLACE_ADDRESS, "envelope_from"}, {&p->message_id, PLACE_TEXT, "message_id"},
		{&p->in_reply_to, PLACE_TEXT, "in_reply_to"}, {&p->references, PLACE_TEXT, "references"},
		{&p->dsn_envid, PLACE_TEXT, "dsn_envid"}, {&p->html, PLACE_HTML, "html"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (at_text(&w, texts[i].text, texts[i].kind, texts[i].setting) < 0)
			return -1;
	for (size_t i = 0; i < p->reply_to.count; i++)
		if (at_text(&w, &p->reply_to.item[i], PLACE_ADDRESS, "reply_to") < 0)
			return -1;
	if (at_rcpts(&w, &p->to, "to") < 0 || at_rcpts(&w, &p->cc, "cc") < 0 || at_rcpts(&w, &p->bcc, "bcc") < 0 ||
	    at_rcpts(&w, &p->rcpt, "rcpt") < 0 || at_fields(&w, &p->headers, "headers") < 0)
		return -1;
	return at_parts(&w, p->body) < 0 || at_attachments(&w, &p->attachments) < 0 ? -1 : 0;
}

/* ---- the template ---- */

/*
 * "{{name}} <{{address}}>", with or without quotes round the name: where the name ends, its first and its last octet
 * but one; false: it is something else.
 */
static bool split_address(const char *text, size_t *ret_from, size_t *ret_to, size_t *ret_address)
{
	size_t len = strlen(text), from = 0, to;
	const char *open;

	while (len && strchr(" \t", text[len - 1]))
		len--;
	if (!len || text[len - 1] != '>')
		return false;
	open = memrchr(text, '<', len);
	if (!open || open == text)
		return false;
	*ret_address = (size_t)(open - text);
	to = *ret_address;
	from = strspn(text, " \t");
	while (to > from && strchr(" \t", text[to - 1]))
		to--;
	if (to - from >= 2 && text[from] == '"' && text[to - 1] == '"') {
		from++;
		to--;
	}
	*ret_from = from;
	*ret_to = to;
	return to > from && memmem(text + from, to - from, "{{", 2);
}

static int compile(struct mustache **ret, const char *text, size_t len, struct err *e)
{
	if (!memmem(text, len, "{{", 2))
		return 0;
	return mustache_compile(ret, text, len, e);
}

static int compile_place(void *ctx, const struct place *p, struct err *e)
{
	struct merge *m = ctx;
	size_t from, to, address = 0;
	struct filling *f;
	int r = 0;

	m->list = list_more(m->list, m->n, &m->cap, sizeof(*m->list));
	f = &m->list[m->n++];
	if (p->kind == PLACE_ADDRESS && split_address(*p->text, &from, &to, &address))
		r = compile(&f->name, *p->text + from, to - from, e);
	if (r == 0)
		r = f->name ? mustache_compile(&f->text, *p->text + address, strlen(*p->text + address), e)
			    : compile(&f->text, *p->text, p->len ? *p->len : strlen(*p->text), e);
	if (r < 0)
		return err_wrap(e, "%s", p->setting);
	if (f->text && p->kind == PLACE_PATH && !m->has_files_dir)
		return err_set(e, ERR_USAGE, "%s: a path with {{...}} is opened beneath files_dir only, and there is "
			       "none", p->setting);
	return 0;
}

int merge_new(struct merge **ret, struct mail_params *p, struct err *e)
{
	CLEANUP(merge_freep) struct merge *m = xcalloc(1, sizeof(*m));

	if (p->message_file || p->read_recipients)
		return err_set(e, ERR_USAGE, "--data fills in what is composed; a ready message has no places for it");
	m->flags = p->batch.missing ? MUSTACHE_MISSING_EMPTY : 0;
	m->has_files_dir = p->files_dir;
	if (once_read_in(p, "body_file", "body", e) < 0 || once_read_in(p, "html_file", "html", e) < 0 ||
	    each_place(p, compile_place, m, e) < 0)
		return -1;
	*ret = m;
	m = NULL;
	return 0;
}

struct columns_check { const struct csv_header *header; char *missing; };

static void check_name(void *ctx, const char *name, size_t len)
{
	struct columns_check *c = ctx;

	if (!c->missing && !csv_has_column(c->header, name, len))
		c->missing = xmemdup0(name, len);
}

int merge_check_columns(const struct merge *m, const struct csv_header *h, struct err *e)
{
	struct columns_check c = { .header = h };
	char *columns, shown[256];

	if (m->flags & MUSTACHE_MISSING_EMPTY)
		return 0;
	for (size_t i = 0; i < m->n && !c.missing; i++) {
		if (m->list[i].name)
			mustache_names(m->list[i].name, check_name, &c);
		if (m->list[i].text)
			mustache_names(m->list[i].text, check_name, &c);
	}
	if (!c.missing)
		return 0;
	columns = csv_columns(h);
	utf8_escape(shown, sizeof(shown), c.missing, strlen(c.missing));
	err_set(e, ERR_DATA, "{{%s}}: the data have no such column (%s)", shown, columns);
	free(columns);
	free(c.missing);
	return -1;
}

/* ---- filling in ---- */

/* RFC 5322 3.2.4, so that nothing in it means anything to who reads addresses. */
static int add_quoted(struct buf *out, const char *name, size_t len, struct err *e)
{
	if (len && buf_adds(out, "\"") < 0)
		return err_set(e, ERR_DATA, "too long");
	for (size_t i = 0; i < len; i++)
		if (((name[i] == '"' || name[i] == '\\') && buf_add(out, "\\", 1) < 0) ||
		    buf_add(out, name + i, 1) < 0)
			return err_set(e, ERR_DATA, "too long");
	if (len && buf_adds(out, "\" ") < 0)
		return err_set(e, ERR_DATA, "too long");
	return 0;
}

/* What an address was made of may be one mailbox, or none. */
static int check_single(const char *text, struct err *e)
{
	struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
	unsigned n = 0;

	for (;;) {
		struct mailbox m = {0};
		int found = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL | ADDR_NULL, e);

		mailbox_clear(&m);
		if (found < 0)
			return -1;
		if (!found)
			return 0;
		if (found != ADDR_MAILBOX || ++n > 1)
			return err_set(e, ERR_DATA, "the data make more than one address of this entry");
	}
}

struct fill { const struct merge *m; size_t at; const struct value *row; struct buf text; };

static int fill_address(struct fill *f, const struct filling *with, struct err *e)
{
	CLEANUP(buf_clear) struct buf name = BUF_INIT(TEXT_MAX);
	const char *address;

	if (!with->name) {
		if (mustache_render(with->text, f->row, f->m->flags, &f->text, e) < 0)
			return -1;
		return f->text.data[strspn(f->text.data, " \t")] ? check_single(f->text.data, e) : 0;
	}
	if (mustache_render(with->name, f->row, f->m->flags, &name, e) < 0)
		return -1;
	if (memchr(name.data, '\r', name.len) || memchr(name.data, '\n', name.len))
		return err_set(e, ERR_DATA, "a name with a line break in it");
	if (add_quoted(&f->text, name.data, name.len, e) < 0)
		return -1;
	address = f->text.data + f->text.len;
	if (mustache_render(with->text, f->row, f->m->flags, &f->text, e) < 0)
		return -1;
	address = f->text.data + f->text.len - strlen(address);
	return check_single(f->text.data, e);
}

static int fill_place(void *ctx, const struct place *p, struct err *e)
{
	struct fill *f = ctx;
	const struct filling *with = &f->m->list[f->at++];
	unsigned html = p->kind == PLACE_HTML ? MUSTACHE_HTML : 0;
	size_t len;
	int r;

	if (!with->text)
		return 0;
	buf_reset(&f->text);
	r = p->kind == PLACE_ADDRESS ? fill_address(f, with, e)
				     : mustache_render(with->text, f->row, f->m->flags | html, &f->text, e);
	if (r < 0)
		return err_wrap(e, "%s", p->setting);
	if (!p->len && memchr(f->text.data, 0, f->text.len))
		return err_set(e, ERR_DATA, "%s: a NUL in the data", p->setting);
	free(*p->text);
	*p->text = xmemdup0(f->text.data, f->text.len);
	len = f->text.len;
	if (p->len)
		*p->len = len;
	if (p->confined)
		*p->confined = true;
	if (p->confined && !strcmp(*p->text, "-"))
		return err_set(e, ERR_DATA, "%s: the data make '-' of a path, which is no file", p->setting);
	return 0;
}

/* Entries that the data left empty are nobody. */
static void drop_empty(struct rcpts *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		struct rcpt_param *r = &l->item[i];

		if (r->address[strspn(r->address, " \t")]) {
			l->item[kept++] = *r;
			continue;
		}
		free(r->address);
		free(r->notify);
		free(r->orcpt);
	}
	l->count = kept;
}

int merge_fill(const struct merge *m, struct mail_params *p, const struct value *row, struct err *e)
{
	struct fill f = { .m = m, .row = row, .text = BUF_INIT(TEXT_MAX) };
	int r = each_place(p, fill_place, &f, e);

	buf_clear(&f.text);
	if (r < 0)
		return -1;
	drop_empty(&p->to);
	drop_empty(&p->cc);
	drop_empty(&p->bcc);
	drop_empty(&p->rcpt);
	return 0;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		mustache_free(m->list[i].text);
		mustache_free(m->list[i].name);
	}
	free(m->list);
	free(m);
}
