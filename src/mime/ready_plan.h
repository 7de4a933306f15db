#pragma once

/*
 * What has to be changed in the body of a ready message. One pass over the
 * message, in constant memory but for what it finds, follows its MIME
 * structure (multiparts by their boundaries, message/rfc822 by its header) with
 * a stack of boundaries, not of calls, and writes down edits: stretches of
 * the input and what stands for them.
 *
 * Two renderings come of it. As it is: only what no server may be given is
 * edited (lines over 998 octets). 7-bit: parts with octets over 127 as well.
 * In multipart/signed and multipart/encrypted nothing may be edited (RFC 1847, 2.1).
 *
 * What is edited: a leaf is encoded as quoted-printable or base64 and its
 * Content-Transfer-Encoding written anew, or mended in the encoding it has; header fields with raw text are
 * written anew; preamble and epilogue, which nobody is shown (RFC 2046 5.1.1), are left out.
 */

#include "base/base.h"
#include "mime/lines.h"
#include "text/encode.h"

struct err;

struct edit {
	uint64_t at, raw;       /* octets of the input that it stands for */
	uint64_t canonical;     /* their number with CRLF line ends */
	bool always;            /* in both renderings; else in the 7-bit one only */
	enum cte cte;           /* encode them so; CTE_AUTO: put @text instead */
	bool repair;            /* they are in that encoding, and are to be mended (repair.h) */
	char *text;
	uint64_t size;          /* octets of what is put */
	bool ends_line;         /* its end is a line's, or it is empty */
};

struct ready_plan {
	struct edit *edit;
	size_t count, cap, text_total;
	uint64_t body_at;       /* octets of the input before the body */
	uint64_t raw, canonical;        /* of the body */
	uint64_t high;          /* octets over 127 in the body, as it is */
	bool ends_line;
	bool seven_possible;
	bool unmeasured;        /* the size of what is mended is not known yet: ready_measure() */

	/* of the whole message's own entity */
	bool root_leaf;
	bool root_always, root_seven;   /* its body is encoded, as root_cte says, in these renderings */
	enum cte root_cte;
	bool root_utf8, root_high;      /* root_high: octets over 127 that need a label */
};

/* @lines stands behind the message's own header @head (and its empty line). ERR_DATA; the source's errors. */
int ready_plan_make(struct ready_plan *ret, struct lines *lines, const struct block *head,
		    struct err *e) MUST_CHECK;
void ready_plan_clear(struct ready_plan *p);
/* Octets of the body in a rendering, and what its last line lacks. */
uint64_t ready_plan_size(const struct ready_plan *p, bool seven);
bool ready_plan_ends_line(const struct ready_plan *p, bool seven);
