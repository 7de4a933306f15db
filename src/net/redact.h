#pragma once

/*
 * Secrets kept out of texts: what a server echoes must not reach a trace, a report or an error. Known by
 * their plain form and by the three forms that base64 can give them within a longer text (by their place
 * modulo 3), so that whatever message of whatever mechanism is echoed is caught.
 */

#include "base/base.h"

enum { REDACT_MAX = 8 };

struct redact {
	struct { char *text; bool base64; } needle[REDACT_MAX];         /* owned; wiped on clear */
	size_t n;
};

/* Either may be NULL. */
void redact_init(struct redact *r, const char *password, const char *token);
/* Replace each secret within @text (NUL-ended, never grows) by "***", in base64 with all that follows of the
 * word. */
void redact_text(const struct redact *r, char *text);
void redact_clear(struct redact *r);
