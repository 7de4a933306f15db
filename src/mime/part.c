/* The MIME tree: made, joined and freed without recursion; see part.h. */

#include "mime/part.h"

#include "base/source.h"
#include "base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct part *part_new(void)
{
	struct part *p = xcalloc(1, sizeof(*p));

	p->header = (struct buf)BUF_INIT(PART_HEADER_MAX);
	return p;
}

struct part *part_leaf(struct source *body)
{
	struct part *p = part_new();

	p->body = body;
	p->size = source_size(body);
	return p;
}

struct part *part_leaf_lazy(part_open_fn *open, void *ctx, int64_t size, enum part_end end)
{
	struct part *p = part_new();

	p->open = open;
	p->open_ctx = ctx;
	p->size = size;
	p->end = end;
	return p;
}

struct part *part_multipart(const char *boundary)
{
	struct part *p = part_new();
	size_t len = strlen(boundary);

	assert(len > 0 && len < sizeof(p->boundary));
	memcpy(p->boundary, boundary, len + 1);
	return p;
}

void part_append(struct part *multipart, struct part *child)
{
	assert(multipart->boundary[0] && !child->parent && !child->next);
	child->parent = multipart;
	if (multipart->last)
		multipart->last->next = child;
	else
		multipart->first = child;
	multipart->last = child;
}

static void part_free_one(struct part *p)
{
	buf_clear(&p->header);
	source_free(p->body);
	free(p->preamble);
	free(p->epilogue);
	free(p);
}

/*
 * Take the first child off and go down; without children go up. Each node is entered once for each child, and
 * once more.
 */
void part_free(struct part *root)
{
	struct part *at = root, *child, *parent;

	while (at) {
		child = at->first;
		if (child) {
			at->first = child->next;
			at = child;
			continue;
		}
		parent = at == root ? NULL : at->parent;
		part_free_one(at);
		at = parent;
	}
}
