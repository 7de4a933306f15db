#pragma once

/*
 * An open, authenticated channel to a mail server, made by libcurl.
 *
 * SMTP: libcurl's SMTP engine does everything up to and including AUTH
 * (CURLOPT_CONNECT_ONLY on smtp:// or smtps://). LMTP: libcurl makes the
 * connection and TLS; LHLO, STARTTLS and AUTH are done here.
 *
 * It refuses: a required STARTTLS that was not done, credentials that were
 * not accepted with 235, replies that are not SMTP, bytes that came behind
 * the last EHLO line.
 *
 * A failed opening is data, not an error: struct session_failure says what the
 * recipients' results shall say. -1 and err are only for what is ours (a bug, no
 * descriptor, a certificate file that cannot be read).
 */

#include "base/base.h"
#include "model/report.h"
#include "net/capabilities.h"

#include <sys/types.h>

struct err;
struct server;
struct server_params;
struct session;

/*
 * The conversation for -v; secrets already masked. @sent: by us. @line without its CRLF, escaped for one
 * line by the receiver. NULL function: no trace.
 */
struct trace {
	void (*line)(void *ctx, bool sent, const char *line, size_t len);
	void (*note)(void *ctx, const char *text);      /* "TLSv1.3 with ..., certificate of ... verified" */
	void *ctx;
};

/* What net/ needs of credentials (input/secret.h resolves them; net does not know input). */
struct session_credentials { const char *username, *password, *token; };

struct session_failure {
	enum rcpt_state state;          /* REJECTED, DEFERRED or NOT_ATTEMPTED, never ACCEPTED or UNKNOWN */
	enum smtp_stage stage;
	enum cause cause;
	int code;                       /* of the reply that caused it; 0: none */
	char enhanced[12];
	char text[1024];                /* what failed, where, and what to do about it */
	bool try_next;                  /* another server of the list may be tried */
};

/* Times in microseconds, for the report. */
struct session_times { int64_t connect, tls, auth; };

/*
 * Open. @deadline_ms: absolute, of io_now_ms(), for max_time; INT64_MAX: none. 1: open (*ret is the
 * caller's); 0: not open, *why filled; -1: err. A signal heard (io_signal_heard) ends it: 0 with cause LOST,
 * stage where it was.
 */
int session_open(struct session **ret, const struct server *server, const struct server_params *s,
		 const struct session_credentials *cred, const struct trace *trace, int64_t deadline_ms,
		 struct session_failure *why, struct err *e) MUST_CHECK;

const struct capabilities *session_capabilities(const struct session *s);
const struct session_times *session_times(const struct session *s);

/*
 * Non-blocking I/O over the channel. send: octets taken (>0), 0: would block, -1: lost (errno-like text by
 * session_error()). After "would block" call again with the same pointer and at least the same length
 * (libcurl < 8.10). recv: octets (>0), 0: would block, -1: lost, -2: the peer closed in order.
 * session_wait: poll for readable always and for writable where @want_write, until @until_ms (io_now_ms), a signal,
 * or until @wake_fd (-1: none) is readable: some of the SESSION_ bits, or 0 at the time's end or on a signal. Data already inside TLS buffers
 * must be drained with recv first.
 */
enum { SESSION_READABLE = 1 << 0, SESSION_WRITABLE = 1 << 1, SESSION_WOKEN = 1 << 2 };
ssize_t session_send(struct session *s, const void *mem, size_t len);
ssize_t session_recv(struct session *s, void *mem, size_t cap);
int session_wait(struct session *s, bool want_write, int wake_fd, int64_t until_ms);
const char *session_error(const struct session *s);
/* What is sent goes through TLS. */
bool session_is_tls(const struct session *s);

/*
 * EHLO (LHLO) once more, for what a server offers only to the authenticated: session_capabilities() says it
 * then. 0; -1: the session cannot be used any more, session_error() says why. Waits until @until_ms, or for
 * a signal.
 */
int session_ask_again(struct session *s, bool lmtp, int64_t until_ms, const struct trace *trace) MUST_CHECK;

/* Close without ceremony: never sends QUIT (the transaction does), never a dot, never blocks. */
void session_close(struct session *s);
DEFINE_CLEANUP(struct session *, session_close);

/*
 * Start libcurl. session_open() does; who has threads that read the environment does it before there are any, for
 * some variables are removed from it. ERR_OS.
 */
int session_library_start(struct err *e) MUST_CHECK;
/* "libcurl 7.88.1 OpenSSL/3.0.17" for --version. */
const char *session_library(void);
