#pragma once

/*
 * The ways in. Each walks the same table and calls mail_params_set() with its
 * own origin, so precedence is data (enum origin) and the order of the calls
 * does not matter. None of them checks meaning: that is mail_params_finish().
 */

#include "base/base.h"

struct buf;
struct err;
struct mail_params;
struct value;

enum mode {
	MODE_SEND, MODE_HELP, MODE_VERSION, MODE_PRINT_PARAMS, MODE_PRINT_SCHEMA,
	MODE_CHECK,             /* --check: the doctor */
	MODE_SERVE,             /* -bs: SMTP on standard input and output */
	MODE_VERIFY,            /* -bv: who would get it, without sending */
	MODE_QUEUE,             /* -bp, mailq: there is no queue to list */
	MODE_NOTHING,           /* -bi, newaliases, -q: done by doing nothing */
};

/* Whose grammar the arguments have: by the name the program is run under, or --as=NAME as first argument. */
enum personality { AS_MAILCHUTE, AS_SENDMAIL, AS_MAIL, AS_MAILQ, AS_NEWALIASES };

/* How to run, as opposed to what to send: the PARAM_ACTION rows. Strings point into argv. */
struct invocation {
	enum mode mode;
	const char *batch_file;         /* --batch FILE; "-": standard input; NULL: none */
	const char *data_file;          /* --data FILE, the same */
	const char *params_file;        /* --params FILE; "-": standard input; NULL: none */
	const char *config_file;        /* --config FILE; "": none; NULL: where it usually is */
	enum personality as;
	bool silent;                    /* sendmail's -oeq: the exit code alone tells */
	const char *warning;            /* to be said, and no reason to stop; NULL: none */
};

/*
 * Flags by getopt_long() walking the table; positional words are `to` (with message_file: `rcpt`). A value
 * that begins with '{' or '[' is the setting's JSON where its type is not a plain string. Errors: ERR_USAGE
 * naming the flag and the nearest right one; plain --password=… is refused with the advice; sendmail's own
 * options (-bs, -oi, -em, -t …) are refused with a hint; argc 0 is usage.
 */
int input_argv(struct mail_params *p, struct invocation *ret, int argc, char *argv[],
	       struct err *e) MUST_CHECK;

/*
 * By the base name of argv[0] (sendmail, mail, mailx, Mail, mailq, newaliases), or by "--as=NAME" or "--as NAME"
 * as first argument, which is then to be skipped: *ret_skip words. ERR_USAGE for a NAME that is none.
 */
int input_personality(enum personality *ret, int *ret_skip, int argc, char *argv[], struct err *e) MUST_CHECK;
/*
 * The grammars of sendmail(8), and of mail(1) as it sends. @argv[0] is a name, the words behind it are the
 * arguments (--as is gone). They store like input_argv(), with ORIGIN_ARGV. mailq and newaliases take
 * sendmail's grammar in their mode.
 */
int input_sendmail(struct mail_params *p, struct invocation *ret, int argc, char *argv[],
		   struct err *e) MUST_CHECK;
int input_mail(struct mail_params *p, struct invocation *ret, int argc, char *argv[], struct err *e)
	MUST_CHECK;

/*
 * MAILCHUTE_* variables. An unknown MAILCHUTE_ name is an error with the nearest (64). An empty value is the
 * empty string. A secret is itself, whatever it begins with, or comes from MAILCHUTE_PASSWORD_FILE,
 * _COMMAND, _ENV, _FD; one that was given is overwritten in @envp and unset.
 */
int input_environ(struct mail_params *p, char *envp[], struct err *e) MUST_CHECK;

/*
 * A params file, whole: at most 256 MiB; the strict rules of json.c. A literal secret in a file that others
 * can read: ERR_POLICY with the chmod that mends it. Errors "job.json:7:12: attachments[1].pth: unknown key,
 * did you mean 'path'?".
 */
int input_params_file(struct mail_params *p, const char *path, struct err *e) MUST_CHECK;
/* The same from text; @name for messages and places. */
int input_json(struct mail_params *p, const char *name, const char *text, size_t len,
	       struct err *e) MUST_CHECK;
/*
 * A line of a batch, with ORIGIN_LINE: settings, but none that says how the whole runs (PARAM_RUN), and "id", a
 * text or a whole number: *ret_id is malloc'd, NULL where there is none; it is there on an error too, where it
 * was read by then. @line is its number in the file @name. @exposed: others can read that file, so that a literal
 * secret in the line is refused (ERR_POLICY).
 */
int input_line(struct mail_params *p, char **ret_id, const char *name, unsigned line, const char *text, size_t len,
	       bool exposed, struct err *e) MUST_CHECK;
/* The text of an "id" member: 1 to 512 octets, no control characters. malloc, or NULL with *e. */
char *input_id(const struct value *v, const char *name, struct err *e) MUST_CHECK;

/*
 * The strict JSON reader (RFC 8259, and see json.c for where it is narrower): any one JSON value, at most
 * 999 deep and 2^21 values, linear in @len but for the sorting of keys. *ret is the caller's. ERR_DATA
 * "name:line:col: path: what"; a column counts characters.
 */
int json_read(struct value **ret, const char *name, const char *text, size_t len, struct err *e) MUST_CHECK;
/* The same of a text that begins in line @line of @name. */
int json_read_line(struct value **ret, const char *name, unsigned line, const char *text, size_t len,
		   struct err *e) MUST_CHECK;
/* Of data that are no settings: any number of RFC 8259 becomes VALUE_NUMBER, its text as it is. Else the same. */
int json_read_data(struct value **ret, const char *name, unsigned line, const char *text, size_t len,
		   struct err *e) MUST_CHECK;

/* The version of cJSON, which the JSON reader stands on, for --version. */
const char *json_library(void);

int input_help(struct buf *out) MUST_CHECK;
/* @network: the libraries of net/, which input/ does not know ("libcurl 7.88.1, OpenSSL ..."). */
int input_version(struct buf *out, const char *network) MUST_CHECK;
