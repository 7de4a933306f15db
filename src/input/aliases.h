#pragma once

/*
 * A file in the form of /etc/aliases (aliases(5)): "name: target, target", with
 * continuation lines, comments and quotes. Addresses are read; what is no
 * address ("|command", /file, :include:) is kept, to be refused where somebody
 * uses that name.
 */

#include "base/base.h"

struct err;
struct mail_params;

/*
 * Put what p->aliases_file has into p->file_aliases: a name that is in both keeps what the setting `aliases`
 * says. Nothing where no file is set. ERR_CONFIG (by the origin of the setting): the file cannot be
 * read, "file:line: what".
 */
int aliases_read(struct mail_params *p, struct err *e) MUST_CHECK;
