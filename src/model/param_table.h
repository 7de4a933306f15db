#pragma once

/*
 * The one list of settings. argv, JSON and the environment are all read by
 * walking it; --help, --print-params, the JSON
 * Schema and the completions are printed from it; the tests compare man pages
 * and completions with it. To add a setting, add a row (and its field in
 * mail_params): there is no switch to extend.
 *
 * The environment variable of a setting is MAILCHUTE_ and its name in capitals; the flag its name with
 * '-' for '_'; a boolean has --name and --no-name; a secret has --name-env, --name-file, --name-command and
 * --name-fd instead of --name.
 */

#include "base/base.h"

enum param_type {
	PARAM_BOOL,             /* bool */
	PARAM_UINT,             /* unsigned; min..max; JSON integers, decimal words */
	PARAM_SIZE,             /* uint64_t; words may end in K, M, G (1024) */
	PARAM_ENUM,             /* int; one of choices */
	PARAM_STR,              /* char * */
	PARAM_STRS,             /* struct strlist; a string or a list of strings */
	PARAM_RCPTS,            /* struct rcpts; string, object or list of them */
	PARAM_FIELDS,           /* struct fields; object, or list of [name, value]; flag "Name: value" */
	PARAM_CONTENT,          /* struct part_params: the body, any depth */
	PARAM_ATTACHMENTS,      /* struct attachments; path, object, or list of them */
	PARAM_SECRET,           /* struct secret */
	PARAM_ALIASES,          /* struct fields: local name, address list; an object; flag "name: list" */
	PARAM_ACTION,           /* how to run, not what to send: input_argv() keeps it (struct invocation) */
};

enum param_flags {
	PARAM_NO_JSON  = 1 << 0,        /* output, params, ...: never a JSON key */
	PARAM_NO_ENV   = 1 << 1,
	PARAM_SERVER   = 1 << 2,        /* where or how we connect: refused from JSON with files_dir */
	PARAM_FILE     = 1 << 3,        /* the value is a path (completion; confined by files_dir) */
	PARAM_MASKED   = 1 << 4,        /* may hold credentials (proxy URL): masked when printed */
	PARAM_ALWAYS_DATA = 1 << 5,     /* a malformed value is 65 whatever its origin */
	PARAM_JOINED   = 1 << 6,        /* PARAM_STR that takes a list of strings too, joined by a space */
	/*
	 * Credentials, and what lowers the guard of TLS. From the configuration they are for the server named
	 * beside them, and for no other: mail_params_finish() drops them where a higher origin names another.
	 */
	PARAM_BOUND    = 1 << 7,
	PARAM_RUN      = 1 << 8,        /* how the whole runs: no line of a batch may say it */
};

enum param_group { GROUP_SERVER, GROUP_ENVELOPE, GROUP_HEADERS, GROUP_BODY, GROUP_OUTPUT, GROUP_BATCH };

struct param_choice { const char *word; int value; };

struct param {
	const char *name;               /* "subject": --subject, "subject":, MAILCHUTE_SUBJECT */
	char letter;                    /* 's' for -s, or 0 */
	enum param_type type;
	unsigned flags;
	enum param_group group;
	size_t offset;                  /* of the field in struct mail_params */
	unsigned min, max;              /* PARAM_UINT */
	const struct param_choice *choices; /* PARAM_ENUM, {NULL}-ended */
	const char *alias;              /* "user" for "username", or NULL */
	const char *arg;                /* "ADDR" in --help; NULL for booleans */
	const char *fallback;           /* the default in words, for --help and schema; NULL: none */
	const char *help;               /* one line, lower case, no full stop */
};

enum { PARAM_MAX = 112, PARAM_NAME_ROOM = 32 };

const struct param *param_table(size_t *ret_count);     /* in the order of --help */
/* By name or alias; NULL: unknown. */
const struct param *param_by_name(const char *name, size_t len);
/* The row of a name of ours, "tls"; it is there. */
const struct param *param_row(const char *name);
const struct param *param_by_letter(char letter);
/* The name as the flag has it, "oauth2-token", and the variable, "OAUTH2_TOKEN", behind their prefix. */
void param_flag(char out[PARAM_NAME_ROOM], const char *name);
void param_variable(char out[PARAM_NAME_ROOM], const char *name);
size_t param_id(const struct param *p);                 /* index in the table, for origin[] */
/*
 * The nearest word by edit distance (at most 2, or a third of its length), or NULL. @next gives candidates
 * until NULL.
 */
const char *nearest_word(const char *word, size_t len, const char *(*next)(void *ctx), void *ctx);
const char *param_nearest(const char *word, size_t len);        /* over names and aliases */
