/* A rendering of a ready message as one source; see ready_source.h. */

#include "mime/ready_source.h"

#include "base/err.h"
#include "base/source.h"
#include "base/xalloc.h"
#include "mime/ready_plan.h"
#include "mime/repair.h"
#include "text/encode.h"

#include <stdlib.h>
#include <string.h>

/* The next octets of a source, up to a number. Borrows it: the ones behind are for the next view. */
struct view {
	struct source source;
	struct source *under;
	uint64_t left;
};

static int view_read(struct source *s, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct view *v = (struct view *)s;

	*ret_len = 0;
	if (!v->left)
		return 0;
	if (source_read(v->under, buf, cap < v->left ? cap : (size_t)v->left, ret_len, e) < 0)
		return -1;
	if (!*ret_len)
		return err_set(e, ERR_DATA, "became shorter while it was being sent");
	v->left -= *ret_len;
	return 0;
}

static int view_rewind(struct source *s, struct err *e)
{
	(void)s;
	return err_set(e, ERR_SOFTWARE, "a view does not rewind");
}

static int64_t view_size(const struct source *s)
{
	return (int64_t)((const struct view *)s)->left;
}

static void view_free(struct source *s)
{
	free(s);
}

static const struct source_ops view_ops = {
	.name = "view", .read = view_read, .rewind = view_rewind, .size = view_size, .free = view_free,
};

static struct source *source_view(struct source *under, uint64_t left)
{
	struct view *v = xcalloc(1, sizeof(*v));

	v->source.ops = &view_ops;
	v->under = under;
	v->left = left;
	return &v->source;
}

enum { MEASURE_CHUNK = 65536 };

enum step { STEP_HEAD, STEP_BODY, STEP_TAIL, STEP_DONE };

struct ready_stream {
	struct source source;
	struct source *raw;
	const char *head;
	size_t head_len;
	const struct ready_plan *plan;
	bool seven;

	enum step step;
	uint64_t at;            /* octets of the input that are used */
	size_t edit;            /* the next one */
	struct source *now;     /* what is being put, or NULL */
	char last;
};

/* The header was read when the plan was made; what an edit's text stands for is not read by anybody else. */
static int skip_to(struct ready_stream *s, uint64_t to, struct err *e)
{
	char chunk[16384];
	size_t n;

	while (s->at < to) {
		n = to - s->at < sizeof(chunk) ? (size_t)(to - s->at) : sizeof(chunk);
		if (source_read(s->raw, chunk, n, &n, e) < 0)
			return -1;
		if (!n)
			return err_set(e, ERR_DATA, "became shorter while it was being sent");
		s->at += n;
	}
	return 0;
}

/* The input up to @to, as @cte. */
static struct source *stretch_source(struct ready_stream *s, uint64_t to, enum cte cte, int64_t size)
{
	struct source *view = source_view(s->raw, to - s->at);

	s->at = to;
	return encode_source(cte, true, view, size);
}

static const struct edit *next_edit(struct ready_stream *s)
{
	while (s->edit < s->plan->count && !s->seven && !s->plan->edit[s->edit].always)
		s->edit++;
	return s->edit < s->plan->count ? &s->plan->edit[s->edit] : NULL;
}

/*
 * The regular file's source compares the file once more when it says its end, which nobody would ask it for,
 * since the views know theirs.
 */
static int read_end(struct ready_stream *s, struct err *e)
{
	char one;
	size_t n;

	if (source_read(s->raw, &one, 1, &n, e) < 0)
		return -1;
	return n ? err_set(e, ERR_DATA, "became longer while it was being sent") : 0;
}

/* What comes next of the body into s->now; without anything the tail is next. */
static int body_next(struct ready_stream *s, struct err *e)
{
	const struct edit *edit = next_edit(s);
	uint64_t end = s->plan->body_at + s->plan->raw, to = edit ? edit->at : end;

	if (s->at < s->plan->body_at && skip_to(s, s->plan->body_at, e) < 0)
		return -1;
	if (s->at < to) {
		s->now = stretch_source(s, to, CTE_BINARY, -1);
		return 0;
	}
	if (!edit) {
		s->step = STEP_TAIL;
		return read_end(s, e);
	}
	s->edit++;
	if (edit->repair) {
		s->now = repair_source(edit->cte, stretch_source(s, edit->at + edit->raw, CTE_BINARY, -1),
				       (int64_t)edit->size);
		return 0;
	}
	if (edit->cte != CTE_AUTO) {
		s->now = stretch_source(s, edit->at + edit->raw, edit->cte, (int64_t)edit->size);
		return 0;
	}
	s->now = source_bytes(edit->text, edit->size);
	return skip_to(s, edit->at + edit->raw, e);
}

static int step_next(struct ready_stream *s, struct err *e)
{
	switch (s->step) {
	case STEP_HEAD:
		s->now = source_bytes(s->head, s->head_len);
		s->step = STEP_BODY;
		return 0;
	case STEP_BODY:
		return body_next(s, e);
	case STEP_TAIL:
		if (s->last != '\n')
			s->now = source_bytes("\r\n", 2);
		s->step = STEP_DONE;
		return 0;
	case STEP_DONE:
		return 0;
	}
	return 0;
}

static int ready_read(struct source *source, char *buf, size_t cap, size_t *ret_len, struct err *e)
{
	struct ready_stream *s = (struct ready_stream *)source;
	size_t n;

	*ret_len = 0;
	while (s->now || s->step != STEP_DONE) {
		if (!s->now) {
			if (step_next(s, e) < 0)
				return -1;
			continue;
		}
		if (source_read(s->now, buf, cap, &n, e) < 0)
			return -1;
		if (n) {
			s->last = buf[n - 1];
			*ret_len = n;
			return 0;
		}
		source_free(s->now);
		s->now = NULL;
	}
	return 0;
}

static int ready_rewind(struct source *source, struct err *e)
{
	struct ready_stream *s = (struct ready_stream *)source;

	source_free(s->now);
	s->now = NULL;
	s->step = STEP_HEAD;
	s->at = 0;
	s->edit = 0;
	s->last = '\0';
	return source_rewind(s->raw, e);
}

static int64_t ready_size(const struct source *source)
{
	const struct ready_stream *s = (const struct ready_stream *)source;
	int64_t size = (int64_t)(s->head_len + ready_plan_size(s->plan, s->seven));

	return size + (ready_plan_ends_line(s->plan, s->seven) ? 0 : 2);
}

static void ready_free(struct source *source)
{
	struct ready_stream *s = (struct ready_stream *)source;

	source_free(s->now);
	source_free(s->raw);
	free(s);
}

static const struct source_ops ready_ops = {
	.name = "ready message", .read = ready_read, .rewind = ready_rewind, .size = ready_size,
	.free = ready_free,
};

struct source *ready_source(struct source *raw, const char *head, size_t head_len,
			    const struct ready_plan *plan, bool seven)
{
	struct ready_stream *s = xcalloc(1, sizeof(*s));

	s->source.ops = &ready_ops;
	s->raw = raw;
	s->head = head;
	s->head_len = head_len;
	s->plan = plan;
	s->seven = seven;
	return &s->source;
}

static int measure(struct ready_stream *s, struct edit *edit, struct err *e)
{
	CLEANUP(source_freep) struct source *mended = NULL;
	CLEANUP(freep) char *chunk = xmalloc(MEASURE_CHUNK);
	size_t n;

	if (skip_to(s, edit->at, e) < 0)
		return -1;
	mended = repair_source(edit->cte, stretch_source(s, edit->at + edit->raw, CTE_BINARY, -1), -1);
	edit->size = 0;
	do {
		if (source_read(mended, chunk, MEASURE_CHUNK, &n, e) < 0)
			return -1;
		edit->size += n;
	} while (n);
	edit->ends_line |= !edit->size;
	return 0;
}

int ready_measure(struct ready_plan *plan, struct source *raw, struct err *e)
{
	struct ready_stream s = { .raw = raw };

	for (size_t i = 0; i < plan->count; i++)
		if (plan->edit[i].repair && measure(&s, &plan->edit[i], e) < 0)
			return -1;
	return 0;
}
