/*
 * A params file: one JSON object whose keys are settings.
 */

#include "input/input.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_MAX = 256 << 20,           /* attachments may be in it as base64; more belongs in files */
	SHOWN = 512,
	ID_MAX = 512,
};

static int unknown_key(const struct value *v, const char *name, struct err *e)
{
	const char *near = param_nearest(v->key, strlen(v->key));
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), v->key, strlen(v->key));
	if (near)
		return err_set(e, ERR_DATA, "%s:%u:%u: %s: unknown key, did you mean '%s'?", name, v->line,
			       v->column, shown,
			       near);
	return err_set(e, ERR_DATA, "%s:%u:%u: %s: unknown key", name, v->line, v->column, shown);
}

static const struct param *param_of(const struct value *v)
{
	return param_by_name(v->key, strlen(v->key));
}

char *input_id(const struct value *v, const char *name, struct err *e)
{
	char number[24];
	const char *text = v->str;

	if (v->type == VALUE_INT) {
		snprintf(number, sizeof(number), "%lld", (long long)v->number);
		text = number;
	} else if (v->type != VALUE_STR && (v->type != VALUE_NUMBER || strspn(v->str, "-0123456789") != v->len)) {
		err_set(e, ERR_DATA, "%s:%u:%u: id: must be a text or a whole number", name, v->line, v->column);
		return NULL;
	}
	if (!*text || strlen(text) > ID_MAX) {
		err_set(e, ERR_DATA, "%s:%u:%u: id: must have 1 to %d octets", name, v->line, v->column, ID_MAX);
		return NULL;
	}
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127) {
			err_set(e, ERR_DATA, "%s:%u:%u: id: has a control character", name, v->line, v->column);
			return NULL;
		}
	return xstrdup(text);
}

/* What a line says besides settings. True: @v is that. */
static bool is_id(const struct value *v, enum origin o)
{
	return o == ORIGIN_LINE && !strcmp(v->key, "id");
}

/* All members of @object. A setting under its name and its alias is there twice as well. */
static int set_all(struct mail_params *p, const struct value *object, const char *name, enum origin o,
		   struct err *e)
{
	const char *seen[PARAM_MAX] = {0};

	for (const struct value *v = object->first; v; v = v->next) {
		const struct param *which;

		if (is_id(v, o))
			continue;
		which = param_of(v);
		if (!which)
			return unknown_key(v, name, e);
		if (o == ORIGIN_LINE && (which->flags & PARAM_RUN))
			return err_set(e, ERR_DATA, "%s:%u:%u: %s: is for the whole run, not for one line of it",
				       name, v->line, v->column, v->key);
		if (seen[param_id(which)])
			return err_set(e, ERR_DATA, "%s:%u:%u: %s: the same setting as '%s', which is there "
				       "already", name,
				       v->line, v->column, v->key, seen[param_id(which)]);
		seen[param_id(which)] = v->key;
		if (mail_params_set(p, which, v, o, name, e) < 0)
			return -1;
	}
	return 0;
}

static int read_object(struct value **ret, const char *name, const char *text, size_t len, struct err *e)
{
	CLEANUP(value_freep) struct value *root = NULL;

	if (json_read(&root, name, text, len, e) < 0)
		return -1;
	if (root->type != VALUE_OBJECT)
		return err_set(e, ERR_DATA, "%s:%u:%u: must be one object, {\"setting\": value, ...}", name,
			       root->line,
			       root->column);
	*ret = root;
	root = NULL;
	return 0;
}

int input_json(struct mail_params *p, const char *name, const char *text, size_t len, struct err *e)
{
	CLEANUP(value_freep) struct value *root = NULL;

	if (read_object(&root, name, text, len, e) < 0)
		return -1;
	return set_all(p, root, name, ORIGIN_JSON, e);
}

/* The key of a secret that is in the text itself, or NULL. A proxy's URL may hold one before its '@'. */
static const char *literal_secret(const struct value *object)
{
	for (const struct value *v = object->first; v; v = v->next) {
		const struct param *which = param_of(v);

		if (!which || v->type != VALUE_STR)
			continue;
		if (which->type == PARAM_SECRET || ((which->flags & PARAM_MASKED) && strchr(v->str, '@')))
			return v->key;
	}
	return NULL;
}

/* @where: "FILE", or "FILE:LINE". */
static int refuse_secret(const char *where, const char *path, const char *key, struct err *e)
{
	return err_set(e, ERR_POLICY, "%s: others can read this file and it holds a literal '%s'; run: chmod 600 %s",
		       where, key, path);
}

int input_line(struct mail_params *p, char **ret_id, const char *name, unsigned line, const char *text, size_t len,
	       bool exposed, struct err *e)
{
	CLEANUP(value_freep) struct value *root = NULL;
	const struct value *id;
	const char *secret;
	char where[SHOWN + 24];

	*ret_id = NULL;
	if (json_read_line(&root, name, line, text, len, e) < 0)
		return -1;
	if (root->type != VALUE_OBJECT)
		return err_set(e, ERR_DATA, "%s:%u:%u: must be one object, {\"setting\": value, ...}", name,
			       root->line, root->column);
	id = value_get(root, "id");
	if (id && !(*ret_id = input_id(id, name, e)))
		return -1;
	secret = exposed ? literal_secret(root) : NULL;
	if (secret) {
		snprintf(where, sizeof(where), "%s:%u", name, line);
		return refuse_secret(where, name, secret, e);
	}
	return set_all(p, root, name, ORIGIN_LINE, e);
}

/* A regular file that everybody can read must hold no secret; a pipe has no others. */
static int check_mode(const struct value *object, const char *path, mode_t mode, struct err *e)
{
	const char *key = S_ISREG(mode) && (mode & S_IROTH) ? literal_secret(object) : NULL;
	char shown[SHOWN];

	if (!key)
		return 0;
	utf8_escape(shown, sizeof(shown), path, strlen(path));
	return refuse_secret(shown, shown, key, e);
}

int input_params_file(struct mail_params *p, const char *path, struct err *e)
{
	bool standard = !strcmp(path, "-");
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(FILE_MAX);
	CLEANUP(value_freep) struct value *root = NULL;
	/* Somebody who types has the time that he needs. */
	unsigned timeout = standard && isatty(STDIN_FILENO) ? 0 : p->server.timeout * 1000;
	char name[SHOWN];
	mode_t mode;

	utf8_escape(name, sizeof(name), standard ? "standard input" : path,
		    strlen(standard ? "standard input" : path));
	if (file_slurp(&text, path, NULL, timeout, &mode, NULL, e) < 0)
		return -1;
	if (read_object(&root, name, text.data, text.len, e) < 0)
		return -1;
	/*
	 * What came as standard input was opened by the shell of somebody who could read it; its mode is not
	 * ours to judge.
	 */
	if (!standard && check_mode(root, path, mode, e) < 0)
		return -1;
	return set_all(p, root, name, ORIGIN_JSON, e);
}
