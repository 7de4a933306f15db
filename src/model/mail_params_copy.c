/*
 * Another mail_params that asks for the same: each setting is copied by its
 * type, so that both can be finished and cleared apart. The settings of a
 * whole origin forgotten, for a second layer of the same origin.
 */

#include "model/mail_params.h"

#include "base/xalloc.h"
#include "model/params_impl.h"

#include <stdlib.h>
#include <string.h>

static void strlist_copy(struct strlist *to, const struct strlist *from)
{
	*to = (struct strlist){0};
	for (size_t i = 0; i < from->count; i++)
		strlist_add(to, xstrdup(from->item[i]));
}

static void fields_copy(struct fields *to, const struct fields *from)
{
	*to = (struct fields){0};
	for (size_t i = 0; i < from->count; i++)
		fields_add(to, xstrdup(from->item[i].name), xstrdup(from->item[i].value));
}

static void rcpts_copy(struct rcpts *to, const struct rcpts *from)
{
	*to = (struct rcpts){0};
	for (size_t i = 0; i < from->count; i++) {
		const struct rcpt_param *r = &from->item[i];

		to->item = list_more(to->item, to->count, &to->cap, sizeof(*to->item));
		to->item[to->count++] = (struct rcpt_param){ .address = xstrdup(r->address),
							     .notify = xstrdup(r->notify),
							     .orcpt = xstrdup(r->orcpt) };
	}
}

static void content_copy(struct content *to, const struct content *from)
{
	*to = *from;
	to->data = from->data ? xmemdup0(from->data, from->len) : NULL;
	to->path = xstrdup(from->path);
}

static void attachments_copy(struct attachments *to, const struct attachments *from)
{
	*to = (struct attachments){0};
	for (size_t i = 0; i < from->count; i++) {
		const struct attachment *a = &from->item[i];
		struct attachment *copy;

		to->item = list_more(to->item, to->count, &to->cap, sizeof(*to->item));
		copy = &to->item[to->count++];
		copy->filename = xstrdup(a->filename);
		copy->type = xstrdup(a->type);
		copy->disposition = xstrdup(a->disposition);
		copy->content_id = xstrdup(a->content_id);
		copy->encoding = a->encoding;
		copy->encoded = a->encoded;
		content_copy(&copy->content, &a->content);
		fields_copy(&copy->headers, &a->headers);
	}
}

static struct part_params *part_copy_one(const struct part_params *from)
{
	struct part_params *to = part_params_new();

	fields_copy(&to->headers, &from->headers);
	content_copy(&to->content, &from->content);
	to->encoded = from->encoded;
	to->preamble = xstrdup(from->preamble);
	to->epilogue = xstrdup(from->epilogue);
	return to;
}

/* The tree in its own order, with the place in the copy kept beside: down, over to the next, or up; no stack. */
static struct part_params *part_copy(const struct part_params *root)
{
	const struct part_params *from = root;
	struct part_params *copy = root ? part_copy_one(root) : NULL, *to = copy;

	while (from) {
		if (from->first) {
			from = from->first;
			part_params_append(to, part_copy_one(from));
			to = to->last;
			continue;
		}
		while (from != root && !from->next) {
			from = from->parent;
			to = to->parent;
		}
		if (from == root)
			break;
		from = from->next;
		part_params_append(to->parent, part_copy_one(from));
		to = to->parent->last;
	}
	return copy;
}

static void field_copy(const struct param *which, void *to, const void *from)
{
	switch (which->type) {
	case PARAM_BOOL: *(bool *)to = *(const bool *)from; break;
	case PARAM_UINT: *(unsigned *)to = *(const unsigned *)from; break;
	case PARAM_SIZE: *(uint64_t *)to = *(const uint64_t *)from; break;
	case PARAM_ENUM: *(int *)to = *(const int *)from; break;
	case PARAM_STR: *(char **)to = xstrdup(*(char *const *)from); break;
	case PARAM_STRS: strlist_copy(to, from); break;
	case PARAM_RCPTS: rcpts_copy(to, from); break;
	case PARAM_FIELDS: case PARAM_ALIASES: fields_copy(to, from); break;
	case PARAM_CONTENT: *(struct part_params **)to = part_copy(*(struct part_params *const *)from); break;
	case PARAM_ATTACHMENTS: attachments_copy(to, from); break;
	case PARAM_SECRET:
		*(struct secret *)to = *(const struct secret *)from;
		((struct secret *)to)->text = xstrdup(((const struct secret *)from)->text);
		break;
	case PARAM_ACTION: break;
	}
}

/* What mail_params_finish() makes stands last in both structures. */
static void forget_finished(struct mail_params *p)
{
	const size_t first = offsetof(struct mail_params, from_box);
	const size_t server = offsetof(struct server_params, list);

	memset((char *)p + first, 0, sizeof(*p) - first);
	memset((char *)&p->server + server, 0, sizeof(p->server) - server);
}

void mail_params_copy(struct mail_params *dst, const struct mail_params *src)
{
	size_t n;
	const struct param *table = param_table(&n);

	*dst = *src;
	forget_finished(dst);
	for (size_t i = 0; i < n; i++) {
		const void *from = param_field(src, &table[i]);

		if (!field_is_bare(&table[i], from))
			field_copy(&table[i], param_field(dst, &table[i]), from);
		if (src->place[i].file)
			dst->place[i].file = xstrdup(src->place[i].file);
	}
	content_copy(&dst->message, &src->message);
	dst->found.from = xstrdup(src->found.from);
	dst->found.sender = xstrdup(src->found.sender);
	strlist_copy(&dst->found.rcpts, &src->found.rcpts);
	fields_copy(&dst->file_aliases, &src->file_aliases);
	strlist_copy(&dst->bound_to, &src->bound_to);
}

void param_reset(struct mail_params *p, const struct param *which)
{
	size_t id = param_id(which);
	struct mail_params fresh;

	if (which->type == PARAM_ACTION)
		return;
	mail_params_init(&fresh);
	param_clear(p, which);
	/* a default allocates nothing */
	field_copy(which, param_field(p, which), param_field(&fresh, which));
	p->origin[id] = ORIGIN_DEFAULT;
	free(p->place[id].file);
	p->place[id].file = NULL;
	p->place[id].line = p->place[id].column = 0;
}

void mail_params_drop(struct mail_params *p, enum origin o)
{
	size_t n;
	const struct param *table = param_table(&n);
	const unsigned char *at = p->origin, *end = at + n;

	for (; (at = memchr(at, (int)o, (size_t)(end - at))); at++)
		param_reset(p, &table[at - p->origin]);
}
