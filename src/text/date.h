#pragma once

/*
 * Date and identifiers: RFC 5322 sections 3.3 and 3.6.4, RFC 2045 section 7.
 */

#include "base/base.h"

struct err;
struct sysinfo;

/*
 * "Wed, 25 Nov 2026 22:47:00 +0100" into out[40]. @zone: "+hhmm", "-hhmm", "UTC"/"GMT"/"Z" or NULL for the
 * local zone of TZ. Years 1970..9999, never negative fields; -1 ERR_DATA beyond.
 */
int date_format(char out[40], int64_t unix_s, const char *zone, struct err *e) MUST_CHECK;
/* "+hhmm" within 14 hours, or a name above; -1 ERR_DATA. */
int zone_check(const char *zone, struct err *e) MUST_CHECK;
/*
 * What a user gives as date: an RFC 5322 date-time, "@seconds", or ISO 8601 "2026-11-25T22:47:00+01:00"
 * (also with Z, and with a space for the T). Gives seconds and the zone written ("" where none was: then
 * @zone of the settings).
 */
int date_parse(int64_t *ret_s, char ret_zone[8], const char *text, struct err *e) MUST_CHECK;

/*
 * "<time.random@host>" with at least 96 random bits in base 36; the right side @domain where it is a valid
 * dot-atom, else "mailchute.invalid". No user name, no path, no pid. *ret by malloc.
 */
char *message_id_make(const struct sysinfo *sys, const char *domain);
/* "<left@right>" (RFC 5322 msg-id, no comments, at most 250 octets), exactly one. -1 ERR_DATA. */
int message_id_check(const char *text, struct err *e) MUST_CHECK;
/* One or more of them with white space between (References, In-Reply-To). */
int message_ids_check(const char *text, struct err *e) MUST_CHECK;
/*
 * The one Content-ID of @text, with or without its brackets: malloc, without them. Laxer than a msg-id: HTML
 * names it as "cid:logo" (RFC 2392), and many write no '@'. -1 ERR_DATA.
 */
int content_id_parse(char **ret, const char *text, struct err *e) MUST_CHECK;
