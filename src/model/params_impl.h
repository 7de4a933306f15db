#pragma once

/*
 * What the files of mail_params share among themselves: where a setting came
 * from in words, the life of each type of field, and the checks that both the
 * writer (with the exact place in the JSON) and finish (for the C interface) make.
 */

#include "base/err.h"
#include "model/mail_params.h"
#include "model/value.h"

/* Limits of lists: far above any use, there so that a file cannot size our memory by its brackets. */
enum { MAX_ADDRESSES = 1000000, MAX_FIELDS = 100000, MAX_PARTS = 100000, MAX_STRINGS = 10000 };

/* Room for one more of @size octets behind @count; the new one is zeroed. */
void *list_more(void *item, size_t count, size_t *cap, size_t size);
void strlist_add(struct strlist *l, char *takes);
void fields_add(struct fields *f, char *takes_name, char *takes_value);

void strlist_clear(struct strlist *l);
void rcpts_clear(struct rcpts *l);
void fields_clear(struct fields *l);
void content_clear(struct content *c);
void attachment_clear(struct attachment *a);
void secret_clear(struct secret *s);

/* The field of @which in @p. */
static inline void *param_field(const struct mail_params *p, const struct param *which)
{
	return (char *)p + which->offset;
}

/*
 * Nothing that would have to be copied or released is in a @field of the type of @which. Strings, trees and
 * lists are a pointer or begin with one, which is NULL then.
 */
static inline bool field_is_bare(const struct param *which, const void *field)
{
	switch (which->type) {
	case PARAM_BOOL: case PARAM_UINT: case PARAM_SIZE: case PARAM_ENUM: case PARAM_ACTION:
		return true;
	case PARAM_SECRET:
		return !((const struct secret *)field)->text;
	case PARAM_STR: case PARAM_CONTENT: case PARAM_STRS: case PARAM_RCPTS: case PARAM_FIELDS:
	case PARAM_ALIASES: case PARAM_ATTACHMENTS:
		break;
	}
	return !*(void *const *)field;
}
_Static_assert(!offsetof(struct strlist, item) && !offsetof(struct rcpts, item) &&
	       !offsetof(struct fields, item) && !offsetof(struct attachments, item), "see field_is_bare()");

/* Release a field of the type of @which and make it empty. */
void field_clear(const struct param *which, void *field);
/* The same of that in @p. */
void param_clear(struct mail_params *p, const struct param *which);
/* The setting is its default again, set by nobody. */
void param_reset(struct mail_params *p, const struct param *which);
/* Something is in the field: set by whomever, or a default that is not empty. */
bool param_has_value(const struct mail_params *p, const struct param *which);
/* "" where there is no word for @value: a default that cannot be asked for. */
const char *param_choice_word(const struct param_choice *c, int value);

/* The class of a malformed value of @which that @o gave. */
enum err_class param_error_class(const struct param *which, enum origin o);
/*
 * The place of a setting as an error opens: "--port", "MAILCHUTE_PORT", "job.json:3:9: port", or "port".
 * @path is where in the JSON; "" for the whole. Cut at @cap, NUL-ended.
 */
void param_place(char *out, size_t cap, const struct param *which, enum origin o, const char *file,
		 unsigned line, unsigned column, const char *path);
/* At finish: -1, with the place of setting @name in front. The class is by its origin. */
int param_fail(const struct mail_params *p, const char *name, struct err *e, const char *fmt, ...)
	PRINTF(4, 5);
/* The same for an error that @e already holds. */
int param_wrap(const struct mail_params *p, const char *name, struct err *e);

/* A field of `headers`: name, value on one line, none of those that the program alone writes. ERR_DATA. */
int message_field_check(const struct field *f, struct err *e) MUST_CHECK;
/* Its grammar only: for the fields of a part. */
int field_check(const struct field *f, struct err *e) MUST_CHECK;
bool is_stdin_path(const char *path);

/* mail_params_finish()'s share of the servers: list, mechanisms, has_credentials. */
int server_params_finish(struct mail_params *p, struct err *e) MUST_CHECK;

/* bound.c: what the configuration says of other servers than those that are used is dropped. */
void bound_settle(struct mail_params *p);

/* finish_words.c. NOTIFY_ bits of words; what ORCPT may be; every other word with a grammar. */
int dsn_notify_read(unsigned *ret, const char *words, struct err *e) MUST_CHECK;
int orcpt_check(const char *s, struct err *e) MUST_CHECK;
int finish_words(struct mail_params *p, struct err *e) MUST_CHECK;

/* finish_people.c. Both need p->names and the servers; the recipients p->notify as well. */
int finish_recipients(struct mail_params *p, struct err *e) MUST_CHECK;
int finish_sender(struct mail_params *p, const struct sysinfo *sys, struct err *e) MUST_CHECK;
