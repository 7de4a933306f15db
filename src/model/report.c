/*
 * What became of each recipient: storage, the exit code, and the printed
 * forms. Texts live in an arena whose room is reserved before the dot; a
 * verdict that repeats the text of the one before shares it, so that 100 000
 * recipients with one answer cost one text.
 */

#include "model/report.h"

#include "base/err.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/envelope.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct report_block {
	struct report_block *older;
	size_t room, used;
	const char *last;               /* the text stored last: a candidate for sharing */
	char mem[];
};

enum { BLOCK_LEAST = 2048, EXIT_PARTIAL = 1, EXIT_UNKNOWN = 2, EXIT_RECIPIENT = 67 };

const char *rcpt_state_name(enum rcpt_state s)
{
	static const char *const name[] = {
		[RCPT_PENDING] = "pending", [RCPT_ACCEPTED] = "accepted", [RCPT_REJECTED] = "rejected",
		[RCPT_DEFERRED] = "deferred", [RCPT_UNKNOWN] = "unknown",
		[RCPT_NOT_ATTEMPTED] = "not_attempted",
	};

	return name[s];
}

const char *smtp_stage_name(enum smtp_stage s)
{
	static const char *const name[] = {
		[STAGE_LOCAL] = "local", [STAGE_CONNECT] = "connect", [STAGE_GREETING] = "greeting",
		[STAGE_EHLO] = "ehlo", [STAGE_TLS] = "tls", [STAGE_AUTH] = "auth", [STAGE_MAIL] = "mail",
		[STAGE_RCPT] = "rcpt", [STAGE_DATA] = "data", [STAGE_DOT] = "dot",
	};

	return name[s];
}

const char *cause_name(enum cause c)
{
	static const char *const name[] = {
		[CAUSE_NONE] = "", [CAUSE_USAGE] = "usage", [CAUSE_DATA] = "data", [CAUSE_INPUT] = "input",
		[CAUSE_HOST] = "host", [CAUSE_REFUSED] = "refused", [CAUSE_TIMEOUT] = "timeout",
		[CAUSE_LOST] = "lost", [CAUSE_TLS] = "tls", [CAUSE_AUTH] = "auth", [CAUSE_POLICY] = "policy",
		[CAUSE_PROTOCOL] = "protocol", [CAUSE_SENDER] = "sender", [CAUSE_SIZE] = "size",
		[CAUSE_EXTENSION] = "extension", [CAUSE_RECIPIENT] = "recipient", [CAUSE_CONTENT] = "content",
		[CAUSE_LOCAL] = "local",
	};

	return name[c];
}

static void add_block(struct report *r, size_t room)
{
	struct report_block *b;

	room = room < BLOCK_LEAST ? BLOCK_LEAST : room;
	b = xmalloc(sizeof(*b) + room);
	*b = (struct report_block){ .older = r->blocks, .room = room,
				    .last = r->blocks ? r->blocks->last : NULL };
	r->blocks = b;
}

/* Copy @len octets and a NUL into the arena. Without room, the text is cut: nothing is allocated here. */
static const char *store(struct report *r, const char *text, size_t len)
{
	struct report_block *b = r->blocks;
	char *to;

	if (!b || b->used == b->room)
		return "";
	if (b->last && strlen(b->last) == len && !memcmp(b->last, text, len))
		return b->last;
	if (len > b->room - b->used - 1)
		len = b->room - b->used - 1;
	to = b->mem + b->used;
	memcpy(to, text, len);
	to[len] = '\0';
	b->used += len + 1;
	b->last = to;
	return to;
}

void report_reserve(struct report *r, size_t n)
{
	size_t need = n * RESULT_TEXT_MAX;

	if (!r->blocks || r->blocks->room - r->blocks->used < need)
		add_block(r, need);
}

/* Nothing is known and nobody is in it. */
static void report_empty(struct report *r)
{
	*r = (struct report){ .size = -1, .connect_us = -1, .tls_us = -1, .auth_us = -1, .send_us = -1,
			      .total_us = -1 };
}

void report_init(struct report *r, const struct envelope *env)
{
	size_t total = 0;

	report_empty(r);
	r->n_rcpt = env->n_rcpt;
	r->rcpt = xcalloc(env->n_rcpt, sizeof(*r->rcpt));
	for (size_t i = 0; i < env->n_rcpt; i++)
		total += strlen(env->rcpt[i].addr) + 1;
	add_block(r, total);
	for (size_t i = 0; i < env->n_rcpt; i++) {
		r->rcpt[i].addr = store(r, env->rcpt[i].addr, strlen(env->rcpt[i].addr));
		r->rcpt[i].text = "";
	}
}

static void put_verdict(struct report *r, size_t i, const struct verdict *how, bool final)
{
	struct rcpt_result *to = &r->rcpt[i];
	size_t len = how->len < RESULT_TEXT_MAX - 1 ? how->len : RESULT_TEXT_MAX - 1;

	assert(i < r->n_rcpt && !to->final && how->state != RCPT_PENDING);
	to->state = how->state;
	to->stage = how->stage;
	to->cause = how->cause;
	to->code = how->code;
	to->final = final;
	snprintf(to->enhanced, sizeof(to->enhanced), "%s", how->enhanced ? how->enhanced : "");
	to->text = len ? store(r, how->text, len) : "";
}

void report_settle(struct report *r, size_t rcpt, const struct verdict *how)
{
	put_verdict(r, rcpt, how, true);
}

void report_tentative(struct report *r, size_t rcpt, const struct verdict *how)
{
	if (r->rcpt[rcpt].final)
		return;                 /* a word that stands is not replaced */
	if (!r->blocks || r->blocks->room - r->blocks->used < RESULT_TEXT_MAX)
		report_reserve(r, 64);
	put_verdict(r, rcpt, how, false);
}

void report_close(struct report *r, const struct verdict *rest)
{
	for (size_t i = 0; i < r->n_rcpt; i++) {
		if (r->rcpt[i].final)
			continue;
		if (r->rcpt[i].state == RCPT_PENDING)
			put_verdict(r, i, rest, true);
		else
			r->rcpt[i].final = true;
	}
}

enum cause report_own_failure(struct report *r, const struct err *e, const char *behind)
{
	static const enum cause cause[] = {
		[ERR_USAGE] = CAUSE_USAGE, [ERR_DATA] = CAUSE_DATA, [ERR_NOINPUT] = CAUSE_INPUT,
		[ERR_POLICY] = CAUSE_POLICY, [ERR_SOFTWARE] = CAUSE_LOCAL, [ERR_OS] = CAUSE_LOCAL,
		[ERR_CANTCREAT] = CAUSE_LOCAL, [ERR_IO] = CAUSE_LOCAL, [ERR_CONFIG] = CAUSE_LOCAL,
	};

	r->error_exit = err_exit_code(e);
	r->error_cause = cause[e->class];
	snprintf(r->error_text, sizeof(r->error_text), "%s%s", e->text, behind);
	return r->error_cause;
}

void report_error(struct report *r, const struct err *e)
{
	struct verdict v = { .state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL, .text = e->text,
			     .len = strlen(e->text) };

	if (!r->blocks)
		report_empty(r);
	v.cause = report_own_failure(r, e, "");
	report_close(r, &v);
}

bool rcpt_is_put_off(const struct rcpt_result *c)
{
	return c->state == RCPT_DEFERRED && c->cause != CAUSE_PROTOCOL;
}

void report_confirm(struct report *r, size_t rcpt)
{
	r->rcpt[rcpt].final = true;
}

bool report_final(const struct report *r, size_t rcpt)
{
	return r->rcpt[rcpt].final;
}

static size_t count_state(const struct report *r, enum rcpt_state s)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_rcpt; i++)
		n += r->rcpt[i].state == s;
	return n;
}

static int cause_exit(enum cause c)
{
	static const int code[] = {
		[CAUSE_NONE] = EX_SOFTWARE, [CAUSE_USAGE] = EX_USAGE, [CAUSE_DATA] = EX_DATAERR,
		[CAUSE_INPUT] = EX_NOINPUT, [CAUSE_HOST] = EX_NOHOST, [CAUSE_REFUSED] = EX_TEMPFAIL,
		[CAUSE_TIMEOUT] = EX_TEMPFAIL, [CAUSE_LOST] = EX_TEMPFAIL, [CAUSE_TLS] = EX_NOPERM,
		[CAUSE_AUTH] = EX_NOPERM, [CAUSE_POLICY] = EX_NOPERM, [CAUSE_PROTOCOL] = EX_PROTOCOL,
		[CAUSE_SENDER] = EX_UNAVAILABLE, [CAUSE_SIZE] = EX_UNAVAILABLE,
		[CAUSE_EXTENSION] = EX_UNAVAILABLE, [CAUSE_RECIPIENT] = EXIT_RECIPIENT,
		[CAUSE_CONTENT] = EX_DATAERR, [CAUSE_LOCAL] = EX_IOERR,
	};

	return code[c];
}

/*
 * The recipient whose result speaks for the whole, when none was accepted: an unknown one first, then a
 * deferred one (one that was more than a peer without SMTP), then the latest stage, a refusal before a "not
 * attempted" there. NULL: all accepted.
 */
static const struct rcpt_result *spokesman(const struct report *r)
{
	const struct rcpt_result *best = NULL;
	int best_rank = -1;

	for (size_t i = 0; i < r->n_rcpt; i++) {
		const struct rcpt_result *c = &r->rcpt[i];
		int rank = (int)c->stage * 2 + (c->state != RCPT_NOT_ATTEMPTED);

		if (c->state == RCPT_ACCEPTED)
			continue;
		if (c->state == RCPT_UNKNOWN)
			rank += 2000;
		else if (rcpt_is_put_off(c))
			rank += 1000;
		if (rank > best_rank) {
			best = c;
			best_rank = rank;
		}
	}
	return best;
}

int report_exit_code(const struct report *r)
{
	size_t accepted = count_state(r, RCPT_ACCEPTED);
	const struct rcpt_result *s;

	if (r->dry_run || !r->n_rcpt)
		return r->error_exit;
	if (accepted == r->n_rcpt)
		return EX_OK;
	if (accepted)
		return EXIT_PARTIAL;
	s = spokesman(r);
	if (s->state == RCPT_UNKNOWN)
		return EXIT_UNKNOWN;
	if (r->error_exit)
		return r->error_exit;
	if (rcpt_is_put_off(s))
		return EX_TEMPFAIL;
	return cause_exit(s->cause);
}

const char *report_result_name(const struct report *r)
{
	size_t accepted = count_state(r, RCPT_ACCEPTED);

	if (r->dry_run && !r->error_exit)
		return r->skipped ? "skipped" : "composed";
	if (r->dry_run || !r->n_rcpt)
		return "error";
	if (accepted == r->n_rcpt)
		return "sent";
	if (accepted)
		return "partial";
	if (count_state(r, RCPT_UNKNOWN))
		return "unknown";
	if (r->error_exit)
		return "error";
	if (count_state(r, RCPT_DEFERRED))
		return "deferred";
	return count_state(r, RCPT_REJECTED) ? "rejected" : "error";
}

/* "550 5.1.1 no such user", or our own words alone; escaped for one line of a terminal. */
static void words(char *out, size_t cap, const struct rcpt_result *c)
{
	size_t used = 0;

	if (c->code)
		used = (size_t)snprintf(out, cap, "%d ", c->code);
	if (used < cap)
		utf8_escape(out + used, cap - used, c->text, strlen(c->text));
}

static const char *fate(const struct rcpt_result *c)
{
	switch (c->state) {
	case RCPT_REJECTED: return "refused";
	case RCPT_DEFERRED: return "deferred";
	case RCPT_UNKNOWN: return "unknown (may have been delivered; sending again may duplicate it)";
	default: return "not attempted";
	}
}

/* What to do about a reply, where it says so by its code (RFC 4954, 6; RFC 3207, 4). */
static const char *advice(const struct rcpt_result *c)
{
	if (c->code != 530)
		return "";
	return strcasestr(c->text, "STARTTLS") ? " (--starttls asks for it)" :
						 " (--username and --password-file log in)";
}

void report_line(const struct report *r, char *out, size_t cap)
{
	const struct rcpt_result *s = spokesman(r);
	size_t failed = r->n_rcpt - count_state(r, RCPT_ACCEPTED), used;
	char said[RESULT_TEXT_MAX * 2], addr[300];
	const char *colon = r->server[0] ? ": " : "";   /* known by the journal alone: no server */

	out[0] = '\0';
	/* Our own failure explains all but what may have been delivered before it. */
	if (r->error_text[0] && (failed || r->dry_run || !r->n_rcpt) && report_exit_code(r) != EXIT_UNKNOWN) {
		utf8_escape(out, cap, r->error_text, strlen(r->error_text));
		return;
	}
	if (!failed || r->dry_run)
		return;
	words(said, sizeof(said), s);
	utf8_escape(addr, sizeof(addr), s->addr, strlen(s->addr));
	if (s->stage < STAGE_MAIL) {
		/* no session: its own sentence says what, where and what to do, the reply included */
		utf8_escape(out, cap, s->text, strlen(s->text));
		return;
	}
	if (s->state == RCPT_UNKNOWN)
		used = (size_t)snprintf(out, cap, "%s%sthe message may have been delivered, sending it again "
					"may duplicate it: %s", r->server, colon, said);
	else if (s->stage == STAGE_RCPT || s->cause == CAUSE_RECIPIENT)
		used = (size_t)snprintf(out, cap, "%s%srecipient %s %s: %s%s", r->server, colon, addr, fate(s), said,
					advice(s));
	else
		used = (size_t)snprintf(out, cap, "%s%smessage %s at %s: %s%s", r->server, colon, fate(s),
					smtp_stage_name(s->stage), said, advice(s));
	if (r->n_rcpt > 1 && used < cap)
		snprintf(out + used, cap - used, " (%zu of %zu recipients not accepted)", failed, r->n_rcpt);
}

static void time_ms(struct json_out *out, const char *key, int64_t us)
{
	if (us < 0)
		json_null(out, key);
	else
		json_int(out, key, (us + 500) / 1000);
}

static void text_key(struct json_out *out, const char *key, const char *raw)
{
	char escaped[RESULT_TEXT_MAX * 4];

	utf8_escape(escaped, sizeof(escaped), raw, strlen(raw));
	json_str(out, key, escaped);
}

static void recipient_json(const struct rcpt_result *c, struct json_out *out)
{
	json_open(out, NULL, '{');
	json_str(out, "address", c->addr);
	json_str(out, "state", rcpt_state_name(c->state));
	json_str(out, "stage", smtp_stage_name(c->stage));
	json_str(out, "cause", cause_name(c->cause));
	json_int(out, "code", c->code);
	json_str(out, "enhanced", c->enhanced);
	text_key(out, "text", c->text);
	json_close(out, '}');
}

static void error_json(const struct report *r, struct json_out *out)
{
	const struct rcpt_result *s = r->dry_run || !r->n_rcpt ? NULL : spokesman(r);
	int code = report_exit_code(r);
	bool local = r->error_exit && code == r->error_exit;
	char line[2048];

	if (!code) {
		json_null(out, "error");
		return;
	}
	report_line(r, line, sizeof(line));
	json_open(out, "error", '{');
	json_int(out, "exit", code);
	json_str(out, "cause", cause_name(local || !s ? r->error_cause : s->cause));
	json_str(out, "stage", smtp_stage_name(local || !s ? STAGE_LOCAL : s->stage));
	json_str(out, "text", line);
	json_close(out, '}');
}

void report_json_members(const struct report *r, struct json_out *out)
{
	json_int(out, "version", REPORT_VERSION);
	json_str(out, "result", report_result_name(r));
	json_str(out, "message_id", r->message_id);
	json_str(out, "server", r->server);
	text_key(out, "queue_id", r->queue_id);
	if (r->size < 0)
		json_null(out, "size");
	else
		json_int(out, "size", r->size);
	json_open(out, "recipients", '[');
	for (size_t i = 0; i < r->n_rcpt; i++)
		recipient_json(&r->rcpt[i], out);
	json_close(out, ']');
	json_open(out, "timings_ms", '{');
	time_ms(out, "connect", r->connect_us);
	time_ms(out, "tls", r->tls_us);
	time_ms(out, "auth", r->auth_us);
	time_ms(out, "send", r->send_us);
	time_ms(out, "total", r->total_us);
	json_close(out, '}');
	error_json(r, out);
}

void report_json(const struct report *r, struct json_out *out)
{
	json_open(out, NULL, '{');
	report_json_members(r, out);
	json_close(out, '}');
	if (!out->failed && out->put(out->ctx, "\n", 1) < 0)
		out->failed = true;
}

int report_text(const struct report *r, int (*put)(void *ctx, const char *mem, size_t len), void *ctx)
{
	char line[RESULT_TEXT_MAX * 2 + 400], said[RESULT_TEXT_MAX * 2], addr[300], id[300];
	size_t n;

	for (size_t i = 0; i < r->n_rcpt; i++) {
		const struct rcpt_result *c = &r->rcpt[i];

		words(said, sizeof(said), c);
		utf8_escape(addr, sizeof(addr), c->addr, strlen(c->addr));
		n = (size_t)snprintf(line, sizeof(line), "%s: %s%s%s\n", addr, rcpt_state_name(c->state),
				     said[0] ? ": " : "", said);
		if (put(ctx, line, n < sizeof(line) ? n : sizeof(line) - 1) < 0)
			return -1;
	}
	utf8_escape(id, sizeof(id), r->queue_id, strlen(r->queue_id));
	n = (size_t)snprintf(line, sizeof(line), "%s: %zu of %zu recipients accepted%s%s%s%s%s%s\n",
			     report_result_name(r), count_state(r, RCPT_ACCEPTED), r->n_rcpt,
			     r->server[0] ? ", server " : "", r->server,
			     r->message_id[0] ? ", message " : "", r->message_id,
			     id[0] ? ", queued as " : "", id);
	return put(ctx, line, n < sizeof(line) ? n : sizeof(line) - 1);
}

void report_clear(struct report *r)
{
	while (r->blocks) {
		struct report_block *older = r->blocks->older;

		free(r->blocks);
		r->blocks = older;
	}
	free(r->rcpt);
	*r = (struct report){0};
}
