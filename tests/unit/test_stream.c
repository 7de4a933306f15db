/* The MIME stream: its bytes, its size, any cutting, rewind, and 100 000 levels on a small stack. */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "mime/part.h"
#include "mime/stream.h"

#include <pthread.h>
#include <stdlib.h>

enum { ANY = 1 << 30 };

static struct part *leaf(const char *header, const char *body, enum part_end end)
{
	struct part *p = part_leaf(source_bytes(body, strlen(body)));

	p->end = end;
	if (buf_adds(&p->header, header) < 0)
		abort();
	return p;
}

/* Read all of @s, @step octets a read. */
static void drain(struct source *s, size_t step, struct buf *out)
{
	struct err e = ERR_INIT;
	char *chunk = xmalloc(step);
	size_t n;

	buf_reset(out);
	do {
		if (source_read(s, chunk, step, &n, &e) < 0 || buf_add(out, chunk, n) < 0)
			abort();
	} while (n);
	check(source_read(s, chunk, step, &n, &e) == 0 && n == 0);
	free(chunk);
	err_clear(&e);
}

/* The tree gives @want at every cutting, its size is exact (unless @unsized), and it rewinds. Owns @root. */
static void expect(struct part *root, const char *want, bool unsized)
{
	static const size_t steps[] = { 1, 2, 3, 7, 16, 63, 65536 };
	CLEANUP(source_freep) struct source *s = mime_stream(root);
	struct buf got = BUF_INIT(ANY);
	struct err e = ERR_INIT;

	check_int(source_size(s), unsized ? -1 : (long long)strlen(want));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		drain(s, steps[i], &got);
		check_str(got.data, want);
		check_int(source_rewind(s, &e), 0);
	}
	/* A rewind in the middle of any piece starts over as well. */
	for (size_t cut = 1; cut < strlen(want); cut++) {
		char chunk[512];
		size_t n;

		check_int(source_read(s, chunk, cut < sizeof(chunk) ? cut : sizeof(chunk), &n, &e), 0);
		check_int(source_rewind(s, &e), 0);
	}
	drain(s, 5, &got);
	check_str(got.data, want);
	buf_clear(&got);
}

static void test_leaves(void)
{
	/* rows: MSG-09 */
	test_case("a root leaf that ends its line is left alone");
	expect(leaf("A: 1\r\n", "x\r\n", PART_END_LINE), "A: 1\r\n\r\nx\r\n", false);
	test_case("a root leaf that does not end its line is mended");
	expect(leaf("A: 1\r\n", "x", PART_END_OPEN), "A: 1\r\n\r\nx\r\n", false);
	test_case("an empty root leaf needs nothing");
	expect(leaf("A: 1\r\n", "", PART_END_OPEN), "A: 1\r\n\r\n", false);
	test_case("a root leaf that does not know its end has no size, and is right all the same");
	expect(leaf("A: 1\r\n", "x", PART_END_UNKNOWN), "A: 1\r\n\r\nx\r\n", true);
}

static struct part *outer(void)
{
	struct part *m = part_multipart("=_o"), *inner = part_multipart("=_i");

	m->preamble = xstrdup("pre");
	m->epilogue = xstrdup("epi\r\nlogue");
	if (buf_adds(&m->header, "M: m\r\n") < 0 || buf_adds(&inner->header, "I: i\r\n") < 0)
		abort();
	part_append(inner, leaf("", "deep", PART_END_OPEN));
	part_append(m, leaf("L: 1\r\n", "one\r\n", PART_END_LINE));
	part_append(m, inner);
	part_append(m, leaf("L: 2\r\n", "", PART_END_LINE));
	return m;
}

static void test_multipart(void)
{
	/* rows: MSG-02 */
	test_case("multipart with preamble, epilogue and a nested multipart");
	expect(outer(),
	       "M: m\r\n\r\npre\r\n"
	       "--=_o\r\nL: 1\r\n\r\none\r\n\r\n"
	       "--=_o\r\nI: i\r\n\r\n--=_i\r\n\r\ndeep\r\n--=_i--\r\n\r\n"
	       "--=_o\r\nL: 2\r\n\r\n\r\n"
	       "--=_o--\r\nepi\r\nlogue\r\n", false);
}

static int openings, living;

struct counted { struct source source; struct source *under; };

static int counted_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	return source_read(((struct counted *)s)->under, buf, cap, ret_len, e);
}

static void counted_free(struct source *s)
{
	source_free(((struct counted *)s)->under);
	free(s);
	living--;
}

static const struct source_ops counted_ops = { .name = "counted", .read = counted_read, .free = counted_free };

static int open_counted(void *ctx, struct source **ret, struct err *e)
{
	struct counted *c = xcalloc(1, sizeof(*c));

	(void)e;
	c->source.ops = &counted_ops;
	c->under = source_bytes(ctx, strlen(ctx));
	openings++;
	living++;
	*ret = &c->source;
	return 0;
}

static int open_failing(void *ctx, struct source **ret, struct err *e)
{
	(void)ret;
	return err_set(e, ERR_NOINPUT, "%s", (const char *)ctx);
}

static void test_lazy(void)
{
	static char text[] = "abc";
	struct buf got = BUF_INIT(ANY), again = BUF_INIT(ANY);
	struct err e = ERR_INIT;
	char chunk[8];
	size_t n;

	/* rows: ATT-07 */
	test_case("bodies are opened one at a time, by two streams over one tree");
	{
		CLEANUP(part_freep) struct part *root = part_multipart("=_b");

		for (int i = 0; i < 1000; i++)
			part_append(root, part_leaf_lazy(open_counted, text, 3, PART_END_OPEN));
		CLEANUP(source_freep) struct source *s = mime_stream_borrow(root);
		CLEANUP(source_freep) struct source *t = mime_stream_borrow(root);
		while (source_read(s, chunk, 1 + (size_t)(openings & 7), &n, &e) == 0 && n) {
			check(living <= 1);
			check_int(buf_add(&got, chunk, n), 0);
		}
		check_int(openings, 1000);
		check_int(living, 0);
		check_int(got.len, source_size(s));
		drain(t, 65536, &again);
		check_mem(got.data, got.len, again.data, again.len);
	}
	test_case("a stream freed in the middle of a body frees what it opened");
	{
		CLEANUP(part_freep) struct part *root = part_leaf_lazy(open_counted, text, 3, PART_END_OPEN);
		struct source *s = mime_stream_borrow(root);

		check_int(source_read(s, chunk, 4, &n, &e), 0);
		check_int(living, 1);
		source_free(s);
		check_int(living, 0);
	}
	test_case("a body that cannot be opened is the stream's error");
	{
		CLEANUP(source_freep) struct source *s =
			mime_stream(part_leaf_lazy(open_failing, text, 3, PART_END_OPEN));

		check_int(source_read(s, chunk, 8, &n, &e), -1);
		check_int(e.class, ERR_NOINPUT);
		err_clear(&e);
	}
	buf_clear(&got);
	buf_clear(&again);
}

enum { DEPTH = 100000 };

/* The body of the thread with the small stack: build, size, read at two cuttings, free. */
static void *deep(void *arg)
{
	struct part *root = part_multipart("=_0"), *at = root;
	struct err e = ERR_INIT;
	struct buf a = BUF_INIT(ANY), b = BUF_INIT(ANY);
	struct source *s;

	(void)arg;
	for (int i = 1; i < DEPTH; i++) {
		char boundary[16];
		struct part *child;

		snprintf(boundary, sizeof(boundary), "=_%d", i);
		child = part_multipart(boundary);
		part_append(at, child);
		at = child;
	}
	part_append(at, leaf("", "x", PART_END_OPEN));
	s = mime_stream(root);
	drain(s, 65536, &a);
	check_int(a.len, source_size(s));
	check_int(source_rewind(s, &e), 0);
	drain(s, 1, &b);
	check_mem(a.data, a.len, b.data, b.len);
	source_free(s);
	buf_clear(&a);
	buf_clear(&b);
	return NULL;
}

static void test_depth(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	/* rows: MSG-12 */
	test_case("depth 100 000 on a stack of 128 KiB");
	pthread_attr_init(&attr);
	check_int(pthread_attr_setstacksize(&attr, 128 * 1024), 0);
	check_int(pthread_create(&thread, &attr, deep, NULL), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
}

int main(void)
{
	test_leaves();
	test_multipart();
	test_lazy();
	test_depth();
	return check_done();
}
