"""libcurl's own transaction against ours: one recorder, the same envelope, the same bytes.

Each message is composed to a file (--output). The oracle sends that file by libcurl's UPLOAD, MAIL_FROM and
MAIL_RCPT; mailchute sends it as a ready message, and once more composes and sends it in one run (whose
boundaries are random, and are compared by their order). ORACLE names the compiled oracle.c; without it, it is
compiled here.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

from lib import mc, tap, tmp      # noqa: E402
import recorder                   # noqa: E402

FROM = "sender@example.org"
HEADERS = ("--date", "Thu, 01 Jan 1970 00:00:00 +0000", "--message-id", "<oracle@example.org>",
	   "--subject", "oracle")

DOTS = ".\n..\n...\n.x\nx.\n. \n\n.\n.\n"
ALL_OCTETS = bytes(range(256)) * 40

# label, settings ({name} is a file's path), files
COMPOSED = [
	("a line of text", ["--body", "Hello.\n"], {}),
	("an empty body", ["--body", ""], {}),
	("no end of line", ["--body", "Hello."], {}),
	("empty lines", ["--body", "\n\n\n"], {}),
	("dots at line starts", ["--body", DOTS], {}),
	("a lone dot", ["--body", "."], {}),
	("dots, no end of line", ["--body", DOTS + "."], {}),
	("dots as 7bit", ["--body", DOTS, "--encoding", "7bit"], {}),
	("dots as quoted-printable", ["--body", DOTS, "--encoding", "quoted-printable"], {}),
	("dots as base64", ["--body", DOTS, "--encoding", "base64"], {}),
	("text of two languages", ["--body", "Grüße an dörte.\n.пункт\n"], {}),
	("a long line", ["--body", "." * 3000 + "\n"], {}),
	("trailing white space", ["--body", "a \n\t\n. \n"], {}),
	("HTML beside text", ["--body", "Hello.\n.\n", "--html", "<p>Hello.</p>\n.\n"], {}),
	("a body file of dots", ["--body-file", "{body}"], {"body": b".\r\n" * 50000}),
	("a binary attachment", ["--body", "Hello.\n", "--attach", "{all.bin}"], {"all.bin": ALL_OCTETS}),
	("a text attachment of dots", ["--body", ".", "--attach", "{dots.txt}"], {"dots.txt": DOTS.encode()}),
	("an empty attachment", ["--body", "x", "--attach", "{empty.bin}"], {"empty.bin": b""}),
	("three attachments", ["--body", "x", "--attach", "{a.txt}", "--attach", "{b.bin}", "--attach", "{c.html}"],
	 {"a.txt": b".\n", "b.bin": ALL_OCTETS, "c.html": b"<p>.</p>\n."}),
	("an attachment of a mebibyte", ["--body", "x", "--attach", "{big.bin}"], {"big.bin": ALL_OCTETS * 102}),
	("a long Subject", ["--body", "x", "--headers", "X-Long: " + ".word " * 60], {}),
]


HEAD = (b"From: sender@example.org\r\nTo: to@example.org\r\nMessage-ID: <o@example.org>\r\n"
	b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n")


def lines_of(octets):
	"""Whole lines without dots, of that many octets in all (2 or more)."""
	text = b""
	while octets - len(text) > 120:
		text += b"x" * 58 + b"\r\n"
	return text + b"x" * (octets - len(text) - 2) + b"\r\n"


def dotted(size, at):
	"""A ready message of that many octets, with a line that begins with a dot at that offset."""
	text = HEAD + lines_of(at - len(HEAD)) + b".\r\n"
	return text + lines_of(size - len(text)) if size > len(text) else text


# One release of libcurl stuffed wrongly at 65536 octets (curl #18798): sizes about the buffers stay here.
READY = [(f"{size} octets, the last line a dot", dotted(size, size - 3))
	 for size in (65534, 65535, 65536, 65537, 131071, 131072, 131073)]
READY += [(f"a line begins with a dot at {edge + d}", dotted(2 * edge, edge + d))
	  for edge in (16384, 65536) for d in range(-2, 3)]
READY += [
	("a dot first of the body", dotted(200, len(HEAD) + 2)),
	("nothing but dots", HEAD + b".\r\n" * 100000),
	("an empty body", HEAD),
	("headers only, no empty line", HEAD[:-2]),
	("line feeds only", dotted(400, 300).replace(b"\r\n", b"\n")),
	("no end of line", dotted(400, 300)[:-2]),
	("ends with a dot, no end of line", dotted(400, 300) + b"."),
]

ENVELOPES = [
	("one recipient", FROM, ["to@example.org"], ["to@example.org"]),
	("twenty recipients", FROM, [f"r{i}@example.org" for i in range(20)], None),
	("to, cc and bcc", FROM, ["to@example.org", "--cc", "cc@example.org", "--bcc", "bcc@example.org"],
	 ["to@example.org", "cc@example.org", "bcc@example.org"]),
	("display names", "Sender Name <sender@example.org>", ["Dörte <to@example.org>"], ["to@example.org"]),
	("no sender", "<>", ["to@example.org"], ["to@example.org"]),
	("a quoted local part", '"a b"@example.org', ['"x y"@example.org'], ['"x y"@example.org']),
	("an address literal", FROM, ["to@[127.0.0.1]"], ["to@[127.0.0.1]"]),
	("a domain of another script", FROM, ["to@bücher.example"], ["to@bücher.example"]),
	("a local part of another script", FROM, ["dörte@example.org"], ["dörte@example.org"]),
]


def boundaries_by_order(message):
	"""The message with each random boundary replaced by its number."""
	seen = {}
	return re.sub(rb"=_[A-Za-z0-9'()+_,./:=?-]+", lambda m: seen.setdefault(m[0], b"=_%d" % len(seen)), message)


class Oracle(tap.Case):
	@classmethod
	def setUpClass(cls):
		cls.oracle = os.environ.get("ORACLE")
		if not cls.oracle:
			cls.oracle = os.path.join(tmp.directory(), "oracle")
			flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libcurl"], text=True).split()
			subprocess.check_call(["cc", "-o", cls.oracle, os.path.join(HERE, "oracle.c"), *flags])

	def by_oracle(self, r, path, sender, rcpts):
		run = subprocess.run([self.oracle, f"{r.url}/oracle.example", path, sender, *rcpts], capture_output=True,
		                     env=mc.environment())
		self.assertEqual((run.returncode, run.stderr), (0, b""))
		return self.only(r)

	def by_us(self, r, *args):
		run = mc.run("--server", r.url, *args)
		self.assertEqual(run.code, 0, run)
		return self.only(r)

	def only(self, r):
		taken = r.take()
		self.assertEqual(len(taken), 1)
		return taken[0]

	def compose(self, *args):
		"""The exact bytes of a message, in a file; its path."""
		path = os.path.join(self.tempdir(), "message")
		run = mc.run("--output", path, *args, stdout=True)
		self.assertEqual(run.code, 0, run)
		return path

	def same(self, args, sender, rcpts, offered=recorder.FULL):
		"""Composes, sends it in the three ways, compares."""
		path = self.compose(*args)
		with open(path, "rb") as f:
			composed = f.read()
		ready = ["--message-file", path, f"--envelope-from={sender}"] + [f"--rcpt={a}" for a in rcpts]
		with recorder.Recorder(offered) as r:
			theirs = self.by_oracle(r, path, sender, rcpts)
			self.assertEqual(theirs.message, composed, "the oracle's bytes are the composed ones")
			self.assertEqual(self.by_us(r, *ready), theirs, "sent as a ready message")
			ours = self.by_us(r, *args)
		self.assertEqual(ours[:2], theirs[:2], "envelope, composed and sent in one run")
		self.assertEqual(boundaries_by_order(ours.message), boundaries_by_order(theirs.message),
		                 "bytes, composed and sent in one run")

	@tap.table(*COMPOSED)
	def test_composed(self, settings, files):
		"composed: {0}"
		directory = self.tempdir()
		for name, content in files.items():
			self.write(name, content, directory=directory)
		args = [re.sub(r"^\{(.*)\}$", lambda m: os.path.join(directory, m[1]), a) for a in settings]
		self.same(["--from", FROM, *HEADERS, *args, "to@example.org"], FROM, ["to@example.org"])

	@tap.table(*READY)
	def test_ready(self, message):
		"ready: {0}"
		path = self.write("ready.eml", message)
		self.same(["--message-file", path, "--envelope-from", FROM, "to@example.org"], FROM, ["to@example.org"])

	@tap.table(*ENVELOPES)
	def test_envelope(self, sender, recipients, want):
		"envelope: {0}"
		bare = re.sub(r"^.*<(.*)>$", r"\1", sender)
		by = ["--from", FROM, "--envelope-from", "<>"] if sender == "<>" else ["--from", sender]
		self.same([*by, *HEADERS, "--body", "Hello.\n", *recipients], bare, want or recipients)

	@tap.table(("nothing", ()), ("PIPELINING", ("PIPELINING",)), ("SIZE", ("SIZE",)))
	def test_offered(self, offered):
		"a server that offers {0}"
		self.same(["--from", FROM, *HEADERS, "--body", DOTS, "a@example.org", "b@example.org"], FROM,
		          ["a@example.org", "b@example.org"], offered)

	def test_params_file(self):
		"composed: a multipart with preamble and epilogue, by a params file"
		params = self.write("params.json", """{"from": "sender@example.org", "to": ["to@example.org"],
			"headers": {"subject": "oracle", "date": "Thu, 01 Jan 1970 00:00:00 +0000",
				"message-id": "<oracle@example.org>"},
			"body": {"preamble": ".before", "epilogue": ".behind", "parts": [
				{"body": ".\\n..\\n"},
				{"headers": {"content-type": "image/png", "content-transfer-encoding": "base64"},
				 "body": {"base64": "iVBORw0KGgo="}},
				{"body": {"parts": [{"body": ".inner"}, {"body": ""}]}}]}}""")
		self.same(["--params", params], FROM, ["to@example.org"])


if __name__ == "__main__":
	tap.main(jobs=2)
