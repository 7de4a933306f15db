/* Ready messages: what is kept, mended, added, left out and refused; both renderings. */

#include "mime_check.h"

#include <fcntl.h>
#include <unistd.h>

static char directory[] = "/tmp/test_ready.XXXXXX";

static void put_message(const char *mem, size_t len)
{
	int fd = open("m.eml", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check(fd >= 0 && write(fd, mem, len) == (ssize_t)len);
	close(fd);
}

static struct message *message_of(struct mail_params *p, const char *mem, size_t len, struct err *e)
{
	put_message(mem, len);
	return message_of_json(p, "{\"from\":\"a@example.org\",\"rcpt\":\"b@example.org\",\"message_file\":\"m.eml\"}", e);
}

/* @text goes as @want and, where 7-bit is another thing, as @seven (NULL: the same; "": not possible). */
static void goes_len(const char *text, size_t len, const char *want, const char *seven)
{
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = message_of(&p, text, len, &e);
	struct source *s;

	if (!m) {
		printf("# %s\n", e.text);
		check(!"is taken");
	} else {
		check_rendering(m, false, &got);
		check_str(got.data, want);
		check_int(m->needs.seven_possible, !seven || *seven);
		if (m->needs.seven_possible) {
			check_rendering(m, true, &got);
			check_str(got.data, seven ? seven : want);
		} else {
			check_int(message_open(m, true, &s, &e), -1);
			check_int(m->needs.size_seven, -1);
		}
		check_int(m->needs.eightbit, seven && true);
		err_clear(&e);
		check_int(message_verify(m, &e), 0);
	}
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

#define goes(text, want, seven) goes_len(text, sizeof(text) - 1, want, seven)

static void refused_len(const char *text, size_t len, const char *word)
{
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = message_of(&p, text, len, &e);

	check(!m);
	check_int(e.class, ERR_DATA);
	check(e.text && strstr(e.text, word));
	if (e.text && !strstr(e.text, word))
		printf("# got: %s\n", e.text);
	message_free(m);
	mail_params_clear(&p);
	err_clear(&e);
}

#define refused(text, word) refused_len(text, sizeof(text) - 1, word)

/* A header that lacks nothing. */
#define H "From: x@example.org\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <m@example.org>\r\n"
#define MIME "MIME-Version: 1.0\r\n"

static void test_kept(void)
{
	test_case("a message that needs nothing is kept octet for octet");
	goes(H "sUBJECT :  odd\t case \r\nTo: \"a b\" (c) <b@x>\r\n\tfolded\r\n\r\nbody\r\n.\r\n",
	     H "sUBJECT :  odd\t case \r\nTo: \"a b\" (c) <b@x>\r\n\tfolded\r\n\r\nbody\r\n.\r\n", NULL);
	test_case("a header and no body");
	goes(H "\r\n", H "\r\n", NULL);
	test_case("a header that ends with the input");
	goes(H "Subject: s", H "Subject: s\r\n\r\n", NULL);
	test_case("line ends of every kind, none at the end");
	goes("From: x@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\rMessage-ID: <m@example.org>\r\n\na\rb\nc\r\r\nd",
	     H "\r\na\r\nb\r\nc\r\n\r\nd\r\n", NULL);
	test_case("the line of an mbox file");
	goes("From x@example.org Tue Nov 14\n" H "\nbody\n", H "\r\nbody\r\n", NULL);
	test_case("a field that begins like one");
	goes("From :x@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\nMessage-ID: <m@example.org>\n\nbody\n",
	     "From:x@example.org\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <m@example.org>\r\n\r\nbody\r\n",
	     NULL);
}

/* rows: MSG-01 */
static void test_look_alikes(void)
{
	static const struct { const char *text, *want; } table[] = {
		{ "\n.\n", "\r\n.\r\n" }, { "\n.\r", "\r\n.\r\n" }, { "\r.\n", "\r\n.\r\n" }, { "\r.\r", "\r\n.\r\n" },
		{ "\n.\r\n", "\r\n.\r\n" }, { "\r.\r\n", "\r\n.\r\n" }, { "\r\n.\r\r\n", "\r\n.\r\n\r\n" },
		{ "\r\r\n.\r\r\n", "\r\n\r\n.\r\n\r\n" }, { "\r\n.\n", "\r\n.\r\n" }, { "\r\n.", "\r\n.\r\n" }, { ".", ".\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		CLEANUP(freep) char *text = xasprintf(H "\r\nx%s", table[i].text);
		CLEANUP(freep) char *want = xasprintf(H "\r\nx%s", table[i].want);

		test_case("end of data look-alike %zu", i);
		goes_len(text, strlen(text), want, NULL);
	}
	test_case("NUL");
	refused(H "\r\nx\r\n\0.\r\n", "NUL");
	refused("From: x\0@example.org\r\n\r\n", "NUL");
}

static void test_fields(void)
{
	test_case("Bcc is left out, folded, several, in any case of letters");
	goes("Bcc: s@x,\r\n t@x\r\n" H "bCC : u@x\nResent-BCC:\n v@x\nTo: b@x\n\nBcc: body\n", H "To: b@x\r\n\r\nBcc: body\r\n", NULL);
	test_case("Date, From, Message-ID are added where they are missing");
	{
		struct buf got = BUF_INIT(ANY_SIZE);
		struct err e = ERR_INIT;
		struct mail_params p;
		static const char text[] = "Subject: s\n\nb\n";
		struct message *m = message_of(&p, text, sizeof(text) - 1, &e);

		check(m);
		if (m) {
			check_rendering(m, false, &got);
			check(strstr(got.data, "Subject: s\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: a@example.org\r\n"
				     "Message-ID: <"));
			check(strstr(got.data, m->message_id));
		}
		message_free(m);
		mail_params_clear(&p);
		buf_clear(&got);
		err_clear(&e);
	}
	test_case("raw text beyond ASCII in fields");
	goes(H "Subject: sch\xc3\xb6n\nTo: J\xc3\xb6rg <b@x>\n\nb\n",
	     H "Subject: =?utf-8?B?c2Now7Zu?=\r\nTo: =?utf-8?B?SsO2cmc=?= <b@x>\r\n\r\nb\r\n", NULL);
	test_case("raw text that is not UTF-8");
	refused(H "Subject: sch\xf6n\n\nb\n", "header field 4");
	test_case("an address beyond ASCII");
	{
		static const char text[] = H "To: \xc3\xbc@x.example\n\nb\n";
		struct err e = ERR_INIT;
		struct mail_params p;
		struct message *m = message_of(&p, text, sizeof(text) - 1, &e);

		check(m && m->needs.smtputf8 && !m->needs.eightbit);
		message_free(m);
		mail_params_clear(&p);
		err_clear(&e);
	}
	test_case("twice what may be once");
	refused(H "Subject: a\nSubject: b\n\n", "two Subject");
	refused(H "FROM: y@x\n\n", "two FROM");
	refused(H "Date: x\n\n", "two Date");
	refused(H "Message-ID: <a@b>\n\n", "two Message-ID");
	refused(H "To: a@b\nTo: c@d\n\n", "two To");
}

static void test_broken(void)
{
	test_case("what is no header");
	refused("", "is empty");
	refused("\n" H "\nb\n", "no header");
	refused(" folded: x\n" H "\n", "first line");
	refused("hello\nworld\n", "first line");
	refused(H "Subject: x\nno colon here\n\nb\n", "neither a field");
	refused(H ">From x\n\nb\n", "neither a field");
	test_case("a header over 1 MiB");
	{
		struct buf text = BUF_INIT(ANY_SIZE);

		check_int(buf_adds(&text, H), 0);
		for (int i = 0; i < 20000; i++)
			check_int(buf_addf(&text, "X-%d: 012345678901234567890123456789012345678901234567890123456789\n", i), 0);
		check_int(buf_adds(&text, "\nb\n"), 0);
		refused_len(text.data, text.len, "1048576");
		buf_clear(&text);
	}
}

static void test_eightbit(void)
{
	test_case("8-bit text without MIME fields");
	goes(H "\nh\xc3\xa9 is how they write it over there, I am told\n",
	     H MIME "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	     "h\xc3\xa9 is how they write it over there, I am told\r\n",
	     H MIME "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	     "h=C3=A9 is how they write it over there, I am told\r\n");
	test_case("8-bit text in no known charset, without an end of line");
	goes(H "\nh\xe9 is how they write it over there, I am told",
	     H MIME "Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	     "h\xe9 is how they write it over there, I am told\r\n",
	     H MIME "Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	     "h=E9 is how they write it over there, I am told\r\n");
	test_case("8-bit text that says what it is");
	goes(H MIME "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nh\xe9llo to all of you\n",
	     H MIME "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	     "h\xe9llo to all of you\r\n",
	     H MIME "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	     "h=E9llo to all of you\r\n");
	test_case("8-bit that says it is 7bit is put right");
	goes(H MIME "Content-Type: image/x\nContent-Transfer-Encoding: 7bit\n\n\xe9\n",
	     H MIME "Content-Type: image/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n",
	     H MIME "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n6Q0K\r\n");
	test_case("8-bit in what is encoded already");
	goes(H MIME "Content-Transfer-Encoding: quoted-printable\n\n\xe9=20\n",
	     H MIME "Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe9=20\r\n",
	     H MIME "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9=20\r\n");
	test_case("text that is called quoted-printable and has a \"=\" of its own before such an octet");
	goes(H MIME "Content-Transfer-Encoding: quoted-printable\n\na=\xe9=20\n",
	     H MIME "Content-Transfer-Encoding: quoted-printable\r\n\r\na=\xe9=20\r\n",
	     H MIME "Content-Transfer-Encoding: quoted-printable\r\n\r\na=3D=E9=20\r\n");
	goes(H MIME "Content-Transfer-Encoding: x-own\n\n\xe9\n",
	     H MIME "Content-Transfer-Encoding: x-own\r\n\r\n\xe9\r\n", "");
}

#define MULTI(kind) H MIME "Content-Type: multipart/" kind "; boundary=\"b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
#define MULTI7(kind) H MIME "Content-Type: multipart/" kind "; boundary=\"b\"\r\n\r\n"

static void test_multipart(void)
{
	test_case("parts that are 8-bit, and only they");
	goes(MULTI("mixed") "preamble\r\n--b\r\n\r\nplain\r\n--b  \r\nContent-Type: text/plain; charset=utf-8\r\n"
	     "Content-Transfer-Encoding: 8bit\r\nX: y\r\n\r\nh\xc3\xa9 is how they write it over there\r\n\r\n--b\r\n"
	     "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n",
	     MULTI("mixed") "preamble\r\n--b\r\n\r\nplain\r\n--b  \r\nContent-Type: text/plain; charset=utf-8\r\n"
	     "Content-Transfer-Encoding: 8bit\r\nX: y\r\n\r\nh\xc3\xa9 is how they write it over there\r\n\r\n--b\r\n"
	     "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n",
	     MULTI7("mixed") "preamble\r\n--b\r\n\r\nplain\r\n--b  \r\nContent-Type: text/plain; charset=utf-8\r\n"
	     "X: y\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nh=C3=A9 is how they write it over there\r\n\r\n--b\r\n"
	     "Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n");
	test_case("preamble and epilogue that nobody is shown");
	goes(MULTI("mixed") "pr\xe9\r\n--b\r\n\r\nx\r\n--b--\r\n\xe9pi\r\n",
	     MULTI("mixed") "pr\xe9\r\n--b\r\n\r\nx\r\n--b--\r\n\xe9pi\r\n",
	     MULTI7("mixed") "--b\r\n\r\nx\r\n--b--\r\n");
	test_case("a message in a message in a digest, without a closing boundary");
	goes(MULTI("digest") "--b\r\n\r\nSubject: h\xc3\xa9\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n"
	     "h\xc3\xa9 is how they write it over there",
	     MULTI("digest") "--b\r\n\r\nSubject: h\xc3\xa9\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n"
	     "h\xc3\xa9 is how they write it over there\r\n",
	     MULTI7("digest") "--b\r\n\r\nSubject: =?utf-8?B?aMOp?=\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n"
	     "Content-Transfer-Encoding: quoted-printable\r\n\r\nh=C3=A9 is how they write it over there\r\n");
	test_case("an address in a part's header, raw, is nobody's: it is encoded as text, and SMTPUTF8 is not needed");
	goes(MULTI("mixed") "--b\r\nTo: \xc3\xbc@example.org\r\n\r\nx\r\n--b--\r\n",
	     MULTI("mixed") "--b\r\nTo: \xc3\xbc@example.org\r\n\r\nx\r\n--b--\r\n",
	     MULTI7("mixed") "--b\r\nTo: =?utf-8?B?w7xAZXhhbXBsZS5vcmc=?=\r\n\r\nx\r\n--b--\r\n");
	test_case("an inner multipart that lacks its end");
	goes(MULTI("mixed") "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\n\xe9\r\n--b\r\n\r\ny\r\n--b--\r\n",
	     MULTI("mixed") "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\n\xe9\r\n--b\r\n\r\ny\r\n--b--\r\n",
	     MULTI7("mixed") "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n"
	     "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--b\r\n\r\ny\r\n--b--\r\n");
	test_case("what is signed is not touched");
	goes(MULTI("signed") "--b\r\n\r\n\xe9\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n",
	     MULTI("signed") "--b\r\n\r\n\xe9\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n", "");
	test_case("what is signed and 7-bit needs nothing");
	goes(MULTI7("signed") "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b\r\n\r\nsig\r\n--b--\r\n",
	     MULTI7("signed") "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b\r\n\r\nsig\r\n--b--\r\n", NULL);
	test_case("a part's header with a line that is no field says nothing that all readers would see");
	goes(MULTI("mixed") "--b\r\nX: y\r\njunk\r\n\r\n\xe9\r\n--b--\r\n",
	     MULTI("mixed") "--b\r\nX: y\r\njunk\r\n\r\n\xe9\r\n--b--\r\n", "");
	test_case("a part's header and nothing behind it");
	goes(MULTI7("mixed") "--b\r\nContent-Type: text/plain\r\n--b\r\n--b--\r\n",
	     MULTI7("mixed") "--b\r\nContent-Type: text/plain\r\n--b\r\n--b--\r\n", NULL);
}

/* A line of @n octets in the place of the %s in @before ... @after. */
static char *with_long(const char *before, size_t n, const char *after)
{
	char *line = xmalloc(n + 1), *whole;

	memset(line, 'x', n);
	line[n] = '\0';
	whole = xasprintf("%s%s%s", before, line, after);
	free(line);
	return whole;
}

static void long_lines(const char *before, const char *after, const char *const *words, const char *refusal)
{
	CLEANUP(freep) char *text = with_long(before, 999, after);
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m;

	if (refusal) {
		refused_len(text, strlen(text), refusal);
		return;
	}
	m = message_of(&p, text, strlen(text), &e);
	check(m && !m->needs.eightbit);
	for (int seven = 0; m && seven < 2; seven++) {
		check_rendering(m, seven, &got);
		for (const char *const *w = words; *w; w++)
			check(strstr(got.data, *w));
	}
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

#define words(...) (const char *const []){ __VA_ARGS__, NULL }

#define BLANKS_10 "          "
#define BLANKS_100 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10
#define BLANKS BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100 BLANKS_100

static void test_boundaries(void)
{
	test_case("white space behind a boundary that passes 998");
	goes(MULTI7("mixed") "--b" BLANKS "\n\nx\n--b--" BLANKS, MULTI7("mixed") "--b\r\n\r\nx\r\n--b--\r\n", NULL);
	/* its own boundaries are not what is signed */
	goes(MULTI7("signed") "--b" BLANKS "\n\nx\n--b--" BLANKS "\n", MULTI7("signed") "--b\r\n\r\nx\r\n--b--\r\n", NULL);
	refused(MULTI7("signed") "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c" BLANKS "\n\nx\n--b--\n", "signed");
	test_case("a type counts where its parameters cannot be read");
	goes(H MIME "Content-Type: multipart/mixed; boundary=b;; x\n\n--b\nContent-Type: IMAGE/x; name=a b\n\n\xe9\n--b--\n",
	     H MIME "Content-Type: multipart/mixed; boundary=b;; x\r\n\r\n--b\r\nContent-Type: IMAGE/x; name=a b\r\n\r\n\xe9\r\n--b--\r\n",
	     H MIME "Content-Type: multipart/mixed; boundary=b;; x\r\n\r\n--b\r\nContent-Type: IMAGE/x; name=a b\r\n"
	     "Content-Transfer-Encoding: base64\r\n\r\n6Q==\r\n--b--\r\n");
	goes(H MIME "Content-Type: multipart/mixed; x\nContent-Transfer-Encoding: 8bit\n\n--b\n\n\xe9\n--b--\n",
	     H MIME "Content-Type: multipart/mixed; x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\n\r\n\xe9\r\n--b--\r\n", "");
	test_case("a boundary that is not ASCII makes no multipart");
	goes(MULTI7("mixed") "--b\nContent-Type: multipart/mixed; boundary=\"\xc3\xa9\"\n\n--\xc3\xa9\n\nx\n--b--\n",
	     MULTI7("mixed") "--b\r\nContent-Type: multipart/mixed; boundary=\"\xc3\xa9\"\r\n\r\n"
	     "--\xc3\xa9\r\n\r\nx\r\n--b--\r\n", "");
}

/* rows: MSG-04 */
static void test_long(void)
{
	test_case("a line of 998 is kept, one of 999 encoded");
	{
		CLEANUP(freep) char *text = with_long(H "\r\n", 998, "\r\n");

		goes_len(text, strlen(text), text, NULL);
	}
	long_lines(H "\r\n", "\r\n", words("MIME-Version: 1.0\r\n", "Content-Type: text/plain; charset=us-ascii\r\n",
					  "Content-Transfer-Encoding: quoted-printable\r\n"), NULL);
	test_case("in a part");
	long_lines(MULTI7("mixed") "--b\r\nContent-Type: image/x\r\n\r\n", "\r\n--b--\r\n",
		   words("Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\neHh4"), NULL);
	test_case("in a preamble");
	long_lines(MULTI7("mixed"), "\r\n--b\r\n\r\nx\r\n--b--\r\n", words("\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"), NULL);
	test_case("in a header that can be folded");
	long_lines(H "Subject: a b ", " c\r\n\r\nx\r\n", words("Subject: a b"), NULL);
	test_case("in a part's header");
	long_lines(MULTI7("mixed") "--b\r\nX-Long: a ", "\r\n\r\nx\r\n--b--\r\n", words("X-Long: "), NULL);
	test_case("in something signed");
	long_lines(MULTI7("signed") "--b\r\n\r\n", "\r\n--b--\r\n", NULL, "signed");
	test_case("in a part that may not be encoded");
	long_lines(MULTI7("mixed") "--b\r\nContent-Type: message/delivery-status\r\n\r\n", "\r\n--b--\r\n", NULL, "may not be encoded");
	test_case("in base64, quoted-printable");
	long_lines(H MIME "Content-Transfer-Encoding: base64\r\n\r\n", "\r\n",
		   words("base64\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nx"), NULL);
	long_lines(H MIME "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "\r\ny=\r\nz",
		   words("xxx=\r\nxxx", "xx\r\ny=\r\nz\r\n"), NULL);
	long_lines(MULTI7("mixed") "--b\r\nContent-Transfer-Encoding: x-own\r\n\r\n", "\r\n--b--\r\n", NULL, "not known");
	test_case("of 10 MB");
	{
		CLEANUP(freep) char *text = with_long(H "\r\n", 10000000, "\r\n");
		struct err e = ERR_INIT;
		struct mail_params p;
		struct message *m = message_of(&p, text, strlen(text), &e);
		struct buf got = BUF_INIT(ANY_SIZE);

		check(m);
		if (m)
			check_rendering(m, false, &got);
		message_free(m);
		mail_params_clear(&p);
		buf_clear(&got);
		err_clear(&e);
	}
}

/* Line ends and boundaries on every edge of the 64 KiB pieces in which the input is read. */
static void test_edges(void)
{
	/* rows: MSG-02 */
	for (size_t at = 65530; at <= 65540; at++) {
		CLEANUP(freep) char *fill = with_long("", 900, "\r\n"), *text = NULL;
		struct buf b = BUF_INIT(ANY_SIZE);

		test_case("a boundary and an end-of-data look-alike around octet %zu", at);
		check_int(buf_adds(&b, MULTI7("mixed") "--b\r\n\r\n"), 0);
		while (b.len + 902 + 50 < at)
			check_int(buf_adds(&b, fill), 0);
		while (b.len < at)
			check_int(buf_adds(&b, "y"), 0);
		check_int(buf_adds(&b, "\r\n.\r\n\r\n--b\r\n\r\nz\r\n--b--\r\n"), 0);
		text = buf_take(&b, NULL);
		goes_len(text, strlen(text), text, NULL);
	}
}

/* rows: MSG-12 */
static void test_depth(void)
{
	struct buf b = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m;

	test_case("5000 messages in each other, 8-bit at the bottom");
	check_int(buf_adds(&b, H MIME), 0);
	for (int i = 0; i < 5000; i++)
		check_int(buf_adds(&b, "Content-Type: message/rfc822\r\n\r\n"), 0);
	check_int(buf_adds(&b, "Subject: x\r\n\r\n\xc3\xa9\r\n"), 0);
	m = message_of(&p, b.data, b.len, &e);
	check(m && m->needs.seven_possible && m->needs.eightbit);
	buf_reset(&b);
	if (m)
		check_rendering(m, true, &b);
	message_free(m);
	mail_params_clear(&p);

	test_case("3000 multiparts in each other: too deep to mend, not to send");
	buf_reset(&b);
	check_int(buf_adds(&b, H MIME), 0);
	for (int i = 0; i < 3000; i++)
		check_int(buf_addf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i), 0);
	check_int(buf_adds(&b, "\r\n\xc3\xa9\r\n"), 0);
	m = message_of(&p, b.data, b.len, &e);
	check(m && !m->needs.seven_possible && m->needs.eightbit);
	if (m)
		check_rendering(m, false, &b);
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&b);
	err_clear(&e);
}

static void test_changes(void)
{
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m;
	struct source *s;
	static const char text[] = H "\r\nbody\r\n", other[] = H "\r\nbody that is longer\r\n";

	test_case("a file that changes is found out before the dot, and while it is read");
	m = message_of(&p, text, sizeof(text) - 1, &e);
	check(m);
	put_message(other, sizeof(other) - 1);
	check_int(message_verify(m, &e), -1);
	check_int(e.class, ERR_DATA);
	check_int(message_open(m, false, &s, &e), 0);
	check_int(drain_by(s, 100, &got, &e), -1);
	source_free(s);
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

int main(void)
{
	if (!mkdtemp(directory) || chdir(directory) < 0)
		return 1;
	test_kept();
	test_look_alikes();
	test_fields();
	test_broken();
	test_eightbit();
	test_multipart();
	test_boundaries();
	test_long();
	test_edges();
	test_depth();
	test_changes();
	if (unlink("m.eml") < 0 || chdir("/") < 0 || rmdir(directory) < 0)
		return 1;
	return check_done();
}
