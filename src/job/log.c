/* Where the lines of a log go; see log.h. What they say is model/log_line.c's. */

#include "job/log.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/log_line.h"
#include "model/mail_params.h"
#include "model/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_TEXT = 1 << 20, LINE_MAX_JSON = 64 << 20,
	SYSLOG_MAX = 7168,              /* journald and rsyslog cut at 8 KiB by default */
	SYSLOG_RCPTS = 50, SHOWN = 256,
};

static void local_time(char out[40], time_t now)
{
	struct tm tm;
	size_t n;

	if (!localtime_r(&now, &tm)) {
		snprintf(out, 40, "@%lld", (long long)now);
		return;
	}
	n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S%z", &tm);
	/* RFC 3339: +01:00 */
	if (n >= 5) {
		memmove(out + n - 1, out + n - 2, 3);
		out[n - 2] = ':';
	}
}

/* The envelope's sender in wire form; NULL: the params were refused before it was known. */
static char *sender_of(const struct mail_params *p)
{
	CLEANUP(envelope_clear) struct envelope env = {0};
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	char *from;

	if (!p->finished || envelope_sender(&env, p, &ignored) < 0)
		return NULL;
	from = env.from;
	env.from = NULL;
	return from;
}

static int log_fail(struct err *e, const char *path, enum err_class class, int num)
{
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), path, strlen(path));
	return err_sys(e, class, num, "the log '%s' was not written", shown);
}

/*
 * Opened for this one line, so that a log that was renamed is left alone; appended in one write, so that lines of
 * several processes do not mix. A symbolic link is followed only where its directory is not everybody's: the
 * kernel's fs.protected_symlinks sees to that.
 */
static int to_file(const char *path, const struct buf *line, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600), num = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return log_fail(e, path, ERR_CANTCREAT, errno);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		num = EISDIR;
	n = num ? -1 : write(fd, line->data, line->len);
	if (n < 0 && !num)
		num = errno;
	else if (!num && (size_t)n < line->len)
		num = ENOSPC;
	if (close(fd) < 0 && !num)
		num = errno;
	return num ? log_fail(e, path, ERR_IO, num) : 0;
}

static void to_syslog(const struct buf *line, bool failed)
{
	openlog("mailchute", LOG_PID, LOG_MAIL);
	syslog(failed ? LOG_ERR : LOG_INFO, "%s", line->data);
	closelog();
}

/* The line alone, as long as it may be where it goes: a list of recipients gives way. */
static int make_line(struct buf *line, const struct report *r, const struct log_facts *f, bool json,
		     size_t most, size_t max)
{
	if (json)
		return log_line_json(line, r, f);
	for (; ; most /= 4) {
		buf_reset(line);
		if (log_line_text(line, r, f, most) == 0 && line->len <= max)
			return 0;
		if (!most)
			return -1;
	}
}

int log_report(const struct report *r, const struct mail_params *p, int exit, const struct sysinfo *sys,
	       struct err *e)
{
	bool system = !strcmp(p->log, "syslog"), json = p->log_format == LOG_JSON;
	CLEANUP(buf_clear) struct buf line = BUF_INIT(json ? LINE_MAX_JSON : LINE_MAX_TEXT);
	CLEANUP(buf_clear) struct buf whole = BUF_INIT(LINE_MAX_JSON + 256);
	CLEANUP(freep) char *from = sender_of(p);
	char time[40];
	struct log_facts f = { .time = time, .pid = getpid(), .uid = (long)getuid(), .account = p->account,
			       .from = from, .exit = exit };

	local_time(time, (time_t)sys->now_s());
	if (make_line(&line, r, &f, json, system ? SYSLOG_RCPTS : LOG_RCPTS_MOST,
		      system ? SYSLOG_MAX : LINE_MAX_TEXT - 1) < 0)
		return log_fail(e, p->log, ERR_IO, EMSGSIZE);
	if (system) {
		to_syslog(&line, exit != 0);
		return 0;
	}
	if ((!json && buf_addf(&whole, "%s mailchute[%ld]: ", time, f.pid) < 0) ||
	    buf_add(&whole, line.data, line.len) < 0 || buf_adds(&whole, "\n") < 0)
		return log_fail(e, p->log, ERR_IO, EMSGSIZE);
	return to_file(p->log, &whole, e);
}
