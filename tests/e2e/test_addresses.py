#!/usr/bin/python3
"""Addresses and the envelope, end to end: who was named gets it, by the form that the wire has, or nothing is sent."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, readers, tap  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, TO, composed, delivered, params, refused  # noqa: E402

L64, L63 = "a" * 64, "b" * 63
# A domain of 255 octets is only reached by labels of 63; a path of 256 leaves the domain less.
GOOD = [
	("plain", "a@example.org", "a@example.org"), ("dots", "a.b.c@example.org", "a.b.c@example.org"),
	("atext", "!#$%&'*+-/=?^_`{|}~@example.org", None),
	("quoted", '"a b"@example.org', None), ("quoted quote", '"a\\"b"@example.org', None),
	("quoted @", '"a@b"@example.org', None),
	("quoted that needs none", '"abc"@example.org', "abc@example.org"),
	("name", "Ann <a@example.org>", "a@example.org"),
	("comment", "a@example.org (Ann)", "a@example.org"),
	("comments everywhere", "(x) a (y) @ (z) example.org (w)", "a@example.org"),
	("literal", "a@[127.0.0.1]", None), ("IPv6 literal", "a@[IPv6:::1]", None),
	("IPv6 full", "a@[IPv6:2001:db8:0:0:0:0:0:1]", "a@[IPv6:2001:db8::1]"),
	("local part of 64", L64 + "@example.org", None), ("label of 63", f"a@{L63}.example", None),
	("one-letter labels", "a@b.c", None), ("digits", "1@2.example", None),
	("top-level domain with a hyphen", "a@xn--bcher-kva.example", None), ("postmaster", "postmaster", None),
	("Postmaster", "PostMaster", None),
	("folded white space", "a@example.org\t", "a@example.org"),
	("trailing dot in a name", "J. R. Ewing <a@example.org>", "a@example.org"),
]
BAD = [
	("empty", ""), ("only @", "@"), ("no local part", "@example.org"), ("no domain", "a@"),
	("two @", "a@b@example.org"), ("two dots", "a..b@example.org"),
	("dot first", ".a@example.org"), ("dot last", "a.@example.org"), ("dot first in the domain", "a@.example.org"),
	("two dots in the domain", "a@b..example"),
	("hyphen first", "a@-b.example"), ("hyphen last", "a@b-.example"), ("underscore in the domain", "a@b_c.example"),
	("space in the local part", "a b@example.org"),
	("space in the domain", "a@b c.example"), ("unclosed quote", '"a@example.org'),
	("unclosed bracket", "<a@example.org"), ("closed too much", "a@example.org>"),
	("unclosed comment", "a@example.org (x"), ("unclosed literal", "a@[127.0.0.1"),
	("local part of 65", "a" * 65 + "@example.org"), ("label of 64", "a@" + "b" * 64 + ".example"),
	("path of 257", "a@" + ".".join([L63] * 3 + ["c" * 62])), ("text behind", "<a@example.org> x"),
	("two in brackets", "<a@example.org> <b@example.org>"),
	("null path", "<>"), ("literal out of range", "a@[256.0.0.1]"),
	("literal with leading zeros", "a@[127.0.0.01.1]"), ("IPv6 without its tag", "a@[::1]"),
	("IPv6 with two ::", "a@[IPv6:1::2::3]"), ("unknown tag", "a@[x:y]"), ("empty literal", "a@[]"),
	("control character", "a\x01@example.org"), ("DEL", "a\x7f@example.org"),
	("route", "<@r.example,@s.example:a@example.org>"), ("percent CRLF in the domain", "a@b%0d%0a.example"),
	("semicolon", "a@example.org;"), ("backslash", "a\\@example.org"),
]
SINGLE = ("from", "sender", "envelope_from")
EVERY = ("from", "sender", "envelope_from", "to", "cc", "bcc", "rcpt", "reply_to")
SMUGGLES = [
	("CRLF", "a@x.example>\r\nRCPT TO:<e@y.example"), ("LF", "a@x.example>\nRCPT TO:<e@y.example"),
	("CR", "a@x.example>\rRCPT TO:<e@y.example"),
	("NUL", "a@x.example>\0RCPT TO:<e@y.example"), ("percent", "a@x.example>%0d%0aRCPT TO:<e@y.example"),
	("U+560A", "a@x.example>\u560d\u560aRCPT TO:<e@y.example"),
	("U+760A", "a@x.example>\u760d\u760aRCPT TO:<e@y.example"), ("U+0085", "a@x.example>\x85RCPT TO:<e@y.example"),
	("U+2028", "a@x.example>\u2028RCPT TO:<e@y.example"),
	("ORCPT", "b@x.example> ORCPT=rfc822;z@z.example"), ("SIZE", "b@x.example> SIZE=1"),
	("NOTIFY", "<b@x.example> NOTIFY=NEVER"), ("space and another", "b@x.example c@y.example"),
	("fold", "a@x.example\r\n <e@y.example>"), ("quoted CRLF", '"a\r\nRCPT TO:<e@y.example>"@x.example'),
	("literal CRLF", "a@[127.0.0.1\r\n]"), ("comment CRLF", "a@x.example (\r\nBcc: e@y.example)"),
]


class Syntax(tap.Case):
	@tap.row("ADR-01", "ADR-07", "ADR-08", "ADR-09")
	@tap.table(*GOOD)
	def test_good(self, address, want):
		"taken as sender and recipient, and on the wire as it must be: {0}"
		want = want or address
		with fake.Server() as server:
			message = delivered(self, server, "--params",
			                    params(self, {"from": address, "to": [address], "body": "x\n"}))
			self.assertEqual((message.sender, message.rcpts), (want, [want]))

	@tap.row("ADR-01", "ADR-07", "ADR-08")
	@tap.table(*BAD)
	def test_bad(self, address):
		"refused wherever it stands: {0}"
		for key in EVERY:
			# An empty envelope_from, and <>, is the null sender.
			if key == "envelope_from" and address in ("", "<>"):
				continue
			with self.subTest(key):
				value = address if key in SINGLE else [address]
				members = {"body": "x", key: value}
				refused(self, 65, "--params", params(self, members), says=key)
				flag = "--" + key.replace("_", "-")
				if "\0" not in address:
					refused(self, 65, *ARGS, flag, address, TO, input="x", says=flag)

	@tap.row("ADR-07")
	def test_path(self):
		"a path of 256 octets with its brackets is taken, one of 257 not"
		for extra, code in ((0, 0), (1, 65)):
			domain = ".".join([L63, L63, L63, "c" * (254 - 1 - 1 - 3 * 64 + extra)])
			address = "a@" + domain
			self.assertEqual(len(address) + 2, 256 + extra)
			r = mc.run("--dry-run", *ARGS, address, input="x")
			self.assertEqual(r.code, code, r)

	@tap.row("ADR-03", "ADR-04")
	@tap.table(*SMUGGLES)
	def test_smuggle(self, text):
		"{0} in every key of addresses: refused, or no other command"
		with fake.Server() as server:
			for key in EVERY:
				with self.subTest(key):
					members = {"body": "x\n", key: text if key in SINGLE else [text]}
					before = len(server.sessions)
					r = mc.run("-S", server.url, "--params", params(self, members))
					self.assertEqual(r.code, 65, r)
					self.assertEqual(len(server.sessions), before)
			for value in ({"address": TO, "orcpt": text}, {"address": TO, "notify": text}):
				r = mc.run("-S", server.url, "--params", params(self, {"to": [value], "body": "x\n"}))
				if r.code == 0:
					server.wait(1)
					self.assertEqual(server.sessions[-1].messages[0].rcpts, [TO])
				else:
					self.assertEqual(r.code, 65, r)
			self.assertEqual(server.lint, [])
			self.assertNotIn(b"RCPT TO:<e@", server.wire_text)

	@tap.row("ADR-04")
	@tap.table("from", "sender", "envelope_from")
	def test_single(self, key):
		"two addresses where one must be: {0}"
		refused(self, 65, "--params", params(self, {key: "b@x.example,c@y.example", "body": "x"}), says=key)

	@tap.row("ADR-05")
	@tap.table(
		'"foo@evil.example> ORCPT=x"@example.org', '"a@evil.example x"@internal.example',
		'"a@evil.example,b"@example.org',
		'"<a@evil.example>"@example.org', '"a\\\\"@example.org')
	def test_quoted(self, address):
		"a quoted local part stays in its quotes: {0}"
		with fake.Server() as server:
			message = delivered(self, server, "--params", params(self, {"to": [address], "body": "x\n"}))
			self.assertEqual(message.rcpts, [address])
			self.assertEqual(server.session.commands[2], f"RCPT TO:<{address}>")
			self.assertEqual(locally.parsed(message.data)["to"].addresses[0].domain, address.rpartition("@")[2])

	@tap.row("ADR-09")
	@tap.table(("loopback", "127.0.0.1", 0), ("localhost", "localhost", 0), ("LMTP", "lmtp://mail.example.org", 0),
	           ("Unix socket", "lmtp+unix:/tmp/s", 0),
	           ("a remote server", "mail.example.org", 65),
	           ("one of two is remote", '["127.0.0.1", "mail.example.org"]', 65))
	def test_bare(self, server, code):
		"a name without a domain, to {0}"
		r = mc.run("--dry-run", "-S", server, *ARGS, "user", input="x\n")
		self.assertEqual(r.code, code, r)
		r = mc.run("--dry-run", "-S", server, *ARGS, "postmaster", input="x\n")
		self.assertEqual(r.code, 0, r)


class Lists(tap.Case):
	def envelope(self, *argv, **members):
		with fake.Server() as server:
			if members:
				argv = ["--params", params(self, {"body": "x\n", **members})]
			message = delivered(self, server, *argv, input="x\n")
			return message

	@tap.row("ADR-02")
	def test_one_string(self):
		"a list in one string: commas in names, comments and quotes are none"
		text = ('"Lee, Ann" <a@example.org>, b@example.org (a, comment), =?utf-8?Q?c=40evil.example?= <c@example.org>, '
		        '"d,e"@example.org,'
		        "\tf@example.org, <g@example.org>, H. I. J <h@example.org>,, k@example.org,")
		want = ["a@example.org", "b@example.org", "c@example.org", '"d,e"@example.org', "f@example.org",
		        "g@example.org", "h@example.org", "k@example.org"]
		message = self.envelope(to=text)
		self.assertEqual(message.rcpts, want)
		readers.agree(self, message.data, to=None, readers=(readers.python, readers.gmime))

	@tap.row("ADR-10")
	def test_group(self):
		"groups: the header keeps them, the envelope has their members"
		message = self.envelope(to=["Team: a@example.org, Bob <b@example.org>;"], cc=["undisclosed-recipients:;"])
		self.assertEqual(message.rcpts, ["a@example.org", "b@example.org"])
		self.assertIn(b"Team:", message.data)
		self.assertRegex(message.data, rb"\r\nCc: undisclosed-recipients: ?;\r\n")
		refused(self, 64, "--params", params(self, {"to": ["nobody:;"], "body": "x"}), says="recipient")

	@tap.row("ADR-11")
	def test_duplicates(self):
		"duplicates go once, by the domain in any case; local parts are as they are"
		message = self.envelope(to=["a@example.org", "a@EXAMPLE.org", "A@example.org"], cc=["a@example.org"],
		                        bcc=["Name <a@Example.ORG>", '"a"@example.org'])
		self.assertEqual([r.split("@")[0] for r in message.rcpts], ["a", "A"])

	@tap.row("ADR-11")
	def test_bcc(self):
		"Bcc is in the envelope and nowhere else"
		message = self.envelope(to=["a@example.org"], bcc=["Secret <s@example.org>"])
		self.assertEqual(message.rcpts, ["a@example.org", "s@example.org"])
		self.assertNotIn(b"s@example.org", message.data)
		self.assertNotIn(b"bcc", message.data.lower())

	@tap.row("ADR-12")
	@tap.table(
		("comma", "Lee, Ann"), ("quote", 'The "A" Team'), ("backslash", "a\\b\\"),
		("encoded text", "=?utf-8?Q?a=40b?="), ("RTL override", "abc\u202ecba"),
		("1 KB", "long name " * 100), ("1 KB of one word", "\u00e4" * 500), ("emoji", "Ann \U0001f600"),
		("address as name", "a@b.example"), ("angle", "<x@y.example>"),
		("semicolon and colon", "group: a;"), ("parentheses", "a (b) c"), ("dots", "J. R. R."),
		("umlaut and comma", "M\u00fcller, J\u00f6rg"),
		("non-ASCII @ and comma", "\u00e4@evil.example, b"), ("apostrophe", "O'Hara"), ("tab", "a\tb"),
		("spaces", "a   b"), ("looks like a list", "a@x.example, b@x.example"))
	def test_names(self, name):
		"a display name that reads back, and no other address: {0}"
		quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '" <a@example.org>'
		data = composed(self, "--params", params(self, {"to": [quoted], "from": quoted, "body": "x\n"}))
		# mblaze decodes before it parses, and finds what was in no address: nothing that a sender writes helps it.
		blind = readers.mblaze if not name.isascii() and "@" in name else None
		for view in readers.views(data, [r for r in readers.READERS if r is not blind]):
			for field in (view.to, view.sender):
				self.assertTrue(field == ["a@example.org"], view)
		parsed = locally.parsed(data)
		# Python keeps the blank between two encoded words of a phrase.
		self.assertEqual("".join(parsed["to"].addresses[0].display_name.split()), "".join(name.split()))
		self.assertEqual(len(parsed["to"].addresses), 1)

	@tap.row("ADR-13")
	@tap.table(("plain", "Person {} <p{}@example.org>"), ("umlaut", "P\u00e9rson, {} <p{}@example.org>"),
	           ("quoted", '"Long, quoted \\"name\\" of person {}" <p{}@example.org>'),
	           ("long encoded", "\u00e4\u00f6\u00fc" * 15 + " {} <p{}@example.org>"),
	           ("commas and CJK", '"\u904d\u63a5, {}" <p{}@example.org>'))
	def test_folding(self, form):
		"long lists that fold, names {0}: the same addresses to every reader"
		# A bare name with a comma would be two addresses.
		if ", {}" in form and not form.startswith('"'):
			form = '"' + form.split(" <")[0] + '" <' + form.split(" <")[1]
		everybody = [form.format(n, n) for n in range(60)]
		want = [f"p{n}@example.org" for n in range(60)]
		data = composed(self, "--params", params(self, {"to": everybody, "body": "x\n"}))
		for view in readers.views(data):
			self.assertTrue(view.to == want, view)
		head = data.split(b"\r\n\r\n")[0]
		for word in re.findall(rb"=\?utf-8\?Q\?[^?]*\?=", head):
			self.assertNotIn(b",", word)
		self.assertLessEqual(max(map(len, head.split(b"\r\n"))), 78)
		names = [a.display_name for a in locally.parsed(data)["to"].addresses]
		self.assertEqual(len(set(names)), 60)

	@tap.row("ADR-15")
	def test_null_sender(self):
		"the null sender with DSN flags; <> is no recipient"
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, "--envelope-from", "<>", "--dsn-return", "hdrs", "--dsn-notify",
			                    "failure", TO, input="x\n")
			self.assertEqual(message.sender, "")
			self.assertEqual(message.mail_params.get("RET"), "HDRS")
		refused(self, 65, *ARGS, "--to", "<>", input="x\n", says="--to")


# (label, address, envelope with SMTPUTF8, envelope without or None)
EAI = [
	("local and domain", "\u00fc@b\u00fccher.example", "\u00fc@xn--bcher-kva.example", None),
	("CJK", "\u6d4b\u8bd55@\u904d\u63a5\u53d7-\u6d4b\u8bd5.example", None, None),
	("domain only", "a@b\u00fccher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
	("A-label", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
	("quoted local", '"\u00fc \u00f6"@example.org', '"\u00fc \u00f6"@example.org', None),
	("decomposed domain", "a@bu\u0308cher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
	("capitals", "a@B\u00dcCHER.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
]


class International(tap.Case):
	@tap.row("ADR-14")
	@tap.table(*EAI)
	def test_envelope(self, address, with_it, without):
		"{0}, to a server with SMTPUTF8 and one without, in any locale"
		for env in ({}, {"LANG": "C"}, {"LC_ALL": "POSIX", "LANG": None}):
			with fake.Server() as server:
				message = delivered(self, server, *ARGS, "--bcc", address, input="x\n", env=env)
				if with_it:
					self.assertEqual(message.rcpts, [with_it])
				self.assertEqual("SMTPUTF8" in message.mail_params, without is None)
			with fake.Server(ehlo=["PIPELINING", "SIZE"]) as server:
				r = mc.run("-S", server.url, *ARGS, "--bcc", address, input="x\n", env=env)
				if without:
					self.assertEqual(r.code, 0, r)
					self.assertEqual(server.message.rcpts, [without])
				else:
					self.assertEqual(r.code, 69, r)
					self.assertNotIn("MAIL", locally.verbs(server.session))
				self.assertEqual(server.lint, [])

	@tap.row("ADR-14")
	def test_some(self):
		"an EAI address only in the envelope refuses that recipient; in a header, all"
		with fake.Server(ehlo=["PIPELINING"]) as server:
			r = mc.run("-S", server.url, *ARGS, "--report=json", TO, "--bcc", "\u00fc@example.org", input="x\n")
			self.assertEqual(r.code, 1, r)
			self.assertEqual({p["address"]: p["state"] for p in r.json["recipients"]},
			                 {TO: "accepted", "\u00fc@example.org": "rejected"})
			self.assertEqual(server.message.rcpts, [TO])
		with fake.Server(ehlo=["PIPELINING"]) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "--cc", "\u00fc@example.org", input="x\n")
			self.assertEqual(r.code, 69, r)
			self.assertNotIn("MAIL", locally.verbs(server.session))

	@tap.row("ADR-14")
	def test_after_tls(self):
		"SMTPUTF8 counts in the EHLO after STARTTLS only"
		for clear, tls, code in ((fake.KEYWORDS, ["PIPELINING"], 69), (["PIPELINING"], list(fake.KEYWORDS), 0)):
			with fake.Server(tls="starttls", ehlo=clear, ehlo_tls=tls) as server:
				r = mc.run("-S", server.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, "\u00fc@example.org",
				           input="x\n")
				self.assertEqual(r.code, code, r)
				self.assertEqual(server.lint, [])

	@tap.row("ADR-14")
	@tap.table(("invalid A-label", "a@xn--\u00fc.example"), ("ZWJ alone", "a@b\u200dc.example"),
	           ("only marks", "a@\u0301.example"), ("RTL override", "a@b\u202ec.example"),
	           ("too long as A-label", "a@" + "\u00fc" * 63 + ".example"), ("private use", "a@\ue000.example"),
	           ("space", "a@b\u00a0c.example"), ("slash", "a@b\uff0fc.example"),
	           ("ideographic full stop", "a@b\u3002example"))
	def test_bad_domain(self, address):
		"a domain that is none: {0}"
		refused(self, 65, *ARGS, address, input="x\n")


class Greeting(tap.Case):
	@tap.row("ADR-16")
	@tap.table(("space", "a b"), ("CR", "a\rb"), ("LF", "a\nQUIT"), ("256 characters", ".".join(["a" * 50] * 6)),
	           ("empty label", "a..b"), ("bad literal", "[1.2.3]"),
	           ("empty", ""), ("angle", "a>b"), ("8-bit that is no domain", "\u202e"))
	def test_bad(self, name):
		"an EHLO name that is none: {0}"
		refused(self, 64, *ARGS, "--helo-name", name, TO, input="x\n", says="--helo-name")
		refused(self, 65, "--params", params(self, {"helo_name": name, "body": "x"}), says="helo_name")

	@tap.row("ADR-16")
	@tap.table(("literal", "[1.2.3.4]", None), ("IPv6 literal", "[IPv6:::1]", None), ("bare word", "client", None),
	           ("domain", "client.example.org", None),
	           ("U-label", "b\u00fccher.example", "xn--bcher-kva.example"))
	def test_good(self, name, want):
		"an EHLO name: {0}"
		with fake.Server() as server:
			delivered(self, server, *ARGS, "--helo-name", name, TO, input="x\n")
			self.assertEqual(server.session.commands[0], "EHLO " + (want or name))


if __name__ == "__main__":
	tap.main(jobs=4)
