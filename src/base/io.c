/* Whole writes, the monotonic clock, signals and the standard descriptors; see io.h. */

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
	OWN_FD_LEAST = 200,             /* above what anybody numbers by hand */
	POLL_MOST_MS = 1000,
};

_Atomic int io_signal_heard;

/*
 * The first two come back as errors of write(); the others mean nothing to us and must not end us amid a
 * message.
 */
const int io_signals_ignored[IO_IGNORED] = { SIGPIPE, SIGXFSZ, SIGALRM, SIGUSR1, SIGUSR2 };

static int signal_pipe[2] = { -1, -1 };
static _Atomic int signal_count;

int io_write_all(int fd, const void *mem, size_t len)
{
	const char *at = mem;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			if (poll(&p, 1, -1) < 0 && (errno != EINTR || io_signal_heard))
				return -1;
		} else if (n < 0 && (errno != EINTR || io_signal_heard)) {
			/* A reader that never reads must not keep us from dying of the user's signal. */
			return -1;
		}
	}
	return 0;
}

int64_t io_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t io_now_ms(void)
{
	return io_now_us() / 1000;
}

int io_poll_ms(int64_t until_ms)
{
	int64_t left = until_ms - io_now_ms();

	return left <= 0 ? 0 : left < POLL_MOST_MS ? (int)left : POLL_MOST_MS;
}

bool io_sleep_until(int64_t until_ms)
{
	while (!io_signal_heard && io_now_ms() < until_ms) {
		struct pollfd p = { .fd = signal_pipe[0], .events = POLLIN };

		if (poll(&p, 1, io_poll_ms(until_ms)) < 0 && errno != EINTR)
			return false;
	}
	return !io_signal_heard;
}

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal's handler may not wait for a lock");

static void hear_signal(int number)
{
	int saved = errno;

	io_signal_heard = number;
	signal_count++;
	/* A full pipe already says what this octet would say. */
	if (write(signal_pipe[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

/* What was ignored at start stays ignored: nohup(1) and background jobs of a shell count on it. */
static void handle(int number)
{
	struct sigaction old, act = { .sa_handler = hear_signal };

	if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return;
	/* No SA_RESTART: whoever waits looks at io_signal_heard on EINTR. */
	sigemptyset(&act.sa_mask);
	sigaction(number, &act, NULL);
}

/*
 * A descriptor that users may name (an attachment's, a secret's) and forgot to open must not turn out to be
 * one of ours, so ours move out of their way. Where the limit is too low for that they stay.
 */
static int move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_LEAST);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

void io_signals_init(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;

	if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		signal_pipe[0] = signal_pipe[1] = -1;
	for (size_t i = 0; i < 2 && signal_pipe[i] >= 0; i++)
		signal_pipe[i] = move_up(signal_pipe[i]);
	sigemptyset(&ignore.sa_mask);
	for (size_t i = 0; i < IO_IGNORED; i++)
		sigaction(io_signals_ignored[i], &ignore, NULL);
	handle(SIGINT);
	handle(SIGTERM);
	handle(SIGHUP);
	/* Last, so that what was pending under an inherited mask meets its handler. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int io_signal_fd(void)
{
	return signal_pipe[0];
}

int io_signal_count(void)
{
	return signal_count;
}

void io_signal_seen(void)
{
	char octets[64];

	while (signal_pipe[0] >= 0 && read(signal_pipe[0], octets, sizeof(octets)) > 0)
		;
}

int io_own_rights(void)
{
	gid_t group = getgid();
	uid_t user = getuid();

	/* The group first: without the user's rights it could not be changed any more. */
	if (getegid() != group && setresgid(group, group, group) < 0)
		return -1;
	return geteuid() != user ? setresuid(user, user, user) : 0;
}

int io_standard_fds(void)
{
	for (;;) {
		/*
		 * The lowest free number comes back, so a closed 0 is asked for first. Each is opened the
		 * wrong way round: reading a standard input that was closed, and printing to a closed
		 * standard output, stay the errors (EBADF) that they are.
		 */
		int fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY);

		if (fd < 0)
			return -1;
		if (fd > STDERR_FILENO) {
			close(fd);
			return 0;
		}
	}
}
