#pragma once

/*
 * Header-field text, RFC 5322 / 2047 / 2231. Pure functions: UTF-8 in,
 * US-ASCII lines out (CRLF ended), folded at 78 columns where white space
 * allows it and never over 998; no I/O and no state. Every one refuses CR, LF
 * and NUL in its input (ERR_DATA): header injection stops here.
 *
 * Values that are ASCII pass octet for octet, folded only at white space past
 * 78. Non-ASCII values are encoded by their kind of field.
 */

#include "base/base.h"

struct buf;
struct err;
struct mailbox;

/* A field while it is written; private. */
struct header_line {
	struct buf *out;
	size_t start;           /* where the field begins in @out */
	size_t column;          /* of the line so far */
	bool content;           /* the line has more than the field's name */
	bool encoded;           /* the line has an encoded word, so its limit is 76 */
	bool full;              /* @out was */
};

/* How a field's non-ASCII value is encoded, from the registry of field names (RFC 5322 3.6, RFC 2045...). */
enum field_kind {
	FIELD_UNSTRUCTURED,     /* Subject, Comments, X-...: encoded words */
	FIELD_ADDRESSES,        /* To, Cc, From, Sender, Reply-To, Resent-*...: display names only */
	FIELD_PARAMETERS,       /* Content-Type, Content-Disposition: RFC 2231 */
	FIELD_TOKEN,            /* Message-ID, References, Date, MIME-Version...: ASCII or refused */
};
enum field_kind field_kind(const char *name);

/* RFC 5322 3.6.8: printable ASCII but colon, 1..76 octets. -1 ERR_DATA. */
int field_name_check(const char *name, size_t len, struct err *e) MUST_CHECK;

/*
 * "Name: value CRLF" appended to @out, by the field's kind; a -1 leaves @out as it was. A value with leading
 * or trailing white space keeps it: header_text() puts it into an encoded word, so that it reads back as
 * itself; header_raw() writes it as it is, except where a line would be only white space or over 998
 * (trimmed). Control characters: encoded words where the kind allows them, else ERR_DATA. An address field
 * with non-ASCII text is read and written again: groups and comments are lost, and a non-ASCII local part is
 * left raw (the caller sees octets over 127 in what was appended). An ASCII word that looks like an encoded
 * word, in a field that WE generate from text (subject, display name), must read back as itself:
 * header_text() encodes it; header_raw() (custom headers) passes it. A value that cannot be folded under 998
 * (one long word): encoded words where the kind allows it, else ERR_DATA.
 */
int header_text(struct buf *out, const char *name, const char *utf8, struct err *e) MUST_CHECK;
int header_raw(struct buf *out, const char *name, const char *utf8, struct err *e) MUST_CHECK;

/* "Name: mailbox, mailbox CRLF". Display names quoted or encoded as they need (RFC 2047 5(3)); the addr-spec
 * with its domain in A-labels; a non-ASCII local part is left raw (RFC 6532; the message then needs smtputf8:
 * *ret_eai |= true). Without any _add(), _end() takes the field out again: an address list cannot be empty.
 * After a -1 nothing of the field is in @out. */
struct header_addresses { struct header_line line; bool any; };
int header_addresses_begin(struct header_addresses *h, struct buf *out, const char *name,
			   struct err *e) MUST_CHECK;
int header_addresses_add(struct header_addresses *h, const struct mailbox *m, bool *ret_eai,
			 struct err *e) MUST_CHECK;
int header_addresses_end(struct header_addresses *h, struct err *e) MUST_CHECK;

/*
 * "Name: value; param=...; CRLF" for Content-Type and Content-Disposition: parameters as token, quoted
 * string, or RFC 2231 extended with continuations (name*0*=utf-8''...), which ASCII values that would pass
 * column 78 have too (a boundary never). For name/filename with a non-ASCII value a plain ASCII fall-back
 * (name="r_sum_.pdf") is put as well, behind the extended one: readers that know both forms take the first
 * they meet (Python's email, GMime), others know only the plain one. @value is a media type or a token; a
 * parameter's name has at most 40 octets, its value 16384.
 */
struct header_param { const char *name, *value; };
int header_params(struct buf *out, const char *name, const char *value,
		  const struct header_param *params, size_t n_params, struct err *e) MUST_CHECK;

/*
 * Read "type/subtype; name=value; ..." (RFC 2045 5.1, comments allowed). *ret_type (malloc, lower case);
 * media_type_param: the value of one parameter (malloc; unquoted, the first of that name in any case) or
 * NULL. -1 ERR_DATA where it is not the grammar; a last ";" with nothing behind it is let pass.
 */
int media_type_parse(char **ret_type, const char *value, struct err *e) MUST_CHECK;
char *media_type_param(const char *value, const char *name);

