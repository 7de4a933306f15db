/*
 * mail_params: its life, and the words of its enums. The writer is in
 * mail_params_set.c, the judge in mail_params_finish.c and server_list.c, the
 * printers in mail_params_print.c and schema.c.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/xalloc.h"
#include "model/local_names.h"
#include "model/params_impl.h"
#include "text/header.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool origin_is_data(enum origin o)
{
	return o == ORIGIN_JSON || o == ORIGIN_LINE;
}

const char *origin_name(enum origin o)
{
	static const char *const name[] = {
		[ORIGIN_DEFAULT] = "default", [ORIGIN_CONFIG] = "configuration", [ORIGIN_ENV] = "environment",
		[ORIGIN_JSON] = "json",       [ORIGIN_ARGV] = "flag",            [ORIGIN_LINE] = "line",
	};

	return name[o];
}

const char *auth_mech_name(unsigned bit)
{
	switch (bit) {
	case AUTH_PLAIN: return "PLAIN";
	case AUTH_LOGIN: return "LOGIN";
	case AUTH_CRAM_MD5: return "CRAM-MD5";
	case AUTH_DIGEST_MD5: return "DIGEST-MD5";
	case AUTH_XOAUTH2: return "XOAUTH2";
	case AUTH_OAUTHBEARER: return "OAUTHBEARER";
	case AUTH_EXTERNAL: return "EXTERNAL";
	case AUTH_SCRAM_SHA_1: return "SCRAM-SHA-1";
	case AUTH_SCRAM_SHA_256: return "SCRAM-SHA-256";
	case AUTH_NTLM: return "NTLM";
	case AUTH_GSSAPI: return "GSSAPI";
	}
	return "";
}

/* Lists. */

void *list_more(void *item, size_t count, size_t *cap, size_t size)
{
	if (count == *cap) {
		*cap = *cap ? 2 * *cap : 4;
		item = xreallocarray(item, *cap, size);
	}
	memset((char *)item + count * size, 0, size);
	return item;
}

void strlist_add(struct strlist *l, char *takes)
{
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	l->item[l->count++] = takes;
}

void fields_add(struct fields *f, char *takes_name, char *takes_value)
{
	f->item = list_more(f->item, f->count, &f->cap, sizeof(*f->item));
	f->item[f->count++] = (struct field){ .name = takes_name, .value = takes_value };
}

void strlist_clear(struct strlist *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->item[i]);
	free(l->item);
	*l = (struct strlist){0};
}

void rcpts_clear(struct rcpts *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->item[i].address);
		free(l->item[i].notify);
		free(l->item[i].orcpt);
	}
	free(l->item);
	*l = (struct rcpts){0};
}

void fields_clear(struct fields *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->item[i].name);
		free(l->item[i].value);
	}
	free(l->item);
	*l = (struct fields){0};
}

void content_clear(struct content *c)
{
	free(c->data);
	free(c->path);
	*c = (struct content){ .fd = -1 };
}

void attachment_clear(struct attachment *a)
{
	content_clear(&a->content);
	free(a->filename);
	free(a->type);
	free(a->disposition);
	free(a->content_id);
	fields_clear(&a->headers);
	*a = (struct attachment){0};
}

static void attachments_clear(struct attachments *l)
{
	for (size_t i = 0; i < l->count; i++)
		attachment_clear(&l->item[i]);
	free(l->item);
	*l = (struct attachments){0};
}

static void addressees_clear(struct addressees *l)
{
	for (size_t i = 0; i < l->count; i++)
		mailbox_clear(&l->item[i].mailbox);
	free(l->item);
	*l = (struct addressees){0};
}

void secret_clear(struct secret *s)
{
	wipe_free(s->text);
	*s = (struct secret){ .fd = -1 };
}

/* Parts. */

struct part_params *part_params_new(void)
{
	struct part_params *part = xcalloc(1, sizeof(*part));

	part->content.fd = -1;
	return part;
}

void part_params_append(struct part_params *parent, struct part_params *child)
{
	child->parent = parent;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static void part_params_free_one(struct part_params *part)
{
	fields_clear(&part->headers);
	content_clear(&part->content);
	free(part->preamble);
	free(part->epilogue);
	free(part);
}

/* A part goes after its children: down to a leaf, then over to the next or up; no stack. */
void part_params_free(struct part_params *root)
{
	struct part_params *part = root;

	while (part) {
		struct part_params *next;

		if (part->first) {
			next = part->first;
			part->first = NULL;
			part = next;
			continue;
		}
		next = part == root ? NULL : part->next ? part->next : part->parent;
		part_params_free_one(part);
		part = next;
	}
}

/* The whole. */

void mail_params_init(struct mail_params *p)
{
	*p = (struct mail_params){0};
	p->server.password.fd = p->server.oauth2_token.fd = -1;
	p->server.tls_verify = true;
	p->server.tls_min_version = TLS_1_2;
	p->server.connect_timeout = 30;
	p->server.timeout = 60;
	p->server.dot_timeout = 600;
	p->server.max_rcpt = 1000;
	p->server.retry_delay = 10;
	p->batch.window = 64;
	p->message.fd = -1;
}

enum origin param_origin(const struct mail_params *p, const char *name)
{
	return p->origin[param_id(param_row(name))];
}

bool mail_params_given(const struct mail_params *p, const char *name)
{
	return param_origin(p, name) != ORIGIN_DEFAULT;
}

bool mail_params_confined(const struct mail_params *p, const char *name)
{
	return origin_is_data(param_origin(p, name));
}

void field_clear(const struct param *which, void *field)
{
	switch (which->type) {
	case PARAM_BOOL: *(bool *)field = false; break;
	case PARAM_UINT: *(unsigned *)field = 0; break;
	case PARAM_SIZE: *(uint64_t *)field = 0; break;
	case PARAM_ENUM: *(int *)field = 0; break;
	case PARAM_STR: free(*(char **)field); *(char **)field = NULL; break;
	case PARAM_STRS: strlist_clear(field); break;
	case PARAM_RCPTS: rcpts_clear(field); break;
	case PARAM_FIELDS: case PARAM_ALIASES: fields_clear(field); break;
	case PARAM_CONTENT:
		part_params_free(*(struct part_params **)field);
		*(struct part_params **)field = NULL;
		break;
	case PARAM_ATTACHMENTS: attachments_clear(field); break;
	case PARAM_SECRET: secret_clear(field); break;
	case PARAM_ACTION: break;
	}
}

void param_clear(struct mail_params *p, const struct param *which)
{
	field_clear(which, param_field(p, which));
}

const char *param_choice_word(const struct param_choice *c, int value)
{
	for (; c->word; c++)
		if (c->value == value)
			return c->word;
	return "";
}

bool param_has_value(const struct mail_params *p, const struct param *which)
{
	const void *field = param_field(p, which);

	switch (which->type) {
	case PARAM_BOOL: return *(const bool *)field;
	case PARAM_UINT: return *(const unsigned *)field != 0;
	case PARAM_SIZE: return *(const uint64_t *)field != 0;
	case PARAM_ENUM:
		return *(const int *)field && *param_choice_word(which->choices, *(const int *)field);
	case PARAM_STR: return *(char *const *)field != NULL;
	case PARAM_STRS: return ((const struct strlist *)field)->count > 0;
	case PARAM_RCPTS: return ((const struct rcpts *)field)->count > 0;
	case PARAM_FIELDS: case PARAM_ALIASES: return ((const struct fields *)field)->count > 0;
	case PARAM_CONTENT: return *(struct part_params *const *)field != NULL;
	case PARAM_ATTACHMENTS: return ((const struct attachments *)field)->count > 0;
	case PARAM_SECRET: return ((const struct secret *)field)->kind != SECRET_NONE;
	case PARAM_ACTION: break;
	}
	return false;
}

static void servers_clear(struct server_params *s)
{
	for (size_t i = 0; i < s->n_list; i++) {
		free(s->list[i].host);
		free(s->list[i].unix_socket);
		free(s->list[i].label);
	}
	free(s->list);
}

static void found_clear(struct found *f)
{
	free(f->from);
	free(f->sender);
	strlist_clear(&f->rcpts);
}

void mail_params_clear(struct mail_params *p)
{
	size_t n;
	const struct param *table = param_table(&n);

	for (size_t i = 0; i < n; i++) {
		if (!field_is_bare(&table[i], param_field(p, &table[i])))
			param_clear(p, &table[i]);
		if (p->place[i].file)
			free(p->place[i].file);
	}
	servers_clear(&p->server);
	mailbox_clear(&p->from_box);
	mailbox_clear(&p->sender_box);
	mailbox_clear(&p->envelope_from_box);
	addressees_clear(&p->to_boxes);
	addressees_clear(&p->cc_boxes);
	addressees_clear(&p->bcc_boxes);
	addressees_clear(&p->rcpt_boxes);
	addressees_clear(&p->reply_to_boxes);
	addressees_clear(&p->found_boxes);
	mailbox_clear(&p->force_from_box);
	content_clear(&p->message);
	found_clear(&p->found);
	fields_clear(&p->file_aliases);
	strlist_clear(&p->bound_to);
	local_names_free(p->names);
	free(p->original_from);
	free(p->original_to);
	free(p->original_cc);
	mail_params_init(p);
}

/* Places and errors. */

enum err_class param_error_class(const struct param *which, enum origin o)
{
	if ((which->flags & PARAM_ALWAYS_DATA) || origin_is_data(o))
		return ERR_DATA;
	return o == ORIGIN_CONFIG ? ERR_CONFIG : ERR_USAGE;
}

void param_place(char *out, size_t cap, const struct param *which, enum origin o, const char *file,
		 unsigned line, unsigned column, const char *path)
{
	const char *between = *path ? ": " : "", *where = *path ? path : which->name;
	char name[PARAM_NAME_ROOM];

	if (o == ORIGIN_ARGV) {
		param_flag(name, which->name);
		snprintf(out, cap, "--%s%s%s", name, between, path);
	} else if (o == ORIGIN_ENV) {
		param_variable(name, which->name);
		snprintf(out, cap, "MAILCHUTE_%s%s%s", name, between, path);
	} else if (file && line) {
		snprintf(out, cap, "%s:%u:%u: %s", file, line, column, where);
	} else if (file) {
		snprintf(out, cap, "%s: %s", file, where);
	} else {
		snprintf(out, cap, "%s", where);
	}
}

int param_wrap(const struct mail_params *p, const char *name, struct err *e)
{
	const struct param *which = param_row(name);
	size_t id = param_id(which);
	char place[512];

	param_place(place, sizeof(place), which, p->origin[id], p->place[id].file, p->place[id].line,
		    p->place[id].column, "");
	e->class = param_error_class(which, p->origin[id]);
	return err_wrap(e, "%s", place);
}

int param_fail(const struct mail_params *p, const char *name, struct err *e, const char *fmt, ...)
{
	va_list va;
	char text[512];

	va_start(va, fmt);
	vsnprintf(text, sizeof(text), fmt, va);
	va_end(va);
	err_set(e, ERR_USAGE, "%s", text);
	return param_wrap(p, name, e);
}

/* Checks made twice. */

int field_check(const struct field *f, struct err *e)
{
	if (field_name_check(f->name, strlen(f->name), e) < 0)
		return -1;
	if (strpbrk(f->value, "\r\n"))
		return err_set(e, ERR_DATA, "a header value must not hold a line break");
	return 0;
}

int message_field_check(const struct field *f, struct err *e)
{
	static const char *const ours[] = { "MIME-Version", "Received", "Return-Path" };

	if (field_check(f, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcasecmp(f->name, ours[i]))
			return err_set(e, ERR_DATA, "%s cannot be set: the program or a server writes it",
				       ours[i]);
	if (!strcasecmp(f->name, "Bcc") && f->value[strspn(f->value, " \t")])
		return err_set(e, ERR_DATA,
			       "a Bcc header would name its recipients to everybody; use the setting bcc");
	return 0;
}

bool is_stdin_path(const char *path)
{
	return path && !strcmp(path, "-");
}
