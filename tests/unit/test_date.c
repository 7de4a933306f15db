/* Date and Message-ID by tables; the calendar against the C library's. */

#include "base/err.h"
#include "base/sys.h"
#include "check.h"
#include "text/date.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int64_t last_second = 253402300799;

/* rows: HDR-08 */
static void formats(void)
{
	static const struct { int64_t s; const char *zone, *want; } table[] = {
		{ 0, "UTC", "Thu, 01 Jan 1970 00:00:00 +0000" },
		{ 0, "+0000", "Thu, 01 Jan 1970 00:00:00 +0000" },
		{ 0, "-0000", "Thu, 01 Jan 1970 00:00:00 -0000" },
		{ 0, "+1400", "Thu, 01 Jan 1970 14:00:00 +1400" },
		{ 0, "-1400", "Wed, 31 Dec 1969 10:00:00 -1400" },
		{ 0, "-0001", "Wed, 31 Dec 1969 23:59:00 -0001" },
		{ 1795643220, "+0100", "Wed, 25 Nov 2026 22:47:00 +0100" },
		{ 1795643220, "Z", "Wed, 25 Nov 2026 21:47:00 +0000" },
		{ 1795643220, "gmt", "Wed, 25 Nov 2026 21:47:00 +0000" },
		{ 1795643220, "+0545", "Thu, 26 Nov 2026 03:32:00 +0545" },
		{ 1795643220, "-0330", "Wed, 25 Nov 2026 18:17:00 -0330" },
		{ 2147483647, "UTC", "Tue, 19 Jan 2038 03:14:07 +0000" },
		{ 2147483648, "UTC", "Tue, 19 Jan 2038 03:14:08 +0000" },
		{ 4294967296, "UTC", "Sun, 07 Feb 2106 06:28:16 +0000" },
		{ 951782399, "UTC", "Mon, 28 Feb 2000 23:59:59 +0000" },
		{ 951782400, "UTC", "Tue, 29 Feb 2000 00:00:00 +0000" },
		{ 4107542400, "UTC", "Mon, 01 Mar 2100 00:00:00 +0000" },
		{ 4107542399, "UTC", "Sun, 28 Feb 2100 23:59:59 +0000" },
		{ 253402300799, "UTC", "Fri, 31 Dec 9999 23:59:59 +0000" },
		{ 253402300799, "-1400", "Fri, 31 Dec 9999 09:59:59 -1400" },
		{ 253402300799, "+0001", NULL },
		{ 253402300800, "UTC", NULL },
		{ -1, "UTC", NULL },
		{ -1, "+1400", NULL },
		{ INT64_MIN, "UTC", NULL },
		{ INT64_MAX, "UTC", NULL },
		{ 0, "+1401", NULL }, { 0, "+1500", NULL }, { 0, "-1401", NULL }, { 0, "+0060", NULL },
		{ 0, "+9999", NULL },
		{ 0, "", NULL }, { 0, "0100", NULL }, { 0, "+01:00", NULL }, { 0, "+1", NULL },
		{ 0, "+010", NULL },
		{ 0, "+01000", NULL }, { 0, " +0100", NULL }, { 0, "+0100 ", NULL }, { 0, "CEST", NULL },
		{ 0, "Europe/Berlin", NULL }, { 0, "+0100\r\nBcc: x@y", NULL }, { 0, "+-100", NULL },
		{ 0, "+0x10", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;
		char out[40] = "untouched";

		test_case("format %zu: %lld %s", i, (long long)table[i].s, table[i].zone);
		check_int(date_format(out, table[i].s, table[i].zone, &e), table[i].want ? 0 : -1);
		check_str(out, table[i].want ? table[i].want : "untouched");
		check_int(e.class, table[i].want ? ERR_NONE : ERR_DATA);
		check(!e.text || !strpbrk(e.text, "\r\n"));
		err_clear(&e);
	}
}

/* rows: HDR-08 */
static void calendar(void)
{
	struct err e = ERR_INIT;

	test_case("every day up to 2500, and steps up to 9999, as gmtime_r() has it, and back");
	for (int64_t s = 0; s <= last_second; s += s < 16725225600 ? 86399 : 86399 * 37) {
		char out[40], want[64], zone[8];
		time_t t = (time_t)s;
		struct tm tm;
		int64_t back = -1;

		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S +0000", &tm);
		if (date_format(out, s, "UTC", &e) < 0 || strcmp(out, want))
			check_str(out, want);
		if (date_parse(&back, zone, out, &e) < 0 || back != s || strcmp(zone, "+0000"))
			check_int(back, s);
	}
	check(e.text == NULL);
	err_clear(&e);
}

static bool looks_like_a_date(const char *s)
{
	int64_t back;
	char zone[8];
	struct err e = ERR_INIT;
	int r = date_parse(&back, zone, s, &e);

	err_clear(&e);
	return r == 0 && strlen(s) == 31;
}

/* rows: HDR-08 */
static void local_zones(void)
{
	static const struct { const char *tz, *want; } table[] = {
		{ "UTC0", "Wed, 25 Nov 2026 21:47:00 +0000" },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", "Wed, 25 Nov 2026 22:47:00 +0100" },
		{ "XYZ-5:45", "Thu, 26 Nov 2026 03:32:00 +0545" },
		{ "XYZ3:30", "Wed, 25 Nov 2026 18:17:00 -0330" },
		{ "XYZ-14", "Thu, 26 Nov 2026 11:47:00 +1400" },
		/* a second in the zone is none of a Date's */
		{ "XYZ-0:19:32", "Wed, 25 Nov 2026 22:06:00 +0019" },
		{ "XYZ0:19:32", "Wed, 25 Nov 2026 21:28:00 -0019" },
		{ "XYZ-24:59:59", "Wed, 25 Nov 2026 21:47:00 +0000" },  /* nobody lives there */
		{ "XYZ24:59:59", "Wed, 25 Nov 2026 21:47:00 +0000" },
		{ "", "Wed, 25 Nov 2026 21:47:00 +0000" },
		{ ":/etc/passwd", NULL }, { "/etc/passwd", NULL }, { ":/dev/zero", NULL }, { "::::", NULL },
		{ "\n\r", NULL },
		{ "../../../../../../etc/passwd", NULL }, { "XYZ999999999999", NULL }, { "%s%n", NULL },
		{ "\377\376", NULL },
	};
	struct err e = ERR_INIT;
	char out[40], *big = malloc(65537);

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("TZ=%s", table[i].tz);
		setenv("TZ", table[i].tz, 1);
		check_int(date_format(out, 1795643220, NULL, &e), 0);
		if (table[i].want)
			check_str(out, table[i].want);
		check(looks_like_a_date(out));
	}
	test_case("TZ of 64 KiB");
	memset(big, 'A', 65536);
	big[65536] = '\0';
	setenv("TZ", big, 1);
	check_int(date_format(out, 1795643220, NULL, &e), 0);
	check(looks_like_a_date(out));
	memset(big, '/', 65536);
	setenv("TZ", big, 1);
	check_int(date_format(out, 1795643220, NULL, &e), 0);
	check(looks_like_a_date(out));
	free(big);
	unsetenv("TZ");
	err_clear(&e);
}

/* rows: HDR-08 */
static void parses(void)
{
	static const struct { const char *text; int64_t s; const char *zone; } table[] = {
		{ "Wed, 25 Nov 2026 22:47:00 +0100", 1795643220, "+0100" },
		{ "25 Nov 2026 22:47:00 +0100", 1795643220, "+0100" },
		{ "25 Nov 2026 22:47 +0100", 1795643220, "+0100" },
		{ "wed, 25 nov 2026 22:47:00 +0100", 1795643220, "+0100" },
		{ "Wed,25 Nov 2026 22:47:00 +0100", 1795643220, "+0100" },
		{ " Wed,  25\tNov  2026  22:47:00  +0100 ", 1795643220, "+0100" },
		{ "Wed, 25 Nov 2026 22:47:00 +0100 (CET)", 1795643220, "+0100" },
		{ "Wed, 25 Nov 2026 21:47:00 GMT", 1795643220, "+0000" },
		{ "Wed, 25 Nov 2026 21:47:00 UT", 1795643220, "+0000" },
		{ "Wed, 25 Nov 2026 21:47:00 Z", 1795643220, "+0000" },
		{ "Wed, 25 Nov 2026 21:47:00 -0000", 1795643220, "-0000" },
		{ "Wed, 25 Nov 2026 16:47:00 EST", 1795643220, "-0500" },
		{ "Wed, 25 Nov 2026 14:47:00 pdt", 1795643220, "-0700" },
		{ "Fri, 21 Nov 1997 09:55:06 -0600", 880127706, "-0600" },
		{ "1 Jul 2003 10:52:37 +0200", 1057049557, "+0200" },
		{ "01 Jan 1970 00:00:00 +0000", 0, "+0000" },
		{ "31 Dec 1969 10:00:00 -1400", 0, "-1400" },
		{ "31 Dec 9999 23:59:59 +0000", 253402300799, "+0000" },
		{ "31 Dec 2016 23:59:60 +0000", 1483228800, "+0000" },  /* a leap second */
		{ "1 Jan 2017 05:29:60 +0530", 1483228800, "+0530" },
		{ "1 Jan 2017 05:44:60 +0545", 1483228800, "+0545" },
		{ "29 Feb 2024 00:00:00 +0000", 1709164800, "+0000" },
		{ "@0", 0, "" },
		{ "@1795643220", 1795643220, "" },
		{ "@0001", 1, "" },
		{ "@253402300799", 253402300799, "" },
		{ "2026-11-25T22:47:00+01:00", 1795643220, "+0100" },
		{ "2026-11-25 22:47:00+01:00", 1795643220, "+0100" },
		{ "2026-11-25 22:47:00 +0100", 1795643220, "+0100" },
		{ "2026-11-25T22:47:00+0100", 1795643220, "+0100" },
		{ "2026-11-25T22:47:00+01", 1795643220, "+0100" },
		{ "2026-11-25T22:47+01:00", 1795643220, "+0100" },
		{ "2026-11-25T21:47:00Z", 1795643220, "+0000" },
		{ "2026-11-25t21:47:00z", 1795643220, "+0000" },
		{ "2026-11-25T21:47:00.999999Z", 1795643220, "+0000" },
		{ "2026-11-25T21:47:00,5Z", 1795643220, "+0000" },
		{ "2016-12-31T23:59:60Z", 1483228800, "+0000" },
		{ "", -1, NULL }, { " ", -1, NULL }, { "now", -1, NULL }, { "tomorrow", -1, NULL },
		{ "@", -1, NULL }, { "@-1", -1, NULL },
		{ "@1.5", -1, NULL }, { "@ 1", -1, NULL }, { "@1 ", -1, NULL }, { "@0x10", -1, NULL },
		{ "@253402300800", -1, NULL },
		{ "@99999999999999999999999999999999", -1, NULL }, { "1795643220", -1, NULL },
		{ "Thu, 25 Nov 2026 22:47:00 +0100", -1, NULL },        /* it was a Wednesday */
		{ "Wed 25 Nov 2026 22:47:00 +0100", -1, NULL },
		{ "Wednesday, 25 Nov 2026 22:47:00 +0100", -1, NULL },
		{ "25 November 2026 22:47:00 +0100", -1, NULL }, { "Nov 25 2026 22:47:00 +0100", -1, NULL },
		{ "25 Nov 26 22:47:00 +0100", -1, NULL }, { "25 Nov 02026 22:47:00 +0100", -1, NULL },
		{ "25 Nov 2026 22:47:00", -1, NULL }, { "25 Nov 2026", -1, NULL },
		{ "25 Nov 2026 2:47:00 +0100", -1, NULL },
		{ "25 Nov 2026 24:00:00 +0100", -1, NULL }, { "25 Nov 2026 22:60:00 +0100", -1, NULL },
		{ "25 Nov 2026 22:47:61 +0100", -1, NULL }, { "25 Nov 2026 22:47:60 +0100", -1, NULL },
		{ "25 Nov 2026 22:47:00 +01:00", -1, NULL }, { "25 Nov 2026 22:47:00 +1401", -1, NULL },
		{ "25 Nov 2026 22:47:00 +0160", -1, NULL }, { "25 Nov 2026 22:47:00 A", -1, NULL },
		{ "25 Nov 2026 22:47:00 CEST", -1, NULL }, { "25 Nov 2026 22:47:00 +0100 x", -1, NULL },
		{ "25 Nov 2026 22:47:00 +0100 (x", -1, NULL },
		{ "25 Nov 2026 22:47:00 +0100\r\nBcc: x@y", -1, NULL },
		{ "25 Nov 2026 22:47:00 +0100 (\n)", -1, NULL }, { "25 Nov 2026 22:47:00 +0100\n", -1, NULL },
		{ "0 Nov 2026 22:47:00 +0100", -1, NULL }, { "31 Nov 2026 22:47:00 +0100", -1, NULL },
		{ "29 Feb 2023 00:00:00 +0000", -1, NULL }, { "29 Feb 2100 00:00:00 +0000", -1, NULL },
		{ "30 Feb 2024 00:00:00 +0000", -1, NULL }, { "1 Foo 2026 22:47:00 +0100", -1, NULL },
		{ "31 Dec 1969 23:59:59 +0000", -1, NULL }, { "1 Jan 1970 00:00:00 +0001", -1, NULL },
		{ "1 Jan 0000 00:00:00 +0000", -1, NULL }, { "31 Dec 9999 23:59:59 -0001", -1, NULL },
		{ "-1 Nov 2026 22:47:00 +0100", -1, NULL }, { "25 Nov -2026 22:47:00 +0100", -1, NULL },
		{ "2026-11-25", -1, NULL }, { "2026-11-25T22:47:00", -1, NULL },
		{ "2026-11-25T22:47:00 ", -1, NULL },
		{ "2026-11-25X22:47:00Z", -1, NULL }, { "2026-13-25T22:47:00Z", -1, NULL },
		{ "2026-00-25T22:47:00Z", -1, NULL },
		{ "2026-11-00T22:47:00Z", -1, NULL }, { "2026-11-31T22:47:00Z", -1, NULL },
		{ "2026-1-25T22:47:00Z", -1, NULL },
		{ "2026-11-25T22:47:00.Z", -1, NULL }, { "2026-11-25T22:47:00Zx", -1, NULL },
		{ "2026-11-25T22:47:00+01:", -1, NULL },
		{ "2026-11-25T22:47:00+1", -1, NULL }, { "2026-11-25T22:47:00+01:0", -1, NULL },
		{ "20261125T224700Z", -1, NULL },
		{ "2026-W48-3T22:47:00Z", -1, NULL },
		{ "2026-11-25T22:47:00+01:00[Europe/Berlin]", -1, NULL },
		{ "1969-12-31T23:59:59Z", -1, NULL }, { "2026-11-25T25:47:00Z", -1, NULL },
		{ "2026-11-25T22:47:00+15:00", -1, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;
		int64_t s = -7;
		char zone[8] = "-";

		test_case("parse %zu: %s", i, table[i].text);
		check_int(date_parse(&s, zone, table[i].text, &e), table[i].zone ? 0 : -1);
		check_int(s, table[i].zone ? table[i].s : -7);
		check_str(zone, table[i].zone ? table[i].zone : "-");
		check_int(e.class, table[i].zone ? ERR_NONE : ERR_DATA);
		check(!e.text || !strpbrk(e.text, "\r\n"));
		err_clear(&e);
	}
}

static void zones(void)
{
	static const struct { const char *zone; int want; } table[] = {
		{ "+0000", 0 }, { "-0000", 0 }, { "+1400", 0 }, { "-1400", 0 }, { "+1359", 0 }, { "UTC", 0 },
		{ "GMT", 0 }, { "Z", 0 },
		{ "utc", 0 }, { "+1401", -1 }, { "+1360", -1 }, { "", -1 }, { "EST", -1 }, { "+100", -1 },
		{ "+01000", -1 },
		{ "1000", -1 }, { "\r\n", -1 }, { "+00:0", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;

		test_case("zone %zu: %s", i, table[i].zone);
		check_int(zone_check(table[i].zone, &e), table[i].want);
		check_int(e.class, table[i].want ? ERR_DATA : ERR_NONE);
		err_clear(&e);
	}
}

static int64_t fixed_now(void) { return 1795643220; }
static int64_t late_now(void) { return 99999999999; }
static int64_t early_now(void) { return -5; }
static void fixed_random(void *mem, size_t len) { memset(mem, 0xa5, len); }
static void full_random(void *mem, size_t len) { memset(mem, 0xff, len); }
static const char *no_hostname(void) { return ""; }

static void check_id(const struct sysinfo *sys, const char *domain, const char *right)
{
	struct err e = ERR_INIT;
	char *id = message_id_make(sys, domain);

	check_int(message_id_check(id, &e), 0);
	check(strlen(id) <= 250);
	check_str(strchr(id, '@') + 1, right);
	if (e.text)
		printf("# %s\n", e.text);
	free(id);
	err_clear(&e);
}

/* rows: HDR-09 */
static void makes_ids(void)
{
	static const struct sysinfo fixed = { fixed_now, fixed_random, no_hostname };
	static const struct sysinfo late = { late_now, full_random, no_hostname };
	static const struct sysinfo early = { early_now, full_random, no_hostname };
	char longest[300];
	char *id;

	test_case("made by a fixed clock and fixed random bits");
	id = message_id_make(&fixed, "example.org");
	check_str(id, "<0tp2v6c.2ionwficft09x2ionwficft09x@example.org>");
	free(id);

	test_case("the right side is valid whatever the domain");
	check_id(&fixed, "example.org", "example.org>");
	check_id(&late, "example.org", "example.org>");
	check_id(&early, "example.org", "example.org>");
	check_id(&fixed, NULL, "mailchute.invalid>");
	check_id(&fixed, "", "mailchute.invalid>");
	check_id(&fixed, "a..b", "mailchute.invalid>");
	check_id(&fixed, "a.", "mailchute.invalid>");
	check_id(&fixed, "[127.0.0.1]", "mailchute.invalid>");
	check_id(&fixed, "a b", "mailchute.invalid>");
	check_id(&fixed, "a>\r\nBcc: x", "mailchute.invalid>");
	check_id(&fixed, "b\303\274cher", "mailchute.invalid>");
	memset(longest, 'a', sizeof(longest));
	longest[201] = '\0';
	check_id(&late, longest, "mailchute.invalid>");
	longest[200] = '\0';
	id = message_id_make(&late, longest);
	check(strstr(id, longest) && strlen(id) <= 250);
	free(id);
}

static int compare(const void *a, const void *b) { return memcmp(a, b, 36); }

/* rows: HDR-09 */
static void ids_differ(void)
{
	enum { WORKERS = 50, EACH = 20000, N = WORKERS * EACH };
	char (*all)[36] = malloc(sizeof(*all) * N);
	size_t n = 0, same = 0;
	bool user_told = false;

	test_case("a million over 50 forked workers, no two the same");
	for (int w = 0; w < WORKERS; w++) {
		int ends[2];
		FILE *in;
		pid_t child;

		if (pipe(ends) < 0)
			exit(1);
		fflush(stdout);
		child = fork();
		if (child == 0) {
			FILE *out = fdopen(ends[1], "w");

			close(ends[0]);
			for (int i = 0; i < EACH; i++) {
				char *id = message_id_make(&sysinfo_real, "h.example");

				fwrite(id, 36, 1, out);
				free(id);
			}
			fclose(out);
			_exit(0);
		}
		close(ends[1]);
		in = fdopen(ends[0], "r");
		n += fread(all[n], 36, EACH, in);
		fclose(in);
		waitpid(child, NULL, 0);
	}
	check_int(n, N);
	for (size_t i = 0; i < n; i++)
		user_told |= memchr(all[i], '@', 34) || memchr(all[i], '/', 36);
	check(!user_told);
	qsort(all, n, 36, compare);
	for (size_t i = 1; i < n; i++)
		same += !memcmp(all[i - 1], all[i], 36);
	check_int(same, 0);
	free(all);
}

/* rows: HDR-10 */
static void checks_ids(void)
{
	static const struct { const char *text; bool one, many; } table[] = {
		{ "<a@b>", true, true },
		{ "<5678.21-Nov-1997@example.com>", true, true },
		{ "<a$b%c+d=e@[127.0.0.1]>", true, true },
		{ "<a@[IPv6:::1]>", true, true },
		{ "<a@b_c>", true, true },
		/* of another writer: given back as it was */
		{ "<a..b@c>", false, true },
		{ "<a.@b>", false, true },
		{ "<.a@b.>", false, true },
		{ "<a@b> <c@d>", false, true },
		{ " <a@b>\t <c@d> ", false, true },
		{ "<a@b><c@d>", false, false },
		{ "<a@b>,<c@d>", false, false },
		{ "a@b", false, false }, { "<a@b", false, false }, { "a@b>", false, false },
		{ "", false, false },
		{ " ", false, false }, { "<>", false, false }, { "<@>", false, false },
		{ "<a>", false, false }, { "<a@>", false, false },
		{ "<@b>", false, false }, { "<a@b@c>", false, false }, { "< a@b>", false, false },
		{ "<a @b>", false, false },
		{ "<a@b\r\n>", false, false }, { "<a@b>\r\n", false, false },
		{ "<a@b>\r\nBcc: x@y", false, false },
		{ "<a@b>\n<c@d>", false, false }, { "<a(c)@b>", false, false }, { "<\"a\"@b>", false, false },
		{ "<a\\b@c>", false, false },
		{ "<a@[b>", false, false }, { "<a@[b]c>", false, false }, { "<a@[b c]>", false, false },
		{ "<a@[]>", true, true },
		{ "<\303\274@b>", false, false }, { "<a@\303\274>", false, false },
		{ "<a\001@b>", false, false },
		{ "<a@b\177>", false, false }, { "<a@b> x", false, false }, { "<a@b> <c>", false, false },
		{ "<<a@b>>", false, false },
		{ "<a,b@c>", false, false }, { "<a;b@c>", false, false }, { "<a:b@c>", false, false },
		{ "<a@b:c>", false, false },
	};
	struct err e = ERR_INIT;
	char text[1100];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("identifier %zu: %s", i, table[i].text);
		check_int(message_id_check(table[i].text, &e), table[i].one ? 0 : -1);
		check_int(message_ids_check(table[i].text, &e), table[i].many ? 0 : -1);
		check(!e.text || !strpbrk(e.text, "\r\n"));
		err_clear(&e);
	}
	test_case("identifiers of 250, 251 and 1 KB");
	memset(text, 'a', sizeof(text));
	text[0] = '<';
	memcpy(text + 247, "@b>", 4);
	check_int(message_id_check(text, &e), 0);
	check_int(message_ids_check(text, &e), 0);
	text[247] = 'a';
	memcpy(text + 248, "@b>", 4);
	check_int(message_id_check(text, &e), -1);
	check_int(message_ids_check(text, &e), -1);
	text[248] = 'a';
	text[249] = text[250] = 'a';
	text[251] = 'a';
	memcpy(text + 1021, "@b>", 4);
	check_int(message_id_check(text, &e), -1);
	check_int(e.class, ERR_DATA);
	err_clear(&e);
}

int main(void)
{
	formats();
	calendar();
	local_zones();
	parses();
	zones();
	makes_ids();
	ids_differ();
	checks_ids();
	return check_done();
}
