/* Credentials for a delivery; see secrets.h. */

#include "job/secrets.h"

#include "base/err.h"
#include "model/mail_params.h"

static void present(struct secrets *s)
{
	s->cred = (struct session_credentials){ s->own.username, s->own.password, s->own.token };
}

int secrets_resolve(struct secrets *s, struct err *e)
{
	if (credentials_resolve(&s->own, s->server, s->server->list[0].host, e) < 0)
		return -1;
	present(s);
	return 0;
}

bool secrets_renew(void *ctx)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	struct secrets *s = ctx;
	int r = credentials_renew(&s->own, s->server, &ignored);

	present(s);
	return r > 0;
}

void secrets_clear(struct secrets *s)
{
	credentials_clear(&s->own);
}
