/*
 * Z10 and Z15: the reply reader and the EHLO keywords. Whatever way the octets are cut, the same replies are
 * read, the same place is refused, and a reply is only complete where a plain second reading of the same
 * octets finds lines of one code.
 *
 * Input: one octet for the size of the pieces, then the octets of the server.
 */

#include "net/capabilities.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLIES_MAX = 64 };

struct heard { int rc, code[REPLIES_MAX]; size_t end[REPLIES_MAX], len[REPLIES_MAX], n, stopped; };

static void one_line(void *ctx, const char *line, size_t len)
{
	struct capabilities *c = ctx;
	struct reply_line r;
	char enhanced[12];

	assert(reply_line_parse(&r, line, len) == 0);
	assert(r.code >= 200 && r.code <= 599);
	assert(!memchr(line, '\n', len) && !memchr(line, '\0', len));
	capabilities_heard(c, r.text, r.len);
	assert(memchr(c->auth, '\0', sizeof(c->auth)));
	enhanced_code(enhanced, r.code, r.text, r.len);
	assert(!*enhanced || enhanced[0] == '0' + r.code / 100);
}

static void listen_to(struct heard *h, const char *mem, size_t len, size_t piece)
{
	struct capabilities c;
	struct reply r;
	size_t at = 0;

	memset(h, 0, sizeof(*h));
	capabilities_init(&c);
	reply_init(&r);
	r.on_line = one_line;
	r.ctx = &c;
	while (at < len && h->n < REPLIES_MAX) {
		const size_t n = len - at < piece ? len - at : piece;
		const char *why = NULL;
		size_t used = 0;
		int rc = reply_feed(&r, mem + at, n, &used, &why);

		assert(used <= n && (rc != 0 || used == n) && (rc >= 0 || why));
		assert(r.len < sizeof(r.text) && r.text[r.len] == '\0' && strlen(r.text) == r.len);
		at += used;
		if (rc < 0) {
			h->rc = -1;
			break;
		}
		if (rc > 0) {
			assert(!reply_pending(&r));
			h->code[h->n] = r.code;
			h->len[h->n] = r.len;
			h->end[h->n++] = at;
		}
	}
	h->stopped = at;
}

/* The octets of one complete reply, read another way: every line that is not blank begins with the code. */
static void confirm(const char *mem, size_t len, int code)
{
	const char *end = mem + len;
	char want[4] = { (char)('0' + code / 100), (char)('0' + code / 10 % 10), (char)('0' + code % 10),
			 '\0' };
	bool last = false;

	while (mem < end) {
		const char *eol = memchr(mem, '\n', (size_t)(end - mem));

		assert(eol && !last);
		if (*mem != '\n' && !(*mem == '\r' && mem[1] == '\n')) {
			assert(eol - mem >= 3 && memcmp(mem, want, 3) == 0);
			last = mem[3] != '-';
		}
		mem = eol + 1;
	}
	assert(last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct heard whole, cut;
	const char *mem = (const char *)data + 1;
	size_t begin = 0;

	if (size < 1)
		return 0;
	listen_to(&whole, mem, size - 1, size);
	listen_to(&cut, mem, size - 1, data[0] ? data[0] : 1);
	assert(memcmp(&whole, &cut, sizeof(whole)) == 0);
	for (size_t i = 0; i < whole.n; i++) {
		confirm(mem + begin, whole.end[i] - begin, whole.code[i]);
		begin = whole.end[i];
	}
	return 0;
}
