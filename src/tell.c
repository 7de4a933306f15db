/* What the program says; see tell.h. */

#include "tell.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "job/batch.h"
#include "job/log.h"
#include "model/mail_params.h"
#include "model/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINES_KEPT = 64 * 1024 };

/* ---- standard output: the product ---- */

int tell_flush(struct tell_out *o)
{
	int r = io_write_all(STDOUT_FILENO, o->mem, o->len);

	o->len = 0;
	return r;
}

int tell_put(void *ctx, const char *mem, size_t len)
{
	struct tell_out *o = ctx;

	while (len) {
		size_t n = sizeof(o->mem) - o->len < len ? sizeof(o->mem) - o->len : len;

		memcpy(o->mem + o->len, mem, n);
		o->len += n;
		mem += n;
		len -= n;
		if (o->len == sizeof(o->mem) && tell_flush(o) < 0)
			return -1;
	}
	return 0;
}

int tell_text(const struct buf *text, struct err *e)
{
	if (io_write_all(STDOUT_FILENO, text->data, text->len) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write to standard output");
	return 0;
}

/* ---- standard error: the chatter ---- */

void tell(const char *what, const char *text)
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

const struct trace tell_trace = { .line = show_line, .note = show_note };

void tell_progress(void *ctx, int64_t sent, int64_t total)
{
	struct tell_progress *p = ctx;
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
	struct tell_out out = { .len = 0 };
	struct json_out json = { .put = tell_put, .ctx = &out };
	int bad = 0;

	if (format == REPORT_SILENT)
		return 0;
	if (format == REPORT_JSON) {
		report_json(r, &json);
		bad = json.failed;
	} else {
		bad = report_text(r, tell_put, &out) < 0;
	}
	if (bad || tell_flush(&out) < 0)
		return err_sys(e, ERR_IO, errno, "cannot write the report to standard output");
	return 0;
}

/*
 * Callers of sendmail(8) know 75 as "may be tried again" and nothing of our 2: what may have been delivered is
 * better there twice than lost.
 */
int tell_exit_code(int code, const struct telling *how)
{
	return code == TELL_EXIT_UNKNOWN && how->as != AS_MAILCHUTE ? EX_TEMPFAIL : code;
}

void tell_log(const struct report *r, const struct mail_params *p, int exit)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	if (p->log && (!r->dry_run || r->skipped) && log_report(r, p, exit, &sysinfo_real, &e) < 0)
		tell("warning: ", e.text);
}

/* Say what became of it: the report, one line where something is not well, and the exit code. */
int tell_conclusion(const struct report *r, const struct mail_params *p, const struct telling *how)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	char line[2048];
	int code = report_exit_code(r);

	report_line(r, line, sizeof(line));
	if (p->bound_dropped && code == EX_NOPERM)
		snprintf(line + strlen(line), sizeof(line) - strlen(line),
			 " (the configuration's login is for another server, and was not used)");
	if (print_report(r, p->report, &e) < 0) {
		tell("", e.text);
		if (!code)
			code = err_exit_code(&e);
	}
	if (line[0] && !how->silent)
		tell("", line);
	code = tell_exit_code(code, how);
	tell_log(r, p, code);
	return code;
}

void tell_waivers(const struct mail_params *p)
{
	/* a pinned key is verified all the same, and better than by any CA */
	if (!p->server.tls_verify && !p->server.tls_pinned_key && !p->quiet && !p->dry_run && !p->output)
		tell("warning: ", "certificates are not verified (tls_verify is false): anybody on the way "
		     "can read this");
}

/* ---- a batch ---- */

static int put_in_buf(void *ctx, const char *mem, size_t len)
{
	return buf_add(ctx, mem, len);
}

static int put_report(struct tell_batch *t, const struct batch_result *r)
{
	struct json_out json = json_to_buf(t->out);
	char text[2048];

	if (t->defaults->report == REPORT_JSON) {
		json_open(&json, NULL, '{');
		json_int(&json, "line", (int64_t)r->line);
		if (r->id)
			json_str(&json, "id", r->id);
		else
			json_null(&json, "id");
		report_json_members(r->report, &json);
		json_close(&json, '}');
		return json.failed || buf_adds(t->out, "\n") < 0 ? -1 : 0;
	}
	if (buf_addf(t->out, "line %llu%s%s: ", r->line, r->id ? ", id " : "", r->id ? r->id : "") < 0)
		return -1;
	if (!r->report->n_rcpt) {
		report_line(r->report, text, sizeof(text));
		return buf_addf(t->out, "%s: %s\n", report_result_name(r->report), text);
	}
	return report_text(r->report, put_in_buf, t->out);
}

static void wipe_bar(struct tell_batch *t)
{
	if (t->shown)
		fputs("\r\033[K", stderr);
	t->shown = false;
}

int tell_batch_settled(void *ctx, const struct batch_result *r)
{
	struct tell_batch *t = ctx;
	char text[2048], line[2200];

	if (!r->from_journal)
		tell_log(r->report, r->params, tell_exit_code(report_exit_code(r->report), t->how));
	if (t->defaults->report != REPORT_SILENT) {
		if (put_report(t, r) < 0)
			abort();
		if (t->out->len >= LINES_KEPT)
			return tell_batch_flush(t);
		return t->failed ? -1 : 0;
	}
	report_line(r->report, text, sizeof(text));
	if (!text[0])
		return 0;
	wipe_bar(t);
	if (r->placed)
		snprintf(line, sizeof(line), "%s", text);
	else
		snprintf(line, sizeof(line), "line %llu: %s", r->line, text);
	tell("", line);
	return 0;
}

int tell_batch_flush(void *ctx)
{
	struct tell_batch *t = ctx;

	if (!t->failed && t->out->len && io_write_all(STDOUT_FILENO, t->out->data, t->out->len) < 0) {
		t->failed = true;
		t->error = errno;
	}
	buf_reset(t->out);
	return t->failed ? -1 : 0;
}

static double per_second(const struct batch_counts *c)
{
	return c->elapsed_ms ? (double)c->messages * 1000 / (double)c->elapsed_ms : 0;
}

static unsigned long long not_well(const struct batch_counts *c)
{
	return c->messages - c->sent - c->composed - c->empty;
}

void tell_batch_progress(void *ctx, const struct batch_counts *c)
{
	struct tell_batch *t = ctx;
	char rest[80] = "";

	if (!t->bar || c->elapsed_ms < 1000)
		return;
	if (c->size > 0 && c->taken > 0) {
		int64_t left = (int64_t)((double)c->elapsed_ms / 1000 * ((double)c->size / (double)c->taken - 1) + 0.5);

		snprintf(rest, sizeof(rest), ", %d %%, %lld:%02lld left", (int)(c->taken * 100 / c->size),
			 (long long)left / 60, (long long)left % 60);
	}
	fprintf(stderr, "\rmailchute: %llu messages, %llu not sent to all, %.0f/s, %u session%s%s\033[K", c->messages,
		not_well(c), per_second(c), c->workers, c->workers == 1 ? "" : "s", rest);
	fflush(stderr);
	t->shown = true;
}

void tell_batch_summary(struct tell_batch *t, const struct batch_counts *c)
{
	const struct { const char *what; unsigned long long n; } counts[] = {
		{"composed", c->composed}, {"empty and not sent", c->empty}, {"partly sent", c->partial}, {"deferred", c->deferred},
		{"refused", c->rejected}, {"unknown", c->unknown}, {"in error", c->error},
		{"sent before", c->skipped}, {"lines read and not begun", c->unread},
	};
	char line[700];
	int used;

	wipe_bar(t);
	if (t->defaults->quiet || t->how->silent)
		return;
	used = snprintf(line, sizeof(line), "%llu message%s: %llu sent", c->messages, c->messages == 1 ? "" : "s",
			c->sent);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counts[i].n)
			used += snprintf(line + used, sizeof(line) - (size_t)used, ", %llu %s", counts[i].n,
					 counts[i].what);
	snprintf(line + used, sizeof(line) - (size_t)used, "; %.1f s, %.0f/s%s", (double)c->elapsed_ms / 1000,
		 per_second(c), c->more ? "; the input was not read to its end" : "");
	tell("", line);
}
