#!/usr/bin/python3
"""A third opinion: Exim, which checks header syntax and line lengths of its own."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, mc, readers, tap, third  # noqa: E402


class Exim(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not third.available():
			raise AssertionError("Exim is needed, and root; see tests/setup.sh")
		cls.mta = third.Server()
		cls.addClassCleanup(cls.mta.__exit__)
		cls.mta.__enter__()

	def setUp(self):
		self.mta.forget()

	def send(self, *argv, port=None, scheme="smtp", to=("rcpt@example.org",), code=0, text="Grüße\n.\nPunkt\n", **how):
		r = mc.run("-S", f"{scheme}://127.0.0.1:{port or self.mta.port}", "-f", "Åsa <sender@example.net>", "-s", "Prüfung ✓",
		           "--report=json", *argv, "--", *to, input=text, **how)
		self.assertEqual(r.code, code, r)
		return r

	def test_text(self):
		"a text message, as four readers see it"
		r = self.send()
		delivery = self.mta.wait(1)[0]
		self.assertEqual((delivery.sender, delivery.rcpts), ("sender@example.net", ["rcpt@example.org"]))
		readers.agree(self, delivery.data, subject="Prüfung ✓", sender=["sender@example.net"],
		              parts=[("text/plain", None, None, "Grüße\n.\nPunkt\n".encode())])
		self.assertEqual(r.json["size"], len(delivery.data))

	def test_parts(self):
		"text, HTML, inline image and attachment"
		directory = self.tempdir()
		blob = os.urandom(50000)
		self.write("a.bin", blob, directory=directory)
		self.write("l.png", b"\x89PNG\r\n\x1a\nx", directory=directory)
		self.send("--body-file", "-", "--html", "<img src='cid:l@x'>", "-a", f"{directory}/a.bin", "-a",
		          json.dumps({"path": f"{directory}/l.png", "content_id": "l@x", "disposition": "inline"}))
		readers.agree(self, self.mta.wait(1)[0].data, parts=[
			("text/plain", None, None, "Grüße\n.\nPunkt\n".encode()), ("text/html", None, None, b"<img src='cid:l@x'>"),
			("image/png", "l.png", "l@x", b"\x89PNG\r\n\x1a\nx"), ("application/octet-stream", "a.bin", None, blob)])

	@tap.row("MSG-04")
	def test_long_lines(self):
		"a line of 100 KB: Exim, which refuses lines over 998, takes it encoded and the reader gets it back"
		text = "x" * 100000 + "\n"
		self.send(text=text)
		readers.agree(self, self.mta.wait(1)[0].data, parts=[("text/plain", None, None, text.encode())])

	@tap.row("HDR-11")
	def test_header_syntax(self):
		"200 recipients with awkward display names pass Exim's check of header syntax"
		names = ["Last, First", 'quote " and \\', "Ä Ö", "a@b", "(comment)", "x" * 100, "semi;colon", "dot."]
		to = [f'{json.dumps(names[i % len(names)], ensure_ascii=False)} <user{i}@example.org>' for i in range(200)]
		self.send(to=to)
		deliveries = self.mta.wait(200)
		self.assertEqual(sorted(a for d in deliveries for a in d.rcpts), sorted(f"user{i}@example.org" for i in range(200)))

	def test_partial(self):
		"one of three refused"
		r = self.send(to=["a@example.org", "no@example.org", "b@example.org"], code=1)
		self.assertEqual([p["state"] for p in r.json["recipients"]], ["accepted", "rejected", "accepted"])
		self.assertEqual(sorted(a for d in self.mta.wait(2) for a in d.rcpts), ["a@example.org", "b@example.org"])

	@tap.table(("STARTTLS", False), ("SMTPS", True))
	def test_tls(self, implicit):
		"{0}"
		self.send("--tls-ca-file", certs.ca(), *([] if implicit else ["--starttls"]), scheme="smtps" if implicit else "smtp",
		          port=self.mta.smtps if implicit else self.mta.port)
		self.assertIn("esmtps", self.mta.wait(1)[0].received)

	@tap.row("AUT-01")
	@tap.table("PLAIN", "LOGIN")
	def test_auth(self, mech):
		"AUTH {0} within STARTTLS"
		self.send("--starttls", "--tls-ca-file", certs.ca(), "--username", "exim", "--password-env", "PW", "--auth", mech,
		          env={"PW": third.PASSWORD}, secrets=[third.PASSWORD])
		self.assertIn("esmtpsa", self.mta.wait(1)[0].received)


if __name__ == "__main__":
	tap.main()
