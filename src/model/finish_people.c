/*
 * mail_params_finish()'s share of the people: who gets it and who it is from.
 *
 * Every address is read with names that have no domain allowed, resolved
 * (aliases, mail_domain), and only then judged: what is still without a domain
 * means something to a local server alone.
 *
 *   author (From)      force_from, from, From of headers, else user@host
 *   envelope sender    null where that was asked for; force_from, envelope_from, from, what a ready
 *                      message says of itself, else user@host
 */

#include "model/mail_params.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/local_names.h"
#include "model/params_impl.h"
#include "text/addr.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A group (RFC 5322, 3.4) is the one place with a colon outside of quotes, comments, brackets. */
static bool has_group(const char *s)
{
	char until = '\0';
	unsigned comment = 0;

	for (; *s; s++) {
		if (*s == '\\' && s[1] && (until == '"' || comment))
			s++;
		else if (until)
			until = *s == until ? '\0' : until;
		else if (*s == '(')
			comment++;
		else if (*s == ')')
			comment -= comment > 0;
		else if (comment)
			continue;
		else if (*s == '"')
			until = '"';
		else if (*s == '<')
			until = '>';
		else if (*s == '[')
			until = ']';
		else if (*s == ':')
			return true;
	}
	return false;
}

static void addressees_add(struct addressees *l, struct mailbox *takes)
{
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	l->item[l->count++] = (struct addressee){ .mailbox = *takes };
	*takes = (struct mailbox){0};
}

/* Whoever has no domain is somebody at a local server only, but for postmaster, whom every server knows. */
static int check_domain(const struct mail_params *p, const struct mailbox *m, struct err *e)
{
	char shown[128];

	if (m->domain || !*m->local || server_params_local(&p->server) || !strcasecmp(m->local, "postmaster"))
		return 0;
	utf8_escape(shown, sizeof(shown), m->local, strlen(m->local));
	return err_set(e, ERR_DATA, "'%s' has no @domain (mail_domain gives names one, aliases an address)",
		       shown);
}

/*
 * Recipients.
 */

struct taking {
	struct mail_params *p;
	struct addressees *to;
	bool may_be_empty;              /* a text without any address is met: "Bcc: (nobody)" */
	bool group;                     /* there was one */
	bool changed;                   /* a name was resolved */
};

/* One mailbox, or what it stands for. Takes @m. */
static int take_mailbox(struct taking *t, struct mailbox *m, struct err *e)
{
	size_t first = t->to->count;
	int r = local_names_recipient(t->p->names, m, t->to, e);

	if (r > 0)
		t->changed = true;
	if (r == 0)
		addressees_add(t->to, m);
	mailbox_clear(m);
	if (r < 0)
		return -1;
	if (t->to->count > MAX_ADDRESSES)
		return err_set(e, ERR_DATA, "more than %d addresses", MAX_ADDRESSES);
	for (size_t i = first; i < t->to->count; i++)
		if (check_domain(t->p, &t->to->item[i].mailbox, e) < 0)
			return -1;
	return 0;
}

/* Every mailbox of @text, resolved, behind those that are there. */
static int take_mailboxes(struct taking *t, const char *text, struct err *e)
{
	struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
	size_t found = 0;
	struct mailbox m;
	int r;

	for (; (r = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL, e)) > 0; found++)
		if (take_mailbox(t, &m, e) < 0)
			return -1;
	if (r < 0)
		return -1;
	if (has_group(text))
		t->group = true;
	else if (!found && !t->may_be_empty)
		return err_set(e, ERR_DATA, "holds no address");
	return 0;
}

/* The DSN wishes of those from @first on, who came of @asked; @notify: where it has none. */
static int finish_wishes(struct addressees *l, size_t first, const struct rcpt_param *asked, unsigned notify,
			 struct err *e)
{
	if (asked->notify && dsn_notify_read(&notify, asked->notify, e) < 0)
		return -1;
	if (asked->orcpt && l->count != first + 1)
		return err_set(e, ERR_DATA, "orcpt belongs to one address, here are %zu", l->count - first);
	if (asked->orcpt && orcpt_check(asked->orcpt, e) < 0)
		return -1;
	for (size_t i = first; i < l->count; i++) {
		l->item[i].notify = notify;
		l->item[i].orcpt = asked->orcpt;
	}
	return 0;
}

/* What the setting said, on one line: for the header field that keeps it. */
static char *as_asked(const struct rcpts *asked)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 20);

	for (size_t i = 0; i < asked->count; i++)
		if ((i && buf_adds(&b, ", ") < 0) || buf_adds(&b, asked->item[i].address) < 0)
			return NULL;    /* a header field of a megabyte keeps nothing for anybody */
	return buf_take(&b, NULL);
}

/* A setting with recipients, and what becomes of it; a field that is shown has the last two as well. */
struct rcpt_list {
	const char *name;
	const struct rcpts *asked;
	struct addressees *boxes;
	bool *groups;
	char **original;
};

static int finish_rcpts(struct mail_params *p, const struct rcpt_list *l, struct err *e)
{
	struct taking t = { .p = p, .to = l->boxes };

	for (size_t i = 0; i < l->asked->count; i++) {
		const struct rcpt_param *one = &l->asked->item[i];
		size_t first = l->boxes->count;

		if (take_mailboxes(&t, one->address, e) < 0 ||
		    finish_wishes(l->boxes, first, one, p->notify, e) < 0)
			return param_wrap(p, l->name, e);
	}
	if (t.changed && l->original)
		*l->original = as_asked(l->asked);
	/* the text of a group cannot stay where a name in it was resolved */
	if (l->groups)
		*l->groups = t.group && !t.changed;
	return 0;
}

static int finish_reply_to(struct mail_params *p, struct err *e)
{
	struct addressees *l = &p->reply_to_boxes;

	for (size_t i = 0; i < p->reply_to.count; i++) {
		const char *text = p->reply_to.item[i];
		struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
		size_t first = l->count;
		struct mailbox m;
		int r;

		while ((r = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL, e)) > 0) {
			local_names_sender(p->names, &m);
			addressees_add(l, &m);
			if (check_domain(p, &l->item[l->count - 1].mailbox, e) < 0)
				return param_wrap(p, "reply_to", e);
		}
		if (r == 0 && has_group(text))
			return param_fail(p, "reply_to", e, "a group is not taken here; give its addresses, "
					  "or the field in headers");
		if (r == 0 && l->count == first)
			r = err_set(e, ERR_DATA, "holds no address");
		if (r < 0)
			return param_wrap(p, "reply_to", e);
	}
	return 0;
}

/* The recipients that a ready message names. */
static int finish_found(struct mail_params *p, struct err *e)
{
	struct taking t = { .p = p, .to = &p->found_boxes, .may_be_empty = true };

	for (size_t i = 0; p->read_recipients && i < p->found.rcpts.count; i++) {
		const char *text = p->found.rcpts.item[i];
		char shown[160];

		if (take_mailboxes(&t, text, e) == 0)
			continue;
		utf8_escape(shown, sizeof(shown), text + strspn(text, " \t"),
			    strlen(text + strspn(text, " \t")));
		return err_wrap(e, "the recipients '%s' of the message", shown);
	}
	for (size_t i = 0; i < p->found_boxes.count; i++)
		p->found_boxes.item[i].notify = p->notify;
	return 0;
}

static int no_recipient(const struct mail_params *p, struct err *e)
{
	if (p->read_recipients)
		return err_set(e, ERR_USAGE, "no recipient: the message has none in To, Cc or Bcc, and the "
			       "command line names none");
	if (p->message_file || p->message.kind != CONTENT_NONE)
		return err_set(e, ERR_USAGE, "no recipient: name one on the command line, or with --rcpt; "
			       "a message_file's own fields do not say who gets it, but with -t");
	return err_set(e, ERR_USAGE,
		       "no recipient: name one on the command line, or with --to, --cc, --bcc or --rcpt "
		       "(fields in headers do not say who gets the message)");
}

static bool has_recipients(const struct mail_params *p)
{
	return p->to_boxes.count || p->cc_boxes.count || p->bcc_boxes.count || p->rcpt_boxes.count ||
	       p->found_boxes.count;
}

int finish_recipients(struct mail_params *p, struct err *e)
{
	const struct rcpt_list lists[] = {
		{"to", &p->to, &p->to_boxes, &p->to_groups, &p->original_to},
		{"cc", &p->cc, &p->cc_boxes, &p->cc_groups, &p->original_cc},
		{"bcc", &p->bcc, &p->bcc_boxes, NULL, NULL},
		{"rcpt", &p->rcpt, &p->rcpt_boxes, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (finish_rcpts(p, &lists[i], e) < 0)
			return -1;
	if (finish_found(p, e) < 0 || finish_reply_to(p, e) < 0)
		return -1;
	if (has_recipients(p) || p->probing)
		return 0;
	return no_recipient(p, e);
}

/*
 * The sender.
 */

/* malloc; NULL: none. */
static char *user_name(void)
{
	struct passwd entry, *found = NULL;
	char room[16384];               /* more than glibc asks for, and than a line of passwd(5) has */

	if (getpwuid_r(getuid(), &entry, room, sizeof(room), &found) || !found || !found->pw_name ||
	    !*found->pw_name)
		return NULL;
	return xstrdup(found->pw_name);
}

/* %U the user, %H the host, %% a percent sign; -1: what stands for it is not known. */
static int expand_pattern(char **ret, const char *text, const struct sysinfo *sys, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(4096);
	CLEANUP(freep) char *user = user_name();
	const char *host = sys->hostname();

	for (; *text; text++) {
		const char *put = text;
		size_t len = 1;

		if (*text == '%' && text[1] && strchr("UH%", text[1])) {
			text++;
			put = *text == 'U' ? user : *text == 'H' ? host : "%";
			if (!put || !*put)
				return err_set(e, ERR_DATA, "%%%c stands for nothing here: %s", *text,
					       *text == 'U' ? "the user has no name"
							    : "this machine's name has no domain");
			len = strlen(put);
		}
		if (buf_add(&b, put, len) < 0)
			return err_set(e, ERR_DATA, "is too long");
	}
	*ret = buf_take(&b, NULL);
	return 0;
}

/* Whoever runs the machine may write patterns; the sender of one message writes addresses. */
static int finish_pattern(struct mail_params *p, const char *name, char **field, const struct sysinfo *sys,
			  struct err *e)
{
	char *expanded = NULL;
	enum origin o;

	if (!*field || !strchr(*field, '%'))
		return 0;
	o = param_origin(p, name);
	if (o != ORIGIN_CONFIG && o != ORIGIN_ENV)
		return 0;
	if (expand_pattern(&expanded, *field, sys, e) < 0)
		return param_wrap(p, name, e);
	free(*field);
	*field = expanded;
	return 0;
}

static int finish_mailbox(const struct mail_params *p, const char *name, const char *text,
			  struct mailbox *ret, unsigned flags, struct err *e)
{
	if (!text)
		return 0;
	if (mailbox_parse(ret, text, strlen(text), flags | ADDR_BARE_LOCAL, e) < 0)
		return param_wrap(p, name, e);
	local_names_sender(p->names, ret);
	return 0;
}

static int finish_author(const struct mail_params *p, const char *name, const char *text, struct mailbox *ret,
			 struct err *e)
{
	if (finish_mailbox(p, name, text, ret, 0, e) < 0)
		return -1;
	return ret->local && check_domain(p, ret, e) < 0 ? param_wrap(p, name, e) : 0;
}

static struct field *field_named(const struct fields *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (!strcasecmp(l->item[i].name, name))
			return &l->item[i];
	return NULL;
}

/* The first mailbox of a From or Sender field. 1: *ret; 0: there is none; -1. */
static int first_mailbox(const struct mail_params *p, struct mailbox *ret, const char *text, struct err *e)
{
	struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
	int r = mailbox_list_next(&cursor, ret, ADDR_BARE_LOCAL, e);

	if (r > 0)
		local_names_sender(p->names, ret);
	return r;
}

/* The author and the envelope's sender are force_from's: what they would be else need not mean anything. */
static bool is_forced(const struct mail_params *p)
{
	return p->force_from_box.local != NULL;
}

/* A From among the headers stands for `from` where that is not set: its first mailbox feeds the envelope. */
static int from_of_headers(struct mail_params *p, const struct field *field, struct err *e)
{
	int r = first_mailbox(p, &p->from_box, field->value, e);

	if (r > 0)
		r = is_forced(p) ? 0 : check_domain(p, &p->from_box, e);
	else if (r == 0)
		r = err_set(e, ERR_DATA, "From holds no address");
	return r < 0 ? param_wrap(p, "headers", e) : 0;
}

/* What a ready message says of itself, if that is somebody whom other servers know. */
static bool from_of_message(struct mail_params *p)
{
	const char *said[] = { p->found.sender, p->found.from };

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		CLEANUP(err_clear) struct err ignored = ERR_INIT;
		struct mailbox m = {0};

		if (!said[i] || first_mailbox(p, &m, said[i], &ignored) <= 0)
			continue;
		if (server_params_local(&p->server) ? *m.local : !mailbox_is_local(&m)) {
			p->from_box = m;
			return true;
		}
		mailbox_clear(&m);
	}
	return false;
}

/* user@host: where the host's name means something to the one who hears it. */
static int default_from(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	const char *host = p->mail_domain ? p->mail_domain + (*p->mail_domain == '@') : sys->hostname();
	CLEANUP(freep) char *user = user_name();
	bool qualified = p->mail_domain || (host && strchr(host, '.'));

	if (!qualified && !server_params_local(&p->server))
		return err_set(e, ERR_USAGE,
			       "no sender: give --from (this machine's name has no domain to make one with)");
	if (!user)
		return err_set(e, ERR_USAGE, "no sender: give --from (the user %ld has no name)",
			       (long)getuid());
	p->from = xasprintf("%s@%s", user, host && *host ? host : "localhost");
	if (mailbox_parse(&p->from_box, p->from, strlen(p->from), 0, e) < 0)
		return err_set(e, ERR_USAGE, "no sender: give --from ('%s' is no address)", p->from);
	return 0;
}

/* from_box: the author of what is composed, and the envelope's sender where nothing else is. */
static int decide_from(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	bool ready = p->message_file || p->message.kind != CONTENT_NONE;
	const struct field *from = ready ? NULL : field_named(&p->headers, "From");

	if (p->from && is_forced(p))
		return finish_mailbox(p, "from", p->from, &p->from_box, 0, e);
	if (p->from)
		return finish_author(p, "from", p->from, &p->from_box, e);
	if (from)
		return from_of_headers(p, from, e);
	if (ready && from_of_message(p))
		return 0;
	if (ready && p->found.is && !p->found.from && p->envelope_from_box.local &&
	    *p->envelope_from_box.local) {
		p->from_box = (struct mailbox){ xstrdup(p->envelope_from_box.name),
						xstrdup(p->envelope_from_box.local),
						xstrdup(p->envelope_from_box.domain) };
		return 0;
	}
	if (is_forced(p) || (ready && p->envelope_from && !(p->found.is && !p->found.from)))
		return 0;
	if (default_from(p, sys, e) == 0)
		return 0;
	if (!p->probing || has_recipients(p))
		return -1;
	err_clear(e);           /* nobody is asked for a sender where no mail is tried */
	return 0;
}

/* "root", as daemons give it: at the host, else whoever else it can be. */
static int settle_envelope_from(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	struct mailbox *m = &p->envelope_from_box;
	const char *host;

	if (!m->local || !*m->local || !mailbox_is_local(m) || server_params_local(&p->server))
		return 0;
	host = sys->hostname();         /* may ask the resolver: only where it is needed */
	if (host && strchr(host, '.')) {
		free(m->domain);
		m->domain = xstrdup(host);
		return 0;
	}
	if (p->from_box.local && !mailbox_is_local(&p->from_box)) {
		mailbox_clear(m);
		return 0;
	}
	return check_domain(p, m, e) < 0 ? param_wrap(p, "envelope_from", e) : 0;
}

static char *mailbox_name_of(const struct mail_params *p, const struct mailbox *m)
{
	return xstrdup(m->name ? m->name : p->from_name);
}

/* force_from in the place of what the headers and the envelope would have said. The null sender stays. */
static void apply_force(struct mail_params *p)
{
	const struct mailbox *force = &p->force_from_box;
	struct field *field = field_named(&p->headers, "From");
	bool same = p->from_box.local && !strcmp(p->from_box.local, force->local) &&
		    p->from_box.domain && force->domain && !strcasecmp(p->from_box.domain, force->domain);
	char *name = mailbox_name_of(p, force->name ? force : &p->from_box);

	if (!same && (field || mail_params_given(p, "from")))
		p->original_from = xstrdup(field ? field->value : p->from);
	if (field) {
		free(field->name);
		free(field->value);
		p->headers.count--;
		memmove(field, field + 1,
			(size_t)(p->headers.item + p->headers.count - field) * sizeof(*field));
	}
	mailbox_clear(&p->from_box);
	p->from_box = (struct mailbox){ name, xstrdup(force->local), xstrdup(force->domain) };
	if (p->null_sender)
		return;
	mailbox_clear(&p->envelope_from_box);
	p->envelope_from_box = (struct mailbox){ NULL, xstrdup(force->local), xstrdup(force->domain) };
}

int finish_sender(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	if (finish_pattern(p, "from", &p->from, sys, e) < 0 ||
	    finish_pattern(p, "envelope_from", &p->envelope_from, sys, e) < 0 ||
	    finish_pattern(p, "force_from", &p->force_from, sys, e) < 0)
		return -1;
	if (finish_author(p, "sender", p->sender, &p->sender_box, e) < 0 ||
	    finish_author(p, "force_from", p->force_from, &p->force_from_box, e) < 0 ||
	    finish_mailbox(p, "envelope_from", p->envelope_from, &p->envelope_from_box, ADDR_NULL, e) < 0)
		return -1;
	p->null_sender = p->envelope_from && !*p->envelope_from_box.local && !p->envelope_from_box.name;
	if (decide_from(p, sys, e) < 0)
		return -1;
	if (is_forced(p))
		apply_force(p);
	else if (settle_envelope_from(p, sys, e) < 0)
		return -1;
	if (p->from_box.local && !p->from_box.name && p->from_name)
		p->from_box.name = xstrdup(p->from_name);
	return 0;
}

/*
 * The syntax alone, of what can be judged before the message is there: who must wait for that, perhaps for
 * somebody who types, hears of a slip first.
 */

static int check_list(const struct mail_params *p, const char *name, struct err *e)
{
	const struct rcpts *asked = param_field(p, param_row(name));

	for (size_t i = 0; i < asked->count; i++) {
		const char *text = asked->item[i].address;
		struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
		bool found = has_group(text);
		struct mailbox m;
		int r;

		for (; (r = mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL, e)) > 0; found = true)
			mailbox_clear(&m);
		if (r == 0 && !found)
			r = err_set(e, ERR_DATA, "holds no address");
		if (r < 0)
			return param_wrap(p, name, e);
	}
	return 0;
}

static int check_mailbox(const struct mail_params *p, const char *name, unsigned flags, struct err *e)
{
	const char *text = *(char **)param_field(p, param_row(name));
	struct mailbox m = {0};

	if (text && mailbox_parse(&m, text, strlen(text), flags | ADDR_BARE_LOCAL, e) < 0)
		return param_wrap(p, name, e);
	mailbox_clear(&m);
	return 0;
}

int mail_params_check_people(const struct mail_params *p, struct err *e)
{
	static const char *const lists[] = { "to", "cc", "bcc", "rcpt" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (check_list(p, lists[i], e) < 0)
			return -1;
	return check_mailbox(p, "envelope_from", ADDR_NULL, e);
}
