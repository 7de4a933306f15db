#pragma once

/*
 * One MIME entity (RFC 2045, 2046, 2183): from a content and what was asked
 * for it to a part with its Content-... fields.
 *
 * What is decided here:
 * - A text (a body of type text/...) is sent line by line: as 7bit where it is that, else as quoted-printable
 *   or base64, whichever is shorter. Its charset is us-ascii where it is that (RFC 2046 4.1.2: the lowest
 *   common denominator), else utf-8 where it is that, else unknown-8bit (RFC 1428); or the one asked for.
 * - Everything else, attachments of type text/... included, arrives octet for octet: base64, or
 *   quoted-printable if asked for. "7bit" asked for an attachment makes it a text.
 * - 8bit and binary, where asked for, are taken as the most that may be sent, not as an order: what is
 *   composed is 7-bit clean, so that no server has to be asked.
 * - message/rfc822 may only be 7bit here (RFC 2046 5.2.1). A file that cannot be sent so becomes
 *   application/octet-stream where its type came from its name, and is refused where somebody asked for the
 *   type: neither re-encoding nor mislabelling it would be what was asked for.
 * - A boundary asked for in a Content-Type is replaced by one of 130 random bits: only that is certain not to
 *   be in the content, without a look at it. The other parameters stay.
 */

#include "mime/head.h"
#include "mime/leaf.h"
#include "mime/part.h"

struct entity {
	const struct content *content;          /* NULL: empty text */
	struct field_lists fields;              /* asked for; Content-... ones replace ours */
	const char *type;                       /* by default: "text/plain"; NULL: by the attachment's name */
	const char *charset;                    /* setting, or NULL */
	enum cte cte;                           /* setting; CTE_AUTO */
	bool encoded;                           /* the content already is in its content-transfer-encoding */
	const struct attachment *attachment;    /* NULL: a body */
	bool related;                           /* an attachment that HTML beside it shows: inline */
	unsigned head_lists;            /* of so many lists the fields but Content-... are in the message's header */
};

/*
 * A leaf: *ret_part and *ret_leaf are the caller's, and the part borrows the leaf. Errors: as leaf_take(),
 * ERR_DATA.
 */
int entity_leaf(struct part **ret_part, struct leaf **ret_leaf, const struct entity *want,
		const struct leaf_taking *how, struct err *e) MUST_CHECK;

/* The fields of a multipart with @boundary into @out. @type: by default, "multipart/mixed". ERR_DATA. */
int entity_multipart(struct buf *out, const struct entity *want, const char *boundary,
		     struct err *e) MUST_CHECK;
