#!/usr/bin/python3
"""Extensions that a server offers only to those who are logged in: asked for again where they are needed, and only there."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap  # noqa: E402

BEFORE = ["PIPELINING", "8BITMIME"]
AFTER = fake.reply("250-fake.example", "250-PIPELINING", "250-DSN", "250-SMTPUTF8", "250 SIZE 1000000")
LOGIN = ("--username", "u", "--password-env", "PW")
DSN = ("--dsn-notify", "success")


class AskAgain(tap.Case):
	def send(self, second, *argv, login=True, lmtp=False):
		name = {"lmtp": lmtp, "auth": "PLAIN", "auth_clear": True, "users": {"u": "pw"}, "ehlo": BEFORE}
		with fake.Server(**name) as s:
			s.stages["ehlo"] = fake.turns(None, second, second)
			r = mc.run("-S", s.url, "-f", "a@example.net", *(["--lmtp"] if lmtp else []), *(LOGIN if login else ()),
			           "--timeout", "1", "--report=json", *argv, "bob@example.org", input="text\n", env={"PW": "pw"}, secrets=["pw"])
			hellos = [c for c in s.session.commands if c[:4] in ("EHLO", "LHLO")]
			return r, s.session.commands, hellos, s.messages

	def test_offered(self):
		"DSN offered behind AUTH: asked for and used"
		r, commands, hellos, messages = self.send(AFTER, *DSN)
		self.assertEqual(r.code, 0, r)
		self.assertEqual(len(hellos), 2)
		self.assertEqual(hellos[0], hellos[1])
		self.assertIn("RCPT TO:<bob@example.org> NOTIFY=SUCCESS", commands)
		self.assertEqual(len(messages), 1)

	def test_lmtp(self):
		"the same by LMTP"
		r, commands, hellos, _messages = self.send(AFTER, *DSN, lmtp=True)
		self.assertEqual(r.code, 0, r)
		self.assertEqual([h[:4] for h in hellos], ["LHLO", "LHLO"])
		self.assertIn("RCPT TO:<bob@example.org> NOTIFY=SUCCESS", commands)

	def test_not_needed(self):
		"nothing is asked twice where nothing is lacking"
		r, _commands, hellos, _messages = self.send(AFTER)
		self.assertEqual(r.code, 0, r)
		self.assertEqual(len(hellos), 1)

	def test_no_login(self):
		"nor without a login: 69, nothing sent"
		r, commands, hellos, _messages = self.send(AFTER, *DSN, login=False)
		self.assertEqual(r.code, 69, r)
		self.assertEqual(len(hellos), 1)
		self.assertFalse([c for c in commands if c.startswith("MAIL")])

	def test_still_lacking(self):
		"lacking in the second answer too: 69"
		r, _commands, hellos, messages = self.send(fake.reply("250-fake.example", "250 PIPELINING"), *DSN)
		self.assertEqual(r.code, 69, r)
		self.assertEqual(r.json["recipients"][0]["cause"], "extension")
		self.assertEqual((len(hellos), messages), (2, []))

	def test_refused(self):
		"EHLO refused the second time: what was offered before stands, 69"
		r, _commands, hellos, messages = self.send("503 5.5.1 already said", *DSN)
		self.assertEqual(r.code, 69, r)
		self.assertEqual((len(hellos), messages), (2, []))

	@tap.table(
		("silence", fake.silence(), 75, "timeout"),
		("close", fake.close(), 75, "lost"),
		("421", "421 4.3.2 bye", 75, "lost"),
		("a reply too many", fake.raw(b"250 fake.example\r\n250 ok\r\n"), 75, "lost"),
	)
	def test_trouble(self, second, code, cause):
		"{0} at the second EHLO: deferred, no MAIL"
		r, commands, _hellos, messages = self.send(second, *DSN)
		self.assertEqual(r.code, code, r)
		self.assertEqual((r.json["recipients"][0]["state"], r.json["recipients"][0]["cause"]), ("deferred", cause))
		self.assertFalse([c for c in commands if c.startswith("MAIL")])
		self.assertEqual(messages, [])
		self.assertLess(r.duration, 2 * mc.SLOW)


class RequireTls(tap.Case):
	@tap.table(("offered: said at MAIL", ["REQUIRETLS"], 0), ("not offered: 69, no MAIL", [], 69))
	def test_wire(self, words, code):
		"REQUIRETLS (RFC 8689) {0}"
		with fake.Server(tls="starttls", ehlo=BEFORE + words) as s:
			r = mc.run("-S", s.url, "-f", "a@example.net", "--require-tls", "--tls-ca-file", certs.ca(), "bob@example.org",
			           input="text\n")
			mail = [c for c in s.session.commands if c.startswith("MAIL")]
		self.assertEqual(r.code, code, r)
		self.assertEqual([c.split(" ")[-1] for c in mail], words)


if __name__ == "__main__":
	tap.main(jobs=4)
