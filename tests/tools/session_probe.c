/*
 * Opens one session as the arguments say (key=value) and prints what came of it as one line, for
 * tests/e2e/test_session.py and for trying things by hand:
 *
 *	session_probe host=127.0.0.1 port=2525 tls=starttls user=u password=pw trace=1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "model/mail_params.h"
#include "net/session.h"

struct setup {
	struct server server;
	struct server_params params;
	struct session_credentials cred;
	unsigned max_s;
	bool trace, hold;
	const char *say;
};

static unsigned mechanisms(const char *list)
{
	unsigned m = 0;

	for (unsigned bit = AUTH_PLAIN; bit <= AUTH_GSSAPI; bit <<= 1)
		if (auth_mech_name(bit) && strstr(list, auth_mech_name(bit)))
			m |= bit;
	return m;
}

static enum tls_mode tls_mode(const char *name)
{
	return !strcmp(name, "implicit") ? TLS_IMPLICIT : !strcmp(name, "starttls") ? TLS_STARTTLS :
	       !strcmp(name, "try") ? TLS_IF_OFFERED : TLS_NEVER;
}

static void set(struct setup *s, const char *key, char *value)
{
	struct server_params *p = &s->params;
	const struct { const char *key; char **to; } text[] = {
		{ "host", &s->server.host }, { "unix", &s->server.unix_socket }, { "helo", &p->helo_name },
		{ "ca", &p->tls_ca_file }, { "cert", &p->tls_cert_file }, { "key", &p->tls_key_file },
		{ "pin", &p->tls_pinned_key }, { "proxy", &p->proxy }, { "interface", &p->interface },
	};
	const struct { const char *key; unsigned *to; } number[] = {
		{ "port", &s->server.port }, { "connect", &p->connect_timeout }, { "timeout", &p->timeout },
		{ "max", &s->max_s },
	};
	const struct { const char *key; bool *to;
	} flag[] = {
		{ "lmtp", &s->server.lmtp },
		{ "asked", &s->server.tls_asked },
		{ "loopback", &s->server.loopback },
		{ "verify", &p->tls_verify },
		{ "insecure", &p->allow_insecure_auth },
		{ "trace", &s->trace },
		{ "external", &p->has_credentials },
		{ "hold", &s->hold },
	};

	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		if (!strcmp(key, text[i].key))
			*text[i].to = value;
	for (size_t i = 0; i < ARRAY_SIZE(number); i++)
		if (!strcmp(key, number[i].key))
			*number[i].to = (unsigned)strtoul(value, NULL, 10);
	for (size_t i = 0; i < ARRAY_SIZE(flag); i++)
		if (!strcmp(key, flag[i].key))
			*flag[i].to = *value != '0';
	if (!strcmp(key, "tls"))
		s->server.tls = tls_mode(value);
	else if (!strcmp(key, "auth"))
		p->mechanisms = mechanisms(value);
	else if (!strcmp(key, "user"))
		s->cred.username = value;
	else if (!strcmp(key, "password"))
		s->cred.password = value;
	else if (!strcmp(key, "token"))
		s->cred.token = value;
	else if (!strcmp(key, "say"))
		s->say = value;
	else if (!strcmp(key, "ip"))
		p->ip_version = *value == '4' ? IP_4 : IP_6;
	else if (!strcmp(key, "min"))
		p->tls_min_version = *value - '0';
}

static void line(void *ctx, bool sent, const char *text, size_t len)
{
	fprintf(stderr, "%s %.*s\n", sent ? ">" : "<", (int)len, text);
}

static void note(void *ctx, const char *text)
{
	fprintf(stderr, "* %s\n", text);
}

/* Say @text and print what comes back, until a line end or for two seconds. */
static void talk(struct session *s, const char *text)
{
	const int64_t until = io_now_ms() + 2000;
	char got[1000];
	ssize_t n;

	for (size_t at = 0, len = strlen(text); at < len; ) {
		n = session_send(s, text + at, len - at);
		if (n < 0) {
			printf("send: %s\n", session_error(s));
			return;
		}
		at += (size_t)n;
		if (n == 0 && !session_wait(s, true, -1, until))
			return;
	}
	while ((n = session_recv(s, got, sizeof(got))) == 0)
		if (!session_wait(s, false, -1, until))
			return;
	if (n < 0)
		printf("recv: %zd %s\n", n, session_error(s));
	else
		printf("said: %.*s", (int)n, got);
}

static void print_open(struct session *s)
{
	const struct capabilities *c = session_capabilities(s);
	const struct session_times *t = session_times(s);

	printf("open esmtp=%d pipelining=%d size=%llu auth='%s' starttls=%d times=%d%d%d\n", c->esmtp,
	       c->pipelining, (unsigned long long)c->size_limit, c->auth, c->starttls, t->connect >= 0,
	       t->tls >= 0, t->auth >= 0);
}

int main(int argc, char **argv)
{
	struct setup s = { .params = { .tls_verify = true,
				       .tls_min_version = TLS_1_2,
				       .connect_timeout = 30,
				       .timeout = 60 } };
	struct trace trace = { line, note, NULL };
	struct err e CLEANUP(err_clear) = ERR_INIT;
	struct session *session = NULL;
	struct session_failure why;
	char label[200];
	int rc;

	io_signals_init();
	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			return 64;
		*value++ = '\0';
		set(&s, argv[i], value);
	}
	snprintf(label, sizeof(label), "%s:%u", s.server.host ? s.server.host : s.server.unix_socket,
		 s.server.port);
	s.server.label = label;
	rc = session_open(&session, &s.server, &s.params, &s.cred, s.trace ? &trace : NULL,
			  s.max_s ? io_now_ms() + s.max_s * 1000 : INT64_MAX, &why, &e);
	if (rc < 0) {
		printf("error class=%d %s\n", (int)e.class, e.text);
	} else if (rc == 0) {
		printf("failed state=%s stage=%s cause=%s code=%d enhanced='%s' next=%d text=%s\n",
		       rcpt_state_name(why.state), smtp_stage_name(why.stage), cause_name(why.cause),
		       why.code, why.enhanced, why.try_next, why.text);
	} else {
		print_open(session);
		talk(session, s.say ? s.say : "NOOP\r\n");
		session_close(session);
	}
	return 0;
}
