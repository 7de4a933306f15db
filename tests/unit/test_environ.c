/* MAILCHUTE_* variables and params files. */

#include "input/input.h"

#include "base/err.h"
#include "model/mail_params.h"

#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct { const char *entry; int exit; const char *text; } refused[] = {
	{ "MAILCHUTE_SUBJCT=x", 64, "MAILCHUTE_SUBJCT: no such setting, did you mean MAILCHUTE_SUBJECT?" },
	{ "MAILCHUTE_ZZZZZZ=x", 64, "MAILCHUTE_ZZZZZZ: no such setting" },
	{ "MAILCHUTE_=x", 64, "MAILCHUTE_: no such setting" },
	{ "MAILCHUTE_subject=x", 64, "MAILCHUTE_subject: no such setting, did you mean MAILCHUTE_SUBJECT?" },
	{ "MAILCHUTE_PARAMS=x", 64, "MAILCHUTE_PARAMS: cannot be set by a variable" },
	{ "MAILCHUTE_HELP=1", 64, "MAILCHUTE_HELP: cannot be set by a variable" },
	{ "MAILCHUTE_PORT=25x", 64, NULL }, { "MAILCHUTE_PORT=", 64, NULL }, { "MAILCHUTE_TLS=perhaps", 64, NULL },
	{ "MAILCHUTE_SUBJECT=\xff", 65, "MAILCHUTE_SUBJECT: not valid UTF-8 at octet 1" },
	{ "MAILCHUTE_TO=[\"a\",]", 65, NULL },
	{ "MAILCHUTE_SUBJECT_FILE=x", 64, NULL },
};

static void check_refused(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		CLEANUP(mail_params_clear) struct mail_params p = {0};
		CLEANUP(err_clear) struct err e = ERR_INIT;
		char entry[128], *envp[] = { (char *)"HOME=/", entry, NULL };

		test_case("refused: %s", refused[i].entry);
		mail_params_init(&p);
		snprintf(entry, sizeof(entry), "%s", refused[i].entry);
		check_int(input_environ(&p, envp, &e), -1);
		check_int(err_exit_code(&e), refused[i].exit);
		if (refused[i].text)
			check_str(e.text, refused[i].text);
	}
}

/* rows: CFG-07 */
static void check_taken(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char subject[] = "MAILCHUTE_SUBJECT=Caf\xc3\xa9", tls[] = "MAILCHUTE_TLS=yes", user[] = "MAILCHUTE_USER=u",
	     password[] = "MAILCHUTE_PASSWORD={hunter2}", to[] = "MAILCHUTE_TO=[\"a@x.example\",\"b@x.example\"]",
	     cc[] = "MAILCHUTE_CC=c@x.example", other[] = "MAILCHUTEX=1", token[] = "MAILCHUTE_OAUTH2_TOKEN_FILE=/t",
	     empty[] = "MAILCHUTE_ENVELOPE_FROM=";
	char *envp[] = { subject, tls, user, password, to, cc, other, token, empty, NULL };

	test_case("variables are settings; a password is taken out of the block");
	mail_params_init(&p);
	check_int(input_environ(&p, envp, &e), 0);
	check_str(p.subject, "Caf\xc3\xa9");
	check(p.server.tls);
	check_str(p.server.username, "u");
	check_int(p.server.password.kind, SECRET_LITERAL);
	check_str(p.server.password.text, "{hunter2}");
	check_int(p.server.oauth2_token.kind, SECRET_FILE);
	check_int(p.to.count, 2);
	check_int(p.cc.count, 1);
	check_str(p.envelope_from, "");
	check(!memmem(password, sizeof(password), "hunter2", 7));
	check_int(p.origin[param_id(param_by_name("subject", 7))], ORIGIN_ENV);
}

static void check_real_environment(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	extern char **environ;

	test_case("the real environment loses the password, and nothing else");
	setenv("MAILCHUTE_PASSWORD", "hunter2", 1);
	setenv("MAILCHUTE_SUBJECT", "x", 1);
	mail_params_init(&p);
	check_int(input_environ(&p, environ, &e), 0);
	check(!getenv("MAILCHUTE_PASSWORD"));
	check_str(getenv("MAILCHUTE_SUBJECT"), "x");
	check_str(p.server.password.text, "hunter2");
	unsetenv("MAILCHUTE_SUBJECT");
}

/* --- params files --- */

static char dir[] = "/tmp/mailchute-test-XXXXXX";

static const char *put(const char *name, const char *text, mode_t mode)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

/* rows: JSN-06, JSN-07, JSN-10, JSN-02, JSN-18 */
static const struct { const char *text; mode_t mode; int exit; const char *error; } files[] = {
	{ "", 0600, 65, "p.json:1:1: no JSON: the text is empty" },
	{ "null", 0600, 65, "p.json:1:1: must be one object, {\"setting\": value, ...}" },
	{ "[]", 0600, 65, NULL }, { "\"x\"", 0600, 65, NULL }, { " \n[{}]", 0600, 65, NULL },
	{ "{\"TO\":\"a@x.example\"}", 0600, 65, "p.json:1:7: TO: unknown key, did you mean 'to'?" },
	{ "{\"tO\":1}", 0600, 65, NULL }, { "{\"To\":1}", 0600, 65, NULL },
	{ "{\n \"subjct\": 1}", 0600, 65, "p.json:2:12: subjct: unknown key, did you mean 'subject'?" },
	{ "{\"attachments\":[{\"path\":\"a\"},{\"pth\":\"b\"}]}", 0600, 65, "p.json:1:37: attachments[1].pth: unknown key, did you mean 'path'?" },
	{ "{\"\\u001b[31m\":1}", 0600, 65, "p.json:1:15: \\x1b[31m: unknown key" },
	{ "{\"user\":\"a\",\"username\":\"b\"}", 0600, 65, "p.json:1:24: username: the same setting as 'user', which is there already" },
	{ "{\"output\":\"x\"}", 0600, 65, NULL }, { "{\"params\":\"x\"}", 0600, 65, NULL }, { "{\"help\":true}", 0600, 65, NULL },
	{ "{\"port\":25.5}", 0600, 65, "p.json:1:9: port: not a whole number" },
	{ "{\"port\":2147483648}", 0600, 65, NULL }, { "{\"port\":\"25\"}", 0600, 65, NULL },
	{ "{\"password\":\"x\"}", 0644, 77, "others can read this file and it holds a literal 'password'; run: chmod 600 " },
	{ "{\"password\":\"x\"}", 0644, 77, NULL }, { "{\"oauth2_token\":\"x\"}", 0604, 77, NULL },
	{ "{\"proxy\":\"http://u:p@h:1\"}", 0644, 77, NULL },
	{ "{\"password\":\"x\"}", 0600, 0, NULL }, { "{\"password\":{\"file\":\"/x\"}}", 0644, 0, NULL },
	{ "{\"proxy\":\"http://h:1\"}", 0644, 0, NULL }, { "{}", 0644, 0, NULL }, { "{\"port\":25.0}", 0644, 0, NULL },
};

static void check_files(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(mail_params_clear) struct mail_params p = {0};
		CLEANUP(err_clear) struct err e = ERR_INIT;
		int want = files[i].exit;

		test_case("params file %s, mode %o", files[i].text, (unsigned)files[i].mode);
		mail_params_init(&p);
		check_int(input_params_file(&p, put("p.json", files[i].text, files[i].mode), &e), want ? -1 : 0);
		check_int(err_exit_code(&e), want);
		if (files[i].error)
			check(e.text && strstr(e.text, files[i].error));
		if (files[i].error && e.text && !strstr(e.text, files[i].error))
			check_str(e.text, files[i].error);
	}
}

/* rows: JSN-16 */
static void check_kinds(void)
{
	struct mail_params p = {0};
	struct err e = ERR_INIT;
	char path[128];
	pid_t pid;
	int fd[2];

	mail_params_init(&p);
	p.server.timeout = 1;

	test_case("params from a directory, /dev/zero, nowhere: 66");
	check(input_params_file(&p, dir, &e) == -1 && err_exit_code(&e) == 66);
	check(input_params_file(&p, "/dev/zero", &e) == -1 && err_exit_code(&e) == 66);
	check(input_params_file(&p, "/nonexistent", &e) == -1 && err_exit_code(&e) == 66);
	check(input_params_file(&p, "", &e) == -1 && err_exit_code(&e) == 66);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	check(mkfifo(path, 0644) == 0);

	test_case("params from a FIFO without a writer: 66 after the timeout");
	check(input_params_file(&p, path, &e) == -1 && err_exit_code(&e) == 66);
	check(e.text && strstr(e.text, "nothing was written"));

	test_case("params from a FIFO, with a literal password that no file mode guards");
	pid = fork();
	if (!pid) {
		int out = open(path, O_WRONLY);

		if (write(out, "{\"password\":", 12) != 12)
			_exit(1);
		usleep(100000);
		_exit(write(out, "\"hunter2\"}", 10) != 10);
	}
	check_int(input_params_file(&p, path, &e), 0);
	check_str(p.server.password.text, "hunter2");
	check(pid > 0 && waitpid(pid, NULL, 0) == pid);

	test_case("params from /dev/fd/N");
	check(pipe(fd) == 0 && write(fd[1], "{\"subject\":\"S\"}", 15) == 15);
	close(fd[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
	check_int(input_params_file(&p, path, &e), 0);
	check_str(p.subject, "S");
	close(fd[0]);
	err_clear(&e);
	mail_params_clear(&p);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	check_refused();
	check_taken();
	check_real_environment();
	check_files();
	check_kinds();
	test_case("clean up");
	{
		char command[64];

		snprintf(command, sizeof(command), "rm -r %s", dir);
		check_int(system(command), 0);
	}
	return check_done();
}
