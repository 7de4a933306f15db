/*
 * Dot-stuffing over every cutting: what RFC 5321 4.5.2 undoes gives the text back.
 *
 * rows: MSG-02, MSG-01
 */

#include "check.h"

#include "net/dotstuff.h"

#include <stdlib.h>

static size_t stuff(char *out, const char *in, size_t len, size_t chunk, unsigned *ret_matched)
{
	struct dotstuff d = DOTSTUFF_INIT;
	size_t used = 0;

	for (size_t at = 0; at < len; at += chunk)
		used += dotstuff_feed(&d, out + used, in + at, len - at < chunk ? len - at : chunk);
	*ret_matched = d.matched;
	return used;
}

static void table(void)
{
	static const struct { const char *in, *want; } row[] = {
		{ "", "" },
		{ ".\r\n", "..\r\n" },
		{ "..\r\n.\r\n", "...\r\n..\r\n" },
		{ "a\r\n.\r\nb.\r\n", "a\r\n..\r\nb.\r\n" },
		{ "a.b\r\n.c\r\n", "a.b\r\n..c\r\n" },
		{ "\r\n.\r\n.", "\r\n..\r\n.." },
		{ "\n.\r.", "\n.\r." },          /* no CRLF before: not the start of a line of ours */
		{ "\r\r\n.x\r\n", "\r\r\n..x\r\n" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (size_t chunk = 1; chunk <= 8; chunk++) {
			char out[64];
			unsigned matched;
			size_t n = stuff(out, row[i].in, strlen(row[i].in), chunk, &matched);

			test_case("row %zu in chunks of %zu", i, chunk);
			check_mem(out, n, row[i].want, strlen(row[i].want));
		}
}

/* CRLF.CRLF at every offset around the sizes where other senders broke. */
static void offsets(void)
{
	static const size_t edge[] = { 4096, 16384, 65536, 131072 };
	size_t most = 131072 + 64;
	char *in = malloc(most), *out = malloc(2 * most), *want = malloc(2 * most);

	for (size_t e = 0; e < 4; e++)
		for (int shift = -6; shift <= 6; shift++) {
			size_t at = edge[e] + (size_t)(shift + 8) - 8, n, len = at + 5;
			unsigned matched;

			memset(in, 'x', len);
			memcpy(in + at, "\r\n.\r\n", 5);
			memcpy(want, in, at + 2);
			memcpy(want + at + 2, "..\r\n", 4);
			test_case("CRLF.CRLF at %zu, chunks of %zu", at, edge[e]);
			n = stuff(out, in, len, edge[e], &matched);
			check_mem(out, n, want, len + 1);
			check_int(matched, 2);
		}
	free(in);
	free(out);
	free(want);
}

int main(void)
{
	table();
	offsets();
	return check_done();
}
