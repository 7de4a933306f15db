/*
 * The journal of a batch; see journal.h. From the top: keys, records as they are written and read, the
 * table of what is known, the file.
 *
 * A record is read by a hand that knows our own form and nothing else, as a journal has a million of them;
 * what it does not take is for json_read(). What is loaded and what is written goes into the table by the
 * same function.
 */

#include "job/journal.h"

#include "base/ascii.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "model/value.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "{\"mailchute\":\"journal\",\"version\":1}\n"
#define LINE_MOST ((1ULL << 48) - 1)    /* what struct message has room for */

enum {
	VERSION = 1,
	CHUNK = 1 << 20,
	RECORD_MOST = 256 << 20,        /* 100 000 recipients take 30 MiB */
	SHOWN = 256,
	OWN_FD_LEAST = 200,             /* as in io.c: out of the way of those that users name */
	SLOTS_LEAST = 1024,
};

struct text { const char *at; size_t len; };
struct named { struct text addr; enum rcpt_state state; size_t order; };

/* --- keys --- */

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

/* @n octets, 8 at most, the first one lowest. */
static uint64_t little_endian(const unsigned char *at, size_t n)
{
	uint64_t x = 0;

	while (n--)
		x = x << 8 | at[n];
	return x;
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

/*
 * SipHash-2-4 with its 128-bit result (Aumasson, Bernstein 2012). Two of 2^20 lines have the same by an
 * accident of 2^-89. Shorter and several times faster than a SHA-256 of our own, and no library that we
 * link is sure to have either. Its key is public, so whoever writes the lines and wants two to be taken for
 * one can search for such a pair, 2^64 of them at most; equal ids get the same with less work.
 */
static struct journal_key siphash(const char domain[16], const char *mem, size_t len)
{
	const unsigned char *at = (const unsigned char *)mem;
	uint64_t k0 = little_endian((const unsigned char *)domain, 8);
	uint64_t k1 = little_endian((const unsigned char *)domain + 8, 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261,
			  k1 ^ 0x7465646279746573 };
	struct journal_key key;
	size_t left = len;

	for (; left >= 8; at += 8, left -= 8)
		sip_word(v, little_endian(at, 8));
	sip_word(v, little_endian(at, left) | (uint64_t)len << 56);
	for (int half = 0; half < 2; half++) {
		uint64_t out;

		v[half ? 1 : 2] ^= half ? 0xdd : 0xee;
		sip_rounds(v, 4);
		out = v[0] ^ v[1] ^ v[2] ^ v[3];
		for (int i = 0; i < 8; i++)
			key.octets[half * 8 + i] = (unsigned char)(out >> 8 * i);
	}
	return key;
}

struct journal_key journal_key_of_id(const char *id, size_t len)
{
	return siphash("mailchute id    ", id, len);
}

struct journal_key journal_key_of_line(const char *line, size_t len)
{
	return siphash("mailchute line  ", line, len);
}

static bool same_key(const struct journal_key *a, const struct journal_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* --- what stands of two words on one recipient --- */

static bool is_settled(enum rcpt_state s)
{
	return s == RCPT_ACCEPTED || s == RCPT_REJECTED || s == RCPT_UNKNOWN;
}

/*
 * What was accepted is so for ever. That an attempt was put off takes nothing back of what one before it
 * did. PENDING is all that is to be sent to.
 */
static enum rcpt_state stands(enum rcpt_state before, enum rcpt_state now)
{
	if (before == RCPT_ACCEPTED || !is_settled(now))
		return before;
	return now;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct journal_rcpt *)a)->addr, ((const struct journal_rcpt *)b)->addr);
}

/* Its place in past->settled, or NULL. */
static const struct journal_rcpt *find_settled(const struct journal_past *past, const char *addr)
{
	struct journal_rcpt wanted = { .addr = addr };

	if (!past || !past->n_settled)
		return NULL;
	return bsearch(&wanted, past->settled, past->n_settled, sizeof(wanted), by_address);
}

enum rcpt_state journal_past_of(const struct journal_past *past, const char *addr)
{
	const struct journal_rcpt *found = find_settled(past, addr);

	return found ? found->state : past ? past->rest : RCPT_PENDING;
}

void journal_past_clear(struct journal_past *past)
{
	free(past->settled);
	*past = (struct journal_past){0};
}

/* --- records, written --- */

static void begin_record(struct json_out *o, const char *kind, unsigned long long line,
			 const struct journal_key *key, const char *id, const char *message_id)
{
	char hex[JOURNAL_KEY_HEX];

	assert(line && line <= LINE_MOST);
	for (size_t i = 0; i < JOURNAL_KEY_HEX; i++)
		hex[i] = "0123456789abcdef"[key->octets[i / 2] >> (i % 2 ? 0 : 4) & 15];
	json_open(o, NULL, '{');
	json_int(o, kind, (int64_t)line);
	json_strn(o, "key", hex, sizeof(hex));
	if (id)
		json_str(o, "id", id);
	json_str(o, "message_id", message_id);
}

static int end_record(struct json_out *o, struct buf *out, size_t before)
{
	json_close(o, '}');
	if (!o->failed && buf_add(out, "\n", 1) == 0)
		return 0;
	if (out->len > before)
		out->data[out->len = before] = '\0';
	return -1;
}

int journal_put_sent(struct buf *out, unsigned long long line, const struct journal_key *key, const char *id,
		     const char *message_id)
{
	struct json_out o = json_to_buf(out);
	size_t before = out->len;

	begin_record(&o, "sent", line, key, id, message_id);
	return end_record(&o, out, before);
}

/* Everybody's state, as it stands: those of @r, then those of @past that are not in it. Gives how many. */
static size_t all_rcpt(struct journal_rcpt **ret, const struct report *r, const struct journal_past *past)
{
	size_t n_past = past ? past->n_settled : 0, n = 0;
	struct journal_rcpt *all = xcalloc(r->n_rcpt + n_past + 1, sizeof(*all));
	CLEANUP(freep) bool *seen = xcalloc(n_past + 1, sizeof(*seen));

	for (size_t i = 0; i < r->n_rcpt; i++) {
		const struct journal_rcpt *before = find_settled(past, r->rcpt[i].addr);
		enum rcpt_state now = r->rcpt[i].state, old = journal_past_of(past, r->rcpt[i].addr);

		if (now == RCPT_PENDING)
			now = RCPT_NOT_ATTEMPTED;
		if (before)
			seen[before - past->settled] = true;
		all[n++] = (struct journal_rcpt){ r->rcpt[i].addr, is_settled(old) ? stands(old, now) : now };
	}
	for (size_t i = 0; i < n_past; i++)
		if (!seen[i])
			all[n++] = past->settled[i];
	*ret = all;
	return n;
}

int journal_put_done(struct buf *out, unsigned long long line, const struct journal_key *key, const char *id,
		     const struct report *r, const struct journal_past *past)
{
	CLEANUP(freep) struct journal_rcpt *all = NULL;
	size_t before = out->len, n = all_rcpt(&all, r, past), same = 1;
	struct json_out o = json_to_buf(out);

	begin_record(&o, "done", line, key, id, r->message_id);
	while (same < n && all[same].state == all[0].state)
		same++;
	if (same >= n) {
		/* Nobody at all: the line was no message. It may be one when the run goes on. */
		json_str(&o, "all", rcpt_state_name(n ? all[0].state : RCPT_NOT_ATTEMPTED));
		return end_record(&o, out, before);
	}
	json_open(&o, "rcpt", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(&o, NULL, '[');
		json_str(&o, NULL, all[i].addr);
		json_str(&o, NULL, rcpt_state_name(all[i].state));
		json_close(&o, ']');
	}
	json_close(&o, ']');
	return end_record(&o, out, before);
}

/* --- records, read --- */

struct record {
	bool done;
	unsigned long long line;
	struct journal_key key;
	struct text id, message_id;     /* id.at NULL: none */
	size_t message_id_at;           /* its offset in the record, quote not included; 0: it is not known */
	enum rcpt_state all;            /* done, and n is 0 */
	struct named *rcpt;             /* the first n; kept for the next record */
	size_t n, cap;
	struct value *tree;             /* what the texts point into, where json_read() made them */
};

static void record_clear(struct record *r)
{
	value_free(r->tree);
	free(r->rcpt);
	*r = (struct record){0};
}

static struct named *add_named(struct record *r)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->rcpt = xreallocarray(r->rcpt, r->cap, sizeof(*r->rcpt));
	}
	return &r->rcpt[r->n++];
}

static bool state_by_name(enum rcpt_state *ret, const char *name, size_t len)
{
	for (int s = RCPT_PENDING; s <= RCPT_NOT_ATTEMPTED; s++) {
		const char *known = rcpt_state_name((enum rcpt_state)s);

		if (strlen(known) == len && !memcmp(known, name, len)) {
			*ret = (enum rcpt_state)s;
			return true;
		}
	}
	return false;
}

static int hex_value(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool key_by_hex(struct journal_key *ret, const char *hex, size_t len)
{
	if (len != JOURNAL_KEY_HEX)
		return false;
	for (size_t i = 0; i < sizeof(ret->octets); i++) {
		int high = hex_value(hex[i * 2]), low = hex_value(hex[i * 2 + 1]);

		if (high < 0 || low < 0)
			return false;
		ret->octets[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* The hand that knows our own form: each takes what comes next, or nothing and is false. */
struct hand { const char *at, *end; };

static inline bool take(struct hand *h, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(h->end - h->at) < len || memcmp(h->at, word, len) != 0)
		return false;
	h->at += len;
	return true;
}

/* Up to the quote, which is taken. */
static bool take_text(struct hand *h, struct text *ret)
{
	const char *begin = h->at;

	for (; h->at < h->end; h->at++) {
		unsigned char c = (unsigned char)*h->at;

		if (c == '"') {
			*ret = (struct text){ begin, (size_t)(h->at++ - begin) };
			return true;
		}
		if (c < 0x20 || c == '\\')
			return false;
	}
	return false;
}

static bool take_number(struct hand *h, unsigned long long *ret)
{
	const char *begin = h->at;
	unsigned long long n = 0;

	for (; h->at < h->end && is_digit(*h->at) && n <= LINE_MOST; h->at++)
		n = n * 10 + (unsigned)(*h->at - '0');
	*ret = n;
	return n && n <= LINE_MOST && *begin != '0';
}

static bool take_state(struct hand *h, enum rcpt_state *ret)
{
	struct text name;

	return take_text(h, &name) && state_by_name(ret, name.at, name.len);
}

static bool take_rcpt(struct hand *h, struct record *r)
{
	do {
		struct named to;

		if (!take(h, "[\"") || !take_text(h, &to.addr) || !take(h, ",\"") ||
		    !take_state(h, &to.state) || !take(h, "]"))
			return false;
		*add_named(r) = to;
	} while (take(h, ","));
	return take(h, "]");
}

static bool take_record(struct record *r, const char *line, size_t len)
{
	struct hand h = { line, line + len };
	struct text hex;

	r->done = take(&h, "{\"done\":");
	if ((!r->done && !take(&h, "{\"sent\":")) || !take_number(&h, &r->line) || !take(&h, ",\"key\":\"") ||
	    !take_text(&h, &hex) || !key_by_hex(&r->key, hex.at, hex.len))
		return false;
	r->id = (struct text){0};
	if (take(&h, ",\"id\":\"") && !take_text(&h, &r->id))
		return false;
	if (!take(&h, ",\"message_id\":\"") || !take_text(&h, &r->message_id))
		return false;
	r->message_id_at = (size_t)(r->message_id.at - line);
	if (r->done && take(&h, ",\"rcpt\":[")) {
		if (!take_rcpt(&h, r))
			return false;
	} else if (r->done && !(take(&h, ",\"all\":\"") && take_state(&h, &r->all))) {
		return false;
	}
	return take(&h, "}") && h.at == h.end;
}

static const struct value *member(const struct value *object, const char *key, enum value_type type)
{
	const struct value *v = value_get(object, key);

	return v && v->type == type ? v : NULL;
}

static bool rcpt_by_value(struct record *r, const struct value *list)
{
	for (const struct value *v = list->first; v; v = v->next) {
		const struct value *addr = v->type == VALUE_LIST ? v->first : NULL;
		const struct value *state = addr ? addr->next : NULL;
		struct named *to = add_named(r);

		if (!state || addr->type != VALUE_STR || state->type != VALUE_STR ||
		    !state_by_name(&to->state, state->str, state->len))
			return false;
		to->addr = (struct text){ addr->str, addr->len };
	}
	return r->n;
}

/* A record that has escapes, or that somebody wrote in another way. */
static bool record_by_value(struct record *r, const char *line, size_t len)
{
	static const char name[] = "\"message_id\":\"";
	const struct value *done = member(r->tree, "done", VALUE_INT);
	const struct value *sent = member(r->tree, "sent", VALUE_INT);
	const struct value *number = done ? done : sent, *key = member(r->tree, "key", VALUE_STR);
	const struct value *id = member(r->tree, "id", VALUE_STR), *all = member(r->tree, "all", VALUE_STR);
	const struct value *list = member(r->tree, "rcpt", VALUE_LIST);
	const struct value *message_id = member(r->tree, "message_id", VALUE_STR);
	/* Within a string every quote has a backslash before it, so this is not in one. */
	const char *found = memmem(line, len, name, sizeof(name) - 1);

	if (!number || (done && sent) || number->number < 1 || (uint64_t)number->number > LINE_MOST ||
	    !key || !key_by_hex(&r->key, key->str, key->len) || !message_id ||
	    (value_get(r->tree, "id") && !id))
		return false;
	r->done = done;
	r->line = (unsigned long long)number->number;
	r->id = id ? (struct text){ id->str, id->len } : (struct text){0};
	r->message_id = (struct text){ message_id->str, message_id->len };
	r->message_id_at = found ? (size_t)(found - line) + sizeof(name) - 1 : 0;
	if (!done)
		return true;
	if (list)
		return !all && rcpt_by_value(r, list);
	return all && state_by_name(&r->all, all->str, all->len);
}

/* @line without its LF. False: it is none. */
static bool record_read(struct record *r, const char *line, size_t len)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;

	r->n = 0;
	if (take_record(r, line, len))
		return true;
	r->n = 0;
	value_free(r->tree);
	r->tree = NULL;
	return json_read(&r->tree, "journal", line, len, &ignored) == 0 && r->tree->type == VALUE_OBJECT &&
	       record_by_value(r, line, len);
}

/* --- the table --- */

/*
 * A million of them are 40 MB, and 6 to 11 MB of slots. The first message with a key is found by the key
 * alone; those after it (equal lines) by key and line, and they hang in a list behind the first.
 */
struct message {
	struct journal_key key;
	uint64_t line : 48, rest : 4;   /* rest: enum rcpt_state */
	uint64_t first : 1, claimed : 1, in_doubt : 1;
	uint64_t message_id_at;         /* in the file; 0: none */
	uint32_t next;                  /* of the same key, the one made last first; 0: none */
	uint32_t settled;               /* in journal.lists; 0: none */
};

struct list { struct journal_rcpt *item; size_t n; };

struct journal {
	int fd;
	bool resume;
	char shown[SHOWN];

	pthread_mutex_t table;          /* for what follows */
	struct message *message;        /* [0] is none */
	size_t n, cap;
	uint32_t *slot;
	size_t n_slots;                 /* a power of two, or 0 */
	struct list *lists;             /* [0] is none */
	size_t n_lists, cap_lists;
	bool ids;                       /* one was looked up: what is written is noted */

	pthread_mutex_t writing;        /* for end and torn; taken before table */
	uint64_t end;                   /* of the last whole record */
	bool torn;                      /* something is behind it */

	pthread_mutex_t syncing;        /* for synced and sync_error; taken before writing */
	uint64_t synced;
	int sync_error;
};

/* A key is a hash already. */
static uint64_t hash_of(const struct journal_key *key, uint64_t line)
{
	uint64_t h;

	memcpy(&h, key, sizeof(h));
	if (line) {
		h = (h ^ line) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return h;
}

/* @line 0: the first with @key; else that of the line among the others. 0: none. */
static uint32_t find(const struct journal *j, const struct journal_key *key, uint64_t line)
{
	if (!j->n_slots)
		return 0;
	for (size_t at = hash_of(key, line); ; at++) {
		uint32_t i = j->slot[at & (j->n_slots - 1)];
		const struct message *m = &j->message[i];

		if (!i || (m->first == !line && (!line || m->line == line) && same_key(&m->key, key)))
			return i;
	}
}

static void put_in_slot(struct journal *j, uint32_t i)
{
	const struct message *m = &j->message[i];
	size_t at = hash_of(&m->key, m->first ? 0 : m->line);

	while (j->slot[at & (j->n_slots - 1)])
		at++;
	j->slot[at & (j->n_slots - 1)] = i;
}

static void make_room(struct journal *j)
{
	if (j->n + 1 >= j->cap) {
		j->cap = j->cap ? j->cap + j->cap / 2 : SLOTS_LEAST / 2;
		assert(j->cap <= UINT32_MAX);
		j->message = xreallocarray(j->message, j->cap, sizeof(*j->message));
		j->message[0] = (struct message){0};
	}
	if (j->n + 1 < j->n_slots / 4 * 3)
		return;
	j->n_slots = j->n_slots ? j->n_slots * 2 : SLOTS_LEAST;
	free(j->slot);
	j->slot = xcalloc(j->n_slots, sizeof(*j->slot));
	for (size_t i = 1; i <= j->n; i++)
		put_in_slot(j, (uint32_t)i);
}

static struct message *add_message(struct journal *j, const struct journal_key *key, uint64_t line)
{
	uint32_t first = find(j, key, 0), i;
	struct message *m;

	make_room(j);
	i = (uint32_t)++j->n;
	m = &j->message[i];
	*m = (struct message){ .key = *key, .line = line, .rest = RCPT_PENDING, .first = !first };
	if (first) {
		m->next = j->message[first].next;
		j->message[first].next = i;
	}
	put_in_slot(j, i);
	return m;
}

/* NULL: there is none. */
static struct message *find_line(struct journal *j, const struct journal_key *key, uint64_t line)
{
	uint32_t i = find(j, key, 0);

	if (i && j->message[i].line != line)
		i = find(j, key, line);
	return i ? &j->message[i] : NULL;
}

static int by_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	size_t len = x->addr.len < y->addr.len ? x->addr.len : y->addr.len;
	int order = memcmp(x->addr.at, y->addr.at, len);

	if (order)
		return order;
	if (x->addr.len != y->addr.len)
		return x->addr.len < y->addr.len ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* One piece of memory, of list and addresses, for free(3). */
static struct journal_rcpt *make_settled(const struct named *from, size_t n)
{
	size_t octets = 0;
	struct journal_rcpt *item;
	char *to;

	for (size_t i = 0; i < n; i++)
		octets += from[i].addr.len + 1;
	item = xmalloc(n * sizeof(*item) + octets);
	to = (char *)(item + n);
	for (size_t i = 0; i < n; i++) {
		item[i] = (struct journal_rcpt){ to, from[i].state };
		memcpy(to, from[i].addr.at, from[i].addr.len);
		to[from[i].addr.len] = '\0';
		to += from[i].addr.len + 1;
	}
	return item;
}

/* What @l has, with orders from 0, into to[l->n]. */
static void named_of(struct named *to, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		to[i] = (struct named){ { l->item[i].addr, strlen(l->item[i].addr) }, l->item[i].state, i };
}

static struct list *list_of(struct journal *j, struct message *m)
{
	if (!m->settled) {
		if (j->n_lists + 1 >= j->cap_lists) {
			j->cap_lists = j->cap_lists ? j->cap_lists * 2 : 64;
			j->lists = xreallocarray(j->lists, j->cap_lists, sizeof(*j->lists));
			j->lists[0] = (struct list){0};
		}
		m->settled = (uint32_t)++j->n_lists;
		j->lists[m->settled] = (struct list){0};
	}
	return &j->lists[m->settled];
}

/*
 * Sorted all[n], of the list before and then of the record, as one word for each address; only those that
 * need one beside @rest, which is everybody else's from now on. @base: what stood for who was not in the
 * list. Gives how many.
 */
static size_t fold(struct named *all, size_t n, size_t n_before, enum rcpt_state base, enum rcpt_state rest)
{
	size_t kept = 0;

	for (size_t i = 0, next; i < n; i = next) {
		struct named one = all[i];

		if (one.order >= n_before)
			one.state = stands(base, one.state);
		for (next = i + 1; next < n && all[next].addr.len == one.addr.len &&
		     !memcmp(all[next].addr.at, one.addr.at, one.addr.len); next++)
			one.state = stands(one.state, all[next].state);
		if (one.state != rest && is_settled(one.state))
			all[kept++] = one;
	}
	return kept;
}

static void note_done(struct journal *j, struct message *m, const struct record *r)
{
	size_t n_before = j->n_lists ? j->lists[m->settled].n : 0, n = n_before + r->n, kept;
	enum rcpt_state base = (enum rcpt_state)m->rest, rest = base;
	CLEANUP(freep) struct named *all = NULL;
	struct journal_rcpt *item;
	struct list *l;

	/* A list names everybody, so that nobody is left for the rest. */
	if (!r->n)
		rest = stands(base, r->all);
	else if (base != RCPT_ACCEPTED)
		rest = RCPT_PENDING;
	m->rest = rest;
	if (!n)
		return;
	all = xcalloc(n, sizeof(*all));
	l = list_of(j, m);
	named_of(all, l);
	for (size_t i = 0; i < n_before && !r->n; i++)
		all[i].state = stands(all[i].state, r->all);
	for (size_t i = 0; i < r->n; i++) {
		all[n_before + i] = r->rcpt[i];
		all[n_before + i].order = n_before + i;
	}
	qsort(all, n, sizeof(*all), by_named);
	kept = fold(all, n, n_before, base, rest);
	item = kept ? make_settled(all, kept) : NULL;
	free(l->item);
	*l = (struct list){ item, kept };
}

/* @at: where the record is in the file. */
static void note(struct journal *j, const struct record *r, uint64_t at)
{
	uint32_t by_id = r->id.at ? find(j, &r->key, 0) : 0;
	struct message *m = by_id ? &j->message[by_id] : r->id.at ? NULL : find_line(j, &r->key, r->line);

	if (!m)
		m = add_message(j, &r->key, r->line);
	if (r->message_id_at && r->message_id.len)
		m->message_id_at = at + r->message_id_at;
	m->in_doubt = !r->done;
	if (r->done)
		note_done(j, m, r);
}

/* --- looking up --- */

static enum journal_state state_of(const struct journal_past *past)
{
	if (past->rest == RCPT_UNKNOWN)
		return JOURNAL_UNKNOWN;
	if (past->n_settled)
		return JOURNAL_SOME;
	if (past->rest == RCPT_ACCEPTED)
		return JOURNAL_ACCEPTED;
	return past->rest == RCPT_REJECTED ? JOURNAL_REJECTED : JOURNAL_NEW;
}

static void tell(const struct journal *j, const struct message *m, struct journal_past *ret)
{
	const struct list *l = m->settled ? &j->lists[m->settled] : NULL;

	ret->line = m->line;
	ret->rest = (enum rcpt_state)m->rest;
	if (m->in_doubt && ret->rest != RCPT_ACCEPTED)
		ret->rest = RCPT_UNKNOWN;
	if (l && l->n) {
		CLEANUP(freep) struct named *all = xcalloc(l->n, sizeof(*all));

		named_of(all, l);
		ret->settled = make_settled(all, l->n);
		ret->n_settled = l->n;
	}
	ret->state = state_of(ret);
}

/* The Message-ID whose JSON string begins, behind its quote, at @at. Whatever is wrong with it: none. */
static void read_message_id(const struct journal *j, uint64_t at, char *out, size_t cap)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	CLEANUP(value_freep) struct value *v = NULL;
	char json[2 + 260 * 6] = "\"";          /* an octet takes 6 at most, as \u0001 */
	ssize_t n = pread(j->fd, json + 1, sizeof(json) - 1, (off_t)at);
	struct hand h = { json + 1, json + 1 + (n > 0 ? n : 0) };
	struct text text;

	if (!take_text(&h, &text)) {
		while (h.at < h.end && *h.at != '"')
			h.at += *h.at == '\\' ? 2 : 1;
		if (h.at >= h.end || json_read(&v, "journal", json, (size_t)(h.at + 1 - json), &ignored) < 0)
			return;
		text = (struct text){ v->str, v->len };
	}
	if (text.len >= cap)
		return;
	memcpy(out, text.at, text.len);
	out[text.len] = '\0';
}

/* One that nobody has taken in this run, and that is now taken; or NULL. */
static struct message *claim(struct journal *j, const struct journal_key *key, uint64_t line)
{
	uint32_t first = find(j, key, 0);
	struct message *m;

	if (!first)
		return NULL;
	m = find_line(j, key, line);
	if (!m || m->claimed) {
		m = &j->message[first];
		/* Those that were taken leave the list: a million equal lines are no million walks. */
		while (m->next && j->message[m->next].claimed)
			m->next = j->message[m->next].next;
		if (m->next)
			m = &j->message[m->next];
	}
	if (m->claimed)
		return NULL;
	m->claimed = true;
	return m;
}

static struct message *claim_id(struct journal *j, const struct journal_key *key, uint64_t line,
				bool *ret_repeated)
{
	uint32_t i = find(j, key, 0);
	struct message *m = i ? &j->message[i] : NULL;

	j->ids = true;
	if (!m) {
		add_message(j, key, line)->claimed = true;
		return NULL;
	}
	*ret_repeated = m->claimed;
	m->claimed = true;
	return m;
}

void journal_look_up(struct journal *j, const struct journal_key *key, unsigned long long line, bool unique,
		     struct journal_past *ret, bool *ret_repeated)
{
	struct message *m = NULL;
	uint64_t at = 0;

	*ret = (struct journal_past){ .state = JOURNAL_NEW, .rest = RCPT_PENDING };
	*ret_repeated = false;
	if (!unique && !j->resume)
		return;
	pthread_mutex_lock(&j->table);
	m = unique ? claim_id(j, key, line, ret_repeated) : claim(j, key, line);
	if (m) {
		tell(j, m, ret);
		at = m->message_id_at;
		if (unique && !*ret_repeated)
			m->line = line;
	}
	pthread_mutex_unlock(&j->table);
	if (at)
		read_message_id(j, at, ret->message_id, sizeof(ret->message_id));
}

/* --- the file --- */

static int cut_off(struct journal *j)
{
	if (ftruncate(j->fd, (off_t)j->end) < 0)
		return -1;
	j->torn = false;
	return 0;
}

/* For the lines behind it that have the same id. */
static void note_written(struct journal *j, const struct buf *records, uint64_t at)
{
	CLEANUP(record_clear) struct record r = {0};
	const char *line = records->data, *end = line + records->len, *lf;

	pthread_mutex_lock(&j->table);
	for (; j->ids && (lf = memchr(line, '\n', (size_t)(end - line))); line = lf + 1)
		if (record_read(&r, line, (size_t)(lf - line)) && r.id.at)
			note(j, &r, at + (uint64_t)(line - records->data));
	pthread_mutex_unlock(&j->table);
}

int journal_write(struct journal *j, const struct buf *records, struct err *e)
{
	int num = 0;

	pthread_mutex_lock(&j->writing);
	if (j->torn && cut_off(j) < 0)
		num = errno;
	else if (io_write_all(j->fd, records->data, records->len) < 0) {
		num = errno;
		j->torn = true;
		cut_off(j);             /* or else before the next one */
	} else {
		note_written(j, records, j->end);
		j->end += records->len;
	}
	pthread_mutex_unlock(&j->writing);
	return num ? err_sys(e, ERR_IO, num, "journal %s was not written", j->shown) : 0;
}

static uint64_t written_until(struct journal *j)
{
	uint64_t end;

	pthread_mutex_lock(&j->writing);
	end = j->end;
	pthread_mutex_unlock(&j->writing);
	return end;
}

/* Whoever had to wait for another's sync finds in most cases that it was done for both. */
int journal_sync(struct journal *j, struct err *e)
{
	uint64_t mine = written_until(j), all;
	int num;

	pthread_mutex_lock(&j->syncing);
	if (!j->sync_error && j->synced < mine) {
		all = written_until(j);
		if (fdatasync(j->fd) < 0)
			j->sync_error = errno;
		else
			j->synced = all;
	}
	num = j->sync_error;
	pthread_mutex_unlock(&j->syncing);
	return num ? err_sys(e, ERR_IO, num, "journal %s is not safe on its disk", j->shown) : 0;
}

static int no_journal(const struct journal *j, struct err *e)
{
	return err_set(e, ERR_DATA, "%s is no journal of mailchute", j->shown);
}

static int load_header(const struct journal *j, const char *line, size_t len, struct err *e)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	CLEANUP(value_freep) struct value *tree = NULL;
	const struct value *name, *version;

	if (len == sizeof(HEADER) - 2 && !memcmp(line, HEADER, len))
		return 0;
	if (json_read(&tree, "journal", line, len, &ignored) < 0 || tree->type != VALUE_OBJECT)
		return no_journal(j, e);
	name = member(tree, "mailchute", VALUE_STR);
	version = member(tree, "version", VALUE_INT);
	if (!name || strcmp(name->str, "journal") != 0 || !version)
		return no_journal(j, e);
	if (version->number != VERSION)
		return err_set(e, ERR_DATA, "journal %s has version %lld, and this program reads version %d",
			       j->shown, (long long)version->number, VERSION);
	return 0;
}

/* Where loading is. */
struct loading {
	struct journal *j;
	struct buf text;                /* of the file from j->end on */
	size_t searched;                /* no LF before */
	unsigned long long line;        /* 1-based, for errors */
	struct record record;
};

static void loading_clear(struct loading *l)
{
	buf_clear(&l->text);
	record_clear(&l->record);
}

static int load_line(struct loading *l, const char *line, size_t len, struct err *e)
{
	struct journal *j = l->j;

	if (l->line == 1)
		return load_header(j, line, len, e);
	if (!j->resume)
		return err_set(e, ERR_USAGE, "journal %s has entries of an earlier run: --resume goes on "
			       "with it; or name another file", j->shown);
	if (!record_read(&l->record, line, len))
		return err_set(e, ERR_DATA, "journal %s is damaged: its line %llu is no record", j->shown,
			       l->line);
	note(j, &l->record, j->end);
	return 0;
}

/* The whole lines of what was read. */
static int load_lines(struct loading *l, struct err *e)
{
	char *begin = l->text.data, *end = begin + l->text.len, *line = begin, *lf;

	while ((lf = memchr(line + l->searched, '\n', (size_t)(end - line) - l->searched))) {
		l->searched = 0;
		l->line++;
		if (load_line(l, line, (size_t)(lf - line), e) < 0)
			return -1;
		l->j->end += (uint64_t)(lf + 1 - line);
		line = lf + 1;
	}
	l->searched = l->text.len = (size_t)(end - line);
	memmove(begin, line, l->text.len);
	return 0;
}

/* -1, or how many octets came. */
static ssize_t load_chunk(struct loading *l, struct err *e)
{
	struct journal *j = l->j;
	ssize_t n;

	if (!l->line && l->text.len >= CHUNK)
		return no_journal(j, e);
	if (buf_reserve(&l->text, CHUNK) < 0)
		return err_set(e, ERR_DATA, "journal %s is damaged: its line %llu is too long", j->shown,
			       l->line + 1);
	do {
		n = pread(j->fd, l->text.data + l->text.len, CHUNK, (off_t)(j->end + l->text.len));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, ERR_IO, errno, "journal %s cannot be read", j->shown);
	l->text.len += (size_t)n;
	return n;
}

/* All that is in the file into the table; what is behind its last whole line is cut off. */
static int load(struct journal *j, struct err *e)
{
	CLEANUP(loading_clear) struct loading l = { .j = j, .text = BUF_INIT(RECORD_MOST + CHUNK) };
	ssize_t n;

	while ((n = load_chunk(&l, e)) > 0)
		if (load_lines(&l, e) < 0)
			return -1;
	if (n < 0)
		return -1;
	/* Only what can be a beginning of ours is cut, never somebody's file. */
	if (!l.line && (l.text.len >= sizeof(HEADER) - 1 || memcmp(l.text.data, HEADER, l.text.len) != 0))
		return no_journal(j, e);
	if (l.text.len && cut_off(j) < 0)
		return err_sys(e, ERR_IO, errno, "the torn last line of journal %s cannot be cut off",
			       j->shown);
	return 0;
}

/*
 * The name of a new file is in its directory when that is synced. Where it cannot be, the file's own sync
 * has to do.
 */
static int sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(freep) char *dir = slash ? xmemdup0(path, (size_t)(slash - path) + 1) : xstrdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), num = 0;

	if (fd < 0)
		return 0;
	if (fsync(fd) < 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT))
		num = errno;
	close(fd);
	errno = num;
	return num ? -1 : 0;
}

static int write_header(struct journal *j, const char *path, struct err *e)
{
	struct buf header = { .data = (char[]){ HEADER }, .len = sizeof(HEADER) - 1 };

	if (journal_write(j, &header, e) < 0 || journal_sync(j, e) < 0)
		return -1;
	if (sync_directory(path) < 0)
		return err_sys(e, ERR_IO, errno, "the directory of journal %s cannot be synced", j->shown);
	return 0;
}

static int open_file(struct journal *j, const char *path, struct err *e)
{
	enum { FLAGS = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };
	struct stat st;
	int high;

	j->fd = open(path, FLAGS | O_CREAT | O_EXCL, 0600);
	if (j->fd < 0 && errno == EEXIST)
		j->fd = open(path, FLAGS);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return err_sys(e, ERR_CANTCREAT, errno, "journal %s cannot be opened", j->shown);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CANTCREAT, "journal %s is no regular file", j->shown);
	high = fcntl(j->fd, F_DUPFD_CLOEXEC, OWN_FD_LEAST);
	if (high >= 0) {
		close(j->fd);
		j->fd = high;
	}
	if (flock(j->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_USAGE, "journal %s is in use by another run", j->shown);
	return err_sys(e, ERR_CANTCREAT, errno, "journal %s cannot be locked", j->shown);
}

int journal_open(struct journal **ret, const char *path, bool resume, struct err *e)
{
	CLEANUP(journal_closep) struct journal *j = xcalloc(1, sizeof(*j));

	j->fd = -1;
	j->resume = resume;
	pthread_mutex_init(&j->table, NULL);
	pthread_mutex_init(&j->writing, NULL);
	pthread_mutex_init(&j->syncing, NULL);
	utf8_escape(j->shown, sizeof(j->shown), path, strlen(path));
	if (open_file(j, path, e) < 0 || load(j, e) < 0 || (!j->end && write_header(j, path, e) < 0))
		return -1;
	*ret = j;
	j = NULL;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	for (size_t i = 1; i <= j->n_lists; i++)
		free(j->lists[i].item);
	free(j->lists);
	free(j->message);
	free(j->slot);
	pthread_mutex_destroy(&j->table);
	pthread_mutex_destroy(&j->writing);
	pthread_mutex_destroy(&j->syncing);
	free(j);
}
