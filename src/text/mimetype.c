/*
 * Media types by extension, and the names of charsets. /etc/mime.types is
 * read at the first question and kept sorted; where it is missing, or does
 * not know an extension, the table below answers.
 */

#include "text/mimetype.h"
#include "text/mimetype_file.h"

#include "base/xalloc.h"
#include "text/chars.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char unknown_type[] = "application/octet-stream";

/* Sorted by extension, for bsearch(). */
static const struct mime_entry builtin[] = {
	{ "7z", "application/x-7z-compressed" }, { "aac", "audio/aac" }, { "avi", "video/x-msvideo" },
	{ "avif", "image/avif" }, { "bin", "application/octet-stream" }, { "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" }, { "c", "text/x-csrc" }, { "conf", "text/plain" },
	{ "css", "text/css" },
	{ "csv", "text/csv" }, { "deb", "application/vnd.debian.binary-package" }, { "diff", "text/x-diff" },
	{ "doc", "application/msword" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "eml", "message/rfc822" }, { "eps", "application/postscript" }, { "epub", "application/epub+zip" },
	{ "exe", "application/x-msdos-program" }, { "flac", "audio/flac" }, { "gif", "image/gif" },
	{ "gz", "application/gzip" }, { "h", "text/x-chdr" }, { "heic", "image/heic" },
	{ "htm", "text/html" },
	{ "html", "text/html" }, { "ico", "image/vnd.microsoft.icon" }, { "ics", "text/calendar" },
	{ "iso", "application/x-iso9660-image" }, { "jar", "application/java-archive" },
	{ "jpe", "image/jpeg" },
	{ "jpeg", "image/jpeg" }, { "jpg", "image/jpeg" }, { "js", "text/javascript" },
	{ "json", "application/json" }, { "key", "application/pgp-keys" }, { "log", "text/plain" },
	{ "m4a", "audio/mp4" }, { "md", "text/markdown" }, { "mid", "audio/midi" },
	{ "mjs", "text/javascript" },
	{ "mkv", "video/x-matroska" }, { "mov", "video/quicktime" }, { "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" }, { "mpeg", "video/mpeg" }, { "mpg", "video/mpeg" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" }, { "oga", "audio/ogg" }, { "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" }, { "opus", "audio/ogg" }, { "otf", "font/otf" },
	{ "p7c", "application/pkcs7-mime" }, { "p7m", "application/pkcs7-mime" },
	{ "p7s", "application/pkcs7-signature" }, { "patch", "text/x-diff" }, { "pdf", "application/pdf" },
	{ "pgp", "application/pgp-encrypted" }, { "pl", "text/x-perl" }, { "png", "image/png" },
	{ "ppt", "application/vnd.ms-powerpoint" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "ps", "application/postscript" }, { "py", "text/x-python" }, { "rar", "application/vnd.rar" },
	{ "rtf", "application/rtf" }, { "sh", "application/x-sh" }, { "sig", "application/pgp-signature" },
	{ "sql", "application/sql" }, { "svg", "image/svg+xml" }, { "tar", "application/x-tar" },
	{ "text", "text/plain" }, { "tgz", "application/gzip" }, { "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "tsv", "text/tab-separated-values" }, { "ttf", "font/ttf" }, { "txt", "text/plain" },
	{ "vcf", "text/vcard" }, { "wav", "audio/x-wav" }, { "weba", "audio/webm" }, { "webm", "video/webm" },
	{ "webp", "image/webp" }, { "woff", "font/woff" }, { "woff2", "font/woff2" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "application/xml" }, { "xz", "application/x-xz" }, { "yaml", "application/yaml" },
	{ "yml", "application/yaml" }, { "zip", "application/zip" }, { "zst", "application/zstd" },
};

enum {
	FILE_MOST = 4 << 20,            /* Debian's has 70 KB */
	EXTENSION_MOST = 32,
};

static int by_extension(const void *a, const void *b)
{
	return strcmp(((const struct mime_entry *)a)->extension, ((const struct mime_entry *)b)->extension);
}

/* Of equal extensions the first in the file: the strings lie in the file's order. */
static int by_extension_then_place(const void *a, const void *b)
{
	const struct mime_entry *x = a, *y = b;
	int r = by_extension(a, b);

	return r ? r : x->extension < y->extension ? -1 : x->extension > y->extension;
}

/* RFC 2045 5.1 tokens around one "/": a line that has something else is not for us. */
static bool is_type(const char *s)
{
	const char *slash = strchr(s, '/');

	if (!slash || slash == s || !slash[1] || strlen(s) > 255)
		return false;
	for (const char *c = s; *c; c++)
		if (c != slash && !is_token_char(*c))
			return false;
	return true;
}

static void add_entry(struct mime_types *t, const char *extension, const char *type)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 256;
		t->entries = xreallocarray(t->entries, t->room, sizeof(*t->entries));
	}
	t->entries[t->n++] = (struct mime_entry){ extension, type };
}

/* "type ext ext ... # comment" in place. */
static void read_line(struct mime_types *t, char *line)
{
	static const char blank[] = " \t\r\f\v";
	char *save = NULL, *type, *ext;

	line[strcspn(line, "#")] = '\0';
	type = strtok_r(line, blank, &save);
	if (!type || !is_type(type))
		return;
	while ((ext = strtok_r(NULL, blank, &save))) {
		for (char *c = ext; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (strlen(ext) <= EXTENSION_MOST)
			add_entry(t, ext, type);
	}
}

void mime_types_read(struct mime_types *t, const char *path)
{
	FILE *f = fopen(path, "re");
	size_t len = 0;
	char *save = NULL;

	*t = (struct mime_types){0};
	if (!f)
		return;
	t->text = xmalloc(FILE_MOST + 1);
	len = fread(t->text, 1, FILE_MOST, f);
	fclose(f);
	t->text[len] = '\0';
	t->text = xreallocarray(t->text, len + 1, 1);
	for (char *line = strtok_r(t->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_line(t, line);
	if (t->n)
		qsort(t->entries, t->n, sizeof(*t->entries), by_extension_then_place);
}

static const char *find(const struct mime_entry *entries, size_t n, const char *extension)
{
	struct mime_entry key = { extension, NULL };
	const struct mime_entry *hit = n ? bsearch(&key, entries, n, sizeof(key), by_extension) : NULL;

	if (!hit)
		return NULL;
	while (hit > entries && !strcmp(hit[-1].extension, extension))
		hit--;
	return hit->type;
}

/* The part behind the last dot of the last component, in small letters; a dot file's name is no extension. */
static bool extension_of(char out[EXTENSION_MOST + 1], const char *path)
{
	const char *base = strrchr(path, '/'), *dot;
	size_t n;

	base = base ? base + 1 : path;
	dot = strrchr(base, '.');
	if (!dot || dot == base)
		return false;
	n = strlen(dot + 1);
	if (!n || n > EXTENSION_MOST)
		return false;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)tolower((unsigned char)dot[1 + i]);
	return true;
}

const char *mime_types_find(const struct mime_types *t, const char *path)
{
	char extension[EXTENSION_MOST + 1];
	const char *type;

	if (!extension_of(extension, path))
		return unknown_type;
	type = find(t->entries, t->n, extension);
	if (!type)
		type = find(builtin, ARRAY_SIZE(builtin), extension);
	return type ? type : unknown_type;
}

void mime_types_clear(struct mime_types *t)
{
	free(t->entries);
	free(t->text);
	*t = (struct mime_types){0};
}

/* The machine's table. It is a cache of a file: the same for every message of a process. */
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mime_types cache;
static bool cached;

const char *mimetype_of(const char *path)
{
	const char *type;

	pthread_mutex_lock(&cache_lock);
	if (!cached)
		mime_types_read(&cache, "/etc/mime.types");
	cached = true;
	type = mime_types_find(&cache, path);
	pthread_mutex_unlock(&cache_lock);
	return type;
}

void mimetype_clear(void)
{
	pthread_mutex_lock(&cache_lock);
	mime_types_clear(&cache);
	cached = false;
	pthread_mutex_unlock(&cache_lock);
}

/* Preferred MIME name first, then the registry's aliases that are in use, NULL. */
static const char *const charsets[][8] = {
	{ "us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us", "iso-ir-6" },
	{ "utf-8", "csutf8" },
	{ "utf-7" }, { "utf-16" }, { "utf-16be" }, { "utf-16le" }, { "utf-32" }, { "utf-32be" },
	{ "utf-32le" },
	{ "iso-8859-1", "iso_8859-1", "latin1", "l1", "iso-ir-100", "ibm819", "cp819" },
	{ "iso-8859-2", "iso_8859-2", "latin2", "l2", "iso-ir-101" },
	{ "iso-8859-3", "iso_8859-3", "latin3", "l3", "iso-ir-109" },
	{ "iso-8859-4", "iso_8859-4", "latin4", "l4", "iso-ir-110" },
	{ "iso-8859-5", "iso_8859-5", "cyrillic", "iso-ir-144" },
	{ "iso-8859-6", "iso_8859-6", "arabic", "iso-ir-127", "ecma-114", "asmo-708" },
	{ "iso-8859-7", "iso_8859-7", "greek", "greek8", "iso-ir-126", "ecma-118", "elot_928" },
	{ "iso-8859-8", "iso_8859-8", "hebrew", "iso-ir-138" }, { "iso-8859-8-i" },
	{ "iso-8859-9", "iso_8859-9", "latin5", "l5", "iso-ir-148" },
	{ "iso-8859-10", "latin6", "l6", "iso-ir-157" },
	{ "iso-8859-11" }, { "iso-8859-13" },
	{ "iso-8859-14", "iso_8859-14", "latin8", "l8", "iso-ir-199", "iso-celtic" },
	{ "iso-8859-15", "iso_8859-15", "latin-9" },
	{ "iso-8859-16", "iso_8859-16", "latin10", "l10", "iso-ir-226" },
	{ "windows-1250", "cswindows1250" }, { "windows-1251", "cswindows1251" },
	{ "windows-1252", "cswindows1252" }, { "windows-1253", "cswindows1253" },
	{ "windows-1254", "cswindows1254" }, { "windows-1255", "cswindows1255" },
	{ "windows-1256", "cswindows1256" }, { "windows-1257", "cswindows1257" },
	{ "windows-1258", "cswindows1258" }, { "windows-874" },
	{ "koi8-r", "cskoi8r" }, { "koi8-u" }, { "tis-620" }, { "viscii" }, { "macintosh", "mac" },
	{ "ibm437", "cp437", "437" }, { "ibm850", "cp850", "850" }, { "ibm852", "cp852", "852" },
	{ "ibm866", "cp866", "866" },
	{ "shift_jis", "ms_kanji", "csshiftjis" }, { "euc-jp", "cseucpkdfmtjapanese" }, { "windows-31j" },
	{ "iso-2022-jp", "csiso2022jp" }, { "iso-2022-jp-2" }, { "iso-2022-kr", "csiso2022kr" },
	{ "euc-kr", "cseuckr" }, { "ks_c_5601-1987", "korean", "ksc_5601", "iso-ir-149" },
	{ "gb2312", "csgb2312" }, { "gbk", "cp936", "ms936", "windows-936" }, { "gb18030" },
	{ "big5", "csbig5" }, { "big5-hkscs" }, { "hz-gb-2312" },
	{ "unknown-8bit" },     /* RFC 1428: text of a charset that nobody said */
};

const char *charset_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(charsets); i++)
		for (size_t k = 0; k < ARRAY_SIZE(charsets[i]) && charsets[i][k]; k++)
			if (!strcasecmp(charsets[i][k], name))
				return charsets[i][0];
	return NULL;
}
