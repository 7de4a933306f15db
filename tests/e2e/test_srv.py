#!/usr/bin/python3
"""Faulty servers, over plain SMTP and LMTP. The tables are in srv_cases.py."""

import ctypes
import os
import random
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import certs, fake, mc, tap  # noqa: E402


class SmtpStages(cases.Stages):
	way = "smtp"


class SimpleSmtpStages(cases.Stages):
	way = "smtp, no extensions"


class LmtpStages(cases.Stages):
	way = "lmtp"


class UnixLmtpStages(cases.Stages):
	way = "lmtp unix"


class SmtpGarbage(cases.Garbage):
	way = "smtp"


class LmtpGarbage(cases.Garbage):
	way = "lmtp"


class SmtpForms(cases.Forms):
	way = "smtp"


class LmtpForms(cases.Forms):
	way = "lmtp"


class SmtpText(cases.Text):
	way = "smtp"


class LmtpText(cases.Text):
	way = "lmtp"


class SmtpTiming(cases.Timing):
	way = "smtp"


class LmtpTiming(cases.Timing):
	way = "lmtp"


# Chance ----------------------------------------------------------------

class Chance(tap.Case):
	"""
	Servers that do anything at any stage, by the numbers of a generator with a known seed; what the report says is held
	against what the server saw. MC_SEEDS: how many (or FROM-TO), for a longer search.
	"""

	SEEDS = os.environ.get("MC_SEEDS", "120")
	RANGE = range(*map(int, SEEDS.split("-"))) if "-" in SEEDS else range(int(SEEDS))
	REPLIES = ("250 2.0.0 ok", "250-a\r\n250 b", "252 hm", "421 4.3.2 bye", "450 4.2.0 later", "451 4.3.0 later", "452 4.5.3 full",
	           "550 5.1.1 no", "552 5.5.3 many", "554 5.7.1 no", "354 go", "220 hello", "221 bye", "235 ok", "250", "25", "250-x",
	           "999 x", "hello", "\r\n250 ok", "503 5.5.1 order")

	def action(self, dice, stage):
		"""Mostly what is due; else replies, some of them too many, with cuts, pauses and ends among them."""
		if dice.random() < {"greeting": 0.93, "ehlo": 0.93, "mail": 0.85, "rcpt": 0.6, "data": 0.8, "rset": 0.7}.get(stage, 0.4):
			return None
		steps = []
		for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
			roll = dice.random()
			if roll < 0.62:
				steps.append(fake.raw(dice.choice(self.REPLIES).encode() + b"\r\n"))
			elif roll < 0.72:
				steps.append(fake.default())
			elif roll < 0.8:
				steps.append(fake.flush())
			elif roll < 0.86:
				steps.append(fake.delay(dice.choice((0.01, 0.1))))
			elif roll < 0.95:
				steps.append(dice.choice((fake.close, fake.rst, fake.bye))())
			else:
				steps.append(fake.silence())
		return steps

	def script(self, dice, rcpts, lmtp):
		script = {}
		for stage in ("greeting", "ehlo", "mail", "data", "rset", "quit"):
			action = self.action(dice, stage)
			if action:
				script[stage] = fake.turns(*dice.choice(((action,), (None, action), (action, None))))
		script["rcpt"] = {a: self.action(dice, "rcpt") for a in rcpts}
		if dice.random() < 0.1:
			script["body"] = fake.at(dice.choice((1, 100, 400)), *(self.action(dice, "body") or [fake.flush()]))
		action = self.action(dice, "dot")
		if lmtp and dice.random() < 0.5:
			script["dot"] = {a: dice.choice(self.REPLIES[:10]) for a in rcpts if dice.random() < 0.5}
		elif action:
			script["dot"] = fake.turns(*dice.choice(((action,), (None, action), (action, None))))
		return script

	@staticmethod
	def answers(session):
		"""
		For each message begun: the codes said behind 354, in order; what answers QUIT may follow. What is said while the
		message is read counts: of a message this short the dot is on its way already, and the client cannot know better.
		"""
		found, said = [], bytearray()
		for _when, who, octets in session.log:
			if who == "C" and octets.upper() == b"DATA\r\n":
				said = bytearray()
			elif who == "C" and octets == b"(message)":
				found.append(said)
			elif who == "S":
				said += octets
		codes = [[int(l[:3]) for l in octets.split(b"\r\n") if l[:3].isdigit() and l[3:4] in (b" ", b"")] for octets in found]
		return [c[c.index(354) + 1:] if 354 in c else [] for c in codes]

	@tap.row("SRV-67")
	@tap.table(*[(f"seed {n}", n) for n in RANGE])
	def test_chance(self, seed):
		"whatever the server does, the report is true: {0}"
		dice = random.Random(seed)
		way = dice.choice(("smtp", "smtp", "smtp, no extensions", "lmtp", "lmtp, no extensions", "smtps", "lmtp unix"))
		keywords, flags = cases.WAYS[way]
		rcpts = [f"{c}@example.org" for c in "abcdef"[:dice.choice((1, 2, 3, 6))]]
		more = dice.choice(([], [], ["--max-rcpt", "1"], ["--max-rcpt", "2"], ["--all-or-nothing"]))
		scripts = [self.script(dice, rcpts, "lmtp" in way) for _ in range(dice.choice((1, 2, 8)))]
		with fake.Server(sessions=scripts, **keywords) as server:
			r = mc.run("-S", server.url, "--timeout", "1", "--connect-timeout", "1", "--dot-timeout", "1", "-f", "ann@example.net",
			           "--report=json", *[f() if callable(f) else f for f in flags], *more, *rcpts, input=cases.TEXT)
			for session in server.sessions:
				session.done.wait(5 * mc.SLOW)
			self.judge(server, r, rcpts, "lmtp" in way)

	def judge(self, server, r, rcpts, lmtp):
		report = r.json
		self.assertEqual([p["address"] for p in report["recipients"]], rcpts, r)
		self.assertLessEqual(len(server.sessions), len(rcpts) + 1, r)
		yes, dotted = {}, {}
		for session in server.sessions:
			for m, said in zip([m for m in session.messages if m.started], self.answers(session)):
				if not m.dot:
					continue
				for at, a in enumerate(m.rcpts):
					mine = said[at:at + 1] if lmtp else said[:1]
					dotted.setdefault(a, []).append(mine)
					if mine and 200 <= mine[0] < 300 and mine[0] not in (211, 214, 220, 221, 235):
						yes[a] = yes.get(a, 0) + 1
		for p in report["recipients"]:
			a, state = p["address"], p["state"]
			said = dotted.get(a, [])
			where = f"{a} is {state}, its dots were answered {said}\n{[s.commands for s in server.sessions]}\n{r}"
			self.assertIn(state, ("accepted", "rejected", "deferred", "unknown", "not_attempted"), where)
			if state == "accepted":
				self.assertEqual(yes.get(a), 1, where)
			if a in yes:
				self.assertIn(state, ("accepted", "unknown"), where)
				self.assertEqual(len(said), 1, f"sent again after it was accepted: {where}")
			if any(not mine or not (200 <= mine[0] < 300 or 400 <= mine[0] < 600) or mine[0] in (211, 214, 220, 221, 235)
			       for mine in said):
				self.assertEqual(state, "unknown", where)
				self.assertEqual(len(said), 1, f"sent again though it may have been delivered: {where}")
		states = [p["state"] for p in report["recipients"]]
		accepted = states.count("accepted")
		want = 0 if accepted == len(states) else 1 if accepted else 2 if "unknown" in states else None
		if want is not None:
			self.assertEqual(r.code, want, r)
		else:
			self.assertNotIn(r.code, (0, 1, 2, 70), r)
		# What the wire lint takes for ours may be the server's doing here: only what cannot be.
		kinds = ("bare", "NUL", "long", "grammar", "unannounced")
		self.assertEqual([f for f in server.lint if f.startswith(kinds)], [], r)


# Networks --------------------------------------------------------------

def vanish():
	"""From now on the kernel drops what comes for this connection, unacknowledged: the network has gone."""
	def act(s):
		s.flush()
		program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))         # BPF: return 0
		s.sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, ctypes.addressof(program)))   # SO_ATTACH_FILTER
		s.server.stopping.wait()
	return act


class HalfOpen(cases.Faults):
	way = "smtp"

	@tap.row("SRV-64")
	@tap.table("greeting", "ehlo", "mail", "data")
	def test_gone(self, stage):
		"the network goes at {0}: deferred, in time"
		with self.server(**self.at_stage(stage, vanish())) as server:
			self.verdict(self.unheard(server), 75, "deferred", stage, "timeout")

	@tap.row("SRV-64")
	def test_gone_body(self):
		"the network goes amid the message: deferred"
		with self.server(body=fake.at(cases.MB, vanish())) as server:
			self.verdict(self.unheard(server, input=cases.BIG), 75, "deferred", "data", "timeout")

	@tap.row("SRV-64")
	def test_gone_dot(self):
		"the network goes behind 354: the dot was sent, so unknown"
		with self.server(data=["354 go", vanish()]) as server:
			r = self.unheard(server)
			self.verdict(r, 2, "unknown", "dot", "timeout")
			self.assertIn("may have been delivered", r.stderr)

	def unheard(self, server, input=cases.TEXT):
		r = mc.run(*self.arguments(server), input=input)
		self.assertLessEqual(r.json["timings_ms"]["total"], 2500 * mc.SLOW, r)
		self.assertIn(server.address, r.stderr, r)
		return r


class Resolver:
	"""A name server on a loopback address of its own. @zone: {name: "NXDOMAIN", "SERVFAIL", "silent" or [records]}."""

	number = 0
	lock = threading.Lock()

	def __init__(self, zone):
		self.zone = zone
		with Resolver.lock:
			Resolver.number += 1
			self.address = f"127.77.{os.getpid() % 250 + 1}.{Resolver.number}"
		self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.socket.bind((self.address, 53))
		self.heard = []
		threading.Thread(target=self.serve, daemon=True).start()

	def serve(self):
		while True:
			try:
				query, peer = self.socket.recvfrom(4096)
			except OSError:
				return
			answer = self.answer(query)
			if answer:
				self.socket.sendto(answer, peer)

	def answer(self, query):
		at, labels = 12, []
		while query[at]:
			labels.append(query[at + 1:at + 1 + query[at]].decode())
			at += 1 + query[at]
		kind = struct.unpack(">H", query[at + 1:at + 3])[0]
		question, name = query[12:at + 5], ".".join(labels).lower()
		self.heard.append((name, kind))
		found = self.zone.get(name, "NXDOMAIN")
		if found == "silent":
			return None
		rcode = {"NXDOMAIN": 3, "SERVFAIL": 2}.get(found, 0) if isinstance(found, str) else 0
		records = [] if isinstance(found, str) else [r for r in found if r[0] in (kind, 5)]
		octets = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", t, 1, 1, len(d)) + d for t, d in records)
		return query[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(records), 0, 0) + question + octets

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.socket.close()


def a(*addresses):
	return [(1, socket.inet_aton(x)) for x in addresses]


def aaaa(*addresses):
	return [(28, socket.inet_pton(socket.AF_INET6, x)) for x in addresses]


def name_of(name):
	return b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"


class Names(tap.Case):
	"""In a mount namespace whose resolv.conf names a server of ours."""

	@classmethod
	def setUpClass(cls):
		if os.geteuid() or os.system("unshare -m true 2>/dev/null"):
			raise unittest.SkipTest("needs root and mount namespaces")

	def look_up(self, zone, server="mx.test.example", port=None, timeout="2"):
		with Resolver(zone) as resolver:
			conf = self.write("resolv.conf", f"nameserver {resolver.address}\noptions timeout:1 attempts:1\n", 0o644)
			wrap = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', "sh", conf]
			return mc.run("-S", f"smtp://{server}:{port or fake.closed_port()}", "--no-starttls", "--connect-timeout", timeout,
			              "--timeout", "2", "-f", "ann@example.net", "--report=json", "--domain", "client.example", cases.BOB,
			              input="text\n", wrap=wrap + mc.WRAP)

	@tap.row("SRV-43")
	@tap.table(("NXDOMAIN", "NXDOMAIN", 68, "host"), ("SERVFAIL", "SERVFAIL", 75, None), ("no answer", "silent", 75, None),
	           ("no address", [], 68, "host"), ("a CNAME to itself", [(5, name_of("mx.test.example"))], None, None),
	           ("refused", a("127.0.0.1"), 75, "refused"))
	def test_fails(self, found, code, cause):
		"the name: {0}"
		r = self.look_up({"mx.test.example": found})
		self.assertIn(r.code, (code,) if code else (68, 75), r)
		p = r.json["recipients"][0]
		self.assertEqual(p["stage"], "connect", r)
		self.assertEqual(p["state"], "not_attempted" if r.code == 68 else "deferred", r)
		if cause:
			self.assertEqual(p["cause"], cause, r)
		self.assertLessEqual(r.json["timings_ms"]["total"], 3000 * mc.SLOW, r)
		self.assertIn("mx.test.example", r.stderr, r)

	@tap.row("SRV-43")
	@tap.table(("the second of two", a("127.0.9.1", "127.0.0.1")),
	           ("the last of 50", a(*[f"127.0.9.{i}" for i in range(1, 50)], "127.0.0.1")),
	           ("IPv4, IPv6 dead", aaaa("::1") + a("127.0.0.1")))
	def test_other_address(self, found):
		"some addresses refuse, one lives: {0}"
		with fake.Server() as server:
			r = self.look_up({"mx.test.example": found}, port=server.port, timeout="5")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.message.delivered, [cases.BOB])

	@tap.row("SRV-43")
	def test_filtered_first(self):
		"the first address does not answer, the second lives: within the connect time"
		with fake.Filtered() as dead, fake.Server(host="127.0.9.9", port=dead.port) as server:
			r = self.look_up({"mx.test.example": a("127.0.0.1", "127.0.9.9")}, port=dead.port, timeout="4")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.message.delivered, [cases.BOB])


class Unreachable(tap.Case):
	def refused(self, *argv, within=3, **how):
		r = mc.run(*argv, "--connect-timeout", "1", "--timeout", "1", "-f", "ann@example.net", "--report=json", cases.BOB,
		           input="text\n", **how)
		self.assertEqual(r.code, 75, r)
		self.assertEqual(r.json["recipients"][0]["stage"], "connect", r)
		self.assertEqual(r.json["recipients"][0]["state"], "deferred", r)
		self.assertLessEqual(r.json["timings_ms"]["total"], within * 1000 * mc.SLOW, r)
		return r

	@tap.row("SRV-43")
	def test_refused(self):
		"nothing listens"
		for scheme in ("smtp", "smtps", "lmtp", "lmtps"):
			url = f"{scheme}://127.0.0.1:{fake.closed_port()}"
			r = self.refused("-S", url)
			self.assertEqual(r.json["recipients"][0]["cause"], "refused", r)
			self.assertIn(url.split("/")[-1], r.stderr)

	@tap.row("SRV-43")
	def test_filtered(self):
		"SYNs are not answered"
		with fake.Filtered() as dead:
			for scheme in ("smtp", "smtps", "lmtp"):
				r = self.refused("-S", f"{scheme}://127.0.0.1:{dead.port}", within=2)
				self.assertEqual(r.json["recipients"][0]["cause"], "timeout", r)

	@tap.row("SRV-43")
	def test_no_route(self):
		"no route to the host"
		if os.geteuid() or os.system("unshare -n true 2>/dev/null"):
			self.skipTest("needs root and network namespaces")
		r = self.refused("-S", "smtp://192.0.2.1:25", "--domain", "client.example", wrap=["unshare", "-n"] + mc.WRAP)
		self.assertIn("192.0.2.1", r.stderr)

	@tap.row("SRV-43")
	def test_list(self):
		"a list of servers: the next one is asked where the first cannot be reached or defers"
		with fake.Server(greeting="421 4.3.2 busy") as busy, fake.Server() as good:
			r = mc.run("-S", f"smtp://127.0.0.1:{fake.closed_port()}", "-S", busy.url, "-S", good.url, "-f", "ann@example.net",
			           "--report=json", cases.BOB, input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(r.json["server"], good.address, r)
			self.assertEqual(good.message.delivered, [cases.BOB])

	@tap.row("SRV-43")
	def test_list_unknown(self):
		"a list of servers: never the next one where the first may have accepted"
		with fake.Server(dot=[fake.close()]) as first, fake.Server() as second:
			r = mc.run("-S", first.url, "-S", second.url, "-f", "ann@example.net", cases.BOB, input="text\n")
			self.assertEqual(r.code, 2, r)
			self.assertEqual(second.sessions, [])


class Idle(cases.Faults):
	"""Waiting is not working: the processor's time while a server says nothing for three seconds."""

	way = "smtp"
	SECONDS = 3

	def spent(self, *argv, input=cases.TEXT):
		run = mc.start(*argv, input=None if input is cases.BIG else input, lines=None,
		               stdin=open(self.write("text", input), "rb"))
		ticks, end = 0, time.monotonic() + self.SECONDS + 4
		while run.process.poll() is None and time.monotonic() < end:
			try:
				with open(f"/proc/{run.pid}/stat", encoding="ascii") as f:
					fields = f.read().rpartition(")")[2].split()
				ticks = max(ticks, int(fields[11]) + int(fields[12]))
			except (OSError, ValueError, IndexError):
				break
			time.sleep(0.1)
		r = run.wait()
		self.assertGreater(r.duration, self.SECONDS - 0.5, r)
		self.assertLess(ticks / os.sysconf("SC_CLK_TCK"), 0.35 * mc.SLOW, r)
		return r

	@tap.row("SRV-06", "SRV-12", "SRV-18", "SRV-24", "SRV-30", "SRV-36")
	@tap.table(*cases.STAGES[:-1])
	def test_silence(self, stage):
		"a server silent at {0} costs no time of the processor"
		with self.server(**self.at_stage(stage, fake.silence())) as server:
			self.spent(*self.arguments(server, timeout=self.SECONDS))

	@tap.table(*cases.STAGES[:-1])
	def test_silence_tls(self, stage):
		"the same under TLS, at {0}"
		with fake.Server(lmtp=True, tls="implicit", **self.at_stage(stage, fake.silence())) as server:
			self.spent(*self.arguments(server, "--tls-ca-file", certs.ca(), timeout=self.SECONDS))

	@tap.row("SRV-44")
	def test_deaf(self):
		"a server that stops reading"
		with self.server(body=fake.at(1000, fake.deaf()), rcvbuf=16384) as server:
			self.spent(*self.arguments(server, timeout=self.SECONDS), input=cases.BIG)

	@tap.row("SRV-44")
	def test_deaf_tls(self):
		"a server that stops reading, under TLS"
		with fake.Server(tls="implicit", body=fake.at(1000, fake.deaf()), rcvbuf=16384) as server:
			self.spent(*self.arguments(server, "--tls-ca-file", certs.ca(), timeout=self.SECONDS), input=cases.BIG)

	def test_handshake(self):
		"a server that never answers the ClientHello"
		with fake.Recorder() as mute:
			r = self.spent("-S", f"smtps://127.0.0.1:{mute.port}", "--timeout", "3", "--connect-timeout", "3", "-f", "ann@example.net",
			               cases.BOB)
			self.assertEqual(r.code, 75, r)

	def test_connect(self):
		"a server that answers no SYN"
		with fake.Filtered() as dead:
			r = self.spent("-S", f"smtp://127.0.0.1:{dead.port}", "--connect-timeout", "3", "-f", "ann@example.net", cases.BOB)
			self.assertEqual(r.code, 75, r)

	def test_rate(self):
		"--limit-rate waits in sleep"
		with self.server() as server:
			r = self.spent(*self.arguments(server, "--limit-rate", "100000", timeout=5), input=cases.BIG[:400000])
			self.assertEqual(r.code, 0, r)


if __name__ == "__main__":
	tap.main(jobs=8)
