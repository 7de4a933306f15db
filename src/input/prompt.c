/*
 * A question on the terminal, answered without echo. Whatever ends it, the
 * terminal is as before: the signals we handle are looked at after it has been
 * restored, and those that would stop or kill us at once wait until then.
 */

#include "input/secret_sources.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Octets of a line up to its end, one by one, so that nothing behind it is taken from the terminal. */
static int read_line(struct buf *out, int tty, struct err *e)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = tty, .events = POLLIN }, { .fd = io_signal_fd(), .events = POLLIN },
		};
		ssize_t n = 0;
		char c;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, errno, "cannot read from the terminal");
		if (io_signal_heard)
			return err_set(e, ERR_IO, "interrupted while asking for the password");
		if (!p[0].revents)
			continue;
		n = read(tty, &c, 1);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "cannot read from the terminal");
		if (n == 0 || c == '\n')
			return 0;
		if (buf_add(out, &c, 1) < 0)
			return err_set(e, ERR_POLICY, "the password has more than %zu octets", out->max);
		explicit_bzero(&c, 1);
	}
}

static void block_stops(int how, sigset_t *old)
{
	sigset_t stops;

	if (how == SIG_SETMASK) {
		sigprocmask(SIG_SETMASK, old, NULL);
		return;
	}
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigaddset(&stops, SIGQUIT);
	sigaddset(&stops, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stops, old);
}

static int ask(struct buf *out, int tty, const char *prompt, struct err *e)
{
	struct termios before, silent;
	sigset_t old;
	int r = -1;

	if (tcgetattr(tty, &before) < 0)
		return 0;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	silent.c_lflag |= ICANON | ISIG;
	block_stops(SIG_BLOCK, &old);
	if (tcsetattr(tty, TCSAFLUSH, &silent) < 0 || io_write_all(tty, prompt, strlen(prompt)) < 0)
		err_sys(e, ERR_IO, errno, "cannot ask on the terminal");
	else
		r = read_line(out, tty, e);
	tcsetattr(tty, TCSAFLUSH, &before);
	/* The user's own newline was not shown. */
	if (io_write_all(tty, "\n", 1) < 0)
		errno = 0;
	block_stops(SIG_SETMASK, &old);
	return r < 0 ? -1 : 1;
}

int secret_from_terminal(struct buf *out, const char *prompt, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), r = 0;

	if (tty < 0)
		return 0;
	/* In the background a question would only stop us. */
	if (tcgetpgrp(tty) == getpgrp())
		r = ask(out, tty, prompt, e);
	close(tty);
	return r;
}
