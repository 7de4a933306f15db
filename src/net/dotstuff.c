/* Dot-stuffing: dots are rare, so the text is copied in the long runs between them. */

#include "net/dotstuff.h"

#include <string.h>

/* How much of CRLF the octets before @at end with; @before tells what the text before @in did. */
static unsigned matched_at(const char *in, size_t at, unsigned before)
{
	if (at >= 2)
		return in[at - 1] == '\n' && in[at - 2] == '\r' ? 2 : in[at - 1] == '\r';
	if (at == 0)
		return before;
	if (in[0] == '\r')
		return 1;
	return in[0] == '\n' && before == 1 ? 2 : 0;
}

size_t dotstuff_feed(struct dotstuff *d, char *out, const char *in, size_t len)
{
	size_t from = 0, used = 0;

	for (const char *dot = len ? memchr(in, '.', len) : NULL; dot; ) {
		size_t at = (size_t)(dot - in);

		if (matched_at(in, at, d->matched) == 2) {
			memcpy(out + used, in + from, at - from);
			used += at - from;
			out[used++] = '.';
			from = at;
		}
		dot = at + 1 < len ? memchr(dot + 1, '.', len - at - 1) : NULL;
	}
	memcpy(out + used, in + from, len - from);
	used += len - from;
	d->matched = matched_at(in, len, d->matched);
	return used;
}
