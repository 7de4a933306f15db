/*
 * --help and --version. The list is the table: a flag, its values, its
 * default, folded at 80 columns.
 */

#include "input/input.h"

#include "base/buf.h"
#include "input/words.h"
#include "model/param_table.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, TEXT_COLUMN = 30 };

static const char head[] =
	"usage: mailchute [flags] [--] [recipient ...]    text from --body, --body-file\n"
	"                                                 or standard input\n"
	"       mailchute --message-file FILE --rcpt ADDR ...\n"
	"       mailchute --params FILE\n"
	"\n"
	"Composes a mail message and delivers it by SMTP or LMTP. Silent where all went\n"
	"well; else one line on standard error, and an exit code that says what failed.\n";

static const char tail[] =
	"\n"
	"Every setting is also a key of a params file ('_' for '-') and a variable,\n"
	"MAILCHUTE_ and its name in capitals. A list's flag may be repeated; a value that\n"
	"begins with '{', or with '[' and a JSON value, is JSON. The manual:\n"
	"mailchute(1), mailchute-params(5), mailchute-report(5).\n";

static const char *group_title(enum param_group g)
{
	switch (g) {
	case GROUP_SERVER: return "Server";
	case GROUP_ENVELOPE: return "Envelope and addresses";
	case GROUP_HEADERS: return "Headers";
	case GROUP_BODY: return "Body";
	case GROUP_BATCH: return "Many messages";
	case GROUP_OUTPUT: break;
	}
	return "Output, and how to run";
}

static int put_indent(struct buf *out, size_t from, size_t to)
{
	while (from++ < to)
		if (buf_adds(out, " ") < 0)
			return -1;
	return 0;
}

/* @text in words from TEXT_COLUMN on; @column is where the line is. */
static int put_folded(struct buf *out, size_t column, const char *text)
{
	if (column + 2 > TEXT_COLUMN) {
		if (buf_adds(out, "\n") < 0)
			return -1;
		column = 0;
	}
	if (put_indent(out, column, TEXT_COLUMN) < 0)
		return -1;
	column = TEXT_COLUMN;
	while (*text) {
		size_t n = strcspn(text, " ");

		if (column > TEXT_COLUMN && column + 1 + n > WIDTH) {
			if (buf_adds(out, "\n") < 0 || put_indent(out, 0, TEXT_COLUMN) < 0)
				return -1;
			column = TEXT_COLUMN;
		}
		if (column > TEXT_COLUMN) {
			if (buf_adds(out, " ") < 0)
				return -1;
			column++;
		}
		if (buf_add(out, text, n) < 0)
			return -1;
		column += n;
		text += n + strspn(text + n, " ");
	}
	return buf_adds(out, "\n");
}

/* What stands at the right: the help, the words it takes, other spellings, the default. */
static int put_meaning(struct buf *text, const struct param *p)
{
	char name[PARAM_NAME_ROOM];

	if (buf_adds(text, p->help) < 0)
		return -1;
	for (const struct param_choice *c = p->choices; c && c->word; c++)
		if (buf_addf(text, "%s%s", c == p->choices ? ": " : c[1].word ? ", " : " or ", c->word) < 0)
			return -1;
	if (p->alias) {
		param_flag(name, p->alias);
		if (buf_addf(text, " (also --%s)", name) < 0)
			return -1;
	}
	return p->fallback ? buf_addf(text, " [%s]", p->fallback) : 0;
}

static const char *secret_arg(const char *form)
{
	if (!strcmp(form, "env"))
		return "VARIABLE";
	return !strcmp(form, "file") ? "FILE" : !strcmp(form, "command") ? "COMMAND" : "N";
}

/*
 * The left side; *ret_column is where it ends. A secret has a line for each form, the text beside the last.
 */
static int put_flag(struct buf *out, const struct param *p, size_t *ret_column)
{
	size_t begin = out->len;
	char name[PARAM_NAME_ROOM];

	param_flag(name, p->name);
	for (size_t i = 0; p->type == PARAM_SECRET && i < ARRAY_SIZE(secret_forms); i++) {
		begin = out->len;
		if (buf_addf(out, "      --%s-%s=%s%s", name, secret_forms[i], secret_arg(secret_forms[i]),
			     i + 1 < ARRAY_SIZE(secret_forms) ? "\n" : "") < 0)
			return -1;
	}
	if (p->type != PARAM_SECRET) {
		char letter[8] = "   ";

		if (p->letter)
			snprintf(letter, sizeof(letter), "-%c,", p->letter);
		if (buf_addf(out, "  %s --%s%s%s%s", letter, p->type == PARAM_BOOL ? "[no-]" : "", name,
			     p->arg && p->type != PARAM_BOOL ? "=" : "",
			     p->arg && p->type != PARAM_BOOL ? p->arg : "") < 0)
			return -1;
	}
	*ret_column = out->len - begin;
	return 0;
}

static int put_param(struct buf *out, const struct param *p)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(4096);
	size_t column;

	if (put_meaning(&text, p) < 0 || put_flag(out, p, &column) < 0)
		return -1;
	return put_folded(out, column, text.data);
}

int input_help(struct buf *out)
{
	size_t n;
	const struct param *table = param_table(&n);

	if (buf_adds(out, head) < 0)
		return -1;
	for (int g = GROUP_SERVER; g <= GROUP_BATCH; g++) {
		if (buf_addf(out, "\n%s\n", group_title((enum param_group)g)) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (table[i].group == (enum param_group)g && put_param(out, &table[i]) < 0)
				return -1;
	}
	return buf_adds(out, tail);
}

int input_version(struct buf *out, const char *network)
{
	return buf_addf(out, "mailchute %s (%s, cJSON %s)\n", MAILCHUTE_VERSION, network, json_library());
}
