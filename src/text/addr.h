#pragma once

/*
 * Mailboxes, RFC 5322 section 3.4 and RFC 5321 section 4.1.2, with UTF-8 by
 * RFC 6531/6532. Parsing is strict; deviations are in STANDARDS.md with the
 * reason. No recursion: comments nest to a fixed depth.
 *
 * Policy: quoted local parts, comments and groups are read; routes
 * (<@a,@b:c@d>) and obsolete forms with white space around dots inside an
 * address are refused; CR, LF, NUL and other controls are refused everywhere
 * (folding white space was undone by the caller). Limits of RFC 5321 section
 * 4.5.3.1: local part 64 octets, domain 255, path 256 with its brackets,
 * label 63 (of the A-label form).
 */

#include "base/base.h"

struct buf;
struct err;

struct mailbox {
	char *name;             /* display name, UTF-8, unquoted, encoded words as they are; NULL: none */
	char *local;            /* local part as its meaning: unquoted, unescaped */
	char *domain;           /* as written, UTF-8 or ASCII; "[...]": a literal; NULL: a bare local name */
};

enum {
	ADDR_BARE_LOCAL = 1 << 0,       /* a local part without "@domain" is allowed (postmaster always is) */
	ADDR_NULL = 1 << 1,             /* "" and "<>" are allowed: local and domain are "" */
	ADDR_GROUPS = 1 << 2,           /* mailbox_list_next() tells where groups begin and end */
};

/* Exactly one mailbox in @text. 0, or -1 ERR_DATA with what is wrong and the octet's offset. */
int mailbox_parse(struct mailbox *ret, const char *text, size_t len, unsigned flags,
		  struct err *e) MUST_CHECK;

/* What mailbox_list_next() found. */
enum { ADDR_MAILBOX = 1, ADDR_GROUP, ADDR_GROUP_END };

/*
 * The mailboxes of an address-list one by one, groups taken apart: *cursor starts at the text and moves; 1
 * (ADDR_MAILBOX) and *ret filled, 0 at the end, -1 on error. Empty list elements ("a@b,,c@d") are skipped
 * (RFC 5322 4.4). State is in the cursor, so that a list of 100 000 costs linear time. With ADDR_GROUPS
 * also ADDR_GROUP, the group's name (NULL: "") alone in *ret, and ADDR_GROUP_END, *ret untouched.
 */
struct addr_cursor { const char *at, *end; bool in_group, after_element; };
int mailbox_list_next(struct addr_cursor *cursor, struct mailbox *ret, unsigned flags,
		      struct err *e) MUST_CHECK;

/*
 * The address as an SMTP path has it, without brackets: local part (quoted only where it must be), "@", the
 * domain in A-labels (address literals normalised). *ret_eai: the local part is not ASCII, so that SMTPUTF8
 * is needed. -1 ERR_DATA: a domain that IDNA refuses, a limit.
 */
int mailbox_wire(const struct mailbox *m, struct buf *out, bool *ret_eai, struct err *e) MUST_CHECK;

/* Two wire addresses name the same recipient: local parts octet for octet, domains without regard to case. */
bool addr_same(const char *a, const char *b);
uint64_t addr_hash(const char *wire);           /* equal where addr_same() */

void mailbox_clear(struct mailbox *m);

/*
 * Other words of the SMTP grammar. Each: 0, or -1 ERR_DATA with the reason.
 * Host: DNS name (U-labels become A-labels), IPv4 address, or IPv6 address with or without brackets; the
 * result in *ret (malloc) is what libcurl and TLS take (no brackets around IPv6). Limits 255/63; refuses
 * space, controls, '/', '@', '?', '#', '%', '\', U+3002 and its like (they are dots to IDNA), an empty
 * label, a trailing junk.
 */
int host_parse(char **ret, const char *text, size_t len, struct err *e) MUST_CHECK;
/* What EHLO may say: a domain or an address literal, RFC 5321 4.1.1.1; A-labels made. */
int helo_parse(char **ret, const char *text, size_t len, struct err *e) MUST_CHECK;
/* xtext of RFC 3461 section 4: appended to @out. */
int xtext_add(struct buf *out, const char *s, size_t len) MUST_CHECK;
/*
 * True for a literal of 127.0.0.0/8 or ::1 (any spelling, IPv4-mapped too) and for exactly "localhost" in
 * any case.
 */
bool host_is_loopback(const char *host);
