#pragma once

/*
 * What the ways in share: a word as a value, and the forms of a secret that
 * is asked for and not given.
 */

#include "base/base.h"
#include "model/mail_params.h"

struct err;

/* --password-env, MAILCHUTE_PASSWORD_FILE, {"command": …}: the keys of a secret's object. */
static const char *const secret_forms[] = { "env", "file", "command", "fd" };

/* Does @word stand for the JSON of setting @which? */
bool input_word_is_json(const struct param *which, const char *word);

/*
 * One word of a flag or variable into @which: as JSON or as it is. @place: "--attach", for the errors. A
 * word that is text and not UTF-8: ERR_DATA with the number of the octet.
 */
int input_word(struct mail_params *p, const struct param *which, const char *place, const char *word,
	       enum origin o,
	       struct err *e) MUST_CHECK;

/* The secret @which from {@form: @word}; @form is one of secret_forms. */
int input_secret_form(struct mail_params *p, const struct param *which, const char *form, const char *word,
		      enum origin o, struct err *e) MUST_CHECK;

struct invocation;
/* Options of sendmail's alone, without a recipient among them: what mail(1) takes behind "--". */
int input_sendmail_options(struct mail_params *p, struct invocation *inv, const char *program, int argc,
			   char *argv[], struct err *e) MUST_CHECK;
