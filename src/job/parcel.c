/* One message of a batch, from its row to its report; see pool.h. */

#include "job/pool.h"

#include "base/err.h"
#include "base/io.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/csv.h"
#include "input/input.h"
#include "input/secret.h"
#include "job/merge.h"
#include "job/prepare.h"
#include "mime/compose.h"
#include "mime/ready.h"
#include "model/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SHOWN_MAX = 0x7fffffff };

static struct verdict words(enum rcpt_state state, enum cause cause, const char *text)
{
	return (struct verdict){ .state = state, .stage = STAGE_LOCAL, .cause = cause, .text = text,
				 .len = strlen(text) };
}

/* ---- from the row to params ---- */

static int read_row(struct parcel *x, const struct pool *p, const struct row *row, struct err *e)
{
	CLEANUP(value_freep) struct value *data = NULL;
	unsigned line = row->line < LINE_SHOWN_MAX ? (unsigned)row->line : LINE_SHOWN_MAX;
	const struct value *id;

	if (row->fault)
		return row_refuse(row, p->name, e);
	if (!p->merge)
		return input_line(x->p, &x->id, p->name, line, row->text, row->len, p->exposed, e);
	if (p->csv ? csv_record(&data, p->header, p->name, row, e)
		   : json_read_data(&data, p->name, line, row->text, row->len, e))
		return -1;
	if (data->type != VALUE_OBJECT)
		return err_set(e, ERR_DATA, "%s:%u: must be one object, {\"name\": value, ...}", p->name, line);
	id = value_get(data, "id");
	/* a column that is empty in this row, or a null, is none */
	if (id && id->type != VALUE_NULL && !(id->type == VALUE_STR && !id->len) && !(x->id = input_id(id, p->name, e)))
		return -1;
	if (merge_fill(p->merge, x->p, data, e) < 0)
		return err_wrap(e, "%s:%u", p->name, line);
	return 0;
}

/* ---- what the journal knows ---- */

/* 1: it is a message to be looked at; 0: everything about it is known; -1. */
static int look_up(struct parcel *x, const struct pool *p, struct err *e)
{
	bool repeated;

	if (!p->journal)
		return 1;
	journal_look_up(p->journal, &x->key, x->line, x->id, &x->past, &repeated);
	if (repeated)
		return err_set(e, ERR_DATA, "%s:%llu: id '%s' is that of line %llu already: not sent again", p->name,
			       x->line, x->id, x->past.line);
	if (x->past.state == JOURNAL_ACCEPTED) {
		x->skipped = true;
		return 0;
	}
	/* the same message once more: whoever has it twice is to see that */
	if (x->past.message_id[0] && !x->p->message_id && !ready_asked(x->p))
		x->p->message_id = xstrdup(x->past.message_id);
	return 1;
}

static void settle_past(struct parcel *x, const struct pool *p)
{
	static const struct { enum rcpt_state state; enum cause cause; const char *text; } known[] = {
		{RCPT_ACCEPTED, CAUSE_NONE, "accepted in an earlier run"},
		{RCPT_REJECTED, CAUSE_RECIPIENT, "refused in an earlier run"},
		{RCPT_UNKNOWN, CAUSE_LOST, "may have been sent in an earlier run; --unknown=retry sends it again"},
	};
	bool retry = p->defaults->batch.unknown;

	for (size_t i = 0; i < x->env.n_rcpt; i++) {
		enum rcpt_state state = journal_past_of(&x->past, x->env.rcpt[i].addr);

		if (state == RCPT_UNKNOWN && retry)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
			struct verdict v = words(known[k].state, known[k].cause, known[k].text);

			if (known[k].state != state)
				continue;
			v.stage = STAGE_DOT;
			report_reserve(&x->report, 1);
			report_settle(&x->report, i, &v);
			x->todo[i] = false;
		}
	}
	if (!parcel_any_todo(x)) {
		x->from_journal = true;
		snprintf(x->report.message_id, sizeof(x->report.message_id), "%s", x->past.message_id);
		report_close(&x->report, &(struct verdict){ .state = RCPT_NOT_ATTEMPTED });
	}
}

/* ---- from params to the message ---- */

static int compose(struct parcel *x, const struct pool *p, struct err *e)
{
	const char *reader = mail_params_stdin(x->p);

	if (reader)
		return err_set(e, ERR_DATA, "%s:%llu: %s: a batch has many messages, and standard input is one", p->name,
			       x->line, reader);
	if (prepare(x->p, p->config, &x->ready, p->sys, e) < 0)
		return -1;
	if (x->p->server.has_credentials || x->p->server.proxy)
		secret_harden();
	if (envelope_from_params(&x->env, x->p, e) < 0)
		return -1;
	report_init(&x->report, &x->env);
	x->todo = xmalloc(x->env.n_rcpt * sizeof(*x->todo));
	for (size_t i = 0; i < x->env.n_rcpt; i++)
		x->todo[i] = true;
	if (p->journal && x->past.state != JOURNAL_NEW)
		settle_past(x, p);
	if (x->from_journal)
		return 0;
	if (message_from_params(&x->m, &x->ready, x->p, p->sys, e) < 0)
		return -1;
	snprintf(x->report.message_id, sizeof(x->report.message_id), "%s", x->m->message_id);
	x->report.dry_run = p->dry_run;
	if (x->p->skip_empty && x->m->needs.empty)
		x->report.dry_run = x->report.skipped = true;
	return 0;
}

/* A line that stands alone is told where it is from by its error already. */
static void place(const struct parcel *x, const struct pool *p, struct err *e)
{
	size_t len = strlen(p->name);

	if (strncmp(e->text, p->name, len) || e->text[len] != ':' || !isdigit((unsigned char)e->text[len + 1]))
		err_wrap(e, "%s:%llu", p->name, x->line);
}

void parcel_withhold(struct parcel *x)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct verdict v;

	x->shipment.msg = NULL;
	err_set(&e, ERR_DATA, "not sent: line %llu was not sent to all, and --stop-on-error",
		x->maker->pool->stopped_by);
	v = words(RCPT_NOT_ATTEMPTED, CAUSE_LOCAL, e.text);
	report_own_failure(&x->report, &e, "");
	report_close(&x->report, &v);
}

struct parcel *parcel_new(struct worker *maker, const struct taken *taken)
{
	struct pool *p = maker->pool;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct parcel *x = xcalloc(1, sizeof(*x));
	int r;

	x->maker = maker;
	x->seq = taken->seq;
	x->line = taken->row.line;
	x->row_len = taken->row.len;
	x->begun_us = io_now_us();
	x->p = xmalloc(sizeof(*x->p));
	mail_params_copy(x->p, p->defaults);
	x->p->many = true;
	r = read_row(x, p, &taken->row, &e);
	if (p->journal)
		x->key = x->id ? journal_key_of_id(x->id, strlen(x->id))
			       : journal_key_of_line(taken->row.text, taken->row.len);
	free(taken->row.text);
	if (r == 0)
		r = look_up(x, p, &e);
	if (r > 0)
		r = compose(x, p, &e);
	if (r < 0) {
		place(x, p, &e);
		x->placed = true;
		report_error(&x->report, &e);
	}
	if (r < 0 || x->skipped || x->from_journal)
		return x;
	if (taken->not_to_be_sent && !x->report.skipped) {
		parcel_withhold(x);
		return x;
	}
	x->shipment = (struct shipment){ .env = &x->env, .msg = x->m, .report = &x->report, .todo = x->todo,
					 .all_or_nothing = x->p->all_or_nothing };
	return x;
}

bool parcel_any_todo(const struct parcel *x)
{
	for (size_t i = 0; i < x->env.n_rcpt; i++)
		if (x->todo[i])
			return true;
	return false;
}

void parcel_close(struct parcel *x, const struct verdict *rest)
{
	report_close(&x->report, rest);
	x->report.total_us = io_now_us() - x->begun_us;
}

/* Its params, and its hold of their route, which may be what keeps them. */
static void drop_params(struct parcel *x)
{
	if (x->p && !route_keeps(x->route, x->p)) {
		mail_params_clear(x->p);
		free(x->p);
	}
	x->p = NULL;
	route_drop(x->maker->pool, x->route);
	x->route = NULL;
}

void parcel_shrink(struct parcel *x)
{
	message_free(x->m);
	x->m = NULL;
	ready_free(x->ready);
	x->ready = NULL;
	envelope_clear(&x->env);
	journal_past_clear(&x->past);
	free(x->todo);
	x->todo = NULL;
	if (!x->p->log)                 /* its line wants to know more of it */
		drop_params(x);
}

void parcel_free(struct parcel *x)
{
	message_free(x->m);
	ready_free(x->ready);
	report_clear(&x->report);
	envelope_clear(&x->env);
	journal_past_clear(&x->past);
	drop_params(x);
	free(x->todo);
	free(x->id);
	free(x);
}
