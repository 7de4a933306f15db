/* One MIME entity; the decisions are listed in entity.h. */

#include "mime/entity.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/date.h"
#include "text/header.h"
#include "text/mimetype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 1024 * 1024 };

/* What is found out about an entity on the way. */
struct work {
	const struct entity *want;
	struct leaf *leaf;
	const char *type_value;         /* Content-Type as asked for, parameters included; NULL: ours */
	char *type;                     /* "text/plain" */
	char *filename;                 /* or NULL */
	const char *charset;            /* to write, or NULL */
	char *asked_charset;            /* in type_value */
	enum cte asked;
	bool asked_type;                /* somebody wrote the type */
	bool text, unknown_encoding;
	struct leaf_facts facts;
};

static void work_clear(struct work *w)
{
	free(w->type);
	free(w->filename);
	free(w->asked_charset);
	leaf_free(w->leaf);
}

static bool type_is(const char *type, const char *major)
{
	size_t len = strlen(major);

	return !strncasecmp(type, major, len) && type[len] == '/';
}

/* File names. */

/*
 * The last component: what comes in a message must not name a directory of the recipient's, in either
 * system's way. A name that somebody gave is refused where nothing is left; one found on disk may have octets
 * that no header carries.
 */
static int filename_given(char **ret, const char *text, struct err *e)
{
	const char *base = text;

	for (const char *c = text; *c; c++)
		if (*c == '/' || *c == '\\')
			base = c + 1;
	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return err_set(e, ERR_DATA, "filename: '%s' does not name a file", text);
	*ret = xstrdup(base);
	return 0;
}

static char *filename_of_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = xstrdup(slash ? slash + 1 : path);
	size_t len = strlen(name), bad;

	while ((bad = utf8_valid(name, len)) < len)
		name[bad] = '_';
	for (char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\')
			*c = '_';
	return name;
}

/* A pipe has no name worth telling. */
static int find_filename(struct work *w, struct err *e)
{
	const struct attachment *a = w->want->attachment;

	if (!a)
		return 0;
	if (a->filename)
		return filename_given(&w->filename, a->filename, e);
	if (w->leaf->is_file)
		w->filename = filename_of_path(a->content.path);
	return 0;
}

/* The type. */

static const char *type_by_name(const struct work *w)
{
	if (w->filename)
		return mimetype_of(w->filename);
	return w->want->attachment->content.kind == CONTENT_TEXT ? "text/plain" : "application/octet-stream";
}

static int find_type(struct work *w, struct err *e)
{
	const struct entity *want = w->want;
	const char *value = fields_find(&want->fields, "Content-Type");

	if (!value && want->attachment)
		value = want->attachment->type;
	w->asked_type = value;
	w->type_value = value;
	if (!value)
		value = want->type ? want->type : type_by_name(w);
	if (media_type_parse(&w->type, value, e) < 0)
		return err_wrap(e, "Content-Type");
	if (type_is(w->type, "multipart"))
		return err_set(e, ERR_DATA, "Content-Type: %s needs parts", w->type);
	w->asked_charset = media_type_param(value, "charset");
	return 0;
}

static bool is_message_type(const char *type)
{
	return !strcasecmp(type, "message/rfc822") || !strcasecmp(type, "message/partial") ||
	       !strcasecmp(type, "message/external-body");
}

/* The encoding asked for. */

static int find_encoding(struct work *w, struct err *e)
{
	const char *value = fields_find(&w->want->fields, "Content-Transfer-Encoding");
	size_t len;

	w->asked = w->want->cte;
	if (!value)
		return 0;
	value += strspn(value, " \t");
	len = strcspn(value, " \t(");
	if (cte_by_name(&w->asked, value, len) == 0)
		return 0;
	if (!w->want->encoded)
		return err_set(e, ERR_DATA,
			       "Content-Transfer-Encoding: '%s' is not known; 7bit, quoted-printable and "
			       "base64 are",
			       value);
	w->unknown_encoding = true;     /* an x-token (RFC 2045 6.3) of something that already is in it */
	return 0;
}

/* The charset. */

static bool charset_is(const char *a, const char *b)
{
	return !strcasecmp(a, b);
}

/* The octets are what @name says, as far as can be told. */
static int check_charset(const struct work *w, const char *name, struct err *e)
{
	const struct text_scan *s = &w->facts.scan;

	if (charset_is(name, "utf-8"))
		return s->utf8 ? 0 : err_set(e, ERR_DATA, "is not valid UTF-8, as its charset says");
	if (charset_is(name, "us-ascii") && s->high)
		return err_set(e, ERR_DATA, "is not US-ASCII, as its charset says");
	if (!strncasecmp(name, "utf-16", 6) || !strncasecmp(name, "utf-32", 6))
		return err_set(e, ERR_DATA, "%s is not for text in mail (RFC 2781, 3.3); convert it to utf-8",
			       name);
	if (w->leaf->content->kind == CONTENT_TEXT && s->high)
		return err_set(e, ERR_DATA,
			       "is UTF-8 and has characters beyond ASCII, so its charset cannot be %s", name);
	return 0;
}

static int find_charset(struct work *w, struct err *e)
{
	const struct text_scan *s = &w->facts.scan;
	const char *setting = w->want->charset;

	if (w->asked_charset)
		return check_charset(w, w->asked_charset, e);
	if (setting) {
		w->charset = charset_name(setting) ? charset_name(setting) : setting;
		return check_charset(w, w->charset, e);
	}
	if (!s->high)
		w->charset = "us-ascii";
	else if (s->utf8)
		w->charset = "utf-8";
	else if (w->leaf->content->kind == CONTENT_TEXT)
		return err_set(e, ERR_DATA, "is not valid UTF-8");
	else
		w->charset = "unknown-8bit";
	return 0;
}

/* Octet pairs that no text in mail begins with: UTF-16's byte order mark, either way. */
static bool is_utf16(const struct leaf_facts *f)
{
	return f->first_len >= 2 && ((f->first[0] == 0xff && f->first[1] == 0xfe) ||
				     (f->first[0] == 0xfe && f->first[1] == 0xff));
}

static int check_text(const struct work *w, struct err *e)
{
	if (is_utf16(&w->facts))
		return err_set(e, ERR_DATA, "looks like UTF-16; convert it to UTF-8");
	if (w->facts.scan.nul)
		return err_set(e, ERR_DATA, "has a NUL, which no text in mail may have");
	return 0;
}

/* Why @s cannot go as 7bit; NULL: it can. */
static const char *not_7bit(const struct text_scan *s)
{
	if (s->nul)
		return "has a NUL";
	if (s->high)
		return "has octets over 127";
	if (s->longest > LINE_MOST)
		return "has a line of more than 998 octets";
	return NULL;
}

static int encode_text(struct work *w, struct err *e)
{
	enum cte cte = w->asked;

	if (leaf_scan(w->leaf, &w->facts, e) < 0 || check_text(w, e) < 0)
		return -1;
	if (type_is(w->type, "text") && !w->want->attachment && find_charset(w, e) < 0)
		return -1;
	if (cte == CTE_7BIT && not_7bit(&w->facts.scan))
		return err_set(e, ERR_DATA, "%s, so it cannot be sent as 7bit", not_7bit(&w->facts.scan));
	if (cte != CTE_7BIT && cte != CTE_QP && cte != CTE_BASE64)
		cte = cte_choose(&w->facts.scan);
	return leaf_encode(w->leaf, cte, true, &w->facts, e);
}

static int encode_already(struct work *w, struct err *e)
{
	const char *why;

	if (leaf_is_stream(w->leaf))
		return err_set(e, ERR_DATA,
			       "what is encoded already cannot be streamed: it must be looked at first");
	if (!w->unknown_encoding && w->asked == CTE_AUTO)
		return err_set(e, ERR_DATA,
			       "is said to be encoded; its content-transfer-encoding must say how");
	if (leaf_scan(w->leaf, &w->facts, e) < 0)
		return -1;
	why = not_7bit(&w->facts.scan);
	if (why)
		return err_set(e, ERR_DATA, "is said to be encoded, but %s", why);
	if (w->asked == CTE_8BIT || w->asked == CTE_BINARY)
		w->asked = CTE_7BIT;    /* which it is, as was just seen */
	return leaf_encode(w->leaf, CTE_7BIT, true, &w->facts, e);
}

/* Nothing is known of a stream, so that only an encoding that carries everything will do. */
static int encode_stream(struct work *w, struct err *e)
{
	if (w->asked == CTE_7BIT)
		return err_set(e, ERR_DATA, "a stream cannot be checked to be 7bit");
	if (type_is(w->type, "text") && !w->asked_charset && w->text)
		w->charset = w->want->charset ? w->want->charset : "utf-8";
	if (w->asked != CTE_QP && w->asked != CTE_BASE64)
		w->asked = w->text ? CTE_QP : CTE_BASE64;
	return leaf_encode(w->leaf, w->asked, w->text, NULL, e);
}

/* message/rfc822 and its like: as 7bit, or not as that. */
static int encode_message(struct work *w, struct err *e)
{
	const char *why;

	if (leaf_is_stream(w->leaf) || w->asked == CTE_QP || w->asked == CTE_BASE64)
		why = "RFC 2046, 5.2.1 allows neither base64 nor quoted-printable for it";
	else if (leaf_scan(w->leaf, &w->facts, e) < 0)
		return -1;
	else
		why = w->facts.scan.bare_cr ? "has a bare CR" : not_7bit(&w->facts.scan);
	if (!why)
		return leaf_encode(w->leaf, CTE_7BIT, true, &w->facts, e);
	if (w->asked_type)
		return err_set(e, ERR_DATA, "cannot be sent as %s (%s); application/octet-stream carries it",
			       w->type, why);
	free(w->type);
	w->type = xstrdup("application/octet-stream");
	return leaf_encode(w->leaf, w->asked == CTE_QP ? CTE_QP : CTE_BASE64, false, NULL, e);
}

static int encode_octets(struct work *w, struct err *e)
{
	const struct attachment *a = w->want->attachment;

	/* A JSON string's charset is known. */
	if (a && a->content.kind == CONTENT_TEXT && type_is(w->type, "text") && !w->asked_charset)
		w->charset = "utf-8";
	return leaf_encode(w->leaf, w->asked == CTE_QP ? CTE_QP : CTE_BASE64, false, NULL, e);
}

static bool says_attachment(const struct field_lists *f)
{
	const char *value = fields_find(f, "Content-Disposition");

	return value && !strncasecmp(value + strspn(value, " \t"), "attachment", 10);
}

static int choose_encoding(struct work *w, struct err *e)
{
	const struct entity *want = w->want;

	w->text = !want->attachment && type_is(w->type, "text") && !says_attachment(&want->fields);
	if (want->encoded)
		return encode_already(w, e);
	if (is_message_type(w->type))
		return encode_message(w, e);
	if (leaf_is_stream(w->leaf))
		return encode_stream(w, e);
	if (w->text || w->asked == CTE_7BIT)
		return encode_text(w, e);
	return encode_octets(w, e);
}

/* The fields. */

static int put_with(struct buf *out, const char *name, const char *value, const char *param,
		    const char *param_value, struct err *e)
{
	struct buf whole = BUF_INIT(VALUE_MAX);
	size_t len = strlen(value);
	int rc;

	while (len && strchr(" \t;", value[len - 1]))
		len--;
	if (buf_add(&whole, value, len) < 0 || buf_addf(&whole, "; %s=%s", param, param_value) < 0)
		rc = err_set(e, ERR_DATA, "%s: too long", name);
	else
		rc = header_raw(out, name, whole.data, e);
	buf_clear(&whole);
	return rc;
}

static int put_type(struct buf *out, const struct work *w, struct err *e)
{
	struct header_param params[2];
	size_t n = 0;

	/* A type written by hand stays as it is, but for a charset without which it could not be read. */
	if (w->type_value) {
		bool needed = w->charset && !w->asked_charset &&
			(w->want->charset || !charset_is(w->charset, "us-ascii"));

		if (needed)
			return put_with(out, "Content-Type", w->type_value, "charset", w->charset, e);
		if (strchr(w->type_value, ';') || !w->filename)
			return header_raw(out, "Content-Type", w->type_value, e);
	}
	if (w->charset)
		params[n++] = (struct header_param){ "charset", w->charset };
	if (w->filename)
		params[n++] = (struct header_param){ "name", w->filename };
	return header_params(out, "Content-Type", w->type, params, n, e);
}

static int put_encoding(struct buf *out, const struct work *w, struct err *e)
{
	enum cte cte = w->want->encoded ? w->asked : w->leaf->cte;

	if (w->unknown_encoding)
		return header_raw(out, "Content-Transfer-Encoding",
				  fields_find(&w->want->fields, "Content-Transfer-Encoding"), e);
	return header_raw(out, "Content-Transfer-Encoding", cte_name(cte), e);
}

static int put_disposition(struct buf *out, const struct work *w, struct err *e)
{
	const struct attachment *a = w->want->attachment;
	struct header_param param = { "filename", w->filename };
	const char *usual = w->want->related ? "inline" : "attachment";
	const char *word = a && a->disposition ? a->disposition : usual;

	if (!a || fields_find(&w->want->fields, "Content-Disposition"))
		return 0;
	if (strcasecmp(word, "attachment") && strcasecmp(word, "inline"))
		return err_set(e, ERR_DATA, "disposition: '%s' is neither attachment nor inline", word);
	return header_params(out, "Content-Disposition", word, &param, w->filename ? 1 : 0, e);
}

static int put_content_id(struct buf *out, const struct work *w, struct err *e)
{
	CLEANUP(freep) char *id = NULL, *value = NULL;

	if (!w->want->attachment || !w->want->attachment->content_id ||
	    fields_find(&w->want->fields, "Content-ID"))
		return 0;
	if (content_id_parse(&id, w->want->attachment->content_id, e) < 0)
		return err_wrap(e, "content_id");
	value = xasprintf("<%s>", id);
	return header_raw(out, "Content-ID", value, e);
}

/* Asked for, and not written as one of ours. */
static int put_fields(struct buf *out, const struct entity *want, struct err *e)
{
	const struct field *f;
	size_t i = 0, of_head = 0;

	for (unsigned k = 0; k < want->head_lists; k++)
		of_head += want->fields.list[k] ? want->fields.list[k]->count : 0;
	while ((f = fields_next(&want->fields, &i))) {
		if (i <= of_head && !field_is_content(f->name))
			continue;
		if (!strcasecmp(f->name, "Content-Type") ||
		    !strcasecmp(f->name, "Content-Transfer-Encoding") ||
		    !strcasecmp(f->name, "Bcc") || !strcasecmp(f->name, "Resent-Bcc"))
			continue;
		if (header_raw(out, f->name, f->value, e) < 0)
			return -1;
	}
	return 0;
}

static int put_all(struct buf *out, const struct work *w, struct err *e)
{
	if (put_type(out, w, e) < 0 || put_encoding(out, w, e) < 0 || put_disposition(out, w, e) < 0 ||
	    put_content_id(out, w, e) < 0)
		return -1;
	return put_fields(out, w->want, e);
}

static int work_do(struct work *w, const struct leaf_taking *how, struct buf *header, struct err *e)
{
	if (fields_check(&w->want->fields, e) < 0)
		return -1;
	if (leaf_take(&w->leaf, w->want->content, how, e) < 0)
		return -1;
	if (find_filename(w, e) < 0 || find_type(w, e) < 0 || find_encoding(w, e) < 0 ||
	    choose_encoding(w, e) < 0)
		return -1;
	return put_all(header, w, e);
}

int entity_leaf(struct part **ret_part, struct leaf **ret_leaf, const struct entity *want,
		const struct leaf_taking *how, struct err *e)
{
	struct buf header = BUF_INIT(PART_HEADER_MAX);
	struct work w = { .want = want };
	struct part *part;

	if (work_do(&w, how, &header, e) < 0) {
		work_clear(&w);
		buf_clear(&header);
		return -1;
	}
	part = part_leaf_lazy(leaf_open, w.leaf, w.leaf->size, w.leaf->end);
	part->header = header;
	*ret_part = part;
	*ret_leaf = w.leaf;
	w.leaf = NULL;
	work_clear(&w);
	return 0;
}

/* Multiparts. */

/*
 * One parameter of a Content-Type, from its ';' on: its end is the next ';' outside of quotes and comments.
 */
static const char *param_end(const char *at)
{
	unsigned comments = 0;
	bool quoted = false;

	for (; *at; at++) {
		if (*at == '\\' && at[1] && (quoted || comments))
			at++;
		else if (*at == '"' && !comments)
			quoted = !quoted;
		else if (*at == '(' && !quoted)
			comments++;
		else if (*at == ')' && !quoted && comments)
			comments--;
		else if (*at == ';' && !quoted && !comments)
			break;
	}
	return at;
}

static bool is_boundary_param(const char *at)
{
	static const char name[] = "boundary";

	at += strspn(at, " \t");
	if (strncasecmp(at, name, sizeof(name) - 1))
		return false;
	at += sizeof(name) - 1;
	return !*at || strchr(" \t=*(;", *at);
}

/* @value without its boundary parameters. */
static int without_boundary(struct buf *out, const char *value, struct err *e)
{
	const char *at = value, *end;

	for (bool first = true; ; first = false) {
		end = param_end(at);
		if (first || (!is_boundary_param(at) && at[strspn(at, " \t")] &&
			      at[strspn(at, " \t")] != ';'))
			if ((!first && buf_adds(out, ";") < 0) || buf_add(out, at, (size_t)(end - at)) < 0)
				return err_set(e, ERR_DATA, "Content-Type: too long");
		if (!*end)
			return 0;
		at = end + 1;
	}
}

static int put_multipart_type(struct buf *out, const char *value, const char *boundary, struct err *e)
{
	struct buf kept = BUF_INIT(VALUE_MAX);
	CLEANUP(freep) char *type = NULL;
	char quoted[64];
	int rc = -1;

	snprintf(quoted, sizeof(quoted), "\"%s\"", boundary);
	if (media_type_parse(&type, value, e) < 0)
		err_wrap(e, "Content-Type");
	else if (!type_is(type, "multipart"))
		err_set(e, ERR_DATA, "Content-Type: %s cannot have parts", type);
	else if (without_boundary(&kept, value, e) == 0)
		rc = put_with(out, "Content-Type", kept.data, "boundary", quoted, e);
	buf_clear(&kept);
	return rc;
}

/* RFC 2045 6.4: a multipart itself is never encoded. */
static int check_multipart_encoding(const struct entity *want, struct err *e)
{
	const char *value = fields_find(&want->fields, "Content-Transfer-Encoding");
	enum cte cte = CTE_AUTO;

	if (!value)
		return want->encoded ? err_set(e, ERR_DATA, "parts cannot be encoded as a whole") : 0;
	value += strspn(value, " \t");
	if (cte_by_name(&cte, value, strcspn(value, " \t(")) < 0 || cte == CTE_QP || cte == CTE_BASE64)
		return err_set(e, ERR_DATA, "Content-Transfer-Encoding: a multipart cannot be '%s'", value);
	return 0;
}

int entity_multipart(struct buf *out, const struct entity *want, const char *boundary, struct err *e)
{
	const char *value = fields_find(&want->fields, "Content-Type");

	if (fields_check(&want->fields, e) < 0 || check_multipart_encoding(want, e) < 0)
		return -1;
	if (put_multipart_type(out, value ? value : want->type, boundary, e) < 0)
		return -1;
	return put_fields(out, want, e);
}
