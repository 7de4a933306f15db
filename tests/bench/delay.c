/*
 * A long way to a server that is near: takes connections on loopback, makes one to PORT for each, and hands
 * every octet on so long after it came, both ways, in order. It reads what comes as soon as it does and keeps
 * it in memory, so that the way has no bandwidth of its own and nobody is held up by it but by the delay.
 *
 *	delay MICROSECONDS PORT
 *
 * prints its port, then serves until its standard input ends. The delay is one way: a round trip has it
 * twice. The TCP handshake is the kernel's, and has no delay.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* accept4, ppoll */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 16, LINKS_MAX = 512, POLLS_MAX = 2 + 2 * LINKS_MAX };

/* What came in one read; len 0 is the end. */
struct chunk {
	struct chunk *next;
	int64_t due_ns;
	size_t at, len;
	char data[CHUNK];
};

/* One direction of a connection. */
struct way {
	int from, to;
	struct chunk *first, **last;
	bool ended;	/* from has no more */
	bool done;	/* and to was told */
	bool full;	/* to takes nothing now */
};

struct link {
	int fd[2];
	struct way way[2];
};

static struct link *links[LINKS_MAX];
static size_t link_count;
static struct chunk *free_chunks;
static int64_t delay_ns;
static struct sockaddr_in server = { .sin_family = AF_INET };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct chunk *take_chunk(void)
{
	struct chunk *c = free_chunks;

	if (c)
		free_chunks = c->next;
	else if (!(c = malloc(sizeof(*c))))
		exit(71);
	c->next = NULL;
	c->at = c->len = 0;
	return c;
}

static void drop_chunk(struct chunk *c)
{
	c->next = free_chunks;
	free_chunks = c;
}

/* All that is there. */
static void way_read(struct way *w)
{
	while (!w->ended) {
		struct chunk *c = take_chunk();
		ssize_t n = recv(w->from, c->data, CHUNK, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			drop_chunk(c);
			return;
		}
		c->len = n > 0 ? (size_t)n : 0;
		c->due_ns = now_ns() + delay_ns;
		w->ended = !c->len;
		*w->last = c;
		w->last = &c->next;
	}
}

/* All that is due. */
static void way_write(struct way *w, int64_t now)
{
	struct chunk *c;

	w->full = false;
	while ((c = w->first) && c->due_ns <= now) {
		ssize_t n = 0;

		if (!c->len)
			shutdown(w->to, SHUT_WR);
		else
			n = send(w->to, c->data + c->at, c->len - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			w->full = true;
			return;
		}
		/* Nobody hears it any more: it is dropped, as the rest will be. */
		c->at = n < 0 ? c->len : c->at + (size_t)n;
		if (c->at < c->len)
			continue;
		w->done = w->done || !c->len;
		w->first = c->next;
		if (!w->first)
			w->last = &w->first;
		drop_chunk(c);
	}
}

static void link_new(int listener)
{
	int on = 1, near = accept4(listener, NULL, NULL, SOCK_CLOEXEC), far;

	if (near < 0)
		return;
	far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link_count == LINKS_MAX || far < 0 || connect(far, (struct sockaddr *)&server, sizeof(server)) < 0) {
		perror("delay");
		close(near);
		if (far >= 0)
			close(far);
		return;
	}
	struct link *l = calloc(1, sizeof(*l));
	if (!l)
		exit(71);
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->fd[0] = near;
	l->fd[1] = far;
	for (int i = 0; i < 2; i++) {
		l->way[i] = (struct way){ .from = l->fd[i], .to = l->fd[1 - i] };
		l->way[i].last = &l->way[i].first;
	}
	links[link_count++] = l;
}

static void link_free(struct link *l)
{
	close(l->fd[0]);
	close(l->fd[1]);
	free(l);
}

/* Writes what is due, drops what is over, and says when to be here again, in nanoseconds; -1: no time. */
static int64_t serve_links(void)
{
	int64_t now = now_ns(), next = INT64_MAX;

	for (size_t i = link_count; i-- > 0;) {
		struct link *l = links[i];

		for (int k = 0; k < 2; k++) {
			struct way *w = &l->way[k];

			way_write(w, now);
			if (w->first && !w->full && w->first->due_ns < next)
				next = w->first->due_ns;
		}
		if (l->way[0].done && l->way[1].done) {
			link_free(l);
			links[i] = links[--link_count];
		}
	}
	if (next == INT64_MAX)
		return -1;
	return next > (now = now_ns()) ? next - now : 0;
}

/* The descriptors of all links, two each, and what is waited for. */
static void fill_polls(struct pollfd *p)
{
	for (size_t i = 0; i < link_count; i++)
		for (int k = 0; k < 2; k++, p++) {
			const struct link *l = links[i];
			short events = (short)((l->way[k].ended ? 0 : POLLIN) | (l->way[1 - k].full ? POLLOUT : 0));

			*p = (struct pollfd){ .fd = events ? l->fd[k] : -1, .events = events };
		}
}

static int listen_loopback(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		perror("delay");
		exit(71);
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	static struct pollfd p[POLLS_MAX];

	if (argc != 3)
		return 64;
	delay_ns = atoll(argv[1]) * 1000;
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);

	int listener = listen_loopback();
	for (;;) {
		int64_t wait = serve_links();
		struct timespec t = { .tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000 };
		size_t count = link_count;
		char byte;

		p[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
		fill_polls(p + 2);
		int ready = ppoll(p, 2 + 2 * count, wait < 0 ? NULL : &t, NULL);
		if (ready < 0 && errno != EINTR)
			return 71;
		if (ready <= 0)
			continue;
		if (p[0].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return 0;
		for (size_t i = 0; i < 2 * count; i++)
			if (p[2 + i].revents & (POLLIN | POLLHUP | POLLERR))
				way_read(&links[i / 2]->way[i % 2]);
		if (p[1].revents & POLLIN)
			link_new(listener);
	}
}
