#pragma once

/*
 * A message that can be sent: what it needs of a server, and a source of its
 * bytes whenever one is asked for. The waist between composing (mime/) and
 * sending (net/): neither knows the other.
 *
 * Everything that came from a pipe was taken in whole before this exists;
 * regular files are read in place while the source is read.
 */

#include "base/base.h"

struct err;
struct source;
struct message;

struct message_needs {
	bool smtputf8;              /* a header has a raw UTF-8 address: SMTPUTF8, or not at all */
	bool eightbit;              /* as it is, it has octets over 127 in its body: BODY=8BITMIME */
	bool seven_possible;        /* a 7-bit rendering exists (not for multipart/signed) */
	bool empty;                 /* no text, and nothing else */
	bool once;                  /* a stream: one server, one transaction, no rewind */
	int64_t size;               /* octets as it is, without dot-stuffing and the dot; -1: unknown */
	int64_t size_seven;         /* of the 7-bit rendering */
};

static inline int64_t message_size(const struct message_needs *needs, bool seven)
{
	return seven ? needs->size_seven : needs->size;
}

struct message_ops {
	/* The bytes, CRLF-ended lines, ending in CRLF, not dot-stuffed. *ret is the caller's to free. */
	int (*open)(struct message *m, bool seven, struct source **ret, struct err *e);
	/* Every file is still what it was: ERR_DATA else. Asked just before the final dot. */
	int (*verify)(struct message *m, struct err *e);
	void (*free)(struct message *m);
};

struct message {
	const struct message_ops *ops;
	struct message_needs needs;
	char *message_id;           /* "<…>" for the report; never NULL. Owned by the implementation. */
};

static inline int message_open(struct message *m, bool seven, struct source **ret, struct err *e)
{
	return m->ops->open(m, seven, ret, e);
}
static inline int message_verify(struct message *m, struct err *e)
{
	return m->ops->verify(m, e);
}
static inline void message_free(struct message *m)
{
	if (m)
		m->ops->free(m);
}
DEFINE_CLEANUP(struct message *, message_free);
