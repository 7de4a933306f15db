/*
 * A fast SMTP sink for the benchmarks: accepts everything, keeps nothing, one thread a connection, plain or
 * STARTTLS. It is made not to be the limit: replies leave in groups, the message is searched for its dot by
 * memchr(3) a mebibyte at a time, and with CHUNKING its octets are counted and not looked at.
 *
 * A burst is one group of replies: what is said until the client has to be waited for. With --linger MS,
 * the sink waits that long for more commands before it answers, so that commands which the client sends
 * without waiting for a reply always fall into one burst, however the segments came in. With --eager, what
 * is to be said leaves before every read, as a Postfix's does; a client that streams hears it sooner, and
 * bursts say nothing then. With --quick-ack the kernel does not delay its ACKs (tcp(7)), which a client waits
 * for that writes in pieces without TCP_NODELAY.
 *
 *	sink [--linger MS | --eager] [--quick-ack] [--log FILE] [--no-pipelining] [--chunking] [--ids]
 *	     [--cert PEM --key PEM]
 *
 * prints its port, then serves until its standard input ends. After each session one line is added to the
 * log: "bursts=N commands=N rcpts=N messages=N octets=N tls=0|1 chunks=N ids=N". ids: the Message-IDs that no
 * message brought before, of any session; looked for in the first octets of each message, and with --ids
 * alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* accept4 */
#endif
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_SIZE = 1 << 20, OUT_SIZE = 1 << 16, REPLY_MAX = 256, HEAD_SIZE = 1 << 13, DISCARD_MIN = 1 << 18 };

static struct {
	int linger;
	bool pipelining, eager, quick_ack, chunking, ids;
	FILE *log;
	SSL_CTX *tls;
} config = { .pipelining = true };

struct connection {
	int fd;
	SSL *tls;
	char *in, *out;
	size_t at, end, out_len;
	unsigned bursts, commands, rcpts, messages, chunks, ids;
	unsigned long long octets;
	bool quit;
	char head[HEAD_SIZE];		/* of the message, with --ids */
	size_t head_len;
};

/* The Message-IDs that there were, by their hash; 0 is a free place. */
static struct {
	pthread_mutex_t lock;
	uint64_t *at;
	size_t size, used;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

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

	if (config.eager)
		return false;
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
	if (c->at == c->end) {
		c->at = c->end = 0;
	} else if (c->at) {
		memmove(c->in, c->in + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	if (c->end == IN_SIZE)
		return false;			/* a command of a mebibyte */
	int on = 1;
	if (config.quick_ack)		/* it does not last */
		setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
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

/* Whether it was not there. size: a power of two, and there is room. */
static bool place_id(uint64_t *at, size_t size, uint64_t hash)
{
	size_t i = hash & (size - 1);

	while (at[i] && at[i] != hash)
		i = (i + 1) & (size - 1);
	bool new = !at[i];
	at[i] = hash;
	return new;
}

static void more_places(void)
{
	size_t size = seen.size ? seen.size * 2 : 1 << 16;
	uint64_t *at = calloc(size, sizeof(*at));

	if (!at)
		exit(71);
	for (size_t i = 0; i < seen.size; i++)
		if (seen.at[i])
			place_id(at, size, seen.at[i]);
	free(seen.at);
	seen.at = at;
	seen.size = size;
}

/* Whether no message had it before. */
static bool id_is_new(const char *p, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)p[i]) * 0x100000001b3;
	hash |= 1;
	pthread_mutex_lock(&seen.lock);
	if (seen.used * 2 >= seen.size)
		more_places();
	bool new = place_id(seen.at, seen.size, hash);
	seen.used += new;
	pthread_mutex_unlock(&seen.lock);
	return new;
}

static void keep_head(struct connection *c, const char *p, size_t n)
{
	size_t room = HEAD_SIZE - c->head_len;

	n = n < room ? n : room;
	memcpy(c->head + c->head_len, p, n);
	c->head_len += n;
}

/* The end of a message. */
static bool message_done(struct connection *c)
{
	c->messages++;
	if (config.ids) {
		const char *p = c->head, *end = c->head + c->head_len, *eol;

		for (; (eol = memchr(p, '\n', (size_t)(end - p))); p = eol + 1)
			if (eol - p > 11 && strncasecmp(p, "Message-ID:", 11) == 0) {
				c->ids += id_is_new(p, (size_t)(eol - p));
				break;
			}
		c->head_len = 0;
	}
	return say(c, "250 2.0.0 Ok: queued as SINK\r\n");
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
			if (config.ids)
				keep_head(c, from, (size_t)(behind - from));
			c->at = (size_t)(behind - c->in);
			return true;
		}
		if (end - from > 4) {
			c->octets += (unsigned long long)(end - from) - 4;
			if (config.ids)
				keep_head(c, from, (size_t)(end - from) - 4);
			c->at = c->end - 4;
			first = false;
		}
		if (!fill(c))
			return false;
	}
}

/*
 * Takes the octets of a chunk by their number. What is not here yet is left in the kernel and dropped there
 * (MSG_TRUNC, tcp(7)) where it is much; otherwise it comes with the commands behind it in one read.
 */
static bool take_chunk(struct connection *c, unsigned long long n)
{
	c->chunks++;
	c->octets += n;
	for (;;) {
		size_t here = c->end - c->at, some = n < here ? (size_t)n : here;

		if (config.ids)
			keep_head(c, c->in + c->at, some);
		c->at += some;
		n -= some;
		if (!n)
			return true;
		if (n < DISCARD_MIN || c->tls || config.ids) {
			if (!fill(c))
				return false;
			continue;
		}
		if (c->out_len && !input_waits(c) && !flush(c))
			return false;
		ssize_t done = recv(c->fd, NULL, n < IN_SIZE ? (size_t)n : IN_SIZE, MSG_TRUNC);
		if (done <= 0)
			return false;
		n -= (size_t)done;
	}
}

static bool chunk_command(struct connection *c, const char *line)
{
	char *behind;
	unsigned long long n = strtoull(line + 4, &behind, 10);

	if (line[4] != ' ' || line[5] < '0' || line[5] > '9' || n >> 62)
		return false;		/* where the next command is cannot be known */
	/* Looked at now: reading the chunk may move the line. */
	bool last = strncasecmp(behind, " LAST", 5) == 0;
	if (!take_chunk(c, n))
		return false;
	return last ? message_done(c) : say(c, "250 2.0.0 Ok\r\n");
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
		 "250-sink.example\r\n%s%s%s250-SIZE\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
		 config.pipelining ? "250-PIPELINING\r\n" : "", config.chunking ? "250-CHUNKING\r\n" : "",
		 config.tls && !c->tls ? "250-STARTTLS\r\n" : "");
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
		return message_done(c);
	}
	if (is(line, "BDAT") && config.chunking)
		return chunk_command(c, line);
	if (is(line, "RSET"))
		c->head_len = 0;
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
	bool was_tls = c->tls != NULL;
	if (c->tls) {
		SSL_shutdown(c->tls);
		SSL_free(c->tls);
	}
	if (config.log) {
		fprintf(config.log, "bursts=%u commands=%u rcpts=%u messages=%u octets=%llu tls=%d chunks=%u ids=%u\n",
			c->bursts, c->commands, c->rcpts, c->messages, c->octets, was_tls, c->chunks, c->ids);
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
		{ "key", required_argument, NULL, 'k' }, { "chunking", no_argument, NULL, 'b' },
		{ "eager", no_argument, NULL, 'e' }, { "ids", no_argument, NULL, 'i' },
		{ "quick-ack", no_argument, NULL, 'q' }, { 0 },
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
		case 'b': config.chunking = true; break;
		case 'e': config.eager = true; break;
		case 'i': config.ids = true; break;
		case 'q': config.quick_ack = true; break;
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
