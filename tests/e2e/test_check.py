#!/usr/bin/python3
"""--check: the way to each server step by step, and nothing sent."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap  # noqa: E402

STEPS = ["dns", "connect", "greeting", "tls", "ehlo", "auth"]


class Check(tap.Case):
	def check(self, *argv, code=0, **how):
		"""The steps of the first server, by name, of a JSON report; what it says of the whole."""
		r = mc.run("--check", "--report=json", *argv, lines=None, **how)
		self.assertEqual(r.code, code, r)
		whole = json.loads(r.stdout)
		self.assertEqual((whole["version"], whole["exit"]), (1, code))
		return {s["step"]: s for s in whole["servers"][0]["steps"]}, whole

	def test_well(self):
		"all is well: every step in its order, MAIL and RCPT tried, no DATA"
		with fake.Server() as server:
			steps, whole = self.check("-S", server.url, "-f", "a@example.org", "b@example.org")
			self.assertEqual([s["step"] for s in whole["servers"][0]["steps"]], STEPS + ["mail", "rcpt"])
			self.assertEqual({s["state"] for s in steps.values()} - {"skipped"}, {"ok"})
			self.assertIn("220", steps["greeting"]["text"])
			self.assertIn("PIPELINING", steps["ehlo"]["text"])
			verbs = [c.split(" ")[0] for c in server.session.commands]
			self.assertEqual(verbs, ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"])
			self.assertEqual([m for m in server.messages if m.data], [])

	def test_text(self):
		"a line a step, in plain words; -q: only what fails"
		with fake.Server() as server:
			r = mc.run("--check", "-S", server.url, stdout=True)
			self.assertEqual(r.code, 0, r)
			lines = r.stdout.decode().splitlines()
			self.assertEqual(lines[0], "configuration: none")
			self.assertEqual(lines[1], server.url.split("//")[-1])
			self.assertEqual([l[8:17].strip() for l in lines[2:]], STEPS)
		with fake.Server(rcpt="550 5.1.1 no such user") as server:
			r = mc.run("--check", "-q", "-S", server.url, "-f", "a@example.org", "b@example.org", stdout=True, checks=False)
			self.assertEqual((r.code, len(r.stdout.splitlines())), (67, 1), r)
			self.assertIn(b"FAIL  rcpt", r.stdout)

	def test_no_recipient(self):
		"without a recipient as far as the login, and no sender is needed"
		with fake.Server() as server:
			steps, _ = self.check("-S", server.url)
			self.assertEqual(list(steps), STEPS)
			self.assertEqual([c.split(" ")[0] for c in server.session.commands], ["EHLO", "QUIT"])

	@tap.table(
		("starttls", {"tls": "starttls"}, ["--starttls"]), ("implicit", {"tls": "implicit"}, ["--tls"]),
		("lmtp", {"tls": "starttls", "lmtp": True}, ["--starttls", "--lmtp"]),
	)
	def test_tls(self, how, argv):
		"TLS: version, name, issuer, days left: {0}"
		with fake.Server(cert="good", **how) as server:
			steps, _ = self.check("-S", f"localhost:{server.port}", *argv, "--tls-ca-file", certs.ca())
			self.assertEqual(steps["tls"]["state"], "ok", steps["tls"])
			self.assertRegex(steps["tls"]["text"], r"TLSv1\.[23].*certificate of .*localhost.* from .*, \d+ days left \(until \d{4}-\d\d-\d\d\).*verified")
			self.assertEqual(steps["dns"]["state"], "ok")

	@tap.table(("expired", "expired", "expired on "), ("another name", "wrong_host", "mail.invalid"), ("an unknown CA", "unknown_ca", " from "))
	def test_bad_certificate(self, cert, says):
		"a certificate that is refused is told of: {0}; 77, and no credentials went there"
		with fake.Server(tls="starttls", cert=cert, auth="PLAIN") as server:
			r = mc.run("--check", "--report=json", "-S", f"localhost:{server.port}", "--starttls", "--tls-ca-file", certs.ca(),
			           "--username", "u", "--password-env", "PW", env={"PW": "secret-of-mine"}, secrets=["secret-of-mine"], lines=None)
			self.assertEqual(r.code, 77, r)
			tls = [s for s in json.loads(r.stdout)["servers"][0]["steps"] if s["step"] == "tls"]
			self.assertEqual([s["state"] for s in tls], ["failed", "failed"])
			self.assertIn(says, tls[1]["text"])
			for session in server.sessions:
				self.assertFalse([c for c in session.commands if c.startswith(("AUTH", "MAIL"))])

	def test_auth(self):
		"the login: accepted; refused is 77 with the server's words; the password is not shown"
		with fake.Server(auth="PLAIN", auth_clear=True, users={"u": "secret-of-mine"}) as server:
			for password, code in (("secret-of-mine", 0), ("another-secret", 77)):
				steps, _ = self.check("-S", server.url, "--username", "u", "--password-env", "PW", env={"PW": password}, secrets=[password], code=code)
				self.assertEqual(steps["auth"]["state"], "ok" if code == 0 else "failed")

	@tap.table(
		("MAIL refused", {"mail": "550 5.1.8 no"}, 69, "mail"), ("RCPT refused", {"rcpt": "550 5.1.1 no"}, 67, "rcpt"),
		("RCPT later", {"rcpt": "450 4.2.0 later"}, 75, "rcpt"), ("greeting", {"greeting": "554 5.3.2 go away"}, 69, "greeting"),
		("closed", {"greeting": fake.close()}, 75, "greeting"), ("no SMTP", {"greeting": fake.raw(b"SSH-2.0-x\r\n")}, 76, "greeting"),
		("lost at RCPT", {"rcpt": fake.close()}, 75, "rcpt"),
	)
	def test_fails(self, how, code, step):
		"{0}: the step is named, and the exit code is a send's"
		with fake.Server(**how) as server:
			steps, _ = self.check("-S", server.url, "-f", "a@example.org", "b@example.org", code=code)
			self.assertEqual([n for n, s in steps.items() if s["state"] == "failed"], [step])
		with fake.Server(**how) as server:
			r = mc.run("-S", server.url, "-f", "a@example.org", "b@example.org", input="x\n")
			self.assertEqual(r.code, code, r)

	def test_partly(self):
		"one recipient of two: 1"
		with fake.Server(rcpt={"c@example.org": "550 5.1.1 no"}) as server:
			_steps, whole = self.check("-S", server.url, "-f", "a@example.org", "b@example.org", "c@example.org", code=1)
			self.assertEqual([s["state"] for s in whole["servers"][0]["steps"] if s["step"] == "rcpt"], ["ok", "failed"])

	def test_servers(self):
		"every server of the list is looked at; the exit code is that of the first that answers"
		with fake.Server() as server:
			_steps, whole = self.check("-S", "127.0.0.1:1", "-S", server.url)
			self.assertEqual([s["exit"] for s in whole["servers"]], [75, 0])
		_steps, whole = self.check("-S", "nosuch.invalid", code=68)
		self.assertEqual(whole["servers"][0]["steps"][0]["state"], "failed")

	def test_unix(self):
		"a Unix socket, by LMTP"
		with fake.Server(lmtp=True, unix=True) as server:
			steps, _ = self.check("-S", server.url, "-f", "a@example.org", "b@example.org")
			self.assertEqual((steps["dns"]["state"], steps["rcpt"]["state"]), ("skipped", "ok"))

	def test_input(self):
		"standard input is not read"
		read, write = os.pipe()
		with fake.Server() as server:
			r = mc.run("--check", "-S", server.url, "-f", "a@example.org", "b@example.org", stdin=read, stdout=True, timeout=10)
			self.assertEqual(r.code, 0, r)
		os.close(read)
		os.close(write)

	def test_config(self):
		"it names the configuration and the account"
		path = self.write("config.json", '{"accounts": {"work": {"server": "127.0.0.1:1"}}, "account": "work"}')
		r = mc.run("--check", "--config", path, stdout=True, lines=None)
		self.assertEqual(r.code, 75, r)
		self.assertIn(f"configuration: {path}, account work", r.stdout.decode())

	def test_trace(self):
		"-v shows the conversation besides"
		with fake.Server() as server:
			r = mc.run("--check", "-v", "-S", server.url, "-f", "a@example.org", "b@example.org", stdout=True)
			self.assertEqual(r.code, 0, r)
			self.assertTrue(re.search(r"> RCPT TO:<b@example.org>\n< 250", r.stderr), r)


if __name__ == "__main__":
	tap.main(jobs=4)
