/* What can be read only once, and many messages ask for; see once.h. */

#include "job/once.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "input/aliases.h"
#include "model/mail_params.h"
#include "model/param_table.h"
#include "model/params_impl.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILE_MAX = 16 << 20 };

int once_read_in(struct mail_params *p, const char *file, const char *text, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(FILE_MAX);
	CLEANUP(value_freep) struct value *v = NULL;
	const char *path = *(char **)param_field(p, param_row(file));
	const char *beneath = mail_params_confined(p, file) ? p->files_dir : NULL;
	enum origin o = param_origin(p, file);

	if (!path)
		return 0;
	if (file_slurp(&b, path, beneath, p->server.timeout * 1000, NULL, NULL, e) < 0)
		return -1;
	if (p->charset && strcasecmp(p->charset, "utf-8"))
		return err_set(e, ERR_USAGE, "%s: %s: with --charset the text of many messages must be a regular file", file,
			       path);
	if (utf8_valid(b.data, b.len) != b.len || memchr(b.data, 0, b.len))
		return err_set(e, ERR_DATA, "%s: %s: must be UTF-8, without NUL", file, path);
	v = value_text(b.data);
	v->type = VALUE_STR;
	param_reset(p, param_row(file));
	return mail_params_set(p, param_row(text), v, o, NULL, e);
}

static bool is_read_once(const char *path, const char *beneath)
{
	return !strcmp(path, "-") || file_is_pipe(path, beneath);
}

static int refuse(const char *setting, const char *path, struct err *e)
{
	return err_set(e, ERR_USAGE, "%s: %s%scan be read once, and a batch has many messages; a file can be read for each",
		       setting, path, *path ? " " : "");
}

static int check_content(void *ctx, const char *setting, const struct content *c, struct err *e)
{
	const struct mail_params *p = ctx;

	if (c->kind == CONTENT_FD || c->kind == CONTENT_STDIN)
		return refuse(setting, c->kind == CONTENT_FD ? "a descriptor" : "standard input", e);
	if (c->kind == CONTENT_FILE && is_read_once(c->path, c->confined ? p->files_dir : NULL))
		return refuse(setting, strcmp(c->path, "-") ? c->path : "standard input", e);
	return 0;
}

/* The names of all messages, where they come by a pipe. That a file was given stays known: a configuration's is not. */
static int settle_aliases(struct mail_params *p, struct err *e)
{
	const char *beneath = mail_params_confined(p, "aliases_file") ? p->files_dir : NULL;

	if (!p->aliases_file || !is_read_once(p->aliases_file, beneath))
		return 0;
	if (aliases_read(p, e) < 0)
		return -1;
	free(p->aliases_file);
	p->aliases_file = NULL;
	return 0;
}

int once_settle(struct mail_params *p, struct err *e)
{
	static const struct { const char *file, *text; } texts[] = { {"body_file", "body"}, {"html_file", "html"} };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *path = *(char **)param_field(p, param_row(texts[i].file));

		if (path && is_read_once(path, mail_params_confined(p, texts[i].file) ? p->files_dir : NULL) &&
		    once_read_in(p, texts[i].file, texts[i].text, e) < 0)
			return -1;
	}
	if (p->message_file &&
	    is_read_once(p->message_file, mail_params_confined(p, "message_file") ? p->files_dir : NULL))
		return refuse("message_file", strcmp(p->message_file, "-") ? p->message_file : "standard input", e);
	return settle_aliases(p, e) < 0 ? -1 : mail_params_contents(p, check_content, p, e);
}
