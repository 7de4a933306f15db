/*
 * What the replies of an opening mean, for SMTP and LMTP alike: refusals of the
 * session, of TLS and of credentials. Each either says "go on" or has filled the failure.
 */

#include "net/opening.h"

#include "net/sasl.h"

int reply_garbage(struct opening *o, char first, const char *why)
{
	enum { TLS_ALERT = 0x15, TLS_HANDSHAKE = 0x16 };        /* RFC 8446 5.1, content types */

	if (o->stage == STAGE_GREETING && !o->tls && (first == TLS_ALERT || first == TLS_HANDSHAKE))
		why = "it speaks TLS from the first byte (--tls)";
	return opening_fail_protocol(o, why);
}

bool reply_greeting(struct opening *o)
{
	const int code = o->reply.code;

	if (code / 100 == 4)
		opening_fail_reply(o, RCPT_DEFERRED, CAUSE_REFUSED, "the server takes no session now");
	else if (code / 100 == 5)
		opening_fail_reply(o, RCPT_REJECTED, CAUSE_SENDER, "the server refuses the session");
	else if (code != 220)
		opening_fail_protocol(o, "its greeting is not 220");
	return !o->failed;
}

bool reply_starttls(struct opening *o)
{
	const int code = o->reply.code;

	if (code / 100 == 4 || code / 100 == 5)
		opening_fail_reply(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
				   "STARTTLS is refused, and nothing is sent in clear");
	else if (code != 220)
		opening_fail_protocol(o, "STARTTLS is answered by neither 220 nor a refusal");
	return !o->failed;
}

int reply_starttls_missing(struct opening *o)
{
	o->stage = STAGE_TLS;
	if (o->server->tls != TLS_STARTTLS)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_POLICY,
				    "the server offers no STARTTLS, and credentials are not "
				    "sent in clear; --tls if its port speaks TLS from the first byte, or "
				    "--allow-insecure-auth");
	return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
			    "the server offers no STARTTLS, and nothing is sent in clear%s",
			    o->server->tls_asked ? "; --tls if its port speaks TLS from the first byte"
						 : "; --no-starttls if that is meant");
}

bool reply_auth_offered(struct opening *o)
{
	const struct capabilities *c = &o->session->cap;
	char allowed[200];

	o->stage = STAGE_AUTH;
	if (!c->auth_offered) {
		opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH, "the server offers no AUTH%s",
			     o->tls        ? "; leave the credentials out if it needs none"
			     : c->starttls ? " before TLS: use --starttls"
					   : "; leave the credentials out if it needs none, or use --tls or "
					     "its submission port 587");
		return false;
	}
	if (sasl_offers(c->auth, o->mechanisms))
		return true;
	sasl_list(allowed, sizeof(allowed), o->mechanisms, "", " ");
	opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
		     "the server offers AUTH %.200s, of which none is allowed "
		     "for these credentials (%s): see --auth",
		     *c->auth ? c->auth : "without a mechanism", allowed);
	return false;
}

bool reply_auth(struct opening *o)
{
	const int code = o->reply.code;

	/* The end of it: one attempt, for a second could lock the account, and a weaker mechanism must not
	 * follow. */
	if (code / 100 == 4)
		opening_fail_reply(o, RCPT_DEFERRED, CAUSE_AUTH,
				   "the server cannot check the credentials now");
	else if (code / 100 == 5)
		opening_fail_reply(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
				   "the server does not accept the credentials");
	else if (code != 235 && code != 334)
		opening_fail_protocol(o, "AUTH is answered by neither 235, 334 nor a refusal");
	return !o->failed;
}
