/*
 * mail_params: what each setting takes, whose value wins, what is allowed
 * together, what the rest is by default, and what is shown of it.
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "model/envelope.h"
#include "model/mail_params.h"
#include "model/params_impl.h"
#include "model/value.h"

#include <pwd.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const char *fake_host = "host.example";

static const char *fake_hostname(void)
{
	return fake_host;
}

static const struct sysinfo fake_sys = { .hostname = fake_hostname };

/* What is asked for: a params file, then words of other origins; "true" and "false" for booleans. */
struct word { enum origin o; const char *name, *text; };
struct asked { const char *json; struct word words[6]; };

#define FLAG(name, text)        { ORIGIN_ARGV, name, text }
#define VAR(name, text)         { ORIGIN_ENV, name, text }
#define CONF(name, text)        { ORIGIN_CONFIG, name, text }

static int set_word(struct mail_params *p, const struct word *w, struct err *e)
{
	CLEANUP(value_freep) struct value *v = NULL;

	if (w->text[0] == '{' || (w->text[0] == '[' && strchr("\"[]{", w->text[1]) && w->text[1])) {
		if (json_read(&v, w->name, w->text, strlen(w->text), e) < 0)
			return -1;
	} else {
		v = value_text(w->text);
	}
	return mail_params_set(p, param_by_name(w->name, strlen(w->name)), v, w->o, NULL, e);
}

static int ask(struct mail_params *p, const struct asked *a, struct err *e)
{
	mail_params_init(p);
	if (a->json && input_json(p, "job.json", a->json, strlen(a->json), e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(a->words) && a->words[i].name; i++)
		if (set_word(p, &a->words[i], e) < 0)
			return -1;
	return 0;
}

static int ask_whole(struct mail_params *p, const struct asked *a, struct err *e)
{
	return ask(p, a, e) < 0 ? -1 : mail_params_finish(p, &fake_sys, e);
}

/* Refused with @exit and a text that has @part; or taken, with @exit 0. */
static void check_verdict(const struct asked *a, int exit, const char *part)
{
	struct mail_params p;
	struct err e = ERR_INIT;
	int r = ask_whole(&p, a, &e);

	check_int(r < 0 ? err_exit_code(&e) : 0, exit);
	if (r < 0 && part && !strstr(e.text, part)) {
		printf("# text is: %s\n# wanted:  %s\n", e.text, part);
		check(strstr(e.text, part) != NULL);
	} else if (r < 0 && !exit) {
		printf("# text is: %s\n", e.text);
	}
	mail_params_clear(&p);
	err_clear(&e);
}

struct verdict { struct asked asked; int exit; const char *part; };

static void check_verdicts(const char *what, const struct verdict *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct asked *a = &v[i].asked;

		test_case("%s: %s %s=%s %s", what, a->json ? a->json : "",
			a->words[0].name ? a->words[0].name : "",
			  a->words[0].text ? a->words[0].text : "", a->words[1].text ? a->words[1].text : "");
		check_verdict(a, v[i].exit, v[i].part);
	}
}

/*
 * Types.
 */

enum { A_NULL = 1, A_BOOL = 2, A_INT = 4, A_STR = 8, A_LIST = 16, A_OBJECT = 32 };

/* Which JSON types a setting takes at all. Some values below are malformed for it; the type is what counts. */
static unsigned types_taken(const struct param *p)
{
	switch (p->type) {
	case PARAM_BOOL: return A_BOOL;
	case PARAM_UINT:
	case PARAM_SIZE: return A_INT;
	case PARAM_ENUM: return A_STR;
	case PARAM_STR: return A_STR | (p->flags & PARAM_JOINED ? A_LIST : 0);
	case PARAM_STRS: return A_STR | A_LIST;
	case PARAM_RCPTS: return A_STR | A_LIST | A_OBJECT;
	case PARAM_FIELDS: return A_LIST | A_OBJECT;
	case PARAM_CONTENT: return A_STR | A_OBJECT;
	case PARAM_ATTACHMENTS: return A_STR | A_LIST | A_OBJECT;
	case PARAM_SECRET: return A_STR | A_OBJECT;
	case PARAM_ALIASES: return A_OBJECT | A_LIST;
	case PARAM_ACTION: return 0;
	}
	return 0;
}

/* rows: JSN-08 */
static void test_type_matrix(void)
{
	static const struct { unsigned type; const char *json; } values[] = {
		{A_NULL, "null"}, {A_BOOL, "true"}, {A_INT, "1"}, {A_STR, "\"text\""}, {A_LIST, "[]"},
		{A_OBJECT, "{}"},
		{A_LIST, "[null]"}, {A_LIST, "[true]"}, {A_LIST, "[7]"}, {A_LIST, "[[[]]]"},
	};
	size_t n;
	const struct param *table = param_table(&n);

	for (size_t i = 0; i < n; i++) {
		if (table[i].flags & PARAM_NO_JSON)
			continue;
		test_case("each JSON type for %s", table[i].name);
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			bool nested = k >= 6;   /* a list of what no list of ours takes */
			bool taken = !nested && (types_taken(&table[i]) & values[k].type);
			struct mail_params p;
			struct err e = ERR_INIT;
			char json[128], path[64];
			struct asked a = { .json = json };
			int r;

			snprintf(json, sizeof(json), "{\"%s\":%s}", table[i].name, values[k].json);
			snprintf(path, sizeof(path), ": %s", table[i].name);
			r = ask(&p, &a, &e);
			if (!taken) {
				check_int(r, -1);
				check_int(err_exit_code(&e), EX_DATAERR);
				check(e.text && !strncmp(e.text, "job.json:1:", 11) && strstr(e.text, path));
				check(e.text && strstr(e.text, "must be"));
				if (!nested)
					check(e.text && strstr(e.text, ", not "));
			} else if (r < 0 && strstr(e.text, ", not a")) {
				printf("# %s: %s\n", json, e.text);
				check(!"a right type refused");
			} else {
				check(true);
			}
			mail_params_clear(&p);
			err_clear(&e);
		}
	}
}

/* rows: JSN-07, JSN-08, JSN-14, JSN-15 */
static void test_json_errors(void)
{
	static const struct verdict cases[] = {
		{{"{\"to\":\"a@b.example\",\n\"attachments\":[\"x\",{\"pth\":\"y\"}]}"}, 65,
		 "job.json:2:27: attachments[1].pth: unknown key, did you mean 'path'?"},
		{{"{\"subjet\":\"x\"}"}, 65, "did you mean 'subject'"},
		{{"{\"to\":{\"adress\":\"a@b.example\"}}"}, 65,
		 "to.adress: unknown key, did you mean 'address'?"},
		{{"{\"to\":{\"notify\":\"never\"}}"}, 65, "to: needs an 'address'"},
		{{"{\"to\":[\"a@b.example\",7]}"}, 65, "job.json:1:22: to[1]: must be an address"},
		{{"{\"password\":{\"envv\":\"X\"}}"}, 65, "password.envv: unknown key, did you mean 'env'?"},
		{{"{\"password\":{\"env\":\"X\",\"fd\":3}}"}, 65, "exclude each other"},
		{{"{\"password\":{}}"}, 65, "needs one of env, file, command, fd"},
		{{"{\"password\":{\"fd\":-1}}"}, 65, "password.fd: must be a descriptor from 0"},
		{{"{\"body\":{\"fil\":\"x\"}}"}, 65, "body.fil: unknown key, did you mean 'file'?"},
		{{"{\"body\":{}}"}, 65, "body: needs one of text, file, fd, base64, parts"},
		{{"{\"body\":{\"file\":\"x\",\"text\":\"y\"}}"}, 65, "exclude each other"},
		{{"{\"body\":{\"parts\":[]}}"}, 65, "body.parts: must not be empty"},
		{{"{\"body\":{\"parts\":{}}}"}, 65, "body.parts: must be a list"},
		{{"{\"body\":{\"parts\":[\"x\"]}}"}, 65, "body.parts[0]: must be an object"},
		{{"{\"body\":{\"parts\":[{\"headers\":{}}]}}"}, 65, "body.parts[0]: needs a 'body'"},
		{{"{\"body\":{\"parts\":[{\"body\":{\"parts\":[{\"bdy\":\"x\"}]}}]}}"}, 65,
		 "body.parts[0].body.parts[0].bdy: unknown key, did you mean 'body'?"},
		{{"{\"body\":{\"parts\":[{\"body\":\"a\"},{\"body\":7}]}}"}, 65,
		 "body.parts[1].body: must be a string"},
		{{"{\"body\":{\"text\":\"x\",\"preamble\":\"y\"}}"}, 65,
		 "body.preamble: belongs to a body with parts"},
		{{"{\"body\":{\"base64\":\"!!\"}}"}, 65, "body.base64: "},
		{{"{\"body\":{\"fd\":65536}}"}, 65, "body.fd: must be a descriptor"},
		{{"{\"attachments\":{\"path\":\"a\",\"text\":\"b\"}}"}, 65, "exclude each other"},
		{{"{\"attachments\":[{\"filename\":\"a\"}]}"}, 65,
		 "attachments[0]: needs one of path, text, base64, fd"},
		{{"{\"attachments\":{\"path\":\"a\",\"disposition\":\"inlin\"}}"}, 65,
		 "attachment or inline"},
		{{"{\"attachments\":{\"path\":\"a\",\"encoding\":\"uu\"}}"}, 65,
		 "attachments.encoding: must be"},
		{{"{\"attachments\":{\"path\":\"a\",\"type\":\"text\"}}"}, 65, "attachments.type: "},
		{{"{\"attachments\":{\"path\":\"a\",\"content_id\":\"a b\"}}"}, 65,
		 "attachments.content_id: "},
		{{"{\"attachments\":{\"path\":\"a\",\"encoded\":\"yes\"}}"}, 65,
		 "attachments.encoded: must be true or false"},
		{{"{\"attachments\":{\"path\":\"\"}}"}, 65, "must not be empty"},
		{{"{\"headers\":{\"X A\":\"b\"}}"}, 65, "headers.X A: "},
		{{"{\"headers\":{\"X-A\":\"b\\r\\nBcc: c@d\"}}"}, 65,
		 "headers.X-A: must not hold a line break"},
		{{"{\"headers\":[[\"X-A\",\"b\\nc\"]]}"}, 65, "headers[0][1]: must not hold a line break"},
		{{"{\"headers\":[[\"X-A\"]]}"}, 65, "headers[0]: must be a pair"},
		{{"{\"headers\":[[\"X-A\",\"b\",\"c\"]]}"}, 65, "headers[0]: must be a pair"},
		{{"{\"headers\":[{\"name\":\"X-A\",\"vale\":\"b\"}]}"}, 65, "did you mean 'value'?"},
		{{"{\"headers\":[{\"name\":\"X-A\"}]}"}, 65, "needs 'name' and 'value'"},
		{{"{\"headers\":{\"X-A\":7}}"}, 65, "headers.X-A: must be a string"},
		{{"{\"headers\":{\"mime-version\":\"1.0\"}}"}, 65, "MIME-Version cannot be set"},
		{{"{\"headers\":{\"Received\":\"x\"}}"}, 65, "Received cannot be set"},
		{{"{\"headers\":{\"return-path\":\"<x@y>\"}}"}, 65, "Return-Path cannot be set"},
		{{"{\"headers\":{\"BCC\":\"x@y\"}}"}, 65, "use the setting bcc"},
		{{"{\"headers\":{\"Bcc\":\" \"},\"to\":\"a@b.example\"}"}, 0, NULL},
		{{"{\"subject\":\"a\\nb\"}"}, 65, "subject: must not hold a line break"},
		{{"{\"subject\":\"a\\rb\"}"}, 65, "subject: must not hold a line break"},
		{{"{\"from\":\"a@b.example\\r\\nX: y\"}"}, 65, "from: must not hold a line break"},
		{{"{\"to\":\"a@b.example\\nRCPT TO:<c@d>\"}"}, 65, "to: must not hold a line break"},
		{{"{\"output\":\"x\"}"}, 65, "output"},
		{{"{\"port\":0}"}, 65, "job.json:1:9: port: must be an integer from 1 to 65535, not 0"},
		{{"{\"port\":-1}"}, 65, "from 1 to 65535, not -1"},
		{{"{\"port\":65536}"}, 65, "from 1 to 65535, not 65536"},
		{{"{\"limit_rate\":-5}"}, 65, "from 0 to"},
		{{"{\"tls_min_version\":\"1.4\"}"}, 65, "must be 1.0, 1.1, 1.2 or 1.3, not '1.4'"},
		{{"{\"encoding\":\"bas64\"}"}, 65, "did you mean 'base64'?"},
		{{"{\"references\":[\"<a@b>\",7]}"}, 65, "references[1]: must be a string"},
	};

	check_verdicts("JSON", cases, ARRAY_SIZE(cases));
}

#define TO FLAG("to", "a@b.example")

/* rows: CLI-04, CLI-05, CLI-16 */
static void test_words(void)
{
	static const char *const bad_numbers[] = {
		"0", "-1", "65536", "99999999999", "25x", " 25", "0x19", "1e3", "", "\xd9\xa2\xd9\xa5", "+25",
		"25 ", "2.5",
		"18446744073709551617", "99999999999999999999999999x",
	};
	static const struct verdict cases[] = {
		{{.words = {FLAG("timeout", "-5")}}, 64,
		 "--timeout: must be an integer from 1 to 86400, not '-5'"},
		{{.words = {FLAG("timeout", "NaN")}}, 64, "--timeout: "},
		{{.words = {FLAG("timeout", "0")}}, 64, "--timeout: "},
		{{.words = {FLAG("connect_timeout", "86401")}}, 64,
		 "--connect-timeout: must be an integer from 1 to 86400"},
		{{.words = {FLAG("max_time", "99999999999999999999")}}, 64, "--max-time: "},
		{{.words = {FLAG("max_rcpt", "0")}}, 64, "--max-rcpt: must be an integer from 1 to"},
		{{.words = {FLAG("limit_rate", "10x")}}, 64,
		 "--limit-rate: must be an integer, K, M or G may follow"},
		{{.words = {FLAG("limit_rate", "K")}}, 64, "--limit-rate: "},
		{{.words = {FLAG("limit_rate", "-1K")}}, 64, "--limit-rate: "},
		{{.words = {FLAG("limit_rate", "99999999999999999999")}}, 64,
		 "must be from 0 to 9223372036854775807"},
		{{.words = {FLAG("limit_rate", "9007199254740992G")}}, 64, "must be from 0 to"},
		{{.words = {FLAG("limit_rate", "")}}, 64, "--limit-rate: "},
		{{.words = {FLAG("tls", "perhaps")}}, 64, "--tls: must be true or false, not 'perhaps'"},
		{{.words = {VAR("tls", "")}}, 64, "MAILCHUTE_TLS: must be true or false"},
		{{.words = {VAR("port", "x")}}, 64, "MAILCHUTE_PORT: "},
		{{.words = {CONF("port", "x")}}, 78, "port: "},
		{{.words = {FLAG("report", "jsno")}}, 64,
		 "--report: must be text or json, not 'jsno'; did you mean 'json'?"},
		{{.words = {FLAG("subject", "caf\xe9")}}, 65, "--subject: is not UTF-8 at octet 4"},
		{{.words = {FLAG("from", "caf\xe9 <a@b.example>")}}, 65, "--from: is not UTF-8 at octet 4"},
		{{.words = {FLAG("body_file", "caf\xe9"), TO}}, 0, NULL},
		{{.words = {FLAG("body_file", "")}}, 64, "--body-file: must not be empty"},
		{{.words = {FLAG("headers", "X-A")}}, 65, "--headers: must be 'Name: value'"},
		{{.words = {FLAG("headers", "X A: b")}}, 65, "--headers: "},
		{{.words = {FLAG("password", "secret")}}, 64,
		 "--password: other users of this machine can read it; use --password-env"},
		{{.words = {FLAG("oauth2_token", "secret")}}, 64, "--oauth2-token-env"},
		{{.words = {FLAG("attachments", "[{\"pth\":\"x\"}]")}}, 65,
		 "--attachments: [0].pth: unknown key, did you mean 'path'?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad_numbers); i++) {
		struct asked a = { .words = { FLAG("port", bad_numbers[i]) } };

		test_case("port \"%s\" is refused", bad_numbers[i]);
		check_verdict(&a, 64, "--port: must be an integer from 1 to 65535");
	}
	check_verdicts("word", cases, ARRAY_SIZE(cases));
}

static void test_word_values(void)
{
	static const struct asked a = { .words = {
		FLAG("limit_rate", "10k"), FLAG("port", "025"), VAR("tls_verify", "no"),
		VAR("all_or_nothing", "ON"),
		FLAG("headers", "X-A:  b:c "), FLAG("tls_min_version", "1.3"),
	} };
	struct mail_params p;
	struct err e = ERR_INIT;

	test_case("words become values");
	check_int(ask(&p, &a, &e), 0);
	check_int(p.server.limit_rate, 10240);
	check_int(p.server.port, 25);
	check(!p.server.tls_verify);
	check(p.all_or_nothing);
	check_int(p.headers.count, 1);
	check_str(p.headers.item[0].name, "X-A");
	check_str(p.headers.item[0].value, "b:c ");
	check_int(p.server.tls_min_version, TLS_1_3);
	mail_params_clear(&p);
	err_clear(&e);
}

/* Forms of the JSON, read as they mean. */
static void test_forms(void)
{
	static const struct asked a = { .json =
		"{\"to\":[\"a@b.example, c@d.example\",{\"address\":\"N <e@f.example>\",\"notify\":[\"failure\",\"delay\"],"
		"\"orcpt\":\"rfc822;x@y\"}],"
		"\"headers\":{\"X-A\":[\"1\",\"2\"],\"X-B\":\"3\"},\"references\":[\"<a@b>\",\"<c@d>\"],"
		"\"auth\":[\"plain\",\"LOGIN\"],\"user\":\"u\",\"domain\":\"h.example\",\"port\":2525,"
		"\"attach\":[\"a.txt\",{\"text\":\"t\",\"filename\":\"f\",\"content_id\":\"<l@x>\",\"encoding\":\"BASE64\"},"
		"{\"base64\":\"AAEC\",\"encoded\":false},{\"fd\":7},\"-\"]}" };
	struct mail_params p;
	struct err e = ERR_INIT;

	test_case("the forms of recipients, headers and attachments");
	check_int(ask_whole(&p, &a, &e), 0);
	if (e.text)
		printf("# %s\n", e.text);
	check_int(p.to.count, 2);
	check_int(p.to_boxes.count, 3);
	check_str(p.to_boxes.item[2].mailbox.local, "e");
	check_int(p.to_boxes.item[2].notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	check_str(p.to_boxes.item[2].orcpt, "rfc822;x@y");
	check_int(p.to_boxes.item[0].notify, 0);
	check_int(p.headers.count, 3);
	check_str(p.headers.item[1].name, "X-A");
	check_str(p.headers.item[1].value, "2");
	check_str(p.references, "<a@b> <c@d>");
	check_int(p.server.mechanisms, AUTH_PLAIN | AUTH_LOGIN);
	check_str(p.server.username, "u");
	check_str(p.server.helo_name, "h.example");
	check_int(p.attachments.count, 5);
	check_int(p.attachments.item[0].content.kind, CONTENT_FILE);
	check(p.attachments.item[0].content.confined);
	check_str(p.attachments.item[1].content_id, "l@x");
	check_int(p.attachments.item[1].encoding, CTE_BASE64);
	check_mem(p.attachments.item[2].content.data, p.attachments.item[2].content.len, "\0\1\2", 3);
	check_int(p.attachments.item[3].content.fd, 7);
	check_int(p.attachments.item[4].content.kind, CONTENT_STDIN);
	mail_params_clear(&p);
	err_clear(&e);
}

static void test_body_tree(void)
{
	static const struct asked a = { .json =
		"{\"to\":\"a@b.example\",\"body\":{\"preamble\":\"pre\",\"epilogue\":\"\",\"parts\":["
		"{\"body\":\"one\",\"headers\":{\"content-type\":\"text/plain\"}},"
		"{\"body\":{\"parts\":[{\"body\":{\"file\":\"f\"},\"encoded\":true},{\"body\":{\"base64\":\"AA==\"}}]}},"
		"{\"body\":{\"fd\":5}}]}}" };
	struct mail_params p;
	struct err e = ERR_INIT;
	const struct part_params *one, *two;

	test_case("the recursive form becomes a tree");
	check_int(ask_whole(&p, &a, &e), 0);
	check_int(p.body->content.kind, CONTENT_PARTS);
	check_str(p.body->preamble, "pre");
	check_str(p.body->epilogue, "");
	one = p.body->first;
	check_str(one->content.data, "one");
	check_str(one->headers.item[0].name, "content-type");
	two = one->next;
	check_int(two->content.kind, CONTENT_PARTS);
	check_str(two->first->content.path, "f");
	check(two->first->encoded && two->first->content.confined);
	check_int(two->last->content.kind, CONTENT_BYTES);
	check_int(two->last->content.len, 1);
	check_int(two->next->content.fd, 5);
	check(two->next == p.body->last && two->next->next == NULL);
	mail_params_clear(&p);
	err_clear(&e);
}

/* The deepest that the JSON reader takes: two levels of JSON for a level of parts. */
static void test_body_depth(void)
{
	CLEANUP(buf_clear) struct buf json = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct asked a = { .json = NULL };
	struct mail_params p;
	struct err e = ERR_INIT;
	int depth = 0, r = buf_adds(&json, "{\"to\":\"a@b.example\",\"body\":");

	test_case("parts nest as deep as the JSON does");
	for (int i = 0; i < 330; i++)
		r |= buf_adds(&json, "{\"parts\":[{\"body\":");
	r |= buf_adds(&json, "\"x\"");
	for (int i = 0; i < 330; i++)
		r |= buf_adds(&json, "}]}");
	r |= buf_adds(&json, "}");
	check_int(r, 0);
	a.json = json.data;
	check_int(ask_whole(&p, &a, &e), 0);
	for (const struct part_params *part = p.body; part; part = part->first)
		depth++;
	check_int(depth, 331);
	check_int(mail_params_print(&p, &out), 0);
	check(strstr(out.data, "\"body\":\"x\"}]}}]}"));
	mail_params_clear(&p);
	err_clear(&e);
}

/*
 * Origins.
 */

static void test_origins(void)
{
	static const struct asked lower = { "{\"subject\":\"json\",\"cc\":[\"j@x.example\",\"k@x.example\"]}",
		{FLAG("subject", "flag"), VAR("subject", "env"), FLAG("cc", "f@x.example"),
		 FLAG("cc", "g@x.example"),
		 VAR("cc", "e@x.example"), VAR("zone", "+0100")} };
	static const struct asked twice = { "{}", {FLAG("from", "a@b.example"), FLAG("from", "c@d.example"),
		VAR("port", "25"), VAR("port", "26"), FLAG("to", "x@y.example")} };
	static const struct asked emptied = { "{\"cc\":[]}", {VAR("cc", "e@x.example"), TO} };
	struct mail_params p;
	struct err e = ERR_INIT;

	test_case("the higher origin wins in any order; its list replaces a list whole");
	check_int(ask(&p, &lower, &e), 0);
	check_str(p.subject, "flag");
	check_int(p.cc.count, 2);
	check_str(p.cc.item[0].address, "f@x.example");
	check_str(p.cc.item[1].address, "g@x.example");
	check_str(p.zone, "+0100");
	check(mail_params_given(&p, "subject") && !mail_params_given(&p, "bcc"));
	mail_params_clear(&p);

	/* rows: CLI-03 */
	test_case("within an origin the last scalar wins");
	check_int(ask(&p, &twice, &e), 0);
	check_str(p.from, "c@d.example");
	check_int(p.server.port, 26);
	mail_params_clear(&p);

	test_case("an empty list replaces too");
	check_int(ask_whole(&p, &emptied, &e), 0);
	check_int(p.cc.count, 0);
	mail_params_clear(&p);

	test_case("a bad value is an error also where a higher origin hides it");
	check_verdict(&(struct asked){ "{}", {FLAG("port", "25"), VAR("port", "x"), TO} }, 64,
		"MAILCHUTE_PORT");

	test_case("origins have names");
	check_str(origin_name(ORIGIN_ENV), "environment");
	check_str(origin_name(ORIGIN_ARGV), "flag");
	err_clear(&e);
}

/*
 * Servers.
 */

/* rows: CLI-06, CLI-07, CLI-14 */
static void test_servers_refused(void)
{
	static const char *const refused[][2] = {
		{"", "must not be empty"}, {"mail example", NULL}, {"mail\texample", NULL}, {"mail/x", NULL},
		{"mail@x", "username"}, {"mail?x", NULL}, {"mail#x", NULL}, {"mail%0d%0a", NULL},
		{"mail\\x", NULL},
		{"mail\xe3\x80\x82" "example", NULL}, {"a..example", NULL}, {".example", NULL},
		{"mail\r", "line break"}, {"mail\n", "line break"},
		{"0123456789012345678901234567890123456789012345678901234567890123.example", NULL},
		{"file:///tmp/x", "smtp:, smtps:, lmtp:"}, {"FILE://x", "smtp:"}, {"http://x", "smtp:"},
		{"http:", "smtp:"},
		{"ftp://x", "smtp:"}, {"dict://x", "smtp:"}, {"gopher://x", "smtp:"}, {"scp://x", "smtp:"},
		{"telnet://x", "smtp:"}, {"smtp://user:pw@x", "--password-env"}, {"smtp://x/path", "no path"},
		{"smtp://x?y", "no path"}, {"smtp://", NULL}, {"smtp:", NULL}, {"x:0", "1 to 65535"},
		{"x,y:25", "repeat --server"}, {"x:25,y", "repeat --server"},
		{"x:65536", "1 to 65535"}, {"x:25x", "1 to 65535"}, {"x:", "not a mail server"},
		{"[::1", "bracket"},
		{"[::1]x", "bracket"}, {"[::1]:", "1 to 65535"}, {"::1::2:3", NULL},
		{"/run/x", "unix_socket"},
		{"lmtp+unix:run/x", "begin with '/'"}, {"lmtp+unix://host/run", "begin with '/'"},
		{"lmtp+unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxx", "107"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct asked a = { .words = { FLAG("server", refused[i][0]), TO } };

		test_case("server \"%s\" is refused", refused[i][0]);
		check_verdict(&a, 64, refused[i][1]);
	}
	test_case("a password in a server's URL is not shown");
	{
		struct asked a = { .words = { FLAG("server", "smtp://user:hunter2@x"), TO } };
		struct mail_params p;
		struct err e = ERR_INIT;

		check_int(ask_whole(&p, &a, &e), -1);
		check(!strstr(e.text, "hunter2"));
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* rows: CLI-06 */
static void test_servers(void)
{
	static const struct {
		const char *text, *host, *path;
		unsigned port;
		bool lmtp;
		enum tls_mode tls;
		bool loopback;
		const char *label;
	} cases[] = {
		{"mail.example", "mail.example", NULL, 25, false, TLS_IF_OFFERED, false, "mail.example:25"},
		{"mail.example:2525", "mail.example", NULL, 2525, false, TLS_IF_OFFERED, false,
		 "mail.example:2525"},
		{"mail.example:465", "mail.example", NULL, 465, false, TLS_IMPLICIT, false,
		 "mail.example:465"},
		{"mail.example:587", "mail.example", NULL, 587, false, TLS_STARTTLS, false,
		 "mail.example:587"},
		{"smtp:25", "smtp", NULL, 25, false, TLS_IF_OFFERED, false, "smtp:25"},
		{"smtp:mail.example", "mail.example", NULL, 25, false, TLS_IF_OFFERED, false,
		 "mail.example:25"},
		{"smtp://mail.example/", "mail.example", NULL, 25, false, TLS_IF_OFFERED, false,
		 "mail.example:25"},
		{"SMTP://mail.example:587", "mail.example", NULL, 587, false, TLS_STARTTLS, false,
		 "mail.example:587"},
		{"smtps://mail.example", "mail.example", NULL, 465, false, TLS_IMPLICIT, false,
		 "mail.example:465"},
		{"smtps://mail.example:1465", "mail.example", NULL, 1465, false, TLS_IMPLICIT, false,
		 "mail.example:1465"},
		{"smtps://localhost", "localhost", NULL, 465, false, TLS_IMPLICIT, true, "localhost:465"},
		{"lmtp://mail.example", "mail.example", NULL, 24, true, TLS_IF_OFFERED, false,
		 "mail.example:24"},
		{"lmtps:mail.example", "mail.example", NULL, 24, true, TLS_IMPLICIT, false,
		 "mail.example:24"},
		{"lmtp+unix:/run/lmtp", NULL, "/run/lmtp", 0, true, TLS_NEVER, true, "/run/lmtp"},
		{"lmtp+unix:///run/lmtp", NULL, "/run/lmtp", 0, true, TLS_NEVER, true, "/run/lmtp"},
		{"[::1]", "::1", NULL, 25, false, TLS_NEVER, true, "[::1]:25"},
		{"[::1]:2525", "::1", NULL, 2525, false, TLS_NEVER, true, "[::1]:2525"},
		{"::1", "::1", NULL, 25, false, TLS_NEVER, true, "[::1]:25"},
		{"2001:db8::25", "2001:db8::25", NULL, 25, false, TLS_IF_OFFERED, false, "[2001:db8::25]:25"},
		{"smtp://[2001:db8::25]:26", "2001:db8::25", NULL, 26, false, TLS_IF_OFFERED, false,
		 "[2001:db8::25]:26"},
		{"127.0.0.1", "127.0.0.1", NULL, 25, false, TLS_NEVER, true, "127.0.0.1:25"},
		{"127.9.9.9:587", "127.9.9.9", NULL, 587, false, TLS_NEVER, true, "127.9.9.9:587"},
		{"LOCALHOST:465", "LOCALHOST", NULL, 465, false, TLS_NEVER, true, "LOCALHOST:465"},
		{"m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", NULL, 25, false, TLS_IF_OFFERED, false,
		 "xn--mnchen-3ya.example:25"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asked a = { .words = { FLAG("server", cases[i].text), TO } };
		struct mail_params p;
		struct err e = ERR_INIT;
		const struct server *s;

		test_case("server \"%s\"", cases[i].text);
		if (ask_whole(&p, &a, &e) < 0) {
			printf("# %s\n", e.text);
			check(!"refused");
		} else {
			s = &p.server.list[0];
			check_int(p.server.n_list, 1);
			if (cases[i].host)
				check(s->host && !strcasecmp(s->host, cases[i].host));
			else
				check_str(s->unix_socket, cases[i].path);
			check_int(s->port, cases[i].port);
			check_int(s->lmtp, cases[i].lmtp);
			check_int(s->tls, cases[i].tls);
			check_int(s->loopback, cases[i].loopback);
			check(!strcasecmp(s->label, cases[i].label));
		}
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* The tables of "Defaults" and "TLS and authentication": port and TLS by what is asked for. */
static void test_ports_and_tls(void)
{
	static const struct { struct asked asked; unsigned port; enum tls_mode tls; bool asked_for, lmtp,
		loopback; } cases[] = {
		/* by default */
		{{"{}"}, 25, TLS_NEVER, false, false, true},
		{{"{\"server\":\"m.example\"}"}, 25, TLS_IF_OFFERED, false, false, false},
		{{"{\"server\":\"m.example\",\"username\":\"u\"}"}, 587, TLS_STARTTLS, false, false, false},
		{{"{\"server\":\"localhost\",\"username\":\"u\"}"}, 25, TLS_NEVER, false, false, true},
		{{"{\"server\":\"m.example\",\"port\":465}"}, 465, TLS_IMPLICIT, false, false, false},
		{{"{\"server\":\"m.example\",\"port\":587}"}, 587, TLS_STARTTLS, false, false, false},
		{{"{\"server\":\"m.example\",\"port\":2525}"}, 2525, TLS_IF_OFFERED, false, false, false},
		{{"{\"server\":\"m.example\",\"lmtp\":true}"}, 24, TLS_IF_OFFERED, false, true, false},
		{{"{\"server\":\"127.0.0.1\",\"port\":465}"}, 465, TLS_NEVER, false, false, true},
		/* asked for */
		{{"{\"server\":\"m.example\",\"tls\":true}"}, 465, TLS_IMPLICIT, true, false, false},
		{{"{\"server\":\"m.example\",\"starttls\":true}"}, 587, TLS_STARTTLS, true, false, false},
		{{"{\"server\":\"m.example\",\"tls\":true,\"starttls\":true}"}, 587, TLS_STARTTLS, true,
		 false, false},
		{{"{\"server\":\"m.example\",\"tls\":false,\"starttls\":true}"}, 587, TLS_STARTTLS, true,
		 false, false},
		{{"{\"server\":\"m.example\",\"tls\":true,\"starttls\":false}"}, 465, TLS_IMPLICIT, true,
		 false, false},
		{{"{\"server\":\"m.example\",\"tls\":true,\"port\":25}"}, 25, TLS_IMPLICIT, true, false,
		 false},
		{{"{\"server\":\"m.example\",\"tls\":true,\"lmtp\":true}"}, 24, TLS_IMPLICIT, true, true,
		 false},
		{{"{\"server\":\"m.example\",\"starttls\":true,\"lmtp\":true}"}, 24, TLS_STARTTLS, true, true,
		 false},
		{{"{\"starttls\":true}"}, 587, TLS_STARTTLS, true, false, true},
		{{"{\"tls\":true,\"port\":10465}"}, 10465, TLS_IMPLICIT, true, false, true},
		/* refused */
		{{"{\"server\":\"m.example\",\"tls\":false,\"starttls\":false}"}, 25, TLS_NEVER, false, false,
		 false},
		{{"{\"server\":\"m.example\",\"starttls\":false}"}, 25, TLS_NEVER, false, false, false},
		{{"{\"server\":\"m.example\",\"port\":587,\"starttls\":false}"}, 587, TLS_NEVER, false, false,
		 false},
		{{"{\"server\":\"m.example\",\"port\":465,\"starttls\":false}"}, 465, TLS_IMPLICIT, false,
		 false, false},
		{{"{\"server\":\"m.example\",\"port\":465,\"tls\":false}"}, 465, TLS_IF_OFFERED, false, false,
		 false},
		{{"{\"server\":\"m.example\",\"port\":587,\"tls\":false}"}, 587, TLS_STARTTLS, false, false,
		 false},
		{{"{\"server\":\"m.example\",\"username\":\"u\",\"tls\":false,\"starttls\":false}"}, 587,
		 TLS_NEVER, false, false,
		 false},
		/* the highest origin that names either decides */
		{{"{\"server\":\"m.example\",\"starttls\":true}", {VAR("tls", "1")}}, 587, TLS_STARTTLS, true,
		 false, false},
		{{"{\"server\":\"m.example\",\"tls\":true}", {VAR("starttls", "1")}}, 465, TLS_IMPLICIT, true,
		 false, false},
		{{"{\"server\":\"m.example\",\"tls\":true}", {FLAG("starttls", "1")}}, 587, TLS_STARTTLS,
		 true, false, false},
		{{"{\"server\":\"m.example\",\"starttls\":true}", {FLAG("tls", "1")}}, 465, TLS_IMPLICIT,
		 true, false, false},
		{{"{\"server\":\"m.example\",\"tls\":true}", {FLAG("starttls", "0")}}, 25, TLS_NEVER, false,
		 false, false},
		/* a server's URL */
		{{"{\"server\":\"smtps://m.example\",\"tls\":true}"}, 465, TLS_IMPLICIT, true, false, false},
		{{"{\"server\":\"smtps://m.example\"}", {FLAG("starttls", "1")}}, 587, TLS_STARTTLS, true,
		 false, false},
		{{"{}", {FLAG("server", "smtps://m.example"), VAR("starttls", "1")}}, 465, TLS_IMPLICIT, true,
		 false, false},
		{{"{\"server\":\"m.example:26\",\"port\":27}"}, 26, TLS_IF_OFFERED, false, false, false},
		{{"{\"server\":\"m.example:26\"}", {FLAG("port", "27")}}, 27, TLS_IF_OFFERED, false, false,
		 false},
		{{"{\"server\":\"m.example:26\"}", {VAR("port", "27")}}, 26, TLS_IF_OFFERED, false, false,
		 false},
		{{"{\"server\":\"lmtp://m.example\",\"lmtp\":true}"}, 24, TLS_IF_OFFERED, false, true, false},
		{{"{\"server\":\"lmtp://m.example\"}", {VAR("lmtp", "0")}}, 24, TLS_IF_OFFERED, false, true,
		 false},
		/* a Unix socket; a proxy ends loopback; REQUIRETLS asks for TLS */
		{{"{\"unix_socket\":\"/run/s\"}"}, 0, TLS_NEVER, false, false, true},
		{{"{\"unix_socket\":\"/run/s\",\"lmtp\":true,\"username\":\"u\"}"}, 0, TLS_NEVER, false, true,
		 true},
		{{"{\"server\":\"localhost\",\"proxy\":\"socks5h://p:1080\"}"}, 25, TLS_IF_OFFERED, false,
		 false, false},
		{{"{\"server\":\"m.example\",\"require_tls\":true}"}, 25, TLS_STARTTLS, true, false, false},
		{{"{\"server\":\"smtps://m.example\",\"require_tls\":true}"}, 465, TLS_IMPLICIT, true, false,
		 false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mail_params p;
		struct err e = ERR_INIT;
		struct asked a = cases[i].asked;
		int r;

		test_case("port and TLS of %s %s", a.json, a.words[0].name ? a.words[0].name : "");
		a.words[4] = (struct word)TO;
		for (size_t k = 0; k < 4; k++)
			if (!a.words[k].name)
				a.words[k] = (struct word)FLAG("from", "me@here.example");
		r = ask_whole(&p, &a, &e);
		if (r < 0) {
			printf("# %s\n", e.text);
			check(!"refused");
		} else {
			check_int(p.server.list[0].port, cases[i].port);
			check_int(p.server.list[0].tls, cases[i].tls);
			check_int(p.server.list[0].tls_asked, cases[i].asked_for);
			check_int(p.server.list[0].lmtp, cases[i].lmtp);
			check_int(p.server.list[0].loopback, cases[i].loopback);
		}
		mail_params_clear(&p);
		err_clear(&e);
	}
}

static void test_defaults(void)
{
	static const struct asked a = { .words = { TO } };
	struct mail_params p;
	struct err e = ERR_INIT;

	test_case("what is not asked for");
	check_int(ask_whole(&p, &a, &e), 0);
	check_str(p.server.list[0].host, "localhost");
	check_str(p.server.server.item[0], "localhost");
	check_int(p.server.timeout, 60);
	check_int(p.server.connect_timeout, 30);
	check_int(p.server.dot_timeout, 600);
	check_int(p.server.max_time, 0);
	check_int(p.server.max_rcpt, 1000);
	check_int(p.server.limit_rate, 0);
	check_int(p.server.tls_min_version, TLS_1_2);
	check(p.server.tls_verify && !p.server.allow_insecure_auth && !p.server.has_credentials);
	check_int(p.report, REPORT_SILENT);
	check(!p.null_sender && p.finished && !p.body);
	check_str(p.from_box.domain, "host.example");
	mail_params_clear(&p);
	err_clear(&e);
}

/*
 * Combinations.
 */

/* rows: CLI-13, CLI-14, JSN-10, JSN-17 */
static void test_combinations(void)
{
	static const struct verdict cases[] = {
		{{"{}"}, 64, "no recipient"},
		{{"{\"to\":[]}"}, 64, "no recipient"},
		{{"{\"headers\":{\"To\":\"a@b.example\"}}"}, 64, "fields in headers do not say who gets"},
		{{"{\"to\":\"\"}"}, 65, "to: holds no address"},
		{{"{\"to\":\"undisclosed-recipients:;\"}"}, 64, "no recipient"},
		{{"{\"to\":\"undisclosed-recipients:;\",\"bcc\":\"a@b.example\"}"}, 0, NULL},
		{{"{\"lmtp\":true}", {FLAG("server", "smtps://m.example"), TO}}, 0, NULL},
		{{NULL, {FLAG("lmtp", "1"), FLAG("server", "smtps://m.example"), TO}}, 64, "contradict"},
		{{"{\"server\":\"smtp://m.example\"}", {FLAG("lmtp", "1"), TO}}, 0, NULL},
		{{NULL, {FLAG("lmtp", "1"), FLAG("server", "m.example:25"), TO}}, 64,
		 "LMTP must not be used on port 25"},
		{{"{\"lmtp\":true,\"port\":25,\"to\":\"a@b.example\"}"}, 64, "port 25"},
		{{"{\"server\":\"smtps://m.example\",\"starttls\":true,\"to\":\"a@b.example\"}"}, 64,
		 "contradict"},
		{{"{\"server\":\"smtps://m.example\",\"tls\":false,\"to\":\"a@b.example\"}"}, 64,
		 "contradict"},
		{{"{\"unix_socket\":\"/s\",\"starttls\":true,\"to\":\"a@b.example\"}"}, 64, "Unix socket"},
		{{"{\"unix_socket\":\"/s\",\"server\":\"x\",\"to\":\"a@b.example\"}"}, 64,
		 "exclude each other"},
		{{"{\"unix_socket\":\"/s\",\"to\":\"a@b.example\"}", {VAR("server", "x.example")}}, 0, NULL},
		{{"{\"unix_socket\":\"/s\",\"proxy\":\"p:1\",\"to\":\"a@b.example\"}"}, 64, "proxy"},
		{{"{\"unix_socket\":\"/s\",\"require_tls\":true,\"to\":\"a@b.example\"}"}, 64, "Unix socket"},
		{{"{\"body\":\"x\",\"body_file\":\"y\",\"to\":\"a@b.example\"}"}, 64,
		 "body and body_file exclude each other"},
		{{"{\"html\":\"x\",\"html_file\":\"y\",\"to\":\"a@b.example\"}"}, 64, "html and html_file"},
		{{"{\"body\":\"x\",\"to\":\"a@b.example\"}", {FLAG("body_file", "y")}}, 0, NULL},
		{{"{\"message_file\":\"m\",\"subject\":\"x\",\"rcpt\":\"a@b.example\"}"}, 64,
		 "subject cannot be set beside"},
		{{"{\"message_file\":\"m\",\"body\":\"x\",\"rcpt\":\"a@b.example\"}"}, 64, "body cannot"},
		{{"{\"message_file\":\"m\",\"html\":\"x\",\"rcpt\":\"a@b.example\"}"}, 64, "html cannot"},
		{{"{\"message_file\":\"m\",\"html_file\":\"x\",\"rcpt\":\"a@b.example\"}"}, 64,
		 "html_file cannot"},
		{{"{\"message_file\":\"m\",\"attachments\":\"x\",\"rcpt\":\"a@b.example\"}"}, 64,
		 "attachments cannot"},
		{{"{\"message_file\":\"m\",\"stream\":true,\"rcpt\":\"a@b.example\"}"}, 64, "stream cannot"},
		{{"{\"message_file\":\"m\",\"rcpt\":\"a@b.example\"}", {VAR("subject", "x")}}, 0, NULL},
		{{"{\"message_file\":\"m\"}"}, 64, "no recipient"},
		{{"{\"body_file\":\"-\",\"html_file\":\"-\",\"to\":\"a@b.example\"}"}, 64,
		 "standard input is already read"},
		{{"{\"body_file\":\"-\",\"attachments\":\"-\",\"to\":\"a@b.example\"}"}, 64,
		 "standard input is already read"},
		{{"{\"body\":{\"fd\":0},\"attachments\":\"-\",\"to\":\"a@b.example\"}"}, 64,
		 "standard input is already read"},
		{{"{\"attachments\":[{\"fd\":5},{\"fd\":5}],\"to\":\"a@b.example\"}"}, 64,
		 "descriptor is already read"},
		{{"{\"attachments\":[{\"fd\":5},{\"fd\":6}],\"to\":\"a@b.example\"}"}, 0, NULL},
		{{"{\"username\":\"u\",\"password\":{\"fd\":5},\"body\":{\"fd\":5},\"to\":\"a@b.example\"}"},
		 64, "already read"},
		{{"{\"stream\":true,\"server\":[\"a.example\",\"b.example\"],\"to\":\"a@b.example\"}"}, 64,
		 "one server only"},
		{{"{\"password\":\"x\",\"to\":\"a@b.example\"}"}, 64, "no username"},
		{{"{\"to\":\"a@b.example\"}", {VAR("password", "x")}}, 0, NULL},
		{{"{\"username\":\"\",\"to\":\"a@b.example\"}"}, 65, "username: must not be empty"},
		{{"{\"username\":\"a\\u0001\",\"to\":\"a@b.example\"}"}, 65,
		 "username: must not hold a control"},
		{{"{\"auth\":\"plian\",\"to\":\"a@b.example\"}"}, 65,
		 "auth: unknown mechanism 'plian', did you mean 'PLAIN'?"},
		{{NULL, {FLAG("auth", "plain,loginn"), TO}}, 64,
		 "--auth: unknown mechanism 'loginn', did you mean 'LOGIN'?"},
		{{NULL, {FLAG("auth", ""), TO}}, 64, "--auth: must name a mechanism"},
		{{"{\"auth\":\"xoauth2\",\"username\":\"u\",\"to\":\"a@b.example\"}"}, 64, "no oauth2_token"},
		{{"{\"tls_key_file\":\"k\",\"to\":\"a@b.example\"}"}, 64, "no tls_cert_file"},
		{{NULL, {FLAG("verbose", "1"), FLAG("quiet", "1"), TO}}, 64, "contradict"},
		{{NULL, {FLAG("dry_run", "1"), FLAG("report", "json"), TO}}, 64, "needs --output"},
		{{NULL, {FLAG("output", "x"), FLAG("report", "json"), TO}}, 0, NULL},
		{{"{\"require_tls\":true,\"starttls\":false,\"server\":\"m.example\",\"to\":\"a@b.example\"}"}, 64, "contradict"},
	};

	check_verdicts("together", cases, ARRAY_SIZE(cases));
}

static void test_grammars(void)
{
	static const char pin[] = "sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE=";
	char pins[128];
	static const struct verdict cases[] = {
		{{NULL, {FLAG("dsn_notify", "never"), TO}}, 0, NULL},
		{{NULL, {FLAG("dsn_notify", "SUCCESS, failure"), TO}}, 0, NULL},
		{{NULL, {FLAG("dsn_notify", "never,failure"), TO}}, 64, "--dsn-notify: never stands alone"},
		{{NULL, {FLAG("dsn_notify", "often"), TO}}, 64, "'often' is none of"},
		{{NULL, {FLAG("dsn_notify", ""), TO}}, 64, "must be never"},
		{{"{\"to\":{\"address\":\"a@b.example\",\"notify\":\"never delay\"}}"}, 65,
		 "to: never stands alone"},
		{{"{\"to\":{\"address\":\"a@b.example, c@d.example\",\"orcpt\":\"x@y\"}}"}, 65,
		 "orcpt belongs to one address"},
		{{"{\"to\":{\"address\":\"a@b.example\",\"orcpt\":\"r f;x@y\"}}"}, 65, "orcpt must be"},
		{{"{\"to\":{\"address\":\"a@b.example\",\"orcpt\":\"rfc822;\"}}"}, 65, "orcpt must have"},
		{{NULL, {FLAG("dsn_envid", "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
			 "0"), TO}}, 64, "at most 100"},
		{{NULL, {FLAG("dsn_envid", ""), TO}}, 64, "--dsn-envid"},
		{{NULL, {FLAG("dsn_envid", "a b=c+d"), TO}}, 0, NULL},
		{{NULL, {FLAG("dsn_return", "ful"), TO}}, 64, "did you mean 'full'"},
		{{NULL, {FLAG("auto_submitted", "auto-generated; owner=x"), TO}}, 0, NULL},
		{{NULL, {FLAG("auto_submitted", "auto"), TO}}, 64,
		 "--auto-submitted: must be auto-generated"},
		{{NULL, {FLAG("tls_pinned_key", "sha256//abc"), TO}}, 64,
		 "--tls-pinned-key: must be 'sha256//'"},
		{{NULL, {FLAG("tls_pinned_key", ""), TO}}, 64, "--tls-pinned-key"},
		{{NULL, {FLAG("tls_pinned_key", "key.pem"), TO}}, 64, "--tls-pinned-key"},
		{{NULL, {FLAG("proxy", "ftp://x"), TO}}, 64, "--proxy: must be http:"},
		{{NULL, {FLAG("proxy", ""), TO}}, 64, "--proxy"},
		{{NULL, {FLAG("interface", "if!eth0"), TO}}, 64, "--interface"},
		{{NULL, {FLAG("interface", "eth0"), TO}}, 0, NULL},
		{{NULL, {FLAG("helo_name", "a b"), TO}}, 64, "--helo-name: "},
		{{NULL, {FLAG("helo_name", "[127.0.0.1]"), TO}}, 0, NULL},
		{{NULL, {FLAG("charset", "utf8"), TO}}, 64,
		 "--charset: 'utf8' is no charset, did you mean 'utf-8'?"},
		{{NULL, {FLAG("charset", "klingon"), TO}}, 64, "--charset: unknown charset 'klingon'"},
		{{NULL, {FLAG("charset", "ISO-8859-1"), TO}}, 0, NULL},
		{{NULL, {FLAG("zone", "+2500"), TO}}, 64, "--zone: "},
		{{NULL, {FLAG("zone", "+0100"), TO}}, 0, NULL},
		{{NULL, {FLAG("date", "tomorrow"), TO}}, 64, "--date: "},
		{{NULL, {FLAG("date", "@0"), TO}}, 0, NULL},
		{{NULL, {FLAG("message_id", "x"), TO}}, 64, "--message-id: "},
		{{NULL, {FLAG("message_id", "<a@b>"), TO}}, 0, NULL},
		{{NULL, {FLAG("in_reply_to", "<a@b> <c@d>"), TO}}, 0, NULL},
		{{"{\"references\":[\"<a@b>\",\"c\"],\"to\":\"a@b.example\"}"}, 65, "references: "},
		{{NULL, {FLAG("from", "nobody at all"), TO}}, 65, "--from: "},
		{{NULL, {FLAG("to", "a@b.example, c d@e.example")}}, 65, "--to: "},
		{{NULL, {VAR("to", "@")}}, 65, "MAILCHUTE_TO: "},
		{{"{\"to\":\"a@b.example\",\"reply_to\":[\"x\\u0001@y.example\"]}"}, 65, "reply_to: "},
		/* a bare local name has a meaning to a local server only */
		{{NULL, {FLAG("to", "root")}}, 0, NULL},
		{{NULL, {FLAG("to", "root"), FLAG("server", "m.example")}}, 65, "--to: "},
		{{NULL, {FLAG("to", "postmaster"), FLAG("server", "m.example")}}, 0, NULL},
		{{NULL, {FLAG("to", "root"), FLAG("server", "lmtp://m.example")}}, 0, NULL},
		{{NULL, {FLAG("to", "root"), FLAG("unix_socket", "/s")}}, 0, NULL},
		{{NULL, {FLAG("to", "root"), FLAG("server", "localhost"), FLAG("server", "m.example")}}, 65,
		 "--to: "},
	};
	struct asked a = { .words = { FLAG("tls_pinned_key", pins), TO } };

	check_verdicts("grammar", cases, ARRAY_SIZE(cases));
	test_case("pinned keys, one and two");
	snprintf(pins, sizeof(pins), "%s", pin);
	check_verdict(&a, 0, NULL);
	snprintf(pins, sizeof(pins), "%s;%s", pin, pin);
	check_verdict(&a, 0, NULL);
	snprintf(pins, sizeof(pins), "%s;", pin);
	check_verdict(&a, 64, "--tls-pinned-key");
}

static void test_files_dir(void)
{
	static const struct verdict cases[] = {
		{{"{\"to\":\"a@b.example\",\"body_file\":\"x\",\"attachments\":[\"y\"]}",
		 {FLAG("files_dir", "/d")}}, 0, NULL},
		{{"{\"to\":\"a@b.example\",\"server\":\"x\"}", {FLAG("files_dir", "/d")}}, 65,
		 "server: with files_dir"},
		{{"{\"to\":\"a@b.example\",\"port\":25}", {FLAG("files_dir", "/d")}}, 65,
		 "port: with files_dir"},
		{{"{\"to\":\"a@b.example\",\"password\":{\"env\":\"X\"}}", {FLAG("files_dir", "/d")}}, 65,
		 "password: with"},
		{{"{\"to\":\"a@b.example\",\"tls_ca_file\":\"x\"}", {FLAG("files_dir", "/d")}}, 65,
		 "tls_ca_file: with"},
		{{"{\"to\":\"a@b.example\",\"attachments\":{\"fd\":3}}", {FLAG("files_dir", "/d")}}, 65,
		 "attachments: with"},
		{{"{\"to\":\"a@b.example\",\"body\":{\"fd\":3}}", {FLAG("files_dir", "/d")}}, 65,
		 "body: with"},
		{{"{\"to\":\"a@b.example\",\"body_file\":\"-\"}", {FLAG("files_dir", "/d")}}, 65,
		 "body_file: with"},
		{{"{\"to\":\"a@b.example\"}", {FLAG("files_dir", "/d"), FLAG("server", "m.example"),
		 FLAG("body_file", "-")}}, 0, NULL},
		{{"{\"to\":\"a@b.example\",\"files_dir\":\"/\"}", {FLAG("files_dir", "/d")}}, 0, NULL},
		{{"{\"to\":\"a@b.example\",\"files_dir\":\"/\"}", {VAR("files_dir", "/d")}}, 64,
		 "cannot replace the files_dir"},
	};

	check_verdicts("files_dir", cases, ARRAY_SIZE(cases));
}

/* rows: CLI-12 */
static void test_sender(void)
{
	static const struct { const char *host; struct asked asked; const char *from,
		*domain; bool null; } cases[] = {
		{"h.example", {.words = {FLAG("from", "N <n@x.example>")}}, "n", "x.example", false},
		{"h.example", {.words = {FLAG("envelope_from", "")}}, NULL, "h.example", true},
		{"h.example", {.words = {FLAG("envelope_from", "<>")}}, NULL, "h.example", true},
		{"h.example", {.words = {FLAG("server", "m.example")}}, NULL, "h.example", false},
		{"h", {.words = {FLAG("server", "localhost")}}, NULL, "h", false},
		{"", {.words = {FLAG("server", "localhost")}}, NULL, "localhost", false},
		{"h", {.words = {FLAG("server", "lmtp://m.example")}}, NULL, "h", false},
		{"h", {.words = {FLAG("headers", "From: Q <q@z.example>")}}, "q", "z.example", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asked a = cases[i].asked;
		struct mail_params p;
		struct err e = ERR_INIT;

		test_case("sender of %s=%s at host '%s'", a.words[0].name, a.words[0].text, cases[i].host);
		a.words[1] = (struct word)TO;
		fake_host = cases[i].host;
		check_int(ask_whole(&p, &a, &e), 0);
		if (e.text)
			printf("# %s\n", e.text);
		check_str(p.from_box.domain, cases[i].domain);
		if (cases[i].from)
			check_str(p.from_box.local, cases[i].from);
		check_int(p.null_sender, cases[i].null);
		mail_params_clear(&p);
		err_clear(&e);
	}
	test_case("no sender can be made up for a server elsewhere");
	fake_host = "h";
	check_verdict(&(struct asked){ .words = { TO, FLAG("server", "m.example") } }, 64, "give --from");
	check_verdict(&(struct asked){ .words = { TO, FLAG("server", "m.example"), FLAG("message_file", "m"),
		      FLAG("envelope_from", "a@b.example") } }, 0, NULL);
	fake_host = "host.example";
}

/*
 * Names, and messages that say themselves who gets them.
 */

static void text_mailbox(struct buf *b, const struct mailbox *m)
{
	check_int(buf_addf(b, "%s%s%s%s%s", m->name ? m->name : "", m->name ? " " : "", m->local,
			   m->domain ? "@" : "", m->domain ? m->domain : ""), 0);
}

/* "sender > rcpt rcpt; From: Name local@domain; was text" of finished settings. */
static char *people(const struct mail_params *p, struct err *e)
{
	CLEANUP(envelope_clear) struct envelope env = {0};
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);

	if (envelope_from_params(&env, p, e) < 0)
		return NULL;
	check_int(buf_addf(&b, "%s >", env.from), 0);
	for (size_t i = 0; i < env.n_rcpt; i++)
		check_int(buf_addf(&b, " %s", env.rcpt[i].addr), 0);
	if (p->from_box.local) {
		check_int(buf_adds(&b, "; From: "), 0);
		text_mailbox(&b, &p->from_box);
	}
	if (p->original_from)
		check_int(buf_addf(&b, "; was %s", p->original_from), 0);
	if (p->original_to)
		check_int(buf_addf(&b, "; To was %s", p->original_to), 0);
	if (p->original_cc)
		check_int(buf_addf(&b, "; Cc was %s", p->original_cc), 0);
	return buf_take(&b, NULL);
}

/* A ready message's own From, Sender and recipients; then what is asked for beside it. */
struct said { const char *from, *sender, *rcpts[3]; };
struct people_case { const char *what, *host; struct said said; struct asked asked; const char *want; int exit; };

static void check_people(const struct people_case *c)
{
	CLEANUP(mail_params_clear) struct mail_params p = {0};
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(freep) char *got = NULL;
	int r = ask(&p, &c->asked, &e);

	fake_host = c->host;
	p.found.is = c->said.from || c->said.sender || c->said.rcpts[0];
	p.found.from = xstrdup(c->said.from);
	p.found.sender = xstrdup(c->said.sender);
	for (size_t i = 0; i < ARRAY_SIZE(c->said.rcpts) && c->said.rcpts[i]; i++)
		strlist_add(&p.found.rcpts, xstrdup(c->said.rcpts[i]));
	if (r == 0)
		r = mail_params_finish(&p, &fake_sys, &e);
	if (r == 0)
		got = people(&p, &e);
	fake_host = "host.example";
	check_int(got ? 0 : err_exit_code(&e), c->exit);
	if (c->exit)
		check(e.text && strstr(e.text, c->want));
	else
		check_str(got, c->want);
	if (e.text)
		printf("# %s\n", e.text);
}

static void check_peoples(const struct people_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		test_case("%s", c[i].what);
		check_people(&c[i]);
	}
}

#define FAR     FLAG("server", "m.example")
#define READY   FLAG("message_file", "m")
#define T       FLAG("read_recipients", "1")
#define F       "f@x.example"

/* rows: TIN-01, TIN-14, ADR-10, ADR-11 */
static void test_read_recipients(void)
{
	static const struct people_case cases[] = {
		{"To, Cc and Bcc, each once", "h.example", {F, NULL, {"A <a@x.example>, b@x.example", "b@X.EXAMPLE", "c@x.example"}},
		 {NULL, {READY, T, FAR}}, F " > a@x.example b@x.example c@x.example; From: " F, 0},
		{"groups, comments, empty elements, an empty field", "h.example", {F, NULL, {"T: a@x.example, (c, d) b@x.example;, ,", "", "n:;"}},
		 {NULL, {READY, T, FAR}}, F " > a@x.example b@x.example; From: " F, 0},
		{"a field with a comment alone beside others", "h.example", {F, NULL, {"a@x.example", "(nobody)"}},
		 {NULL, {READY, T, FAR}}, F " > a@x.example; From: " F, 0},
		{"those of the settings are added", "h.example", {F, NULL, {"a@x.example"}},
		 {NULL, {READY, T, FAR, FLAG("rcpt", "r@x.example"), FLAG("cc", "c@x.example"), FLAG("bcc", "b@x.example")}},
		 F " > a@x.example r@x.example c@x.example b@x.example; From: " F, 0},
		{"without -t the envelope is what was named", "h.example", {F, NULL, {"a@x.example"}},
		 {NULL, {READY, FAR, FLAG("rcpt", "r@x.example")}}, F " > r@x.example; From: " F, 0},
		{"nobody in it", "h.example", {F, NULL, {"undisclosed-recipients:;"}}, {NULL, {READY, T, FAR}}, "no recipient: the message has none", 64},
		{"nobody in it but on the command line", "h.example", {F, NULL, {"undisclosed-recipients:;"}},
		 {NULL, {READY, T, FAR, FLAG("rcpt", "r@x.example")}}, F " > r@x.example; From: " F, 0},
		{"a field that cannot be read loses nobody", "h.example", {F, NULL, {"a@x.example", "b@x.example, c@@x\x01"}},
		 {NULL, {READY, T, FAR}}, "the recipients 'b@x.example, c@@x\\x01' of the message", 65},
		{"a name without a domain", "h.example", {F, NULL, {"root"}}, {NULL, {READY, T, FAR}}, "'root' has no @domain (mail_domain", 65},
		{"a name without a domain, to a local server", "h.example", {F, NULL, {"root"}}, {NULL, {READY, T, FLAG("server", "localhost")}},
		 F " > root; From: " F, 0},
		{"aliases and mail_domain", "h.example", {F, NULL, {"root, x", "ops@localhost"}},
		 {NULL, {READY, T, FAR, FLAG("aliases", "root: a@x.example, ops"), FLAG("mail_domain", "d.example")}},
		 F " > a@x.example ops@d.example x@d.example; From: " F, 0},
		{"-t of a configuration leaves the exact envelope of what is composed", "h.example", {0},
		 {"{\"rcpt\":\"r@x.example\",\"to\":\"a@x.example\",\"body\":\"x\"}", {CONF("read_recipients", "1"), FAR, FLAG("from", F)}},
		 F " > r@x.example; From: " F, 0},
		{"-t of a variable, too", "h.example", {0}, {NULL, {VAR("read_recipients", "1"), FAR, FLAG("from", F), FLAG("subject", "s"), TO}},
		 F " > a@b.example; From: " F, 0},
		{"asked for, it is a mistake with what is composed", "h.example", {0}, {"{\"read_recipients\":true,\"body\":\"x\"}", {TO, FAR}},
		 "-t (read_recipients) is for a ready message", 64},
		{"a flag's subject beside the -t of a flag", "h.example", {F, NULL, {"a@x.example"}}, {NULL, {READY, T, FAR, FLAG("subject", "s")}},
		 "subject cannot be set beside -t", 64},
		{"the subject of a configuration beside -t", "h.example", {F, NULL, {"a@x.example"}}, {NULL, {READY, T, FAR, CONF("subject", "s")}},
		 F " > a@x.example; From: " F, 0},
	};

	check_peoples(cases, ARRAY_SIZE(cases));
}

/* rows: ADR-09, TIN-08 */
static void test_senders_of_ready(void)
{
	static const struct people_case cases[] = {
		{"the message's From", "h", {"N <" F ">, g@x.example", NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example")}}, F " > r@x.example; From: N " F, 0},
		{"Sender goes before From", "h", {F ", g@x.example", "s@x.example", {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example")}},
		 "s@x.example > r@x.example; From: s@x.example", 0},
		{"a Sender without a domain does not", "h", {F, "root", {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example")}}, F " > r@x.example; From: " F, 0},
		{"but with mail_domain", "h", {F, "root", {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("mail_domain", "d.example")}},
		 "root@d.example > r@x.example; From: root@d.example", 0},
		{"the setting from goes before both", "h", {F, "s@x.example", {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), CONF("from", "o@x.example")}},
		 "o@x.example > r@x.example; From: o@x.example", 0},
		{"-f goes before that", "h", {F, NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), CONF("from", "o@x.example"), FLAG("envelope_from", "e@x.example")}},
		 "e@x.example > r@x.example; From: o@x.example", 0},
		{"-f root at the host", "h.example", {F, NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "root")}},
		 "root@h.example > r@x.example; From: " F, 0},
		{"-f root at mail_domain", "h.example", {F, NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "root"), FLAG("mail_domain", "d.example")}},
		 "root@d.example > r@x.example; From: " F, 0},
		{"-f root where the host has no domain: who the message is from", "h", {F, NULL, {0}},
		 {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "root")}}, F " > r@x.example; From: " F, 0},
		{"-f root, and nobody else to be", "h", {"root", NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "root")}},
		 "'root' has no @domain", 65},
		{"-f root to a local server", "h", {"root", NULL, {0}}, {NULL, {READY, FLAG("server", "localhost"), FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "root")}},
		 "root > r@x.example; From: root", 0},
		{"null", "h", {F, NULL, {0}}, {NULL, {READY, FAR, FLAG("rcpt", "r@x.example"), FLAG("envelope_from", "<>")}}, " > r@x.example; From: " F, 0},
	};

	check_peoples(cases, ARRAY_SIZE(cases));
}

static void test_force_from(void)
{
	static const struct people_case cases[] = {
		{"forced, composed", "h.example", {0}, {NULL, {TO, FAR, FLAG("force_from", "O <o@x.example>"), FLAG("from", "N <n@y.example>")}},
		 "o@x.example > a@b.example; From: O o@x.example; was N <n@y.example>", 0},
		{"the author's name stays where force_from has none", "h.example", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("from", "N <n@y.example>")}},
		 "o@x.example > a@b.example; From: N o@x.example; was N <n@y.example>", 0},
		{"who is who it is forced to be keeps no original", "h.example", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("from", "N <o@X.example>")}},
		 "o@x.example > a@b.example; From: N o@x.example", 0},
		{"it goes before -f", "h.example", {0}, {NULL, {TO, FAR, CONF("force_from", "o@x.example"), FLAG("envelope_from", "e@y.example"), FLAG("from", "n@y.example")}},
		 "o@x.example > a@b.example; From: o@x.example; was n@y.example", 0},
		{"a From among the headers is replaced", "h.example", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("headers", "From: Q <q@z.example>")}},
		 "o@x.example > a@b.example; From: Q o@x.example; was Q <q@z.example>", 0},
		{"a null sender stays, and the author is forced all the same", "h.example", {0},
		 {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("envelope_from", ""), FLAG("from", "n@y.example")}},
		 " > a@b.example; From: o@x.example; was n@y.example", 0},
		{"nobody else can be made up", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("from_name", "Cron")}},
		 "o@x.example > a@b.example; From: Cron o@x.example", 0},
		{"nobody else can be made up, and the sender is null", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("envelope_from", "<>")}},
		 " > a@b.example; From: o@x.example", 0},
		{"a text without From, by sendmail", "h", {.rcpts = {"a@b.example"}}, {NULL, {READY, T, FAR, FLAG("force_from", "o@x.example")}},
		 "o@x.example > a@b.example; From: o@x.example", 0},
		{"from has no domain, and need not", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("from", "Cron <root>")}},
		 "o@x.example > a@b.example; From: Cron o@x.example; was Cron <root>", 0},
		{"a From of headers has no domain, and need not", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("headers", "From: root")}},
		 "o@x.example > a@b.example; From: o@x.example; was root", 0},
		{"but force_from must", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "root")}}, "--force-from: 'root' has no @domain", 65},
		{"or get one", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "root"), FLAG("mail_domain", "d.example")}},
		 "root@d.example > a@b.example; From: root@d.example", 0},
		{"a from that is no address", "h", {0}, {NULL, {TO, FAR, FLAG("force_from", "o@x.example"), FLAG("from", "a@@b")}}, "--from: address", 65},
	};

	check_peoples(cases, ARRAY_SIZE(cases));
}

static void test_local_recipients(void)
{
	static const struct people_case cases[] = {
		{"To and Cc by aliases: what they said is kept", "h.example", {0},
		 {NULL, {FLAG("to", "Boss <root>, b@x.example"), FLAG("cc", "ops"), FLAG("bcc", "root"), FAR, FLAG("from", F),
			 FLAG("aliases", "{\"root\":\"r@x.example\",\"ops\":[\"o@x.example\",\"p@x.example\"]}")}},
		 F " > r@x.example b@x.example o@x.example p@x.example; From: " F "; To was Boss <root>, b@x.example; Cc was ops", 0},
		{"nothing changed, nothing kept", "h.example", {0}, {NULL, {FLAG("to", "b@x.example"), FAR, FLAG("from", F), FLAG("mail_domain", "d.example")}},
		 F " > b@x.example; From: " F, 0},
		{"an alias without addresses loses nobody", "h.example", {0}, {NULL, {FLAG("to", "root, b@x.example"), FAR, FLAG("from", F), FLAG("aliases", "{\"root\":\",\"}")}},
		 "the alias 'root' has no address", 65},
		{"one original recipient cannot be that of two", "h.example", {0},
		 {"{\"rcpt\":{\"address\":\"ops\",\"orcpt\":\"ops@x.example\"}}", {FAR, FLAG("from", F), FLAG("aliases", "ops: a@x.example, b@x.example")}},
		 "orcpt belongs to one address, here are 2", 65},
		{"mail_domain that is none", "h.example", {0}, {NULL, {TO, FAR, FLAG("from", F), FLAG("mail_domain", "a b")}}, "--mail-domain: 'a b' is no domain", 64},
	};

	check_peoples(cases, ARRAY_SIZE(cases));
}

static void test_patterns(void)
{
	static const struct people_case cases[] = {
		{"%H and %% of a configuration", "h.example", {0}, {NULL, {TO, FAR, CONF("from", "50%%.x@%H")}}, "50%.x@h.example > a@b.example; From: 50%.x@h.example", 0},
		{"of a variable", "h.example", {0}, {NULL, {TO, FAR, VAR("force_from", "c+%H@x.example")}}, "c+h.example@x.example > a@b.example; From: c+h.example@x.example", 0},
		{"of envelope_from", "h.example", {0}, {NULL, {TO, FAR, FLAG("from", F), CONF("envelope_from", "b-%H@x.example")}}, "b-h.example@x.example > a@b.example; From: " F, 0},
		{"no pattern in a flag", "h.example", {0}, {NULL, {TO, FAR, FLAG("from", "%H@x.example")}}, "%H@x.example > a@b.example; From: %H@x.example", 0},
		{"nor in a params file", "h.example", {0}, {"{\"from\":\"%U@x.example\"}", {TO, FAR}}, "%U@x.example > a@b.example; From: %U@x.example", 0},
		{"other letters stand for themselves", "h.example", {0}, {NULL, {TO, FAR, CONF("from", "a%b%@x.example")}}, "a%b%@x.example > a@b.example; From: a%b%@x.example", 0},
		{"a host without a name", "", {0}, {NULL, {TO, FAR, CONF("from", "a@%H")}}, "%H stands for nothing here", 65},
	};
	CLEANUP(freep) char *want = NULL;
	struct people_case user = { "%U is the user", "h.example", {0}, {NULL, {TO, FAR, CONF("from", "%U@x.example")}}, NULL, 0 };
	const struct passwd *pw = getpwuid(getuid());

	check_peoples(cases, ARRAY_SIZE(cases));
	if (!pw)
		return;                 /* a user without a name, as in some containers */
	user.want = want = xasprintf("%s@x.example > a@b.example; From: %s@x.example", pw->pw_name, pw->pw_name);
	check_peoples(&user, 1);
}

static void test_mechanisms(void)
{
	static const struct { struct asked asked; unsigned mechanisms; bool credentials; } cases[] = {
		{{"{\"username\":\"u\",\"password\":\"p\"}"}, AUTH_PLAIN | AUTH_LOGIN, true},
		{{"{\"username\":\"u\",\"oauth2_token\":\"t\"}"}, AUTH_XOAUTH2 | AUTH_OAUTHBEARER, true},
		{{"{\"username\":\"u\",\"auth\":[\"cram-md5, scram-sha-256\"]}"},
		 AUTH_CRAM_MD5 | AUTH_SCRAM_SHA_256, true},
		{{"{\"auth\":\"EXTERNAL\"}"}, AUTH_EXTERNAL, true},
		{{"{}"}, AUTH_PLAIN | AUTH_LOGIN, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asked a = cases[i].asked;
		struct mail_params p;
		struct err e = ERR_INIT;

		test_case("mechanisms of %s", a.json);
		a.words[0] = (struct word)TO;
		check_int(ask_whole(&p, &a, &e), 0);
		check_int(p.server.mechanisms, cases[i].mechanisms);
		check_int(p.server.has_credentials, cases[i].credentials);
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* What --print-params shows is JSON, has origins, and no secret. */
static void test_print(void)
{
	static const struct asked a = {
		"{\"username\":\"u\",\"password\":\"hunter2\",\"oauth2_token\":{\"command\":\"echo hunter3\"},"
		"\"to\":{\"address\":\"a@b.example\",\"notify\":\"never\"},\"headers\":{\"X-A\":\"b\"},"
		"\"attachments\":[{\"base64\":\"AAEC\",\"filename\":\"f\"}],"
		"\"body\":{\"parts\":[{\"body\":\"one\",\"headers\":{\"A\":\"b\"}},{\"body\":{\"file\":\"-\"}}]}}",
		{FLAG("proxy", "http://me:hunter4@p:3128"), VAR("subject", "s\"q"), FLAG("tls", "true")} };
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 16), small = BUF_INIT(16);
	CLEANUP(value_freep) struct value *v = NULL;
	struct mail_params p;
	struct err e = ERR_INIT;
	static const char *const has[] = {
		"\"password\":{\"value\":\"***\",\"origin\":\"json\"}",
		"\"oauth2_token\":{\"value\":{\"command\":\"***\"}",
		"\"proxy\":{\"value\":\"http://***@p:3128\",\"origin\":\"flag\"}",
		"\"subject\":{\"value\":\"s\\\"q\",\"origin\":\"environment\"}",
		"\"tls\":{\"value\":true,\"origin\":\"flag\"}",
		"\"timeout\":{\"value\":60,\"origin\":\"default\"}",
		"\"to\":{\"value\":[{\"address\":\"a@b.example\",\"notify\":\"never\"}]",
		"\"headers\":{\"value\":[[\"X-A\",\"b\"]]",
		"{\"base64\":\"AAEC\",\"filename\":\"f\"}",
		"{\"parts\":[{\"headers\":[[\"A\",\"b\"]],\"body\":\"one\"},{\"body\":{\"file\":\"-\"}}]}",
		"\"server\":{\"value\":[\"localhost\"],\"origin\":\"default\"}",
	};

	test_case("the printed params are JSON, with origins and without secrets");
	check_int(ask_whole(&p, &a, &e), 0);
	if (e.text)
		printf("# %s\n", e.text);
	check_int(mail_params_print(&p, &out), 0);
	check_int(json_read(&v, "out", out.data, out.len, &e), 0);
	check(!strstr(out.data, "hunter"));
	for (size_t i = 0; i < ARRAY_SIZE(has); i++) {
		if (!strstr(out.data, has[i]))
			printf("# lacks %s\n# in %s\n", has[i], out.data);
		check(strstr(out.data, has[i]) != NULL);
	}
	check(value_get(v, "cc") == NULL && value_get(v, "port") == NULL);
	check_int(mail_params_print(&p, &small), -1);
	mail_params_clear(&p);
	err_clear(&e);
}

/* No secret in an error either, whatever is wrong around it. */
static void test_secret_errors(void)
{
	static const struct asked cases[] = {
		{"{\"password\":\"hunter2\"}", {TO}},
		{NULL, {FLAG("password", "hunter2")}},
		{NULL, {FLAG("proxy", "ftp://u:hunter2@x"), TO}},
		{NULL, {FLAG("proxy", "http://u:hunter2 @x"), TO}},
		{NULL, {FLAG("server", "u:hunter2@x"), TO}},
		{NULL, {FLAG("server", "http://u:hunter2@x/y"), TO}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mail_params p;
		struct err e = ERR_INIT;

		test_case("no secret in an error, %zu", i);
		check_int(ask_whole(&p, &cases[i], &e), -1);
		check(!strstr(e.text, "hunter2"));
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* The C interface: fields filled by hand have no origin, and count all the same. */
static void test_fields_by_hand(void)
{
	struct mail_params p;
	struct err e = ERR_INIT;

	test_case("fields filled without mail_params_set()");
	mail_params_init(&p);
	p.server.server.item = xcalloc(1, sizeof(char *));
	p.server.server.item[0] = xstrdup("lmtp://m.example");
	p.server.server.count = p.server.server.cap = 1;
	p.server.starttls = true;
	p.from = xstrdup("me@x.example");
	p.to.item = xcalloc(1, sizeof(*p.to.item));
	p.to.item[0].address = xstrdup("a@b.example");
	p.to.count = p.to.cap = 1;
	check_int(mail_params_finish(&p, &fake_sys, &e), 0);
	check(p.server.list[0].lmtp);
	check_int(p.server.list[0].tls, TLS_STARTTLS);
	check_str(p.to_boxes.item[0].mailbox.local, "a");
	mail_params_clear(&p);

	test_case("and contradict each other as any others");
	mail_params_init(&p);
	p.message_file = xstrdup("m");
	p.subject = xstrdup("s");
	check_int(mail_params_finish(&p, &fake_sys, &e), -1);
	check_int(e.class, ERR_USAGE);
	mail_params_clear(&p);
	err_clear(&e);
}

/* rows: JSN-17 */
static void test_stdin(void)
{
	static const struct { const char *json, *setting; } cases[] = {
		{"{\"body_file\":\"-\"}", "body_file"}, {"{\"html_file\":\"-\"}", "html_file"},
		{"{\"message_file\":\"-\"}", "message_file"},
		{"{\"attachments\":[\"x\",\"-\"]}", "attachments"},
		{"{\"body\":{\"parts\":[{\"body\":\"x\"},{\"body\":{\"file\":\"-\"}}]}}", "body"},
		{"{\"body\":{\"fd\":0}}", "body"}, {"{\"password\":{\"fd\":0}}", "password"},
		{"{\"body\":\"-\"}", NULL},
		{"{}", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mail_params p;
		struct err e = ERR_INIT;

		test_case("who reads standard input in %s", cases[i].json);
		check_int(ask(&p, &(struct asked){ cases[i].json }, &e), 0);
		if (cases[i].setting)
			check_str(mail_params_stdin(&p), cases[i].setting);
		else
			check(mail_params_stdin(&p) == NULL);
		check(!mail_params_confined(&p, "subject"));
		check_int(mail_params_confined(&p, "body_file"), i == 0);
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* rows: CLI-15, JSN-11 */
static void test_many(void)
{
	struct mail_params p;
	struct err e = ERR_INIT;
	CLEANUP(value_freep) struct value *list = value_new(VALUE_LIST);
	const struct param *to = param_by_name("to", 2);

	test_case("100 000 recipients by flags, a million in a list, one more refused");
	mail_params_init(&p);
	for (int i = 0; i < 100000; i++) {
		CLEANUP(value_freep) struct value *v = NULL;
		char word[32];

		snprintf(word, sizeof(word), "u%d@b.example", i);
		v = value_text(word);
		if (mail_params_set(&p, to, v, ORIGIN_ARGV, NULL, &e) < 0)
			break;
	}
	check_int(p.to.count, 100000);
	check_int(mail_params_finish(&p, &fake_sys, &e), 0);
	check_int(p.to_boxes.count, 100000);
	mail_params_clear(&p);
	for (int i = 0; i < 1000000; i++) {
		struct value *v = value_new(VALUE_STR);

		v->str = xstrdup("a@b.example");
		v->len = 11;
		value_append(list, v);
	}
	check_int(mail_params_set(&p, to, list, ORIGIN_JSON, "j", &e), 0);
	check_int(p.to.count, 1000000);
	check_int(mail_params_set(&p, to, list->first, ORIGIN_JSON, "j", &e), -1);
	mail_params_clear(&p);
	err_clear(&e);
}

int main(void)
{
	test_type_matrix();
	test_json_errors();
	test_words();
	test_word_values();
	test_forms();
	test_body_tree();
	test_body_depth();
	test_origins();
	test_servers_refused();
	test_servers();
	test_ports_and_tls();
	test_defaults();
	test_combinations();
	test_grammars();
	test_files_dir();
	test_sender();
	test_read_recipients();
	test_senders_of_ready();
	test_force_from();
	test_local_recipients();
	test_patterns();
	test_mechanisms();
	test_print();
	test_secret_errors();
	test_fields_by_hand();
	test_stdin();
	test_many();
	return check_done();
}
