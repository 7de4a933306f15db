/* Secrets: from everywhere they may come from, judged, and never in a text. */

#include "input/secret.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "input/secret_sources.h"
#include "model/mail_params.h"

#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char dir[] = "/tmp/mailchute-test-XXXXXX";

static const char *put(const char *name, const char *text, size_t len, mode_t mode)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	check(fd >= 0 && io_write_all(fd, text, len) == 0 && fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

static struct server server = { .host = (char *)"mail.example.org" };

static int resolve(struct credentials *c, struct secret secret, struct err *e)
{
	struct server_params s = {
		.username = (char *)"user", .password = secret, .timeout = 1, .list = &server, .n_list = 1,
		.mechanisms = AUTH_PLAIN | AUTH_LOGIN,
	};

	return credentials_resolve(c, &s, "mail.example.org", e);
}

/* One secret of @kind; the outcome is @want (a password) or @exit, whose text has @text and never "hunter". */
static void one(struct secret secret, const char *want, int exit, const char *text)
{
	CLEANUP(credentials_clear) struct credentials c = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;

	check_int(resolve(&c, secret, &e), want ? 0 : -1);
	if (want)
		check_str(c.password, want);
	check_int(err_exit_code(&e), exit);
	if (!want && text)
		check(e.text && strstr(e.text, text));
	if (!want && text && e.text && !strstr(e.text, text))
		check_str(e.text, text);
	check(!e.text || !strstr(e.text, "hunter"));
	if (want && e.text)
		check_str(e.text, "");
}

#define T(s) s, sizeof(s) - 1

/* rows: CFG-06 */
static void check_files(void)
{
	static char long_one[4097];
	static const struct { const char *text; size_t len; const char *want; int exit; const char *error; } cases[] = {
		{ T("hunter2"), "hunter2", 0, NULL }, { T("hunter2\n"), "hunter2", 0, NULL }, { T(" hunter2 \n"), " hunter2 ", 0, NULL },
		{ T("h\xfc" "nter\n"), "h\xfc" "nter", 0, NULL }, { T("hunter2\n\n"), NULL, 77, "more than one line" },
		{ T("a\nhunter2"), NULL, 77, "more than one line" }, { T("hunter2\r\n"), NULL, 77, "carriage return" },
		{ T("hunter\0" "2"), NULL, 77, "octet 0" }, { T(""), NULL, 77, "empty" }, { T("\n"), NULL, 77, "empty" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct secret s = { .kind = SECRET_FILE };
		int ends[2];

		test_case("secret %zu from a file and from a descriptor", i);
		s.text = (char *)put("secret", cases[i].text, cases[i].len, 0600);
		one(s, cases[i].want, cases[i].exit, cases[i].error);
		check(pipe(ends) == 0 && io_write_all(ends[1], cases[i].text, cases[i].len) == 0);
		close(ends[1]);
		one((struct secret){ .kind = SECRET_FD, .fd = ends[0] }, cases[i].want, cases[i].exit, cases[i].error);
	}
	test_case("a secret of 4 KB; of over 64 KB");
	memset(long_one, 'x', sizeof(long_one) - 1);
	one((struct secret){ .kind = SECRET_FILE, .text = (char *)put("secret", long_one, 4096, 0600) }, long_one, 0, NULL);
	{
		char *huge = xcalloc(1, 70000);

		memset(huge, 'x', 69999);
		one((struct secret){ .kind = SECRET_FILE, .text = (char *)put("secret", huge, 69999, 0600) }, NULL, 78, NULL);
		free(huge);
	}
	test_case("a secret file that others can read: 77 with the chmod; missing: 78");
	one((struct secret){ .kind = SECRET_FILE, .text = (char *)put("secret", T("hunter2"), 0644) }, NULL, 77, "run: chmod 600 /tmp/");
	one((struct secret){ .kind = SECRET_FILE, .text = (char *)put("secret", T("hunter2"), 0640) }, "hunter2", 0, NULL);
	one((struct secret){ .kind = SECRET_FILE, .text = (char *)"/nonexistent/x" }, NULL, 78, "/nonexistent/x");
	one((struct secret){ .kind = SECRET_FILE, .text = dir }, NULL, 78, "directory");
	one((struct secret){ .kind = SECRET_FD, .fd = 999 }, NULL, 78, "descriptor 999");
}

/* rows: CFG-05 */
static void check_commands(void)
{
	static const struct { const char *command, *want; int exit; const char *error; } cases[] = {
		{ "echo hunter2", "hunter2", 0, NULL }, { "printf hunter2", "hunter2", 0, NULL }, { "printf ' a b '", " a b ", 0, NULL },
		{ "echo hunter2; exit 3", NULL, 78, "failed with exit status 3" }, { "exit 1", NULL, 78, "failed with exit status 1" },
		{ ":", NULL, 78, "printed nothing" }, { "echo", NULL, 78, "printed nothing" },
		{ "echo hunter; echo 2", NULL, 78, "more than one line" }, { "head -c 70000 /dev/zero | tr '\\0' x", NULL, 78, "more than 65536" },
		{ "yes", NULL, 78, "more than 65536" }, { "sleep 100", NULL, 78, "did not end within 1 s" },
		{ "echo hunter2; exec >&-; sleep 100", NULL, 78, "did not end in time" },
		{ "echo hunter2; kill -9 $$", NULL, 78, "killed by signal 9" }, { "/nonexistent/hunter", NULL, 78, "cannot be run" },
		{ "/etc/passwd", NULL, 78, "cannot be run" }, { "printf 'hunter2\\r\\n'", NULL, 77, "carriage return" },
		{ "printf 'hunter\\0002'", NULL, 77, "octet 0" }, { "read x; echo \"in:$x\"", "in:", 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t begin = io_now_ms();

		test_case("command: %s", cases[i].command);
		one((struct secret){ .kind = SECRET_COMMAND, .text = (char *)cases[i].command }, cases[i].want, cases[i].exit, cases[i].error);
		check(io_now_ms() - begin < 2500);
	}
	test_case("a command's children end with it");
	one((struct secret){ .kind = SECRET_COMMAND, .text = (char *)"sleep 100.125 & echo hunter2; exit 0" }, NULL, 78, "did not end within");
	usleep(50000);
	check(system("pgrep -f 'sleep 100\\.12[5]' >/dev/null") != 0);
}

/* rows: CFG-07, CLI-20 */
static void check_children(void)
{
	struct server_params s = {
		.username = (char *)"user", .timeout = 5, .list = &server, .n_list = 1, .mechanisms = AUTH_PLAIN,
		.oauth2_token = { .kind = SECRET_ENV, .text = (char *)"MY_TOKEN" },
		.password = { .kind = SECRET_COMMAND, .text = (char *)"env | grep -c -e hunter -e MY_TOKEN; true" },
	};
	CLEANUP(credentials_clear) struct credentials c = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char *in_block;
	int leak;

	test_case("a command's environment has no secret of ours, and no descriptor");
	setenv("MY_TOKEN", "hunter-token", 1);
	setenv("MAILCHUTE_PASSWORD", "hunter2", 1);
	in_block = getenv("MY_TOKEN");
	leak = open("/dev/null", O_RDONLY);
	check(leak >= 0);
	check_int(credentials_resolve(&c, &s, NULL, &e), 0);
	check_str(c.password, "0");
	check_str(c.token, "hunter-token");
	check(!getenv("MY_TOKEN"));
	check(in_block[0] == '\0');
	unsetenv("MAILCHUTE_PASSWORD");
	one((struct secret){ .kind = SECRET_COMMAND, .text = (char *)"ls /proc/self/fd | wc -l | tr -d ' '" }, "4", 0, NULL);
	close(leak);

	test_case("no core dump once a secret is loaded");
	{
		struct rlimit r;

		check(getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_cur == 0 && r.rlim_max == 0);
	}
	test_case("a variable that is not set: 78; an empty one: 77");
	one((struct secret){ .kind = SECRET_ENV, .text = (char *)"NOT_THERE" }, NULL, 78, "the variable NOT_THERE is not set");
	setenv("EMPTY", "", 1);
	one((struct secret){ .kind = SECRET_ENV, .text = (char *)"EMPTY" }, NULL, 77, "empty");
	setenv("LINES2", "hunter\n2", 1);
	one((struct secret){ .kind = SECRET_ENV, .text = (char *)"LINES2" }, NULL, 77, "more than one line");
}

static const struct { const char *text, *host, *user, *want; } netrcs[] = {
	{ "machine h login u password p", "h", "u", "p" },
	{ "machine h\n\tlogin u\n\tpassword p\n", "h", "u", "p" },
	{ "machine H.Example login u password p", "h.example", "u", "p" },
	{ "machine h password p", "h", "u", "p" },
	{ "machine h password p login u", "h", "u", "p" },
	{ "machine h login other password p", "h", "u", NULL },
	{ "machine h login other password p machine h login u password q", "h", "u", "q" },
	{ "machine h password p login other", "h", "u", NULL },
	{ "machine other login u password p", "h", "u", NULL },
	{ "machine hh login u password p", "h", "u", NULL },
	{ "default login u password p", "h", "u", NULL },
	{ "machine h login u default password p", "h", "u", NULL },
	{ "machine h login u password \"a b\\\"c\\\\\"", "h", "u", "a b\"c\\" },
	{ "machine h login \"u\" password \"\"", "h", "u", "" },
	{ "# machine h login u password no\nmachine h login u password p", "h", "u", "p" },
	{ "macdef init\nmachine h login u password no\n\nmachine h login u password p", "h", "u", "p" },
	{ "macdef init\nmachine h login u password no", "h", "u", NULL },
	{ "machine h account x login u password p", "h", "u", "p" },
	{ "machine h login u", "h", "u", NULL }, { "machine", "h", "u", NULL }, { "", "h", "u", NULL },
	{ "machine h login u password", "h", "u", NULL }, { "password p machine h login u", "h", "u", NULL },
	{ "machine h login u password p machine k login u password q", "k", "u", "q" },
	{ "machine h login u password p machine k login u password q", "h", "u", "p" },
	{ "machine h login u password \"p", "h", "u", "p" },
	{ "machine h login u password #p\nmachine k login u password q", "h", "u", "#p" },
	{ "machine h login u password p,#q # a comment\n", "h", "u", "p,#q" },
};

static void check_netrc_text(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(netrcs); i++) {
		struct buf b;

		test_case("netrc %zu: %s", i, netrcs[i].text);
		secret_room(&b);
		check_int(netrc_find(&b, netrcs[i].text, strlen(netrcs[i].text), netrcs[i].host, netrcs[i].user), netrcs[i].want != NULL);
		check_str(b.data, netrcs[i].want ? netrcs[i].want : "");
		buf_wipe(&b);
	}
}

static void in_session(int (*run)(void), const char *name)
{
	int status = -1;
	pid_t pid;

	test_case("%s", name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setsid();               /* no terminal to be asked on */
		_exit(run());
	}
	check(waitpid(pid, &status, 0) == pid);
	check_int(status, 0);
}

/* In a session without a terminal: the order of the places, and none of them. */
static int places(void)
{
	struct credentials c = {0};
	struct err e = ERR_INIT;
	struct secret none = { .kind = SECRET_NONE };
	struct server two[] = { { .host = (char *)"mail.example.org" }, { .host = (char *)"other.example.org" } };
	struct server_params s = {
		.username = (char *)"user", .timeout = 1, .list = two, .n_list = 2, .mechanisms = AUTH_PLAIN,
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	setenv("HOME", "/nonexistent", 1);
	if (resolve(&c, none, &e) == 0 || err_exit_code(&e) != 64 || !strstr(e.text, "--password-file"))
		return 1;
	setenv("HOME", dir, 1);
	put(".netrc", T("machine mail.example.org login user password fromnetrc\n"), 0600);
	if (resolve(&c, none, &e) < 0 || strcmp(c.password, "fromnetrc"))
		return 2;
	credentials_clear(&c);
	if (credentials_resolve(&c, &s, "mail.example.org", &e) == 0)
		return 3;
	if (credentials_resolve(&c, &s, NULL, &e) == 0)
		return 4;
	put(".netrc", T("machine mail.example.org login user password fromnetrc\n"), 0644);
	if (resolve(&c, none, &e) == 0 || err_exit_code(&e) != 77 || !strstr(e.text, "chmod 600"))
		return 5;
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	put("mailchute.password", T("fromsystemd\n"), 0440);
	if (resolve(&c, none, &e) < 0 || strcmp(c.password, "fromsystemd"))
		return 6;
	credentials_clear(&c);
	s.mechanisms = AUTH_EXTERNAL;
	if (credentials_resolve(&c, &s, NULL, &e) < 0 || c.password || c.token)
		return 7;
	err_clear(&e);
	return 0;
}

/* Asked on a terminal: this side is the user at its other end. */
static int answer(int master, const char *typed, char *heard, size_t cap)
{
	size_t n = 0;
	bool done = false;

	while (n < cap - 1) {
		ssize_t r = read(master, heard + n, cap - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
		heard[n] = '\0';
		if (!done && strstr(heard, ": ")) {
			done = true;
			if (io_write_all(master, typed, strlen(typed)) < 0)
				return -1;
		}
	}
	return 0;
}

static int asked(const char *slave_name)
{
	struct credentials c = {0};
	struct err e = ERR_INIT;
	struct termios t;
	int tty, r;

	setsid();
	tty = open(slave_name, O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
		return 1;
	setenv("HOME", "/nonexistent", 1);
	unsetenv("CREDENTIALS_DIRECTORY");
	io_signals_init();
	r = resolve(&c, (struct secret){ .kind = SECRET_NONE }, &e);
	if (tcgetattr(tty, &t) < 0 || !(t.c_lflag & ECHO))
		return 2;
	if (io_signal_heard) {
		r = e.class == ERR_IO ? 40 : 3;
		err_clear(&e);
		return r;
	}
	if (r < 0 || strcmp(c.password, "hunter2"))
		return 4;
	credentials_clear(&c);
	return 0;
}

static void check_terminal(void)
{
	static const struct { const char *name, *typed; int status; } cases[] = {
		{"asked on a terminal, without echo, which is back afterwards", "hunter2\n", 0},
		{"interrupted at the question: the echo is back", "\003", 40},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int master = posix_openpt(O_RDWR | O_NOCTTY), status = -1;
		char heard[512] = "", slave[64];
		pid_t pid;

		test_case("%s", cases[i].name);
		check(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
		snprintf(slave, sizeof(slave), "%s", ptsname(master));
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(master);
			_exit(asked(slave));
		}
		check_int(answer(master, cases[i].typed, heard, sizeof(heard)), 0);
		check(waitpid(pid, &status, 0) == pid);
		check(WIFEXITED(status));
		check_int(WEXITSTATUS(status), cases[i].status);
		check(strstr(heard, "Password of user at mail.example.org: ") != NULL);
		check(!strstr(heard, "hunter2"));
		close(master);
	}
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 1;
	check_files();
	check_commands();
	check_children();
	check_netrc_text();
	in_session(places, "the usual places, in their order; none of them: 64");
	check_terminal();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) ? 1 : check_done();
}
