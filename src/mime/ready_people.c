/* Address fields written anew; see ready_people.h. */

#include "mime/ready_people.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"
#include "mime/lines.h"
#include "model/local_names.h"
#include "model/mail_params.h"
#include "text/addr.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum role { ROLE_NONE, ROLE_AUTHOR, ROLE_SENDER, ROLE_RECIPIENT };

static const struct people_field {
	const char *name;
	enum role role;
	const char *original;           /* keeps what it said; NULL: nothing does */
} fields[] = {
	{ "From", ROLE_AUTHOR, "X-Original-From" }, { "Sender", ROLE_SENDER, NULL },
	{ "Reply-To", ROLE_SENDER, NULL },          { "To", ROLE_RECIPIENT, "X-Original-To" },
	{ "Cc", ROLE_RECIPIENT, "X-Original-Cc" },  { "Resent-From", ROLE_SENDER, NULL },
	{ "Resent-Sender", ROLE_SENDER, NULL },     { "Resent-To", ROLE_RECIPIENT, NULL },
	{ "Resent-Cc", ROLE_RECIPIENT, NULL },
};

static const struct people_field *row_of(const struct block *b, const struct block_field *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (block_is(b, f, fields[i].name))
			return &fields[i];
	return NULL;
}

/* A field on its way: its mailboxes as they are to be. */
struct rewriting {
	const struct mail_params *p;
	enum role role;
	struct mailbox *box;
	size_t count, cap;
	bool changed;
};

static void rewriting_clear(struct rewriting *w)
{
	for (size_t i = 0; i < w->count; i++)
		mailbox_clear(&w->box[i]);
	free(w->box);
}

static void keep(struct rewriting *w, struct mailbox *takes)
{
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 8;
		w->box = xreallocarray(w->box, w->cap, sizeof(*w->box));
	}
	w->box[w->count++] = *takes;
	*takes = (struct mailbox){0};
}

/* "root (Cron Daemon)": a name that is a comment, as daemons and RFC 822 have it. */
static char *name_in_comment(const char *value)
{
	const char *open = strchr(value, '('), *close = open ? strrchr(open, ')') : NULL;
	char *name, *to;

	if (!close || close == open + 1)
		return NULL;
	name = to = xmalloc((size_t)(close - open));
	for (const char *s = open + 1; s < close; s++) {
		if (*s == '\\' && s + 1 < close)
			s++;
		*to++ = *s;
	}
	*to = '\0';
	return name;
}

static void move_mailbox(struct mailbox *m, const struct mailbox *to)
{
	free(m->local);
	free(m->domain);
	m->local = xstrdup(to->local);
	m->domain = xstrdup(to->domain);
}

static bool same_address(const struct mailbox *a, const struct mailbox *b)
{
	return !strcmp(a->local, b->local) && !a->domain == !b->domain &&
	       (!a->domain || !strcasecmp(a->domain, b->domain));
}

/*
 * The author: forced, else given the domain of names that have none, else, where that would mean nothing to the
 * server, the one whom the settings name.
 */
static void take_author(struct rewriting *w, struct mailbox *m)
{
	const struct mail_params *p = w->p;

	if (p->force_from_box.local) {
		if (same_address(m, &p->force_from_box))
			return;
		move_mailbox(m, &p->force_from_box);
		if (p->force_from_box.name) {
			free(m->name);
			m->name = xstrdup(p->force_from_box.name);
		}
		w->changed = true;
	} else if (local_names_sender(p->names, m)) {
		w->changed = true;
	} else if (mailbox_is_local(m) && !server_params_local(&p->server) && mail_params_given(p, "from") &&
		   p->from_box.local && p->from_box.domain) {
		move_mailbox(m, &p->from_box);
		w->changed = true;
	}
}

static int take(struct rewriting *w, struct mailbox *m, struct err *e)
{
	struct addressees found = {0};
	int r = 0;

	if (w->role == ROLE_RECIPIENT)
		r = local_names_recipient(w->p->names, m, &found, e);
	else if (w->role == ROLE_AUTHOR)
		take_author(w, m);
	else
		w->changed |= local_names_sender(w->p->names, m);
	w->changed |= r > 0;
	for (size_t i = 0; i < found.count; i++) {
		/* one name of one person stays with him */
		if (found.count == 1 && !found.item[i].mailbox.name && m->name)
			found.item[i].mailbox.name = xstrdup(m->name);
		keep(w, &found.item[i].mailbox);
	}
	free(found.item);
	if (r == 0)
		keep(w, m);
	return r < 0 ? -1 : 0;
}

/* The mailboxes of @value; what cannot be read is left to who reads it. */
static int read_value(struct rewriting *w, const char *value, struct err *e)
{
	struct addr_cursor cursor = { .at = value, .end = value + strlen(value) };
	CLEANUP(err_clear) struct err unreadable = ERR_INIT;
	struct mailbox m;
	int r;

	while ((r = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL, &unreadable)) > 0) {
		r = take(w, &m, e);
		mailbox_clear(&m);
		if (r < 0)
			return -1;
		/* one author is forced, not as many times as there were authors */
		if (w->role == ROLE_AUTHOR && w->p->force_from_box.local)
			break;
	}
	if (r < 0)
		w->changed = false;
	return 0;
}

static int put_list(struct buf *out, const char *name, const struct rewriting *w, struct err *e)
{
	struct header_addresses h;
	bool ignored = false;

	if (header_addresses_begin(&h, out, name, e) < 0)
		return -1;
	for (size_t i = 0; i < w->count; i++)
		if (header_addresses_add(&h, &w->box[i], &ignored, e) < 0)
			return -1;
	return header_addresses_end(&h, e);
}

static bool nothing_to_do(const struct mail_params *p, enum role role)
{
	if (!local_names_empty(p->names))
		return false;
	return role != ROLE_AUTHOR || (!p->force_from_box.local && !mail_params_given(p, "from"));
}

static int rewrite(struct buf *out, const struct people_field *row, struct rewriting *w, const char *value,
		   struct err *e)
{
	if (read_value(w, value, e) < 0)
		return -1;
	if (!w->changed)
		return 0;
	if (w->role == ROLE_AUTHOR && !w->box[0].name)
		w->box[0].name = name_in_comment(value);
	if (put_list(out, row->name, w, e) < 0)
		return -1;
	if (row->original && header_raw(out, row->original, value, e) < 0)
		return -1;
	return 1;
}

int people_put(struct buf *out, const struct block *b, const struct block_field *f,
	       const struct mail_params *p, struct err *e)
{
	const struct people_field *row = row_of(b, f);
	struct rewriting w = { .p = p };
	CLEANUP(freep) char *value = NULL;
	int r;

	if (!row || nothing_to_do(p, row->role))
		return 0;
	w.role = row->role;
	value = block_field_value(b, f);
	r = rewrite(out, row, &w, value, e);
	rewriting_clear(&w);
	return r < 0 ? err_wrap(e, "%s", row->name) : r;
}
