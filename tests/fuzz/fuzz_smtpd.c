/*
 * A client of sendmail -bs: whatever it says, cut in whatever pieces, the
 * replies and the messages are the same; replies are whole lines that begin
 * with a code; a message comes only after a sender and a recipient that are addresses.
 */

#include "base/buf.h"
#include "base/err.h"
#include "input/smtpd.h"
#include "text/addr.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard { struct buf replies, messages; };

static void check_envelope(const struct smtpd *s)
{
	const char *const *rcpt;
	size_t n = smtpd_recipients(s, &rcpt);

	assert(smtpd_sender(s) && n > 0);
	for (size_t i = 0; i < n; i++) {
		struct err e = ERR_INIT;
		struct mailbox m = {0};

		assert(mailbox_parse(&m, rcpt[i], strlen(rcpt[i]), ADDR_BARE_LOCAL, &e) == 0);
		assert(!strpbrk(rcpt[i], "\r\n"));
		mailbox_clear(&m);
	}
}

/* True: go on. */
static bool take(struct smtpd *s, const char *mem, size_t len, struct heard *h, struct buf *body)
{
	size_t used = 0;

	for (;;) {
		enum smtpd_event event = smtpd_feed(s, mem, len, &used, &h->replies, body);

		if (body->len) {
			assert(buf_add(&h->messages, body->data, body->len) == 0);
			buf_reset(body);
		}
		if (event == SMTPD_QUIT)
			return false;
		if (event == SMTPD_MESSAGE) {
			check_envelope(s);
			assert(buf_adds(&h->messages, "\n=====\n") == 0);
			smtpd_answer(s, 250, "2.0.0", "Ok\r\n\"x", &h->replies);
		}
		if (event == SMTPD_MORE || (used == len && event != SMTPD_BODY)) {
			assert(used == len);
			return true;
		}
	}
}

static void converse(const uint8_t *data, size_t size, size_t step, struct heard *h)
{
	struct smtpd *s = smtpd_new("host.example");
	struct buf body = BUF_INIT(4096);

	smtpd_greet(s, &h->replies);
	for (size_t at = 0; at < size; at += step)
		if (!take(s, (const char *)data + at, size - at < step ? size - at : step, h, &body))
			break;
	buf_clear(&body);
	smtpd_free(s);
}

static void check_replies(const struct buf *b)
{
	const char *at = b->data, *end = b->data + b->len;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		assert(lf && lf > at + 3 && lf[-1] == '\r' && *at >= '2' && *at <= '5' && (at[3] == ' ' || at[3] == '-'));
		assert(lf - at < 512 && !memchr(at, '\r', (size_t)(lf - 1 - at)));
		at = lf + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole = { BUF_INIT(1 << 26), BUF_INIT(1 << 26) }, cut = { BUF_INIT(1 << 26), BUF_INIT(1 << 26) };
	size_t step = size ? 1 + data[0] % 7 : 1;

	if (size) {
		converse(data + 1, size - 1, size, &whole);
		converse(data + 1, size - 1, step, &cut);
		check_replies(&whole.replies);
		assert(whole.replies.len == cut.replies.len && !memcmp(whole.replies.data, cut.replies.data, cut.replies.len));
		assert(whole.messages.len == cut.messages.len && !memcmp(whole.messages.data, cut.messages.data, cut.messages.len));
	}
	buf_clear(&whole.replies);
	buf_clear(&whole.messages);
	buf_clear(&cut.replies);
	buf_clear(&cut.messages);
	return 0;
}
