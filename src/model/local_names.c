/*
 * Aliases and the domain of names that have none; see local_names.h.
 *
 * The aliases are parsed when they are used, the names hashed when the table
 * is made: a file of 100 000 aliases of which a message uses one costs a pass.
 * Expansion is a stack of lists that are being read; a name that stands open
 * on it is a mailbox, and one that was expanded before is not expanded again.
 */

#include "model/local_names.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/params_impl.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct alias {
	const char *name, *targets;     /* of the params */
	unsigned long expanded;         /* in this expansion already: its number */
};

struct local_names {
	struct alias *alias;            /* in the order given; of a name given twice the first counts */
	size_t count;
	uint32_t *slot;                 /* open addressing: index + 1 */
	size_t mask;
	struct alias *fallback;         /* "default" */
	char *domain;
	unsigned long expansion;
};

/* ASCII's letters only: what is beyond is told apart, as strcasecmp() has it in every locale of ours. */
static char folded(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint64_t name_hash(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *name; name++)
		h = (h ^ (unsigned char)folded(*name)) * UINT64_C(1099511628211);
	return h;
}

static size_t find_slot(const struct local_names *n, const char *name)
{
	size_t at = name_hash(name) & n->mask;

	while (n->slot[at] && strcasecmp(n->alias[n->slot[at] - 1].name, name))
		at = (at + 1) & n->mask;
	return at;
}

static struct alias *find(struct local_names *n, const char *name)
{
	size_t at;

	if (!n->count)
		return NULL;
	at = find_slot(n, name);
	return n->slot[at] ? &n->alias[n->slot[at] - 1] : NULL;
}

static void add_alias(struct local_names *n, const struct field *f)
{
	size_t at = find_slot(n, f->name);

	if (n->slot[at])
		return;
	n->alias[n->count++] = (struct alias){ .name = f->name, .targets = f->value };
	n->slot[at] = (uint32_t)n->count;
}

static void take_aliases(struct local_names *n, const struct fields *aliases, const struct fields *behind)
{
	size_t cap = 16, total = aliases->count + behind->count;

	while (cap < total * 2)
		cap *= 2;
	n->slot = xcalloc(cap, sizeof(*n->slot));
	n->mask = cap - 1;
	n->alias = xcalloc(total ? total : 1, sizeof(*n->alias));
	for (size_t i = 0; i < aliases->count; i++)
		add_alias(n, &aliases->item[i]);
	for (size_t i = 0; i < behind->count; i++)
		add_alias(n, &behind->item[i]);
	n->fallback = find(n, "default");
}

/* A domain by the grammar of addresses: what "x@domain" is read as. */
static int take_domain(struct local_names *n, const struct mail_params *p, struct err *e)
{
	CLEANUP(freep) char *address = NULL;
	struct mailbox m = {0};

	if (!p->mail_domain)
		return 0;
	address = xasprintf("x@%s", p->mail_domain + (*p->mail_domain == '@'));
	if (mailbox_parse(&m, address, strlen(address), 0, e) < 0) {
		char shown[128];

		utf8_escape(shown, sizeof(shown), p->mail_domain, strlen(p->mail_domain));
		err_clear(e);
		return param_fail(p, "mail_domain", e, "'%s' is no domain", shown);
	}
	n->domain = m.domain;
	m.domain = NULL;
	mailbox_clear(&m);
	return 0;
}

int local_names_make(struct local_names **ret, const struct mail_params *p, struct err *e)
{
	struct local_names *n = xcalloc(1, sizeof(*n));

	if (take_domain(n, p, e) < 0) {
		local_names_free(n);
		return -1;
	}
	take_aliases(n, &p->aliases, &p->file_aliases);
	*ret = n;
	return 0;
}

bool local_names_empty(const struct local_names *n)
{
	return !n->count && !n->domain;
}

void mail_params_add_alias(struct mail_params *p, const char *name, size_t len, const char *targets)
{
	fields_add(&p->file_aliases, xmemdup0(name, len), xstrdup(targets));
}

bool mailbox_is_local(const struct mailbox *m)
{
	return m->local && *m->local && (!m->domain || !strcasecmp(m->domain, "localhost"));
}

/* Expansion. */

#define BETWEEN_TARGETS " \t\r\n,"

/* A list of targets that is being read. */
struct open_list { const struct alias *alias; const char *at; };

struct expansion {
	struct local_names *names;
	struct addressees *out;
	size_t first;                   /* of out: where this expansion's begin */
	struct open_list open[ALIAS_DEPTH_MOST];
	size_t depth;
	struct err *e;
};

static int fail(const struct alias *a, struct err *e, const char *why)
{
	char shown[128];

	utf8_escape(shown, sizeof(shown), a->name, strlen(a->name));
	return err_set(e, ERR_DATA, "the alias '%s' %s", shown, why);
}

static bool is_there(const struct expansion *x, const struct mailbox *m)
{
	for (size_t i = x->first; i < x->out->count && i < x->first + 1000; i++) {
		const struct mailbox *have = &x->out->item[i].mailbox;

		if (!strcmp(have->local, m->local) && !have->domain == !m->domain &&
		    (!m->domain || !strcasecmp(have->domain, m->domain)))
			return true;
	}
	return false;
}

/* The mailbox is one of those that get it; a name without a domain gets that which there is. Takes @m. */
static int give(struct expansion *x, struct mailbox *m)
{
	local_names_sender(x->names, m);
	if (is_there(x, m)) {
		mailbox_clear(m);
		return 0;
	}
	if (x->out->count - x->first >= ALIAS_TARGETS_MOST) {
		mailbox_clear(m);
		return err_set(x->e, ERR_DATA, "an alias has more than %d addresses", ALIAS_TARGETS_MOST);
	}
	x->out->item = list_more(x->out->item, x->out->count, &x->out->cap, sizeof(*x->out->item));
	x->out->item[x->out->count++].mailbox = *m;
	*m = (struct mailbox){0};
	return 0;
}

static int open_alias(struct expansion *x, struct alias *a)
{
	a->expanded = x->names->expansion;
	if (!a->targets[strspn(a->targets, BETWEEN_TARGETS)])
		return fail(a, x->e, "has no address");         /* else its mail would go to nobody, unsaid */
	if (x->depth == ALIAS_DEPTH_MOST)
		return fail(a, x->e, "is nested too deeply");
	x->open[x->depth++] = (struct open_list){ a, a->targets };
	return 0;
}

static bool is_open(const struct expansion *x, const struct alias *a)
{
	for (size_t i = 0; i < x->depth; i++)
		if (x->open[i].alias == a)
			return true;
	return false;
}

/* The length of the next target: up to a comma outside of quotes. */
static size_t target_length(const char *s)
{
	bool quoted = false;
	size_t n = 0;

	for (; s[n] && (quoted || s[n] != ','); n++) {
		if (s[n] == '\\' && s[n + 1])
			n++;
		else if (s[n] == '"')
			quoted = !quoted;
	}
	return n;
}

/* "|command", "/file", ":include:file", with or without quotes around them. */
static bool is_no_address(const char *s, size_t len)
{
	if (len && *s == '"') {
		s++;
		len--;
	}
	return len && (*s == '|' || *s == '/' || (len > 8 && !strncasecmp(s, ":include:", 9)));
}

static int take_target(struct expansion *x, const struct alias *of, const char *s, size_t len)
{
	bool last = len > 1 && *s == '\\';
	struct alias *next = NULL;
	struct mailbox m = {0};

	if (is_no_address(s, len))
		return fail(of, x->e,
			    "goes to a command or a file, which mailchute does not write to; give an "
			    "address");
	if (mailbox_parse(&m, s + last, len - last, ADDR_BARE_LOCAL, x->e) < 0) {
		char shown[128];

		utf8_escape(shown, sizeof(shown), of->name, strlen(of->name));
		return err_wrap(x->e, "the alias '%s'", shown);
	}
	if (!last && mailbox_is_local(&m))
		next = find(x->names, m.local);
	/* "root: root, admin@...": the name in its own list is the mailbox of that name */
	if (!next || is_open(x, next))
		return give(x, &m);
	mailbox_clear(&m);
	return next->expanded == x->names->expansion ? 0 : open_alias(x, next);
}

static int expand(struct expansion *x)
{
	while (x->depth) {
		struct open_list *top = &x->open[x->depth - 1];
		const char *s = top->at + strspn(top->at, BETWEEN_TARGETS);
		size_t len = target_length(s), used = len;

		if (!*s) {
			x->depth--;
			continue;
		}
		top->at = s + used;
		while (len && strchr(" \t\r\n", s[len - 1]))
			len--;
		if (take_target(x, top->alias, s, len) < 0)
			return -1;
	}
	return 0;
}

int local_names_recipient(struct local_names *n, const struct mailbox *m, struct addressees *out,
			  struct err *e)
{
	struct expansion x = { .names = n, .out = out, .first = out->count, .e = e };
	struct mailbox copy;
	struct alias *a;

	if (!mailbox_is_local(m))
		return 0;
	a = find(n, m->local);
	if (!a)
		a = n->fallback;
	n->expansion++;
	if (a)
		return open_alias(&x, a) < 0 || expand(&x) < 0 ? -1 : 1;
	if (!n->domain)
		return 0;
	copy = (struct mailbox){ xstrdup(m->name), xstrdup(m->local), xstrdup(m->domain) };
	return give(&x, &copy) < 0 ? -1 : 1;
}

bool local_names_sender(const struct local_names *n, struct mailbox *m)
{
	if (!n->domain || !mailbox_is_local(m))
		return false;
	free(m->domain);
	m->domain = xstrdup(n->domain);
	return true;
}

void local_names_free(struct local_names *n)
{
	if (!n)
		return;
	free(n->alias);
	free(n->slot);
	free(n->domain);
	free(n);
}
