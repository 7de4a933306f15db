#!/usr/bin/python3
"""The grammars of sendmail(8) and mail(1): each option, as its callers write it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap, tmp  # noqa: E402

MESSAGE = "From: ann@example.org\nTo: to@example.org\nBcc: hidden@example.org\nSubject: s\n\ntext\n"
REPLY = "550 5.1.1 no such user"


def sendmail(server, *argv, input=MESSAGE, **how):
	return mc.run("--as=sendmail", f"--server={server.url}", *argv, input=input, **how)


def envelope(server):
	return server.messages[0].sender, list(server.messages[0].rcpts)


class Matrix(tap.Case):
	"""Options and what each does: an envelope (sender, recipients), and octets that are in MAIL or RCPT."""

	@tap.row("CLI-11")
	@tap.table(
		# cron, cronie, ISC cron, bcron, busybox, dcron
		("Debian cron", ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "r@example.org"], ["r@example.org"]),
		("cronie", ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root@example.org"], "t", "root@example.org"),
		("ISC cron", ["-FCronDaemon", "-odi", "-oem", "-oi", "-t"], "t"),
		("bcron", ["-FCronDaemon", "-i", "-odi", "-oem", "-t"], "t"),
		("busybox crond", ["-ti"], "t"), ("dcron", ["-t", "-oem", "-i"], "t"),
		("systemd-cron", ["-i", "-B8BITMIME", "r@example.org"], ["r@example.org"]),
		("anacron", ["-FAnacron", "-odi", "r@example.org"], ["r@example.org"]),
		("at", ["-i", "r@example.org"], ["r@example.org"]),
		("mdadm, logwatch", ["-t"], "t"),
		("unattended-upgrades", ["-oi", "-t"], "t"),
		("PHP", ["-t", "-i", "-fu@example.org"], "t", "u@example.org"),
		("git send-email", ["-f", "g@example.org", "-i", "a@example.org", "b@example.org"],
		 ["a@example.org", "b@example.org"], "g@example.org"),
		("mutt", ["-oem", "-oi", "-B8BITMIME", "-f", "m@example.org", "--", "a@example.org"], ["a@example.org"], "m@example.org"),
		("mailutils", ["-oi", "-f", "m@example.org", "-t"], "t", "m@example.org"),
		("s-nail, bsd-mailx", ["-i", "-m", "-f", "m@example.org", "-F", "Mail User", "--", "a@example.org"],
		 ["a@example.org"], "m@example.org"),
		("fail2ban", ["-f", "f2b@example.org", "a@example.org"], ["a@example.org"], "f2b@example.org"),
		("nodemailer", ["-i", "-f", "n@example.org", "a@example.org"], ["a@example.org"], "n@example.org"),
		# each option
		("-t adds words", ["-t", "x@example.org"], ["to@example.org", "hidden@example.org", "x@example.org"]),
		("comma list", ["a@example.org,B <b@example.org>, c@example.org"], ["a@example.org", "b@example.org", "c@example.org"]),
		("option behind a word", ["a@example.org", "-f", "s@example.org"], ["a@example.org"], "s@example.org"),
		("-r", ["-r", "s@example.org", "a@example.org"], ["a@example.org"], "s@example.org"),
		("-r glued", ["-rs@example.org", "a@example.org"], ["a@example.org"], "s@example.org"),
		("last -f", ["-fx@example.org", "-f", "s@example.org", "a@example.org"], ["a@example.org"], "s@example.org"),
		("-f with a name", ["-f", "S <s@example.org>", "a@example.org"], ["a@example.org"], "s@example.org"),
		("-f '' is the null sender", ["-f", "", "a@example.org"], ["a@example.org"], ""),
		("-f <>", ["-f", "<>", "a@example.org"], ["a@example.org"], ""),
		("-B 7BIT", ["-B", "7BIT", "a@example.org"], ["a@example.org"]),
		("-Ac -Am -bm", ["-Ac", "-Am", "-bm", "a@example.org"], ["a@example.org"]),
		("ignored", ["-c", "-d", "-d0.1", "-G", "-h", "3", "-L", "tag", "-m", "-n", "-p", "ESMTP", "-s", "-U", "-x", "-E", "-J", "-S",
		             "-T", "-Mid", "a@example.org"], ["a@example.org"]),
		("-o", ["-oi", "-oitrue", "-oifalse", "-odb", "-odi", "-odq", "-odd", "-oem", "-oee", "-oep", "-oew", "-om", "-o7", "-os",
		        "-oMrlocal", "a@example.org"], ["a@example.org"]),
		("-e", ["-em", "-ep", "-ee", "-ew", "-e", "m", "a@example.org"], ["a@example.org"]),
		("-O", ["-O", "SMTPUTF8=yes", "-OTimeout.connect=5", "-O", "REQUIRETLS=no", "a@example.org"], ["a@example.org"]),
	)
	def test_accepted(self, argv, rcpts, sender="ann@example.org"):
		"{0}"
		want = ["to@example.org", "hidden@example.org"] if rcpts == "t" else rcpts
		with fake.Server() as server:
			r = sendmail(server, *argv)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(envelope(server), (sender, want))
			self.assertEqual(server.session.lint, [])
			self.assertNotIn(b"hidden@", server.messages[0].data)

	@tap.table(
		("-N success", ["-N", "success,failure"], "NOTIFY=SUCCESS,FAILURE"), ("-N never", ["-Nnever"], "NOTIFY=NEVER"),
		("-R hdrs", ["-R", "hdrs"], "RET=HDRS"), ("-R full", ["-Rfull"], "RET=FULL"), ("-V", ["-V", "abc"], "ENVID=abc"),
	)
	def test_dsn(self, argv, word):
		"delivery notices: {0}; without DSN it goes all the same"
		for keywords in (None, ["PIPELINING"]):
			with fake.Server(**({"ehlo": keywords} if keywords else {})) as server:
				r = sendmail(server, *argv, "a@example.org")
				self.assertEqual(r.code, 0, r)
				said = " ".join(server.session.commands)
				self.assertEqual(word in said, keywords is None, said)

	@tap.table(("-N", ["-N", "sometimes"]), ("-R", ["-R", "half"]), ("-V", ["-V", "a\tb"]), ("-V too long", ["-V", "x" * 101]))
	def test_dsn_ignored(self, argv):
		"a value that is none is ignored with a warning: {0}"
		with fake.Server() as server:
			r = sendmail(server, *argv, "a@example.org")
			self.assertEqual(r.code, 0, r)
			self.assertIn("is ignored", r.stderr)
			self.assertNotIn("NOTIFY", " ".join(server.session.commands))

	@tap.row("CLI-09")
	@tap.table(*[(" ".join(a), a) for a in (
		["-X/tmp/log"], ["-X", "log"], ["-C", "f"], ["-Cf"], ["-oQ/d"], ["-oQd"], ["-OQueueDirectory=d"], ["-O", "queuedirectory=d"],
		["-O", "AliasFile=f"], ["-be"], ["-D", "f"], ["-oAf"], ["-oA", "-t"], ["-oHf"], ["-oSf"], ["-bd"], ["-bD"], ["-bl"], ["-bt"], ["-bP"],
		["-bV"], ["-b"], ["-z"], ["-Zx"], ["-%"], ["-B", "9BIT"], ["-Ax"], ["-ex"], ["-oex"], ["-o"], ["-f"], ["-F"], ["--nonsense"],
		["-OREQUIRETLS=maybe"], ["--password=x"])])
	def test_refused(self, argv):
		"refused, nothing sent and no file made: {0}"
		place = tmp.directory("mcempty-")
		with fake.Server() as server:
			r = mc.run("--as=sendmail", f"--server={server.url}", "-t", *argv, input=MESSAGE, cwd=place)
			self.assertEqual(r.code, 64, r)
			self.assertEqual(server.sessions, [])
		self.assertEqual(os.listdir(place), [])
		self.assertFalse(os.path.exists("/tmp/log"))

	@tap.row("CLI-10")
	@tap.table(*[(a, a) for a in ("-oQ/tmp@x.example", "-be@x.example", "--help@x.example", "-X/tmp/x@x.example")])
	def test_injection(self, address):
		"an address that looks like an option is one before -- and an address behind it: {0}"
		with fake.Server() as server:
			r = sendmail(server, "a@example.org", address)
			self.assertEqual(r.code, 64, r)
			self.assertEqual(server.sessions, [])
		with fake.Server() as server:
			r = sendmail(server, "--", "a@example.org", address)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(envelope(server)[1], ["a@example.org", address])

	@tap.row("CLI-12")
	def test_null_sender(self):
		"the null sender, also with -t and a message that says another"
		for value in ("", "<>"):
			with fake.Server() as server:
				r = sendmail(server, "-t", "-f", value)
				self.assertEqual(r.code, 0, r)
				self.assertIn("MAIL FROM:<>", server.session.commands[1])

	@tap.row("CLI-13")
	@tap.table(("no word", []), ("-t, and the message has none", ["-t"]), ("-bv", ["-bv"]), ("only --", ["--"]))
	def test_no_recipient(self, argv):
		"no recipient: {0}"
		with fake.Server() as server:
			r = sendmail(server, *argv, input="From: a@example.org\nBcc:\n\nx\n")
			self.assertEqual(r.code, 64, r)
			self.assertIn("no recipient", r.stderr)
			self.assertEqual(server.sessions, [])

	def test_from_name(self):
		"-F where there is no From; NAME is its fall-back; neither changes a From that is there"
		for argv, env, want in ((["-F", "Cron Daemon"], {"NAME": "Other"}, b"From: Cron Daemon <ann@example.org>\r\n"),
		                        ([], {"NAME": "J\u00f6rg"}, b"From: =?utf-8?B?SsO2cmc=?= <ann@example.org>\r\n")):
			with fake.Server() as server:
				r = sendmail(server, "-f", "ann@example.org", *argv, "a@example.org", input="Subject: x\n\ny\n", env=env)
				self.assertEqual(r.code, 0, r)
				self.assertIn(want, server.messages[0].data)
			with fake.Server() as server:
				sendmail(server, *argv, "a@example.org", env=env)
				self.assertIn(b"\r\nFrom: ann@example.org\r\n", b"\r\n" + server.messages[0].data)

	def test_silent(self):
		"-oeq and -eq: the exit code alone; -oem tells"
		for option, lines in (("-oeq", 0), ("-eq", 0), ("-oem", 1), ("-ep", 1)):
			with fake.Server(rcpt="550 5.1.1 no") as server:
				r = sendmail(server, option, "a@example.org", checks=False)
				self.assertEqual((r.code, len(r.lines)), (67, lines), r)

	def test_unknown_is_75(self):
		"what may have been delivered is 75 here, and 2 under our own name"
		for argv, code in ((["--as=sendmail"], 75), (["--as=mail"], 75), ([], 2)):
			with fake.Server(dot=fake.close()) as server:
				r = mc.run(*argv, f"--server={server.url}", "--from=a@example.org", "b@example.org",
				           input="Subject: x\n\ny\n")
				self.assertEqual(r.code, code, r)

	def test_verify(self):
		"-bv prints the envelope, by the aliases, and connects to nothing"
		with fake.Server() as server:
			r = sendmail(server, "-bv", "--aliases=root: a@example.org, ops", "--mail-domain=example.net", "root", "x@example.org",
			             stdout=True)
			self.assertEqual((r.code, r.stdout), (0, b"a@example.org\nops@example.net\nx@example.org\n"), r)
			self.assertEqual(server.sessions, [])

	@tap.table(("mailq", ["--as=mailq"], b"Mail queue is empty\n"), ("-bp", ["--as=sendmail", "-bp"], b"Mail queue is empty\n"),
	           ("newaliases", ["--as=newaliases"], b""), ("-bi", ["--as=sendmail", "-bi"], b""), ("-I", ["--as=sendmail", "-I"], b""),
	           ("-q", ["--as=sendmail", "-q"], b""), ("-q15m", ["--as=sendmail", "-q15m"], b""), ("-qRx", ["--as=sendmail", "-qRx"], b""),
	           ("-bh", ["--as=sendmail", "-bh"], b""), ("mailq -v", ["--as=mailq", "-v"], b"Mail queue is empty\n"))
	def test_no_queue(self, argv, want):
		"nothing to list or run: {0}"
		r = mc.run(*argv, stdout=True)
		self.assertEqual((r.code, r.stdout), (0, want), r)

	@tap.table(*[(n, n) for n in ("sendmail", "mail", "mailx", "Mail", "mailq", "newaliases", "send-mail")])
	def test_names(self, name):
		"by the program's name: {0}"
		link = os.path.join(tmp.directory("mclink-"), name)
		os.symlink(mc.BINARY, link)
		with fake.Server() as server:
			argv = [] if name in ("mailq", "newaliases") else ["-s", "x"] if "ail" in name and name[:4] in ("mail", "Mail") else ["-oi"]
			words = [] if name in ("mailq", "newaliases") else [f"--server={server.url}", "--from=a@example.org", "b@example.org"]
			r = mc.run(*argv, *words, input="Subject: x\n\ny\n", executable=link, stdout=True)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(len(server.messages), 1 if words else 0)

	@tap.table(("unknown", ["--as=postfix"]), ("not first", ["-v", "--as=sendmail"]), ("no name", ["--as"]), ("empty", ["--as="]))
	def test_as(self, argv):
		"--as: {0}"
		r = mc.run(*argv, input="")
		self.assertEqual(r.code, 64, r)

	@tap.row("CLI-10")
	def test_own_options(self):
		"sendmail's options under our own name: advice"
		for option in ("-bs", "-oi", "-em", "-bp"):
			r = mc.run(option, "a@example.org", input="")
			self.assertEqual(r.code, 64, r)
			self.assertIn("--as=sendmail", r.stderr)


class Mail(tap.Case):
	def mail(self, *argv, input="text\n", code=0, **how):
		with fake.Server() as server:
			r = mc.run("--as=mail", f"--server={server.url}", "--mail-domain=example.org", *argv, input=input, **how)
			self.assertEqual(r.code, code, r)
			return server.messages[0] if server.messages else None, r

	def test_smartd(self):
		"mail -s SUBJECT addr addr"
		m, _ = self.mail("-s", "SMART error", "a@example.org", "b@example.org")
		self.assertEqual(list(m.rcpts), ["a@example.org", "b@example.org"])
		self.assertIn(b"Subject: SMART error\r\n", m.data)
		self.assertIn(b"To: a@example.org, b@example.org\r\n", m.data)
		self.assertIn(b"\r\n\r\ntext\r\n", m.data)

	def test_copies(self):
		"-c, -b, -r"
		m, _ = self.mail("-c", "c@example.org", "-b", "b@example.org", "-r", "Ann <ann@example.net>", "a@example.org")
		self.assertEqual((m.sender, list(m.rcpts)), ("ann@example.net", ["a@example.org", "c@example.org", "b@example.org"]))
		self.assertIn(b"From: Ann <ann@example.net>\r\n", m.data)
		self.assertNotIn(b"b@example.org", m.data)

	def test_a(self):
		"-a 'Name: value' is a header, -a file a file, also one with a colon in its name"
		place = tmp.directory("mcmail-")
		for name in ("note.txt", "odd:name.txt"):
			with open(os.path.join(place, name), "w", encoding="ascii") as f:
				f.write("attached\n")
		m, _ = self.mail("-a", "X-Host: web1", "-a", "note.txt", "-a", "odd:name.txt", "a@example.org", cwd=place)
		self.assertIn(b"X-Host: web1\r\n", m.data)
		self.assertIn(b"filename=note.txt", m.data.replace(b'"', b""))
		self.assertIn(b"odd:name.txt", m.data)
		_m, r = self.mail("-a", "missing.txt", "a@example.org", code=66)
		self.assertIn("missing.txt", r.stderr)

	def test_A(self):
		"-A file is a file, -A other an account"
		place = tmp.directory("mcmail-")
		with open(os.path.join(place, "note.txt"), "w", encoding="ascii") as f:
			f.write("attached\n")
		m, _ = self.mail("-A", "note.txt", "a@example.org", cwd=place)
		self.assertIn(b"note.txt", m.data)
		_m, r = self.mail("-A", "work", "a@example.org", cwd=place, code=78)
		self.assertIn("no account 'work'", r.stderr)

	def test_S(self):
		"-S from=, replyto=, ttycharset=, mta=; others are nothing to us"
		m, _ = self.mail("-S", "from=B <b@example.org>", "-S", "replyto=r@example.org", "-Snosave", "-S", "sendwait", "-S", "v15-compat",
		                 "-S", "mta=/usr/sbin/sendmail", "a@example.org")
		self.assertIn(b"From: B <b@example.org>\r\nReply-To: r@example.org\r\n", m.data)

	def test_E(self):
		"-E: no message for no text; without it there is one"
		m, _ = self.mail("-E", "-s", "x", "a@example.org", input="")
		self.assertIsNone(m)
		m, _ = self.mail("-s", "x", "a@example.org", input="")
		self.assertIsNotNone(m)
		m, _ = self.mail("-E", "-s", "x", "a@example.org", input="\n")
		self.assertIsNotNone(m)

	def test_sendmail_options(self):
		"recipient -- -f addr: options of sendmail; -- before the first is the end of ours"
		m, _ = self.mail("-s", "x", "a@example.org", "--", "-f", "s@example.org", "-oi", "-FName")
		self.assertEqual((m.sender, list(m.rcpts)), ("s@example.org", ["a@example.org"]))
		m, _ = self.mail("-s", "x", "--", "-a@example.org", "b@example.org")
		self.assertEqual(list(m.rcpts), ["-a@example.org", "b@example.org"])
		_m, r = self.mail("a@example.org", "--", "-X", "log", code=64)
		self.assertIn("-X", r.stderr)

	def test_t(self):
		"-t: the text is a message, with its recipients"
		m, _ = self.mail("-t", input=MESSAGE)
		self.assertEqual(list(m.rcpts), ["to@example.org", "hidden@example.org"])
		self.assertNotIn(b"hidden", m.data)

	def test_dots(self):
		"lone dots and tilde escapes are text"
		m, _ = self.mail("-n", "-N", "-i", "-I", "a@example.org", input="a\n.\n~s no\n~r /etc/passwd\n")
		self.assertTrue(m.data.endswith(b"a\r\n.\r\n~s no\r\n~r /etc/passwd\r\n"), m.data)

	@tap.table(("no recipient", []), ("-e", ["-e"]), ("-f", ["-f"]), ("-H", ["-H"]), ("-u", ["-u", "ann"]), ("-Z", ["-Z", "a@example.org"]),
	           ("-s without value", ["a@example.org", "-s"]))
	def test_refused(self, argv):
		"refused: {0}"
		_m, _r = self.mail(*argv, code=64)
		self.assertIsNone(_m)


if __name__ == "__main__":
	tap.main(jobs=4)
