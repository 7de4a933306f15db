/*
 * A-labels by libcurl's URL API; see idn.h.
 *
 * libcurl hands the host to libidn2 as text in the charset of the locale, and where that conversion fails it
 * gives back the raw octets as if nothing had happened. So the conversion runs under a UTF-8 LC_CTYPE of this
 * thread, and its result is looked at before it is believed.
 */

#include "text/idn.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#include <curl/curl.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>

/* As octets of UTF-8: 253 characters of four octets, the most that could become a name of DNS. */
enum { U_NAME_MAX = 1024 };

static locale_t utf8;                   /* loaded once, and kept */
static pthread_once_t utf8_loaded = PTHREAD_ONCE_INIT;

static void load_utf8(void)
{
	static const char *const names[] = { "C.UTF-8", "en_US.UTF-8", "" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		locale_t l = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);

		if (!l)
			continue;
		if (!strcmp(nl_langinfo_l(CODESET, l), "UTF-8")) {
			utf8 = l;
			return;
		}
		freelocale(l);
	}
}

/* A UTF-8 LC_CTYPE, whichever this machine has; (locale_t)0 where it has none. */
static locale_t utf8_locale(void)
{
	pthread_once(&utf8_loaded, load_utf8);
	return utf8;
}

/* Where IDNA refuses the host, curl_url_get() of 7.88 has already put a copy of it in @out and forgets it. */
static void free_left_copy(char *out)
{
	if (curl_version_info(CURLVERSION_NOW)->version_num >> 8 == 0x0758)
		curl_free(out);
}

/* Under a UTF-8 locale: the host as libcurl would look it up, to be freed by curl_free(); NULL: refused. */
static char *curl_host_to_ascii(const char *domain, CURLUcode *ret_code)
{
	CURLU *url = curl_url();
	char *out = NULL;

	*ret_code = CURLUE_OUT_OF_MEMORY;
	if (!url)
		return NULL;
	*ret_code = curl_url_set(url, CURLUPART_HOST, domain, 0);
	if (!*ret_code) {
		*ret_code = curl_url_get(url, CURLUPART_HOST, &out, CURLU_PUNYCODE);
		if (*ret_code) {
			free_left_copy(out);
			out = NULL;
		}
	}
	curl_url_cleanup(url);
	return out;
}

/*
 * A joiner (U+200C, U+200D) where no script has one. libcurl falls back to the transitional mapping, which
 * drops them: a name that looks the same and is another would result. RFC 5892, appendix A.1 and A.2 allow
 * them in scripts of which the first is Arabic, U+0600; what is wrong among those is left to IDNA.
 */
static bool joiner_misplaced(const char *domain, size_t len)
{
	uint32_t cp, before = 0;

	for (size_t at = 0, n; at < len; at += n, before = cp) {
		n = utf8_decode(domain + at, len - at, &cp);
		if (!n)
			return false;
		if ((cp == 0x200c || cp == 0x200d) && before < 0x600)
			return true;
	}
	return false;
}

/* ASCII is letters, digits, '-', '_' and '.', and the rest is UTF-8: nothing that a URL parser would cut. */
static bool plain_name(const char *domain, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)domain[i];

		if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    c != '-' && c != '_' && c != '.')
			return false;
	}
	return utf8_valid(domain, len) == len;
}

int idn_to_ascii(char **ret, const char *domain, size_t len, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	locale_t before;
	CURLUcode code;
	char *out;

	if (ascii_only(domain, len)) {
		*ret = xmemdup0(domain, len);
		return 0;
	}
	if (len > U_NAME_MAX)
		return err_set(e, ERR_DATA, "a domain of %zu octets is too long", len);
	if (!plain_name(domain, len))
		return err_set(e, ERR_DATA, "not the characters of a domain name");
	if (joiner_misplaced(domain, len))
		return err_set(e, ERR_DATA, "not a valid international domain name "
			       "(a joiner that joins nothing)");
	if (!utf8_locale())
		return err_set(e, ERR_DATA, "international domain names need a UTF-8 locale (C.UTF-8), "
			       "which this machine lacks; give the name in its xn-- form");
	text = xmemdup0(domain, len);
	before = uselocale(utf8_locale());
	out = curl_host_to_ascii(text, &code);
	uselocale(before);
	if (!out && code == CURLUE_LACKS_IDN)
		return err_set(e, ERR_DATA, "this libcurl has no support for international domain names; "
			       "give the name in its xn-- form");
	if (!out)
		return err_set(e, ERR_DATA, "not a valid international domain name (IDNA refuses it)");
	if (!*out || !ascii_only(out, strlen(out))) {
		curl_free(out);
		return err_set(e, ERR_DATA, "not a valid international domain name (no xn-- form was made)");
	}
	*ret = xstrdup(out);
	curl_free(out);
	return 0;
}
