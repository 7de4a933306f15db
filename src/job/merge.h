#pragma once

/*
 * Mail merge: a template, which is mail_params with {{name}} in its texts, and a row of data make the mail_params of
 * one message.
 *
 * Filled in are subject, the names and addresses of people, header values, Message-ID and its like, the text and the
 * HTML of the body to any depth, names of files, and the text of attachments; of an attachment's path only with
 * files_dir. A value goes in as it is, but in HTML, where it is escaped. It can never become more than the one thing
 * that it stands for: in an address it can be no second one, a display name is quoted, and what the checks of
 * settings refuse (a line break in a header) is refused here as anywhere.
 */

#include "base/base.h"

struct csv_header;
struct err;
struct mail_params;
struct merge;
struct value;

/*
 * The template in @p, with @p's body_file and html_file read into it: @p has their text then. @p must stay as it is
 * while *ret lives. Errors: ERR_DATA (a template's syntax, with its setting; a file that is not UTF-8), ERR_NOINPUT,
 * ERR_USAGE (a path with {{...}} without files_dir; a message that is ready, and so has no places to fill in).
 */
int merge_new(struct merge **ret, struct mail_params *p, struct err *e) MUST_CHECK;
/* Every outermost name in it is a column: ERR_DATA names the first that is none, and the columns. */
int merge_check_columns(const struct merge *m, const struct csv_header *h, struct err *e) MUST_CHECK;
/*
 * @p, a copy of the template's params (mail_params_copy()), with @row filled in; by any number of threads at once.
 * ERR_DATA.
 */
int merge_fill(const struct merge *m, struct mail_params *p, const struct value *row, struct err *e) MUST_CHECK;
void merge_free(struct merge *m);
DEFINE_CLEANUP(struct merge *, merge_free);
