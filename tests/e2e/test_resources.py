#!/usr/bin/python3
"""A machine without room: disks, descriptors, memory, stack, processes, time. A clean error, or success; never a wrong verdict."""

import errno
import fcntl
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, tmp, wire  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, TO, delivered, refused  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534
TEXT = b"0123456789 0123456789 0123456789\n" * 20000
root_only = unittest.skipUnless(os.geteuid() == 0, "needs root")


def sanitized():
	with open(mc.BINARY, "rb") as program:
		return b"__asan_init" in program.read()


ASAN = sanitized()
plain_only = unittest.skipIf(ASAN or mc.WRAP, "the sanitizers and valgrind have the memory to themselves")
# The loader itself did not come up: not our program's verdict.
NOT_LOADED = (127, -9, -11, -6)


def limits(**which):
	def act():
		for name, value in which.items():
			number = getattr(resource, "RLIMIT_" + name.upper())
			resource.setrlimit(number, (value, value))
	return act


def on_tmpfs(options, directory):
	return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o {options} tmpfs "$1" && shift && exec "$@"', "sh", directory]


def bare(argv, env=None, input=b"text\n", preexec=None):
	"""A run that need not be ours to the end: (status, stdout, stderr)."""
	# The leak checker would need descriptors and a process of its own.
	p = subprocess.run([mc.BINARY, *argv], input=input, env=mc.environment({"ASAN_OPTIONS": "exitcode=99:detect_leaks=0", **(env or {})}), cwd=mc.home(), preexec_fn=preexec,
	                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * mc.SLOW)
	return p.returncode, p.stdout, p.stderr.decode("utf-8", "backslashreplace")


class Verdict(tap.Case):
	"""What we said against what the server has."""

	def compare(self, status, said, server, before, codes):
		time.sleep(0.01)
		for s in server.sessions[before:]:
			s.done.wait(5)
		taken = any(m.dot and m.delivered for s in server.sessions[before:] for m in s.messages)
		detail = f"exit {status}, the server {'has it' if taken else 'has it not'}: {said}"
		self.assertIn(status, codes, detail)
		if taken:
			self.assertIn(status, (0, 2), detail)
		else:
			self.assertNotEqual(status, 0, detail)
		if status:
			self.assertTrue(said.strip(), detail)


class Output(tap.Case):
	def argv(self, path):
		return ["--output", path, *ARGS, TO]

	@tap.row("RES-01", "RES-02")
	@root_only
	@tap.table(("ENOSPC", "size=64k", 74), ("EROFS", "ro", 73), ("no inodes", "nr_inodes=1", 73))
	def test_file(self, options, code):
		"--output where there is no room: {0}; no partial file"
		place = self.tempdir()
		listing = self.write("listing", "")
		wrap = on_tmpfs(options, place) + ["sh", "-c", '"$@"; rc=$?; ls -A "$0" >"$LISTING"; exit $rc', place]
		r = mc.run(*self.argv(os.path.join(place, "m.eml")), input=TEXT, wrap=wrap, env={"LISTING": listing})
		self.assertEqual(r.code, code, r)
		self.assertIn("m.eml", r.stderr)
		with open(listing) as f:
			self.assertEqual(f.read(), "")

	@tap.row("RES-01")
	@tap.table(("EFBIG", None), ("EIO", "EIO"), ("ENOSPC", "ENOSPC"), ("EDQUOT", "EDQUOT"))
	def test_kept(self, inject):
		"--output fails amid the message ({0}): what was there before stays, and nothing else is left"
		path = self.write("m.eml", "as it was")
		how = {"preexec": limits(fsize=100000)}
		if inject:
			how = {"wrap": ["strace", "-f", "-o", "/dev/null", "-e", "trace=write", "-e", f"inject=write:error={inject}:when=2+"]}
			# The line on standard error is a write as well.
			how["checks"] = False
		r = mc.run(*self.argv(path), input=TEXT, **how)
		self.assertEqual(r.code, 74, r)
		with open(path) as f:
			self.assertEqual(f.read(), "as it was")
		self.assertEqual(os.listdir(os.path.dirname(path)), ["m.eml"])

	@tap.row("RES-01")
	def test_close(self):
		"an error that comes only when the file is closed"
		path = os.path.join(self.tempdir(), "m.eml")
		log = os.path.join(self.tempdir(), "log")
		mc.run(*self.argv(path), input=TEXT, wrap=["strace", "-o", log, "-e", "trace=close,openat,rename"])
		with open(log) as f:
			before, _, after = f.read().partition("m.eml.")
		self.assertIn("close(", after)
		os.unlink(path)
		n = before.count("close(") + 1
		r = mc.run(*self.argv(path), input=TEXT, wrap=[
			"strace", "-o", "/dev/null", "-e", "trace=close", "-e", f"inject=close:error=EIO:when={n}"])
		self.assertEqual(r.code, 74, r)
		self.assertEqual(os.listdir(os.path.dirname(path)), [])

	@tap.row("RES-01", "RES-07")
	@tap.table("/dev/full", "closed pipe", "full disk")
	def test_dry_run(self, where):
		"a dry run to {0}: 74"
		if where == "/dev/full":
			out = open("/dev/full", "wb")
		elif where == "closed pipe":
			ours, theirs = os.pipe()
			os.close(ours)
			out = os.fdopen(theirs, "wb")
		else:
			out = open(os.path.join(self.tempdir(), "out"), "wb")
		with out:
			how = {"preexec": limits(fsize=50000)} if where == "full disk" else {}
			r = mc.run("--dry-run", *ARGS, TO, input=TEXT, stdout_file=out, **how)
		self.assertEqual(r.code, 74, r)
		self.assertIn("standard output", r.stderr)

	@tap.row("RES-07")
	@tap.table(("/dev/full, JSON", "/dev/full", "json"), ("/dev/full, text", "/dev/full", "text"), ("closed pipe", None, "json"))
	def test_report(self, path, form):
		"the message is sent and its report cannot be written ({0}): 74, and it says that it was the report"
		if path:
			out = open(path, "wb")
		else:
			ours, theirs = os.pipe()
			os.close(ours)
			out = os.fdopen(theirs, "wb")
		with out, fake.Server() as server:
			r = mc.run("-S", server.url, *ARGS, TO, f"--report={form}", input="x\n", stdout_file=out)
			self.assertEqual(r.code, 74, r)
			self.assertIn("report", r.stderr)
			self.assertEqual(server.message.delivered, [TO])

	@tap.row("RES-07")
	@tap.table("--help", "--version", "--print-schema", "--print-params")
	def test_print(self, flag):
		"{0} to a full device: 74"
		with open("/dev/full", "wb") as out:
			r = mc.run(flag, *ARGS, TO, stdout_file=out, lines=1)
		self.assertEqual(r.code, 74, r)

	@tap.row("RES-06", "RES-07")
	def test_slow_reader(self):
		"a slow reader, and a pipe that does not block: all of it"
		ours, theirs = os.pipe()
		fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
		os.set_blocking(theirs, False)
		got = bytearray()

		def read():
			while octets := os.read(ours, 3000):
				got.extend(octets)
				time.sleep(0.001)
		thread = threading.Thread(target=read, daemon=True)
		thread.start()
		with os.fdopen(theirs, "wb") as out:
			r = mc.run("--dry-run", *ARGS, TO, input=TEXT, stdout_file=out)
		thread.join(20)
		os.close(ours)
		self.assertEqual(r.code, 0, r)
		self.assertEqual(wire.message(bytes(got)), [])
		self.assertTrue(bytes(got).endswith(TEXT.replace(b"\n", b"\r\n")))

	@tap.row("RES-06")
	def test_slow_writer(self):
		"standard input that does not block, with pauses: all of it"
		ours, theirs = os.pipe()
		os.set_blocking(ours, False)

		def write():
			for at in range(0, len(TEXT), len(TEXT) // 5 + 1):
				os.write(theirs, TEXT[at:at + len(TEXT) // 5 + 1][:60000])
				time.sleep(0.1)
			os.close(theirs)
		thread = threading.Thread(target=write, daemon=True)
		thread.start()
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, TO, stdin=ours)
		thread.join(20)
		os.close(ours)
		self.assertGreater(message.octets, 300000)


class Descriptors(Verdict):
	@tap.row("RES-03")
	@tap.limit(300)
	def test_nofile(self):
		"3 to 20 descriptors: 71, or it is sent; never anything between"
		path = self.write("a.bin", b"\0")
		seen = set()
		with fake.Server() as server:
			for n in range(3, 21):
				before = len(server.sessions)
				status, _, said = bare(["-S", server.url, *ARGS, TO, "-a", path], preexec=limits(nofile=n))
				if status in NOT_LOADED or "shared object" in said or "shared librar" in said:
					continue
				with self.subTest(n=n):
					self.compare(status, said, server, before, (0, 71))
				seen.add(status)
		self.assertEqual(seen, {0, 71})

	@tap.row("RES-03")
	@tap.limit(300)
	@tap.table(("STARTTLS and AUTH", {"tls": "starttls", "auth": "PLAIN", "users": {"u": "pw"}}), ("LMTP", {"lmtp": True, "unix": True}))
	def test_nofile_kinds(self, how):
		"few descriptors: {0}"
		argv = ["--starttls", "--tls-ca-file", certs.ca(), "--username", "u", "--password-command", "echo pw"] if "tls" in how else []
		seen = set()
		with fake.Server(**how) as server:
			url = server.url_for("localhost") if not server.unix else server.url
			for n in range(4, 24):
				before = len(server.sessions)
				status, _, said = bare(["-S", url, *argv, *ARGS, TO], preexec=limits(nofile=n))
				if status in NOT_LOADED or "shared object" in said or "shared librar" in said:
					continue
				with self.subTest(n=n):
					self.compare(status, said, server, before, (0, 71))
				seen.add(status)
		self.assertIn(0, seen)

	@tap.row("RES-03")
	@tap.table("0", "1", "2", "01", "02", "12", "012")
	def test_closed(self, which):
		"started with descriptors {0} closed: nothing of the message goes where it does not belong"
		path = self.write("a.bin", b"\0content")
		out = os.path.join(self.tempdir(), "m.eml")

		def close():
			for fd in which:
				os.close(int(fd))
		with fake.Server() as server:
			p = subprocess.run([mc.BINARY, "-S", server.url, *ARGS, TO, "--body", "x", "-a", path], preexec_fn=close,
			                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=mc.environment(), timeout=30)
			self.assertEqual((p.returncode, p.stdout, p.stderr), (0, b"", b""))
			self.assertEqual(locally.leaves(server.message.data)[1], b"\0content")
			self.assertEqual(server.lint, [])
		p = subprocess.run([mc.BINARY, "--output", out, *ARGS, TO, "--body", "x", "-a", path], preexec_fn=close,
		                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=mc.environment(), timeout=30)
		self.assertEqual((p.returncode, p.stdout, p.stderr), (0, b"", b""))
		with open(out, "rb") as f:
			self.assertEqual(wire.message(f.read()), [])

	@tap.row("RES-03")
	def test_closed_wanted(self):
		"standard input and output that are needed and closed are errors"
		p = subprocess.run([mc.BINARY, "--dry-run", *ARGS, TO], preexec_fn=lambda: os.close(0), stdout=subprocess.PIPE,
		                   stderr=subprocess.PIPE, env=mc.environment(), timeout=30)
		self.assertIn(p.returncode, (66, 74))
		p = subprocess.run([mc.BINARY, "--dry-run", *ARGS, TO, "--body", "x"], preexec_fn=lambda: os.close(1),
		                   stderr=subprocess.PIPE, env=mc.environment(), timeout=30)
		self.assertEqual(p.returncode, 74)


class Memory(Verdict):
	@classmethod
	def setUpClass(cls):
		cls.directory = tmp.directory()
		cls.shim = os.path.join(cls.directory, "shim.so")
		subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", cls.shim, os.path.join(HERE, "shim.c"), "-ldl"], check=True)

	@classmethod
	def tearDownClass(cls):
		tmp.remove(cls.directory)

	def count(self, argv):
		path = os.path.join(self.tempdir(), "count")
		status, _, said = bare(argv, {"LD_PRELOAD": self.shim, "SHIM_COUNT": path})
		self.assertEqual(status, 0, said)
		with open(path) as f:
			return int(f.read())

	def sweep(self, server, argv, on, share):
		"""Fail single allocations of ours and of libcurl's, all over the run."""
		n = self.count(argv)
		self.assertGreater(n, 100)
		step = max(1, n // share)
		wrong = crashed = 0
		for at in range(1, n + 1, step):
			before = len(server.sessions)
			env = {"LD_PRELOAD": self.shim, "SHIM_FAIL": str(at)}
			if on:
				env["SHIM_ON"] = "1"
			status, _, said = bare(argv, env)
			if status == -6 and "double free" in said:
				# libcurl 7.88.1's own, when its list of TLS sessions has no room: one allocation of the whole run.
				crashed += 1
				continue
			with self.subTest(allocation=at, of=n):
				self.compare(status, said, server, before, (0, 71))
				wrong += status != 0
		self.assertGreater(wrong, 0)
		self.assertLessEqual(crashed, 2)

	@tap.row("RES-04")
	@plain_only
	@tap.limit(400)
	@tap.table(("one fails", False), ("all fail from there", True))
	def test_allocation(self, on):
		"a message to a plain server: {0}"
		with fake.Server() as server:
			self.sweep(server, ["-S", server.url, *ARGS, TO], on, 300)

	@tap.row("RES-04")
	@plain_only
	@tap.limit(400)
	@tap.table(("one fails", False), ("all fail from there", True))
	def test_allocation_tls(self, on):
		"STARTTLS and AUTH: {0}"
		secret = self.write("secret", "pw\n")
		with fake.Server(tls="starttls", auth="PLAIN", users={"u": "pw"}) as server:
			self.sweep(server, ["-S", server.url, "--starttls", "--tls-ca-file", certs.ca(), "--username", "u", "--password-file", secret,
			                    *ARGS, TO], on, 300)

	@tap.row("RES-04")
	@plain_only
	@tap.table(("SMTP", {}, 1), ("a thousand recipients", {}, 1000), ("LMTP", {"lmtp": True}, 20), ("implicit TLS", {"tls": "implicit"}, 3))
	def test_after_dot(self, how, many):
		"no memory left from the final dot on: an accepted message is reported as accepted, {0}"
		argv = ["--tls-ca-file", certs.ca()] if how.get("tls") else []
		rcpts = [f"r{n}@example.org" for n in range(many)]
		with fake.Server(**how) as server:
			status, out, said = bare(["-S", server.url, "--report=json", *argv, *ARGS, *rcpts], {"LD_PRELOAD": self.shim, "SHIM_DOT": "1"})
			self.assertEqual((status, said), (0, ""))
			report = json.loads(out)
			self.assertEqual([(p["address"], p["state"]) for p in report["recipients"]], [(r, "accepted") for r in rcpts])
			self.assertEqual(server.messages[0].delivered, rcpts)

	@tap.row("RES-04")
	@plain_only
	@tap.limit(300)
	def test_address_space(self):
		"little address space: 71, or it is sent"
		seen = set()
		with fake.Server() as server:
			for megabytes in (*range(8, 40, 2), 48, 64, 96, 128, 256):
				before = len(server.sessions)
				status, _, said = bare(["-S", server.url, *ARGS, TO], input=TEXT * 3, preexec=limits(**{"as": megabytes << 20}))
				if status in NOT_LOADED or "shared object" in said or "shared librar" in said:
					continue
				with self.subTest(megabytes=megabytes):
					self.compare(status, said, server, before, (0, 71))
				seen.add(status)
		self.assertIn(0, seen)

	@tap.row("RES-06")
	@plain_only
	@tap.limit(300)
	@tap.table(("SMTP", {}), ("STARTTLS and AUTH", {"tls": "starttls", "auth": "PLAIN", "users": {"u": "pw"}}), ("LMTP", {"lmtp": True, "unix": True}))
	def test_short(self, how):
		"every read and write is short and interrupted: {0}"
		argv = ["--starttls", "--tls-ca-file", certs.ca(), "--username", "u", "--password-command", "echo pw"] if "tls" in how else []
		blob = self.write("a.bin", os.urandom(20000))
		env = {"LD_PRELOAD": self.shim, "SHIM_SHORT": "7"}
		with fake.Server(**how) as server:
			message = delivered(self, server, *argv, *ARGS, TO, "-a", blob, "--report=json", input=TEXT[:20000], env=env)
			with open(blob, "rb") as f:
				self.assertEqual(locally.leaves(message.data)[1], f.read())


class Interrupted(tap.Case):
	@tap.row("RES-06")
	@tap.limit(300)
	@tap.table(*[(name, name) for name in ("read", "write", "recvfrom", "sendto", "poll", "openat", "getrandom")])
	def test_eintr(self, name):
		"every second {0}() is interrupted"
		blob = self.write("a.bin", os.urandom(300000))
		more = ",ppoll" if name == "poll" else ""
		with fake.Server() as server:
			# The loader's own reads are not ours to repeat.
			only = ["-P", blob] if name in ("read", "openat") else []
			message = delivered(self, server, *ARGS, TO, "-a", blob, input=TEXT, wrap=[
				"strace", "-o", "/dev/null", *only, "-e", f"trace={name}{more}", "-e", f"inject={name}{more}:error=EINTR:when=1+2"])
			with open(blob, "rb") as f:
				self.assertEqual(locally.leaves(message.data)[1], f.read())

	@tap.row("RES-06")
	def test_timer(self):
		"signals that mean nothing to us, a thousand a second"
		blob = self.write("a.bin", os.urandom(3000000))
		with fake.Server(body=fake.at(1, fake.slow(3000000))) as server:
			run = mc.start("-S", server.url, *ARGS, TO, "--body", "x", "-a", blob)
			tmp.wait_for(lambda: server.sessions and server.sessions[0].commands, 10, "the session")
			for _ in range(500):
				if run.process.poll() is not None:
					break
				run.kill(28)            # WINCH
				time.sleep(0.001)
			r = run.wait()
			self.assertEqual(r.code, 0, r)
			with open(blob, "rb") as f:
				self.assertEqual(locally.leaves(server.message.data)[1], f.read())


class Stack(tap.Case):
	@tap.row("RES-05")
	@unittest.skipIf(ASAN, "the sanitizers need a stack of their own")
	@tap.table(("64 KiB, a plain message", 64, False), ("128 KiB, a deep tree", 128, True), ("256 KiB, a deep tree", 256, True))
	def test_stack(self, kilobytes, deep):
		"a stack of {0}, many recipients"
		tree = '"x"'
		for _ in range(300 if deep else 0):
			tree = '{"parts":[{"body":%s}]}' % tree
		job = self.write("job.json", '{"from":"a@example.net","to":[%s],"body":%s}' % (
			",".join(f'"r{n}@example.org"' for n in range(2000)), tree))
		with fake.Server() as server:
			r = mc.run("-S", server.url, "--params", job, preexec=limits(stack=kilobytes << 10))
			self.assertEqual(r.code, 0, r)
			self.assertEqual(sum(len(m.rcpts) for m in server.messages), 2000)

	@tap.row("RES-05")
	@root_only
	@unittest.skipIf(ASAN, "the leak checker is a process of its own")
	@tap.table(("a plain message", [], (0,)), ("by the name of the host", ["localhost"], (0, 71)),
	           ("a secret by command", ["--username", "u", "--password-command", "echo pw"], (71,)))
	def test_processes(self, argv, codes):
		"no process and no thread can be made: {0}"
		with fake.Server(auth="PLAIN", users={"u": "pw"}) as server:
			url = server.url_for("localhost") if argv == ["localhost"] else server.url
			r = mc.run("-S", url, *ARGS, TO, *([] if argv == ["localhost"] else argv), preexec=limits(nproc=1), lines=1, wrap=[
				"setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
			self.assertIn(r.code, codes, r)


class Clock(tap.Case):
	LIBRARY = next((p for p in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1")
	                if os.path.exists(p)), None)

	def env(self, text, **more):
		if not self.LIBRARY:
			self.skipTest("libfaketime is not installed")
		return {"LD_PRELOAD": self.LIBRARY, "FAKETIME": text, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC",
		        **more}

	@tap.row("RES-10")
	@unittest.skipIf(ASAN, "libfaketime and the sanitizers both want to be first")
	@tap.table(("1970", "1970-01-01 00:00:10", "Thu, 01 Jan 1970"), ("2038", "2038-01-20 00:00:00", "Wed, 20 Jan 2038"),
	           ("2106", "2106-02-08 00:00:00", "Mon, 08 Feb 2106"), ("a leap day", "2000-02-29 12:00:00", "Tue, 29 Feb 2000"))
	def test_year(self, when, date):
		"the clock says {0}: Date says so too, and nothing times out"
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, TO, env=self.env(when), input="x\n")
			self.assertTrue(message.parsed()["date"].startswith(date), message.parsed()["date"])

	@tap.row("RES-10")
	@unittest.skipIf(ASAN, "libfaketime and the sanitizers both want to be first")
	@tap.table(("an hour on", "+3600"), ("an hour back", "-3600"), ("a year on", "+1y"), ("a year back", "-1y"))
	def test_jump(self, jump):
		"the clock jumps {0} amid the session: no timer minds"
		rc = self.write("rc", "+0\n")

		def turn(session):
			with open(rc, "w") as f:
				f.write(jump + "\n")
		with fake.Server(data=[turn, fake.delay(0.3), fake.default()], dot=[fake.delay(0.5), fake.default()]) as server:
			env = self.env("+0", FAKETIME=None, FAKETIME_TIMESTAMP_FILE=rc, FAKETIME_NO_CACHE="1")
			r = mc.run("-S", server.url, *ARGS, TO, "--report=json", "--timeout", "10", env=env, input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertLess(abs(r.json["timings_ms"]["total"]), 20000)
			self.assertGreaterEqual(r.json["timings_ms"]["total"], 800)


if __name__ == "__main__":
	tap.main(jobs=2)
