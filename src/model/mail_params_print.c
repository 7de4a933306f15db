/*
 * --print-params: every setting with its value and who set it, in the form a
 * params file has it. Secrets are masked: a literal, a command (which may hold
 * one), and the credentials of the proxy's URL. No walk recurses.
 */

#include "model/mail_params.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "base/xalloc.h"
#include "model/params_impl.h"
#include "text/encode.h"

#include <string.h>

#define MASK "***"

static void print_strs(struct json_out *j, const char *key, const struct strlist *l)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < l->count; i++)
		json_str(j, NULL, l->item[i]);
	json_close(j, ']');
}

static void print_optional(struct json_out *j, const char *key, const char *s)
{
	if (s)
		json_str(j, key, s);
}

static void print_rcpts(struct json_out *j, const char *key, const struct rcpts *l)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < l->count; i++) {
		const struct rcpt_param *r = &l->item[i];

		if (!r->notify && !r->orcpt) {
			json_str(j, NULL, r->address);
			continue;
		}
		json_open(j, NULL, '{');
		json_str(j, "address", r->address);
		print_optional(j, "notify", r->notify);
		print_optional(j, "orcpt", r->orcpt);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* Pairs, for they keep order and repetition. */
static void print_fields(struct json_out *j, const char *key, const struct fields *l)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < l->count; i++) {
		json_open(j, NULL, '[');
		json_str(j, NULL, l->item[i].name);
		json_str(j, NULL, l->item[i].value);
		json_close(j, ']');
	}
	json_close(j, ']');
}

static void print_base64(struct json_out *j, const struct content *c)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4 * (c->len / 3 + 1));

	if (base64_add(&b, c->data, c->len) < 0)
		j->failed = true;
	else
		json_strn(j, "base64", b.data, b.len);
}

/* The one key of a content that says what it is; @file is "file" or "path". */
static void print_content(struct json_out *j, const char *file, const struct content *c)
{
	switch (c->kind) {
	case CONTENT_STAGED:
	case CONTENT_NONE:
	case CONTENT_PARTS:
		break;
	case CONTENT_TEXT:
		json_strn(j, "text", c->data, c->len);
		break;
	case CONTENT_BYTES:
		print_base64(j, c);
		break;
	case CONTENT_FILE:
		json_str(j, file, c->path);
		break;
	case CONTENT_FD:
		json_int(j, "fd", c->fd);
		break;
	case CONTENT_STDIN:
		json_str(j, file, "-");
		break;
	}
}

static void print_leaf_body(struct json_out *j, const char *key, const struct part_params *part)
{
	if (part->content.kind == CONTENT_TEXT && !(part->encoded && !part->parent)) {
		json_strn(j, key, part->content.data, part->content.len);
		return;
	}
	json_open(j, key, '{');
	print_content(j, "file", &part->content);
	if (part->encoded && !part->parent)     /* the whole's body has no message around it to say so */
		json_bool(j, "encoded", true);
	json_close(j, '}');
}

static void open_multipart(struct json_out *j, const char *key, const struct part_params *part)
{
	json_open(j, key, '{');
	print_optional(j, "preamble", part->preamble);
	json_open(j, "parts", '[');
}

static void close_multipart(struct json_out *j, const struct part_params *part)
{
	json_close(j, ']');
	print_optional(j, "epilogue", part->epilogue);
	json_close(j, '}');
}

static void open_message(struct json_out *j, const struct part_params *part)
{
	json_open(j, NULL, '{');
	if (part->headers.count)
		print_fields(j, "headers", &part->headers);
	if (part->encoded)
		json_bool(j, "encoded", true);
}

static void print_body(struct json_out *j, const char *key, const struct part_params *root)
{
	const struct part_params *part = root;

	while (!j->failed) {
		const char *name = part == root ? key : "body";

		if (part != root)
			open_message(j, part);
		if (part->content.kind == CONTENT_PARTS && part->first) {
			open_multipart(j, name, part);
			part = part->first;
			continue;
		}
		print_leaf_body(j, name, part);
		while (part != root && !part->next) {
			json_close(j, '}');
			part = part->parent;
			close_multipart(j, part);
		}
		if (part == root)
			return;
		json_close(j, '}');
		part = part->next;
	}
}

static void print_attachments(struct json_out *j, const char *key, const struct attachments *l)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < l->count; i++) {
		const struct attachment *a = &l->item[i];

		json_open(j, NULL, '{');
		print_content(j, "path", &a->content);
		print_optional(j, "filename", a->filename);
		print_optional(j, "type", a->type);
		print_optional(j, "disposition", a->disposition);
		print_optional(j, "content_id", a->content_id);
		if (a->encoding != CTE_AUTO)
			json_str(j, "encoding", cte_name(a->encoding));
		if (a->encoded)
			json_bool(j, "encoded", true);
		if (a->headers.count)
			print_fields(j, "headers", &a->headers);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void print_secret(struct json_out *j, const char *key, const struct secret *s)
{
	if (s->kind == SECRET_LITERAL) {
		json_str(j, key, MASK);
		return;
	}
	json_open(j, key, '{');
	if (s->kind == SECRET_ENV)
		json_str(j, "env", s->text);
	else if (s->kind == SECRET_FILE)
		json_str(j, "file", s->text);
	else if (s->kind == SECRET_COMMAND)
		json_str(j, "command", MASK);
	else if (s->kind == SECRET_FD)
		json_int(j, "fd", s->fd);
	json_close(j, '}');
}

/* "http://user:secret@proxy:3128" is shown with a mask before its '@'. */
static void print_masked(struct json_out *j, const char *key, const char *s)
{
	const char *at = strrchr(s, '@'), *scheme = strstr(s, "://");
	CLEANUP(freep) char *shown = NULL;

	if (!at) {
		json_str(j, key, s);
		return;
	}
	shown = xasprintf("%.*s" MASK "%s", scheme && scheme < at ? (int)(scheme + 3 - s) : 0, s, at);
	json_str(j, key, shown);
}

static void print_value(struct json_out *j, const struct param *which, const void *field)
{
	static const char key[] = "value";
	const char *str;

	switch (which->type) {
	case PARAM_BOOL: json_bool(j, key, *(const bool *)field); break;
	case PARAM_UINT: json_int(j, key, *(const unsigned *)field); break;
	case PARAM_SIZE: json_int(j, key, (int64_t)*(const uint64_t *)field); break;
	case PARAM_ENUM: json_str(j, key, param_choice_word(which->choices, *(const int *)field)); break;
	case PARAM_STR:
		str = *(char *const *)field;
		if (which->flags & PARAM_MASKED)
			print_masked(j, key, str);
		else
			json_str(j, key, str);
		break;
	case PARAM_STRS: print_strs(j, key, field); break;
	case PARAM_RCPTS: print_rcpts(j, key, field); break;
	case PARAM_FIELDS: case PARAM_ALIASES: print_fields(j, key, field); break;
	case PARAM_CONTENT: print_body(j, key, *(struct part_params *const *)field); break;
	case PARAM_ATTACHMENTS: print_attachments(j, key, field); break;
	case PARAM_SECRET: print_secret(j, key, field); break;
	case PARAM_ACTION: break;
	}
}

/* Of two settings that decide one thing, the one of the higher origin is in force: the other one is not shown. */
static bool overruled(const struct mail_params *p, const char *name)
{
	static const char *const pair[][2] = { { "tls", "starttls" }, { "server", "unix_socket" } };

	for (size_t i = 0; i < ARRAY_SIZE(pair); i++)
		for (int k = 0; k < 2; k++)
			if (!strcmp(name, pair[i][k]) &&
			    param_origin(p, pair[i][1 - k]) > param_origin(p, name))
				return true;
	return false;
}

int mail_params_print(const struct mail_params *p, struct buf *out)
{
	struct json_out j = json_to_buf(out);
	size_t n;
	const struct param *table = param_table(&n);

	json_open(&j, NULL, '{');
	for (size_t i = 0; i < n; i++) {
		if (p->origin[i] == ORIGIN_DEFAULT && !param_has_value(p, &table[i]))
			continue;
		if (overruled(p, table[i].name))
			continue;
		json_open(&j, table[i].name, '{');
		print_value(&j, &table[i], param_field(p, &table[i]));
		json_str(&j, "origin", origin_name(p->origin[i]));
		json_close(&j, '}');
	}
	json_close(&j, '}');
	return j.failed || buf_adds(out, "\n") < 0 ? -1 : 0;
}
