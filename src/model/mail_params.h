#pragma once

/*
 * mail_params: everything the user asked for, and nothing else.
 *
 * The inputs write it (input/input.h), through mail_params_set() only. Then
 * mail_params_finish() fills defaults, checks the whole and freezes it; every
 * later stage takes it as const. No stage adds to it: derived facts live in
 * envelope, message and report.
 *
 * Strings are owned by the struct and valid until mail_params_clear().
 * The C interface may also fill the fields below the line "as asked for"
 * directly (after mail_params_init()), then call mail_params_finish().
 */

#include "base/base.h"
#include "model/param_table.h"
#include "text/addr.h"
#include "text/encode.h"

struct buf;
struct err;
struct staged;
struct sysinfo;
struct value;

/* Who set a value. A later write wins only if its origin is not lower. */
enum origin { ORIGIN_DEFAULT, ORIGIN_CONFIG, ORIGIN_ENV, ORIGIN_JSON, ORIGIN_ARGV, ORIGIN_LINE };
/* Is it a text that may be somebody else's (JSON, data)? Then files_dir fences it in. */
bool origin_is_data(enum origin o);
const char *origin_name(enum origin o);         /* "default", "environment" ..., as --print-params has it */

enum tls_mode { TLS_NEVER, TLS_IF_OFFERED, TLS_STARTTLS, TLS_IMPLICIT };
enum tls_version { TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 };
enum report_format { REPORT_SILENT, REPORT_TEXT, REPORT_JSON };
enum log_format { LOG_TEXT, LOG_JSON };
enum ip_version { IP_ANY, IP_4, IP_6 };
enum auth_mech {                                /* bits of server_params.mechanisms */
	AUTH_PLAIN = 1 << 0, AUTH_LOGIN = 1 << 1, AUTH_CRAM_MD5 = 1 << 2, AUTH_DIGEST_MD5 = 1 << 3,
	AUTH_XOAUTH2 = 1 << 4, AUTH_OAUTHBEARER = 1 << 5, AUTH_EXTERNAL = 1 << 6, AUTH_SCRAM_SHA_1 = 1 << 7,
	AUTH_SCRAM_SHA_256 = 1 << 8, AUTH_NTLM = 1 << 9, AUTH_GSSAPI = 1 << 10,
};
const char *auth_mech_name(unsigned bit);       /* "CRAM-MD5" */

struct strlist { char **item; size_t count, cap; };
struct rcpt_param { char *address, *notify, *orcpt; };  /* address as asked for: may be a list with names */
struct rcpts { struct rcpt_param *item; size_t count, cap; };
struct field { char *name, *value; };
struct fields { struct field *item; size_t count, cap; };

/* A secret as asked for; resolved by input/secret.h just before a session, never stored here resolved. */
enum secret_kind { SECRET_NONE, SECRET_LITERAL, SECRET_ENV, SECRET_FILE, SECRET_COMMAND, SECRET_FD };
struct secret { enum secret_kind kind; char *text; int fd; };   /* text wiped on clear */

enum content_kind {
	CONTENT_NONE,
	CONTENT_TEXT,           /* data, len: UTF-8 text */
	CONTENT_BYTES,          /* data, len: octets (from "base64") */
	CONTENT_FILE,           /* path: regular file or pipe */
	CONTENT_FD,             /* fd */
	CONTENT_STDIN,
	CONTENT_STAGED,         /* staged: taken in already */
	CONTENT_PARTS,          /* multipart: children of the part */
};
struct content {
	enum content_kind kind;
	char *data; size_t len;
	char *path;
	int fd;
	struct staged *staged;  /* borrowed */
	bool confined;          /* from JSON or data: opened beneath files_dir where that is set */
};

/*
 * One node of the recursive form: {headers, body}. Links, not arrays: no depth limit of its own, nothing
 * recurses.
 */
struct part_params {
	struct part_params *parent, *first, *last, *next;
	struct fields headers;
	struct content content;
	bool encoded;           /* content already is in its content-transfer-encoding */
	char *preamble, *epilogue;      /* CONTENT_PARTS only; NULL: none */
};
struct part_params *part_params_new(void);
void part_params_append(struct part_params *parent, struct part_params *child);  /* parent owns child */
void part_params_free(struct part_params *root);

struct attachment {
	struct content content;
	char *filename, *type, *disposition, *content_id;       /* NULL: by default */
	enum cte encoding;
	bool encoded;
	struct fields headers;
};
struct attachments { struct attachment *item; size_t count, cap; };

/* A mailbox of a list, with its DSN wishes: NOTIFY_ bits; "[type;]address" (borrowed; NULL: none). */
struct addressee { struct mailbox mailbox; unsigned notify; const char *orcpt; };
struct addressees { struct addressee *item; size_t count, cap; };

/* One server to try, as mail_params_finish() worked it out. */
struct server {
	char *host;             /* A-labels or literal without brackets; NULL with unix_socket */
	unsigned port;
	char *unix_socket;
	bool lmtp;
	enum tls_mode tls;
	bool tls_asked;         /* by a setting or a URL scheme, not by default */
	bool loopback;          /* 127/8, ::1 or "localhost" (then pinned), and no proxy; or a Unix socket */
	char *label;            /* "mail.example.org:587", "[::1]:25", "/run/lmtp": for report and messages */
};

struct server_params {
	/* as asked for */
	struct strlist server;
	unsigned port;          /* 0: by default */
	bool tls, starttls, lmtp;
	char *unix_socket, *helo_name, *username;
	struct secret password, oauth2_token;
	struct strlist auth;
	bool tls_verify, allow_insecure_auth;
	char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_pinned_key;
	int tls_min_version;    /* enum tls_version */
	char *proxy, *interface;
	int ip_version;         /* enum ip_version */
	unsigned connect_timeout, timeout, dot_timeout, max_time;  /* seconds; max_time 0: none */
	uint64_t limit_rate;    /* octets a second; 0: none */
	unsigned max_rcpt;
	unsigned retries, retry_delay;  /* seconds before the first, doubled before each further one */
	/* by mail_params_finish(); from here to the end mail_params_copy() leaves it out */
	struct server *list; size_t n_list;
	unsigned mechanisms;    /* enum auth_mech bits allowed */
	bool inspect;           /* --check: certificates are kept to be looked at */
	bool has_credentials;   /* username, or auth names EXTERNAL */
};

/*
 * What a ready message says of itself, as far as params depend on it: filled from its header by ready_found()
 * (mime/ready.h) before mail_params_finish(). Values unfolded, else as they stand.
 */
struct found {
	bool is;                        /* there is a ready message, and this is its header */
	char *from, *sender;            /* of the Resent- block where there is one; NULL: no such field */
	struct strlist rcpts;           /* To, Cc, Bcc, or those of the first Resent- block alone */
};

struct local_names;

/* How a batch runs; see man mailchute(1), MANY MESSAGES. */
struct batch_params {
	int missing;            /* of a merge: 0 an error, 1 empty */
	unsigned workers;       /* 0: by need */
	unsigned window, max_per_session, max_per_second, max_per_minute;       /* the last three, 0: no limit */
	bool ordered, stop_on_error, resume;
	char *journal;
	int unknown;            /* 0 skip, 1 retry */
};

struct mail_params {
	/* as asked for */
	struct server_params server;
	char *from, *sender, *envelope_from, *subject, *date, *zone, *message_id, *in_reply_to, *references;
	struct rcpts to, cc, bcc, rcpt;
	struct strlist reply_to;
	struct fields headers;
	char *auto_submitted;
	char *account, *from_name, *force_from, *mail_domain, *aliases_file;
	struct fields aliases;          /* name, address list */
	bool read_recipients;
	int priority;           /* 0 none, 1 high, 3 normal, 5 low */
	char *dsn_notify, *dsn_envid;
	int dsn_return;         /* 0 none, 1 FULL, 2 HDRS */
	bool require_tls, all_or_nothing;
	struct part_params *body;       /* NULL: none asked for */
	char *body_file, *html, *html_file, *message_file, *charset, *files_dir;
	int encoding;           /* enum cte */
	struct attachments attachments;
	bool stream, ignore_dots, require_end, skip_empty;
	int report;             /* enum report_format */
	bool dry_run, quiet;
	bool verbose;
	char *output, *log;
	int log_format;         /* enum log_format */
	struct batch_params batch;

	/* not settings: what the traditional grammars say besides, and job/ on the way */
	struct content message; /* a ready message that is no file: kind NONE, or instead of message_file */
	bool headless;          /* a ready message without any field is a text (sendmail with recipients) */
	bool dsn_optional;      /* a server without DSN gets the message all the same (sendmail's -N, -R, -V) */
	bool many;              /* one message of many: what can be read only once is refused */
	bool probing;           /* --check: there is no message, and perhaps no recipient */
	struct found found;
	struct fields file_aliases;     /* of aliases_file; those of the setting `aliases` go before them */
	struct strlist bound_to;        /* the servers named beside the configuration's credentials, as written */

	unsigned char origin[PARAM_MAX];        /* enum origin, by param id */
	/* where a JSON text set it; file NULL: nowhere */
	struct { char *file; unsigned line, column; } place[PARAM_MAX];

	/* by mail_params_finish(): parsed, checked; from here to the end mail_params_copy() leaves it out */
	struct mailbox from_box, sender_box, envelope_from_box;         /* local NULL: none */
	struct mailbox force_from_box;
	struct addressees found_boxes;          /* of found.rcpts, with read_recipients: local names resolved */
	char *original_from, *original_to, *original_cc; /* composed: what a rewritten header said; NULL: as it is */
	struct local_names *names;              /* never NULL once finished */
	bool bound_dropped;                     /* the configuration's credentials are for another server */
	struct addressees to_boxes, cc_boxes, bcc_boxes, rcpt_boxes;
	struct addressees reply_to_boxes;
	bool to_groups, cc_groups;              /* a group is in the text: the header keeps the text */
	unsigned notify;                        /* dsn_notify as NOTIFY_ bits */
	bool null_sender;                       /* envelope_from is "" or "<>" */
	bool finished;
};

void mail_params_init(struct mail_params *p);

/* Who set the setting @name, as "tls". */
enum origin param_origin(const struct mail_params *p, const char *name);
/* Is it set by somebody (not a default)? */
bool mail_params_given(const struct mail_params *p, const char *name);

/*
 * Did JSON or data name the path in @name ("body_file")? Then it is opened beneath files_dir, where that is
 * set.
 */
bool mail_params_confined(const struct mail_params *p, const char *name);
/* The setting that reads standard input ("body_file"), or NULL: nobody else may then (params on "-"). */
const char *mail_params_stdin(const struct mail_params *p);
/* Every content of a part and of an attachment, until one says -1. */
int mail_params_contents(const struct mail_params *p,
			 int (*each)(void *ctx, const char *setting, const struct content *c, struct err *e),
			 void *ctx, struct err *e) MUST_CHECK;

/*
 * Store @value in the field of @which, if @o is not below the origin that wrote it last. A list replaced by a
 * higher origin is dropped whole; within an origin lists add up. @file: name of the JSON text for places,
 * or NULL. Errors: class by @o (ARGV, ENV: ERR_USAGE; JSON, LINE: ERR_DATA; CONFIG: ERR_CONFIG), always
 * ERR_DATA with PARAM_ALWAYS_DATA; text "file:line:col: path: what" for JSON, "--flag: what", "MAILCHUTE_X:
 * what"; unknown keys inside get their nearest right one.
 */
int mail_params_set(struct mail_params *p, const struct param *which, const struct value *value,
		    enum origin o, const char *file, struct err *e) MUST_CHECK;

/*
 * @dst (not initialised) as asked for what @src was asked for: every setting with its origin and place, and what
 * is not a setting but found, before mail_params_finish(). Both are then independent of each other.
 */
void mail_params_copy(struct mail_params *dst, const struct mail_params *src);
/* Forget what @o set: those settings are their defaults again. For the configuration's second layer. */
void mail_params_drop(struct mail_params *p, enum origin o);

/* The host of a server's text, without port and scheme, or the path of its socket; malloc, "" for none. */
char *server_host_of(const char *text);
/*
 * Credentials and waivers (PARAM_BOUND): does @which with @v say one? starttls and tls_min_version do with some
 * values.
 */
bool setting_is_bound(const struct param *which, const struct value *v);
/* The configuration names @server (borrowed) beside its credentials: added to p->bound_to. NULL: forget them all. */
void mail_params_bind(struct mail_params *p, const char *server);

/* Every server is loopback, a Unix socket or LMTP: a name without a domain has a meaning there. */
bool server_params_local(const struct server_params *s);
/* One more entry of p->file_aliases; @targets: an address list. Copies. */
void mail_params_add_alias(struct mail_params *p, const char *name, size_t len, const char *targets);

/*
 * What is allowed together, as far as no file has to be read for it: body and body_file, message_file and what
 * composes, files_dir, descriptors. mail_params_finish() begins with it; who must wait for standard input
 * before that calls it first. ERR_USAGE, or the class of the setting's origin.
 */
int mail_params_settle(struct mail_params *p, struct err *e) MUST_CHECK;

/* The grammar alone of who gets it and of envelope_from, for the same callers. ERR_DATA. */
int mail_params_check_people(const struct mail_params *p, struct err *e) MUST_CHECK;

/*
 * Fill defaults, decide what is allowed together, parse the addresses, work out the servers. @sys for the
 * host name (default From, HELO is decided by the session). A dry run needs no server. After 0 nothing
 * changes any more. Errors: ERR_USAGE for combinations and no recipient; ERR_DATA for addresses, headers,
 * content; malformed values by origin.
 */
int mail_params_finish(struct mail_params *p, const struct sysinfo *sys, struct err *e) MUST_CHECK;

/*
 * --print-params: {"subject":{"value":…,"origin":"flag"},…}, secrets masked as "***". Only what is set, and
 * defaults that are not empty.
 */
int mail_params_print(const struct mail_params *p, struct buf *out) MUST_CHECK;
/* --print-schema: JSON Schema (2020-12) of a params file, walked from the table. */
int mail_params_schema(struct buf *out) MUST_CHECK;

void mail_params_clear(struct mail_params *p);
