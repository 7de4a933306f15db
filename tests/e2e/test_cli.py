#!/usr/bin/python3
"""The command line, end to end: what is refused is refused with one line and no connection."""

import ctypes
import os
import pty
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, TO, composed, delivered, refused  # noqa: E402

LONG_HOST = ".".join(["a" * 60] * 5)


def fixed(*argv, env=None, **how):
	"""A dry run that is the same each time: what differs between two of them is what the case changed."""
	return mc.run("--dry-run", "--date", "@1700000000", "--zone", "+0000", "--message-id", "<fixed@example.net>",
	              *ARGS,
	              *argv, TO, env=env, input=how.pop("input", "text\n"), **how)


class Flags(tap.Case):
	@tap.row("CLI-01")
	def test_terminal(self):
		"no arguments on a terminal: usage at once, without waiting"
		ours, theirs = pty.openpty()
		self.addCleanup(os.close, ours)
		self.addCleanup(os.close, theirs)
		r = mc.run(stdin=theirs, timeout=5)
		self.assertEqual(r.code, 64, r)
		self.assertIn("usage", r.stderr)

	@tap.row("CLI-01")
	def test_nothing(self):
		"no arguments and nothing on standard input: 64"
		r = refused(self, 64)
		self.assertIn("no recipient", r.stderr)

	@tap.row("CLI-02")
	@tap.table(
		("unknown", ["--nonsense", "x"], ["--nonsense"]), ("unknown letter", ["-Z"], ["-Z"]),
		("near another", ["--subjct", "x"], ["--subjct", "--subject"]),
		("ambiguous", ["--tl"], ["--tl", "--tls", "ambiguous"]),
		("no value, long", ["--subject"], ["--subject"]), ("no value, short", ["-s"], ["-s"]),
		("a value not taken", ["--dry-run=yes"], ["--dry-run"]), ("empty name", ["--=x"], ["--"]))
	def test_bad_flag(self, argv, says):
		"a bad flag, {0}: named"
		refused(self, 64, *ARGS, TO, *argv, says=says)

	def test_abbreviation(self):
		"an abbreviation that is not ambiguous is taken"
		self.assertIn(b"Subject: x\r\n", composed(self, *ARGS, TO, "--subj", "x"))

	@tap.row("CLI-03")
	@tap.table(
		("--from", ["--from", "a@example.net", "--from", "c@example.net"], b"From: c@example.net\r\n"),
		("-f", ["-f", "a@example.net", "-f", "c@example.net"], b"From: c@example.net\r\n"),
		("subject, both forms", [*ARGS, "-s", "one", "--subject=two"], b"Subject: two\r\n"),
		("a list adds up", [*ARGS, "-c", "c@example.org", "--cc", "d@example.org"],
		 b"Cc: c@example.org, d@example.org\r\n"))
	def test_twice(self, argv, want):
		"a flag twice: {0}"
		self.assertIn(want, composed(self, *argv, TO, input="x\n"))

	@tap.row("CLI-04")
	@tap.table("0", "-1", "65536", "99999999999", "25x", " 25", "0x19", "1e3", "", "\u0662\u0665", "25\n", "+25",
	           "18446744073709551641")
	def test_port(self, port):
		"port {0} is refused"
		refused(self, 64, *ARGS, "--port", port, TO, server="127.0.0.1", says=["--port", "65535"])
		refused(self, 64, *ARGS, TO, env={"MAILCHUTE_PORT": port}, server="127.0.0.1",
		        says=["MAILCHUTE_PORT", "65535"])

	@tap.row("CLI-05")
	@tap.table(
		("timeout -1", "timeout", "-1"), ("timeout 0", "timeout", "0"), ("timeout NaN", "timeout", "NaN"),
		("connect_timeout 1e99", "connect_timeout", "1e99"), ("dot_timeout with a unit", "dot_timeout", "5 min"),
		("max_time, overflow", "max_time", "99999999999999999999"), ("limit_rate 10Q", "limit_rate", "10Q"),
		("limit_rate -1", "limit_rate", "-1"), ("limit_rate, overflow by its unit", "limit_rate", "99999999999G"),
		("max_rcpt 0", "max_rcpt", "0"), ("max_rcpt inf", "max_rcpt", "inf"))
	def test_count(self, name, value):
		"out of range, and the setting is named: {0}"
		flag, variable = "--" + name.replace("_", "-"), "MAILCHUTE_" + name.upper()
		refused(self, 64, *ARGS, flag, value, TO, says=flag)
		refused(self, 64, *ARGS, TO, env={variable: value}, says=variable)

	@tap.row("CLI-06")
	@tap.table(
		("empty", ""), ("over 255", LONG_HOST), ("label over 63", "a" * 64 + ".example"), ("space", "a b"),
		("CR", "a\rb"),
		("LF", "a\nb"), ("/", "a/b"), ("@", "u@h"), ("?", "a?b"), ("#", "a#b"), ("%0d%0a", "a%0d%0ab"),
		("backslash", "a\\b"),
		("ideographic full stop only", "\u3002"), ("unclosed literal", "[::1"),
		("zone of an address", "[fe80::1%25x y]"),
		("two dots", "a..example"), ("port behind port", "a.example:25:25"))
	def test_host(self, host):
		"a host that is none is refused: {0}"
		refused(self, 64, *ARGS, TO, server=host, says="--server")
		if host:
			refused(self, 64, *ARGS, TO, server=f"smtp://{host}", says="--server")

	@tap.row("CLI-06")
	@tap.table("[::1]", "127.0.0.1", "b\u00fccher.example", "mail.example.org:2525", "smtp://[::1]:2525",
	           "smtps://mail.example.org")
	def test_good_host(self, host):
		"a good host is taken: {0}"
		self.assertTrue(composed(self, "-S", host, *ARGS, TO))

	@tap.row("CLI-07")
	@tap.table("file://{}", "FILE://{}", "http://x{}", "ftp://x{}", "dict://x{}", "gopher://x{}", "scp://x{}",
	           "telnet://x{}",
	           "smtp+unix:{}", "unix:{}", "ldap://x{}")
	def test_scheme(self, url):
		"no other scheme: {0}"
		path = self.write("precious", "as it was")
		refused(self, 64, *ARGS, TO, server=url.format(path), input="x\n", says="--server")
		with open(path) as f:
			self.assertEqual(f.read(), "as it was")

	@tap.row("CLI-10")
	@tap.table("-oQ/tmp@x.example", "-be@x.example", "--help@x.example", "-x@x.example", "-@x.example")
	def test_dash(self, word):
		"a recipient that begins with a dash: {0}"
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, "--", word, input="x\n")
			self.assertEqual(message.rcpts, [word])

	@tap.row("CLI-10")
	@tap.table("-oQ/tmp@x.example", "--help@x.example", "-x@x.example", "-bs", "-oi", "-em", "-bp", "-X/tmp/log",
	           "-C", "-Dx")
	def test_dash_before(self, word):
		"before -- it is a flag, and not one of ours: {0}"
		refused(self, 64, *ARGS, word, TO, says=word[:2])

	@tap.row("CLI-09")
	@tap.table("-X", "-C", "-oQ", "-OQueueDirectory=", "-D")
	def test_sendmail_files(self, option):
		"an option of sendmail's that names a file makes none: {0}"
		directory = self.tempdir()
		refused(self, 64, *ARGS, f"{option}{directory}/made", TO, says=option[:2])
		self.assertEqual(os.listdir(directory), [])

	@tap.row("CLI-12")
	@tap.table(("empty", ""), ("<>", "<>"))
	def test_null_sender(self, sender):
		"the null sender, {0}"
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, "--envelope-from", sender, TO, input="x\n")
			self.assertEqual(message.sender, "")
			self.assertTrue(message.mail_line.startswith("MAIL FROM:<>"), message.mail_line)
		# As the author it is no address.
		refused(self, 65, "-f", sender, TO, says="--from")

	@tap.row("CLI-13")
	@tap.table(("none", []), ("only a To field", ["--headers", "To: " + TO]),
	           ("an empty group", ["--to", "nobody:;"]),
	           ("an empty list", ["--to", "[]"]))
	def test_nobody(self, argv):
		"no recipient: {0}"
		refused(self, 64, *ARGS, *argv, input="x\n", says="recipient")

	@tap.row("CLI-14")
	@tap.table(
		("lmtp and smtps:", ["-S", "smtps://127.0.0.1", "--lmtp"]),
		("lmtp and smtp:", ["-S", "smtp://127.0.0.1", "--lmtp"]),
		("body and body_file", ["--body", "x", "--body-file", "y"]),
		("html and html_file", ["--html", "x", "--html-file", "y"]),
		("message_file and subject", ["--message-file", "/dev/null", "-s", "x"]),
		("message_file and body", ["--message-file", "/dev/null", "--body", "x"]),
		("message_file and an attachment", ["--message-file", "/dev/null", "-a", "/dev/null"]),
		("STARTTLS on a Unix socket", ["-S", "lmtp+unix:/nonexistent", "--starttls"]),
		("two texts from standard input", ["--body-file", "-", "--html-file", "-"]),
		("a report and a message on standard output", ["--dry-run", "--report=json"]))
	def test_contradiction(self, argv):
		"contradiction: {0}"
		with fake.Recorder() as nobody:
			r = mc.run(*ARGS, "--port", str(nobody.port), *argv, TO, stdout=True)
			self.assertEqual(r.code, 64, r)
			self.assertEqual(nobody.connections, 0)

	@tap.row("CLI-16")
	@tap.table(("subject", ["-s", b"ab\xff"], "octet 3"), ("name", ["-f", b"a\xfeb <a@example.net>"], "octet 2"),
	           ("recipient", [b"b\xc0\xaf@example.org"], "octet 2"),
	           ("header", ["--headers", b"X-Y: \xed\xa0\x80"], "octet"),
	           ("html", ["--html", b"\xff"], "octet 1"))
	def test_octets(self, argv, says):
		"text that is not UTF-8 is refused, and where: {0}"
		refused(self, 65, *ARGS, TO, *argv, says=[says, "UTF-8"])

	@tap.row("CLI-16")
	def test_path_octets(self):
		"a path is octets"
		directory = self.tempdir().encode()
		path = os.path.join(directory, b"a\xffb.bin")
		with open(path, "wb") as f:
			f.write(b"content")
		self.assertEqual(locally.leaves(composed(self, *ARGS, TO, "--body", "x", "-a", path))[1], b"content")

	@tap.row("CLI-20")
	@tap.table("--password=hunter2secret", "--password", "--oauth2-token=hunter2secret", "--passw=hunter2secret")
	def test_password(self, flag):
		"a password on the command line is refused with the other ways: {0}"
		refused(self, 64, *ARGS, flag, TO, says=["-file", "-command", "-env"], secrets=["hunter2secret"])

	@tap.row("CLI-20")
	def test_children(self):
		"the password command's children have no secret in their arguments or environment"
		out = os.path.join(self.tempdir(), "seen")
		command = f"tr '\\\\0' ' ' </proc/$$/cmdline >{out}; env >>{out}; echo from-the-command"
		with fake.Server(auth="PLAIN", auth_clear=True, users={"u": "from-the-command"}) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "--username", "u", "--password-command", command, input="x\n",
			           env={"MAILCHUTE_PASSWORD": "hunter2secret"}, secrets=["hunter2secret", "from-the-command"])
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.session.auths[0]["ok"])
		with open(out) as f:
			seen = f.read()
		self.assertIn("PATH=", seen)
		self.assertNotIn("hunter2secret", seen)


class Program(tap.Case):
	@tap.row("CLI-15")
	@tap.limit(300)
	@tap.table(("argv", "argv"), ("file", "file"))
	def test_many(self, how):
		"100,000 recipients by {0}: the same envelope, a thousand a transaction"
		everybody = [f"u{n}@example.org" for n in range(100000)]
		if how == "argv":
			argv = ["--", *everybody]
		else:
			argv = ["--params", locally.params(self, {"to": None, "bcc": everybody, "body": "x"})]
		with fake.Server() as server:
			# A quarter of the stack's limit is what execve() takes.
			r = mc.run("-S", server.url, *ARGS, *argv, input="x\n", timeout=200,
			           preexec=lambda: resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20)))
			self.assertEqual(r.code, 0, r)
			server.wait(1)
			self.assertEqual([a for m in server.messages for a in m.rcpts], everybody)
			self.assertEqual({len(m.rcpts) for m in server.messages}, {1000})
			self.assertEqual(len({m.parsed()["message-id"] for m in server.messages[:5]}), 1)
			self.assertEqual(server.lint, [])

	@tap.row("CLI-17")
	def test_argc_0(self):
		"execve() with no argument at all: usage"
		# Linux 5.18 and later put an empty argv[0] there; either way it must not crash.
		libc = ctypes.CDLL(None)
		pid = os.fork()
		if not pid:
			os.dup2(os.open(os.devnull, os.O_RDWR), 2)
			os.dup2(2, 0)
			libc.execve(mc.BINARY.encode(), (ctypes.c_char_p * 1)(None), (ctypes.c_char_p * 1)(None))
			os._exit(127)
		self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 64)

	@tap.row("CLI-19")
	@tap.table(
		("TZ a file", {"TZ": ":/etc/passwd"}), ("TZ of 64 KB", {"TZ": "A" * 65536}),
		("LANG bad", {"LANG": "xx_YY.nonsense"}),
		("LC_ALL=C", {"LC_ALL": "C"}), ("HOME unset", {"HOME": None}), ("HOME relative", {"HOME": "some/where"}),
		("PATH unset", {"PATH": None}), ("2 MB of variables", {f"V{n}": "x" * 100000 for n in range(20)}),
		("variables without a name", {"LANG": None, "PATH": None, "HOME": None}))
	def test_environment(self, env):
		"environment: {0}; the message is the same"
		args = ("-s", "h\u00e9llo", "-c", "C\u00e9 <c@b\u00fccher.example>")
		want = fixed(*args)
		self.assertEqual(want.code, 0, want)
		r = fixed(*args, env=env)
		self.assertEqual((r.code, r.stdout), (0, want.stdout), r)

	@tap.row("CLI-19")
	@tap.table("", ":/etc/passwd", "A" * 65536, "Europe/Berlin", "XXX-25", "<+14>-14", "UTC+99:99:99", "\xff",
	           ":" + "../" * 500)
	def test_zone(self, zone):
		"TZ={0}: the Date is valid"
		octets = composed(self, *ARGS, TO, input="x\n", env={"TZ": zone})
		self.assertIsNotNone(locally.parsed(octets)["date"].datetime)
		self.assertRegex(octets, rb"Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n")
		self.assertLess(abs(locally.parsed(octets)["date"].datetime.timestamp() - time.time()), 120)

	def test_unknown_variable(self):
		"a variable of ours that is none is named"
		refused(self, 64, *ARGS, TO, env={"MAILCHUTE_SUBJCT": "x"}, says=["MAILCHUTE_SUBJCT", "MAILCHUTE_SUBJECT"])

	@tap.row("CLI-21")
	@tap.table(("--version", ["--version"]), ("--help", ["--help"]), ("--print-schema", ["--print-schema"]),
	           ("--print-params", ["--print-params", *ARGS, TO]), ("--dry-run", ["--dry-run", *ARGS, TO]),
	           ("--output", ["--output", "/dev/full", *ARGS, TO]))
	def test_full(self, argv):
		"{0} to a full device: 74"
		with open("/dev/full", "wb") as full:
			r = mc.run(*argv, input="x\n" * 5000, stdout_file=full)
		self.assertEqual(r.code, 74, r)
		self.assertEqual(len(r.lines), 1, r)

	@tap.row("CLI-21")
	def test_report_full(self):
		"a report that cannot be written, of a message that was sent: 74"
		with fake.Server() as server, open("/dev/full", "wb") as full:
			r = mc.run("-S", server.url, *ARGS, "--report=json", TO, input="x\n", stdout_file=full)
			self.assertEqual(r.code, 74, r)
			self.assertTrue(server.message.dot)

	@tap.row("CLI-21")
	def test_head(self):
		"--help into a pipe that closes: no noise"
		script = '"$1" --help | head -1'
		run = subprocess.run(["sh", "-c", script, "sh", mc.BINARY], capture_output=True, timeout=20,
		                     env=mc.environment())
		self.assertEqual(len(run.stdout.splitlines()), 1)
		self.assertLessEqual(len(run.stderr.splitlines()), 1, run.stderr)

	def test_closed_descriptors(self):
		"standard descriptors closed: nothing is written into a file of ours"
		blob = self.write("a.bin", b"precious")
		for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
			with self.subTest(closed), fake.Server() as server:
				run = subprocess.run(["sh", "-c", f'exec "$0" "$@" {closed}', mc.BINARY, "-S", server.url, *ARGS,
				                      "--body", "x",
				                      "-a", blob, TO], capture_output=True, timeout=20, env=mc.environment())
				self.assertEqual(run.returncode, 0, run)
				self.assertEqual(locally.leaves(server.message.data)[1], b"precious")

	@tap.row("CLI-22")
	@tap.table(
		("plain", [TO], 0), ("bad address", ["b@@example.org"], 65),
		("name to resolve", ["-S", "mail.example.org", TO], 0),
		("EAI", ["\u00fc@b\u00fccher.example"], 0), ("attachment", ["-a", mc.__file__, TO], 0),
		("missing attachment", ["-a", "/nonexistent", TO], 66), ("bad port", ["--port", "0", TO], 64),
		("CRLF in the subject", ["-s", "a\r\nBcc: e@x", TO], 65), ("no recipient", [], 64),
		("credentials", ["-S", "smtps://mail.example.org", "--username", "u", "--password-command", "exit 3", TO], 0))
	def test_dry(self, argv, code):
		"--dry-run makes the same checks and no connection: {0}"
		trace = os.path.join(self.tempdir(), "trace")
		# The leak checker traces as well, and two cannot.
		r = mc.run("--dry-run", *ARGS, *argv, input="x\n", env={"ASAN_OPTIONS": "exitcode=99:detect_leaks=0"},
		           wrap=["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", trace])
		self.assertEqual(r.code, code, r)
		with open(trace) as f:
			calls = [l for l in f if "AF_INET" in l and "connect(" in l or "SOCK_STREAM" in l]
		self.assertEqual(calls, [])


if __name__ == "__main__":
	tap.main(jobs=4)
