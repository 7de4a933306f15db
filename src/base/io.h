#pragma once

/*
 * What every loop over descriptors needs: whole writes, the monotonic clock, the
 * signals that end a wait; and the state in which the process begins.
 */

#include "base/base.h"

#include <signal.h>

/* All of @len, or -1 with errno set. A non-blocking descriptor is waited for. */
int io_write_all(int fd, const void *mem, size_t len) MUST_CHECK;

/* Milliseconds of the monotonic clock. */
int64_t io_now_ms(void);
/* Microseconds of the monotonic clock, for timings. */
int64_t io_now_us(void);

/*
 * How long poll(2) may sleep until @until_ms: 0 where it is past; cut, where it is far, to a second, for another
 * thread may have read what io_signal_fd() had for this one.
 */
int io_poll_ms(int64_t until_ms);

/* Sleep until @until_ms of io_now_ms(). False: a signal came before. */
bool io_sleep_until(int64_t until_ms);

/*
 * SIGINT, SIGTERM or SIGHUP heard last, else 0: the only state of the process that modules share. Set by the
 * handlers that io_signals_init() installs, which leaves alone what was ignored at start (nohup), sets the
 * io_signals_ignored to be ignored and clears an inherited mask.
 */
extern _Atomic int io_signal_heard;
void io_signals_init(void);
/* SIGPIPE, SIGXFSZ, SIGALRM, SIGUSR1, SIGUSR2; a child gets their default back. */
enum { IO_IGNORED = 5 };
extern const int io_signals_ignored[IO_IGNORED];
/* Readable while a signal is pending to be looked at (self-pipe); -1 before io_signals_init(). */
int io_signal_fd(void);
/* How many of them were heard: a second one ends what the first left time for. */
int io_signal_count(void);
/* Make io_signal_fd() unreadable until the next one. */
void io_signal_seen(void);

/*
 * Give up what a set-user-ID or set-group-ID installation granted: everything is read and written with the
 * caller's own rights, and a secret's command and TLS keys are theirs as well. -1 where the system refuses.
 */
int io_own_rights(void) MUST_CHECK;

/* Make sure that descriptors 0, 1 and 2 are open (on /dev/null), so that data never opens as one of them. */
int io_standard_fds(void) MUST_CHECK;
