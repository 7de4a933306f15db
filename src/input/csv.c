/*
 * Records of CSV, and the only user of libcsv; see csv.h.
 *
 * libcsv's strict mode refuses a quote amid a field without quotes, and text behind a closing quote. Where it
 * is wider than RFC 4180 it is narrowed here:
 *  - it takes spaces off a field, and lets them stand around quotes: to ours nothing is a space;
 *  - a CR alone ends a record, and an empty one is skipped: any end before the row's own is an error;
 *  - its buffer grows by 128 octets, which is quadratic: to ours every field fits at once.
 */

#include "input/csv.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/rows.h"
#include "model/value.h"

#include <csv.h>
#include <string.h>

enum {
	SHOWN = 100,                    /* of a column's name in a message */
	LIST_SHOWN = 1000,              /* of all of them */
};

struct column { char *name; size_t len; };

struct csv_header {
	char delimiter;
	struct column *column;
	size_t n, cap;
};

/* One record on its way through libcsv, whose callbacks cannot stop it. */
struct walk {
	const struct csv_header *known; /* its columns' names; NULL while it is the header that is read */
	struct csv_header *header;      /* what is filled of it then */
	struct value *object;           /* what is filled of a record */
	unsigned line;
	size_t fields;
	size_t bad_utf8;                /* the first such field's number, from 1; 0: none */
	size_t broken;                  /* the field's that a CR ended; 0: none did */
};

static void keep_name(struct csv_header *h, const char *mem, size_t len)
{
	if (h->n == CSV_COLUMNS_MAX)
		return;
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 16;
		h->column = xreallocarray(h->column, h->cap, sizeof(*h->column));
	}
	h->column[h->n++] = (struct column){ .name = xmemdup0(mem, len), .len = len };
}

static void keep_field(struct walk *w, const char *mem, size_t len)
{
	const struct column *c;
	struct value *v;

	if (w->fields >= w->known->n)
		return;
	c = &w->known->column[w->fields];
	v = value_new(VALUE_STR);
	v->str = xmemdup0(mem, len);
	v->len = len;
	v->key = xmemdup0(c->name, c->len);
	v->line = w->line;
	v->column = (unsigned)w->fields + 1;
	value_append(w->object, v);
}

static void on_field(void *mem, size_t len, void *data)
{
	struct walk *w = data;

	if (w->broken)
		return;
	if (!w->bad_utf8 && utf8_valid(mem, len) != len)
		w->bad_utf8 = w->fields + 1;
	if (w->known)
		keep_field(w, mem, len);
	else
		keep_name(w->header, mem, len);
	w->fields++;
}

/* @c is -1 where the end is that of all octets. */
static void on_end(int c, void *data)
{
	struct walk *w = data;

	if (c != -1 && !w->broken)
		w->broken = w->fields ? w->fields : 1;
}

static int no_space(unsigned char c)
{
	(void)c;
	return 0;
}

static void *grow(void *old, size_t size)
{
	return xreallocarray(old, size, 1);
}

/* --- messages --- */

/* "column 'subject'", or its number where it has no name or none yet. */
static void column_text(char out[static SHOWN + 16], const struct walk *w, size_t number)
{
	char shown[SHOWN];
	const struct column *c;

	if (!w->known || number > w->known->n) {
		snprintf(out, SHOWN + 16, "column %zu", number);
		return;
	}
	c = &w->known->column[number - 1];
	utf8_escape(shown, sizeof(shown), c->name, c->len);
	snprintf(out, SHOWN + 16, "column '%s'", shown);
}

static int bad_column(const struct walk *w, size_t number, const char *name, const struct row *row,
		      const char *what, struct err *e)
{
	char column[SHOWN + 16];

	column_text(column, w, number);
	return err_set(e, ERR_DATA, "%s:%llu: %s: %s", name, row->line, column, what);
}

/* libcsv stopped at octet @at. Of its two reasons only one has a quote there. */
static int bad_quotes(const struct walk *w, size_t at, const char *name, const struct row *row, struct err *e)
{
	const char *what = row->text[at] == '"' ? "a quote inside a field that is not in quotes" :
			   "text behind the closing quote";
	unsigned long long line = row->line;
	char more[SHOWN];

	for (const char *s = row->text; (s = memchr(s, '\n', at - (size_t)(s - row->text))); s++)
		line++;
	if (line == row->line)
		return bad_column(w, w->fields + 1, name, row, what, e);
	snprintf(more, sizeof(more), "%s, in line %llu", what, line);
	return bad_column(w, w->fields + 1, name, row, more, e);
}

/* --- libcsv --- */

/* All fields of @row to @w's. A parser for each call: it is small, on the stack, and no thread waits. */
static int walk(struct walk *w, char delimiter, const char *name, const struct row *row, struct err *e)
{
	struct csv_parser p;
	size_t at;
	int unended;

	if (row->fault)
		return row_refuse(row, name, e);
	if (memchr(row->text, '\0', row->len))
		return err_set(e, ERR_DATA, "%s:%llu: has a NUL", name, row->line);
	if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0)
		return err_set(e, ERR_SOFTWARE, "%s:%llu: csv_init() failed", name, row->line);
	csv_set_delim(&p, (unsigned char)delimiter);
	csv_set_space_func(&p, no_space);
	csv_set_realloc_func(&p, grow);
	csv_set_blk_size(&p, row->len + 1);
	at = csv_parse(&p, row->text, row->len, on_field, on_end, w);
	unended = at < row->len ? 0 : csv_fini(&p, on_field, on_end, w);
	csv_free(&p);
	if (w->broken)
		return bad_column(w, w->broken, name, row, "a carriage return or line feed outside of quotes",
				  e);
	if (at < row->len)
		return bad_quotes(w, at, name, row, e);
	if (unended)
		return bad_column(w, w->fields + 1, name, row, "the closing quote is missing", e);
	if (w->bad_utf8)
		return bad_column(w, w->bad_utf8, name, row, "not UTF-8", e);
	return 0;
}

/* --- the header --- */

/* The one that is there most often outside of quotes; of two the one that is more common in files. */
static char guess_delimiter(const struct row *row)
{
	static const char candidates[] = { ',', ';', '\t' };
	size_t count[ARRAY_SIZE(candidates)] = {0}, best = 0;
	bool quoted = false;

	for (size_t i = 0; i < row->len; i++) {
		quoted ^= row->text[i] == '"';
		for (size_t k = 0; k < ARRAY_SIZE(candidates) && !quoted; k++)
			count[k] += row->text[i] == candidates[k];
	}
	for (size_t k = 1; k < ARRAY_SIZE(candidates); k++)
		if (count[k] > count[best])
			best = k;
	return candidates[best];
}

/* The number of the column named so, from 1; 0: none among the first @n. */
static size_t number_of(const struct csv_header *h, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (h->column[i].len == len && !memcmp(h->column[i].name, name, len))
			return i + 1;
	return 0;
}

static int check_names(const struct csv_header *h, const char *name, const struct row *row, struct err *e)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct column *c = &h->column[i];
		size_t before = number_of(h, i, c->name, c->len);
		char shown[SHOWN];

		if (!c->len)
			return err_set(e, ERR_DATA, "%s:%llu: column %zu has no name", name, row->line,
				       i + 1);
		if (!before)
			continue;
		utf8_escape(shown, sizeof(shown), c->name, c->len);
		return err_set(e, ERR_DATA, "%s:%llu: columns %zu and %zu are both named '%s'", name,
			       row->line, before, i + 1, shown);
	}
	return 0;
}

int csv_header_read(struct csv_header **ret, const char *name, const struct row *row, struct err *e)
{
	CLEANUP(csv_header_freep) struct csv_header *h = xcalloc(1, sizeof(*h));
	struct walk w = { .header = h };

	h->delimiter = guess_delimiter(row);
	if (walk(&w, h->delimiter, name, row, e) < 0)
		return -1;
	if (w.fields > CSV_COLUMNS_MAX)
		return err_set(e, ERR_DATA, "%s:%llu: %zu columns, but at most %d are possible", name,
			       row->line, w.fields, CSV_COLUMNS_MAX);
	if (!h->n)
		return err_set(e, ERR_DATA, "%s:%llu: no columns", name, row->line);
	if (check_names(h, name, row, e) < 0)
		return -1;
	*ret = h;
	h = NULL;
	return 0;
}

void csv_header_free(struct csv_header *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n; i++)
		free(h->column[i].name);
	free(h->column);
	free(h);
}

bool csv_has_column(const struct csv_header *h, const char *name, size_t len)
{
	return number_of(h, h->n, name, len) != 0;
}

char csv_delimiter(const struct csv_header *h)
{
	return h->delimiter;
}

char *csv_columns(const struct csv_header *h)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(LIST_SHOWN);
	bool whole = true;

	for (size_t i = 0; i < h->n && whole; i++) {
		char shown[SHOWN];

		utf8_escape(shown, sizeof(shown), h->column[i].name, h->column[i].len);
		whole = buf_addf(&out, "%s%s", i ? ", " : "", shown) == 0;
	}
	return whole ? buf_take(&out, NULL) : xasprintf("%s, ...", out.data);
}

/* --- a record --- */

int csv_record(struct value **ret, const struct csv_header *h, const char *name, const struct row *row,
	       struct err *e)
{
	CLEANUP(value_freep) struct value *object = value_new(VALUE_OBJECT);
	struct walk w = { .known = h, .object = object, .line = (unsigned)row->line };

	object->line = w.line;
	object->column = 1;
	if (walk(&w, h->delimiter, name, row, e) < 0)
		return -1;
	if (w.fields != h->n)
		return err_set(e, ERR_DATA, "%s:%llu: %zu field%s, but the header has %zu column%s", name,
			       row->line, w.fields, w.fields == 1 ? "" : "s", h->n, h->n == 1 ? "" : "s");
	*ret = object;
	object = NULL;
	return 0;
}
