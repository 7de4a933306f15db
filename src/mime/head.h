#pragma once

/*
 * The message's own header fields, RFC 5322 3.6, in one fixed order: Date,
 * From, Sender, Reply-To, To, Cc, Subject, Message-ID, In-Reply-To,
 * References, the custom fields in theirs, Auto-Submitted, Importance,
 * X-Priority, MIME-Version. A custom field with the name of a generated one
 * stands in its place. Bcc is not among them: nothing here can write it.
 */

#include "base/base.h"
#include "model/mail_params.h"

struct buf;
struct err;
struct sysinfo;

/*
 * Custom fields: those of the settings and, where the body is the recursive form, those of its root behind
 * them.
 */
struct field_lists { const struct fields *list[2]; };

/* The value of @name (any case) or NULL. */
const char *fields_find(const struct field_lists *f, const char *name);
/* One by one: *i counts from 0; NULL at the end. */
const struct field *fields_next(const struct field_lists *f, size_t *i);
/*
 * What no custom field may do: MIME-Version, Received, Return-Path, a Bcc that is not empty; a field twice
 * that RFC 5322 3.6 or RFC 2045 allows once. -1 ERR_DATA.
 */
int fields_check(const struct field_lists *f, struct err *e) MUST_CHECK;
/* Content-...: describes the body, and is written where the body is. */
bool field_is_content(const char *name);
/* A field that RFC 5322 3.6 or RFC 2045 allows once: its number (below 64), or -1. */
int field_single(const char *name);

/* Appends the fields to @out. *ret_message_id: malloc, "<...>". Errors: ERR_DATA. */
int head_write(struct buf *out, char **ret_message_id, const struct mail_params *p,
	       const struct field_lists *custom, const struct sysinfo *sys, struct err *e) MUST_CHECK;

/* For ready messages that lack them. */
int head_date(struct buf *out, const struct mail_params *p, const struct sysinfo *sys,
	      struct err *e) MUST_CHECK;
int head_from(struct buf *out, const struct mail_params *p, struct err *e) MUST_CHECK;
/* *ret: malloc. @from: the value of the From field that there is, or NULL. */
int head_message_id(char **ret, const struct mail_params *p, const char *from, const struct sysinfo *sys,
		    struct err *e) MUST_CHECK;
