/*
 * Names without a domain: what they stand for, and that they end. Settings copied and forgotten, and what the
 * configuration's credentials are for.
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "model/envelope.h"
#include "model/local_names.h"
#include "model/mail_params.h"
#include "model/params_impl.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>

static int set(struct mail_params *p, const char *name, const char *word, enum origin o)
{
	CLEANUP(value_freep) struct value *v = value_text(word);
	CLEANUP(err_clear) struct err e = ERR_INIT;

	return mail_params_set(p, param_row(name), v, o, NULL, &e);
}

/* "a@x b@y" for what @name stands for; "=" for itself, "!" for an error. */
static char *expand(struct local_names *n, const char *name, const char *domain)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct mailbox m = { .local = (char *)name, .domain = (char *)domain };
	struct addressees out = {0};
	char *text = xstrdup("");
	int r = local_names_recipient(n, &m, &out, &e);

	for (size_t i = 0; i < out.count; i++) {
		struct mailbox *got = &out.item[i].mailbox;
		char *more = xasprintf("%s%s%s%s%s", text, i ? " " : "", got->local, got->domain ? "@" : "",
				       got->domain ? got->domain : "");

		free(text);
		text = more;
		mailbox_clear(got);
	}
	free(out.item);
	if (r > 0)
		return text;
	free(text);
	return xstrdup(r == 0 ? "=" : "!");
}

/* rows: ADR-09, ADR-11 */
static void test_expand(void)
{
	static const struct { const char *name, *domain, *want; } rows[] = {
		{"root", NULL, "ann@x.example ops@d.example carl@x.example"}, {"ROOT", "LocalHost", "ann@x.example ops@d.example carl@x.example"},
		{"root", "x.example", "="}, {"nobody", NULL, "nobody@d.example"}, {"postmaster", NULL, "ann@x.example ops@d.example carl@x.example"},
		{"a", NULL, "a@d.example"}, {"self", NULL, "self@d.example x@y.example"}, {"twice", NULL, "x@y.example X@y.example"},
		{"diamond", NULL, "ann@x.example ops@d.example carl@x.example b@x.example"}, {"cmd", NULL, "!"}, {"file", NULL, "!"}, {"inc", NULL, "!"},
		{"bad", NULL, "!"}, {"usescmd", NULL, "!"}, {"void", NULL, "!"}, {"usesvoid", NULL, "!"},
	};
	static const char *const aliases[] = {
		"root: ann@x.example, ops", "ops: \\ops, carl@x.example", "postmaster: root", "a: b", "b: a", "self: self, x@y.example",
		"twice: x@y.example, x@Y.EXAMPLE, X@y.example", "diamond: l, r", "l: root", "r: b@x.example, root", "cmd: \"|/bin/x\"", "file: /var/x",
		"inc: :include:/x", "bad: a@@b", "usescmd: x@y.example, cmd", "void: ,", "usesvoid: x@y.example, void",
	};
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct local_names *n = NULL;

	mail_params_init(&p);
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		check_int(set(&p, "aliases", aliases[i], ORIGIN_ARGV), 0);
	check_int(set(&p, "mail_domain", "d.example", ORIGIN_ARGV), 0);
	check_int(local_names_make(&n, &p, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(freep) char *got = expand(n, rows[i].name, rows[i].domain);

		test_case("what %s stands for", rows[i].name);
		check_str(got, rows[i].want);
	}
	local_names_free(n);
}

static void test_default(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct local_names *n = NULL;
	CLEANUP(freep) char *other = NULL, *own = NULL, *far = NULL;

	test_case("default is for names without an entry; the setting goes before the file");
	mail_params_init(&p);
	check_int(set(&p, "aliases", "default: all@x.example", ORIGIN_ARGV), 0);
	check_int(set(&p, "aliases", "root: one@x.example", ORIGIN_ARGV), 0);
	mail_params_add_alias(&p, "root", 4, "two@x.example");
	check_int(local_names_make(&n, &p, &e), 0);
	check(!local_names_empty(n));
	check_str((other = expand(n, "x", NULL)), "all@x.example");
	check_str((own = expand(n, "root", NULL)), "one@x.example");
	check_str((far = expand(n, "x", "y.example")), "=");
	local_names_free(n);

	test_case("no alias and no domain: everybody stands for himself; a domain that is none is refused");
	mail_params_clear(&p);
	check_int(local_names_make(&n, &p, &e), 0);
	check(local_names_empty(n));
	local_names_free(n);
	p.mail_domain = xstrdup("a b");
	check_int(local_names_make(&n, &p, &e), -1);
	check(e.text && strstr(e.text, "mail_domain"));
}

static void test_deep(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct local_names *n = NULL;
	CLEANUP(freep) char *near = NULL, *far = NULL;

	test_case("100 000 aliases, each of the next: the limit of depth ends it");
	mail_params_init(&p);
	for (int i = 0; i < 100000; i++) {
		CLEANUP(freep) char *name = xasprintf("n%d", i), *next = xasprintf("n%d", i + 1);

		mail_params_add_alias(&p, name, strlen(name), next);
	}
	check_int(local_names_make(&n, &p, &e), 0);
	check_str((far = expand(n, "n0", NULL)), "!");
	check_str((near = expand(n, "n99980", NULL)), "n100000");
	local_names_free(n);
}

static void test_copy(void)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0}, copy = {0};
	CLEANUP(value_freep) struct value *headers = value_text("X-A: b");
	CLEANUP(err_clear) struct err e = ERR_INIT;

	test_case("a copy asks for the same, and stands alone");
	mail_params_init(&p);
	check_int(set(&p, "subject", "s", ORIGIN_ARGV), 0);
	check_int(set(&p, "to", "a@x.example", ORIGIN_ENV), 0);
	check_int(set(&p, "timeout", "7", ORIGIN_CONFIG), 0);
	check_int(mail_params_set(&p, param_row("headers"), headers, ORIGIN_ARGV, NULL, &e), 0);
	mail_params_copy(&copy, &p);
	mail_params_clear(&p);
	check_str(copy.subject, "s");
	check_int((int)copy.server.timeout, 7);
	check_int((int)copy.to.count, 1);
	check_str(copy.headers.item[0].value, "b");
	check_int(param_origin(&copy, "to"), ORIGIN_ENV);

	test_case("one origin forgotten: its settings are their defaults, others stay");
	mail_params_drop(&copy, ORIGIN_CONFIG);
	check_int((int)copy.server.timeout, 60);
	check_int(param_origin(&copy, "timeout"), ORIGIN_DEFAULT);
	check_str(copy.subject, "s");
}

/* Every setting by its type: what is printed of the copy is what is printed of the original, with origin and secrets. */
static void test_copy_all(void)
{
	static const char json[] =
		"{\"to\":[\"a@x.example\",{\"address\":\"b@x.example\",\"notify\":\"never\",\"orcpt\":\"rfc822;c@x.example\"}],"
		"\"body\":{\"preamble\":\"p\",\"parts\":[{\"headers\":{\"X-A\":\"1\"},\"body\":\"one\"},{\"body\":{\"parts\":["
		"{\"body\":\"two\"},{\"headers\":{\"X-B\":\"2\"},\"body\":{\"base64\":\"AAE=\"}}]}},{\"body\":\"three\"}]},"
		"\"attachments\":[{\"text\":\"t\",\"filename\":\"f.txt\",\"headers\":{\"X-C\":\"3\"}},\"no.txt\"],"
		"\"headers\":{\"X-D\":\"4\"},\"aliases\":{\"root\":[\"r@x.example\",\"s@x.example\"]},\"server\":[\"m.example\",\"n.example\"],"
		"\"reply_to\":[\"q@x.example\"],\"username\":\"u\",\"password\":{\"env\":\"PW\"},\"max_rcpt\":3,\"limit_rate\":9,"
		"\"tls_min_version\":\"1.3\",\"tls_verify\":false,\"priority\":\"high\"}";
	CLEANUP(mail_params_clear) struct mail_params p = {0}, copy = {0};
	CLEANUP(buf_clear) struct buf before = BUF_INIT(1 << 20), after = BUF_INIT(1 << 20);
	CLEANUP(err_clear) struct err e = ERR_INIT;
	const struct part_params *part;

	test_case("a copy of settings of every type");
	mail_params_init(&p);
	check_int(input_json(&p, "job.json", json, strlen(json), &e), 0);
	p.headless = p.dsn_optional = p.found.is = true;
	p.found.from = xstrdup("f@x.example");
	strlist_add(&p.found.rcpts, xstrdup("g@x.example"));
	mail_params_add_alias(&p, "ops", 3, "o@x.example");
	mail_params_bind(&p, "m.example");
	if (e.text)
		printf("# %s\n", e.text);
	check_int(mail_params_print(&p, &before), 0);
	mail_params_copy(&copy, &p);
	mail_params_clear(&p);
	check_int(mail_params_print(&copy, &after), 0);
	check(before.len > 500);
	check_mem(after.data, after.len, before.data, before.len);
	check(copy.headless && copy.dsn_optional && copy.found.is && !copy.probing);
	check_str(copy.found.from, "f@x.example");
	check_str(copy.found.rcpts.item[0], "g@x.example");
	check_str(copy.file_aliases.item[0].value, "o@x.example");
	check_str(copy.bound_to.item[0], "m.example");
	check_str(copy.server.password.text, "PW");
	check_int(copy.server.password.kind, SECRET_ENV);

	test_case("the tree of a body, in its order and with its ways up");
	part = copy.body;
	check_str(part->preamble, "p");
	check_str(part->first->headers.item[0].name, "X-A");
	check_str(part->first->content.data, "one");
	check_str(part->first->next->first->content.data, "two");
	check_int((int)part->first->next->last->content.len, 2);
	check_str(part->last->content.data, "three");
	check(part->last->parent == part && part->first->next->last->parent == part->first->next && !part->last->next);
	check_str(copy.attachments.item[0].filename, "f.txt");
	check_str(copy.attachments.item[0].headers.item[0].value, "3");

	test_case("what JSON set is forgotten: the defaults, those too that are not zero");
	mail_params_drop(&copy, ORIGIN_JSON);
	mail_params_init(&p);
	buf_clear(&before);
	buf_clear(&after);
	check_int(mail_params_print(&p, &before), 0);
	check_int(mail_params_print(&copy, &after), 0);
	check_mem(after.data, after.len, before.data, before.len);
	check(copy.server.tls_verify && !copy.body && !copy.aliases.count && !copy.server.password.text);
}

/* rows: CFG-09 */
static void test_bound(void)
{
	static const struct { const char *bound, *server, *socket; bool kept; } rows[] = {
		{"mail.example:587", NULL, NULL, true}, {"mail.example:587", "mail.example", NULL, true}, {"mail.example", "smtps://MAIL.example:465", NULL, true},
		{"mail.example", "other.example", NULL, false}, {NULL, NULL, NULL, true}, {NULL, "localhost:25", NULL, true}, {NULL, "mail.example", NULL, false},
		{"mail.example", NULL, "/run/s", false}, {"/run/s", NULL, "/run/s", true}, {"lmtp+unix:/run/s", NULL, "/run/s", true},
		{"[::1]:25", "[::1]:26", NULL, true}, {"mail.example", "bad:port:x", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(mail_params_clear) struct mail_params p = {0};

		test_case("credentials for %s, sent to %s", rows[i].bound ? rows[i].bound : "nobody in particular",
			  rows[i].server ? rows[i].server : rows[i].socket ? rows[i].socket : "where they belong");
		mail_params_init(&p);
		check_int(set(&p, "username", "u", ORIGIN_CONFIG), 0);
		check_int(set(&p, "tls_verify", "false", ORIGIN_CONFIG), 0);
		check_int(set(&p, "auth", "plain", ORIGIN_ENV), 0);
		if (rows[i].bound)
			mail_params_bind(&p, rows[i].bound);
		if (rows[i].server)
			check_int(set(&p, "server", rows[i].server, ORIGIN_ARGV), 0);
		if (rows[i].socket)
			check_int(set(&p, "unix_socket", rows[i].socket, ORIGIN_ARGV), 0);
		bound_settle(&p);
		check(!!p.server.username == rows[i].kept);
		check(p.server.tls_verify == !rows[i].kept);
		check(p.bound_dropped == !rows[i].kept);
		check_int((int)p.server.auth.count, 1);
	}
}

int main(void)
{
	test_expand();
	test_default();
	test_deep();
	test_copy();
	test_copy_all();
	test_bound();
	return check_done();
}
