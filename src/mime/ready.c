/*
 * A ready message: its header read and put in order, a plan made of what its
 * body needs, two renderings offered. See ready.h and ready_plan.h.
 *
 * The header keeps its fields' octets and their order. Left out: Bcc and
 * Resent-Bcc. Written anew: fields with raw text beyond ASCII, or with a line
 * over 998 octets. Added at its end where they are missing: Date, From,
 * Message-ID, and MIME fields where the body needs them. Refused: what RFC 5322
 * 3.6 allows once, twice; whoever reads it would see one, and whoever filters it the other.
 */

#include "mime/ready.h"

#include "base/ascii.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "mime/head.h"
#include "mime/leaf.h"
#include "mime/lines.h"
#include "mime/ready_people.h"
#include "mime/ready_plan.h"
#include "mime/ready_source.h"
#include "model/mail_params.h"
#include "model/params_impl.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* encoded words take up to three times the room of what they encode */
enum { HEAD_MAX = 4 * BLOCK_MAX };

struct ready {
	struct message message;
	struct content content;         /* message_file */
	struct leaf *leaf;              /* where its octets are */
	bool headless;                  /* a text without a header is taken */
	struct source *raw;             /* being read: the header is, the body is not yet */
	struct lines lines;
	struct block block;             /* its header as read */
	struct ready_plan plan;
	struct buf head, head_seven;    /* with the empty line behind */
};

static void done_reading(struct ready *r)
{
	lines_clear(&r->lines);
	source_free(r->raw);
	r->raw = NULL;
}

static void ready_free_message(struct message *m)
{
	struct ready *r = (struct ready *)m;

	done_reading(r);
	leaf_free(r->leaf);
	block_clear(&r->block);
	ready_plan_clear(&r->plan);
	buf_clear(&r->head);
	buf_clear(&r->head_seven);
	free(m->message_id);
	free(r);
}

static int ready_open(struct message *m, bool seven, struct source **ret, struct err *e)
{
	struct ready *r = (struct ready *)m;
	const struct buf *head = seven ? &r->head_seven : &r->head;
	struct source *raw;

	if (seven && !m->needs.seven_possible)
		return err_set(e, ERR_DATA, "the message has octets over 127 where they cannot be encoded");
	if (leaf_raw(r->leaf, &raw, e) < 0)
		return -1;
	*ret = ready_source(raw, head->data, head->len, &r->plan, seven);
	return 0;
}

static int ready_verify(struct message *m, struct err *e)
{
	return leaf_verify(((struct ready *)m)->leaf, e);
}

static const struct message_ops ready_ops = {
	.open = ready_open, .verify = ready_verify, .free = ready_free_message,
};

/* Reading. */

/* The line with which an mbox file begins a message is no part of it (RFC 4155). */
static bool is_mbox_line(const struct line *line)
{
	size_t at = 5;

	if (line->at || line->len < 5 || memcmp(line->mem, "From ", 5))
		return false;
	while (at < line->len && strchr(" \t", line->mem[at]))
		at++;
	return at == line->len || line->mem[at] != ':';         /* "From :" is the field */
}

/*
 * Where a text without a header may come, "From the start" is its first line: only what ends like asctime(3), with a
 * time and a year, is of an mbox.
 */
static bool is_dated(const struct line *line)
{
	size_t end = line->len, digits = 0;

	while (end && line->mem[end - 1] == ' ')
		end--;
	while (digits < end && is_digit(line->mem[end - 1 - digits]))
		digits++;
	return digits == 4 && memchr(line->mem, ':', end);
}

static int read_header(struct ready *r, struct lines *lines, struct err *e)
{
	struct line line;
	bool mbox = false;
	int rc;

	while ((rc = lines_next(lines, &line, e)) > 0) {
		mbox = line.first ? is_mbox_line(&line) && (!r->headless || is_dated(&line)) : mbox;
		if (mbox)
			continue;
		if (line.first && line.last && !line.len)
			break;
		if (r->headless && !r->block.count && !line_is_field(&line)) {
			lines_put_back(lines, &line);
			break;
		}
		if (block_line(&r->block, &line, true, e) < 0)
			return -1;
	}
	if (rc < 0)
		return -1;
	if (!r->block.count && !r->headless)
		return err_set(e, ERR_DATA, rc || lines->at ? "has no header" : "is empty");
	return 0;
}

static int check_once(const struct block *b, struct err *e)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < b->count; i++) {
		CLEANUP(freep) char *name = xmemdup0(b->text.data + b->field[i].at, b->field[i].name_len);
		int single = field_single(name);

		/* several Bcc are met, and nobody will see them */
		if (single < 0 || !strcasecmp(name, "Bcc"))
			continue;
		if (seen & (UINT64_C(1) << single))
			return err_set(e, ERR_DATA, "has two %s fields", name);
		seen |= UINT64_C(1) << single;
	}
	return 0;
}

static int read_begin(struct ready *r, struct err *e)
{
	if (leaf_raw(r->leaf, &r->raw, e) < 0)
		return -1;
	lines_init(&r->lines, r->raw);
	if (read_header(r, &r->lines, e) < 0)
		return -1;
	return check_once(&r->block, e);
}

static int read_body(struct ready *r, struct err *e)
{
	if (ready_plan_make(&r->plan, &r->lines, &r->block, e) < 0)
		return -1;
	if (r->plan.unmeasured &&
	    (source_rewind(r->raw, e) < 0 || ready_measure(&r->plan, r->raw, e) < 0))
		return -1;
	done_reading(r);
	return 0;
}

/* The header. */

struct head_work {
	struct ready *r;
	const struct mail_params *p;
	const struct sysinfo *sys;
	struct buf *out;
	bool seven;
	bool encoded;           /* the body is, in this rendering, where it was not */
	/* what Content-Transfer-Encoding has to say instead of what it says; NULL: leave it; "": nothing */
	const char *cte;
};

static bool has(const struct ready *r, const char *name)
{
	for (size_t i = 0; i < r->block.count; i++)
		if (block_is(&r->block, &r->block.field[i], name))
			return true;
	return false;
}

/* Labels that carry octets over 127 (RFC 2045, 6.2). */
static bool says_eightbit(const struct ready *r)
{
	CLEANUP(freep) char *value = block_value(&r->block, "Content-Transfer-Encoding");
	const char *word = value ? value + strspn(value, " \t") : "";
	enum cte cte;

	return cte_by_name(&cte, word, strcspn(word, " \t;(")) == 0 && (cte == CTE_8BIT || cte == CTE_BINARY);
}

static void decide_encoding(struct head_work *h)
{
	const struct ready_plan *plan = &h->r->plan;

	h->encoded = h->seven ? plan->root_seven : plan->root_always;
	h->cte = NULL;
	if (h->encoded)
		h->cte = cte_name(plan->root_cte);
	else if (plan->root_leaf && plan->root_high && !says_eightbit(h->r))
		h->cte = "8bit";
	else if (!plan->root_leaf && h->seven && says_eightbit(h->r))
		h->cte = "";
}

static int put_field(struct head_work *h, const struct block_field *f, struct err *e)
{
	const struct block *b = &h->r->block;
	int r;

	if (block_is(b, f, "Bcc") || block_is(b, f, "Resent-Bcc"))
		return 0;
	if (h->cte && block_is(b, f, "Content-Transfer-Encoding"))
		return 0;
	r = people_put(h->out, b, f, h->p, e);
	if (r == 0)
		r = block_put(h->out, b, f, false, e);
	return r < 0 ? -1 : 0;
}

static int put_kept(struct head_work *h, struct err *e)
{
	const struct block *b = &h->r->block;

	for (size_t i = 0; i < b->count; i++)
		if (put_field(h, &b->field[i], e) < 0)
			return err_wrap(e, "header field %zu", i + 1);
	return 0;
}

/* From, Date and Message-ID (RFC 6409, 8: what a submission may add). */
static int put_missing(struct head_work *h, struct err *e)
{
	struct ready *r = h->r;

	if (!has(r, "Date") && head_date(h->out, h->p, h->sys, e) < 0)
		return -1;
	if (!has(r, "From") && head_from(h->out, h->p, e) < 0)
		return -1;
	if (!has(r, "Message-ID"))
		return header_raw(h->out, "Message-ID", r->message.message_id, e);
	return 0;
}

/* Text that says nothing about itself: what its octets show. */
static int put_mime(struct head_work *h, struct err *e)
{
	const struct ready_plan *plan = &h->r->plan;
	bool needed = h->cte && *h->cte;

	if (!needed && !(h->seven && plan->count))
		return 0;
	if (!has(h->r, "MIME-Version") && header_raw(h->out, "MIME-Version", "1.0", e) < 0)
		return -1;
	if (!needed)
		return 0;
	if (!has(h->r, "Content-Type")) {
		const char *beyond_ascii = plan->root_utf8 ? "utf-8" : "unknown-8bit";
		const char *charset = plan->root_high ? beyond_ascii : "us-ascii";
		const struct header_param param = { "charset", charset };

		if (header_params(h->out, "Content-Type", "text/plain", &param, 1, e) < 0)
			return -1;
	}
	return header_raw(h->out, "Content-Transfer-Encoding", h->cte, e);
}

static int put_header(struct head_work *h, struct err *e)
{
	decide_encoding(h);
	if (put_kept(h, e) < 0 || put_missing(h, e) < 0 || put_mime(h, e) < 0)
		return -1;
	return buf_adds(h->out, "\r\n") < 0 ? err_set(e, ERR_DATA, "the header is too long") : 0;
}

/* Its own, as it stands (the report's), or one made here. */
static int find_message_id(struct ready *r, const struct mail_params *p, const struct sysinfo *sys,
			   struct err *e)
{
	CLEANUP(freep) char *value = block_value(&r->block, "Message-ID");
	CLEANUP(freep) char *from = block_value(&r->block, "From");
	const char *at;
	size_t len;

	if (!value)
		return head_message_id(&r->message.message_id, p, from, sys, e);
	at = value + strspn(value, " \t");
	for (len = strlen(at); len && strchr(" \t", at[len - 1]); len--)
		;
	r->message.message_id = xmemdup0(at, len);
	return 0;
}

static int make_headers(struct ready *r, const struct mail_params *p, const struct sysinfo *sys,
			struct err *e)
{
	struct head_work h = { .r = r, .p = p, .sys = sys, .out = &r->head };

	if (find_message_id(r, p, sys, e) < 0 || put_header(&h, e) < 0)
		return -1;
	h.out = &r->head_seven;
	h.seven = true;
	return put_header(&h, e);
}

static void state_needs(struct ready *r)
{
	struct message_needs *needs = &r->message.needs;
	int64_t tail = ready_plan_ends_line(&r->plan, false) ? 0 : 2;
	int64_t tail_seven = ready_plan_ends_line(&r->plan, true) ? 0 : 2;

	needs->empty = !ready_plan_size(&r->plan, false);
	needs->smtputf8 = !ascii_only(r->head.data, r->head.len);
	needs->eightbit = r->plan.high;
	needs->seven_possible = r->plan.seven_possible;
	needs->size = (int64_t)(r->head.len + ready_plan_size(&r->plan, false)) + tail;
	needs->size_seven = needs->seven_possible ?
			    (int64_t)(r->head_seven.len + ready_plan_size(&r->plan, true)) + tail_seven : -1;
}

/* Taking in. */

bool ready_asked(const struct mail_params *p)
{
	return p->message_file || p->message.kind != CONTENT_NONE;
}

/* Its name in errors. */
static int wrap(const struct mail_params *p, struct err *e)
{
	if (p->message_file && strcmp(p->message_file, "-"))
		return err_wrap(e, "message_file '%s'", p->message_file);
	return err_wrap(e, "the message");
}

/* message_file as a content: "-" is standard input; a path from JSON or data stays beneath files_dir. */
static void ready_content(struct ready *r, const struct mail_params *p)
{
	r->content = (struct content){ .kind = CONTENT_FILE, .path = p->message_file,
				       .confined = mail_params_confined(p, "message_file") };
	if (p->message.kind != CONTENT_NONE)
		r->content = p->message;
}

static int take(struct ready *r, const struct mail_params *p, struct err *e)
{
	struct taken_fds taken = {0};
	/* Even with stream: nothing can be said of a message before it is read. */
	const struct leaf_taking how = { .files_dir = p->files_dir, .timeout_ms = p->server.timeout * 1000,
					 .slow_ms = p->server.max_time * 1000, .p = p,
					 .taken = &taken };
	int rc;

	ready_content(r, p);
	rc = leaf_take(&r->leaf, &r->content, &how, e);
	free(taken.fd);
	if (rc < 0)
		return -1;
	return read_begin(r, e) < 0 ? wrap(p, e) : 0;
}

int ready_take(struct ready **ret, const struct mail_params *p, struct err *e)
{
	CLEANUP(ready_freep) struct ready *r = xcalloc(1, sizeof(*r));

	r->message.ops = &ready_ops;
	r->head = r->head_seven = (struct buf)BUF_INIT(HEAD_MAX);
	block_init(&r->block);
	r->headless = p->headless;
	if (take(r, p, e) < 0)
		return -1;
	*ret = r;
	r = NULL;
	return 0;
}

/*
 * The recipients of a message that was sent on (RFC 5322 3.6.6): those of the first block of Resent- fields, and
 * nobody of the original's. A block ends where another field begins, or with the second field of a name.
 */
struct resent { size_t first, end; bool is; };

static bool is_resent(const struct block *b, const struct block_field *f)
{
	return f->name_len > 7 && !strncasecmp(b->text.data + f->at, "Resent-", 7);
}

static bool same_name(const struct block *b, const struct block_field *f, const struct block_field *g)
{
	return f->name_len == g->name_len &&
	       !strncasecmp(b->text.data + f->at, b->text.data + g->at, f->name_len);
}

static struct resent find_resent(const struct block *b)
{
	struct resent r = {0};

	while (r.first < b->count && !is_resent(b, &b->field[r.first]))
		r.first++;
	for (r.end = r.first; r.end < b->count && is_resent(b, &b->field[r.end]); r.end++) {
		const struct block_field *f = &b->field[r.end];

		for (size_t i = r.first; i < r.end; i++)
			if (same_name(b, f, &b->field[i]) && !block_is(b, f, "Resent-Bcc"))
				return r;
		r.is |= block_is(b, f, "Resent-To") || block_is(b, f, "Resent-Cc") ||
			block_is(b, f, "Resent-Bcc");
	}
	return r;
}

static void find_people(const struct block *b, size_t from, size_t end, const char *const names[5],
			struct found *ret)
{
	for (size_t i = from; i < end; i++) {
		const struct block_field *f = &b->field[i];

		if (block_is(b, f, names[0]) && !ret->from)
			ret->from = block_field_value(b, f);
		else if (block_is(b, f, names[1]) && !ret->sender)
			ret->sender = block_field_value(b, f);
		else if (block_is(b, f, names[2]) || block_is(b, f, names[3]) || block_is(b, f, names[4]))
			strlist_add(&ret->rcpts, block_field_value(b, f));
	}
}

void ready_found(const struct ready *r, struct found *ret)
{
	static const char *const names[] = { "From", "Sender", "To", "Cc", "Bcc" };
	static const char *const again[] = { "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc",
					     "Resent-Bcc" };
	const struct resent resent = find_resent(&r->block);

	ret->is = true;
	if (resent.is)
		find_people(&r->block, resent.first, resent.end, again, ret);
	else
		find_people(&r->block, 0, r->block.count, names, ret);
}

void ready_free(struct ready *r)
{
	if (r)
		message_free(&r->message);
}

int message_ready(struct message **ret, struct ready **taken, const struct mail_params *p,
		  const struct sysinfo *sys, struct err *e)
{
	CLEANUP(ready_freep) struct ready *r = *taken;

	*taken = NULL;
	if (!r && ready_take(&r, p, e) < 0)
		return -1;
	if (read_body(r, e) < 0 || make_headers(r, p, sys, e) < 0)
		return wrap(p, e);
	state_needs(r);
	*ret = &r->message;
	r = NULL;
	return 0;
}
