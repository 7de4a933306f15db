#!/usr/bin/python3
"""Messages, end to end: what arrives is what was given, whichever way it was given and whoever reads it."""

import email
import hashlib
import itertools
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, readers, tap, wire  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, FROM, TO, canonical, composed, delivered, leaves, one_newline, params, refused  # noqa: E402

HEAD = f"From: {FROM}\r\nTo: {TO}\r\nSubject: ready\r\n\r\n".encode()
SMUGGLED = b"MAIL FROM:<e@x.example>\r\nRCPT TO:<f@x.example>\r\nDATA\r\nsmuggled\r\n.\r\n"
# What somebody's receiver takes for the end of the message.
ENDS = [
	("LF . LF", b"\n.\n"), ("LF . CR", b"\n.\r"), ("CR . LF", b"\r.\n"), ("CR . CR", b"\r.\r"),
	("LF . CRLF", b"\n.\r\n"),
	("CR . CRLF", b"\r.\r\n"), ("CRLF . CR CRLF", b"\r\n.\r\r\n"), ("CR CRLF . CR CRLF", b"\r\r\n.\r\r\n"),
	("CRLF . LF", b"\r\n.\n"),
	("CRLF . CRLF", b"\r\n.\r\n"), ("CRLF . at the end", None), ("dot first", b""),
]
RECEIVERS = ("strict", "lf", "cr")
TEXT_TYPES = ("text/plain", "text/html")


def text_with(end):
	if end is None:
		return b"before\r\n."
	if not end:
		return b".\r\n" + SMUGGLED
	return b"before" + end + SMUGGLED + b"after\n"


class Ends(tap.Case):
	@tap.row("MSG-01")
	@tap.limit(300)
	@tap.table(*ENDS)
	def test_ends(self, end):
		"{0} in text, html, attachments and ready messages, to strict and lenient receivers: one message"
		text = text_with(end)
		path = self.write("a.txt", text)
		ways = {
			"text": ([*ARGS, TO], text), "html": ([*ARGS, "--body", "x", "--html-file", path, TO], b""),
			"body file": ([*ARGS, "--body-file", path, TO], b""),
			"attachment": ([*ARGS, "--body", "x", "-a", path, TO], b""),
			"attachment as 7bit": ([*ARGS, "--body", "x", "-a", json.dumps({"path": path, "encoding": "7bit"}), TO],
			                       b""),
			"message/rfc822": ([*ARGS, "--body", "x", "-a",
			                    json.dumps({"path": self.write("m.eml", HEAD + text), "type": "message/rfc822"}),
			                    TO], b""),
			"ready": (["--message-file", "-", "--envelope-from", FROM, TO], HEAD + text),
		}
		for receiver in RECEIVERS:
			with fake.Server(eod=receiver) as server:
				for way, (argv, octets) in ways.items():
					with self.subTest(way, receiver=receiver):
						if way == "message/rfc822" and re.search(rb"\r(?!\n)", text):
							# What cannot be sent as it is, and is refused for that (RFC 2046, 5.2.1).
							refused(self, 65, *argv, says="bare CR")
							continue
						message = delivered(self, server, *argv, input=octets)
						session = server.sessions[-1]
						self.assertEqual(locally.verbs(session), locally.SESSION)
						self.check(way, message.data, text)

	def check(self, way, data, text):
		if way in ("text", "body file"):
			self.assertEqual(one_newline(leaves(data)[0]), one_newline(text))
		elif way in ("html", "attachment as 7bit"):
			self.assertEqual(one_newline(leaves(data)[1]), one_newline(text))
		elif way == "attachment":
			self.assertEqual(leaves(data)[1], text)
		elif way == "ready":
			self.assertEqual(one_newline(data.split(b"\r\n\r\n", 1)[1]), one_newline(text))

	@tap.row("MSG-01")
	@tap.table(("text", [*ARGS, TO], b"a\r\n\0.\r\nb"),
	           ("ready", ["--message-file", "-", "--envelope-from", FROM, TO], HEAD + b"a\r\n\0.\r\nb"))
	def test_nul(self, argv, octets):
		"NUL in {0}: refused"
		refused(self, 65, *argv, input=octets, says="NUL")

	@tap.row("MSG-02")
	@tap.limit(240)
	@tap.table(*[(str(n), n) for n in (4093, 4096, 16383, 16384, 65533, 65535, 65536, 65538, 131070, 131072)])
	def test_split(self, length):
		"CR LF . CR LF across octet {0}, from a pipe and from a file"
		line = b"0123456789" * 6 + b"abc\n"
		with fake.Server() as server:
			for shift in range(5):
				text = (line * (length // len(line) + 1))[:length - shift - 1] + b"\r\n.\r\n" + b"behind\n"
				path = self.write("t", text)
				for argv in ([*ARGS, TO], [*ARGS, "--body-file", path, TO],
				             ["--message-file", "-", "--envelope-from", FROM, TO]):
					ready = "--message-file" in argv
					message = delivered(self, server, *argv, input=(HEAD if ready else b"") + text)
					self.assertEqual(message.data.split(b"\r\n\r\n", 1)[1], canonical(text))


class Text(tap.Case):
	def read(self, octets, *argv, **how):
		"""The text that four readers see of a message with @octets as its text."""
		data = composed(self, *argv, *ARGS, TO, input=octets, **how)
		readers.agree(self, data,
		              parts=[("text/plain", None, None, octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))])
		return data

	@tap.row("MSG-03")
	@tap.table(("LF", b"a\nb\n"), ("CRLF", b"a\r\nb\r\n"), ("CR", b"a\rb\r"), ("mixed", b"a\nb\r\nc\rd\n\re\r\n\n"),
	           ("CR CR LF", b"a\r\r\nb\r\n"),
	           ("no end", b"a\nb"), ("only CR", b"\r"), ("LF CR", b"a\n\rb"))
	def test_newlines(self, text):
		"one canonical form of {0}"
		data = self.read(text)
		self.assertNotIn(b"\r\r\n", data)
		self.assertEqual(data.split(b"\r\n\r\n", 1)[1].rstrip(b"\r\n"), canonical(text).rstrip(b"\r\n"))

	@tap.row("MSG-04")
	@tap.table(*[(str(n), n) for n in (76, 77, 78, 79, 997, 998, 999, 1000, 100000)])
	def test_line(self, length):
		"a line of {0} characters, of ASCII and not"
		for text in (b"x" * length + b"\nend\n", b"end\n" + b"x" * length, "\u00e4".encode() * (length // 2) + b"\n",
		             b"\xff" * length + b"\n"):
			data = composed(self, *ARGS, TO, input=text)
			self.assertEqual(one_newline(leaves(data)[0]), one_newline(text))
			self.assertLessEqual(max(map(len, data.split(b"\r\n"))), 998)
			readers.agree(self, data)

	@tap.row("MSG-04")
	@tap.limit(240)
	def test_long_line(self):
		"10 MB without a newline"
		text = b"0123456789" * 1000000
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, TO, input=text)
			self.assertEqual(leaves(message.data)[0].rstrip(b"\r\n"), text)

	@tap.row("MSG-05", "MSG-09")
	@tap.table(
		("trailing space", b"a \nb\n"), ("trailing tab", b"a\t\nb\t\n"), ("only blanks", b"   \n\t\n"),
		("From", b"From here\n>From there\nFrom \n"),
		("equals", b"a=b=3D==\n=\n=20\n"), ("final space", b"end "), ("final tab", b"end\t"),
		("final equals", b"end="), ("empty", b""),
		("one octet", b"x"), ("one newline", b"\n"), ("newlines", b"\n\n\n\n"), ("dots", b".\n..\n...\n.\n"),
		("a dot", b"."), ("a space", b" "),
		("a tab line in 8-bit", "\u00e4\t\n \t\u00f6 \n".encode()),
		("soft break at 75", b"x" * 74 + "\u00e4".encode() + b"\n"),
		("soft break at 76", b"x" * 75 + "\u00e4".encode() + b" \n"),
		("space at the soft break", b"x" * 74 + b"  " + "\u00e4\n".encode()),
		("two hyphens", b"--\n-- \n--=_\n"), ("control characters", b"\x01\x1b[31m\x7f\x0b\x0c\n"),
		("blank line first", b"\n\nx\n"),
		("looks like a field", b"Bcc: e@x.example\n\nx\n"))
	def test_edges(self, text):
		"an edge of the encodings that four readers read back: {0}"
		self.read(text)
		for encoding in ("quoted-printable", "base64"):
			data = self.read(text, "--encoding", encoding)
			self.assertEqual(leaves(data)[0].rstrip(b"\r\n"), canonical(text).rstrip(b"\r\n"))

	@tap.row("MSG-06")
	@tap.table(("with", fake.KEYWORDS), ("without", ["PIPELINING", "SIZE"]), ("bare", []))
	def test_eightbit(self, keywords):
		"8-bit text to servers {0} 8BITMIME: 7-bit on the wire"
		text = "\u00e4\u00f6\u00fc \u904d\u63a5\u53d7\n".encode()
		with fake.Server(ehlo=keywords) as server:
			for encoding in ("auto", "8bit", "binary", "7bit"):
				r = mc.run("-S", server.url, *ARGS, TO, "--encoding", encoding, input=text)
				if encoding == "7bit" and r.code == 65:
					continue
				self.assertEqual(r.code, 0, r)
				server.wait(len(server.sessions))
				message = server.sessions[-1].messages[0]
				self.assertTrue(message.wire.isascii())
				self.assertEqual(leaves(message.data)[0], canonical(text))
				self.assertNotEqual(message.mail_params.get("BODY"), "8BITMIME")
			self.assertEqual(server.lint, [])

	@tap.row("MSG-07")
	@tap.table(("latin-1", b"gr\xfc\xdfe\n"), ("overlong", b"\xc0\xaf\n"), ("surrogate", b"\xed\xa0\x80\n"),
	           ("cut off", b"a\xe2\x82\n"), ("0xff", b"a\xff\xfe\n"),
	           ("five octets", b"\xf8\x88\x80\x80\x80\n"))
	def test_invalid(self, text):
		"not UTF-8, {0}: unknown-8bit from a file or pipe, refused where UTF-8 was asked for or it is JSON"
		path = self.write("t", text)
		for argv, octets in (([*ARGS, TO], text), ([*ARGS, "--body-file", path, TO], b"")):
			data = composed(self, *argv, input=octets)
			self.assertIn(b"charset=unknown-8bit", data)
			self.assertEqual(leaves(data)[0], canonical(text))
			refused(self, 65, "--charset", "utf-8", *argv, input=octets, says="UTF-8")
		job = b'{"from": "%s", "to": ["%s"], "body": "%s"}' % (FROM.encode(), TO.encode(), text.rstrip(b"\n"))
		refused(self, 65, "--params", self.write("job.json", job), says="UTF-8")
		refused(self, 65, *ARGS, "--body", text, TO, says="UTF-8")

	@tap.row("MSG-07")
	def test_utf16(self):
		"UTF-16 text has NULs: refused, and not cut short"
		refused(self, 65, *ARGS, TO, input="text\n".encode("utf-16"), says="UTF-16")
		refused(self, 65, *ARGS, TO, input="text\n".encode("utf-16-be"), says="NUL")

	@tap.row("MSG-08")
	@tap.table(*[(c, c, t) for c,
	             t in (("iso-8859-1", "gr\u00fc\u00dfe\n"), ("koi8-r", "\u043f\u0440\u0438\n"),
	                   ("windows-1252", "\u20ac\n"),
	                                    ("utf-8", "\u20ac\n"), ("us-ascii", "plain\n"),
	                                    ("ISO-2022-JP", "\u3042\u3044\n"))])
	def test_charset(self, charset, text):
		"text of a charset that was given: {0}"
		data = composed(self, *ARGS, TO, "--charset", charset, input=text.encode(charset))
		self.assertEqual(locally.parsed(data).get_content().replace("\r", ""), text)

	@tap.row("MSG-08")
	@tap.table(("unknown", "klingon"), ("with quotes", '"utf-8"'), ("CRLF", "utf-8\r\nBcc: e@x"),
	           ("1 KB", "x" * 1024), ("empty", ""), ("space", "utf 8"))
	def test_bad_charset(self, name):
		"a charset that is none: {0}"
		refused(self, 64, *ARGS, TO, "--charset", name, input="x\n", says="charset")
		refused(self, 65, "--params", params(self, {"charset": name, "body": "x"}), says="charset")


class Size(tap.Case):
	@tap.row("MSG-14")
	@tap.limit(300)
	def test_exact(self):
		"SIZE is what arrives, for every shape and length of text and attachment"
		lengths = (0, 1, 2, 3, 56, 57, 58, 75, 76, 77, 113, 114, 115, 997, 998, 999, 4096, 65535, 65536, 65537)
		units = (b"x", b"x\n", b".\n", b"\r\n", "\u00e4".encode(), b"\xff", b"a = b\t\n", b"\r",
		         b"0123456789" * 7 + b"\n", b"From x\n", b"\n.")
		with fake.Server() as server:
			for length, unit in itertools.product(lengths, units):
				text = (unit * (length // len(unit) + 1))[:length]
				path = self.write("a.bin", text)
				message = delivered(self, server, *ARGS, "--body-file", path, "-a", path, TO)
				# The lint compares it as well; this says that it was announced.
				self.assertEqual(int(message.mail_params["SIZE"]), len(message.data), (length, unit))

	@tap.row("MSG-14")
	@tap.table(("LF", b"\n"), ("CRLF", b"\r\n"), ("CR", b"\r"))
	def test_ready(self, newline):
		"SIZE of a ready message with lines that end in {0}"
		with fake.Server() as server:
			for body in (b"", b".\n", b"..\n.\n", b"a\n" * 5000, b"\xe4\n", b"no end", b"\n\n"):
				text = (HEAD.replace(b"\r\n", b"\n") + body).replace(b"\n", newline)
				message = delivered(self, server, "--message-file", "-", "--envelope-from", FROM, TO, input=text)
				self.assertEqual(int(message.mail_params["SIZE"]), len(message.data), body)

	@tap.row("MSG-15")
	@tap.table(("no limit", "SIZE 0", 0), ("without a number", "SIZE", 0), ("more", 1, 0), ("equal", 0, 0),
	           ("one less", -1, 69), ("1", "SIZE 1", 69),
	           ("2^64", "SIZE 18446744073709551616", 0), ("negative", "SIZE -1", 0), ("absent", "DSN", 0))
	def test_limit(self, keyword, code):
		"the server's limit: {0}"
		fixed = ["--date", "@1700000000", "--zone", "+0000", "--message-id", "<x@example.net>", *ARGS, TO]
		size = len(composed(self, *fixed, input="text\n"))
		if isinstance(keyword, int):
			keyword = f"SIZE {size + keyword}"
		with fake.Server(ehlo=["PIPELINING", keyword]) as server:
			r = mc.run("-S", server.url, *fixed, input="text\n")
			self.assertEqual(r.code, code, r)
			self.assertEqual("MAIL" in locally.verbs(server.session), code == 0, server.session.commands)
			self.assertEqual(server.lint, [])


class Parts(tap.Case):
	@tap.row("MSG-10")
	def test_boundary(self):
		"the content is full of the boundary of a message before: there is a new one"
		first = composed(self, *ARGS, "--body", "x", "--html", "y", TO)
		boundary = re.search(rb'boundary="?([^"\r;]+)', first).group(1)
		self.assertRegex(boundary, rb"^=_[0-9a-z]{26}$")
		text = b"".join(b"--" + boundary + end for end in (b"\n", b"--\n", b" \n", b"x\n")) * 50
		path = self.write("t", text)
		data = composed(self, *ARGS, "--body-file", path, "-a", path, TO)
		self.assertNotIn(boundary, re.findall(rb'boundary="?([^"\r;]+)', data))
		readers.agree(self, data,
		              parts=[("text/plain", None, None, text), ("application/octet-stream", "t", None, text)])

	@tap.row("MSG-10")
	@tap.table(("70 characters", "b" * 70), ("71 characters", "b" * 71), ("with a space at the end", "b "),
	           ("ordinary", "simple boundary"))
	def test_boundary_given(self, boundary):
		"a boundary that was asked for: {0}"
		form = {"parts": [{"body": f"--{boundary}\nx\n--{boundary}--\n"}, {"body": "second\n"}]}
		path = params(self, {"headers": {"Content-Type": f'multipart/mixed; boundary="{boundary}"'}, "body": form})
		r = mc.run("--dry-run", "--params", path)
		self.assertIn(r.code, (0, 65), r)
		if not r.code:
			readers.agree(self, r.stdout, parts=[("text/plain", None, None, form["parts"][0]["body"].encode()),
			                                      ("text/plain", None, None, b"second\n")])

	@tap.row("MSG-12")
	@tap.table(*[(str(n), n) for n in (1, 10, 100, 900)])
	def test_nested(self, depth):
		"message/rfc822 in message/rfc822, {0} levels, as an attachment and as the message"
		octets = HEAD + b"deepest\r\n"
		for _ in range(depth):
			octets = b"Subject: level\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + octets
		path = self.write("deep.eml", octets)
		data = composed(self, *ARGS, "--body", "x", "-a", path, TO)
		self.assertIn(octets, data)
		ready = composed(self, "--message-file", path, *ARGS, "--envelope-from", FROM, TO)
		self.assertTrue(ready.endswith(b"deepest\r\n"))

	@tap.row("MSG-12")
	@tap.table(*[(str(n), n) for n in (1, 10, 100, 300)])
	def test_nested_parts(self, depth):
		"multipart in multipart, {0} levels, as params and as the ready message, on a small stack"
		form = {"body": "deepest\n"}
		for _ in range(depth):
			form = {"body": {"preamble": "p", "parts": [form], "epilogue": "e"}}
		path = params(self, {"body": form["body"]})
		script = 'ulimit -s 256; exec "$0" "$@"'
		r = mc.run("-c", script, mc.BINARY, "--dry-run", "--params", path, executable="/bin/sh", wrap=[], stdout=True)
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(r.stdout), [])
		self.assertEqual(r.stdout.count(b"Content-Type: multipart/mixed"), depth)
		ready = self.write("ready.eml", r.stdout)
		again = mc.run("-c", script, mc.BINARY, "--dry-run", "--message-file", ready, "--envelope-from", FROM, TO,
		               executable="/bin/sh",
		               wrap=[], stdout=True)
		self.assertEqual(again.stdout, r.stdout)

	@tap.row("MSG-13")
	@tap.table(*[(str(57 * n + d), 57 * n + d) for n in (0, 1, 2, 19, 1000) for d in (-1, 0, 1) if 57 * n + d >= 0])
	def test_attachment(self, length):
		"an attachment of {0} octets, byte for byte"
		content = bytes(i * 7 % 256 for i in range(length))
		path = self.write("a.bin", content)
		data = composed(self, *ARGS, "--body", "text\n", "-a", path, TO)
		readers.agree(self, data,
		              parts=[("text/plain", None, None, b"text\n"),
		                     ("application/octet-stream", "a.bin", None, content)])
		coded = data.split(b"filename=a.bin\r\n\r\n")[1].split(b"\r\n--")[0]
		self.assertTrue(all(len(l) == 76 for l in coded.split(b"\r\n")[:-1]))

	@tap.row("MSG-13")
	@tap.limit(300)
	@tap.table(("1,000", 1000), ("100,000", 100000))
	def test_attachments(self, count):
		"{0} attachments, in bounded memory"
		path = self.write("a.txt", b"content\n")
		job = params(self, {"body": "x\n", "attachments": [path] * count})
		r = mc.run("--params", job, "--output", "/dev/null", watch=True, timeout=120)
		self.assertEqual(r.code, 0, r)
		# A node of some kilobytes each; sanitizers put red zones around everything.
		self.assertLess(r.peak_kb, (32000 + count * 4) * (1 if mc.SLOW == 1 else 4))

	@tap.row("MSG-13")
	@tap.limit(300)
	@tap.table(("2 GiB", 1 << 31), ("4 GiB - 1", (1 << 32) - 1), ("4 GiB", 1 << 32), ("4 GiB + 1", (1 << 32) + 1))
	def test_huge(self, size):
		"an attachment of {0}: the announced size is exact"
		path = self.hole("huge.bin", size)
		fixed = ["--date", "@1700000000", "--zone", "+0000", "--message-id", "<x@example.net>", *ARGS, "--body", "x",
		         TO]
		small = self.write("huge.bin", b"abc")
		overhead = len(composed(self, *fixed, "-a", small)) - 4
		groups = (size + 2) // 3 * 4
		want = overhead + groups + 2 * ((groups + 75) // 76 - 1)
		# Refused by the size that is announced before it: nothing of it has to be sent to see that.
		with fake.Server(ehlo=["PIPELINING", f"SIZE {want - 1}"]) as server:
			r = mc.run("-S", server.url, *fixed, "-a", path)
			self.assertEqual(r.code, 69, r)
			self.assertIn(str(want), r.stderr)
		with fake.Server(ehlo=["PIPELINING", f"SIZE {want}"], mail="550 no") as server:
			r = mc.run("-S", server.url, *fixed, "-a", path, watch=True)
			self.assertIn(f" SIZE={want}", " ".join(server.session.commands))
		self.assertLess(r.peak_kb, 32000)
		if size <= 1 << 31:
			return
		# And it is what comes out.
		r = mc.run(*fixed, "-a", path, "--output", "/dev/null", "--report=json", watch=True, timeout=120)
		self.assertEqual((r.code, r.json["size"]), (0, want), r)
		self.assertLess(r.peak_kb, 32000)

	@tap.row("MSG-16")
	def test_cid(self):
		"an inline image is found by its Content-ID"
		png = bytes(range(256)) * 3
		path = self.write("logo.png", png)
		for cid in ("logo", "logo@example.net", "<logo@example.net>"):
			job = params(self, {"body": "text\n", "html": f"<img src='cid:{cid.strip('<>')}'>\n",
			                    "attachments": [{"path": path, "content_id": cid, "disposition": "inline"}]})
			data = composed(self, "--params", job)
			views = readers.agree(self, data)
			self.assertEqual([p.type for p in views[0].parts], ["text/plain", "text/html", "image/png"])
			written = re.search(rb"Content-ID: <([^>]*)>", data).group(1).decode()
			self.assertTrue(written.startswith("logo"))
			html = views[0].parts[1].content.decode()
			self.assertIn(f"cid:{written}", html)
			self.assertEqual(views[0].parts[2].content, png)

	@tap.row("MSG-16")
	@tap.table(
		("the same twice", [{"text": "a", "content_id": "x"}, {"text": "b", "content_id": "x"}], 65),
		("CRLF", [{"text": "a", "content_id": "x\r\ny"}], 65),
		(">", [{"text": "a", "content_id": "x>y"}], 65), ("two", [{"text": "a", "content_id": "<a@b><c@d>"}], 65),
		("empty", [{"text": "a", "content_id": ""}], 65),
		("space", [{"text": "a", "content_id": "a b"}], 65),
		("missing file", [{"path": "/nonexistent", "content_id": "x"}], 66),
		("a directory", [{"path": "/tmp", "content_id": "x"}], 66))
	def test_bad_cid(self, attachments, code):
		"Content-ID: {0}"
		refused(self, code, "--params",
		        params(self, {"body": "x", "html": "<img src='cid:x'>", "attachments": attachments}))

	@tap.row("MSG-17")
	def test_exact(self):
		"calendar, zip, signature and a signed part arrive octet for octet"
		signed = b"Content-Type: text/plain\r\n\r\nsigned text \r\n-- \r\n\r\n"
		contents = {
			"invite.ics": b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:\xc3\xa4\r\nEND:VCALENDAR\r\n",
			"a.zip": b"PK\x03\x04" + os.urandom(3000),
			"lf.txt": b"line\nline\n", "cr.txt": b"line\rline\r", "trailing.txt": b"a \nb\t\n\n\n",
			"nul.txt": b"a\0b\n", "latin.txt": b"\xe4\n",
			"signature.asc": b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQ==\r\n=abcd\r\n-----END PGP SIGNATURE-----\r\n",
			"empty.bin": b"", "signed.eml.txt": signed,
			"dots": b".\r\n..\r\n\r\n.\r\n",
		}
		argv = []
		for name, content in contents.items():
			argv += ["-a", self.write(name, content)]
		with fake.Server() as server:
			data = delivered(self, server, *ARGS, "--body", "x", *argv, TO).data
		parts = [p for p in locally.parsed(data).walk() if not p.is_multipart()][1:]
		self.assertEqual([p.get_filename() for p in parts], list(contents))
		for part in parts:
			self.assertEqual(hashlib.sha256(part.get_payload(decode=True)).hexdigest(),
			                 hashlib.sha256(contents[part.get_filename()]).hexdigest(), part.get_filename())
		readers.agree(self, data)

	@tap.row("MSG-17")
	def test_encoded(self):
		"what is encoded already is sent as it is"
		form = {"parts": [{"body": "x\n"},
		                  {"headers": {"content-type": "image/png", "content-transfer-encoding": "base64"},
		                   "encoded": True,
		                                    "body": "aGVs\r\nbG8=\r\n"}]}
		data = composed(self, "--params", params(self, {"body": form}))
		self.assertIn(b"\r\n\r\naGVs\r\nbG8=\r\n", data)
		self.assertEqual(leaves(data)[1], b"hello")

	@tap.row("MSG-19")
	def test_same(self):
		"the same input twice: the same octets but for what is random, and those between sessions"
		blob = self.write("a.bin", os.urandom(10000))
		fixed = ["--date", "@1700000000", "--zone", "+0000", "--message-id", "<x@example.net>", *ARGS, TO, "-s",
		         "h\u00e9", "--html", "<b>"]
		one, two = (composed(self, *fixed, "-a", blob, input="text\n") for _ in range(2))
		random = re.compile(rb"=_[0-9a-z]{26}")
		self.assertEqual(random.sub(b"B", one), random.sub(b"B", two))
		plain = [composed(self, *fixed[:-2], input="\u00e4 text\n") for _ in range(2)]
		self.assertEqual(*plain)
		# A second transaction of the same run is the same message.
		with fake.Server() as server:
			r = mc.run("-S", server.url, *fixed, "-a", blob, "--max-rcpt", "1", "--to", "c@example.org",
			           input="text\n")
			self.assertEqual(r.code, 0, r)
			server.wait(1)
			first, second = server.messages
			self.assertEqual(first.wire, second.wire)


def corpora():
	"""Messages of other projects' tests, as Debian ships them."""
	found = {}
	for top, suffix in (("/usr/lib/python3.11/test/test_email/data", ".txt"),
	                    ("/usr/share/gocode/src/github.com/jhillyerd/enmime", ".raw")):
		for directory, _, names in os.walk(top):
			for name in names:
				if name.endswith(suffix):
					path = os.path.join(directory, name)
					with open(path, "rb") as f:
						found[path] = f.read()
	return found


def contents(octets):
	"""Types and decoded contents of a message's leaves, by the parser that takes everything; line ends do not count."""
	found = []
	for part in email.message_from_bytes(octets).walk():
		if not part.is_multipart():
			content = part.get_payload(decode=True) or b""
			found.append((part.get_content_type(), canonical(content).rstrip(b"\r\n")))
	return found


class Corpora(tap.Case):
	@classmethod
	def setUpClass(cls):
		cls.messages = corpora()

	def setUp(self):
		if len(self.messages) < 50:
			self.skipTest("libpython3.11-testsuite and golang-github-jhillyerd-enmime-dev are not installed")

	@tap.row("MSG-18")
	@tap.limit(300)
	def test_attached(self):
		"each message of the corpora as an attachment: octet for octet, or refused with its reason"
		with fake.Server() as server:
			for path in sorted(self.messages):
				content = self.messages[path]
				with self.subTest(path):
					octets = delivered(self, server, *ARGS, "--body", "x", "-a", path, TO).data
					self.assertEqual(leaves(octets)[1], content)
					job = json.dumps({"path": path, "type": "message/rfc822"})
					r = mc.run("--dry-run", *ARGS, "--body", "x", "-a", job, TO)
					longest = max(map(len, canonical(content).split(b"\r\n")))
					clean = content.isascii() and b"\0" not in content and longest <= 998
					self.assertEqual(r.code, 0 if clean else 65, r)
					if clean:
						self.assertIn(canonical(content).rstrip(b"\r\n"), r.stdout)
						self.assertEqual(wire.message(r.stdout), [])

	@tap.row("MSG-18")
	@tap.limit(300)
	@tap.table(("with 8BITMIME and SMTPUTF8", fake.KEYWORDS), ("with nothing", ["PIPELINING"]))
	def test_ready(self, keywords):
		"each message of the corpora as the message, to a server {0}: clean on the wire, each part's content kept"
		sent = 0
		with fake.Server(ehlo=keywords) as server:
			for path in sorted(self.messages):
				with self.subTest(path):
					before = len(server.sessions)
					r = mc.run("-S", server.url, "--message-file", path, *ARGS, "--envelope-from", FROM, TO)
					self.assertIn(r.code, (0, 65, 69), r)
					if r.code == 65:
						self.assertEqual(len(server.sessions), before, r)
					if r.code:
						continue
					server.wait(before + 1)
					session = server.sessions[-1]
					self.assertEqual(session.lint, [])
					self.assertEqual(len(session.messages), 1)
					self.assertEqual(contents(session.messages[0].data), contents(self.messages[path]))
					sent += 1
		# Some are no messages at all, or have a field twice that may be there once.
		self.assertGreater(sent, len(self.messages) * 9 // 10)


def manual_examples():
	"""The params in mailchute-params(5)."""
	with open(os.path.join(mc.TOP, "man", "mailchute-params.5.scd"), encoding="utf-8") as f:
		# scdoc's escape, within its literal blocks too
		return [json.loads(t.replace("\\\\", "\\"))
		        for t in re.findall(r"^```\n(\{.*?^\})\n```", f.read(), re.M | re.S)]


class Seeds(tap.Case):
	"""The params of the two programs whose keys are taken as they are, as the manual page has them."""

	def job(self, members, server, **more):
		members = {**members, "server": "127.0.0.1", "port": server.port, **more}
		return self.write("job.json", json.dumps(members))

	def test_manual(self):
		"every example of the manual page is taken"
		found = manual_examples()
		self.assertGreaterEqual(len(found), 4)
		directory = self.tempdir()
		for name in ("logo.png", "report.pdf", "image.png"):
			self.write(name, b"content of " + name.encode(), directory=directory)
		for members in found:
			r = mc.run("--dry-run", "--params", self.write("job.json", json.dumps(members)), cwd=directory)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(wire.message(r.stdout), [])

	def test_nauthilus(self):
		"send_mail's params for LMTP: a result for each recipient"
		members = next(m for m in manual_examples() if m.get("lmtp"))
		with fake.Server(lmtp=True, dot={"bob@example.org": "550 5.2.1 no"}) as server:
			r = mc.run("--params", self.job(members, server))
			self.assertEqual(r.code, 1, r)
			self.assertEqual(server.session.commands[0], "LHLO client.example.org")
			self.assertEqual(server.message.sender, "nauthilus@example.org")
			self.assertEqual(server.message.rcpts, ["ann@example.org", "bob@example.org"])
			self.assertEqual(server.message.parsed().get_content().replace("\r", ""), "Hello world\n")
			self.assertEqual(server.lint, [])

	@tap.table(("STARTTLS", "starttls"), ("TLS", "implicit"))
	def test_nauthilus_login(self, mode):
		"send_mail's params with login over {0}"
		members = dict(next(m for m in manual_examples() if m.get("starttls")))
		members.update({"starttls": mode == "starttls", "tls": mode == "implicit", "tls_ca_file": certs.ca()})
		with fake.Server(tls=mode, auth="PLAIN LOGIN", users={"ci": "pass word"}) as server:
			r = mc.run("--params", self.job(members, server), env={"SMTP_PASSWORD": "pass word"},
			           secrets=["pass word"])
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.session.auths[0]["ok"])
			self.assertEqual(server.lint, [])

	def test_luasocket(self):
		"smtp.message's multipart: preamble, parts, epilogue, and rcpt decides who gets it"
		members = next(m for m in manual_examples() if "rcpt" in m)
		image = os.urandom(5000)
		directory = self.tempdir()
		self.write("image.png", image, directory=directory)
		with fake.Server() as server:
			r = mc.run("--params", self.job(members, server), cwd=directory)
			self.assertEqual(r.code, 0, r)
			message = server.message
			self.assertEqual(message.rcpts, ["fulano@example.org", "beltrano@example.org"])
			self.assertEqual(server.lint, [])
		parsed = message.parsed()
		self.assertIn("Sicrano de Oliveira", parsed["from"])
		self.assertEqual(parsed["to"].addresses[0].addr_spec, "fulano@example.org")
		self.assertIn("still display the preamble", parsed.preamble)
		self.assertIn("after the attachments", parsed.epilogue)
		views = readers.agree(self, message.data)
		self.assertEqual([p.type for p in views[0].parts], ["text/plain", "image/png"])
		self.assertEqual(views[0].parts[1].content, image)


if __name__ == "__main__":
	tap.main(jobs=4)
