/*
 * A transfer that failed, as one sentence: what, where, and what to do. The CURLcode alone says little and
 * lies at times (35 is a peer that speaks no TLS, one that closed, and one that we do not want); stage,
 * errno, libcurl's own words and the last reply are asked as well.
 */

#include "net/opening.h"

#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "net/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLIES_MAX = 250000 };         /* octets; nothing that is said in an opening comes near */

static bool said(const struct opening *o, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(o->session->error, *words))
			return true;
	return false;
}

/* libcurl's words, or its name for the code where it has none. */
static const char *libcurl_says(const struct opening *o, CURLcode rc, char out[ERROR_MAX])
{
	const char *text = o->session->error[0] ? o->session->error : curl_easy_strerror(rc);

	utf8_escape(out, ERROR_MAX, text, strlen(text));
	return out;
}

static int unknown_host(struct opening *o, const char *host, bool proxy)
{
	struct lookup_result found = { 0 };
	const char *what = proxy ? "the proxy's host name" : "the host name";

	o->stage = STAGE_CONNECT;
	/* A literal, and what was pinned to one, is not looked up: libcurl could not make a list of it. */
	if (!proxy && (o->server->loopback || host[strspn(host, "0123456789.")] == '\0' || strchr(host, ':')))
		return opening_error(o, ERR_OS, "libcurl is out of memory");
	/* libcurl does not tell "no such host" from "nobody answers". */
	if (lookup(&found, host, opening_family(o), opening_until(o)) < 0) {
		if (errno != ETIMEDOUT && errno != EINTR)
			return opening_error(o, ERR_OS, "%s cannot be looked up: %s", what, strerror(errno));
		if (io_signal_heard)
			return opening_fail_signal(o);
		return opening_fail(o, RCPT_DEFERRED, CAUSE_TIMEOUT,
				    "%s cannot be looked up: the resolver does not answer", what);
	}
	if (lookup_says_unknown(found.rc))
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_HOST, "%s is unknown: check %s", what,
				    proxy ? "--proxy" : "--server");
	return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED, "%s cannot be looked up: %s", what,
			    found.rc ? gai_strerror(found.rc) : "no answer at first");
}

/* libcurl calls a socket that it could not even make a connection that failed, and keeps no errno of it. */
static int no_socket(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), num = errno;

	if (fd >= 0)
		close(fd);
	return fd < 0 && (num == EMFILE || num == ENFILE || num == ENOBUFS || num == ENOMEM) ? num : 0;
}

static int no_unix_socket(struct opening *o, long number)
{
	if (number == EACCES || number == EPERM)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_POLICY,
				    "the socket may not be used by this user: %s",
				    strerror((int)number));
	/*
	 * Without an error the connection was made, and had its end already when libcurl looked at
	 * it.
	 */
	if (!number)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_LOST,
				    "the server closed the connection at once");
	return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED, "nothing is listening on the socket: %s",
			    strerror((int)number));
}

static int not_connected(struct opening *o, CURLcode rc)
{
	const int none = no_socket();
	char text[ERROR_MAX];
	long number = 0;

	if (none)
		return opening_error(o, ERR_OS, "no socket for the connection: %s", strerror(none));
	o->stage = STAGE_CONNECT;
	curl_easy_getinfo(o->session->easy, CURLINFO_OS_ERRNO, &number);
	if (o->server->unix_socket)
		return no_unix_socket(o, number);
	if (opening_by_proxy(o))
		return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED,
				    "no connection by the proxy (--proxy): %s", libcurl_says(o, rc, text));
	if (number == ECONNRESET) {
		o->stage = STAGE_GREETING;
		o->waiting_for = "greeting";
		return opening_fail_lost(o);
	}
	if (number == ETIMEDOUT)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_TIMEOUT, "no connection: %s",
				    strerror((int)number));
	/* Not even begun: an IPv6 address here for an IPv4 one there, say. */
	if (!number && o->params->interface && *o->params->interface)
		return opening_error(o, ERR_USAGE, "interface: '%s' does not lead to the server",
				     o->params->interface);
	if (number && number != ECONNREFUSED)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED, "no connection: %s",
				    strerror((int)number));
	if (o->server->loopback && o->server->port == 25)
		return opening_fail(
			o, RCPT_DEFERRED, CAUSE_REFUSED,
			"nothing is listening: name your mail server with --server or in the configuration, "
			"or use --dry-run to see the message");
	return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED,
			    "connection refused: is %u the right port? (usual: 587 "
			    "with --starttls, 465 with --tls, 25)",
			    o->server->port);
}

#define TRUST_WAYS "--tls-ca-file names a CA to trust; --no-tls-verify with --tls-pinned-key trusts one " \
		   "key alone"

/* Every way round a refused certificate, from the best to the worst. */
static const char *certificate_ways(const struct opening *o)
{
	if (o->server->tls == TLS_IF_OFFERED && !o->need_tls && !o->server->tls_asked)
		return TRUST_WAYS "; --no-starttls does without TLS";
	return TRUST_WAYS;
}

static int certificate_refused(struct opening *o, CURLcode rc)
{
	char text[ERROR_MAX];

	o->stage = STAGE_TLS;
	if (!(o->params->tls_ca_file && *o->params->tls_ca_file) && tls_store_missing())
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
				    "this machine has no store of CA certificates: install "
				    "ca-certificates, or name a file with --tls-ca-file");
	return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS, "the certificate is refused: %s (%s)",
			    libcurl_says(o, rc, text), certificate_ways(o));
}

/* What answered is not TLS at all. */
static int no_tls_there(struct opening *o)
{
	if (o->server->tls != TLS_IMPLICIT)
		return opening_fail_protocol(o, "what follows its 220 to STARTTLS is not TLS");
	if (o->server->lmtp || o->server->port != 587)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_PROTOCOL,
				    "port %u does not speak TLS from the first byte, as "
				    "you asked: --starttls, or port 465?",
				    o->server->port);
	return opening_fail(o, RCPT_DEFERRED, CAUSE_PROTOCOL,
			    "port %u speaks STARTTLS; you asked for TLS from the first "
			    "byte: use --starttls",
			    o->server->port);
}

/* Nor does it say why a file was not to be opened while it had the connection, which is gone by now. */
static int no_file(void)
{
	const int held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int none = no_socket();

	if (held >= 0)
		close(held);
	return none;
}

static int files_refused(struct opening *o, CURLcode rc)
{
	const int none = no_file();
	char text[ERROR_MAX];

	if (none)
		return opening_error(o, ERR_OS, "no descriptor for the certificates: %s", strerror(none));
	if (rc != CURLE_SSL_CACERT_BADFILE)
		return opening_error(o, ERR_CONFIG, "tls_cert_file, tls_key_file: %s",
				     libcurl_says(o, rc, text));
	if (o->params->tls_ca_file && *o->params->tls_ca_file)
		return opening_error(o, ERR_CONFIG, "tls_ca_file: '%s': %s", o->params->tls_ca_file,
				     libcurl_says(o, rc, text));
	return certificate_refused(o, rc);
}

static int handshake_failed(struct opening *o, CURLcode rc)
{
	static const char *const closed[] = { "SYSCALL",       "unexpected eof",
					      "reset by peer", "non-properly terminated",
					      "broken pipe",   NULL };
	static const char *const not_tls[] = {
		"wrong version number",  "packet length too long", "unexpected message",
		"unexpected TLS packet", "http request",           "record layer failure",
		"unknown protocol",      "bad record type",        NULL
	};
	static const char *const key[] = { "error reading X.509", NULL };        /* GnuTLS */
	static const char *const old[] = { "unsupported protocol", "protocol version", "version too low",
					   NULL };
	char text[ERROR_MAX];

	o->stage = STAGE_TLS;
	if (said(o, key))
		return files_refused(o, CURLE_SSL_CERTPROBLEM);
	if (said(o, closed))
		return opening_fail(o, RCPT_DEFERRED, CAUSE_LOST,
				    "the server closed the connection in the TLS handshake%s",
				    o->server->tls == TLS_IMPLICIT ? "; is this a TLS port? (--starttls)"
								   : "");
	if (said(o, not_tls))
		return no_tls_there(o);
	return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS, "the TLS handshake failed: %s%s",
			    libcurl_says(o, rc, text), said(o, old) ? " (--tls-min-version)" : "");
}

/* No mechanism was tried, or libcurl gave up in the middle of one. */
static int login_denied(struct opening *o)
{
	o->stage = STAGE_AUTH;
	if (o->reply.code == 334 && o->cred.token)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
				    "the server does not accept the token (has it expired?)");
	if (o->reply.code == 334 || o->reply.code == 235)
		return opening_fail_protocol(o, o->reply.code == 235
							? "235 before the credentials were given"
							: "a challenge that the mechanism does not have");
	return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
			    "the server and this libcurl have no mechanism in common "
			    "that is allowed: see --auth");
}

static int lost(struct opening *o, CURLcode rc)
{
	/* libcurl's own ends of patience: 300 KB of replies, or one line of 64 KB. */
	static const char *const too_much[] = { "Too large response", "excessive", "response line", NULL };
	static const char *const alert[] = { "alert", NULL };
	char text[ERROR_MAX];

	/* A CONNECT that was refused ends as a receive error. */
	if (o->stage == STAGE_CONNECT && opening_by_proxy(o))
		return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED, "the proxy does not connect: %s",
				    libcurl_says(o, rc, text));
	/* TLS 1.3 has its handshake behind it when the server says that it wants another certificate. */
	if (o->tls && said(o, alert)) {
		o->stage = STAGE_TLS;
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS, "the server ends TLS: %s",
				    libcurl_says(o, rc, text));
	}
	if (said(o, too_much) || o->heard > REPLIES_MAX)
		return opening_fail_protocol(o, "a reply without an end");
	if (o->stage == STAGE_TLS && o->server->tls == TLS_IMPLICIT)
		return opening_fail(o, RCPT_DEFERRED, CAUSE_LOST,
				    "the server closed the connection in the TLS handshake");
	return opening_fail_lost(o);
}

static int unknown_proxy(struct opening *o)
{
	CLEANUP(freep) char *host = proxy_host(o->params->proxy);

	return unknown_host(o, host ? host : "proxy.invalid", true);
}

/* The codes of TLS, and whatever is left. */
static int tls_failed(struct opening *o, CURLcode rc)
{
	char text[ERROR_MAX];

	switch (rc) {
	case CURLE_SSL_CONNECT_ERROR:
		return handshake_failed(o, rc);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return certificate_refused(o, rc);
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		o->stage = STAGE_TLS;
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
				    "the server's public key is not the one of --tls-pinned-key");
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return files_refused(o, rc);
	case CURLE_USE_SSL_FAILED:
		o->stage = STAGE_TLS;
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
				    "the server does not do STARTTLS, and nothing is sent in clear");
	default:
		return opening_fail(o, RCPT_DEFERRED, CAUSE_LOST,
				    "libcurl ended with %s while waiting for %s", libcurl_says(o, rc, text),
				    o->waiting_for);
	}
}

int opening_curl_failed(struct opening *o, CURLcode rc)
{
	char text[ERROR_MAX];

	switch (rc) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return unknown_host(o, o->server->host, false);
	case CURLE_COULDNT_RESOLVE_PROXY:
		return unknown_proxy(o);
	case CURLE_COULDNT_CONNECT:
		return not_connected(o, rc);
	case CURLE_PROXY:
		o->stage = STAGE_CONNECT;
		return opening_fail(o, RCPT_DEFERRED, CAUSE_REFUSED, "the proxy does not connect: %s",
				    libcurl_says(o, rc, text));
	case CURLE_OPERATION_TIMEDOUT:
		return opening_fail_clock(o);
	case CURLE_WEIRD_SERVER_REPLY:
		return opening_fail_protocol(o, o->tls ? "octets behind its 220 to STARTTLS"
						       : "a reply that makes no sense");
	case CURLE_REMOTE_ACCESS_DENIED:
		return opening_fail_reply(o, RCPT_REJECTED, CAUSE_SENDER, "the server takes no session");
	case CURLE_LOGIN_DENIED:
		return login_denied(o);
	case CURLE_INTERFACE_FAILED:
		return opening_error(o, ERR_USAGE, "interface: '%s' cannot be used: %s", o->params->interface,
				     libcurl_says(o, rc, text));
	case CURLE_SSL_CIPHER:
	case CURLE_NOT_BUILT_IN:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_ENGINE_INITFAILED:
		return opening_error(o, ERR_CONFIG, "this libcurl (%s) cannot do what was asked: %s",
				     curl_version(), libcurl_says(o, rc, text));
	case CURLE_OUT_OF_MEMORY:
		return opening_error(o, ERR_OS, "libcurl is out of memory");
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return lost(o, rc);
	default:
		return tls_failed(o, rc);
	}
}
