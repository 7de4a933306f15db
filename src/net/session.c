/* See session.h; opening.h says which file does what. */

#include "net/opening.h"

#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Once, before the first handle. The variables go first, for libcurl's TLS library reads its own right here:
 * none of them may redirect a session, or write its keys to a file, unasked.
 */
static bool library_works;

static void start_library(void)
{
	static const char *const variables[] = {
		"SSLKEYLOGFILE", "smtp_proxy",  "SMTP_PROXY", "smtps_proxy", "SMTPS_PROXY", "http_proxy",
		"https_proxy",   "HTTPS_PROXY", "all_proxy",  "ALL_PROXY",   "no_proxy",    "NO_PROXY",
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	library_works = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int session_library_start(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_library);
	return library_works ? 0 : err_set(e, ERR_OS, "libcurl cannot be started: out of memory");
}

static bool clear_is_safe(const struct opening *o)
{
	return o->server->unix_socket || o->server->loopback || o->params->allow_insecure_auth;
}

/* What the credentials at hand can serve, of what is allowed. */
static unsigned usable_mechanisms(const struct opening *o)
{
	const unsigned bearer = AUTH_XOAUTH2 | AUTH_OAUTHBEARER, bare = AUTH_EXTERNAL | AUTH_GSSAPI;
	unsigned m = o->params->mechanisms;

	if (m == 0)
		m = (o->cred.token ? bearer : 0) | (o->cred.password ? AUTH_PLAIN | AUTH_LOGIN : 0);
	if (!o->cred.token)
		m &= ~bearer;
	if (!o->cred.password)
		m &= bearer | bare;
	return m;
}

/* What is refused before anything is connected. 1: go on. */
static int policy(struct opening *o)
{
	const enum tls_mode tls = o->server->tls;

	o->need_tls = tls == TLS_STARTTLS || tls == TLS_IMPLICIT || (o->has_credentials && !clear_is_safe(o));
	o->stage = STAGE_LOCAL;
	if (o->server->unix_socket &&
	    strlen(o->server->unix_socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return opening_error(o, ERR_USAGE,
				     "unix_socket: a path of over %zu octets cannot be connected to",
				     sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (o->need_tls && tls == TLS_NEVER)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_POLICY,
				    "credentials are not sent in clear: use --starttls or "
				    "--tls, or --allow-insecure-auth if the way there is safe");
	o->mechanisms = o->has_credentials ? usable_mechanisms(o) : 0;
	if (o->has_credentials && !o->mechanisms)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
				    "no mechanism that is allowed (--auth) can use the "
				    "credentials that are given");
	return tls != TLS_NEVER && tls_files_check(o->params, o->e) < 0 ? -1 : 1;
}

static int open_it(struct opening *o)
{
	int rc = policy(o);

	if (rc <= 0)
		return rc;
	if (session_library_start(o->e) < 0)
		return -1;
	o->stage = STAGE_CONNECT;
	o->since_us = io_now_us();
	opening_wait(o, o->params->connect_timeout, "connection");
	return o->server->lmtp ? session_open_lmtp(o) : session_open_smtp(o);
}

/* The opening is over and its memory with it: nothing of libcurl's may point there. */
static void detach(struct session *s)
{
	curl_easy_setopt(s->easy, CURLOPT_VERBOSE, 0L);
	curl_easy_setopt(s->easy, CURLOPT_DEBUGFUNCTION, NULL);
	curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, NULL);
	curl_easy_setopt(s->easy, CURLOPT_HEADERDATA, NULL);
	curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, NULL);
	s->error[0] = '\0';
}

int session_open(struct session **ret, const struct server *server, const struct server_params *s,
		 const struct session_credentials *cred, const struct trace *trace, int64_t deadline_ms,
		 struct session_failure *why, struct err *e)
{
	struct opening *o = xcalloc(1, sizeof(*o));
	int rc;

	o->adopt = -1;
	o->server = server;
	o->params = s;
	if (cred)
		o->cred = *cred;
	o->has_credentials = s->has_credentials || o->cred.username || o->cred.password || o->cred.token;
	o->trace = trace && (trace->line || trace->note) ? trace : NULL;
	o->deadline_ms = deadline_ms;
	o->why = why;
	o->e = e;
	o->session = xcalloc(1, sizeof(*o->session));
	o->session->fd = CURL_SOCKET_BAD;
	o->session->times = (struct session_times){ -1, -1, -1 };
	if (o->has_credentials)
		redact_init(&o->redact, o->cred.password, o->cred.token);
	rc = open_it(o);
	if (rc == 1) {
		memcpy(o->session->helo, o->helo, sizeof(o->helo));
		o->session->tls = o->tls || (s->proxy && !strncasecmp(s->proxy, "https:", 6));
		detach(o->session);
		*ret = o->session;
	} else {
		session_close(o->session);
	}
	if (o->adopt >= 0)
		close(o->adopt);
	redact_clear(&o->redact);
	free(o);
	return rc;
}

const struct capabilities *session_capabilities(const struct session *s)
{
	return &s->cap;
}

const struct session_times *session_times(const struct session *s)
{
	return &s->times;
}

static ssize_t lost(struct session *s, CURLcode rc, const char *doing)
{
	snprintf(s->error, sizeof(s->error), "the connection was lost while %s (%s)", doing,
		 errno == ECONNRESET ? "reset by the peer"
		 : errno == EPIPE    ? "closed by the peer"
				     : curl_easy_strerror(rc));
	return -1;
}

ssize_t session_send(struct session *s, const void *mem, size_t len)
{
	size_t n = 0;
	CURLcode rc;

	errno = 0;
	rc = curl_easy_send(s->easy, mem, len, &n);
	if (rc == CURLE_OK)
		return (ssize_t)n;
	return rc == CURLE_AGAIN ? 0 : lost(s, rc, "sending");
}

ssize_t session_recv(struct session *s, void *mem, size_t cap)
{
	size_t n = 0;
	CURLcode rc;

	errno = 0;
	rc = curl_easy_recv(s->easy, mem, cap, &n);
	if (rc == CURLE_AGAIN)
		return 0;
	if (rc != CURLE_OK)
		return lost(s, rc, "receiving");
	if (n == 0) {
		snprintf(s->error, sizeof(s->error), "the server closed the connection");
		return -2;
	}
	return (ssize_t)n;
}

int session_wait(struct session *s, bool want_write, int wake_fd, int64_t until_ms)
{
	struct pollfd p[3] = {
		{ .fd = s->fd, .events = (short)(POLLIN | (want_write ? POLLOUT : 0)) },
		{ .fd = io_signal_fd(), .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN },
	};

	for (;;) {
		const int ms = io_poll_ms(until_ms);
		int n;

		/* Told once, it is known: what is waited for after that, the dot's reply, is waited for in
		 * spite of it. */
		if (io_signal_count() > s->signals_told) {
			s->signals_told = io_signal_count();
			io_signal_seen();
			return 0;
		}
		n = poll(p, 3, ms);
		if (n > 0 && p[1].revents)
			io_signal_seen();       /* or it would be readable for ever */
		if (n > 0 && (p[0].revents || p[2].revents))
			return (p[0].revents & (POLLIN | POLLHUP | POLLERR) ? SESSION_READABLE : 0) |
			       (p[0].revents & (POLLOUT | POLLERR) ? SESSION_WRITABLE : 0) |
			       (p[2].revents ? SESSION_WOKEN : 0);
		if (!ms)
			return 0;
	}
}

const char *session_error(const struct session *s)
{
	return s->error;
}

bool session_is_tls(const struct session *s)
{
	return s->tls;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	if (s->easy) {
		/* A connection of CONNECT_ONLY is closed without a word; should a libcurl think otherwise,
		 * then briefly. */
		curl_easy_setopt(s->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 1L);
		if (s->multi)
			curl_multi_remove_handle(s->multi, s->easy);
		curl_easy_cleanup(s->easy);
	}
	if (s->multi)
		curl_multi_cleanup(s->multi);
	curl_slist_free_all(s->resolve);
	free(s);
}

const char *session_library(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	static char text[128];

	snprintf(text, sizeof(text), "libcurl %s %s", v->version,
		 v->ssl_version ? v->ssl_version : "(no TLS)");
	return text;
}
