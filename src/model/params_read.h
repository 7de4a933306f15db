#pragma once

/*
 * How a value becomes a field: a reader for each type of setting, and what the
 * readers share. Private to mail_params_set.c and the params_read files.
 *
 * A reader fills a zeroed field and says with the exact place where it
 * stumbles. Whatever a failed one has put into the field is the caller's to
 * release, like the field of one that did not fail.
 */

#include "model/params_impl.h"

/* What every reader needs to know, and to say where it stumbled. */
struct reader {
	const struct param *which;
	enum origin o;
	const char *file;
	struct err *e;
};

/* A field of any type, on its way. */
union field_of {
	bool boolean;
	unsigned uint;
	uint64_t size;
	int choice;
	char *str;
	struct strlist strs;
	struct rcpts rcpts;
	struct fields fields;
	struct part_params *part;
	struct attachments attachments;
	struct secret secret;
};

/* Header fields, of the message (@whole) or of one of its parts. */
struct fields_reader {
	const struct reader *r;
	struct fields *fields;
	bool whole;
};

/* Of a value, for a message: escaped and short. */
struct shown { char text[64]; };
struct shown value_shown(const char *s, size_t len);
bool value_is_string(const struct value *v);

/* -1, with the place of @at before the text, and the class that the origin asks for. */
int reader_fail(const struct reader *r, const struct value *at, const char *fmt, ...) PRINTF(3, 4);
/* The same for the error that r->e already holds. */
int reader_wrap(const struct reader *r, const struct value *at);
/* "must be @wanted, not a list". */
int reader_wrong_type(const struct reader *r, const struct value *at, const char *wanted);
/* Every key of @object is one of @keys (NULL-ended); else an error with the nearest. */
int reader_check_keys(const struct reader *r, const struct value *object, const char *const *keys) MUST_CHECK;
/* Exactly one of @keys is in @object: *ret. */
int reader_one_of(const struct reader *r, const struct value *object, const char *const *keys,
		  const char *in_words, const struct value **ret) MUST_CHECK;

/* Members of objects. Each gives a string that the caller owns. */
int read_text(const struct reader *r, const struct value *v, char **ret, size_t *ret_len) MUST_CHECK;
int read_line(const struct reader *r, const struct value *v, char **ret) MUST_CHECK;
int read_path(const struct reader *r, const struct value *v, char **ret) MUST_CHECK;
int read_joined(const struct reader *r, const struct value *list, char **ret) MUST_CHECK;
int read_plain_bool(const struct reader *r, const struct value *v, bool *ret) MUST_CHECK;
int read_fd(const struct reader *r, const struct value *v, int *ret) MUST_CHECK;
int read_fields_value(struct fields_reader *fr, const struct value *v) MUST_CHECK;

/* The readers of the types. */
int read_bool(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_uint(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_size(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_enum(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_str(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_strs(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_rcpts(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_fields(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_part_tree(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_attachments(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_aliases(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
int read_secret(const struct reader *r, const struct value *v, union field_of *f) MUST_CHECK;
