/* The message's own header fields; see head.h. One table says which there are, and in which order. */

#include "mime/head.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "text/date.h"
#include "text/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WIRE_MAX = 1024 };       /* an address in wire form has at most 254 octets */

struct head {
	struct buf *out;
	const struct mail_params *p;
	const struct field_lists *custom;
	const struct sysinfo *sys;
	char *message_id;
};

const struct field *fields_next(const struct field_lists *f, size_t *i)
{
	size_t at = (*i)++;

	for (size_t k = 0; k < ARRAY_SIZE(f->list); k++) {
		if (!f->list[k])
			continue;
		if (at < f->list[k]->count)
			return &f->list[k]->item[at];
		at -= f->list[k]->count;
	}
	return NULL;
}

const char *fields_find(const struct field_lists *f, const char *name)
{
	const struct field *field;
	size_t i = 0;

	while ((field = fields_next(f, &i)))
		if (!strcasecmp(field->name, name))
			return field->value;
	return NULL;
}

bool field_is_content(const char *name)
{
	return !strncasecmp(name, "Content-", 8);
}

int field_single(const char *name)
{
	static const char *const once[] = {
		"Date", "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To",
		"References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
		"Content-Disposition", "Content-ID", "Content-Description", "Auto-Submitted", "Importance",
		"X-Priority",
	};

	for (size_t i = 0; i < ARRAY_SIZE(once); i++)
		if (!strcasecmp(once[i], name))
			return (int)i;
	return -1;
}

static int field_refused(const struct field *f, struct err *e)
{
	static const char *const ours[] = { "MIME-Version", "Received", "Return-Path" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcasecmp(f->name, ours[i]))
			return err_set(e, ERR_DATA, "headers: %s is not for a message's author to write",
				       ours[i]);
	if ((!strcasecmp(f->name, "Bcc") || !strcasecmp(f->name, "Resent-Bcc")) &&
	    f->value[strspn(f->value, " \t")])
		return err_set(e, ERR_DATA, "headers: %s would be seen by everybody; use the setting bcc",
			       f->name);
	return 0;
}

int fields_check(const struct field_lists *f, struct err *e)
{
	const struct field *field;
	uint64_t seen = 0;
	size_t i = 0;

	while ((field = fields_next(f, &i))) {
		int single = field_single(field->name);

		if (field_name_check(field->name, strlen(field->name), e) < 0)
			return err_wrap(e, "headers");
		if (field_refused(field, e) < 0)
			return -1;
		if (single < 0)
			continue;
		if (seen & (UINT64_C(1) << single))
			return err_set(e, ERR_DATA, "headers: %s is there twice", field->name);
		seen |= UINT64_C(1) << single;
	}
	return 0;
}

/* Fields of addresses. */

static int put_mailbox(struct buf *out, const char *name, const struct mailbox *m, struct err *e)
{
	struct header_addresses h;
	bool eai = false;

	if (header_addresses_begin(&h, out, name, e) < 0 || header_addresses_add(&h, m, &eai, e) < 0)
		return -1;
	return header_addresses_end(&h, e);
}

static int put_boxes(struct buf *out, const char *name, const struct addressees *boxes, struct err *e)
{
	struct header_addresses h;
	bool eai = false;

	if (!boxes->count)
		return 0;
	if (header_addresses_begin(&h, out, name, e) < 0)
		return -1;
	for (size_t i = 0; i < boxes->count; i++)
		if (header_addresses_add(&h, &boxes->item[i].mailbox, &eai, e) < 0)
			return -1;
	return header_addresses_end(&h, e);
}

/* A list with groups keeps its text: the groups' names are for the reader. */
static int put_texts(struct buf *out, const char *name, const struct rcpts *texts, struct err *e)
{
	struct buf value = BUF_INIT(out->max);
	int rc = 0;

	for (size_t i = 0; i < texts->count && rc == 0; i++)
		if (buf_addf(&value, "%s%s", i ? ", " : "", texts->item[i].address) < 0)
			rc = err_set(e, ERR_DATA, "%s: too long", name);
	if (rc == 0)
		rc = header_raw(out, name, value.data, e);
	buf_clear(&value);
	return rc;
}

static int put_list(struct buf *out, const char *name, const struct addressees *boxes,
		    const struct rcpts *texts, bool groups, struct err *e)
{
	return groups ? put_texts(out, name, texts, e) : put_boxes(out, name, boxes, e);
}

int head_from(struct buf *out, const struct mail_params *p, struct err *e)
{
	if (!p->from_box.local)
		return err_set(e, ERR_DATA, "the message has no From: give --from");
	return put_mailbox(out, "From", &p->from_box, e);
}

static int put_from(struct head *h, struct err *e)
{
	return head_from(h->out, h->p, e);
}

static int put_sender(struct head *h, struct err *e)
{
	return h->p->sender_box.local ? put_mailbox(h->out, "Sender", &h->p->sender_box, e) : 0;
}

static int put_reply_to(struct head *h, struct err *e)
{
	return put_boxes(h->out, "Reply-To", &h->p->reply_to_boxes, e);
}

static int put_to(struct head *h, struct err *e)
{
	const struct mail_params *p = h->p;

	if (p->to_boxes.count || p->to_groups)
		return put_list(h->out, "To", &p->to_boxes, &p->to, p->to_groups, e);
	if (p->cc_boxes.count || p->cc_groups || fields_find(h->custom, "Cc"))
		return 0;
	return header_raw(h->out, "To", "undisclosed-recipients:;", e);
}

static int put_cc(struct head *h, struct err *e)
{
	return put_list(h->out, "Cc", &h->p->cc_boxes, &h->p->cc, h->p->cc_groups, e);
}

/* The rest. */

int head_date(struct buf *out, const struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	const char *zone = p->zone && *p->zone ? p->zone : NULL;
	char text[40], own_zone[8] = "";
	int64_t at = sys->now_s();

	if (p->date && date_parse(&at, own_zone, p->date, e) < 0)
		return err_wrap(e, "date");
	if (date_format(text, at, *own_zone ? own_zone : zone, e) < 0)
		return err_wrap(e, "date");
	return header_raw(out, "Date", text, e);
}

static int put_date(struct head *h, struct err *e)
{
	return head_date(h->out, h->p, h->sys, e);
}

/*
 * The domain of From (@from, where a ready message has its own), or of the envelope's sender, in A-labels: it
 * is in the message anyway, so that nothing of the machine is told.
 */
static char *message_id_domain(const struct mail_params *p, const char *from, const struct sysinfo *sys)
{
	const struct mailbox *box = p->from_box.local ? &p->from_box : &p->envelope_from_box;
	struct addr_cursor cursor = { .at = from, .end = from ? from + strlen(from) : NULL };
	char room[WIRE_MAX + 1];
	struct buf wire = BUF_IN(room);
	struct mailbox author = {0};
	struct err ignored = ERR_INIT;
	const char *at = NULL;
	char *domain;
	bool eai;

	if (from && mailbox_list_next(&cursor, &author, ADDR_BARE_LOCAL, &ignored) == ADDR_MAILBOX &&
	    author.domain)
		box = &author;
	if (box->local && box->domain && mailbox_wire(box, &wire, &eai, &ignored) == 0)
		at = strrchr(wire.data, '@');
	domain = xstrdup(at ? at + 1 : sys->hostname());
	mailbox_clear(&author);
	err_clear(&ignored);
	return domain;
}

int head_message_id(char **ret, const struct mail_params *p, const char *from, const struct sysinfo *sys,
		    struct err *e)
{
	CLEANUP(freep) char *domain = NULL;

	if (p->message_id) {
		if (message_id_check(p->message_id, e) < 0)
			return err_wrap(e, "message_id");
		*ret = xstrdup(p->message_id);
		return 0;
	}
	domain = message_id_domain(p, from, sys);
	*ret = message_id_make(sys, domain);
	return 0;
}

static int put_message_id(struct head *h, struct err *e)
{
	if (head_message_id(&h->message_id, h->p, NULL, h->sys, e) < 0)
		return -1;
	return header_raw(h->out, "Message-ID", h->message_id, e);
}

static int put_value(struct head *h, const char *name, const char *value, struct err *e)
{
	return value && *value ? header_raw(h->out, name, value, e) : 0;
}

static int put_subject(struct head *h, struct err *e)
{
	return h->p->subject ? header_text(h->out, "Subject", h->p->subject, e) : 0;
}

static int put_in_reply_to(struct head *h, struct err *e)
{
	return put_value(h, "In-Reply-To", h->p->in_reply_to, e);
}

static int put_references(struct head *h, struct err *e)
{
	return put_value(h, "References", h->p->references, e);
}

static int put_auto_submitted(struct head *h, struct err *e)
{
	return put_value(h, "Auto-Submitted", h->p->auto_submitted, e);
}

/* RFC 2156 5.3.4 (Importance), and what most readers look at instead. */
static int put_importance(struct head *h, struct err *e)
{
	static const char *const words[] = { [1] = "high", [3] = "normal", [5] = "low" };

	return h->p->priority ? put_value(h, "Importance", words[h->p->priority], e) : 0;
}

static int put_x_priority(struct head *h, struct err *e)
{
	static const char *const words[] = { [1] = "1", [3] = "3", [5] = "5" };

	return h->p->priority ? put_value(h, "X-Priority", words[h->p->priority], e) : 0;
}

/* What the settings said where something else is written (aliases, mail_domain, force_from). */

static int put_original(struct head *h, const char *name, const char *text, struct err *e)
{
	return text ? header_raw(h->out, name, text, e) : 0;
}

static int put_original_from(struct head *h, struct err *e)
{
	return put_original(h, "X-Original-From", h->p->original_from, e);
}

static int put_original_to(struct head *h, struct err *e)
{
	return put_original(h, "X-Original-To", h->p->original_to, e);
}

static int put_original_cc(struct head *h, struct err *e)
{
	return put_original(h, "X-Original-Cc", h->p->original_cc, e);
}

struct head_row { const char *name; int (*put)(struct head *h, struct err *e); };

static const struct head_row before_custom[] = {
	{ "Date", put_date },
	{ "From", put_from },
	{ "Sender", put_sender },
	{ "Reply-To", put_reply_to },
	{ "To", put_to },
	{ "Cc", put_cc },
	{ "Subject", put_subject },
	{ "Message-ID", put_message_id },
	{ "In-Reply-To", put_in_reply_to },
	{ "References", put_references },
};
static const struct head_row after_custom[] = {
	{ "Auto-Submitted", put_auto_submitted },
	{ "Importance", put_importance },
	{ "X-Priority", put_x_priority },
	{ "X-Original-From", put_original_from },
	{ "X-Original-To", put_original_to },
	{ "X-Original-Cc", put_original_cc },
};

/* A custom Message-ID is the message's in the report as well, and so has to be one. */
static int custom_message_id(struct head *h, const char *value, struct err *e)
{
	size_t len;

	value += strspn(value, " \t");
	for (len = strlen(value); len && strchr(" \t", value[len - 1]); len--)
		;
	h->message_id = xmemdup0(value, len);
	if (message_id_check(h->message_id, e) < 0)
		return err_wrap(e, "headers: Message-ID");
	return 0;
}

static int put_rows(struct head *h, const struct head_row *rows, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = fields_find(h->custom, rows[i].name);

		if (!value) {
			if (rows[i].put(h, e) < 0)
				return -1;
			continue;
		}
		if (rows[i].put == put_message_id && custom_message_id(h, value, e) < 0)
			return -1;
		if (header_raw(h->out, rows[i].name, value, e) < 0)
			return -1;
	}
	return 0;
}

static bool in_rows(const char *name, const struct head_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(rows[i].name, name))
			return true;
	return false;
}

static bool put_elsewhere(const char *name)
{
	return field_is_content(name) || !strcasecmp(name, "Bcc") || !strcasecmp(name, "Resent-Bcc") ||
	       in_rows(name, before_custom, ARRAY_SIZE(before_custom)) ||
	       in_rows(name, after_custom, ARRAY_SIZE(after_custom));
}

static int put_custom(struct head *h, struct err *e)
{
	const struct field *f;
	size_t i = 0;

	while ((f = fields_next(h->custom, &i)))
		if (!put_elsewhere(f->name) && header_raw(h->out, f->name, f->value, e) < 0)
			return -1;
	return 0;
}

int head_write(struct buf *out, char **ret_message_id, const struct mail_params *p,
	       const struct field_lists *custom, const struct sysinfo *sys, struct err *e)
{
	struct head h = { .out = out, .p = p, .custom = custom, .sys = sys };

	if (put_rows(&h, before_custom, ARRAY_SIZE(before_custom), e) < 0 || put_custom(&h, e) < 0 ||
	    put_rows(&h, after_custom, ARRAY_SIZE(after_custom), e) < 0 ||
	    header_raw(out, "MIME-Version", "1.0", e) < 0) {
		free(h.message_id);
		return -1;
	}
	*ret_message_id = h.message_id;
	return 0;
}
