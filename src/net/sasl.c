/* See sasl.h. */

#include "net/sasl.h"

#include "base/buf.h"
#include "base/err.h"
#include "model/mail_params.h"
#include "net/session.h"
#include "text/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * RFC 4954 4: a command line is 12288 octets at most with an initial response, but servers that keep to the
 * 512 of RFC 5321 are about. Longer responses wait for the server's 334.
 */
enum { INITIAL_MAX = 500, MESSAGE_MAX = 1 << 18 };

/* From the strongest proof to the weakest. */
static const unsigned order[] = { AUTH_EXTERNAL, AUTH_OAUTHBEARER, AUTH_XOAUTH2, AUTH_PLAIN, AUTH_LOGIN };

/* All bits, as they are listed to users. */
static const unsigned all[] = {
	AUTH_EXTERNAL, AUTH_GSSAPI,      AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1, AUTH_DIGEST_MD5, AUTH_CRAM_MD5,
	AUTH_NTLM,     AUTH_OAUTHBEARER, AUTH_XOAUTH2,       AUTH_PLAIN,       AUTH_LOGIN,
};

static bool offers(const char *offered, const char *name)
{
	const size_t len = strlen(name);

	for (const char *at = offered; (at = strstr(at, name)); at += len)
		if ((at == offered || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

unsigned sasl_choose(const char *offered, unsigned allowed)
{
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if ((allowed & order[i]) && offers(offered, auth_mech_name(order[i])))
			return order[i];
	return 0;
}

bool sasl_offers(const char *offered, unsigned allowed)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if ((allowed & all[i]) && offers(offered, auth_mech_name(all[i])))
			return true;
	return false;
}

void sasl_list(char *out, size_t cap, unsigned allowed, const char *prefix, const char *between)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if ((allowed & all[i]) && n < cap)
			n += (size_t)snprintf(out + n, cap - n, "%s%s%s", n ? between : "", prefix,
					      auth_mech_name(all[i]));
}

static const char *str(const char *s)
{
	return s ? s : "";
}

/* RFC 5801 4: "," and "=" of a name in a GS2 header. */
static int add_saslname(struct buf *out, const char *name)
{
	for (; *name; name++) {
		int rc = *name == ','   ? buf_adds(out, "=2C")
			 : *name == '=' ? buf_adds(out, "=3D")
					: buf_add(out, name, 1);

		if (rc < 0)
			return -1;
	}
	return 0;
}

/* RFC 7628 3.1. */
static int oauthbearer(const struct sasl *s, struct buf *out)
{
	if (buf_adds(out, "n,") < 0)
		return -1;
	if (s->cred->username && *s->cred->username &&
	    (buf_adds(out, "a=") < 0 || add_saslname(out, s->cred->username) < 0))
		return -1;
	if (buf_adds(out, ",\1") < 0 ||
	    (s->host && buf_addf(out, "host=%s\1port=%u\1", s->host, s->port) < 0))
		return -1;
	return buf_addf(out, "auth=Bearer %s\1\1", str(s->cred->token));
}

/* The client's message of @step, before base64. */
static int message(const struct sasl *s, struct buf *out)
{
	const struct session_credentials *c = s->cred;

	switch (s->mechanism) {
	case AUTH_EXTERNAL:
		return buf_adds(out, str(c->username));
	case AUTH_OAUTHBEARER:
		return oauthbearer(s, out);
	case AUTH_XOAUTH2:
		return buf_addf(out, "user=%s\1auth=Bearer %s\1\1", str(c->username), str(c->token));
	case AUTH_PLAIN:
		if (buf_add(out, "", 1) < 0 || buf_adds(out, str(c->username)) < 0 || buf_add(out, "", 1) < 0)
			return -1;
		return buf_adds(out, str(c->password));
	default:        /* LOGIN asks for one after the other */
		return buf_adds(out, str(s->step == 0 ? c->username : c->password));
	}
}

static int add_message(const struct sasl *s, struct buf *out)
{
	/* Its whole room at once: a buffer that grows leaves copies of a secret behind. */
	struct buf plain = BUF_INIT(MESSAGE_MAX);
	const size_t room = strlen(str(s->cred->username)) * 3 + strlen(str(s->cred->password)) +
			    strlen(str(s->cred->token)) + 600;
	int rc = -1;

	if (buf_reserve(&plain, room) == 0 && message(s, &plain) == 0)
		rc = base64_add(out, plain.data, plain.len);
	buf_wipe(&plain);
	return rc;
}

int sasl_first(struct sasl *s, struct buf *out)
{
	struct buf response = BUF_INIT(MESSAGE_MAX * 2);
	int rc = buf_addf(out, "AUTH %s", auth_mech_name(s->mechanism));

	s->step = 0;
	if (rc == 0 && s->mechanism != AUTH_LOGIN) {
		rc = add_message(s, &response);
		if (rc == 0 && response.len <= INITIAL_MAX) {
			/* "=" is an initial response of no octets (RFC 4954 4). */
			rc = buf_addf(out, " %s", response.len ? response.data : "=");
			s->step = 1;
		}
	}
	buf_wipe(&response);
	return rc;
}

static bool is_base64(const char *text, size_t len)
{
	char *out;
	size_t n;
	struct err e CLEANUP(err_clear) = ERR_INIT;

	if (base64_decode(&out, &n, text, len, &e) < 0)
		return false;
	free(out);
	return true;
}

static int cancel(struct buf *out, const char **why, const char *text)
{
	*why = text;
	if (buf_adds(out, "*") < 0)
		*why = "out of room";
	return -1;
}

int sasl_answer(struct sasl *s, const char *text, size_t len, struct buf *out, const char **why)
{
	const int last = s->mechanism == AUTH_LOGIN ? 2 : 1;

	if (s->step > last)
		return cancel(out, why, "the server asks on and on");
	if (s->mechanism == AUTH_LOGIN || s->step < last) {
		/* LOGIN's prompts are words for people: what is in them does not matter. */
		if (s->step == last)
			return cancel(out, why, "the server asks for more than a user name and a password");
		if (add_message(s, out) < 0)
			return cancel(out, why, "a user name, password or token that is too long");
		s->step++;
		return 0;
	}
	s->step++;
	/* The error of RFC 7628 3.2.2 wants a dummy answer before the server may say 535. */
	if ((s->mechanism == AUTH_OAUTHBEARER || s->mechanism == AUTH_XOAUTH2) && is_base64(text, len)) {
		if (s->mechanism == AUTH_OAUTHBEARER && buf_adds(out, "AQ==") < 0)
			return cancel(out, why, "out of room");
		return 0;
	}
	return cancel(out, why, "the server asks for more than the mechanism has");
}
