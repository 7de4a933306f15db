/* The mail transactions of a session as pure logic; see the table in dialog.h. */

#include "net/dialog.h"

#include "base/buf.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_NONE, ANSWER_ACCEPTED, ANSWER_SETTLED, ANSWER_AGAIN };

/*
 * A chunk up to here goes before its envelope was answered. A larger one waits for that: it would be much in vain
 * where nobody is accepted.
 */
enum { EAGER_MAX = 256 * 1024 };

/* Append to the commands, which are bounded by the limits of addresses, so that a full buffer is a bug. */
static void put(struct buf *out, const char *text)
{
	if (buf_adds(out, text) < 0)
		abort();
}

static void put_number(struct buf *out, int64_t n)
{
	char digits[24], *at = digits + sizeof(digits);

	*--at = '\0';
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(out, at);
}

static bool answers_something_else(int code)
{
	return code == 211 || code == 214 || code == 220 || code == 221 || code == 235;
}

static bool is_yes(int code)
{
	return code >= 200 && code < 300 && !answers_something_else(code);
}

static bool is_no(int code)
{
	return code >= 400 && code < 600;
}

/* Why a refusal at @stage refuses: what the exit code and the user's next step depend on. */
static enum cause cause_of(const struct dialog *d, enum smtp_stage stage, int code)
{
	if (code == 530 || code == 534 || code == 535 || code == 538)
		return CAUSE_AUTH;
	if (code == 555)
		return CAUSE_EXTENSION;
	if (stage == STAGE_MAIL)
		return code == 552 ? CAUSE_SIZE : CAUSE_SENDER;
	if (stage == STAGE_RCPT)
		return CAUSE_RECIPIENT;
	return d->lmtp && stage == STAGE_DOT ? CAUSE_RECIPIENT : CAUSE_CONTENT;
}

static struct verdict verdict_of(const struct dialog *d, enum smtp_stage stage, int code, char enhanced[12],
				 const char *text, size_t len)
{
	enhanced_code(enhanced, code, text, len);
	return (struct verdict){
		.state = code >= 500 ? RCPT_REJECTED : RCPT_DEFERRED, .stage = stage,
		.cause = cause_of(d, stage, code), .code = code, .enhanced = enhanced,
		.text = text, .len = len,
	};
}

/* Without a reply. */
static struct verdict own_words(enum rcpt_state state, enum smtp_stage stage, enum cause cause,
				const char *text)
{
	return (struct verdict){ .state = state, .stage = stage, .cause = cause,
				 .text = text, .len = strlen(text) };
}

#define NOT_SENT "not sent: another recipient was refused (all_or_nothing)"
static const struct verdict not_sent_alone = {
	.state = RCPT_NOT_ATTEMPTED, .stage = STAGE_RCPT, .cause = CAUSE_RECIPIENT,
	.text = NOT_SENT, .len = sizeof(NOT_SENT) - 1,
};

/* A 5xx is this server's last word; a 4xx may be bettered by the next server of the list. */
static void give(struct dialog *d, size_t rcpt, const struct verdict *v)
{
	if (v->state == RCPT_DEFERRED || v->state == RCPT_NOT_ATTEMPTED)
		report_tentative(d->report, rcpt, v);
	else
		report_settle(d->report, rcpt, v);
	d->todo[rcpt] = false;
	d->settled_new = true;
}

static void give_all_todo(struct dialog *d, const struct verdict *v)
{
	for (size_t i = 0; i < d->env->n_rcpt; i++)
		if (d->todo[i])
			give(d, i, v);
}

/* Everyone of this transaction who has no verdict yet. */
static void give_transaction(struct dialog *d, const struct verdict *v)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->answer[i] == ANSWER_NONE || d->answer[i] == ANSWER_ACCEPTED) {
			give(d, d->rcpt[i], v);
			d->answer[i] = ANSWER_SETTLED;
		}
}

/* ---- what the server can do against what the message and the envelope need ---- */

static bool nobody(struct dialog *d, enum cause cause, const char *text)
{
	struct verdict v = own_words(RCPT_NOT_ATTEMPTED, STAGE_MAIL, cause, text);

	give_all_todo(d, &v);
	return false;
}

static bool eight_bit_way(struct dialog *d)
{
	if (!d->needs->eightbit || d->cap->eightbit)
		return true;
	if (!d->needs->seven_possible)
		return nobody(d, CAUSE_EXTENSION, "the server does not offer 8BITMIME, and this message "
			      "cannot be re-encoded: 8-bit text in it is signed, or has no place for an encoding");
	d->seven = true;
	return true;
}

static bool size_fits(struct dialog *d)
{
	int64_t size = message_size(d->needs, d->seven);
	char text[160];

	if (!d->cap->size_limit || size < 0 || (uint64_t)size <= d->cap->size_limit)
		return true;
	snprintf(text, sizeof(text), "the message has %lld octets, the server takes at most %llu (SIZE)",
		 (long long)size, (unsigned long long)d->cap->size_limit);
	return nobody(d, CAUSE_SIZE, text);
}

/* Recipients that only SMTPUTF8 could name are refused one by one: the others are served. */
static void refuse_eai_rcpts(struct dialog *d)
{
	static const char why[] = "the server does not offer SMTPUTF8, which this address needs";
	struct verdict v = own_words(RCPT_REJECTED, STAGE_RCPT, CAUSE_EXTENSION, why);
	bool any = false;

	for (size_t i = 0; i < d->env->n_rcpt && !d->cap->smtputf8; i++)
		if (d->todo[i] && d->env->rcpt[i].eai) {
			give(d, i, &v);
			any = true;
		}
	if (any && d->all_or_nothing)
		give_all_todo(d, &not_sent_alone);
}

static bool extensions_suffice(struct dialog *d)
{
	const struct capabilities *c = d->cap;

	if (!c->smtputf8 && (d->needs->smtputf8 || d->env->from_eai))
		return nobody(d, CAUSE_EXTENSION, d->env->from_eai
			      ? "the server does not offer SMTPUTF8, which the sender's address needs"
			      : "the server does not offer SMTPUTF8, which an address in the header needs");
	if (!c->dsn && envelope_needs_dsn(d->env))
		return nobody(d, CAUSE_EXTENSION, "the server does not offer DSN, and delivery status "
			      "notifications were asked for");
	if (!c->requiretls && d->env->require_tls)
		return nobody(d, CAUSE_EXTENSION, "the server does not offer REQUIRETLS, which was asked for "
			      "(it is offered only over TLS)");
	return eight_bit_way(d) && size_fits(d);
}

bool dialog_lacks(const struct dialog *d)
{
	const struct capabilities *c = d->cap;
	bool eai = d->needs->smtputf8 || d->env->from_eai;

	for (size_t i = 0; i < d->env->n_rcpt && !eai; i++)
		eai = d->todo[i] && d->env->rcpt[i].eai;
	return (eai && !c->smtputf8) || (d->needs->eightbit && !c->eightbit) ||
	       (envelope_needs_dsn(d->env) && !c->dsn) || (d->env->require_tls && !c->requiretls);
}

void dialog_init(struct dialog *d)
{
	d->phase = PHASE_IDLE;
	d->rcpt = d->few_rcpt;
	d->answer = d->few_answer;
	if (d->env->n_rcpt > DIALOG_FEW) {
		d->rcpt = xcalloc(d->env->n_rcpt, sizeof(*d->rcpt));
		d->answer = xcalloc(d->env->n_rcpt, 1);
	}
	if (d->cap->rcpt_max && d->cap->rcpt_max < d->max_rcpt)
		d->max_rcpt = d->cap->rcpt_max;
	if (extensions_suffice(d))
		refuse_eai_rcpts(d);
	d->settled_new = false;
}

void dialog_clear(struct dialog *d)
{
	if (d->rcpt != d->few_rcpt)
		free(d->rcpt);
	if (d->answer != d->few_answer)
		free(d->answer);
	d->rcpt = NULL;
	d->answer = NULL;
}

/* ---- commands ---- */

bool dialog_any_todo(const struct dialog *d)
{
	for (size_t i = 0; i < d->env->n_rcpt; i++)
		if (d->todo[i])
			return true;
	return false;
}

/* Take the next recipients; all_or_nothing and a stream that can be read once never split. */
static void take_recipients(struct dialog *d)
{
	size_t most = d->all_or_nothing || d->once ? SIZE_MAX : d->max_rcpt;

	d->n = 0;
	for (size_t i = 0; i < d->env->n_rcpt && d->n < most; i++)
		if (d->todo[i]) {
			d->answer[d->n] = ANSWER_NONE;
			d->rcpt[d->n++] = i;
		}
}

static bool transaction_eai(const struct dialog *d)
{
	if (d->needs->smtputf8 || d->env->from_eai)
		return true;
	for (size_t i = 0; i < d->n; i++)
		if (d->env->rcpt[d->rcpt[i]].eai)
			return true;
	return false;
}

static void put_mail(struct dialog *d, struct buf *out)
{
	const struct envelope *env = d->env;
	int64_t size = message_size(d->needs, d->seven);

	put(out, "MAIL FROM:<");
	put(out, env->from);
	put(out, ">");
	if (d->cap->size && size >= 0) {
		put(out, " SIZE=");
		put_number(out, size);
	}
	if (d->needs->eightbit && !d->seven)
		put(out, " BODY=8BITMIME");
	if (transaction_eai(d))
		put(out, " SMTPUTF8");
	if (d->cap->dsn && env->ret)
		put(out, env->ret == 1 ? " RET=FULL" : " RET=HDRS");
	if (d->cap->dsn && env->envid) {
		put(out, " ENVID=");
		put(out, env->envid);
	}
	if (env->require_tls)
		put(out, " REQUIRETLS");
	put(out, "\r\n");
}

static void put_notify(unsigned bits, struct buf *out)
{
	static const char *const word[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	const char *before = " NOTIFY=";

	for (unsigned i = 0; i < ARRAY_SIZE(word); i++)
		if (bits & 1u << i) {
			put(out, before);
			put(out, word[i]);
			before = ",";
		}
}

static void put_rcpt(struct dialog *d, size_t which, struct buf *out)
{
	const struct rcpt *r = &d->env->rcpt[d->rcpt[which]];

	put(out, "RCPT TO:<");
	put(out, r->addr);
	put(out, ">");
	if (d->cap->dsn) {
		put_notify(r->notify, out);
		if (r->orcpt) {
			put(out, " ORCPT=");
			put(out, r->orcpt);
		}
	}
	put(out, "\r\n");
}

/* The commands of a transaction are numbered: RSET (where one is due), MAIL, each RCPT, DATA. */
static size_t number_of_mail(const struct dialog *d)
{
	return d->reset_first ? 1 : 0;
}

static size_t number_of_data(const struct dialog *d)
{
	return number_of_mail(d) + 1 + d->n;
}

static void put_command(struct dialog *d, struct buf *out)
{
	size_t mail = number_of_mail(d);

	if (d->sent < mail) {
		put(out, "RSET\r\n");
	} else if (d->sent == mail) {
		put_mail(d, out);
	} else if (d->sent < number_of_data(d)) {
		put_rcpt(d, d->sent - mail - 1, out);
	} else if (d->chunks) {
		put(out, "BDAT ");
		put_number(out, message_size(d->needs, d->seven));
		put(out, " LAST\r\n");
	} else {
		put(out, "DATA\r\n");
	}
	d->sent++;
}

/*
 * By BDAT, where the size is known before. In LMTP for one recipient only: whether a refused chunk has one reply
 * or one for each is not said clearly enough (RFC 2033, 4.3), and a reply too few would be taken from what follows.
 */
static bool goes_by_chunks(const struct dialog *d)
{
	return d->cap->chunking && d->cap->pipelining && !d->no_chunking && !d->all_or_nothing &&
	       message_size(d->needs, d->seven) >= 0 && !(d->lmtp && d->n > 1);
}

static void begin(struct dialog *d)
{
	take_recipients(d);
	d->chunks = goes_by_chunks(d);
	d->chunk_accepted = false;
	d->phase = PHASE_ENVELOPE;
	d->sent = d->heard = d->accepted = d->refused = d->data_code = 0;
	d->mail_refused = d->again = false;
	d->dot_at = 0;
}

static void end_transaction(struct dialog *d, bool left_open)
{
	d->reset_first = left_open;
	d->phase = d->closing ? PHASE_BROKEN : PHASE_IDLE;
	if (d->again && d->accepted)
		d->max_rcpt = (unsigned)(d->accepted < d->max_rcpt ? d->accepted : d->max_rcpt);
}

/* May DATA go now? With PIPELINING at once, unless everyone's answer is to be known first. */
static bool data_may_go(const struct dialog *d)
{
	if (d->sent < number_of_data(d))
		return true;            /* not its turn yet */
	if (d->chunks && message_size(d->needs, d->seven) <= EAGER_MAX)
		return true;
	if (!d->chunks && d->cap->pipelining && !d->all_or_nothing)
		return true;
	return d->heard == d->sent && d->accepted > 0 && !(d->all_or_nothing && d->refused);
}

/* Send what may go; true where something went. */
static bool send_more(struct dialog *d, struct buf *out)
{
	size_t before = d->sent;

	while (d->sent <= number_of_data(d) && !d->mail_refused && !d->closing && data_may_go(d)) {
		if (!d->cap->pipelining && d->heard < d->sent)
			break;
		put_command(d, out);
	}
	return d->sent > before;
}

/* Everything that was sent with a refused MAIL is answered: the refusal stands. */
static void confirm_mail_refusal(struct dialog *d)
{
	for (size_t i = 0; i < d->env->n_rcpt; i++) {
		if (!d->todo[i])
			continue;
		if (d->report->rcpt[i].state == RCPT_REJECTED)
			report_confirm(d->report, i);
		d->todo[i] = false;
	}
	d->settled_new = true;
}

/* Everything sent was answered, and nothing more may go: what now? */
static enum dialog_need conclude_envelope(struct dialog *d, struct buf *out)
{
	if (d->closing) {
		d->phase = PHASE_BROKEN;
		return DIALOG_BROKEN;
	}
	if (d->mail_refused)
		confirm_mail_refusal(d);
	if (d->data_code == 354 && d->accepted) {
		d->phase = PHASE_BODY;
		return DIALOG_BODY;
	}
	if (d->data_code == 354) {
		d->phase = PHASE_LONE_DOT;
		put(out, ".\r\n");
		return DIALOG_WAIT;
	}
	if (d->all_or_nothing && d->refused)
		give_all_todo(d, &not_sent_alone);      /* no DATA was sent */
	end_transaction(d, !d->mail_refused);
	return dialog_next(d, out);
}

enum dialog_need dialog_next(struct dialog *d, struct buf *out)
{
	switch (d->phase) {
	case PHASE_BROKEN:
		return DIALOG_BROKEN;
	case PHASE_BODY:
		return DIALOG_BODY;
	case PHASE_DOT:
	case PHASE_LONE_DOT:
		return DIALOG_WAIT;
	case PHASE_IDLE:
		if (!dialog_any_todo(d))
			return DIALOG_DONE;
		begin(d);
		break;
	case PHASE_ENVELOPE:
		break;
	}
	if (send_more(d, out) && d->chunks && d->sent > number_of_data(d)) {
		d->phase = PHASE_BODY;
		return DIALOG_BODY;
	}
	if (d->heard < d->sent)
		return DIALOG_WAIT;
	return conclude_envelope(d, out);
}

/* ---- replies ---- */

static int protocol_error(struct dialog *d, const char *what)
{
	struct verdict v = own_words(RCPT_DEFERRED, dialog_stage(d), CAUSE_PROTOCOL, what);

	dialog_lost(d, &v);
	return -1;
}

static int unexpected(struct dialog *d, const char *to, int code)
{
	char text[120];

	snprintf(text, sizeof(text), "the server answered %s with %d: it is not following SMTP", to, code);
	return protocol_error(d, text);
}

/*
 * 421: the server closes. Those without an answer of their own are left for a further session, if there is
 * one.
 */
static int closing(struct dialog *d, const char *text, size_t len)
{
	struct verdict v = { .state = RCPT_DEFERRED, .cause = CAUSE_LOST, .code = 421,
			     .text = text, .len = len };

	dialog_not_done(d);
	dialog_lost(d, &v);
	d->told_closing = true;
	return -1;
}

/*
 * Replies that answer something else than they are taken for: one too many came before. Where chunks and envelopes
 * follow each other without a wait, only their enhanced codes would show it: 2.1.x is about an address, and never
 * the answer to RSET or to a message (RFC 3463, 3.2).
 */
static bool out_of_step(int code, const char *text, size_t len)
{
	char enhanced[12];

	enhanced_code(enhanced, code, text, len);
	return is_yes(code) && !strncmp(enhanced, "2.1.", 4);
}

static int heard_mail(struct dialog *d, int code, const char *text, size_t len)
{
	char enhanced[12];
	struct verdict v;

	if (is_yes(code))
		return 0;
	if (!is_no(code))
		return unexpected(d, "MAIL", code);
	v = verdict_of(d, STAGE_MAIL, code, enhanced, text, len);
	d->mail_refused = true;
	if (!d->behind) {
		give_all_todo(d, &v);
		memset(d->answer, ANSWER_SETTLED, d->n);
		return 0;
	}
	/* behind another message it is believed once what follows has been refused too, as it must be */
	for (size_t i = 0; i < d->env->n_rcpt; i++)
		if (d->todo[i])
			report_tentative(d->report, i, &v);
	return 0;
}

/*
 * A MAIL that leaves with the dot of another message may be answered by a reply too many to that: then the
 * answers behind it are those of MAIL and RCPT, and no refusals.
 */
static int echo(struct dialog *d, int code)
{
	if (d->behind && !is_no(code))
		return protocol_error(d, "the server's replies are out of step: MAIL was refused, and what follows it "
				      "was not");
	return 0;
}

static int heard_rcpt(struct dialog *d, size_t which, int code, const char *text, size_t len)
{
	char enhanced[12];
	struct verdict v;

	if (d->mail_refused)
		return echo(d, code);
	if (is_yes(code)) {
		d->answer[which] = ANSWER_ACCEPTED;
		d->accepted++;
		return 0;
	}
	if (!is_no(code))
		return unexpected(d, "RCPT", code);
	if ((code == 452 || code == 552) && d->accepted && !d->all_or_nothing && !d->once) {
		/* Too many for this transaction (RFC 5321 4.5.3.1.10). */
		d->answer[which] = ANSWER_AGAIN;
		d->again = true;
		return 0;
	}
	v = verdict_of(d, STAGE_RCPT, code, enhanced, text, len);
	give(d, d->rcpt[which], &v);
	d->answer[which] = ANSWER_SETTLED;
	d->refused++;
	return 0;
}

static int heard_data(struct dialog *d, int code, const char *text, size_t len)
{
	char enhanced[12];
	struct verdict v;

	if (d->mail_refused && echo(d, code) < 0)
		return -1;
	d->data_code = (size_t)code;
	if (code == 354)
		return 0;
	if (!is_no(code))
		return unexpected(d, "DATA", code);
	if (!d->accepted)
		return 0;               /* "no valid recipients": they have their own answers */
	v = verdict_of(d, STAGE_DATA, code, enhanced, text, len);
	give_transaction(d, &v);
	return 0;
}

/* Between 354 and our dot nothing is due. What the server says now ends the transaction, without a dot. */
static int heard_early(struct dialog *d, int code, const char *text, size_t len)
{
	char enhanced[12];
	struct verdict v;

	if (!is_no(code))
		return unexpected(d, "the message, before its end,", code);
	v = verdict_of(d, STAGE_DATA, code, enhanced, text, len);
	give_transaction(d, &v);
	d->phase = PHASE_BROKEN;
	return -1;
}

static int heard_envelope(struct dialog *d, int code, const char *text, size_t len)
{
	size_t number, mail = number_of_mail(d);

	if (d->heard == d->sent && d->data_code == 354 && d->accepted)
		return heard_early(d, code, text, len); /* in one segment with the 354 */
	if (d->heard == d->sent)
		return protocol_error(d, "the server sent a reply to nothing");
	number = d->heard;
	if (code == 421)
		return closing(d, text, len);
	d->heard++;
	if (number < mail && out_of_step(code, text, len))
		return protocol_error(d, "the server's replies are out of step: one to RSET is about an address");
	if (number < mail)
		return is_yes(code) ? 0 : unexpected(d, "RSET", code);
	if (number == mail)
		return heard_mail(d, code, text, len);
	if (number < number_of_data(d))
		return heard_rcpt(d, number - mail - 1, code, text, len);
	return heard_data(d, code, text, len);
}

/* The next accepted recipient from dot_at on, or n. */
static size_t next_accepted(const struct dialog *d, size_t from)
{
	while (from < d->n && d->answer[from] != ANSWER_ACCEPTED)
		from++;
	return from;
}

static struct verdict dot_verdict(const struct dialog *d, int code, char enhanced[12], const char *text,
				  size_t len)
{
	struct verdict v = verdict_of(d, STAGE_DOT, code, enhanced, text, len);

	if (is_yes(code)) {
		v.state = RCPT_ACCEPTED;
		v.cause = CAUSE_NONE;
	} else if (!is_no(code)) {
		v.state = RCPT_UNKNOWN;
		v.cause = CAUSE_PROTOCOL;
	}
	return v;
}

static int heard_dot(struct dialog *d, int code, const char *text, size_t len)
{
	char enhanced[12];
	struct verdict v = dot_verdict(d, code, enhanced, text, len);

	if (d->lmtp) {
		give(d, d->rcpt[d->dot_at], &v);
		d->answer[d->dot_at] = ANSWER_SETTLED;
		d->dot_at = next_accepted(d, d->dot_at + 1);
	} else {
		give_transaction(d, &v);
		d->dot_at = d->n;
	}
	if (code == 421)
		d->closing = true;
	if (v.state == RCPT_UNKNOWN) {
		struct verdict rest = own_words(RCPT_UNKNOWN, STAGE_DOT, CAUSE_PROTOCOL,
						"the server's reply to the message was not one");

		dialog_lost(d, &rest);
		return -1;
	}
	if (d->dot_at == d->n)
		end_transaction(d, false);
	return 0;
}

/* BDAT itself is not known: that is about the server, and not about the message. */
static bool is_unknown_command(int code)
{
	return code == 500 || code == 502 || code == 504;
}

static int chunking_refused(struct dialog *d, int code)
{
	struct verdict v = { .state = RCPT_DEFERRED, .cause = CAUSE_PROTOCOL };
	char text[100];

	v.len = (size_t)snprintf(text, sizeof(text), "the server offers CHUNKING, and answered BDAT with %d", code);
	v.text = text;
	dialog_not_done(d);
	dialog_lost(d, &v);
	d->chunking_refused = true;
	return -1;
}

/* While a chunk is sent, or was: replies of its envelope, then its own. */
static int heard_chunked(struct dialog *d, int code, const char *text, size_t len)
{
	if (d->heard < number_of_data(d))
		return heard_envelope(d, code, text, len);
	if (d->heard >= d->sent)
		return protocol_error(d, "the server sent a reply to nothing");
	if (d->mail_refused && echo(d, code) < 0)
		return -1;
	if (!d->accepted) {
		d->heard++;             /* an echo: nobody was to get it, and everybody has his answer */
		d->closing |= code == 421;
		if (d->mail_refused)
			confirm_mail_refusal(d);
		if (d->phase == PHASE_DOT || d->closing)
			end_transaction(d, true);
		return 0;
	}
	if (is_unknown_command(code))
		return chunking_refused(d, code);
	if (d->phase == PHASE_BODY)
		return heard_early(d, code, text, len);
	/* LMTP's 2.1.5 is about the recipient that each reply is for */
	if (!d->lmtp && out_of_step(code, text, len))
		return protocol_error(d, "the server's replies are out of step: the one to the message is about "
				      "an address");
	d->heard++;
	d->dot_at = next_accepted(d, 0);
	d->chunk_accepted = is_yes(code);
	return heard_dot(d, code, text, len);
}

int dialog_heard(struct dialog *d, int code, const char *text, size_t len)
{
	switch (d->phase) {
	case PHASE_ENVELOPE:
		return heard_envelope(d, code, text, len);
	case PHASE_BODY:
		return d->chunks ? heard_chunked(d, code, text, len) : heard_early(d, code, text, len);
	case PHASE_DOT:
		return d->chunks ? heard_chunked(d, code, text, len) : heard_dot(d, code, text, len);
	case PHASE_LONE_DOT:
		d->closing |= code == 421;
		end_transaction(d, false);
		return 0;
	case PHASE_IDLE:
		return protocol_error(d, "the server sent a reply to nothing");
	case PHASE_BROKEN:
		break;
	}
	return -1;
}

void dialog_dot_sent(struct dialog *d)
{
	d->phase = PHASE_DOT;
	d->dot_at = next_accepted(d, 0);
	if (d->chunks && d->heard == d->sent)
		end_transaction(d, true);       /* the chunk was refused before it was all there */
}

void dialog_not_done(struct dialog *d)
{
	if (d->phase == PHASE_DOT || d->phase == PHASE_BODY)
		d->phase = PHASE_ENVELOPE;
}

bool dialog_is_last(const struct dialog *d)
{
	if (d->again)
		return false;
	for (size_t i = 0, at = 0; i < d->env->n_rcpt; i++) {
		bool ours = at < d->n && d->rcpt[at] == i;

		at += ours;
		if (d->todo[i] && !ours)
			return false;
	}
	return true;
}

bool dialog_quit_rides(const struct dialog *d)
{
	return d->cap->pipelining && dialog_is_last(d);
}

void dialog_lost(struct dialog *d, const struct verdict *why)
{
	struct verdict v = *why;

	if (d->phase == PHASE_BROKEN)
		return;
	v.stage = dialog_stage(d);
	if (d->phase == PHASE_DOT) {
		v.state = RCPT_UNKNOWN;
		give_transaction(d, &v);
		v.state = RCPT_DEFERRED;
	} else if (v.state != RCPT_NOT_ATTEMPTED) {
		v.state = RCPT_DEFERRED;
	}
	/*
	 * Those left stay to do: whether there is another session or server for them is for the caller to
	 * say.
	 */
	for (size_t i = 0; i < d->env->n_rcpt; i++)
		if (d->todo[i] && d->phase != PHASE_DOT)
			report_tentative(d->report, i, &v);
	d->phase = PHASE_BROKEN;
}

enum smtp_stage dialog_stage(const struct dialog *d)
{
	size_t mail = number_of_mail(d);

	switch (d->phase) {
	case PHASE_BODY:
		return STAGE_DATA;
	case PHASE_DOT:
	case PHASE_LONE_DOT:
		return STAGE_DOT;
	default:
		break;
	}
	if (d->heard <= mail)
		return STAGE_MAIL;
	return d->heard < number_of_data(d) ? STAGE_RCPT : STAGE_DATA;
}

bool dialog_waits(const struct dialog *d)
{
	return d->phase == PHASE_DOT || d->phase == PHASE_LONE_DOT ||
	       ((d->phase == PHASE_ENVELOPE || d->chunks) && d->heard < d->sent);
}
