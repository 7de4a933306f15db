/*
 * SMTP: libcurl's engine conducts the opening, and this listens to every reply it hears, one step ahead of
 * it. At the end of each reply, before libcurl acts on it, what must not go on is stopped by a short return
 * of the header callback: a password before TLS, HELO where AUTH was due, a reply that is none. So what
 * libcurl would let pass in silence (EHLO refused, AUTH not offered, STARTTLS stripped) never gets as far as
 * a transaction.
 */

#include "net/opening.h"

#include "base/io.h"
#include "net/sasl.h"

#include <string.h>

enum step { STEP_GREETING, STEP_EHLO, STEP_HELO, STEP_STARTTLS, STEP_AUTH, STEP_READY };

enum {
	CUT_MIN = 4096,                 /* octets of a reply line that libcurl surely gives whole */
	CURL_8_17 = 0x081100,           /* from here EHLO keywords count in any letter case */
};

struct engine {
	enum step step;
	unsigned lines;                 /* of the present reply */
	unsigned challenges;
	bool starttls_exact;            /* in capitals, as older libcurls must have it */
	bool authenticated;
};

static void waits(struct opening *o, enum step step, enum smtp_stage stage, const char *what)
{
	struct engine *g = o->engine;

	g->step = step;
	o->stage = stage;
	opening_wait(o, o->params->timeout, what);
}

/* The parts that no reply tells: TCP and, with smtps, TLS. */
static void tick(struct opening *o)
{
	struct session_times *t = &o->session->times;
	curl_off_t tls = 0;

	if (!o->connected) {
		if (!opening_connected(o))
			return;
		if (o->server->tls == TLS_IMPLICIT)
			waits(o, STEP_GREETING, STAGE_TLS, "TLS handshake");
		else
			waits(o, STEP_GREETING, STAGE_GREETING, "greeting");
	}
	if (o->stage != STAGE_TLS)
		return;
	if (curl_easy_getinfo(o->session->easy, CURLINFO_APPCONNECT_TIME_T, &tls) || tls <= 0)
		return;
	if (o->server->tls == TLS_IMPLICIT) {
		o->tls = true;
		t->tls = io_now_us() - o->since_us;
		waits(o, STEP_GREETING, STAGE_GREETING, "greeting");
	} else if (o->tls) {
		t->tls = io_now_us() - o->since_us;
		waits(o, STEP_EHLO, STAGE_EHLO, "answer to EHLO");
	}
}

/* For what is heard within the same call of perform as the connection was made. */
static void catch_up(struct opening *o)
{
	struct engine *g = o->engine;

	o->proxy_done = true;
	tick(o);
	if (o->stage == STAGE_TLS && o->tls && g->step == STEP_EHLO) {
		o->session->times.tls = io_now_us() - o->since_us;
		waits(o, STEP_EHLO, STAGE_EHLO, "answer to EHLO");
	}
}

static void heard_line(void *ctx, const char *line, size_t len)
{
	struct opening *o = ctx;
	struct engine *g = o->engine;
	struct reply_line r;

	opening_trace(o, false, line, len);
	if (g->step != STEP_EHLO || reply_line_parse(&r, line, len) < 0)
		return;
	/* The first line is the server's name, not a keyword (RFC 5321 4.1.1.1). */
	if (g->lines++ == 0)
		return;
	capabilities_heard(&o->session->cap, r.text, r.len);
	if (r.len >= 8 && memcmp(r.text, "STARTTLS", 8) == 0)
		g->starttls_exact = true;
}

static void heard_greeting(struct opening *o)
{
	if (reply_greeting(o))
		waits(o, STEP_EHLO, STAGE_EHLO, "answer to EHLO");
}

static void heard_ehlo_refused(struct opening *o)
{
	const int code = o->reply.code;

	if (code == 421)
		opening_fail_reply(o, RCPT_DEFERRED, CAUSE_REFUSED, "the server ends the session");
	else if (code / 100 != 4 && code / 100 != 5)
		opening_fail_protocol(o, code == 220 ? "a second greeting where EHLO's answer was due"
						     : "EHLO is answered by neither 250 nor a refusal");
	else if (o->need_tls && !o->tls)
		opening_fail_reply(o, RCPT_REJECTED, code / 100 == 4 ? CAUSE_REFUSED : CAUSE_POLICY,
				   "EHLO is refused, so there is no STARTTLS, and nothing is sent in clear");
	else if (o->has_credentials)
		opening_fail_reply(o, RCPT_REJECTED, code / 100 == 4 ? CAUSE_REFUSED : CAUSE_POLICY,
				   "EHLO is refused, so there is no AUTH; leave the credentials out if this "
				   "server needs none");
	else
		waits(o, STEP_HELO, STAGE_EHLO, "answer to HELO");
}

static void auth_due(struct opening *o)
{
	if (!reply_auth_offered(o))
		return;
	o->since_us = io_now_us();
	waits(o, STEP_AUTH, STAGE_AUTH, "answer to AUTH");
}

static bool libcurl_takes_starttls(const struct engine *g)
{
	return g->starttls_exact || curl_version_info(CURLVERSION_NOW)->version_num >= CURL_8_17;
}

static void heard_ehlo(struct opening *o)
{
	const struct engine *g = o->engine;

	if (o->reply.code != 250) {
		heard_ehlo_refused(o);
		return;
	}
	o->session->cap.esmtp = true;
	if (!o->tls && o->server->tls != TLS_NEVER) {
		if (o->session->cap.starttls && libcurl_takes_starttls(g)) {
			waits(o, STEP_STARTTLS, STAGE_TLS, "answer to STARTTLS");
			return;
		}
		if (o->session->cap.starttls) {
			o->stage = STAGE_TLS;
			opening_fail(
				o, RCPT_NOT_ATTEMPTED, CAUSE_TLS,
				"the server offers STARTTLS in letters that are not "
				"all capitals, which this libcurl does not take; nothing is sent in clear");
			return;
		}
		if (o->need_tls) {
			reply_starttls_missing(o);
			return;
		}
	}
	if (o->has_credentials)
		auth_due(o);
	else
		waits(o, STEP_READY, STAGE_EHLO, "end of the opening");
}

static void heard_helo(struct opening *o)
{
	const int code = o->reply.code;

	if (code == 250)
		waits(o, STEP_READY, STAGE_EHLO, "end of the opening");
	else if (code / 100 == 4)
		opening_fail_reply(o, RCPT_DEFERRED, CAUSE_REFUSED, "the server takes neither EHLO nor HELO");
	else if (code / 100 == 5)
		opening_fail_reply(o, RCPT_REJECTED, CAUSE_SENDER, "the server takes neither EHLO nor HELO");
	else
		opening_fail_protocol(o, "HELO is answered by neither 250 nor a refusal");
}

static void heard_starttls(struct opening *o)
{
	if (!reply_starttls(o))
		return;
	/* RFC 3207 4.2: what was heard before TLS is forgotten. */
	capabilities_init(&o->session->cap);
	o->tls = true;
	o->since_us = io_now_us();
	waits(o, STEP_EHLO, STAGE_TLS, "TLS handshake");
}

static void heard_auth(struct opening *o)
{
	struct engine *g = o->engine;

	if (!reply_auth(o))
		return;
	if (o->reply.code == 235) {
		g->authenticated = true;
		o->quiet_auth = false;
		o->session->times.auth = io_now_us() - o->since_us;
		waits(o, STEP_READY, STAGE_AUTH, "end of the opening");
	} else if (++g->challenges > CHALLENGES_MAX) {
		opening_fail_protocol(o, "challenges without an end (AUTH)");
	} else {
		opening_wait(o, o->params->timeout, "answer to AUTH");
	}
}

static void heard_reply(struct opening *o)
{
	static void (*const by_step[])(struct opening *) = {
		[STEP_GREETING] = heard_greeting, [STEP_EHLO] = heard_ehlo, [STEP_HELO] = heard_helo,
		[STEP_STARTTLS] = heard_starttls, [STEP_AUTH] = heard_auth,
	};
	struct engine *g = o->engine;

	g->lines = 0;
	if (g->step != STEP_READY)
		by_step[g->step](o);
	else if (o->reply.code == 421)
		opening_fail_reply(o, RCPT_DEFERRED, CAUSE_REFUSED, "the server ends the session");
	else
		opening_fail_protocol(o, "a reply that nothing asked for");
}

/* CURLOPT_HEADERFUNCTION: each line of each reply. */
static size_t heard(char *mem, size_t size, size_t n, void *ctx)
{
	struct opening *o = ctx;
	const size_t len = size * n;

	catch_up(o);
	o->heard += len;
	for (size_t at = 0; at < len && !o->failed; ) {
		const char *why = "";
		size_t used = 0;
		int rc = reply_feed(&o->reply, mem + at, len - at, &used, &why);

		if (rc < 0)
			reply_garbage(o, mem[at], why);
		else if (rc > 0)
			heard_reply(o);
		at += used;
	}
	/* libcurl wants "250" to be followed by something: alone before LF it would wait for more. */
	if (!o->failed && len == 4 && mem[3] == '\n' && mem[0] != '\r')
		opening_fail_protocol(o, "a reply of three digits and a bare LF");
	return o->failed ? 0 : len;
}

static int set_login(struct opening *o)
{
	const struct session_credentials *c = &o->cred;
	char mechanisms[400];

	if (!o->has_credentials)
		return 0;
	/* The list, and nothing beside it: libcurl's own choice falls from one mechanism to a weaker one. */
	sasl_list(mechanisms, sizeof(mechanisms), o->mechanisms, "AUTH=", ";");
	if (opening_set_ptr(o, CURLOPT_LOGIN_OPTIONS, mechanisms, "auth") < 0 ||
	    opening_set_long(o, CURLOPT_SASL_IR, 1, "SASL_IR") < 0 ||
	    opening_set_ptr(o, CURLOPT_USERNAME, c->username ? c->username : "", "username") < 0)
		return -1;
	if (c->password && opening_set_ptr(o, CURLOPT_PASSWORD, c->password, "password") < 0)
		return -1;
	return c->token ? opening_set_ptr(o, CURLOPT_XOAUTH2_BEARER, c->token, "oauth2_token") : 0;
}

static int set_up(struct opening *o)
{
	static const long use_ssl[] = {
		[TLS_NEVER] = CURLUSESSL_NONE, [TLS_IF_OFFERED] = CURLUSESSL_TRY,
		[TLS_STARTTLS] = CURLUSESSL_ALL, [TLS_IMPLICIT] = CURLUSESSL_NONE,
	};
	const enum tls_mode tls = o->server->tls;
	char url[1400];

	if (opening_handle(o, "smtp,smtps") < 0 ||
	    opening_url(o, url, sizeof(url), tls == TLS_IMPLICIT ? "smtps" : "smtp", o->helo) < 0 ||
	    opening_set_ptr(o, CURLOPT_URL, url, "server") < 0 ||
	    opening_set_long(o, CURLOPT_USE_SSL,
			     tls == TLS_IF_OFFERED && o->need_tls ? CURLUSESSL_ALL : use_ssl[tls],
			     "starttls") < 0)
		return -1;
	if ((tls != TLS_NEVER || opening_by_proxy(o)) && tls_options_set(o) < 0)
		return -1;
	curl_easy_setopt(o->session->easy, CURLOPT_HEADERFUNCTION, heard);
	curl_easy_setopt(o->session->easy, CURLOPT_HEADERDATA, o);
	return set_login(o);
}

/* libcurl says that all is well: whether it is. */
static int hand_over(struct opening *o)
{
	const struct engine *g = o->engine;
	int64_t octets;

	if (g->step == STEP_STARTTLS)
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_TLS, "STARTTLS was offered and not done");
	if (g->step == STEP_AUTH || (o->has_credentials && !g->authenticated))
		return opening_fail(o, RCPT_NOT_ATTEMPTED, CAUSE_AUTH,
				    "the server has not accepted the credentials");
	if (g->step != STEP_READY || reply_pending(&o->reply))
		return opening_fail_protocol(o, "its replies do not fit the commands");
	if (opening_socket(o) < 0)
		return -1;
	/* What came in one segment with the last line is in no callback and in no buffer that we can see. */
	octets = o->tls || opening_by_proxy(o) || o->server->unix_socket ? -1 : opening_octets(o);
	/* A line of kilobytes is heard in part only: libcurl has cut it. */
	if (octets > (int64_t)o->heard && octets - (int64_t)o->heard < CUT_MIN)
		return opening_fail_protocol(o,
					     "octets behind the end of EHLO's answer that nothing asked for");
	return 1;
}

int session_open_smtp(struct opening *o)
{
	struct engine engine = { .step = STEP_GREETING };
	CURLcode rc;
	int done;

	o->engine = &engine;
	reply_init(&o->reply);
	o->reply.on_line = heard_line;
	o->reply.ctx = o;
	done = helo_decide(o);
	if (done)
		return done < 0 ? -1 : 0;
	if (set_up(o) < 0)
		return -1;
	done = opening_drive(o, tick, &rc);
	if (done <= 0)
		return done;
	if (o->failed)
		return 0;
	if (rc)
		return opening_curl_failed(o, rc);
	return hand_over(o);
}
