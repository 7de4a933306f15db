/*
 * The tree of values between an input and mail_params; see value.h. Every walk
 * follows the links, so that a depth of 999, or of a million, costs no stack.
 */

#include "model/value.h"

#include "base/utf8.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value *value_new(enum value_type type)
{
	struct value *v = xcalloc(1, sizeof(*v));

	v->type = type;
	return v;
}

struct value *value_text(const char *word)
{
	struct value *v = value_new(VALUE_TEXT);

	v->len = strlen(word);
	v->str = xmemdup0(word, v->len);
	return v;
}

void value_append(struct value *parent, struct value *child)
{
	child->parent = parent;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

const struct value *value_get(const struct value *object, const char *key)
{
	if (!object || object->type != VALUE_OBJECT)
		return NULL;
	for (const struct value *v = object->first; v; v = v->next)
		if (v->key && !strcmp(v->key, key))
			return v;
	return NULL;
}

static size_t index_of(const struct value *v)
{
	size_t n = 0;

	for (const struct value *at = v->parent->first; at && at != v; at = at->next)
		n++;
	return n;
}

/* One step of a path: ".key" or "[3]". Keys are escaped, for they come from a file of somebody else's. */
static size_t step_text(const struct value *v, bool leading, char *out, size_t cap)
{
	char key[64];

	if (v->parent->type == VALUE_LIST)
		return (size_t)snprintf(out, cap, "[%zu]", index_of(v));
	utf8_escape(key, sizeof(key), v->key ? v->key : "", v->key ? strlen(v->key) : 0);
	return (size_t)snprintf(out, cap, "%s%s", leading ? "" : ".", key);
}

void value_path(const struct value *v, char *out, size_t cap)
{
	const struct value **step;
	size_t depth = 0, at = 0, i;

	if (!cap)
		return;
	out[0] = '\0';
	for (const struct value *p = v; p->parent; p = p->parent)
		depth++;
	if (!depth)
		return;
	step = xreallocarray(NULL, depth, sizeof(struct value *));
	i = depth;
	for (const struct value *p = v; p->parent; p = p->parent)
		step[--i] = p;
	for (i = 0; i < depth && at < cap - 1; i++)
		at += step_text(step[i], !at, out + at, cap - at);
	free(step);
}

/* Every node is freed after its children: down to a leaf, then over to the next or up. */
void value_free(struct value *root)
{
	struct value *v = root;

	while (v) {
		struct value *next;

		if (v->first) {
			struct value *child = v->first;

			v->first = NULL;
			v = child;
			continue;
		}
		next = v == root ? NULL : v->next ? v->next : v->parent;
		wipe_free(v->str);
		free(v->key);
		free(v);
		v = next;
	}
}
