/*
 * The journal of a batch: its octets, what is known of a message after a run that died anywhere, and a disk that fails.
 */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "job/journal.h"
#include "model/envelope.h"
#include "model/report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER "{\"mailchute\":\"journal\",\"version\":1}\n"
#define HEX(n) "0000000000000000000000000000000" #n

static char path[256], folder[200];

/* --- the file, by hand --- */

static void put_file(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || io_write_all(fd, text, len) < 0)
		abort();
	close(fd);
}

static char *get_file(size_t *ret_len)
{
	struct buf b = BUF_INIT(64 << 20);
	int fd = open(path, O_RDONLY);
	char some[65536];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, some, sizeof(some))) > 0)
		if (buf_add(&b, some, (size_t)n) < 0)
			abort();
	close(fd);
	return buf_take(&b, ret_len);
}

static void check_file(const char *want)
{
	CLEANUP(freep) char *got = get_file(NULL);

	check_str(got, want);
}

static struct journal_key key_number(unsigned n)
{
	struct journal_key key = {0};

	key.octets[15] = (unsigned char)n;
	key.octets[14] = (unsigned char)(n >> 8);
	return key;
}

/* NULL where it is refused; the class is checked then. */
static struct journal *reopen(bool resume, enum err_class want)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct journal *j = NULL;

	if (journal_open(&j, path, resume, &e) < 0) {
		check_int(e.class, want);
		check(e.text && strstr(e.text, path));
		return NULL;
	}
	check_int(ERR_NONE, want);
	return j;
}

/* --- reports --- */

/* "a=accepted b=deferred"; addresses are a@x, b@x. */
static void make(struct report *r, const char *what)
{
	static const char letters[] = "pardun";        /* pending, accepted, rejected, deferred, unknown, not attempted */
	struct envelope env = { .from = xstrdup("s@x"), .rcpt = xcalloc(32, sizeof(*env.rcpt)) };

	for (const char *c = what; *c; c += c[3] ? 4 : 3)
		env.rcpt[env.n_rcpt++].addr = xasprintf("%c@x", c[0]);
	report_init(r, &env);
	for (size_t i = 0; i < r->n_rcpt; i++) {
		struct verdict v = { .state = (enum rcpt_state)(strchr(letters, what[i * 4 + 2]) - letters), .text = "" };

		report_settle(r, i, &v);
	}
	snprintf(r->message_id, sizeof(r->message_id), "<%s@m>", "done");
	envelope_clear(&env);
}

static void put_done(struct buf *out, unsigned long long line, unsigned key, const char *id, const char *what,
		     const struct journal_past *past)
{
	struct journal_key k = id ? journal_key_of_id(id, strlen(id)) : key_number(key);
	struct report r;

	make(&r, what);
	check_int(journal_put_done(out, line, &k, id, &r, past), 0);
	report_clear(&r);
}

static void put_sent(struct buf *out, unsigned long long line, unsigned key, const char *id)
{
	struct journal_key k = id ? journal_key_of_id(id, strlen(id)) : key_number(key);

	check_int(journal_put_sent(out, line, &k, id, "<sent@m>"), 0);
}

static void write_all(struct journal *j, struct buf *b)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;

	check_int(journal_write(j, b, &e), 0);
	check_int(journal_sync(j, &e), 0);
	buf_reset(b);
}

/* "state rest a=accepted b=rejected <message-id>", in letters as make() has them. */
static void shown(const struct journal_past *past, char out[256])
{
	static const char *const state[] = { "new", "accepted", "rejected", "unknown", "some" };
	size_t n = (size_t)snprintf(out, 256, "%s", state[past->state]);

	for (size_t i = 0; i < past->n_settled; i++)
		n += (size_t)snprintf(out + n, 256 - n, " %c=%c", past->settled[i].addr[0],
				      rcpt_state_name(past->settled[i].state)[0]);
	snprintf(out + n, 256 - n, " %s", past->message_id);
}

static void check_look_up(struct journal *j, unsigned long long line, unsigned key, const char *id, const char *want,
			  bool want_repeated)
{
	struct journal_key k = id ? journal_key_of_id(id, strlen(id)) : key_number(key);
	CLEANUP(journal_past_clear) struct journal_past past;
	bool repeated;
	char got[256];

	journal_look_up(j, &k, line, id != NULL, &past, &repeated);
	shown(&past, got);
	check_str(got, want);
	check_int(repeated, want_repeated);
}

/* --- cases --- */

/* Against OpenSSL: openssl mac -macopt hexkey:… -macopt size:16 SIPHASH, the key being the domain's 16 octets. */
static void keys(void)
{
	static const struct { bool id; const char *text; unsigned char want[16]; } row[] = {
		{ true, "", { 0x62, 0xDF, 0xCA, 0x0D, 0x4B, 0xE5, 0x68, 0x7A, 0x0E, 0xEE, 0x12, 0xA1, 0x0A, 0x96, 0x26, 0xC5 } },
		{ true, "order-17", { 0x1E, 0x68, 0x16, 0x01, 0x61, 0x61, 0xB2, 0xEC, 0x6E, 0x9E, 0xF4, 0x22, 0xC4, 0xE7, 0x0A, 0xDA } },
		{ true, "{\"to\":\"a@b.example\"}", { 0x68, 0x77, 0xC8, 0x5F, 0x3A, 0x9D, 0x65, 0xE2, 0x1D, 0x96, 0x05, 0x9E, 0x82, 0xEF, 0x0E, 0x85 } },
		{ false, "", { 0x91, 0x42, 0xDE, 0xBB, 0xDB, 0x75, 0xAF, 0xDB, 0x52, 0x8F, 0xED, 0x9D, 0x6B, 0x5B, 0x23, 0x83 } },
		{ false, "order-17", { 0xEC, 0xF1, 0xFA, 0x1C, 0x23, 0xCD, 0x85, 0x45, 0x1C, 0xB1, 0x16, 0x5B, 0x62, 0x07, 0xD1, 0x82 } },
		{ false, "{\"to\":\"a@b.example\"}", { 0xD3, 0x22, 0x60, 0x2A, 0x7D, 0x97, 0x3A, 0x4C, 0xFD, 0x38, 0x4B, 0x57, 0x96, 0x6D, 0x9F, 0x46 } },
	};

	test_case("keys are SipHash-2-4-128, and an id's is not a line's");
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct journal_key k = row[i].id ? journal_key_of_id(row[i].text, strlen(row[i].text)) :
						   journal_key_of_line(row[i].text, strlen(row[i].text));

		check_mem(k.octets, 16, row[i].want, 16);
	}
}

static void octets(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	CLEANUP(buf_clear) struct buf small = BUF_INIT(100);
	struct journal *j;
	struct stat st;
	struct journal_key k = key_number(1);

	test_case("the file's octets, and its mode");
	unlink(path);
	j = reopen(false, ERR_NONE);
	check(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	check_file(HEADER);
	put_sent(&b, 1, 1, NULL);
	put_sent(&b, 2, 0, "i\"d");
	put_done(&b, 1, 1, NULL, "a=a b=a", NULL);
	put_done(&b, 2, 0, "i\"d", "a=a b=d c=u", NULL);
	put_done(&b, 3, 3, NULL, "", NULL);
	write_all(j, &b);
	check_file(HEADER
		   "{\"sent\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"<sent@m>\"}\n"
		   "{\"sent\":2,\"key\":\"53c4ae0b9c521292c081fd5f1f3cac65\",\"id\":\"i\\\"d\",\"message_id\":\"<sent@m>\"}\n"
		   "{\"done\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"<done@m>\",\"all\":\"accepted\"}\n"
		   "{\"done\":2,\"key\":\"53c4ae0b9c521292c081fd5f1f3cac65\",\"id\":\"i\\\"d\",\"message_id\":\"<done@m>\","
		   "\"rcpt\":[[\"a@x\",\"accepted\"],[\"b@x\",\"deferred\"],[\"c@x\",\"unknown\"]]}\n"
		   "{\"done\":3,\"key\":\"" HEX(3) "\",\"message_id\":\"<done@m>\",\"all\":\"not_attempted\"}\n");
	journal_close(j);

	test_case("a record without room leaves those before it");
	check_int(journal_put_sent(&small, 1, &k, NULL, "<m@x>"), 0);
	check_int(journal_put_sent(&small, 2, &k, NULL, "<m@x>"), -1);
	check_str(small.data, "{\"sent\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"<m@x>\"}\n");
	buf_clear(&small);
	small = (struct buf)BUF_INIT(10);
	check_int(journal_put_sent(&small, 2, &k, NULL, "<m@x>"), -1);
	check_int(small.len, 0);
}

/* Records by a word each: "S" is sent, else a done as make() has it. */
static void states(void)
{
	static const struct { const char *record[4], *want; } row[] = {
		{ { NULL }, "new " },
		{ { "S" }, "unknown <sent@m>" },
		{ { "S", "a=a" }, "accepted <done@m>" },
		{ { "S", "a=a b=a" }, "accepted <done@m>" },
		{ { "S", "a=r b=r" }, "rejected <done@m>" },
		{ { "S", "a=u b=u" }, "unknown <done@m>" },
		{ { "S", "a=d b=d" }, "new <done@m>" },
		{ { "a=n" }, "new <done@m>" },
		{ { "" }, "new <done@m>" },
		{ { "S", "a=d b=n" }, "new <done@m>" },
		{ { "S", "a=a b=r" }, "some a=a b=r <done@m>" },
		{ { "S", "d=d c=u b=r a=a e=n" }, "some a=a b=r c=u <done@m>" },
		/* goes on: without what was known before, so that it is merged when it is read */
		{ { "a=a b=d", "b=a" }, "accepted <done@m>" },
		{ { "a=a b=d", "b=r" }, "some a=a <done@m>" },
		{ { "a=a b=d", "S" }, "unknown a=a <sent@m>" },
		{ { "a=a b=d c=d", "b=a c=d" }, "some a=a b=a <done@m>" },
		{ { "a=a b=u", "a=a b=d" }, "some a=a b=u <done@m>" },
		{ { "a=a b=u", "b=d" }, "some a=a b=u <done@m>" },
		{ { "a=a b=u", "a=d b=a" }, "some a=a b=a <done@m>" },
		{ { "a=a b=u", "b=a" }, "accepted <done@m>" },
		{ { "a=u b=u", "a=a b=d" }, "some a=a b=u <done@m>" },
		{ { "a=u", "a=r" }, "rejected <done@m>" },
		{ { "a=u", "a=d" }, "unknown <done@m>" },
		{ { "a=r b=d", "b=d" }, "some a=r <done@m>" },
		{ { "a=a", "a=d" }, "accepted <done@m>" },
		{ { "a=a", "S" }, "accepted <sent@m>" },
		{ { "a=r", "S" }, "unknown <sent@m>" },
		{ { "a=d", "S", "a=d", "S" }, "unknown <sent@m>" },
		{ { "S", "a=d", "S", "a=a" }, "accepted <done@m>" },
		{ { "S", "S", "a=d" }, "new <done@m>" },
		{ { "a=a b=d a=d", "b=d" }, "some a=a <done@m>" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
		struct journal *j;

		test_case("what is known (row %zu): %s", i, row[i].want);
		unlink(path);
		j = reopen(i % 2, ERR_NONE);
		for (size_t k = 0; k < 4 && row[i].record[k]; k++)
			for (int id = 0; id < 2; id++)
				if (row[i].record[k][0] == 'S')
					put_sent(&b, 7, 7, id ? "seven" : NULL);
				else
					put_done(&b, 7, 7, id ? "seven" : NULL, row[i].record[k], NULL);
		write_all(j, &b);
		journal_close(j);
		j = reopen(true, ERR_NONE);
		check_look_up(j, 7, 7, NULL, row[i].want, false);
		check_look_up(j, 7, 7, "seven", row[i].want, false);
		/* Claimed: another equal line is another message, another with the id is the same. */
		check_look_up(j, 8, 7, NULL, "new ", false);
		check_look_up(j, 8, 7, "seven", row[i].want, true);
		journal_close(j);
	}
}

/* With what was known before, the record itself has all. */
static void merged_by_put(void)
{
	static const struct { const char *before, *after, *want; } row[] = {
		{ "a=a b=d", "b=a", "\"all\":\"accepted\"" },
		{ "a=a b=r c=d", "c=a", "\"rcpt\":[[\"c@x\",\"accepted\"],[\"a@x\",\"accepted\"],[\"b@x\",\"rejected\"]]" },
		{ "a=u b=a", "a=d", "\"rcpt\":[[\"a@x\",\"unknown\"],[\"b@x\",\"accepted\"]]" },
		{ "a=u", "a=n", "\"all\":\"unknown\"" },
		{ "a=u", "a=a", "\"all\":\"accepted\"" },
		{ "a=d", "a=n", "\"all\":\"not_attempted\"" },
		{ "S", "a=d b=a", "\"rcpt\":[[\"a@x\",\"unknown\"],[\"b@x\",\"accepted\"]]" },
		{ "a=a b=d", "", "\"all\":\"accepted\"" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
		CLEANUP(journal_past_clear) struct journal_past past;
		struct journal_key k = key_number(7);
		struct journal *j;
		bool repeated;

		test_case("%s, then %s, in one record", row[i].before, row[i].after);
		unlink(path);
		j = reopen(false, ERR_NONE);
		if (row[i].before[0] == 'S')
			put_sent(&b, 7, 7, NULL);
		else
			put_done(&b, 7, 7, NULL, row[i].before, NULL);
		write_all(j, &b);
		journal_close(j);
		j = reopen(true, ERR_NONE);
		journal_look_up(j, &k, 7, false, &past, &repeated);
		check_int(past.line, 7);
		put_done(&b, 7, 7, NULL, row[i].after, &past);
		check(strstr(b.data, row[i].want) != NULL);
		if (!strstr(b.data, row[i].want))
			printf("# %s", b.data);
		journal_close(j);
	}
}

static void past_of(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	CLEANUP(journal_past_clear) struct journal_past past;
	struct journal_key k = key_number(7);
	struct journal *j;
	bool repeated;

	test_case("one recipient's part of what is known");
	unlink(path);
	j = reopen(false, ERR_NONE);
	put_done(&b, 7, 7, NULL, "c=u a=a b=r d=d", NULL);
	write_all(j, &b);
	journal_close(j);
	j = reopen(true, ERR_NONE);
	journal_look_up(j, &k, 7, false, &past, &repeated);
	check_int(journal_past_of(&past, "a@x"), RCPT_ACCEPTED);
	check_int(journal_past_of(&past, "b@x"), RCPT_REJECTED);
	check_int(journal_past_of(&past, "c@x"), RCPT_UNKNOWN);
	check_int(journal_past_of(&past, "d@x"), RCPT_PENDING);
	check_int(journal_past_of(&past, "A@x"), RCPT_PENDING);
	check_int(journal_past_of(NULL, "a@x"), RCPT_PENDING);
	journal_close(j);
}

static void equal_lines(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 20);
	struct journal *j;

	test_case("equal lines are as many messages, each claimed once, its own line first");
	unlink(path);
	j = reopen(false, ERR_NONE);
	put_done(&b, 1, 5, NULL, "a=a", NULL);
	put_done(&b, 2, 5, NULL, "a=r", NULL);
	put_done(&b, 3, 5, NULL, "a=u", NULL);
	put_done(&b, 2, 6, NULL, "a=a", NULL);
	/* Without --resume nothing is known, and nothing is kept. */
	check_look_up(j, 1, 5, NULL, "new ", false);
	write_all(j, &b);
	check_look_up(j, 1, 5, NULL, "new ", false);
	journal_close(j);
	j = reopen(true, ERR_NONE);
	check_look_up(j, 2, 5, NULL, "rejected <done@m>", false);
	check_look_up(j, 9, 5, NULL, "unknown <done@m>", false);       /* moved: the one made last */
	check_look_up(j, 3, 5, NULL, "accepted <done@m>", false);      /* its own is gone */
	check_look_up(j, 1, 5, NULL, "new ", false);
	check_look_up(j, 2, 6, NULL, "accepted <done@m>", false);
	check_look_up(j, 2, 6, NULL, "new ", false);
	journal_close(j);

	test_case("many equal lines, moved by one, in no more than a moment");
	unlink(path);
	j = reopen(false, ERR_NONE);
	for (unsigned i = 1; i <= 100000; i++) {
		put_done(&b, i, 5, NULL, i % 2 ? "a=a" : "a=r", NULL);
		if (!(i % 1000))
			write_all(j, &b);
	}
	journal_close(j);
	j = reopen(true, ERR_NONE);
	for (unsigned i = 2; i <= 100000; i++)
		check_look_up(j, i, 5, NULL, i % 2 ? "accepted <done@m>" : "rejected <done@m>", false);
	check_look_up(j, 100001, 5, NULL, "accepted <done@m>", false);
	for (unsigned i = 100002; i < 200000; i++)
		check_look_up(j, i, 5, NULL, "new ", false);
	journal_close(j);
}

static void ids(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	struct journal *j;

	test_case("an id is one message, for the run and those before it");
	unlink(path);
	j = reopen(false, ERR_NONE);
	check_look_up(j, 1, 0, "one", "new ", false);
	check_look_up(j, 2, 0, "one", "new ", true);                    /* looked up, and no more */
	put_sent(&b, 1, 0, "one");
	write_all(j, &b);
	check_look_up(j, 3, 0, "one", "unknown <sent@m>", true);
	put_done(&b, 1, 0, "one", "a=a b=d", NULL);
	put_done(&b, 4, 4, NULL, "a=a", NULL);
	write_all(j, &b);
	check_look_up(j, 4, 0, "one", "some a=a <done@m>", true);
	check_look_up(j, 5, 0, "two", "new ", false);
	check_look_up(j, 4, 4, NULL, "new ", false);
	journal_close(j);
	j = reopen(true, ERR_NONE);
	check_look_up(j, 9, 0, "one", "some a=a <done@m>", false);     /* its line moved */
	check_look_up(j, 1, 0, "one", "some a=a <done@m>", true);
	put_done(&b, 9, 0, "one", "b=a", NULL);
	write_all(j, &b);
	check_look_up(j, 10, 0, "one", "accepted <done@m>", true);
	check_look_up(j, 4, 0, "two", "new ", false);
	journal_close(j);

	test_case("an id and a line of the same octets are two");
	j = reopen(true, ERR_NONE);
	check_look_up(j, 1, 0, "one", "accepted <done@m>", false);
	check_look_up(j, 1, 4, NULL, "accepted <done@m>", false);      /* line 4's, moved */
	journal_close(j);
}

/* Escapes, other orders, white space, keys of a later version: json_read() has them. */
static void other_forms(void)
{
	static const char text[] = HEADER
		" { \"key\" : \"" HEX(1) "\", \"sent\":1.0, \"new\":[{}], \"message_id\":\"<\\\"q\\\\\\\"@m>\" }\n"
		"{\"rcpt\":[[\"\\u0061@x\",\"accepted\",1],[\"b@x\",\"deferred\"]],\"done\":2,\"message_id\":\"<ok@m>\",\"key\":\"" HEX(2) "\"}\n"
		"{\"done\":3,\"key\":\"" HEX(3) "\",\"message_id\":\"\",\"all\":\"accepted\",\"later\":null}\r\n"
		"{\"done\":281474976710655,\"key\":\"" HEX(4) "\",\"message_id\":\"<a@m>\",\"all\":\"accepted\"}\n";
	struct journal *j;

	test_case("a record in another form than ours");
	put_file(text, sizeof(text) - 1);
	j = reopen(true, ERR_NONE);
	check_look_up(j, 1, 1, NULL, "unknown <\"q\\\"@m>", false);
	check_look_up(j, 2, 2, NULL, "some a=a <ok@m>", false);
	check_look_up(j, 3, 3, NULL, "accepted ", false);
	check_look_up(j, 281474976710655, 4, NULL, "accepted <a@m>", false);
	journal_close(j);
}

static void damaged(void)
{
#define GOOD "{\"done\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"<m@x>\",\"all\":\"accepted\"}\n"
#define DONE(line, key, rest) "{\"done\":" line ",\"key\":\"" key "\",\"message_id\":\"<m@x>\"," rest "}\n"
	static const struct { const char *text; enum err_class fresh, resume; } row[] = {
		{ "", ERR_NONE, ERR_NONE },
		{ HEADER, ERR_NONE, ERR_NONE },
		{ "{\"version\": 1, \"mailchute\": \"journal\", \"by\": \"x\"}\n", ERR_NONE, ERR_NONE },
		{ HEADER GOOD, ERR_USAGE, ERR_NONE },
		{ "hello", ERR_DATA, ERR_DATA },
		{ "hello\n", ERR_DATA, ERR_DATA },
		{ "\n", ERR_DATA, ERR_DATA },
		{ "{}\n", ERR_DATA, ERR_DATA },
		{ "[1]\n", ERR_DATA, ERR_DATA },
		{ "{\"mailchute\":\"journal\",\"version\":1}x", ERR_DATA, ERR_DATA },
		{ "{\"mailchute\":\"journal\",\"version\":2}\n", ERR_DATA, ERR_DATA },
		{ "{\"mailchute\":\"report\",\"version\":1}\n", ERR_DATA, ERR_DATA },
		{ GOOD, ERR_DATA, ERR_DATA },
		{ HEADER "\n", ERR_USAGE, ERR_DATA },
		{ HEADER "\n" GOOD, ERR_USAGE, ERR_DATA },
		{ HEADER GOOD "{\"done\":1,\"key\n" GOOD, ERR_USAGE, ERR_DATA },
		{ HEADER GOOD HEADER, ERR_USAGE, ERR_DATA },
		{ HEADER "{\"begun\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"\"}\n", ERR_USAGE, ERR_DATA },
		{ HEADER "{\"sent\":1,\"done\":1,\"key\":\"" HEX(1) "\",\"message_id\":\"\",\"all\":\"accepted\"}\n", ERR_USAGE, ERR_DATA },
		{ HEADER "{\"sent\":1,\"key\":\"" HEX(1) "\"}\n", ERR_USAGE, ERR_DATA },
		{ HEADER "{\"sent\":1,\"key\":\"" HEX(1) "\",\"id\":5,\"message_id\":\"\"}\n", ERR_USAGE, ERR_DATA },
		{ HEADER DONE("0", HEX(1), "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("-1", HEX(1), "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("01", HEX(1), "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("281474976710656", HEX(1), "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("99999999999999999999", HEX(1), "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", "0123", "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", "g0000000000000000000000000000000", "\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"all\":\"received\""), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"all\":1"), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"rcpt\":[]"), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"rcpt\":[[\"a@x\"]]"), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"rcpt\":[[\"a@x\",\"maybe\"]]"), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"rcpt\":[[\"a@x\",\"accepted\"],]"), ERR_USAGE, ERR_DATA },
		{ HEADER DONE("1", HEX(1), "\"rcpt\":[[\"a@x\",\"accepted\"]],\"all\":\"accepted\""), ERR_USAGE, ERR_DATA },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (int resume = 0; resume < 2; resume++) {
			enum err_class want = resume ? row[i].resume : row[i].fresh;

			test_case("file %zu, %s", i, resume ? "resumed" : "fresh");
			put_file(row[i].text, strlen(row[i].text));
			journal_close(reopen(resume, want));
			check_file(row[i].text[0] || want ? row[i].text : HEADER);
		}
}

/* A journal cut anywhere: what was wholly written counts, the rest is gone; and it can be gone on with. */
static void torn(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	CLEANUP(freep) char *whole = NULL;
	size_t len, end[5] = { sizeof(HEADER) - 1 };
	struct journal *j;

	test_case("torn at every octet");
	unlink(path);
	j = reopen(false, ERR_NONE);
	for (int i = 1; i < 5; i++) {
		if (i == 1)
			put_sent(&b, 1, 1, NULL);
		else if (i == 3)
			put_sent(&b, 2, 0, "t\"wo");
		else
			put_done(&b, i == 2 ? 1 : 2, 1, i == 2 ? NULL : "t\"wo", i == 2 ? "a=a" : "a=a b=d c=r", NULL);
		write_all(j, &b);
		free(whole);
		whole = get_file(&end[i]);
	}
	journal_close(j);
	len = end[4];
	for (size_t cut = 0; cut <= len; cut++) {
		static const char *const one[] = { "new ", "unknown <sent@m>", "accepted <done@m>" };
		static const char *const two[] = { "new ", "unknown <sent@m>", "some a=a c=r <done@m>" };
		CLEANUP(freep) char *got = NULL;
		size_t n = 0, got_len;

		while (n < 4 && end[n + 1] <= cut)
			n++;
		put_file(whole, cut);
		if (cut < end[1])
			journal_close(reopen(false, ERR_NONE));
		j = reopen(true, ERR_NONE);
		check_look_up(j, 1, 1, NULL, one[n > 2 ? 2 : n], false);
		check_look_up(j, 2, 0, "t\"wo", two[n > 2 ? n - 2 : 0], false);
		put_done(&b, 1, 1, NULL, "a=r", NULL);
		write_all(j, &b);
		journal_close(j);
		got = get_file(&got_len);
		check(got_len > end[n] && !memcmp(got, whole, end[n]) && !strncmp(got + end[n], "{\"done\":1,", 10));
		journal_close(reopen(true, ERR_NONE));
	}
	test_case("a tail that the file system filled with zeros");
	put_file(whole, len);
	check_int(truncate(path, (off_t)len + 5000), 0);
	journal_close(reopen(true, ERR_NONE));
	free(whole);
	whole = get_file(&end[0]);
	check_int(end[0], len);
}

static void lock(void)
{
	struct journal *j;
	int status;
	pid_t child;

	test_case("one run at a time");
	unlink(path);
	j = reopen(false, ERR_NONE);
	check(!reopen(false, ERR_USAGE));
	check(!reopen(true, ERR_USAGE));
	fflush(stdout);
	child = fork();
	if (!child) {
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct journal *other;
		char text[400];

		snprintf(text, sizeof(text), "journal %s is in use by another run", path);
		_exit(journal_open(&other, path, true, &e) < 0 && e.class == ERR_USAGE && !strcmp(e.text, text) ? 0 : 1);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	journal_close(j);
	j = reopen(false, ERR_NONE);
	journal_close(j);
}

static void not_creatable(void)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct journal *j;
	static const char *const where[] = { "/nowhere/at/all", "/dev/null", "/", "" };

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		test_case("cannot be made: '%s'", where[i]);
		check_int(journal_open(&j, where[i], i % 2, &e), -1);
		check_int(e.class, ERR_CANTCREAT);
		err_clear(&e);
	}
}

/* The disk is full amid a record: nothing of it stays, and when there is room again it goes on. */
static void full(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	CLEANUP(freep) char *before = NULL, *after = NULL;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct rlimit was, small;
	struct journal *j;
	size_t len, now;

	test_case("a full disk");
	signal(SIGXFSZ, SIG_IGN);
	unlink(path);
	j = reopen(false, ERR_NONE);
	check_look_up(j, 1, 0, "one", "new ", false);
	put_sent(&b, 1, 0, "one");
	write_all(j, &b);
	before = get_file(&len);
	getrlimit(RLIMIT_FSIZE, &was);
	small = (struct rlimit){ .rlim_cur = len + 30, .rlim_max = was.rlim_max };
	put_done(&b, 1, 0, "one", "a=a", NULL);
	put_sent(&b, 2, 2, NULL);
	fflush(stdout);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 2; i++) {
		int failed = journal_write(j, &b, &e);

		check_int(failed, -1);
		check_int(e.class, ERR_IO);
		err_clear(&e);
	}
	setrlimit(RLIMIT_FSIZE, &was);
	after = get_file(&now);
	check_mem(after, now, before, len);
	check_look_up(j, 2, 0, "one", "unknown <sent@m>", true);
	write_all(j, &b);
	journal_close(j);
	j = reopen(true, ERR_NONE);
	check_look_up(j, 1, 0, "one", "accepted <done@m>", false);
	check_look_up(j, 2, 2, NULL, "unknown <sent@m>", false);
	journal_close(j);
}

/* The journal's own descriptor, found by its file. */
static int own_fd(void)
{
	struct stat want, got;

	for (int fd = 3; stat(path, &want) == 0 && fd < 1024; fd++)
		if (fstat(fd, &got) == 0 && got.st_dev == want.st_dev && got.st_ino == want.st_ino)
			return fd;
	return -1;
}

/* After a failed sync nobody knows what is on the disk, and the next one would say that all is well. */
static void sync_fails(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	CLEANUP(err_clear) struct err e = ERR_INIT;
	int pipes[2], fd, good;
	struct journal *j;

	test_case("a failed sync is not forgotten");
	unlink(path);
	j = reopen(false, ERR_NONE);
	put_sent(&b, 1, 1, NULL);
	fd = own_fd();
	good = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || good < 0 || pipe(pipes) < 0)
		abort();
	check_int(journal_write(j, &b, &e), 0);
	dup2(pipes[1], fd);             /* which cannot be synced */
	check_int(journal_sync(j, &e), -1);
	check_int(e.class, ERR_IO);
	err_clear(&e);
	dup2(good, fd);
	check_int(journal_write(j, &b, &e), 0);
	check_int(journal_sync(j, &e), -1);
	check_int(e.class, ERR_IO);
	close(good);
	close(pipes[0]);
	close(pipes[1]);
	journal_close(j);
}

/* kill -9 of a run that writes as fast as it can: what it said was written is there. */
static void killed(void)
{
	for (int round = 0; round < 10; round++) {
		unsigned long long last = 0, one;
		int told[2], status;
		struct journal *j;
		pid_t child;

		test_case("killed, round %d", round);
		unlink(path);
		if (pipe(told) < 0)
			abort();
		fflush(stdout);
		child = fork();
		if (!child) {
			CLEANUP(err_clear) struct err e = ERR_INIT;
			struct buf b = BUF_INIT(1 << 16);

			if (journal_open(&j, path, false, &e) < 0)
				_exit(1);
			for (unsigned long long i = 1; ; i++) {
				struct journal_key k = key_number(i & 0xffff);

				if (journal_put_sent(&b, i, &k, NULL, "<sent@m>") < 0 || journal_write(j, &b, &e) < 0 ||
				    write(told[1], &i, sizeof(i)) != sizeof(i))
					_exit(1);
				buf_reset(&b);
			}
		}
		close(told[1]);
		while (last < 2000 && read(told[0], &one, sizeof(one)) == sizeof(one))
			last = one;
		kill(child, SIGKILL);
		while (read(told[0], &one, sizeof(one)) == sizeof(one))
			last = one;
		close(told[0]);
		check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && last >= 2000);
		j = reopen(true, ERR_NONE);
		for (unsigned long long i = 1; i <= last; i++)
			check_look_up(j, i, i & 0xffff, NULL, "unknown <sent@m>", false);
		check_look_up(j, last + 2, (last + 2) & 0xffff, NULL, "new ", false);
		journal_close(j);
	}
}

struct worker { struct journal *j; unsigned number, repeated; bool failed; };

static void *work(void *arg)
{
	struct worker *w = arg;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 16);
	struct report r;

	make(&r, "a=a b=d");
	for (unsigned i = 1; i <= 2000; i++) {
		CLEANUP(journal_past_clear) struct journal_past past;
		char id[32];
		struct journal_key k;
		bool repeated;

		/* Two of four have the same ids. */
		snprintf(id, sizeof(id), "%u-%u", w->number / 2, i);
		k = journal_key_of_id(id, strlen(id));
		journal_look_up(w->j, &k, i, true, &past, &repeated);
		w->repeated += repeated;
		buf_reset(&b);
		if (!repeated && (journal_put_sent(&b, i, &k, id, "<sent@m>") < 0 ||
				  journal_put_done(&b, i, &k, id, &r, &past) < 0 || journal_write(w->j, &b, &e) < 0 ||
				  (!(i % 100) && journal_sync(w->j, &e) < 0)))
			w->failed = true;
	}
	report_clear(&r);
	return NULL;
}

static void threads(void)
{
	struct worker w[4] = {0};
	pthread_t t[4];
	unsigned repeated = 0;
	struct journal *j;

	test_case("four threads, and each id once");
	unlink(path);
	j = reopen(false, ERR_NONE);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){ .j = j, .number = i };
		if (pthread_create(&t[i], NULL, work, &w[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		check(!w[i].failed);
		repeated += w[i].repeated;
	}
	check_int(repeated, 4000);
	journal_close(j);
	j = reopen(true, ERR_NONE);
	check_look_up(j, 1, 0, "0-1", "some a=a <done@m>", false);
	check_look_up(j, 1, 0, "1-2000", "some a=a <done@m>", false);
	journal_close(j);
}

/* TEST_JOURNAL_MANY=N: how long N messages take. */
static void many(unsigned long n)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(1 << 20);
	int64_t begin = io_now_ms();
	struct rusage u0, u1;
	struct journal *j;
	char line[64];

	test_case("%lu messages", n);
	unlink(path);
	j = reopen(false, ERR_NONE);
	for (unsigned long i = 1; i <= n; i++) {
		struct journal_key k = journal_key_of_line(line, (size_t)snprintf(line, sizeof(line), "{\"to\":\"%lu@x\"}", i));
		struct report r;

		make(&r, i % 100 ? "a=a" : "a=a b=d c=r");
		if (journal_put_sent(&b, i, &k, NULL, "<018f3c2a7b1d4e5f60718293a4b5c6d7@mail.example.org>") < 0 ||
		    journal_put_done(&b, i, &k, NULL, &r, NULL) < 0)
			abort();
		report_clear(&r);
		if (!(i % 64) || i == n)
			write_all(j, &b);
	}
	journal_close(j);
	printf("# written in %lld ms\n", (long long)(io_now_ms() - begin));
	getrusage(RUSAGE_SELF, &u0);
	begin = io_now_ms();
	j = reopen(true, ERR_NONE);
	getrusage(RUSAGE_SELF, &u1);
	printf("# loaded in %lld ms, %ld KiB more at the peak\n", (long long)(io_now_ms() - begin), u1.ru_maxrss - u0.ru_maxrss);
	begin = io_now_ms();
	for (unsigned long i = 1; i <= n; i++) {
		struct journal_key k = journal_key_of_line(line, (size_t)snprintf(line, sizeof(line), "{\"to\":\"%lu@x\"}", i));
		CLEANUP(journal_past_clear) struct journal_past past;
		bool repeated;

		journal_look_up(j, &k, i, false, &past, &repeated);
		if (past.state != (i % 100 ? JOURNAL_ACCEPTED : JOURNAL_SOME))
			check(false);
	}
	printf("# looked up in %lld ms\n", (long long)(io_now_ms() - begin));
	journal_close(j);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR"), *n = getenv("TEST_JOURNAL_MANY");

	snprintf(folder, sizeof(folder), "%s/mc-journal-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/j", folder);
	keys();
	octets();
	states();
	merged_by_put();
	past_of();
	equal_lines();
	ids();
	other_forms();
	damaged();
	torn();
	lock();
	not_creatable();
	full();
	sync_fails();
	killed();
	threads();
	many(n ? strtoul(n, NULL, 10) : 10000);
	unlink(path);
	rmdir(folder);
	return check_done();
}
