#!/usr/bin/python3
"""Ready messages by -t: whom they go to, what is kept, what is put right, what is refused."""

import base64
import email.parser
import email.policy
import hashlib
import os
import pty
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap, tmp  # noqa: E402

EIGHT = ["PIPELINING", "8BITMIME"]
SEVEN = ["PIPELINING"]


def head_of(data):
	return data.partition(b"\r\n\r\n")[0] + b"\r\n"


def fields(data, name):
	"""The values of the fields of that name, unfolded."""
	text = head_of(data).replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
	return [l.split(b":", 1)[1].strip() for l in text.split(b"\r\n") if l.lower().startswith(name.lower().encode() + b":")]


class Ready(tap.Case):
	def send(self, text, *argv, code=0, ehlo=None, **how):
		"""(message, result) of one run of -t; the message is None where the server got none."""
		with fake.Server(**({"ehlo": ehlo} if ehlo else {})) as server:
			r = mc.run("-t", "-S", server.url, *argv, input=text, **how)
			self.assertEqual(r.code, code, r)
			if code:
				self.assertEqual(server.messages, [])
				return None, r
			self.assertEqual(server.session.lint, [])
			return server.messages[0], r


class Recipients(Ready):
	@tap.row("TIN-01")
	@tap.table(
		("To, Cc and Bcc", "To: a@example.org\nCc: c@example.org\nBcc: b@example.org\n", "acb"),
		("Bcc folded", "To: a@example.org\nBcc: b@example.org,\n\tc@example.org,\n d@example.org\n", "abcd"),
		("several Bcc", "To: a@example.org\nBcc: b@example.org\nBcc: c@example.org\n", "abc"),
		("bCC", "To: a@example.org\nbCC: b@example.org\n", "ab"), ("only Bcc", "Bcc: b@example.org\n", "b"),
		("Bcc between others", "Bcc: b@example.org\nTo: a@example.org\n", "ba"),
		("blank before the colon", "To: a@example.org\nBcc : b@example.org\n", "ab"),
		("empty Bcc", "To: a@example.org\nBcc:\n", "a"), ("one twice", "To: a@example.org\nCc: a@EXAMPLE.org\n", "a"),
	)
	def test_lists(self, header, want):
		"{0}: everybody gets it, nobody is shown who Bcc was"
		# of another domain: the Message-ID, which ends in a random letter, is at the author's
		m, _ = self.send("From: f@example.net\n" + header + "\ntext\n")
		self.assertEqual([r[0] for r in m.rcpts], list(want))
		self.assertNotIn(b"bcc", m.data.lower())
		if "Bcc" in header or "bCC" in header:
			self.assertNotIn(b"b@example.org", m.data)

	@tap.row("TIN-01")
	def test_added(self):
		"words and --rcpt are added to those of the message; --to, --cc, --bcc too"
		m, _ = self.send("From: f@example.net\nTo: a@example.org\n\nx\n", "--rcpt", "r@example.org", "--bcc", "b@example.org", "w@example.org")
		self.assertEqual(sorted(r[0] for r in m.rcpts), ["a", "b", "r", "w"])
		self.assertNotIn(b"b@example.org", m.data)

	@tap.row("TIN-02")
	@tap.table(
		("one block", "Resent-From: r@example.org\nResent-To: x@example.org\nResent-Bcc: y@example.org\n", "xy"),
		("two blocks", "Resent-To: x@example.org\nReceived: by z\nResent-To: y@example.org\n", "x"),
		("two blocks side by side", "Resent-To: x@example.org\nResent-From: a@example.org\nResent-To: y@example.org\n", "x"),
		("Resent-Cc alone", "Resent-Cc: x@example.org\n", "x"),
	)
	def test_resent(self, block, want):
		"Resent-: the first block's recipients alone: {0}"
		m, _ = self.send(block + "From: f@example.net\nTo: a@example.org\nBcc: b@example.org\n\nx\n")
		self.assertEqual([r[0] for r in m.rcpts], list(want))
		self.assertNotIn(b"Bcc:", m.data)
		self.assertIn(b"To: a@example.org\r\n", m.data)
		self.assertNotIn(b"y@example.org", m.data if "Resent-Bcc" in block else b"")

	@tap.row("TIN-14")
	def test_torture(self):
		"comments, groups, quoted colons and commas, folding, encoded words: exactly these fourteen"
		text = (
			"From: f@example.org\n"
			"To: one@example.org, Two <two@example.org> (a comment, with a comma),\n"
			"\t\"Three, the third\" <three@example.org>, (lead) four@example.org,\n"
			" \"quo\\\"ted: five\" <five@example.org>,\n"
			" A Group: six@example.org, Seven <seven@example.org>;,\n"
			"  Nobody:;, eight@example.org (nested (comment) here)\n"
			"Cc: =?utf-8?Q?N=C3=AFne?= <nine@example.org>,\n"
			" \"ten quoted\"@example.org , <eleven@[127.0.0.1]>,,\n"
			" twelve@example.org\n"
			"Bcc: \"colon: in a name\" <thirteen@example.org>,\n"
			"\tFourteen O'Clock <fourteen@example.org>\n\nx\n")
		m, _ = self.send(text)
		self.assertEqual(list(m.rcpts), [
			"one@example.org", "two@example.org", "three@example.org", "four@example.org", "five@example.org", "six@example.org",
			"seven@example.org", "eight@example.org", "nine@example.org", '"ten quoted"@example.org', "eleven@[127.0.0.1]",
			"twelve@example.org", "thirteen@example.org", "fourteen@example.org"])
		for name in (b"To", b"Cc"):
			start = text.encode().replace(b"\n", b"\r\n").partition(name + b": ")[2].partition(b"\r\n")[0]
			self.assertIn(start, m.data)

	@tap.row("TIN-01")
	@tap.table(("no address field", "Subject: x\n"), ("an empty group", "To: undisclosed-recipients:;\n"), ("empty", "To:\nCc: \n"))
	def test_nobody(self, header):
		"nobody to send to: 64: {0}"
		_m, r = self.send("From: f@example.org\n" + header + "\nx\n", code=64)
		self.assertIn("no recipient", r.stderr)

	@tap.row("TIN-01")
	def test_unreadable(self):
		"a recipient that cannot be read is no silent loss: 65, it is named, nothing is sent"
		_m, r = self.send("From: f@example.org\nTo: a@example.org, b@@example.org\n\nx\n", code=65)
		self.assertIn("b@@example.org", r.stderr)

	def test_sender(self):
		"the envelope's sender: -f, else from, else Sender, else From"
		text = "From: A <a@example.org>, B <b@example.org>\nSender: s@example.org\nTo: t@example.org\n\nx\n"
		for argv, want in ((["-f", "f@example.org"], "f@example.org"), (["--envelope-from", ""], ""), (["--from", "g@example.org"], "g@example.org"),
		                   ([], "s@example.org")):
			m, _ = self.send(text, *argv)
			self.assertEqual(m.sender, want)
		m, _ = self.send(text.replace("Sender: s@example.org\n", ""))
		self.assertEqual(m.sender, "a@example.org")


class Repair(Ready):
	CRON = "From: root (Cron Daemon)\nTo: root\nCc: ann@example.org, ops\nSubject: x\n\nx\n"
	NAMES = ("--mail-domain=example.org", "--aliases=root: ann@example.net, Bob <bob@example.net>")

	def test_names(self):
		"names without a domain: envelope and header say the same, and what was there is kept"
		m, _ = self.send(self.CRON, *self.NAMES)
		self.assertEqual((m.sender, sorted(m.rcpts)), ("root@example.org", [
			"ann@example.net", "ann@example.org", "bob@example.net", "ops@example.org"]))
		self.assertEqual(fields(m.data, "From"), [b"Cron Daemon <root@example.org>"])
		self.assertEqual(fields(m.data, "To"), [b"ann@example.net, Bob <bob@example.net>"])
		self.assertEqual(fields(m.data, "Cc"), [b"ann@example.org, ops@example.org"])
		self.assertEqual(fields(m.data, "X-Original-From"), [b"root (Cron Daemon)"])
		self.assertEqual(fields(m.data, "X-Original-To"), [b"root"])
		self.assertEqual(fields(m.data, "X-Original-Cc"), [b"ann@example.org, ops"])

	def test_force(self):
		"force_from: author and sender, the name stays; a null sender stays null"
		m, _ = self.send(self.CRON, "--force-from=alerts@example.net", "-f", "root")
		self.assertEqual(m.sender, "alerts@example.net")
		self.assertEqual(fields(m.data, "From"), [b"Cron Daemon <alerts@example.net>"])
		m, _ = self.send(self.CRON, "--force-from=The Alerts <alerts@example.net>", "-f", "")
		self.assertEqual(m.sender, "")
		self.assertEqual(fields(m.data, "From"), [b"The Alerts <alerts@example.net>"])
		m, _ = self.send(self.CRON.replace("root (Cron Daemon)", "X <alerts@example.net>"), "--force-from=alerts@example.net")
		self.assertEqual(fields(m.data, "From"), [b"X <alerts@example.net>"])
		self.assertEqual(fields(m.data, "X-Original-From"), [])

	def test_composed(self):
		"the same for a message that is composed"
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "root", *self.NAMES, "root", input="x\n")
			self.assertEqual(r.code, 0, r)
			m = server.messages[0]
		self.assertEqual((m.sender, sorted(m.rcpts)), ("root@example.org", ["ann@example.net", "bob@example.net"]))
		self.assertEqual(fields(m.data, "To"), [b"ann@example.net, Bob <bob@example.net>"])
		self.assertEqual(fields(m.data, "X-Original-To"), [b"root"])

	@tap.row("TIN-08")
	def test_missing(self):
		"From, Date and Message-ID are added where they are missing, and the report has that Message-ID"
		m, r = self.send("To: a@example.org\n\nx\n", "-f", "f@example.org", "--report=json")
		self.assertEqual(fields(m.data, "From"), [b"f@example.org"])
		self.assertEqual(len(fields(m.data, "Date")), 1)
		self.assertEqual(fields(m.data, "Message-ID"), [r.json["message_id"].encode()])

	@tap.row("TIN-08")
	def test_kept(self):
		"what is there is kept octet for octet, in its order, its folding and its letters"
		head = ("date:  Thu,  26 Nov 2026 07:00:00 +0000\nMESSAGE-ID: <x@example.org>\nX-Odd:\tfolded\n\t  here\nfrom:F <f@example.org>\n"
		        "To: A\n <a@example.org> ,b@example.org\nSubject:   two   blanks \nX-Long: " + "y" * 300 + "\n")
		m, _ = self.send(head + "\nbody \n", *self.__class__.NAMES)
		self.assertEqual(head_of(m.data), head.encode().replace(b"\n", b"\r\n"))

	@tap.row("TIN-08")
	def test_dkim(self):
		"a DKIM signature still verifies, though From, Date, Message-ID and X-Original-To are added"
		place = tmp.directory("mcdkim-")
		os.chmod(place, 0o700)
		subprocess.run(["openssl", "genrsa", "-out", f"{place}/key", "2048"], check=True, capture_output=True)
		os.chmod(f"{place}/key", 0o600)
		public = subprocess.run(["openssl", "rsa", "-in", f"{place}/key", "-pubout", "-outform", "DER"], check=True,
		                        capture_output=True).stdout
		text = "Subject: signed\r\nX-Kept:  a  b\r\nCc: a@example.org,\r\n\tB <b@example.org>\r\n\r\nbody\r\n.\r\n.. two\r\nend\r\n"
		signed = sign(place, text)
		m, _ = self.send(signed, "-f", "f@example.org", "--mail-domain=example.org", "root")
		self.assertIn(b"From: f@example.org\r\n", m.data)
		self.assertTrue(verify(m.data, base64.b64encode(public).decode()))
		self.assertFalse(verify(m.data.replace(b"body", b"b0dy"), base64.b64encode(public).decode()))


def sign(place, text):
	"""A DKIM-Signature (RFC 6376, relaxed/simple) over Subject, X-Kept and Cc, made with openssl alone."""
	head, _, body = text.partition("\r\n\r\n")
	bh = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
	signature = f"v=1; a=rsa-sha256; c=relaxed/simple; d=example.org; s=sel; h=subject:x-kept:cc; bh={bh}; b="
	data = relaxed(head, ("subject", "x-kept", "cc")) + "dkim-signature:" + re.sub(r"\s+", " ", signature).strip()
	b = subprocess.run(["openssl", "dgst", "-sha256", "-sign", f"{place}/key"], input=data.encode(), check=True,
	                   capture_output=True).stdout
	return f"DKIM-Signature: {signature}{base64.b64encode(b).decode()}\r\n" + text


def relaxed(head, names):
	unfolded = re.sub(r"\r\n(?=[ \t])", "", head)
	values = {l.split(":", 1)[0].strip().lower(): l.split(":", 1)[1] for l in unfolded.split("\r\n") if ":" in l}
	return "".join(n + ":" + re.sub("[ \t]+", " ", values[n]).strip() + "\r\n" for n in names)


def verify(data, public):
	"""By hand what a verifier does, from the message alone (RFC 6376 6.1)."""
	head, _, body = data.decode().partition("\r\n\r\n")
	unfolded = re.sub(r"\r\n(?=[ \t])", "", head)
	line = [l for l in unfolded.split("\r\n") if l.startswith("DKIM-Signature:")][0].split(":", 1)[1]
	tags = dict(t.strip().split("=", 1) for t in line.split(";") if "=" in t)
	if base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() != tags["bh"]:
		return False
	bare = re.sub(r"\s+", " ", re.sub(r"b=[A-Za-z0-9+/=]+$", "b=", line.strip()))
	signed = relaxed(head, tags["h"].split(":")) + "dkim-signature:" + bare
	place = tmp.directory("mcdkim-")
	with open(f"{place}/pub", "wb") as f:
		f.write(base64.b64decode(public))
	with open(f"{place}/sig", "wb") as f:
		f.write(base64.b64decode(tags["b"]))
	done = subprocess.run(["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", f"{place}/pub", "-signature", f"{place}/sig"],
	                      input=signed.encode(), capture_output=True)
	return done.returncode == 0


class Header(Ready):
	@tap.row("TIN-04")
	@tap.table(
		("no separator", "From: f@example.org\nTo: a@example.org\ntext without an empty line\n"),
		("first line without colon", "just text\nTo: a@example.org\n\nx\n"),
		("leading continuation", " folded\nTo: a@example.org\n\nx\n"), ("leading blank line", "\nTo: a@example.org\n\nx\n"),
		(">From", ">From a@example.org Thu Nov 26 07:00:00 2026\nTo: a@example.org\n\nx\n"),
		("a blank in a name", "To: a@example.org\nBad Name: x\n\nx\n"), ("no name", "To: a@example.org\n: x\n\nx\n"),
	)
	def test_refused(self, text):
		"refused: {0}"
		_m, r = self.send(text, code=65)
		self.assertRegex(r.stderr, "header|field")

	@tap.row("TIN-04")
	def test_mbox(self):
		"the line with which an mbox begins a message is dropped"
		m, _ = self.send("From f@example.org Thu Nov 26 07:00:00 2026\nFrom: f@example.org\nTo: a@example.org\n\nFrom x\n")
		self.assertNotIn(b"From f@", m.data)
		self.assertTrue(m.data.endswith(b"\r\n\r\nFrom x\r\n"))

	@tap.row("TIN-04")
	@tap.table(("text", "disk full\nsecond\n", b"disk full\r\nsecond\r\n"), ("blank line first", "\ntext\n", b"text\r\n"),
	           ("one dot", ".\n", b".\r\n"), ("8-bit", "gr\u00fc\u00dfe\n", "gr\u00fc\u00dfe\r\n".encode()), ("empty", "", b""),
	           ("From at its start", "From the start\nthere was text\n", b"From the start\r\nthere was text\r\n"),
	           ("behind an mbox line", "From a@b.example Thu Nov 26 07:00:00 2026\n\ntext\n", b"text\r\n"))
	def test_headless(self, text, body):
		"sendmail with recipients takes a text without a header as a body: {0}"
		with fake.Server() as server:
			r = mc.run("--as=sendmail", f"--server={server.url}", "-f", "f@example.org", "a@example.org", input=text)
			self.assertEqual(r.code, 0, r)
			m = server.messages[0]
		self.assertEqual(m.data.partition(b"\r\n\r\n")[2], body)
		self.assertEqual([len(fields(m.data, n)) for n in ("From", "Date", "Message-ID")], [1, 1, 1])

	@tap.row("TIN-05")
	@tap.table(("a line of 10 MB", "X: " + "y" * 10_000_000 + "\n"), ("a million fields", "X: y\n" * 1_000_000),
	           ("a name of 1 MB", "X" * 1_000_000 + ": y\n"))
	def test_limits(self, header):
		"{0}: 65, in bounded memory"
		_m, r = self.send("To: a@example.org\n" + header + "\nx\n", code=65, watch=True)
		self.assertIn("header", r.stderr)
		if not os.environ.get("MC_WRAP") and mc.SLOW == 1:
			self.assertLess(r.peak_kb, 64 * 1024)

	@tap.row("TIN-09")
	@tap.table(*[(n, n) for n in ("From", "To", "Date", "Message-ID", "Subject", "Cc", "Reply-To", "Sender")])
	def test_twice(self, name):
		"two {0} fields: refused"
		value = "<x@example.org>" if name == "Message-ID" else "x@example.org"
		_m, r = self.send(f"{name}: {value}\n{name}: {value}\nBcc: a@example.org\n\nx\n", "-f", "f@example.org", code=65)
		self.assertIn(name, r.stderr)

	@tap.row("TIN-10")
	def test_raw(self):
		"raw UTF-8 in a header is encoded; what is not UTF-8 is refused, or goes as unknown-8bit"
		m, _ = self.send("From: J\u00f6rg <f@example.org>\nTo: a@example.org\nSubject: Gr\u00fc\u00dfe\n\nx\n")
		self.assertTrue(m.data.isascii())
		self.assertEqual(len(fields(m.data, "Subject")), 1)
		read = email.parser.BytesParser(policy=email.policy.default).parsebytes(m.data)
		self.assertEqual((read["Subject"], read["From"].addresses[0].display_name), ("Gr\u00fc\u00dfe", "J\u00f6rg"))
		_m, r = self.send(b"From: f@example.org\nTo: a@example.org\nSubject: caf\xe9\n\nx\n", code=65)
		self.assertIn("UTF-8", r.stderr)

	@tap.row("TIN-11")
	@tap.table(("CRLF", b"\r\n"), ("LF", b"\n"), ("CR", b"\r"))
	def test_line_ends(self, end):
		"line ends of {0}: CRLF on the wire, nothing bare"
		text = end.join([b"From: f@example.org", b"To: a@example.org", b"", b"one", b".", b"", b"two"])
		m, _ = self.send(text)
		self.assertTrue(m.data.endswith(b"\r\n\r\none\r\n.\r\n\r\ntwo\r\n"))

	@tap.row("TIN-11")
	def test_nul(self):
		"a NUL is refused, in the header and in the body; mixed line ends are put right"
		for text in (b"To: a@example.org\nX: a\0b\n\nx\n", b"To: a@example.org\n\nx\0y\n"):
			_m, r = self.send(text, "-f", "f@example.org", code=65)
			self.assertIn("NUL", r.stderr)
		m, _ = self.send(b"To: a@example.org\r\nX: y\n\r\na\rb\nc\r\nd", "-f", "f@example.org")
		self.assertTrue(m.data.endswith(b"\r\n\r\na\r\nb\r\nc\r\nd\r\n"))


class Body(Ready):
	@tap.row("TIN-12")
	@tap.table(("8BITMIME", EIGHT, b"8bit"), ("without", SEVEN, b"quoted-printable"))
	def test_eightbit(self, ehlo, encoding):
		"8-bit text without MIME fields gets them: {0}"
		with fake.Server(ehlo=ehlo) as server:
			r = mc.run("-t", "-S", server.url, "-f", "f@example.org", input="To: a@example.org\n\nplain words and gr\u00fc\u00dfe among them\n")
			self.assertEqual(r.code, 0, r)
			m, mail = server.messages[0], [c for c in server.session.commands if c.startswith("MAIL")][0]
		self.assertEqual(fields(m.data, "MIME-Version"), [b"1.0"])
		self.assertEqual(fields(m.data, "Content-Type"), [b"text/plain; charset=utf-8"])
		self.assertEqual(fields(m.data, "Content-Transfer-Encoding"), [encoding])
		self.assertEqual("BODY=8BITMIME" in mail, encoding == b"8bit")
		self.assertEqual(m.data.isascii(), encoding != b"8bit")

	MULTI = ("From: f@example.org\nTo: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/{0}; boundary=b\n\n"
	         "--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nplain words and gr\u00fc\u00dfe among them\n--b\n\nascii\n--b--\n")

	@tap.row("TIN-13")
	def test_multipart(self):
		"8-bit inside of a multipart: as it is with 8BITMIME, else part by part"
		m, _ = self.send(self.MULTI.format("mixed"), ehlo=EIGHT)
		self.assertIn("gr\u00fc\u00dfe".encode(), m.data)
		m, _ = self.send(self.MULTI.format("mixed"), ehlo=SEVEN)
		self.assertIn(b"gr=C3=BC=C3=9Fe", m.data)
		self.assertTrue(m.data.isascii())

	@tap.row("TIN-13")
	def test_signed(self):
		"multipart/signed goes to a server with 8BITMIME, and is refused else: 69"
		m, _ = self.send(self.MULTI.format("signed"), ehlo=EIGHT)
		self.assertIn("gr\u00fc\u00dfe".encode(), m.data)
		self.send(self.MULTI.format("signed"), ehlo=SEVEN, code=69)

	@tap.row("TIN-06")
	@tap.table(("a pipe", [], "pipe"), ("a pipe, -i", ["-i"], "pipe"), ("a file", [], "file"), ("a file, -i", ["-i"], "file"),
	           ("sendmail -oi", ["--as=sendmail", "-oi"], "pipe"), ("sendmail", ["--as=sendmail"], "file"))
	def test_dots(self, argv, how):
		"a lone dot is text, from {0}"
		text = "From: f@example.org\nTo: a@example.org\n\none\n.\ntwo\n"
		first, rest = ([argv[0]], argv[1:]) if argv and argv[0].startswith("--as") else ([], argv)
		with fake.Server() as server:
			call = first + ["-t", f"--server={server.url}"] + rest
			if how == "file":
				with open(self.write("m.eml", text), "rb") as f:
					r = mc.run(*call, stdin=f)
			else:
				r = mc.run(*call, input=text)
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.messages[0].data.endswith(b"\r\n\r\none\r\n.\r\ntwo\r\n"))

	@tap.row("TIN-06", "TIN-07")
	@tap.table(("ends the text", [], b"one\r\n"), ("is text with -i", ["-i"], b"one\r\n.\r\ntwo\r\n"))
	def test_terminal(self, argv, want):
		"on a terminal a lone dot {0}"
		text = b"From: f@example.org\nTo: a@example.org\n\none\n.\ntwo\n\x04"
		master, slave = pty.openpty()
		with fake.Server() as server:
			running = mc.start("-t", *argv, "-S", server.url, stdin=slave, lines=None)
			os.close(slave)
			os.write(master, text)
			r = running.wait()
			os.close(master)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.messages[0].data.partition(b"\r\n\r\n")[2], want)

	@tap.row("TIN-07")
	@tap.table(("empty", ""), ("the end inside of a header line", "To: a@example.org\nSubj"))
	def test_cut(self, text):
		"nothing is sent of what is no message: {0}"
		_m, r = self.send(text, "-f", "f@example.org", code=65)
		self.assertTrue(r.stderr)

	@tap.row("TIN-07")
	def test_no_input(self):
		"standard input closed: 66; a terminal without anything: its end is an empty message"
		with fake.Server() as server:
			r = mc.run("-t", "-S", server.url, preexec=lambda: os.close(0), stdin=subprocess.DEVNULL)
			self.assertEqual(r.code, 66, r)
			r = mc.run("-t", "-S", server.url, stdin=subprocess.DEVNULL)
			self.assertEqual(r.code, 65, r)

	@tap.row("TIN-07")
	@tap.table(("cut short", "a\n", 65), ("its dot", "a\n.\n", 0), ("its dot without a line end", "a\n.", 0), ("a dot that is none", "a\n..\n", 65),
	           ("text behind it", "a\n.\nb\n", 0))
	def test_require_end(self, body, code):
		"--require-end: {0}"
		text = "From: f@example.org\nTo: a@example.org\n\n" + body
		m, r = self.send(text, "--require-end", code=code)
		if code:
			self.assertIn("cut short", r.stderr)
		else:
			self.assertTrue(m.data.endswith(b"\r\n\r\na\r\n"))

	@tap.row("TIN-07")
	def test_killed(self):
		"a producer that is killed: --require-end tells, nothing is sent"
		with fake.Server() as server:
			producer = subprocess.Popen(["sh", "-c", "printf 'To: a@example.org\\n\\nhalf'; kill -9 $$"], stdout=subprocess.PIPE)
			r = mc.run("-t", "-f", "f@example.org", "--require-end", "-S", server.url, stdin=producer.stdout)
			producer.wait()
			self.assertEqual((r.code, server.sessions), (65, []), r)

	@tap.row("TIN-16")
	def test_slow(self):
		"no connection is opened before the input is complete"
		read, write = os.pipe()
		with fake.Server() as server:
			running = mc.start("-t", "-S", server.url, "--timeout", "1", stdin=read)
			os.close(read)
			os.write(write, b"From: f@example.org\nTo: a@example.org\n\n")
			time.sleep(1.5)
			before = len(server.sessions)
			os.write(write, b"x\n")
			os.close(write)
			r = running.wait()
			self.assertEqual((r.code, before, len(server.messages)), (0, 0, 1), r)

	@tap.row("TIN-16")
	def test_large(self):
		"64 MB through a pipe, and memory does not grow with it"
		line = b"x" * 76 + b"\n"
		with fake.Server(store=False) as server:
			running = mc.start("-t", "-S", server.url, stdin=subprocess.PIPE, watch=True)

			def feed():
				with running.process.stdin as pipe:
					pipe.write(b"From: f@example.org\nTo: a@example.org\n\n")
					for _ in range(800):
						pipe.write(line * 1000)
				running.process.stdin = None
			writer = threading.Thread(target=feed)
			writer.start()
			writer.join(120 * mc.SLOW)
			r = running.wait(120)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.messages[0].octets > 62_000_000, True)
			if not os.environ.get("MC_WRAP") and mc.SLOW == 1:
				self.assertLess(r.peak_kb, 24 * 1024)


if __name__ == "__main__":
	tap.main(jobs=4)
