#pragma once

/*
 * What the tests of mime/ share: a clock and random numbers that never change, params from JSON, and what
 * every message obeys.
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "mime/compose.h"
#include "model/mail_params.h"

#include <stdlib.h>

enum { ANY_SIZE = 1 << 30 };

static uint64_t fixed_state;

static int64_t fixed_now(void)
{
	return 1700000000;      /* Tue, 14 Nov 2023 22:13:20 +0000 */
}

/* Octets 0, 1, 2 ...: boundaries differ from each other, and are the same in each run. */
static void fixed_random(void *mem, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)mem)[i] = (unsigned char)(fixed_state++ * 7);
}

static const char *fixed_hostname(void)
{
	return "host.example";
}

static const struct sysinfo sysinfo_fixed = { fixed_now, fixed_random, fixed_hostname };

#define COMMON "\"from\":\"a@example.org\",\"to\":\"b@example.org\",\"date\":\"@1700000000\",\"zone\":\"+0000\"," \
	"\"message_id\":\"<id@example.org>\""
#define COMMON_HEAD "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: a@example.org\r\nTo: b@example.org\r\n"
#define COMMON_ID "Message-ID: <id@example.org>\r\n"
#define COMMON_MIME "MIME-Version: 1.0\r\n"

/* The message of @json, or NULL with @e. The params must outlive it. */
static inline struct message *message_of_json(struct mail_params *p, const char *json, struct err *e)
{
	struct message *m = NULL;

	fixed_state = 1;
	mail_params_init(p);
	if (input_json(p, "test", json, strlen(json), e) < 0 ||
	    mail_params_finish(p, &sysinfo_fixed, e) < 0 ||
	    message_from_params(&m, &(struct ready *){0}, p, &sysinfo_fixed, e) < 0)
		return NULL;
	return m;
}

/* Read a source, @step octets a read. */
static inline int drain_by(struct source *s, size_t step, struct buf *out, struct err *e)
{
	CLEANUP(freep) char *chunk = xmalloc(step);
	size_t n;

	buf_reset(out);
	do {
		if (source_read(s, chunk, step, &n, e) < 0)
			return -1;
		check_int(buf_add(out, chunk, n), 0);
	} while (n);
	return 0;
}

/* CRLF lines of at most 998, ended; no NUL; no octet over 127 unless allowed. */
static inline bool wire_clean(const char *mem, size_t len, bool eightbit)
{
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		if (!mem[i] || (!eightbit && (mem[i] & 0x80)))
			return false;
		if (mem[i] == '\n')
			return false;
		if (mem[i] != '\r') {
			if (++line > 998)
				return false;
			continue;
		}
		if (i + 1 == len || mem[i + 1] != '\n')
			return false;
		line = 0;
		i++;
	}
	return len >= 2 && mem[len - 1] == '\n';
}

/* All that every rendering of a message obeys; its octets in @out. */
static inline void check_rendering(struct message *m, bool seven, struct buf *out)
{
	static const size_t steps[] = { 65536, 1, 3, 77, 4096 };
	int64_t size = seven ? m->needs.size_seven : m->needs.size;
	struct buf again = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct source *s;

	if (message_open(m, seven, &s, &e) < 0 || drain_by(s, 65536, out, &e) < 0) {
		printf("# %s\n", e.text);
		check(!"opens and reads");
		err_clear(&e);
		return;
	}
	check_int(size, out->len);
	check_int(source_size(s), out->len);
	check(wire_clean(out->data, out->len, (!seven && m->needs.eightbit) || m->needs.smtputf8));
	for (size_t i = 0; i < ARRAY_SIZE(steps) && out->len < 300000; i++) {
		check_int(source_rewind(s, &e), 0);
		check_int(drain_by(s, steps[i], &again, &e), 0);
		check_mem(again.data, again.len, out->data, out->len);
	}
	source_free(s);
	if (message_open(m, seven, &s, &e) == 0) {
		check_int(drain_by(s, 1000, &again, &e), 0);
		check_mem(again.data, again.len, out->data, out->len);
		source_free(s);
	}
	buf_clear(&again);
	err_clear(&e);
}
