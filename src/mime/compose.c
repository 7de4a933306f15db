/*
 * From what was asked to what will be sent: the structure by need, the
 * recursive form as it was given, and the message that keeps the tree.
 *
 * The tree is made once; each opening walks it anew, and its leaves make
 * their sources when the walk gets there.
 */

#include "mime/compose.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "mime/entity.h"
#include "mime/head.h"
#include "mime/leaf.h"
#include "mime/part.h"
#include "mime/ready.h"
#include "mime/stream.h"
#include "model/mail_params.h"
#include "text/date.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct composed {
	struct message message;
	struct part *root;
	struct leaf *leaves, **leaves_end;
	/* while composing */
	const struct mail_params *p;
	const struct sysinfo *sys;
	struct taken_fds taken;
	struct leaf_taking taking;
	struct content body_file, html;         /* what the settings of one word mean */
};

static const struct fields no_fields;

static void composed_free(struct message *m)
{
	struct composed *c = (struct composed *)m;
	struct leaf *l;

	while ((l = c->leaves)) {
		c->leaves = l->next;
		leaf_free(l);
	}
	part_free(c->root);
	free(c->taken.fd);
	free(m->message_id);
	free(c);
}

static int composed_open(struct message *m, bool seven, struct source **ret, struct err *e)
{
	(void)seven;            /* the same octets */
	(void)e;
	*ret = mime_stream_borrow(((struct composed *)m)->root);
	return 0;
}

static int composed_verify(struct message *m, struct err *e)
{
	for (const struct leaf *l = ((struct composed *)m)->leaves; l; l = l->next)
		if (leaf_verify(l, e) < 0)
			return -1;
	return 0;
}

static const struct message_ops composed_ops = {
	.open = composed_open, .verify = composed_verify, .free = composed_free,
};

/*
 * "=_" cannot be in base64 or quoted-printable; 26 letters of 5 bits are 130 bits, so that it is in nothing
 * else either.
 */
static void make_boundary(const struct sysinfo *sys, char out[static 40])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char bits[26];
	char *at = out;

	sys->random(bits, sizeof(bits));
	*at++ = '=';
	*at++ = '_';
	for (size_t i = 0; i < sizeof(bits); i++)
		*at++ = letters[bits[i] & 31];
	*at = '\0';
}

static int add_leaf(struct composed *c, const struct entity *want, struct part **ret, struct err *e)
{
	struct leaf *l;

	if (entity_leaf(ret, &l, want, &c->taking, e) < 0)
		return -1;
	*c->leaves_end = l;
	c->leaves_end = &l->next;
	c->message.needs.once |= leaf_is_stream(l);
	return 0;
}

static int add_multipart(struct composed *c, const struct entity *want, struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *part = NULL;
	char boundary[40];

	make_boundary(c->sys, boundary);
	part = part_multipart(boundary);
	if (entity_multipart(&part->header, want, boundary, e) < 0)
		return -1;
	*ret = part;
	part = NULL;
	return 0;
}

/* One of the multiparts that nobody wrote, round @first (owned; NULL: empty so far). */
static int wrap(struct composed *c, const char *type, struct part *first, struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *owned = first;
	const struct entity want = { .type = type };

	if (add_multipart(c, &want, ret, e) < 0)
		return -1;
	if (owned)
		part_append(*ret, owned);
	owned = NULL;
	return 0;
}

/* The recursive form. */

/*
 * Preamble or epilogue: nothing encodes them, so they must be 7bit as they are. *ret: CRLF between lines,
 * none at the end.
 */
static int canonical_text(char **ret, const char *text, const char *what, struct err *e)
{
	CLEANUP(source_freep) struct source *s = NULL;
	struct buf out = BUF_INIT(PART_HEADER_MAX);

	if (!text)
		return 0;
	s = encode_source(CTE_7BIT, true, source_bytes(text, strlen(text)), -1);
	if (source_drain(s, &out, e) < 0) {
		buf_clear(&out);
		return err_wrap(e, "%s", what);
	}
	if (out.len >= 2 && out.data[out.len - 1] == '\n')
		out.data[out.len -= 2] = '\0';
	*ret = buf_take(&out, NULL);
	return 0;
}

static int node_parts(struct composed *c, const struct part_params *pp, const struct entity *want,
		      struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *part = NULL;

	if (!pp->first)
		return err_set(e, ERR_DATA, "a multipart needs at least one part (RFC 2046, 5.1.1)");
	if (add_multipart(c, want, &part, e) < 0)
		return -1;
	if (canonical_text(&part->preamble, pp->preamble, "preamble", e) < 0 ||
	    canonical_text(&part->epilogue, pp->epilogue, "epilogue", e) < 0)
		return -1;
	*ret = part;
	part = NULL;
	return 0;
}

static int node_make(struct composed *c, const struct part_params *pp, struct entity *want, struct part **ret,
		     struct err *e)
{
	want->encoded = pp->encoded;
	want->charset = c->p->charset;
	if (pp->content.kind == CONTENT_PARTS) {
		want->type = "multipart/mixed";
		return node_parts(c, pp, want, ret, e);
	}
	want->content = &pp->content;
	want->type = "text/plain";
	return add_leaf(c, want, ret, e);
}

/*
 * Depth first, by links: @above is the part of @pp's parent. @want is for the root, whose fields may be the
 * message's.
 */
static int body_tree(struct composed *c, const struct part_params *root, const struct entity *root_want,
		     struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *top = NULL;
	struct part *above = NULL, *part;
	const struct part_params *pp = root;

	for (;;) {
		struct entity want = { .fields = { { &pp->headers } } };

		if (pp == root)
			want = *root_want;
		if (node_make(c, pp, &want, &part, e) < 0)
			return -1;
		if (above)
			part_append(above, part);
		else
			top = part;
		if (pp->first && pp->content.kind == CONTENT_PARTS) {
			above = part;
			pp = pp->first;
			continue;
		}
		while (pp != root && !pp->next) {
			pp = pp->parent;
			above = above->parent;
		}
		if (pp == root)
			break;
		pp = pp->next;
	}
	*ret = top;
	top = NULL;
	return 0;
}

/* What there is. */

static bool has_html(const struct mail_params *p)
{
	return p->html || p->html_file;
}

static bool has_body(const struct mail_params *p)
{
	return p->body_file || (p->body && (p->body->content.kind != CONTENT_NONE || p->body->headers.count));
}

/*
 * Shown inside of the HTML, and so beside it in multipart/related (RFC 2387): what has a name for that,
 * unless somebody said that it is an attachment.
 */
static bool is_related(const struct mail_params *p, const struct attachment *a)
{
	const struct field_lists fields = { { &a->headers } };

	if (!has_html(p) || !a->content_id)
		return false;
	return a->disposition ? !strcasecmp(a->disposition, "inline") :
				!fields_find(&fields, "Content-Disposition");
}

static size_t count_related(const struct mail_params *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->attachments.count; i++)
		n += is_related(p, &p->attachments.item[i]);
	return n;
}

static int add_body(struct composed *c, bool root, struct part **ret, struct err *e)
{
	const struct mail_params *p = c->p;
	struct entity want = { .fields = { { &p->headers } }, .head_lists = root ? 2 : 1,
			       .charset = p->charset,
			       .cte = (enum cte)p->encoding, .type = "text/plain" };
	int rc;

	if (p->body_file) {
		c->body_file = (struct content){ .kind = CONTENT_FILE, .path = p->body_file,
						 .confined = mail_params_confined(p, "body_file") };
		want.content = &c->body_file;
		rc = add_leaf(c, &want, ret, e);
	} else {
		want.fields.list[1] = p->body ? &p->body->headers : NULL;
		rc = p->body ? body_tree(c, p->body, &want, ret, e) : add_leaf(c, &want, ret, e);
	}
	if (rc < 0 && strncmp(e->text, "headers:", 8))  /* the message's own fields are not the body's */
		err_wrap(e, "body");
	return rc;
}

static int add_html(struct composed *c, struct part **ret, struct err *e)
{
	const struct mail_params *p = c->p;
	bool described = !has_body(p);          /* then Content-... fields of the settings are for it */
	struct entity want = { .fields = { { described ? &p->headers : &no_fields } }, .head_lists = 1,
			       .charset = p->charset, .cte = (enum cte)p->encoding, .type = "text/html" };

	c->html = p->html_file ? (struct content){ .kind = CONTENT_FILE, .path = p->html_file,
						   .confined = mail_params_confined(p, "html_file") }
			       : (struct content){ .kind = CONTENT_TEXT, .data = p->html,
						   .len = strlen(p->html) };
	want.content = &c->html;
	return add_leaf(c, &want, ret, e) < 0 ? err_wrap(e, "html") : 0;
}

static int add_attachment(struct composed *c, const struct attachment *a, struct part *to, struct err *e)
{
	const struct entity want = { .content = &a->content, .fields = { { &a->headers } },
				     .cte = a->encoding,
				     .encoded = a->encoded, .attachment = a,
				     .related = is_related(c->p, a) };
	struct part *part;

	if (add_leaf(c, &want, &part, e) < 0) {
		const char *name = a->filename ? a->filename : a->content.path;

		return name ? err_wrap(e, "attachment '%s'", name) :
			      err_wrap(e, "attachment %zu", (size_t)(a - c->p->attachments.item) + 1);
	}
	part_append(to, part);
	return 0;
}

static int add_attachments(struct composed *c, bool related, struct part *to, struct err *e)
{
	const struct attachments *all = &c->p->attachments;

	for (size_t i = 0; i < all->count; i++)
		if (is_related(c->p, &all->item[i]) == related && add_attachment(c, &all->item[i], to, e) < 0)
			return -1;
	return 0;
}

/* Content-IDs, each once in a message (RFC 2045, 7): "cid:" would not know which. */

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_ids(char **ids, size_t n, struct err *e)
{
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(ids[i - 1], ids[i]))
			return err_set(e, ERR_DATA, "attachments: content_id '%s' is there twice", ids[i]);
	return 0;
}

static int check_content_ids(const struct attachments *all, struct err *e)
{
	char **ids = xcalloc(all->count + 1, sizeof(*ids));
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < all->count && rc == 0; i++) {
		if (!all->item[i].content_id)
			continue;
		if (content_id_parse(&ids[n], all->item[i].content_id, e) < 0)
			rc = err_wrap(e, "content_id");
		else
			n++;
	}
	if (rc == 0)
		rc = check_ids(ids, n, e);
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
	return rc;
}

/* The structure. */

/* HTML, with what is shown inside of it. */
static int make_html(struct composed *c, size_t related, struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *html = NULL, *outer = NULL;

	if (add_html(c, &html, e) < 0)
		return -1;
	if (related) {
		struct part *inner = html;

		html = NULL;
		if (wrap(c, "multipart/related; type=\"text/html\"", inner, &outer, e) < 0 ||
		    add_attachments(c, true, outer, e) < 0)
			return -1;
	}
	*ret = outer ? outer : html;
	html = outer = NULL;
	return 0;
}

/*
 * What is read: the text, the HTML, or a choice of both. NULL where there is neither. @root: nothing will be
 * around it.
 */
static int make_readable(struct composed *c, bool root, size_t related, struct part **ret, struct err *e)
{
	CLEANUP(part_freep) struct part *both = NULL;
	bool text = has_body(c->p), html = has_html(c->p);
	struct part *part;

	if (!html)
		return text || root ? add_body(c, root, ret, e) : 0;
	if (!text)
		return make_html(c, related, ret, e);
	if (add_body(c, false, &part, e) < 0 || wrap(c, "multipart/alternative", part, &both, e) < 0)
		return -1;
	if (make_html(c, related, &part, e) < 0)
		return -1;
	part_append(both, part);
	*ret = both;
	both = NULL;
	return 0;
}

/* Content-... among the settings' headers describes a body; attachments have headers of their own. */
static int check_described(const struct mail_params *p, struct err *e)
{
	const struct field_lists f = { { &p->headers } };
	const struct field *field;
	size_t i = 0;

	while ((field = fields_next(&f, &i)))
		if (field_is_content(field->name))
			return err_set(e, ERR_DATA, "headers: %s describes a body, and there is none",
				       field->name);
	return 0;
}

static int make_tree(struct composed *c, struct err *e)
{
	const struct mail_params *p = c->p;
	CLEANUP(part_freep) struct part *readable = NULL;
	size_t related = count_related(p), rest = p->attachments.count - related;
	struct part *inner;

	if (check_content_ids(&p->attachments, e) < 0)
		return -1;
	if (rest && !has_body(p) && !has_html(p) && check_described(p, e) < 0)
		return -1;
	if (make_readable(c, !rest, related, &readable, e) < 0)
		return -1;
	inner = readable;
	readable = NULL;
	if (!rest) {
		c->root = inner;
		return 0;
	}
	if (wrap(c, "multipart/mixed", inner, &c->root, e) < 0)
		return -1;
	return add_attachments(c, false, c->root, e);
}

/* Is the recursive form's root the message's, so that its fields are? */
static bool body_is_root(const struct mail_params *p)
{
	return p->body && !p->body_file && !has_html(p) && !p->attachments.count;
}

/* The message's fields before those of the root. */
static int put_head(struct composed *c, struct err *e)
{
	const struct fields *of_root = body_is_root(c->p) ? &c->p->body->headers : NULL;
	const struct field_lists custom = { { &c->p->headers, of_root } };
	struct buf head = BUF_INIT(PART_HEADER_MAX);

	/* what most headers have, at once */
	if (buf_reserve(&head, 1000) < 0 || fields_check(&custom, e) < 0 ||
	    head_write(&head, &c->message.message_id, c->p, &custom, c->sys, e) < 0 ||
	    (buf_add(&head, c->root->header.data, c->root->header.len) < 0 &&
	     err_set(e, ERR_DATA, "the header is over %d octets", PART_HEADER_MAX))) {
		buf_clear(&head);
		return -1;
	}
	buf_clear(&c->root->header);
	c->root->header = head;
	return 0;
}

/* Every header is ASCII but for an address whose local part is not (RFC 6532). */
static bool tree_is_ascii(const struct part *root)
{
	const struct part *p = root;

	while (p) {
		if (!ascii_only(p->header.data, p->header.len))
			return false;
		if (p->first) {
			p = p->first;
			continue;
		}
		while (p != root && !p->next)
			p = p->parent;
		p = p == root ? NULL : p->next;
	}
	return true;
}

/* A text of no octet, and nothing beside it. */
static bool is_empty(const struct composed *c)
{
	if (c->p->attachments.count || has_html(c->p))
		return false;
	for (const struct leaf *l = c->leaves; l; l = l->next)
		if (leaf_raw_size(l) != 0)
			return false;
	return true;
}

static int compose(struct composed *c, struct err *e)
{
	struct message_needs *needs = &c->message.needs;
	struct source *s;

	if (make_tree(c, e) < 0 || put_head(c, e) < 0)
		return -1;
	s = mime_stream_borrow(c->root);
	needs->size = needs->size_seven = source_size(s);
	source_free(s);
	needs->empty = is_empty(c);
	needs->smtputf8 = !tree_is_ascii(c->root);
	needs->seven_possible = true;
	return 0;
}

static int message_composed(struct message **ret, const struct mail_params *p, const struct sysinfo *sys,
		     struct err *e)
{
	struct composed *c = xcalloc(1, sizeof(*c));
	c->message.ops = &composed_ops;
	c->leaves_end = &c->leaves;
	c->p = p;
	c->sys = sys;
	c->taking = (struct leaf_taking){ .files_dir = p->files_dir, .timeout_ms = p->server.timeout * 1000,
					  .slow_ms = p->server.max_time * 1000,
					  .stream = p->stream, .p = p, .taken = &c->taken };
	if (compose(c, e) < 0) {
		message_free(&c->message);
		return -1;
	}
	*ret = &c->message;
	return 0;
}

int message_from_params(struct message **ret, struct ready **taken, const struct mail_params *p,
			const struct sysinfo *sys, struct err *e)
{
	if (ready_asked(p))
		return message_ready(ret, taken, p, sys, e);
	return message_composed(ret, p, sys, e);
}
