/*
 * What we call ourselves (RFC 5321 4.1.1.1): the name that was set, else the machine's own where it has one
 * that means something elsewhere, else the address from which the server will see us come (RFC 5321 4.1.3).
 * Never bare "localhost" to another machine: there it is the mark of a broken client.
 */

#include "net/opening.h"

#include "base/err.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "net/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Graphic ASCII without what could end the command or begin another. */
static bool usable(const char *name)
{
	const size_t len = strlen(name);

	if (len == 0 || len >= HELO_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return true;
}

/* A numeric address, "::1" or "fe80::1%eth0" as well. False: it is a name. */
static bool numeric(struct sockaddr_storage *ret, socklen_t *ret_len, const char *host)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	char plain[ADDRESS_MAX];

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(25);     /* any: nothing is sent */
		*ret_len = sizeof(*four);
		return true;
	}
	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(host, "%"), host);
	if (inet_pton(AF_INET6, plain, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(25);
		*ret_len = sizeof(*six);
		return true;
	}
	return false;
}

/* The address literal of the local address that routes to @host (numeric). A UDP connect sends nothing. */
static int literal(char out[HELO_MAX], const char *host)
{
	struct sockaddr_storage to, from;
	socklen_t len, from_len = sizeof(from);
	char text[ADDRESS_MAX];
	bool found;
	int fd;

	if (!numeric(&to, &len, host))
		return -1;
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	found = connect(fd, (struct sockaddr *)&to, len) == 0 &&
		getsockname(fd, (struct sockaddr *)&from, &from_len) == 0;
	close(fd);
	if (!found)
		return -1;
	if (from.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, text, sizeof(text));
		snprintf(out, HELO_MAX, "[IPv6:%s]", text);
	} else {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&from)->sin_addr, text, sizeof(text));
		snprintf(out, HELO_MAX, "[%s]", text);
	}
	return 0;
}

char *proxy_host(const char *proxy)
{
	CURLU *url = curl_url();
	char *part = NULL, *host = NULL;

	if (url &&
	    curl_url_set(url, CURLUPART_URL, proxy, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == 0 &&
	    curl_url_get(url, CURLUPART_HOST, &part, 0) == 0) {
		const size_t len = strlen(part);

		host = part[0] == '[' ? strndup(part + 1, len - 2) : strdup(part);
	}
	curl_free(part);
	curl_url_cleanup(url);
	return host;
}

/* Hand what was found to libcurl, so that the name is asked for once: "host:port:a,[b]". */
static void pin(struct opening *o, const struct lookup_result *found)
{
	char line[LOOKUP_MAX * (ADDRESS_MAX + 3) + 300];
	size_t n = (size_t)snprintf(line, 300, "%s:%u:", o->server->host, o->server->port);

	if (n >= 300)
		return;
	for (size_t i = 0; i < found->n; i++) {
		const bool six = strchr(found->address[i], ':') != NULL;

		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s%s%s", i ? "," : "", six ? "[" : "",
				      found->address[i], six ? "]" : "");
	}
	o->session->resolve = curl_slist_append(o->session->resolve, line);
}

static int helo_by_lookup(struct opening *o, const char *host)
{
	struct lookup_result found = { 0 };

	if (lookup(&found, host, opening_family(o), opening_until(o)) < 0) {
		if (errno != ETIMEDOUT && errno != EINTR)
			return opening_error(o, ERR_OS, "the host name cannot be looked up: %s",
					     strerror(errno));
		opening_fail_clock(o);
		return 1;
	}
	if (found.rc || found.n == 0) {
		/* libcurl meets the same answer; hints.c tells it from there, whichever way it was found. */
		return opening_curl_failed(o, opening_by_proxy(o) ? CURLE_COULDNT_RESOLVE_PROXY
								 : CURLE_COULDNT_RESOLVE_HOST) < 0 ? -1 : 1;
	}
	if (!opening_by_proxy(o))
		pin(o, &found);
	if (literal(o->helo, found.address[0]) < 0)
		strcpy(o->helo, "[127.0.0.1]");
	return 0;
}

static int helo_by_route(struct opening *o)
{
	char *by_proxy CLEANUP(freep) = opening_by_proxy(o) ? proxy_host(o->params->proxy) : NULL;
	const char *host = by_proxy ? by_proxy : o->server->host;
	struct sockaddr_storage address;
	socklen_t len;

	if (strcasecmp(host, "localhost") == 0)
		host = o->params->ip_version == IP_6 ? "::1" : "127.0.0.1";
	if (!numeric(&address, &len, host))
		return helo_by_lookup(o, host);
	/* No route: connecting will say so better than this name could. */
	if (literal(o->helo, host) < 0)
		strcpy(o->helo, "[127.0.0.1]");
	return 0;
}

int helo_decide(struct opening *o)
{
	const char *asked = o->params->helo_name, *own;

	if (asked && *asked) {
		if (!usable(asked))
			return opening_error(o, ERR_USAGE,
					     "helo_name: not a host name or an address literal");
		strcpy(o->helo, asked);
		return 0;
	}
	own = sysinfo_real.hostname();
	if (own && strchr(own, '.') && usable(own)) {
		strcpy(o->helo, own);
		return 0;
	}
	if (o->server->unix_socket) {
		strcpy(o->helo, "localhost");
		return 0;
	}
	return helo_by_route(o);
}
