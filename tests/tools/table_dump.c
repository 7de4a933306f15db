/* The table of settings as JSON, a row a line: for tests/lint/table.py, which compares with it what is written by hand. */

#include "base/base.h"
#include "base/buf.h"
#include "base/json_out.h"
#include "model/param_table.h"

#include <stdio.h>
#include <string.h>

static const char *const types[] = {
	[PARAM_BOOL] = "bool", [PARAM_UINT] = "uint", [PARAM_SIZE] = "size", [PARAM_ENUM] = "enum", [PARAM_STR] = "str",
	[PARAM_STRS] = "strs", [PARAM_RCPTS] = "rcpts", [PARAM_FIELDS] = "fields", [PARAM_ALIASES] = "aliases", [PARAM_CONTENT] = "content",
	[PARAM_ATTACHMENTS] = "attachments", [PARAM_SECRET] = "secret", [PARAM_ACTION] = "action",
};

static void flag(struct json_out *j, const char *before, const char *name, const char *after)
{
	char text[96];

	snprintf(text, sizeof(text), "--%s%s%s", before, name, after);
	for (char *c = text; *c; c++)
		if (*c == '_')
			*c = '-';
	json_str(j, NULL, text);
}

/* Every spelling that the command line takes, the plain form of a secret left out. */
static void flags_of(struct json_out *j, const struct param *p, const char *name)
{
	static const char *const forms[] = { "-env", "-file", "-command", "-fd" };

	if (p->type != PARAM_SECRET)
		flag(j, "", name, "");
	if (p->type == PARAM_BOOL)
		flag(j, "no-", name, "");
	for (size_t i = 0; p->type == PARAM_SECRET && i < ARRAY_SIZE(forms); i++)
		flag(j, "", name, forms[i]);
}

static void row(struct json_out *j, const struct param *p)
{
	char letter[2] = { p->letter, '\0' };

	json_open(j, NULL, '{');
	json_str(j, "name", p->name);
	json_str(j, "type", types[p->type]);
	json_str(j, "letter", letter);
	if (p->alias)
		json_str(j, "alias", p->alias);
	json_open(j, "flags", '[');
	flags_of(j, p, p->name);
	json_close(j, ']');
	json_open(j, "alias_flags", '[');
	if (p->alias)
		flags_of(j, p, p->alias);
	json_close(j, ']');
	json_open(j, "choices", '[');
	for (const struct param_choice *c = p->choices; c && c->word; c++)
		json_str(j, NULL, c->word);
	json_close(j, ']');
	json_bool(j, "value", p->type != PARAM_BOOL && p->arg);
	json_bool(j, "file", (p->flags & PARAM_FILE) || p->type == PARAM_ATTACHMENTS || !strcmp(p->name, "params"));
	json_bool(j, "json", !(p->flags & PARAM_NO_JSON));
	json_bool(j, "env", !(p->flags & PARAM_NO_ENV));
	json_str(j, "help", p->help);
	json_close(j, '}');
}

int main(void)
{
	size_t n;
	const struct param *table = param_table(&n);

	for (size_t i = 0; i < n; i++) {
		struct buf line = BUF_INIT(1 << 16);
		struct json_out j = json_to_buf(&line);

		row(&j, &table[i]);
		if (j.failed)
			return 1;
		puts(line.data);
		buf_clear(&line);
	}
	return 0;
}
