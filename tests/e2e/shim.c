/*
 * A machine that fails us, for test_resources.py: preloaded, told by the environment.
 *
 *   SHIM_FAIL=N      the N-th allocation fails; SHIM_ON=1: and all after it. Counted and failed are those that the program and libcurl
 *                    ask for: the C library and OpenSSL, short of memory, crash and deadlock on their own account.
 *   SHIM_DOT=1       every allocation fails once the final dot of a message was handed to the system
 *   SHIM_COUNT=PATH  the number of allocations is written there at the end
 *   SHIM_SHORT=N     reads and writes move at most N octets, and half of them are interrupted (EINTR); on sockets,
 *                    which do not block here and so are not interrupted, they are only short
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

/* Where the code of those objects is. */
static struct { unsigned long from, to; } ours[16];
static int n_ours;

static atomic_long allocations, calls;
static long fail_at = -1, piece;
static int fail_on, fail_dot, dot_sent;
static const char *count_to;

static int note(struct dl_phdr_info *info, size_t size, void *ctx)
{
	/* The program itself has no name here. */
	if (*info->dlpi_name && !strstr(info->dlpi_name, "libcurl"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && n_ours < 16; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			ours[n_ours].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			ours[n_ours].to = ours[n_ours].from + info->dlpi_phdr[i].p_memsz;
			n_ours++;
		}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("SHIM_FAIL");

	dl_iterate_phdr(note, NULL);
	fail_at = text ? atol(text) : -1;
	text = getenv("SHIM_SHORT");
	piece = text ? atol(text) : 0;
	fail_on = getenv("SHIM_ON") != NULL;
	fail_dot = getenv("SHIM_DOT") != NULL;
	count_to = getenv("SHIM_COUNT");
}

__attribute__((destructor)) static void end(void)
{
	char text[32];
	int fd = count_to ? open(count_to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)snprintf(text, sizeof(text), "%ld", (long)allocations)) < 0)
		abort();
	close(fd);
}

static int fails(void *caller)
{
	int i;
	long n;

	if (fail_dot && dot_sent)
		return 1;
	for (i = 0; i < n_ours; i++)
		if ((unsigned long)caller >= ours[i].from && (unsigned long)caller < ours[i].to)
			break;
	if (i == n_ours)
		return 0;
	n = ++allocations;
	return n == fail_at || (fail_on && fail_at > 0 && n > fail_at);
}

static void *none(void)
{
	errno = ENOMEM;
	return NULL;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return fails(CALLER) ? none() : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return fails(CALLER) ? none() : __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return fails(CALLER) ? none() : __libc_realloc(old, size); }

void *reallocarray(void *old, size_t n, size_t size)
{
	size_t all;

	return __builtin_mul_overflow(n, size, &all) || fails(CALLER) ? none() : __libc_realloc(old, all);
}

char *strdup(const char *s)
{
	const size_t len = strlen(s) + 1;
	char *copy = fails(CALLER) ? none() : __libc_malloc(len);

	return copy ? memcpy(copy, s, len) : NULL;
}

static void shorten(size_t *len)
{
	if (piece && *len > (size_t)piece)
		*len = (size_t)piece;
}

static int interrupted(size_t *len)
{
	if (!piece)
		return 0;
	/* By no pattern: with every other call a loop of two calls would never get on. */
	if (++calls * 2654435761u >> 13 & 1) {
		errno = EINTR;
		return 1;
	}
	shorten(len);
	return 0;
}

static void look(const void *mem, ssize_t n)
{
	if (n >= 5 && memmem(mem, (size_t)n, "\r\n.\r\n", 5))
		dot_sent = 1;
}

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t read(int fd, void *mem, size_t len)
{
	REAL(read);
	return interrupted(&len) ? -1 : real(fd, mem, len);
}

ssize_t recv(int fd, void *mem, size_t len, int flags)
{
	REAL(recv);
	shorten(&len);
	return real(fd, mem, len, flags);
}

ssize_t write(int fd, const void *mem, size_t len)
{
	REAL(write);
	return interrupted(&len) ? -1 : real(fd, mem, len);
}

ssize_t send(int fd, const void *mem, size_t len, int flags)
{
	ssize_t n;

	REAL(send);
	shorten(&len);
	n = real(fd, mem, len, flags);
	look(mem, n);
	return n;
}
