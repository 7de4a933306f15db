#pragma once

/*
 * One content on its way into the message: where its octets are, what must be
 * known of them before anything is sent, and the encoder they go through.
 *
 * Taking it identifies a regular file (which is then read in place, once for
 * each stream) or takes a pipe in whole. Nothing is kept open, except by
 * `stream: true`.
 */

#include "base/base.h"
#include "base/file.h"
#include "mime/part.h"
#include "model/mail_params.h"
#include "text/encode.h"

struct err;
struct source;

struct leaf {
	struct leaf *next;              /* the message's list, for verify and free */
	const struct content *content;  /* borrowed from the params */
	const char *beneath;            /* files_dir where the path is confined to it, or NULL */
	bool is_file;                   /* a regular file: @id says which */
	bool is_stream, stream_used;    /* `stream: true` and a pipe: @fd is read as it comes, once */
	int fd;
	unsigned timeout_ms;
	struct file_id id;
	struct staged *staged;

	enum cte cte;                   /* what leaf_open() applies */
	bool text;                      /* line by line */
	int64_t size;                   /* encoded; -1: unknown */
	enum part_end end;
};

/* Descriptors whose octets are gone into some leaf: each can be read once. */
struct taken_fds { int *fd; size_t count, cap; };

struct leaf_taking {
	const char *files_dir;
	unsigned timeout_ms;            /* for pipes named by a path or number */
	unsigned slow_ms;               /* for standard input, which may take its time; 0: for ever */
	bool stream;
	const struct mail_params *p;    /* says where standard input ends: leaf_input_end() */
	struct taken_fds *taken;
};

/* Where standard input ends: by require_end and ignore_dots, and whether somebody types it. */
enum staged_end leaf_input_end(const struct mail_params *p);

/*
 * @content (borrowed, NULL is empty text) as a leaf, in *ret (owned by the caller: leaf_free()). Errors:
 * ERR_NOINPUT, ERR_IO, ERR_OS, ERR_CANTCREAT as base/file.h says; ERR_DATA: a descriptor asked for twice.
 */
int leaf_take(struct leaf **ret, const struct content *content, const struct leaf_taking *how,
	      struct err *e) MUST_CHECK;
void leaf_free(struct leaf *l);
DEFINE_CLEANUP(struct leaf *, leaf_free);

/* A pipe that goes as it comes: nothing can be known of it beforehand. */
bool leaf_is_stream(const struct leaf *l);
/* Octets as they are, or -1. */
int64_t leaf_raw_size(const struct leaf *l);

/* What one pass tells: the encoders' figures, the first octets, the last one. */
struct leaf_facts {
	struct text_scan scan;
	unsigned char first[4];
	size_t first_len;
	bool ends_line;         /* the last octet is CR or LF, or there is none */
};
int leaf_scan(const struct leaf *l, struct leaf_facts *ret, struct err *e) MUST_CHECK;

/*
 * How the leaf is sent, its exact size with it. @facts: of leaf_scan() where @text, else NULL. May read the
 * octets once more.
 */
int leaf_encode(struct leaf *l, enum cte cte, bool text, const struct leaf_facts *facts,
		struct err *e) MUST_CHECK;

/* The octets as they are; *ret is the caller's and borrows the leaf. */
int leaf_raw(struct leaf *l, struct source **ret, struct err *e) MUST_CHECK;
/* part_open_fn: the encoded octets. */
int leaf_open(void *leaf, struct source **ret, struct err *e) MUST_CHECK;
/* ERR_DATA where the file is no longer what it was. */
int leaf_verify(const struct leaf *l, struct err *e) MUST_CHECK;
