/*
 * mail_params_finish(): what is allowed together, what the rest is by default,
 * and every word of a grammar read. The servers are in server_list.c.
 *
 * What is malformed has the class of its origin (param_fail, param_wrap); what
 * contradicts is ERR_USAGE; addresses, headers and content are ERR_DATA.
 */

#include "model/mail_params.h"

#include "base/err.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/params_impl.h"
#include "text/addr.h"
#include "text/date.h"
#include "text/mimetype.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/*
 * Two ways to give one thing.
 */

/* body and body_file, html and html_file: the higher origin replaces the other; of one they contradict. */
static int settle_pair(struct mail_params *p, const char *text, const char *file, struct err *e)
{
	enum origin a = param_origin(p, text), b = param_origin(p, file);
	const struct param *loser = param_row(a < b ? text : file);

	if (!param_has_value(p, param_row(text)) || !param_has_value(p, param_row(file)))
		return 0;
	if (a == b)
		return err_set(e, ERR_USAGE, "%s and %s exclude each other", text, file);
	param_clear(p, loser);
	p->origin[param_id(loser)] = ORIGIN_DEFAULT;
	return 0;
}

/*
 * A ready message has its own headers and body. What would compose another one beside it is an error where
 * somebody asked for it, and is dropped where the configuration or the environment has it for all messages.
 */
static int settle_ready_message(struct mail_params *p, struct err *e)
{
	static const char *const composing[] = {
		"subject", "body", "body_file", "html", "html_file", "attachments", "headers", "sender",
		"reply_to", "date", "zone", "message_id", "in_reply_to", "references", "auto_submitted",
		"priority", "charset", "encoding", "stream",
	};

	if (!p->message_file)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(composing); i++) {
		const struct param *which = param_row(composing[i]);
		enum origin o = param_origin(p, composing[i]);

		if (o > ORIGIN_ENV || (o == ORIGIN_DEFAULT && param_has_value(p, which)))
			return err_set(e, ERR_USAGE,
				       "%s cannot be set beside message_file, which has its own headers and "
				       "body", composing[i]);
		param_clear(p, which);
		p->origin[param_id(which)] = ORIGIN_DEFAULT;
	}
	return 0;
}

/* Descriptors that are read, each by one setting: what the one has read the other would miss. */
struct readers {
	unsigned char taken[8192];      /* a bit for each that mail_params_set() takes, 0 to 65535 */
	const struct mail_params *p;
	struct err *e;
};

static int take_descriptor(struct readers *r, int fd, const char *setting)
{
	unsigned char bit = (unsigned char)(1U << (fd & 7));

	if (fd < 0 || (size_t)fd / 8 >= sizeof(r->taken))
		return err_set(r->e, ERR_USAGE, "%s: %d is not a descriptor", setting, fd);
	if (r->taken[fd / 8] & bit)
		return err_set(r->e, ERR_USAGE, "%s: %s is already read by another setting", setting,
			       fd ? "this descriptor" : "standard input");
	r->taken[fd / 8] |= bit;
	return 0;
}

static int take_content(struct readers *r, const struct content *c, const char *setting)
{
	bool reads = c->kind == CONTENT_STDIN || c->kind == CONTENT_FD;

	if (reads && c->confined && r->p->files_dir)
		return param_fail(r->p, setting, r->e,
				  "with files_dir a params file may name files only, no descriptor");
	return reads ? take_descriptor(r, c->kind == CONTENT_FD ? c->fd : 0, setting) : 0;
}

/* The next part in the order of the message, or NULL. */
static const struct part_params *part_next(const struct part_params *part, const struct part_params *root)
{
	if (part->first)
		return part->first;
	while (part != root && !part->next)
		part = part->parent;
	return part == root ? NULL : part->next;
}

static bool is_stdin_content(const struct content *c)
{
	return c->kind == CONTENT_STDIN || (c->kind == CONTENT_FD && c->fd == 0);
}

static bool is_stdin_secret(const struct secret *s)
{
	return s->kind == SECRET_FD && s->fd == 0;
}

const char *mail_params_stdin(const struct mail_params *p)
{
	if (is_stdin_path(p->body_file))
		return "body_file";
	if (is_stdin_path(p->html_file))
		return "html_file";
	if (is_stdin_path(p->message_file))
		return "message_file";
	for (const struct part_params *part = p->body; part; part = part_next(part, p->body))
		if (is_stdin_content(&part->content))
			return "body";
	for (size_t i = 0; i < p->attachments.count; i++)
		if (is_stdin_content(&p->attachments.item[i].content))
			return "attachments";
	if (is_stdin_secret(&p->server.password))
		return "password";
	return is_stdin_secret(&p->server.oauth2_token) ? "oauth2_token" : NULL;
}

static int check_descriptors(const struct mail_params *p, struct err *e)
{
	const struct { const char *name, *path; } files[] = {
		{"body_file", p->body_file}, {"html_file", p->html_file}, {"message_file", p->message_file},
	};
	const struct { const char *name; const struct secret *secret; } secrets[] = {
		{"password", &p->server.password}, {"oauth2_token", &p->server.oauth2_token},
	};
	struct readers r = { .p = p, .e = e };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (is_stdin_path(files[i].path) && take_descriptor(&r, 0, files[i].name) < 0)
			return -1;
	for (const struct part_params *part = p->body; part; part = part_next(part, p->body))
		if (take_content(&r, &part->content, "body") < 0)
			return -1;
	for (size_t i = 0; i < p->attachments.count; i++)
		if (take_content(&r, &p->attachments.item[i].content, "attachments") < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		if (secrets[i].secret->kind == SECRET_FD &&
		    take_descriptor(&r, secrets[i].secret->fd, secrets[i].name) < 0)
			return -1;
	return 0;
}

/*
 * With files_dir the params file is somebody else's: it says what to send, not where or with whose secrets.
 */
static int check_files_dir(const struct mail_params *p, struct err *e)
{
	static const char *const paths[] = { "body_file", "html_file", "message_file" };
	size_t n;
	const struct param *table = param_table(&n);

	if (!p->files_dir)
		return 0;
	for (size_t i = 0; i < n; i++)
		if ((table[i].flags & PARAM_SERVER) &&
		    origin_is_data(p->origin[i]))
			return param_fail(p, table[i].name, e,
					  "with files_dir a params file cannot say how to connect");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (mail_params_confined(p, paths[i]) &&
		    is_stdin_path(*(char **)param_field(p, param_row(paths[i]))))
			return param_fail(p, paths[i], e,
					  "with files_dir a params file may name files only, no descriptor");
	return 0;
}

/*
 * Words with a grammar.
 */

/* RFC 3461 4.1: words with commas or blanks between them as NOTIFY_ bits. */
static int notify_read(unsigned *ret, const char *words, struct err *e)
{
	static const struct { const char *word; unsigned bit; } known[] = {
		{"never", NOTIFY_NEVER}, {"success", NOTIFY_SUCCESS}, {"failure", NOTIFY_FAILURE},
		{"delay", NOTIFY_DELAY},
	};
	unsigned seen = 0;
	size_t len;

	for (const char *s = words + strspn(words, ", "); *s; s += len, s += strspn(s, ", ")) {
		size_t i = 0;

		len = strcspn(s, ", ");
		while (i < ARRAY_SIZE(known) &&
		       (strlen(known[i].word) != len || strncasecmp(s, known[i].word, len)))
			i++;
		if (i == ARRAY_SIZE(known))
			return err_set(e, ERR_DATA, "'%.*s' is none of never, success, failure, delay",
				       (int)(len > 40 ? 40 : len), s);
		seen |= known[i].bit;
	}
	if (!seen)
		return err_set(e, ERR_DATA, "must be never, or some of success, failure, delay");
	if ((seen & NOTIFY_NEVER) && seen != NOTIFY_NEVER)
		return err_set(e, ERR_DATA, "never stands alone (RFC 3461, 4.1)");
	*ret = seen;
	return 0;
}

static bool printable_ascii(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* RFC 3461 4.2: "type;address", or the address alone, which is of type rfc822. */
static int check_orcpt(const char *s, struct err *e)
{
	static const char type[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *semicolon = strchr(s, ';');

	if (!printable_ascii(s))
		return err_set(e, ERR_DATA, "orcpt may hold printable ASCII only (RFC 3461, 4.2)");
	if (semicolon && (semicolon == s || strspn(s, type) != (size_t)(semicolon - s)))
		return err_set(e, ERR_DATA, "orcpt must be an address or 'type;address' (RFC 3461, 4.2)");
	if (!*(semicolon ? semicolon + 1 : s) || strlen(s) > 500)
		return err_set(e, ERR_DATA,
			       "orcpt must have an address of at most 500 characters (RFC 3461, 4.2)");
	return 0;
}

static int finish_dsn(struct mail_params *p, struct err *e)
{
	if (p->dsn_notify && notify_read(&p->notify, p->dsn_notify, e) < 0)
		return param_wrap(p, "dsn_notify", e);
	if (!p->dsn_envid)
		return 0;
	if (!*p->dsn_envid || !printable_ascii(p->dsn_envid))
		return param_fail(p, "dsn_envid", e, "must be printable ASCII (RFC 3461, 4.4)");
	/* RFC 3461 4.4: at most 100 characters, counted before xtext. */
	if (strlen(p->dsn_envid) > 100)
		return param_fail(p, "dsn_envid", e, "must have at most 100 characters (RFC 3461, 4.4)");
	return 0;
}

/* RFC 3834 5: a keyword, with parameters perhaps. auto-notified is RFC 5436's. */
static int check_auto_submitted(const struct mail_params *p, struct err *e)
{
	static const char *const known[] = { "no", "auto-generated", "auto-replied", "auto-notified" };
	const char *s = p->auto_submitted;
	size_t len;

	if (!s)
		return 0;
	len = strcspn(s, "; \t");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == len && !strncasecmp(s, known[i], len) && printable_ascii(s))
			return 0;
	return param_fail(p, "auto_submitted", e,
			  "must be auto-generated, auto-replied, auto-notified or no (RFC 3834)");
}

/* libcurl's form: sha256// and the base64 of a SHA-256 (43 characters and '='), more of them behind ';'. */
static int check_pinned_key(const struct mail_params *p, struct err *e)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char prefix[] = "sha256//";
	const char *s = p->server.tls_pinned_key;

	while (s) {
		if (strncmp(s, prefix, sizeof(prefix) - 1))
			break;
		s += sizeof(prefix) - 1;
		if (strspn(s, base64) != 43 || s[43] != '=' || (s[44] && s[44] != ';'))
			break;
		s = s[44] ? s + 45 : NULL;
	}
	if (!s)
		return 0;
	return param_fail(p, "tls_pinned_key", e, "must be 'sha256//' and the base64 of the key's SHA-256; "
			  "more of them behind ';'");
}

static int check_proxy(const struct mail_params *p, struct err *e)
{
	static const char *const known[] = { "http", "https", "socks4", "socks4a", "socks5", "socks5h" };
	const char *s = p->server.proxy, *end;

	if (!s)
		return 0;
	/* The text is not shown: it may hold a password. */
	if (!*s || strpbrk(s, " \t") || !printable_ascii(s))
		return param_fail(p, "proxy", e,
				  "must be a URL or host:port without spaces and control characters");
	end = strstr(s, "://");
	if (!end)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == (size_t)(end - s) && !strncasecmp(s, known[i], (size_t)(end - s)))
			return 0;
	return param_fail(p, "proxy", e, "must be http:, https:, socks4:, socks4a:, socks5: or socks5h:");
}

static int check_interface(const struct mail_params *p, struct err *e)
{
	const char *s = p->server.interface;

	/* libcurl reads "if!name" and "host!name" with a meaning of its own. */
	if (!s || (*s && printable_ascii(s) && !strpbrk(s, " !/") && strlen(s) < 256))
		return 0;
	return param_fail(p, "interface", e, "must be the name of an interface or a local address");
}

static int check_username(const struct mail_params *p, struct err *e)
{
	const char *s = p->server.username;

	for (; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return param_fail(p, "username", e, "must not hold a control character");
	return 0;
}

static int finish_helo(struct mail_params *p, struct err *e)
{
	char *name;

	if (!p->server.helo_name)
		return 0;
	if (helo_parse(&name, p->server.helo_name, strlen(p->server.helo_name), e) < 0)
		return param_wrap(p, "helo_name", e);
	free(p->server.helo_name);
	p->server.helo_name = name;
	return 0;
}

static int finish_charset(struct mail_params *p, struct err *e)
{
	const char *name;

	if (!p->charset)
		return 0;
	if (!strcasecmp(p->charset, "utf8"))
		return param_fail(p, "charset", e, "'utf8' is no charset, did you mean 'utf-8'?");
	name = charset_name(p->charset);
	if (!name) {
		char shown[64];

		utf8_escape(shown, sizeof(shown), p->charset, strlen(p->charset));
		return param_fail(p, "charset", e, "unknown charset '%s'", shown);
	}
	free(p->charset);
	p->charset = xstrdup(name);
	return 0;
}

static int check_identification(const struct mail_params *p, struct err *e)
{
	int64_t seconds;
	char zone[8];

	if (p->date && date_parse(&seconds, zone, p->date, e) < 0)
		return param_wrap(p, "date", e);
	if (p->zone && zone_check(p->zone, e) < 0)
		return param_wrap(p, "zone", e);
	if (p->message_id && message_id_check(p->message_id, e) < 0)
		return param_wrap(p, "message_id", e);
	if (p->in_reply_to && message_ids_check(p->in_reply_to, e) < 0)
		return param_wrap(p, "in_reply_to", e);
	if (p->references && message_ids_check(p->references, e) < 0)
		return param_wrap(p, "references", e);
	return 0;
}

static int check_headers(const struct mail_params *p, struct err *e)
{
	for (size_t i = 0; i < p->headers.count; i++)
		if (message_field_check(&p->headers.item[i], e) < 0)
			return param_wrap(p, "headers", e);
	return 0;
}

static int check_words(struct mail_params *p, struct err *e)
{
	if (p->server.tls_key_file && !p->server.tls_cert_file)
		return err_set(e, ERR_USAGE, "tls_key_file is given but no tls_cert_file");
	if (finish_dsn(p, e) < 0 || check_auto_submitted(p, e) < 0 || check_pinned_key(p, e) < 0 ||
	    check_proxy(p, e) < 0 || check_interface(p, e) < 0 || check_username(p, e) < 0)
		return -1;
	if (finish_helo(p, e) < 0 || finish_charset(p, e) < 0 || check_identification(p, e) < 0)
		return -1;
	return check_headers(p, e);
}

/*
 * Addresses.
 */

static unsigned address_flags(const struct mail_params *p)
{
	return server_params_local(&p->server) ? ADDR_BARE_LOCAL : 0;
}

/* A group (RFC 5322, 3.4) is the one place with a colon outside of quotes, comments, brackets. */
static bool has_group(const char *s)
{
	char until = '\0';
	unsigned comment = 0;

	for (; *s; s++) {
		if (*s == '\\' && s[1] && (until == '"' || comment))
			s++;
		else if (until)
			until = *s == until ? '\0' : until;
		else if (*s == '(')
			comment++;
		else if (*s == ')')
			comment -= comment > 0;
		else if (comment)
			continue;
		else if (*s == '"')
			until = '"';
		else if (*s == '<')
			until = '>';
		else if (*s == '[')
			until = ']';
		else if (*s == ':')
			return true;
	}
	return false;
}

static void addressees_add(struct addressees *l, struct mailbox *takes)
{
	l->item = list_more(l->item, l->count, &l->cap, sizeof(*l->item));
	l->item[l->count++] = (struct addressee){ .mailbox = *takes };
	*takes = (struct mailbox){0};
}

/* Every mailbox of @text behind those of @l. *ret_group: set where there is a group. */
static int add_mailboxes(struct addressees *l, const char *text, unsigned flags, bool *ret_group,
			 struct err *e)
{
	struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
	size_t before = l->count;
	struct mailbox m;
	int r;

	while ((r = mailbox_list_next(&cursor, &m, flags, e)) > 0) {
		addressees_add(l, &m);
		if (l->count > MAX_ADDRESSES)
			return err_set(e, ERR_DATA, "more than %d addresses", MAX_ADDRESSES);
	}
	if (r < 0)
		return -1;
	if (has_group(text))
		*ret_group = true;
	else if (l->count == before)
		return err_set(e, ERR_DATA, "holds no address");
	return 0;
}

/* The DSN wishes of those from @first on, who came of @asked; @notify: where it has none. */
static int finish_wishes(struct addressees *l, size_t first, const struct rcpt_param *asked, unsigned notify,
			 struct err *e)
{
	if (asked->notify && notify_read(&notify, asked->notify, e) < 0)
		return -1;
	if (asked->orcpt && l->count != first + 1)
		return err_set(e, ERR_DATA, "orcpt belongs to one address, here are %zu", l->count - first);
	if (asked->orcpt && check_orcpt(asked->orcpt, e) < 0)
		return -1;
	for (size_t i = first; i < l->count; i++) {
		l->item[i].notify = notify;
		l->item[i].orcpt = asked->orcpt;
	}
	return 0;
}

static int finish_rcpts(const struct mail_params *p, const char *name, struct addressees *l, bool *ret_group,
			struct err *e)
{
	const struct rcpts *asked = param_field(p, param_row(name));
	unsigned flags = address_flags(p);

	for (size_t i = 0; i < asked->count; i++) {
		const struct rcpt_param *one = &asked->item[i];
		size_t first = l->count;

		if (add_mailboxes(l, one->address, flags, ret_group, e) < 0 ||
		    finish_wishes(l, first, one, p->notify, e) < 0)
			return param_wrap(p, name, e);
	}
	return 0;
}

static int finish_reply_to(struct mail_params *p, struct err *e)
{
	bool group = false;

	for (size_t i = 0; i < p->reply_to.count; i++)
		if (add_mailboxes(&p->reply_to_boxes, p->reply_to.item[i], address_flags(p), &group, e) < 0)
			return param_wrap(p, "reply_to", e);
	if (group)
		return param_fail(p, "reply_to", e,
				  "a group is not taken here; give its addresses, or the field in headers");
	return 0;
}

static int finish_recipients(struct mail_params *p, struct err *e)
{
	bool ignored = false;

	if (finish_rcpts(p, "to", &p->to_boxes, &p->to_groups, e) < 0 ||
	    finish_rcpts(p, "cc", &p->cc_boxes, &p->cc_groups, e) < 0 ||
	    finish_rcpts(p, "bcc", &p->bcc_boxes, &ignored, e) < 0 ||
	    finish_rcpts(p, "rcpt", &p->rcpt_boxes, &ignored, e) < 0)
		return -1;
	if (p->to_boxes.count + p->cc_boxes.count + p->bcc_boxes.count + p->rcpt_boxes.count)
		return 0;
	if (p->message_file)
		return err_set(e, ERR_USAGE, "no recipient: name one on the command line, or with --rcpt; "
			       "a message_file's own fields do not say who gets it");
	return err_set(e, ERR_USAGE,
		       "no recipient: name one on the command line, or with --to, --cc, --bcc or --rcpt "
		       "(fields in headers do not say who gets the message)");
}

/*
 * The sender.
 */

static int finish_mailbox(const struct mail_params *p, const char *name, struct mailbox *ret, unsigned flags,
			  struct err *e)
{
	const char *text = *(char **)param_field(p, param_row(name));

	if (text && mailbox_parse(ret, text, strlen(text), flags, e) < 0)
		return param_wrap(p, name, e);
	return 0;
}

static const struct field *field_named(const struct fields *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (!strcasecmp(l->item[i].name, name))
			return &l->item[i];
	return NULL;
}

/* A From among the headers stands for `from` where that is not set: its first mailbox feeds the envelope. */
static int from_of_headers(struct mail_params *p, const struct field *field, struct err *e)
{
	struct addr_cursor cursor = { .at = field->value, .end = field->value + strlen(field->value) };
	int r = mailbox_list_next(&cursor, &p->from_box, address_flags(p), e);

	if (r > 0)
		return 0;
	if (r == 0)
		err_set(e, ERR_DATA, "From holds no address");
	return param_wrap(p, "headers", e);
}

static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw && pw->pw_name && *pw->pw_name ? pw->pw_name : NULL;
}

/* user@host: where the host's name means something to the one who hears it. */
static int default_from(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	const char *host = sys->hostname(), *user = user_name();
	bool qualified = host && strchr(host, '.');

	if (!qualified && !server_params_local(&p->server))
		return err_set(e, ERR_USAGE,
			       "no sender: give --from (this machine's name has no domain to make one with)");
	if (!user)
		return err_set(e, ERR_USAGE, "no sender: give --from (the user %ld has no name)",
			       (long)getuid());
	p->from = xasprintf("%s@%s", user, host && *host ? host : "localhost");
	if (mailbox_parse(&p->from_box, p->from, strlen(p->from), 0, e) < 0)
		return err_set(e, ERR_USAGE, "no sender: give --from ('%s' is no address)", p->from);
	return 0;
}

static int finish_sender(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	const struct field *from = field_named(&p->headers, "From");
	unsigned flags = address_flags(p);

	if (finish_mailbox(p, "sender", &p->sender_box, flags, e) < 0 ||
	    finish_mailbox(p, "envelope_from", &p->envelope_from_box, flags | ADDR_NULL, e) < 0)
		return -1;
	p->null_sender = p->envelope_from && !*p->envelope_from_box.local && !p->envelope_from_box.name;
	if (p->from)
		return finish_mailbox(p, "from", &p->from_box, flags, e);
	if (from && !p->message_file)
		return from_of_headers(p, from, e);
	if (p->message_file && p->envelope_from)
		return 0;
	return default_from(p, sys, e);
}

/*
 * The whole.
 */

int mail_params_settle(struct mail_params *p, struct err *e)
{
	if (settle_pair(p, "body", "body_file", e) < 0 || settle_pair(p, "html", "html_file", e) < 0)
		return -1;
	if (settle_ready_message(p, e) < 0 || check_files_dir(p, e) < 0 || check_descriptors(p, e) < 0)
		return -1;
	return 0;
}

int mail_params_finish(struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	if (mail_params_settle(p, e) < 0)
		return -1;
	if (p->verbose && p->quiet && param_origin(p, "verbose") == param_origin(p, "quiet"))
		return err_set(e, ERR_USAGE, "verbose and quiet contradict each other");
	if (check_words(p, e) < 0 || server_params_finish(p, e) < 0)
		return -1;
	if (p->stream && p->server.n_list > 1)
		return err_set(e, ERR_USAGE, "a stream can be sent to one server only, %zu are given",
			       p->server.n_list);
	if (finish_recipients(p, e) < 0 || finish_reply_to(p, e) < 0 || finish_sender(p, sys, e) < 0)
		return -1;
	p->dry_run |= p->output != NULL;
	/* Both would go to standard output. */
	if (p->dry_run && !p->output && p->report != REPORT_SILENT)
		return err_set(e, ERR_USAGE,
			       "a dry run with a report needs --output FILE for the message");
	p->finished = true;
	return 0;
}
