#pragma once

/*
 * The address fields of a ready message that cannot stay as they are: names
 * without a domain that have one (mail_domain), or stand for others (aliases),
 * and an author who is not to be named (force_from). The envelope was resolved
 * by the same rules (model/finish_people.c). What the field said is kept in
 * X-Original-From, -To or -Cc; a field that need not change keeps its octets.
 */

#include "base/base.h"

struct block;
struct block_field;
struct buf;
struct err;
struct mail_params;

/* 1: the field is written anew; 0: it is to be kept; -1: ERR_DATA. */
int people_put(struct buf *out, const struct block *b, const struct block_field *f,
	       const struct mail_params *p, struct err *e) MUST_CHECK;
