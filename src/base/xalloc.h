#pragma once

/*
 * Allocation that does not return without memory: it prints one line and
 * ends the process with 71 (EX_OSERR). A limit that is passed never ends the
 * process, it is an error; only a machine that has run out does.
 */

#include "base/base.h"

#include <stdlib.h>

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *old, size_t n, size_t size);
char *xstrdup(const char *s);                           /* NULL gives NULL */
char *xmemdup0(const void *mem, size_t len);            /* with a NUL behind it */
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* free() of what CLEANUP(freep) names. */
static inline void freep(void *p) { free(*(void **)p); }

/* Overwrite so that the compiler cannot leave it out, then free; NULL is a no-op. */
void wipe_free(char *secret);
