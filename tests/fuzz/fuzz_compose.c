/*
 * Z8: the composer, from the params to the octets, with any JSON object that names no file.
 *
 * Input: one octet for the size of the reads, then the params.
 *
 * What comes out is what any server may be given: lines that CRLF ends, of at most 998 octets, no NUL, 7-bit but for
 * SMTPUTF8; of exactly the announced size; the same at every size of the reads, after a rewind, and in the
 * 7-bit rendering; without a Bcc field.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "input/input.h"
#include "mime/compose.h"
#include "model/mail_params.h"
#include "model/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 26 };

static uint64_t fixed_state;

static int64_t fixed_now(void)
{
	return 1700000000;
}

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

static void read_all(struct source *s, size_t step, struct buf *out)
{
	static char chunk[65536];
	struct err e = ERR_INIT;
	size_t n;

	buf_reset(out);
	do {
		if (source_read(s, chunk, step, &n, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			abort();
		}
		assert(n <= step && buf_add(out, chunk, n) == 0);
	} while (n);
}

static void check_lines(const struct buf *b, bool eightbit)
{
	size_t line = 0;

	assert(b->len >= 2 && memcmp(b->data + b->len - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < b->len; i++) {
		const unsigned char c = (unsigned char)b->data[i];

		assert(c && (c < 128 || eightbit) && c != '\n');
		if (c == '\r') {
			assert(b->data[++i] == '\n');
			line = 0;
		} else {
			assert(++line <= 998);
		}
	}
}

static void check_rendering(struct message *m, bool seven, size_t step, struct buf *out)
{
	CLEANUP(buf_clear) struct buf again = BUF_INIT(MOST);
	CLEANUP(source_freep) struct source *s = NULL;
	const int64_t size = seven ? m->needs.size_seven : m->needs.size;
	struct err e = ERR_INIT;

	if (message_open(m, seven, &s, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	read_all(s, 65536, out);
	assert(size == (int64_t)out->len);
	check_lines(out, m->needs.smtputf8);
	assert(source_rewind(s, &e) == 0);
	read_all(s, step, &again);
	assert(again.len == out->len && memcmp(again.data, out->data, out->len) == 0);
}

/* The header has no field of that name. */
static void check_without(const struct buf *b, const char *name)
{
	const size_t len = strlen(name);

	for (const char *at = b->data; at[0] != '\r'; at = strstr(at, "\r\n") + 2)
		assert(strncasecmp(at, name, len) || at[len + strspn(at + len, " \t")] != ':');
}

static struct message *make(struct mail_params *p, const char *json, size_t len)
{
	struct message *m = NULL;
	struct err e = ERR_INIT;

	fixed_state = 1;
	mail_params_init(p);
	if (input_json(p, "fuzz", json, len, &e) < 0 || mail_params_finish(p, &sysinfo_fixed, &e) < 0 ||
	    message_from_params(&m, &(struct ready *){0}, p, &sysinfo_fixed, &e) < 0) {
		assert(!m && e.text && e.text[0]);
		err_clear(&e);
		return NULL;
	}
	return m;
}

static void composed(const char *json, size_t len, size_t step)
{
	CLEANUP(buf_clear) struct buf one = BUF_INIT(MOST), other = BUF_INIT(MOST);
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	struct message *m;

	/* No file of this machine, no pipe that never ends: what is composed is in the text. */
	if (memmem(json, len, "file", 4) || memmem(json, len, "path", 4) || memmem(json, len, "fd", 2) || memchr(json, '\\', len) ||
	    memmem(json, len, "attachments", 11))
		return;
	m = make(&p, json, len);
	if (!m)
		return;
	assert(!m->needs.eightbit && m->needs.seven_possible);
	check_rendering(m, false, step, &one);
	check_rendering(m, true, step, &other);
	assert(one.len == other.len && memcmp(one.data, other.data, one.len) == 0);
	check_without(&one, "Bcc");
	message_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	composed((const char *)data + 1, size - 1, 1u + data[0]);
	return 0;
}
