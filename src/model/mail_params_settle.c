/*
 * What is allowed together, before anything is read: two ways to give one
 * thing, what a ready message leaves no room for, descriptors that are read
 * by one setting each, and the fence of files_dir.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/xalloc.h"
#include "model/params_impl.h"

#include <string.h>

/*
 * Two ways to give one thing.
 */

/* body and body_file, html and html_file: the higher origin replaces the other; of one they contradict. */
static int settle_pair(struct mail_params *p, const char *text, const char *file, struct err *e)
{
	const struct param *text_row = param_row(text), *file_row = param_row(file), *loser;
	enum origin a = p->origin[param_id(text_row)], b = p->origin[param_id(file_row)];

	loser = a < b ? text_row : file_row;
	if (a == b)
		return err_set(e, ERR_USAGE, "%s and %s exclude each other", text, file);
	param_clear(p, loser);
	p->origin[param_id(loser)] = ORIGIN_DEFAULT;
	return 0;
}

static const char *const composing[] = {
	"subject", "body", "body_file", "html", "html_file", "attachments", "headers", "sender", "reply_to",
	"date", "zone", "message_id", "in_reply_to", "references", "auto_submitted", "priority", "charset",
	"encoding", "stream",
};

static bool is_ready(const struct mail_params *p)
{
	return p->message_file || p->message.kind != CONTENT_NONE;
}

static bool asks_to_compose(const struct mail_params *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(composing); i++)
		if (param_origin(p, composing[i]) > ORIGIN_ENV)
			return true;
	return false;
}

/*
 * Only a ready message names its recipients. With what is composed, read_recipients would but add To and Cc
 * to the exact envelope of rcpt: as a default for all messages it is not meant for this one, else it is a
 * mistake.
 */
static int settle_read_recipients(struct mail_params *p, struct err *e)
{
	bool standing;

	if (!p->read_recipients || p->probing)
		return 0;
	standing = param_origin(p, "read_recipients") <= ORIGIN_ENV;
	if (standing && p->message_file && !mail_params_given(p, "message_file") && asks_to_compose(p)) {
		p->body_file = p->message_file;         /* "-", by default */
		p->message_file = NULL;
	}
	if (is_ready(p))
		return 0;
	if (!standing)
		return err_set(e, ERR_USAGE, "-t (read_recipients) is for a ready message; this one is composed "
			       "(message_file would name one)");
	param_reset(p, param_row("read_recipients"));
	return 0;
}

/*
 * A ready message has its own headers and body. What would compose another one beside it is an error where
 * somebody asked for it, and is dropped where the configuration or the environment has it for all messages.
 */
static int settle_ready_message(struct mail_params *p, struct err *e)
{
	if (!is_ready(p))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(composing); i++) {
		const struct param *which = param_row(composing[i]);
		enum origin o = param_origin(p, composing[i]);

		if (o > ORIGIN_ENV || (o == ORIGIN_DEFAULT && param_has_value(p, which)))
			return err_set(e, ERR_USAGE,
				       "%s cannot be set beside %s, which has its own headers and body",
				       composing[i],
				       p->read_recipients ? "-t (read_recipients): that is a ready "
							    "message"
							  : "message_file");
		param_clear(p, which);
		p->origin[param_id(which)] = ORIGIN_DEFAULT;
	}
	return 0;
}

/* Descriptors that are read, each by one setting: what the one has read the other would miss. */
enum { N_DESCRIPTORS = 65536 };         /* those that mail_params_set() takes */
struct readers {
	unsigned char *taken;           /* a bit for each; NULL until there is one */
	const struct mail_params *p;
	struct err *e;
};

static int take_descriptor(struct readers *r, int fd, const char *setting)
{
	unsigned char bit = (unsigned char)(1U << (fd & 7));

	if (fd < 0 || fd >= N_DESCRIPTORS)
		return err_set(r->e, ERR_USAGE, "%s: %d is not a descriptor", setting, fd);
	if (!r->taken)
		r->taken = xcalloc(N_DESCRIPTORS / 8, 1);
	if (r->taken[fd / 8] & bit)
		return err_set(r->e, ERR_USAGE, "%s: %s is already read by another setting", setting,
			       fd ? "this descriptor" : "standard input");
	r->taken[fd / 8] |= bit;
	return 0;
}

static void readers_clear(struct readers *r)
{
	free(r->taken);
}

static int take_content(struct readers *r, const struct content *c, const char *setting)
{
	bool reads = c->kind == CONTENT_STDIN || c->kind == CONTENT_FD;

	if (reads && c->confined && r->p->files_dir)
		return param_fail(r->p, setting, r->e,
				  "with files_dir a params file may name files only, no descriptor");
	return reads ? take_descriptor(r, c->kind == CONTENT_FD ? c->fd : 0, setting) : 0;
}

/* The next part in the order of the message, or NULL. */
static const struct part_params *part_next(const struct part_params *part, const struct part_params *root)
{
	if (part->first)
		return part->first;
	while (part != root && !part->next)
		part = part->parent;
	return part == root ? NULL : part->next;
}


/* A path that is standard input, by whichever name. */
static bool names_stdin(const char *path)
{
	static const char *const names[] = { "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0" };

	for (size_t i = 0; path && i < ARRAY_SIZE(names); i++)
		if (!strcmp(path, names[i]))
			return true;
	return is_stdin_path(path);
}

static bool is_stdin_content(const struct content *c)
{
	return c->kind == CONTENT_STDIN || (c->kind == CONTENT_FD && c->fd == 0) ||
	       (c->kind == CONTENT_FILE && names_stdin(c->path));
}

static bool is_stdin_secret(const struct secret *s)
{
	return s->kind == SECRET_FD && s->fd == 0;
}

const char *mail_params_stdin(const struct mail_params *p)
{
	if (names_stdin(p->body_file))
		return "body_file";
	if (names_stdin(p->html_file))
		return "html_file";
	if (names_stdin(p->message_file))
		return "message_file";
	for (const struct part_params *part = p->body; part; part = part_next(part, p->body))
		if (is_stdin_content(&part->content))
			return "body";
	for (size_t i = 0; i < p->attachments.count; i++)
		if (is_stdin_content(&p->attachments.item[i].content))
			return "attachments";
	if (is_stdin_secret(&p->server.password))
		return "password";
	return is_stdin_secret(&p->server.oauth2_token) ? "oauth2_token" : NULL;
}

int mail_params_contents(const struct mail_params *p,
			 int (*each)(void *ctx, const char *setting, const struct content *c, struct err *e),
			 void *ctx, struct err *e)
{
	for (const struct part_params *part = p->body; part; part = part_next(part, p->body))
		if (each(ctx, "body", &part->content, e) < 0)
			return -1;
	for (size_t i = 0; i < p->attachments.count; i++)
		if (each(ctx, "attachments", &p->attachments.item[i].content, e) < 0)
			return -1;
	return 0;
}

static int check_content(void *ctx, const char *setting, const struct content *c, struct err *e)
{
	(void)e;
	return take_content(ctx, c, setting);
}

static int check_descriptors(const struct mail_params *p, struct err *e)
{
	const struct { const char *name, *path; } files[] = {
		{"body_file", p->body_file}, {"html_file", p->html_file}, {"message_file", p->message_file},
	};
	const struct { const char *name; const struct secret *secret; } secrets[] = {
		{"password", &p->server.password}, {"oauth2_token", &p->server.oauth2_token},
	};
	CLEANUP(readers_clear) struct readers r = { .p = p, .e = e };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (is_stdin_path(files[i].path) && take_descriptor(&r, 0, files[i].name) < 0)
			return -1;
	if (mail_params_contents(p, check_content, &r, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		if (secrets[i].secret->kind == SECRET_FD &&
		    take_descriptor(&r, secrets[i].secret->fd, secrets[i].name) < 0)
			return -1;
	return 0;
}

/*
 * With files_dir the params file is somebody else's: it says what to send, not where or with whose secrets.
 */
static int check_files_dir(const struct mail_params *p, struct err *e)
{
	static const char *const paths[] = { "body_file", "html_file", "message_file" };
	size_t n;
	const struct param *table = param_table(&n);

	if (!p->files_dir)
		return 0;
	for (size_t i = 0; i < n; i++)
		if ((table[i].flags & PARAM_SERVER) &&
		    origin_is_data(p->origin[i]))
			return param_fail(p, table[i].name, e,
					  "with files_dir a params file cannot say how to connect");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (mail_params_confined(p, paths[i]) &&
		    is_stdin_path(*(char **)param_field(p, param_row(paths[i]))))
			return param_fail(p, paths[i], e,
					  "with files_dir a params file may name files only, no descriptor");
	return 0;
}

int mail_params_settle(struct mail_params *p, struct err *e)
{
	if (p->body && p->body_file && settle_pair(p, "body", "body_file", e) < 0)
		return -1;
	if (p->html && p->html_file && settle_pair(p, "html", "html_file", e) < 0)
		return -1;
	if (settle_read_recipients(p, e) < 0 || settle_ready_message(p, e) < 0)
		return -1;
	return check_files_dir(p, e) < 0 || check_descriptors(p, e) < 0 ? -1 : 0;
}
