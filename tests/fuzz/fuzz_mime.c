/*
 * The MIME stream: any tree, read in any pieces.
 *
 * The tree is built by a list of steps, and what it must look like on the wire is written down by the same
 * steps, in the order in which they come. Then, whatever the reads ask for and whatever the bodies give at a
 * time:
 *  - the octets are those;
 *  - the size is exact, or -1 just where a leaf does not know its own;
 *  - rewound in any place it starts over, and two streams of one tree do not disturb each other;
 *  - of the bodies that are opened on demand a stream holds one at a time;
 *  - an error of a body is the stream's, and what was given before it is right.
 *
 * Input: one octet of flags, one for the size of the reads, one for where to rewind, then the steps: an octet
 * each, and a text of up to 31 octets behind those that have one.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "mime/part.h"
#include "mime/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MOST = 200, LEAVES_MOST = 500, MOST = 1 << 22, READ_MOST = 300 };

/* A body, or what opens it. */
struct body {
	char text[32];
	size_t len;
	size_t piece;           /* octets it gives at a time */
	bool sized, fails;      /* fails: behind its last octet */
	unsigned *open;         /* bodies that are open, or NULL */
};

struct trickle { struct source source; const struct body *body; size_t at; };

struct input { const uint8_t *at, *end; };

struct tree {
	struct part *root, *here;
	size_t depth, leaves, parts;
	struct body body[LEAVES_MOST];
	struct buf want;
	unsigned open;
	bool lazy;              /* bodies are opened on demand: only then streams may share the tree */
	bool sized, fails;
	size_t fails_at;
};

static int trickle_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct trickle *t = (struct trickle *)s;
	size_t n = t->body->len - t->at;

	if (!n && t->body->fails)
		return err_set(e, ERR_IO, "fails");
	n = n < cap ? n : cap;
	n = n < t->body->piece ? n : t->body->piece;
	memcpy(buf, t->body->text + t->at, n);
	t->at += n;
	*ret_len = n;
	return 0;
}

static int trickle_rewind(struct source *s, struct err *e)
{
	(void)e;
	((struct trickle *)s)->at = 0;
	return 0;
}

static int64_t trickle_size(const struct source *s)
{
	const struct body *b = ((const struct trickle *)s)->body;

	return b->sized ? (int64_t)b->len : -1;
}

static void trickle_free(struct source *s)
{
	const struct body *b = ((struct trickle *)s)->body;

	if (b->open)
		--*b->open;
	free(s);
}

static const struct source_ops trickle_ops = {
	"trickle", trickle_read, trickle_rewind, trickle_size, trickle_free,
};

static struct source *trickle_new(const struct body *b)
{
	struct trickle *t = xcalloc(1, sizeof(*t));

	t->source.ops = &trickle_ops;
	t->body = b;
	return &t->source;
}

static int trickle_open(void *ctx, struct source **ret, struct err *e)
{
	const struct body *b = ctx;

	(void)e;
	++*b->open;
	*ret = trickle_new(b);
	return 0;
}

static unsigned octet(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Up to 31 octets that have a meaning neither here nor for C's strings. */
static size_t word(struct input *in, char out[32])
{
	size_t len = octet(in) & 31, n = 0;

	while (n < len && in->at < in->end)
		out[n++] = (char)(*in->at++ | 1);
	out[n] = '\0';
	return n;
}

static void want(struct tree *t, const char *text)
{
	assert(buf_adds(&t->want, text) == 0);
}

/* "--boundary" and the header of the part that comes next; into the multipart that is open. */
static void begin(struct tree *t, struct part *p, struct input *in)
{
	char text[32];

	t->parts++;
	if (t->here) {
		part_append(t->here, p);
		want(t, "--");
		want(t, t->here->boundary);
		want(t, "\r\n");
	} else {
		t->root = p;
	}
	word(in, text);
	if (*text) {
		assert(buf_addf(&p->header, "X: %s\r\n", text) == 0);
		assert(buf_addf(&t->want, "X: %s\r\n", text) == 0);
	}
	want(t, "\r\n");
}

static void add_leaf(struct tree *t, unsigned how, struct input *in)
{
	struct body *b = &t->body[t->leaves++];
	enum part_end end;
	struct part *p;
	bool root = !t->here, line;

	b->len = word(in, b->text);
	b->piece = 1 + (how & 7);
	b->sized = how & 8;
	b->fails = (how & 0xf0) == 0xf0;
	line = !b->len || b->text[b->len - 1] == '\n';
	end = line ? PART_END_LINE : PART_END_OPEN;
	end = how & 16 ? end : PART_END_UNKNOWN;
	if (t->lazy) {
		b->open = &t->open;
		p = part_leaf_lazy(trickle_open, b, b->sized ? (int64_t)b->len : -1, end);
	} else {
		p = part_leaf(trickle_new(b));
		p->end = end;
	}
	begin(t, p, in);
	want(t, b->text);
	t->sized &= b->sized && !(root && end == PART_END_UNKNOWN && b->len);
	if (b->fails && !t->fails) {
		t->fails = true;
		t->fails_at = t->want.len;
	}
	if (!root || !line)
		want(t, "\r\n");
}

static void open_multipart(struct tree *t, unsigned how, struct input *in)
{
	struct part *p;
	char text[32];

	snprintf(text, sizeof(text), how & 8 ? "%zu=a_rather_long_boundary" : "%zu", t->parts);
	p = part_multipart(text);
	begin(t, p, in);
	if (how & 16) {
		word(in, text);
		p->preamble = xstrdup(text);
		want(t, text);
		want(t, "\r\n");
	}
	t->here = p;
	t->depth++;
}

static void close_multipart(struct tree *t, unsigned how, struct input *in)
{
	struct part *p = t->here;
	char text[32];

	if (!p->first)
		add_leaf(t, 9, in);
	want(t, "--");
	want(t, p->boundary);
	want(t, "--\r\n");
	if (how & 16) {
		word(in, text);
		p->epilogue = xstrdup(text);
		want(t, text);
		want(t, "\r\n");
	}
	t->here = p->parent;
	t->depth--;
	if (t->here)
		want(t, "\r\n");
}

static void build(struct tree *t, struct input *in)
{
	unsigned step;

	do {
		step = octet(in);
		if (step % 3 == 0 && t->here)
			close_multipart(t, step, in);
		else if (step % 3 == 1 && t->depth < DEPTH_MOST)
			open_multipart(t, step, in);
		else
			add_leaf(t, step, in);
	} while (t->here && in->at < in->end && t->leaves < LEAVES_MOST - DEPTH_MOST - 1);
	while (t->here)
		close_multipart(t, 0, in);
}

/*
 * Read and compare with what is wanted from *at on, up to @most octets. False at the end; an error comes
 * where it must.
 */
static bool read_on(const struct tree *t, struct source *s, size_t step, size_t *at, size_t most)
{
	char chunk[READ_MOST];
	struct err e = ERR_INIT;
	size_t n = 0;

	while (most) {
		const size_t cap = step < most ? step : most;

		if (source_read(s, chunk, cap, &n, &e) < 0) {
			/* what was read together with the error is not given: the message is lost */
			assert(t->fails && *at <= t->fails_at && t->fails_at - *at <= cap);
			assert(e.class == ERR_IO);
			err_clear(&e);
			return false;
		}
		assert(n <= cap && n <= t->want.len - *at && !memcmp(chunk, t->want.data + *at, n));
		*at += n;
		most -= n;
		assert(!t->fails || *at <= t->fails_at);
		if (!n) {
			assert(*at == t->want.len);
			assert(source_read(s, chunk, cap, &n, &e) == 0 && !n);
			return false;
		}
	}
	return true;
}

static void read_all(const struct tree *t, struct source *s, size_t step)
{
	size_t at = 0;

	while (read_on(t, s, step, &at, READ_MOST))
		;
}

static void start_over(struct source *s)
{
	struct err e = ERR_INIT;

	assert(source_rewind(s, &e) == 0);
}

/* Two streams of one tree, in turns. */
static void check_two(struct tree *t, struct source *s, size_t step)
{
	struct source *other = mime_stream_borrow(t->root);
	size_t at = 0, at_other = 0;
	bool more = true, more_other = true;

	while (more || more_other) {
		more = more && read_on(t, s, step, &at, step);
		assert(t->open <= 2);
		more_other = more_other && read_on(t, other, 7, &at_other, 7);
		assert(t->open <= 2);
	}
	source_free(other);
	assert(t->open <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct tree *t = xcalloc(1, sizeof(*t));
	const unsigned flags = octet(&in);
	const size_t step = 1 + octet(&in), rewind_at = octet(&in);
	struct source *s;
	size_t at = 0;

	t->want = (struct buf)BUF_INIT(MOST);
	t->lazy = flags & 1;
	t->sized = true;
	build(t, &in);
	s = mime_stream(t->root);
	assert(source_size(s) == (t->sized ? (int64_t)t->want.len : -1));
	read_all(t, s, step);
	start_over(s);
	read_on(t, s, 1 + (flags >> 1), &at, rewind_at);
	assert(t->open <= 1);
	start_over(s);
	assert(!t->open);
	if (t->lazy)
		check_two(t, s, step);
	else
		read_all(t, s, 1);
	start_over(s);
	read_all(t, s, READ_MOST);
	source_free(s);
	assert(!t->open);
	buf_clear(&t->want);
	free(t);
	return 0;
}
