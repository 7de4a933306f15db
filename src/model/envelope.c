/* Who the message is from and to whom, in wire form; see envelope.h. */

#include "model/envelope.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/xalloc.h"
#include "model/mail_params.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>

enum {
	WIRE_MAX = 512,                 /* over RFC 5321 4.5.3.1.3, which mailbox_wire() keeps to */
	ORCPT_MAX = 500,                /* RFC 3461 4.2 */
	ENVID_MAX = 300,                /* 100 characters (RFC 3461 4.4), each at most "+XX" */
};

/* Open addressing over recipients already taken: linear time whatever their number. */
struct seen { uint32_t *slot; size_t mask; };

static void seen_init(struct seen *s, size_t n)
{
	size_t cap = 16;

	while (cap < n * 2)
		cap *= 2;
	s->slot = xcalloc(cap, sizeof(*s->slot));
	s->mask = cap - 1;
}

static void seen_clear(struct seen *s)
{
	free(s->slot);
}

/* True where env->rcpt already has @addr; else remembers that it will be number n_rcpt. */
static bool seen_before(struct seen *s, const struct envelope *env, const char *addr)
{
	size_t at = addr_hash(addr) & s->mask;

	for (; s->slot[at]; at = (at + 1) & s->mask)
		if (addr_same(env->rcpt[s->slot[at] - 1].addr, addr))
			return true;
	s->slot[at] = (uint32_t)env->n_rcpt + 1;
	return false;
}

/* RFC 3461 4.2: the type, which is rfc822 where none is asked for, and the address in xtext. */
static int orcpt_word(char **ret, const char *asked, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(ORCPT_MAX);
	const char *semicolon = strchr(asked, ';'), *addr = semicolon ? semicolon + 1 : asked;

	if (buf_add(&b, asked, (size_t)(addr - asked)) < 0 || (!semicolon && buf_adds(&b, "rfc822;") < 0) ||
	    xtext_add(&b, addr, strlen(addr)) < 0)
		return err_set(e, ERR_DATA, "orcpt is longer than %d octets", ORCPT_MAX);
	*ret = buf_take(&b, NULL);
	return 0;
}

static int wire(char **ret, bool *ret_eai, const struct mailbox *m, struct err *e)
{
	char room[WIRE_MAX + 1];
	struct buf b = BUF_IN(room);

	if (mailbox_wire(m, &b, ret_eai, e) < 0)
		return -1;
	*ret = xmemdup0(b.data, b.len);
	return 0;
}

static int add_rcpt(struct envelope *env, struct seen *seen, const struct addressee *a, struct err *e)
{
	struct rcpt r = { .notify = a->notify };

	if (wire(&r.addr, &r.eai, &a->mailbox, e) < 0)
		return -1;
	if (!r.addr[0]) {
		free(r.addr);
		return err_set(e, ERR_DATA, "the null address <> cannot be a recipient");
	}
	if (seen_before(seen, env, r.addr)) {
		free(r.addr);
		return 0;
	}
	env->rcpt[env->n_rcpt++] = r;           /* owned from here on: envelope_clear() frees it on error */
	return a->orcpt ? orcpt_word(&env->rcpt[env->n_rcpt - 1].orcpt, a->orcpt, e) : 0;
}

static int add_lists(struct envelope *env, const struct mail_params *p, struct err *e)
{
	const struct addressees *all[] = { &p->found_boxes, &p->rcpt_boxes, &p->to_boxes, &p->cc_boxes,
					   &p->bcc_boxes };
	const struct addressees *only[] = { &p->rcpt_boxes };
	/* with -t everybody who is named, wherever, gets it */
	bool exact = p->rcpt_boxes.count && !p->read_recipients;
	const struct addressees **list = exact ? only : all;
	size_t n_lists = exact ? 1 : ARRAY_SIZE(all), total = 0;
	CLEANUP(seen_clear) struct seen seen = {0};

	for (size_t l = 0; l < n_lists; l++)
		total += list[l]->count;
	env->rcpt = xcalloc(total ? total : 1, sizeof(*env->rcpt));
	seen_init(&seen, total);
	for (size_t l = 0; l < n_lists; l++)
		for (size_t i = 0; i < list[l]->count; i++)
			if (add_rcpt(env, &seen, &list[l]->item[i], e) < 0)
				return -1;
	return 0;
}

int envelope_sender(struct envelope *env, const struct mail_params *p, struct err *e)
{
	const struct mailbox *m = p->envelope_from_box.local ? &p->envelope_from_box : &p->from_box;

	if (p->null_sender || !m->local) {
		env->from = xstrdup("");
		return 0;
	}
	return wire(&env->from, &env->from_eai, m, e);
}

static int set_dsn(struct envelope *env, const struct mail_params *p, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(ENVID_MAX);

	env->ret = p->dsn_return;
	if (!p->dsn_envid)
		return 0;
	if (xtext_add(&b, p->dsn_envid, strlen(p->dsn_envid)) < 0)
		return err_set(e, ERR_DATA, "dsn_envid is longer than %d octets in xtext", ENVID_MAX);
	env->envid = buf_take(&b, NULL);
	return 0;
}

int envelope_from_params(struct envelope *ret, const struct mail_params *p, struct err *e)
{
	CLEANUP(envelope_clear)
	struct envelope env = { .require_tls = p->require_tls, .dsn_optional = p->dsn_optional };

	if (envelope_sender(&env, p, e) < 0 || set_dsn(&env, p, e) < 0 || add_lists(&env, p, e) < 0)
		return -1;
	*ret = env;
	env = (struct envelope){0};
	return 0;
}

bool envelope_wants_dsn(const struct envelope *env)
{
	if (env->ret || env->envid)
		return true;
	for (size_t i = 0; i < env->n_rcpt; i++)
		if (env->rcpt[i].notify || env->rcpt[i].orcpt)
			return true;
	return false;
}

bool envelope_needs_dsn(const struct envelope *env)
{
	return !env->dsn_optional && envelope_wants_dsn(env);
}

void envelope_clear(struct envelope *env)
{
	for (size_t i = 0; i < env->n_rcpt; i++) {
		free(env->rcpt[i].addr);
		free(env->rcpt[i].orcpt);
	}
	free(env->rcpt);
	free(env->from);
	free(env->envid);
	*env = (struct envelope){0};
}
