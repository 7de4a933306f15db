/*
 * The scripted server of the facts: blocking, line by line, one session. A session that nobody ends is
 * ended by the socket's own timeout, so that a fact can never hang.
 */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Long against any step on loopback, short against a reader's patience. */
enum { SESSION_TIMEOUT_S = 10 };

static bool line_is(const char *line, const char *verb)
{
	return strncasecmp(line, verb, strlen(verb)) == 0;
}

static void say(FILE *out, const char *text)
{
	fprintf(out, "%s\r\n", text);
	fflush(out);
}

static void take_ehlo(struct server *s, FILE *out, const char *line)
{
	const struct script *script = &s->script;
	bool extended = !line_is(line, "HELO");

	if (script->lmtp ? !line_is(line, "LHLO") : line_is(line, "LHLO"))
		say(out, "500 5.5.1 Unknown command");
	else if (extended && script->refuse_ehlo)
		say(out, "502 5.5.1 Not here");
	else if (extended)
		say(out, "250-fake.example\r\n250 PIPELINING");
	else
		say(out, "250 fake.example");
}

static void take_rcpt(struct server *s, FILE *out, const char *line)
{
	if (s->script.refused && strstr(line, s->script.refused)) {
		s->had.refused++;
		say(out, "550 5.1.1 No such user");
		return;
	}
	s->had.accepted++;
	say(out, "250 2.1.5 Ok");
}

/* Reads up to the dot. True where it came. */
static bool take_message(struct server *s, FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool dot = false;

	while (!dot && (n = getline(&line, &room, in)) > 0) {
		dot = n == 3 && memcmp(line, ".\r\n", 3) == 0;
		if (!dot)
			s->had.size += (size_t)n - (line[0] == '.');
	}
	free(line);
	return dot;
}

/* One command. False where the session is over. */
static bool take_command(struct server *s, FILE *in, FILE *out, const char *line)
{
	snprintf(s->had.last, sizeof(s->had.last), "%.*s", (int)strcspn(line, "\r\n"), line);
	if (line_is(line, "EHLO") || line_is(line, "HELO") || line_is(line, "LHLO")) {
		take_ehlo(s, out, line);
	} else if (line_is(line, "AUTH")) {
		s->had.authenticated = true;
		say(out, "235 2.7.0 Ok");
	} else if (line_is(line, "MAIL")) {
		s->had.mails++;
		say(out, "250 2.1.0 Ok");
	} else if (line_is(line, "RCPT")) {
		take_rcpt(s, out, line);
	} else if (line_is(line, "DATA")) {
		say(out, "354 Go on");
		if (!take_message(s, in))
			return false;
		s->had.committed = true;
		if (s->script.close_at_dot)
			return false;
		say(out, s->script.dot_reply ? s->script.dot_reply : "250 2.0.0 Ok");
	} else if (line_is(line, "HELP")) {
		say(out, "214 2.0.0 Help yourself");
	} else if (line_is(line, "QUIT")) {
		say(out, "221 2.0.0 Bye");
		return false;
	} else {
		say(out, "500 5.5.1 Unknown command");
	}
	return true;
}

static void session(struct server *s, int fd)
{
	struct timeval patience = { .tv_sec = SESSION_TIMEOUT_S };
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	char *line = NULL;
	size_t room = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	say(out, s->script.lmtp ? "220 fake.example LMTP" : "220 fake.example ESMTP");
	while (getline(&line, &room, in) > 0 && take_command(s, in, out, line))
		;
	free(line);
	fclose(out);
	fclose(in);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->listener, NULL, NULL);

	if (fd >= 0)
		session(s, fd);
	return NULL;
}

int server_start(struct server *s, const struct script *script)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = SESSION_TIMEOUT_S };
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->script = *script;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return -1;
	setsockopt(s->listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(s->listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s->listener, 1) < 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) < 0 ||
	    pthread_create(&s->thread, NULL, serve, s) != 0) {
		close(s->listener);
		return -1;
	}
	s->port = ntohs(a.sin_port);
	return 0;
}

void server_join(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
}
