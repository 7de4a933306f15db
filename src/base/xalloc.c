/* Allocation that ends the process where the machine has no memory left. */

#include "base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static NORETURN void no_memory(void)
{
	static const char line[] = "mailchute: out of memory\n";

	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		_exit(EX_OSERR);
	_exit(EX_OSERR);
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		no_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	/* glibc's malloc() has what was freed of that size at hand, its calloc() has not */
	enum { SMALL = 1024 };
	size_t total;
	void *p;

	if (!__builtin_mul_overflow(n, size, &total) && total <= SMALL)
		return memset(xmalloc(total), 0, total);
	p = calloc(n, size);
	if (!p)
		no_memory();
	return p;
}

void *xreallocarray(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size ? size : 1);

	if (!p)
		no_memory();
	return p;
}

char *xstrdup(const char *s)
{
	return s ? xmemdup0(s, strlen(s)) : NULL;
}

char *xmemdup0(const void *mem, size_t len)
{
	char *p = xmalloc(len + 1);

	if (len)
		memcpy(p, mem, len);
	p[len] = '\0';
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list va;
	char *s;
	int n;

	va_start(va, fmt);
	n = vasprintf(&s, fmt, va);
	va_end(va);
	if (n < 0)
		no_memory();
	return s;
}

void wipe_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
