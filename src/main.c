/*
 * Entry point: read the inputs, run one mode, report, exit. The order of the
 * lines in run() is the data flow of the program; see HACKING.md. Only this
 * file prints: results to standard output, all else to standard error.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "input/config.h"
#include "input/input.h"
#include "job/batch.h"
#include "job/check.h"
#include "job/deliver.h"
#include "job/log.h"
#include "job/prepare.h"
#include "job/serve.h"
#include "mime/ready.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/param_table.h"
#include "model/report.h"
#include "model/value.h"
#include "net/transport.h"
#include "tell.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- one message ---- */

static int send_one(const struct mail_params *p, struct ready **taken, const struct telling *how)
{
	CLEANUP(report_clear) struct report report = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(transport_closep) struct transport *t = NULL;
	struct tell_progress progress = { .started_ms = io_now_ms() };
	struct deliver_hooks hooks = { .trace = p->verbose ? &tell_trace : NULL, .ctx = &progress };

	if (!p->quiet && !p->verbose && isatty(STDERR_FILENO))
		hooks.progress = tell_progress;
	tell_waivers(p);
	if (deliver_now(&report, &t, p, taken, &sysinfo_real, &hooks, &e) < 0 && report.error_exit == 0)
		report_error(&report, &e);
	return tell_conclusion(&report, p, how);
}

/* ---- the other ways to run ---- */

struct serving { const struct telling *how; };

static void show_settled(void *ctx, const struct report *r, const struct mail_params *p)
{
	const struct serving *s = ctx;
	char line[2048];

	report_line(r, line, sizeof(line));
	if (line[0] && !s->how->silent)
		tell("", line);
	tell_log(r, p, tell_exit_code(report_exit_code(r), s->how));
}

/* --batch, --data */
static int send_many(struct mail_params *p, const struct invocation *inv, const struct config *c,
		     const struct telling *how, struct err *e)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 30);
	struct tell_batch tell_it = { .how = how, .defaults = p, .out = &out,
				      .bar = !p->quiet && !p->verbose && isatty(STDERR_FILENO) };
	const struct batch_hooks hooks = { .trace = p->verbose ? &tell_trace : NULL, .settled = tell_batch_settled,
					   .flush = tell_batch_flush, .progress = tell_batch_progress,
					   .ctx = &tell_it };
	const struct batch_input input = { inv->batch_file ? inv->batch_file : inv->data_file, inv->data_file };
	struct batch_counts counts;
	int code, r;

	tell_waivers(p);
	r = batch(p, &input, c, &sysinfo_real, &hooks, &counts, &code, e);
	if (counts.messages || counts.skipped || r == 0)
		tell_batch_summary(&tell_it, &counts);
	if (r < 0)
		return -1;
	if (tell_it.failed) {
		err_sys(e, ERR_IO, tell_it.error, "cannot write the report to standard output");
		tell("", e->text);
		return err_exit_code(e);
	}
	return tell_exit_code(code, how);
}

/* -bs: the replies are our standard output, so nothing else may be. */
static int serve_standard(const struct mail_params *p, const struct config *c, const struct telling *how,
			  struct err *e)
{
	struct serving serving = { how };
	const struct deliver_hooks deliver = { .trace = p->verbose ? &tell_trace : NULL };
	const struct serve_hooks hooks = { &deliver, show_settled, &serving };
	int code = serve(STDIN_FILENO, STDOUT_FILENO, p, c, &sysinfo_real, &hooks, e);

	return code < 0 ? -1 : tell_exit_code(code, how);
}

/* --check: a line a step. */
static int check_way(const struct mail_params *p, const struct config *config, struct err *e)
{
	struct tell_out out = { .len = 0 };
	const struct check_out to = { tell_put, &out, p->verbose ? &tell_trace : NULL, config_path(config) };
	int code;

	tell_waivers(p);
	if (check(&code, p, &to, e) < 0)
		return -1;
	if (tell_flush(&out) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write to standard output");
	return code;
}

/* -bv: the envelope that a send would have. */
static int verify(const struct mail_params *p, struct err *e)
{
	CLEANUP(envelope_clear) struct envelope env = {0};
	CLEANUP(buf_clear) struct buf text = BUF_INIT(64 << 20);

	if (envelope_from_params(&env, p, e) < 0)
		return -1;
	for (size_t i = 0; i < env.n_rcpt; i++)
		if (buf_adds(&text, env.rcpt[i].addr) < 0 || buf_adds(&text, "\n") < 0)
			return err_set(e, ERR_SOFTWARE, "more text than expected");
	return tell_text(&text, e);
}

static int print_queue(struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(256);

	if (buf_adds(&text, "Mail queue is empty\n") < 0)
		return err_set(e, ERR_SOFTWARE, "more text than expected");
	return tell_text(&text, e);
}

static int print_mode(enum mode mode, const struct mail_params *p, struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(64 << 20);
	int r;

	switch (mode) {
	case MODE_HELP: r = input_help(&text); break;
	case MODE_VERSION: r = input_version(&text, session_library()); break;
	case MODE_PRINT_PARAMS: r = mail_params_print(p, &text); break;
	default: r = mail_params_schema(&text); break;
	}
	if (r < 0)
		return err_set(e, ERR_SOFTWARE, "more text than expected");
	return tell_text(&text, e);
}

/* ---- the program ---- */

/*
 * The text comes from standard input where nothing else gives one, as mail(1) has it. A params file is the
 * whole of its message: a program that runs us with one may have left anything on our standard input.
 */
static int default_body(struct mail_params *p, const struct invocation *inv, struct err *e)
{
	static const char *const texts[] = { "body", "body_file", "html", "html_file", "message_file" };
	CLEANUP(value_freep) struct value *dash = value_text("-");

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (mail_params_given(p, texts[i]))
			return 0;
	if (inv->params_file || inv->batch_file || mail_params_stdin(p) || p->probing)
		return 0;
	if (inv->data_file && (!strcmp(inv->data_file, "-") || isatty(STDIN_FILENO)))
		return 0;
	return mail_params_set(p, param_row(p->read_recipients ? "message_file" : "body_file"), dash,
			       ORIGIN_DEFAULT, NULL, e);
}

/* Standard input is one stream: where the params were read from it, nothing of theirs is left in it. */
static int check_stdin(const struct mail_params *p, const struct invocation *inv, struct err *e)
{
	static const char *const names[] = { "-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0" };
	const char *taker = mail_params_stdin(p);

	const struct { const char *path, *what; } files[] = {
		{inv->params_file, "params file"}, {inv->batch_file, "batch"}, {inv->data_file, "data"},
	};
	const char *other = NULL;

	for (size_t f = 0; f < ARRAY_SIZE(files); f++)
		for (size_t i = 0; files[f].path && i < ARRAY_SIZE(names); i++) {
			if (strcmp(files[f].path, names[i]))
				continue;
			if (taker)
				return err_set(e, ERR_USAGE, "%s: standard input already is the %s", taker,
					       files[f].what);
			if (other)
				return err_set(e, ERR_USAGE, "standard input cannot be both the %s and the %s", other,
					       files[f].what);
			other = files[f].what;
		}
	return 0;
}

/* The arguments, in the grammar of the name we go by. */
static int read_arguments(struct mail_params *p, struct invocation *inv, int argc, char *argv[], struct err *e)
{
	int skip;

	if (input_personality(&inv->as, &skip, argc, argv, e) < 0)
		return -1;
	argc -= skip;
	argv += skip;
	switch (inv->as) {
	case AS_MAILCHUTE: return input_argv(p, inv, argc, argv, e);
	case AS_MAIL: return input_mail(p, inv, argc, argv, e);
	default: return input_sendmail(p, inv, argc, argv, e);
	}
}

static bool reads_nothing(enum mode mode)
{
	return mode == MODE_HELP || mode == MODE_VERSION || mode == MODE_PRINT_SCHEMA || mode == MODE_QUEUE ||
	       mode == MODE_NOTHING;
}

static int read_inputs(struct mail_params *p, struct invocation *inv, struct config **ret, int argc,
		       char *argv[], struct err *e)
{
	const char *config = getenv("MAILCHUTE_CONFIG");

	if (read_arguments(p, inv, argc, argv, e) < 0)
		return -1;
	if (reads_nothing(inv->mode))
		return 0;
	p->probing = inv->mode == MODE_CHECK;
	if (sysinfo_check(e) < 0 || input_environ(p, environ, e) < 0)
		return -1;
	if (inv->params_file && input_params_file(p, inv->params_file, e) < 0)
		return -1;
	if (config_read(ret, inv->config_file ? inv->config_file : config, e) < 0)
		return -1;
	if (inv->mode == MODE_SERVE)
		return 0;
	return default_body(p, inv, e) < 0 ? -1 : check_stdin(p, inv, e);
}

static int run(struct mail_params *p, struct telling *how, int argc, char *argv[], struct err *e)
{
	CLEANUP(config_freep) struct config *config = NULL;
	CLEANUP(ready_freep) struct ready *ready = NULL;
	struct invocation inv = { .mode = MODE_SEND };
	int code = read_inputs(p, &inv, &config, argc, argv, e);

	*how = (struct telling){ inv.as, inv.silent };
	if (inv.warning)
		tell("warning: ", inv.warning);
	if (code < 0)
		return -1;
	if (inv.mode == MODE_NOTHING)
		return 0;
	if (inv.mode == MODE_QUEUE)
		return print_queue(e);
	if (reads_nothing(inv.mode))
		return print_mode(inv.mode, p, e);
	if (inv.mode == MODE_SERVE)
		return serve_standard(p, config, how, e);

	if ((inv.batch_file || inv.data_file) && inv.mode == MODE_SEND)
		return send_many(p, &inv, config, how, e);
	if (prepare(p, config, &ready, &sysinfo_real, e) < 0)
		return -1;
	switch (inv.mode) {
	case MODE_CHECK: return check_way(p, config, e);
	case MODE_VERIFY: return verify(p, e);
	case MODE_PRINT_PARAMS: return print_mode(inv.mode, p, e);
	default: return send_one(p, &ready, how);
	}
}

/*
 * The report that was asked for, where what was refused stands before it: reading ends at the first fault. Only
 * the plain words count; who misspells them gets the line on standard error, as everybody does.
 */
static int report_wanted(int argc, char *argv[])
{
	const char *word = getenv("MAILCHUTE_REPORT");

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strncmp(argv[i], "--report=", 9))
			word = argv[i] + 9;
		else if (!strcmp(argv[i], "--report") && i + 1 < argc)
			word = argv[i + 1];
	}
	if (word && !strcmp(word, "json"))
		return REPORT_JSON;
	return word && !strcmp(word, "text") ? REPORT_TEXT : REPORT_SILENT;
}

/* A refusal before there is anything to send; where a report was asked for it is a report as well. */
static int refuse(struct mail_params *p, const struct telling *how, int argc, char *argv[],
		  const struct err *e)
{
	CLEANUP(report_clear) struct report report = {0};

	report_error(&report, e);
	if (p->report == REPORT_SILENT)
		p->report = report_wanted(argc, argv);
	return tell_conclusion(&report, p, how);
}

int main(int argc, char *argv[])
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(mail_params_clear) struct mail_params params = {0};
	struct telling how = {0};
	int code, heard;

	if (io_own_rights() < 0 || io_standard_fds() < 0) {
		tell("", "cannot give up the rights of a setuid program, or open /dev/null for a standard "
			"descriptor");
		return EX_OSERR;
	}
	io_signals_init();
	mail_params_init(&params);
	code = run(&params, &how, argc, argv, &e);
	if (code < 0)
		code = refuse(&params, &how, argc, argv, &e);

	heard = io_signal_heard;
	if (heard) {                    /* die of it, as everybody's shell expects */
		signal(heard, SIG_DFL);
		raise(heard);
	}
	return code;
}
