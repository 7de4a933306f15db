/*
 * Date and Message-ID; see date.h. The calendar is computed here, without the C library's: its range is ours,
 * its names are English in every locale, and only the offset of the local zone is asked of localtime_r().
 */

#include "text/date.h"

#include "base/err.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "text/chars.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	DAY_S = 86400,
	ZONE_MAX_MIN = 14 * 60,         /* Line Islands, +1400; none was ever farther from UTC */
	/* a Message-ID; lines of 998 octets take it many times, NNTP's limit is this */
	ID_MAX = 250,
	ID_DOMAIN_MAX = 200,            /* leaves room for the left side */
};

static const int64_t unix_max = 253402300799;   /* 9999-12-31T23:59:59Z */

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

struct civil { int year, month, day, hour, minute, second; };

static bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static int month_days(int year, int month)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to the first of January of @year (the proleptic Gregorian calendar; 1970 = 0). */
static int64_t year_start(int year)
{
	int64_t y = year - 1;

	return 365 * (y - 1969) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static int64_t civil_days(int year, int month, int day)
{
	int64_t days = year_start(year) + day - 1;

	for (int m = 1; m < month; m++)
		days += month_days(year, m);
	return days;
}

/* @local_s, seconds since 1970 by the local clock, at least one day before 1970 not passed. */
static struct civil civil_from(int64_t local_s)
{
	int64_t days = local_s >= 0 ? local_s / DAY_S : (local_s + 1) / DAY_S - 1;
	int rest = (int)(local_s - days * DAY_S);
	struct civil c = { .hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60 };

	c.year = 1970 + (int)(days / 366);      /* never too late, at most some years too early */
	if (days < 0)
		c.year = 1969;
	while (year_start(c.year + 1) <= days)
		c.year++;
	days -= year_start(c.year);
	for (c.month = 1; days >= month_days(c.year, c.month); c.month++)
		days -= month_days(c.year, c.month);
	c.day = (int)days + 1;
	return c;
}

/* 1970-01-01 was a Thursday. */
static int weekday(int64_t days) { return (int)((days % 7 + 7 + 4) % 7); }

static int two(const char *s) { return (s[0] - '0') * 10 + (s[1] - '0'); }

/* "+hhmm" in minutes. */
static bool zone_offset(int *ret_min, const char *zone)
{
	int min;

	if ((zone[0] != '+' && zone[0] != '-') || strspn(zone + 1, "0123456789") != 4 || zone[5])
		return false;
	if (zone[3] > '5')
		return false;
	min = two(zone + 1) * 60 + two(zone + 3);
	if (min > ZONE_MAX_MIN)
		return false;
	*ret_min = zone[0] == '-' ? -min : min;
	return true;
}

static bool is_utc_name(const char *zone)
{
	return !strcasecmp(zone, "UTC") || !strcasecmp(zone, "GMT") || !strcasecmp(zone, "UT") ||
	       !strcasecmp(zone, "Z");
}

int zone_check(const char *zone, struct err *e)
{
	char shown[64];
	int min;

	if (is_utc_name(zone) || zone_offset(&min, zone))
		return 0;
	utf8_escape(shown, sizeof(shown), zone, strlen(zone));
	return err_set(e, ERR_DATA, "zone '%s': wanted is +hhmm or -hhmm within 14 hours, or UTC", shown);
}

/* The local zone's offset in whole minutes at @unix_s; UTC where TZ says something that no Date field can. */
static int ask_local_offset(int64_t unix_s)
{
	/* the C library has a lock of its own for this; one of ours is one that can be checked */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	time_t t = (time_t)unix_s;
	struct tm tm;
	bool known;
	long s;

	pthread_mutex_lock(&lock);
	tzset();
	known = localtime_r(&t, &tm);
	pthread_mutex_unlock(&lock);
	if (!known)
		return 0;
	s = tm.tm_gmtoff;
	if (s < -ZONE_MAX_MIN * 60 || s > ZONE_MAX_MIN * 60)
		return 0;
	return (int)(s / 60);
}

/*
 * The same, asked once a second: without TZ the C library looks at /etc/localtime each time. A long TZ, which
 * is a path, is not remembered.
 */
static int local_offset(int64_t unix_s)
{
	static _Thread_local struct { bool known; int64_t unix_s; char tz[64]; int min; } last;
	const char *tz = getenv("TZ");

	if (!tz)
		tz = "/etc/localtime";  /* which it means */
	if (last.known && last.unix_s == unix_s && !strcmp(last.tz, tz))
		return last.min;
	last.min = ask_local_offset(unix_s);
	last.unix_s = unix_s;
	last.known = strlen(tz) < sizeof(last.tz);
	if (last.known)
		strcpy(last.tz, tz);
	return last.min;
}

/* @width digits of @n at @at; gives what is behind them. */
static char *put_digits(char *at, unsigned n, size_t width)
{
	for (size_t i = width; i; i--, n /= 10)
		at[i - 1] = (char)('0' + n % 10);
	return at + width;
}

/* A word of three letters and what is behind it. */
static char *put_word(char *at, const char word[4], const char *behind)
{
	return stpcpy(stpcpy(at, word), behind);
}

int date_format(char out[40], int64_t unix_s, const char *zone, struct err *e)
{
	char *at = out;
	struct civil c;
	bool west;
	int min = 0;

	if (unix_s < 0 || unix_s > unix_max)
		return err_set(e, ERR_DATA, "the date is not within the years 1970 to 9999");
	if (!zone)
		min = local_offset(unix_s);
	else if (zone_check(zone, e) < 0)
		return -1;
	else
		zone_offset(&min, zone);        /* a name leaves 0 */
	c = civil_from(unix_s + min * 60);
	if (c.year > 9999)
		return err_set(e, ERR_DATA, "the date is not within the years 1970 to 9999");
	/* "-0000" says that the local zone is not known (RFC 5322, 3.3); whoever gave it meant that. */
	west = min < 0 || (zone && zone[0] == '-');
	min = min < 0 ? -min : min;
	at = put_word(at, day_names[weekday(civil_days(c.year, c.month, c.day))], ", ");
	at = put_digits(at, (unsigned)c.day, 2);
	*at++ = ' ';
	at = put_word(at, month_names[c.month - 1], " ");
	at = put_digits(at, (unsigned)c.year, 4);
	*at++ = ' ';
	at = put_digits(at, (unsigned)c.hour, 2);
	*at++ = ':';
	at = put_digits(at, (unsigned)c.minute, 2);
	*at++ = ':';
	at = put_digits(at, (unsigned)c.second, 2);
	at = stpcpy(at, west ? " -" : " +");
	at = put_digits(at, (unsigned)min / 60, 2);
	at = put_digits(at, (unsigned)min % 60, 2);
	*at = '\0';
	return 0;
}

/* What a date's readers share: a place in the text that moves over what was read. */
static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool take_spaces(const char **at)
{
	const char *from = *at;

	*at += strspn(*at, " \t");
	return *at != from;
}

/* From @least to @most digits, and no further digit behind them. */
static bool take_number(const char **at, size_t least, size_t most, int *ret)
{
	size_t n = strspn(*at, "0123456789");

	if (n < least || n > most)
		return false;
	*ret = 0;
	for (; n; n--)
		*ret = *ret * 10 + (*(*at)++ - '0');
	return true;
}

/* One of @count three-letter names, in any case, and no letter behind it. */
static bool take_name(const char **at, const char (*names)[4], int count, int *ret)
{
	for (int i = 0; i < count; i++) {
		if (strncasecmp(*at, names[i], 3))
			continue;
		if (is_letter((*at)[3]))
			return false;
		*at += 3;
		*ret = i;
		return true;
	}
	return false;
}

/* RFC 5322, 3.3: hour ":" minute [":" second]. */
static bool take_time(const char **at, struct civil *c)
{
	if (!take_number(at, 2, 2, &c->hour) || !take_char(at, ':') || !take_number(at, 2, 2, &c->minute))
		return false;
	c->second = 0;
	return !take_char(at, ':') || take_number(at, 2, 2, &c->second);
}

/* RFC 5322, 3.3 and the names of 4.3 (of whose single letters only Z can be relied on), as +hhmm in @ret. */
static bool take_zone(const char **at, char ret[8])
{
	static const struct { const char *name, *zone; } named[] = {
		{ "UTC", "+0000" }, { "UT", "+0000" }, { "GMT", "+0000" }, { "Z", "+0000" },
		{ "EST", "-0500" }, { "EDT", "-0400" }, { "CST", "-0600" }, { "CDT", "-0500" },
		{ "MST", "-0700" }, { "MDT", "-0600" }, { "PST", "-0800" }, { "PDT", "-0700" },
	};
	size_t n = strcspn(*at, " \t(");
	int min;

	if (n == 5) {
		memcpy(ret, *at, 5);
		ret[5] = '\0';
		*at += 5;
		return zone_offset(&min, ret);
	}
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (strlen(named[i].name) == n && !strncasecmp(*at, named[i].name, n)) {
			*at += n;
			strcpy(ret, named[i].zone);
			return true;
		}
	}
	return false;
}

/* ISO 8601: "Z", "+hh:mm", "+hhmm" or "+hh". */
static bool take_iso_zone(const char **at, char ret[8])
{
	const char *s = *at;
	bool colon;
	int min;

	if (*s == 'Z' || *s == 'z') {
		strcpy(ret, "+0000");
		++*at;
		return true;
	}
	if ((*s != '+' && *s != '-') || !is_digit(s[1]) || !is_digit(s[2]))
		return false;
	memcpy(ret, s, 3);
	strcpy(ret + 3, "00");
	colon = s[3] == ':';
	s += 3 + colon;
	if (is_digit(s[0]) && is_digit(s[1])) {
		memcpy(ret + 3, s, 2);
		s += 2;
	} else if (colon) {
		return false;
	}
	*at = s;
	return zone_offset(&min, ret);
}

/* A comment such as the "(CEST)" that programs put behind the zone; not nested, no controls. */
static bool take_comment(const char **at)
{
	const char *s = *at + 1;

	while (*s && *s != ')' && *s != '(' && *s != '\\' && (unsigned char)*s >= ' ' && *s != 0x7f)
		s++;
	if (*s != ')')
		return false;
	*at = s + 1;
	return true;
}

/* RFC 5322, 3.3: date-time. *ret_day: the day named, or -1. */
static bool take_rfc5322(const char *s, struct civil *c, char zone[8], int *ret_day)
{
	*ret_day = -1;
	take_spaces(&s);
	if (!is_digit(*s)) {
		if (!take_name(&s, day_names, 7, ret_day) || !take_char(&s, ','))
			return false;
		take_spaces(&s);
	}
	if (!take_number(&s, 1, 2, &c->day) || !take_spaces(&s) || !take_name(&s, month_names, 12, &c->month))
		return false;
	c->month++;
	if (!take_spaces(&s) || !take_number(&s, 4, 4, &c->year) || !take_spaces(&s) || !take_time(&s, c))
		return false;
	if (!take_spaces(&s) || !take_zone(&s, zone))
		return false;
	take_spaces(&s);
	if (*s == '(' && !take_comment(&s))
		return false;
	take_spaces(&s);
	return !*s;
}

/* ISO 8601, with its fraction of a second dropped. */
static bool take_iso8601(const char *s, struct civil *c, char zone[8])
{
	if (!take_number(&s, 4, 4, &c->year) || !take_char(&s, '-') || !take_number(&s, 2, 2, &c->month) ||
	    !take_char(&s, '-') || !take_number(&s, 2, 2, &c->day))
		return false;
	if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
		return false;
	if (!take_time(&s, c))
		return false;
	if (take_char(&s, '.') || take_char(&s, ',')) {
		size_t n = strspn(s, "0123456789");

		if (!n)
			return false;
		s += n;
	}
	take_char(&s, ' ');             /* as in git's dates */
	return take_iso_zone(&s, zone) && !*s;
}

/* NULL, or what is wrong with the fields. */
static const char *civil_check(const struct civil *c)
{
	if (c->year < 1969 || c->month < 1 || c->month > 12)
		return c->year < 1969 ? "a year before 1970" : "no such month";
	if (c->day < 1 || c->day > month_days(c->year, c->month))
		return "no such day";
	if (c->hour > 23 || c->minute > 59 || c->second > 60)
		return "no such time";
	/* It ends a UTC day: one of these minutes, in any zone of whole, half or quarter hours. */
	if (c->second == 60 && c->minute % 15 != 14)
		return "no such time";
	return NULL;
}

static int date_fail(const char *text, const char *why, struct err *e)
{
	char shown[80];

	utf8_escape(shown, sizeof(shown), text, strlen(text));
	return err_set(e, ERR_DATA, "date '%s': %s", shown, why);
}

/* "@seconds" */
static int epoch_seconds(int64_t *ret_s, const char *text, struct err *e)
{
	const char *s = text + 1;
	int64_t value = 0;

	if (!*s || s[strspn(s, "0123456789")])
		return date_fail(text, "wanted behind the '@' is a decimal number of seconds", e);
	for (; *s; s++) {
		value = value * 10 + (*s - '0');
		if (value > unix_max)
			return date_fail(text, "a year after 9999", e);
	}
	*ret_s = value;
	return 0;
}

int date_parse(int64_t *ret_s, char ret_zone[8], const char *text, struct err *e)
{
	struct civil c = { 0 };
	char zone[8] = "";
	const char *why;
	int64_t days, s;
	int min = 0, day = -1;

	if (text[0] == '@') {
		if (epoch_seconds(ret_s, text, e) < 0)
			return -1;
		ret_zone[0] = '\0';
		return 0;
	}
	if (!take_iso8601(text, &c, zone) && !take_rfc5322(text, &c, zone, &day))
		return date_fail(text, "wanted is \"Wed, 25 Nov 2026 22:47:00 +0100\", "
				 "\"2026-11-25T22:47:00+01:00\" or \"@seconds\"", e);
	why = civil_check(&c);
	if (why)
		return date_fail(text, why, e);
	days = civil_days(c.year, c.month, c.day);
	if (day >= 0 && day != weekday(days))
		return date_fail(text, "that day was another day of the week", e);
	zone_offset(&min, zone);
	s = days * DAY_S + c.hour * 3600 + c.minute * 60 + c.second - min * 60;
	if (s < 0 || s > unix_max)
		return date_fail(text, "not within the years 1970 to 9999", e);
	*ret_s = s;
	strcpy(ret_zone, zone);
	return 0;
}

/* RFC 5322, 3.2.3: dot-atom-text. */
static bool is_dot_atom(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_atext(s[i]) && !(s[i] == '.' && i && s[i - 1] != '.' && i + 1 < len))
			return false;
	return len > 0;
}

/* Letters of dot-atom-text in any order. */
static bool is_dots_and_atoms(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_atext(s[i]) && s[i] != '.')
			return false;
	return len > 0;
}

/* RFC 5322, 3.6.4: no-fold-literal. */
static bool is_literal(const char *s, size_t len)
{
	if (len < 2 || s[0] != '[' || s[len - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f || strchr("[]\\<>@", s[i]))
			return false;
	return true;
}

static void base36(char out[14], uint64_t n)
{
	static const char digit[] = "0123456789abcdefghijklmnopqrstuvwxyz";

	out[13] = '\0';
	for (int i = 12; i >= 0; i--, n /= 36)
		out[i] = digit[n % 36];
}

char *message_id_make(const struct sysinfo *sys, const char *domain)
{
	char when[14], first[14], second[14], *id, *at;
	int64_t now = sys->now_s();
	uint64_t bits[2];

	sys->random(bits, sizeof(bits));
	base36(when, now > 0 ? (uint64_t)now : 0);
	base36(first, bits[0]);
	base36(second, bits[1]);
	if (!domain || strlen(domain) > ID_DOMAIN_MAX || !is_dot_atom(domain, strlen(domain)))
		domain = "mailchute.invalid";
	/* Seven digits of base 36 tell the time until 4453; the later ones just follow. */
	at = id = xmalloc(sizeof("<.@>") + 3 * sizeof(when) + strlen(domain));
	at = stpcpy(stpcpy(at, "<"), when + (now < 78364164096 ? 6 : 4));
	at = stpcpy(stpcpy(stpcpy(at, "."), first), second);
	stpcpy(stpcpy(stpcpy(at, "@"), domain), ">");
	return id;
}

/* NULL, or what is wrong with the one identifier. */
static const char *id_check(const char *id, size_t len, bool (*is_side)(const char *s, size_t len))
{
	const char *at;

	if (len > ID_MAX)
		return "it is over 250 octets";
	if (len < 2 || id[0] != '<' || id[len - 1] != '>')
		return "it is not in angle brackets";
	if (memchr(id + 1, '<', len - 1) || memchr(id, '>', len - 1))
		return "more than one identifier, or a bracket inside of it";
	at = memchr(id, '@', len);
	if (!at)
		return "it has no '@'";
	if (!is_side(id + 1, (size_t)(at - id) - 1))
		return "what is left of its '@' is not a dot-atom";
	at++;
	if (!is_side(at, (size_t)(id + len - 1 - at)) && !is_literal(at, (size_t)(id + len - 1 - at)))
		return "what is right of its '@' is neither a dot-atom nor a literal";
	return NULL;
}

static int id_fail(const char *id, size_t len, const char *why, struct err *e)
{
	char shown[80];

	utf8_escape(shown, sizeof(shown), id, len);
	return err_set(e, ERR_DATA, "message identifier '%s': %s; wanted is <left@right>", shown, why);
}

int message_id_check(const char *text, struct err *e)
{
	const char *why = id_check(text, strlen(text), is_dot_atom);

	return why ? id_fail(text, strlen(text), why, e) : 0;
}

/*
 * These name messages of other writers, some of whom put dots where no dot-atom has them. An identifier
 * serves only if it is given back as it was, so that dots are left to their writer here.
 */
int message_ids_check(const char *text, struct err *e)
{
	const char *at = text, *why;
	size_t len;

	take_spaces(&at);
	if (!*at)
		return err_set(e, ERR_DATA, "no message identifier; wanted is <left@right>");
	while (*at) {
		len = strcspn(at, " \t");
		why = id_check(at, len, is_dots_and_atoms);
		if (why)
			return id_fail(at, len, why, e);
		at += len;
		take_spaces(&at);
	}
	return 0;
}

int content_id_parse(char **ret, const char *text, struct err *e)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		text++;
		len -= 2;
	}
	if (!len || len > ID_MAX)
		return err_set(e, ERR_DATA, "must have 1 to %d characters", ID_MAX);
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("<>()[],;:\\\"", text[i]))
			return err_set(e, ERR_DATA, "may hold no space, bracket, quote, comma, colon or non-ASCII "
				       "character");
	*ret = xmemdup0(text, len);
	return 0;
}
