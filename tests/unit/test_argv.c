/* Flags and recipients: from words to mail_params. */

#include "input/input.h"

#include "base/buf.h"
#include "base/err.h"
#include "model/mail_params.h"

#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS = 12 };

static int run(struct mail_params *p, struct invocation *inv, const char *const words[], struct err *e)
{
	char *argv[WORDS + 2];
	int argc = 0;

	argv[argc++] = (char *)"mailchute";
	while (words[argc - 1]) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	argv[argc] = NULL;
	return input_argv(p, inv, argc, argv, e);
}

/* rows: CLI-02, CLI-16, CLI-20, CLI-09, CLI-10 */
static const struct { const char *words[WORDS]; int exit; const char *text; } refused[] = {
	{ {"--sbuject", "x"}, 64, "--sbuject: unknown flag, did you mean --subject?" },
	{ {"--sbuject=secret"}, 64, "--sbuject: unknown flag, did you mean --subject?" },
	{ {"--pasword=hunter2"}, 64, "--pasword: unknown flag, did you mean --password-file?" },
	{ {"--zzzzzzzzz"}, 64, "--zzzzzzzzz: unknown flag (mailchute --help lists them)" },
	{ {"--body_fle", "x"}, 64, "--body_fle: unknown flag, did you mean --body-file?" },
	{ {"--no-tsl"}, 64, "--no-tsl: unknown flag, did you mean --no-tls?" },
	{ {"--tls-"}, 64, "--tls-: ambiguous, could be --tls-verify, --tls-ca-file, --tls-cert-file, --tls-key-file, "
			  "--tls-min-version, --tls-pinned-key" },
	{ {"--pass=hunter2"}, 64, "--pass: ambiguous, could be --password, --password-env, --password-file, --password-command, "
				  "--password-fd" },
	{ {"--subject"}, 64, "--subject: a value is missing" },
	{ {"bob@example.org", "--subject"}, 64, "--subject: a value is missing" },
	{ {"-s"}, 64, "-s: a value is missing" },
	{ {"-vs"}, 64, "-s: a value is missing" },
	{ {"--tls=yes"}, 64, "--tls: takes no value" },
	{ {"--params=a", "--params", "b"}, 64, "--params: given twice; one file is read" },
	{ {"b@example.org", "-"}, 64, "-: not a recipient; standard input is --body-file -, --message-file - or --params -" },
	{ {"-from", "a@example.org"}, 64, "-from: a flag of more than a letter has two dashes: --from" },
	{ {"b@example.org", "-cc=x"}, 64, "-cc: a flag of more than a letter has two dashes: --cc" },
	{ {"-v", "-no-tls"}, 64, "-no-tls: a flag of more than a letter has two dashes: --no-tls" },
	{ {"--file", "report.pdf"}, 64, "--files-dir: there is no params file (--params) whose files it could confine; "
					"--attach sends a file" },
	{ {"-Z"}, 64, "-Z: unknown flag (mailchute --help lists them)" },
	{ {"-\xff"}, 64, "-\\xff: unknown flag (mailchute --help lists them)" },
	{ {"--password=hunter2"}, 64, "--password: other users of this machine can read the command line; use --password-file, "
				      "--password-command, --password-env or --password-fd" },
	{ {"--password", "hunter2"}, 64, NULL }, { {"--password"}, 64, NULL },
	{ {"--oauth2-token=x"}, 64, "--oauth2-token: other users of this machine can read the command line; use "
	  "--oauth2-token-file, --oauth2-token-command, --oauth2-token-env or --oauth2-token-fd" },
	{ {"-bs"}, 64, "-bs: this is sendmail's option: with --as=sendmail as first argument all of them are taken "
	  "(mailchute --help lists those of mailchute)" },
	{ {"-bp"}, 64, NULL }, { {"-be"}, 64, NULL }, { {"-oi"}, 64, NULL }, { {"-em"}, 64, NULL }, { {"-odb"}, 64, NULL },
	{ {"-X/tmp/log", "a@b.example"}, 64, NULL }, { {"-C", "f"}, 64, NULL }, { {"-oQ/d"}, 64, NULL }, { {"-OQueueDirectory=/d"}, 64, NULL },
	{ {"-D", "f"}, 64, NULL }, { {"--config=a", "--config", "b"}, 64, "--config: given twice; one file is read" },
	{ {"-v", "--as=sendmail"}, 64, "--as: must be the first argument" }, { {"-oQ/tmp@x"}, 64, NULL },
	{ {"--help@x"}, 64, NULL },
	{ {"--subject", "caf\xe9"}, 65, "--subject: not valid UTF-8 at octet 4" },
	{ {"-s", "\xff"}, 65, "-s: not valid UTF-8 at octet 1" },
	{ {"--from", "J\xf6rg <j@example.org>"}, 65, "--from: not valid UTF-8 at octet 2" },
	{ {"ab\xfe@example.org"}, 65, "ab\\xfe@example.org: not valid UTF-8 at octet 3" },
	{ {"--attach", "{\"pth\":\"x\"}"}, 65, NULL },
	{ {"--attach", "{\"path\":}"}, 65, "--attach:1:9: path: '}' where a value should be (is a comma too many before it?)" },
	{ {"--to", "[\"a@example.org\",]"}, 65, NULL },
	{ {"--port", "25x"}, 64, NULL }, { {"--port="}, 64, NULL }, { {"--report", "jsn"}, 64, NULL },
};

static void check_refused(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		CLEANUP(mail_params_clear) struct mail_params p = {0};
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct invocation inv;

		test_case("refused: %s %s", refused[i].words[0], refused[i].words[1] ? refused[i].words[1] : "");
		mail_params_init(&p);
		check_int(run(&p, &inv, refused[i].words, &e), -1);
		check_int(err_exit_code(&e), refused[i].exit);
		if (refused[i].text)
			check_str(e.text, refused[i].text);
		check(e.text && !strstr(e.text, "hunter2") && !strstr(e.text, "=secret"));
	}
}

/* rows: CLI-01, CLI-17 */
static void check_usage(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char *none[] = { NULL, NULL };
	struct invocation inv;

	test_case("argc 0 and no argv[0] are usage");
	mail_params_init(&p);
	check_int(input_argv(&p, &inv, 0, none, &e), -1);
	check_int(err_exit_code(&e), 64);
	check(e.text && strstr(e.text, "usage: mailchute"));
	check_int(input_argv(&p, &inv, 1, none, &e), -1);
	check_int(err_exit_code(&e), 64);
}

/* rows: CLI-01 */
static void check_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1, before = dup(STDIN_FILENO);
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	const char *const words[] = { NULL };
	struct invocation inv;

	test_case("no words: usage where standard input is a terminal, else not");
	mail_params_init(&p);
	if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0)
		slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	check(slave >= 0 && dup2(slave, STDIN_FILENO) == STDIN_FILENO);
	check_int(run(&p, &inv, words, &e), -1);
	check_int(err_exit_code(&e), 64);
	close(STDIN_FILENO);
	check(open("/dev/null", O_RDONLY) == STDIN_FILENO);
	check_int(run(&p, &inv, words, &e), 0);
	dup2(before, STDIN_FILENO);
	close(before);
	close(slave);
	close(master);
}

static void must_run(struct mail_params *p, struct invocation *inv, const char *const words[])
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	mail_params_init(p);
	check_int(run(p, inv, words, &e), 0);
	if (e.text)
		check_str(e.text, "");
}

/* rows: CLI-03 */
static void check_taken(void)
{
	struct mail_params p;
	struct invocation inv;

	test_case("the last of a scalar wins, a list adds up");
	must_run(&p, &inv, (const char *const[]){"--from", "a@x.example", "-f", "b@x.example", "--to", "c@x.example", "--to=d@x.example",
						 "--server", "one", "-S", "two", NULL});
	check_str(p.from, "b@x.example");
	check_int(p.to.count, 2);
	check_int(p.server.server.count, 2);
	mail_params_clear(&p);

	test_case("recipients and flags mix; -- ends the flags");
	must_run(&p, &inv, (const char *const[]){"a@x.example", "-s", "Hi", "b@x.example", "-v", "--", "-oQ/tmp@x.example", "--help", NULL});
	check_int(p.to.count, 4);
	if (p.to.count == 4) {
		check_str(p.to.item[0].address, "a@x.example");
		check_str(p.to.item[2].address, "-oQ/tmp@x.example");
		check_str(p.to.item[3].address, "--help");
	}
	check_str(p.subject, "Hi");
	check(p.verbose);
	check_int(inv.mode, MODE_SEND);
	mail_params_clear(&p);

	test_case("the same with POSIXLY_CORRECT");
	setenv("POSIXLY_CORRECT", "1", 1);
	must_run(&p, &inv, (const char *const[]){"a@x.example", "-s", "Hi", "b@x.example", NULL});
	unsetenv("POSIXLY_CORRECT");
	check_int(p.to.count, 2);
	check_str(p.subject, "Hi");
	mail_params_clear(&p);

	test_case("booleans both ways, abbreviations, aliases");
	must_run(&p, &inv, (const char *const[]){"--tls", "--no-tls-verify", "--starttls", "--no-starttls", "--subj=x", "--user", "u", "--dry",
						 "--att", "/x", NULL});
	check(p.server.tls && !p.server.tls_verify && !p.server.starttls && p.dry_run);
	check_str(p.subject, "x");
	check_str(p.server.username, "u");
	check_int(p.attachments.count, 1);
	mail_params_clear(&p);

	test_case("values that begin with a bracket");
	must_run(&p, &inv, (const char *const[]){"-S", "[::1]:25", "-a", "[draft].pdf", "--body", "[urgent] see below", "-s", "{\"a\":1}", "-a",
						 "{\"path\":\"l.png\",\"disposition\":\"inline\"}", "--to",
						 "[\"a@x.example\",{\"address\":\"b@x.example\"}]", NULL});
	check_str(p.server.server.count ? p.server.server.item[0] : NULL, "[::1]:25");
	check_int(p.attachments.count, 2);
	check_str(p.attachments.count == 2 ? p.attachments.item[0].content.path : NULL, "[draft].pdf");
	check_str(p.attachments.count == 2 ? p.attachments.item[1].disposition : NULL, "inline");
	check_str(p.body ? p.body->content.data : NULL, "[urgent] see below");
	check_str(p.subject, "{\"a\":1}");
	check_int(p.to.count, 2);
	mail_params_clear(&p);

	test_case("a path is octets");
	must_run(&p, &inv, (const char *const[]){"--attach", "caf\xe9.pdf", "--body-file", "\xff", NULL});
	check_str(p.attachments.count ? p.attachments.item[0].content.path : NULL, "caf\xe9.pdf");
	check_str(p.body_file, "\xff");
	mail_params_clear(&p);

	test_case("the forms of a secret");
	must_run(&p, &inv, (const char *const[]){"--password-env", "PW", "--oauth2-token-fd=7", NULL});
	check_int(p.server.password.kind, SECRET_ENV);
	check_str(p.server.password.text, "PW");
	check_int(p.server.oauth2_token.kind, SECRET_FD);
	check_int(p.server.oauth2_token.fd, 7);
	mail_params_clear(&p);
	must_run(&p, &inv, (const char *const[]){"--password-file", "/p", "--oauth2-token-command=cat x", NULL});
	check_int(p.server.password.kind, SECRET_FILE);
	check_int(p.server.oauth2_token.kind, SECRET_COMMAND);
	mail_params_clear(&p);

	test_case("with a ready message the words are its envelope");
	must_run(&p, &inv, (const char *const[]){"a@x.example", "--message-file", "-", NULL});
	check_int(p.to.count, 0);
	check_int(p.rcpt.count, 1);
	mail_params_clear(&p);

	test_case("how to run");
	must_run(&p, &inv, (const char *const[]){"--params=-", "--print-params", NULL});
	check_int(inv.mode, MODE_PRINT_PARAMS);
	check_str(inv.params_file, "-");
	mail_params_clear(&p);
	must_run(&p, &inv, (const char *const[]){"--help", "--nonsense", NULL});
	check_int(inv.mode, MODE_HELP);
	mail_params_clear(&p);
	must_run(&p, &inv, (const char *const[]){"--version", NULL});
	check_int(inv.mode, MODE_VERSION);
	mail_params_clear(&p);
	must_run(&p, &inv, (const char *const[]){"--print-schema", NULL});
	check_int(inv.mode, MODE_PRINT_SCHEMA);
	mail_params_clear(&p);
}

static void check_help(void)
{
	struct buf out = BUF_INIT(1 << 20);
	size_t longest = 0, column = 0;

	test_case("--help fits 80 columns");
	check_int(input_help(&out), 0);
	for (size_t i = 0; i < out.len; i++) {
		column = out.data[i] == '\n' ? 0 : column + 1;
		longest = column > longest ? column : longest;
	}
	check(longest <= 80);
	check(strstr(out.data, "  -s, --subject=TEXT") != NULL);
	check(strstr(out.data, "--[no-]tls ") != NULL);
	check(strstr(out.data, "--password-command=COMMAND") != NULL);
	check(!strstr(out.data, "--password="));
	buf_reset(&out);
	check_int(input_version(&out, "libcurl 1"), 0);
	check(!strncmp(out.data, "mailchute ", 10) && strstr(out.data, "(libcurl 1, cJSON "));
	buf_clear(&out);
}

int main(void)
{
	check_refused();
	check_usage();
	check_terminal();
	check_taken();
	check_help();
	return check_done();
}
