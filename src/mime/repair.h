#pragma once

/*
 * Mends what is called quoted-printable or base64 and is not quite: lines over
 * 76 octets, octets over 127 (RFC 2045 6.7, 6.8). What a reader decodes is not changed.
 *
 *   quoted-printable  an octet over 127 becomes =XX; a long line gets soft line breaks, none inside of an =XX
 *   base64            only the alphabet is kept, in lines of 76, none ended but by the next
 */

#include "base/base.h"
#include "text/encode.h"

struct source;

struct repair {
	enum cte cte;           /* CTE_QP or CTE_BASE64 */
	unsigned column;
	unsigned escape;        /* octets of an =XX that are still to come */
	bool broken;            /* the line began here, by a soft line break of ours */
};

enum { REPAIR_GROWTH = 8 };     /* octets out for one in, at most: "3D", "=" CRLF, "=XX" */

/*
 * One piece, with CRLF line ends only, cut anywhere. @out: room for REPAIR_GROWTH * @len. Gives the octets
 * put.
 */
size_t repair_feed(struct repair *r, const char *in, size_t len, char *out);
/*
 * The same as a source over @under (owned), whose line ends are CRLF; @size of what comes out. Does not
 * rewind.
 */
struct source *repair_source(enum cte cte, struct source *under, int64_t size);
