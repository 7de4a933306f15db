/* See redact.h. Secrets of one or two octets are in every text; to replace them would tell them. */
#include "net/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "text/encode.h"

enum { SECRET_MIN = 3, SECRET_MAX = 1 << 17 };

/* Takes @secret. */
static void add(struct redact *r, char *secret)
{
	if (secret && strlen(secret) >= SECRET_MIN && r->n < REDACT_MAX)
		r->needle[r->n++] = secret;
	else
		wipe_free(secret);
}

static void add_base64(struct redact *r, const void *mem, size_t len)
{
	struct buf out = BUF_INIT(SECRET_MAX * 2);
	char *text;
	size_t n;

	if (base64_add(&out, mem, len) == 0) {
		text = buf_take(&out, &n);
		/* Without its padding, so that a cut or re-padded echo is found as well. */
		while (n && text[n - 1] == '=')
			text[--n] = '\0';
		add(r, text);
	}
	buf_wipe(&out);
}

static void add_forms(struct redact *r, const char *secret)
{
	add(r, xstrdup(secret));
	add_base64(r, secret, strlen(secret));
}

void redact_init(struct redact *r, const char *username, const char *password, const char *token)
{
	const char *user = username ? username : "";
	const size_t user_len = strlen(user);

	*r = (struct redact){ 0 };
	if (password && strlen(password) < SECRET_MAX / 2 && user_len < SECRET_MAX / 4) {
		/* RFC 4616: NUL user NUL password, and the form that names the identity twice. */
		const size_t len = strlen(password);
		char *plain = xmalloc(user_len * 2 + len + 3);

		plain[user_len] = '\0';
		memcpy(plain, user, user_len);
		memcpy(plain + user_len + 1, user, user_len);
		plain[user_len * 2 + 1] = '\0';
		memcpy(plain + user_len * 2 + 2, password, len + 1);
		add_base64(r, plain + user_len, user_len + len + 2);
		add_base64(r, plain, user_len * 2 + len + 2);
		explicit_bzero(plain, user_len * 2 + len + 2);
		free(plain);
		add_forms(r, password);
	}
	if (token && strlen(token) < SECRET_MAX / 2 && user_len < SECRET_MAX / 4) {
		char *xoauth2 = xasprintf("user=%s\1auth=Bearer %s\1\1", user, token);

		add_base64(r, xoauth2, strlen(xoauth2));
		wipe_free(xoauth2);
		add_forms(r, token);
	}
}

void redact_text(const struct redact *r, char *text)
{
	for (size_t i = 0; i < r->n; i++) {
		const size_t len = strlen(r->needle[i]);

		for (char *at = text; (at = strstr(at, r->needle[i])); at += 3) {
			memcpy(at, "***", 3);
			memmove(at + 3, at + len, strlen(at + len) + 1);
		}
	}
}

void redact_clear(struct redact *r)
{
	for (size_t i = 0; i < r->n; i++)
		wipe_free(r->needle[i]);
	r->n = 0;
}
