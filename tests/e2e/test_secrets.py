#!/usr/bin/python3
"""Secrets: every way in authenticates, and none of them comes out anywhere but at the server."""

import base64
import json
import os
import pty
import re
import resource
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, tmp  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, TO  # noqa: E402

# No part of it is in anything else that is said or written.
SECRET = "kP7$vQz!mW3~xT9"
USER = "mallory"
INITIAL = base64.b64encode(f"\0{USER}\0{SECRET}".encode())
HIDDEN = (SECRET, f"\0{USER}\0{SECRET}")


def sanitized():
	with open(mc.BINARY, "rb") as program:
		return b"__asan_init" in program.read()


ASAN = sanitized()


def server(**how):
	return fake.Server(tls="starttls", auth=how.pop("auth", "PLAIN"), users={USER: SECRET}, **how)


class Case(tap.Case):
	def argv_of(self, way):
		"""(arguments, further keywords of mc.run) by which @way gives the secret."""
		how = {"env": {}, "input": "text\n"}
		argv = ["--username", USER]
		if way == "env":
			how["env"]["MY_SECRET"] = SECRET
			argv += ["--password-env", "MY_SECRET"]
		elif way == "variable":
			how["env"]["MAILCHUTE_PASSWORD"] = SECRET
		elif way == "file":
			argv += ["--password-file", self.write("secret", SECRET + "\n")]
		elif way == "command":
			argv += ["--password-command", f"cat {self.write('secret', SECRET + chr(10))}"]
		elif way == "fd":
			ours, theirs = os.pipe()
			os.write(theirs, SECRET.encode() + b"\n")
			os.close(theirs)
			self.addCleanup(os.close, ours)
			argv += ["--password-fd", str(ours)]
			how["pass_fds"] = [ours]
		elif way == "credentials directory":
			directory = self.tempdir()
			self.write("mailchute.password", SECRET, directory=directory)
			how["env"]["CREDENTIALS_DIRECTORY"] = directory
		elif way == "netrc":
			home = self.tempdir()
			self.write(".netrc", f"machine 127.0.0.1 login {USER} password {SECRET}\n", directory=home)
			how["env"]["HOME"] = home
		elif way.startswith("JSON"):
			secret = {"JSON": SECRET, "JSON, from a file": {"file": self.write("secret", SECRET)},
			          "JSON, from a command": {"command": f"cat {self.write('secret', SECRET)}"}}[way]
			argv = ["--params", self.write("p.json", json.dumps({"username": USER, "password": secret, "body": "text"}))]
		return argv, how

	def logged_in(self, s):
		auths = s.session.auths
		self.assertEqual([(a["user"], a["ok"]) for a in auths], [(USER, True)])


WAYS = ("env", "variable", "file", "command", "fd", "credentials directory", "netrc", "JSON", "JSON, from a file", "JSON, from a command")


class Ways(Case):
	@tap.row("CLI-20", "AUT-08")
	@tap.table(*[(f"{way}, {mechanism}", way, mechanism) for way in WAYS for mechanism in ("PLAIN", "LOGIN")])
	def test_way(self, way, mechanism):
		"it authenticates, and a trace and a report do not show it: {0}"
		argv, how = self.argv_of(way)
		with server(auth=mechanism) as s:
			r = mc.run("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, TO, *argv, "-v", "--report=json", secrets=HIDDEN, **how)
			self.assertEqual(r.code, 0, r)
			self.logged_in(s)
			self.assertIn("AUTH", r.stderr)

	@tap.row("CLI-20", "AUT-08")
	@tap.table(*[(f"{way}, {fault}", way, stages) for way in ("env", "file", "command", "JSON") for fault, stages in (
		("535 that repeats it", {"auth_final": f"535 5.7.8 bad {SECRET} {INITIAL.decode()}"}), ("closed", {"auth_final": fake.close()}),
		("500", {"auth": "500 5.5.1 what?"}), ("echo", {"auth_final": f"535-{SECRET}"}))])
	def test_refused(self, way, stages):
		"a server that refuses it, and tells it to us: not to be seen either: {0}"
		argv, how = self.argv_of(way)
		with server(**stages) as s:
			r = mc.run("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), "--timeout", "2", *ARGS, TO, *argv, "-v", "--report=json",
			           secrets=HIDDEN, **how)
			self.assertIn(r.code, (75, 76, 77), r)

	@tap.row("CLI-20", "CFG-07")
	@tap.table(*WAYS)
	def test_print(self, way):
		"--print-params masks it: {0}"
		argv, how = self.argv_of(way)
		r = mc.run("--print-params", *ARGS, TO, *argv, secrets=HIDDEN, **how)
		self.assertEqual(r.code, 0, r)
		json.loads(r.stdout)

	@tap.row("CLI-20")
	def test_terminal(self):
		"asked for on a terminal, without echo"
		env, ca = mc.environment(), certs.ca()
		with server() as s:
			# between fork() and execve() nothing that another thread could have locked
			pid, terminal = pty.fork()
			if pid == 0:
				try:
					os.execve(mc.BINARY, [mc.BINARY, "-S", s.url, "--starttls", "--tls-ca-file", ca, *ARGS, TO, "--username", USER,
					                      "--body", "x"], env)
				finally:
					os._exit(127)
			seen = b""
			try:
				while b"assword" not in seen:
					seen += os.read(terminal, 1000)
				time.sleep(0.3)
				os.write(terminal, SECRET.encode() + b"\n")
				while octets := os.read(terminal, 1000):
					seen += octets
			except OSError:
				pass
			_, status = os.waitpid(pid, 0)
			os.close(terminal)
			self.assertEqual(os.waitstatus_to_exitcode(status), 0, seen)
			self.assertEqual(mc.leaks(HIDDEN, seen), [])
			self.logged_in(s)


class Traces(Case):
	@tap.row("CLI-20", "AUT-08", "CFG-07")
	@tap.table(*[w for w in WAYS if w not in ("fd",)])
	def test_written(self, way):
		"of everything written and sent, seen by strace, it is only in what goes to the server: {0}"
		argv, how = self.argv_of(way)
		log = os.path.join(self.tempdir(), "log")
		with fake.Server(auth="PLAIN", users={USER: SECRET}) as s:
			mc.run("-S", s.url, *ARGS, TO, *argv, "-v", "--report=json", secrets=HIDDEN, wrap=[
				"strace", "-f", "-y", "-o", log, "-s", "100000", "-xx", "-e",
				"trace=write,writev,pwrite64,sendto,sendmsg,execve,openat,rename,mkdir,unlink"], **how)
			self.logged_in(s)
		found = 0
		with open(log) as f:
			for line in f:
				line = re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)), line)
				leak = mc.leaks(HIDDEN, line.encode("latin-1", "replace"))
				if not leak:
					continue
				# Through the pipe of the command's own is the one other way.
				if "execve(" not in line and re.search(r"sendto\(\d+<(TCP|socket)", line):
					found += 1
				elif not ("command" in way and re.search(r"write\(1<pipe:", line)):
					self.fail(f"{leak}: {line[:300]}")
		self.assertEqual(found, 1)

	@tap.row("CLI-20", "CFG-07")
	@tap.table("env", "variable", "file", "JSON")
	def test_children(self, way):
		"a command that prints one secret is shown nothing of another: {0}"
		argv, how = self.argv_of(way)
		out = os.path.join(self.tempdir(), "seen")
		token = f"cat /proc/$$/environ /proc/$$/cmdline >{out}; echo a-token"
		with fake.Server(tls="starttls", auth="OAUTHBEARER", tokens={USER: "a-token"}) as s:
			r = mc.run("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, TO, *argv, "--oauth2-token-command", token, secrets=HIDDEN, **how)
			self.assertEqual(r.code, 0, r)
			self.logged_in(s)
		with open(out, "rb") as f:
			seen = f.read()
		self.assertIn(b"PATH=", seen)
		self.assertEqual(mc.leaks(HIDDEN, seen), [])

	@tap.row("CLI-20", "CFG-07")
	@tap.table("env", "variable", "file", "command", "JSON")
	def test_cmdline(self, way):
		"while it runs it is not in its command line: {0}"
		argv, how = self.argv_of(way)
		how["input"] = b""
		with server(data=[fake.delay(0.5), fake.default()]) as s:
			run = mc.start("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, TO, *argv, secrets=HIDDEN, **how)
			run.process.stdin.close()
			run.process.stdin = None
			run.input = None
			tmp.wait_for(lambda: s.sessions and any(c.startswith("DATA") for c in s.sessions[0].commands), 15, "DATA")
			with open(f"/proc/{run.pid}/cmdline", "rb") as f:
				self.assertEqual(mc.leaks(HIDDEN, f.read()), [])
			self.assertEqual(run.wait().code, 0)

	@tap.row("CLI-20", "CFG-07")
	@unittest.skipIf(ASAN, "the leak checker must be able to look into the process")
	@tap.table("env", "file", "command", "JSON")
	def test_core(self, way):
		"a process killed with SIGABRT amid the session leaves no core, and nobody else may look into it"
		argv, how = self.argv_of(way)
		place = self.tempdir()
		how["input"] = b""
		with server(mail=fake.silence()) as s:
			run = mc.start("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, TO, *argv, cwd=place, signal=signal.SIGABRT,
			               lines=None, secrets=HIDDEN, preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2),
			               **how)
			run.process.stdin.close()
			run.process.stdin = None
			run.input = None
			tmp.wait_for(lambda: s.sessions and s.sessions[0].auths, 15, "AUTH")
			with open(f"/proc/{run.pid}/limits") as f:
				self.assertRegex(f.read(), r"Max core file size\s+0\s")
			# What is not dumpable belongs to root.
			self.assertEqual(os.stat(f"/proc/{run.pid}/mem").st_uid, 0)
			run.kill(signal.SIGABRT)
			run.wait()
		self.assertEqual(os.listdir(place), [])

	@tap.row("AUT-08", "CFG-10")
	@unittest.skipIf(ASAN, "freed memory is kept by the sanitizer")
	@unittest.skipUnless(os.geteuid() == 0, "needs root to look into it")
	@tap.table("file", "command", "fd")
	def test_wiped(self, way):
		"best effort: once the session is open, how often it is still in the process's memory"
		argv, how = self.argv_of(way)
		how["input"] = b""
		with server(mail=fake.silence()) as s:
			run = mc.start("-S", s.url, "--starttls", "--tls-ca-file", certs.ca(), *ARGS, TO, *argv, lines=None, signal=9, secrets=HIDDEN, **how)
			run.process.stdin.close()
			run.process.stdin = None
			run.input = None
			tmp.wait_for(lambda: s.sessions and any(c.startswith("MAIL") for c in s.sessions[0].commands), 15, "MAIL")
			count = 0
			with open(f"/proc/{run.pid}/maps") as maps, open(f"/proc/{run.pid}/mem", "rb", 0) as mem:
				for line in maps:
					m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
					if not m:
						continue
					first, last = (int(x, 16) for x in m.groups())
					try:
						mem.seek(first)
						count += mem.read(last - first).count(SECRET.encode())
					except (OSError, ValueError):
						pass
			run.kill(9)
			run.wait()
		# Ours are wiped; libcurl keeps copies for as long as the session is open.
		self.assertLessEqual(count, 4)


class Bad(Case):
	def refused(self, code, *argv, says="", **how):
		"""Refused with @code before anything is connected."""
		with fake.Recorder() as nobody:
			r = mc.run("-S", f"smtp://127.0.0.1:{nobody.port}", *ARGS, TO, "--body", "x", *argv, **how)
			self.assertEqual(r.code, code, r)
			self.assertEqual(nobody.connections, 0)
		self.assertIn(says, r.stderr)
		return r

	@tap.row("CLI-20", "CFG-05")
	@tap.table(("fails", "echo {0}; exit 3", "exit status 3"), ("prints nothing", "true", "printed nothing"),
	           ("prints two lines", "echo {0}; echo {0}", "more than one line"),
	           ("prints over 64 KB", "yes {0} | tr -d '\\n' | head -c 70000", "octets"), ("hangs", "echo {0}; sleep 30", "did not end"),
	           ("is killed", "echo {0}; kill -9 $$", "137"), ("complains", "echo no key >&2; exit 1", "exit status 1"))
	def test_command(self, command, says):
		"a password command that {0}: 78 in time, and nothing of what it printed"
		script = self.write("script", "#!/bin/sh\n" + command.format("'" + SECRET + "'") + "\n", mode=0o700)
		# The shell's own word for it comes before ours.
		r = self.refused(78, "--username", USER, "--password-command", script, "--connect-timeout", "2", "--timeout", "2", says=says,
		                 secrets=HIDDEN, lines=2)
		self.assertLess(r.duration, 12 * mc.SLOW, r)

	@tap.row("CLI-20", "CFG-05")
	@tap.table(("not executable", "/etc/passwd"), ("missing", "/nonexistent/program"), ("a directory", "/"))
	def test_no_command(self, command):
		"a password command that is {0}: 78"
		self.refused(78, "--username", USER, "--password-command", command, says="cannot be run", lines=2)

	@tap.row("CLI-20", "CFG-06")
	@tap.table(("leading and trailing space", " a b ", 0), ("8-bit", "p\u00e4ssw\u00f6rt", 0), ("4 KB", "x" * 4000, 0), ("NUL", "a\0b", 78), ("CR", "a\rb", 78),
	           ("LF", "a\nb", 78), ("empty", "", 78), ("only a newline", "\n", 78), ("CRLF at the end", "secret\r\n", 78))
	def test_form(self, secret, code):
		"octets of a secret: {0}"
		path = self.write("secret", secret if code or not secret else secret + "\n")
		with fake.Server(auth="PLAIN", users={USER: secret}) as s:
			r = mc.run("-S", s.url, *ARGS, TO, "--username", USER, "--password-file", path, input="x\n")
			self.assertIn(r.code, (code, 77) if code == 78 else (code,), r)
			if not code:
				self.logged_in(s)
			else:
				self.assertEqual([a for x in s.sessions for a in x.auths], [])

	@tap.row("CLI-20")
	@tap.table("a params file", "a file of the secret")
	def test_readable(self, kind):
		"what others can read holds no secret: refused with the chmod that mends it: {0}"
		if kind == "a params file":
			path = self.write("p.json", json.dumps({"username": USER, "password": SECRET, "subject": "x"}), mode=0o644)
			argv = ["--params", path]
		else:
			path = self.write("secret", SECRET, mode=0o644)
			argv = ["--username", USER, "--password-file", path]
		r = self.refused(77, *argv, says="chmod", secrets=HIDDEN)
		self.assertIn(path, r.stderr)

	@tap.row("CLI-20")
	def test_not_for_dry_run(self):
		"a dry run asks for no secret"
		ran = os.path.join(self.tempdir(), "ran")
		r = mc.run("--dry-run", *ARGS, TO, "--username", USER, "--password-command", f"touch {ran}", input="x\n")
		self.assertEqual(r.code, 0, r)
		self.assertFalse(os.path.exists(ran))

	@tap.row("CLI-20")
	@tap.table("http://u:{0}@127.0.0.1:1", "socks5h://u:{0}@127.0.0.1:1")
	def test_proxy(self, url):
		"the credentials of a proxy are secret too: {0}"
		quoted = SECRET.replace("$", "%24").replace("!", "%21").replace("~", "%7E")
		with fake.Server() as s:
			for argv in (["-v"], ["--print-params"], ["--report=json"]):
				r = mc.run("-S", s.url, *ARGS, TO, *argv, input="x\n", env={"MAILCHUTE_PROXY": url.format(quoted)}, secrets=[SECRET, quoted])
				self.assertIn(r.code, (0, 75), r)


if __name__ == "__main__":
	tap.main(jobs=4)
