#pragma once

/*
 * What the fuzz targets of mime/ ask of every message: clean on the wire, of the size it says, the same by
 * any cutting.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "model/mail_params.h"
#include "model/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned ml_state;

static int64_t ml_now(void)
{
	return 1700000000;
}

static void ml_random(void *mem, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)mem)[i] = (unsigned char)((ml_state = ml_state * 1103515245 + 12345) >> 16);
}

static const char *ml_hostname(void)
{
	return "host.example";
}

static const struct sysinfo ml_sys = { ml_now, ml_random, ml_hostname };

/* A regular file that is only in memory, with @mem in it; its path in @path. */
static inline int ml_file(char path[64], const void *mem, size_t len)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("message", MFD_CLOEXEC);
	assert(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, mem, len, 0) == (ssize_t)len);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static inline void ml_wire(const char *mem, size_t len, bool eightbit)
{
	size_t line = 0;

	assert(len >= 2 && !memcmp(mem + len - 2, "\r\n", 2));
	for (size_t i = 0; i < len; i++) {
		assert(mem[i] && mem[i] != '\n');
		assert(eightbit || !(mem[i] & 0x80));
		if (mem[i] == '\r') {
			assert(i + 1 < len && mem[i + 1] == '\n');
			line = 0;
			i++;
		} else {
			assert(++line <= 998);
		}
	}
}

static inline void ml_drain(struct source *s, size_t step, struct buf *out)
{
	struct err e = ERR_INIT;
	char chunk[4096];
	size_t n;

	buf_reset(out);
	do {
		assert(source_read(s, chunk, step, &n, &e) == 0);
		assert(n <= step && buf_add(out, chunk, n) == 0);
	} while (n);
}

/* A rendering in @out, after all the checks of it. */
static inline void ml_rendering(struct message *m, bool seven, size_t step, struct buf *out)
{
	struct buf again = BUF_INIT(1 << 26);
	struct err e = ERR_INIT;
	struct source *s;

	assert(message_open(m, seven, &s, &e) == 0);
	ml_drain(s, 4096, out);
	assert((seven ? m->needs.size_seven : m->needs.size) == (int64_t)out->len);
	assert(source_size(s) == (int64_t)out->len);
	assert(source_rewind(s, &e) == 0);
	ml_drain(s, step, &again);
	assert(again.len == out->len && !memcmp(again.data, out->data, out->len));
	source_free(s);
	ml_wire(out->data, out->len, m->needs.smtputf8 || (!seven && m->needs.eightbit));
	buf_clear(&again);
}

/* Is there a field @name in the header of @text? */
static inline bool ml_has_field(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; strncmp(at, "\r\n", 2); at = strstr(at, "\r\n") + 2) {
		const char *colon = at + len;

		if (strncasecmp(at, name, len))
			continue;
		if (colon[strspn(colon, " \t")] == ':')
			return true;
	}
	return false;
}
