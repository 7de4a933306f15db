/* Composition: params as JSON, the message octet for octet; what is refused, and with which class. */

#include "mime_check.h"

#include "mime/entity.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/test_compose.XXXXXX";

static void put_file(const char *name, const char *mem, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check(fd >= 0 && write(fd, mem, len) == (ssize_t)len);
	close(fd);
}

#define put_text(name, text) put_file(name, text, sizeof(text) - 1)

/* The whole message of @json is @want. */
static void whole(const char *json, const char *want)
{
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = message_of_json(&p, json, &e);

	if (!m) {
		printf("# %s\n", e.text);
		check(!"composes");
	} else {
		check_rendering(m, false, &got);
		check_str(got.data, want);
		check_rendering(m, true, &got);
		check_str(got.data, want);
		check(m->needs.seven_possible && !m->needs.eightbit && !m->needs.once);
		check_int(message_verify(m, &e), 0);
	}
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

/* COMMON and @rest give the common header and @want. */
#define common(rest, want) whole("{" COMMON "," rest "}", COMMON_HEAD COMMON_ID COMMON_MIME want)

static void refused(const char *json, enum err_class class, const char *word)
{
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = message_of_json(&p, json, &e);

	check(!m);
	check_int(e.class, class);
	check(e.text && strstr(e.text, word));
	if (e.text && !strstr(e.text, word))
		printf("# got: %s\n", e.text);
	message_free(m);
	mail_params_clear(&p);
	err_clear(&e);
}

#define common_refused(rest, class, word) refused("{" COMMON "," rest "}", class, word)

/* A leaf's octets, decoded, are found by their encoded text; @contains is in the message of COMMON and @rest. */
static void contains(const char *rest, const char *const *words)
{
	CLEANUP(freep) char *json = xasprintf("{" COMMON ",%s}", rest);
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = message_of_json(&p, json, &e);

	if (!m) {
		printf("# %s\n", e.text);
		check(!"composes");
	} else {
		check_rendering(m, false, &got);
		for (; *words; words++) {
			check(strstr(got.data, *words));
			if (!strstr(got.data, *words))
				printf("# no \"%s\" in:\n# %s\n", *words, got.data);
		}
	}
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

#define has(rest, ...) contains(rest, (const char *const []){ __VA_ARGS__, NULL })

#define ASCII "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"

static void test_text(void)
{
	/* rows: MSG-03, MSG-09 */
	test_case("line ends of every kind become CRLF");
	common("\"body\":\"a\\nb\\r\\nc\\rd\\r\\r\\ne\"", ASCII "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n");
	test_case("an empty body");
	common("\"body\":\"\"", ASCII);
	test_case("no body at all");
	whole("{" COMMON "}", COMMON_HEAD COMMON_ID COMMON_MIME ASCII);
	test_case("a body of one octet");
	common("\"body\":\"x\"", ASCII "x\r\n");
	test_case("a body of a newline");
	common("\"body\":\"\\n\"", ASCII "\r\n");
	test_case("a body of dots");
	common("\"body\":\".\\n..\\n.\\n\"", ASCII ".\r\n..\r\n.\r\n");

	/* rows: MSG-06, MSG-05 */
	test_case("text beyond ASCII");
	common("\"body\":\"sch\\u00f6n, says everybody who has seen it\\n\"",
	       "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	       "sch=C3=B6n, says everybody who has seen it\r\n");
	test_case("From at the start of a line and blanks at its end");
	common("\"body\":\"From here on\\nwith a blank at its end \\nand words enough for quoted-printable\\n\"",
	       "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	       "=46rom here on\r\nwith a blank at its end=20\r\nand words enough for quoted-printable\r\n");
	test_case("encoding as asked for");
	common("\"body\":\"x\\n\",\"encoding\":\"base64\"",
	       "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: base64\r\n\r\neA0K\r\n");
	test_case("8bit is a limit, not an order");
	common("\"body\":\"x\\n\",\"encoding\":\"8bit\"", ASCII "x\r\n");
	test_case("7bit that cannot be");
	common_refused("\"body\":\"\\u00f6\",\"encoding\":\"7bit\"", ERR_DATA, "octets over 127");
}

static void test_charset(void)
{
	put_text("latin", "caf\xe9 au lait, and more of the same to make it worth its while\n");
	put_text("utf16", "\xff\xfeh\0i\0");
	put_text("nul", "a\0b\n");

	/* rows: MSG-07 */
	test_case("a file that is not UTF-8");
	has("\"body_file\":\"latin\"", "charset=unknown-8bit\r\n", "caf=E9 au lait");
	test_case("a file that is not UTF-8 as the charset that it is in");
	has("\"body_file\":\"latin\",\"charset\":\"iso-8859-1\"", "charset=iso-8859-1\r\n", "caf=E9");
	test_case("a file that is not UTF-8 where UTF-8 was asked for");
	common_refused("\"body_file\":\"latin\",\"charset\":\"utf-8\"", ERR_DATA, "UTF-8");
	test_case("UTF-16");
	common_refused("\"body_file\":\"utf16\"", ERR_DATA, "UTF-16");
	common_refused("\"body_file\":\"latin\",\"charset\":\"utf-16\"", ERR_DATA, "utf-16");
	test_case("NUL in a text");
	common_refused("\"body_file\":\"nul\"", ERR_DATA, "NUL");
	test_case("a JSON string is UTF-8 and nothing else");
	common_refused("\"body\":\"\\u00f6\",\"charset\":\"iso-8859-1\"", ERR_DATA, "iso-8859-1");
}

static void test_lines(void)
{
	struct buf body = BUF_INIT(ANY_SIZE);
	static const size_t lens[] = { 77, 78, 998, 999, 1000, 100000 };

	/* rows: MSG-04 */
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		test_case("a line of %zu", lens[i]);
		buf_reset(&body);
		for (size_t k = 0; k < lens[i]; k++)
			check_int(buf_adds(&body, "x"), 0);
		put_file("long", body.data, body.len);
		has("\"body_file\":\"long\"", lens[i] > 998 ? "Content-Transfer-Encoding: quoted-printable\r\n" :
		    "Content-Transfer-Encoding: 7bit\r\n");
	}
	buf_clear(&body);
}

static void test_headers(void)
{
	/* rows: HDR-02 */
	test_case("all fields in their order");
	whole("{\"from\":\"J\\u00f6rg <a@example.org>\",\"sender\":\"s@example.org\",\"to\":[\"b@example.org\",\"C <c@x.example>\"],"
	      "\"cc\":\"d@x.example\",\"bcc\":\"secret@x.example\",\"reply_to\":\"r@example.org\",\"subject\":\"S\","
	      "\"date\":\"@1700000000\",\"zone\":\"+0100\",\"message_id\":\"<id@example.org>\",\"in_reply_to\":\"<1@x>\","
	      "\"references\":\"<0@x> <1@x>\",\"headers\":[[\"X-B\",\"2\"],[\"X-A\",\"1\"],[\"X-B\",\"3\"]],"
	      "\"auto_submitted\":\"auto-generated\",\"priority\":\"high\",\"body\":\"x\"}",
	      "Date: Tue, 14 Nov 2023 23:13:20 +0100\r\nFrom: =?utf-8?B?SsO2cmc=?= <a@example.org>\r\n"
	      "Sender: s@example.org\r\nReply-To: r@example.org\r\nTo: b@example.org, C <c@x.example>\r\nCc: d@x.example\r\n"
	      "Subject: S\r\nMessage-ID: <id@example.org>\r\nIn-Reply-To: <1@x>\r\nReferences: <0@x> <1@x>\r\n"
	      "X-B: 2\r\nX-A: 1\r\nX-B: 3\r\nAuto-Submitted: auto-generated\r\nImportance: high\r\nX-Priority: 1\r\n"
	      "MIME-Version: 1.0\r\n" ASCII "x\r\n");
	test_case("only Bcc");
	whole("{\"from\":\"a@example.org\",\"bcc\":\"secret@x.example\",\"date\":\"@1700000000\",\"zone\":\"+0000\","
	      "\"message_id\":\"<id@example.org>\",\"body\":\"x\"}",
	      "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: a@example.org\r\nTo: undisclosed-recipients:;\r\n"
	      "Message-ID: <id@example.org>\r\nMIME-Version: 1.0\r\n" ASCII "x\r\n");
	test_case("a custom field stands in its generated one's place, in any case of letters");
	whole("{" COMMON ",\"subject\":\"S\",\"headers\":{\"fRoM\":\"Z <z@example.org>\",\"X\":\"1\",\"SUBJECT\":\"T\"},\"body\":\"x\"}",
	      "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: Z <z@example.org>\r\nTo: b@example.org\r\nSubject: T\r\n"
	      "Message-ID: <id@example.org>\r\nX: 1\r\nMIME-Version: 1.0\r\n" ASCII "x\r\n");
	test_case("fields that are not the author's");
	common_refused("\"headers\":{\"MIME-Version\":\"1.0\"}", ERR_DATA, "MIME-Version");
	common_refused("\"headers\":{\"Received\":\"x\"}", ERR_DATA, "Received");
	common_refused("\"headers\":{\"Return-Path\":\"x\"}", ERR_DATA, "Return-Path");
	common_refused("\"headers\":{\"bcc\":\"e@x\"}", ERR_DATA, "cc");
	common_refused("\"headers\":[[\"Subject\",\"a\"],[\"subject\",\"b\"]]", ERR_DATA, "twice");
	test_case("names that are none");
	common_refused("\"headers\":{\"\":\"x\"}", ERR_DATA, "name");
	common_refused("\"headers\":{\"a b\":\"x\"}", ERR_DATA, "name");
	common_refused("\"headers\":{\"a:b\":\"x\"}", ERR_DATA, "name");

	/* rows: HDR-10 */
	test_case("Message-IDs that are none");
	common_refused("\"headers\":{\"Message-ID\":\"x@y\"}", ERR_DATA, "Message-ID");
	common_refused("\"headers\":{\"Message-ID\":\"<a@b> <c@d>\"}", ERR_DATA, "Message-ID");
	refused("{\"from\":\"a@b.example\",\"to\":\"c@d.example\",\"message_id\":\"x\"}", ERR_DATA, "message_id");
	test_case("a local part beyond ASCII stays as it is and needs SMTPUTF8");
	{
		struct err e = ERR_INIT;
		struct mail_params p;
		struct message *m = message_of_json(&p, "{\"from\":\"a@b.example\",\"to\":\"\\u00fc@b\\u00fccher.example\"}", &e);

		check(m && m->needs.smtputf8);
		message_free(m);
		mail_params_clear(&p);
		err_clear(&e);
	}
}

/* rows: HDR-01, HDR-07 */
static void test_injection(void)
{
	static const char *const refusals[] = {
		"\\r\\nBcc: e@x", "\\nBcc: e@x", "\\rBcc: e@x", "\\r\\n\\r\\nbody", "\\n\\nbody", "\\r\\n Bcc: e@x",
	};
	static const char *const places[] = {
		"\"subject\":\"%s\"", "\"headers\":{\"X\":\"%s\"}", "\"headers\":{\"X%s\":\"1\"}", "\"in_reply_to\":\"<a@b>%s\"",
		"\"references\":\"<a@b>%s\"", "\"reply_to\":\"a@b.example%s\"", "\"sender\":\"N%s <a@b.example>\"",
		"\"headers\":{\"List-Help\":\"%s\"}", "\"headers\":{\"Content-Description\":\"%s\"}",
		"\"headers\":{\"Content-Type\":\"text/plain%s\"}", "\"charset\":\"utf-8%s\"",
		"\"attachments\":[{\"text\":\"x\",\"filename\":\"f%s\"}]", "\"attachments\":[{\"text\":\"x\",\"type\":\"a/b%s\"}]",
		"\"attachments\":[{\"text\":\"x\",\"content_id\":\"i%s\"}]",
		"\"attachments\":[{\"text\":\"x\",\"headers\":{\"Content-Description\":\"%s\"}}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		test_case("line breaks in %s", places[i]);
		for (size_t k = 0; k < ARRAY_SIZE(refusals); k++) {
			CLEANUP(freep) char *rest = NULL, *json = NULL;

			/* Only the one %s of the table. */
			const char *at = strstr(places[i], "%s");

			rest = xasprintf("%.*s%s%s", (int)(at - places[i]), places[i], refusals[k], at + 2);
			json = xasprintf("{" COMMON ",%s}", rest);
			refused(json, ERR_DATA, "");
		}
	}
	test_case("file names lose their directories");
	has("\"attachments\":[{\"text\":\"x\",\"filename\":\"../../x.txt\"}]", "filename=x.txt\r\n");
	has("\"attachments\":[{\"text\":\"x\",\"filename\":\"C:\\\\dir\\\\x.txt\"}]", "filename=x.txt\r\n");
	common_refused("\"attachments\":[{\"text\":\"x\",\"filename\":\"\"}]", ERR_DATA, "filename");
	common_refused("\"attachments\":[{\"text\":\"x\",\"filename\":\".\"}]", ERR_DATA, "filename");
	common_refused("\"attachments\":[{\"text\":\"x\",\"filename\":\"a/..\"}]", ERR_DATA, "filename");
	test_case("file names beyond ASCII have a plain one beside them");
	has("\"attachments\":[{\"text\":\"x\",\"filename\":\"\\u00e4.txt\"}]", "filename=\"", "filename*=utf-8''%C3%A4.txt");
}

static void test_structure(void)
{
	static const char png[] = "\x89PNG\r\n\x1a\n\0";

	put_file("a.png", png, sizeof(png) - 1);
	put_text("a.html", "<p>file</p>\n");
	/* rows: MSG-13, MSG-17, MSG-19 */
	test_case("text and HTML");
	common("\"body\":\"t\\n\",\"html\":\"<p>h</p>\\n\"",
	       "Content-Type: multipart/alternative; boundary=\"=_hov4dkry7gnu3cjqx6fmt2bipw\"\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n" ASCII "t\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n"
	       "Content-Type: text/html; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>h</p>\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw--\r\n");
	test_case("HTML from a file alone");
	common("\"html_file\":\"a.html\"",
	       "Content-Type: text/html; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>file</p>\r\n");
	test_case("an attachment");
	common("\"body\":\"t\\n\",\"attachments\":\"a.png\"",
	       "Content-Type: multipart/mixed; boundary=\"=_hov4dkry7gnu3cjqx6fmt2bipw\"\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n" ASCII "t\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\nContent-Type: image/png; name=a.png\r\n"
	       "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.png\r\n\r\n"
	       "iVBORw0KGgoA\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw--\r\n");
	test_case("everything at once: mixed (alternative (text, related (html, image)), attachment)");
	has("\"body\":\"t\",\"html\":\"<img src='cid:i'>\",\"attachments\":[{\"path\":\"a.png\",\"content_id\":\"i\","
	    "\"disposition\":\"inline\"},{\"text\":\"x\",\"filename\":\"n.txt\"}]",
	    "Content-Type: multipart/mixed; boundary=", "Content-Type: multipart/alternative; boundary=",
	    "Content-Type: multipart/related; type=\"text/html\";\r\n boundary=", "Content-ID: <i>\r\n",
	    "Content-Disposition: inline; filename=a.png\r\n", "Content-Disposition: attachment; filename=n.txt\r\n");
	test_case("what the HTML names is inline, unless it is said to be an attachment");
	has("\"html\":\"<img src='cid:i'>\",\"attachments\":[{\"path\":\"a.png\",\"content_id\":\"i\"}]",
	    "Content-Type: multipart/related; type=\"text/html\";\r\n boundary=",
	    "Content-Disposition: inline; filename=a.png\r\n");
	has("\"html\":\"x\",\"attachments\":[{\"path\":\"a.png\",\"content_id\":\"i\",\"disposition\":\"attachment\"}]",
	    "Content-Type: multipart/mixed", "Content-Disposition: attachment; filename=a.png\r\n");
	has("\"html\":\"x\",\"attachments\":[{\"path\":\"a.png\",\"content_id\":\"i\","
	    "\"headers\":{\"Content-Disposition\":\"attachment\"}}]",
	    "Content-Type: multipart/mixed", "Content-Disposition: attachment\r\n");
	test_case("an inline attachment without HTML is in multipart/mixed");
	has("\"body\":\"t\",\"attachments\":[{\"path\":\"a.png\",\"content_id\":\"<i>\",\"disposition\":\"inline\"}]",
	    "multipart/mixed", "Content-Disposition: inline", "Content-ID: <i>\r\n");
	test_case("an attachment and no text");
	has("\"attachments\":\"a.png\"", "multipart/mixed", "image/png");

	/* rows: MSG-16 */
	test_case("Content-IDs");
	common_refused("\"attachments\":[{\"text\":\"x\",\"content_id\":\"i\"},{\"text\":\"y\",\"content_id\":\"<i>\"}]", ERR_DATA,
		       "twice");
	common_refused("\"attachments\":[{\"text\":\"x\",\"content_id\":\"a>b\"}]", ERR_DATA, "content_id");
	common_refused("\"attachments\":[{\"text\":\"x\",\"content_id\":\"\"}]", ERR_DATA, "content_id");
	common_refused("\"attachments\":[{\"path\":\"missing.png\",\"content_id\":\"i\"}]", ERR_NOINPUT, "missing.png");
	test_case("a disposition that is none");
	common_refused("\"attachments\":[{\"text\":\"x\",\"disposition\":\"form-data\"}]", ERR_DATA, "disposition");
}

static void test_attachment_types(void)
{
	put_text("seven.eml", "Subject: x\n\nhello\n");
	put_text("eight.eml", "Subject: x\n\nh\xc3\xa9llo\n");
	put_text("note.txt", "unix\nlines\n");
	/* rows: MSG-18 */
	test_case("a message that can be sent as one");
	has("\"attachments\":\"seven.eml\"", "Content-Type: message/rfc822", "Content-Transfer-Encoding: 7bit\r\n",
	    "\r\n\r\nSubject: x\r\n\r\nhello\r\n");
	test_case("a message that cannot is sent as octets");
	has("\"attachments\":\"eight.eml\"", "Content-Type: application/octet-stream; name=eight.eml\r\n",
	    "Content-Transfer-Encoding: base64\r\n");
	test_case("and refused where the type was asked for");
	common_refused("\"attachments\":[{\"path\":\"eight.eml\",\"type\":\"message/rfc822\"}]", ERR_DATA,
		       "application/octet-stream");
	common_refused("\"attachments\":[{\"path\":\"seven.eml\",\"type\":\"message/rfc822\",\"encoding\":\"base64\"}]", ERR_DATA,
		       "message/rfc822");
	test_case("a text attachment arrives octet for octet");
	has("\"attachments\":\"note.txt\"", "Content-Type: text/plain; name=note.txt\r\n", "dW5peApsaW5lcwo=\r\n");
	test_case("or as quoted-printable or a 7bit text where asked for");
	has("\"attachments\":[{\"path\":\"note.txt\",\"encoding\":\"quoted-printable\"}]", "unix=0Alines=0A");
	has("\"attachments\":[{\"path\":\"note.txt\",\"encoding\":\"7bit\"}]", "\r\n\r\nunix\r\nlines\r\n\r\n--");
	test_case("a multipart is no leaf");
	common_refused("\"attachments\":[{\"path\":\"note.txt\",\"type\":\"multipart/mixed\"}]", ERR_DATA, "multipart/mixed");
	test_case("encoded already");
	put_text("b64", "aGVs\nbG8=\n");
	has("\"attachments\":[{\"path\":\"b64\",\"encoding\":\"base64\",\"encoded\":true}]",
	    "Content-Transfer-Encoding: base64\r\n", "\r\n\r\naGVs\r\nbG8=\r\n");
	common_refused("\"attachments\":[{\"path\":\"eight.eml\",\"encoding\":\"base64\",\"encoded\":true}]", ERR_DATA,
		       "octets over 127");
	common_refused("\"attachments\":[{\"path\":\"b64\",\"encoded\":true}]", ERR_DATA, "encod");
}

static void test_recursive(void)
{
	test_case("preamble, epilogue, headers of any case, a boundary asked for");
	common("\"headers\":{\"content-type\":\"multipart/alternative; boundary=\\\"x;y\\\"; charset=z\"},\"body\":{"
	       "\"preamble\":\"pre\\n\",\"parts\":["
	       "{\"headers\":{\"CONTENT-type\":\"text/html\"},\"body\":\"<p>\"},"
	       "{\"headers\":{\"content-transfer-encoding\":\"BASE64\",\"x-f\":\"1\"},\"body\":\"hi\"},"
	       "{\"body\":{\"parts\":[{\"body\":\"deep\"}]}}],\"epilogue\":\"epi\"}",
	       "Content-Type: multipart/alternative; charset=z;\r\n boundary=\"=_hov4dkry7gnu3cjqx6fmt2bipw\"\r\n\r\n"
	       "pre\r\n--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n"
	       "Content-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n"
	       "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: base64\r\nx-f: 1\r\n\r\naGk=\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw\r\n"
	       "Content-Type: multipart/mixed; boundary=\"=_5elszahov4dkry7gnu3cjqx6fm\"\r\n\r\n"
	       "--=_5elszahov4dkry7gnu3cjqx6fm\r\n" ASCII "deep\r\n--=_5elszahov4dkry7gnu3cjqx6fm--\r\n\r\n"
	       "--=_hov4dkry7gnu3cjqx6fmt2bipw--\r\nepi\r\n");
	test_case("a type of text without a charset gets the one it needs");
	has("\"headers\":{\"content-type\":\"text/html\"},\"body\":\"<p>\\u00f6</p>\"", "Content-Type: text/html; charset=utf-8\r\n");
	test_case("parts that cannot be");
	common_refused("\"body\":{\"parts\":[]}", ERR_DATA, "part");
	common_refused("\"headers\":{\"content-type\":\"text/plain\"},\"body\":{\"parts\":[{\"body\":\"x\"}]}", ERR_DATA,
		       "cannot have parts");
	common_refused("\"headers\":{\"content-type\":\"multipart/mixed\"},\"body\":\"x\"", ERR_DATA, "needs parts");
	common_refused("\"headers\":{\"content-transfer-encoding\":\"base64\"},\"body\":{\"parts\":[{\"body\":\"x\"}]}", ERR_DATA,
		       "multipart");
	common_refused("\"headers\":{\"content-transfer-encoding\":\"x-rot13\"},\"body\":\"x\"", ERR_DATA, "x-rot13");
	common_refused("\"body\":{\"preamble\":\"\\u00f6\",\"parts\":[{\"body\":\"x\"}]}", ERR_DATA, "preamble");
	test_case("fields that describe a body that is not there");
	common_refused("\"headers\":{\"content-type\":\"text/x-y\"},\"attachments\":[{\"text\":\"x\"}]", ERR_DATA,
		       "describes a body");
}

/* rows: ATT-07, MSG-13 */
static void test_many(void)
{
	struct buf json = BUF_INIT(ANY_SIZE), got = BUF_INIT(ANY_SIZE);
	struct rlimit few, old;
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m;
	struct source *s;

	put_text("note.txt", "unix\nlines\n");
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 16;
	test_case("one file 1000 times with 16 descriptors");
	check_int(buf_adds(&json, "{" COMMON ",\"attachments\":[\"note.txt\""), 0);
	for (int i = 1; i < 1000; i++)
		check_int(buf_adds(&json, ",\"note.txt\""), 0);
	check_int(buf_adds(&json, "]}"), 0);
	setrlimit(RLIMIT_NOFILE, &few);
	m = message_of_json(&p, json.data, &e);
	check(m);
	if (m && message_open(m, false, &s, &e) == 0) {
		check_int(drain_by(s, 65536, &got, &e), 0);
		check_int(got.len, m->needs.size);
		check_int(message_verify(m, &e), 0);
		source_free(s);
	}
	setrlimit(RLIMIT_NOFILE, &old);

	test_case("a file that changes is found out");
	put_text("note.txt", "other\n");
	check_int(message_verify(m, &e), -1);
	check_int(e.class, ERR_DATA);
	check_int(message_open(m, false, &s, &e), 0);
	check_int(drain_by(s, 65536, &got, &e), -1);
	source_free(s);
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&json);
	buf_clear(&got);
	err_clear(&e);
}

/* One end of a pipe with @text in it, its writer gone. */
static int pipe_with(const char *text)
{
	int ends[2];

	check_int(pipe(ends), 0);
	check_int(write(ends[1], text, strlen(text)), strlen(text));
	close(ends[1]);
	return ends[0];
}

static void test_pipes(void)
{
	struct buf got = BUF_INIT(ANY_SIZE);
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m;
	struct source *s;
	char json[512];
	int fd;

	test_case("a descriptor is taken in, and can be sent twice");
	fd = pipe_with("from a pipe\n");
	snprintf(json, sizeof(json), "{" COMMON ",\"body\":{\"fd\":%d}}", fd);
	whole(json, COMMON_HEAD COMMON_ID COMMON_MIME ASCII "from a pipe\r\n");
	close(fd);

	test_case("a descriptor twice");
	fd = pipe_with("x");
	snprintf(json, sizeof(json), "{" COMMON ",\"body\":{\"parts\":[{\"body\":{\"fd\":%d}},{\"body\":{\"fd\":%d}}]}}", fd, fd);
	refused(json, ERR_USAGE, "already");
	close(fd);

	test_case("stream: as it comes, once, of unknown size");
	fd = pipe_with("caf\xc3\xa9\n");
	snprintf(json, sizeof(json), "{" COMMON ",\"stream\":true,\"body\":{\"fd\":%d}}", fd);
	m = message_of_json(&p, json, &e);
	check(m && m->needs.once && m->needs.size == -1);
	if (m && message_open(m, false, &s, &e) == 0) {
		check_int(drain_by(s, 65536, &got, &e), 0);
		check(strstr(got.data, "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n"));
		check_int(source_rewind(s, &e), 0);
		check_int(drain_by(s, 65536, &got, &e), -1);
		source_free(s);
	}
	message_free(m);
	mail_params_clear(&p);
	close(fd);
	buf_clear(&got);
	err_clear(&e);
}

/* Standard input is waited for as long as it takes, but for max_time; without one that is the error. */
static void test_standard_input(void)
{
	static const char json[] = "{" COMMON ",\"max_time\":1,\"body\":{\"fd\":0}}";
	int kept = dup(STDIN_FILENO), ends[2], null = open("/dev/null", O_WRONLY);

	test_case("standard input that is not open for reading");
	check(null >= 0 && dup2(null, STDIN_FILENO) == 0);
	refused(json, ERR_NOINPUT, "closed, or not open for reading");
	test_case("standard input that is silent for max_time");
	check_int(pipe(ends), 0);
	check_int(dup2(ends[0], STDIN_FILENO), 0);
	refused(json, ERR_NOINPUT, "nothing was written to it for 1.0 s");
	if (kept >= 0)
		check_int(dup2(kept, STDIN_FILENO), 0);
	close(kept);
	close(null);
	close(ends[0]);
	close(ends[1]);
}

/* The recursive form as deep as you like: made, composed and freed on a small stack. Links, so no JSON here. */
static void test_depth(void)
{
	struct buf got = BUF_INIT(ANY_SIZE);
	struct part_params *at, *child;
	struct err e = ERR_INIT;
	struct mail_params p;
	struct message *m = NULL;
	struct source *s;

	/* rows: MSG-12 */
	test_case("20 000 multiparts inside of each other");
	mail_params_init(&p);
	p.from = xstrdup("a@example.org");
	p.to.item = xcalloc(1, sizeof(*p.to.item));
	p.to.item[0].address = xstrdup("b@example.org");
	p.to.count = p.to.cap = 1;
	p.body = at = part_params_new();
	for (int i = 0; i < 20000; i++) {
		child = part_params_new();
		at->content.kind = CONTENT_PARTS;
		part_params_append(at, child);
		at = child;
	}
	fixed_state = 1;
	check_int(mail_params_finish(&p, &sysinfo_fixed, &e), 0);
	check_int(message_from_params(&m, &(struct ready *){0}, &p, &sysinfo_fixed, &e), 0);
	if (m && message_open(m, false, &s, &e) == 0) {
		check_int(drain_by(s, 65536, &got, &e), 0);
		check_int(got.len, m->needs.size);
		source_free(s);
	}
	message_free(m);
	mail_params_clear(&p);
	buf_clear(&got);
	err_clear(&e);
}

/* The files of the tests. */
static bool remove_all(void)
{
	static const char *const files[] = { "latin", "utf16", "nul", "long", "a.png", "a.html", "seven.eml", "eight.eml",
					     "note.txt", "b64" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (unlink(files[i]) < 0)
			return false;
	return true;
}

int main(void)
{
	if (!mkdtemp(directory) || chdir(directory) < 0)
		return 1;
	test_text();
	test_charset();
	test_lines();
	test_headers();
	test_injection();
	test_structure();
	test_attachment_types();
	test_recursive();
	test_many();
	test_pipes();
	test_standard_input();
	test_depth();
	if (!remove_all() || chdir("/") < 0 || rmdir(directory) < 0)
		return 1;
	return check_done();
}
