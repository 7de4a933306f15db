/*
 * The report: exit codes, result names, the one line, the JSON form.
 *
 * rows: OUT-01, OUT-02, OUT-05, RCP-03, SRV-62
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json_out.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/report.h"

#include <stdlib.h>

struct fate { enum rcpt_state state; enum smtp_stage stage; enum cause cause; int code; };

static void make(struct report *r, size_t n)
{
	struct envelope env = { .from = xstrdup("s@x"), .n_rcpt = n, .rcpt = xcalloc(n, sizeof(*env.rcpt)) };

	for (size_t i = 0; i < n; i++)
		env.rcpt[i].addr = xasprintf("r%zu@x", i + 1);
	report_init(r, &env);
	envelope_clear(&env);
}

static void settle(struct report *r, size_t i, struct fate f, const char *text)
{
	struct verdict v = { .state = f.state, .stage = f.stage, .cause = f.cause, .code = f.code, .text = text,
			     .len = strlen(text), .enhanced = "" };

	report_settle(r, i, &v);
}

#define OK { RCPT_ACCEPTED, STAGE_DOT, CAUSE_NONE, 250 }
#define REJ(stage, cause) { RCPT_REJECTED, stage, cause, 550 }
#define DEF(stage, cause) { RCPT_DEFERRED, stage, cause, 450 }
#define NOT(stage, cause) { RCPT_NOT_ATTEMPTED, stage, cause, 0 }

static void exit_codes(void)
{
	static const struct { struct fate fate[3]; size_t n; int exit; const char *result; } row[] = {
		{ { OK, OK, OK }, 3, 0, "sent" },
		{ { OK, REJ(STAGE_RCPT, CAUSE_RECIPIENT) }, 2, 1, "partial" },
		{ { OK, { RCPT_UNKNOWN, STAGE_DOT, CAUSE_LOST, 0 } }, 2, 1, "partial" },
		{ { { RCPT_UNKNOWN, STAGE_DOT, CAUSE_LOST, 0 }, REJ(STAGE_RCPT, CAUSE_RECIPIENT), DEF(STAGE_RCPT, CAUSE_RECIPIENT) }, 3, 2, "unknown" },
		{ { DEF(STAGE_RCPT, CAUSE_RECIPIENT), REJ(STAGE_DATA, CAUSE_CONTENT) }, 2, 75, "deferred" },
		{ { REJ(STAGE_RCPT, CAUSE_RECIPIENT), REJ(STAGE_DATA, CAUSE_CONTENT) }, 2, 65, "rejected" },
		{ { REJ(STAGE_RCPT, CAUSE_RECIPIENT), REJ(STAGE_RCPT, CAUSE_RECIPIENT) }, 2, 67, "rejected" },
		{ { NOT(STAGE_CONNECT, CAUSE_HOST) }, 1, 68, "error" },
		{ { REJ(STAGE_MAIL, CAUSE_SENDER) }, 1, 69, "rejected" },
		{ { NOT(STAGE_MAIL, CAUSE_SIZE) }, 1, 69, "error" },
		{ { NOT(STAGE_MAIL, CAUSE_EXTENSION) }, 1, 69, "error" },
		{ { DEF(STAGE_CONNECT, CAUSE_REFUSED) }, 1, 75, "deferred" },
		{ { DEF(STAGE_GREETING, CAUSE_TIMEOUT) }, 1, 75, "deferred" },
		{ { DEF(STAGE_EHLO, CAUSE_PROTOCOL) }, 1, 76, "deferred" },
		{ { NOT(STAGE_TLS, CAUSE_TLS) }, 1, 77, "error" },
		{ { NOT(STAGE_AUTH, CAUSE_AUTH) }, 1, 77, "error" },
		{ { NOT(STAGE_AUTH, CAUSE_POLICY) }, 1, 77, "error" },
		{ { NOT(STAGE_LOCAL, CAUSE_RECIPIENT), REJ(STAGE_RCPT, CAUSE_RECIPIENT) }, 2, 67, "rejected" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct report r;
		char line[2048];

		test_case("exit %d, %s (row %zu)", row[i].exit, row[i].result, i);
		make(&r, row[i].n);
		for (size_t k = 0; k < row[i].n; k++)
			settle(&r, k, row[i].fate[k], "text");
		check_int(report_exit_code(&r), row[i].exit);
		check_str(report_result_name(&r), row[i].result);
		report_line(&r, line, sizeof(line));
		check((line[0] != '\0') == (row[i].exit != 0));
		report_clear(&r);
	}
}

static void local_errors(void)
{
	static const struct { enum err_class class; int exit; } row[] = {
		{ ERR_USAGE, 64 }, { ERR_DATA, 65 }, { ERR_NOINPUT, 66 }, { ERR_SOFTWARE, 70 }, { ERR_OS, 71 },
		{ ERR_CANTCREAT, 73 }, { ERR_IO, 74 }, { ERR_POLICY, 77 }, { ERR_CONFIG, 78 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (size_t n = 0; n <= 2; n += 2) {
			struct err e = ERR_INIT;
			struct report r = {0};
			char line[256];

			test_case("a local failure, exit %d, %zu recipients", row[i].exit, n);
			err_set(&e, row[i].class, "what failed");
			if (n)
				make(&r, n);
			report_error(&r, &e);
			check_int(report_exit_code(&r), row[i].exit);
			check_str(report_result_name(&r), "error");
			report_line(&r, line, sizeof(line));
			check_str(line, "what failed");
			report_clear(&r);
			err_clear(&e);
		}
}

/* Our own failure in a later transaction must not hide that an earlier one may have delivered. */
static void local_error_behind_unknown(void)
{
	struct err e = ERR_INIT;
	struct report r;
	char line[256];

	test_case("a local failure behind an unknown outcome");
	make(&r, 2);
	settle(&r, 0, (struct fate){ RCPT_UNKNOWN, STAGE_DOT, CAUSE_LOST, 0 }, "no reply within 9 s");
	err_set(&e, ERR_DATA, "the file changed");
	report_error(&r, &e);
	check_int(report_exit_code(&r), 2);
	report_line(&r, line, sizeof(line));
	check(strstr(line, "may have been delivered") != NULL);
	report_clear(&r);
	err_clear(&e);
}

static void tentative(void)
{
	struct verdict later = { .state = RCPT_DEFERRED, .stage = STAGE_RCPT, .cause = CAUSE_LOST, .text = "x", .len = 1 };
	struct verdict yes = { .state = RCPT_ACCEPTED, .stage = STAGE_DOT, .code = 250, .text = "ok", .len = 2, .enhanced = "2.0.0" };
	struct verdict rest = { .state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL, .cause = CAUSE_LOCAL, .text = "", .len = 0 };
	struct report r;

	test_case("a tentative verdict is replaced, one that stands is not");
	make(&r, 3);
	report_tentative(&r, 0, &later);
	report_tentative(&r, 1, &later);
	check(!report_final(&r, 0));
	report_settle(&r, 0, &yes);
	report_tentative(&r, 0, &later);
	report_close(&r, &rest);
	check_int(r.rcpt[0].state, RCPT_ACCEPTED);
	check_str(r.rcpt[0].enhanced, "2.0.0");
	check_int(r.rcpt[1].state, RCPT_DEFERRED);
	check_int(r.rcpt[2].state, RCPT_NOT_ATTEMPTED);
	check(report_final(&r, 1) && report_final(&r, 2));
	report_clear(&r);
}

static void json(void)
{
	struct buf out = BUF_INIT(1 << 16);
	struct json_out j = json_to_buf(&out);
	struct report r;

	test_case("the JSON form, hostile words from the server escaped");
	make(&r, 1);
	settle(&r, 0, (struct fate)REJ(STAGE_RCPT, CAUSE_RECIPIENT), "no \"such\"\x1b]52;c;\a user\xff\nforged");
	snprintf(r.server, sizeof(r.server), "[::1]:25");
	report_json(&r, &j);
	check(!j.failed);
	check_str(out.data, "{\"version\":1,\"result\":\"rejected\",\"message_id\":\"\",\"server\":\"[::1]:25\",\"queue_id\":\"\",\"size\":null,"
		  "\"recipients\":[{\"address\":\"r1@x\",\"state\":\"rejected\",\"stage\":\"rcpt\",\"cause\":\"recipient\",\"code\":550,"
		  "\"enhanced\":\"\",\"text\":\"no \\\"such\\\"\\\\x1b]52;c;\\\\x07 user\\\\xff\\\\x0aforged\"}],"
		  "\"timings_ms\":{\"connect\":null,\"tls\":null,\"auth\":null,\"send\":null,\"total\":null},"
		  "\"error\":{\"exit\":67,\"cause\":\"recipient\",\"stage\":\"rcpt\",\"text\":\"[::1]:25: recipient r1@x refused: 550 "
		  "no \\\"such\\\"\\\\x1b]52;c;\\\\x07 user\\\\xff\\\\x0aforged\"}}\n");
	report_clear(&r);
	buf_clear(&out);
}

/* Between the dot and the report nothing is allocated: verdicts fit what was reserved, and are cut where they would not. */
static void reserved(void)
{
	char text[RESULT_TEXT_MAX * 2];
	struct report r;

	test_case("reserved room takes as many texts as were announced");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	make(&r, 200);
	report_reserve(&r, 200);
	for (size_t i = 0; i < 200; i++) {
		text[0] = (char)('a' + i % 26);
		settle(&r, i, (struct fate)OK, text);
		check_int(strlen(r.rcpt[i].text), RESULT_TEXT_MAX - 1);
	}
	check(r.rcpt[0].text[0] == 'a' && r.rcpt[1].text[0] == 'b');
	report_clear(&r);
}

/* 530 says itself what is to be done (RFC 4954, 6; RFC 3207, 4). */
static void advice(void)
{
	static const struct { int code; const char *text, *want; } row[] = {
		{ 530, "log in", "message refused at mail: 530 log in (--username and --password-file log in)" },
		{ 530, "Must issue a STARTTLS command first",
		  "message refused at mail: 530 Must issue a STARTTLS command first (--starttls asks for it)" },
		{ 550, "log in", "message refused at mail: 550 log in" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct verdict no = { .state = RCPT_REJECTED, .stage = STAGE_MAIL, .cause = CAUSE_AUTH, .code = row[i].code,
				      .text = row[i].text, .len = strlen(row[i].text) };
		struct report r;
		char line[512];

		test_case("advice for %d %s", row[i].code, row[i].text);
		make(&r, 1);
		report_settle(&r, 0, &no);
		report_line(&r, line, sizeof(line));
		check(strlen(line) >= strlen(row[i].want));
		check_str(line + strlen(line) - strlen(row[i].want), row[i].want);
		report_clear(&r);
	}
}

int main(void)
{
	exit_codes();
	advice();
	local_errors();
	local_error_behind_unknown();
	tentative();
	json();
	reserved();
	return check_done();
}
