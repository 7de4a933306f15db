/*
 * mail_params_set(): a value of an input becomes the field of a setting.
 *
 * Each type of setting has a reader (params_read.h), which fills a fresh field;
 * only a value that was read whole is then merged by the rule of origins. So a
 * bad value is an error also where a higher origin hides it, and the order in
 * which the inputs are read does not matter.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/xalloc.h"
#include "model/params_read.h"

#include <stdlib.h>
#include <string.h>

static int (*const read_type_of[])(const struct reader *r, const struct value *v, union field_of *f) = {
	[PARAM_BOOL] = read_bool,         [PARAM_UINT] = read_uint,     [PARAM_SIZE] = read_size,
	[PARAM_ENUM] = read_enum,         [PARAM_STR] = read_str,       [PARAM_STRS] = read_strs,
	[PARAM_RCPTS] = read_rcpts,       [PARAM_FIELDS] = read_fields, [PARAM_CONTENT] = read_part_tree,
	[PARAM_ATTACHMENTS] = read_attachments, [PARAM_SECRET] = read_secret,
	[PARAM_ALIASES] = read_aliases,
};

/* Move the items of @from behind those of @to; every list has this shape. */
#define LIST_MOVE(to, from, max, ret) do { \
	ret = (to)->count + (from)->count <= (max); \
	for (size_t i_ = 0; ret && i_ < (from)->count; i_++) { \
		(to)->item = list_more((to)->item, (to)->count, &(to)->cap, sizeof(*(to)->item)); \
		(to)->item[(to)->count++] = (from)->item[i_]; \
	} \
	if (ret) \
		(from)->count = 0; \
} while (0)

/* Within one origin a list's values add up. False: too many. */
static bool append(const struct param *which, void *field, union field_of *new)
{
	bool fits = true;

	switch (which->type) {
	case PARAM_STRS: LIST_MOVE((struct strlist *)field, &new->strs, MAX_STRINGS, fits); break;
	case PARAM_RCPTS: LIST_MOVE((struct rcpts *)field, &new->rcpts, MAX_ADDRESSES, fits); break;
	case PARAM_FIELDS: case PARAM_ALIASES:
		LIST_MOVE((struct fields *)field, &new->fields, MAX_FIELDS, fits);
		break;
	case PARAM_ATTACHMENTS:
		LIST_MOVE((struct attachments *)field, &new->attachments, MAX_PARTS, fits);
		break;
	default: break;
	}
	return fits;
}

static bool is_list(const struct param *which)
{
	return which->type == PARAM_STRS || which->type == PARAM_RCPTS || which->type == PARAM_FIELDS ||
	       which->type == PARAM_ATTACHMENTS || which->type == PARAM_ALIASES;
}

static size_t size_of(const struct param *which)
{
	static const size_t size[] = {
		[PARAM_BOOL] = sizeof(bool),        [PARAM_UINT] = sizeof(unsigned),
		[PARAM_SIZE] = sizeof(uint64_t),    [PARAM_ENUM] = sizeof(int),
		[PARAM_STR] = sizeof(char *),       [PARAM_STRS] = sizeof(struct strlist),
		[PARAM_RCPTS] = sizeof(struct rcpts), [PARAM_FIELDS] = sizeof(struct fields),
		[PARAM_CONTENT] = sizeof(struct part_params *),
		[PARAM_ATTACHMENTS] = sizeof(struct attachments), [PARAM_SECRET] = sizeof(struct secret),
		[PARAM_ALIASES] = sizeof(struct fields),
	};

	return size[which->type];
}

static void keep_place(struct mail_params *p, const struct param *which, const struct value *v,
		       const char *file)
{
	size_t id = param_id(which);

	if (!p->place[id].file || !file || strcmp(p->place[id].file, file)) {
		free(p->place[id].file);
		p->place[id].file = xstrdup(file);
	}
	p->place[id].line = v->line;
	p->place[id].column = v->column;
}

/*
 * files_dir is the operator's fence around params files of others. One that the configuration or the
 * environment has put up is not moved by the file it is meant for, in whichever order the two are read.
 */
static bool moves_the_fence(const struct mail_params *p, const struct reader *r)
{
	enum origin have = p->origin[param_id(r->which)];

	if (r->which->offset != offsetof(struct mail_params, files_dir) || have == ORIGIN_DEFAULT)
		return false;
	if (origin_is_data(r->o))
		return !origin_is_data(have);
	return origin_is_data(have) && r->o < have;
}

static int merge(struct mail_params *p, const struct reader *r, const struct value *v, union field_of *new)
{
	const struct param *which = r->which;
	enum origin have = p->origin[param_id(which)];
	void *field = param_field(p, which);

	if (moves_the_fence(p, r))
		return reader_fail(r, v, "a params file cannot replace the files_dir that was set for it");
	if (r->o < have)
		return 0;
	if (is_list(which) && r->o == have && have != ORIGIN_DEFAULT) {
		if (!append(which, field, new))
			return reader_fail(r, v, "too many");
	} else {
		param_clear(p, which);
		memcpy(field, new, size_of(which));
		*new = (union field_of){0};
	}
	p->origin[param_id(which)] = (unsigned char)r->o;
	keep_place(p, which, v, r->file);
	return 0;
}

int mail_params_set(struct mail_params *p, const struct param *which, const struct value *value,
		    enum origin o, const char *file, struct err *e)
{
	struct reader r = { which, o, file, e };
	union field_of new = {0};
	int ret;

	if (which->type == PARAM_ACTION)
		return reader_fail(&r, value, "is a way to run, not a setting");
	if (origin_is_data(o) && (which->flags & PARAM_NO_JSON))
		return reader_fail(&r, value, "cannot be set in a params file");
	if (which->type == PARAM_SECRET)
		new.secret.fd = -1;
	ret = read_type_of[which->type](&r, value, &new);
	if (ret == 0)
		ret = merge(p, &r, value, &new);
	field_clear(which, &new);       /* what was not taken over */
	return ret;
}
