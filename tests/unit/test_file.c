/* Files judged by their descriptor, compared while they are read; pipes taken in whole. */

#include "base/file.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/mailchute-test-XXXXXX";

static char *at(const char *name)
{
	static char path[4][256];
	static int turn;

	snprintf(path[++turn % 4], sizeof(path[0]), "%s/%s", dir, name);
	return path[turn % 4];
}

static char *put(const char *name, const char *text)
{
	char *path = at(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check(fd >= 0 && io_write_all(fd, text, strlen(text)) == 0);
	close(fd);
	return path;
}

static int identify(struct file_id *id, bool *is_pipe, const char *path, const char *beneath, struct err *e)
{
	CLEANUP(err_clear) struct err none = ERR_INIT;
	int fd;

	if (file_open(&fd, is_pipe, id, path, beneath, e ? e : &none) < 0)
		return -1;
	close(fd);
	return 0;
}

/* rows: ATT-01 */
static void check_kinds(void)
{
	static const struct { const char *path; int exit; const char *text; } bad[] = {
		{"missing", 66, "No such file"}, {".", 66, "a directory"}, {"socket", 66, "socket"}, {"dangling", 66, "No such file"},
		{"loop", 66, "symbolic links"}, {"/dev/zero", 66, "a character device"}, {"/dev/tty", 66, NULL}, {"", 66, "empty"},
		{"dir/", 66, "a directory"},
	};
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	char longer[5000];

	test_case("the tree");
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", dir);
	check_int(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	check(symlink("nowhere", at("dangling")) == 0 && symlink("loop", at("loop")) == 0 && mkdir(at("dir"), 0700) == 0);
	check(mkfifo(at("fifo"), 0600) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *path = *bad[i].path == '/' || !*bad[i].path ? bad[i].path : at(bad[i].path);
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct file_id id;
		bool is_pipe;
		int fd;

		test_case("refused: '%s'", bad[i].path);
		check_int(file_open(&fd, &is_pipe, &id, path, NULL, &e), -1);
		check_int(err_exit_code(&e), bad[i].exit);
		check(e.text && (!bad[i].text || strstr(e.text, bad[i].text)));
	}
	test_case("a name too long");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	{
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct file_id id;
		bool is_pipe;

		check_int(identify(&id, &is_pipe, longer, NULL, &e), -1);
		check_int(err_exit_code(&e), 66);
		check(e.text && strlen(e.text) < 1000);
	}
	close(s);
}

static void check_pipes(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct staged *staged = NULL;
	struct file_id id;
	bool is_pipe = false;
	int fd = -1, ends[2];
	char path[64];
	int64_t begin;

	test_case("FIFO: identified without opening it, opened without waiting, silent: an error in time");
	check(identify(&id, &is_pipe, at("fifo"), NULL, NULL) == 0 && is_pipe);
	check(file_open(&fd, &is_pipe, &id, at("fifo"), NULL, &e) == 0 && is_pipe);
	begin = io_now_ms();
	check_int(staged_take(&staged, fd, "fifo", 200, STAGED_EOF, &e), -1);
	check_int(err_exit_code(&e), 66);
	check(e.text && strstr(e.text, "'fifo': nothing was written to it for 0.2 s"));
	check(io_now_ms() - begin >= 190 && io_now_ms() - begin < 1500);

	test_case("/dev/fd/N and /proc/self/fd/N of a pipe whose writer has gone");
	for (int i = 0; i < 2; i++) {
		check(pipe(ends) == 0 && write(ends[1], "hello", 5) == 5);
		close(ends[1]);
		snprintf(path, sizeof(path), i ? "/proc/self/fd/%d" : "/dev/fd/%d", ends[0]);
		check(identify(&id, &is_pipe, path, NULL, NULL) == 0 && is_pipe);
		check(file_open(&fd, &is_pipe, &id, path, NULL, &e) == 0 && is_pipe);
		check_int(staged_take(&staged, fd, path, 1000, STAGED_EOF, &e), 0);
		check_int(staged_size(staged), 5);
		staged_free(staged);
		staged = NULL;
		close(ends[0]);
	}

	test_case("/dev/null is an empty input; what /proc makes up is taken like a pipe");
	check(file_open(&fd, &is_pipe, &id, "/dev/null", NULL, &e) == 0 && is_pipe);
	check_int(staged_take(&staged, fd, "null", 1000, STAGED_EOF, &e), 0);
	check_int(staged_size(staged), 0);
	staged_free(staged);
	staged = NULL;
	check(file_open(&fd, &is_pipe, &id, "/proc/self/status", NULL, &e) == 0 && is_pipe);
	check_int(staged_take(&staged, fd, "status", 1000, STAGED_EOF, &e), 0);
	check(staged_size(staged) > 100);
	staged_free(staged);

	test_case("a descriptor that is not open, or not for reading");
	staged = NULL;
	check_int(staged_take(&staged, 999, "fd 999", 100, STAGED_EOF, &e), -1);
	check_int(err_exit_code(&e), 66);
	fd = open("/dev/null", O_WRONLY);
	check_int(staged_take(&staged, fd, "fd", 100, STAGED_EOF, &e), -1);
	check_int(err_exit_code(&e), 66);
}

/* Write @n octets, from a child, in pieces. The child has no reading end, so that it ends where we stop to read. */
static pid_t writer(const int ends[2], size_t n)
{
	pid_t pid = fork();
	int fd = ends[1];

	if (pid)
		return pid;
	close(ends[0]);
	for (size_t i = 0; i < n; ) {
		char chunk[5000];
		size_t len = sizeof(chunk) < n - i ? sizeof(chunk) : n - i;

		for (size_t k = 0; k < len; k++)
			chunk[k] = (char)((i + k) % 251);
		if (io_write_all(fd, chunk, len) < 0)
			_exit(1);
		i += len;
	}
	_exit(0);
}

static size_t read_pattern(struct source *s, size_t cap)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char chunk[4096];
	size_t n, total = 0;

	do {
		check_int(source_read(s, chunk, cap, &n, &e), 0);
		for (size_t k = 0; k < n; k++)
			if ((unsigned char)chunk[k] != (total + k) % 251)
				check(!"the octets are as written");
		total += n;
	} while (n);
	check(source_read(s, chunk, cap, &n, &e) == 0 && n == 0);
	return total;
}

/* rows: ATT-09, RES-06 */
static void check_staging(void)
{
	static const size_t sizes[] = { 0, 1, 16384, 1 << 20, (1 << 20) + 1, 3 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(staged_freep) struct staged *staged = NULL;
		struct source *a, *b;
		int ends[2];
		pid_t pid;

		test_case("a pipe of %zu octets, read twice at once", sizes[i]);
		check_int(pipe(ends), 0);
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		pid = writer(ends, sizes[i]);
		close(ends[1]);
		check_int(staged_take(&staged, ends[0], "pipe", 5000, STAGED_EOF, &e), 0);
		check(waitpid(pid, NULL, 0) == pid);
		if (!staged)
			continue;
		check_int(staged_size(staged), sizes[i]);
		a = source_staged(staged);
		b = source_staged(staged);
		check_int(source_size(a), sizes[i]);
		check_int(read_pattern(a, 4096), sizes[i]);
		check_int(read_pattern(b, 1000), sizes[i]);
		check_int(source_rewind(a, &e), 0);
		check_int(read_pattern(a, 77), sizes[i]);
		source_free(a);
		source_free(b);
	}
}

/* rows: RES-01, RES-02 */
static void check_no_space(void)
{
	struct rlimit before, small = { 4096, RLIM_INFINITY };
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct staged *staged = NULL;
	int ends[2];
	pid_t pid;

	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	test_case("no room for the temporary file: 74");
	check_int(pipe(ends), 0);
	pid = writer(ends, 2 << 20);
	close(ends[1]);
	check(getrlimit(RLIMIT_FSIZE, &before) == 0);
	small.rlim_max = before.rlim_max;
	check(setrlimit(RLIMIT_FSIZE, &small) == 0);
	check_int(staged_take(&staged, ends[0], "pipe", 5000, STAGED_EOF, &e), -1);
	check_int(err_exit_code(&e), 74);
	setrlimit(RLIMIT_FSIZE, &before);
	check(waitpid(pid, NULL, 0) == pid);

	test_case("no place for the temporary file: 73");
	setenv("TMPDIR", "/nonexistent", 1);
	check_int(pipe(ends), 0);
	pid = writer(ends, 2 << 20);
	close(ends[1]);
	check_int(staged_take(&staged, ends[0], "pipe", 5000, STAGED_EOF, &e), -1);
	check_int(err_exit_code(&e), 73);
	check(e.text && strstr(e.text, "/nonexistent"));
	unsetenv("TMPDIR");
	check(waitpid(pid, NULL, 0) == pid);
}

static int drain(struct source *s, struct err *e)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20);

	return source_drain(s, &out, e);
}

/* What may happen to a file between composing and its last octet. */
static void replace(const char *p) { put("other", "abcdef"); check(rename(at("other"), p) == 0); }
static void grow(const char *p) { int fd = open(p, O_WRONLY | O_APPEND); check(write(fd, "x", 1) == 1); close(fd); }
static void shrink(const char *p) { check(truncate(p, 3) == 0); }
static void rewrite(const char *p) { int fd = open(p, O_WRONLY); usleep(20000); check(write(fd, "ABCDEF", 6) == 6); close(fd); }
static void vanish(const char *p) { check(unlink(p) == 0); }
static void become_fifo(const char *p) { check(unlink(p) == 0 && mkfifo(p, 0600) == 0); }

static void check_changes(void)
{
	static const struct { const char *name; void (*change)(const char *path); } changes[] = {
		{"replaced", replace}, {"grown", grow}, {"cut", shrink}, {"rewritten", rewrite}, {"gone", vanish}, {"now a FIFO", become_fifo},
	};

	for (size_t round = 0; round < ARRAY_SIZE(changes) * 2; round++) {
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(source_freep) struct source *s = NULL;
		bool late = round >= ARRAY_SIZE(changes), is_pipe;
		size_t i = round % ARRAY_SIZE(changes);
		struct file_id id;
		char path[256], c;
		size_t n;
		int want = 65;

		test_case("a file %s, %s", changes[i].name, late ? "after its first octet" : "before it is opened");
		snprintf(path, sizeof(path), "%s", at("changing"));
		unlink(path);
		put("changing", "abcdef");
		check(identify(&id, &is_pipe, path, NULL, &e) == 0 && !is_pipe);
		check_int(file_unchanged(&id, path, NULL, &e), 0);
		s = source_file(path, NULL, &id);
		check_int(source_size(s), 6);
		if (late)
			check(source_read(s, &c, 1, &n, &e) == 0 && n == 1 && c == 'a');
		changes[i].change(path);
		check_int(drain(s, &e), -1);
		if (!late && changes[i].change == vanish)
			want = 66;
		check_int(err_exit_code(&e), want);
		check(e.text && strstr(e.text, "changing"));
		check_int(file_unchanged(&id, path, NULL, &e), -1);
		check_int(err_exit_code(&e), 65);
	}
}

/* rows: ATT-06, ATT-07 */
static void check_reading(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct source *many[200];
	struct rlimit few = { 20, 20 }, before;
	struct file_id id;
	bool is_pipe;
	int fd;

	test_case("read, rewind, read again; many sources of one file need no descriptor until they are read");
	put("plain", "hello");
	check_int(identify(&id, &is_pipe, at("plain"), NULL, NULL), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = source_file(at("plain"), NULL, &id);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		check_int(drain(many[i], &e), 0);
		check_int(source_rewind(many[i], &e), 0);
		check_int(drain(many[i], &e), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		source_free(many[i]);
	setrlimit(RLIMIT_NOFILE, &before);

	test_case("a sparse file of 10 GiB has its exact size; an empty one too");
	fd = open(at("sparse"), O_WRONLY | O_CREAT, 0600);
	check(ftruncate(fd, 10LL << 30) == 0);
	close(fd);
	check(identify(&id, &is_pipe, at("sparse"), NULL, NULL) == 0 && id.size == 10LL << 30);
	put("empty", "");
	check(identify(&id, &is_pipe, at("empty"), NULL, NULL) == 0 && id.size == 0);
	many[0] = source_file(at("empty"), NULL, &id);
	check_int(drain(many[0], &e), 0);
	source_free(many[0]);
}

/* rows: RES-03 */
static void check_no_descriptor(void)
{
	struct rlimit before, none;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct file_id id;
	bool is_pipe;
	int fd;

	test_case("no descriptor left: 71");
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	check_int(file_open(&fd, &is_pipe, &id, at("plain"), NULL, &e), -1);
	setrlimit(RLIMIT_NOFILE, &before);
	check_int(err_exit_code(&e), 71);
}

/* rows: ATT-08 */
static void check_beneath(void)
{
	static const char *const out[] = { "/etc/passwd", "../outside", "dir/../../outside", "up/outside", "absolute", "/dev/fd/0" };
	char base[256];

	snprintf(base, sizeof(base), "%s", at("base"));
	test_case("a tree to be confined to");
	check(mkdir(base, 0700) == 0 && mkdir(at("base/dir"), 0700) == 0);
	put("outside", "x");
	put("base/inside", "x");
	check(symlink("..", at("base/up")) == 0 && symlink("/etc/passwd", at("base/absolute")) == 0);
	check(symlink("inside", at("base/link")) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(out); i++) {
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct file_id id;
		bool is_pipe;
		int fd;

		test_case("leads out: %s", out[i]);
		check_int(file_open(&fd, &is_pipe, &id, out[i], base, &e), -1);
		check_int(err_exit_code(&e), 65);
	}
	{
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct file_id id;
		bool is_pipe;
		struct source *s;

		test_case("stays inside: inside, link, dir/../inside");
		check(identify(&id, &is_pipe, "inside", base, NULL) == 0);
		check(identify(&id, &is_pipe, "link", base, NULL) == 0);
		check(identify(&id, &is_pipe, "dir/../inside", base, NULL) == 0);
		s = source_file("link", base, &id);
		check_int(drain(s, &e), 0);
		source_free(s);
		check_int(file_unchanged(&id, "inside", base, &e), 0);
		test_case("inside, but missing: 66; no such directory: 66");
		check(identify(&id, &is_pipe, "missing", base, &e) == -1 && err_exit_code(&e) == 66);
		check(identify(&id, &is_pipe, "inside", "/nonexistent", &e) == -1 && err_exit_code(&e) == 66);
	}
}

static void check_stream(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct source *s;
	int ends[2];
	char c[8];
	size_t n;

	test_case("a stream is read once");
	check(pipe(ends) == 0 && write(ends[1], "ab", 2) == 2);
	close(ends[1]);
	s = source_stream(ends[0], "pipe", 1000);
	check_int(source_size(s), -1);
	check_int(source_rewind(s, &e), 0);
	check(source_read(s, c, sizeof(c), &n, &e) == 0 && n == 2);
	check(source_read(s, c, sizeof(c), &n, &e) == 0 && n == 0);
	check(source_read(s, c, sizeof(c), &n, &e) == 0 && n == 0);
	check_int(source_rewind(s, &e), -1);
	source_free(s);
}

static void check_slurp(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct buf small = BUF_INIT(4), b = BUF_INIT(100);
	mode_t mode = 0;
	uid_t uid = 12345;

	test_case("a whole file, with a limit");
	put("plain", "hello");
	check_int(file_slurp(&b, at("plain"), NULL, 1000, &mode, &uid, &e), 0);
	check_str(b.data, "hello");
	check(S_ISREG(mode) && (mode & 0777) == 0600 && uid == geteuid());
	check_int(file_slurp(&small, at("plain"), NULL, 1000, NULL, NULL, &e), -1);
	check_int(err_exit_code(&e), 65);
	check_int(file_slurp(&b, dir, NULL, 1000, NULL, NULL, &e), -1);
	check_int(err_exit_code(&e), 66);
	buf_clear(&b);
	buf_clear(&small);
}

/* Signals, in a child: heard once, readable, and ignored where they were ignored. */
static int signals_child(void)
{
	signal(SIGHUP, SIG_IGN);
	io_signals_init();
	raise(SIGHUP);
	if (io_signal_heard)
		return 1;
	raise(SIGTERM);
	if (io_signal_heard != SIGTERM)
		return 2;
	{
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct staged *staged;
		int ends[2];

		if (pipe(ends) < 0 || staged_take(&staged, ends[0], "pipe", 0, STAGED_EOF, &e) != -1 || e.class != ERR_IO)
			return 3;
	}
	return 0;
}

/* rows: RES-03, RES-07 */
static int standard_child(void)
{
	char c;

	close(0);
	close(1);
	if (io_standard_fds() < 0 || fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(3, F_GETFD) >= 0)
		return 1;
	if (read(0, &c, 1) != -1 || errno != EBADF)
		return 2;
	return io_write_all(1, "x", 1) == -1 && errno == EBADF ? 0 : 3;
}

static void in_child(const char *name, int (*run)(void))
{
	int status = -1;
	pid_t pid;

	test_case("%s", name);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(run());
	check(waitpid(pid, &status, 0) == pid);
	check_int(status, 0);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 1;
	check_kinds();
	check_pipes();
	check_staging();
	check_no_space();
	check_changes();
	check_reading();
	check_no_descriptor();
	check_beneath();
	check_stream();
	check_slurp();
	in_child("signals are heard, waits end", signals_child);
	in_child("closed standard descriptors stay errors and are taken", standard_child);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) ? 1 : check_done();
}
