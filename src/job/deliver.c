/* params -> envelope and message -> transport -> report. */

#include "job/deliver.h"

#include "base/err.h"
#include "base/sys.h"
#include "job/secrets.h"
#include "mime/compose.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/message.h"
#include "model/report.h"
#include "net/output.h"
#include "net/transport.h"

#include <stdio.h>

static const struct verdict not_sent = { .state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL };

static int skip(struct report *r)
{
	r->dry_run = r->skipped = true;
	report_close(r, &not_sent);
	return 0;
}

static int write_out(struct report *r, const struct mail_params *p, struct message *m, struct err *e)
{
	r->dry_run = true;
	if (output_message(m, p->output, &r->size, e) < 0)
		return -1;
	report_close(r, &not_sent);
	return 0;
}

static int send_out(struct report *r, struct transport **ret, const struct mail_params *p,
		    const struct envelope *env, struct message *m, const struct deliver_hooks *hooks,
		    struct err *e)
{
	CLEANUP(secrets_clear) struct secrets secrets = { .server = &p->server };
	CLEANUP(transport_closep) struct transport *t = NULL;
	struct transport_options o = { .server = &p->server, .trace = hooks->trace,
				       .all_or_nothing = p->all_or_nothing,
				       .renew = secrets_renew, .renew_ctx = &secrets,
				       .progress = hooks->progress, .progress_ctx = hooks->ctx };

	if (p->server.has_credentials) {
		if (secrets_resolve(&secrets, e) < 0)
			return -1;
		o.credentials = &secrets.cred;
	}
	t = transport_new(&o);
	if (transport_send(t, env, m, r, e) < 0)
		return -1;
	transport_forget_credentials(t);
	*ret = t;
	t = NULL;
	return 0;
}

static int deliver(struct report *r, struct transport **ret, const struct mail_params *p,
		   struct ready **taken, const struct sysinfo *sys, const struct deliver_hooks *hooks,
		   struct err *e)
{
	CLEANUP(envelope_clear) struct envelope env = {0};
	CLEANUP(message_freep) struct message *m = NULL;

	if (p->server.has_credentials || p->server.proxy)
		secret_harden();
	if (envelope_from_params(&env, p, e) < 0)
		return -1;
	report_init(r, &env);
	if (message_from_params(&m, taken, p, sys, e) < 0)
		return -1;
	snprintf(r->message_id, sizeof(r->message_id), "%s", m->message_id);
	if (p->skip_empty && m->needs.empty)
		return skip(r);
	if (p->dry_run || p->output)
		return write_out(r, p, m, e);
	return send_out(r, ret, p, &env, m, hooks, e);
}

int deliver_now(struct report *ret, struct transport **ret_transport, const struct mail_params *p,
		struct ready **taken, const struct sysinfo *sys, const struct deliver_hooks *hooks,
		struct err *e)
{
	*ret = (struct report){0};
	*ret_transport = NULL;
	if (deliver(ret, ret_transport, p, taken, sys, hooks, e) == 0)
		return 0;
	report_error(ret, e);
	return -1;
}
