/*
 * A scripted SMTP server in a thread of the test, for one session. It does what the script says and
 * keeps what it had: the facts compare that with what libcurl told its caller.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct script {
	bool lmtp;			/* speak LMTP: LHLO only, EHLO and HELO are 500 (RFC 2033, 4.1) */
	bool refuse_ehlo;		/* 502 to EHLO, 250 to HELO (RFC 5321, 4.1.1.1) */
	bool close_at_dot;		/* take the message, close without a word */
	const char *refused;		/* the address that gets 550 at RCPT, or NULL */
	const char *dot_reply;		/* the reply after the dot; NULL: "250 2.0.0 Ok" */
};

struct had {
	bool authenticated;		/* an AUTH command was heard */
	bool committed;			/* the final dot came: the server now owns the message */
	int mails;			/* MAIL commands */
	int accepted;			/* recipients accepted */
	int refused;			/* recipients refused */
	size_t size;			/* octets of the message, dots un-stuffed (RFC 5321, 4.5.2) */
	char last[64];			/* the last command's verb and a little more */
};

struct server {
	struct script script;
	struct had had;
	int listener;
	int port;
	pthread_t thread;
};

/* Listens on a free port of 127.0.0.1 and serves one session in a thread. -1 with errno set where it cannot. */
int server_start(struct server *s, const struct script *script);

/* Waits for the session's end; what the server had is in s->had from then on. */
void server_join(struct server *s);
