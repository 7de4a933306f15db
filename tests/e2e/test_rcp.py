#!/usr/bin/python3
"""Many recipients: who is served when others are refused, how transactions are split, what each of them is told."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import fake, mc, tap  # noqa: E402

A, B, C = "a@example.org", "b@example.org", "c@example.org"
ABC = (A, B, C)


def states(r):
	return [p["state"] for p in r.json["recipients"]]


def codes(r):
	return [p["code"] for p in r.json["recipients"]]


class Smtp(cases.Faults):
	way = "smtp"

	@tap.row("RCP-01")
	@tap.table(
		("550", "550 5.1.1 no", 1, "rejected", 550), ("450", "450 4.2.0 later", 1, "deferred", 450),
		("452 alone is that recipient's own, once it is refused again", "452 4.5.3 full", 1, "deferred", 452),
		("451", "451 4.3.0 later", 1, "deferred", 451), ("554", "554 5.7.1 no", 1, "rejected", 554),
	)
	def test_middle(self, line, code, state, reply):
		"the second of three refused: the others are served: {0}"
		with self.server(rcpt={B: line}) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (code, ["accepted", state, "accepted"]), r)
			self.assertEqual(codes(r)[1], reply, r)
			self.assertIn(B, r.stderr, r)
			self.assertEqual([m.rcpts for m in server.messages if m.dot], [[A, C]])

	@tap.row("RCP-01")
	@tap.table(("421 and close", ["421 4.3.2 bye", fake.close()]), ("close", [fake.close()]), ("RST", [fake.rst()]))
	def test_middle_lost(self, action):
		"the server goes at the second of three, each time: everyone is deferred, and nobody tries for ever: {0}"
		with self.server(rcpt={B: action}) as server:
			r = self.send(server, rcpts=ABC, within=3)
			self.assertEqual((r.code, states(r)), (75, ["deferred"] * 3), r)
			self.no_dot(server, r)
			self.assertEqual(len(server.sessions), 1, r)

	@tap.row("RCP-01")
	@tap.table(("421 and close", ["421 4.3.2 bye", fake.close()]), ("close", [fake.close()]))
	def test_lost_behind_refusal(self, action):
		"a refusal stands, and the rest go again in a new session: {0}"
		with self.server(sessions=[{"rcpt": {A: "550 5.1.1 no", B: action}}]) as server:
			r = self.send(server, rcpts=ABC, within=4)
			self.assertEqual((r.code, states(r)), (1, ["rejected", "accepted", "accepted"]), r)
			self.assertEqual(len(server.sessions), 2, r)
			self.assertEqual([m.rcpts for m in server.messages if m.dot], [[B, C]])

	@tap.row("RCP-01")
	def test_ever_new_refusals(self):
		"each session settles one more, then the server goes: as many sessions as refusals, then it is over"
		bye = ["421 4.7.0 too many errors", fake.close()]
		with self.server(rcpt={A: "550 5.1.1 no", B: fake.turns("550 5.1.1 no"), C: bye}) as server:
			r = self.send(server, rcpts=ABC, within=4)
			self.assertEqual((r.code, states(r)), (75, ["rejected", "rejected", "deferred"]), r)
			self.assertLessEqual(len(server.sessions), 3, r)

	@tap.row("RCP-02")
	@tap.table(("550", "550 5.1.1 no", 67, "rejected"), ("452", "452 4.5.3 full", 75, "deferred"),
	           ("451", "451 4.3.0 later", 75, "deferred"))
	def test_all_or_nothing(self, line, code, state):
		"all_or_nothing: no DATA, the refused one is named, the others were not attempted: {0}"
		with self.server(rcpt={B: line}) as server:
			r = mc.run(*self.arguments(server, "--all-or-nothing", rcpts=ABC), input="text\n")
			self.assertEqual((r.code, states(r)), (code, ["not_attempted", state, "not_attempted"]), r)
			self.assertIn(B, r.stderr, r)
			self.assertNotIn("DATA", server.session.commands)
			self.assertEqual(server.lint, [])
			self.no_dot(server, r)

	@tap.row("RCP-02")
	@tap.table(("421 and close", ["421 4.3.2 bye", fake.close()]), ("close", [fake.close()]))
	def test_all_or_nothing_lost(self, action):
		"all_or_nothing, the server goes at the second: everyone deferred: {0}"
		with self.server(rcpt={B: action}) as server:
			r = self.send(server, "--all-or-nothing", rcpts=ABC, within=3)
			self.assertEqual((r.code, states(r)), (75, ["deferred"] * 3), r)
			self.assertNotIn("DATA", server.session.commands)

	@tap.row("RCP-02")
	def test_all_or_nothing_well(self):
		"all_or_nothing, all accepted: sent, DATA behind the replies"
		with self.server() as server:
			r = self.send(server, "--all-or-nothing", rcpts=ABC)
			self.assertEqual((r.code, states(r)), (0, ["accepted"] * 3), r)
			# Greeting, EHLO, MAIL with the recipients, DATA, dot.
			self.assertEqual(server.session.bursts, 5 if self.way != "smtp, no extensions" else server.session.bursts)

	@tap.row("RCP-03")
	@tap.table(("all 550", ["550"] * 3, 67), ("all 450", ["450"] * 3, 75), ("450 first", ["450", "550", "550"], 75),
	           ("450 last", ["550", "550", "450"], 75), ("450 amid", ["550", "450", "550"], 75),
	           ("all 452", ["452"] * 3, 75), ("all 552", ["552"] * 3, 67))
	def test_none(self, lines, code):
		"none accepted, in any order: {0}"
		with self.server(rcpt={i + 1: f"{c} no" for i, c in enumerate(lines)}) as server:
			r = self.send(server, rcpts=ABC)
			want = ["deferred" if c[0] == "4" else "rejected" for c in lines]
			self.assertEqual((r.code, states(r), codes(r)), (code, want, [int(c) for c in lines]), r)
			self.no_dot(server, r)
			self.assertEqual(len(server.sessions), 1)

	@tap.row("RCP-03")
	@tap.table(("250", "250 2.0.0 ok"), ("554", "554 no"), ("close", [fake.close()]), ("silence", [fake.silence()]))
	def test_354_for_nobody(self, dot):
		"354 though nobody was accepted: a lone dot, and whatever it says is not acceptance: {0}"
		with self.server(rcpt="550 5.1.1 no", data="354 well then", dot=fake.turns([dot] if isinstance(dot, str) else dot)) as server:
			r = self.send(server, rcpts=ABC, lint=["size: SIZE="])
			self.assertEqual((r.code, states(r)), (67, ["rejected"] * 3), r)
			self.assertEqual([m.wire for m in server.messages], [b""] * len(server.messages))

	@tap.row("SRV-57")
	@tap.table(("500", ["500 5.5.1 no"]), ("421 and close", ["421 4.3.2 bye", fake.close()]), ("close", [fake.close()]),
	           ("garbage", [fake.raw(b"what\r\n")]))
	def test_reset(self, action):
		"RSET between two transactions fails: the second has a session of its own: {0}"
		with self.server(rcpt={A: "550 5.1.1 no"}, data="503 5.5.1 nobody", sessions=[{"rset": action}, {"data": None}]) as server:
			r = self.send(server, "--max-rcpt", "1", rcpts=(A, B))
			self.assertEqual((r.code, states(r)), (1, ["rejected", "accepted"]), r)
			self.assertEqual(len(server.sessions), 2, r)
			self.assertEqual([m.rcpts for m in server.messages if m.dot], [[B]])

	@tap.row("RCP-05")
	@tap.table(250, 251, 252)
	def test_yes(self, code):
		"accepted is any 2xx at RCPT: {0}"
		with self.server(rcpt={B: f"{code} will do"}) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (0, ["accepted"] * 3), r)
			self.assertEqual(server.message.rcpts, [A, B, C])

	@tap.row("RCP-07")
	@tap.table(("451", "451 4.3.0 later", 75, "deferred"), ("554", "554 5.7.1 no", None, "rejected"),
	           ("close", [fake.close()], 2, "unknown"), ("RST", [fake.rst()], 2, "unknown"),
	           ("silence", [fake.silence()], 2, "unknown"), ("354", [fake.reply("354 go"), fake.silence()], 2, "unknown"))
	def test_dot(self, dot, code, state):
		"some accepted, then at the dot: {0}"
		code = code or (67 if self.lmtp else 65)
		with self.server(rcpt={B: "550 5.1.1 no"}, dot=dot) as server:
			r = self.send(server, rcpts=ABC)
			self.assertEqual((r.code, states(r)), (code, [state, "rejected", state]), r)

	def test_dot_twice(self):
		"two transactions, the second one's dot unanswered: each recipient its own"
		with self.server(dot=fake.turns(None, [fake.close()])) as server:
			r = self.send(server, "--max-rcpt", "1", rcpts=(A, B))
			self.assertEqual((r.code, states(r)), (1, ["accepted", "unknown"]), r)
			self.assertIn("may have been delivered", r.stderr, r)

	def test_unknown_then_more(self):
		"the first of two transactions unknown: the second recipient has a session of its own"
		with self.server(sessions=[{"dot": [fake.close()]}]) as server:
			r = self.send(server, "--max-rcpt", "1", rcpts=(A, B))
			self.assertEqual((r.code, states(r)), (1, ["unknown", "accepted"]), r)
			self.assertIn("may have been delivered", r.stderr, r)

	def test_dot_421(self):
		"421 after the first of two transactions' dot: the first is deferred, the second served in a new session"
		with self.server(sessions=[{"dot": ["421 4.3.2 bye", fake.close()]}]) as server:
			r = self.send(server, "--max-rcpt", "1", rcpts=(A, B))
			self.assertEqual((r.code, states(r)), (1, ["deferred", "accepted"]), r)

	def everyone_once(self, server, rcpts, transactions=None, sessions=1):
		got = [a for m in server.messages if m.dot for a in m.rcpts]
		self.assertEqual(got, rcpts)
		if transactions is not None:
			self.assertEqual(len([m for m in server.messages if m.dot]), transactions)
		self.assertEqual(len(server.sessions), sessions)
		self.assertEqual(len({m.data for m in server.messages if m.dot}), 1)
		self.assertIn(b"Message-ID:", server.messages[0].data)

	@tap.row("RCP-04")
	@tap.table(("1", 1, 1), ("99", 99, 1), ("100", 100, 1), ("101", 101, 2), ("1000", 1000, 10))
	def test_split(self, count, transactions):
		"at most max_rcpt (100) a transaction, everyone once, the same message: {0}"
		rcpts = [f"r{i}@example.org" for i in range(count)]
		with self.server() as server:
			r = self.send(server, "--max-rcpt", "100", rcpts=rcpts, timeout=5, within=20)
			self.assertEqual(r.code, 0, r)
			self.everyone_once(server, rcpts, transactions)

	@tap.row("RCP-04")
	@tap.table(("452", "452 4.5.3 too many"), ("552", "552 5.5.3 too many"))
	def test_server_limit(self, line):
		"the server takes 10 at a time and says so with {0}: the rest follow, everyone once"
		rcpts = [f"r{i}@example.org" for i in range(35)]
		with self.server(rcpt={**{i: "250 ok" for i in range(1, 11)}, "*": line}) as server:
			r = self.send(server, rcpts=rcpts, timeout=5)
			self.assertEqual(r.code, 0, r)
			self.everyone_once(server, rcpts, 4)

	@tap.row("RCP-04")
	def test_announced_limit(self):
		"LIMITS RCPTMAX=10 (RFC 9422) is kept from the first transaction on"
		rcpts = [f"r{i}@example.org" for i in range(35)]
		with self.server(ehlo=cases.KEYWORDS + ["LIMITS RCPTMAX=10 MAILMAX=100"]) as server:
			r = self.send(server, rcpts=rcpts, timeout=5)
			self.assertEqual(r.code, 0, r)
			self.everyone_once(server, rcpts, 4)
			self.assertEqual([m.refused for m in server.messages], [[]] * 4)

	@tap.row("RCP-04")
	def test_limit_and_refusals(self):
		"a limit, and refusals among those before and behind it: each once, each with its own answer"
		rcpts = [f"r{i}@example.org" for i in range(12)]
		table = {"r1@example.org": "550 5.1.1 no", "r6@example.org": "450 4.2.1 later", "r11@example.org": "550 5.1.1 no"}

		def limited(s):
			s.put(b"452 4.5.3 too many\r\n" if len(s.message.rcpts) >= 4 else b"250 ok\r\n")
		with self.server(rcpt={**table, "*": limited}) as server:
			r = self.send(server, rcpts=rcpts, timeout=5)
			want = [{"r1@example.org": "rejected", "r6@example.org": "deferred", "r11@example.org": "rejected"}.get(a, "accepted")
			        for a in rcpts]
			self.assertEqual((r.code, states(r)), (1, want), r)
			self.everyone_once(server, [a for a, w in zip(rcpts, want) if w == "accepted"])

	@tap.row("RCP-04")
	def test_ten_thousand(self):
		"10 000 recipients, a limit of 100 in the server, all within one session"
		rcpts = [f"r{i}@example.org" for i in range(10000)]
		path = self.write("rcpts.json", cases.params(rcpts))

		def limited(s):
			s.put(b"452 4.5.3 too many\r\n" if len(s.message.rcpts) >= 100 else b"250 ok\r\n")
		with self.server(rcpt=limited) as server:
			r = mc.run(*self.arguments(server, "--params", path, rcpts=(), timeout=20), timeout=100)
			self.check(server, r, rcpts, 60)
			self.assertEqual(r.code, 0)
			self.everyone_once(server, rcpts)

	@tap.row("RCP-06")
	def test_long_replies(self):
		"5000 recipients whose replies have 100 octets each: no window fills and stays full"
		rcpts = [f"r{i}@example.org" for i in range(5000)]
		path = self.write("rcpts.json", cases.params(rcpts))
		with self.server(rcpt="250 2.1.5 " + "x" * 90, rcvbuf=4096) as server:
			r = mc.run(*self.arguments(server, "--params", path, "--max-rcpt", "5000", rcpts=(), timeout=20), timeout=100)
			self.check(server, r, rcpts, 40)
			self.assertEqual(r.code, 0)
			self.everyone_once(server, rcpts, 1)


class SimpleSmtp(Smtp):
	way = "smtp, no extensions"


class Smtps(Smtp):
	way = "smtps"


class Lmtp(Smtp):
	way = "lmtp"


if __name__ == "__main__":
	tap.main(jobs=4)
