/*
 * Mailboxes by tables: what is read, as what it goes to the wire, and what is refused with which words. The
 * vectors are our own, written along RFC 5321, 5322, 6531 and 6532; the examples of RFC 5322's appendix A are
 * among them.
 */

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "check.h"
#include "text/addr.h"

#include <stdlib.h>
#include <time.h>

#define S10(c) c c c c c c c c c c
#define S60(c) S10(c) S10(c) S10(c) S10(c) S10(c) S10(c)
#define S63(c) S60(c) c c c
#define S64(c) S60(c) c c c c
/* 3 labels of 63 and one of @tail: 192 octets and the tail. */
#define LONG_DOMAIN(tail) S63("d") "." S63("e") "." S63("f") "." tail

struct accepted {
	const char *text, *wire, *name;         /* name NULL: none */
};

/* rows: ADR-01, ADR-02 */
static const struct accepted plain[] = {
	{ "a@b", "a@b" },
	{ "jdoe@example.org", "jdoe@example.org" },
	{ "john.q.public@example.com", "john.q.public@example.com" },
	{ "Jdoe@Example.ORG", "Jdoe@Example.ORG" },
	{ "first.last@sub.do.com", "first.last@sub.do.com" },
	{ "user+tag@example.org", "user+tag@example.org" },
	{ "user-name@example.org", "user-name@example.org" },
	{ "user_name@example.org", "user_name@example.org" },
	{ "x=y@example.org", "x=y@example.org" },
	{ "!def!xyz%abc@example.org", "!def!xyz%abc@example.org" },
	{ "customer/department=shipping@example.org", "customer/department=shipping@example.org" },
	{ "$A12345@example.org", "$A12345@example.org" },
	{ "#!$%&'*+-/=?^_`{}|~@example.org", "#!$%&'*+-/=?^_`{}|~@example.org" },
	{ "1234567890@example.org", "1234567890@example.org" },
	{ "-@example.org", "-@example.org" },
	{ "--@example.org", "--@example.org" },
	{ "-oQ/tmp@example.org", "-oQ/tmp@example.org" },
	{ "'@example.org", "'@example.org" },
	{ "o'brien@example.org", "o'brien@example.org" },
	{ "`id`@example.org", "`id`@example.org" },
	{ "|cat@example.org", "|cat@example.org" },
	{ "a%0d%0aRCPT@example.org", "a%0d%0aRCPT@example.org" },
	{ "a.b.c.d.e.f@example.org", "a.b.c.d.e.f@example.org" },
	{ "{_x_}@example.org", "{_x_}@example.org" },
	{ "user%host@gateway.example", "user%host@gateway.example" },
	{ "a!b!c@gateway.example", "a!b!c@gateway.example" },
	{ "root@localhost", "root@localhost" },
	{ "user@com", "user@com" },
	{ "user@1.example", "user@1.example" },
	{ "user@1", "user@1" },
	{ "user@3com.com", "user@3com.com" },
	{ "user@1.2.3.4", "user@1.2.3.4" },
	{ "user@123.com", "user@123.com" },
	{ "user@a--b.example", "user@a--b.example" },
	{ "user@x-y-z.example", "user@x-y-z.example" },
	{ "user@a.b.c.d.e.f.g.h.i.j.k.l", "user@a.b.c.d.e.f.g.h.i.j.k.l" },
	{ "user@xn--bcher-kva.example", "user@xn--bcher-kva.example" },
	{ "user@XN--BCHER-KVA.example", "user@XN--BCHER-KVA.example" },
	{ "<a@b>", "a@b" },
	{ "< a@b >", "a@b" },
	{ "<jdoe@example.org>", "jdoe@example.org" },
	{ "  <jdoe@example.org>  ", "jdoe@example.org" },
	{ "\tjdoe@example.org\t", "jdoe@example.org" },
	{ " jdoe@example.org", "jdoe@example.org" },
	{ "jdoe@example.org ", "jdoe@example.org" },
	{ "jdoe @ example.org", "jdoe@example.org" },
	{ "jdoe@ example.org", "jdoe@example.org" },
	{ "jdoe@example.org (comment)", "jdoe@example.org" },
	{ "(comment)jdoe@example.org", "jdoe@example.org" },
	{ "jdoe(c)@(d)example.org(e)", "jdoe@example.org" },
	{ "jdoe(a(b(c)d)e)@example.org", "jdoe@example.org" },
	{ "jdoe@example.org((((((((((x))))))))))", "jdoe@example.org" },
	{ "jdoe@example.org(\\))", "jdoe@example.org" },
	{ "jdoe@example.org(\\()", "jdoe@example.org" },
	{ "jdoe@example.org(\\\\)", "jdoe@example.org" },
	{ "jdoe@example.org(a\\\"b)", "jdoe@example.org" },
	{ "jdoe@example.org(\")", "jdoe@example.org" },
	{ "jdoe@example.org(<x@y>)", "jdoe@example.org" },
	{ "jdoe@example.org(a,b;c:d)", "jdoe@example.org" },
	{ "jdoe@example.org()", "jdoe@example.org" },
	{ "()(())jdoe@example.org", "jdoe@example.org" },
	{ "jdoe@example.org (\303\274ber)", "jdoe@example.org" },
	{ "(a) (b) <(c)jdoe(d)@(e)example.org(f)> (g)", "jdoe@example.org" },
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test", "Pete" },
	{ "postmaster", "postmaster" },
	{ "Postmaster", "Postmaster" },
	{ "POSTMASTER", "POSTMASTER" },
	{ "<postmaster>", "postmaster" },
	{ "The Master <postmaster>", "postmaster", "The Master" },
	{ "postmaster (of all)", "postmaster" },
};

/* rows: ADR-01, ADR-05 */
static const struct accepted quoted[] = {
	{ "\"jdoe\"@example.org", "jdoe@example.org" },
	{ "\"john.doe\"@example.org", "john.doe@example.org" },
	{ "\"john doe\"@example.org", "\"john doe\"@example.org" },
	{ "\"\"@example.org", "\"\"@example.org" },
	{ "\" \"@example.org", "\" \"@example.org" },
	{ "\".\"@example.org", "\".\"@example.org" },
	{ "\"..\"@example.org", "\"..\"@example.org" },
	{ "\".a\"@example.org", "\".a\"@example.org" },
	{ "\"a.\"@example.org", "\"a.\"@example.org" },
	{ "\"a..b\"@example.org", "\"a..b\"@example.org" },
	{ "\"a@b\"@example.org", "\"a@b\"@example.org" },
	{ "\"a@b@c\"@example.org", "\"a@b@c\"@example.org" },
	{ "\"Abc@def\"@example.com", "\"Abc@def\"@example.com" },
	{ "\"Fred Bloggs\"@example.com", "\"Fred Bloggs\"@example.com" },
	{ "\"Joe.\\\\Blow\"@example.com", "\"Joe.\\\\Blow\"@example.com" },
	{ "\"\\\"\"@example.org", "\"\\\"\"@example.org" },
	{ "\"\\\\\"@example.org", "\"\\\\\"@example.org" },
	{ "\"\\a\"@example.org", "a@example.org" },
	{ "\"a\\bc\"@example.org", "abc@example.org" },
	{ "\"\\ \"@example.org", "\" \"@example.org" },
	{ "\"a\\ b\"@example.org", "\"a b\"@example.org" },
	{ "\"a,b\"@example.org", "\"a,b\"@example.org" },
	{ "\"a;b\"@example.org", "\"a;b\"@example.org" },
	{ "\"a:b\"@example.org", "\"a:b\"@example.org" },
	{ "\"a(b)\"@example.org", "\"a(b)\"@example.org" },
	{ "\"a[b]\"@example.org", "\"a[b]\"@example.org" },
	{ "\"<>\"@example.org", "\"<>\"@example.org" },
	{ "\"foo@evil> ORCPT=x\"@example.org", "\"foo@evil> ORCPT=x\"@example.org" },
	{ "\"a@evil x\"@internal", "\"a@evil x\"@internal" },
	{ "\"xclow3n@gmail.com x\"@internal.domain", "\"xclow3n@gmail.com x\"@internal.domain" },
	{ "<\"a@b> SIZE=1\"@c>", "\"a@b> SIZE=1\"@c" },
	{ "\"a@b>,<c@d\"@e", "\"a@b>,<c@d\"@e" },
	{ "Name <\"quoted local\"@example.org>", "\"quoted local\"@example.org", "Name" },
	{ "\"a\" @ example.org", "a@example.org" },
	{ "(c)\"a b\"(d)@example.org", "\"a b\"@example.org" },
	{ "\"!#$%&'*+-/=?^_`{|}~\"@example.org", "!#$%&'*+-/=?^_`{|}~@example.org" },
};

/* rows: ADR-01, ADR-08 */
static const struct accepted literals[] = {
	{ "user@[127.0.0.1]", "user@[127.0.0.1]" },
	{ "user@[1.2.3.4]", "user@[1.2.3.4]" },
	{ "user@[255.255.255.255]", "user@[255.255.255.255]" },
	{ "user@[0.0.0.0]", "user@[0.0.0.0]" },
	{ "user@[IPv6:::1]", "user@[IPv6:::1]" },
	{ "user@[IPv6:::]", "user@[IPv6:::]" },
	{ "user@[ipv6:::1]", "user@[IPv6:::1]" },
	{ "user@[IPV6:2001:DB8::1]", "user@[IPv6:2001:db8::1]" },
	{ "user@[IPv6:2001:db8:0:0:0:0:0:1]", "user@[IPv6:2001:db8::1]" },
	{ "user@[IPv6:2001:0db8:0001:0002:0003:0004:0005:0006]", "user@[IPv6:2001:db8:1:2:3:4:5:6]" },
	{ "user@[IPv6:::ffff:192.0.2.1]", "user@[IPv6:::ffff:192.0.2.1]" },
	{ "user@[IPv6:1:2:3:4:5:6:192.0.2.1]", "user@[IPv6:1:2:3:4:5:6:c000:201]" },
	{ "user@(x)[127.0.0.1](y)", "user@[127.0.0.1]" },
	{ "N <user@[127.0.0.1]>", "user@[127.0.0.1]", "N" },
	{ "\"a b\"@[127.0.0.1]", "\"a b\"@[127.0.0.1]" },
};

/* rows: ADR-02, ADR-12, ADR-13 */
static const struct accepted named[] = {
	{ "John Doe <jdoe@machine.example>", "jdoe@machine.example", "John Doe" },
	{ "Who? <one@y.test>", "one@y.test", "Who?" },
	{ "\"Joe Q. Public\" <john.q.public@example.com>", "john.q.public@example.com", "Joe Q. Public" },
	{ "Joe Q. Public <john.q.public@example.com>", "john.q.public@example.com", "Joe Q. Public" },
	{ "J.Q.Public <j@example.com>", "j@example.com", "J.Q.Public" },
	{ "Dr. No <no@example.com>", "no@example.com", "Dr. No" },
	{ "Ends. <no@example.com>", "no@example.com", "Ends." },
	{ "A . B <no@example.com>", "no@example.com", "A . B" },
	{ "\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>", "sysservices@example.net",
	  "Giant; \"Big\" Box" },
	{ "\"Mary Smith: Personal Account\" <smith@home.example>", "smith@home.example",
	  "Mary Smith: Personal Account" },
	{ "\"Lee, Ann\" <ann@example.org>", "ann@example.org", "Lee, Ann" },
	{ "\"back\\\\slash\" <a@b>", "a@b", "back\\slash" },
	{ "\"a@b\" <c@d>", "c@d", "a@b" },
	{ "\"a@b <c@d>\" <e@f>", "e@f", "a@b <c@d>" },
	{ "\"\" <a@b>", "a@b", NULL },
	{ "\"  \" <a@b>", "a@b", "  " },
	{ "\"a\tb\" <a@b>", "a@b", "a b" },
	{ "\"a\"\"b\" <a@b>", "a@b", "ab" },
	{ "\"a\" \"b\" <a@b>", "a@b", "a b" },
	{ "\"a\" b \"c d\" e <a@b>", "a@b", "a b c d e" },
	{ "a(x)b <a@b>", "a@b", "a b" },
	{ "a (x) (y) b <a@b>", "a@b", "a b" },
	{ "  lots   of \t space   <a@b>", "a@b", "lots of space" },
	{ "Ann<a@b>", "a@b", "Ann" },
	{ "\"Ann\"<a@b>", "a@b", "Ann" },
	{ "\"('comment')\" <a@b>", "a@b", "('comment')" },
	{ "=?utf-8?Q?a=40b?= <c@d>", "c@d", "=?utf-8?Q?a=40b?=" },
	{ "=?utf-8?B?YUBiLCBjQGQ=?= <e@f>", "e@f", "=?utf-8?B?YUBiLCBjQGQ=?=" },
	{ "=?utf-8?Q?=3Ca=40b=3E?= =?utf-8?Q?x?= <e@f>", "e@f", "=?utf-8?Q?=3Ca=40b=3E?= =?utf-8?Q?x?=" },
	{ "\303\204nne L\303\251e <a@b>", "a@b", "\303\204nne L\303\251e" },
	{ "\"\303\204nne, L\303\251e\" <a@b>", "a@b", "\303\204nne, L\303\251e" },
	{ "\"\\\303\204\" <a@b>", "a@b", "\303\204" },
	{ "\360\237\230\200 Smile <a@b>", "a@b", "\360\237\230\200 Smile" },
	{ "\342\200\256gnp.exe <a@b>", "a@b", "\342\200\256gnp.exe" },
	{ "\346\265\213\350\257\225 <a@b>", "a@b", "\346\265\213\350\257\225" },
	{ "a'b <a@b>", "a@b", "a'b" },
	{ "-f <a@b>", "a@b", "-f" },
	{ "{json} <a@b>", "a@b", "{json}" },
	{ "50% off! <a@b>", "a@b", "50% off!" },
	{ "x (c1) <a@b> (c2)", "a@b", "x" },
	{ S10("name ") "last <a@b>", "a@b", S10("name ") "last" },
};

/* rows: ADR-03, ADR-14 */
static const struct accepted international[] = {
	{ "user@b\303\274cher.example", "user@xn--bcher-kva.example" },
	{ "user@B\303\234CHER.example", "user@xn--bcher-kva.example" },
	{ "user@bu\314\210cher.example", "user@xn--bcher-kva.example" },                     /* NFD */
	{ "user@\346\265\213\350\257\225.example", "user@xn--0zwm56d.example" },
	{ "user@\351\201\215\346\216\245\345\217\227-\346\265\213\350\257\225.\344\270\226\347\225\214",
	  "user@xn----f38am99bmmj4o2b8uf.xn--rhqv96g" },
	{ "\303\274@b\303\274cher.example", "\303\274@xn--bcher-kva.example" },
	{ "\303\274@example.org", "\303\274@example.org" },
	/* NFD stays NFD */
	{ "u\314\210@example.org", "u\314\210@example.org" },
	{ "\346\265\213\350\257\2255@example.org", "\346\265\213\350\257\2255@example.org" },
	{ "\"\303\274 x\"@example.org", "\"\303\274 x\"@example.org" },
	{ "\"\303\274\"@example.org", "\303\274@example.org" },
	{ "a\303\274.\303\266b@example.org", "a\303\274.\303\266b@example.org" },
	{ "N\303\274 <n\303\274@example.org>", "n\303\274@example.org", "N\303\274" },
	/* U+560A, U+560D, U+760A, U+760D end in LF and CR for those who cut characters to octets. */
	{ "a\345\230\212b@example.org", "a\345\230\212b@example.org" },
	{ "a\345\230\215b@example.org", "a\345\230\215b@example.org" },
	{ "a\347\230\212b@example.org", "a\347\230\212b@example.org" },
	{ "a\347\230\215b@example.org", "a\347\230\215b@example.org" },
	{ "a@\347\230\215\347\230\212.example", "a@xn--ztyf.example" },
	{ "\360\237\230\200@example.org", "\360\237\230\200@example.org" },
	{ "a@\316\262.example", "a@xn--nxa.example" },
};

/* rows: ADR-07 */
static const struct accepted at_the_limit[] = {
	{ S64("l") "@example.org", S64("l") "@example.org" },
	/* 64 with its quotes */
	{ "\"" S60("l") " l\"@b", "\"" S60("l") " l\"@b" },
	/* needs no quotes */
	{ "\"" S64("l") "\"@b", S64("l") "@b" },
	{ "a@" S63("d") ".example", "a@" S63("d") ".example" },
	{ "a@" LONG_DOMAIN(S60("g")), "a@" LONG_DOMAIN(S60("g")) },                          /* path 256 */
	{ S10("l") "@" LONG_DOMAIN(S10("g") S10("g") S10("g") S10("g") S10("g") "g"),
	  S10("l") "@" LONG_DOMAIN(S10("g") S10("g") S10("g") S10("g") S10("g") "g") },      /* path 256 */
	{ S64("l") "@" S63("d") "." S63("e") "." S60("f") "f",
	  S64("l") "@" S63("d") "." S63("e") "." S60("f") "f" },
};

struct refused {
	const char *text, *why;                 /* a part of the error's text */
};

/* rows: ADR-01, ADR-03, ADR-04 */
static const struct refused refused[] = {
	{ "", "empty" },
	{ " ", "empty" },
	{ "(only a comment)", "empty" },
	{ "@", "'@' cannot stand here" },
	{ "@example.org", "'@' cannot stand here" },
	{ "<>", "empty address" },
	{ "< >", "empty address" },
	{ "Name <>", "empty address" },
	{ "<@example.org>", "source route" },
	{ "jdoe", "no '@'" },
	{ "<jdoe>", "no '@'" },
	{ "Name <jdoe>", "no '@'" },
	{ "\"postmaster x\"", "no '@'" },
	{ "postmasters", "no '@'" },
	{ "jdoe@", "ends too early" },
	{ "<jdoe@>", "'>' cannot stand here" },
	{ "jdoe@ ", "ends too early" },
	{ "jdoe@(c)", "ends too early" },
	{ "a@b@c", "behind the address" },
	{ "a@@b", "'@' cannot stand here" },
	{ "a@b c@d", "behind the address" },
	{ "b@x c@y", "behind the address" },
	{ "b@x,c@y", "more than one address" },
	{ "b@x, c@y", "more than one address" },
	{ "b@x,", "more than one address" },
	{ ",b@x", "',' cannot stand here" },
	{ "b@x;c@y", "behind the address" },
	{ "b@x> ORCPT=rfc822;z@z", "behind the address" },
	{ "b@x> SIZE=1", "behind the address" },
	{ "<b@x> NOTIFY=NEVER", "behind the address" },
	{ "<b@x> c", "behind the address" },
	{ "<b@x><c@y>", "behind the address" },
	{ "<b@x>c@y", "behind the address" },
	{ "<<b@x>>", "'<' cannot stand here" },
	{ "<b@x", "'>' is missing" },
	{ "b@x>", "behind the address" },
	{ "<b@x SIZE=1>", "'S' cannot stand here" },
	{ "Name b@x", "'@' is missing" },
	{ "Name \"b\"@x", "'@' is missing" },
	{ "Name Name2", "'@' is missing" },
	{ "a@b <c@d>", "behind the address" },
	{ "Lee, Ann <ann@example.org>", "no '@'" },
	{ "Name (c", "without its ')'" },
	{ "a@b (c", "without its ')'" },
	{ "a@b (c\\", "without its ')'" },
	{ "a@b (c\\)", "without its ')'" },
	{ "a@b ((c)", "without its ')'" },
	{ "a@b )", "behind the address" },
	{ "a@b c)", "behind the address" },
	{ ")a@b", "')' cannot stand here" },
	{ ".a@b", "'.' cannot stand here" },
	{ "a.@b", "nothing behind the dot" },
	{ "a..b@c", "before the dot" },
	{ ".@b", "'.' cannot stand here" },
	{ "..@b", "'.' cannot stand here" },
	{ "a . b@c", "'@' is missing" },
	{ "a. b@c", "nothing behind the dot" },
	{ "a .b@c", "'@' is missing" },
	{ "a@b .c", "behind the address" },
	{ "a@b. c", "nothing behind the dot" },
	{ "a@b (c).d", "behind the address" },
	{ "a b@c", "'@' is missing" },
	{ "\"a\".b@c", "'@' is missing" },
	{ "a.\"b\"@c", "nothing behind the dot" },
	{ "\"a\".\"b\"@c", "'@' is missing" },
	{ "\"a\"\"b\"@c", "'@' is missing" },
	{ "\"a\"b@c", "'@' is missing" },
	{ "a\"b\"@c", "'@' is missing" },
	{ "\"a@c", "closing quote" },
	{ "\"a\\\"@c", "closing quote" },
	{ "\"a\\", "closing quote" },
	{ "\"", "closing quote" },
	{ "a\"@c", "closing quote" },
	{ "a\\@b@c", "'@' is missing" },
	{ "a\\ b@c", "'@' is missing" },
	{ "\\a@b", "'\\' cannot stand here" },
	{ "a[b@c", "'@' is missing" },
	{ "[a]@b", "'[' cannot stand here" },
	{ "a:b@c", "a group" },
	{ "a;b@c", "no '@'" },
	{ "a,b@c", "no '@'" },
	{ "a<b@c", "'>' is missing" },
	{ "a@b_c", "behind the address" },
	{ "a@_b", "'_' cannot stand here" },
	{ "a@b!", "behind the address" },
	{ "a@b%0d%0a", "behind the address" },
	{ "a@b/c", "behind the address" },
	{ "a@b:25", "behind the address" },
	{ "a@b\\c", "behind the address" },
	{ "a@.b", "before the dot" },
	{ "a@b.", "nothing behind the dot" },
	{ "a@.", "before the dot" },
	{ "a@b..c", "before the dot" },
	{ "a@-b", "hyphen" },
	{ "a@b-", "hyphen" },
	{ "a@b-.c", "hyphen" },
	{ "a@b.-c", "hyphen" },
	{ "a@-", "hyphen" },
	{ "a@xn--", "hyphen" },
	{ "a@\"b\"", "'\"' cannot stand here" },
	{ "a@b\"c\"", "behind the address" },
	{ "<@a,@b:c@d>", "source route" },
	{ "<@a:c@d>", "source route" },
	{ "Mary <@a.test:mary@b.test>", "source route" },
	{ "@a:c@d", "'@' cannot stand here" },
	{ "a@[", "without its ']'" },
	{ "a@[1.2.3.4", "without its ']'" },
	{ "a@1.2.3.4]", "behind the address" },
	{ "a@[]", "not an address literal" },
	{ "a@[1.2.3]", "not an address literal" },
	{ "a@[1.2.3.256]", "not an address literal" },
	{ "a@[1.2.3.4.5]", "not an address literal" },
	{ "a@[01.2.3.4]", "not an address literal" },
	{ "a@[ 1.2.3.4]", "not an address literal" },
	{ "a@[1.2.3.4 ]", "not an address literal" },
	{ "a@[1.2.3.4]x", "behind the address" },
	{ "a@[1.2.3.4].com", "behind the address" },
	{ "a@x[1.2.3.4]", "behind the address" },
	{ "a@[::1]", "written [IPv6:...]" },
	{ "a@[IPv6:]", "not an IPv6" },
	{ "a@[IPv6:1.2.3.4]", "not an IPv6" },
	{ "a@[IPv6:1:2:3:4:5:6:7]", "not an IPv6" },
	{ "a@[IPv6:1:2:3:4:5:6:7:8:9]", "not an IPv6" },
	{ "a@[IPv6:1::2::3]", "not an IPv6" },
	{ "a@[IPv6:12345::]", "not an IPv6" },
	{ "a@[IPv6:g::]", "not an IPv6" },
	{ "a@[IPv6:fe80::1%eth0]", "not an IPv6" },
	{ "a@[IPv6 :::1]", "not an address literal" },
	{ "a@[IPv6::1]", "not an IPv6" },
	{ "a@[tag:content]", "not an address literal" },
	{ "a@[example.org]", "not an address literal" },
	{ "a@[[1.2.3.4]]", "not an address literal" },
	{ "a@[\\1.2.3.4]", "not an address literal" },
	{ "a@[1.2.3.4\r\n]", "control" },
	{ "a@x>\r\nRCPT TO:<e@y", "behind the address" },
	{ "a@x\r\nRCPT TO:<e@y>", "behind the address" },
	{ "a@x\r", "behind the address" },
	{ "a@x\n", "behind the address" },
	{ "a@x\r\n ", "behind the address" },
	{ "\r\n a@x", "cannot stand here" },
	{ "a\r\n@x", "'@' is missing" },
	{ "a\n@x", "'@' is missing" },
	{ "a@\nx", "cannot stand here" },
	{ "\"a\r\n\"@x", "control" },
	{ "\"a\n\"@x", "control" },
	{ "\"a\\\r\"@x", "control" },
	{ "\"a\r\nBcc: x@y\" <a@x>", "control" },
	{ "Name\r\n <a@x>", "'@' is missing" },
	{ "a@x (\r\n)", "control" },
	{ "a@x (\\\n)", "control" },
	{ "a@x (\001)", "control" },
	{ "\"\001\"@x", "control" },
	{ "\"\177\"@x", "control" },
	{ "\"\\\177\"@x", "control" },
	{ "\"\t\"@x", "tab" },
	{ "\"a\tb\"@x", "tab" },
	{ "\"\\\t\"@x", "tab" },
	{ "a\001@x", "'@' is missing" },
	{ "a\177@x", "'@' is missing" },
	{ "a@x\177", "behind the address" },
	{ "a\033[31m@x", "'@' is missing" },
	{ "\"\033[31m\" <a@x>", "control" },
	{ "a\302\205@x", "control" },                                   /* U+0085, next line */
	{ "a@x\302\205y", "control" },
	{ "\"a\302\205b\" <a@x>", "control" },
	{ "a\342\200\250b@x", "control" },                              /* U+2028 */
	{ "a\342\200\251b@x", "control" },                              /* U+2029 */
	{ "a@x\342\200\250y", "control" },
	{ "a (\342\200\250) <a@x>", "control" },
	{ "\200@x", "UTF-8" },
	{ "\377@x", "UTF-8" },
	{ "a\303@x", "UTF-8" },
	{ "a@\303x", "UTF-8" },
	{ "a@x\303", "UTF-8" },
	{ "a\300\212b@x", "UTF-8" },                                    /* LF, overlong */
	{ "a\340\200\215b@x", "UTF-8" },                                /* CR, overlong */
	{ "\355\240\200@x", "UTF-8" },                                  /* a surrogate */
	{ "\364\220\200\200@x", "UTF-8" },                              /* over U+10FFFF */
	{ "\"\303\" <a@x>", "UTF-8" },
	{ "(\303) a@x", "UTF-8" },
	{ "\374ber <a@x>", "UTF-8" },                                   /* Latin-1 */
	{ "a@b\343\200\202c", "dots must be ASCII" },                   /* U+3002 */
	{ "a@b\357\274\216c", "dots must be ASCII" },                   /* U+FF0E */
	{ "a@b\357\275\241c", "dots must be ASCII" },                   /* U+FF61 */
	{ "a@\303\274-.x", "hyphen" },
	{ "a@-\303\274.x", "hyphen" },
	{ "a\357\274\240b.example", "no '@'" },                         /* a full-width '@' is none */
	{ "Undisclosed recipients:;", "a group" },
	{ "A:a@b;", "a group" },
	/* rows: ADR-07 */
	{ S64("l") "l@example.org", "over 64" },
	{ "\"" S60("l") " ll\"@b", "over 64" },
	{ "\"" S60("l") "\\\"l\"@b", "over 64" },
	{ "a@" S64("d") ".example", "over 63" },
	{ "a@" LONG_DOMAIN(S60("g") "g"), "over 254" },
	{ "aa@" LONG_DOMAIN(S60("g")), "over 254" },
	{ "a@" LONG_DOMAIN(S63("g")), "over 254" },                     /* a domain of 255, a path of 259 */
	{ "a@" LONG_DOMAIN(S60("g") ".gg.g"), "over 255" },
	{ S64("l") "@" S63("d") "." S63("e") "." S60("f") "ff", "over 254" },
};

static void one_accepted(const struct accepted *v)
{
	struct err e = ERR_INIT;
	struct buf wire = BUF_INIT(1000), again = BUF_INIT(1000);
	struct mailbox m = { 0 }, m2 = { 0 };
	bool eai = false, eai2 = false;
	int r = mailbox_parse(&m, v->text, strlen(v->text), 0, &e);

	check_int(r, 0);
	if (r < 0) {
		printf("# %s\n", e.text);
	} else {
		r = mailbox_wire(&m, &wire, &eai, &e);
		check_int(r, 0);
		check_str(wire.data, v->wire);
		check((!m.name && !v->name) || (m.name && v->name && !strcmp(m.name, v->name)));
		check(eai == !ascii_only(v->wire, strlen(v->wire)));    /* a domain is ASCII by then */
		/* What goes to the wire reads back as itself. */
		check_int(mailbox_parse(&m2, wire.data, wire.len, 0, &e), 0);
		if (m2.local) {
			check_str(m2.local, m.local);
			check_int(mailbox_wire(&m2, &again, &eai2, &e), 0);
			check_str(again.data, wire.data);
			check(eai == eai2);
		}
	}
	mailbox_clear(&m);
	mailbox_clear(&m2);
	buf_clear(&wire);
	buf_clear(&again);
	err_clear(&e);
}

static void accepted_table(const char *title, const struct accepted *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		test_case("%s %zu: %.60s", title, i, v[i].text);
		one_accepted(&v[i]);
	}
}

static void refused_table(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct err e = ERR_INIT;
		struct mailbox m = { 0 };

		test_case("refused %zu: %.60s", i, refused[i].text);
		check_int(mailbox_parse(&m, refused[i].text, strlen(refused[i].text), 0, &e), -1);
		check(!m.name && !m.local && !m.domain);
		check_int(e.class, ERR_DATA);
		check(e.text && strstr(e.text, refused[i].why));
		if (!e.text || !strstr(e.text, refused[i].why))
			printf("# got \"%s\", want \"%s\"\n", e.text ? e.text : "", refused[i].why);
		check(e.text && !strpbrk(e.text, "\r\n\033\001\177"));
		mailbox_clear(&m);
		err_clear(&e);
	}
}

static int parse_status(const char *text, size_t len, unsigned flags)
{
	struct err e = ERR_INIT;
	struct mailbox m = { 0 };
	int r = mailbox_parse(&m, text, len, flags, &e);

	mailbox_clear(&m);
	err_clear(&e);
	return r;
}

/* rows: ADR-03 */
static void nul_anywhere(void)
{
	static const char whole[] = "(c) \"A \\b\" <\"x y\"@[1.2.3.4]> (d)";
	static const char bad[] = { '\r', '\n', '\0', '\v', '\f' };
	char cut[sizeof(whole)];
	size_t len = sizeof(whole) - 1;

	test_case("a NUL, CR or LF at any place refuses the address");
	check_int(parse_status(whole, len, 0), 0);
	for (size_t i = 0; i <= len; i++) {
		for (size_t k = 0; k < sizeof(bad); k++) {
			memcpy(cut, whole, i);
			cut[i] = bad[k];
			memcpy(cut + i + 1, whole + i, len - i);
			check_int(parse_status(cut, len + 1, 0), -1);
		}
	}
}

static void flags(void)
{
	struct err e = ERR_INIT;
	struct mailbox m = { 0 };
	struct buf wire = BUF_INIT(300);
	bool eai = true;

	/* rows: ADR-15 */
	test_case("the null address where it is allowed");
	check_int(parse_status("", 0, ADDR_NULL), 0);
	check_int(parse_status("<>", 2, ADDR_NULL), 0);
	check_int(parse_status(" (c) < > ", 9, ADDR_NULL), 0);
	check_int(parse_status("<>", 2, 0), -1);
	check_int(parse_status("<>", 2, ADDR_BARE_LOCAL), -1);
	check_int(parse_status("N <>", 4, ADDR_NULL), -1);
	check_int(parse_status("\"\"", 2, ADDR_NULL), -1);
	check_int(parse_status("<> SIZE=1", 9, ADDR_NULL), -1);
	check_int(mailbox_parse(&m, "<>", 2, ADDR_NULL, &e), 0);
	check_str(m.local, "");
	check_str(m.domain, "");
	check_int(mailbox_wire(&m, &wire, &eai, &e), 0);
	check_int(wire.len, 0);
	check(!eai);
	mailbox_clear(&m);

	test_case("a bare local part where it is allowed");
	check_int(parse_status("user", 4, ADDR_BARE_LOCAL), 0);
	check_int(parse_status("user", 4, 0), -1);
	check_int(parse_status("<user>", 6, ADDR_BARE_LOCAL), 0);
	check_int(parse_status("user name", 9, ADDR_BARE_LOCAL), -1);
	check_int(parse_status("user SIZE=1", 11, ADDR_BARE_LOCAL), -1);
	check_int(parse_status("user@", 5, ADDR_BARE_LOCAL), -1);
	check_int(mailbox_parse(&m, "U <\"a b\">", 9, ADDR_BARE_LOCAL, &e), 0);
	check_str(m.local, "a b");
	check(!m.domain);
	check_int(mailbox_wire(&m, &wire, &eai, &e), 0);
	check_str(wire.data, "\"a b\"");
	mailbox_clear(&m);
	buf_clear(&wire);
	err_clear(&e);
}

static void comment_depth(void)
{
	char text[1000];

	test_case("comments nest to a depth and no deeper");
	memset(text, '(', 100);
	memset(text + 100, ')', 100);
	memcpy(text + 200, "a@b", 3);
	check_int(parse_status(text, 203, 0), 0);
	memset(text, '(', 101);
	memset(text + 101, ')', 101);
	memcpy(text + 202, "a@b", 3);
	check_int(parse_status(text, 205, 0), -1);
}

/* rows: ADR-12 */
static void name_length(void)
{
	char *text = xmalloc(20000);

	test_case("a display name of 1 KB is taken, one of 8 KB is the last");
	memset(text, 'n', 20000);
	memcpy(text + 1024, " <a@b>", 6);
	check_int(parse_status(text, 1030, 0), 0);
	memset(text, 'n', 20000);
	memcpy(text + 8192, " <a@b>", 6);
	check_int(parse_status(text, 8198, 0), 0);
	memset(text, 'n', 20000);
	memcpy(text + 8193, " <a@b>", 6);
	check_int(parse_status(text, 8199, 0), -1);
	free(text);
}

/* The wire forms of a list, each behind the other with a space between; or "! " and the reason. */
static char *list(const char *text, unsigned flags_)
{
	struct addr_cursor c = { .at = text, .end = text + strlen(text) };
	struct buf out = BUF_INIT(100000);
	struct err e = ERR_INIT;
	struct mailbox m;
	bool eai;
	int r;

	while ((r = mailbox_list_next(&c, &m, flags_, &e)) == 1) {
		if (out.len)
			check_int(buf_adds(&out, " "), 0);
		check_int(mailbox_wire(&m, &out, &eai, &e), 0);
		mailbox_clear(&m);
	}
	if (r < 0) {
		buf_reset(&out);
		check_int(buf_addf(&out, "! %s", e.text), 0);
	}
	err_clear(&e);
	return buf_take(&out, NULL);
}

/* What is found, one after the other: "address ", "name: ", "; "; "! " where it is refused. */
static void with_groups(void)
{
	static const struct { const char *text, *want; } table[] = {
		{ "a@b, G 1: c@d,, e@f ;, H:;", "a@b G 1: c@d e@f ; H: ; " },
		{ "\"\": a@b;", ": a@b ; " },
		{ "\"x, y\" (c) : ;,a@b", "x, y: ; a@b " },
		{ "G: H: a@b;", "G: ! " },
		{ "G: a@b", "G: a@b ! " },
	};

	test_case("a list with its groups");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct addr_cursor c = { .at = table[i].text, .end = table[i].text + strlen(table[i].text) };
		struct buf out = BUF_INIT(1000);
		struct err e = ERR_INIT;
		struct mailbox m;
		int r;

		while ((r = mailbox_list_next(&c, &m, ADDR_GROUPS, &e)) > 0) {
			if (r == ADDR_MAILBOX)
				check_int(buf_addf(&out, "%s@%s ", m.local, m.domain), 0);
			else if (r == ADDR_GROUP)
				check_int(buf_addf(&out, "%s: ", m.name ? m.name : ""), 0);
			else
				check_int(buf_adds(&out, "; "), 0);
			if (r != ADDR_GROUP_END)
				mailbox_clear(&m);
		}
		if (r < 0)
			check_int(buf_adds(&out, "! "), 0);
		check_str(out.data, table[i].want);
		err_clear(&e);
		buf_clear(&out);
	}
}

/* rows: ADR-02, ADR-04, ADR-10, ADR-13 */
static void lists(void)
{
	static const struct { const char *text, *want; } table[] = {
		{ "", "" },
		{ " , ,, (c) , ", "" },
		{ "a@b", "a@b" },
		{ "a@b,c@d", "a@b c@d" },
		{ "a@b , c@d , e@f", "a@b c@d e@f" },
		{ "a@b,,c@d", "a@b c@d" },
		{ ",a@b,", "a@b" },
		{ "a@b, (nobody), c@d", "a@b c@d" },
		{ "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
		  "mary@x.test jdoe@example.org one@y.test" },
		{ "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
		  "boss@nil.test sysservices@example.net" },
		{ "\"a@b, c@d\" <e@f>, g@h", "e@f g@h" },
		{ "\"x,y\"@b, c@d", "\"x,y\"@b c@d" },
		{ "=?utf-8?Q?a=2C_b=40c?= <d@e>, f@g", "d@e f@g" },
		{ "a@b (c, d@e), f@g", "a@b f@g" },
		{ "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
		  "c@a.test joe@where.test jdoe@one.test" },
		{ "Undisclosed recipients:;", "" },
		{ "Undisclosed:;", "" },
		{ "Undisclosed: ;", "" },
		{ "Undisclosed: , ,;", "" },
		{ "\"quoted: name\":a@b;", "a@b" },
		{ "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "" },
		{ "A Group(Some people) :Chris Jones <c@(Chris's host.)public.example>, joe@example.org, "
		  "John <jdoe@one.test> (my dear friend); (the end of the group)",
		  "c@public.example joe@example.org jdoe@one.test" },
		{ "A:;, B:;, c@d", "c@d" },
		{ "A:a@b;, c@d, E:f@g, h@i;", "a@b c@d f@g h@i" },
		{ "a@b, G:c@d;,e@f", "a@b c@d e@f" },
		{ "postmaster, Postmaster", "postmaster Postmaster" },
		{ "Mary <@node.test:mary@example.net>", "! source route" },
		{ "a@b c@d", "! a comma is missing" },
		{ "a@b <c@d>", "! a comma is missing" },
		{ "a@b; c@d", "! address ';': addresses are separated by commas" },
		{ "a@b;", "! separated by commas" },
		{ ";", "! separated by commas" },
		{ "A:a@b; c@d", "! a comma is missing" },
		{ "A:a@b;;", "! separated by commas" },
		{ "A:a@b", "! group without its ';'" },
		{ "A:", "! group without its ';'" },
		{ "A:B:c@d;;", "! a group inside a group" },
		{ ":;", "! ':' cannot stand here" },
		{ "a@b:c@d;", "! a comma is missing" },
		{ "a@b, <>", "! empty address" },
		{ "<>", "! empty address" },
		{ "a@b, user", "! no '@'" },
		{ "a@b, c@", "! ends too early" },
		{ "a@b, \"c", "! closing quote" },
		{ "a@b, (c", "! without its ')'" },
		{ "a@b\r\nBcc: c@d", "! a comma is missing" },
		{ "a@b,\r\nc@d", "! cannot stand here" },
		{ "a@b> ORCPT=rfc822;z@z", "! a comma is missing" },
		{ "<a@b> SIZE=1, c@d", "! a comma is missing" },
		{ "a@b, c@d\303", "! UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char *got;

		test_case("list %zu: %.60s", i, table[i].text);
		got = list(table[i].text, 0);
		if (table[i].want[0] == '!') {
			check(got[0] == '!' && strstr(got, table[i].want + 2));
			if (got[0] != '!' || !strstr(got, table[i].want + 2))
				printf("# got \"%s\"\n", got);
		} else {
			check_str(got, table[i].want);
		}
		free(got);
	}
}

/* A header such as a mailer's author writes to find out what breaks. rows: ADR-02 */
static void torture(void)
{
	static const char text[] =
		"r1@example.com,\t=?utf-8?B?VGVzdCDDnHNlcg==?= <r2@example.com>, Two\tWords <r3@example.com>,"
		" r4, \"B; \\\"in quotes\\\" Name\" <r5@example.com>,"
		" Some Group:Person 1 <r6@example.com>,r7@example.com, \"P: 3\" <r8@example.com>;,"
		" Nobody(at all) : (not(even)me) ;,"
		" (before)\"a:b;c,d\"(mid) <(x, y)r9(\\)z)@(\")example.com(;)> (after:),"
		" \"r 10\"@example.com, r11@[192.0.2.1],, <r12@example.com>,"
		" One(1) \"Two, 2\" Th.ree <r13@example.com> , \"@:<>,;\" <\"@:<>,;\"@example.com>";
	char *got;

	test_case("torture: comments, groups, quoted colons");
	got = list(text, ADDR_BARE_LOCAL);
	check_str(got, "r1@example.com r2@example.com r3@example.com r4 r5@example.com r6@example.com "
		  "r7@example.com r8@example.com r9@example.com \"r 10\"@example.com r11@[192.0.2.1] "
		  "r12@example.com "
		  "r13@example.com \"@:<>,;\"@example.com");
	free(got);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds of processor time that a list of @n of @one takes; *ret_count its mailboxes. */
static double list_time(const char *one, size_t n, size_t *ret_count)
{
	size_t len = strlen(one);
	char *text = xmalloc(len * n + 1);
	struct addr_cursor c = { .at = text, .end = text + len * n };
	struct err e = ERR_INIT;
	struct mailbox m;
	double start;

	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, one, len);
	*ret_count = 0;
	start = seconds();
	while (mailbox_list_next(&c, &m, 0, &e) == 1) {
		mailbox_clear(&m);
		++*ret_count;
	}
	start = seconds() - start;
	err_clear(&e);
	free(text);
	return start;
}

static void linear(void)
{
	static const char *const ones[] = {
		"a@b,", "\"N, n\" <a@b> (c),", "g:a@b;,", "a.b.c.d.e.f.g.h@b.c.d.e.f.g (((x))),",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ones); i++) {
		size_t n;
		double ten, hundred;

		test_case("100 000 of \"%s\" in linear time", ones[i]);
		ten = list_time(ones[i], 10000, &n);
		check_int(n, 10000);
		hundred = list_time(ones[i], 100000, &n);
		check_int(n, 100000);
		/* Ten times as much; a square would be a hundred times. The addend is for a busy machine. */
		check(hundred < ten * 40 + 0.5);
	}
	for (size_t i = 0; i < 4; i++) {
		static const char *const bad[] = { "(", "\"a\\", "a ", "," };
		size_t n;

		test_case("a million of \"%s\" end soon", bad[i]);
		check(list_time(bad[i], 1000000, &n) < 5);
		check_int(n, 0);
	}
}

/* rows: ADR-14 */
static void wire_refusals(void)
{
	static const struct { const char *text, *why; } table[] = {
		{ "a@\342\200\215.example", "joiner" },                   /* ZWJ alone */
		{ "a@a\342\200\215b.example", "joiner" },                 /* ZWJ between Latin letters */
		{ "a@xn--\303\274.example", "IDNA" },                   /* no A-label */
		{ "a@\342\204\200.example", "IDNA" },                   /* U+2100, "a/c" to a mapping */
		{ "a@\357\274\217.example", "IDNA" },                   /* full-width solidus */
		{ "a@\314\201a.example", "IDNA" },                      /* begins with a combining mark */
	};
	struct buf out = BUF_INIT(300);
	struct mailbox m = { 0 };
	bool eai = false;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;

		test_case("IDNA refuses %zu", i);
		check_int(mailbox_parse(&m, table[i].text, strlen(table[i].text), 0, &e), 0);
		check_int(mailbox_wire(&m, &out, &eai, &e), -1);
		check_int(e.class, ERR_DATA);
		check(e.text && (strstr(e.text, table[i].why) || strstr(e.text, "no domain can have")));
		check_int(out.len, 0);
		mailbox_clear(&m);
		err_clear(&e);
	}
	buf_clear(&out);
}

/* A struct that no parser made. rows: ADR-03, ADR-07 */
static void wire_trusts_nothing(void)
{
	static const struct { const char *local, *domain; } table[] = {
		{ "a\r\nRCPT TO:<b", "c" }, { "a\n", "c" }, { "a\tb", "c" }, { "a\302\205", "c" },
		{ "a", "b> SIZE=1" }, { "a", "b\r\n" }, { "a", "b c" }, { "a", "" },
		{ "a", "[1.2.3.4]>" }, { "a", "[x]" }, { "a", "b..c" }, { "a", "b@c" },
		{ "a\303", "b" }, { "a", "b_c" }, { S64("a") "a", "b" }, { "a", S64("b") },
		{ "a", LONG_DOMAIN(S63("g")) }, { "a", "\303\274\303" }, { "a", "\303\274/x" },
	};
	static const struct { const char *local, *domain, *wire; } fine[] = {
		{ "a>b", "c", "\"a>b\"@c" }, { "a", "[127.0.0.1]", "a@[127.0.0.1]" },
		{ "a b", NULL, "\"a b\"" },
		{ "", "c", "\"\"@c" },
	};
	struct buf out = BUF_INIT(300);
	bool eai;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct mailbox m = { .local = xstrdup(table[i].local), .domain = xstrdup(table[i].domain) };
		struct err e = ERR_INIT;

		test_case("mailbox_wire refuses what no parser made, %zu", i);
		check_int(mailbox_wire(&m, &out, &eai, &e), -1);
		check_int(e.class, ERR_DATA);
		check(e.text && !strpbrk(e.text, "\r\n"));
		check_int(out.len, 0);
		mailbox_clear(&m);
		err_clear(&e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		struct mailbox m = { .local = xstrdup(fine[i].local), .domain = xstrdup(fine[i].domain) };
		struct err e = ERR_INIT;

		test_case("mailbox_wire quotes anew, %zu", i);
		buf_reset(&out);
		check_int(mailbox_wire(&m, &out, &eai, &e), 0);
		check_str(out.data, fine[i].wire);
		mailbox_clear(&m);
		err_clear(&e);
	}
	buf_clear(&out);
}

/* A label is as long as its A-label. rows: ADR-07, ADR-14 */
static void label_limit(void)
{
	struct buf text = BUF_INIT(2000), out = BUF_INIT(300);

	test_case("a U-label whose A-label is over 63 octets");
	for (int n = 1; n < 64; n++) {
		struct err e = ERR_INIT;
		struct mailbox m = { 0 };
		bool eai;
		int r;

		buf_reset(&text);
		buf_reset(&out);
		check_int(buf_adds(&text, "a@"), 0);
		for (int i = 0; i < n; i++)
			check_int(buf_adds(&text, "\303\274"), 0);
		check_int(buf_adds(&text, ".example"), 0);
		check_int(mailbox_parse(&m, text.data, text.len, 0, &e), 0);
		r = mailbox_wire(&m, &out, &eai, &e);
		if (r == 0)
			check(strcspn(out.data + 2, ".") <= 63 && !strncmp(out.data + 2, "xn--", 4));
		else
			check(n > 30);
		mailbox_clear(&m);
		err_clear(&e);
	}
	buf_clear(&text);
	buf_clear(&out);
}

/* rows: ADR-11 */
static void same(void)
{
	static const struct { const char *a, *b; bool same; } table[] = {
		{ "a@b", "a@b", true }, { "a@b", "a@B", true }, { "a@Example.ORG", "a@eXAMPLE.org", true },
		{ "A@b", "a@b", false }, { "a@b", "a@c", false }, { "a@b", "a@bc", false },
		{ "a@bc", "a@b", false },
		{ "a", "a", true }, { "a", "A", false }, { "a", "a@b", false }, { "a@b", "a", false },
		{ "\"a@B\"@c", "\"a@b\"@c", false }, { "\"a@B\"@c", "\"a@B\"@C", true },
		{ "\"a@B\"", "\"a@b\"", false }, { "\"a\\\"@B\"@c", "\"a\\\"@b\"@c", false },
		{ "\"a\\\"@B\"@c", "\"a\\\"@B\"@C", true }, { "", "", true }, { "", "a", false },
		{ "a@[IPv6:::1]", "a@[ipv6:::1]", true }, { "\303\274@b", "\303\234@b", false },
		{ "\"", "\"", true },
		{ "postmaster", "postmaster@b", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("same recipient %zu: %s %s", i, table[i].a, table[i].b);
		check(addr_same(table[i].a, table[i].b) == table[i].same);
		check(addr_same(table[i].b, table[i].a) == table[i].same);
		check((addr_hash(table[i].a) == addr_hash(table[i].b)) == table[i].same);
	}
}

/* A host, an EHLO name: what comes out, or NULL where it is refused. */
struct word { const char *text, *want; };

static void word_table(const char *title, int (*parse)(char **, const char *, size_t, struct err *),
		       const struct word *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err e = ERR_INIT;
		char *got = NULL;
		int r;

		test_case("%s %zu: %.60s", title, i, v[i].text);
		r = parse(&got, v[i].text, strlen(v[i].text), &e);
		check_int(r, v[i].want ? 0 : -1);
		if (v[i].want && got)
			check_str(got, v[i].want);
		if (r < 0) {
			check_int(e.class, ERR_DATA);
			check(!got && e.text && !strpbrk(e.text, "\r\n\033"));
		}
		free(got);
		err_clear(&e);
	}
}

/* rows: CLI-06 */
static const struct word hosts[] = {
	{ "localhost", "localhost" }, { "mail.example.org", "mail.example.org" }, { "MAIL", "MAIL" },
	{ "mail_server", "mail_server" }, { "_x._y.example", "_x._y.example" }, { "a-b", "a-b" },
	{ "127.0.0.1", "127.0.0.1" }, { "0.0.0.0", "0.0.0.0" }, { "::1", "::1" }, { "[::1]", "::1" },
	{ "[2001:DB8::1]", "2001:db8::1" }, { "2001:0db8::0001", "2001:db8::1" },
	{ "::ffff:127.0.0.1", "::ffff:127.0.0.1" },
	{ "b\303\274cher.example", "xn--bcher-kva.example" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "1e100.net", "1e100.net" }, { "3com", "3com" }, { "0xbad.example", "0xbad.example" },
	{ LONG_DOMAIN(S63("g")), LONG_DOMAIN(S63("g")) }, { S63("x"), S63("x") },
	{ "", NULL }, { " ", NULL }, { "a b", NULL }, { " a", NULL }, { "a ", NULL }, { "a\t", NULL },
	{ "a\r\nb", NULL }, { "a\n", NULL }, { "a\r", NULL }, { "a/b", NULL }, { "/", NULL }, { "a@b", NULL },
	{ "a?b", NULL }, { "a#b", NULL }, { "a%0d%0ab", NULL }, { "a%2eb", NULL }, { "a\\b", NULL },
	{ "a:25", NULL },
	{ "a\343\200\202b", NULL }, { "a\357\274\216b", NULL }, { "a\357\275\241b", NULL },
	{ "b\303\274.\343\200\202", NULL },
	{ ".", NULL }, { "a.", NULL }, { ".a", NULL }, { "a..b", NULL }, { "-a", NULL }, { "a-", NULL },
	{ "a-.b", NULL },
	{ S64("x"), NULL }, { "a." S64("x") ".b", NULL }, { LONG_DOMAIN(S60("g") "g.gg"), NULL },
	{ "[::1", NULL }, { "::1]", NULL }, { "[]", NULL }, { "[127.0.0.1]", NULL }, { "[a]", NULL },
	{ "[::1]x", NULL },
	{ "[::1]:25", NULL }, { "fe80::1%eth0", NULL }, { "[fe80::1%25eth0]", NULL }, { "::g", NULL },
	{ "1:2", NULL },
	{ "127.1", NULL }, { "127.0.0.256", NULL }, { "0127.0.0.1", NULL }, { "2130706433", NULL },
	{ "0x7f000001", NULL },
	{ "127.0.0.0x1", NULL }, { "1.2.3.4.5", NULL }, { "0x", NULL }, { "a.0xff", NULL }, { "a.7", NULL },
	{ "a\001", NULL }, { "a\177", NULL }, { "a\033[31m", NULL }, { "a\302\205b", NULL },
	{ "a\342\200\250b", NULL },
	{ "a\303", NULL }, { "\377", NULL }, { "user:pw@host", NULL }, { "smtp://a", NULL }, { "a;b", NULL },
	{ "$(id)", NULL },
	{ "\342\204\200.example", NULL }, { "a\357\274\217b", NULL }, { "a\357\274\205b", NULL },
	{ "*", NULL }, { "a,b", NULL },
	{ "'a'", NULL }, { "\"a\"", NULL }, { "<a>", NULL }, { "a=b", NULL }, { "a+b", NULL }, { "~", NULL },
};

/* rows: ADR-16 */
static const struct word helos[] = {
	{ "mail.example.org", "mail.example.org" }, { "bareword", "bareword" }, { "localhost", "localhost" },
	{ "[1.2.3.4]", "[1.2.3.4]" }, { "[IPv6:::1]", "[IPv6:::1]" },
	{ "[ipv6:2001:DB8::0:1]", "[IPv6:2001:db8::1]" },
	{ "b\303\274cher.example", "xn--bcher-kva.example" },
	{ LONG_DOMAIN(S63("g")), LONG_DOMAIN(S63("g")) },
	{ "", NULL }, { "a b", NULL }, { "a\r\nMAIL FROM:<x>", NULL }, { "a\n", NULL }, { "a\r", NULL },
	{ " ", NULL },
	{ LONG_DOMAIN(S63("g") "g"), NULL }, { LONG_DOMAIN(S60("g") ".g.g"), NULL }, { S64("a"), NULL },
	{ "[1.2.3]", NULL }, { "[::1]", NULL },
	{ "[1.2.3.4] x", NULL }, { "[1.2.3.4", NULL }, { "a_b", NULL }, { "-a", NULL }, { "a-", NULL },
	{ "a..b", NULL },
	{ "a.", NULL }, { "a@b", NULL }, { "<a>", NULL }, { "a\302\205", NULL }, { "\377", NULL },
	{ "a\343\200\202b", NULL },
	{ "[]", NULL }, { "[x]", NULL }, { "[1.2.3.4\r\n]", NULL },
};

static void word_nul(void)
{
	struct err e = ERR_INIT;
	char *got = NULL;

	test_case("a NUL in a host or an EHLO name");
	check_int(host_parse(&got, "a\0b", 3, &e), -1);
	check_int(host_parse(&got, "127.0.0.1\0x", 11, &e), -1);
	check_int(host_parse(&got, "a\0", 2, &e), -1);
	check_int(helo_parse(&got, "a\0b", 3, &e), -1);
	check_int(helo_parse(&got, "[127.0.0.1\0]", 12, &e), -1);
	check(!got);
	err_clear(&e);
}

static void xtext(void)
{
	static const struct { const char *in; size_t len; const char *out; } table[] = {
		{ "a@b", 3, "a@b" }, { "a+b=c", 5, "a+2Bb+3Dc" }, { "a b", 3, "a+20b" }, { "", 0, "" },
		{ "\r\n\0\x7f", 4, "+0D+0A+00+7F" }, { "\303\274", 2, "+C3+BC" }, { "!~", 2, "!~" },
		{ "QQ314159", 8, "QQ314159" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct buf out = BUF_INIT(100);

		test_case("xtext %zu", i);
		check_int(xtext_add(&out, table[i].in, table[i].len), 0);
		check_str(out.data, table[i].out);
		buf_clear(&out);
	}
	test_case("xtext, the buffer's end");
	{
		struct buf out = BUF_INIT(4);

		check_int(xtext_add(&out, "aa=", 3), -1);
		check(out.len <= 4);
		buf_clear(&out);
	}
}

static void loopback(void)
{
	static const struct { const char *host; bool is; } table[] = {
		{ "localhost", true }, { "LocalHost", true }, { "127.0.0.1", true },
		{ "127.255.255.254", true },
		{ "127.0.0.0", true }, { "::1", true }, { "[::1]", true }, { "0:0:0:0:0:0:0:1", true },
		{ "0000:0000:0000:0000:0000:0000:0000:0001", true }, { "::ffff:127.0.0.1", true },
		{ "::ffff:7f00:1", true },
		{ "::FFFF:127.9.9.9", true }, { "[::ffff:127.0.0.1]", true },
		{ "", false }, { "localhost.", false }, { "localhost.example", false },
		{ "localhost.localdomain", false },
		{ "xlocalhost", false }, { "128.0.0.1", false }, { "126.255.255.255", false },
		{ "0.0.0.0", false }, { "::", false },
		{ "::2", false }, { "127.1", false }, { "127", false }, { "127.0.0.1.example", false },
		{ "::127.0.0.1", false },
		{ "::ffff:128.0.0.1", false }, { "127.0.0.1 ", false }, { "2130706433", false },
		{ "[127.0.0.1]", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		test_case("loopback %zu: %s", i, table[i].host);
		check(host_is_loopback(table[i].host) == table[i].is);
	}
}

/* rows: ADR-12 */
static void offsets(void)
{
	struct err e = ERR_INIT;
	struct mailbox m;
	struct addr_cursor c;
	const char *text = "a@b, c@d, e@ , f@g";

	test_case("an error tells the address and the offset in it");
	check_int(mailbox_parse(&m, "a@b c@d", 7, 0, &e), -1);
	check_str(e.text, "address 'a@b c@d': something stands behind the address (offset 4)");
	c = (struct addr_cursor){ .at = text, .end = text + strlen(text) };
	for (int i = 0; i < 2; i++) {
		check_int(mailbox_list_next(&c, &m, 0, &e), 1);
		mailbox_clear(&m);
	}
	check_int(mailbox_list_next(&c, &m, 0, &e), -1);
	check_str(e.text, "address 'e@ ': ',' cannot stand here (offset 3)");
	err_clear(&e);
}

int main(void)
{
	accepted_table("plain", plain, ARRAY_SIZE(plain));
	accepted_table("quoted", quoted, ARRAY_SIZE(quoted));
	accepted_table("literal", literals, ARRAY_SIZE(literals));
	accepted_table("named", named, ARRAY_SIZE(named));
	accepted_table("international", international, ARRAY_SIZE(international));
	accepted_table("limit", at_the_limit, ARRAY_SIZE(at_the_limit));
	refused_table();
	nul_anywhere();
	flags();
	comment_depth();
	name_length();
	lists();
	with_groups();
	torture();
	linear();
	wire_refusals();
	wire_trusts_nothing();
	label_limit();
	same();
	word_table("host", host_parse, hosts, ARRAY_SIZE(hosts));
	word_table("EHLO name", helo_parse, helos, ARRAY_SIZE(helos));
	word_nul();
	xtext();
	loopback();
	offsets();
	return check_done();
}
