#pragma once

/*
 * The SMTP envelope: who it is from and to whom, as the server will hear it.
 * Addresses are in wire form: no display name, IDNA applied, no brackets, no
 * CR or LF (checked here, so that no later stage has to).
 */

#include "base/base.h"

struct err;
struct mail_params;

enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };    /* RFC 3461 4.1 */

struct rcpt {
	char *addr;
	unsigned notify;            /* NOTIFY_ bits; 0: not asked for */
	char *orcpt;                /* "rfc822;x@y" in xtext; NULL: not asked for */
	bool eai;                   /* its local part is not ASCII */
};

struct envelope {
	char *from;                 /* "" is the null reverse-path; never NULL */
	bool from_eai;
	int ret;                    /* 0, 1 FULL, 2 HDRS (RFC 3461 4.3) */
	char *envid;                /* xtext; NULL: none */
	bool require_tls;           /* RFC 8689 */
	bool dsn_optional;          /* where DSN is not offered it is sent without */
	struct rcpt *rcpt;          /* unique (addr_same), in the order first named */
	size_t n_rcpt;              /* at least 1 */
};

/*
 * Of params that mail_params_finish() has seen: rcpt decides alone where it was given; else to, cc and bcc.
 * ERR_DATA for what has no wire form (IDNA) or is too long in it. Linear in the number of recipients.
 */
int envelope_from_params(struct envelope *ret, const struct mail_params *p, struct err *e) MUST_CHECK;
/* Its sender alone: env->from, from_eai. */
int envelope_sender(struct envelope *env, const struct mail_params *p, struct err *e) MUST_CHECK;
bool envelope_wants_dsn(const struct envelope *env);
/* It does, and a server without DSN is none for it. */
bool envelope_needs_dsn(const struct envelope *env);
void envelope_clear(struct envelope *env);
