#pragma once

/*
 * Secrets kept out of texts: what a server echoes must not reach a trace, a report or an error. Known by their
 * plain form and by each base64 form in which they travel.
 */

#include "base/base.h"

enum { REDACT_MAX = 12 };

struct redact {
	char *needle[REDACT_MAX];       /* owned; wiped on clear */
	size_t n;
};

/* Any of the three may be NULL. */
void redact_init(struct redact *r, const char *username, const char *password, const char *token);
/* Replace each secret within @text (NUL-ended, shrinks in place) by "***". */
void redact_text(const struct redact *r, char *text);
void redact_clear(struct redact *r);
