/*
 * A journal of the fuzzer's choice, resumed. Beside not crashing:
 *  - what is refused has its class and names the file, and is not changed;
 *  - what is taken is the same text, or that without its torn last line;
 *  - what is known of a message is whole: a state that fits its list, addresses in order, settled;
 *  - it can be gone on with, and what is then loaded again says so.
 *
 * The text of a header alone is put before an input that has none, so that records are reached.
 */

#include "base/buf.h"
#include "base/err.h"
#include "job/journal.h"
#include "model/envelope.h"
#include "model/report.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char header[] = "{\"mailchute\":\"journal\",\"version\":1}\n";

static void check_past(const struct journal_past *past)
{
	assert(past->rest == RCPT_PENDING || past->rest == RCPT_ACCEPTED || past->rest == RCPT_REJECTED ||
	       past->rest == RCPT_UNKNOWN);
	assert((past->state == JOURNAL_UNKNOWN) == (past->rest == RCPT_UNKNOWN));
	assert(past->state != JOURNAL_SOME || past->n_settled);
	assert(past->state == JOURNAL_SOME || past->state == JOURNAL_UNKNOWN || !past->n_settled);
	assert(strlen(past->message_id) < sizeof(past->message_id));
	for (size_t i = 0; i < past->n_settled; i++) {
		const struct journal_rcpt *to = &past->settled[i];

		assert(to->state == RCPT_ACCEPTED || to->state == RCPT_REJECTED || to->state == RCPT_UNKNOWN);
		assert(!i || strcmp(to[-1].addr, to->addr) < 0);
		assert(journal_past_of(past, to->addr) == to->state);
	}
}

/* All of @key's and of @id's until there is no more. */
static void look(struct journal *j, const struct journal_key *key)
{
	for (unsigned long long line = 1; line < 20; line++) {
		struct journal_past past;
		bool repeated;

		journal_look_up(j, key, line, line % 3 == 0, &past, &repeated);
		check_past(&past);
		journal_past_clear(&past);
	}
}

/* A message is accepted; the journal says so ever after. */
static void go_on(const char *path, struct journal *j)
{
	struct envelope env = { .from = strdup("s@x"), .n_rcpt = 1, .rcpt = calloc(1, sizeof(*env.rcpt)) };
	struct journal_key key = journal_key_of_line("a line of ours", 14);
	struct verdict yes = { .state = RCPT_ACCEPTED, .text = "" };
	struct buf out = BUF_INIT(1 << 16);
	struct journal_past past;
	struct err e = ERR_INIT;
	struct report r;
	bool repeated;

	env.rcpt[0].addr = strdup("a\"\\\x01@x");
	report_init(&r, &env);
	envelope_clear(&env);
	report_settle(&r, 0, &yes);
	assert(journal_put_sent(&out, 5, &key, NULL, "<m@x>") == 0);
	assert(journal_put_done(&out, 5, &key, NULL, &r, NULL) == 0);
	assert(journal_write(j, &out, &e) == 0);
	journal_close(j);
	assert(journal_open(&j, path, true, &e) == 0);
	journal_look_up(j, &key, 5, false, &past, &repeated);
	check_past(&past);
	assert(!repeated && journal_past_of(&past, "a\"\\\x01@x") == RCPT_ACCEPTED);
	journal_past_clear(&past);
	journal_close(j);
	report_clear(&r);
	buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = size && data[0] == '{' ? 0 : sizeof(header) - 1, len = head + size;
	const char *lf = memrchr(data, '\n', size);
	struct journal *j = NULL;
	struct err e = ERR_INIT;
	struct journal_key key = {0};
	char path[64], *now;
	struct stat st;
	int fd = memfd_create("journal", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, header, head) == (ssize_t)head && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (journal_open(&j, path, true, &e) < 0) {
		assert(e.class == ERR_DATA && strstr(e.text, path));
		assert(fstat(fd, &st) == 0 && st.st_size == (off_t)len);
		err_clear(&e);
		close(fd);
		return 0;
	}
	if (head || lf) {
		len = head + (lf ? (size_t)(lf + 1 - (const char *)data) : 0);
		assert(fstat(fd, &st) == 0 && st.st_size == (off_t)len);
		now = malloc(len);
		assert(now && pread(fd, now, len, 0) == (ssize_t)len && !memcmp(now, header, head) &&
		       !memcmp(now + head, data, len - head));
		free(now);
	}
	/* The corpus has keys that are a digit at the end. */
	for (int i = 0; i < 10; i++) {
		key.octets[15] = (unsigned char)i;
		look(j, &key);
	}
	go_on(path, j);
	close(fd);
	return 0;
}
