/* The doctor; see check.h. What it does to a server is net/probe.c's, here it is told. */

#include "job/check.h"

#include "base/err.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "input/secret.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/report.h"
#include "net/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_VERSION = 1, LINE = 2048 };

struct checking {
	const struct mail_params *p;
	const struct check_out *out;
	struct json_out json;
	bool is_json, quiet, failed;
};

static void put_text(struct checking *c, const char *text)
{
	if (!c->failed && c->out->put(c->out->ctx, text, strlen(text)) < 0)
		c->failed = true;
}

/* ---- a step ---- */

static const char *state_name(enum probe_state s)
{
	static const char *const names[] = {
		[PROBE_OK] = "ok",
		[PROBE_WARNING] = "warning",
		[PROBE_FAILED] = "failed",
		[PROBE_SKIPPED] = "skipped",
	};

	return names[s];
}

static void step_json(struct checking *c, const struct probe_step *step)
{
	struct json_out *j = &c->json;

	json_open(j, NULL, '{');
	json_str(j, "step", step->name);
	json_str(j, "state", state_name(step->state));
	if (step->us < 0)
		json_null(j, "ms");
	else
		json_int(j, "ms", step->us / 1000);
	json_int(j, "code", step->code);
	json_str(j, "text", step->text);
	json_str(j, "hint", step->hint);
	json_close(j, '}');
}

static void step_text(struct checking *c, const struct probe_step *step)
{
	static const char *const marks[] = {
		[PROBE_OK] = "ok  ",
		[PROBE_WARNING] = "WARN",
		[PROBE_FAILED] = "FAIL",
		[PROBE_SKIPPED] = "-   ",
	};
	char escaped[1600], line[LINE], took[40] = "";

	if (c->quiet && step->state != PROBE_FAILED)
		return;
	utf8_escape(escaped, sizeof(escaped), step->text, strlen(step->text));
	if (step->us >= 0)
		snprintf(took, sizeof(took), " (%lld ms)", (long long)(step->us / 1000));
	snprintf(line, sizeof(line), "  %s  %-9s %s%s\n", marks[step->state], step->name, escaped, took);
	put_text(c, line);
	if (!*step->hint)
		return;
	snprintf(line, sizeof(line), "                  %s\n", step->hint);
	put_text(c, line);
}

static void take_step(void *ctx, const struct probe_step *step)
{
	struct checking *c = ctx;

	if (c->is_json)
		step_json(c, step);
	else
		step_text(c, step);
}

/* ---- a server ---- */

static void begin_server(struct checking *c, const char *label)
{
	char line[LINE];

	if (c->is_json) {
		json_open(&c->json, NULL, '{');
		json_str(&c->json, "server", label);
		json_open(&c->json, "steps", '[');
	} else if (!c->quiet) {
		snprintf(line, sizeof(line), "%s\n", label);
		put_text(c, line);
	}
}

static void end_server(struct checking *c, int exit)
{
	if (!c->is_json)
		return;
	json_close(&c->json, ']');
	json_int(&c->json, "exit", exit);
	json_close(&c->json, '}');
}

/* 1: a session was had; 0: it was not; -1. */
static int check_server(struct checking *c, const struct server *server,
			const struct session_credentials *cred, const struct envelope *env, bool mail,
			int *ret_exit, struct err *e)
{
	static const struct verdict rest = {
		.state = RCPT_NOT_ATTEMPTED, .stage = STAGE_LOCAL, .cause = CAUSE_LOCAL, .text = ""
	};
	const struct probe_hooks hooks = { take_step, c, c->out->trace };
	CLEANUP(report_clear) struct report report = {0};
	int r;

	report_init(&report, env);
	begin_server(c, server->label);
	r = probe_server(server, &c->p->server, cred, env, mail, &report, &hooks, e);
	if (r < 0)
		return -1;
	report_close(&report, &rest);
	*ret_exit = report_exit_code(&report);
	end_server(c, *ret_exit);
	return r;
}

/*
 * All are looked at. The exit code is that of the first with which a session was had, as a send stays with that
 * one; where none was, of the last.
 */
static int check_servers(struct checking *c, const struct session_credentials *cred,
			 const struct envelope *env, bool mail, int *ret_exit, struct err *e)
{
	const struct server_params *s = &c->p->server;
	bool decided = false;

	for (size_t i = 0; i < s->n_list; i++) {
		int exit = 0, r = check_server(c, &s->list[i], cred, env, mail, &exit, e);

		if (r < 0)
			return -1;
		if (!decided)
			*ret_exit = exit;
		decided |= r > 0;
	}
	return 0;
}

/* ---- the whole ---- */

/* The exit code speaks of recipients; where none was named, of one that nobody asks for. */
static int make_envelope(struct envelope *env, const struct mail_params *p, bool *ret_mail, struct err *e)
{
	if (envelope_from_params(env, p, e) < 0)
		return -1;
	*ret_mail = env->n_rcpt > 0;
	if (*ret_mail)
		return 0;
	env->rcpt[0] = (struct rcpt){ .addr = strdup("postmaster") };
	env->n_rcpt = 1;
	return env->rcpt[0].addr ? 0 : err_set(e, ERR_OS, "out of memory");
}

static int finish_output(struct checking *c, int exit, struct err *e)
{
	if (c->is_json) {
		json_close(&c->json, ']');
		json_int(&c->json, "exit", exit);
		json_close(&c->json, '}');
		put_text(c, "\n");
	}
	if (c->failed || c->json.failed)
		return err_sys(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

static void begin_output(struct checking *c)
{
	if (!c->is_json) {
		char line[LINE];

		snprintf(line, sizeof(line), "configuration: %s%s%s\n",
			 c->out->config ? c->out->config : "none", c->p->account ? ", account " : "",
			 c->p->account ? c->p->account : "");
		if (!c->quiet)
			put_text(c, line);
		return;
	}
	json_open(&c->json, NULL, '{');
	json_int(&c->json, "version", CHECK_VERSION);
	json_str(&c->json, "config", c->out->config ? c->out->config : "");
	json_str(&c->json, "account", c->p->account ? c->p->account : "");
	json_open(&c->json, "servers", '[');
}

int check(int *ret_exit, const struct mail_params *p, const struct check_out *out, struct err *e)
{
	CLEANUP(credentials_clear) struct credentials secret = {0};
	CLEANUP(envelope_clear) struct envelope env = {0};
	struct checking c = { .p = p, .out = out, .json = { .put = out->put, .ctx = out->ctx },
			      .is_json = p->report == REPORT_JSON, .quiet = p->quiet };
	struct session_credentials cred;
	bool mail;

	if (make_envelope(&env, p, &mail, e) < 0)
		return -1;
	if (p->server.has_credentials &&
	    credentials_resolve(&secret, &p->server, p->server.list[0].host, e) < 0)
		return -1;
	cred = (struct session_credentials){ secret.username, secret.password, secret.token };
	begin_output(&c);
	if (check_servers(&c, p->server.has_credentials ? &cred : NULL, &env, mail, ret_exit, e) < 0)
		return -1;
	return finish_output(&c, *ret_exit, e);
}
