/* Readers of lists: strings, recipients, header fields. See params_read.h. */

#include "model/params_read.h"

#include "base/ascii.h"
#include "base/buf.h"
#include "base/xalloc.h"

#include <string.h>

enum { ALIAS_MAX = 16 << 20 };  /* octets of one name's addresses: some 400 000 of them */

static int add_string(const struct reader *r, const struct value *v, struct strlist *l)
{
	char *s;

	if (l->count >= MAX_STRINGS)
		return reader_fail(r, v, "more than %d", MAX_STRINGS);
	if (read_line(r, v, &s) < 0)
		return -1;
	strlist_add(l, s);
	return 0;
}

int read_strs(const struct reader *r, const struct value *v, union field_of *f)
{
	if (value_is_string(v))
		return add_string(r, v, &f->strs);
	if (v->type != VALUE_LIST)
		return reader_wrong_type(r, v, "a string or a list of strings");
	for (v = v->first; v; v = v->next)
		if (add_string(r, v, &f->strs) < 0)
			return -1;
	return 0;
}

static int read_rcpt_object(const struct reader *r, const struct value *v, struct rcpt_param *rcpt)
{
	static const char *const keys[] = { "address", "notify", "orcpt", NULL };
	const struct value *address = value_get(v, "address"), *notify = value_get(v, "notify"),
			   *orcpt = value_get(v, "orcpt");

	if (reader_check_keys(r, v, keys) < 0)
		return -1;
	if (!address)
		return reader_fail(r, v, "needs an 'address'");
	if (read_line(r, address, &rcpt->address) < 0)
		return -1;
	if (notify && notify->type == VALUE_LIST && read_joined(r, notify, &rcpt->notify) < 0)
		return -1;
	if (notify && notify->type != VALUE_LIST && read_line(r, notify, &rcpt->notify) < 0)
		return -1;
	return orcpt ? read_line(r, orcpt, &rcpt->orcpt) : 0;
}

static int add_rcpt(const struct reader *r, const struct value *v, struct rcpts *l)
{
	struct rcpt_param *rcpt;

	if (l->count >= MAX_ADDRESSES)
		return reader_fail(r, v, "more than %d recipients", MAX_ADDRESSES);
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	rcpt = &l->item[l->count++];    /* counted at once: what it owns is then released whatever happens */
	if (v->type == VALUE_OBJECT)
		return read_rcpt_object(r, v, rcpt);
	if (!value_is_string(v))
		return reader_wrong_type(r, v, "an address (a string or an object)");
	return read_line(r, v, &rcpt->address);
}

int read_rcpts(const struct reader *r, const struct value *v, union field_of *f)
{
	if (v->type == VALUE_LIST) {
		for (v = v->first; v; v = v->next)
			if (add_rcpt(r, v, &f->rcpts) < 0)
				return -1;
		return 0;
	}
	if (!value_is_string(v) && v->type != VALUE_OBJECT)
		return reader_wrong_type(r, v, "an address (a string or an object) or a list of them");
	return add_rcpt(r, v, &f->rcpts);
}

static int add_field(struct fields_reader *fr, const char *name, size_t name_len, const struct value *value)
{
	struct field *f;
	char *text;

	if (fr->fields->count >= MAX_FIELDS)
		return reader_fail(fr->r, value, "more than %d fields", MAX_FIELDS);
	if (read_line(fr->r, value, &text) < 0)
		return -1;
	fields_add(fr->fields, xmemdup0(name, name_len), text);
	f = &fr->fields->item[fr->fields->count - 1];
	if ((fr->whole ? message_field_check(f, fr->r->e) : field_check(f, fr->r->e)) < 0)
		return reader_wrap(fr->r, value);
	return 0;
}

/* {"X-A": "v", "X-B": ["v", "w"]} */
static int read_fields_object(struct fields_reader *fr, const struct value *object)
{
	for (const struct value *v = object->first; v; v = v->next) {
		if (v->type != VALUE_LIST && v->type != VALUE_STR)
			return reader_wrong_type(fr->r, v, "a string or a list of strings");
		if (v->type == VALUE_STR && add_field(fr, v->key, strlen(v->key), v) < 0)
			return -1;
		for (const struct value *each = v->first; each; each = each->next)
			if (add_field(fr, v->key, strlen(v->key), each) < 0)
				return -1;
	}
	return 0;
}

/* ["X-A", "v"] or {"name": "X-A", "value": "v"} */
static int read_field_pair(struct fields_reader *fr, const struct value *pair)
{
	static const char *const keys[] = { "name", "value", NULL };
	const struct value *name, *value;

	if (pair->type == VALUE_OBJECT) {
		if (reader_check_keys(fr->r, pair, keys) < 0)
			return -1;
		name = value_get(pair, "name");
		value = value_get(pair, "value");
		if (!name || !value)
			return reader_fail(fr->r, pair, "needs 'name' and 'value'");
	} else if (pair->type == VALUE_LIST) {
		name = pair->first;
		value = name ? name->next : NULL;
		if (!value || value->next)
			return reader_fail(fr->r, pair, "must be a pair [name, value]");
	} else {
		return reader_wrong_type(fr->r, pair, "a pair [name, value] or an object of name and value");
	}
	if (name->type != VALUE_STR)
		return reader_wrong_type(fr->r, name, "a string");
	return add_field(fr, name->str, name->len, value);
}

/* "X-A: v", as a flag has it. The name must be right; the white space before the value is not part of it. */
static int read_field_line(struct fields_reader *fr, const struct value *word)
{
	const char *colon = memchr(word->str, ':', word->len);
	struct value value = *word;

	if (!colon)
		return reader_fail(fr->r, word, "must be 'Name: value', not '%s'",
				   value_shown(word->str, word->len).text);
	value.str = (char *)colon + 1;
	value.str += strspn(value.str, " \t");
	value.len = strlen(value.str);
	return add_field(fr, word->str, (size_t)(colon - word->str), &value);
}

int read_fields_value(struct fields_reader *fr, const struct value *v)
{
	if (v->type == VALUE_TEXT)
		return read_field_line(fr, v);
	if (v->type == VALUE_OBJECT)
		return read_fields_object(fr, v);
	if (v->type != VALUE_LIST)
		return reader_wrong_type(fr->r, v, "an object or a list of pairs");
	for (v = v->first; v; v = v->next)
		if (read_field_pair(fr, v) < 0)
			return -1;
	return 0;
}

int read_fields(const struct reader *r, const struct value *v, union field_of *f)
{
	return read_fields_value(&(struct fields_reader){ r, &f->fields, true }, v);
}

/*
 * Aliases: {"name": "address, address" or ["address", ...]}, a list of such pairs, or the word "name: address,
 * address".
 */

static int check_alias_name(const struct reader *r, const struct value *v, const char *name, size_t len)
{
	if (!len || memchr(name, '@', len))
		return reader_fail(r, v, "an alias is for a name without @domain");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || name[i] == ':')
			return reader_fail(r, v,
					   "an alias is for a name without blanks and control characters");
	return 0;
}

static int read_alias_word(const struct reader *r, const struct value *v, struct fields *to)
{
	const char *colon = strchr(v->str, ':'), *targets;
	size_t len = colon ? (size_t)(colon - v->str) : 0;

	if (!colon)
		return reader_fail(r, v, "must be 'name: address, address'");
	while (len && is_blank(v->str[len - 1]))
		len--;
	if (check_alias_name(r, v, v->str, len) < 0)
		return -1;
	targets = colon + 1 + strspn(colon + 1, " \t");
	if (!*targets)
		return reader_fail(r, v, "must be 'name: address, address'");
	fields_add(to, xmemdup0(v->str, len), xstrdup(targets));
	return 0;
}

static int read_targets(const struct reader *r, const struct value *v, char **ret)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(ALIAS_MAX);

	if (value_is_string(v))
		return read_line(r, v, ret);
	if (v->type != VALUE_LIST || !v->first)
		return reader_wrong_type(r, v, "an address or a list of them");
	for (const struct value *item = v->first; item; item = item->next) {
		CLEANUP(freep) char *target = NULL;

		if (!value_is_string(item))
			return reader_wrong_type(r, item, "an address");
		if (read_line(r, item, &target) < 0)
			return -1;
		if ((item != v->first && buf_adds(&b, ", ") < 0) || buf_adds(&b, target) < 0)
			return reader_fail(r, item, "too many addresses for one name");
	}
	*ret = buf_take(&b, NULL);
	return 0;
}

static int add_alias(const struct reader *r, const char *name, const struct value *targets, struct fields *to)
{
	char *text = NULL;

	if (check_alias_name(r, targets, name, strlen(name)) < 0 || read_targets(r, targets, &text) < 0)
		return -1;
	fields_add(to, xstrdup(name), text);
	return to->count > MAX_FIELDS ? reader_fail(r, targets, "too many aliases") : 0;
}

static int read_alias_pair(const struct reader *r, const struct value *v, struct fields *to)
{
	const struct value *name = v->type == VALUE_LIST ? v->first : NULL;

	if (!name || !value_is_string(name) || !name->next || name->next->next)
		return reader_wrong_type(r, v, "a pair of a name and its addresses");
	return add_alias(r, name->str, name->next, to);
}

int read_aliases(const struct reader *r, const struct value *v, union field_of *f)
{
	if (v->type == VALUE_TEXT)
		return read_alias_word(r, v, &f->fields);
	if (v->type != VALUE_OBJECT && v->type != VALUE_LIST)
		return reader_wrong_type(r, v, "an object of names and their addresses");
	for (const struct value *one = v->first; one; one = one->next)
		if (v->type == VALUE_LIST ? read_alias_pair(r, one, &f->fields) < 0 :
					    add_alias(r, one->key, one, &f->fields) < 0)
			return -1;
	return 0;
}
