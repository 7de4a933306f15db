/* The pure parts of a session: SASL as it is spoken for LMTP, and secrets kept out of texts. */
#include "net/session.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/mail_params.h"
#include "net/lookup.h"
#include "net/redact.h"
#include "net/sasl.h"
#include "text/encode.h"

#include "check.h"

static void test_choice(void)
{
	static const struct { const char *offered; unsigned allowed, want; bool offers; } rows[] = {
		{ "PLAIN LOGIN", AUTH_PLAIN | AUTH_LOGIN, AUTH_PLAIN, true },
		{ "LOGIN", AUTH_PLAIN | AUTH_LOGIN, AUTH_LOGIN, true },
		{ "XOAUTH2 OAUTHBEARER PLAIN", AUTH_XOAUTH2 | AUTH_OAUTHBEARER, AUTH_OAUTHBEARER, true },
		{ "XOAUTH2 PLAIN", AUTH_XOAUTH2 | AUTH_OAUTHBEARER, AUTH_XOAUTH2, true },
		{ "EXTERNAL PLAIN", AUTH_EXTERNAL | AUTH_PLAIN, AUTH_EXTERNAL, true },
		{ "PLAINX XPLAIN PLAIN-2", AUTH_PLAIN, 0, false },
		{ "CRAM-MD5", AUTH_CRAM_MD5, 0, true },
		{ "SCRAM-SHA-1", AUTH_SCRAM_SHA_256, 0, false },
		{ "SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1, 0, false },
		{ "", AUTH_PLAIN, 0, false },
		{ "PLAIN", 0, 0, false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("choice of '%s'", rows[i].offered);
		check_int(sasl_choose(rows[i].offered, rows[i].allowed), rows[i].want);
		check_int(sasl_offers(rows[i].offered, rows[i].allowed), rows[i].offers);
	}
	test_case("lists of mechanisms");
	char list[100], small[8];

	sasl_list(list, sizeof(list), AUTH_PLAIN | AUTH_LOGIN | AUTH_CRAM_MD5, "AUTH=", ";");
	check_str(list, "AUTH=CRAM-MD5;AUTH=PLAIN;AUTH=LOGIN");
	sasl_list(list, sizeof(list), 0, "AUTH=", ";");
	check_str(list, "");
	sasl_list(small, sizeof(small), AUTH_PLAIN | AUTH_LOGIN, "AUTH=", ";");
	check_str(small, "AUTH=PL");
}

/* What base64 of @line's last word says, with \1 and NUL shown as ^. */
static char *shown(const char *line)
{
	struct err e CLEANUP(err_clear) = ERR_INIT;
	const char *word = strrchr(line, ' ') ? strrchr(line, ' ') + 1 : line;
	char *out = NULL;
	size_t len = 0;

	if (base64_decode(&out, &len, word, strlen(word), &e) < 0)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (out[i] == '\0' || out[i] == '\1')
			out[i] = '^';
	return out;
}

static void test_first(void)
{
	static const struct session_credentials cred = { "us,er=1", "pass word", "tok.en" };
	static const struct { unsigned mechanism; const char *line, *says; } rows[] = {
		{ AUTH_PLAIN, "AUTH PLAIN AHVzLGVyPTEAcGFzcyB3b3Jk", "^us,er=1^pass word" },
		{ AUTH_LOGIN, "AUTH LOGIN", NULL },
		{ AUTH_XOAUTH2, NULL, "user=us,er=1^auth=Bearer tok.en^^" },
		{ AUTH_OAUTHBEARER, NULL, "n,a=us=2Cer=3D1,^host=mx.example^port=24^auth=Bearer tok.en^^" },
		{ AUTH_EXTERNAL, NULL, "us,er=1" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sasl s = {
			.mechanism = rows[i].mechanism, .cred = &cred, .host = "mx.example", .port = 24
		};
		struct buf out CLEANUP(buf_clear) = BUF_INIT(10000);

		test_case("first line of %s", auth_mech_name(rows[i].mechanism));
		check_int(sasl_first(&s, &out), 0);
		if (rows[i].line)
			check_str(out.data, rows[i].line);
		if (rows[i].says) {
			char *says = shown(out.data);

			check_str(says, rows[i].says);
			free(says);
		}
	}
	test_case("EXTERNAL without a name is '='");
	struct session_credentials nobody = { NULL, NULL, NULL };
	struct sasl s = { .mechanism = AUTH_EXTERNAL, .cred = &nobody };
	struct buf out CLEANUP(buf_clear) = BUF_INIT(100);

	check_int(sasl_first(&s, &out), 0);
	check_str(out.data, "AUTH EXTERNAL =");

	test_case("a long response waits for the challenge");
	char *word = malloc(2001);

	memset(word, 'p', 2000);
	word[2000] = '\0';
	struct session_credentials longer = { "u", word, NULL };
	struct sasl t = { .mechanism = AUTH_PLAIN, .cred = &longer };
	const char *why = NULL;

	buf_reset(&out);
	check_int(sasl_first(&t, &out), 0);
	check_str(out.data, "AUTH PLAIN");
	struct buf answer CLEANUP(buf_clear) = BUF_INIT(10000);

	check_int(sasl_answer(&t, "", 0, &answer, &why), 0);
	check_int(answer.len, (2003 - 1 + 2) / 3 * 4);
	buf_reset(&answer);
	check_int(sasl_answer(&t, "", 0, &answer, &why), -1);
	check_str(answer.data, "*");
	check(why != NULL);
	free(word);
}

static void test_answers(void)
{
	static const struct session_credentials cred = { "user", "pw", "tok" };
	/* After the first line: what each challenge is answered with; NULL: cancelled. */
	static const struct { unsigned mechanism; const char *challenge[3], *answer[3]; } rows[] = {
		{ AUTH_LOGIN, { "VXNlcm5hbWU6", "UGFzc3dvcmQ6", "Zm9v" }, { "dXNlcg==", "cHc=", NULL } },
		{ AUTH_LOGIN, { "Username:", "", "" }, { "dXNlcg==", "cHc=", NULL } },
		{ AUTH_PLAIN, { "", "", "" }, { NULL, NULL, NULL } },
		{ AUTH_XOAUTH2, { "eyJzdGF0dXMiOiI0MDEifQ==", "", "" }, { "", NULL, NULL } },
		{ AUTH_OAUTHBEARER, { "eyJzdGF0dXMiOiI0MDEifQ==", "", "" }, { "AQ==", NULL, NULL } },
		{ AUTH_XOAUTH2, { "!!!", "", "" }, { NULL, NULL, NULL } },
		{ AUTH_EXTERNAL, { "", "", "" }, { NULL, NULL, NULL } },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sasl s = { .mechanism = rows[i].mechanism, .cred = &cred };
		struct buf first CLEANUP(buf_clear) = BUF_INIT(1000);

		test_case("challenges of %s, %zu", auth_mech_name(rows[i].mechanism), i);
		check_int(sasl_first(&s, &first), 0);
		for (int n = 0; n < 3; n++) {
			struct buf out CLEANUP(buf_clear) = BUF_INIT(1000);
			const char *why = NULL, *text = rows[i].challenge[n], *want = rows[i].answer[n];
			int rc = sasl_answer(&s, text, strlen(text), &out, &why);

			check_int(rc, want ? 0 : -1);
			check_str(out.data, want ? want : "*");
			check(want || why);
		}
	}
	test_case("no room is no answer");
	struct sasl s = { .mechanism = AUTH_PLAIN, .cred = &cred };
	struct buf small CLEANUP(buf_clear) = BUF_INIT(12);

	check_int(sasl_first(&s, &small), -1);
}

static void test_redact(void)
{
	static const struct { const char *in, *want; } rows[] = {
		{ "535 no hunter2 here, hunter2", "535 no *** here, ***" },
		{ "535 aHVudGVyMg== is no", "535 *** is no" },
		{ "AHVzZXIAaHVudGVyMg==", "AHVzZXIA***" },
		{ "nothing", "nothing" },
		{ "", "" },
		{ "token ya29.abc", "token ***" },
		{ "hunter", "hunter" },
	};
	struct redact r;

	redact_init(&r, "hunter2", "ya29.abc");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[100];

		test_case("redact: %s", rows[i].in);
		snprintf(text, sizeof(text), "%s", rows[i].in);
		redact_text(&r, text);
		check_str(text, rows[i].want);
	}
	test_case("redact: the forms in which each mechanism sends it");
	static const struct session_credentials cred = { "user", "hunter2", "ya29.abc" };
	static const unsigned mechanisms[] = { AUTH_PLAIN, AUTH_XOAUTH2, AUTH_OAUTHBEARER };

	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++) {
		struct sasl s = { .mechanism = mechanisms[i], .cred = &cred };
		struct buf out CLEANUP(buf_clear) = BUF_INIT(1000);

		check_int(sasl_first(&s, &out), 0);
		redact_text(&r, out.data);
		check(strstr(out.data, "***") != NULL);
	}
	redact_clear(&r);
	test_case("redact: nothing to hide");
	char text[] = "a b c";

	redact_init(&r, NULL, NULL);
	redact_text(&r, text);
	check_str(text, "a b c");
	redact_clear(&r);
}

static void test_lookup(void)
{
	struct lookup_result r = { 0 };

	test_case("a look-up has a time");
	check_int(lookup(&r, "127.0.0.1", 0, INT64_MAX), 0);
	check_int(r.rc, 0);
	check_int(r.n, 1);
	check_str(r.address[0], "127.0.0.1");
	check_int(lookup(&r, "127.0.0.1", 0, 0), -1);
}

int main(void)
{
	test_choice();
	test_first();
	test_answers();
	test_redact();
	test_lookup();
	return check_done();
}
