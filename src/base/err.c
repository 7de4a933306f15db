/* The one error object: class, text; see err.h. */

#include "base/err.h"

#include "base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static PRINTF(1, 0) char *vformat(const char *fmt, va_list va)
{
	char *s;

	if (vasprintf(&s, fmt, va) < 0)
		return xstrdup(fmt);
	return s;
}

int err_set(struct err *e, enum err_class c, const char *fmt, ...)
{
	va_list va;
	char *text;

	va_start(va, fmt);
	text = vformat(fmt, va);
	va_end(va);
	free(e->text);
	e->text = text;
	e->class = c;
	return -1;
}

int err_sys(struct err *e, enum err_class c, int num, const char *fmt, ...)
{
	va_list va;
	char *text;

	va_start(va, fmt);
	text = vformat(fmt, va);
	va_end(va);
	free(e->text);
	e->text = xasprintf("%s: %s", text, strerror(num));
	e->class = c;
	free(text);
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	va_list va;
	char *context, *whole;

	va_start(va, fmt);
	context = vformat(fmt, va);
	va_end(va);
	whole = xasprintf("%s: %s", context, e->text ? e->text : "");
	free(context);
	free(e->text);
	e->text = whole;
	return -1;
}

int err_exit_code(const struct err *e)
{
	static const int code[] = {
		[ERR_NONE] = EX_OK,           [ERR_USAGE] = EX_USAGE,
		[ERR_DATA] = EX_DATAERR,      [ERR_NOINPUT] = EX_NOINPUT,
		[ERR_SOFTWARE] = EX_SOFTWARE, [ERR_OS] = EX_OSERR,
		[ERR_CANTCREAT] = EX_CANTCREAT, [ERR_IO] = EX_IOERR,
		[ERR_POLICY] = EX_NOPERM,     [ERR_CONFIG] = EX_CONFIG,
	};

	return code[e->class];
}

void err_clear(struct err *e)
{
	free(e->text);
	*e = (struct err)ERR_INIT;
}
