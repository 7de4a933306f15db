#!/usr/bin/python3
"""Signals and sudden death: before the dot nothing can have been accepted, after it the reply is awaited for a while."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, tmp  # noqa: E402

BOB = "bob@example.org"
# More than the buffers of both sockets hold.
BIG = b"0123456789 0123456789 0123456789 0123456789\n" * 300000
ROOM = ["--timeout", "30", "--connect-timeout", "30", "--dot-timeout", "30"]
ARGS = ["-f", "ann@example.net", "-s", "hello", "--report=json", *ROOM]
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Case(tap.Case):
	def reach(self, server, reached, *argv, number=signal.SIGTERM, input="text\n", **how):
		"""Run until @reached is set, then signal; the run, not yet waited for."""
		run = mc.start("-S", server.url, *ARGS, *argv, BOB, input=input, signal=how.pop("wanted", number), lines=None, **how)
		if input and run.own_stdin:
			threading.Thread(target=self.feed, args=(run,), daemon=True).start()
		self.assertTrue(reached.wait(20 * mc.SLOW), "the stage was not reached")
		time.sleep(0.1)
		run.kill(number)
		run.signalled = time.monotonic()
		return run

	@staticmethod
	def feed(run):
		"""Standard input, while nobody waits for the process yet."""
		octets, run.input = run.input, None
		try:
			run.process.stdin.write(octets)
			run.process.stdin.close()
		except OSError:
			pass
		run.process.stdin = None

	def end(self, run, within):
		r = run.wait()
		self.assertLess(time.monotonic() - run.signalled, within * mc.SLOW, r)
		return r


def mark():
	"""An event, and the action that sets it."""
	event = threading.Event()

	def act(s):
		s.flush()
		event.set()
	return event, act


STAGES = [(f"{stage}, {number.name}", stage, number)
          for stage in ("greeting", "ehlo", "auth", "mail", "rcpt", "data") for number in ENDING]


class BeforeTheDot(Case):
	@tap.row("SIG-01")
	@tap.table(*STAGES)
	def test_stage(self, stage, number):
		"the connection is dropped, no dot, and it dies of the signal: {0}"
		event, act = mark()
		script = {"sessions": [{stage: [act, fake.silence()]}]}
		with fake.Server(auth="PLAIN", auth_clear=True, **script) as server:
			run = self.reach(server, event, "--username", "u", "--password-env", "PW", number=number, env={"PW": "secret pw"},
			                 secrets=["secret pw"])
			r = self.end(run, 2)
			p = r.json["recipients"][0]
			self.assertEqual((p["state"], p["stage"]), ("deferred", stage), r)
			self.assertEqual(len(r.lines), 1, r)
			self.assertFalse([m for m in server.messages if m.dot])
			self.assertNotIn("QUIT", server.session.commands)

	@tap.row("SIG-01")
	@tap.table(("10 %", 1_300_000), ("90 %", 11_700_000))
	def test_body(self, octets):
		"amid the message, at {0} of it"
		event, act = mark()
		with fake.Server(body=fake.at(octets, act, fake.deaf()), rcvbuf=16384) as server:
			run = self.reach(server, event, input=BIG)
			if octets > 8_000_000:
				# The rest may lie in the sockets' buffers already, the dot with it.
				r = self.end(run, 7)
				self.assertIn(r.json["recipients"][0]["state"], ("deferred", "unknown"), r)
			else:
				r = self.end(run, 2)
				self.assertEqual(r.json["recipients"][0]["state"], "deferred", r)
				self.assertEqual(r.json["recipients"][0]["stage"], "data", r)
			self.assertFalse(server.messages[0].dot)

	@tap.row("SIG-01")
	def test_connect(self):
		"while connecting"
		with fake.Filtered() as nowhere:
			run = mc.start("-S", f"smtp://127.0.0.1:{nowhere.port}", *ARGS, BOB, input="text\n", signal=signal.SIGTERM, lines=None)
			threading.Thread(target=self.feed, args=(run,), daemon=True).start()
			time.sleep(0.5)
			run.kill()
			run.signalled = time.monotonic()
			r = self.end(run, 2)
			self.assertEqual(r.json["recipients"][0]["stage"], "connect", r)

	@tap.row("SIG-01")
	@tap.table(("smtps", "smtps"), ("lmtps", "lmtps"))
	def test_handshake(self, scheme):
		"amid the TLS handshake: {0}"
		with fake.Recorder() as mute:
			run = mc.start("-S", f"{scheme}://127.0.0.1:{mute.port}", *ARGS, "--tls-ca-file", certs.ca(), BOB, input="text\n",
			               signal=signal.SIGTERM, lines=None)
			threading.Thread(target=self.feed, args=(run,), daemon=True).start()
			tmp.wait_for(lambda: mute.octets, 10, "the ClientHello")
			run.kill()
			run.signalled = time.monotonic()
			r = self.end(run, 2)
			self.assertEqual(r.json["recipients"][0]["state"], "deferred", r)

	@tap.row("SIG-01")
	def test_reading(self):
		"while standard input has not ended: nothing is connected"
		read, write = os.pipe()
		with fake.Recorder() as nobody:
			run = mc.start("-S", f"smtp://127.0.0.1:{nobody.port}", "-f", "ann@example.net", BOB, stdin=read, signal=signal.SIGTERM,
			               lines=None)
			os.close(read)
			os.write(write, b"half a message\n")
			time.sleep(0.3)
			run.kill()
			run.signalled = time.monotonic()
			self.end(run, 2)
			os.close(write)
			self.assertEqual(nobody.connections, 0)

	@tap.row("SIG-01")
	def test_next_transaction(self):
		"between two transactions: what was accepted stands, no further one is begun"
		event, act = mark()
		with fake.Server(rset="250 ok", sessions=[{"mail": fake.turns(None, [act, fake.silence()])}]) as server:
			run = self.reach(server, event, "--max-rcpt", "1", "ann@example.org")
			r = self.end(run, 2)
			self.assertEqual([p["state"] for p in r.json["recipients"]], ["accepted", "deferred"], r)
			self.assertEqual(len(server.sessions), 1)


class AfterTheDot(Case):
	@tap.row("SIG-01")
	@tap.table(*[(n.name, n) for n in ENDING])
	def test_answered(self, number):
		"the reply that comes within the grace counts: {0}"
		event, act = mark()
		with fake.Server(dot=[act, fake.delay(1.5), "250 2.0.0 ok"]) as server:
			r = self.end(self.reach(server, event, number=number), 4)
			self.assertEqual(r.json["recipients"][0]["state"], "accepted", r)
			self.assertEqual(r.lines, [], r)

	@tap.row("SIG-01")
	def test_unanswered(self):
		"no reply within 5 s: unknown, and says so"
		event, act = mark()
		with fake.Server(dot=[act, fake.silence()]) as server:
			run = self.reach(server, event)
			r = self.end(run, 7)
			self.assertGreater(time.monotonic() - run.signalled, 4, r)
			self.assertEqual(r.json["recipients"][0]["state"], "unknown", r)
			self.assertIn("may have been delivered", r.stderr)

	@tap.row("SIG-01")
	def test_next_transaction(self):
		"a reply within the grace, and recipients left: no further transaction is begun"
		event, act = mark()
		with fake.Server(dot=[act, fake.delay(1), "250 2.0.0 ok"]) as server:
			r = self.end(self.reach(server, event, "--max-rcpt", "1", "a@example.org"), 4)
			self.assertEqual(r.json["recipients"][0]["state"], "accepted", r)
			self.assertIn(r.json["recipients"][1]["state"], ("deferred", "not_attempted"), r)
			self.assertEqual(len(server.messages), 1, r)
			self.assertEqual(len(server.sessions), 1, r)

	@tap.row("SIG-01")
	def test_lmtp(self):
		"LMTP, some replies before the signal, none after: those stand, the others are unknown"
		event, act = mark()
		with fake.Server(lmtp=True, dot=[fake.reply("250 ok"), act, fake.silence()]) as server:
			r = self.end(self.reach(server, event, "a@example.org"), 7)
			self.assertEqual([p["state"] for p in r.json["recipients"]], ["accepted", "unknown"], r)

	@tap.row("SIG-02")
	@tap.table(("TERM TERM", signal.SIGTERM), ("TERM INT", signal.SIGINT), ("TERM HUP", signal.SIGHUP))
	def test_second(self, second):
		"a second signal ends the wait at once: {0}"
		event, act = mark()
		with fake.Server(dot=[act, fake.silence()]) as server:
			run = self.reach(server, event, wanted=second)
			time.sleep(0.5)
			run.kill(second)
			run.signalled = time.monotonic()
			r = self.end(run, 1.5)
			self.assertEqual(r.json["recipients"][0]["state"], "unknown", r)

	@tap.row("SIG-01")
	def test_quit(self):
		"while QUIT is not answered: it was sent, and is said"
		event, act = mark()
		with fake.Server(quit=[act, fake.silence()]) as server:
			run = mc.start("-S", server.url, *ARGS, BOB, input="text\n", checks=False)
			threading.Thread(target=self.feed, args=(run,), daemon=True).start()
			self.assertTrue(event.wait(10))
			run.kill()
			r = run.wait()
			self.assertIn((r.code, r.signal), ((0, 0), (None, signal.SIGTERM)), r)
			self.assertEqual(r.json["recipients"][0]["state"], "accepted", r)


class Inherited(Case):
	@tap.row("SIG-06")
	@tap.table(*[(n.name, n) for n in ENDING])
	def test_ignored(self, number):
		"what was ignored at start (nohup) stays ignored: {0}"
		event, act = mark()
		with fake.Server(mail=[act, fake.delay(0.6), fake.default()]) as server:
			run = self.reach(server, event, number=number, wanted=0, preexec=lambda: signal.signal(number, signal.SIG_IGN))
			self.assertEqual(self.end(run, 5).code, 0)

	@tap.row("SIG-06")
	@tap.table(*[(n.name, n) for n in ENDING])
	def test_blocked(self, number):
		"an inherited mask of blocked signals is reset: {0}"
		event, act = mark()
		with fake.Server(mail=[act, fake.silence()]) as server:
			run = self.reach(server, event, number=number,
			                 preexec=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)))
			self.end(run, 2)

	@tap.row("SIG-06")
	def test_children(self):
		"SIGCHLD ignored by the parent: a password command works all the same"
		with fake.Server(auth="PLAIN", auth_clear=True, users={"u": "pass word"}) as server:
			r = mc.run("-S", server.url, *ARGS, "--username", "u", "--password-command", "echo 'pass word'", BOB, input="text\n",
			           preexec=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN), secrets=["pass word"])
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.session.auths[0]["ok"])

	@tap.row("SIG-06")
	def test_orphan(self):
		"the parent dies: the message is sent"
		path = self.write("text", b"text\n")
		with fake.Server(greeting=[fake.delay(0.7), fake.default()]) as server:
			subprocess.run(["/bin/sh", "-c", '"$@" & exit 0', "sh", mc.BINARY, "-S", server.url, *ROOM, "-f", "ann@example.net",
			                "--body-file", path, BOB], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
			               stderr=subprocess.DEVNULL, env=mc.environment(), check=True)
			self.assertTrue(server.message.dot)
			self.assertEqual(server.message.delivered, [BOB])

	@tap.row("SIG-07")
	@tap.table(*[(n.name, n) for n in (signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD,
	                                   signal.SIGURG, signal.SIGXFSZ)])
	def test_others(self, number):
		"no effect: {0}"
		event, act = mark()
		with fake.Server(mail=[act, fake.delay(0.5), fake.default()]) as server:
			run = self.reach(server, event, number=number, wanted=0)
			self.assertEqual(self.end(run, 5).code, 0)

	@tap.row("SIG-07")
	def test_stopped(self):
		"stopped and continued: no effect"
		event, act = mark()
		with fake.Server(mail=[act, fake.delay(0.5), fake.default()]) as server:
			run = self.reach(server, event, number=signal.SIGSTOP, wanted=0)
			time.sleep(0.3)
			run.kill(signal.SIGCONT)
			self.assertEqual(self.end(run, 5).code, 0)

	@tap.row("SIG-07")
	def test_file_size(self):
		"a limit of file size is an error of writing, not a death"
		path = os.path.join(self.tempdir(), "out.eml")
		r = mc.run("--output", path, "-f", "ann@example.net", BOB, input="x" * 70 + "\n" * 5 + "text\n" * 20000,
		           preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
		self.assertEqual(r.code, 74, r)
		self.assertFalse(os.path.exists(path), "a part of a message was left behind")

	@tap.row("SIG-08")
	def test_core(self):
		"with a secret in memory there is no core: the limit is 0, and the process is not dumpable"
		event, act = mark()
		with fake.Server(auth="PLAIN", auth_clear=True, sessions=[{"mail": [act, fake.silence()]}]) as server:
			run = mc.start("-S", server.url, *ARGS, "--username", "u", "--password-env", "PW", BOB, input="text\n",
			               env={"PW": "secret pw"}, signal=signal.SIGABRT, lines=None, cwd=(where := self.tempdir()),
			               preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
			threading.Thread(target=self.feed, args=(run,), daemon=True).start()
			self.assertTrue(event.wait(10))
			with open(f"/proc/{run.pid}/limits", encoding="ascii") as f:
				core = [line.split() for line in f if line.startswith("Max core file size")]
			self.assertEqual(core[0][4:6], ["0", "0"])
			run.kill(signal.SIGABRT)
			run.wait()
			self.assertEqual(os.listdir(where), [])


class Pipes(Case):
	@tap.row("SIG-04")
	@tap.table(("--report=json", "--report=json"), ("--report=text", "--report=text"))
	def test_stdout_gone(self, flag):
		"the reader of the report has gone: the message is sent, 74 says that the report is not: {0}"
		read, write = os.pipe()
		os.close(read)
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "ann@example.net", flag, BOB, input="text\n", stdout_file=write)
			os.close(write)
			self.assertEqual(r.code, 74, r)
			self.assertEqual(server.message.delivered, [BOB])

	@tap.row("SIG-04")
	def test_stdout_gone_dry(self):
		"the reader of a dry run has gone: 74"
		read, write = os.pipe()
		os.close(read)
		r = mc.run("-n", "-f", "ann@example.net", BOB, input=b"text\n" * 50000, stdout_file=write)
		os.close(write)
		self.assertEqual(r.code, 74, r)

	@tap.row("SIG-04")
	def test_stderr_gone(self):
		"nobody reads standard error: the exit code says it"
		read, write = os.pipe()
		os.close(read)
		r = mc.run("-S", f"127.0.0.1:{fake.closed_port()}", "-f", "ann@example.net", BOB, input="text\n", stderr_file=write,
		           checks=False)
		os.close(write)
		self.assertEqual(r.code, 75, r)

	@tap.row("SIG-04")
	def test_server_resets(self):
		"the server resets while we write: no SIGPIPE, 75"
		with fake.Server(body=fake.at(200000, fake.rst())) as server:
			r = mc.run("-S", server.url, "-f", "ann@example.net", BOB, input=BIG)
			self.assertEqual(r.code, 75, r)
			self.assertFalse(server.message.dot)

	@tap.row("SIG-04")
	@tap.table(("closed at once", "exec >&-; sleep 0.1"), ("ends by a signal", "kill -9 $$"), ("writes nothing", "true"))
	def test_command_pipe(self, command):
		"a password command that {0}: an error, nothing connected"
		with fake.Recorder() as nobody:
			r = mc.run("-S", f"127.0.0.1:{nobody.port}", "-f", "ann@example.net", "--username", "u", "--password-command", command,
			           BOB, input="text\n")
			self.assertNotIn(r.code, (0, 1, 2, 70), r)
			self.assertEqual(nobody.connections, 0)


class Kill(tap.Case):
	"""SIG-03. strace makes the kernel kill the process as it enters its Nth system call."""

	TEXT = b"0123456789 0123456789\n" * 20000 + b"the end\n"

	def points(self):
		path = os.path.join(self.tempdir(), "trace")
		# A leak sanitizer traces as well, and two cannot.
		env = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0"}
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "ann@example.net", BOB, input=self.TEXT, env=env,
			           wrap=["strace", "-f", "-qq", "-o", path, "--"])
			self.assertEqual(r.code, 0, r)
		with open(path, encoding="utf-8", errors="replace") as f:
			return sum("(" in line for line in f)

	def killed_at(self, number):
		with fake.Server() as server:
			run = mc.start("-S", server.url, "-f", "ann@example.net", BOB, input=self.TEXT, checks=False,
			               wrap=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=all:signal=KILL:when={number}", "--"])
			run.wait()
			for session in server.sessions:
				session.done.wait(5)
			for m in server.messages:
				if m.delivered:
					self.assertTrue(m.dot)
					self.assertTrue(m.data.endswith(b"the end\r\n"), f"truncated and accepted at system call {number}")
			return any(m.delivered for m in server.messages)

	@tap.row("SIG-03")
	@tap.limit(500)
	def test_kill(self):
		"killed at any system call: the server has the whole message or none"
		trial = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False) \
			if os.path.exists("/usr/bin/strace") else None
		if trial is None or trial.returncode:
			self.skipTest("no strace that may trace")
		count = self.points()
		self.assertGreater(count, 100)
		# Every one of them where there is time (tests/run.sh --full), else some all over.
		step = 1 if os.environ.get("MC_FULL") else max(1, count // 40)
		got = [self.killed_at(n) for n in range(1, count + 1, step)]
		self.assertFalse(got[0])


if __name__ == "__main__":
	tap.main(jobs=6)
