#!/usr/bin/python3
"""LMTP (RFC 2033): a reply for each accepted recipient, and the sockets it is spoken over."""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import fake, mc, tap  # noqa: E402

A, B, C = "a@example.org", "b@example.org", "c@example.org"
ABC = (A, B, C)
NO, FULL = "550 5.2.1 no", "452 4.2.2 full"


def states(r):
	return [p["state"] for p in r.json["recipients"]]


class Lmtp(cases.Faults):
	way = "lmtp"

	@tap.row("LMT-01")
	@tap.table(
		("all 250", {}, 0, ["accepted"] * 3),
		("250, 550, 452", {B: NO, C: FULL}, 1, ["accepted", "rejected", "deferred"]),
		("550, 250, 250", {A: NO}, 1, ["rejected", "accepted", "accepted"]),
		("all 550", {"*": NO}, 67, ["rejected"] * 3),
		("all 452", {"*": FULL}, 75, ["deferred"] * 3),
		("550, 452, 550", {A: NO, B: FULL, C: NO}, 75, ["rejected", "deferred", "rejected"]),
		("200, 251, 252", {A: "200 ok", B: "251 ok", C: "252 ok"}, 0, ["accepted"] * 3),
	)
	def test_replies(self, dot, code, want):
		"each recipient its own result after the dot: {0}"
		with self.server(dot=dot) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (code, want), r)
			self.assertEqual({p["stage"] for p in r.json["recipients"]}, {"dot"})
			self.assertTrue(server.session.commands[0].startswith("LHLO "))

	@tap.row("LMT-01")
	@tap.table(
		("one reply, then closes", [fake.reply("250 ok"), fake.close()], ["accepted", "unknown", "unknown"], "lost"),
		("two replies, then RST", [fake.reply("250 ok", NO), fake.flush(), fake.delay(0.1), fake.rst()],
		 ["accepted", "rejected", "unknown"], "lost"),
		("one reply, then silence", [fake.reply("250 ok"), fake.silence()], ["accepted", "unknown", "unknown"], "timeout"),
		("one reply, then garbage", [fake.reply("250 ok"), fake.raw(b"hello\r\n"), fake.silence()],
		 ["accepted", "unknown", "unknown"], "protocol"),
		("one reply, then 354", [fake.reply("250 ok", "354 go"), fake.silence()], ["accepted", "unknown", "unknown"], "protocol"),
		("one reply, then 421", [fake.reply("250 ok", "421 4.3.2 bye"), fake.close()],
		 ["accepted", "deferred", "unknown"], None),
	)
	def test_broken_off(self, dot, want, cause):
		"replies for some only: the answered stand, the others are unknown: {0}"
		with self.server(dot=dot) as server:
			r = self.send(server, rcpts=ABC, within=2, truth=False)
			self.assertEqual((r.code, states(r)), (1, want), r)
			if cause:
				self.assertEqual(r.json["recipients"][2]["cause"], cause, r)
			self.assertIn("may have been delivered", r.stderr, r)

	@tap.row("LMT-01")
	def test_none_then_close(self):
		"no reply at all: everyone is unknown"
		with self.server(dot=[fake.close()]) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (2, ["unknown"] * 3), r)

	@tap.row("LMT-01")
	def test_slow_replies(self):
		"each reply has a clock of its own: three within --dot-timeout each"
		slow = [s for _ in ABC for s in (fake.delay(0.7), fake.reply("250 ok"))]
		with self.server(dot=slow) as server:
			r = self.send(server, rcpts=ABC, within=4)
			self.assertEqual((r.code, states(r)), (0, ["accepted"] * 3), r)

	@tap.row("LMT-01")
	def test_too_many(self):
		"a reply too many changes nothing"
		with self.server(dot=[fake.reply("250 a", "250 b", "250 c", "550 d")]) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (0, ["accepted"] * 3), r)

	@tap.row("LMT-03")
	@tap.table(("first", A, 0), ("middle", B, 1), ("last", C, 2))
	def test_refused(self, who, index):
		"one refused at RCPT has no reply after the dot: {0}"
		want, left = ["accepted"] * 3, [a for a in ABC if a != who]
		want[index] = "rejected"
		with self.server(rcpt={who: "550 5.1.1 no such user"}) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (1, want), r)
			self.assertEqual(r.json["recipients"][index]["stage"], "rcpt")
			self.assertEqual(server.message.delivered, left)

	@tap.row("LMT-03")
	def test_refused_and_mixed(self):
		"refusals at RCPT and after the dot, counted right"
		rcpts = [f"r{i}@example.org" for i in range(9)]
		with self.server(rcpt={2: NO, 5: FULL}, dot={1: FULL, 7: NO}) as server:
			r = self.send(server, rcpts=rcpts)
			# The ordinals of dot are those of accepted recipients: r0 r2 r3 r5 r6 r7 r8.
			want = ["deferred", "rejected", "accepted", "accepted", "deferred", "accepted", "accepted", "accepted", "rejected"]
			self.assertEqual((r.code, states(r)), (1, want), r)

	@tap.row("LMT-04")
	def test_duplicates(self):
		"the same recipient twice: as many replies as RCPTs accepted, one result"
		with self.server() as server:
			r = mc.run(*self.arguments(server, rcpts=(A, B, A, "A@EXAMPLE.ORG")), input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(len(server.message.codes), len(server.message.rcpts))
			self.assertEqual(len(r.json["recipients"]), len(server.message.rcpts), r)
			self.assertEqual(len(set(server.message.rcpts)), len(server.message.rcpts))
			self.assertEqual(set(states(r)), {"accepted"})

	@tap.row("LMT-01")
	def test_second_transaction(self):
		"two transactions in one session, each reply with its recipient"
		with self.server(dot={A: NO, C: FULL}) as server:
			r = self.send(server, "--max-rcpt", "2", rcpts=ABC)
			self.assertEqual((r.code, states(r)), (1, ["rejected", "accepted", "deferred"]), r)
			self.assertEqual(len(server.sessions), 1)
			self.assertEqual(len(server.messages), 2)

	@tap.row("LMT-07")
	@tap.table(("500", "500 5.5.1 command unrecognized"), ("502", "502 5.5.2 not implemented"))
	def test_not_lmtp(self, line):
		"an SMTP server says so to LHLO: the line says that it is not LMTP: {0}"
		with fake.Server(unknown=line) as server:
			r = mc.run("-S", f"lmtp://{server.address}", "-f", "ann@example.net", "--timeout", "1", "--report=json", A,
			           input="text\n")
			self.assertEqual(r.code, 76, r)
			self.assertIn("LMTP", r.stderr)
			self.assertIn(server.address, r.stderr)
			self.assertEqual(server.messages, [])

	@tap.row("LMT-06")
	@tap.table(("URL", ["-S", "lmtp://127.0.0.1:25"]), ("flags", ["-S", "127.0.0.1", "--lmtp", "--port", "25"]),
	           ("lmtps", ["-S", "lmtps://127.0.0.1:25"]))
	def test_port_25(self, argv):
		"LMTP must not be spoken on port 25 (RFC 2033, 5): {0}"
		r = mc.run(*argv, "-f", "ann@example.net", A, input="text\n")
		self.assertEqual(r.code, 64, r)
		self.assertIn("25", r.stderr)


class Sockets(tap.Case):
	def refused(self, path, code, *words):
		r = mc.run("-S", f"lmtp+unix:{path}", "-f", "ann@example.net", "--report=json", "--timeout", "1",
		           "--connect-timeout", "1", A, input="text\n")
		self.assertEqual(r.code, code, r)
		for word in words:
			self.assertIn(word, r.stderr)
		return r

	@tap.row("LMT-05")
	def test_missing(self):
		"a socket that is not there: 75, and the line names it"
		path = self.tempdir() + "/none"
		self.refused(path, 75, path)

	@tap.row("LMT-05")
	def test_not_a_socket(self):
		"a file, a directory: 75"
		path = self.write("file", b"x")
		self.refused(path, 75, path)
		self.refused(os.path.dirname(path), 75, path[:-5])

	@tap.row("LMT-05")
	def test_nobody_listens(self):
		"a socket that nobody listens on: 75"
		path = self.tempdir() + "/s"
		with socket.socket(socket.AF_UNIX) as s:
			s.bind(path)
		self.refused(path, 75, path)

	@tap.row("LMT-05")
	def test_permission(self):
		"no permission: 77"
		directory = self.tempdir()
		with fake.Server(lmtp=True, unix=directory + "/s") as server:
			os.chmod(directory + "/s", 0)
			if os.geteuid() == 0:
				os.chmod(directory, 0o711)
				wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
				binary = self.copy_of_program()
				r = mc.run("-S", server.url, "-f", "ann@example.net", "--report=json", A, input="text\n", wrap=wrap,
				           cwd="/", executable=binary)
			else:
				r = mc.run("-S", server.url, "-f", "ann@example.net", "--report=json", A, input="text\n")
			self.assertEqual(r.code, 77, r)
			self.assertIn(server.unix, r.stderr)
			self.assertEqual(server.sessions, [])

	def copy_of_program(self):
		"""Where everybody can run it: the build directory may be closed to them."""
		with open(mc.BINARY, "rb") as f:
			path = self.write("mailchute", f.read(), 0o755)
		os.chmod(os.path.dirname(path), 0o711)
		return path

	@tap.row("LMT-05")
	def test_length(self):
		"107 octets of path are the most that a socket's address holds; 108 are refused, with a reason"
		directory = self.tempdir()
		name = "s" * (107 - len(directory) - 1)
		with fake.Server(lmtp=True, unix=os.path.join(directory, name)) as server:
			r = mc.run("-S", server.url, "-f", "ann@example.net", A, input="text\n")
			self.assertEqual(r.code, 0, r)
		self.refused(os.path.join(directory, name + "s"), 64)

	@tap.row("LMT-05")
	def test_symlink(self):
		"a symbolic link to the socket is followed; one to nowhere is 75"
		directory = self.tempdir()
		link = directory + "/link"
		with fake.Server(lmtp=True, unix=directory + "/s") as server:
			os.symlink("s", link)
			r = mc.run("-S", f"lmtp+unix:{link}", "-f", "ann@example.net", A, input="text\n")
			self.assertEqual(r.code, 0, r)
			os.unlink(link)
			os.symlink("gone", link)
			self.refused(link, 75, link)
			self.assertEqual(len(server.sessions), 1)

	def test_smtp_over_unix(self):
		"SMTP over a Unix socket"
		with fake.Server(unix=True) as server:
			r = mc.run("--unix-socket", server.unix, "-f", "ann@example.net", A, input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.lint, [])


if __name__ == "__main__":
	tap.main(jobs=4)
