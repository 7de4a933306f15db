/*
 * A file in the form of /etc/aliases; see aliases.h.
 *
 *   # a comment
 *   postmaster: root
 *   root:       admin@example.org,
 *               ops@example.org         (a line that begins with a blank goes on)
 *   "odd name": somebody
 */

#include "input/aliases.h"

#include "base/ascii.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "model/mail_params.h"

#include <string.h>

enum { ALIASES_MAX = 64 << 20, PIPE_MS = 5000, SHOWN = 512 };

/* One line of the file: where it is. */
struct text_line { const char *at; size_t len; unsigned number; };

struct reading {
	struct mail_params *p;
	const char *name;               /* of the file, escaped */
	const char *at, *end;
	unsigned line;
	struct buf entry;               /* the present one, its lines put together */
	unsigned entry_line;
	struct err *e;
};

static int entry_fail(const struct reading *r, const char *why)
{
	return err_set(r->e, ERR_CONFIG, "%s:%u: %s", r->name, r->entry_line, why);
}

static bool next_line(struct reading *r, struct text_line *ret)
{
	const char *newline;

	if (r->at == r->end)
		return false;
	newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*ret = (struct text_line){ r->at, (size_t)((newline ? newline : r->end) - r->at), ++r->line };
	r->at = newline ? newline + 1 : r->end;
	while (ret->len && (is_blank(ret->at[ret->len - 1]) || ret->at[ret->len - 1] == '\r'))
		ret->len--;
	return true;
}

/* The name of an entry: up to its colon, in quotes perhaps. *ret_targets: behind the colon. */
static size_t read_name(const char *s, const char **ret_name, const char **ret_targets)
{
	const char *end;
	size_t len;

	if (*s == '"') {
		end = strchr(s + 1, '"');
		if (!end)
			return 0;
		*ret_name = s + 1;
		len = (size_t)(end - s - 1);
		end++;
	} else {
		*ret_name = s;
		len = strcspn(s, ": \t");
		end = s + len;
	}
	end += strspn(end, " \t");
	if (*end != ':')
		return 0;
	*ret_targets = end + 1 + strspn(end + 1, " \t,");
	return len;
}

static int take_entry(struct reading *r)
{
	const char *name = NULL, *targets = NULL, *s = r->entry.data;
	size_t len;

	if (!r->entry.len)
		return 0;
	len = read_name(s, &name, &targets);
	if (!len)
		return entry_fail(r, "must be 'name: address, address'");
	if (!*targets)
		return entry_fail(r, "this name has no address");
	if (utf8_valid(s, r->entry.len) < r->entry.len)
		return entry_fail(r, "is not valid UTF-8");
	for (size_t i = 0; i < r->entry.len; i++)
		if ((unsigned char)s[i] < ' ' && s[i] != '\t')
			return entry_fail(r, "has a control character");
	mail_params_add_alias(r->p, name, len, targets);
	buf_reset(&r->entry);
	return 0;
}

static int take_line(struct reading *r, const struct text_line *line)
{
	bool goes_on = line->len && is_blank(line->at[0]);

	if (!line->len || line->at[strspn(line->at, " \t")] == '#')
		return 0;
	if (!goes_on) {
		if (take_entry(r) < 0)
			return -1;
		r->entry_line = line->number;
	} else if (!r->entry.len) {
		r->entry_line = line->number;
		return entry_fail(r, "goes on with an entry, and there is none before it");
	}
	if (buf_add(&r->entry, line->at, line->len) < 0)
		return entry_fail(r, "is too long");
	return 0;
}

static int read_all(struct reading *r)
{
	struct text_line line;

	while (next_line(r, &line))
		if (take_line(r, &line) < 0)
			return -1;
	return take_entry(r);
}

int aliases_read(struct mail_params *p, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(ALIASES_MAX);
	struct reading r = { .p = p, .entry = BUF_INIT(ALIASES_MAX), .e = e };
	char name[SHOWN];
	int rc;

	const char *beneath = mail_params_confined(p, "aliases_file") ? p->files_dir : NULL;

	if (!p->aliases_file)
		return 0;
	if (p->many && file_is_pipe(p->aliases_file, beneath))
		return err_set(e, ERR_DATA, "aliases_file: %s can be read once, and a batch has many messages; a file can be "
			       "read for each", p->aliases_file);
	if (file_slurp(&text, p->aliases_file, beneath, PIPE_MS, NULL, NULL, e) < 0) {
		e->class = ERR_CONFIG;
		return err_wrap(e, "aliases_file");
	}
	utf8_escape(name, sizeof(name), p->aliases_file, strlen(p->aliases_file));
	r.name = name;
	r.at = text.data ? text.data : "";
	r.end = r.at + text.len;
	if (text.len && memchr(text.data, '\0', text.len))
		return err_set(e, ERR_CONFIG, "%s: has a NUL in it", name);
	rc = read_all(&r);
	buf_clear(&r.entry);
	return rc;
}
