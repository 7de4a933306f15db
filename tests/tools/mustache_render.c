/*
 * {"template": "...", "data": ...} from standard input, rendered as HTML with missing names empty: the text
 * on standard output, or 65 and the error on standard error. For tests/e2e/test_mustache_spec.py, and for
 * trying things by hand.
 */

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "input/input.h"
#include "model/mustache.h"
#include "model/value.h"

#include <stdio.h>

static int render(const struct value *job, struct buf *out, struct err *e)
{
	CLEANUP(mustache_freep) struct mustache *t = NULL;
	const struct value *template = value_get(job, "template"), *data = value_get(job, "data");

	if (!data || !template || template->type != VALUE_STR)
		return err_set(e, ERR_USAGE, "no \"template\", or no \"data\"");
	if (mustache_compile(&t, template->str, template->len, e) < 0)
		return -1;
	return mustache_render(t, data, MUSTACHE_HTML | MUSTACHE_MISSING_EMPTY, out, e);
}

int main(void)
{
	CLEANUP(value_freep) struct value *job = NULL;
	CLEANUP(buf_clear) struct buf in = BUF_INIT(64 << 20), out = BUF_INIT(64 << 20);
	struct err e = ERR_INIT;
	char part[4096];
	size_t n;
	int r;

	while ((n = fread(part, 1, sizeof(part), stdin)))
		if (buf_add(&in, part, n) < 0)
			return 65;
	if (json_read_data(&job, "stdin", 1, in.data, in.len, &e) < 0 || render(job, &out, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		r = err_exit_code(&e);
		err_clear(&e);
		return r;
	}
	return fwrite(out.data, 1, out.len, stdout) == out.len && !fflush(stdout) ? 0 : 74;
}
