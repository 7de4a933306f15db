/* The real clock, random and host name; see sys.h. */

#include "base/sys.h"

#include "base/err.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* 9999-12-31T23:59:59Z, the last second that a Date field can name. */
static const int64_t epoch_max = 253402300799;

/* SOURCE_DATE_EPOCH in @text: decimal digits and nothing else. */
static bool epoch_parse(int64_t *ret, const char *text)
{
	int64_t value = 0;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	for (; *text; text++) {
		value = value * 10 + (*text - '0');
		if (value > epoch_max)
			return false;
	}
	*ret = value;
	return true;
}

static int64_t real_now_s(void)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	int64_t fixed;

	return text && epoch_parse(&fixed, text) ? fixed : (int64_t)time(NULL);
}

int sysinfo_check(struct err *e)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	int64_t fixed;

	if (!text || epoch_parse(&fixed, text))
		return 0;
	return err_set(e, ERR_USAGE, "SOURCE_DATE_EPOCH must be a plain decimal number of seconds "
		       "since 1970, up to the year 9999");
}

static void ask_random(void *mem, size_t len)
{
	static const char line[] = "mailchute: the system gives no random numbers\n";
	char *at = mem;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
				_exit(EX_OSERR);
			_exit(EX_OSERR);
		}
		at += n;
		len -= (size_t)n;
	}
}

/*
 * Random octets in store, of each thread: a message needs few, and a system call costs more than the rest of
 * its Message-ID. None is given twice, in a child of fork() neither: it begins with an empty store.
 */
struct store { size_t left; unsigned forks; unsigned char mem[512]; };

static unsigned forks;                  /* between this process and the first */
static pthread_once_t forks_counted = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
	forks++;
}

static void count_forks(void)
{
	/* without memory for it the process ends before long anyway */
	pthread_atfork(NULL, NULL, count_fork);
}

static void real_random(void *mem, size_t len)
{
	static _Thread_local struct store s;

	if (len > sizeof(s.mem) / 4) {
		ask_random(mem, len);
		return;
	}
	pthread_once(&forks_counted, count_forks);
	if (s.left < len || s.forks != forks) {
		ask_random(s.mem, sizeof(s.mem));
		s.left = sizeof(s.mem);
		s.forks = forks;
	}
	s.left -= len;
	memcpy(mem, s.mem + s.left, len);
	explicit_bzero(s.mem + s.left, len);
}

/* A name that means this machine to others: dotted, and of characters that a domain can have. */
static bool is_qualified(const char *name)
{
	size_t len = strlen(name);

	if (!strchr(name, '.') || !strncasecmp(name, "localhost.", 10))
		return false;
	if (name[0] == '.' || name[len - 1] == '.' || strstr(name, ".."))
		return false;
	return !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")];
}

/*
 * The canonical name of @name in @out where it is qualified, else "". A machine off the net must not wait
 * half a minute for its own name, so the resolver gets one try of one second with each search domain.
 */
static void canonical_name(char *out, size_t cap, const char *name)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
	bool limited = res_init() == 0;
	int retrans = _res.retrans, retry = _res.retry;

	if (limited) {
		_res.retrans = 1;
		_res.retry = 1;
	}
	out[0] = '\0';
	if (!getaddrinfo(name, NULL, &hints, &found)) {
		if (found && found->ai_canonname && strlen(found->ai_canonname) < cap &&
		    is_qualified(found->ai_canonname))
			strcpy(out, found->ai_canonname);
		freeaddrinfo(found);
	}
	if (limited) {
		_res.retrans = retrans;
		_res.retry = retry;
	}
}

static char host[256];                  /* written once */
static pthread_once_t host_asked = PTHREAD_ONCE_INIT;

static void ask_host(void)
{
	char own[256];

	if (gethostname(own, sizeof(own)) < 0)
		return;
	own[sizeof(own) - 1] = '\0';
	if (is_qualified(own))
		strcpy(host, own);
	else if (own[0] && !strchr(own, '.') && strcasecmp(own, "localhost"))
		canonical_name(host, sizeof(host), own);
}

static const char *real_hostname(void)
{
	pthread_once(&host_asked, ask_host);
	return host;
}

const struct sysinfo sysinfo_real = { .now_s = real_now_s, .random = real_random, .hostname = real_hostname };
