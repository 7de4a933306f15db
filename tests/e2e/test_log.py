#!/usr/bin/python3
"""The log: one line a message, which nobody forges, and which survives rotation and many writers."""

import json
import os
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap  # noqa: E402

HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d mailchute\[\d+\]: ")


class Log(tap.Case):
	def log(self, *argv, server=None, code=0, path=None, **how):
		"""The lines that one run wrote."""
		path = path or os.path.join(self.tempdir(), "log")
		where = ["-S", server.url] if server else []
		r = mc.run(*where, "-f", "a@example.org", "--log", path, *argv, input="x\n", **how)
		self.assertEqual(r.code, code, r)
		with open(path, encoding="utf-8") as f:
			text = f.read()
		self.assertTrue(text.endswith("\n"))
		return text[:-1].split("\n"), r

	def test_sent(self):
		"what was sent: who, where, what it is called, how large, the server's words"
		with fake.Server(dot="250 2.0.0 queued as ABC123") as server:
			(line,), r = self.log("b@example.org", "c@example.org", "--report=json", server=server)
			self.assertRegex(line, HEAD)
			for word in ("result=sent", "exit=0", "from=<a@example.org>", "to=<b@example.org>,<c@example.org>", f"server=127.0.0.1:{server.port}",
			             f"id={r.json['message_id']}", "size=", "seconds=0.", 'reply="250 2.0.0 queued as ABC123"', f"uid={os.getuid()}"):
				self.assertIn(word, line)

	def test_partly(self):
		"those who did not get it, by what became of them, and the error"
		with fake.Server(rcpt={"c@example.org": "550 5.1.1 no such user", "d@example.org": "450 4.2.2 full"}) as server:
			(line,), _r = self.log("b@example.org", "c@example.org", "d@example.org", server=server, code=1)
			for word in ("result=partial", "exit=1", "to=<b@example.org>", "rejected=<c@example.org>", "deferred=<d@example.org>", 'error="'):
				self.assertIn(word, line)

	@tap.table(("refused here", ["b@example.org", "-a", "/nonexistent"], 66), ("no server", ["-S", "127.0.0.1:1", "b@example.org"], 75))
	def test_failed(self, argv, code):
		"what was not sent is in the log as well: {0}"
		(line,), _r = self.log(*argv, code=code)
		self.assertIn(f"exit={code} ", line)

	def test_forged(self):
		"a server's text, an address, an id with line feeds, quotes, controls stay one value"
		evil = b'250 2.0.0 ok" result=sent\x1b[31m \xe2\x80\xae\xc2\x85 x=y\\'
		with fake.Server(dot=fake.raw(evil + b"\r\n")) as server:
			lines, _r = self.log('"a\\"b result=sent"@example.org', server=server)
			self.assertEqual(len(lines), 1)
			line = lines[0]
			self.assertEqual(len(re.findall(r"(?:^| )result=", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))), 1)
			self.assertTrue(line.isprintable(), line)

	def test_json(self):
		"log_format json: one object a line, with the members of the report"
		with fake.Server() as server:
			(line,), r = self.log("--log-format", "json", "--report=json", "b@example.org", server=server)
			said = json.loads(line)
			self.assertEqual({k: v for k, v in said.items() if k in r.json}, r.json)
			self.assertEqual((said["from"], said["exit"], said["uid"]), ("a@example.org", 0, os.getuid()))
			self.assertRegex(said["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$")

	def test_secret(self):
		"no secret is in it"
		for extra in ([], ["--log-format", "json"]):
			with fake.Server(auth="PLAIN", auth_clear=True, users={"u": "right"}, auth_final="535 5.7.8 no: my-secret-word") as server:
				(line,), _r = self.log("--username", "u", "--password-env", "PW", *extra, "b@example.org", server=server, code=77,
				                       env={"PW": "my-secret-word"}, secrets=["my-secret-word"])
				self.assertEqual(mc.leaks(["my-secret-word"], line.encode()), [])

	def test_many(self):
		"3000 recipients: the line names 1000 and says how many more there are"
		with fake.Server() as server:
			(line,), _r = self.log(*[f"r{i}@example.org" for i in range(3000)], server=server)
			self.assertIn(",+2000 ", line)
			self.assertIn("<r999@example.org>", line)

	def test_account(self):
		"the account that was taken"
		path = self.write("config.json", '{"accounts": {"work": {"match": "*@example.org"}}}')
		with fake.Server() as server:
			(line,), _r = self.log("--config", path, "b@example.org", server=server)
			self.assertIn("account=work", line)

	def test_not_logged(self):
		"a dry run and a check write none; an empty text that was skipped does"
		path = os.path.join(self.tempdir(), "log")
		mc.run("-n", "-f", "a@example.org", "--log", path, "b@example.org", input="x\n")
		self.assertFalse(os.path.exists(path))
		r = mc.run("-f", "a@example.org", "--log", path, "--skip-empty", "b@example.org", input="")
		self.assertEqual(r.code, 0, r)
		with open(path, encoding="utf-8") as f:
			self.assertIn("result=skipped", f.read())

	@tap.row("RES-01")
	@tap.table(("a directory", "dir"), ("a directory that is not there", "none"), ("a full disk", "full"), ("a FIFO without a reader", "fifo"))
	def test_unwritable(self, what):
		"a log that cannot be written is a warning, and the mail is sent: {0}"
		place = self.tempdir()
		path = {"dir": place, "none": place + "/x/log", "full": "/dev/full", "fifo": place + "/fifo"}[what]
		if what == "fifo":
			os.mkfifo(path)
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "a@example.org", "--log", path, "b@example.org", input="x\n")
			self.assertEqual((r.code, len(server.messages)), (0, 1), r)
			self.assertRegex(r.stderr, "^mailchute: warning: the log '.*' was not written: ")

	def test_mode(self):
		"a new file is for its owner alone; one that is there keeps its mode"
		path = os.path.join(self.tempdir(), "log")
		with fake.Server() as server:
			self.log("b@example.org", server=server, path=path)
			self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

	def test_rotation(self):
		"twelve at once while the log is renamed: every line is there once, and whole"
		place = self.tempdir()
		path = os.path.join(place, "log")
		with fake.Server() as server:
			runs = [mc.start("-S", server.url, "-f", "a@example.org", "--log", path, f"r{i}@example.org", input="x\n") for i in range(12)]
			stop = threading.Event()

			def rotate():
				n = 0
				while not stop.wait(0.002):
					try:
						os.rename(path, f"{path}.{n}")
						n += 1
					except FileNotFoundError:
						pass
			rotator = threading.Thread(target=rotate)
			rotator.start()
			codes = [r.wait().code for r in runs]
			stop.set()
			rotator.join(10)
		self.assertEqual(codes, [0] * 12)
		lines = []
		for name in os.listdir(place):
			with open(os.path.join(place, name), encoding="utf-8") as f:
				lines += f.read().splitlines()
		self.assertEqual(sorted(re.findall(r"to=<(r\d+)@", "\n".join(lines))), sorted(f"r{i}" for i in range(12)))
		self.assertTrue(all(HEAD.match(l) for l in lines))

	def test_syslog(self):
		"syslog: LOG_MAIL, info where all is well and err where not"
		if os.getuid():
			self.fail("this test needs root")
		place = self.tempdir()
		listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		listener.bind(place + "/log")
		listener.settimeout(10 * mc.SLOW)
		script = f"touch /dev/log 2>/dev/null; mount --bind {place}/log /dev/log && exec \"$@\""
		had = os.path.lexists("/dev/log")
		with fake.Server() as server:
			for where, code, level in ((server.url, 0, 6), ("127.0.0.1:1", 75, 3)):
				r = mc.run("-S", where, "-f", "a@example.org", "--log", "syslog", "b@example.org", input="x\n",
				           wrap=["unshare", "-m", "sh", "-c", script, "sh"])
				self.assertEqual(r.code, code, r)
				said = listener.recv(65536).decode()
				self.assertRegex(said, rf"^<{2 * 8 + level}>.*mailchute\[\d+\]: result=")
				self.assertIn(f"exit={code}", said)
		listener.close()
		if not had and os.path.isfile("/dev/log"):
			os.unlink("/dev/log")


if __name__ == "__main__":
	tap.main(jobs=4)
