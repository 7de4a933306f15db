/* The tree as one source; the table of stream.h is the code below, phase for phase. */

#include "mime/stream.h"

#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "mime/part.h"

#include <stdlib.h>
#include <string.h>

enum phase { HEADER, BODY, PREAMBLE, OPEN, CLOSE, END, EPILOGUE, DONE };

struct mime_stream {
	struct source source;
	struct part *owned;             /* NULL: borrowed */
	const struct part *root;
	int64_t size;

	const struct part *node;
	enum phase phase;
	size_t offset;                  /* in the pieces of the phase */
	struct source *made;            /* what the opener of the node in BODY gave */
	char last;                      /* the octet put last */
};

struct piece { const char *mem; size_t len; };

static struct piece piece_of(const char *text)
{
	return (struct piece){ text, strlen(text) };
}

/* What a phase emits besides a body: at most four pieces. */
static size_t phase_pieces(const struct mime_stream *s, struct piece out[4])
{
	const struct part *p = s->node;
	size_t n = 0;

	switch (s->phase) {
	case HEADER:
		out[n++] = (struct piece){ p->header.data, p->header.len };
		out[n++] = piece_of("\r\n");
		break;
	case PREAMBLE:
	case EPILOGUE: {
		const char *text = s->phase == PREAMBLE ? p->preamble : p->epilogue;

		if (!text)
			break;
		out[n++] = piece_of(text);
		out[n++] = piece_of("\r\n");
		break;
	}
	case OPEN:
		out[n++] = piece_of("--");
		out[n++] = piece_of(p->parent->boundary);
		out[n++] = piece_of("\r\n");
		break;
	case END:
		out[n++] = piece_of("--");
		out[n++] = piece_of(p->boundary);
		out[n++] = piece_of("--\r\n");
		break;
	case CLOSE:
		out[n++] = piece_of("\r\n");
		break;
	case BODY:
	case DONE:
		break;
	}
	return n;
}

/* Put what is left of the phase's pieces into @buf; *ret_whole: nothing of it is left. */
static size_t phase_emit(struct mime_stream *s, char *buf, size_t cap, bool *ret_whole)
{
	struct piece pieces[4];
	size_t n = phase_pieces(s, pieces), put = 0, skip = s->offset;

	*ret_whole = true;
	for (size_t i = 0; i < n; i++) {
		size_t left, take;

		if (skip >= pieces[i].len) {
			skip -= pieces[i].len;
			continue;
		}
		left = pieces[i].len - skip;
		take = left < cap - put ? left : cap - put;
		memcpy(buf + put, pieces[i].mem + skip, take);
		put += take;
		skip = 0;
		if (take < left) {
			*ret_whole = false;
			break;
		}
	}
	s->offset += put;
	return put;
}

static void stream_enter(struct mime_stream *s, const struct part *node, enum phase phase)
{
	s->node = node;
	s->phase = phase;
	s->offset = 0;
	/* The root's end is the end; a root leaf that did not end its last line has that mended. */
	if (phase == CLOSE && node == s->root && (node->boundary[0] || s->last == '\n'))
		s->phase = DONE;
}

static void stream_advance(struct mime_stream *s)
{
	const struct part *p = s->node;

	switch (s->phase) {
	case HEADER:
		stream_enter(s, p, p->boundary[0] ? PREAMBLE : BODY);
		break;
	case BODY:
		stream_enter(s, p, CLOSE);
		break;
	case PREAMBLE:
		if (p->first)
			stream_enter(s, p->first, OPEN);
		else
			stream_enter(s, p, END);
		break;
	case OPEN:
		stream_enter(s, p, HEADER);
		break;
	case CLOSE:
		if (p == s->root)
			s->phase = DONE;
		else if (p->next)
			stream_enter(s, p->next, OPEN);
		else
			stream_enter(s, p->parent, END);
		break;
	case END:
		stream_enter(s, p, EPILOGUE);
		break;
	case EPILOGUE:
		stream_enter(s, p, CLOSE);
		break;
	case DONE:
		break;
	}
}

static int body_read(struct mime_stream *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	const struct part *p = s->node;

	if (p->body)
		return source_read(p->body, buf, cap, ret_len, e);
	if (!s->made && p->open(p->open_ctx, &s->made, e) < 0)
		return -1;
	return source_read(s->made, buf, cap, ret_len, e);
}

static void body_done(struct mime_stream *s)
{
	source_free(s->made);
	s->made = NULL;
}

/*
 * One read crosses as many pieces as fit. A body of unknown size may be a pipe whose writer is slow: what is
 * there already is given first, and what came of it is given at once.
 */
static int stream_read(struct source *source, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct mime_stream *s = (struct mime_stream *)source;
	size_t put = 0, n;
	bool whole, slow;

	while (put < cap && s->phase != DONE) {
		if (s->phase != BODY) {
			n = phase_emit(s, buf + put, cap - put, &whole);
			put += n;
			if (n)
				s->last = buf[put - 1];
			if (whole)
				stream_advance(s);
			continue;
		}
		slow = s->node->size < 0;
		if (slow && put)
			break;
		if (body_read(s, buf + put, cap - put, &n, e) < 0)
			return -1;
		if (!n) {
			body_done(s);
			stream_advance(s);
			continue;
		}
		put += n;
		s->last = buf[put - 1];
		if (slow)
			break;
	}
	*ret_len = put;
	return 0;
}

/* The node behind @p in the order in which the stream meets them; NULL at the end. */
static const struct part *part_following(const struct part *p, const struct part *root)
{
	if (p->first)
		return p->first;
	while (p != root && !p->next)
		p = p->parent;
	return p == root ? NULL : p->next;
}

static int stream_rewind(struct source *source, struct err *e)
{
	struct mime_stream *s = (struct mime_stream *)source;

	body_done(s);
	for (const struct part *p = s->root; p; p = part_following(p, s->root))
		if (p->body && source_rewind(p->body, e) < 0)
			return -1;
	s->last = '\0';
	stream_enter(s, s->root, HEADER);
	return 0;
}

static int64_t stream_size(const struct source *source)
{
	return ((const struct mime_stream *)source)->size;
}

/* What one node adds, its children apart. -1: unknown. */
static int64_t node_size(const struct part *p, bool root)
{
	int64_t size = (int64_t)p->header.len + 2;

	if (!root)
		size += 2 + (int64_t)strlen(p->parent->boundary) + 2 + 2;
	if (p->boundary[0]) {
		size += 2 + (int64_t)strlen(p->boundary) + 4;
		size += p->preamble ? (int64_t)strlen(p->preamble) + 2 : 0;
		size += p->epilogue ? (int64_t)strlen(p->epilogue) + 2 : 0;
		return size;
	}
	if (p->size < 0)
		return -1;
	if (root && p->size && p->end == PART_END_UNKNOWN)
		return -1;
	if (root && p->size && p->end == PART_END_OPEN)
		size += 2;
	return size + p->size;
}

static int64_t tree_size(const struct part *root)
{
	int64_t total = 0, size;

	for (const struct part *p = root; p; p = part_following(p, root)) {
		size = node_size(p, p == root);
		if (size < 0)
			return -1;
		total += size;
	}
	return total;
}

static void stream_free(struct source *source)
{
	struct mime_stream *s = (struct mime_stream *)source;

	source_free(s->made);
	part_free(s->owned);
	free(s);
}

static const struct source_ops stream_ops = {
	.name = "MIME stream", .read = stream_read, .rewind = stream_rewind, .size = stream_size,
	.free = stream_free,
};

struct source *mime_stream_borrow(const struct part *root)
{
	struct mime_stream *s = xcalloc(1, sizeof(*s));

	s->source.ops = &stream_ops;
	s->root = root;
	s->size = tree_size(root);
	stream_enter(s, root, HEADER);
	return &s->source;
}

struct source *mime_stream(struct part *root)
{
	struct source *source = mime_stream_borrow(root);

	((struct mime_stream *)source)->owned = root;
	return source;
}
