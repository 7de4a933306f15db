/*
 * What made the mail transaction ours: each fact is libcurl's own transaction (CURLOPT_UPLOAD, MAIL_FROM,
 * MAIL_RCPT) run against a scripted server, and printed as one line: what was done, what libcurl answered,
 * what the server really had, and whether this libcurl still shows the fact.
 *
 * "facts" prints; "facts --tap" is a test: on 7.88.1, the version mailchute is built for first, every fact
 * must show (our reasons are true there); on any other it only prints, for it is libcurl's to be mended.
 */
#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/*
 * The read size of libcurl's upload (CURLOPT_UPLOAD_BUFFERSIZE's default). The tail that is lost begins
 * where one read ends, so the message is one read and a tail.
 */
enum { CHUNK = 65536, DOTTED = 1000, LINE = 16 };

struct body {
	const char *text;
	size_t size, at;
	size_t stop;			/* pretend the end is here, or pause there */
	bool pause;
};

struct trial {
	struct server server;
	struct body body;
	CURL *easy;
	struct curl_slist *rcpt;
	CURLcode rc;
	long code;
};

struct fact {
	const char *name, *done;
	struct script script;
	void (*run)(struct trial *t);
	bool (*shown)(const struct trial *t);
};

static char message[CHUNK + DOTTED];

/* CHUNK octets of lines, DOTTED of which begin with a dot, then a tail of DOTTED octets. */
static void message_make(void)
{
	const char plain[LINE + 1] = "fourteen octets\n", dotted[LINE + 1] = ".ourteen octets\n";

	for (size_t i = 0; i < CHUNK; i += LINE) {
		memcpy(message + i, i / LINE < DOTTED ? dotted : plain, LINE);
		memcpy(message + i + LINE - 2, "\r\n", 2);
	}
	memset(message + CHUNK, 'x', DOTTED);
	memcpy(message + CHUNK + DOTTED - 2, "\r\n", 2);
}

static size_t body_read(char *to, size_t size, size_t n, void *arg)
{
	struct body *b = arg;
	size_t want = size * n, left = b->stop - b->at;

	if (left == 0)
		return b->pause ? CURL_READFUNC_PAUSE : 0;
	if (want > left)
		want = left;
	memcpy(to, b->text + b->at, want);
	b->at += want;
	return want;
}

static size_t discard(char *p, size_t size, size_t n, void *arg)
{
	(void)p, (void)arg;
	return size * n;
}

static void trial_prepare(struct trial *t)
{
	char url[64];

	snprintf(url, sizeof(url), "smtp://127.0.0.1:%d/client.example", t->server.port);
	t->body = (struct body){ .text = message, .size = sizeof(message), .stop = sizeof(message) };
	t->easy = curl_easy_init();
	t->rcpt = curl_slist_append(NULL, "<good@example.org>");
	curl_easy_setopt(t->easy, CURLOPT_URL, url);
	curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, 8L);
	curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(t->easy, CURLOPT_MAIL_FROM, "<sender@example.org>");
	curl_easy_setopt(t->easy, CURLOPT_MAIL_RCPT, t->rcpt);
	curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, body_read);
	curl_easy_setopt(t->easy, CURLOPT_READDATA, &t->body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, discard);
}

static void trial_finish(struct trial *t)
{
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->code);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->rcpt);
	server_join(&t->server);
}

/* The ways to run. */

static void run_plain(struct trial *t)
{
	t->rc = curl_easy_perform(t->easy);
}

static void run_sized(struct trial *t)
{
	curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->body.size);
	t->rc = curl_easy_perform(t->easy);
}

static void run_short(struct trial *t)
{
	t->body.stop = 40000;
	run_sized(t);
}

/* Takes the handle out of its multi while the body is half sent: the way to cancel a transfer. */
static void run_removed(struct trial *t)
{
	CURLM *multi = curl_multi_init();
	int running = 1, left = 0;

	t->body.stop = 40000;
	t->body.pause = true;
	curl_multi_add_handle(multi, t->easy);
	while (running && t->body.at < t->body.stop) {
		curl_multi_perform(multi, &running);
		curl_multi_poll(multi, NULL, 0, 20, NULL);
	}
	curl_multi_perform(multi, &running);
	CURLMsg *m = curl_multi_info_read(multi, &left);
	t->rc = m ? m->data.result : CURLE_ABORTED_BY_CALLBACK;
	curl_multi_remove_handle(multi, t->easy);
	curl_multi_cleanup(multi);
}

static void run_credentials(struct trial *t)
{
	curl_easy_setopt(t->easy, CURLOPT_USERNAME, "user");
	curl_easy_setopt(t->easy, CURLOPT_PASSWORD, "secret");
	t->rc = curl_easy_perform(t->easy);
}

static void run_allow_fails(struct trial *t)
{
	t->rcpt = curl_slist_append(t->rcpt, "<bad@example.org>");
	curl_easy_setopt(t->easy, CURLOPT_MAIL_RCPT, t->rcpt);
	curl_easy_setopt(t->easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
	t->rc = curl_easy_perform(t->easy);
}

static void run_nobody(struct trial *t)
{
	curl_easy_setopt(t->easy, CURLOPT_MAIL_RCPT, NULL);
	t->rc = curl_easy_perform(t->easy);
}

/* What must be so for the fact to show. */

static bool no_lmtp(const struct trial *t)
{
	return t->rc == CURLE_REMOTE_ACCESS_DENIED && t->server.had.mails == 0;
}

static bool truncated_ok(const struct trial *t)
{
	return t->rc == CURLE_OK && t->server.had.committed && t->server.had.size < t->body.size;
}

static bool truncated_kept(const struct trial *t)
{
	return t->server.had.committed && t->server.had.size < t->body.size;
}

static bool unauthenticated(const struct trial *t)
{
	return t->rc == CURLE_OK && t->server.had.committed && !t->server.had.authenticated;
}

static bool accepted_called_failure(const struct trial *t)
{
	return t->rc != CURLE_OK && t->server.had.committed;
}

static bool refusal_hidden(const struct trial *t)
{
	return t->rc == CURLE_OK && t->server.had.refused > 0;
}

static bool nothing_ok(const struct trial *t)
{
	return t->rc == CURLE_OK && t->server.had.mails == 0;
}

static const struct fact facts[] = {
	{ "lmtp", "mail given to an LMTP server", { .lmtp = true }, run_plain, no_lmtp },
	{ "tail lost", "INFILESIZE exact, 1000 lines begin with a dot", { 0 }, run_sized, truncated_ok },
	{ "short read", "INFILESIZE exact, the source ends at 40000", { 0 }, run_short, truncated_ok },
	{ "cancelled", "handle removed from its multi at 40000", { 0 }, run_removed, truncated_kept },
	{ "no AUTH offered", "credentials given, no AUTH in EHLO", { 0 }, run_credentials, unauthenticated },
	{ "EHLO refused", "credentials given, EHLO 502, HELO 250", { .refuse_ehlo = true },
	  run_credentials, unauthenticated },
	{ "251 at the dot", "the server accepts with 251", { .dot_reply = "251 2.0.0 Will forward" },
	  run_plain, accepted_called_failure },
	{ "refused recipient", "two recipients, one 550, MAIL_RCPT_ALLLOWFAILS", { .refused = "bad@" },
	  run_allow_fails, refusal_hidden },
	{ "no recipient", "upload with an empty MAIL_RCPT", { 0 }, run_nobody, nothing_ok },
};

enum { FACTS = sizeof(facts) / sizeof(facts[0]) };

static void had_print(const struct trial *t)
{
	const struct had *h = &t->server.had;

	if (!h->committed) {
		printf("no message, last heard \"%.20s\"", h->last);
		return;
	}
	printf("%zu of %zu octets committed by the dot", h->size, t->body.size);
	if (h->size >= t->body.size)
		printf(", %s, %d recipient%s accepted, %d refused", h->authenticated ? "authenticated" :
		       "not authenticated", h->accepted, h->accepted == 1 ? "" : "s", h->refused);
}

static void fact_print(const struct fact *f, const struct trial *t, const char *version, bool shown)
{
	printf("libcurl %s: %s: %s: ", version, f->name, f->done);
	if (f->run == run_removed && t->rc == CURLE_ABORTED_BY_CALLBACK)
		printf("libcurl was told to stop (no rc)");
	else
		printf("libcurl says rc %d (%s), code %ld", (int)t->rc, curl_easy_strerror(t->rc), t->code);
	printf("; server had ");
	had_print(t);
	printf(": %s\n", shown ? "SHOWN" : "not shown by this libcurl");
}

/* Runs one fact. 1 where it shows, 0 where it does not, -1 where the server could not be started. */
static int fact_run(const struct fact *f, const char *version, const char *prefix)
{
	struct trial t = { 0 };

	if (server_start(&t.server, &f->script) < 0) {
		perror("facts: cannot listen on 127.0.0.1");
		return -1;
	}
	trial_prepare(&t);
	f->run(&t);
	trial_finish(&t);
	bool shown = f->shown(&t);
	printf("%s", prefix);
	fact_print(f, &t, version, shown);
	return shown;
}

int main(int argc, char **argv)
{
	bool tap = argc == 2 && strcmp(argv[1], "--tap") == 0;
	int shows = 0, failed = 0;

	if (argc > 2 || (argc == 2 && !tap)) {
		fprintf(stderr, "usage: facts [--tap]\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);	/* the server's last word may meet a closed connection */
	setvbuf(stdout, NULL, _IOLBF, 0);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	message_make();

	const char *version = curl_version_info(CURLVERSION_NOW)->version;
	bool asserted = strcmp(version, "7.88.1") == 0;

	if (tap)
		printf("1..%d\n", FACTS);
	for (int i = 0; i < FACTS; i++) {
		int shown = fact_run(&facts[i], version, tap ? "# " : "");
		bool ok = shown > 0 || (shown == 0 && !asserted);

		shows += shown > 0;
		failed += !ok;
		if (tap)
			printf("%sok %d - %s%s\n", ok ? "" : "not ", i + 1, facts[i].name,
			       asserted ? "" : " (printed only: not 7.88.1)");
	}
	if (!tap)
		printf("%d of %d facts shown by libcurl %s\n", shows, (int)FACTS, version);
	curl_global_cleanup();
	return failed > 0;
}
