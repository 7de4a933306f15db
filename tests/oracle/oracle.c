/*
 * libcurl's own mail transaction, as a second opinion on ours: sends a ready message through
 * CURLOPT_UPLOAD, MAIL_FROM and MAIL_RCPT. What a recorder had of it, envelope and bytes, must equal
 * what it had of mailchute.
 *
 *	oracle URL MESSAGE SENDER RECIPIENT...
 *
 * The size is not set: an exact INFILESIZE loses the tail of some messages (tests/facts). Exit 0 where
 * libcurl says that the message was accepted.
 */
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>

static size_t read_file(char *to, size_t size, size_t n, void *file)
{
	size_t got = fread(to, size, n, file);

	return ferror((FILE *)file) ? CURL_READFUNC_ABORT : got;
}

int main(int argc, char **argv)
{
	struct curl_slist *rcpt = NULL;

	if (argc < 5) {
		fprintf(stderr, "usage: oracle URL MESSAGE SENDER RECIPIENT...\n");
		return 64;
	}
	FILE *message = fopen(argv[2], "rb");
	if (!message) {
		perror(argv[2]);
		return 66;
	}
	for (int i = 4; i < argc; i++)
		rcpt = curl_slist_append(rcpt, argv[i]);

	setlocale(LC_ALL, "");		/* libcurl makes A-labels from the locale's charset */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	CURL *easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_MAIL_FROM, argv[3]);
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, rcpt);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_file);
	curl_easy_setopt(easy, CURLOPT_READDATA, message);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
	CURLcode rc = curl_easy_perform(easy);
	if (rc)
		fprintf(stderr, "oracle: %s\n", curl_easy_strerror(rc));
	curl_easy_cleanup(easy);
	curl_slist_free_all(rcpt);
	fclose(message);
	curl_global_cleanup();
	return rc ? 75 : 0;
}
