/* Readers of content: the body to any depth, attachments, secrets. See params_read.h. */

#include "model/params_read.h"

#include "base/xalloc.h"
#include "text/date.h"
#include "text/encode.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void content_file(const struct reader *r, struct content *c, char *takes_path)
{
	c->confined = origin_is_data(r->o);
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
	if (!value_is_string(v))
		return reader_wrong_type(r, v, "a string");
	if (base64_decode(&c->data, &c->len, v->str, v->len, r->e) < 0)
		return reader_wrap(r, v);
	c->kind = CONTENT_BYTES;
	return 0;
}

/* One of the keys by which octets are named. */
static int read_content(const struct reader *r, const struct value *v, struct content *c)
{
	c->confined = origin_is_data(r->o);
	if (!strcmp(v->key, "file") || !strcmp(v->key, "path")) {
		char *path;

		if (read_path(r, v, &path) < 0)
			return -1;
		content_file(r, c, path);
		return 0;
	}
	if (!strcmp(v->key, "base64"))
		return content_base64(r, v, c);
	if (!strcmp(v->key, "fd")) {
		c->kind = CONTENT_FD;
		return read_fd(r, v, &c->fd);
	}
	c->kind = CONTENT_TEXT;
	return read_text(r, v, &c->data, &c->len);
}

/* {"preamble", "parts", "epilogue"}: *ret_parts is the list, whose members are read later, not here. */
static int read_multipart(const struct reader *r, const struct value *body, const struct value *parts,
			  struct part_params *part)
{
	const struct value *preamble = value_get(body, "preamble"), *epilogue = value_get(body, "epilogue");

	if (parts->type != VALUE_LIST)
		return reader_wrong_type(r, parts, "a list of messages");
	if (!parts->first)
		return reader_fail(r, parts, "must not be empty: a multipart has at least one part");
	if (value_get(body, "encoded"))
		return reader_fail(r, value_get(body, "encoded"), "belongs to a part that has no parts");
	part->content.kind = CONTENT_PARTS;
	if (preamble && read_text(r, preamble, &part->preamble, NULL) < 0)
		return -1;
	return epilogue ? read_text(r, epilogue, &part->epilogue, NULL) : 0;
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
	if (value_is_string(v)) {
		part->content.kind = CONTENT_TEXT;
		return read_text(r, v, &part->content.data, &part->content.len);
	}
	if (v->type != VALUE_OBJECT)
		return reader_wrong_type(r, v, "a string or an object");
	if (reader_check_keys(r, v, keys) < 0 ||
	    reader_one_of(r, v, kinds, "text, file, fd, base64, parts", &is) < 0)
		return -1;
	if (!strcmp(is->key, "parts")) {
		*ret_parts = is;
		return read_multipart(r, v, is, part);
	}
	if (value_get(v, "preamble") || value_get(v, "epilogue"))
		return reader_fail(
			r, value_get(v, "preamble") ? value_get(v, "preamble") : value_get(v, "epilogue"),
			"belongs to a body with parts");
	encoded = value_get(v, "encoded");
	if (encoded && read_plain_bool(r, encoded, &part->encoded) < 0)
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
		return reader_wrong_type(r, v, "an object of headers and body");
	if (reader_check_keys(r, v, keys) < 0)
		return -1;
	headers = value_get(v, "headers");
	encoded = value_get(v, "encoded");
	*ret_body = value_get(v, "body");
	if (!*ret_body)
		return reader_fail(r, v, "needs a 'body'");
	if (encoded && read_plain_bool(r, encoded, &part->encoded) < 0)
		return -1;
	return headers ? read_fields_value(&(struct fields_reader){ r, &part->headers, false }, headers) : 0;
}

/* The message of the list that a part's body is in, from one of its members: list, body, message. */
static const struct value *message_around(const struct value *message)
{
	return message->parent->parent->parent;
}

/*
 * The tree of parts, to any depth. Where we are is the pair of @part and its @message in the JSON; both trees
 * have links up, so nothing recurses.
 */
int read_part_tree(const struct reader *r, const struct value *body, union field_of *f)
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
			return reader_fail(r, message, "more than %d parts", MAX_PARTS);
		child = part_params_new();
		part_params_append(part, child);
		part = child;
		if (read_part(r, message, part, &body) < 0)
			return -1;
	}
}

static int read_disposition(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (read_line(r, v, &a->disposition) < 0)
		return -1;
	if (strcasecmp(a->disposition, "attachment") && strcasecmp(a->disposition, "inline"))
		return reader_fail(r, v, "must be attachment or inline, not '%s'",
				   value_shown(v->str, v->len).text);
	return 0;
}

static int read_content_id(const struct reader *r, const struct value *v, struct attachment *a)
{
	CLEANUP(freep) char *text = NULL;

	if (read_line(r, v, &text) < 0)
		return -1;
	return content_id_parse(&a->content_id, text, r->e) < 0 ? reader_wrap(r, v) : 0;
}

static int read_cte(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (!value_is_string(v))
		return reader_wrong_type(r, v, "a string");
	if (!strcasecmp(v->str, "auto")) {
		a->encoding = CTE_AUTO;
		return 0;
	}
	if (cte_by_name(&a->encoding, v->str, v->len) < 0)
		return reader_fail(r, v,
				   "must be auto, 7bit, 8bit, binary, quoted-printable or base64, not '%s'",
				   value_shown(v->str, v->len).text);
	return 0;
}

static int read_type(const struct reader *r, const struct value *v, struct attachment *a)
{
	char *type;

	if (read_line(r, v, &a->type) < 0)
		return -1;
	if (media_type_parse(&type, a->type, r->e) < 0)
		return reader_wrap(r, v);
	free(type);
	return 0;
}

static int read_filename(const struct reader *r, const struct value *v, struct attachment *a)
{
	if (value_is_string(v) && !v->len)
		return reader_fail(r, v, "must not be empty");
	return read_line(r, v, &a->filename);
}

static int read_encoded(const struct reader *r, const struct value *v, struct attachment *a)
{
	return read_plain_bool(r, v, &a->encoded);
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

	if (reader_check_keys(r, v, keys) < 0 ||
	    reader_one_of(r, v, kinds, "path, text, base64, fd", &is) < 0)
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
		return reader_fail(r, v, "more than %d attachments", MAX_PARTS);
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	a = &l->item[l->count++];       /* counted at once: what it owns is then released whatever happens */
	a->content.fd = -1;
	if (v->type == VALUE_OBJECT)
		return read_attachment_object(r, v, a);
	if (!value_is_string(v))
		return reader_wrong_type(r, v, "a path or an object");
	if (read_path(r, v, &path) < 0)
		return -1;
	content_file(r, &a->content, path);
	return 0;
}

int read_attachments(const struct reader *r, const struct value *v, union field_of *f)
{
	if (v->type == VALUE_LIST) {
		for (v = v->first; v; v = v->next)
			if (add_attachment(r, v, &f->attachments) < 0)
				return -1;
		return 0;
	}
	if (!value_is_string(v) && v->type != VALUE_OBJECT)
		return reader_wrong_type(r, v, "a path, an object or a list of them");
	return add_attachment(r, v, &f->attachments);
}

int read_secret(const struct reader *r, const struct value *v, union field_of *f)
{
	static const char *const keys[] = { "env", "file", "command", "fd", NULL };
	struct secret *s = &f->secret;
	const struct value *is;

	if (value_is_string(v)) {
		if (r->o == ORIGIN_ARGV)
			return reader_fail(r, v,
					   "other users of this machine can read it; use --%s-env, -file, "
					   "-command or -fd",
					   r->which->offset == offsetof(struct mail_params, server.password)
						   ? "password"
						   : "oauth2-token");
		s->kind = SECRET_LITERAL;
		s->text = xmemdup0(v->str, v->len);
		return 0;
	}
	if (v->type != VALUE_OBJECT)
		return reader_wrong_type(r, v, "a string or an object of env, file, command or fd");
	if (reader_check_keys(r, v, keys) < 0 || reader_one_of(r, v, keys, "env, file, command, fd", &is) < 0)
		return -1;
	if (!strcmp(is->key, "fd")) {
		s->kind = SECRET_FD;
		return read_fd(r, is, &s->fd);
	}
	s->kind = !strcmp(is->key, "env")    ? SECRET_ENV
		  : !strcmp(is->key, "file") ? SECRET_FILE
					     : SECRET_COMMAND;
	if (s->kind == SECRET_ENV && value_is_string(is) && strchr(is->str, '='))
		return reader_fail(r, is, "is not the name of a variable");
	return read_path(r, is, &s->text);
}
