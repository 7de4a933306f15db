/*
 * Z11 and Z12: a server of the fuzzer's choice against the mail transaction, SMTP or LMTP. Whatever it says,
 * and wherever it stops:
 *  - a recipient becomes accepted only by a 2xx heard after our own dot, in a transaction in which its RCPT was answered with 2xx,
 *    in LMTP one recipient by one reply;
 *  - the dot is asked for only behind a 354 and an accepted recipient, and never after an early reply or a loss;
 *  - commands are whole lines without control characters, MAIL only where no transaction is open;
 *  - it comes to an end in steps that the number of recipients bounds;
 *  - at the end each recipient has one verdict, the exit code is one of the table, and the report is printed.
 *
 * Input: 3 octets (flags, number of recipients, largest transaction), then for each step one octet: what happens,
 * and for a reply its code and text.
 */

#include "net/dialog.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json_out.h"
#include "model/envelope.h"
#include "model/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RCPT_MOST = 24, STEPS_MOST = 4000 };

struct input { const uint8_t *at, *end; };

struct run {
	struct dialog d;
	struct report report;
	struct envelope env;
	struct capabilities cap;
	struct message_needs needs;
	struct rcpt rcpt[RCPT_MOST];
	bool todo[RCPT_MOST];
	bool dot;                       /* our dot of this transaction went out */
	unsigned dots;
};

static unsigned octet(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static size_t accepted(const struct run *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->env.n_rcpt; i++)
		n += r->report.rcpt[i].state == RCPT_ACCEPTED;
	return n;
}

static void set_up(struct run *r, struct input *in)
{
	static const char *const keyword[] = { "PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "LIMITS RCPTMAX=2" };
	const unsigned flags = octet(in), offers = octet(in), n = octet(in);
	char name[40];

	r->env.from = strdup("s@example.net");
	r->env.rcpt = r->rcpt;
	r->env.n_rcpt = 1 + n % RCPT_MOST;
	for (size_t i = 0; i < r->env.n_rcpt; i++) {
		snprintf(name, sizeof(name), "r%zu@example.org", i);
		r->rcpt[i] = (struct rcpt){ .addr = strdup(name), .notify = i % 5 == 4 && flags & 128 ? NOTIFY_FAILURE : 0,
					    .eai = i % 7 == 6 && flags & 64 };
		r->todo[i] = true;
	}
	r->needs = (struct message_needs){ .eightbit = flags & 32, .seven_possible = flags & 16, .once = flags & 8,
					   .smtputf8 = (flags & 96) == 96, .size = 900 + (offers & 128), .size_seven = 950 };
	capabilities_init(&r->cap);
	for (size_t i = 0; i < ARRAY_SIZE(keyword); i++)
		if (offers & 1u << i)
			capabilities_heard(&r->cap, keyword[i], strlen(keyword[i]));
	r->d = (struct dialog){ .env = &r->env, .cap = &r->cap, .needs = &r->needs, .report = &r->report, .todo = r->todo,
				.lmtp = flags & 2, .all_or_nothing = flags & 4, .once = flags & 8, .max_rcpt = 1 + octet(in) % RCPT_MOST };
	report_init(&r->report, &r->env);
	report_reserve(&r->report, 2 * r->env.n_rcpt);
	dialog_init(&r->d);
}

/* What is sent is lines of printable ASCII; a new MAIL opens a transaction without a dot. */
static void check_commands(struct run *r, const struct buf *out)
{
	const char *at = out->data, *end = out->data + out->len;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		assert(eol && eol > at && eol[-1] == '\r');
		for (const char *c = at; c < eol - 1; c++)
			assert(*c >= 32 && *c < 127);
		if (memcmp(at, "MAIL ", 5) == 0 || memcmp(at, "RSET", 4) == 0)
			r->dot = false;
		at = eol + 1;
	}
}

static void lose(struct run *r, enum rcpt_state state)
{
	const struct verdict v = { .state = state, .cause = state == RCPT_NOT_ATTEMPTED ? CAUSE_LOCAL : CAUSE_LOST,
				   .text = "gone", .len = 4 };
	const size_t before = accepted(r);

	dialog_lost(&r->d, &v);
	assert(accepted(r) == before);
}

/* One reply; false where the connection is to be closed. */
static bool hear(struct run *r, struct input *in)
{
	static const int code[] = { 250, 354, 550, 450, 452, 552, 421, 251, 252, 221, 220, 235, 334, 503, 530, 555, 554, 451, 200, 299, 211 };
	char text[40];
	const unsigned which = octet(in), len = octet(in) % sizeof(text);
	const int said = which < 128 ? code[which % ARRAY_SIZE(code)] : (int)(200 + (which * 7 + len * 131) % 400);
	const size_t before = accepted(&*r);
	const bool dot = r->d.phase == PHASE_DOT;
	int rc;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)octet(in);
	rc = dialog_heard(&r->d, said, text, len);
	if (accepted(r) != before) {
		assert(dot && r->dot && said >= 200 && said < 300);
		assert(!r->d.lmtp || accepted(r) == before + 1);
	}
	return rc == 0;
}

static enum dialog_need step(struct run *r, struct input *in)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	const enum dialog_need need = dialog_next(&r->d, &out);
	const unsigned what = octet(in);

	check_commands(r, &out);
	if (need == DIALOG_DONE || need == DIALOG_BROKEN)
		return need;
	if (in->at == in->end || what == 255) {
		lose(r, what & 1 ? RCPT_DEFERRED : RCPT_NOT_ATTEMPTED);
		return DIALOG_BROKEN;
	}
	if (need == DIALOG_BODY && what < 160) {
		assert(r->d.accepted > 0 && r->d.data_code == 354);
		(void)dialog_quit_rides(&r->d);
		r->dot = true;
		r->dots++;
		dialog_dot_sent(&r->d);
		return need;
	}
	assert(need == DIALOG_BODY || dialog_waits(&r->d));
	return hear(r, in) ? need : DIALOG_BROKEN;
}

static int put_nowhere(void *ctx, const char *mem, size_t len)
{
	*(size_t *)ctx += len;
	(void)mem;
	return 0;
}

static void conclude(struct run *r)
{
	static const int codes[] = { 0, 1, 2, 65, 67, 69, 74, 75, 76, 77 };
	const struct verdict rest = { .state = RCPT_NOT_ATTEMPTED, .cause = CAUSE_LOST, .text = "", .len = 0 };
	struct json_out json = { .put = put_nowhere, .ctx = &(size_t){0} };
	char line[2048];
	bool known = false;
	const int code = report_exit_code(&r->report);

	report_close(&r->report, &rest);
	for (size_t i = 0; i < r->env.n_rcpt; i++) {
		assert(r->report.rcpt[i].state != RCPT_PENDING && r->report.rcpt[i].final);
		assert(r->report.rcpt[i].state != RCPT_UNKNOWN || r->dots);
	}
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		known |= report_exit_code(&r->report) == codes[i];
	assert(known && (accepted(r) == r->env.n_rcpt) == (report_exit_code(&r->report) == 0));
	assert(code != 0 || accepted(r) == r->env.n_rcpt);
	report_line(&r->report, line, sizeof(line));
	assert((line[0] == '\0') == (accepted(r) == r->env.n_rcpt));
	for (const char *c = line; *c; c++)
		assert((unsigned char)*c >= 32 && *c != 127);
	report_json(&r->report, &json);
	assert(!json.failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct run r = {0};
	unsigned steps = 0;
	enum dialog_need need;

	if (size < 4)
		return 0;
	set_up(&r, &in);
	do {
		need = step(&r, &in);
		assert(++steps < STEPS_MOST);
	} while (need != DIALOG_DONE && need != DIALOG_BROKEN);
	if (need == DIALOG_DONE)
		assert(!dialog_any_todo(&r.d));
	conclude(&r);
	dialog_clear(&r.d);
	report_clear(&r.report);
	for (size_t i = 0; i < r.env.n_rcpt; i++)
		free(r.rcpt[i].addr);
	free(r.env.from);
	return 0;
}
