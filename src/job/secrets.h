#pragma once

/* The secrets of a delivery, resolved, and the form in which a session takes them. */

#include "input/secret.h"
#include "net/session.h"

struct secrets {
	struct credentials own;
	struct session_credentials cred;        /* borrows from own */
	const struct server_params *server;     /* borrowed; set before the others */
};

/* Once; ERR as credentials_resolve(). */
int secrets_resolve(struct secrets *s, struct err *e) MUST_CHECK;
/* A token was refused: true where @ctx, struct secrets, has another one now; else the refusal stands. */
bool secrets_renew(void *ctx);
void secrets_clear(struct secrets *s);
