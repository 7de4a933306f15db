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

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { EXIT_UNKNOWN = 2 };

/* ---- standard output: the product ---- */

/* Results are written through a buffer of fixed size: after the dot nothing is allocated. */
struct out { char mem[4096]; size_t len; };

static int out_flush(struct out *o)
{
	int r = io_write_all(STDOUT_FILENO, o->mem, o->len);

	o->len = 0;
	return r;
}

static int out_put(void *ctx, const char *mem, size_t len)
{
	struct out *o = ctx;

	while (len) {
		size_t n = sizeof(o->mem) - o->len < len ? sizeof(o->mem) - o->len : len;

		memcpy(o->mem + o->len, mem, n);
		o->len += n;
		mem += n;
		len -= n;
		if (o->len == sizeof(o->mem) && out_flush(o) < 0)
			return -1;
	}
	return 0;
}

static int print_text(const struct buf *text, struct err *e)
{
	if (io_write_all(STDOUT_FILENO, text->data, text->len) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

/* ---- standard error: the chatter ---- */

static void say(const char *what, const char *text)
{
	char line[4096], escaped[3900];
	int n;

	utf8_escape(escaped, sizeof(escaped), text, strlen(text));
	n = snprintf(line, sizeof(line), "mailchute: %s%s\n", what, escaped);
	if (n > 0 && io_write_all(STDERR_FILENO, line, (size_t)n) < 0)
		return;                 /* nobody listens; the exit code still says it */
}

static void show_line(void *ctx, bool sent, const char *line, size_t len)
{
	char out[1100], escaped[1024];
	int n;

	(void)ctx;
	utf8_escape(escaped, sizeof(escaped), line, len);
	n = snprintf(out, sizeof(out), "%s %s\n", sent ? ">" : "<", escaped);
	if (n > 0 && io_write_all(STDERR_FILENO, out, (size_t)n) < 0)
		return;
}

static void show_note(void *ctx, const char *text)
{
	char out[1100], escaped[1024];
	int n;

	(void)ctx;
	utf8_escape(escaped, sizeof(escaped), text, strlen(text));
	n = snprintf(out, sizeof(out), "* %s\n", escaped);
	if (n > 0 && io_write_all(STDERR_FILENO, out, (size_t)n) < 0)
		return;
}

/* A line on the terminal for messages that take over a second; wiped away at the end. */
struct progress { int64_t started_ms; bool shown; };

static void show_progress(void *ctx, int64_t sent, int64_t total)
{
	struct progress *p = ctx;
	bool last = sent == total;

	if (io_now_ms() - p->started_ms < 1000 || (last && !p->shown))
		return;
	p->shown = !last;
	if (last)
		fputs("\r\033[K", stderr);
	else if (total > 0)
		fprintf(stderr, "\rmailchute: %.1f of %.1f MB sent (%d %%)\033[K", (double)sent / 1e6,
			(double)total / 1e6, (int)(sent * 100 / total));
	else
		fprintf(stderr, "\rmailchute: %.1f MB sent\033[K", (double)sent / 1e6);
	fflush(stderr);
}

/* ---- one message ---- */

/* The report on standard output, where one was asked for. */
static int print_report(const struct report *r, int format, struct err *e)
{
	struct out out = { .len = 0 };
	struct json_out json = { .put = out_put, .ctx = &out };
	int bad = 0;

	if (format == REPORT_SILENT)
		return 0;
	if (format == REPORT_JSON) {
		report_json(r, &json);
		bad = json.failed;
	} else {
		bad = report_text(r, out_put, &out) < 0;
	}
	if (bad || out_flush(&out) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write the report to standard output");
	return 0;
}

/* What the run is like, for whoever tells how it ended. */
struct telling {
	enum personality as;
	bool silent;                    /* the exit code alone tells */
};

/*
 * Callers of sendmail(8) know 75 as "may be tried again" and nothing of our 2: what may have been delivered is
 * better there twice than lost.
 */
static int exit_code(int code, const struct telling *how)
{
	return code == EXIT_UNKNOWN && how->as != AS_MAILCHUTE ? EX_TEMPFAIL : code;
}

static void write_log(const struct report *r, const struct mail_params *p, int exit)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	if (p->log && (!r->dry_run || r->skipped) && log_report(r, p, exit, &sysinfo_real, &e) < 0)
		say("warning: ", e.text);
}

/* Say what became of it: the report, one line where something is not well, and the exit code. */
static int conclude(const struct report *r, const struct mail_params *p, const struct telling *how)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char line[2048];
	int code = report_exit_code(r);

	report_line(r, line, sizeof(line));
	if (p->bound_dropped && code == EX_NOPERM)
		snprintf(line + strlen(line), sizeof(line) - strlen(line),
			 " (the configuration's login is for another server, and was not used)");
	if (print_report(r, p->report, &e) < 0) {
		say("", e.text);
		if (!code)
			code = err_exit_code(&e);
	}
	if (line[0] && !how->silent)
		say("", line);
	code = exit_code(code, how);
	write_log(r, p, code);
	return code;
}

static const struct trace trace_shown = { .line = show_line, .note = show_note };

static void warn_of_waivers(const struct mail_params *p)
{
	/* a pinned key is verified all the same, and better than by any CA */
	if (!p->server.tls_verify && !p->server.tls_pinned_key && !p->quiet && !p->dry_run && !p->output)
		say("warning: ", "certificates are not verified (tls_verify is false): anybody on the way "
		    "can read this");
}

static int send_one(const struct mail_params *p, struct ready **taken, const struct telling *how)
{
	CLEANUP(report_clear) struct report report = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(transport_closep) struct transport *t = NULL;
	struct progress progress = { .started_ms = io_now_ms() };
	struct deliver_hooks hooks = { .trace = p->verbose ? &trace_shown : NULL, .ctx = &progress };

	if (!p->quiet && !p->verbose && isatty(STDERR_FILENO))
		hooks.progress = show_progress;
	warn_of_waivers(p);
	if (deliver_now(&report, &t, p, taken, &sysinfo_real, &hooks, &e) < 0 && report.error_exit == 0)
		report_error(&report, &e);
	return conclude(&report, p, how);
}

/* ---- the other ways to run ---- */

struct serving { const struct telling *how; };

static void show_settled(void *ctx, const struct report *r, const struct mail_params *p)
{
	const struct serving *s = ctx;
	char line[2048];

	report_line(r, line, sizeof(line));
	if (line[0] && !s->how->silent)
		say("", line);
	write_log(r, p, exit_code(report_exit_code(r), s->how));
}

/* -bs: the replies are our standard output, so nothing else may be. */
static int serve_standard(const struct mail_params *p, const struct config *c, const struct telling *how,
			  struct err *e)
{
	struct serving serving = { how };
	const struct deliver_hooks deliver = { .trace = p->verbose ? &trace_shown : NULL };
	const struct serve_hooks hooks = { &deliver, show_settled, &serving };
	int code = serve(STDIN_FILENO, STDOUT_FILENO, p, c, &sysinfo_real, &hooks, e);

	return code < 0 ? -1 : exit_code(code, how);
}

/* --check: a line a step. */
static int check_way(const struct mail_params *p, const struct config *config, struct err *e)
{
	struct out out = { .len = 0 };
	const struct check_out to = { out_put, &out, p->verbose ? &trace_shown : NULL, config_path(config) };
	int code;

	warn_of_waivers(p);
	if (check(&code, p, &to, e) < 0)
		return -1;
	if (out_flush(&out) < 0)
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
	return print_text(&text, e);
}

static int print_queue(struct err *e)
{
	CLEANUP(buf_clear) struct buf text = BUF_INIT(256);

	if (buf_adds(&text, "Mail queue is empty\n") < 0)
		return err_set(e, ERR_SOFTWARE, "more text than expected");
	return print_text(&text, e);
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
	return print_text(&text, e);
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
	if (inv->params_file || mail_params_stdin(p) || p->probing)
		return 0;
	return mail_params_set(p, param_row(p->read_recipients ? "message_file" : "body_file"), dash,
			       ORIGIN_DEFAULT, NULL, e);
}

/* Standard input is one stream: where the params were read from it, nothing of theirs is left in it. */
static int check_stdin(const struct mail_params *p, const struct invocation *inv, struct err *e)
{
	static const char *const names[] = { "-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0" };
	const char *taker = mail_params_stdin(p);

	for (size_t i = 0; inv->params_file && taker && i < ARRAY_SIZE(names); i++)
		if (!strcmp(inv->params_file, names[i]))
			return err_set(e, ERR_USAGE, "%s: standard input already is the params file", taker);
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
		say("warning: ", inv.warning);
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
	return conclude(&report, p, how);
}

int main(int argc, char *argv[])
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(mail_params_clear) struct mail_params params = {0};
	struct telling how = {0};
	int code, heard;

	if (io_own_rights() < 0 || io_standard_fds() < 0) {
		say("", "cannot give up the rights of a setuid program, or open /dev/null for a standard "
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
