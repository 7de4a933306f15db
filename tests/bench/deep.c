/*
 * A multipart in a multipart, DEPTH times, through the C interface: mail_params filled as a program would,
 * finished, composed, and the message's source read to its end. Prints the octets. Run it with a small stack
 * (ulimit -s 128): nothing may recurse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/source.h"
#include "base/sys.h"
#include "base/xalloc.h"
#include "mime/compose.h"
#include "model/mail_params.h"
#include "model/message.h"

static struct part_params *deep_tree(int depth)
{
	struct part_params *root = part_params_new(), *at = root;

	for (int i = 0; i < depth; i++) {
		struct part_params *child = part_params_new();

		at->content.kind = CONTENT_PARTS;
		part_params_append(at, child);
		at = child;
	}
	at->content.kind = CONTENT_TEXT;
	at->content.data = xstrdup("Hello.");
	at->content.len = strlen(at->content.data);
	return root;
}

static void params_fill(struct mail_params *p, int depth)
{
	mail_params_init(p);
	p->from = xstrdup("sender@example.org");
	p->to.item = xcalloc(1, sizeof(*p->to.item));
	p->to.count = p->to.cap = 1;
	p->to.item[0].address = xstrdup("to@example.org");
	p->body = deep_tree(depth);
	p->dry_run = true;
}

/* Composes and reads. Octets, or -1 with @e filled. */
static long long compose(struct mail_params *p, struct err *e)
{
	static char buf[65536];
	CLEANUP(message_freep) struct message *m = NULL;
	CLEANUP(source_freep) struct source *s = NULL;
	long long octets = 0;
	size_t n = 1;

	if (mail_params_finish(p, &sysinfo_real, e) < 0 ||
	    message_from_params(&m, &(struct ready *){0}, p, &sysinfo_real, e) < 0 ||
	    message_open(m, false, &s, e) < 0)
		return -1;
	while (n) {
		if (source_read(s, buf, sizeof(buf), &n, e) < 0)
			return -1;
		octets += (long long)n;
	}
	if (m->needs.size >= 0 && octets != m->needs.size)
		return err_set(e, ERR_SOFTWARE, "%lld octets, %lld announced", octets, (long long)m->needs.size);
	return octets;
}

int main(int argc, char **argv)
{
	struct mail_params p;
	struct err e = ERR_INIT;

	if (argc != 2) {
		fprintf(stderr, "usage: deep DEPTH\n");
		return 64;
	}
	params_fill(&p, atoi(argv[1]));
	long long octets = compose(&p, &e);
	mail_params_clear(&p);
	if (octets < 0) {
		fprintf(stderr, "deep: %s\n", e.text);
		return err_exit_code(&e);
	}
	printf("%lld\n", octets);
	return 0;
}
