/*
 * Secrets: fetched from where they were asked for, judged, kept apart; see
 * secret.h. No text of an error here has an octet of a secret, a command or a
 * variable's value in it.
 */

#include "input/secret.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/secret_sources.h"
#include "model/mail_params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifdef __has_feature                    /* clang */
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)     /* gcc */
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { NETRC_MAX = 1 << 20, SHOWN = 512 };

/* Mechanisms that want no password: a certificate, a ticket or a token speaks for the user. */
#define WITHOUT_PASSWORD (AUTH_EXTERNAL | AUTH_GSSAPI | AUTH_XOAUTH2 | AUTH_OAUTHBEARER)

void secret_room(struct buf *b)
{
	*b = (struct buf)BUF_INIT(SECRET_MAX);
	if (buf_reserve(b, SECRET_MAX) < 0)
		abort();        /* its own maximum */
}

void secret_harden(void)
{
	struct rlimit none = {0};

	setrlimit(RLIMIT_CORE, &none);
	/* A leak checker is such a debugger. */
	if (!SANITIZED)
		prctl(PR_SET_DUMPABLE, 0);
}

/* @name: "password". One final newline is not part of a secret that was read from somewhere. */
static int judge(const struct buf *b, const char *name, struct err *e)
{
	if (!b->len)
		return err_set(e, ERR_POLICY, "%s: it is empty", name);
	for (size_t i = 0; i < b->len; i++) {
		if (b->data[i] == '\n')
			return err_set(e, ERR_POLICY, "%s: it has more than one line", name);
		if (b->data[i] == '\r')
			return err_set(e, ERR_POLICY, "%s: it has a carriage return in it (are these DOS "
				       "line ends?)", name);
		if (!b->data[i])
			return err_set(e, ERR_POLICY, "%s: it has an octet 0 in it", name);
	}
	return 0;
}

static void strip_newline(struct buf *b)
{
	if (b->len && b->data[b->len - 1] == '\n')
		b->data[--b->len] = '\0';
}

/* A secret that a flag or a file names and that cannot be had is the configuration's fault (78). */
static int unobtainable(const char *name, struct err *e)
{
	if (e->class == ERR_NOINPUT || e->class == ERR_DATA)
		e->class = ERR_CONFIG;
	return err_wrap(e, "%s", name);
}

static int from_variable(struct buf *b, const char *variable, const char *name, struct err *e)
{
	char *value = getenv(variable), shown[SHOWN];

	if (!value) {
		utf8_escape(shown, sizeof(shown), variable, strlen(variable));
		return err_set(e, ERR_CONFIG, "%s: the variable %s is not set", name, shown);
	}
	if (buf_adds(b, value) < 0)
		return err_set(e, ERR_POLICY, "%s: more than %d octets", name, SECRET_MAX);
	/* Out of /proc/PID/environ and away from children. */
	explicit_bzero(value, strlen(value));
	unsetenv(variable);
	return 0;
}

/*
 * A file that everybody can read holds no secret. Its group is a choice that somebody made (0640
 * root:mail); and on a file system that is mounted read-only, as containers get their secrets, no chmod
 * could mend it: there the mount is the guard.
 */
static int refuse_readable(const char *path, mode_t mode, struct err *e)
{
	char shown[SHOWN];
	struct statvfs fs;

	if (!S_ISREG(mode) || !(mode & S_IROTH) || (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY)))
		return 0;
	utf8_escape(shown, sizeof(shown), path, strlen(path));
	return err_set(e, ERR_POLICY, "'%s' holds a secret and others can read it; run: chmod 600 %s", shown,
		       shown);
}

/* A path into our own descriptors was opened by whoever started us: its mode is not judged. */
static bool is_descriptor_path(const char *path)
{
	return !strcmp(path, "-") || !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) ||
	       !strncmp(path, "/proc/self/fd/", 14);
}

static int from_file(struct buf *b, const char *path, unsigned timeout_ms, const char *name, struct err *e)
{
	mode_t mode;

	if (file_slurp(b, path, NULL, timeout_ms, &mode, NULL, e) < 0 ||
	    (!is_descriptor_path(path) && refuse_readable(path, mode, e) < 0))
		return unobtainable(name, e);
	strip_newline(b);
	return 0;
}

static int from_descriptor(struct buf *b, int fd, unsigned timeout_ms, const char *name, struct err *e)
{
	int r = secret_read(b, fd, timeout_ms), num = errno;

	if (fd > STDERR_FILENO)
		close(fd);
	if (r < 0 && num == EINTR)
		return err_set(e, ERR_IO, "%s: interrupted while reading descriptor %d", name, fd);
	if (r < 0 && num == EMSGSIZE)
		return err_set(e, ERR_POLICY, "%s: more than %d octets", name, SECRET_MAX);
	if (r < 0)
		return err_sys(e, ERR_CONFIG, num, "%s: cannot read descriptor %d", name, fd);
	strip_newline(b);
	return 0;
}

static int from_command(struct buf *b, const struct server_params *s, const char *command, const char *name,
			struct err *e)
{
	const char *hidden[6] = { "MAILCHUTE_PASSWORD", "MAILCHUTE_OAUTH2_TOKEN", "MAILCHUTE_PROXY" };
	size_t n = 3;

	if (s->password.kind == SECRET_ENV)
		hidden[n++] = s->password.text;
	if (s->oauth2_token.kind == SECRET_ENV)
		hidden[n++] = s->oauth2_token.text;
	if (secret_from_command(b, command, hidden, s->timeout * 1000, e) < 0)
		return err_wrap(e, "%s", name);
	return 0;
}

static int fetch(struct buf *b, const struct server_params *s, const struct secret *secret, const char *name,
		 struct err *e)
{
	unsigned timeout_ms = s->timeout * 1000;

	switch (secret->kind) {
	case SECRET_LITERAL:
		if (buf_adds(b, secret->text) < 0)
			return err_set(e, ERR_POLICY, "%s: more than %d octets", name, SECRET_MAX);
		return 0;
	case SECRET_ENV: return from_variable(b, secret->text, name, e);
	case SECRET_FILE: return from_file(b, secret->text, timeout_ms, name, e);
	case SECRET_COMMAND: return from_command(b, s, secret->text, name, e);
	case SECRET_FD: return from_descriptor(b, secret->fd, timeout_ms, name, e);
	case SECRET_NONE: break;
	}
	return err_set(e, ERR_SOFTWARE, "%s: asked for without a source", name);
}

/*
 * systemd's LoadCredential=: 1 found, 0 none. The directory is its owner's only, whatever the file's mode
 * says.
 */
static int from_credentials_directory(struct buf *b, struct err *e)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	CLEANUP(freep) char *path = NULL;

	if (!dir || dir[0] != '/')
		return 0;
	path = xasprintf("%s/mailchute.password", dir);
	if (access(path, F_OK) < 0)
		return 0;
	if (file_slurp(b, path, NULL, 0, NULL, NULL, e) < 0)
		return unobtainable("password", e);
	strip_newline(b);
	return 1;
}

/*
 * A password of ~/.netrc is for the host beside it: with servers of other names in the list it is not used at
 * all.
 */
static bool same_host_everywhere(const struct server_params *s, const char *host)
{
	for (size_t i = 0; i < s->n_list; i++)
		if (!s->list[i].host || strcasecmp(s->list[i].host, host))
			return false;
	return true;
}

/* 1 found, 0 none. A ~/.netrc that cannot be read was not asked for: as if it were not there. */
static int from_netrc(struct buf *b, const struct server_params *s, const char *host, struct err *e)
{
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(NETRC_MAX);
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	CLEANUP(freep) char *path = NULL;
	const char *home = getenv("HOME");
	mode_t mode;
	int r;

	if (!host || !home || home[0] != '/' || !same_host_everywhere(s, host))
		return 0;
	path = xasprintf("%s/.netrc", home);
	if (file_slurp(&text, path, NULL, s->timeout * 1000, &mode, NULL, &ignored) < 0)
		return 0;
	r = netrc_find(b, text.data, text.len, host, s->username);
	if (r > 0 && refuse_readable(path, mode, e) < 0)
		return -1;
	return r;
}

static int from_terminal(struct buf *b, const struct server_params *s, const char *host, struct err *e)
{
	char user[SHOWN], question[2 * SHOWN];

	utf8_escape(user, sizeof(user), s->username, strlen(s->username));
	snprintf(question, sizeof(question), "Password of %s%s%.255s: ", user, host ? " at " : "",
		 host ? host : "");
	return secret_from_terminal(b, question, e);
}

/* Nobody said where the password is: the usual places. */
static int look_for_password(struct buf *b, const struct server_params *s, const char *host, struct err *e)
{
	int r = from_credentials_directory(b, e);

	if (r == 0)
		r = from_netrc(b, s, host, e);
	if (r == 0)
		r = from_terminal(b, s, host, e);
	if (r == 0)
		return err_set(e, ERR_USAGE, "a username but no password: give it with --password-file, "
			       "--password-command, "
			       "--password-env, --password-fd or in a params file");
	return r < 0 ? -1 : 0;
}

/* The judged bytes as a string of its own, kept out of swap where the system lets us. */
static char *keep(const struct buf *b)
{
	char *text = xmemdup0(b->data, b->len);

	/* Best effort: RLIMIT_MEMLOCK may be 0. */
	if (mlock(text, b->len + 1) < 0)
		errno = 0;
	return text;
}

static int resolve(char **ret, const struct server_params *s, const struct secret *secret, const char *host,
		   const char *name, struct err *e)
{
	CLEANUP(buf_wipe) struct buf b = BUF_INIT(SECRET_MAX);

	secret_room(&b);
	if (secret->kind == SECRET_NONE ? look_for_password(&b, s, host, e) < 0 :
	    fetch(&b, s, secret, name, e) < 0)
		return -1;
	if (judge(&b, name, e) < 0)
		return -1;
	*ret = keep(&b);
	return 0;
}

int credentials_resolve(struct credentials *ret, const struct server_params *s, const char *host,
			struct err *e)
{
	struct credentials c = { .username = s->username };
	bool token = s->oauth2_token.kind != SECRET_NONE, password = s->password.kind != SECRET_NONE;

	if (!password && !token)
		password = s->username && (!s->mechanisms || (s->mechanisms & ~(unsigned)WITHOUT_PASSWORD));
	if (password || token)
		secret_harden();
	if ((password && resolve(&c.password, s, &s->password, host, "password", e) < 0) ||
	    (token && resolve(&c.token, s, &s->oauth2_token, NULL, "oauth2_token", e) < 0)) {
		credentials_clear(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

static void forget(char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;

	if (!text)
		return;
	explicit_bzero(text, len);
	munlock(text, len);
	free(text);
}

int credentials_renew(struct credentials *c, const struct server_params *s, struct err *e)
{
	const struct secret *from = &s->oauth2_token;
	char *token = NULL;
	int r;

	if (!c->token || (from->kind != SECRET_COMMAND && from->kind != SECRET_FILE))
		return 0;
	setenv("TOKEN_REFUSED", "1", 1);
	r = resolve(&token, s, from, NULL, "oauth2_token", e);
	unsetenv("TOKEN_REFUSED");
	if (r < 0)
		return -1;
	if (!strcmp(token, c->token)) {
		forget(token);
		return 0;
	}
	forget(c->token);
	c->token = token;
	return 1;
}

void credentials_clear(struct credentials *c)
{
	forget(c->password);
	forget(c->token);
	*c = (struct credentials){0};
}
