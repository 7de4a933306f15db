#pragma once

/*
 * Media type by file extension: /etc/mime.types where it is there (read once,
 * at the first question), a built-in table for what that does not know.
 */

#include "base/base.h"

/* "image/png" for "a/b.PNG"; "application/octet-stream" where nothing is known. Never NULL; the string lives
 * until mimetype_clear(). */
const char *mimetype_of(const char *path);
void mimetype_clear(void);
/* The usual names of charsets (RFC 2978 registry: us-ascii, utf-8, iso-8859-*, windows-125*, koi8-r, ...):
 * the preferred MIME name for any case and alias ("utf8" is refused with the hint), or NULL. */
const char *charset_name(const char *name);
