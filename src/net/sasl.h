#pragma once

/*
 * SASL for LMTP (RFC 4954, where libcurl's own does not go), as pure functions: what is sent first, and what
 * answers each challenge. EXTERNAL (RFC 4422), OAUTHBEARER (RFC 7628), XOAUTH2, PLAIN (RFC 4616), LOGIN.
 */

#include "base/base.h"

struct buf;
struct err;
struct session_credentials;

struct sasl {
	unsigned mechanism;             /* one bit of enum auth_mech */
	const struct session_credentials *cred;
	const char *host;               /* OAUTHBEARER names whom the token is for */
	unsigned port;
	int step;
};

/* The best of @offered ("PLAIN LOGIN", in capitals) that @allowed has and this file speaks; 0: none. */
unsigned sasl_choose(const char *offered, unsigned allowed);
/* Whether @offered has any of @allowed, whoever speaks it. */
bool sasl_offers(const char *offered, unsigned allowed);
/* Mechanisms of the bits @allowed in libcurl's form "AUTH=PLAIN;AUTH=LOGIN", or their names with @between ",
 * ". */
void sasl_list(char *out, size_t cap, unsigned allowed, const char *prefix, const char *between);

/* "AUTH PLAIN AHVzZXIAcGFzcw==" without CRLF; without the initial response where that is too long (RFC 4954
 * 4). -1: @out full. */
int sasl_first(struct sasl *s, struct buf *out) MUST_CHECK;
/*
 * The line that answers the challenge @text (base64, or empty), without CRLF. 0; -1: none can be given, and
 * @out is
 * "*" (cancel), *why says it.
 */
int sasl_answer(struct sasl *s, const char *text, size_t len, struct buf *out, const char **why) MUST_CHECK;
