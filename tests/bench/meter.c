/*
 * Runs a command and says what it took: "wall_us user_us system_us peak_kib status" on the file named first.
 * It is small and static because a child's peak memory, as the kernel counts it, is never under that of the
 * process it was forked from.
 *
 *	meter RESULT INPUT OUTPUT COMMAND [ARGUMENT...]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long us(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

static void child(const char *input, const char *output, char **command)
{
	int in = open(input, O_RDONLY), out = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	close(in);
	close(out);
	/* The meter is killed where the command takes too long. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(command[0], command);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage use;
	int status;

	if (argc < 5)
		return 64;
	long long start = now_us();
	pid_t pid = fork();
	if (pid == 0)
		child(argv[2], argv[3], argv + 4);
	if (pid < 0 || wait4(pid, &status, 0, &use) < 0)
		return 71;
	long long wall = now_us() - start;

	FILE *f = fopen(argv[1], "we");
	if (!f)
		return 73;
	fprintf(f, "%lld %lld %lld %ld %d\n", wall, us(use.ru_utime), us(use.ru_stime), use.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(f) ? 74 : 0;
}
