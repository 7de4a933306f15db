/* See redact.h. Secrets of one or two octets are in every text; to replace them would tell them. */

#include "net/redact.h"

#include "base/buf.h"
#include "base/xalloc.h"
#include "text/encode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_MIN = 3, SECRET_MAX = 1 << 17 };

/* Takes @text. */
static void add(struct redact *r, char *text, bool base64)
{
	if (text && strlen(text) >= SECRET_MIN && r->n < REDACT_MAX) {
		r->needle[r->n].text = text;
		r->needle[r->n++].base64 = base64;
	} else {
		wipe_free(text);
	}
}

/*
 * The characters of base64 that are of @secret alone where @before octets (0 to 2, whatever they are) stand
 * before it in its group of three: not those that it shares with its neighbours.
 */
static void add_base64(struct redact *r, const char *secret, size_t len, size_t before)
{
	static const size_t shared[] = { 0, 2, 3 };
	const size_t whole = (before + len) * 8 / 6;
	struct buf out = BUF_INIT(SECRET_MAX * 2);
	char *text = xmalloc(before + len + 1), *encoded;

	memset(text, 0, before);
	memcpy(text + before, secret, len + 1);
	if (whole > shared[before] && base64_add(&out, text, before + len) == 0) {
		encoded = xmalloc(whole - shared[before] + 1);
		memcpy(encoded, out.data + shared[before], whole - shared[before]);
		encoded[whole - shared[before]] = '\0';
		add(r, encoded, true);
	}
	explicit_bzero(text, before + len);
	free(text);
	buf_wipe(&out);
}

static void add_secret(struct redact *r, const char *secret)
{
	const size_t len = secret ? strlen(secret) : 0;

	if (len < SECRET_MIN || len > SECRET_MAX)
		return;
	add(r, xstrdup(secret), false);
	for (size_t before = 0; before < 3; before++)
		add_base64(r, secret, len, before);
}

void redact_init(struct redact *r, const char *password, const char *token)
{
	*r = (struct redact){ 0 };
	add_secret(r, password);
	add_secret(r, token);
}

static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=';
}

void redact_text(const struct redact *r, char *text)
{
	for (size_t i = 0; i < r->n; i++) {
		const char *needle = r->needle[i].text;
		const size_t len = strlen(needle);

		for (char *at = text; (at = strstr(at, needle)); at += 3) {
			const char *rest = at + len;

			while (r->needle[i].base64 && is_base64(*rest))
				rest++;
			memcpy(at, "***", 3);
			memmove(at + 3, rest, strlen(rest) + 1);
		}
	}
}

void redact_clear(struct redact *r)
{
	for (size_t i = 0; i < r->n; i++)
		wipe_free(r->needle[i].text);
	r->n = 0;
}
