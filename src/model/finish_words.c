/*
 * Words of settings that have a grammar: DSN, charset, date, pinned key, proxy
 * and the like. Addresses are in finish_people.c.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/params_impl.h"
#include "text/addr.h"
#include "text/date.h"
#include "text/mimetype.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RFC 3461 4.1: words with commas or blanks between them as NOTIFY_ bits. */
int dsn_notify_read(unsigned *ret, const char *words, struct err *e)
{
	static const struct { const char *word; unsigned bit; } known[] = {
		{"never", NOTIFY_NEVER}, {"success", NOTIFY_SUCCESS}, {"failure", NOTIFY_FAILURE},
		{"delay", NOTIFY_DELAY},
	};
	unsigned seen = 0;
	size_t len;

	for (const char *s = words + strspn(words, ", "); *s; s += len, s += strspn(s, ", ")) {
		size_t i = 0;

		len = strcspn(s, ", ");
		while (i < ARRAY_SIZE(known) &&
		       (strlen(known[i].word) != len || strncasecmp(s, known[i].word, len)))
			i++;
		if (i == ARRAY_SIZE(known))
			return err_set(e, ERR_DATA, "'%.*s' is none of never, success, failure, delay",
				       (int)(len > 40 ? 40 : len), s);
		seen |= known[i].bit;
	}
	if (!seen)
		return err_set(e, ERR_DATA, "must be never, or some of success, failure, delay");
	if ((seen & NOTIFY_NEVER) && seen != NOTIFY_NEVER)
		return err_set(e, ERR_DATA, "never stands alone (RFC 3461, 4.1)");
	*ret = seen;
	return 0;
}

static bool printable_ascii(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* RFC 3461 4.2: "type;address", or the address alone, which is of type rfc822. */
int orcpt_check(const char *s, struct err *e)
{
	static const char type[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *semicolon = strchr(s, ';');

	if (!printable_ascii(s))
		return err_set(e, ERR_DATA, "orcpt may hold printable ASCII only (RFC 3461, 4.2)");
	if (semicolon && (semicolon == s || strspn(s, type) != (size_t)(semicolon - s)))
		return err_set(e, ERR_DATA, "orcpt must be an address or 'type;address' (RFC 3461, 4.2)");
	if (!*(semicolon ? semicolon + 1 : s) || strlen(s) > 500)
		return err_set(e, ERR_DATA,
			       "orcpt must have an address of at most 500 characters (RFC 3461, 4.2)");
	return 0;
}

static int finish_dsn(struct mail_params *p, struct err *e)
{
	if (p->dsn_notify && dsn_notify_read(&p->notify, p->dsn_notify, e) < 0)
		return param_wrap(p, "dsn_notify", e);
	if (!p->dsn_envid)
		return 0;
	if (!*p->dsn_envid || !printable_ascii(p->dsn_envid))
		return param_fail(p, "dsn_envid", e, "must be printable ASCII (RFC 3461, 4.4)");
	/* RFC 3461 4.4: at most 100 characters, counted before xtext. */
	if (strlen(p->dsn_envid) > 100)
		return param_fail(p, "dsn_envid", e, "must have at most 100 characters (RFC 3461, 4.4)");
	return 0;
}

/* RFC 3834 5: a keyword, with parameters perhaps. auto-notified is RFC 5436's. */
static int check_auto_submitted(const struct mail_params *p, struct err *e)
{
	static const char *const known[] = { "no", "auto-generated", "auto-replied", "auto-notified" };
	const char *s = p->auto_submitted;
	size_t len;

	if (!s)
		return 0;
	len = strcspn(s, "; \t");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == len && !strncasecmp(s, known[i], len) && printable_ascii(s))
			return 0;
	return param_fail(p, "auto_submitted", e,
			  "must be auto-generated, auto-replied, auto-notified or no (RFC 3834)");
}

/* libcurl's form: sha256// and the base64 of a SHA-256 (43 characters and '='), more of them behind ';'. */
static int check_pinned_key(const struct mail_params *p, struct err *e)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char prefix[] = "sha256//";
	const char *s = p->server.tls_pinned_key;

	while (s) {
		if (strncmp(s, prefix, sizeof(prefix) - 1))
			break;
		s += sizeof(prefix) - 1;
		if (strspn(s, base64) != 43 || s[43] != '=' || (s[44] && s[44] != ';'))
			break;
		s = s[44] ? s + 45 : NULL;
	}
	if (!s)
		return 0;
	return param_fail(p, "tls_pinned_key", e, "must be 'sha256//' and the base64 of the key's SHA-256; "
			  "more of them behind ';'");
}

static int check_proxy(const struct mail_params *p, struct err *e)
{
	static const char *const known[] = { "http", "https", "socks4", "socks4a", "socks5", "socks5h" };
	const char *s = p->server.proxy, *end;

	if (!s)
		return 0;
	/* The text is not shown: it may hold a password. */
	if (!*s || strpbrk(s, " \t") || !printable_ascii(s))
		return param_fail(p, "proxy", e,
				  "must be a URL or host:port without spaces and control characters");
	end = strstr(s, "://");
	if (!end)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == (size_t)(end - s) && !strncasecmp(s, known[i], (size_t)(end - s)))
			return 0;
	return param_fail(p, "proxy", e, "must be http:, https:, socks4:, socks4a:, socks5: or socks5h:");
}

static int check_interface(const struct mail_params *p, struct err *e)
{
	const char *s = p->server.interface;

	/* libcurl reads "if!name" and "host!name" with a meaning of its own. */
	if (!s || (*s && printable_ascii(s) && !strpbrk(s, " !/") && strlen(s) < 256))
		return 0;
	return param_fail(p, "interface", e, "must be the name of an interface or a local address");
}

static int check_username(const struct mail_params *p, struct err *e)
{
	const char *s = p->server.username;

	for (; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return param_fail(p, "username", e, "must not hold a control character");
	return 0;
}

static int finish_helo(struct mail_params *p, struct err *e)
{
	char *name;

	if (!p->server.helo_name)
		return 0;
	if (helo_parse(&name, p->server.helo_name, strlen(p->server.helo_name), e) < 0)
		return param_wrap(p, "helo_name", e);
	free(p->server.helo_name);
	p->server.helo_name = name;
	return 0;
}

static int finish_charset(struct mail_params *p, struct err *e)
{
	const char *name;

	if (!p->charset)
		return 0;
	if (!strcasecmp(p->charset, "utf8"))
		return param_fail(p, "charset", e, "'utf8' is no charset, did you mean 'utf-8'?");
	name = charset_name(p->charset);
	if (!name) {
		char shown[64];

		utf8_escape(shown, sizeof(shown), p->charset, strlen(p->charset));
		return param_fail(p, "charset", e, "unknown charset '%s'", shown);
	}
	free(p->charset);
	p->charset = xstrdup(name);
	return 0;
}

static int check_identification(const struct mail_params *p, struct err *e)
{
	int64_t seconds;
	char zone[8];

	if (p->date && date_parse(&seconds, zone, p->date, e) < 0)
		return param_wrap(p, "date", e);
	if (p->zone && zone_check(p->zone, e) < 0)
		return param_wrap(p, "zone", e);
	if (p->message_id && message_id_check(p->message_id, e) < 0)
		return param_wrap(p, "message_id", e);
	if (p->in_reply_to && message_ids_check(p->in_reply_to, e) < 0)
		return param_wrap(p, "in_reply_to", e);
	if (p->references && message_ids_check(p->references, e) < 0)
		return param_wrap(p, "references", e);
	return 0;
}

static int check_headers(const struct mail_params *p, struct err *e)
{
	for (size_t i = 0; i < p->headers.count; i++)
		if (message_field_check(&p->headers.item[i], e) < 0)
			return param_wrap(p, "headers", e);
	return 0;
}

int finish_words(struct mail_params *p, struct err *e)
{
	if (p->server.tls_key_file && !p->server.tls_cert_file)
		return err_set(e, ERR_USAGE, "tls_key_file is given but no tls_cert_file");
	if (finish_dsn(p, e) < 0 || check_auto_submitted(p, e) < 0 || check_pinned_key(p, e) < 0 ||
	    check_proxy(p, e) < 0 || check_interface(p, e) < 0 || check_username(p, e) < 0)
		return -1;
	if (finish_helo(p, e) < 0 || finish_charset(p, e) < 0 || check_identification(p, e) < 0)
		return -1;
	return check_headers(p, e);
}

