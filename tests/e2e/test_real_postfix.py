#!/usr/bin/python3
"""Real messages through a real Postfix, read back by parsers that are not ours."""

import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, dovecot, mc, postfix, readers, tap, tmp  # noqa: E402

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
                    "0000000d49444154789c6360f8cfc00000030101 00c9fe92ef0000000049454e44ae426082".replace(" ", ""))
FROM = "Sender Ångström <sender@example.net>"
SENDER = "sender@example.net"


class Real(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not postfix.available() or not dovecot.available():
			raise AssertionError("Postfix and Dovecot are needed, and root; see tests/setup.sh")
		cls.store = dovecot.Server(oauth=True)
		cls.addClassCleanup(cls.store.__exit__)
		cls.store.__enter__()
		cls.mta = postfix.Server(auth=cls.store.auth)
		cls.addClassCleanup(cls.mta.__exit__)
		cls.mta.__enter__()

	def setUp(self):
		self.mta.forget()
		self.sent = b""

	def send(self, port, *argv, host="127.0.0.1", scheme="smtp", to=("rcpt@example.org",), code=0, **how):
		how.setdefault("input", "Grüße aus dem Test\n.\nein Punkt am Anfang\n")
		r = mc.run("-S", f"{scheme}://{host}:{port}", "-f", FROM, "-s", "Prüfung ✓", "--report=json", *argv, "--", *to, **how)
		self.assertEqual(r.code, code, r)
		self.sent = r.json["message_id"].encode()
		return r

	def arrived(self, count=1):
		"""The deliveries of the message sent last; a notice about an earlier one may come among them."""
		def ours():
			return [d for d in self.mta.deliveries() if self.sent in d.data]
		tmp.wait_for(lambda: sum(len(d.rcpts) for d in ours()) >= count, 20, f"{count} deliveries")
		deliveries = ours()
		self.assertEqual(sum(len(d.rcpts) for d in deliveries), count)
		return deliveries


class Plain(Real):
	def test_text(self):
		"a text message: envelope, header and text as four readers see them"
		r = self.send(self.mta.port)
		delivery = self.arrived()[0]
		self.assertEqual((delivery.sender, delivery.rcpts), (SENDER, ["rcpt@example.org"]))
		readers.agree(self, delivery.data, subject="Prüfung ✓", sender=[SENDER], to=["rcpt@example.org"],
		              parts=[("text/plain", None, None, "Grüße aus dem Test\n.\nein Punkt am Anfang\n".encode())])
		self.assertIn("with ESMTP id", delivery.received)
		report = r.json
		self.assertEqual(report["result"], "sent")
		self.assertIn(report["queue_id"], delivery.received)
		self.assertEqual(report["size"], len(delivery.data))
		self.assertEqual(report["recipients"][0]["state"], "accepted")
		self.assertIn(report["message_id"].encode(), delivery.data)

	@tap.row("MSG-17")
	def test_everything(self):
		"text, HTML, inline image, attachments: structure and octets as four readers see them"
		directory = self.tempdir()
		self.write("logo.png", PNG, directory=directory)
		blob = os.urandom(100000)
		self.write("Übersicht 2024.pdf", blob, directory=directory)
		self.write("data.csv", "a;b\n1;2\n", directory=directory)
		self.send(self.mta.port, "--body-file", "-", "--html", "<p>Grüße <img src='cid:logo@x'></p>",
		          "-a", json.dumps({"path": f"{directory}/logo.png", "content_id": "logo@x", "disposition": "inline"}),
		          "-a", f"{directory}/Übersicht 2024.pdf", "-a", f"{directory}/data.csv")
		readers.agree(self, self.arrived()[0].data, subject="Prüfung ✓", parts=[
			("text/plain", None, None, "Grüße aus dem Test\n.\nein Punkt am Anfang\n".encode()),
			("text/html", None, None, "<p>Grüße <img src='cid:logo@x'></p>".encode()),
			("image/png", "logo.png", "logo@x", PNG),
			("application/pdf", "Übersicht 2024.pdf", None, blob),
			("text/csv", "data.csv", None, b"a;b\n1;2\n")])

	def test_params_file(self):
		"the same by a JSON params file"
		path = self.write("job.json", json.dumps({
			"server": "127.0.0.1", "port": self.mta.port, "from": FROM, "to": ["rcpt@example.org", "second@example.org"],
			"subject": "Prüfung ✓", "body": "eins\nzwei\n",
			"attachments": [{"base64": "iVBORw0KGgo=", "filename": "ä.png", "type": "image/png"}]}))
		r = mc.run("--params", path)
		self.assertEqual(r.code, 0, r)
		delivery = self.arrived(2)[0]
		self.assertEqual(delivery.rcpts, ["rcpt@example.org", "second@example.org"])
		readers.agree(self, delivery.data, parts=[("text/plain", None, None, b"eins\nzwei\n"),
		                                          ("image/png", "ä.png", None, b"\x89PNG\r\n\x1a\n")])

	def test_ready(self):
		"a ready message to an exact envelope: its octets kept, its Bcc stripped"
		r = mc.run("-S", f"smtp://127.0.0.1:{self.mta.port}", "--message-file", "-", "--envelope-from", "a@example.net",
		           "--rcpt", "one@example.org", "--rcpt", "two@example.org", input=(
			"From: a@example.net\nTo: one@example.org\nBcc: two@example.org\nSubject: ready\n"
			"Date: Mon, 01 Jan 2024 00:00:00 +0000\nMessage-ID: <1@example.net>\n\ntext\n"))
		self.assertEqual(r.code, 0, r)
		delivery = self.arrived(2)[0]
		self.assertEqual(sorted(delivery.rcpts), ["one@example.org", "two@example.org"])
		self.assertNotIn(b"two@", delivery.data)
		self.assertEqual(delivery.data, b"From: a@example.net\r\nTo: one@example.org\r\nSubject: ready\r\n"
		                 b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\ntext\r\n")

	@tap.row("CLI-12")
	def test_null_sender(self):
		"a null sender"
		self.send(self.mta.port, "--envelope-from", "<>")
		self.assertIn(self.arrived()[0].sender, ("", "MAILER-DAEMON"))

	def test_unknown_recipient(self):
		"one of three is unknown: the others get it, the report says who did not"
		r = self.send(self.mta.port, to=["a@example.org", "nobody@example.org", "b@example.org"], code=1)
		self.assertEqual(self.arrived(2)[0].rcpts, ["a@example.org", "b@example.org"])
		states = {p["address"]: (p["state"], p["code"], p["enhanced"]) for p in r.json["recipients"]}
		self.assertEqual(states["nobody@example.org"], ("rejected", 550, "5.1.1"))
		self.assertEqual(states["a@example.org"][0], "accepted")

	def test_all_unknown(self):
		"every recipient unknown: 67, nothing delivered"
		r = self.send(self.mta.port, to=["no1@example.org", "no2@example.org"], code=67)
		self.assertEqual([p["state"] for p in r.json["recipients"]], ["rejected"] * 2)
		self.assertEqual(self.mta.deliveries(), [])

	@tap.row("RCP-04")
	@tap.limit(180)
	def test_many(self):
		"2500 good recipients: each gets it once, in transactions of at most 1000"
		to = [f"user{i}@bulk.example" for i in range(2500)]
		r = self.send(self.mta.port, to=to, timeout=120)
		self.assertEqual({p["state"] for p in r.json["recipients"]}, {"accepted"})
		tmp.wait_for(lambda: len(self.mta.sent("bulk.example")) >= 2500, 60, "2500 deliveries in the log")
		self.assertEqual(sorted(self.mta.sent("bulk.example")), sorted(to))

	@tap.row("MSG-15")
	def test_size(self):
		"a message over the announced SIZE is refused before MAIL: 69; one under it goes"
		r = self.send(self.mta.small, input=b"x" * 70 + b"\n" + b"y" * 30000, code=69)
		self.assertEqual(r.json["error"]["cause"], "size")
		self.assertNotIn("Message size exceeds", self.mta.log)
		self.send(self.mta.small, input="small\n")
		self.arrived()

	def test_dsn(self):
		"DSN: a success notification comes to the envelope sender, with ENVID and ORCPT"
		r = mc.run("-S", f"smtp://127.0.0.1:{self.mta.port}", "-f", "back@example.org", "-s", "notify me", "--dsn-notify",
		           "success,failure", "--dsn-return", "hdrs", "--dsn-envid", "QQ+314=x", "--", "rcpt@example.org", input="x\n")
		self.assertEqual(r.code, 0, r)
		deliveries = self.mta.wait(2)
		note = next(d for d in deliveries if d.rcpts == ["back@example.org"])
		self.assertIn(b"Original-Envelope-Id: QQ+314=x", note.data)
		self.assertIn(b"Original-Recipient: rfc822;rcpt@example.org", note.data)
		self.assertIn(b"Action: ", note.data)

	def test_dsn_not_offered(self):
		"DSN asked for and not offered: 69, nothing sent"
		r = self.send(self.mta.old, "--dsn-notify", "success", code=69)
		self.assertEqual(r.json["error"]["cause"], "extension")
		self.assertEqual(self.mta.deliveries(), [])

	@tap.row("ADR-14")
	def test_smtputf8(self):
		"an internationalised address by SMTPUTF8, and refused (recipient alone) where it is not offered"
		r = self.send(self.mta.port, to=["übung@example.org"])
		self.assertEqual(r.json["recipients"][0]["state"], "accepted")
		self.assertEqual(self.arrived()[0].rcpts, ["übung@example.org"])
		self.mta.forget()
		r = mc.run("-S", f"smtp://127.0.0.1:{self.mta.old}", "-f", SENDER, "-s", "x", "--report=json", "--to",
		           "plain@example.org", "--bcc", "übung@example.org", input="x\n")
		self.assertEqual(r.code, 1, r)
		self.assertEqual({p["address"]: p["state"] for p in r.json["recipients"]},
		                 {"plain@example.org": "accepted", "übung@example.org": "rejected"})
		self.sent = r.json["message_id"].encode()
		self.assertEqual(self.arrived()[0].rcpts, ["plain@example.org"])

	@tap.row("ADR-14")
	def test_idn(self):
		"a U-label domain alone needs no SMTPUTF8: its A-label is sent, also under LANG=C"
		self.send(self.mta.old, to=["rcpt@bücher.example"], env={"LANG": "C"})
		self.assertEqual(self.arrived()[0].rcpts, ["rcpt@xn--bcher-kva.example"])

	@tap.table(("8BITMIME offered", "port"), ("not offered", "old"))
	def test_eightbit(self, port):
		"a ready 8-bit message, {0}: the reader gets the same text"
		r = mc.run("-S", f"smtp://127.0.0.1:{getattr(self.mta, port)}", "--message-file", "-", "--envelope-from",
		           "a@example.net", "--rcpt", "one@example.org", input=(
			"From: a@example.net\nTo: one@example.org\nSubject: x\nMIME-Version: 1.0\n"
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n"))
		self.assertEqual(r.code, 0, r)
		data = self.arrived()[0].data
		self.assertEqual("Grüße".encode() in data, port == "port")
		readers.agree(self, data, parts=[("text/plain", None, None, "Grüße\n".encode())])

	@tap.row("MSG-01")
	def test_smuggling(self):
		"end-of-data look-alikes: Postfix, which refuses bare newlines, takes one message and no more"
		text = b"a\n.\nb\r.\rc\r\n.\rd\n.\r\ne\r\n\r\n.\r\r\nf\r\n"
		self.send(self.mta.port, input=text)
		deliveries = self.arrived()
		self.assertEqual(len(deliveries), 1)
		readers.agree(self, deliveries[0].data)

	@tap.row("MSG-13")
	def test_large(self):
		"an attachment of 10 MiB arrives whole"
		blob = os.urandom(10 << 20)
		path = self.write("big.bin", blob)
		self.send(self.mta.port, "-a", path, timeout=60)
		part = readers.python(self.arrived()[0].data).parts[1]
		self.assertEqual(part.content, blob)


class Tls(Real):
	@tap.table(("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"))
	def test_starttls(self, host):
		"STARTTLS to {0}, verified by the CA file"
		self.send(self.mta.port, "--starttls", "--tls-ca-file", certs.ca(), host=host)
		self.assertIn("ESMTPS", self.arrived()[0].received)
		self.assertIn("TLSv1.3", self.arrived()[0].received)

	def test_smtps(self):
		"SMTPS, verified by the CA file"
		self.send(self.mta.smtps, "--tls-ca-file", certs.ca(), scheme="smtps")
		self.assertIn("ESMTPS", self.arrived()[0].received)

	@tap.row("TLS-01")
	@tap.table(("STARTTLS", "port", ["--starttls"], "smtp"), ("SMTPS", "smtps", [], "smtps"))
	def test_unverified(self, port, argv, scheme):
		"{0} with a certificate the system does not know: 77, nothing sent"
		r = self.send(getattr(self.mta, port), *argv, scheme=scheme, code=77)
		self.assertEqual(r.json["error"]["cause"], "tls")
		self.assertIn("--tls-ca-file", r.stderr)
		self.assertEqual(self.mta.deliveries(), [])

	@tap.row("TLS-11")
	def test_pin(self):
		"the right public key pinned, a wrong one refused"
		self.send(self.mta.port, "--starttls", "--tls-ca-file", certs.ca(), "--tls-pinned-key", certs.pin("rsa"))
		self.arrived()
		self.send(self.mta.port, "--starttls", "--tls-ca-file", certs.ca(), "--tls-pinned-key", certs.pin("good"), code=77)

	@tap.row("TLS-08")
	def test_wrong_kind(self):
		"TLS from the first octet to a plain port fails at once and says what to do"
		r = self.send(self.mta.port, "--tls-ca-file", certs.ca(), scheme="smtps", code=76, timeout=20)
		self.assertLess(r.duration, 10 * mc.SLOW)
		self.assertIn("--starttls", r.stderr)

	@tap.row("LMT-07")
	def test_not_lmtp(self):
		"LMTP spoken to Postfix, which answers LHLO with 500: 76, and the line says that it is not LMTP"
		r = self.send(self.mta.port, scheme="lmtp", code=76)
		self.assertIn("LMTP", r.stderr)
		self.assertEqual(self.mta.deliveries(), [])


class Auth(Real):
	@tap.row("AUT-01")
	@tap.table(
		("PLAIN, STARTTLS", "submission", "smtp", "PLAIN"), ("LOGIN, STARTTLS", "submission", "smtp", "LOGIN"),
		("CRAM-MD5, STARTTLS", "submission", "smtp", "CRAM-MD5"), ("PLAIN, SMTPS", "submissions", "smtps", "PLAIN"),
		("LOGIN, SMTPS", "submissions", "smtps", "LOGIN"))
	def test_password(self, port, scheme, mech):
		"SASL through Dovecot: {0}"
		secret = self.write("pw", dovecot.PASSWORD + "\n")
		self.send(getattr(self.mta, port), *(["--starttls"] if scheme == "smtp" else []), "--tls-ca-file", certs.ca(),
		          "--username", "alice", "--password-file", secret, "--auth", mech, scheme=scheme,
		          secrets=[dovecot.PASSWORD])
		self.assertIn("Authenticated sender: alice", self.arrived()[0].received)
		self.assertIn(f"sasl_method={mech}", self.mta.log)

	@tap.row("AUT-01")
	@tap.table("XOAUTH2", "OAUTHBEARER")
	def test_token(self, mech):
		"SASL through Dovecot with a token: {0}"
		self.send(self.mta.submissions, "--tls-ca-file", certs.ca(), "--username", "alice", "--oauth2-token-env", "TOKEN",
		          "--auth", mech, scheme="smtps", env={"TOKEN": dovecot.TOKEN}, secrets=[dovecot.TOKEN])
		self.assertIn("Authenticated sender: alice", self.arrived()[0].received)

	def test_required(self):
		"a server that wants authentication and was given none refuses the recipient: 67"
		self.send(self.mta.submissions, "--tls-ca-file", certs.ca(), scheme="smtps", code=67)
		self.assertEqual(self.mta.deliveries(), [])


class Limits(Real):
	"""Postfix makes one who errs wait: side by side, and each looks at its own message only."""
	jobs = 2

	def setUp(self):
		self.sent = b""

	@tap.table(("pipelined", "port"), ("lock step", "nopipe"))
	@tap.limit(180)
	def test_error_limits(self, port):
		"50 recipients of whom 25 are refused, against Postfix's error limits, {0}"
		to = [f"{'no' if i % 2 else 'yes'}{i}@example.org" for i in range(50)]
		r = self.send(getattr(self.mta, port), to=to, code=1, timeout=150)
		self.assertEqual(sorted(a for d in self.arrived(25) for a in d.rcpts),
		                 sorted(a for a in to if a.startswith("yes")))
		for p in r.json["recipients"]:
			self.assertEqual(p["state"], "rejected" if p["address"].startswith("no") else "accepted", p)


class Wrong(Real):
	"""Dovecot makes one who errs wait: side by side, for nothing must arrive of any of them."""
	jobs = 4
	lock, tried = threading.Lock(), 0

	@tap.row("AUT-04")
	@tap.table("PLAIN", "LOGIN", "CRAM-MD5")
	def test_wrong_password(self, mech):
		"a wrong password by {0}: 77, one attempt, nothing sent"
		failed = f"SASL {mech} authentication failed"
		with self.lock:
			Wrong.tried += 1
		r = self.send(self.mta.submissions, "--tls-ca-file", certs.ca(), "--username", "alice", "--password-env", "PW",
		              "--auth", mech, scheme="smtps", env={"PW": "wrong-password"}, secrets=["wrong-password"], code=77)
		self.assertEqual(r.json["error"]["cause"], "auth")
		tmp.wait_for(lambda: failed in self.mta.log, 5, "the failure in the log")
		self.assertEqual(self.mta.log.count(failed), 1)
		# Nor was it tried by another mechanism: who looks last sees all of them.
		attempts = len(re.findall("SASL (?:PLAIN|LOGIN|CRAM-MD5) authentication failed", self.mta.log))
		self.assertLessEqual(attempts, self.tried)
		self.assertEqual(self.mta.deliveries(), [])

	def test_wrong_token(self):
		"an expired token: 77, nothing sent"
		self.send(self.mta.submissions, "--tls-ca-file", certs.ca(), "--username", "alice", "--oauth2-token-env", "TOKEN",
		          scheme="smtps", env={"TOKEN": "expired-token-text"}, secrets=["expired-token-text"], code=77)
		self.assertEqual(self.mta.deliveries(), [])


if __name__ == "__main__":
	tap.main()
