/*
 * libcurl's handle, the loop that drives it, and what can go wrong around it. See opening.h.
 *
 * The multi interface is used for its loop alone: libcurl's own time limits bound the whole opening, and ours
 * bound each wait in it, so they decide; and a signal ends it at once.
 */

#include "net/opening.h"

#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SLACK_MS = 500,                 /* libcurl's clock runs out so much after ours */
	TICK_MS = 1000,                 /* the longest sleep: a clock may begin while libcurl is busy */
	OPENING_REPLIES = 6,            /* waits of `timeout` that an opening has at most, roughly */
	NO_LIMIT_S = 1000000,           /* below libcurl's INT_MAX milliseconds */
	ENDLESS = 1 << 20,              /* octets received without a line among them */
};
_Static_assert(ERROR_MAX >= CURL_ERROR_SIZE, "libcurl writes its errors into session.error");

/* Failures --------------------------------------------------------------- */

static PRINTF(2, 0) void fail_text(struct opening *o, const char *fmt, va_list va)
{
	struct session_failure *why = o->why;
	char said[sizeof(why->text)];

	vsnprintf(said, sizeof(said), fmt, va);
	snprintf(why->text, sizeof(why->text), "%s: %.*s", o->server->label, (int)sizeof(why->text) - 320,
		 said);
	redact_text(&o->redact, why->text);
}

int opening_fail(struct opening *o, enum rcpt_state state, enum cause cause, const char *fmt, ...)
{
	va_list va;

	if (o->failed || o->ours)
		return 0;
	*o->why = (struct session_failure){
		.state = state, .stage = o->stage, .cause = cause,
		.try_next = state == RCPT_DEFERRED || cause == CAUSE_HOST,
	};
	va_start(va, fmt);
	fail_text(o, fmt, va);
	va_end(va);
	o->failed = true;
	return 0;
}

int opening_fail_reply(struct opening *o, enum rcpt_state state, enum cause cause, const char *what)
{
	const int code = o->reply.code;
	char said[600];

	if (o->failed || o->ours)
		return 0;
	/* While it is whole and as it came: escaped or cut, a secret would not be found. */
	redact_text(&o->redact, o->reply.text);
	o->reply.len = strlen(o->reply.text);
	utf8_escape(said, sizeof(said), o->reply.text, o->reply.len);
	if (code / 100 == 4)
		state = RCPT_DEFERRED;
	opening_fail(o, state, cause, "%s: %d %s", what, code, said);
	o->why->code = code;
	enhanced_code(o->why->enhanced, code, o->reply.text, o->reply.len);
	return 0;
}

int opening_fail_protocol(struct opening *o, const char *why)
{
	return opening_fail(o, RCPT_DEFERRED, CAUSE_PROTOCOL, "the server does not speak %s: %s",
			    o->server->lmtp ? "LMTP" : "SMTP", why);
}

int opening_fail_signal(struct opening *o)
{
	opening_fail(o, RCPT_DEFERRED, CAUSE_LOST, "interrupted by a signal while waiting for the %s",
		     o->waiting_for);
	o->why->try_next = false;
	return 0;
}

static const char *clock_hint(const struct opening *o)
{
	if (o->stage == STAGE_CONNECT && o->session->n_open == 0 && !o->server->unix_socket)
		return "; the resolver does not answer";
	if (o->stage == STAGE_CONNECT)
		return o->server->port == 25 && !o->server->loopback
			? "; many networks block port 25: try --port 587, or a larger --connect-timeout"
			: "; a firewall, or the wrong port? (--connect-timeout)";
	if (o->stage == STAGE_GREETING && !o->tls && !o->server->unix_socket)
		return "; is this a TLS port? (--tls)";
	return "; a larger --timeout waits longer";
}

int opening_fail_clock(struct opening *o)
{
	if (io_signal_heard)
		return opening_fail_signal(o);
	if (o->deadline_ms <= o->clock_ms) {
		opening_fail(o, RCPT_DEFERRED, CAUSE_TIMEOUT, "--max-time is over while waiting for the %s",
			     o->waiting_for);
		o->why->try_next = false;
		return 0;
	}
	if (o->connected && !o->tls && o->server->tls != TLS_IMPLICIT && !opening_by_proxy(o) &&
	    opening_octets(o) - (int64_t)o->heard > (int64_t)sizeof(o->reply.line))
		return opening_fail_protocol(o, "a line without an end");
	return opening_fail(o, RCPT_DEFERRED, CAUSE_TIMEOUT, "no %s within %u s%s", o->waiting_for,
			    o->clock_s, clock_hint(o));
}

int opening_fail_lost(struct opening *o)
{
	static const char *const hint[] = {
		[STAGE_GREETING] = " (a port for something else, or a server that refuses this address?)",
		[STAGE_DOT] = NULL,
	};

	return opening_fail(o, RCPT_DEFERRED, CAUSE_LOST, "the server closed the connection before its %s%s",
			    o->waiting_for, hint[o->stage] ? hint[o->stage] : "");
}

int opening_error(struct opening *o, enum err_class class, const char *fmt, ...)
{
	char said[1024];
	va_list va;

	va_start(va, fmt);
	vsnprintf(said, sizeof(said), fmt, va);
	va_end(va);
	redact_text(&o->redact, said);
	o->ours = true;
	return err_set(o->e, class, "%s", said);
}

/* Trace ------------------------------------------------------------------ */

void opening_trace(struct opening *o, bool sent, const char *line, size_t len)
{
	char text[sizeof(o->reply.line) + 1];

	if (!o->trace || !o->trace->line)
		return;
	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, line, len);
	text[len] = '\0';
	redact_text(&o->redact, text);
	o->trace->line(o->trace->ctx, sent, text, strlen(text));
}

void opening_note(struct opening *o, const char *fmt, ...)
{
	char text[400];
	va_list va;

	if (!o->trace || !o->trace->note)
		return;
	va_start(va, fmt);
	vsnprintf(text, sizeof(text), fmt, va);
	va_end(va);
	redact_text(&o->redact, text);
	o->trace->note(o->trace->ctx, text);
}

/*
 * Whatever is sent between AUTH and the reply that ends it is a secret, and so is all of an AUTH line behind
 * its mechanism: it is replaced whole, not searched.
 */
void opening_trace_command(struct opening *o, const char *line, size_t len)
{
	char text[64];
	size_t mechanism;

	while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len > 5 && strncasecmp(line, "AUTH ", 5) == 0) {
		for (mechanism = 5; mechanism < len && line[mechanism] != ' '; mechanism++)
			;
		o->quiet_auth = true;
		snprintf(text, sizeof(text), "%.*s%s", (int)(mechanism > 40 ? 40 : mechanism), line,
			 mechanism < len ? " ***" : "");
		opening_trace(o, true, text, strlen(text));
	} else if (o->quiet_auth && !(len == 1 && *line == '*')) {
		opening_trace(o, true, "***", 3);
	} else {
		opening_trace(o, true, line, len);
	}
}

/*
 * libcurl's verbose words, asked for only where they are needed: what it sent for a trace; and whether a
 * proxy has let us through, which nothing else tells while it happens.
 */
static int debug(CURL *easy, curl_infotype type, char *mem, size_t len, void *ctx)
{
	static const char *const granted[] = { "request granted", "CONNECT phase completed",
					       "CONNECT tunnel established" };
	static const char *const told[] = { "SSL connection using", "SSL certificate verify",
					    "subject:", "issuer:" };
	struct opening *o = ctx;
	char line[300];

	if (type == CURLINFO_HEADER_OUT && o->connected)
		opening_trace_command(o, mem, len);
	if (type != CURLINFO_TEXT)
		return 0;
	for (; len && (*mem == ' ' || *mem == '*'); len--)
		mem++;
	snprintf(line, sizeof(line), "%.*s", (int)(len > 280 ? 280 : len), mem);
	line[strcspn(line, "\r\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(granted); i++)
		if (strstr(line, granted[i]))
			o->proxy_done = true;
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (strncmp(line, told[i], strlen(told[i])) == 0)
			opening_note(o, "TLS: %s", line);
	return 0;
}

/* The handle ------------------------------------------------------------- */

static int not_set(struct opening *o, CURLcode rc, const char *name)
{
	if (rc == CURLE_OUT_OF_MEMORY)
		return opening_error(o, ERR_OS, "libcurl is out of memory");
	return opening_error(o, ERR_CONFIG, "this libcurl (%s) does not take %s: %s", curl_version(), name,
			     curl_easy_strerror(rc));
}

int opening_set_long(struct opening *o, CURLoption which, long value, const char *name)
{
	const CURLcode rc = (curl_easy_setopt)(o->session->easy, which, value);

	return rc ? not_set(o, rc, name) : 0;
}

int opening_set_ptr(struct opening *o, CURLoption which, const void *value, const char *name)
{
	const CURLcode rc = (curl_easy_setopt)(o->session->easy, which, value);

	return rc ? not_set(o, rc, name) : 0;
}

/* What is read beside reply lines is not wanted; without a function libcurl would print it. */
static size_t discard(char *mem, size_t size, size_t n, void *ctx)
{
	return size * n;
}

/*
 * The sockets that are open, so that one can be asked while libcurl still holds it (ACTIVESOCKET tells it
 * only at the end). libcurl copies the pointer into its connection, which outlives the opening: hence the
 * session.
 */
static int socket_made(void *ctx, curl_socket_t fd, curlsocktype type)
{
	struct session *s = ctx;

	if (s->n_open < ARRAY_SIZE(s->open))
		s->open[s->n_open++] = fd;
	return s->adopted ? CURL_SOCKOPT_ALREADY_CONNECTED : CURL_SOCKOPT_OK;
}

static int socket_close(void *ctx, curl_socket_t fd)
{
	struct session *s = ctx;

	for (size_t i = 0; i < s->n_open; i++)
		if (s->open[i] == fd) {
			s->open[i] = s->open[--s->n_open];
			break;
		}
	return close(fd);
}

static void set_sockets(struct session *s)
{
	curl_easy_setopt(s->easy, CURLOPT_SOCKOPTFUNCTION, socket_made);
	curl_easy_setopt(s->easy, CURLOPT_SOCKOPTDATA, s);
	curl_easy_setopt(s->easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
	curl_easy_setopt(s->easy, CURLOPT_CLOSESOCKETDATA, s);
}

/* CURLOPT_OPENSOCKETFUNCTION: the socket that is connected already, once. */
static curl_socket_t socket_adopted(void *ctx, curlsocktype type, struct curl_sockaddr *address)
{
	struct opening *o = ctx;
	const int fd = o->adopt;

	o->adopt = -1;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* No way to choose any more; the name is still what the certificate must be for. */
static int set_adopted(struct opening *o)
{
	const bool six = strchr(o->address, ':') != NULL;
	char line[400];

	o->session->adopted = true;
	curl_slist_free_all(o->session->resolve);
	snprintf(line, sizeof(line), "%s:%u:%s%s%s", o->server->host, o->server->port, six ? "[" : "",
		 o->address, six ? "]" : "");
	o->session->resolve = curl_slist_append(NULL, line);
	if (!o->session->resolve)
		return opening_error(o, ERR_OS, "libcurl is out of memory");
	curl_easy_setopt(o->session->easy, CURLOPT_OPENSOCKETFUNCTION, socket_adopted);
	curl_easy_setopt(o->session->easy, CURLOPT_OPENSOCKETDATA, o);
	if (opening_set_ptr(o, CURLOPT_PROXY, "", "no proxy") < 0)
		return -1;
	return opening_set_ptr(o, CURLOPT_RESOLVE, o->session->resolve, "RESOLVE");
}

bool opening_by_proxy(const struct opening *o)
{
	return o->params->proxy && *o->params->proxy && !o->server->unix_socket;
}

int opening_family(const struct opening *o)
{
	static const int family[] = { [IP_ANY] = AF_UNSPEC, [IP_4] = AF_INET, [IP_6] = AF_INET6 };

	return family[o->params->ip_version];
}

/*
 * libcurl gives each address half of the time that its limit leaves, so until TCP stands the limit has to be
 * that of connecting, else the first dead address takes all of ours. (A little more: our own clock shall
 * speak.)
 */
static long connect_limit_ms(const struct opening *o)
{
	const int64_t s = o->params->connect_timeout;

	return (long)(s && s < NO_LIMIT_S ? s * 1000 + SLACK_MS : (int64_t)NO_LIMIT_S * 1000);
}

/* And from then on that of the whole opening. */
static long whole_limit_ms(const struct opening *o)
{
	const int64_t connect = o->params->connect_timeout ? o->params->connect_timeout : NO_LIMIT_S;
	const int64_t reply = o->params->timeout ? o->params->timeout : NO_LIMIT_S;
	int64_t ms = (connect + OPENING_REPLIES * reply) * 1000 + TICK_MS;

	if (ms > (int64_t)NO_LIMIT_S * 1000)
		ms = (int64_t)NO_LIMIT_S * 1000;
	return (long)ms;
}

/*
 * Said which of the two it is, for what is no interface libcurl would look up as a host, and wait for a
 * resolver out of reach of every clock and signal.
 */
static int set_interface(struct opening *o)
{
	const char *name = o->params->interface;
	struct in_addr four;
	char text[300];

	snprintf(text, sizeof(text), "%s!%s",
		 strchr(name, ':') || inet_pton(AF_INET, name, &four) == 1 ? "host" : "if", name);
	return opening_set_ptr(o, CURLOPT_INTERFACE, text, "interface");
}

/* Where to, and by which way. */
static int set_route(struct opening *o)
{
	static const long family[] = {
		[IP_ANY] = CURL_IPRESOLVE_WHATEVER, [IP_4] = CURL_IPRESOLVE_V4, [IP_6] = CURL_IPRESOLVE_V6
	};
	const struct server_params *s = o->params;
	const bool proxy = opening_by_proxy(o);

	/* "": no proxy, whatever the environment says; and no exceptions, where one was asked for. */
	if (opening_set_ptr(o, CURLOPT_PROXY, proxy ? s->proxy : "", "proxy") < 0 ||
	    opening_set_ptr(o, CURLOPT_NOPROXY, "", "no proxy") < 0 ||
	    opening_set_long(o, CURLOPT_IPRESOLVE, family[s->ip_version], "ip_version") < 0)
		return -1;
	if (proxy && opening_set_long(o, CURLOPT_HTTPPROXYTUNNEL, 1, "proxy tunnels") < 0)
		return -1;
	if (s->interface && *s->interface && set_interface(o) < 0)
		return -1;
	if (o->server->unix_socket)
		return opening_set_ptr(o, CURLOPT_UNIX_SOCKET_PATH, o->server->unix_socket, "unix_socket");
	/* Loopback is what "localhost" is trusted to be: no resolver is asked, and no thread is needed. */
	if (!proxy && strcasecmp(o->server->host, "localhost") == 0 && !o->session->resolve) {
		char line[64];

		snprintf(line, sizeof(line), "localhost:%u:%s", o->server->port,
			 s->ip_version == IP_4   ? "127.0.0.1"
			 : s->ip_version == IP_6 ? "[::1]"
						 : "127.0.0.1,[::1]");
		o->session->resolve = curl_slist_append(NULL, line);
		if (!o->session->resolve)
			return opening_error(o, ERR_OS, "libcurl is out of memory");
	}
	return o->session->resolve ? opening_set_ptr(o, CURLOPT_RESOLVE, o->session->resolve, "RESOLVE") : 0;
}

/* How long, and how it behaves within a process that is not its own. */
static int set_conduct(struct opening *o)
{
	const long reply = o->params->timeout && o->params->timeout < NO_LIMIT_S
				   ? (long)o->params->timeout + 1
				   : NO_LIMIT_S;
	const struct { CURLoption which; long value; const char *name; } row[] = {
		{ CURLOPT_NOSIGNAL, 1, "NOSIGNAL" },
		{ CURLOPT_QUICK_EXIT, 1, "QUICK_EXIT" },        /* a mute resolver's thread is left behind */
		{ CURLOPT_CONNECT_ONLY, 1, "CONNECT_ONLY" },
		{ CURLOPT_NETRC, CURL_NETRC_IGNORED, "NETRC" },
		{ CURLOPT_TCP_NODELAY, 1, "TCP_NODELAY" },
		{ CURLOPT_TCP_KEEPALIVE, 1, "TCP_KEEPALIVE" },  /* ten minutes may pass at the dot */
		{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1, "SUPPRESS_CONNECT_HEADERS" },
		{ CURLOPT_CONNECTTIMEOUT_MS, connect_limit_ms(o), "CONNECTTIMEOUT" },
		{ CURLOPT_SERVER_RESPONSE_TIMEOUT, reply, "SERVER_RESPONSE_TIMEOUT" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++)
		if (opening_set_long(o, row[i].which, row[i].value, row[i].name) < 0)
			return -1;
	return 0;
}

static int set_debug(struct opening *o)
{
	const bool traced = o->trace && (o->trace->line || o->trace->note);

	if (!traced && !opening_by_proxy(o))
		return 0;
	curl_easy_setopt(o->session->easy, CURLOPT_DEBUGFUNCTION, debug);
	curl_easy_setopt(o->session->easy, CURLOPT_DEBUGDATA, o);
	return opening_set_long(o, CURLOPT_VERBOSE, 1, "VERBOSE");
}

int opening_handle(struct opening *o, const char *protocols)
{
	struct session *s = o->session;

	s->easy = curl_easy_init();
	if (!s->multi)
		s->multi = curl_multi_init();
	if (!s->easy || !s->multi)
		return opening_error(o, ERR_OS, "libcurl cannot be started: out of memory");
	curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, discard);
	set_sockets(s);
	if (opening_set_ptr(o, CURLOPT_PROTOCOLS_STR, protocols, protocols) < 0 || set_conduct(o) < 0 ||
	    (o->adopt >= 0 ? set_adopted(o) : set_route(o)) < 0)
		return -1;
	return set_debug(o);
}

int opening_url(struct opening *o, char *out, size_t cap, const char *scheme, const char *path)
{
	const char *host = o->server->unix_socket ? "localhost" : o->server->host;
	const bool six = strchr(host, ':') != NULL;
	size_t n;

	for (const char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("/?#@[]\\\"<>^`{|}", *c))
			return opening_error(o, ERR_USAGE, "server: not a host name or an address");
	n = (size_t)snprintf(out, cap, "%s://%s", scheme, six ? "[" : "");
	for (const char *c = host; *c && n < cap; c++)
		n += (size_t)snprintf(out + n, cap - n, *c == '%' ? "%%25" : "%c", *c);
	if (n < cap)
		n += (size_t)snprintf(out + n, cap - n, six ? "]:%u/" : ":%u/",
				      o->server->port ? o->server->port : 25);
	for (const char *c = path; *c && n < cap; c++)
		n += (size_t)snprintf(out + n, cap - n, "%%%02X", (unsigned)(unsigned char)*c);
	return n < cap ? 0 : opening_error(o, ERR_USAGE, "server: a name that is too long");
}

/* The loop --------------------------------------------------------------- */

void opening_wait(struct opening *o, unsigned seconds, const char *what)
{
	o->clock_s = seconds;
	o->clock_ms = seconds ? io_now_ms() + (int64_t)seconds * 1000 : INT64_MAX;
	o->waiting_for = what;
}

int64_t opening_until(const struct opening *o)
{
	return o->clock_ms < o->deadline_ms ? o->clock_ms : o->deadline_ms;
}

bool opening_connected(struct opening *o)
{
	curl_off_t connect = 0;

	if (opening_by_proxy(o) && !o->proxy_done)
		return false;
	if (curl_easy_getinfo(o->session->easy, CURLINFO_CONNECT_TIME_T, &connect) || connect <= 0)
		return false;
	curl_easy_setopt(o->session->easy, CURLOPT_CONNECTTIMEOUT_MS, whole_limit_ms(o));
	o->connected = true;
	o->session->times.connect = io_now_us() - o->since_us;
	o->since_us = io_now_us();
	return true;
}

int64_t opening_octets(struct opening *o)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	const struct session *s = o->session;
	int unread = 0;
	int64_t got;
	int fd;

	/* More than one: libcurl has not chosen an address yet. */
	if (s->n_open != 1)
		return -1;
	fd = s->open[0];
	/* An older kernel fills less of it. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
		return -1;
	if (ioctl(fd, FIONREAD, &unread) < 0)
		unread = 0;
	got = (int64_t)info.tcpi_bytes_received - unread;
	/* A FIN counts as an octet: states CLOSE_WAIT (8) and LAST_ACK (9). */
	return info.tcpi_state == 8 || info.tcpi_state == 9 ? got - 1 : got;
}

static bool transfer_done(struct opening *o, CURLcode *rc)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(o->session->multi, &left)))
		if (m->msg == CURLMSG_DONE && m->easy_handle == o->session->easy) {
			*rc = m->data.result;
			return true;
		}
	return false;
}

int opening_drive(struct opening *o, void (*tick)(struct opening *o), CURLcode *rc)
{
	struct curl_waitfd signal = { .fd = io_signal_fd(), .events = CURL_WAIT_POLLIN };
	struct session *s = o->session;
	int running;

	if (curl_multi_add_handle(s->multi, s->easy))
		return opening_error(o, ERR_OS, "libcurl cannot be started: out of memory");
	for (;;) {
		int ms;

		if (io_signal_heard)
			return opening_fail_signal(o);
		if (curl_multi_perform(s->multi, &running))
			return opening_error(o, ERR_SOFTWARE, "libcurl failed");
		if (tick)
			tick(o);
		if (transfer_done(o, rc))
			return 1;
		if (!o->failed && o->connected && !o->server->unix_socket &&
		    opening_octets(o) - (int64_t)o->heard > ENDLESS)
			opening_fail_protocol(o, "a line without an end");
		if (o->failed || o->ours)
			return o->ours ? -1 : 0;
		ms = io_poll_ms(opening_until(o));
		if (!ms)
			return opening_fail_clock(o);
		curl_multi_poll(s->multi, &signal, signal.fd >= 0, ms > TICK_MS ? TICK_MS : ms, NULL);
	}
}

int opening_poll(struct opening *o, short events)
{
	struct pollfd p[2] = {
		{ .fd = o->session->fd, .events = events }, { .fd = io_signal_fd(), .events = POLLIN },
	};

	for (;;) {
		const int ms = io_poll_ms(opening_until(o));

		if (io_signal_heard)
			return opening_fail_signal(o);
		if (!ms)
			return opening_fail_clock(o);
		if (poll(p, 2, ms) > 0 && p[0].revents)
			return 1;
	}
}

int opening_socket(struct opening *o)
{
	struct session *s = o->session;

	if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &s->fd) || s->fd == CURL_SOCKET_BAD)
		return opening_error(o, ERR_SOFTWARE, "libcurl gives no socket");
	return 0;
}
