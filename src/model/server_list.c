/*
 * From what was said about servers to the list of servers to try: addresses,
 * ports, TLS modes and mechanisms, by the rules of "Defaults" and "TLS and
 * authentication" of the interface.
 *
 * Two ways of saying the same thing are judged by their origins: the higher
 * decides; of the same origin, a contradiction is an error.
 */

#include "model/mail_params.h"

#include "base/ascii.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/params_impl.h"
#include "text/addr.h"

#include <stdio.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PORT_SMTP = 25, PORT_LMTP = 24, PORT_SMTPS = 465, PORT_SUBMISSION = 587 };
/* sun_path of unix(7) has 108 octets, with the NUL. */
enum { SOCKET_PATH_MAX = 107 };

static const struct scheme {
	const char *name;
	bool lmtp, tls, unix_socket;
} schemes[] = {
	{"smtp", false, false, false}, {"smtps", false, true, false}, {"lmtp", true, false, false},
	{"lmtps", true, true, false},  {"lmtp+unix", true, false, true},
};

/* One server as its text says it. host and path point into the text. */
struct server_text {
	const struct scheme *scheme;    /* NULL: none was given */
	const char *host, *path;
	size_t host_len;
	unsigned port;                  /* 0: none was given */
};

#define SCHEMES "smtp:, smtps:, lmtp:, lmtps: or lmtp+unix:/path"

static int server_fail(const struct mail_params *p, const char *text, const char *why, struct err *e)
{
	char shown[128];

	utf8_escape(shown, sizeof(shown), text, strlen(text));
	return param_fail(p, "server", e, "'%s': %s", shown, why);
}

static bool port_read(const char *s, size_t len, unsigned *ret)
{
	unsigned n = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return false;
		n = 10 * n + (unsigned)(s[i] - '0');
	}
	*ret = n;
	return n >= 1 && n <= 65535;
}

/* An IPv6 address without brackets: then its colons are not before a port. */
static bool looks_like_v6(const char *s)
{
	return strchr(s, ':') != strrchr(s, ':') && !s[strspn(s, "0123456789abcdefABCDEF:.")];
}

/* "host", "host:port", "[v6]", "[v6]:port", "v6". NULL, or what is wrong. */
static const char *authority_read(struct server_text *st, const char *s)
{
	const char *colon;

	st->host = s;
	st->host_len = strlen(s);
	if (looks_like_v6(s))
		return NULL;
	if (*s == '[') {
		const char *close = strchr(s, ']');

		if (!close)
			return "a bracket is not closed";
		st->host_len = (size_t)(close + 1 - s);
		if (!close[1])
			return NULL;
		colon = close + 1;
		if (*colon != ':')
			return "only ':port' may follow the bracket";
	} else {
		colon = strchr(s, ':');
		if (!colon)
			return NULL;
		st->host_len = (size_t)(colon - s);
	}
	if (!port_read(colon + 1, strlen(colon + 1), &st->port))
		return "the port must be an integer from 1 to 65535";
	return NULL;
}

/* The length of "scheme" where the text begins with "scheme:" and that is no host before a port; else 0. */
static size_t scheme_length(const char *text)
{
	size_t len = 0;

	while (is_letter(text[len]) || is_digit(text[len]) || text[len] == '+' || text[len] == '.' ||
	       text[len] == '-')
		len++;
	if (text[len] != ':' || !is_letter(text[0]) || is_digit(text[len + 1]) || looks_like_v6(text))
		return 0;
	return len;
}

static const char *unix_read(struct server_text *st, const char *s)
{
	if (!strncmp(s, "//", 2))
		s += 2;
	if (*s != '/')
		return "the path of the socket must begin with '/'";
	st->path = s;
	return strlen(s) > SOCKET_PATH_MAX ? "the path of a Unix socket has at most 107 octets" : NULL;
}

/* What follows a scheme. @copy: room for the text without a lone '/' at its end. */
static const char *url_read(struct server_text *st, const char *s, char *copy)
{
	size_t len;

	if (st->scheme->unix_socket)
		return unix_read(st, s);
	if (!strncmp(s, "//", 2))
		s += 2;
	len = strcspn(s, "/?#");
	if (s[len] && strcmp(s + len, "/"))
		return "a server has no path, query or fragment";
	memcpy(copy, s, len);
	copy[len] = '\0';
	return authority_read(st, copy);
}

static int server_text_read(const struct mail_params *p, struct server_text *st, const char *text, char *copy,
			    struct err *e)
{
	size_t len = scheme_length(text);
	const char *why;

	*st = (struct server_text){0};
	if (!*text)
		return param_fail(p, "server", e, "must not be empty");
	for (size_t i = 0; len && i < ARRAY_SIZE(schemes); i++)
		if (strlen(schemes[i].name) == len && !strncasecmp(text, schemes[i].name, len))
			st->scheme = &schemes[i];
	/* Not shown: what is before an '@' may well be a password. */
	if (strchr(text, '@') && (!st->scheme || !st->scheme->unix_socket))
		return param_fail(p, "server", e,
				  "holds an '@'; the name belongs in username (--username), the password "
				  "in password (--password-env, -file, -command or -fd)");
	if (strchr(text, ',') && (!st->scheme || !st->scheme->unix_socket))
		return server_fail(p, text, "one server only; for more repeat --server, or give a list", e);
	if (len && !st->scheme)
		return server_fail(p, text, "not a mail server; use host, host:port or a URL with " SCHEMES,
				   e);
	if (!len && *text == '/')
		return server_fail(p, text, "a Unix socket is given with unix_socket, or as lmtp+unix:/path",
				   e);
	why = len ? url_read(st, text + len + 1, copy) : authority_read(st, text);
	return why ? server_fail(p, text, why, e) : 0;
}

/* What tls and starttls say together: the highest origin that names either decides. */
struct tls_wish {
	enum origin origin;             /* ORIGIN_DEFAULT: nothing is asked */
	bool tls, no_tls, starttls, no_starttls;
};

static struct tls_wish tls_wish_of(const struct mail_params *p)
{
	enum origin tls = param_origin(p, "tls"), starttls = param_origin(p, "starttls");
	struct tls_wish w = { .origin = tls > starttls ? tls : starttls };

	w.starttls = starttls == w.origin && p->server.starttls;
	w.no_starttls = starttls == w.origin && starttls != ORIGIN_DEFAULT && !p->server.starttls;
	w.tls = tls == w.origin && p->server.tls && !w.starttls;       /* both: STARTTLS */
	w.no_tls = tls == w.origin && tls != ORIGIN_DEFAULT && !p->server.tls;
	return w;
}

/* smtps: and lmtps: are a wish too, of the origin of `server`; starttls: false alone does not contradict. */
static int scheme_wish(const struct mail_params *p, const struct scheme *scheme, struct tls_wish *w,
		       struct err *e)
{
	enum origin server = param_origin(p, "server");

	if (!scheme || !scheme->tls)
		return 0;
	if (w->starttls || w->no_tls) {
		if (w->origin > server)
			return 0;
		if (w->origin == server)
			return err_set(e, ERR_USAGE, "%s: in server and %s contradict each other",
				       scheme->name, w->starttls ? "starttls" : "tls: false");
	}
	*w = (struct tls_wish){ .origin = server, .tls = true };
	return 0;
}

static unsigned default_port(const struct server *s, const struct tls_wish *w, bool credentials)
{
	if (s->lmtp)
		return PORT_LMTP;
	if (w->starttls)
		return PORT_SUBMISSION;
	if (w->tls)
		return PORT_SMTPS;
	return credentials && !s->loopback ? PORT_SUBMISSION : PORT_SMTP;
}

static enum tls_mode tls_mode_of(const struct server *s, const struct tls_wish *w)
{
	enum tls_mode mode;

	if (w->starttls)
		return TLS_STARTTLS;
	if (w->tls)
		return TLS_IMPLICIT;
	if (s->loopback)
		return TLS_NEVER;
	mode = TLS_IF_OFFERED;
	if (s->port == PORT_SMTPS)
		mode = TLS_IMPLICIT;
	else if (s->port == PORT_SUBMISSION)
		mode = TLS_STARTTLS;
	if (mode == TLS_IMPLICIT && w->no_tls)
		mode = TLS_IF_OFFERED;
	if (mode != TLS_IMPLICIT && w->no_starttls)
		mode = TLS_NEVER;
	return mode;
}

static int set_protocol(const struct mail_params *p, struct server *s, const struct scheme *scheme,
			struct err *e)
{
	enum origin lmtp = param_origin(p, "lmtp"), server = param_origin(p, "server");

	s->lmtp = p->server.lmtp;
	if (!scheme || scheme->lmtp == s->lmtp || lmtp > server)
		return 0;
	if (lmtp == server && (lmtp != ORIGIN_DEFAULT || s->lmtp))
		return err_set(e, ERR_USAGE, "%s: in server and lmtp: %s contradict each other", scheme->name,
			       s->lmtp ? "true" : "false");
	s->lmtp = scheme->lmtp;
	return 0;
}

/* A port in the server's own text is the nearer one; `port` overrides it only from a higher origin. */
static unsigned chosen_port(const struct mail_params *p, unsigned in_text)
{
	if (in_text && param_origin(p, "port") <= param_origin(p, "server"))
		return in_text;
	return p->server.port ? p->server.port : in_text;
}

static int set_tls(const struct mail_params *p, struct server *s, const struct scheme *scheme, unsigned port,
		   struct err *e)
{
	struct tls_wish w = tls_wish_of(p);

	if (scheme_wish(p, scheme, &w, e) < 0)
		return -1;
	if (!s->unix_socket)
		s->port = port ? port : default_port(s, &w, p->server.has_credentials);
	s->tls = tls_mode_of(s, &w);
	s->tls_asked = w.tls || w.starttls;
	/*
	 * Who says which key the server must have wants it shown: whoever takes STARTTLS off the way must
	 * not be spared.
	 */
	if (p->server.tls_pinned_key && !s->unix_socket && !w.no_starttls && s->tls != TLS_IMPLICIT)
		s->tls = TLS_STARTTLS;
	/*
	 * RFC 8689 4.2.1: a message that requires TLS goes over nothing else, so it asks for the upgrade
	 * too.
	 */
	if (p->require_tls && s->tls != TLS_IMPLICIT) {
		if (w.no_starttls)
			return err_set(e, ERR_USAGE, "require_tls and starttls: false contradict each other");
		s->tls = TLS_STARTTLS;
		s->tls_asked = true;
	}
	return 0;
}

static int check_server(const struct mail_params *p, const struct server *s, struct err *e)
{
	if (s->unix_socket && s->tls == TLS_STARTTLS)
		return err_set(e, ERR_USAGE,
			       "STARTTLS is not for a Unix socket: nobody can listen in there (%s)",
			       s->unix_socket);
	if (s->unix_socket && p->server.proxy)
		return err_set(e, ERR_USAGE, "a Unix socket cannot be reached through a proxy (%s)",
			       s->unix_socket);
	/* RFC 2033, 5: a server there takes the whole line of recipients for SMTP's. */
	if (!s->unix_socket && s->lmtp && s->port == PORT_SMTP)
		return err_set(e, ERR_USAGE,
			       "LMTP must not be used on port 25 (RFC 2033); its port is 24, or --port");
	return 0;
}

static char *label_of(const struct server *s)
{
	char *label, *at;

	if (s->unix_socket)
		return xstrdup(s->unix_socket);
	if (strchr(s->host, ':'))
		return xasprintf("[%s]:%u", s->host, s->port);
	/* without printf: each message of a batch has one */
	label = xmalloc(strlen(s->host) + sizeof(":65535"));
	at = stpcpy(label, s->host);
	*at++ = ':';
	for (unsigned unit = 10000; unit; unit /= 10)
		if (s->port >= unit || unit == 1)
			*at++ = (char)('0' + s->port / unit % 10);
	*at = '\0';
	return label;
}

/* Work out @s, whose host or unix_socket is there. */
static int server_complete(const struct mail_params *p, struct server *s, const struct scheme *scheme,
			   unsigned port, struct err *e)
{
	s->loopback = s->unix_socket || (host_is_loopback(s->host) && !p->server.proxy);
	if (set_protocol(p, s, scheme, e) < 0 || set_tls(p, s, scheme, port, e) < 0 ||
	    check_server(p, s, e) < 0)
		return -1;
	s->label = label_of(s);
	return 0;
}

static struct server *server_add(struct server_params *sp)
{
	sp->list = xreallocarray(sp->list, sp->n_list + 1, sizeof(*sp->list));
	sp->list[sp->n_list] = (struct server){0};
	return &sp->list[sp->n_list++];
}

static int server_from_text(struct mail_params *p, const char *text, struct err *e)
{
	CLEANUP(freep) char *copy = xmalloc(strlen(text) + 1);
	struct server *s = server_add(&p->server);
	struct server_text st;

	if (server_text_read(p, &st, text, copy, e) < 0)
		return -1;
	if (st.path)
		s->unix_socket = xstrdup(st.path);
	else if (host_parse(&s->host, st.host, st.host_len, e) < 0)
		return param_wrap(p, "server", e);
	return server_complete(p, s, st.scheme, chosen_port(p, st.port), e);
}

static int server_from_socket(struct mail_params *p, struct err *e)
{
	struct server *s = server_add(&p->server);

	if (strlen(p->server.unix_socket) > SOCKET_PATH_MAX)
		return param_fail(p, "unix_socket", e, "the path of a Unix socket has at most %d octets",
				  SOCKET_PATH_MAX);
	s->unix_socket = xstrdup(p->server.unix_socket);
	return server_complete(p, s, NULL, 0, e);
}

/* Mechanisms. */

enum { AUTH_TOKEN = AUTH_XOAUTH2 | AUTH_OAUTHBEARER, N_MECHANISMS = 11 };

static const char *next_mechanism(void *ctx)
{
	unsigned *bit = ctx;
	const char *name = *bit < N_MECHANISMS ? auth_mech_name(1U << *bit) : NULL;

	(*bit)++;
	return name;
}

static int mechanism_add(struct mail_params *p, const char *word, size_t len, struct err *e)
{
	unsigned first = 0;
	const char *near;
	char shown[64];

	for (unsigned i = 0; i < N_MECHANISMS; i++) {
		const char *name = auth_mech_name(1U << i);

		if (strlen(name) == len && !strncasecmp(name, word, len)) {
			p->server.mechanisms |= 1U << i;
			return 0;
		}
	}
	utf8_escape(shown, sizeof(shown), word, len);
	near = nearest_word(word, len, next_mechanism, &first);
	if (near)
		return param_fail(p, "auth", e, "unknown mechanism '%s', did you mean '%s'?", shown, near);
	return param_fail(p, "auth", e,
			  "unknown mechanism '%s': PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, XOAUTH2, OAUTHBEARER, "
			  "EXTERNAL, SCRAM-SHA-1, SCRAM-SHA-256, NTLM and GSSAPI are known",
			  shown);
}

/* "plain,login" is two. */
static int mechanisms_read(struct mail_params *p, struct err *e)
{
	for (size_t i = 0; i < p->server.auth.count; i++) {
		const char *s = p->server.auth.item[i] + strspn(p->server.auth.item[i], ", ");

		if (!*s)
			return param_fail(p, "auth", e, "must name a mechanism");
		while (*s) {
			size_t len = strcspn(s, ", ");

			if (mechanism_add(p, s, len, e) < 0)
				return -1;
			s += len;
			s += strspn(s, ", ");
		}
	}
	return 0;
}

/* A secret in the surroundings may be there for another run; one that was asked for has to have a use. */
static int check_secret_used(const struct mail_params *p, const char *name, const struct secret *s,
			     struct err *e)
{
	if (s->kind == SECRET_NONE || p->server.username || param_origin(p, name) <= ORIGIN_ENV)
		return 0;
	return err_set(e, ERR_USAGE, "%s is given but no username", name);
}

static int credentials_finish(struct mail_params *p, struct err *e)
{
	struct server_params *s = &p->server;
	bool token = s->oauth2_token.kind != SECRET_NONE;

	if (s->username && !*s->username)
		return param_fail(p, "username", e, "must not be empty");
	if (mechanisms_read(p, e) < 0 || check_secret_used(p, "password", &s->password, e) < 0 ||
	    check_secret_used(p, "oauth2_token", &s->oauth2_token, e) < 0)
		return -1;
	s->has_credentials = s->username || (s->mechanisms & AUTH_EXTERNAL);
	if (!s->auth.count) {
		s->mechanisms = token ? AUTH_TOKEN : AUTH_PLAIN | AUTH_LOGIN;
		if (token && s->password.kind != SECRET_NONE)
			s->mechanisms |= AUTH_PLAIN | AUTH_LOGIN;
		return 0;
	}
	if (!token && !(s->mechanisms & ~(unsigned)AUTH_TOKEN))
		return err_set(e, ERR_USAGE,
			       "auth allows only XOAUTH2 or OAUTHBEARER, and no oauth2_token is given");
	if (token && s->password.kind == SECRET_NONE && !(s->mechanisms & AUTH_TOKEN))
		return err_set(e, ERR_USAGE,
			       "auth does not allow XOAUTH2 or OAUTHBEARER, which oauth2_token is for");
	return 0;
}

/* server and unix_socket are two ways of saying where: the higher origin decides. */
static int settle_where(struct mail_params *p, bool *ret_socket, struct err *e)
{
	enum origin server = param_origin(p, "server"), path = param_origin(p, "unix_socket");

	*ret_socket = p->server.unix_socket != NULL;
	if (!p->server.unix_socket || !p->server.server.count)
		return 0;
	if (server == path)
		return err_set(e, ERR_USAGE,
			       "server and unix_socket exclude each other: one says where to connect");
	*ret_socket = path > server;
	return 0;
}

/* An address of the family that ip_version rules out cannot be reached; a proxy looks for itself. */
static int check_family(const struct mail_params *p, struct err *e)
{
	const struct server_params *s = &p->server;
	unsigned char raw[16];

	if (s->ip_version == IP_ANY || s->proxy)
		return 0;
	for (size_t i = 0; i < s->n_list; i++) {
		const char *host = s->list[i].host;
		int family = s->ip_version == IP_4 ? AF_INET6 : AF_INET;

		if (host && inet_pton(family, host, raw) == 1)
			return param_fail(p, "ip_version", e, "IPv%d alone does not reach the address %s",
					  s->ip_version == IP_4 ? 4 : 6, host);
	}
	return 0;
}

int server_params_finish(struct mail_params *p, struct err *e)
{
	bool use_socket;

	if (credentials_finish(p, e) < 0 || settle_where(p, &use_socket, e) < 0)
		return -1;
	if (use_socket)
		return server_from_socket(p, e);
	if (!p->server.server.count)
		strlist_add(&p->server.server, xstrdup("localhost"));
	for (size_t i = 0; i < p->server.server.count; i++)
		if (server_from_text(p, p->server.server.item[i], e) < 0)
			return -1;
	return check_family(p, e);
}

bool server_params_local(const struct server_params *s)
{
	for (size_t i = 0; i < s->n_list; i++)
		if (!s->list[i].loopback && !s->list[i].lmtp)
			return false;
	return true;
}

char *server_host_of(const char *text)
{
	CLEANUP(freep) char *copy = xmalloc(strlen(text) + 1);
	struct server_text st = {0};
	size_t len = scheme_length(text);

	for (size_t i = 0; len && i < ARRAY_SIZE(schemes); i++)
		if (strlen(schemes[i].name) == len && !strncasecmp(text, schemes[i].name, len))
			st.scheme = &schemes[i];
	if (*text == '/')
		return xstrdup(text);
	if (st.scheme ? url_read(&st, text + len + 1, copy) : authority_read(&st, text))
		return xstrdup("");
	return st.path ? xstrdup(st.path) : xmemdup0(st.host, st.host_len);
}
