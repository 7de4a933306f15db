/*
 * A fast SMTP sink for the benchmarks: accepts everything, keeps nothing, one thread a connection, plain or
 * STARTTLS. It is made not to be the limit: replies leave in groups, and the message is searched for its dot
 * by memchr(3) a mebibyte at a time.
 *
 * A burst is one group of replies: what is said until the client has to be waited for. With --linger MS,
 * the sink waits that long for more commands before it answers, so that commands which the client sends
 * without waiting for a reply always fall into one burst, however the segments came in.
 *
 *	sink [--linger MS] [--log FILE] [--no-pipelining] [--cert PEM --key PEM]
 *
 * prints its port, then serves until its standard input ends. After each session one line is added to the
 * log: "bursts=N commands=N rcpts=N messages=N octets=N tls=0|1".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_SIZE = 1 << 20, OUT_SIZE = 1 << 16, REPLY_MAX = 256 };

static struct {
	int linger;
	bool pipelining;
	FILE *log;
	SSL_CTX *tls;
} config = { .pipelining = true };

struct connection {
	int fd;
	SSL *tls;
	char *in, *out;
	size_t at, end, out_len;
	unsigned bursts, commands, rcpts, messages;
	unsigned long long octets;
	bool quit;
};

static ssize_t raw_read(struct connection *c, void *to, size_t n)
{
	return c->tls ? SSL_read(c->tls, to, (int)n) : read(c->fd, to, n);
}

static bool raw_write(struct connection *c, const char *p, size_t n)
{
	while (n) {
		ssize_t done = c->tls ? SSL_write(c->tls, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static bool input_waits(struct connection *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return (c->tls && SSL_pending(c->tls) > 0) || poll(&p, 1, config.linger) > 0;
}

static bool flush(struct connection *c)
{
	bool ok = raw_write(c, c->out, c->out_len);

	c->bursts += c->out_len > 0;
	c->out_len = 0;
	return ok;
}

/* Reads more. What is to be said leaves first, once the client waits for it. */
static bool fill(struct connection *c)
{
	if (c->out_len && !input_waits(c) && !flush(c))
		return false;
	if (c->at) {
		memmove(c->in, c->in + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	if (c->end == IN_SIZE)
		return false;			/* a command of a mebibyte */
	ssize_t n = raw_read(c, c->in + c->end, IN_SIZE - c->end);
	if (n <= 0)
		return false;
	c->end += (size_t)n;
	return true;
}

static bool say(struct connection *c, const char *text)
{
	size_t n = strlen(text);

	if (c->out_len + n > OUT_SIZE && !flush(c))
		return false;
	memcpy(c->out + c->out_len, text, n);
	c->out_len += n;
	return true;
}

/* The octet behind the line that is a lone dot, or NULL. line_start: a CRLF stands in front of from. */
static char *find_dot(char *from, char *end, bool line_start)
{
	for (char *p = from; end - p >= 3 && (p = memchr(p, '.', (size_t)(end - p) - 2)); p++) {
		if (p[1] != '\r' || p[2] != '\n')
			continue;
		if (p == from ? line_start : p - from >= 2 && p[-2] == '\r' && p[-1] == '\n')
			return p + 3;
	}
	return NULL;
}

/* Takes the message up to its dot. Four octets are kept between two reads, for a dot that is cut by them. */
static bool take_message(struct connection *c)
{
	bool first = true;

	for (;;) {
		char *from = c->in + c->at, *end = c->in + c->end;
		char *behind = find_dot(from, end, first);

		if (behind) {
			c->octets += (unsigned long long)(behind - from);
			c->at = (size_t)(behind - c->in);
			return true;
		}
		if (end - from > 4) {
			c->octets += (unsigned long long)(end - from) - 4;
			c->at = c->end - 4;
			first = false;
		}
		if (!fill(c))
			return false;
	}
}

static bool start_tls(struct connection *c)
{
	if (!say(c, "220 2.0.0 Go on\r\n") || !flush(c) || c->at != c->end)
		return false;
	c->tls = SSL_new(config.tls);
	SSL_set_fd(c->tls, c->fd);
	return SSL_accept(c->tls) == 1;
}

static bool say_ehlo(struct connection *c)
{
	char text[REPLY_MAX];

	snprintf(text, sizeof(text),
		 "250-sink.example\r\n%s%s250-SIZE\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
		 config.pipelining ? "250-PIPELINING\r\n" : "", config.tls && !c->tls ? "250-STARTTLS\r\n" : "");
	return say(c, text);
}

static bool is(const char *line, const char *verb)
{
	return strncasecmp(line, verb, 4) == 0;
}

static bool command(struct connection *c, const char *line)
{
	c->commands++;
	if (is(line, "EHLO"))
		return say_ehlo(c);
	if (is(line, "STAR") && config.tls && !c->tls)
		return start_tls(c);
	if (is(line, "RCPT")) {
		c->rcpts++;
		return say(c, "250 2.1.5 Ok\r\n");
	}
	if (is(line, "DATA")) {
		/* 354 leaves before the message can come, with whatever waits in front of it. */
		if (!say(c, "354 Go on\r\n") || !take_message(c))
			return false;
		c->messages++;
		return say(c, "250 2.0.0 Ok: queued as SINK\r\n");
	}
	if (is(line, "QUIT")) {
		c->quit = true;
		return say(c, "221 2.0.0 Bye\r\n");
	}
	return say(c, is(line, "HELO") || is(line, "MAIL") || is(line, "RSET") || is(line, "NOOP") ?
		   "250 2.0.0 Ok\r\n" : "500 5.5.1 Unknown command\r\n");
}

static void session(struct connection *c)
{
	if (!say(c, "220 sink.example ESMTP\r\n"))
		return;
	while (!c->quit) {
		char *from = c->in + c->at, *eol = memchr(from, '\n', c->end - c->at);

		if (!eol) {
			if (!fill(c))
				break;
			continue;
		}
		c->at = (size_t)(eol + 1 - c->in);
		if (eol - from < 4 || !command(c, from))
			break;
	}
	flush(c);
}

static void *serve(void *arg)
{
	struct connection *c = arg;

	session(c);
	if (c->tls) {
		SSL_shutdown(c->tls);
		SSL_free(c->tls);
	}
	if (config.log) {
		fprintf(config.log, "bursts=%u commands=%u rcpts=%u messages=%u octets=%llu tls=%d\n", c->bursts,
			c->commands, c->rcpts, c->messages, c->octets, c->tls != NULL);
		fflush(config.log);
	}
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
	return NULL;
}

static void accept_one(int listener)
{
	struct connection *c = calloc(1, sizeof(*c));
	pthread_t thread;
	int on = 1;

	c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0) {
		free(c);
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->in = malloc(IN_SIZE);
	c->out = malloc(OUT_SIZE + REPLY_MAX);
	if (pthread_create(&thread, NULL, serve, c) == 0)
		pthread_detach(thread);
	else
		exit(71);
}

static int listen_loopback(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		perror("sink");
		exit(71);
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static void tls_prepare(const char *cert, const char *key)
{
	config.tls = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(config.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(config.tls, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(78);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "linger", required_argument, NULL, 'l' }, { "log", required_argument, NULL, 'o' },
		{ "no-pipelining", no_argument, NULL, 'p' }, { "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' }, { 0 },
	};
	const char *cert = NULL, *key = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 'l': config.linger = atoi(optarg); break;
		case 'o': config.log = fopen(optarg, "ae"); break;
		case 'p': config.pipelining = false; break;
		case 'c': cert = optarg; break;
		case 'k': key = optarg; break;
		default: return 64;
		}
	signal(SIGPIPE, SIG_IGN);
	if (cert && key)
		tls_prepare(cert, key);

	int listener = listen_loopback();
	struct pollfd p[2] = { { .fd = listener, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		char byte;

		if (p[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			break;
		if (p[0].revents & POLLIN)
			accept_one(listener);
	}
	return 0;
}
