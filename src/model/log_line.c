/* The lines of a log; see log_line.h. */

#include "model/log_line.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "model/report.h"

#include <stdio.h>
#include <string.h>

/* Values that need no quotes: what cannot be taken for the end of one. */
static bool is_plain(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr("\"\\=,", *s))
			return false;
	return true;
}

static int put_quoted(struct buf *out, const char *s)
{
	char escaped[2400];

	utf8_escape(escaped, sizeof(escaped), s, strlen(s));
	if (buf_adds(out, "\"") < 0)
		return -1;
	for (s = escaped; *s; s++) {
		/* utf8_escape() has made \xNN of what is no text; its backslashes and the text's are one kind */
		if ((*s == '"' || *s == '\\') && buf_adds(out, "\\") < 0)
			return -1;
		if (buf_add(out, s, 1) < 0)
			return -1;
	}
	return buf_adds(out, "\"");
}

static int put(struct buf *out, const char *key, const char *value)
{
	if (buf_addf(out, "%s%s=", out->len ? " " : "", key) < 0)
		return -1;
	return *value && is_plain(value) ? buf_adds(out, value) : put_quoted(out, value);
}

/* "<a@x>": an address may hold anything in quotes, so one that is not plain is quoted as a whole. */
static int put_address(struct buf *out, const char *address)
{
	if (is_plain(address))
		return buf_addf(out, "<%s>", address);
	return put_quoted(out, address);
}

/* Those in one state: "rejected=<a>,<b>,+17". */
static int put_rcpts(struct buf *out, const struct report *r, enum rcpt_state state, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_rcpt; i++) {
		if (r->rcpt[i].state != state || ++n > most)
			continue;
		if (n == 1 ? buf_addf(out, " %s=", state == RCPT_ACCEPTED ? "to" : rcpt_state_name(state)) < 0
			   : buf_adds(out, ",") < 0)
			return -1;
		if (put_address(out, r->rcpt[i].addr) < 0)
			return -1;
	}
	return n > most ? buf_addf(out, ",+%zu", n - most) : 0;
}

/* The server's words for the first who was accepted. */
static int put_reply(struct buf *out, const struct report *r)
{
	char words[RESULT_TEXT_MAX + 40];

	for (size_t i = 0; i < r->n_rcpt; i++) {
		const struct rcpt_result *c = &r->rcpt[i];

		if (c->state != RCPT_ACCEPTED)
			continue;
		snprintf(words, sizeof(words), "%d %s", c->code, c->text);
		return put(out, "reply", words);
	}
	return 0;
}

static int put_figures(struct buf *out, const struct report *r)
{
	if (r->size >= 0 && buf_addf(out, " size=%lld", (long long)r->size) < 0)
		return -1;
	if (r->total_us >= 0 && buf_addf(out, " seconds=%lld.%03lld", (long long)(r->total_us / 1000000),
					 (long long)(r->total_us / 1000 % 1000)) < 0)
		return -1;
	return 0;
}

static int put_people(struct buf *out, const struct report *r, const struct log_facts *f, size_t most)
{
	if (f->from && (buf_adds(out, " from=") < 0 || put_address(out, f->from) < 0))
		return -1;
	for (enum rcpt_state s = RCPT_ACCEPTED; s <= RCPT_NOT_ATTEMPTED; s++)
		if (put_rcpts(out, r, s, most) < 0)
			return -1;
	return 0;
}

int log_line_text(struct buf *out, const struct report *r, const struct log_facts *f, size_t rcpts_most)
{
	char error[2048];

	report_line(r, error, sizeof(error));
	if (put(out, "result", report_result_name(r)) < 0 ||
	    buf_addf(out, " exit=%d uid=%ld", f->exit, f->uid) < 0)
		return -1;
	if ((f->account && put(out, "account", f->account) < 0) || put_people(out, r, f, rcpts_most) < 0)
		return -1;
	if ((*r->server && put(out, "server", r->server) < 0) ||
	    (*r->message_id && put(out, "id", r->message_id) < 0) ||
	    (*r->queue_id && put(out, "queue_id", r->queue_id) < 0) || put_figures(out, r) < 0)
		return -1;
	return put_reply(out, r) < 0 || (*error && put(out, "error", error) < 0) ? -1 : 0;
}

int log_line_json(struct buf *out, const struct report *r, const struct log_facts *f)
{
	struct json_out j = json_to_buf(out);

	json_open(&j, NULL, '{');
	json_str(&j, "time", f->time);
	json_int(&j, "pid", f->pid);
	json_int(&j, "uid", f->uid);
	json_int(&j, "exit", f->exit);
	if (f->account)
		json_str(&j, "account", f->account);
	if (f->from)
		json_str(&j, "from", f->from);
	report_json_members(r, &j);
	json_close(&j, '}');
	return j.failed ? -1 : 0;
}
