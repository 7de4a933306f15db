#!/usr/bin/python3
"""A real Dovecot. By LMTP: each recipient has a result of its own, and the message is read back from the mailbox. By its
submission service: every mechanism of authentication."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, dovecot, mc, postfix, readers, tap  # noqa: E402


class Lmtp(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not dovecot.available():
			raise AssertionError("Dovecot is needed, and root; see tests/setup.sh")
		cls.store = dovecot.Server()
		cls.addClassCleanup(cls.store.__exit__)
		cls.store.__enter__()

	def setUp(self):
		self.before = {u: len(self.store.mailbox(u)) for u in dovecot.USERS}

	def new(self, user, count=1):
		found = self.store.wait(user, self.before[user] + count)
		self.assertEqual(len(found), self.before[user] + count)
		return dovecot.sent_part(found[-1])

	def send(self, url, to, *argv, code=0, text="Grüße\n.\nPunkt\n", **how):
		r = mc.run("-S", url, "-f", "sender@example.net", "-s", "Prüfung", "--report=json", *argv, "--", *to, input=text, **how)
		self.assertEqual(r.code, code, r)
		return r

	def states(self, r):
		return {p["address"]: (p["state"], p["stage"], p["code"]) for p in r.json["recipients"]}

	@tap.row("LMT-01")
	@tap.table(("TCP", "tcp"), ("Unix socket", "unix"), ("TLS", "lmtps"), ("STARTTLS", "starttls"))
	def test_delivery(self, way):
		"two recipients by LMTP over {0}; read back by four readers"
		url = f"lmtp+unix:{self.store.lmtp_socket}" if way == "unix" else \
			f"lmtps://127.0.0.1:{self.store.lmtps}" if way == "lmtps" else f"lmtp://127.0.0.1:{self.store.lmtp}"
		argv = ["--tls-ca-file", certs.ca()] if way in ("lmtps", "starttls") else []
		r = self.send(url, ["alice@example.org", "bob@example.org"], *argv, *(["--starttls"] if way == "starttls" else []))
		self.assertEqual({s for s, _, _ in self.states(r).values()}, {"accepted"})
		for user in ("alice", "bob"):
			readers.agree(self, self.new(user), subject="Prüfung", sender=["sender@example.net"],
			              to=["alice@example.org", "bob@example.org"],
			              parts=[("text/plain", None, None, "Grüße\n.\nPunkt\n".encode())])

	@tap.row("LMT-01", "LMT-03")
	@tap.table(("TCP", "tcp"), ("Unix socket", "unix"))
	def test_partial(self, way):
		"one over quota after the dot, one unknown at RCPT, two delivered, over {0}: each its own result"
		url = f"lmtp+unix:{self.store.lmtp_socket}" if way == "unix" else f"lmtp://127.0.0.1:{self.store.lmtp}"
		to = ["alice@example.org", "full@example.org", "nobody@example.org", "carol@example.org"]
		r = self.send(url, to, text="line of text\n" * 2000, code=1)
		states = self.states(r)
		self.assertEqual(states["alice@example.org"], ("accepted", "dot", 250))
		self.assertEqual(states["carol@example.org"], ("accepted", "dot", 250))
		self.assertEqual(states["full@example.org"], ("rejected", "dot", 552))
		self.assertEqual(states["nobody@example.org"], ("rejected", "rcpt", 550))
		self.assertEqual([p["address"] for p in r.json["recipients"]], to)
		self.assertEqual(r.json["result"], "partial")
		self.new("alice")
		self.new("carol")
		self.assertEqual(len(self.store.mailbox("full")), self.before["full"])

	def test_over_quota(self):
		"the only recipient over quota: 67"
		r = self.send(f"lmtp://127.0.0.1:{self.store.lmtp}", ["full@example.org"], text="line of text\n" * 2000, code=67)
		self.assertEqual(self.states(r)["full@example.org"], ("rejected", "dot", 552))

	@tap.row("LMT-04")
	def test_duplicates(self):
		"a recipient given twice in the exact envelope gets as many replies as RCPTs were accepted"
		message = self.write("m", "From: a@example.net\nTo: x@example.net\nSubject: twice\n\ntext\n")
		r = mc.run("-S", f"lmtp://127.0.0.1:{self.store.lmtp}", "--message-file", message, "--envelope-from", "a@example.net",
		           "--rcpt", "alice@example.org", "--rcpt", "alice+x@example.org", "--report=json")
		self.assertIn(r.code, (0, 1), r)
		self.assertEqual(len(r.json["recipients"]), 2)

	def test_many_parts(self):
		"a message with attachments by a params file in seed 1's keys, to a mailbox"
		blob = os.urandom(200000)
		path = self.write("blob.bin", blob)
		job = self.write("job.json", json.dumps({
			"server": "127.0.0.1", "port": self.store.lmtp, "lmtp": True, "helo_name": "client.example.net",
			"from": "Example <sender@example.net>", "to": ["alice@example.org"], "subject": "with a blob",
			"body": "see attachment\n", "attachments": [path]}))
		r = mc.run("--params", job)
		self.assertEqual(r.code, 0, r)
		readers.agree(self, self.new("alice"), subject="with a blob",
		              parts=[("text/plain", None, None, b"see attachment\n"),
		                     ("application/octet-stream", "blob.bin", None, blob)])

	def test_smtp_to_lmtp(self):
		"SMTP spoken to an LMTP server: nothing delivered, and the code says that asking again is no use"
		r = mc.run("-S", f"smtp://127.0.0.1:{self.store.lmtp}", "-f", "a@example.net", "-s", "x", "alice@example.org",
		           input="x\n")
		self.assertIn(r.code, (69, 76), r)
		self.assertEqual(len(self.store.mailbox("alice")), self.before["alice"])


class Submission(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not dovecot.available() or not postfix.available():
			raise AssertionError("Dovecot and Postfix are needed, and root; see tests/setup.sh")
		cls.mta = postfix.Server()
		cls.addClassCleanup(cls.mta.__exit__)
		cls.mta.__enter__()
		cls.store = dovecot.Server(oauth=True, relay=cls.mta.port)
		cls.addClassCleanup(cls.store.__exit__)
		cls.store.__enter__()

	def setUp(self):
		self.mta.forget()

	def send(self, *argv, scheme="smtps", code=0, **how):
		port = self.store.submissions if scheme == "smtps" else self.store.submission
		r = mc.run("-S", f"{scheme}://localhost:{port}", *(["--starttls"] if scheme == "smtp" else []),
		           "--tls-ca-file", certs.ca(), "-f", "sender@example.net", "-s", "Prüfung", *argv, "--", "rcpt@example.org",
		           input="Grüße\n", **how)
		self.assertEqual(r.code, code, r)
		return r

	def arrived(self, method):
		delivery = self.mta.wait(1)[0]
		self.assertEqual((delivery.sender, delivery.rcpts), ("sender@example.net", ["rcpt@example.org"]))
		self.assertIn(f"method={method}", self.store.log)

	@tap.row("AUT-01")
	@tap.table(*[(f"{mech} over {'TLS' if scheme == 'smtps' else 'STARTTLS'}", mech, scheme)
	             for mech in ("PLAIN", "LOGIN", "CRAM-MD5") for scheme in ("smtps", "smtp")])
	def test_password(self, mech, scheme):
		"submission with {0}"
		self.send("--username", "bob", "--password-env", "PW", "--auth", mech, scheme=scheme,
		          env={"PW": dovecot.PASSWORD}, secrets=[dovecot.PASSWORD])
		self.arrived(mech)

	@tap.row("AUT-01")
	@tap.table(*[(f"{mech} over {'TLS' if scheme == 'smtps' else 'STARTTLS'}", mech, scheme)
	             for mech in ("XOAUTH2", "OAUTHBEARER") for scheme in ("smtps", "smtp")])
	def test_token(self, mech, scheme):
		"submission with {0}"
		self.send("--username", "alice", "--oauth2-token-env", "TOKEN", "--auth", mech, scheme=scheme,
		          env={"TOKEN": dovecot.TOKEN}, secrets=[dovecot.TOKEN])
		self.arrived(mech)

	@tap.row("AUT-01")
	@tap.table(("TLS", "smtps"), ("STARTTLS", "smtp"))
	def test_external(self, scheme):
		"submission with EXTERNAL over {0}, by a client certificate"
		pair = certs.get("client")
		self.send("--tls-cert-file", pair.cert, "--tls-key-file", pair.key, "--auth", "EXTERNAL", "--username", "client",
		          scheme=scheme)
		self.arrived("EXTERNAL")

	@tap.row("AUT-04")
	def test_wrong_password(self):
		"submission with a wrong password: 77, nothing sent"
		self.send("--username", "bob", "--password-env", "PW", env={"PW": "wrong-password"}, secrets=["wrong-password"], code=77)
		self.assertEqual(self.mta.deliveries(), [])

	def test_dsn(self):
		"DSN, which this service offers only behind AUTH, is asked for again and taken"
		self.send("--username", "bob", "--password-env", "PW", "--dsn-notify", "never", env={"PW": dovecot.PASSWORD},
		          secrets=[dovecot.PASSWORD])
		self.arrived("PLAIN")

	def test_none(self):
		"submission without credentials: 530, which is 77; nothing sent"
		self.send(code=77)
		self.assertEqual(self.mta.deliveries(), [])


if __name__ == "__main__":
	tap.main()
