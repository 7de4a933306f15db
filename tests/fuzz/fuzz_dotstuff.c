/*
 * Z9: transparency. Whatever the cutting, the same octets come out; undone (RFC 5321, 4.5.2) they are the
 * input; and between the first octet and the last there is no end of data.
 *
 * Input: one octet for the size of the pieces, then the text.
 */

#include "net/dotstuff.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t stuff(char *out, const char *in, size_t len, size_t piece, bool *at_line_start)
{
	struct dotstuff d = DOTSTUFF_INIT;
	size_t used = 0;

	for (size_t at = 0; at < len; at += piece) {
		const size_t n = len - at < piece ? len - at : piece;
		const size_t put = dotstuff_feed(&d, out + used, in + at, n);

		assert(put >= n && put <= 2 * n);
		used += put;
	}
	*at_line_start = dotstuff_at_line_start(&d);
	return used;
}

/* As a receiver does it: a line is what CRLF ends, its first octet goes where it is a dot. -1: the line was a dot alone. */
static long unstuff(char *out, const char *in, size_t len)
{
	bool start = true;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (start && in[i] == '.') {
			if (len - i >= 3 && in[i + 1] == '\r' && in[i + 2] == '\n')
				return -1;
			start = false;
			continue;
		}
		out[n++] = in[i];
		start = in[i] == '\n' && i && in[i - 1] == '\r';
	}
	return (long)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data + 1;
	bool at_start, at_start_cut;

	if (size < 1)
		return 0;
	const size_t len = size - 1;
	char *whole = malloc(2 * len + 1), *cut = malloc(2 * len + 1), *back = malloc(2 * len + 1);
	const size_t n = stuff(whole, in, len, len ? len : 1, &at_start);

	assert(stuff(cut, in, len, data[0] ? data[0] : 1, &at_start_cut) == n && memcmp(whole, cut, n) == 0);
	assert(at_start == at_start_cut);
	assert(at_start == (!len || (len >= 2 && in[len - 2] == '\r' && in[len - 1] == '\n')));
	assert(unstuff(back, whole, n) == (long)len && memcmp(back, in, len) == 0);
	free(whole);
	free(cut);
	free(back);
	return 0;
}
