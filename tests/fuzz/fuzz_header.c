/*
 * Z4 and Z5: header fields and parameters of any text. What is accepted is one
 * field of legal lines that reads back as the text; what is refused leaves
 * the buffer as it was.
 *
 * Input: one octet that chooses the writer, one for the field, then the value;
 * for parameters "name NUL value".
 */

#include "mime_decode.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "text/addr.h"
#include "text/header.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {
	"Subject", "X-Custom", "Reply-To", "References", "Content-Type", "Content-Disposition",
	"X-A-Name-That-Is-So-Long-That-Hardly-Anything-Fits-Behind-It-On-Its-Line-abc",
};

/* @value may be refused: then for a reason. */
static bool good_text(const char *value)
{
	return !strpbrk(value, "\r\n") && utf8_valid(value, strlen(value)) == strlen(value);
}

static void fuzz_text(const char *field, const char *value, struct buf *out, struct err *e)
{
	int r = header_text(out, field, value, e);

	assert((r == 0) == good_text(value));
	if (r)
		return;
	assert(!md_lint(out->data, out->len));

	char *text = md_unfold(out->data, out->len), *back = md_decode_words(text);

	assert(!strcmp(back, value));
	free(text);
	free(back);
}

static void fuzz_raw(const char *field, const char *value, struct buf *out, struct err *e)
{
	if (header_raw(out, field, value, e) < 0)
		return;
	assert(good_text(value));
	/* a non-ASCII local part stays as it is; nothing else */
	if (field_kind(field) != FIELD_ADDRESSES || ascii_only(out->data, out->len))
		assert(!md_lint_given(out->data, out->len));
	if (!ascii_only(value, strlen(value)) || field_kind(field) == FIELD_UNSTRUCTURED)
		return;

	char *text = md_unfold(out->data, out->len);

	/* ASCII passes octet for octet, but for white space at its ends */
	assert(!strncmp(text, value, strlen(text)) || !value[strspn(value, " \t")]);
	free(text);
}

static void fuzz_params(const char *name, const char *value, struct buf *out, struct err *e)
{
	struct header_param p[2] = { { name, value }, { "last", "x" } };
	char *text, *back, *type;

	if (header_params(out, "Content-Type", "text/plain", p, 2, e) < 0) {
		/* a boundary is not cut in pieces, so one that passes a line is refused; 70 is the most of RFC 2046 */
		if (!strcasecmp(name, "boundary") && strlen(value) > 998 - strlen(" boundary=;"))
			return;
		assert(!good_text(value) || strlen(name) > 40 || strlen(value) > 16384 || !*name ||
		       strpbrk(name, " ()<>@,;:\\\"/[]?=*'%") || !ascii_only(name, strlen(name)) ||
		       strspn(name, "!#$&+-.^_`{|}~"
			      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") < strlen(name));
		return;
	}
	assert(!md_lint(out->data, out->len));
	assert(!strcasecmp(name, "boundary") || md_longest(out->data, out->len) <= 78);
	text = md_unfold(out->data, out->len);
	back = md_param(text, name, false);
	assert(back && (!strcmp(back, value) || !strcasecmp(name, "last")));
	free(back);
	/* our own reader takes it, and agrees about what is plain */
	assert(!media_type_parse(&type, text, e) && !strcmp(type, "text/plain"));
	free(type);
	back = media_type_param(text, "last");
	assert(back && (!strcmp(back, "x") || !strcasecmp(name, "last")));
	free(back);
	free(text);
}

static void fuzz_mailbox(const char *name, struct buf *out, struct err *e)
{
	struct mailbox m = { .name = (char *)name, .local = (char *)"local", .domain = (char *)"example.org" };
	struct header_addresses h;
	bool eai = false;

	assert(!header_addresses_begin(&h, out, "To", e));
	for (int i = 0; i < 3; i++) {
		int r = header_addresses_add(&h, &m, &eai, e);

		assert((r == 0) == good_text(name));
		if (r)
			return;
	}
	assert(!header_addresses_end(&h, e));
	assert(!md_lint(out->data, out->len) && md_longest(out->data, out->len) <= 78 && !eai);

	if (strlen(name) > 2000)
		return;         /* as encoded words over what the address parser takes */
	/* read by the address parser it is the same three mailboxes, their names the same once decoded */
	char *text = md_unfold(out->data, out->len);
	struct addr_cursor cursor = { .at = text, .end = text + strlen(text) };
	struct mailbox got = {0};
	int count = 0;

	while (mailbox_list_next(&cursor, &got, 0, e) > 0) {
		char *back = got.name ? md_decode_words(got.name) : NULL;

		count++;
		assert(!strcmp(got.local, "local") && !strcmp(got.domain, "example.org"));
		assert(*name ? back && !strcmp(back, name) : !back);
		free(back);
		mailbox_clear(&got);
	}
	assert(count == 3);
	free(text);
}

static void fuzz_media_type(const char *value, struct err *e)
{
	char *type = NULL, *charset = media_type_param(value, "charset");

	if (media_type_parse(&type, value, e) == 0) {
		assert(strchr(type, '/') && !strpbrk(type, " \t\r\n;()\""));
		free(type);
	}
	free(charset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 24);
	struct err e = ERR_INIT;

	if (size < 2)
		return 0;
	char *value = malloc(size - 1);
	const char *field = fields[data[1] % ARRAY_SIZE(fields)];

	memcpy(value, data + 2, size - 2);
	value[size - 2] = '\0';
	switch (data[0] % 5) {
	case 0:
		fuzz_text(field, value, &out, &e);
		break;
	case 1:
		fuzz_raw(field, value, &out, &e);
		break;
	case 2: {
		size_t n = strlen(value);

		fuzz_params(value, n < size - 2 ? value + n + 1 : "", &out, &e);
		break;
	}
	case 3:
		fuzz_mailbox(value, &out, &e);
		break;
	case 4:
		fuzz_media_type(value, &e);
		break;
	}
	if (e.class != ERR_NONE)
		assert(e.class == ERR_DATA && e.text && !out.len);
	err_clear(&e);
	free(value);
	return 0;
}
