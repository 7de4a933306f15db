#!/usr/bin/python3
"""Many messages in a session, and many sessions: what the report says is what the server knows."""

import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import mc, relay_server as relays, tap  # noqa: E402
from lib.relay_server import Relay  # noqa: E402

PIPE = ("PIPELINING", "ENHANCEDSTATUSCODES")
CHUNKS = PIPE + ("CHUNKING",)
WAYS = {"DATA": PIPE, "CHUNKING": CHUNKS}


def once(fault, stage, k):
	"""act() of a relay: that fault, the first time that it is the turn of message @k at @stage."""
	state = {"done": False}

	def act(session, at, number):
		if (at == "taken") != (stage == "taken") or (at, number) != (stage, k) or state["done"]:
			return None
		state["done"] = True
		return fault
	return act


class Batch(tap.Case):
	def lines(self, n, rcpts=1, text="hello\n"):
		def to(k):
			return [f"r{k}@example.org"] if rcpts == 1 else [f"r{k}.{i}@example.org" for i in range(rcpts)]
		return "".join(json.dumps({"id": f"m{k}", "from": f"m{k}@example.net", "to": to(k), "subject": f"m{k}",
		                           "body": text}) + "\n" for k in range(1, n + 1))

	def start(self, relay, n, *argv, workers=1, window=8, timeout=1, rcpts=1, text="hello\n"):
		path = self.write("batch.jsonl", self.lines(n, rcpts, text))
		more = ["--no-tls-verify"] if relay.context else []
		timeout *= min(2, max(1, int(mc.SLOW)))         # what is slower by itself, with the same server, which is Python
		return mc.start("--batch", path, "-S", relay.url, "--workers", str(workers), "--window", str(window),
		                "--timeout", str(timeout), "--dot-timeout", str(timeout), "--connect-timeout", str(max(timeout, 2)),
		                "--report=json", *more, *argv, lines=None)

	def finish(self, running, relay, n, rcpts=1, within=60):
		"""The truth: the report of each message is there once, and agrees with what the server took."""
		r = running.wait(within)
		relay.settled(1)
		reports = [json.loads(l) for l in r.stdout.decode().splitlines()]
		self.assertEqual(sorted(int(x["id"][1:]) for x in reports), list(range(1, n + 1)), r)
		self.assertEqual([x for x in relay.lint], [], r)
		states = {}
		for x in reports:
			k = int(x["id"][1:])
			for p in x["recipients"]:
				key = (k, p["address"])
				states[key] = p["state"]
				times = relay.taken[key]
				where = f"message {k}: {p}; taken {times} times; faults {relay.faults[:20]}"
				self.assertLessEqual(times, 1, where)
				if p["state"] == "accepted":
					self.assertEqual((times, p["code"] // 100, p["stage"]), (1, 2, "dot"), where)
					self.assertIn(key, relay.said, where)
				elif p["state"] != "unknown":
					self.assertEqual(times, 0, where)
					self.assertIn(p["state"], ("deferred", "rejected", "not_attempted"), where)
				else:
					self.assertEqual(p["stage"], "dot", where)
		self.assertEqual(len(states), n * rcpts, r)
		return r, states

	def send(self, relay, n, *argv, **how):
		within = how.pop("within", 60)
		return self.finish(self.start(relay, n, *argv, **how), relay, n, how.get("rcpts", 1), within)

	def all_accepted(self, relay, n, *argv, **how):
		r, states = self.send(relay, n, *argv, **how)
		self.assertEqual(r.code, 0, r)
		self.assertEqual({k: s for k, s in states.items() if s != "accepted"}, {}, f"{r}\nfaults {relay.faults[:20]}")
		return r


class Bursts(Batch):
	def test_single(self):
		"one small message with CHUNKING: EHLO, and then all the rest with QUIT"
		with Relay(CHUNKS, patience=0.1) as relay:
			r = mc.run("-S", relay.url, "-f", "m1@example.net", "-s", "m1", "--report=json", "r1@example.org", input="text\n")
			self.assertEqual(r.code, 0, r)
			relay.settled()
			self.assertEqual(relay.sessions[0].groups, [["EHLO"], ["MAIL", "RCPT", "BDAT", "QUIT"]])
			self.assertEqual(relay.taken, {(1, "r1@example.org"): 1})

	def test_data(self):
		"without CHUNKING each further envelope leaves with the dot before it"
		with Relay(PIPE, patience=0.1) as relay:
			self.all_accepted(relay, 6, timeout=5)
			envelope = ["MAIL", "RCPT", "DATA"]
			self.assertEqual(relay.sessions[0].groups, [["EHLO"]] + [envelope] * 6 + [["QUIT"]])

	@tap.table(1, 2, 8, 32)
	def test_window(self, window):
		"with CHUNKING so many messages are unanswered, and never more: {0}"
		n = 1 + 3 * window
		with Relay(CHUNKS, patience=0.15) as relay:
			self.all_accepted(relay, n, window=window, timeout=5)
			counts = [g.count("BDAT") for g in relay.sessions[0].groups]
			self.assertLessEqual(max(counts), window, counts)
			self.assertEqual(max(counts), window, counts)
			first = next(c for c in counts if c)
			self.assertEqual(first, 1, "CHUNKING is not proven yet")
			self.assertEqual(sum(counts), n)
			self.assertEqual(len(relay.sessions), 1)

	def test_reset_between(self):
		"RSET goes before each further MAIL that streams"
		with Relay(CHUNKS, patience=0.1) as relay:
			self.all_accepted(relay, 9, window=4, timeout=5)
			for group in relay.sessions[0].groups[2:]:
				at = [i for i, verb in enumerate(group) if verb == "MAIL"]
				self.assertTrue(all(group[i - 1] == "RSET" for i in at[1:]), group)

	@tap.table(("DATA", ()), ("CHUNKING", ("CHUNKING",)))
	def test_lock_step(self, keywords):
		"without PIPELINING a command at a time: {0}"
		with Relay(keywords, patience=0.02) as relay:
			self.all_accepted(relay, 8, timeout=5)
			self.assertTrue(all(len(g) <= 1 for g in relay.sessions[0].groups), relay.sessions[0].groups)
			self.assertEqual(len(relay.sessions), 1)

	@tap.table(*WAYS.items())
	def test_tls(self, keywords):
		"over TLS: {0}"
		with Relay(keywords, tls=True) as relay:
			self.all_accepted(relay, 40, workers=2, timeout=5)

	@tap.table(*WAYS.items())
	def test_large(self, keywords):
		"messages larger than a buffer: {0}"
		with Relay(keywords) as relay:
			self.all_accepted(relay, 5, timeout=5, text="0123456789abcdef\n" * 30000)


# SRV-67. What can be said at a stage, and what that makes of its message.
LOSSES = {"close": relays.close(), "reset": relays.reset(), "garbage": relays.garbage(), "silence": relays.silence()}
FAULTS = {"4xx": "451 4.3.0 not now", "5xx": "554 5.7.1 never", "421": relays.bye(), **LOSSES,
          "taken, then close": relays.broken(relays.close()), "taken, then reset": relays.broken(relays.reset())}
STAGES = {"DATA": ("mail", "rcpt", "data", "dot"), "CHUNKING": ("mail", "rcpt", "bdat")}


def faults():
	for way, stages in STAGES.items():
		for stage in stages:
			for fault in FAULTS:
				if fault.startswith("taken") and stage not in ("dot", "bdat"):
					continue
				for workers in (1, 10):
					yield f"{way}, {stage}, {fault}, {workers} workers", way, stage, fault, workers


def opening_faults():
	for way in WAYS:
		for stage in ("greeting", "ehlo"):
			for fault in ("4xx", "5xx", "421", *LOSSES):
				for workers in (1, 10):
					yield f"{way}, {stage}, {fault}, {workers} workers", way, stage, fault, workers


def becomes(way, stage, fault):
	"""Of the message whose turn it is."""
	out = stage in ("dot", "bdat")
	if fault == "4xx":
		return "deferred"
	if fault == "5xx":
		return "rejected"
	if fault == "421":
		return "deferred" if out else "accepted"        # in another session
	return "unknown" if out or way == "CHUNKING" else "accepted"


class Faults(Batch):
	@tap.row("SRV-67", "CON-04")
	@tap.table(*faults())
	def test_fault(self, way, stage, fault, workers):
		"a fault stays with its message: {0}"
		window, k = 3, 4
		act = once(FAULTS[fault], "taken" if fault.startswith("taken") else stage, k)
		with Relay(WAYS[way], act=act) as relay:
			r, states = self.send(relay, 8, workers=workers, window=window)
			want = becomes(way, stage, fault)
			where = f"{states}\nfaults {relay.faults}\n{r}"
			self.assertEqual(len(relay.faults), 1, where)
			self.assertEqual(states[(k, f"r{k}@example.org")], want, where)
			unknown = [n for (n, _), state in states.items() if state == "unknown"]
			self.assertLessEqual(len(unknown), window, where)
			for n, _ in states:
				streams = way == "CHUNKING" and want == "unknown" and n > k
				self.assertIn(states[(n, f"r{n}@example.org")],
				              ("accepted", "unknown") if streams else (want,) if n == k else ("accepted",), where)
			self.assertEqual(r.code, 0 if want == "accepted" else 1, where)

	@tap.row("SRV-67", "CON-04")
	@tap.table(*opening_faults())
	def test_opening(self, way, stage, fault, workers):
		"a fault of the second session's beginning delays, and no more: {0}"
		state = {"done": False}

		def act(session, at, k):
			if at != stage or session.number != 2 or state["done"]:
				return None
			state["done"] = True
			return FAULTS[fault]
		with Relay(WAYS[way], act=act) as relay:
			self.all_accepted(relay, 8, "--max-per-session", "2", workers=workers, window=3, timeout=1)

	@tap.row("SRV-67")
	@tap.table(*[(f"{way}, {stage}", way, stage) for way in WAYS for stage in STAGES[way]])
	def test_poison(self, way, stage):
		"a message at which the server always closes is tried some times, and harms no other: {0}"
		def act(session, at, k):
			return relays.bye() if (at, k) == (stage, 4) else None
		with Relay(WAYS[way], act=act) as relay:
			r, states = self.send(relay, 8, workers=2, window=3)
			where = f"{states}\nfaults {relay.faults}"
			self.assertEqual({k: s for k, s in states.items() if s != "accepted"}, {(4, "r4@example.org"): "deferred"}, where)
			# five sessions that bring nothing, and those that brought something before it
			self.assertLessEqual(len(relay.faults), 12, where)

	@tap.row("SRV-67", "CON-04")
	@tap.table(*[(f"{seed}", seed) for seed in range(100)])
	def test_random(self, seed):
		"random faults, seed {0}"
		rng = random.Random(seed)
		way = rng.choice(list(WAYS))
		window, workers, n = rng.choice((1, 2, 4, 16)), rng.choice((1, 2, 5)), 30
		rate = rng.choice((0.005, 0.02))
		which = [*FAULTS.values(), relays.after(0.02)]
		lossy = [*LOSSES.values(), *(FAULTS[f] for f in FAULTS if f.startswith("taken"))]
		done = []

		def act(session, at, k):
			if at in ("greeting", "ehlo", "quit") or len(done) > 3 or rng.random() > rate:
				return None
			fault = rng.choice(which)
			if (fault[0] == "broken") != (at == "taken"):
				return None
			# RSET refused is a server out of step
			done.append(fault if at != "rset" or fault[0] == "bye" else relays.close())
			return fault
		with Relay(WAYS[way], act=act) as relay:
			r, states = self.send(relay, n, workers=workers, window=window)
			unknown = sum(s == "unknown" for s in states.values())
			losses = sum(f in lossy for f in done)
			most = window if way == "CHUNKING" else 1
			where = f"{way}, window {window}, {workers} workers: {states}\nfaults {relay.faults} {done}\n{r}"
			self.assertLessEqual(unknown, losses * most, where)
			refusals = len(done) - losses
			self.assertLessEqual(sum(s in ("deferred", "rejected", "not_attempted") for s in states.values()), refusals, where)

	def cpu(self, pid):
		with open(f"/proc/{pid}/stat") as f:
			fields = f.read().rpartition(")")[2].split()
		return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

	def goes(self, relay, n):
		def act(session, at, k):
			if at == "mail" and sum(relay.taken.values()) >= n:
				relay.gone = relay.gone or "reset"
				return relays.reset() if relay.gone == "reset" else None
			return None
		relay.act = act

	@tap.row("SRV-65")
	@tap.table(1, 10)
	def test_gone(self, workers):
		"the server resets every connection from amid a batch on: it backs off, and waits idle: {0} workers"
		with Relay(PIPE) as relay:
			self.goes(relay, 20)
			running = self.start(relay, 40, "--max-time", "6", workers=workers)
			limit = time.monotonic() + 3 * mc.SLOW
			while not relay.gone and time.monotonic() < limit:
				time.sleep(0.05)
			time.sleep(1)
			before, began = self.cpu(running.pid), time.monotonic()
			ended = False
			while time.monotonic() < began + 3:
				time.sleep(0.1)
				if running.process.poll() is not None:
					ended = True
					break
				used = self.cpu(running.pid) - before
			r = running.wait(30)
			if not ended:
				self.assertLess(used / 3, 0.05, r)
			reports = [json.loads(l) for l in r.stdout.decode().splitlines()]
			for x in reports:
				p = x["recipients"][0]
				self.assertEqual(p["state"] == "accepted", relay.taken[(int(x["id"][1:]), p["address"])] == 1, x)
				if p["state"] != "accepted":
					self.assertEqual((p["state"], x["error"]["exit"]), ("deferred", 75), x)
			self.assertGreaterEqual(sum(relay.taken.values()), 20)
			self.assertEqual(r.code, 1, r)
			late = [t for t in relay.attempts if t > relay.attempts[0] + 0.5]
			self.assertLess(len(relay.attempts), 8 + 4 * workers, late)

	@tap.row("SRV-65")
	@tap.table((1, 1, 60), (10, 10, 60), (30, 30, 600))
	def test_back(self, workers, n):
		"the server is away for more than a second amid a batch: all accepted once: {0} workers"
		with Relay(PIPE) as relay:
			self.goes(relay, n // 3)
			running = self.start(relay, n, workers=workers, timeout=5)
			limit = time.monotonic() + 5 * mc.SLOW
			while not relay.gone and time.monotonic() < limit:
				time.sleep(0.02)
			time.sleep(1.5)
			relay.gone = "back"
			r, states = self.finish(running, relay, n)
			self.assertEqual({s for s in states.values()}, {"accepted"}, f"{states}\n{r}")

	@tap.row("SRV-65")
	def test_never(self):
		"a server that resets every connection: 75, after few attempts"
		with Relay(PIPE) as relay:
			relay.gone = "reset"
			r, states = self.send(relay, 40, workers=10)
			self.assertEqual((r.code, set(states.values())), (75, {"deferred"}), r)
			self.assertLessEqual(len(relay.attempts), 30, r)


class Sessions(Batch):
	@tap.row("SRV-57")
	@tap.table(*[(f"{name}, window {window}", fault, window) for window in (1, 4) for name, fault in
	             (("502", "502 5.5.1 what"), ("421", relays.bye()), *LOSSES.items())])
	def test_rset(self, fault, window):
		"RSET refused or the session lost at it: no loss, no duplicate: {0}"
		state = {"left": 2}

		def act(session, at, k):
			if at != "rset" or not state["left"]:
				return None
			state["left"] -= 1
			return fault
		with Relay(CHUNKS, act=act) as relay:
			r, states = self.send(relay, 12, window=window)
			where = f"{states}\n{relay.faults}\n{r}"
			unknown = sum(s == "unknown" for s in states.values())
			self.assertLessEqual(unknown, 0 if fault == relays.bye() else 2 * window, where)
			self.assertEqual({s for s in states.values()} - {"accepted", "unknown"}, set(), where)

	@tap.row("SRV-58")
	@tap.table(*[(f"{n}, {way}", way, n) for way in WAYS for n in (1, 3, 10, 100)])
	def test_session_most(self, way, n):
		"421 after so many messages in a session: all accepted once: {0}"
		total = {1: 40, 3: 60, 10: 150, 100: 450}[n]
		with Relay(WAYS[way], session_most=n) as relay:
			self.all_accepted(relay, total, workers=2, timeout=5)
			self.assertLess(len(relay.sessions), total // n * 2 + 6)

	@tap.row("SRV-54")
	@tap.table(*[(f"{way}, {line}", keywords, line) for way, keywords in (*WAYS.items(), ("lock-step", ()))
	             for line in ("250 2.0.0 once more", "550 5.1.1 once more", "451 4.3.0 once more")])
	def test_extra(self, keywords, line):
		"an extra reply after a message: the next one's result is its own: {0}"
		stage = "bdat" if keywords == CHUNKS else "dot"
		with Relay(keywords, act=once(relays.extra(line), stage, 3)) as relay:
			r, states = self.send(relay, 8, window=3)
			where = f"{states}\n{r}"
			unknown = sum(s == "unknown" for s in states.values())
			self.assertLessEqual(unknown, 3 if stage == "bdat" else 0, where)
			self.assertEqual({s for s in states.values()} - {"accepted", "unknown"}, set(), where)
			self.assertGreater(len(relay.sessions), 1, where)

	@tap.row("SRV-54")
	@tap.table(*[(f"{way}, {stage}", way, stage) for way in WAYS for stage in STAGES[way]])
	def test_too_few(self, way, stage):
		"a reply too few: nothing is taken for what it is not: {0}"
		with Relay(WAYS[way], act=once(relays.nothing(), stage, 3)) as relay:
			r, states = self.send(relay, 8, window=3)
			where = f"{states}\n{r}"
			self.assertLessEqual(sum(s == "unknown" for s in states.values()), 3, where)
			self.assertEqual({s for s in states.values()} - {"accepted", "unknown"}, set(), where)

	@tap.table(*[(f"{what}, {size}", what, text) for what in ("commands", "skipped", "close")
	             for size, text in (("small", "hello\n"), ("100 KB", "0123456789abcdef\n" * 6000),
	                                ("500 KB", "0123456789abcdef\n" * 30000))])
	def test_no_bdat(self, what, text):
		"CHUNKING offered, and BDAT unknown: by DATA, all accepted once: {0}"
		with Relay(CHUNKS, bdat=what) as relay:
			self.all_accepted(relay, 8, workers=2, timeout=5, text=text)
			self.assertLessEqual(relay.no_bdat, 4)


class Lmtp(Batch):
	@tap.table(*WAYS.items())
	def test_single(self, keywords):
		"LMTP, a recipient a message: {0}"
		with Relay(keywords, lmtp=True) as relay:
			self.all_accepted(relay, 40, workers=2, timeout=5)
			self.assertEqual(any("BDAT" in s.commands for s in relay.sessions), keywords == CHUNKS)

	@tap.row("LMT-01")
	@tap.table(*WAYS.items())
	def test_mixed(self, keywords):
		"LMTP, each recipient of many messages has his own result: {0}"
		answers = {"0": None, "1": "550 5.2.1 no", "2": "452 4.2.2 full"}

		def act(session, at, k):
			if at == "rcpt" and session.rcpt.split("@")[0].endswith(".3"):
				return "550 5.1.1 no such user"
			return answers[session.rcpt.split(".")[1][0]] if at in ("dot", "bdat") and k % 2 else None
		with Relay(keywords, lmtp=True, act=act) as relay:
			r, states = self.send(relay, 20, rcpts=4, workers=2, timeout=5)
			for k in range(1, 21):
				got = [states[(k, f"r{k}.{i}@example.org")] for i in range(4)]
				want = ["accepted", "rejected", "deferred"] if k % 2 else ["accepted"] * 3
				self.assertEqual(got, want + ["rejected"], r)

	@tap.row("LMT-01", "SRV-67")
	@tap.table(*LOSSES.items())
	def test_lost(self, fault):
		"LMTP, lost amid the replies to a message: the answered stand, the others are unknown: {0}"
		def act(session, at, k):
			return fault if at == "dot" and k == 4 and session.rcpt.startswith("r4.1@") else None
		with Relay(PIPE, lmtp=True, act=act) as relay:
			r, states = self.send(relay, 8, rcpts=3)
			got = [states[(4, f"r4.{i}@example.org")] for i in range(3)]
			self.assertEqual(got, ["accepted", "unknown", "unknown"], r)
			self.assertEqual({s for (k, _), s in states.items() if k != 4}, {"accepted"}, r)

	@tap.row("SRV-67")
	@tap.table(*[(f"{stage}, {fault}", stage, fault) for stage in STAGES["CHUNKING"]
	             for fault in ("4xx", "5xx", "421", *LOSSES)])
	def test_chunks(self, stage, fault):
		"LMTP by BDAT, a fault stays with its message: {0}"
		with Relay(CHUNKS, lmtp=True, act=once(FAULTS[fault], stage, 4)) as relay:
			r, states = self.send(relay, 8, window=3)
			want = becomes("CHUNKING", stage, fault)
			where = f"{states}\n{relay.faults}\n{r}"
			self.assertEqual(states[(4, "r4@example.org")], want, where)
			self.assertLessEqual(sum(s == "unknown" for s in states.values()), 3, where)
			self.assertEqual({s for (k, _), s in states.items() if k != 4} - {"accepted", "unknown"}, set(), where)


class Crew(Batch):
	"""With a look at the clock: one at a time."""
	alone = threading.Lock()

	def setUp(self):
		self.alone.acquire()
		self.addCleanup(self.alone.release)

	@tap.row("CON-01")
	@tap.table(*[(f"{workers}, {way}", way, workers, 2000) for way in WAYS for workers in (1, 10, 50)],
	           # too long for a build with sanitizers
	           *[(f"200, {way}, 10,000 messages", way, 200, 10000) for way in WAYS if mc.SLOW == 1])
	def test_most(self, way, workers, n):
		"workers against a server that takes five connections: all accepted once: {0}"
		with Relay(WAYS[way], most=5) as relay:
			r = self.all_accepted(relay, n, workers=workers, timeout=20)
			self.assertLessEqual(relay.peak, 5)
			self.assertLessEqual(relay.refused, 2 * workers, r.stderr)

	@tap.row("CON-01")
	@tap.table(*[(f"{workers}, {way}", way, workers) for way in WAYS for workers in (10, 50)])
	def test_most_slow(self, way, workers):
		"the same, and the 421 comes before the first session is open: {0}"
		def act(session, at, k):
			return relays.after(0.2) if at == "ehlo" else None
		with Relay(WAYS[way], most=5, act=act) as relay:
			self.all_accepted(relay, 300, workers=workers, timeout=20)

	@tap.row("CON-03")
	@tap.table(*WAYS.items())
	def test_slow_dot(self, keywords):
		"half a second for each message: ten workers send 18 a second at least: {0}"
		with Relay(keywords, slow_dot=0.5) as relay:
			self.all_accepted(relay, 60, workers=10, window=2, timeout=20)
			first, last = min(s.began for s in relay.sessions), max(relay.times)
			self.assertGreaterEqual(60 / (last - first), 18 / mc.SLOW)

	@tap.row("CON-04")
	@tap.table(*[(f"{name}, {way}", way, fault) for way in WAYS for name, fault in LOSSES.items()])
	def test_one_lost(self, way, fault):
		"one session of ten is lost: the others go on: {0}"
		stage, state = STAGES[way][-1], {"done": False}

		def act(session, at, k):
			if at != stage or session.number != 3 or len(session.messages) < 3 or state["done"]:
				return None
			state["done"] = True
			return fault
		with Relay(WAYS[way], slow_dot=0.005, act=act) as relay:
			r, states = self.send(relay, 400, workers=10, window=4)
			unknown = [k for k, s in states.items() if s == "unknown"]
			self.assertLessEqual(len(unknown), 4, r)
			self.assertEqual({s for s in states.values()} - {"accepted", "unknown"}, set(), r)
			self.assertTrue(state["done"])

	@tap.row("CON-06")
	@tap.table(*WAYS.items())
	def test_one_stalls(self, keywords):
		"one session's replies stall for 2 s: the others' messages do not wait: {0}"
		stage, stalled = ("bdat" if keywords == CHUNKS else "dot"), []

		def act(session, at, k):
			if at != stage or session.number != 2 or stalled:
				return None
			stalled.append(session)
			return relays.after(2)
		with Relay(keywords, slow_dot=0.005, act=act) as relay:
			self.all_accepted(relay, 400, workers=5, window=4, timeout=20)
			end = min(s.began for s in relay.sessions) + 1.7 * mc.SLOW
			late = [t for t in relay.times if t > end]
			self.assertLessEqual(len(late), 4, "only what the stalled session had")
			self.assertEqual(len(stalled), 1)


if __name__ == "__main__":
	# More of them wait for the processor longer than their own clocks allow.
	tap.main(jobs=12)
