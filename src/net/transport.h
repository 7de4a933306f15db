#pragma once

/*
 * Delivery over the network: sessions (net/session) and transactions
 * (net/dialog) until every recipient has a verdict, over the servers of the
 * list in order.
 *
 * The next server is tried only when nothing can have been accepted by the
 * last one; recipients that a server refused for good stay refused. A session that ends amid the recipients
 * is followed by another one for the rest, as long as each settles someone new.
 * Who is deferred by then is tried again in as many further rounds as `retries` allows.
 *
 * transport_send() gives 0 with every recipient settled, whatever became of them, or -1 when it could
 * not do its work at all. The report is complete when it returns; transport_close() says the farewell that
 * nobody waits for longer than a second.
 */

#include "base/base.h"
#include "net/session.h"

struct envelope;
struct err;
struct message;
struct report;
struct transport;

struct transport_options {
	const struct server_params *server;             /* borrowed, as all of these */
	const struct session_credentials *credentials;  /* NULL: none */
	const struct trace *trace;                      /* NULL: none */
	bool all_or_nothing;
	/* A token was refused: true where @credentials have another one now. Asked once at most. NULL: none. */
	bool (*renew)(void *ctx);
	void *renew_ctx;
	/* Called while the message is sent, at most a few times a second; total -1: unknown. NULL: none. */
	void (*progress)(void *ctx, int64_t sent, int64_t total);
	void *progress_ctx;
};

struct transport *transport_new(const struct transport_options *o);
int transport_send(struct transport *t, const struct envelope *env, struct message *msg,
		   struct report *report, struct err *e) MUST_CHECK;
/*
 * The credentials given with the options may be wiped from now on; the other options must live until the
 * close.
 */
void transport_forget_credentials(struct transport *t);
void transport_close(struct transport *t);
struct conducted_state;
/* The end of @s, which it closes: QUIT where it may be said and was not, and a second at most for its answer. */
void transport_farewell(struct session *s, const struct conducted_state *state, const struct trace *trace);
DEFINE_CLEANUP(struct transport *, transport_close);

/* What passes before retry @round (from 1): @delay_s doubled each time, and up to half more by @random. */
int64_t retry_wait_ms(unsigned delay_s, unsigned round, uint32_t random);
