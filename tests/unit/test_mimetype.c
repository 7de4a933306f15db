/* Media types by extension, from a file and from the built-in table; charset names. rows: MSG-08 */

#include "check.h"

#include "text/mimetype.h"
#include "text/mimetype_file.h"

#include "base/base.h"

#include <stdlib.h>
#include <unistd.h>

static void test_builtin(void)
{
	static const struct { const char *path, *type; } rows[] = {
		{ "a.png", "image/png" }, { "a/b.PNG", "image/png" }, { "/x.y/photo.JPeG", "image/jpeg" },
		{ "a.tar.gz", "application/gzip" }, { "a.txt", "text/plain" }, { "a.html", "text/html" },
		{ "a.pdf", "application/pdf" }, { "a.7z", "application/x-7z-compressed" },
		{ "a.zst", "application/zstd" },
		{ "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
		{ "a.eml", "message/rfc822" }, { "a.zip", "application/zip" },
		{ "a", "application/octet-stream" }, { "", "application/octet-stream" },
		{ ".png", "application/octet-stream" },
		{ "a.", "application/octet-stream" }, { "x.png/a", "application/octet-stream" },
		{ "/", "application/octet-stream" },
		{ "a.nosuchthing", "application/octet-stream" }, { "a.png\n", "application/octet-stream" },
		{ "a.\xff\xfe", "application/octet-stream" },
		{ "a.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"application/octet-stream" },
	};
	struct mime_types none;

	mime_types_read(&none, "/nonexistent/mime.types");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("built-in: \"%s\"", rows[i].path);
		check_str(mime_types_find(&none, rows[i].path), rows[i].type);
	}
	mime_types_clear(&none);
}

static void test_file(void)
{
	static const char text[] =
		"# comment\n\n"
		"text/x-mine\tmine MINE2 # own2\r\n"
		"image/x-other png mine\n"
		"application/x-none\n"
		"notatype own\n"
		"te xt/plain bad1\n"
		"a/b/c bad2\n"
		"a;x/b bad3\n"
		"/b bad4\n"
		"text/x-last last";
	static const struct { const char *path, *type; } rows[] = {
		{ "a.mine", "text/x-mine" }, { "a.mine2", "text/x-mine" },
		{ "a.own2", "application/octet-stream" },
		{ "a.png", "image/x-other" }, { "a.own", "application/octet-stream" },
		{ "a.plain", "application/octet-stream" },
		{ "a.bad2", "application/octet-stream" }, { "a.bad3", "application/octet-stream" },
		{ "a.bad4", "application/octet-stream" }, { "a.last", "text/x-last" },
		{ "a.gif", "image/gif" },
	};
	char path[] = "/tmp/test_mimetype.XXXXXX";
	int fd = mkstemp(path);
	struct mime_types t;

	test_case("a file of types is read");
	check(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
	close(fd);
	mime_types_read(&t, path);
	check_int(t.n, 5);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("file: \"%s\"", rows[i].path);
		check_str(mime_types_find(&t, rows[i].path), rows[i].type);
	}
	mime_types_clear(&t);
	unlink(path);
	test_case("a directory is no table, and hurts nothing");
	mime_types_read(&t, "/");
	check_int(t.n, 0);
	check_str(mime_types_find(&t, "a.gif"), "image/gif");
	mime_types_clear(&t);
	test_case("the machine's table");
	check_str(mimetype_of("x.png"), "image/png");
	check_str(mimetype_of("x"), "application/octet-stream");
	mimetype_clear();
	check_str(mimetype_of("x.PDF"), "application/pdf");
	mimetype_clear();
}

static void test_charset(void)
{
	static const struct { const char *name, *want; } rows[] = {
		{ "utf-8", "utf-8" }, { "UTF-8", "utf-8" }, { "us-ascii", "us-ascii" },
		{ "ASCII", "us-ascii" },
		{ "latin1", "iso-8859-1" }, { "ISO-8859-15", "iso-8859-15" },
		{ "Windows-1252", "windows-1252" },
		{ "KOI8-R", "koi8-r" }, { "Shift_JIS", "shift_jis" }, { "iso-2022-jp", "iso-2022-jp" },
		{ "GB18030", "gb18030" },
		{ "unknown-8bit", "unknown-8bit" },
		{ "utf8", NULL }, { "", NULL }, { "\"utf-8\"", NULL }, { "utf-8\r\nX: y", NULL },
		{ "klingon", NULL },
		{ "utf-8 ", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		test_case("charset \"%s\"", rows[i].name);
		if (rows[i].want)
			check_str(charset_name(rows[i].name), rows[i].want);
		else
			check(!charset_name(rows[i].name));
	}
}

int main(void)
{
	test_builtin();
	test_file();
	test_charset();
	return check_done();
}
