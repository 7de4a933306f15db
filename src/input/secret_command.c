/* The command that prints a secret; see secret_sources.h. */

#include "input/secret_sources.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int secret_read(struct buf *out, int fd, unsigned timeout_ms)
{
	const int64_t until = timeout_ms ? io_now_ms() + timeout_ms : INT64_MAX;
	char chunk[4096];
	int failed = -1;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = fd, .events = POLLIN }, { .fd = io_signal_fd(), .events = POLLIN },
		};
		ssize_t n = 0;

		if (io_now_ms() >= until) {
			errno = ETIMEDOUT;
			break;
		}
		if (poll(p, 2, io_poll_ms(until)) < 0 && errno != EINTR)
			break;
		if (io_signal_heard) {
			errno = EINTR;
			break;
		}
		if (!p[0].revents)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			failed = n < 0 ? -1 : 0;
			break;
		}
		if (buf_add(out, chunk, (size_t)n) < 0) {
			errno = EMSGSIZE;
			break;
		}
	}
	explicit_bzero(chunk, sizeof(chunk));
	return failed;
}

static bool is_hidden(const char *variable, const char *const hidden[])
{
	for (; *hidden; hidden++) {
		size_t n = strlen(*hidden);

		if (!strncmp(variable, *hidden, n) && variable[n] == '=')
			return true;
	}
	return false;
}

/* Our environment without what is hidden; the strings are borrowed. */
static char **visible_environment(const char *const hidden[])
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ && environ[n])
		n++;
	env = xcalloc(n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (!is_hidden(environ[i], hidden))
			env[kept++] = environ[i];
	return env;
}

/* The child, reading nothing and writing to @out only. An errno, or 0. */
static int spawn(pid_t *ret, const char *command, char *env[], int out)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"--", (char *)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, ours;
	int num;

	sigemptyset(&none);
	sigemptyset(&ours);
	for (size_t i = 0; i < IO_IGNORED; i++)
		sigaddset(&ours, io_signals_ignored[i]);
	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	posix_spawnattr_setflags(&attr,
				 POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigdefault(&attr, &ours);
	posix_spawnattr_setsigmask(&attr, &none);
	num = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (!num)
		num = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!num)
		num = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (!num)
		num = posix_spawn(ret, "/bin/sh", &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return num;
}

/*
 * Wait until @end for the child to be dead, not yet buried: as long as it is there its number is no other's,
 * and its group can be killed. @spoilt: nobody wants its output, do not wait.
 */
static void wait_for_end(pid_t pid, int64_t end, bool spoilt)
{
	while (!spoilt) {
		siginfo_t si = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno != EINTR)
			return;
		if (si.si_pid == pid)
			return;
		spoilt = io_signal_heard || io_now_ms() >= end;
		if (!spoilt)
			poll(NULL, 0, 2);
	}
}

/* Its wait status, or -1. What it may have left running in its group ends too: it could hold the secret. */
static int reap(pid_t pid, int64_t end, bool spoilt)
{
	int status = 0;
	pid_t done;

	wait_for_end(pid, end, spoilt);
	kill(-pid, SIGKILL);
	do
		done = waitpid(pid, &status, 0);
	while (done < 0 && errno == EINTR);
	return done == pid ? status : -1;
}

static int judge_end(int read_error, int status, unsigned timeout_ms, struct err *e)
{
	if (read_error == EINTR)
		return err_set(e, ERR_IO, "interrupted while waiting for the command that prints the secret");
	if (read_error == ETIMEDOUT)
		return err_set(e, ERR_CONFIG, "the command did not end within %u s", timeout_ms / 1000);
	if (read_error == EMSGSIZE)
		return err_set(e, ERR_CONFIG, "the command printed more than %d octets", SECRET_MAX);
	if (read_error)
		return err_sys(e, ERR_CONFIG, read_error, "cannot read what the command prints");
	if (status < 0)
		return err_set(e, ERR_CONFIG, "the command's end cannot be told");
	if (WIFSIGNALED(status))
		return err_set(e, ERR_CONFIG, "the command was killed by signal %d, or did not end in time",
			       WTERMSIG(status));
	if (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127)
		return err_set(e, ERR_CONFIG, "the command cannot be run (the shell's exit status is %d)",
			       WEXITSTATUS(status));
	if (WEXITSTATUS(status))
		return err_set(e, ERR_CONFIG, "the command failed with exit status %d", WEXITSTATUS(status));
	return 0;
}

/* One line: its newline goes, nothing may follow it. */
static int judge_output(struct buf *out, struct err *e)
{
	if (out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0';
	if (!out->len)
		return err_set(e, ERR_CONFIG, "the command printed nothing");
	if (memchr(out->data, '\n', out->len))
		return err_set(e, ERR_CONFIG, "the command printed more than one line");
	return 0;
}

int secret_from_command(struct buf *out, const char *command, const char *const hidden[], unsigned timeout_ms,
			struct err *e)
{
	CLEANUP(freep) char **env = visible_environment(hidden);
	struct sigaction plain = { .sa_handler = SIG_DFL }, before;
	int64_t end = io_now_ms() + timeout_ms;
	int pipe[2], num, read_error = 0, status = -1;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_sys(e, ERR_OS, errno, "cannot run the command that prints the secret");
	/* Where SIGCHLD was ignored when we were started, the child's status would be lost. */
	sigemptyset(&plain.sa_mask);
	sigaction(SIGCHLD, &plain, &before);
	num = spawn(&pid, command, env, pipe[1]);
	close(pipe[1]);
	if (!num) {
		if (secret_read(out, pipe[0], timeout_ms) < 0)
			read_error = errno;
		status = reap(pid, end, read_error != 0);
		if (!read_error && io_signal_heard)
			read_error = EINTR;
	}
	close(pipe[0]);
	sigaction(SIGCHLD, &before, NULL);
	if (num)
		return err_sys(e, num == EAGAIN || num == ENOMEM || num == EMFILE ? ERR_OS : ERR_CONFIG, num,
			       "cannot run the command that prints the secret");
	if (judge_end(read_error, status, timeout_ms, e) < 0)
		return -1;
	return judge_output(out, e);
}
