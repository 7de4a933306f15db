/*
 * SMTP as the server hears it: two columns of text, whole and octet by octet. And the lines of a log.
 *
 * rows: TIN-15
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "input/smtpd.h"
#include "model/envelope.h"
#include "model/log_line.h"
#include "model/report.h"
#include "net/transport.h"

#include <stdlib.h>
#include <string.h>

static const struct { const char *what, *in, *replies, *body; } rows[] = {
	{ "a message", "EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
	  "250 250 250 250 250 250 250 250 354 250 221 ", "hi\r\n|" },
	{ "LF alone", "HELO x\nMAIL FROM:<>\nRCPT TO:<root>\nDATA\nhi\n.\nQUIT\n", "250 250 250 354 250 221 ", "hi\n|" },
	{ "dots", "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n..\r\n..a\r\n.b\r\n\r.\r\n.\rc\r\n.\r\n", "250 250 250 354 250 ",
	  ".\r\n.a\r\nb\r\n\r.\r\n\rc\r\n|" },
	{ "an empty message", "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n.\r\n", "250 250 250 354 250 ", "|" },
	{ "two messages", "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\na\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@x.example>\r\nDATA\r\nb\r\n.\r\n",
	  "250 250 250 354 250 250 250 354 250 ", "a\r\n|b\r\n|" },
	{ "no hello", "MAIL FROM:<>\r\n", "503 ", "" }, { "MAIL twice", "HELO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n", "250 250 503 ", "" },
	{ "RSET forgets", "HELO x\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<a@x.example>\r\n", "250 250 250 503 ", "" },
	{ "DATA without a recipient", "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<@>\r\nDATA\r\n", "250 250 553 554 ", "" },
	{ "a blank behind the colon", "HELO x\r\nMAIL FROM: <a@x.example>\r\nRCPT TO: <b@x.example>\r\n", "250 250 250 ", "" },
	{ "a name is no path", "HELO x\r\nMAIL FROM:<A <a@x.example>>\r\n", "250 555 ", "" },
	{ "an empty line, a NUL's place, an unknown verb", "\r\nFOO bar\r\nAUTH PLAIN\r\n", "500 500 500 ", "" },
	{ "what follows QUIT is not heard", "QUIT\r\nNOOP\r\n", "221 ", "" },
};

/* The codes of all replies, and the bodies with a bar behind each; fed @step octets at a time. */
static void converse(const char *in, size_t step, struct buf *codes, struct buf *bodies)
{
	CLEANUP(smtpd_freep) struct smtpd *s = smtpd_new("h.example");
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
	size_t len = strlen(in);

	for (size_t at = 0; at < len; at += step) {
		size_t used = 0, n = len - at < step ? len - at : step;
		enum smtpd_event event;

		do {
			event = smtpd_feed(s, in + at, n, &used, &out, &body);
			if (buf_add(bodies, body.data, body.len) < 0)
				abort();
			buf_reset(&body);
			if (event == SMTPD_MESSAGE && buf_adds(bodies, "|") == 0)
				smtpd_answer(s, 250, "2.0.0", "ok", &out);
		} while (event != SMTPD_QUIT && used < n);
		if (event == SMTPD_QUIT)
			break;
	}
	for (const char *line = out.data; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (buf_addf(codes, "%.3s ", line) < 0)
			abort();
}

static void test_dialogue(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step < 400; step += step < 3 ? 1 : 130) {
			CLEANUP(buf_clear) struct buf codes = BUF_INIT(1 << 20), bodies = BUF_INIT(1 << 20);

			test_case("%s, by %zu octets", rows[i].what, step);
			converse(rows[i].in, step, &codes, &bodies);
			check_str(codes.data, rows[i].replies);
			check_str(bodies.data, rows[i].body);
		}
}

static void test_answer(void)
{
	CLEANUP(smtpd_freep) struct smtpd *s = smtpd_new("h\r\n.example");
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);
	char text[2000];

	test_case("what others wrote stays one line, and within 512 octets");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "a\r\n250 b", 8);
	smtpd_greet(s, &out);
	smtpd_answer(s, 554, "5.0.0", text, &out);
	check(strstr(out.data, "554 5.0.0 a\\x0d\\x0a250 b"));
	check_int((int)(strchr(out.data, '\n') - out.data) < 512, 1);
	check(!strchr(strchr(out.data, '\n') + 1, '\n')[1]);
	check_int((int)out.len < 1024, 1);
}

static void test_log_line(void)
{
	struct rcpt people[] = { { .addr = (char *)"b@x.example" }, { .addr = (char *)"\"a b\"@x.example" }, { .addr = (char *)"c@x.example" } };
	struct envelope env = { .from = (char *)"a@x.example", .rcpt = people, .n_rcpt = 3 };
	const struct log_facts facts = { .time = "T", .pid = 7, .uid = 8, .account = "my \"own\"", .from = "a@x.example", .exit = 1 };
	CLEANUP(report_clear) struct report r = {0};
	CLEANUP(buf_clear) struct buf line = BUF_INIT(1 << 20), small = BUF_INIT(40);
	const struct verdict yes = { .state = RCPT_ACCEPTED, .stage = STAGE_DOT, .code = 250, .text = "2.0.0 ok\n\x1b[31m", .len = 14 };
	const struct verdict no = { .state = RCPT_REJECTED, .stage = STAGE_RCPT, .cause = CAUSE_RECIPIENT, .code = 550, .text = "no", .len = 2 };

	test_case("a line of a log: each recipient by what became of him, nothing forged");
	report_init(&r, &env);
	report_settle(&r, 0, &yes);
	report_settle(&r, 1, &yes);
	report_settle(&r, 2, &no);
	check_int(log_line_text(&line, &r, &facts, 10), 0);
	check(strstr(line.data, "result=partial exit=1 uid=8 account=\"my \\\"own\\\"\" from=<a@x.example> to=<b@x.example>,"
		     "\"\\\"a b\\\"@x.example\" rejected=<c@x.example>"));
	check(strstr(line.data, "reply=\"250 2.0.0 ok\\\\x0a\\\\x1b[31m\""));
	check(!strpbrk(line.data, "\n\x1b"));

	test_case("fewer recipients than there are; no room at all");
	buf_reset(&line);
	check_int(log_line_text(&line, &r, &facts, 1), 0);
	check(strstr(line.data, "to=<b@x.example>,+1 "));
	check_int(log_line_text(&small, &r, &facts, 1), -1);

	test_case("as JSON");
	buf_reset(&line);
	check_int(log_line_json(&line, &r, &facts), 0);
	check(!strncmp(line.data, "{\"time\":\"T\",\"pid\":7,\"uid\":8,\"exit\":1,\"account\":\"my \\\"own\\\"\",\"from\":\"a@x.example\",\"version\":1,", 90));
}

static void test_retry_wait(void)
{
	test_case("the pause doubles, is at most a day, and up to half longer by chance");
	check_int((int)retry_wait_ms(10, 1, 0), 10000);
	check_int((int)retry_wait_ms(10, 2, 0), 20000);
	check_int((int)retry_wait_ms(10, 4, 0), 80000);
	check_int((int)retry_wait_ms(10, 100, 0), 86400000);
	check_int((int)retry_wait_ms(86400, 1, 0), 86400000);
	check(retry_wait_ms(10, 1, 0xffffffff) > 14990 && retry_wait_ms(10, 1, 0xffffffff) <= 15000);
}

int main(void)
{
	test_dialogue();
	test_answer();
	test_log_line();
	test_retry_wait();
	return check_done();
}
