/* See lookup.h. */

#include "net/lookup.h"

#include "base/io.h"
#include "base/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Shared by the two threads; the last to let go frees it. */
struct job {
	atomic_int holders;
	int pipe[2];                    /* closing [1] says that the answer is there */
	int family;
	char *host;
	struct lookup_result result;
	int num;                        /* errno, where it was this machine's fault */
};

static void job_release(struct job *j)
{
	if (atomic_fetch_sub(&j->holders, 1) != 1)
		return;
	close(j->pipe[0]);
	free(j->host);
	free(j);
}

static void keep_answer(struct lookup_result *r, const struct addrinfo *list)
{
	for (; list && r->n < LOOKUP_MAX; list = list->ai_next)
		if (getnameinfo(list->ai_addr, list->ai_addrlen, r->address[r->n], ADDRESS_MAX, NULL, 0,
				NI_NUMERICHOST) == 0)
			r->n++;
}

static void *job_run(void *arg)
{
	struct job *j = arg;
	struct addrinfo want = { .ai_family = j->family, .ai_socktype = SOCK_STREAM }, *list = NULL;

	j->result.rc = getaddrinfo(j->host, NULL, &want, &list);
	if (j->result.rc == EAI_MEMORY)
		j->num = ENOMEM;
	else if (j->result.rc == EAI_SYSTEM && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		j->num = errno;
	if (j->result.rc == 0)
		keep_answer(&j->result, list);
	if (list)
		freeaddrinfo(list);
	close(j->pipe[1]);
	job_release(j);
	return NULL;
}

/* The answer came (true), or the time or a signal did. */
static bool job_wait(struct job *j, int64_t until_ms)
{
	struct pollfd p[2] = { { .fd = j->pipe[0], .events = POLLIN },
			       { .fd = io_signal_fd(), .events = POLLIN } };

	for (;;) {
		const int ms = io_poll_ms(until_ms);

		if (io_signal_heard || !ms)
			return false;
		if (poll(p, 2, ms) > 0 && p[0].revents)
			return true;
	}
}

int lookup(struct lookup_result *ret, const char *host, int family, int64_t until_ms)
{
	struct job *j = xcalloc(1, sizeof(*j));
	pthread_t thread;
	bool heard;
	int num;

	if (pipe2(j->pipe, O_CLOEXEC) < 0) {
		free(j);                /* keeps errno */
		return -1;
	}
	atomic_init(&j->holders, 2);
	j->family = family;
	j->host = xstrdup(host);
	num = pthread_create(&thread, NULL, job_run, j);
	if (num) {
		close(j->pipe[1]);
		atomic_store(&j->holders, 1);
		job_release(j);
		errno = num;
		return -1;
	}
	pthread_detach(thread);
	heard = job_wait(j, until_ms);
	num = heard ? j->num : io_signal_heard ? EINTR : ETIMEDOUT;
	if (heard)
		*ret = j->result;
	job_release(j);
	errno = num;
	return num ? -1 : 0;
}

bool lookup_says_unknown(int rc)
{
#ifdef EAI_NODATA
	if (rc == EAI_NODATA)
		return true;
#endif
#ifdef EAI_ADDRFAMILY
	if (rc == EAI_ADDRFAMILY)
		return true;
#endif
	return rc == EAI_NONAME;
}
