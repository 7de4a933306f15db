/* A-labels, in every locale the process may have. */

#include "base/err.h"
#include "check.h"
#include "text/idn.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>

#define U10 "\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274\303\274"
#define U30 U10 U10 U10

/* What comes out, or NULL where it is refused. */
struct row { const char *in, *out; };

/* rows: ADR-14 */
static const struct row table[] = {
	{ "example.org", "example.org" },
	{ "Example.ORG", "Example.ORG" },                               /* ASCII is nobody's business */
	{ "", "" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "b\303\274cher.example", "xn--bcher-kva.example" },
	{ "B\303\234CHER.Example", "xn--bcher-kva.example" },
	{ "bu\314\210cher.example", "xn--bcher-kva.example" },          /* NFD */
	{ "\303\274.example.\303\266", "xn--tda.example.xn--nda" },
	{ "stra\303\237e.de", "xn--strae-oqa.de" },                     /* not "strasse" */
	{ "\316\262\317\214\316\273\316\277\317\202.gr", "xn--nxasmm1c.gr" },
	{ "\346\265\213\350\257\225.example", "xn--0zwm56d.example" },
	{ "\351\201\215\346\216\245\345\217\227-\346\265\213\350\257\225.\344\270\226\347\225\214",
	  "xn----f38am99bmmj4o2b8uf.xn--rhqv96g" },
	{ "\330\271\330\261\330\250\331\212.example", "xn--ngbrx4e.example" },
	{ "\340\244\225\340\245\215\342\200\215\340\244\267.example", "xn--11b2ezcw70k.example" },
	{ "_x.\303\274", "_x.xn--tda" },
	{ "a\342\200\215b.example", NULL },                             /* ZWJ between Latin letters */
	{ "a\342\200\214\303\274.example", NULL },                      /* ZWNJ there */
	{ "\342\200\215.example", NULL },
	{ "xn--\303\274.example", NULL },
	{ "\314\201a.example", NULL },                                  /* begins with a combining mark */
	{ "\303\274 .example", NULL },
	{ "\303\274/x", NULL },
	{ "\303\274@x", NULL },
	{ "\303\274:25", NULL },
	{ "\303\274%2e", NULL },
	{ "\303\274\r\n", NULL },
	{ "[\303\274]", NULL },
	{ "\303", NULL },
	{ "\303\274\377", NULL },
	{ U30 U30, NULL },
};

static void in_locale(const char *locale)
{
	const char *set = setlocale(LC_ALL, locale);

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;
		char *got = NULL;
		int r;

		test_case("locale %s%s, %zu: %.60s", locale, set ? "" : " (not there)", i, table[i].in);
		r = idn_to_ascii(&got, table[i].in, strlen(table[i].in), &e);
		check_int(r, table[i].out ? 0 : -1);
		if (got && table[i].out)
			check_str(got, table[i].out);
		if (r < 0) {
			check(!got);
			check_int(e.class, ERR_DATA);
			check(e.text != NULL);
		}
		free(got);
		err_clear(&e);
	}
	test_case("locale %s is as it was", locale);
	check(!set || !strcmp(setlocale(LC_ALL, NULL), set));
	check(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
}

static void only_len(void)
{
	struct err e = ERR_INIT;
	char *got = NULL;

	test_case("the length given counts");
	check_int(idn_to_ascii(&got, "b\303\274cher.example", 7, &e), 0);
	check_str(got, "xn--bcher-kva");
	free(got);
	got = NULL;
	check_int(idn_to_ascii(&got, "\303\274\0x", 4, &e), -1);
	check(!got);
	err_clear(&e);
}

int main(void)
{
	in_locale("C");
	in_locale("C.UTF-8");
	in_locale("en_US.ISO-8859-1");
	only_len();
	return check_done();
}
