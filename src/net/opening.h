#pragma once

/*
 * Private to the session: an opening on its way, from the first look at the settings to the hand-over of an
 * authenticated channel.
 *
 *   session.c       what is refused before anything is sent; SMTP or LMTP; I/O after the hand-over
 *   opening.c       libcurl's handle as a list of options, and the loop that drives it under our clocks
 *   session_smtp.c  SMTP: a listener to what libcurl's engine hears, which may stop it at each reply
 *   session_lmtp.c  LMTP: the dialogue itself, over a channel of libcurl's
 *   replies.c       what the replies of an opening mean, for both
 *   ask_again.c     EHLO once more in an open session
 *   tls_options.c   certificates, and the checks of the files they come from
 *   helo.c          what we call ourselves
 *   hints.c         a CURLcode and a stage as a sentence that helps
 *
 * and, knowing nothing of all this, lookup.c (names within a time), redact.c (secrets out of texts), sasl.c
 * (mechanisms as pure functions).
 *
 * A failure is filled once, by the first who knows why: later ones (libcurl's "callback returned an error")
 * do not overwrite it.
 */

#include "base/err.h"
#include "model/mail_params.h"
#include "net/redact.h"
#include "net/session.h"

#include <curl/curl.h>

enum {
	HELO_MAX = 255 + 1,             /* RFC 5321 4.5.3.1.2, and the NUL */
	ERROR_MAX = 300,                /* CURL_ERROR_SIZE fits */
	CHALLENGES_MAX = 8,             /* no mechanism has more rounds; a loop of 334 is not one */
};

struct session {
	CURL *easy;                     /* owned, like all below */
	CURLM *multi;
	struct curl_slist *resolve;
	curl_socket_t fd;               /* borrowed from libcurl once handed over; CURL_SOCKET_BAD before */
	struct capabilities cap;
	char helo[HELO_MAX];            /* what EHLO said, for session_ask_again() */
	struct session_times times;
	curl_socket_t open[8];          /* sockets that libcurl has open; owned by it */
	size_t n_open;
	bool tls;                       /* to the server, or to a proxy before it */
	bool adopted;                   /* its socket is one that was connected before it */
	int signals_told;               /* for so many signals session_wait() has returned */
	char error[ERROR_MAX];          /* libcurl's words while opening, ours after it */
};

struct opening {
	/* what was asked for; borrowed */
	const struct server *server;
	const struct server_params *params;
	struct session_credentials cred;
	const struct trace *trace;      /* NULL: none */
	int64_t deadline_ms;
	/* where it fails; borrowed */
	struct session_failure *why;
	struct err *e;
	bool failed;                    /* *why is filled */
	bool ours;                      /* *e is filled: -1 */
	/* decided before the first octet */
	bool has_credentials;
	bool need_tls;                  /* TLS or nothing: asked for, or needed for the credentials */
	unsigned mechanisms;            /* of enum auth_mech, those that the credentials can serve */
	struct redact redact;
	char helo[HELO_MAX];
	/* where it stands */
	struct session *session;
	enum smtp_stage stage;
	int64_t clock_ms;               /* the present wait ends then */
	unsigned clock_s;               /* and was so long, for the text */
	const char *waiting_for;
	bool connected, proxy_done, tls;
	uint64_t heard;                 /* octets of replies */
	int64_t since_us;               /* the present step began */
	struct reply reply;
	void *engine;                   /* session_smtp.c: its own state */
	int adopt;                      /* session_lmtp.c: a connected socket to go on with (owned); -1 */
	char address[64];               /* of its peer */
	bool quiet_auth;                /* trace: what is sent now is a secret */
};

/* opening.c ------------------------------------------------------------- */

/* Start the clock of one wait: @seconds from now; @what is waited for, for "no <what> within 30 s". */
void opening_wait(struct opening *o, unsigned seconds, const char *what);
/* The settings common to all handles. 0, or -1 with *e: an option that this libcurl lacks. */
int opening_handle(struct opening *o, const char *protocols) MUST_CHECK;
/* One option; its refusal is ours (ERR_CONFIG), told by name. */
int opening_set_long(struct opening *o, CURLoption which, long value, const char *name) MUST_CHECK;
int opening_set_ptr(struct opening *o, CURLoption which, const void *value, const char *name) MUST_CHECK;
/*
 * Perform until the transfer is done, a clock runs out or a signal comes. @tick (may be NULL) is called each
 * time something may have moved. 1: done, *rc is its result. 0: failed, *why is filled. -1: *e is.
 */
int opening_drive(struct opening *o, void (*tick)(struct opening *o), CURLcode *rc) MUST_CHECK;
/* Wait for the socket (POLLIN or POLLOUT) under the same clocks. 1: ready; 0: failed. */
int opening_poll(struct opening *o, short events) MUST_CHECK;
/* Make @o->session->fd known after the transfer is done. 0, or -1 (*e). */
int opening_socket(struct opening *o) MUST_CHECK;
/* "[::1]" or the name, checked for octets that a URL must not have. -1 (*e, ERR_USAGE). */
int opening_url(struct opening *o, char *out, size_t cap, const char *scheme, const char *path) MUST_CHECK;
/* TCP (or the socket), and with a proxy the way through it, stands: the clock of connecting is over. */
bool opening_connected(struct opening *o) MUST_CHECK;
/* Octets the kernel got, less those still unread; -1: not to be known. */
int64_t opening_octets(struct opening *o);
bool opening_by_proxy(const struct opening *o);
/* AF_UNSPEC, AF_INET or AF_INET6: what ip_version allows. */
int opening_family(const struct opening *o);

/* Fill the failure, if it is the first. Always 0, so that a caller can `return opening_fail(...)`. */
int opening_fail(struct opening *o, enum rcpt_state state, enum cause cause, const char *fmt, ...)
	PRINTF(4, 5);
/* The same for a reply: DEFERRED where it is 4xx, else @state; code and enhanced code come from o->reply. */
int opening_fail_reply(struct opening *o, enum rcpt_state state, enum cause cause, const char *what);
int opening_fail_protocol(struct opening *o, const char *why);
int opening_fail_clock(struct opening *o);
int opening_fail_lost(struct opening *o);
int opening_fail_signal(struct opening *o);
/* An error of our own: -1. */
int opening_error(struct opening *o, enum err_class class, const char *fmt, ...) PRINTF(3, 4);

void opening_trace(struct opening *o, bool sent, const char *line, size_t len);
void opening_note(struct opening *o, const char *fmt, ...) PRINTF(2, 3);
/* One command of ours or libcurl's, secrets masked, into the trace. */
void opening_trace_command(struct opening *o, const char *line, size_t len);

/* When the present wait ends, by its own clock or by max_time: absolute, of io_now_ms(). */
int64_t opening_until(const struct opening *o);

/* hints.c --------------------------------------------------------------- */

/* Fill *why from a transfer that ended with @rc, at the stage where @o stands. 0, or -1: it is ours (*e). */
int opening_curl_failed(struct opening *o, CURLcode rc) MUST_CHECK;

/* replies.c ------------------------------------------------------------- */

/* False: the failure is filled. */
bool reply_greeting(struct opening *o) MUST_CHECK;
bool reply_starttls(struct opening *o) MUST_CHECK;
/* Whether AUTH can be begun with what the server offers; the stage is AUTH then. */
bool reply_auth_offered(struct opening *o) MUST_CHECK;
/* 235 and 334 go on. */
bool reply_auth(struct opening *o) MUST_CHECK;
/* Always 0, as opening_fail(). */
int reply_starttls_missing(struct opening *o);
/* What begins with @first is no reply, for the reason @why. Always 0. */
int reply_garbage(struct opening *o, char first, const char *why);

/* tls_options.c --------------------------------------------------------- */

/* The files named by the settings, before anything is connected. -1: ERR_CONFIG or ERR_POLICY. */
int tls_files_check(const struct server_params *s, struct err *e) MUST_CHECK;
int tls_options_set(struct opening *o) MUST_CHECK;
/* No certificate store of the system is to be found. */
bool tls_store_missing(void);

/* helo.c ---------------------------------------------------------------- */

/* o->helo. May look the server's name up, and then pins what it found. 0; 1: failed, *why filled; -1 *e. */
int helo_decide(struct opening *o) MUST_CHECK;
/* The host of a proxy's URL, without brackets; malloc, or NULL. */
char *proxy_host(const char *proxy);

/* The two ways ---------------------------------------------------------- */

/* 1: open; 0: *why; -1: *e. */
int session_open_smtp(struct opening *o) MUST_CHECK;
int session_open_lmtp(struct opening *o) MUST_CHECK;
