/*
 * Z7: any octets as a ready message. What is taken is clean on the wire in
 * both renderings, of the size it says, without Bcc; taken again it stays as
 * it is, and its 7-bit rendering needs no other.
 *
 * Input: one octet for the size of reads, then the message, in which \x01 N C stands for C, 8 * N times: a
 * fuzzer comes by lines of more than 998 octets only so. From 100 on the first octet gives names a domain and an
 * alias, from 200 on an author is forced, and a text without a header is a body.
 */

#include "mime_lint.h"

#include "base/xalloc.h"
#include "mime/ready.h"
#include "model/local_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned variant;        /* of this input: 0, 1 or 2 */

static struct message *take(const void *mem, size_t len)
{
	static struct field alias[] = {
		{ (char *)"root", (char *)"ann@example.org, Bob <bob@example.org>" }, { (char *)"ops", (char *)"root, \\ops" },
	};
	struct mail_params p = { .from_box = { .local = (char *)"a", .domain = (char *)"example.org" } };
	struct err e = ERR_INIT;
	struct message *m = NULL;
	static char path[64];   /* borrowed by the message */

	ml_file(path, mem, len);
	p.message_file = path;
	ml_state = 1;
	if (variant) {
		p.mail_domain = (char *)"example.org";
		p.aliases = (struct fields){ alias, ARRAY_SIZE(alias), ARRAY_SIZE(alias) };
	}
	if (variant == 2) {
		p.force_from_box = (struct mailbox){ .local = (char *)"forced", .domain = (char *)"example.net" };
		p.from_box = p.force_from_box;
		p.headless = true;
	}
	assert(local_names_make(&p.names, &p, &e) == 0);
	if (message_ready(&m, &(struct ready *){0}, &p, &ml_sys, &e) < 0) {
		assert(e.class == ERR_DATA && e.text && *e.text);
		m = NULL;
	}
	err_clear(&e);
	local_names_free(p.names);
	return m;
}

/* What was put goes as it is. */
static void check_again(const struct buf *out, bool eightbit)
{
	struct buf again = BUF_INIT(1 << 26);
	struct message *m = take(out->data, out->len);

	assert(m);
	assert(eightbit || !m->needs.eightbit);
	ml_rendering(m, false, 7, &again);
	assert(again.len == out->len && !memcmp(again.data, out->data, out->len));
	message_free(m);
	buf_clear(&again);
}

static void unfold(struct buf *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		const unsigned run = i + 2 < size && data[i] == 1 ? 8 * data[i + 1] : 1;

		if (run != 1)
			i += 2;
		for (unsigned n = 0; n < run; n++)
			assert(buf_add(out, &data[i], 1) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(1 << 26), as_is = BUF_INIT(1 << 26), seven = BUF_INIT(1 << 26);
	bool eightbit, possible;
	struct message *m;

	if (!size)
		return 0;
	variant = data[0] / 100;
	unfold(&text, data + 1, size - 1);
	m = take(text.data, text.len);
	buf_clear(&text);
	if (!m)
		return 0;
	/* A second message would take the file's place: this one is done with first. */
	eightbit = m->needs.eightbit;
	possible = m->needs.seven_possible;
	ml_rendering(m, false, data[0] % 100 + 1, &as_is);
	if (possible)
		ml_rendering(m, true, data[0] % 100 + 1, &seven);
	assert(possible || eightbit);
	message_free(m);
	assert(!ml_has_field(as_is.data, "Bcc") && !ml_has_field(as_is.data, "Resent-Bcc"));
	assert(ml_has_field(as_is.data, "From") && ml_has_field(as_is.data, "Date") &&
	       ml_has_field(as_is.data, "Message-ID"));
	check_again(&as_is, eightbit);
	if (possible)
		check_again(&seven, false);
	buf_clear(&as_is);
	buf_clear(&seven);
	return 0;
}
