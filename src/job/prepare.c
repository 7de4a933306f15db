/* The settings of one message, brought together; see prepare.h. */

#include "job/prepare.h"

#include "base/err.h"
#include "base/xalloc.h"
#include "input/aliases.h"
#include "input/config.h"
#include "input/secret.h"
#include "mime/ready.h"
#include "model/mail_params.h"
#include "text/addr.h"

#include <stdlib.h>
#include <string.h>

/* The address by which an account is chosen: the message's From, else what the settings say. */
static char *author(const struct mail_params *p)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	const char *said[] = { p->found.from, p->envelope_from, p->from };

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct mailbox m = {0};
		struct addr_cursor cursor;
		char *address = NULL;

		if (!said[i])
			continue;
		cursor = (struct addr_cursor){ .at = said[i], .end = said[i] + strlen(said[i]) };
		if (mailbox_list_next(&cursor, &m, ADDR_BARE_LOCAL | ADDR_NULL, &ignored) == ADDR_MAILBOX &&
		    *m.local)
			address = m.domain ? xasprintf("%s@%s", m.local, m.domain) : xstrdup(m.local);
		mailbox_clear(&m);
		if (address)
			return address;
	}
	return NULL;
}

int prepare(struct mail_params *p, const struct config *c, struct ready **ret_ready,
	    const struct sysinfo *sys, struct err *e)
{
	CLEANUP(ready_freep) struct ready *ready = NULL;
	CLEANUP(freep) char *from = NULL;

	if (config_defaults(c, p, e) < 0 || mail_params_settle(p, e) < 0)
		return -1;
	/* the message may be long in coming, and a secret of the configuration is in our memory meanwhile */
	if (p->server.username || p->server.proxy)
		secret_harden();
	if (ready_asked(p) && !p->probing) {
		if (mail_params_check_people(p, e) < 0 || ready_take(&ready, p, e) < 0)
			return -1;
		ready_found(ready, &p->found);
	}
	if (config_has_accounts(c))
		from = author(p);
	if (config_account(c, p, from, e) < 0 || aliases_read(p, e) < 0 ||
	    mail_params_finish(p, sys, e) < 0)
		return -1;
	*ret_ready = ready;
	ready = NULL;
	return 0;
}
