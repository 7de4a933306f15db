#!/usr/bin/python3
"""sendmail -bs: SMTP on standard input and output, as Symfony's and Swift's mailers speak it."""

import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap  # noqa: E402

MESSAGE = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\ntext\r\n..dot\r\n.. two\r\n"


class Client:
	"""The other end of the pipes."""

	def __init__(self, server, *argv, **how):
		where = server if isinstance(server, str) else server.url
		self.running = mc.start("--as=sendmail", "-bs", f"--server={where}", *argv, stdout=True, lines=None, **how)
		self.read = b""

	def line(self, timeout=10.0):
		end = time.monotonic() + timeout * mc.SLOW
		while b"\n" not in self.read:
			left = end - time.monotonic()
			if left <= 0 or not select.select([self.running.process.stdout], [], [], left)[0]:
				raise AssertionError(f"no reply; had {self.read!r}")
			more = os.read(self.running.process.stdout.fileno(), 4096)
			if not more:
				raise AssertionError(f"the conversation ended; had {self.read!r}")
			self.read += more
		line, _, self.read = self.read.partition(b"\n")
		return line.decode().rstrip("\r")

	def reply(self):
		line = self.line()
		while line[3:4] == "-":
			line = self.line()
		return line

	def say(self, octets):
		self.running.process.stdin.write(octets)
		self.running.process.stdin.flush()

	def ask(self, command):
		self.say(command.encode() + b"\r\n")
		return self.reply()

	def send(self, sender, rcpts, message=MESSAGE):
		"""The replies to MAIL, each RCPT, DATA and the dot."""
		replies = [self.ask(f"MAIL FROM:<{sender}>")] + [self.ask(f"RCPT TO:<{r}>") for r in rcpts] + [self.ask("DATA")]
		self.say(message + b".\r\n")
		return [r[:3] for r in replies] + [self.reply()]

	def end(self):
		self.running.process.stdin.close()
		self.running.process.stdin = None
		self.running.input = None
		self.running.own_stdin = False
		return self.running.wait()


class Dialogue(tap.Case):
	def open(self, server, *argv, **how):
		client = Client(server, *argv, **how)
		self.assertTrue(client.reply().startswith("220 "))
		return client

	def test_symfony(self):
		"Symfony's EsmtpTransport over sendmail -bs: EHLO, two messages, RSET and NOOP between them, QUIT"
		with fake.Server() as server:
			c = self.open(server)
			self.assertTrue(c.ask("EHLO [127.0.0.1]").startswith("250"))
			for n in (1, 2):
				replies = c.send(f"s{n}@example.org", ["b@example.org", "c@example.org"])
				self.assertEqual(replies[:-1], ["250", "250", "250", "354"])
				self.assertTrue(replies[-1].startswith("250 2.0.0 "), replies)
				self.assertEqual(len(server.messages), n)       # delivered before it was answered
				self.assertTrue(c.ask("RSET").startswith("250"))
				self.assertTrue(c.ask("NOOP").startswith("250"))
			self.assertTrue(c.ask("QUIT").startswith("221"))
			r = c.end()
			self.assertEqual(r.code, 0, r)
		self.assertEqual([(m.sender, list(m.rcpts)) for m in server.messages],
		                 [(f"s{n}@example.org", ["b@example.org", "c@example.org"]) for n in (1, 2)])
		self.assertTrue(server.messages[0].data.endswith(b"\r\n\r\ntext\r\n.dot\r\n. two\r\n"))

	def test_pipelined(self):
		"all at once, in odd pieces, LF line ends"
		octets = b"HELO x\nMAIL FROM:<>\nRCPT TO:<b@example.org>\nDATA\n" + MESSAGE.replace(b"\r\n", b"\n") + b".\nQUIT\n"
		for step in (1, 7, len(octets)):
			with fake.Server() as server:
				c = Client(server)
				for i in range(0, len(octets), step):
					c.say(octets[i:i + step])
				r = c.end()
				self.assertEqual((r.code, server.messages[0].sender), (0, ""), r)
				self.assertTrue(server.messages[0].data.endswith(b"\r\n\r\ntext\r\n.dot\r\n. two\r\n"))

	@tap.table(
		("all refused", {"rcpt": "550 5.1.1 no such user"}, "554", 67), ("deferred", {"mail": "451 4.3.2 later"}, "451", 75),
		("content refused", {"dot": "554 5.6.0 spam"}, "554", 65), ("unknown", {"dot": fake.close()}, "451", 75),
		("no server", None, "451", 75),
	)
	def test_refused(self, how, code, exit):
		"the dot's reply, and the exit code: {0}"
		with fake.Server(**(how or {})) as server:
			c = self.open("smtp://127.0.0.1:1" if how is None else server)
			c.ask("EHLO x")
			reply = c.send("a@example.org", ["b@example.org"])[-1]
			self.assertEqual(reply[:3], code, reply)
			c.ask("QUIT")
			r = c.end()
			self.assertEqual(r.code, exit, r)
			self.assertEqual(len(r.lines), 1)

	def test_partly(self):
		"one of two refused: 250 that names him, exit 1 and a line, so that nobody is sent it twice or missed"
		with fake.Server(rcpt={"c@example.org": "550 5.1.1 no such user"}) as server:
			c = self.open(server)
			c.ask("EHLO x")
			reply = c.send("a@example.org", ["b@example.org", "c@example.org"])[-1]
			self.assertTrue(reply.startswith("250 "), reply)
			self.assertIn("1 of 2", reply)
			self.assertIn("c@example.org", reply)
			r = c.end()
			self.assertEqual(r.code, 1, r)
			self.assertIn("c@example.org", r.stderr)

	@tap.table(
		("RCPT first", "RCPT TO:<a@b.example>", "503"), ("DATA first", "DATA", "503"), ("no verb", "", "500"), ("unknown", "AUTH PLAIN", "500"),
		("STARTTLS", "STARTTLS", "500"), ("MAIL without brackets", "MAIL FROM:a@b.example", "501"), ("unclosed", "MAIL FROM:<a@b.example", "501"),
		("no address", "MAIL FROM:<a@@b>", "553"), ("parameter", "MAIL FROM:<a@b.example> XYZ=1", "555"), ("VRFY", "VRFY root", "252"),
		("HELP", "HELP", "214"), ("lower case", "noop", "250"), ("too long", "NOOP " + "x" * 5000, "500"), ("a NUL", "NOOP \0", "500"),
		("SIZE and BODY", "MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME SMTPUTF8", "250"),
		("quoted", 'MAIL FROM:<"a>b"@b.example>', "250"),
	)
	def test_commands(self, command, code):
		"{0}"
		with fake.Server() as server:
			c = self.open(server)
			c.ask("EHLO x")
			self.assertEqual(c.ask(command)[:3], code)
			self.assertEqual(c.ask("QUIT")[:3], "221")
			self.assertEqual(c.end().code, 0)
			self.assertEqual(server.sessions, [])

	def test_bad_recipient(self):
		"a recipient that is no address is refused at once, the others go on; none left: DATA is 554"
		with fake.Server() as server:
			c = self.open(server)
			c.ask("EHLO x")
			replies = c.send("a@example.org", ["b@@example.org", "c@example.org"])
			self.assertEqual(replies[1:3], ["553", "250"])
			self.assertEqual(list(server.messages[0].rcpts), ["c@example.org"])
			c.ask("MAIL FROM:<a@example.org>")
			c.ask("RCPT TO:<>")
			self.assertEqual(c.ask("DATA")[:3], "554")
			self.assertEqual(c.end().code, 0)

	@tap.table(("amid the message", b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhalf", 74),
	           ("between commands", b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n", 0), ("at once", b"", 0))
	def test_gone(self, octets, code):
		"a client that ends {0}: nothing is sent"
		with fake.Server() as server:
			c = self.open(server)
			c.say(b"EHLO x\r\n" + octets)
			r = c.end()
			self.assertEqual((r.code, server.sessions), (code, []), r)

	def test_bad_message(self):
		"a message that is refused here: 554, and the next one is taken"
		with fake.Server() as server:
			c = self.open(server)
			c.ask("EHLO x")
			self.assertEqual(c.send("a@example.org", ["b@example.org"], b"no header\r\n")[-1][:3], "554")
			self.assertEqual(c.send("a@example.org", ["b@example.org"])[-1][:3], "250")
			c.ask("QUIT")
			r = c.end()
			self.assertEqual((r.code, len(server.messages)), (65, 1), r)

	def test_large(self):
		"3 MB: past what is kept in memory, and whole"
		with fake.Server() as server:
			c = self.open(server)
			c.ask("EHLO x")
			line = b"y" * 70 + b"\r\n"
			self.assertEqual(c.send("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\n" + line * 43_000)[-1][:3], "250")
			c.ask("QUIT")
			self.assertEqual(c.end().code, 0)
			self.assertEqual(server.messages[0].data.count(line), 43_000)

	def test_config(self):
		"aliases and mail_domain count here too"
		with fake.Server() as server:
			c = self.open(server, "--mail-domain=example.org", "--aliases=root: ann@example.net")
			c.ask("EHLO x")
			self.assertEqual(c.send("cron", ["root", "bob"], b"From: cron\r\nTo: root\r\n\r\nx\r\n")[-1][:3], "250")
			c.ask("QUIT")
			self.assertEqual(c.end().code, 0)
			m = server.messages[0]
			self.assertEqual((m.sender, list(m.rcpts)), ("cron@example.org", ["ann@example.net", "bob@example.org"]))
			self.assertIn(b"To: ann@example.net\r\nX-Original-To: root\r\n", m.data)


if __name__ == "__main__":
	tap.main(jobs=4)
