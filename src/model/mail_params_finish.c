/*
 * mail_params_finish(): what is allowed together, what the rest is by default,
 * and every word of a grammar read. What can be said before a file is read is
 * in mail_params_settle.c, the words in finish_words.c, the people in
 * finish_people.c, the servers in server_list.c.
 *
 * What is malformed has the class of its origin (param_fail, param_wrap); what
 * contradicts is ERR_USAGE; addresses, headers and content are ERR_DATA.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "model/local_names.h"
#include "model/params_impl.h"

/* A stream is read once: it goes to one server, once. */
static int check_stream(const struct mail_params *p, struct err *e)
{
	if (!p->stream)
		return 0;
	if (p->server.n_list > 1)
		return err_set(e, ERR_USAGE, "a stream can be sent to one server only, %zu are given",
			       p->server.n_list);
	if (p->require_end)
		return err_set(e, ERR_USAGE,
			       "a stream is sent before its end is seen, and require_end is asked for");
	if (p->server.retries)
		return err_set(e, ERR_USAGE, "a stream can be sent once only, and retries are asked for");
	return 0;
}

int mail_params_finish(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	if (mail_params_settle(p, e) < 0)
		return -1;
	if (p->verbose && p->quiet && param_origin(p, "verbose") == param_origin(p, "quiet"))
		return err_set(e, ERR_USAGE, "verbose and quiet contradict each other");
	bound_settle(p);
	if (finish_words(p, e) < 0 || server_params_finish(p, e) < 0 || check_stream(p, e) < 0)
		return -1;
	if (local_names_make(&p->names, p, e) < 0 || finish_recipients(p, e) < 0 ||
	    finish_sender(p, sys, e) < 0)
		return -1;
	p->server.inspect = p->probing;
	p->dry_run |= p->output != NULL;
	/* Both would go to standard output. */
	if (p->dry_run && !p->output && p->report != REPORT_SILENT)
		return err_set(e, ERR_USAGE,
			       "a dry run with a report needs --output FILE for the message");
	p->finished = true;
	return 0;
}
