/* The table of settings: complete, without clashes, and near words are found. */

#include "check.h"

#include "model/mail_params.h"
#include "model/param_table.h"

#include <stdlib.h>

static const struct param *named(const char *name)
{
	return param_by_name(name, strlen(name));
}

/* The settings of the interface, by its sections. */
static void test_complete(void)
{
	static const char *const names[] = {
		"server",
		"port",
		"tls",
		"starttls",
		"lmtp",
		"unix_socket",
		"helo_name",
		"domain",
		"username",
		"user",
		"password",
		"auth",
		"oauth2_token",
		"tls_verify",
		"tls_ca_file",
		"tls_cert_file",
		"tls_key_file",
		"tls_min_version",
		"tls_pinned_key",
		"allow_insecure_auth",
		"proxy",
		"interface",
		"ip_version",
		"connect_timeout",
		"timeout",
		"dot_timeout",
		"max_time",
		"limit_rate",
		"max_rcpt",
		"from",
		"sender",
		"envelope_from",
		"to",
		"cc",
		"bcc",
		"rcpt",
		"reply_to",
		"subject",
		"date",
		"zone",
		"message_id",
		"in_reply_to",
		"references",
		"headers",
		"auto_submitted",
		"priority",
		"dsn_notify",
		"dsn_return",
		"dsn_envid",
		"require_tls",
		"all_or_nothing",
		"body",
		"body_file",
		"html",
		"html_file",
		"attachments",
		"attach",
		"charset",
		"encoding",
		"message_file",
		"stream",
		"files_dir",
		"report",
		"dry_run",
		"output",
		"print_params",
		"print_schema",
		"verbose",
		"quiet",
		"params",
		"help",
		"version",
	};

	test_case("every setting of the interface has a row");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!named(names[i]))
			printf("# missing: %s\n", names[i]);
		check(named(names[i]) != NULL);
	}
	check(named("subj") == NULL);
	check(named("") == NULL);
	check(named("Subject") == NULL);
}

static void test_rows(void)
{
	size_t n;
	const struct param *table = param_table(&n);

	test_case("rows are whole and do not clash");
	check(n <= PARAM_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct param *p = &table[i];
		bool whole =
			p->help && *p->help && (p->type == PARAM_BOOL || p->type == PARAM_ACTION) == !p->arg;

		if (p->type == PARAM_ACTION)
			whole = p->help != NULL;
		whole = whole && (p->type == PARAM_ENUM || !strcmp(p->name, "as")) == (p->choices != NULL);
		whole = whole && p->help[strlen(p->help) - 1] != '.' && strlen(p->help) < 90;
		whole = whole && strlen(p->name) < PARAM_NAME_ROOM && (!p->alias || strlen(p->alias) < PARAM_NAME_ROOM);
		whole = whole &&
			(p->type == PARAM_ACTION || p->offset < offsetof(struct mail_params, origin));
		if (!whole)
			printf("# row %s\n", p->name);
		check(whole);
		check_int(param_id(p), i);
		check(named(p->name) == p);
		check(!p->alias || named(p->alias) == p);
		check(!p->letter || param_by_letter(p->letter) == p);
		for (size_t k = 0; k < i; k++)
			check(p->type == PARAM_ACTION || table[k].type == PARAM_ACTION ||
			      p->offset != table[k].offset);
	}
	check(param_by_letter('\0') == NULL);
	check(param_by_letter('Z') == NULL);

	test_case("short flags are those of mail and sendmail");
	check_str(param_by_letter('s')->name, "subject");
	check_str(param_by_letter('a')->name, "attachments");
	check_str(param_by_letter('c')->name, "cc");
	check_str(param_by_letter('b')->name, "bcc");
	check_str(param_by_letter('f')->name, "from");
	check_str(param_by_letter('v')->name, "verbose");
	check_str(param_by_letter('q')->name, "quiet");
	check_str(param_by_letter('n')->name, "dry_run");
	check_str(param_by_letter('S')->name, "server");
	check_str(param_by_letter('h')->name, "help");
}

/* rows: JSN-07 */
static void test_nearest(void)
{
	static const struct { const char *word, *near;
	} cases[] = {
		{"subjet", "subject"},
		{"Subject", "subject"},
		{"form", "from"},
		{"reply-to", "reply_to"},
		{"attachement", "attachments"},
		{"start_tls", "starttls"},
		{"passwort", "password"},
		{"TO", "to"},
		{"usr", "user"},
		{"messageid", "message_id"},
		{"xyzzyx", NULL},
		{"", NULL},
		{"foo", NULL},
		{"envelopefrom", "envelope_from"},
		{"tls_cafile", "tls_ca_file"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *near = param_nearest(cases[i].word, strlen(cases[i].word));

		test_case("nearest to \"%s\"", cases[i].word);
		if (cases[i].near)
			check_str(near, cases[i].near);
		else
			check(near == NULL);
	}
}

int main(void)
{
	test_complete();
	test_rows();
	test_nearest();
	return check_done();
}
