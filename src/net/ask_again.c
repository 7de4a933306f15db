/*
 * EHLO once more, within the open session. A server may offer more to those who are authenticated (Dovecot's
 * submission service: DSN, the SIZE of the server behind it), and libcurl asks only before AUTH. It costs a
 * round trip, and so it is asked only where something that the message needs was not offered.
 */

#include "net/opening.h"

#include <stdio.h>

struct hearing {
	struct capabilities cap;
	const struct trace *trace;
	unsigned lines;
};

static void heard_line(void *ctx, const char *line, size_t len)
{
	struct hearing *h = ctx;
	struct reply_line r;

	if (h->trace && h->trace->line)
		h->trace->line(h->trace->ctx, false, line, len);
	/* The first line is the server's name, not a keyword (RFC 5321 4.1.1.1). */
	if (reply_line_parse(&r, line, len) == 0 && h->lines++ > 0)
		capabilities_heard(&h->cap, r.text, r.len);
}

static int not_again(struct session *s, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s (asked for its extensions again, after AUTH)", why);
	return -1;
}

static int send_command(struct session *s, const char *command, size_t len, int64_t until_ms)
{
	for (size_t sent = 0; sent < len; ) {
		ssize_t n = session_send(s, command + sent, len - sent);

		if (n < 0)
			return -1;
		sent += (size_t)n;
		if (n == 0 && !session_wait(s, true, -1, until_ms))
			return not_again(s, "the server takes nothing");
	}
	return 0;
}

/* One whole reply, and nothing behind it: what answers nothing must not answer MAIL. */
static int hear_reply(struct session *s, struct reply *reply, int64_t until_ms)
{
	char in[4096];

	for (;;) {
		const char *why = "";
		size_t used = 0;
		ssize_t n = session_recv(s, in, sizeof(in));
		int rc;

		if (n == -2)
			return not_again(s, "the server closed the connection");
		if (n < 0)
			return -1;
		if (n == 0) {
			if (!session_wait(s, false, -1, until_ms))
				return not_again(s, "no reply in time");
			continue;
		}
		rc = reply_feed(reply, in, (size_t)n, &used, &why);
		if (rc < 0 || (rc > 0 && used < (size_t)n))
			return not_again(s, rc < 0 ? why : "a reply that nothing asked for");
		if (rc > 0)
			return 0;
	}
}

int session_ask_again(struct session *s, bool lmtp, int64_t until_ms, const struct trace *trace)
{
	struct hearing h = { .trace = trace };
	struct reply reply;
	char command[HELO_MAX + 8];
	int len = snprintf(command, sizeof(command), "%s %s\r\n", lmtp ? "LHLO" : "EHLO", s->helo);

	capabilities_init(&h.cap);
	h.cap.esmtp = true;
	reply_init(&reply);
	reply.on_line = heard_line;
	reply.ctx = &h;
	if (trace && trace->line)
		trace->line(trace->ctx, true, command, (size_t)len - 2);
	if (send_command(s, command, (size_t)len, until_ms) < 0 || hear_reply(s, &reply, until_ms) < 0)
		return -1;
	if (reply.code == 250)
		s->cap = h.cap;         /* a refusal leaves what was offered before */
	return reply.code == 421 ? not_again(s, "the server ends the session") : 0;
}
