#!/usr/bin/python3
"""A journal: whatever instant a batch dies at, its next run sends nothing twice that was accepted, and leaves nothing out."""

import collections
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import bulk, fake, mc, tap, tmp  # noqa: E402

FROM = ("-f", "a@example.net")


class Journals(tap.Case):
	def setUp(self):
		self.place = self.tempdir()
		self.journal = os.path.join(self.place, "journal")

	def argv(self, server, lines, *argv, resume=False):
		path = lines if isinstance(lines, str) else bulk.jsonl(os.path.join(self.place, "batch"), lines)
		return ["--batch", path, "-S", server.url, *FROM, "--report=json", "--journal", self.journal, *(["--resume"] if resume else []), *argv]

	def send(self, server, lines, *argv, code=0, resume=False, **how):
		how.setdefault("lines", None)
		r = mc.run(*self.argv(server, lines, *argv, resume=resume), **how)
		if code is not None:
			self.assertEqual(r.code, code, r)
		server.settle()
		r.results = sorted(bulk.results(r.stdout), key=lambda x: x["line"])
		return r

	def records(self):
		with open(self.journal, "rb") as f:
			text = f.read()
		return [json.loads(l) for l in text.splitlines()]


class Again(Journals):
	"""What goes round once more in a run is not in doubt meanwhile: the server said what became of it."""

	def stopped(self, server, lines, *argv, number=2, when=None):
		running = mc.start(*self.argv(server, lines, *argv), lines=None, signal=number)
		tmp.wait_for(when, 20 * mc.SLOW, "the moment")
		time.sleep(0.3)
		running.kill(number)
		r = running.wait(20)
		r.results = sorted(bulk.results(r.stdout), key=lambda x: x["line"])
		return r

	@tap.table(("SIGINT", 2), ("kill -9", 9))
	def test_closing(self, number):
		"421 amid a window, and no further session to be had, {0}: nobody of the window is in doubt"
		lines = [bulk.message(i, id=str(i)) for i in range(1, 41)]
		dots = fake.turns(None, None, [fake.delay(0.3), "421 4.3.2 shutting down", fake.close()])
		with fake.Server(ehlo=[*fake.KEYWORDS, "CHUNKING"], sessions=[{"dot": dots}] + [{"greeting": "421 4.3.2 down"}] * 50) as server:
			r = self.stopped(server, lines, "--workers", "1", number=number, when=lambda: len(server.sessions) > 1)
			if number == 2:
				self.assertEqual(collections.Counter(x["result"] for x in r.results), {"sent": 2, "deferred": 38})
		with bulk.Server() as server:
			r = self.send(server, lines, resume=True)
			self.assertEqual({x["result"] for x in r.results}, {"sent"}, r)
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (38, 1))

	@tap.table(("SIGINT", 2), ("kill -9", 9))
	def test_retries(self, number):
		"deferred, and the next try is waited for, {0}: deferred, and sent by the next run"
		lines = [bulk.message(i) for i in range(1, 4)]
		with bulk.Server(dot=lambda taken: "451 4.3.0 later") as server:
			self.stopped(server, lines, "--retries", "2", "--retry-delay", "30", number=number, when=lambda: server.commands["DATA"] == 3)
		self.assertEqual({r["all"] for r in self.records() if "done" in r}, {"deferred"})
		with bulk.Server() as server:
			r = self.send(server, lines, resume=True)
			self.assertEqual(({x["result"] for x in r.results}, len(server.arrived)), ({"sent"}, 3))

	def test_late(self):
		"max_time ends the wait for the next try: deferred, and sent by the next run"
		lines = [bulk.message(i) for i in range(1, 4)]
		with bulk.Server(dot=lambda taken: "451 4.3.0 later") as server:
			r = self.send(server, lines, "--retries", "2", "--retry-delay", "30", "--max-time", "2", code=75)
			self.assertEqual({x["result"] for x in r.results}, {"deferred"})
		with bulk.Server() as server:
			r = self.send(server, lines, resume=True)
			self.assertEqual(({x["result"] for x in r.results}, len(server.arrived)), ({"sent"}, 3))

	def test_lmtp(self):
		"LMTP: one accepted, one deferred, kill -9 before the next try: whoever has it does not get it again"
		line = bulk.message(1, "has@example.org", "has-not@example.org")
		with bulk.Server(lmtp=True, dot={"has-not@example.org": "452 4.2.2 full"}) as server:
			self.stopped(server, [line], "--retries", "2", "--retry-delay", "30", number=9, when=lambda: server.taken)
		with bulk.Server(lmtp=True) as server:
			self.send(server, [line], "--unknown", "retry", resume=True)
			self.assertEqual([t.rcpts for t in server.taken], [["has-not@example.org"]])

	def test_transactions(self):
		"two transactions of one message, kill -9 amid the second: whoever was in the first does not get it again"
		line = bulk.message(1, *[f"r{i}@example.org" for i in range(6)])
		release, calls = threading.Event(), []

		def dot(taken):
			calls.append(taken)
			if len(calls) == 2:
				release.wait(20)
		with bulk.Server(dot=dot) as server:
			self.stopped(server, [line], "--max-rcpt", "3", number=9, when=lambda: len(calls) == 2)
			release.set()
		with bulk.Server() as server:
			self.send(server, [line], "--unknown", "retry", resume=True)
			self.assertEqual([t.rcpts for t in server.taken], [["r3@example.org", "r4@example.org", "r5@example.org"]])
		with bulk.Server() as server:
			r = self.send(server, [line], resume=True)
			self.assertEqual((server.taken, r.results), ([], []))


class Resume(Journals):
	def test_written(self):
		"sent before it leaves, done behind it; 0600; its head; ids, Message-IDs and lines are in it"
		with bulk.Server() as server:
			self.send(server, [bulk.message(1, id="one"), bulk.message(2)], "--workers", "1")
			records = self.records()
			self.assertEqual(records[0], {"mailchute": "journal", "version": 1})
			self.assertEqual(sorted(r["sent"] for r in records if "sent" in r), [1, 2])
			self.assertEqual(sorted(r["done"] for r in records if "done" in r), [1, 2])
			for kind in ("sent", "done"):
				self.assertEqual({r[kind]: r["message_id"] for r in records if kind in r}, {i + 1: t.id for i, t in enumerate(server.taken)})
				self.assertEqual([r.get("id") for r in records if r.get(kind) == 1], ["one"])
			self.assertEqual({r["all"] for r in records if "done" in r}, {"accepted"})
			self.assertEqual(os.stat(self.journal).st_mode & 0o7777, 0o600)

	@tap.row("JSL-10")
	def test_again(self):
		"all were accepted: the next run sends nothing, opens no session, says nothing of them, exits 0"
		lines = [bulk.message(i) for i in range(1, 11)]
		with bulk.Server() as server:
			self.send(server, lines)
			sessions = len(server.sessions)
			r = self.send(server, lines, resume=True)
			self.assertEqual((len(server.taken), len(server.sessions), r.results), (10, sessions, []), r)
			self.assertIn("10 sent before", r.stderr)

	def test_begins(self):
		"--resume without a journal begins one; a batch that grew is gone on with"
		lines = [bulk.message(i) for i in range(1, 6)]
		with bulk.Server() as server:
			self.send(server, lines, resume=True)
			r = self.send(server, lines + [bulk.message(6)], resume=True)
			self.assertEqual(([x["line"] for x in r.results], len(server.taken)), ([6], 6))
			self.assertEqual(set(server.arrived.values()), {1})

	def test_edited(self):
		"lines go by their octets: moved ones are known, changed ones are new"
		lines = [bulk.message(i) for i in range(1, 6)]
		with bulk.Server() as server:
			self.send(server, lines)
			r = self.send(server, [lines[4], bulk.message(7), lines[0], dict(lines[1], body="other\n")], resume=True)
			self.assertEqual(([x["line"] for x in r.results], len(server.taken)), ([2, 4], 7), r)

	@tap.row("SRV-59")
	def test_deferred(self):
		"only deferred recipients are tried again, by the same Message-ID; those accepted and rejected are not"
		lines = [bulk.message(1, "ok@example.org", "later@example.org", "no@example.org"), bulk.message(2)]

		def refuse(address, number):
			if address.startswith("no@"):
				return "550 5.1.1 no"
			return "450 4.2.1 later" if address.startswith("later@") and number == 1 else None
		with bulk.Server(refuse=refuse) as server:
			r = self.send(server, lines, code=1)
			self.assertEqual([x["state"] for x in r.results[0]["recipients"]], ["accepted", "deferred", "rejected"])
			r = self.send(server, lines, code=1, resume=True)
			self.assertEqual(server.asked, {"ok@example.org": 1, "later@example.org": 2, "no@example.org": 1, "r2@example.org": 1})
			self.assertEqual([(x["line"], [y["state"] for y in x["recipients"]]) for x in r.results],
			                 [(1, ["accepted", "accepted", "rejected"])], r)
			first = [t for t in server.taken if t.subject == "m 1"]
			self.assertEqual([t.rcpts for t in first], [["ok@example.org"], ["later@example.org"]])
			self.assertEqual(first[0].id, first[1].id)
			self.assertEqual(r.results[0]["message_id"], first[0].id)
			self.send(server, lines, code=1, resume=True)
			self.assertEqual(len(server.taken), 3)

	def test_rejected(self):
		"a message refused for good is not sent again, and is told again: the exit code stays"
		with bulk.Server(refuse={"r1@example.org": "550 5.1.1 no"}) as server:
			one = self.send(server, [bulk.message(1), bulk.message(2)], code=1)
			two = self.send(server, [bulk.message(1), bulk.message(2)], code=1, resume=True)
			self.assertEqual(server.asked["r1@example.org"], 1)
			self.assertEqual([x["result"] for x in one.results], ["rejected", "sent"])
			self.assertEqual([(x["line"], x["result"]) for x in two.results], [(1, "rejected")])

	def test_content(self):
		"content that was refused is not sent again"
		with bulk.Server(dot=lambda t: "554 5.6.0 no" if t.subject == "m 1" else None) as server:
			self.send(server, [bulk.message(1), bulk.message(2)], code=1)
			self.send(server, [bulk.message(1), bulk.message(2)], code=1, resume=True)
			self.assertEqual((server.commands["MAIL"], server.arrived), (2, {"r2@example.org": 1}))

	def test_invalid(self):
		"a line that could not be read is looked at again"
		lines = [bulk.message(1), dict(bulk.message(2), nonsense=1), bulk.message(3)]
		with bulk.Server() as server:
			self.send(server, lines, code=1)
			lines[1].pop("nonsense")
			self.send(server, lines, resume=True)
			self.assertEqual(sorted(t.subject for t in server.taken), ["m 1", "m 2", "m 3"])

	@tap.row("JSL-09")
	def test_equal(self):
		"equal lines are as many messages, in both runs"
		with bulk.Server() as server:
			self.send(server, [bulk.message(1)] * 3)
			self.assertEqual((server.arrived["r1@example.org"], len({t.id for t in server.taken})), (3, 3))
			self.send(server, [bulk.message(1)] * 3, resume=True)
			self.assertEqual(len(server.taken), 3)
			self.send(server, [bulk.message(1)] * 4, resume=True)
			self.assertEqual(len(server.taken), 4)

	@tap.row("JSL-09")
	@tap.table(("a text", "abc"), ("a number", 17))
	def test_ids(self, name):
		"two lines with one id, {0}: the second is refused, and nothing of it is sent"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1, id=name), bulk.message(2, id=name), bulk.message(3, id="other")], "--workers", "1", code=1)
			self.assertEqual(server.arrived, {"r1@example.org": 1, "r3@example.org": 1})
			self.assertEqual([(x["id"], x["result"]) for x in r.results], [(str(name), "sent"), (str(name), "error"), ("other", "sent")])
			self.assertIn("line 1", r.results[1]["error"]["text"])
			# what was edited but has its id is the same message
			self.send(server, [bulk.message(3, id="other"), dict(bulk.message(1, id=name), body="edited\n")], resume=True)
			self.assertEqual(len(server.taken), 2)

	@tap.table(("within the last record", b'{"sent":2,"key":"00'), ("one octet", b"{"), ("a record without its line end", None))
	def test_torn(self, tail):
		"a torn last line is cut off and the rest goes on: {0}"
		lines = [bulk.message(1), bulk.message(2)]
		with bulk.Server() as server:
			self.send(server, lines[:1])
			with open(self.journal, "rb+") as f:
				if tail:
					f.seek(0, 2)
					f.write(tail)
				else:
					f.truncate(os.fstat(f.fileno()).st_size - 1)
			if tail:
				self.send(server, lines, resume=True)
				self.assertEqual(server.arrived, {"r1@example.org": 1, "r2@example.org": 1})
			else:
				# "done" is not there: in doubt
				r = self.send(server, lines, code=1, resume=True)
				self.assertEqual((server.arrived["r1@example.org"], r.results[0]["result"]), (1, "unknown"), r)
			for line in self.records():
				self.assertTrue(line)

	def test_damaged(self):
		"a whole line that is damaged: 65, nothing sent, nothing changed"
		with bulk.Server() as server:
			self.send(server, [bulk.message(1)])
			with open(self.journal, "ab") as f:
				f.write(b'{"snet":2}\n')
			with open(self.journal, "rb") as f:
				before = f.read()
			r = mc.run(*self.argv(server, [bulk.message(1), bulk.message(2)], resume=True), lines=None)
			self.assertEqual((r.code, len(server.taken)), (65, 1), r)
			with open(self.journal, "rb") as f:
				self.assertEqual(f.read(), before)

	def test_no_resume(self):
		"entries and no --resume: 64, nothing sent; --resume without --journal, and with --dry-run: 64"
		with bulk.Server() as server:
			self.send(server, [bulk.message(1)])
			r = mc.run(*self.argv(server, [bulk.message(1), bulk.message(2)]), lines=None)
			self.assertEqual((r.code, len(server.taken)), (64, 1), r)
			self.assertIn("--resume", r.stderr)
			path = os.path.join(self.place, "batch")
			for more in (["--resume"], ["--journal", self.journal + "2", "--output", "/dev/null"], ["--journal", self.journal + "2", "--dry-run"]):
				r = mc.run("--batch", path, "-S", server.url, *FROM, *more)
				self.assertEqual((r.code, len(server.taken)), (64, 1), r)
			self.assertFalse(os.path.exists(self.journal + "2"))

	@tap.table(("a directory", "/", 73), ("no such place", "/nonexistent/j", 73), ("a device", "/dev/null", 73))
	def test_place(self, path, code):
		"a journal that cannot be one, {0}: refused, nothing sent"
		self.journal = path
		with bulk.Server() as server:
			r = mc.run(*self.argv(server, [bulk.message(1)]), lines=None)
			self.assertEqual((r.code, len(server.sessions)), (code, 0), r)

	def test_foreign(self):
		"a file that is no journal is refused and left as it is"
		self.journal = self.write("notes", "dear diary\n")
		with bulk.Server() as server:
			r = mc.run(*self.argv(server, [bulk.message(1)], resume=True), lines=None)
			self.assertEqual((r.code, len(server.sessions)), (65, 0), r)
		with open(self.journal, encoding="ascii") as f:
			self.assertEqual(f.read(), "dear diary\n")

	def test_two(self):
		"a second run of the same journal: refused while the first lasts"
		with bulk.Server(delay=0.2) as server:
			lines = [bulk.message(i) for i in range(1, 8)]
			first = mc.start(*self.argv(server, lines, "--workers", "1"), lines=None)
			tmp.wait_for(lambda: server.taken, 10, "the first message")
			r = mc.run(*self.argv(server, os.path.join(self.place, "batch"), resume=True), lines=None)
			self.assertEqual(r.code, 64, r)
			self.assertEqual(first.wait().code, 0)
			self.assertEqual(set(server.arrived.values()), {1})

	@tap.table(("DATA", False, 1), ("DATA, 3 workers", False, 3), ("BDAT", True, 1), ("BDAT, 3 workers", True, 3))
	def test_full(self, chunking, workers):
		"a journal that can grow no more, {0}: nothing is sent without its record, what was sent is heard out"
		import resource
		lines = [bulk.message(i) for i in range(1, 401)]
		with bulk.Server(chunking=chunking, delay=0.001) as server:
			r = mc.run(*self.argv(server, lines, "--workers", str(workers)), lines=None, timeout=20,
			           preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384)))
			server.settle()
			self.assertNotEqual(r.code, 0, r)
			taken = {int(t.subject[2:]) for t in server.taken}
			self.assertLess(len(taken), 400)
			self.assertEqual(taken, {x["sent"] for x in self.records() if "sent" in x}, r)
			# told before the journal failed for good, or not told
			told = {x["line"]: x["result"] for x in bulk.results(r.stdout) if "line" in x}
			self.assertNotIn("unknown", told.values(), r)
			self.assertLessEqual({line for line, result in told.items() if result == "sent"}, taken)
			# its last record may have been cut short: then that message is in doubt
			r = self.send(server, lines, "--unknown=skip", code=None, resume=True)
			self.assertEqual(r.code, int(any(x["result"] == "unknown" for x in bulk.results(r.stdout))), r)
			self.assertEqual(max(server.arrived.values()), 1)

	def test_signal(self):
		"SIGTERM amid a batch: what was accepted is noted, and --resume sends the rest, each once"
		lines = [bulk.message(i) for i in range(1, 61)]
		with bulk.Server(delay=0.02) as server:
			running = mc.start(*self.argv(server, lines, "--workers", "2"), lines=None, signal=15)
			tmp.wait_for(lambda: len(server.taken) > 10, 10, "ten messages")
			running.kill()
			running.wait()
			server.settle()
			self.assertLess(len(server.taken), 60)
			r = self.send(server, lines, resume=True)
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (60, 1), r)

	@tap.table(("--data", True), ("--batch with a window", False))
	def test_others(self, merge):
		"a journal goes with {0}"
		with bulk.Server(chunking=True) as server:
			if merge:
				data = self.write("rows.csv", "id,who\n1,x\n2,y\n")
				argv = ["--data", data, "-S", server.url, *FROM, "-s", "hi {{who}}", "--body", "t", "--journal", self.journal, "--", "{{who}}@example.org"]
				mc.run(*argv, lines=None)
				r = mc.run("--resume", *argv, lines=None)
				self.assertEqual((r.code, server.arrived), (0, {"x@example.org": 1, "y@example.org": 1}), r)
			else:
				lines = [bulk.message(i) for i in range(1, 201)]
				self.send(server, lines, "--window", "16")
				self.send(server, lines, "--window", "16", resume=True)
				self.assertEqual((len(server.arrived), max(server.arrived.values())), (200, 1))


# The sweep -----------------------------------------------------------

MESSAGES, WINDOW = 60, 8
LINES = [bulk.message(i, f"r{i}@example.org", *([f"s{i}@example.org"] if i % 2 else [])) for i in range(1, MESSAGES + 1)]
EVERYBODY = {a for l in LINES for a in l["to"]}
# Of the server's events; so that the sum of each list is the steps of a sweep.
STEPS = ([("mail", n, "before") for n in range(1, 61, 9)] + [("rcpt", n, "after") for n in range(2, 90, 11)] +
         [("dot", n, "before") for n in range(1, 61, 5)] + [("dot", n, "lost") for n in range(3, 61, 7)] +
         [("dot", n, "after") for n in range(2, 61, 6)] + [("mail", 30, "after"), ("rcpt", 45, "before")])
DATA_STEPS = [("data", n, "after") for n in range(4, 60, 9)]
TIMES = 6


class Sweep(Journals):
	def killed(self, server, workers, step):
		# by chance it may be done before it is killed
		running = mc.start(*self.argv(server, LINES, "--workers", str(workers), "--window", str(WINDOW)), lines=None,
		                   signal=9 if step else None, checks=step is not None)
		server.kills(running.process)
		if step is None:
			server.has_victim.wait()
			time.sleep(self.random.random() * 0.03)
			running.kill(9)
		running.wait()
		server.settle()

	def resumed(self, server, unknown):
		# what died can be gone on with until there is nothing more to be done
		server.trap = None
		code = None
		for _ in range(3):
			r = mc.run(*self.argv(server, os.path.join(self.place, "batch"), "--unknown", unknown, resume=True), lines=None)
			server.settle()
			code = r.code
			if code == 0 or unknown == "skip":
				break
		return r, bulk.results(r.stdout)

	def one(self, step, unknown, workers, chunking):
		self.place = self.tempdir()
		self.journal = os.path.join(self.place, "journal")
		with bulk.Server(chunking=chunking, trap=step) as server:
			self.killed(server, workers, step)
			if step:
				self.assertTrue(server.killed.is_set(), step)
			before = collections.Counter(server.arrived)
			self.assertTrue(not before or max(before.values()) == 1)
			r, told = self.resumed(server, unknown)
			arrived, what = server.arrived, f"{step}, {workers} workers\n{r}"
			self.assertLessEqual(set(arrived), EVERYBODY)
			lost = EVERYBODY - set(arrived)
			ids = collections.defaultdict(set)
			for t in server.taken:
				ids[t.subject].add(t.id)
			twice = [l["subject"] for l in LINES if max(arrived[a] for a in l["to"]) > 1]
			if unknown == "retry":
				self.assertEqual((r.code, lost), (0, set()), what)
				self.doubt.append((len(twice), what))
				self.assertEqual([s for s in ids if len(ids[s]) > 1], [], "another Message-ID at the second time: " + what)
				return
			self.assertEqual(twice, [], what)
			named = {p["address"] for x in told if x["result"] == "unknown" for p in x["recipients"] if p["state"] == "unknown"}
			self.assertLessEqual(lost, named, what)
			self.assertEqual(r.code, 1 if named and arrived != before or named and len(before) else 2 if named else 0, what)
			self.doubt.append((len([x for x in told if x["result"] == "unknown"]), what))

	@tap.row("JSL-10")
	@tap.table(*[(f"{unknown}, {'BDAT' if chunking else 'DATA'}, {workers} worker{'s' * (workers > 1)}, part {part}", unknown, chunking, workers, part)
	             for unknown in ("retry", "skip") for chunking in (False, True) for workers, part in ((1, 0), (2, 1), (1, 2), (2, 3))])
	def test_kill(self, unknown, chunking, workers, part):
		"kill -9 at each instant, then --resume --unknown={0}"
		self.random = random.Random(f"{unknown}{chunking}{part}")
		steps = STEPS + (DATA_STEPS if not chunking else []) + [None] * TIMES
		self.assertGreaterEqual(len(steps), 40)
		self.doubt = []
		for step in steps[part::4]:
			self.one(step, unknown, workers, chunking)
		# without CHUNKING a session has one message that is unanswered
		most, what = max(self.doubt, key=lambda d: d[0])
		self.assertLessEqual(most, workers * (WINDOW if chunking else 1), what)

	@tap.row("JSL-10")
	@tap.table(("DATA", False), ("BDAT", True))
	def test_often(self, chunking):
		"killed again and again: with --unknown=skip, no message ever arrives twice, {0}"
		with bulk.Server(chunking=chunking) as server:
			bulk.jsonl(os.path.join(self.place, "batch"), LINES)
			deaths = 0
			for n in range(1, 60):
				server.trap = ("dot", 4 + n % 3, ("before", "lost", "after")[n % 3])
				server.events.clear()
				server.has_victim.clear()
				running = mc.start(*self.argv(server, os.path.join(self.place, "batch"), "--workers", "1", "--window", "4", resume=True), lines=None, checks=False)
				server.kills(running.process)
				r = running.wait()
				server.settle()
				if r.signal == 0:
					break
				deaths += 1
			self.assertGreater(deaths, 5)
			self.assertEqual((r.signal, max(server.arrived.values())), (0, 1), r)
			named = {p["address"] for x in bulk.results(r.stdout) for p in x["recipients"] if p["state"] == "unknown"}
			self.assertLessEqual(EVERYBODY - set(server.arrived), named, r)


if __name__ == "__main__":
	tap.main(jobs=8)
