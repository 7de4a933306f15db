/*
 * What has to be changed in the body of a ready message; see ready_plan.h.
 *
 * A walk over its lines. The entity at hand is in its header, in a leaf's body, or in what nobody is shown:
 *
 *   where        a line is                    then
 *   IN_HEADER    a field's                    it is kept, in block
 *                the empty one: body_begin()  multipart: a level is pushed, IN_IGNORED (its preamble)
 *                                             message/rfc822: the header of that, IN_HEADER
 *                                             anything else: IN_LEAF
 *   IN_LEAF,     not a boundary               it is measured: stretch, scan
 *   IN_IGNORED
 *   any          an open level's boundary     entity_end(); IN_HEADER of the next part, or behind the closing
 *                                             one IN_IGNORED (the epilogue)
 *
 * What is edited is decided once, where an entity ends: leaf_end(), ignored_end(), header_keep(). "always":
 * no server may be given it as it is, so both renderings have the edit; else it is for the 7-bit one alone.
 * What cannot be edited (inside of something signed, say) is impossible(): there is no 7-bit rendering
 * then, and where it had to be always, no message.
 */

#include "mime/ready_plan.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>

enum {
	/*
	 * Multiparts inside of each other; what is deeper is one leaf. As many as Postfix looks into
	 * (mime_nesting_limit): every line that might be a boundary is compared with all that are open.
	 */
	DEPTH_MOST = 100,
	COMPARED_MOST = 100 * 1000 * 1000,      /* boundaries, with places inside of lines; see may_collide() */
	BOUNDARY_MOST = 200,            /* RFC 2046 5.1.1 says 70; longer ones are met */
	EDITS_MOST = 200000,
	TEXT_MOST = 64 * 1024 * 1024,   /* of all edits' texts */
};

/* An open multipart. */
struct level {
	char *boundary;
	size_t len;
	bool digest;                    /* its parts are message/rfc822 by default (RFC 2046 5.1.5) */
	bool locked, outer_locked;      /* its parts, it itself: inside of something signed */
};

enum where { IN_HEADER, IN_LEAF, IN_IGNORED };

/* A stretch of the input whose last line end may turn out to be a boundary's. */
struct stretch {
	uint64_t at, raw, canonical;
	unsigned pending;               /* octets of the line end that is not yet counted */
	bool any;
};

struct walk {
	struct ready_plan *plan;
	struct level *level;            /* the open multiparts, outermost first */
	size_t depth, cap;
	uint64_t compared;              /* see COMPARED_MOST */
	enum where where;
	/* the entity */
	bool root;                      /* it is the message itself */
	bool digest, locked;            /* of the level that it is a part of */
	struct block block;             /* its header */
	uint64_t header_at, header_raw, header_canonical;
	/* a leaf */
	bool is_text;                   /* text/... */
	bool fixed;                     /* may not be encoded (RFC 2045 6.4) */
	bool identity;                  /* is not encoded yet */
	enum cte encoding;              /* where it is; CTE_AUTO: in none that is known */
	bool collides;                  /* a soft line break in it might put a boundary at a line's start */
	/* the body so far, of a leaf or of what is ignored */
	struct stretch stretch;
	struct text_scan scan;          /* of what is encoded already only longest and high: light_feed() */
	uint64_t light_line;            /* octets of the line so far, there */
};

/* Edits. */

static struct edit *edit_add(struct ready_plan *p, const struct edit *what)
{
	if (p->count == EDITS_MOST || p->text_total > TEXT_MOST)
		return NULL;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 8;
		p->edit = xreallocarray(p->edit, p->cap, sizeof(*p->edit));
	}
	p->edit[p->count] = *what;
	return &p->edit[p->count++];
}

/* What cannot be mended: an error where it must be (@always), else there is no 7-bit rendering. */
static int impossible(struct ready_plan *p, bool always, const char *why, struct err *e)
{
	p->seven_possible = false;
	if (!always)
		return 0;
	return err_set(e, ERR_DATA, "has a line of more than 998 octets %s", why);
}

/* @text (taken) in the place of @stretch. */
static int edit_text(struct walk *w, const struct edit *stretch, struct buf *text, struct err *e)
{
	struct edit *edit = edit_add(w->plan, stretch);

	if (!edit)
		return impossible(w->plan, stretch->always, "and too many parts to mend", e);
	edit->cte = CTE_AUTO;
	edit->size = text->len;
	edit->ends_line = true;
	w->plan->text_total += text->len;
	edit->text = buf_take(text, NULL);
	return 0;
}

/* Headers. */

/*
 * The entity's header written anew; with @cte not CTE_AUTO its Content-Transfer-Encoding is that, @drop:
 * none. Not where a line is no field: for some readers the body begins there, and they would not see what is
 * said of it behind.
 */
static int header_rewrite(const struct walk *w, struct buf *out, enum cte cte, bool drop, struct err *e)
{
	for (size_t i = 0; i < w->block.count; i++) {
		const struct block_field *f = &w->block.field[i];

		if ((drop || cte != CTE_AUTO) && block_is(&w->block, f, "Content-Transfer-Encoding"))
			continue;
		if (cte != CTE_AUTO && !f->name_len)
			return err_set(e, ERR_DATA, "a header has a line that is not a field");
		if (block_put(out, &w->block, f, true, e) < 0)
			return -1;
	}
	return cte == CTE_AUTO ? 0 : header_raw(out, "Content-Transfer-Encoding", cte_name(cte), e);
}

static int header_edit(struct walk *w, bool always, enum cte cte, bool drop, struct err *e)
{
	const struct edit header = { .at = w->header_at, .raw = w->header_raw,
				     .canonical = w->header_canonical, .always = always };
	struct buf text = BUF_INIT(2 * BLOCK_MAX);
	struct err ignored = ERR_INIT;
	int rc;

	if (header_rewrite(w, &text, cte, drop, &ignored) < 0)
		rc = impossible(w->plan, always, "in a header that cannot be folded or encoded", e);
	else
		rc = edit_text(w, &header, &text, e);
	err_clear(&ignored);
	buf_clear(&text);
	return rc;
}

/* The header of an entity whose body stays as it is. @label: a composite one that says 8bit or binary. */
static int header_keep(struct walk *w, bool label, struct err *e)
{
	bool always = w->block.overlong;

	if (!always)
		w->plan->high += w->block.high;
	if (w->root || (!always && !w->block.high && !label))
		return 0;
	if (w->locked) {
		if (always || w->block.high)
			return impossible(w->plan, always, "inside of something signed or encrypted", e);
		return 0;
	}
	return header_edit(w, always, CTE_AUTO, label && !always, e);
}

/* Stretches. */

static void stretch_begin(struct walk *w)
{
	w->stretch = (struct stretch){0};
	w->light_line = 0;
	w->collides = false;
	scan_init(&w->scan);
}

/*
 * What is encoded already is only looked at for what must be mended: most of a big message, and rarely
 * anything.
 */
static void light_feed(struct walk *w, const char *mem, size_t len)
{
	w->light_line += len;
	if (w->light_line > w->scan.longest)
		w->scan.longest = w->light_line;
	w->scan.high += count_high(mem, len);
}

static void stretch_feed(struct walk *w, const char *mem, size_t len)
{
	if (w->where == IN_LEAF && !w->identity)
		light_feed(w, mem, len);
	else
		scan_feed(&w->scan, mem, len);
}

/* The line end before turned out to be inside. */
static void stretch_settle(struct walk *w)
{
	struct stretch *s = &w->stretch;

	if (!s->pending)
		return;
	if (w->where == IN_LEAF && !w->identity)
		w->light_line = 0;
	else
		scan_feed(&w->scan, "\r\n", 2);
	s->raw += s->pending;
	s->canonical += 2;
	s->pending = 0;
}

/*
 * An open boundary inside of @line, where quoted-printable might break it. Fragments are not looked into,
 * nor is anything where too much was: base64 collides with nothing.
 */
static bool may_collide(struct walk *w, const struct line *line)
{
	const char *at = line->mem, *end = line->mem + line->len;

	if (!w->depth)
		return false;
	if (!line->first || !line->last)
		return true;
	while ((at = memmem(at, (size_t)(end - at), "--", 2))) {
		at++;
		w->compared += w->depth;
		if (w->compared > COMPARED_MOST)
			return true;
		for (size_t i = 0; i < w->depth; i++)
			if ((size_t)(end - at) > w->level[i].len &&
			    !memcmp(at + 1, w->level[i].boundary, w->level[i].len))
				return true;
	}
	return false;
}

static void stretch_line(struct walk *w, const struct line *line)
{
	struct stretch *s = &w->stretch;

	if (w->where == IN_LEAF && w->is_text && w->identity && !w->collides)
		w->collides = may_collide(w, line);
	stretch_settle(w);
	if (!s->any)
		s->at = line->at;
	s->any = true;
	stretch_feed(w, line->mem, line->len);
	s->raw += line->len;
	s->canonical += line->len;
	s->pending = line->end;
}

/* Leaves. */

static int leaf_edit(struct walk *w, bool always, bool ends_line, struct err *e)
{
	const struct stretch *s = &w->stretch;
	enum cte cte = w->is_text && !w->collides ? cte_choose(&w->scan) : CTE_BASE64;
	struct edit edit = { .at = s->at, .raw = s->raw, .canonical = s->canonical, .always = always,
			     .cte = cte };

	edit.size = cte == CTE_QP ? w->scan.qp : w->scan.base64;
	edit.ends_line = cte == CTE_QP && ends_line;
	if (w->root) {
		w->plan->root_always = always;
		w->plan->root_seven = true;
		w->plan->root_cte = cte;
	} else if (header_edit(w, always, cte, false, e) < 0) {
		return -1;
	}
	if (!edit_add(w->plan, &edit))
		return impossible(w->plan, always, "and too many parts to mend", e);
	return 0;
}

/* The label is right, or nearly. */
static int leaf_repair(struct walk *w, bool always, bool ends_line, struct err *e)
{
	const struct stretch *s = &w->stretch;
	const struct edit edit = { .at = s->at, .raw = s->raw, .canonical = s->canonical, .always = always,
				   .repair = true,
				   .cte = w->encoding, .ends_line = w->encoding == CTE_QP && ends_line };

	if (w->encoding == CTE_AUTO)
		return impossible(w->plan, always, "in a part whose encoding is not known", e);
	if (header_keep(w, false, e) < 0)
		return -1;
	if (!edit_add(w->plan, &edit))
		return impossible(w->plan, always, "and too many parts to mend", e);
	w->plan->unmeasured = true;
	return 0;
}

static int leaf_end(struct walk *w, bool ends_line, struct err *e)
{
	bool always, high;

	if (w->identity)
		scan_end(&w->scan);
	high = w->scan.high;
	/* A header that must be written anew says what the body is in both renderings. */
	always = w->scan.longest > BLOCK_LINE_MOST || (high && !w->root && !w->locked && w->block.overlong);
	if (w->root) {
		w->plan->root_utf8 = w->scan.utf8;
		w->plan->root_high = high && w->identity;
	}
	if (!always)
		w->plan->high += w->scan.high;
	if (!always && !high)
		return header_keep(w, false, e);
	if (w->locked)
		return impossible(w->plan, always || w->block.overlong,
				  "inside of something signed or encrypted", e);
	if (w->fixed)
		return impossible(w->plan, always, "in a part that may not be encoded", e);
	if (!w->identity)
		return leaf_repair(w, always, ends_line, e);
	return leaf_edit(w, always, ends_line, e);
}

/* Preamble and epilogue: left out where they cannot be sent. */
static int ignored_end(struct walk *w, struct err *e)
{
	const struct stretch *s = &w->stretch;
	bool always, high;
	struct buf nothing = BUF_INIT(1);
	struct edit where;

	scan_end(&w->scan);
	always = w->scan.longest > BLOCK_LINE_MOST;
	high = w->scan.high;
	if (!always)
		w->plan->high += w->scan.high;
	if (!always && !high)
		return 0;
	if (w->locked)
		return impossible(w->plan, always, "inside of something signed or encrypted", e);
	/* With its last line end, which is a boundary's: the line before it has its own. */
	where = (struct edit){ .at = s->at, .raw = s->raw + s->pending,
			       .canonical = s->canonical + (s->pending ? 2 : 0),
			       .always = always };
	return edit_text(w, &where, &nothing, e);
}

/* Entities. */

static void level_push(struct walk *w, char *boundary, bool digest, bool signed_)
{
	if (w->depth == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->level = xreallocarray(w->level, w->cap, sizeof(*w->level));
	}
	w->level[w->depth++] = (struct level){ .boundary = boundary, .len = strlen(boundary),
					       .digest = digest,
					       .locked = w->locked || signed_, .outer_locked = w->locked };
}

static void header_begin(struct walk *w, uint64_t at, bool digest, bool locked)
{
	block_reset(&w->block);
	w->where = IN_HEADER;
	w->root = false;
	w->digest = digest;
	w->locked = locked;
	w->header_at = at;
	w->header_raw = w->header_canonical = 0;
}

static enum cte block_cte(const struct block *b, bool *ret_known)
{
	CLEANUP(freep) char *value = block_value(b, "Content-Transfer-Encoding");
	enum cte cte = CTE_7BIT;
	const char *word;

	*ret_known = true;
	if (!value)
		return cte;
	word = value + strspn(value, " \t");
	*ret_known = cte_by_name(&cte, word, strcspn(word, " \t;(")) == 0;
	return cte;
}

/*
 * "type/subtype" in lower case (malloc) at the start of a field whose parameters cannot be read; NULL:
 * there is none. Readers go by it whatever stands behind: "name=a b.pdf" without quotes is often met.
 */
static char *type_word(const char *value)
{
	const char *at = value + strspn(value, " \t");
	const size_t len = strcspn(at, " \t;,(\""), major = strcspn(at, "/");
	char *type;

	if (!major || major + 1 >= len)
		return NULL;
	type = xmemdup0(at, len);
	for (char *c = type; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
	return type;
}

/*
 * The type in lower case (malloc), by RFC 2045 5.2 where there is none, or none that can be read. *ret_value:
 * the field.
 */
static char *block_type(const struct walk *w, char **ret_value)
{
	struct err ignored = ERR_INIT;
	char *type = NULL;

	*ret_value = block_value(&w->block, "Content-Type");
	if (*ret_value && media_type_parse(&type, *ret_value, &ignored) < 0)
		type = type_word(*ret_value);
	err_clear(&ignored);
	if (type)
		return type;
	return xstrdup(w->digest && !*ret_value ? "message/rfc822" : "text/plain");
}

/* Does a multipart open here? Then its level is pushed. */
static bool multipart_begin(struct walk *w, const char *type, const char *value)
{
	char *boundary;

	if (strncmp(type, "multipart/", 10) || w->depth == DEPTH_MOST || !w->identity)
		return false;
	boundary = media_type_param(value, "boundary");
	/*
	 * Beyond ASCII it is against RFC 2046 5.1.1, and the lines that have it could not be 7-bit: one
	 * leaf.
	 */
	if (!boundary || !*boundary || strlen(boundary) > BOUNDARY_MOST ||
	    !ascii_only(boundary, strlen(boundary))) {
		free(boundary);
		return false;
	}
	level_push(w, boundary, !strcmp(type, "multipart/digest"),
		   !strcmp(type, "multipart/signed") || !strcmp(type, "multipart/encrypted"));
	return true;
}

/* The header is whole; the body begins at input offset @at. */
static int body_begin(struct walk *w, uint64_t at, struct err *e)
{
	CLEANUP(freep) char *value = NULL, *type = NULL;
	bool known, label;
	enum cte cte = block_cte(&w->block, &known);

	type = block_type(w, &value);
	w->identity = known && cte != CTE_QP && cte != CTE_BASE64;
	label = known && (cte == CTE_8BIT || cte == CTE_BINARY);
	stretch_begin(w);
	if (multipart_begin(w, type, value)) {
		w->where = IN_IGNORED;
		return header_keep(w, label, e);
	}
	if (w->identity && (!strcmp(type, "message/rfc822") || !strcmp(type, "message/global"))) {
		if (header_keep(w, label, e) < 0)
			return -1;
		header_begin(w, at, false, w->locked);
		return 0;
	}
	w->where = IN_LEAF;
	w->encoding = known ? cte : CTE_AUTO;
	w->is_text = !strncmp(type, "text/", 5);
	w->fixed = !strncmp(type, "multipart/", 10) || !strncmp(type, "message/", 8);
	w->plan->root_leaf |= w->root;
	return 0;
}

/* The entity ends: at a boundary, or with the message. */
static int entity_end(struct walk *w, bool at_boundary, struct err *e)
{
	bool ends_line;

	if (w->where == IN_HEADER)
		return header_keep(w, false, e);
	ends_line = w->stretch.pending;
	if (!at_boundary)
		stretch_settle(w);
	if (w->where == IN_IGNORED)
		return ignored_end(w, e);
	return leaf_end(w, !at_boundary && ends_line, e);
}

/* The level whose boundary @line is, or -1. *ret_close: its closing one. Innermost first. */
static long boundary_level(const struct walk *w, const struct line *line, bool *ret_close)
{
	const char *text = line->mem + 2, *end = line->mem + line->len;

	if (!line->first || !line->last || line->len < 3 || memcmp(line->mem, "--", 2))
		return -1;
	for (size_t i = w->depth; i--; ) {
		const struct level *l = &w->level[i];
		const char *at = text + l->len;

		if ((size_t)(end - text) < l->len || memcmp(text, l->boundary, l->len))
			continue;
		*ret_close = end - at >= 2 && !memcmp(at, "--", 2);
		for (at += *ret_close ? 2 : 0; at < end && (*at == ' ' || *at == '\t'); at++)
			;
		if (at == end)
			return (long)i;
	}
	return -1;
}

static void level_pop_to(struct walk *w, size_t depth)
{
	while (w->depth > depth)
		free(w->level[--w->depth].boundary);
}

/* The white space behind a boundary (RFC 2046 5.1.1: padding of a transport) that makes its line too long. */
static int boundary_trim(struct walk *w, const struct line *line, const struct level *l, bool close,
			 struct err *e)
{
	const struct edit where = { .at = line->at, .raw = line->len + line->end,
				    .canonical = line->len + (line->end ? 2 : 0), .always = true };
	struct buf text = BUF_INIT(BLOCK_LINE_MOST);

	if (line->len <= BLOCK_LINE_MOST)
		return 0;
	if (l->outer_locked)
		return impossible(w->plan, true, "inside of something signed or encrypted", e);
	if (buf_addf(&text, "--%s%s\r\n", l->boundary, close ? "--" : "") < 0)
		return err_set(e, ERR_SOFTWARE, "a boundary is longer than a line");
	return edit_text(w, &where, &text, e);
}

static int boundary_line(struct walk *w, const struct line *line, size_t level, bool close, struct err *e)
{
	if (entity_end(w, true, e) < 0 || boundary_trim(w, line, &w->level[level], close, e) < 0)
		return -1;
	level_pop_to(w, level + 1);
	if (!close) {
		header_begin(w, line->at + line->len + line->end, w->level[level].digest,
			     w->level[level].locked);
		return 0;
	}
	w->locked = w->level[level].outer_locked;
	w->root = false;
	level_pop_to(w, level);
	w->where = IN_IGNORED;
	stretch_begin(w);
	return 0;
}

static int header_line(struct walk *w, const struct line *line, struct err *e)
{
	if (line->first && line->last && !line->len)
		return body_begin(w, line->at + line->end, e);
	if (block_line(&w->block, line, false, e) < 0)
		return -1;
	w->header_raw += line->len + line->end;
	w->header_canonical += line->len + (line->end ? 2 : 0);
	return 0;
}

static int walk_line(struct walk *w, const struct line *line, struct err *e)
{
	bool close;
	long level = boundary_level(w, line, &close);

	w->plan->raw += line->len + line->end;
	w->plan->canonical += line->len + (line->end ? 2 : 0);
	w->plan->ends_line = line->end;
	if (level >= 0)
		return boundary_line(w, line, (size_t)level, close, e);
	if (w->where == IN_HEADER)
		return header_line(w, line, e);
	stretch_line(w, line);
	return 0;
}

static int walk_all(struct walk *w, struct lines *lines, struct err *e)
{
	struct line line;
	int rc;

	if (body_begin(w, w->plan->body_at, e) < 0)
		return -1;
	while ((rc = lines_next(lines, &line, e)) > 0)
		if (walk_line(w, &line, e) < 0)
			return -1;
	return rc < 0 ? -1 : entity_end(w, false, e);
}

int ready_plan_make(struct ready_plan *ret, struct lines *lines, const struct block *head, struct err *e)
{
	struct ready_plan plan = { .body_at = lines->at, .ends_line = true, .seven_possible = true };
	struct walk w = { .plan = &plan, .root = true };
	int rc;

	/* The walk's own copy: nested headers take its place. */
	block_init(&w.block);
	w.block.count = w.block.cap = head->count;
	w.block.field = xreallocarray(NULL, head->count + 1, sizeof(*head->field));
	if (head->count)
		memcpy(w.block.field, head->field, head->count * sizeof(*head->field));
	rc = buf_add(&w.block.text, head->text.data, head->text.len);
	if (rc == 0)
		rc = walk_all(&w, lines, e);
	level_pop_to(&w, 0);
	free(w.level);
	block_clear(&w.block);
	if (rc < 0) {
		ready_plan_clear(&plan);
		return -1;
	}
	*ret = plan;
	return 0;
}

void ready_plan_clear(struct ready_plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->edit[i].text);
	free(p->edit);
	p->edit = NULL;
	p->count = 0;
}

uint64_t ready_plan_size(const struct ready_plan *p, bool seven)
{
	uint64_t size = p->canonical;

	for (size_t i = 0; i < p->count; i++)
		if (seven || p->edit[i].always)
			size += p->edit[i].size - p->edit[i].canonical;
	return size;
}

bool ready_plan_ends_line(const struct ready_plan *p, bool seven)
{
	for (size_t i = p->count; i--; ) {
		const struct edit *edit = &p->edit[i];

		if (edit->at + edit->raw < p->body_at + p->raw)
			break;
		if (seven || edit->always)
			return edit->ends_line;
	}
	return p->ends_line;
}
