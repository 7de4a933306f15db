#!/usr/bin/python3
"""One run of each kind of thing, quick enough to be run under valgrind too."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, wire  # noqa: E402

ARGS = ("-f", "Ann <ann@example.net>", "-s", "héllo")


class Smoke(tap.Case):
	def test_smtp(self):
		"a text message over SMTP: clean on the wire, four bursts, QUIT with the dot"
		with fake.Server() as server:
			r = mc.run("-S", server.url, *ARGS, "bob@example.org", input="text\n.dot\n")
			self.assertEqual(r.code, 0, r)
			session = server.session
			self.assertEqual(session.lint, [])
			self.assertEqual(server.message.rcpts, ["bob@example.org"])
			self.assertEqual(server.message.parsed()["subject"], "héllo")
			self.assertEqual(server.message.parsed().get_content().replace("\r", ""), "text\n.dot\n")
			self.assertEqual(session.bursts, 4)
			self.assertTrue(session.quit_with_dot)

	def test_lmtp(self):
		"LMTP on a Unix socket, one of two refused after the dot"
		with fake.Server(lmtp=True, unix=True, dot={"b@example.org": "550 5.2.1 no"}) as server:
			r = mc.run("-S", server.url, *ARGS, "--report=json", "a@example.org", "b@example.org", input="text\n")
			self.assertEqual(r.code, 1, r)
			self.assertEqual([p["state"] for p in r.json["recipients"]], ["accepted", "rejected"])
			self.assertEqual(server.lint, [])

	def test_starttls_auth(self):
		"STARTTLS and AUTH PLAIN"
		with fake.Server(tls="starttls", auth="PLAIN", users={"u": "pass word"}) as server:
			r = mc.run("-S", server.url, *ARGS, "--starttls", "--tls-ca-file", certs.ca(), "--username", "u",
			           "--password-env", "PW", "bob@example.org", input="text\n", env={"PW": "pass word"},
			           secrets=["pass word"])
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.session.auths[0]["ok"])
			self.assertEqual(server.lint, [])

	def test_params(self):
		"a params file with attachments, to a dry run: what is printed is clean"
		blob = self.write("a.bin", os.urandom(5000))
		job = self.write("job.json", json.dumps({"from": "a@example.net", "to": ["b@example.org"], "subject": "x" * 200,
		                                         "body": "text", "html": "<b>text</b>", "attachments": [blob]}))
		r = mc.run("--params", job, "--dry-run")
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(r.stdout), [])

	@tap.table(("no recipient", [], 64), ("unknown flag", ["--nonsense", "b@example.org"], 64),
	           ("bad address", ["b@@example.org"], 65), ("missing file", ["-a", "/nonexistent", "b@example.org"], 66))
	def test_local(self, argv, code):
		"refused before any connection: {0}"
		with fake.Recorder() as nobody:
			r = mc.run("-S", f"smtp://127.0.0.1:{nobody.port}", *ARGS, *argv, input="text\n")
			self.assertEqual(r.code, code, r)
			self.assertEqual(nobody.connections, 0)

	def test_lost(self):
		"a server that closes amid the message: deferred, no dot"
		with fake.Server(body=fake.at(1000, fake.close())) as server:
			r = mc.run("-S", server.url, *ARGS, "bob@example.org", input=b"0123456789\n" * 500000)
			self.assertEqual(r.code, 75, r)
			self.assertFalse(server.message.dot)

	def test_closed(self):
		"nothing listens: 75"
		r = mc.run("-S", f"smtp://127.0.0.1:{fake.closed_port()}", *ARGS, "bob@example.org", input="text\n")
		self.assertEqual(r.code, 75, r)


if __name__ == "__main__":
	tap.main(jobs=2)
