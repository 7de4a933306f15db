/*
 * The settings, one row each, in the order of --help; see param_table.h. What a
 * setting means is decided in mail_params_finish(), what its value may look
 * like in mail_params_set().
 */

#include "model/param_table.h"

#include "model/mail_params.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#define AT(field)       .offset = offsetof(struct mail_params, field)

static const struct param_choice tls_versions[] = {
	{"1.0", TLS_1_0}, {"1.1", TLS_1_1}, {"1.2", TLS_1_2}, {"1.3", TLS_1_3}, {0},
};
static const struct param_choice ip_versions[] = { {"any", IP_ANY}, {"4", IP_4}, {"6", IP_6}, {0} };
static const struct param_choice priorities[] = { {"high", 1}, {"normal", 3}, {"low", 5}, {0} };
static const struct param_choice dsn_returns[] = { {"full", 1}, {"hdrs", 2}, {0} };   /* RFC 3461 4.3 */
static const struct param_choice encodings[] = {
	{"auto", CTE_AUTO}, {"7bit", CTE_7BIT}, {"8bit", CTE_8BIT}, {"binary", CTE_BINARY},
	{"quoted-printable", CTE_QP}, {"base64", CTE_BASE64}, {0},
};
static const struct param_choice missing_words[] = { {"error", 0}, {"empty", 1}, {0} };
static const struct param_choice unknown_words[] = { {"skip", 0}, {"retry", 1}, {0} };
static const struct param_choice log_formats[] = { {"text", LOG_TEXT}, {"json", LOG_JSON}, {0} };
static const struct param_choice report_formats[] = { {"text", REPORT_TEXT}, {"json", REPORT_JSON}, {0} };

/* A day. Longer waits are a slip (milliseconds for seconds), and libcurl counts in milliseconds in a long. */
enum { DAY = 86400 };
/* More recipients a transaction than any server takes; a larger number only delays the first reply. */
enum { MAX_RCPT = 100000 };
/* More tries than anybody waits for. */
enum { MAX_RETRIES = 100 };

/* Sessions, and messages unanswered in one: more than any server bears. */
enum { MAX_WORKERS = 1000, MAX_WINDOW = 10000, MAX_COUNT = 1000000000 };

/* What completions offer; input/personality.c reads them. */
static const struct param_choice personalities[] = {
	{"sendmail", 1}, {"mail", 2}, {"mailq", 3}, {"newaliases", 4}, {0},
};

static const struct param table[] = {
	/* Server */
	{"server", .letter = 'S', .type = PARAM_STRS, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.server), .arg = "HOST", .fallback = "localhost",
	 .help = "host, host:port or smtp(s):, lmtp(s):, lmtp+unix: URL; several are tried in order"},
	{"port", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.port), .min = 1,
	 .max = 65535, .arg = "PORT",
	 .fallback = "24 with lmtp, 587 with starttls, 465 with tls, 587 with credentials, else 25",
	 .help = "port of the server"},
	{"tls", .type = PARAM_BOOL, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.tls),
	 .fallback = "on port 465", .help = "TLS from the first octet (SMTPS)"},
	{"starttls", .type = PARAM_BOOL, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.starttls),
	 .fallback = "required on port 587, elsewhere if offered, not on loopback",
	 .help = "require the upgrade to TLS by STARTTLS"},
	{"lmtp", .type = PARAM_BOOL, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.lmtp),
	 .fallback = "false", .help = "speak LMTP, with a result for each recipient"},
	{"unix_socket", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_FILE, .group = GROUP_SERVER,
	 AT(server.unix_socket), .arg = "PATH", .help = "connect to this Unix socket"},
	{"helo_name", .type = PARAM_STR, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.helo_name),
	 .alias = "domain", .arg = "NAME", .fallback = "the full host name, else the local address",
	 .help = "name for EHLO or LHLO"},
	{"username", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER, AT(server.username),
	 .alias = "user", .arg = "NAME", .help = "log in under this name"},
	{"password", .type = PARAM_SECRET, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER, AT(server.password),
	 .arg = "SECRET", .help = "password, from a variable, file, command or descriptor"},
	{"auth", .type = PARAM_STRS, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER, AT(server.auth),
	 .arg = "MECH", .fallback = "oauthbearer and xoauth2 for a token, plain and login for a password",
	 .help = "authentication mechanisms allowed"},
	{"oauth2_token", .type = PARAM_SECRET, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER,
	 AT(server.oauth2_token), .arg = "SECRET", .help = "OAuth 2.0 bearer token, given like a password"},
	{"tls_verify", .type = PARAM_BOOL, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER,
	 AT(server.tls_verify), .fallback = "true", .help = "verify the server's certificate"},
	{"tls_ca_file", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_FILE, .group = GROUP_SERVER,
	 AT(server.tls_ca_file), .arg = "FILE", .fallback = "the system's store",
	 .help = "certificate authorities to trust, instead of the system's"},
	{"tls_cert_file", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_BOUND | PARAM_FILE, .group = GROUP_SERVER,
	 AT(server.tls_cert_file), .arg = "FILE", .help = "client certificate (PEM)"},
	{"tls_key_file", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_BOUND | PARAM_FILE, .group = GROUP_SERVER,
	 AT(server.tls_key_file), .arg = "FILE", .fallback = "in tls_cert_file",
	 .help = "key of the client certificate (PEM)"},
	{"tls_min_version", .type = PARAM_ENUM, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.tls_min_version), .choices = tls_versions, .arg = "VERSION", .fallback = "1.2",
	 .help = "oldest TLS version accepted"},
	{"tls_pinned_key", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER,
	 AT(server.tls_pinned_key), .arg = "HASHES",
	 .help = "accept only these public keys: sha256//BASE64, more behind ';'"},
	{"allow_insecure_auth", .type = PARAM_BOOL, .flags = PARAM_SERVER | PARAM_BOUND, .group = GROUP_SERVER,
	 AT(server.allow_insecure_auth), .fallback = "false", .help = "log in over a connection without TLS"},
	{"proxy", .type = PARAM_STR, .flags = PARAM_SERVER | PARAM_MASKED, .group = GROUP_SERVER,
	 AT(server.proxy), .arg = "URL",
	 .help = "connect through this proxy (socks5h:, socks5:, socks4a:, socks4:, http:, https:)"},
	{"interface", .type = PARAM_STR, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.interface),
	 .arg = "NAME", .help = "local interface or address to connect from"},
	{"ip_version", .type = PARAM_ENUM, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.ip_version), .choices = ip_versions, .arg = "VERSION", .fallback = "any",
	 .help = "use only IPv4 or only IPv6"},
	{"connect_timeout", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.connect_timeout), .min = 1, .max = DAY, .arg = "SECONDS", .fallback = "30",
	 .help = "time for DNS, proxy and TCP"},
	{"timeout", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.timeout),
	 .min = 1, .max = DAY, .arg = "SECONDS", .fallback = "60",
	 .help = "time for each reply, and without progress"},
	{"dot_timeout", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.dot_timeout), .min = 1, .max = DAY, .arg = "SECONDS", .fallback = "600",
	 .help = "time for the reply to the whole message"},
	{"max_time", .type = PARAM_UINT, .flags = PARAM_SERVER | PARAM_RUN, .group = GROUP_SERVER, AT(server.max_time),
	 .min = 0, .max = 7 * DAY, .arg = "SECONDS", .fallback = "0 (no limit)",
	 .help = "time for the whole run"},
	{"limit_rate", .type = PARAM_SIZE, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.limit_rate), .arg = "BYTES", .fallback = "0 (no limit)",
	 .help = "octets a second to send at most; K, M, G may follow"},
	{"max_rcpt", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.max_rcpt),
	 .min = 1, .max = MAX_RCPT, .arg = "N", .fallback = "1000",
	 .help = "recipients a transaction at most"},
	{"retries", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(server.retries),
	 .min = 0, .max = MAX_RETRIES, .arg = "N", .fallback = "0",
	 .help = "try again so often for recipients still deferred"},
	{"retry_delay", .type = PARAM_UINT, .flags = PARAM_SERVER, .group = GROUP_SERVER,
	 AT(server.retry_delay), .min = 1, .max = DAY, .arg = "SECONDS", .fallback = "10",
	 .help = "wait before the first retry; doubled before each further one"},
	{"account", .type = PARAM_STR, .flags = PARAM_SERVER, .group = GROUP_SERVER, AT(account),
	 .arg = "NAME", .fallback = "the one whose match fits the sender, else the configuration's account",
	 .help = "account of the configuration to use"},

	/* Envelope and addresses */
	{"from", .letter = 'f', .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE,
	 AT(from), .arg = "MAILBOX",
	 .fallback = "user@host, where the host name is qualified or the server is local",
	 .help = "author, with or without a name"},
	{"sender", .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(sender),
	 .arg = "MAILBOX", .help = "who sends it, where that is not the author"},
	{"envelope_from", .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE,
	 AT(envelope_from), .arg = "ADDR", .fallback = "the address of from",
	 .help = "where bounces go; '' or '<>' is the null sender"},
	{"to", .type = PARAM_RCPTS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(to),
	 .arg = "ADDR", .help = "recipient; also the words that are not flags"},
	{"cc", .letter = 'c', .type = PARAM_RCPTS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE,
	 AT(cc), .arg = "ADDR", .help = "recipient of a copy"},
	{"bcc", .letter = 'b', .type = PARAM_RCPTS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE,
	 AT(bcc), .arg = "ADDR", .help = "recipient of a copy, named in no header"},
	{"rcpt", .type = PARAM_RCPTS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(rcpt),
	 .arg = "ADDR", .fallback = "to, cc and bcc",
	 .help = "the exact envelope; the headers do not matter to it then"},
	{"read_recipients", .letter = 't', .type = PARAM_BOOL, .group = GROUP_ENVELOPE, AT(read_recipients),
	 .fallback = "false", .help = "recipients are those in To, Cc and Bcc of a ready message"},
	{"from_name", .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(from_name),
	 .arg = "NAME", .help = "name of the author, where from has none"},
	{"force_from", .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(force_from),
	 .arg = "MAILBOX", .help = "author and envelope sender of every message, whatever it says"},
	{"mail_domain", .type = PARAM_STR, .group = GROUP_ENVELOPE, AT(mail_domain), .arg = "DOMAIN",
	 .help = "domain for names that have none"},
	{"aliases", .type = PARAM_ALIASES, .flags = PARAM_ALWAYS_DATA, .group = GROUP_ENVELOPE, AT(aliases),
	 .arg = "'NAME: ADDR'", .help = "who gets the mail for a local name; 'default' for all others"},
	{"aliases_file", .type = PARAM_STR, .flags = PARAM_FILE, .group = GROUP_ENVELOPE, AT(aliases_file),
	 .arg = "FILE", .help = "aliases in the form of /etc/aliases"},
	{"dsn_notify", .type = PARAM_STR, .flags = PARAM_JOINED, .group = GROUP_ENVELOPE, AT(dsn_notify),
	 .arg = "WORDS", .help = "ask for delivery notices: never, or success,failure,delay"},
	{"dsn_return", .type = PARAM_ENUM, .group = GROUP_ENVELOPE, AT(dsn_return), .choices = dsn_returns,
	 .arg = "WHAT", .help = "what a failure notice gives back"},
	{"dsn_envid", .type = PARAM_STR, .group = GROUP_ENVELOPE, AT(dsn_envid), .arg = "ID",
	 .help = "envelope identifier for notices"},
	{"require_tls", .type = PARAM_BOOL, .group = GROUP_ENVELOPE, AT(require_tls), .fallback = "false",
	 .help = "every relay on the way must use TLS (REQUIRETLS)"},
	{"all_or_nothing", .type = PARAM_BOOL, .group = GROUP_ENVELOPE, AT(all_or_nothing),
	 .fallback = "false", .help = "send to nobody where a recipient is refused"},

	/* Headers */
	{"subject", .letter = 's', .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_HEADERS,
	 AT(subject), .arg = "TEXT", .help = "subject"},
	{"reply_to", .type = PARAM_STRS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_HEADERS, AT(reply_to),
	 .arg = "ADDR", .help = "where replies go"},
	{"date", .type = PARAM_STR, .group = GROUP_HEADERS, AT(date), .arg = "DATE", .fallback = "now",
	 .help = "RFC 5322 or ISO 8601 date, or @SECONDS"},
	{"zone", .type = PARAM_STR, .group = GROUP_HEADERS, AT(zone), .arg = "+HHMM",
	 .fallback = "the local zone", .help = "zone of the date"},
	{"message_id", .type = PARAM_STR, .group = GROUP_HEADERS, AT(message_id), .arg = "<ID>",
	 .fallback = "a unique one", .help = "Message-ID"},
	{"in_reply_to", .type = PARAM_STR, .flags = PARAM_JOINED, .group = GROUP_HEADERS, AT(in_reply_to),
	 .arg = "<ID>", .help = "the message this one answers"},
	{"references", .type = PARAM_STR, .flags = PARAM_JOINED, .group = GROUP_HEADERS, AT(references),
	 .arg = "<ID>...", .help = "the messages of this thread"},
	{"headers", .type = PARAM_FIELDS, .flags = PARAM_ALWAYS_DATA, .group = GROUP_HEADERS, AT(headers),
	 .arg = "'NAME: VALUE'", .help = "another header field, or one instead of the generated"},
	{"auto_submitted", .type = PARAM_STR, .group = GROUP_HEADERS, AT(auto_submitted), .arg = "WORD",
	 .help = "auto-generated, auto-replied, auto-notified or no (RFC 3834)"},
	{"priority", .type = PARAM_ENUM, .group = GROUP_HEADERS, AT(priority), .choices = priorities,
	 .arg = "WORD", .help = "priority that mail readers show"},

	/* Body */
	{"body", .type = PARAM_CONTENT, .flags = PARAM_ALWAYS_DATA, .group = GROUP_BODY, AT(body),
	 .arg = "TEXT", .fallback = "standard input",
	 .help = "text of the message, or its JSON form to any depth"},
	{"body_file", .type = PARAM_STR, .flags = PARAM_FILE, .group = GROUP_BODY, AT(body_file),
	 .arg = "FILE", .help = "file that holds the text; '-' is standard input"},
	{"html", .type = PARAM_STR, .flags = PARAM_ALWAYS_DATA, .group = GROUP_BODY, AT(html), .arg = "HTML",
	 .help = "the text as HTML, beside the plain text"},
	{"html_file", .type = PARAM_STR, .flags = PARAM_FILE, .group = GROUP_BODY, AT(html_file),
	 .arg = "FILE", .help = "file that holds the HTML; '-' is standard input"},
	{"attachments", .letter = 'a', .type = PARAM_ATTACHMENTS, .flags = PARAM_ALWAYS_DATA,
	 .group = GROUP_BODY, AT(attachments), .alias = "attach", .arg = "FILE",
	 .help = "file to attach, or its JSON form"},
	{"charset", .type = PARAM_STR, .group = GROUP_BODY, AT(charset), .arg = "NAME", .fallback = "utf-8",
	 .help = "character set of text from files"},
	{"encoding", .type = PARAM_ENUM, .group = GROUP_BODY, AT(encoding), .choices = encodings,
	 .arg = "NAME", .fallback = "auto", .help = "content-transfer-encoding of the text"},
	{"message_file", .type = PARAM_STR, .flags = PARAM_FILE, .group = GROUP_BODY, AT(message_file),
	 .arg = "FILE", .help = "a ready message to send; '-' is standard input"},
	{"ignore_dots", .letter = 'i', .type = PARAM_BOOL, .group = GROUP_BODY, AT(ignore_dots),
	 .fallback = "false, but only on a terminal does a lone dot end the text",
	 .help = "a line with a dot alone does not end the text"},
	{"require_end", .type = PARAM_BOOL, .group = GROUP_BODY, AT(require_end), .fallback = "false",
	 .help = "a text on standard input ends with a line that is a dot alone, or is not sent"},
	{"skip_empty", .type = PARAM_BOOL, .group = GROUP_BODY, AT(skip_empty), .fallback = "false",
	 .help = "send nothing where the text is empty"},
	{"stream", .type = PARAM_BOOL, .group = GROUP_BODY, AT(stream), .fallback = "false",
	 .help = "send a pipe as it comes, without taking it in first"},
	{"files_dir", .type = PARAM_STR, .flags = PARAM_FILE | PARAM_RUN, .group = GROUP_BODY, AT(files_dir),
	 .arg = "DIR", .help = "open files named in JSON only beneath this directory"},

	/* Output and how to run. report, verbose, quiet and dry_run may stand in a params file: they write no
	   file. */
	{"report", .type = PARAM_ENUM, .flags = PARAM_RUN, .group = GROUP_OUTPUT, AT(report), .choices = report_formats,
	 .arg = "FORMAT", .fallback = "silent on success", .help = "tell what happened to each recipient"},
	{"dry_run", .letter = 'n', .type = PARAM_BOOL, .flags = PARAM_RUN, .group = GROUP_OUTPUT, AT(dry_run),
	 .fallback = "false", .help = "compose and print, connect to nothing"},
	{"output", .type = PARAM_STR, .flags = PARAM_FILE | PARAM_NO_JSON | PARAM_RUN, .group = GROUP_OUTPUT, AT(output),
	 .arg = "FILE", .fallback = "standard output", .help = "write the message here; implies --dry-run"},
	{"verbose", .letter = 'v', .type = PARAM_BOOL, .flags = PARAM_RUN, .group = GROUP_OUTPUT, AT(verbose),
	 .fallback = "false", .help = "show the conversation, secrets masked"},
	{"quiet", .letter = 'q', .type = PARAM_BOOL, .flags = PARAM_RUN, .group = GROUP_OUTPUT, AT(quiet), .fallback = "false",
	 .help = "no progress and no warnings"},
	{"log", .type = PARAM_STR, .flags = PARAM_FILE | PARAM_NO_JSON | PARAM_RUN, .group = GROUP_OUTPUT, AT(log),
	 .arg = "FILE", .help = "a line for each message into this file, or to 'syslog'"},
	{"log_format", .type = PARAM_ENUM, .flags = PARAM_NO_JSON | PARAM_RUN, .group = GROUP_OUTPUT, AT(log_format),
	 .choices = log_formats, .arg = "FORMAT", .fallback = "text", .help = "key=value pairs, or JSON"},

	/* Many messages */
	{"batch", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_BATCH, .arg = "FILE",
	 .help = "send a message for each line, a JSON object of settings; '-' is standard input"},
	{"data", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_BATCH, .arg = "FILE",
	 .help = "send a message for each row of CSV or JSON Lines, with {{name}} in texts filled in"},
	{"missing", .type = PARAM_ENUM, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.missing),
	 .choices = missing_words, .arg = "WHAT", .fallback = "error",
	 .help = "what a {{name}} is that the data do not have"},
	{"workers", .type = PARAM_UINT, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.workers), .min = 1,
	 .max = MAX_WORKERS, .arg = "N", .fallback = "by need, up to 4",
	 .help = "sessions with the server at a time"},
	{"window", .type = PARAM_UINT, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.window), .min = 1,
	 .max = MAX_WINDOW, .arg = "N", .fallback = "64",
	 .help = "messages unanswered at most in a session, where the server offers CHUNKING"},
	{"max_per_session", .type = PARAM_UINT, .flags = PARAM_RUN, .group = GROUP_BATCH,
	 AT(batch.max_per_session), .min = 0, .max = MAX_COUNT, .arg = "N", .fallback = "0 (no limit)",
	 .help = "messages in a session at most"},
	{"max_per_second", .type = PARAM_UINT, .flags = PARAM_RUN, .group = GROUP_BATCH,
	 AT(batch.max_per_second), .min = 0, .max = MAX_COUNT, .arg = "N", .fallback = "0 (no limit)",
	 .help = "messages a second at most, in all sessions"},
	{"max_per_minute", .type = PARAM_UINT, .flags = PARAM_RUN, .group = GROUP_BATCH,
	 AT(batch.max_per_minute), .min = 0, .max = MAX_COUNT, .arg = "N", .fallback = "0 (no limit)",
	 .help = "messages a minute at most, in all sessions"},
	{"ordered", .type = PARAM_BOOL, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.ordered),
	 .fallback = "false", .help = "results in the order of the lines"},
	{"stop_on_error", .type = PARAM_BOOL, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.stop_on_error),
	 .fallback = "false", .help = "begin no further message once one was not sent to all"},
	{"journal", .type = PARAM_STR, .flags = PARAM_FILE | PARAM_NO_JSON | PARAM_RUN, .group = GROUP_BATCH,
	 AT(batch.journal), .arg = "FILE", .help = "note there what was sent, for --resume"},
	{"resume", .type = PARAM_BOOL, .flags = PARAM_NO_JSON | PARAM_RUN, .group = GROUP_BATCH, AT(batch.resume),
	 .fallback = "false", .help = "send only what the journal does not show as sent"},
	{"unknown", .type = PARAM_ENUM, .flags = PARAM_RUN, .group = GROUP_BATCH, AT(batch.unknown),
	 .choices = unknown_words, .arg = "WHAT", .fallback = "skip",
	 .help = "with --resume: what to do with messages that may have been sent"},

	/* Actions */
	{"config", .type = PARAM_ACTION, .flags = PARAM_NO_JSON, .group = GROUP_OUTPUT, .arg = "FILE",
	 .fallback = "$XDG_CONFIG_HOME/mailchute/config.json, /etc/mailchute/config.json",
	 .help = "read the configuration from this file; '' for none"},
	{"check", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .help = "try the way to the server step by step, and send nothing"},
	{"as", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .choices = personalities, .arg = "NAME",
	 .help = "as first argument: read the others like sendmail, mail, mailq or newaliases"},
	{"params", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .arg = "FILE", .help = "read settings from a JSON object; '-' is standard input"},
	{"print_params", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .help = "print the effective settings as JSON and end"},
	{"print_schema", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .help = "print the JSON Schema of a params file and end"},
	{"help", .letter = 'h', .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV,
	 .group = GROUP_OUTPUT, .help = "print this and end"},
	{"version", .type = PARAM_ACTION, .flags = PARAM_NO_JSON | PARAM_NO_ENV, .group = GROUP_OUTPUT,
	 .help = "print the versions and end"},
};

_Static_assert(ARRAY_SIZE(table) <= PARAM_MAX, "origin[] and place[] of mail_params are too short");

const struct param *param_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(table);
	return table;
}

/* Names and aliases by open addressing: a message asks some dozens of times. Made once, then only read. */
enum { N_SLOTS = 512 };
static struct { const char *name; size_t len; const struct param *row; } slots[N_SLOTS];
static pthread_once_t slots_made = PTHREAD_ONCE_INIT;

_Static_assert(N_SLOTS >= 4 * PARAM_MAX && !(N_SLOTS & (N_SLOTS - 1)), "every row may have two names");

/* Where the search for a name begins: length and three characters tell nearly all of ours apart. */
static size_t first_slot(const char *name, size_t len)
{
	const unsigned char *s = (const unsigned char *)name;

	return len ? (len + s[0] * 7U + s[len / 2] * 31U + s[len - 1] * 101U) & (N_SLOTS - 1) : 0;
}

/* The slot of a name, or the free one where it would be. */
static size_t find_slot(const char *name, size_t len)
{
	size_t at = first_slot(name, len);

	while (slots[at].name && (slots[at].len != len || memcmp(slots[at].name, name, len)))
		at = (at + 1) & (N_SLOTS - 1);
	return at;
}

static void add_name(const char *name, const struct param *row)
{
	size_t len = strlen(name), at = find_slot(name, len);

	if (slots[at].name)
		return;
	slots[at].name = name;
	slots[at].len = len;
	slots[at].row = row;
}

static void make_slots(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		add_name(table[i].name, &table[i]);
		if (table[i].alias)
			add_name(table[i].alias, &table[i]);
	}
}

const struct param *param_by_name(const char *name, size_t len)
{
	pthread_once(&slots_made, make_slots);
	return slots[find_slot(name, len)].row;
}

const struct param *param_row(const char *name)
{
	return param_by_name(name, strlen(name));
}

void param_flag(char out[PARAM_NAME_ROOM], const char *name)
{
	size_t n = 0;

	for (; name[n] && n < PARAM_NAME_ROOM - 1; n++)
		out[n] = name[n] == '_' ? '-' : name[n];
	out[n] = '\0';
}

void param_variable(char out[PARAM_NAME_ROOM], const char *name)
{
	size_t n = 0;

	for (; name[n] && n < PARAM_NAME_ROOM - 1; n++)
		out[n] = (char)toupper((unsigned char)name[n]);
	out[n] = '\0';
}

const struct param *param_by_letter(char letter)
{
	for (size_t i = 0; letter && i < ARRAY_SIZE(table); i++)
		if (table[i].letter == letter)
			return &table[i];
	return NULL;
}

size_t param_id(const struct param *p)
{
	return (size_t)(p - table);
}

/* Longer words are no slip of one of ours, and the cost stays bounded whatever a file says. */
enum { WORD_MAX = 40 };

/* '-' and '_' are one, and so is case: "Reply-To" is near "reply_to". */
static char folded(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '-' ? '_' : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edit distance, a transposition of neighbours being one step ("form" for "from"). Both at most WORD_MAX. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[3][WORD_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			char x = folded(a[i - 1]), y = folded(b[j - 1]);

			now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == folded(b[j - 2]) && y == folded(a[i - 2]))
				now[j] = least(now[j], up2[j - 2] + 1);
		}
	}
	return row[a_len % 3][b_len];
}

/* How many slips make another word: one in a short word, where two would match nearly anything. */
static unsigned slips_allowed(size_t len)
{
	if (len <= 4)
		return 1;
	return len < 9 ? 2 : (unsigned)(len / 3);
}

const char *nearest_word(const char *word, size_t len, const char *(*next)(void *ctx), void *ctx)
{
	const char *best = NULL, *candidate;
	unsigned best_distance = slips_allowed(len) + 1;

	if (!len || len > WORD_MAX)
		return NULL;
	while ((candidate = next(ctx))) {
		size_t n = strlen(candidate);
		unsigned d;

		if (n > WORD_MAX)
			continue;
		d = distance(word, len, candidate, n);
		if (d < best_distance) {
			best = candidate;
			best_distance = d;
		}
	}
	return best;
}

/* Names at even steps, aliases at odd ones. */
static const char *next_name(void *ctx)
{
	size_t *step = ctx;

	while (*step < 2 * ARRAY_SIZE(table)) {
		const struct param *p = &table[*step / 2];
		const char *name = *step % 2 ? p->alias : p->name;

		(*step)++;
		if (name)
			return name;
	}
	return NULL;
}

const char *param_nearest(const char *word, size_t len)
{
	size_t step = 0;

	return nearest_word(word, len, next_name, &step);
}
