#!/usr/bin/python3
"""Header fields, end to end: nothing gets from a value into another field, and four readers see what was given."""

import email
import email.policy
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, readers, tap, wire  # noqa: E402
import injections  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, FROM, TO, composed, refused  # noqa: E402

MARK = "\ue000"


def attachment(**members):
	return {"attachments": [{"text": "content\n", "filename": "a.txt", **members}]}


# Where a value can go: (label, members of the params with MARK for the payload, whether free text).
FIELDS = [
	("subject", {"subject": "a" + MARK}, True),
	("display name of from", {"from": f'"a{MARK}" <{FROM}>'}, False),
	("display name of to", {"to": [f'"a{MARK}" <{TO}>']}, False),
	("custom name", {"headers": [["X-A" + MARK, "v"]]}, False),
	("custom value", {"headers": [["X-A", "v" + MARK]]}, True),
	("message_id", {"message_id": f"<a{MARK}@example.net>"}, False),
	("in_reply_to", {"in_reply_to": f"<a{MARK}@example.net>"}, False),
	("references", {"references": f"<a{MARK}@example.net>"}, False),
	("list fields", {"headers": [["List-Id", f"a{MARK} <l.example.net>"],
	                             ["List-Unsubscribe", f"<mailto:l@example.net{MARK}>"]]}, False),
	("reply_to", {"reply_to": f'"a{MARK}" <r@example.net>'}, False),
	("filename", attachment(filename=f"a{MARK}.txt"), True),
	("type", attachment(type=f"application/x-a{MARK}"), False),
	("charset", {"charset": "utf-8" + MARK}, False),  # no value but the known ones is taken at all
	("content_id", attachment(content_id=f"a{MARK}@example.net"), False),
	("description", attachment(headers={"Content-Description": "a" + MARK}), True),
	("boundary", {"body": {"parts": [{"headers": {"content-type": f'multipart/mixed; boundary="a{MARK}"'},
	                                  "body": {"parts": [{"body": "inner\n"}]}}]}}, False),
	("type parameter", attachment(type=f'application/x-a; name="a{MARK}"'), False),
	("disposition of a part",
	 {"body": {"parts": [{"headers": {"content-disposition": f'attachment; filename="a{MARK}"'},
	                                               "body": "inner\n"}]}}, False),
]


def fill(members, octets):
	"""Params as JSON octets, with @octets (of a JSON string) where MARK is."""
	all_ = {"from": FROM, "to": [TO], "subject": "s", **members}
	if "body" not in all_:
		all_["body"] = "text\n"
	# Within a string that is quoted in its field, what the payload has of quotes is not our case here.
	return json.dumps(all_).encode().replace(json.dumps(MARK)[1:-1].encode(), octets)


class Injection(tap.Case):
	@tap.row("HDR-01", "JSN-15")
	@tap.limit(300)
	@tap.table(*FIELDS)
	def test_inject(self, members, free):
		"{0} with each payload: refused, or inert to four readers"
		with fake.Server() as server:
			plain = self.send(server, fill(members, b"" if "charset" in members else b"x"))
			self.assertIsNotNone(plain)
			before = readers.agree(self, plain)
			for label, payload in injections.PAYLOADS:
				with self.subTest(label):
					octets = self.send(server, fill(members, injections.in_json(payload)))
					if injections.breaks(payload):
						self.assertIsNone(octets)
						continue
					if octets is None:
						self.assertFalse(free and payload.isprintable(), "refused, though it is harmless")
						continue
					self.inert(before, octets)

	def send(self, server, text):
		"""The octets of the message, or None: refused with 65 and no session."""
		path = self.write("job.json", text)
		before = len(server.sessions)
		r = mc.run("-S", server.url, "--params", path)
		if r.code:
			self.assertEqual(r.code, 65, r)
			self.assertEqual(len(server.sessions), before, r)
			return None
		server.wait(before + 1)
		session = server.sessions[-1]
		self.assertEqual(session.lint, [])
		self.assertEqual(locally.verbs(session), locally.SESSION)
		return session.messages[0].data

	def inert(self, before, octets):
		for plain, view in zip(before, readers.views(octets)):
			# What the payload made of a name itself is its own; there are no more fields than before.
			self.assertEqual(view.count, plain.count, view)
			self.assertNotIn("bcc", view.names, view)
			self.assertEqual([p.type.split("/")[0] for p in view.parts], [p.type.split("/")[0] for p in plain.parts],
			                 view)
			self.assertEqual([p.sha256 for p in view.parts], [p.sha256 for p in plain.parts], view)
			for addresses in (view.sender, view.to, view.cc):
				if addresses is not readers.UNKNOWN:
					self.assertNotIn("e@x.example", addresses, view)

	@tap.row("HDR-01")
	@tap.table(*injections.PAYLOADS)
	def test_flags(self, payload):
		"by flags as well: {0}"
		octets = payload.encode("utf-8", "surrogateescape")
		if b"\0" in octets:
			octets = octets.split(b"\0")[1]
		for flag, value in ((b"-s", b"a" + octets), (b"--headers", b"X-A: v" + octets),
		                    (b"-f", b'"a' + octets + b'" <a@example.net>')):
			r = mc.run("--dry-run", *ARGS, flag, value, TO, input="x\n")
			if injections.breaks(payload):
				self.assertEqual(r.code, 65, r)
				continue
			self.assertIn(r.code, (0, 65), r)
			if not r.code:
				self.assertEqual(wire.message(r.stdout), [])
				self.assertNotIn("bcc", [n.lower() for n in locally.parsed(r.stdout).keys()])


class Fields(tap.Case):
	def with_headers(self, headers, **more):
		return mc.run("--dry-run", "--params", locally.params(self, {"body": "x\n", "headers": headers, **more}))

	@tap.row("HDR-02")
	@tap.table(
		("empty", ""), ("colon", ":"), ("space", "X A"), ("space behind", "X-A "), ("tab", "X\tA"),
		("8-bit", "X-\u00e4"), ("a:b", "a:b"),
		("78 characters", "X" * 78), ("998 characters", "X" * 998), ("NUL", "X\0A"), ("DEL", "X\u007f"),
		("MIME-Version", "MIME-Version"),
		("mime-version", "mime-version"), ("Received", "Received"), ("Return-Path", "rEtUrN-pAtH"), ("Bcc", "Bcc"))
	def test_bad_name(self, name):
		"a field name that is refused: {0}"
		r = self.with_headers({name: "value@example.org"})
		self.assertEqual(r.code, 65, r)

	@tap.row("HDR-02")
	@tap.table(
		("DKIM-Signature", "DKIM-Signature", "v=1; a=rsa-sha256"), ("Subject", "Subject", "theirs"),
		("Date", "date", "Fri, 21 Nov 1997 09:55:06 -0600"),
		("Message-ID", "message-id", "<theirs@example.net>"), ("From", "FROM", "Other <other@example.com>"),
		("To", "to", "x@example.org"),
		("Content-Type", "Content-Type", "text/html; charset=us-ascii"), ("76 characters", "X" * 76, "v"),
		("one letter", "X", "v"),
		("all of the grammar", "!#$%&'*+-.^_`|~09Az", "v"))
	def test_good_name(self, name, value):
		"a field that is there once, as given: {0}"
		r = self.with_headers({name: value}, subject="ours")
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(r.stdout), [])
		fields = re.findall(rb"(?im)^" + re.escape(name.encode()) + rb":[^\r]*(?:\r\n[ \t][^\r]*)*",
		                    r.stdout.split(b"\r\n\r\n")[0])
		self.assertEqual(len(fields), 1, r)
		self.assertIn(value, " ".join(fields[0].decode().split()))

	@tap.row("HDR-02")
	def test_bcc(self):
		"an empty Bcc is dropped or kept empty, one in the params never seen"
		r = mc.run("--dry-run", "--params",
		           locally.params(self, {"body": "x\n", "bcc": ["secret@example.org"], "headers": {"Bcc": ""}}))
		self.assertEqual(r.code, 0, r)
		self.assertNotIn(b"secret", r.stdout)

	@tap.row("HDR-04")
	@tap.table(
		("umlaut", "M\u00fcller"), ("all of latin-1", "".join(map(chr, range(0xa1, 0x100)))),
		("CJK, long", "\u904d\u63a5\u53d7" * 60),
		("emoji, long", "\U0001f600\U0001f469\u200d\U0001f4bb" * 40),
		("one long word", "x" * 60 + "\u00fc" + "y" * 60),
		("ASCII and not", "plain \u00fcber plain \u00e4 words " * 8), ("encoded text as text", "=?utf-8?Q?a=40b?="),
		("almost encoded", "=? ?= =?x?y?z?="), ("two encoded as text", "=?utf-8?Q?a?= =?utf-8?Q?b?="),
		("question marks", "\u00e4?=?=?="),
		("underscores", "\u00e4_b_c _ __"), ("equals", "=\u00e4==41"), ("combining", "e\u0301" * 50),
		("RTL", "\u05e9\u05dc\u05d5\u05dd \u202eabc"), ("right at the limit", "\u00e4" * 45),
		("one over", "\u00e4" * 46),
		("spaces between encoded", "\u00e4 \u00f6 \u00fc " * 20 + "x"), ("quotes", '"\u00e4" \\ "b"'),
		("parentheses", "(\u00e4) (b)"))
	def test_words(self, text):
		"four readers read back: {0}"
		octets = composed(self, "--params", locally.params(self, {"subject": text, "body": "x\n"}))
		head = octets.split(b"\r\n\r\n")[0]
		for word in re.findall(rb"=\?utf-8\?[QB]\?[^?]*\?=", head, re.I):
			self.assertLessEqual(len(word), 75)
		for line in head.split(b"\r\n"):
			self.assertLessEqual(len(line), 78, line)
			self.assertTrue(line.strip())
		views = readers.agree(self, octets)
		for view in views:
			self.assertEqual(view.subject, " ".join(text.split()), view)

	@tap.row("HDR-05")
	@tap.table(*[(str(n), n) for n in (0, 1, 66, 67, 68, 69, 70, 75, 76, 77, 78, 79, 997, 998, 999, 10000, 1000000)])
	def test_length(self, length):
		"a subject of {0} characters in words"
		text = ("word " * (length // 5 + 1))[:length].rstrip()
		octets = composed(self, "--params", locally.params(self, {"subject": text, "body": "x\n"}))
		for line in octets.split(b"\r\n"):
			self.assertLessEqual(len(line), 78)
		# Python's newer reader of fields needs a time that grows with the square of their length. Of words without a
		# character to decode the older one gives the same.
		read = locally.parsed(octets) if length <= 10000 else email.message_from_bytes(octets, policy=email.policy.compat32)
		self.assertEqual(" ".join((read["subject"] or "").split()), text)

	@tap.row("HDR-05")
	@tap.table(*[(str(n), n) for n in (68, 69, 70, 76, 77, 78, 100, 988, 989, 990, 998, 5000, 100000)])
	def test_long_word(self, length):
		"a subject of one word, {0} characters"
		text = "x" * length
		octets = composed(self, "--params", locally.params(self, {"subject": text, "body": "x\n"}))
		# mblaze decodes so much of a field and no more.
		trusted = [r for r in readers.READERS if length < 5000 or r is not readers.mblaze]
		for view in readers.agree(self, octets, readers=trusted):
			self.assertEqual(view.subject, text, view.reader)

	@tap.row("HDR-06")
	@tap.table(("trailing", "a   "), ("leading", "   a"), ("only spaces", "    "), ("only a tab", "\t"),
	           ("many within", "a" + " " * 200 + "b"),
	           ("1,000 spaces", " " * 1000), ("spaces and 8-bit", "  \u00e4  "), ("tabs within", "a\t\t\tb"),
	           ("spaces at the fold", "x" * 68 + " " * 30 + "y" * 60))
	def test_space(self, text):
		"white space: {0}"
		r = mc.run("--dry-run", "--params",
		           locally.params(self, {"subject": text, "body": "x\n", "headers": {"X-A": text}}))
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(r.stdout), [])
		head = r.stdout.split(b"\r\n\r\n")[0]
		for line in head.split(b"\r\n"):
			self.assertTrue(line.strip(), r)
			self.assertLessEqual(len(line), 998)
		self.assertEqual((locally.parsed(r.stdout)["subject"] or "").strip(), text.strip())
		readers.agree(self, r.stdout)

	# reformime -i gives a quoted string with its backslashes, mblaze ends it there; mblaze prefers the short
	# name for old readers where the real one is in many pieces.
	@tap.row("HDR-07")
	@tap.table(
		("quotes", 'a"b".txt', 'a"b".txt', "reformime mblaze"), ("backslash", "a\\b.txt", "b.txt"),
		("parents", "../../x.txt", "x.txt"), ("absolute", "/etc/x.txt", "x.txt"),
		("percent", "100%25.txt", "100%25.txt"), ("apostrophe", "it's ''.txt", "it's ''.txt"),
		("star", "a*0*.txt", "a*0*.txt"),
		("RTL override", "a\u202etxt.exe", "a\u202etxt.exe"),
		("255 octets", "\u00e4" * 125 + ".txt.", "\u00e4" * 125 + ".txt.", "mblaze"),
		("4 KB", "\u00e4" * 2046 + ".txt", "\u00e4" * 2046 + ".txt", "mblaze"),
		("4 KB of ASCII", "a" * 4092 + ".txt", "a" * 4092 + ".txt", "mblaze"),
		("Windows", "C:\\x\\CON.txt", "CON.txt"), ("semicolon", "a;b=c.txt", "a;b=c.txt"),
		("encoded word", "=?utf-8?Q?a?=.txt", "=?utf-8?Q?a?=.txt"),
		("spaces", " a  b .txt", None), ("emoji", "\U0001f600.txt", "\U0001f600.txt"),
		("comma", "a,b.txt", "a,b.txt"), ("tab", "a\tb.txt", None))
	def test_filename(self, name, want, blind=""):
		"a file name that four readers read back: {0}"
		octets = composed(self, "--params",
		                  locally.params(self, {"body": "x\n", "attachments": [{"text": "c\n", "filename": name}]}))
		trusted = [reader for reader in readers.READERS if reader.__name__ not in blind.split()]
		for view in readers.agree(self, octets, readers=trusted) if want else readers.views(octets, trusted)[:1]:
			self.assertEqual(" ".join(view.parts[1].filename.split()), " ".join((want or name).split()), view)

	@tap.row("HDR-07")
	@tap.table(("NUL", "a\0b"), ("CR", "a\rb"), ("LF", "a\nb"), ("empty", ""), ("dot", "."), ("two dots", ".."),
	           ("only a slash", "/"),
	           ("a directory", "a/"))
	def test_bad_filename(self, name):
		"a file name that is none: {0}"
		refused(self, 65, "--params",
		        locally.params(self, {"body": "x", "attachments": [{"text": "c", "filename": name}]}),
		        says="filename")

	@tap.row("HDR-08")
	@tap.table(
		("@0", "@0", "Thu, 01 Jan 1970 00:00:00 +0000"), ("2038", "@2147483648", "Tue, 19 Jan 2038 03:14:08 +0000"),
		("9999", "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 +0000"),
		("+14:00", "2024-02-29T12:00:00+14:00", "Thu, 29 Feb 2024 12:00:00 +1400"),
		("-12:00", "2024-02-29T12:00:00-12:00", "Thu, 29 Feb 2024 12:00:00 -1200"),
		("RFC 5322", "Fri, 21 Nov 1997 09:55:06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"),
		("leap second", "2016-12-31T23:59:60Z", None), ("1969", "@-86400", None))
	def test_date(self, date, want):
		"date {0}"
		r = mc.run("--dry-run", *ARGS, "--date", date, "--zone", "+0000", TO, input="x\n")
		if want is None:
			self.assertIn(r.code, (0, 64), r)
			if r.code:
				return
		self.assertEqual(r.code, 0, r)
		field = re.search(rb"^Date: ([^\r]*)\r\n", r.stdout, re.M).group(1).decode()
		self.assertRegex(field,
		                 r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$")
		if want:
			self.assertEqual(re.sub(r", (\d) ", r", 0\1 ", field), want)

	@tap.row("HDR-08")
	@tap.table("yesterday", "2024-02-30", "2024-13-01", "2024-01-01T25:00:00Z", "@", "@x", "@99999999999999999999",
	           "Mon, 21 Nov 1997 09:55:06 -0600",
	           "10000-01-01T00:00:00Z", "2024-01-01T00:00:00+99:99", "")
	def test_bad_date(self, date):
		"a date that is none: {0}"
		refused(self, 64, *ARGS, "--date", date, TO, input="x\n", says="--date")
		refused(self, 65, "--params", locally.params(self, {"date": date, "body": "x"}), says="date")

	@tap.row("HDR-08")
	@tap.table(("SOURCE_DATE_EPOCH", "0"), ("2038", "4102444800"))
	def test_epoch(self, value):
		"SOURCE_DATE_EPOCH, or not: the Date is valid ({0})"
		octets = composed(self, *ARGS, TO, input="x\n", env={"SOURCE_DATE_EPOCH": value})
		self.assertIsNotNone(locally.parsed(octets)["date"].datetime)

	@tap.row("HDR-09")
	def test_unique(self):
		"Message-IDs of runs at the same time differ, and leak nothing"
		seen = set()
		for _ in range(200):
			octets = composed(self, *ARGS, TO, "--body", "x")
			seen.add(re.search(rb"^Message-ID: (<[^\r]*>)\r\n", octets, re.M).group(1))
		self.assertEqual(len(seen), 200)
		for one in seen:
			self.assertRegex(one, rb"^<[0-9a-z.]+@example\.net>$")

	@tap.row("HDR-10")
	@tap.table(("no brackets", "a@example.net"), ("two", "<a@example.net> <b@example.net>"),
	           ("8-bit", "<\u00e4@example.net>"), ("1 KB", "<" + "a" * 1000 + "@example.net>"),
	           ("empty", ""), ("no @", "<a>"), ("space", "<a b@example.net>"), ("unclosed", "<a@example.net"),
	           ("text behind", "<a@example.net> x"))
	def test_bad_id(self, value):
		"a Message-ID that is none: {0}"
		refused(self, 65, "--params", locally.params(self, {"message_id": value, "body": "x"}), says="message_id")

	@tap.row("HDR-11")
	@tap.limit(240)
	def test_many(self):
		"100,000 addresses in To: folded, in time"
		everybody = [f"Person {n} <u{n}@example.org>" for n in range(100000)]
		path = locally.params(self, {"to": everybody, "body": "x\n"})
		r = mc.run("--dry-run", "--params", path, timeout=60)
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(r.stdout), [])
		self.assertLessEqual(max(map(len, r.stdout.split(b"\r\n"))), 78)
		self.assertEqual(r.stdout.count(b"@example.org"), 100000)


if __name__ == "__main__":
	tap.main(jobs=4)
