#!/usr/bin/python3
"""Many messages, a line of JSON each: every line one message and one result, whatever the lines, servers and readers do."""

import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import bulk, fake, mc, tap, tmp  # noqa: E402
from test_output import SCHEMA, faults  # noqa: E402

FROM = ("-f", "a@example.net")


class Batches(tap.Case):
	def file(self, lines):
		return lines if isinstance(lines, str) else bulk.jsonl(os.path.join(self.tempdir(), "batch.jsonl"), lines)

	def checked(self, octets, ordered=False):
		found = bulk.results(octets)
		for one in found:
			self.assertEqual(list(faults(one, SCHEMA)), [])
			self.assertEqual(list(one)[:3], ["line", "id", "version"])
		numbers = [x["line"] for x in found]
		self.assertEqual(len(set(numbers)), len(numbers), "a line has two results")
		if ordered:
			self.assertEqual(numbers, sorted(numbers))
		return sorted(found, key=lambda x: x["line"])

	def send(self, server, lines, *argv, code=0, **how):
		how.setdefault("lines", None)
		r = mc.run("--batch", self.file(lines), *(["-S", server.url] if server else []), *FROM, "--report=json", *argv, **how)
		self.assertEqual(r.code, code, r)
		if hasattr(server, "settle"):
			server.settle()
		r.results = self.checked(r.stdout, "--ordered" in argv)
		return r


class Lines(Batches):
	@tap.row("JSL-01")
	@tap.table(("DATA", False), ("BDAT", True))
	def test_invalid(self, chunking):
		"line 500 of 1,000 is invalid, {0}: 999 sent, results in order with --ordered"
		lines = [bulk.message(i) for i in range(1, 1001)]
		lines[499]["bdy"] = "x"
		with bulk.Server(chunking=chunking) as server:
			r = self.send(server, lines, "--ordered", code=1)
			self.assertEqual([x["line"] for x in bulk.results(r.stdout)], list(range(1, 1001)))
			self.assertEqual([x["line"] for x in r.results if x["result"] != "sent"], [500])
			self.assertEqual(r.results[499]["error"]["exit"], 65)
			self.assertIn(":500:", r.results[499]["error"]["text"])
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (999, 1))
			self.assertEqual({x["message_id"] for x in r.results if x["message_id"]}, {t.id for t in server.taken})

	@tap.table("max_time", "workers", "journal", "files_dir")
	def test_of_the_run(self, key):
		"{0} in a line: is for the whole run"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1), bulk.message(2, **{key: 5})], code=1)
			self.assertEqual([x["result"] for x in r.results], ["sent", "error"])
			self.assertIn(f"{key}: is for the whole run", r.results[1]["error"]["text"])

	@tap.table("a", "attach", "attachment")
	def test_place(self, name):
		"an error has its line, with a file called {0}"
		path = bulk.jsonl(os.path.join(self.tempdir(), name), [bulk.message(1), bulk.message(2, attachments="nofile.txt")])
		with bulk.Server() as server:
			r = mc.run("--batch", name, "-S", server.url, *FROM, "--report=json", lines=None, cwd=os.path.dirname(path))
			found = sorted(self.checked(r.stdout), key=lambda x: x["line"])
			self.assertRegex(found[1]["error"]["text"], f"^{name}:2: ")

	def test_times(self):
		"the message that opened the session has its connecting time, all have the time of their transaction"
		with bulk.Server(delay=0.01) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 6)], "--workers", "1")
			times = [x["timings_ms"] for x in r.results]
			self.assertEqual([t["connect"] is None for t in times], [False, True, True, True, True])
			for t in times:
				self.assertEqual((t["tls"], t["auth"]), (None, None))
				self.assertGreaterEqual(t["send"], 10)
				self.assertGreaterEqual(t["total"], t["send"])

	def test_empty(self):
		"--skip-empty: what is empty is counted as that, and as nothing else"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1), bulk.message(2, body="")], "--skip-empty")
			self.assertEqual([x["result"] for x in r.results], ["sent", "skipped"])
			self.assertEqual((r.results[1]["recipients"][0]["cause"], r.results[1]["recipients"][0]["text"]), ("", ""))
			self.assertIn("2 messages: 1 sent, 1 empty and not sent;", r.stderr)

	def test_composed(self):
		"a dry run: nobody was attempted, and nothing says why not"
		out = self.tempdir()
		r = self.send(None, [bulk.message(1), bulk.message(2)], "-n", "--output", out + "/")
		for one in r.results:
			self.assertEqual((one["result"], one["error"]), ("composed", None))
			self.assertEqual([(p["state"], p["cause"], p["text"]) for p in one["recipients"]], [("not_attempted", "", "")])

	@tap.table("a reader that goes away", "/dev/full")
	def test_no_output(self, what):
		"a dry run to {0}: said once, and nothing more is composed"
		lines = [bulk.message(i, body="x" * 5000) for i in range(1, 2001)]
		if what == "/dev/full":
			out = open(what, "wb")
		else:
			read, write = os.pipe()
			os.close(read)
			out = os.fdopen(write, "wb")
		with out:
			r = mc.run("--batch", self.file(lines), *FROM, "-n", stdout_file=out, lines=2)
		self.assertEqual(r.code, 74, r)
		self.assertEqual(sum("cannot write the messages" in line for line in r.lines), 1, r)

	@tap.row("JSL-02")
	def test_stop(self):
		"the same with --stop-on-error: the lines before were sent, those behind are not attempted"
		lines = [bulk.message(i) for i in range(1, 1001)]
		lines[499]["bdy"] = "x"
		with bulk.Server() as server:
			r = self.send(server, lines, "--ordered", "--stop-on-error", "--workers", "1", code=1)
			states = [x["result"] for x in r.results]
			self.assertEqual((len(states), set(states[:499]), states[499], set(states[500:])), (1000, {"sent"}, "error", {"error"}), r)
			for one in r.results[500:]:
				self.assertEqual(([p["state"] for p in one["recipients"]]), ["not_attempted"], one)
			self.assertEqual(sorted(int(t.subject[2:]) for t in server.taken), list(range(1, 500)))

	def test_stop_refused(self):
		"--stop-on-error stops for a refused recipient as well; nobody who was begun is left without a result"
		with bulk.Server(refuse={"r20@example.org": "550 5.1.1 no"}, delay=0.005) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 201)], "--stop-on-error", "--workers", "3", code=1)
			self.assertEqual(len(r.results), 200)
			sent = {x["line"] for x in r.results if x["result"] == "sent"}
			self.assertEqual(sent, {int(t.subject[2:]) for t in server.taken})
			self.assertLess(len(sent), 150)
			self.assertLessEqual(set(range(1, 17)), sent)

	@tap.row("JSL-03")
	@tap.table(("CRLF line ends", b"%s\r\n%s\r\n", [1, 2]), ("blank lines", b"\n%s\n \t\n\r\n%s\n\n", [2, 5]),
	           ("no line end at the end", b"%s\n%s", [1, 2]), ("spaces round it", b"  %s \n\t%s\t\n", [1, 2]))
	def test_ends(self, frame, numbers):
		"{0}: accepted, and lines are counted as they are"
		text = frame % tuple(json.dumps(bulk.message(i)).encode() for i in (1, 2))
		with bulk.Server() as server:
			r = self.send(server, self.write("b.jsonl", text))
			self.assertEqual(([x["line"] for x in r.results], server.arrived), (numbers, {"r1@example.org": 1, "r2@example.org": 1}))

	@tap.row("JSL-03")
	def test_bom(self):
		"a byte order mark on line 1: that line is refused, the others are sent"
		text = b"\xef\xbb\xbf" + b"\n".join(json.dumps(bulk.message(i)).encode() for i in (1, 2)) + b"\n"
		with bulk.Server() as server:
			r = self.send(server, self.write("b.jsonl", text), code=1)
			self.assertEqual(([x["result"] for x in r.results], r.results[0]["error"]["exit"]), (["error", "sent"], 65))
			r = self.send(server, self.write("b.jsonl", text.split(b"\n")[0]), code=65)

	@tap.row("JSL-04")
	@tap.table(
		("NUL", b'{"to":["x@example.org"],"subject":"a\0b","body":"t"}', "NUL"),
		("not UTF-8", b'{"to":["x@example.org"],"subject":"\xff","body":"t"}', "UTF-8"),
		("not an object", b'["x"]', "object"), ("two objects", b'{"to":["x@example.org"]} {"to":["y@example.org"]}', ""),
		("half an object", b'{"to":["x@example.org"]', ""), ("a key twice", b'{"to":["x@example.org"],"to":["y@example.org"]}', "to"),
		("a comment", b"// no", ""), ("too deep", b"[" * 100000, ""), ("no recipient", b'{"subject":"x"}', "recipient"))
	def test_bad(self, line, says):
		"a line that has {0}: refused alone, the next one is sent"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1), line, bulk.message(3)], code=1)
			self.assertEqual([x["result"] for x in r.results], ["sent", "error", "sent"], r)
			self.assertIn(says, r.results[1]["error"]["text"])
			self.assertIn(":2", r.results[1]["error"]["text"])
			self.assertEqual(server.arrived, {"r1@example.org": 1, "r3@example.org": 1})

	@tap.row("JSL-04")
	def test_long(self):
		"a line of more than 16 MiB: refused, the next one is sent"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1), bulk.message(2, "x@example.org", body="y" * (17 << 20)), bulk.message(3)], code=1)
			self.assertEqual([(x["line"], x["result"]) for x in r.results], [(1, "sent"), (2, "error"), (3, "sent")])
			self.assertNotIn("x@example.org", server.asked)

	@tap.row("JSL-05")
	def test_separators(self):
		"U+2028, U+2029, U+0085 and an escaped LF do not end a line"
		with bulk.Server(keep=True) as server:
			r = self.send(server, [bulk.message(1, body="a\u2028b\u2029c\x85d\ne\n"), bulk.message(2)])
			self.assertEqual(len(r.results), 2)
			self.assertEqual(len(server.taken), 2)

	@tap.row("JSL-09")
	def test_equal(self):
		"an identical line twice: two messages, two Message-IDs"
		with bulk.Server() as server:
			self.send(server, [bulk.message(1)] * 2)
			self.assertEqual((server.arrived["r1@example.org"], len({t.id for t in server.taken})), (2, 2))

	def test_empty(self):
		"an empty batch, or one of blank lines: nothing to send, no session, 0"
		with bulk.Server() as server:
			for text in (b"", b"\n \n\n"):
				r = self.send(server, self.write("b.jsonl", text))
				self.assertEqual((r.results, len(server.sessions)), ([], 0))

	def test_missing(self):
		"a batch that is not there: 66"
		r = mc.run("--batch", "/nonexistent/b", "-S", "127.0.0.1:1", *FROM)
		self.assertEqual(r.code, 66, r)

	@tap.table(("a text", "job-7"), ("a number", 12), ("UTF-8", "ä✓"), ("512 octets", "x" * 512))
	def test_id(self, name):
		"id, {0}, is in the result, also of a line that fails"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1, id=name), dict(bulk.message(2), id=name, nonsense=1)], code=1)
			self.assertEqual([x["id"] for x in r.results], [str(name)] * 2)

	@tap.table(("empty", ""), ("513 octets", "x" * 513), ("an object", {}), ("a line break", "a\nb"), ("true", True))
	def test_bad_id(self, name):
		"an id that cannot be one, {0}: that line is refused"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1, id=name), bulk.message(2)], code=1)
			self.assertEqual([x["result"] for x in r.results], ["error", "sent"])

	@tap.table(*[(k, k, v) for k, v in (("workers", 2), ("window", 2), ("max_per_session", 1), ("max_per_second", 1), ("max_per_minute", 1), ("ordered", True),
	                                    ("stop_on_error", True), ("unknown", "retry"), ("missing", "empty"), ("report", "json"), ("dry_run", True),
	                                    ("verbose", True), ("quiet", True), ("files_dir", "/"), ("journal", "/tmp/j"), ("resume", True),
	                                    ("output", "/tmp/o"), ("log", "/tmp/l"), ("batch", "x"), ("config", "x"))])
	def test_run_settings(self, key, value):
		"what is for the whole run is refused in a line: {0}"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1, **{key: value}), bulk.message(2)], code=1)
			self.assertEqual([x["result"] for x in r.results], ["error", "sent"], r)
			self.assertEqual((r.results[0]["error"]["exit"], len(server.taken)), (65, 1))

	@tap.table(("body_file", {"body_file": "-"}), ("html_file", {"html_file": "/dev/stdin"}), ("message_file", {"message_file": "-"}),
	           ("an attachment", {"attachments": [{"path": "-"}]}), ("an attachment's device", {"attachments": [{"path": "/dev/stdin"}]}))
	def test_stdin(self, more):
		"standard input named by a line, {0}: refused"
		with bulk.Server() as server:
			bad = {**bulk.message(1), **more}
			if "body_file" in more or "message_file" in more:
				bad.pop("body")
			r = self.send(server, [bad, bulk.message(2)], code=1, input="x\n")
			self.assertEqual([x["result"] for x in r.results], ["error", "sent"], r)
			self.assertEqual(len(server.taken), 1)


class Settings(Batches):
	def test_defaults(self):
		"flags and a params file are defaults under each line; nothing of a line stays for the next"
		params = self.write("p.json", json.dumps({"cc": ["cc@example.org"], "headers": {"X-A": "params"}, "reply_to": "r@example.org"}))
		lines = [{"to": ["r1@example.org"]}, {"to": ["r2@example.org"], "subject": "own", "from": "own@example.net", "cc": [], "headers": {"X-A": "own"}},
		         {"to": ["r3@example.org"], "body": "own text\n"}]
		with bulk.Server(keep=True) as server:
			self.send(server, lines, "--params", params, "-s", "flag", "--body", "flag text", "--workers", "1", "--ordered")
			got = {t.rcpts[0]: t for t in server.taken}
			one, two, three = got["r1@example.org"], got["r2@example.org"], got["r3@example.org"]
			self.assertEqual([t.subject for t in (one, two, three)], ["flag", "own", "flag"])
			self.assertEqual([t.sender for t in (one, two, three)], ["a@example.net", "own@example.net", "a@example.net"])
			self.assertEqual([t.rcpts[1:] for t in (one, two, three)], [["cc@example.org"], [], ["cc@example.org"]])
			self.assertEqual([(b"X-A: own" in t.data, b"flag text" in t.data) for t in (one, two, three)], [(False, True), (True, True), (False, False)])

	def test_servers(self):
		"a server for a line: each gets its own, in sessions that are kept for those without"
		with bulk.Server() as one, bulk.Server() as two:
			lines = [bulk.message(i, **({"server": two.url} if i % 3 == 0 else {})) for i in range(1, 31)]
			r = self.send(one, lines, "--workers", "2")
			two.settle()
			self.assertEqual(({int(t.subject[2:]) % 3 for t in one.taken}, {int(t.subject[2:]) % 3 for t in two.taken}), ({1, 2}, {0}))
			self.assertEqual((len(one.taken), len(two.taken)), (20, 10))
			self.assertEqual({x["server"] for x in r.results}, {f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"})

	def test_dead_server(self):
		"a line's server that is not there: that line is deferred, the others are sent"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(i, **({"server": "127.0.0.1:1"} if i == 5 else {})) for i in range(1, 11)], code=1)
			self.assertEqual([x["line"] for x in r.results if x["result"] == "deferred"], [5])
			self.assertEqual(len(server.taken), 9)

	def test_accounts(self):
		"accounts of the configuration by each line's From, with their credentials"
		with fake.Server(auth="PLAIN", auth_clear=True, users={"u1": "secret-one"}) as one, fake.Server(auth="PLAIN", auth_clear=True,
		                                                                                              users={"u2": "secret-two"}) as two:
			config = self.write("c.json", json.dumps({"accounts": {
				"one": {"from": "a1@example.net", "server": one.url, "username": "u1", "password": "secret-one"},
				"two": {"from": "a2@example.net", "server": two.url, "username": "u2", "password": "secret-two"}}}))
			lines = [bulk.message(i, **{"from": f"a{1 + i % 2}@example.net"}) for i in range(1, 11)]
			r = mc.run("--batch", self.file(lines), "--config", config, "--report=json", "--workers", "1", lines=None, secrets=["secret-one", "secret-two"])
			if r.code == 64 or r.code == 78 or r.code == 65:
				self.fail(str(r))
			self.assertEqual(r.code, 0, r)
			for server, user in ((one, "u1"), (two, "u2")):
				messages = [m for s in server.sessions for m in s.messages]
				self.assertEqual(len(messages), 5)
				self.assertEqual({m.sender for m in messages}, {f"a{user[1]}@example.net"})
				self.assertEqual({a["user"] for s in server.sessions for a in s.auths}, {user})

	def test_files_dir(self):
		"files_dir holds for lines: beneath it they are read, beside it refused"
		place = self.tempdir()
		os.mkdir(os.path.join(place, "files"))
		self.write("in.txt", "from the file\n", directory=os.path.join(place, "files"))
		self.write("out.txt", "never\n", directory=place)
		with bulk.Server(keep=True) as server:
			lines = [{"to": ["r1@example.org"], "body_file": "in.txt"}]
			for name in ("../out.txt", os.path.join(place, "out.txt"), "/etc/passwd"):
				lines += [{"to": ["no@example.org"], "body_file": name}, {"to": ["no@example.org"], "body": "x", "attachments": [name]}]
			r = self.send(server, lines, "--files-dir", os.path.join(place, "files"), code=1)
			self.assertEqual([x["result"] for x in r.results], ["sent"] + ["error"] * 6, r)
			self.assertIn(b"from the file", server.taken[0].data)

	def test_lmtp(self):
		"LMTP: a word for each recipient of each message"
		with bulk.Server(lmtp=True, chunking=True, dot={"full@example.org": "452 4.2.2 full"}) as server:
			r = self.send(server, [bulk.message(i, f"r{i}@example.org", *(["full@example.org"] if i % 2 else [])) for i in range(1, 21)], code=1)
			self.assertEqual([x["result"] for x in r.results], ["partial", "sent"] * 10)
			self.assertEqual((len(server.arrived), "full@example.org" in server.arrived), (20, False))


class Codes(Batches):
	@tap.table(
		("all refused", [1, 2], {}, 67), ("all deferred", [], {1: "450 4.2.0 x", 2: "450 4.2.0 x"}, 75), ("one refused, one deferred", [1], {2: "450 4.2.0 x"}, 75),
		("one sent, one refused", [1], {}, 1), ("one sent, one deferred", [], {1: "450 4.2.0 x"}, 1))
	def test_code(self, refused, others, code):
		"exit code: {0}"
		replies = {f"r{i}@example.org": "550 5.1.1 no" for i in refused} | {f"r{i}@example.org": r for i, r in others.items()}
		with bulk.Server(refuse=replies) as server:
			r = self.send(server, [bulk.message(1), bulk.message(2)], code=code)
			self.assertEqual(len(r.results), 2)

	def test_invalid(self):
		"exit code: all lines invalid is 65, nothing is connected to"
		with bulk.Server() as server:
			self.send(server, [b"{", b"}"], code=65)
			self.assertEqual(len(server.sessions), 0)

	def test_unknown(self):
		"exit code: the session is lost at the dot of the only message: 2, and it is not sent again"
		with fake.Server(dot=fake.close()) as server:
			r = self.send(server, [bulk.message(1)], code=2)
			self.assertEqual(([x["result"] for x in r.results], len([m for s in server.sessions for m in s.messages])), (["unknown"], 1))

	def test_refused_connection(self):
		"exit code: nobody listens: 75, and every line is told"
		r = self.send(None, [bulk.message(i) for i in range(1, 31)], "-S", "127.0.0.1:1", code=75)
		self.assertEqual({x["result"] for x in r.results}, {"deferred"})
		self.assertEqual(len(r.results), 30)

	def test_text(self):
		"without --report: standard output empty, a line for each that failed, and the summary"
		with bulk.Server(refuse={"r2@example.org": "550 5.1.1 no such"}) as server:
			r = mc.run("--batch", self.file([bulk.message(1), bulk.message(2), bulk.message(3)]), "-S", server.url, *FROM, lines=None)
			self.assertEqual((r.code, r.stdout, len(r.lines)), (1, b"", 2), r)
			self.assertIn("line 2:", r.lines[0])
			self.assertRegex(r.lines[1], r"^mailchute: 3 messages: 2 sent, 1 refused; ")
			r = mc.run("--batch", self.file([bulk.message(1)]), "-S", server.url, *FROM, "-q")
			self.assertEqual((r.code, r.stderr), (0, ""), r)

	@tap.table(("--batch and --data", ["--data", "y"]), ("--batch and -bs", ["-bs"]), ("--workers 0", ["--workers", "0"]), ("--window 0", ["--window", "0"]),
	           ("--unknown=maybe", ["--unknown=maybe"]), ("--body-file - with --batch -", ["--body-file", "-"]))
	def test_usage(self, argv):
		"refused before anything is sent: {0}"
		with bulk.Server() as server:
			r = mc.run("--batch", "-", "-S", server.url, *FROM, *argv, input=json.dumps(bulk.message(1)) + "\n", lines=None)
			self.assertEqual((r.code, len(server.sessions)), (64, 0), r)


class Pipes(Batches):
	"""--batch - and what hangs on its two ends."""

	def begin(self, server, *argv, **how):
		how.setdefault("lines", None)
		read, write = os.pipe()
		running = mc.start("--batch", "-", "-S", server.url, *FROM, "--report=json", *argv, stdin=read, **how)
		os.close(read)
		return running, write

	@tap.row("JSL-07")
	def test_stall(self):
		"a writer that stalls amid a line: what came before is sent at once, the rest when it comes"
		with bulk.Server() as server:
			running, write = self.begin(server)
			text = b"".join(json.dumps(bulk.message(i)).encode() + b"\n" for i in (1, 2))
			cut = text.index(b"\n") + 30
			os.write(write, text[:cut])
			tmp.wait_for(lambda: len(server.taken) == 1, 10, "the first message")
			time.sleep(1)
			self.assertEqual((running.process.poll(), len(server.taken)), (None, 1))
			for octet in text[cut:]:
				os.write(write, bytes([octet]))
			tmp.wait_for(lambda: len(server.taken) == 2, 10, "the second message")
			os.close(write)
			r = running.wait()
			self.assertEqual((r.code, [x["line"] for x in self.checked(r.stdout)]), (0, [1, 2]), r)

	@tap.row("JSL-07")
	def test_dies(self):
		"a writer that dies amid a line: the partial line is refused, never sent"
		line = json.dumps(bulk.message(2)).encode()
		for cut in (1, len(line) // 2, len(line) - 1):
			with bulk.Server() as server:
				running, write = self.begin(server)
				os.write(write, json.dumps(bulk.message(1)).encode() + b"\n" + line[:cut])
				os.close(write)
				r = running.wait()
				self.assertEqual((r.code, [x["result"] for x in self.checked(r.stdout)], server.arrived), (1, ["sent", "error"], {"r1@example.org": 1}), r)

	@tap.row("JSL-08")
	def test_closed(self):
		"standard output is closed after 10 results: 74, no more is begun, the summary on standard error"
		with bulk.Server(delay=0.002) as server:
			path = self.file([bulk.message(i) for i in range(1, 3001)])
			running = mc.start("--batch", path, "-S", server.url, *FROM, "--report=json", "--workers", "2", lines=None)
			for _ in range(10):
				running.process.stdout.readline()
			running.process.stdout.close()
			running.process.stdout = None
			r = running.wait(20)
			server.settle()
			self.assertEqual(r.code, 74, r)
			self.assertLess(len(server.taken), 2500)
			self.assertRegex(r.stderr, rf"mailchute: \d+ messages: {len(server.taken)} sent")

	@tap.table(("a session of one message", ["--max-per-session", "1"], False), ("the next one is for another server", [], True),
	           ("a window that is nearly full", ["--window", "64"], False))
	def test_idle(self, argv, other):
		"a server that takes its time: the wait costs no processor time, {0}"
		release, window = threading.Event(), "--window" in argv
		def dot(taken):
			if taken.subject != "m 1" or not window:
				release.wait(20)
		with bulk.Server(chunking=window, dot=dot) as server, bulk.Server() as second:
			lines = [bulk.message(i) for i in range(1, 71)]
			if other:
				for line in lines[1:]:
					line["server"] = second.url
			running, write = self.begin(server, "--workers", "1", *argv)
			os.write(write, b"".join(json.dumps(x).encode() + b"\n" for x in lines[:62]))
			tmp.wait_for(lambda: server.commands["BDAT"] > 1 if window else server.commands["DATA"] == 1, 10, "the first messages")
			time.sleep(0.3 * mc.SLOW)
			os.write(write, b"".join(json.dumps(x).encode() + b"\n" for x in lines[62:]))
			os.close(write)
			time.sleep(0.3 * mc.SLOW)
			before = self.cpu(running.pid)
			time.sleep(1.5)
			used = self.cpu(running.pid) - before
			release.set()
			r = running.wait(30)
			self.assertEqual(len(self.checked(r.stdout)), 70, r)
			self.assertLess(used, 0.15, r)

	def cpu(self, pid):
		with open(f"/proc/{pid}/stat") as f:
			fields = f.read().rpartition(")")[2].split()
		return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

	@tap.row("JSL-08")
	def test_slow(self):
		"a slow reader of results: back-pressure, nothing lost"
		with bulk.Server(chunking=True) as server:
			running, write = self.begin(server, "--workers", "1")
			written = [0]

			def feed():
				try:
					with os.fdopen(write, "wb") as out:
						for i in range(1, 40001):
							out.write(json.dumps(bulk.message(i)).encode() + b"\n")
							written[0] = i
				except OSError:
					return
			feeder = threading.Thread(target=feed, daemon=True)
			feeder.start()
			# it comes to a stand, sooner or later
			first, at, limit = -1, None, time.monotonic() + 20 * mc.SLOW
			while (first, at) != (written[0], len(server.taken)) and written[0] < 40000 and time.monotonic() < limit:
				first, at = written[0], len(server.taken)
				time.sleep(1.5 * min(mc.SLOW, 2))
			stalled = (first, written[0], len(server.taken))
			if written[0] < 40000:
				self.assertEqual(first, written[0], stalled)
			running.kill(15)
			running.wanted_signal = 15
			r = running.wait()
			server.settle()
			told, taken = self.checked(r.stdout), {int(t.subject[2:]) for t in server.taken}
			sent, unknown = ({x["line"] for x in told if x["result"] == result} for result in ("sent", "unknown"))
			self.assertLessEqual(sent, taken, stalled)
			# what was on its way when the signal came, where it had not come to a stand yet
			self.assertLessEqual(taken, sent | unknown, stalled)
			self.assertLessEqual(len(unknown), 64, stalled)
			self.assertLess(len(server.taken), 40000, stalled)

	@tap.table(("TERM", 15), ("INT", 2), ("HUP", 1))
	def test_signal(self, number):
		"SIG{0} amid a batch: dies of it; all that was accepted is told, nothing else is said to be sent"
		with bulk.Server(delay=0.01) as server:
			running = mc.start("--batch", self.file([bulk.message(i) for i in range(1, 1001)]), "-S", server.url, *FROM, "--report=json", "--workers", "3",
			                   lines=None, signal=number)
			tmp.wait_for(lambda: len(server.taken) > 20, 10, "twenty messages")
			running.kill(number)
			r = running.wait(10)
			server.settle()
			told = self.checked(r.stdout)
			sent = {x["line"] for x in told if x["result"] == "sent"}
			unknown = {x["line"] for x in told if x["result"] == "unknown"}
			arrived = {int(t.subject[2:]) for t in server.taken}
			self.assertLess(len(arrived), 1000)
			self.assertLessEqual(sent, arrived, r)
			self.assertLessEqual(arrived, sent | unknown, r)
			self.assertLess(r.duration, 8 * mc.SLOW)

	def test_signal_waiting(self):
		"SIGTERM while the writer stalls: dies of it at once"
		with bulk.Server() as server:
			running, write = self.begin(server, signal=15)
			os.write(write, json.dumps(bulk.message(1)).encode() + b"\n" + b'{"to":')
			tmp.wait_for(lambda: server.taken, 10, "the first message")
			time.sleep(0.2)
			began = time.monotonic()
			running.kill()
			r = running.wait(10)
			os.close(write)
			self.assertLess(time.monotonic() - began, 3 * mc.SLOW)
			self.assertEqual([x["result"] for x in self.checked(r.stdout)], ["sent"])


class Once(Batches):
	"""A pipe is read once, and there are many messages."""

	def pipe(self, octets):
		read, write = os.pipe()
		os.write(write, octets)
		os.close(write)
		self.addCleanup(os.close, read)
		return read

	@tap.table(("--body-file", "--body-file", b"text/plain"), ("--html-file", "--html-file", b"text/html"))
	def test_text(self, flag, kind):
		"{0} by a pipe: every message has the text"
		fd = self.pipe("das schöne Wörtchen\n".encode())
		with bulk.Server(keep=True) as server:
			lines = [{"to": f"r{i}@example.org", "subject": f"m {i}"} for i in range(1, 6)]
			self.send(server, lines, flag, f"/dev/fd/{fd}", pass_fds=[fd])
			self.assertEqual(len(server.taken), 5)
			for taken in server.taken:
				self.assertIn(kind, taken.data)
				self.assertIn(b"W=C3=B6rtchen", taken.data)

	def test_standard_input(self):
		"--body-file -: every message has the text"
		with bulk.Server(keep=True) as server:
			self.send(server, [{"to": f"r{i}@example.org"} for i in range(1, 6)], "--body-file", "-", input=b"from a pipe\n")
			self.assertEqual([b"from a pipe" in t.data for t in server.taken], [True] * 5)

	def test_aliases(self):
		"--aliases-file by a pipe: it is every message's"
		fd = self.pipe(b"root: admin@example.org\n")
		with bulk.Server() as server:
			self.send(server, [{"to": "root", "body": "x"}] * 5, "--aliases-file", f"/dev/fd/{fd}", pass_fds=[fd])
			self.assertEqual([t.rcpts for t in server.taken], [["admin@example.org"]] * 5)

	def test_aliases_line(self):
		"an aliases file of a line that is a pipe: an error of that line"
		fd = self.pipe(b"root: admin@example.org\n")
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(1), {"to": "root", "aliases_file": f"/dev/fd/{fd}"}], code=1, pass_fds=[fd])
			self.assertEqual([x["result"] for x in r.results], ["sent", "error"])
			self.assertIn("can be read once", r.results[1]["error"]["text"])

	@tap.table(("nothing", b"", "", [], 0), ("not UTF-8", b"caf\xe9\n", "body_file: -: must be UTF-8, without NUL", [], 65),
	           ("another charset", b"caf\xe9\n", "--charset", ["--charset", "iso-8859-1"], 64))
	def test_octets(self, octets, said, argv, code):
		"--body-file - with {0}"
		with bulk.Server(keep=True) as server:
			r = mc.run("--batch", self.file([{"to": f"r{i}@example.org"} for i in range(1, 4)]), "-S", server.url, *FROM, "--body-file", "-", *argv,
			           input=octets, lines=None)
			self.assertEqual((r.code, len(server.taken)), (code, 0 if code else 3), r)
			self.assertIn(said, r.stderr)

	@tap.table("attach", "fd", "fifo", "message-file", "inline")
	def test_refused(self, what):
		"what cannot be had for each message is refused before anything is sent: {0}"
		fd = self.pipe(b"octets")
		fifo = os.path.join(self.tempdir(), "fifo")
		os.mkfifo(fifo)
		argv = {"attach": ["-a", f"/dev/fd/{fd}"], "fd": ["-a", json.dumps({"fd": fd, "filename": "x"})], "fifo": ["-a", fifo],
		        "message-file": ["--message-file", f"/dev/fd/{fd}"],
		        "inline": ["-a", json.dumps({"path": fifo, "disposition": "inline"})]}[what]
		with bulk.Server() as server:
			r = mc.run("--batch", self.file([bulk.message(1)] if what != "message-file" else [{"to": "r@example.org"}]), "-S", server.url, *FROM, *argv,
			           pass_fds=[fd])
			self.assertEqual((r.code, server.sessions), (64, []), r)
			self.assertIn("can be read once, and a batch has many messages", r.stderr)

	@tap.table(("a literal password", {"username": "u", "password": "geheim99"}, 0o644, 77), ("the same, 0600", {"username": "u", "password": "geheim99"}, 0o600, None),
	           ("a password file", {"username": "u", "password": {"file": "/nowhere"}}, 0o644, None))
	def test_exposed(self, more, mode, code):
		"a file that others can read, {0}"
		lines = [bulk.message(1), bulk.message(2, **more)]
		path = self.file(lines)
		os.chmod(path, mode)
		with bulk.Server() as server:
			r = mc.run("--batch", path, "-S", server.url, *FROM, "--report=json", lines=None)
			found = sorted(self.checked(r.stdout), key=lambda x: x["line"])
			self.assertEqual(found[0]["result"], "sent")
			self.assertEqual("others can read" in found[1]["error"]["text"], bool(code), r)
			self.assertEqual(found[1]["error"]["exit"], code or found[1]["error"]["exit"])
			if code:
				self.assertIn("batch.jsonl:2: others can read this file and it holds a literal 'password'; run: chmod 600 ", found[1]["error"]["text"])
				self.assertNotIn("geheim99", r.stderr)

	def test_lines(self):
		"a line that names one is in error, the others are sent"
		fd = self.pipe(b"octets")
		fifo = os.path.join(self.tempdir(), "fifo")
		os.mkfifo(fifo)
		lines = [bulk.message(i) for i in range(1, 6)]
		lines[1]["attachments"] = [{"fd": fd, "filename": "x"}]
		lines[2]["attachments"] = [fifo]
		lines[3]["attachments"] = [f"/dev/fd/{fd}"]
		with bulk.Server() as server:
			r = self.send(server, lines, code=1, pass_fds=[fd])
			self.assertEqual([x["result"] for x in r.results], ["sent", "error", "error", "error", "sent"])
			for one in r.results[1:4]:
				self.assertEqual(one["error"]["exit"], 65)
				self.assertIn("can be read once", one["error"]["text"])


class Sessions(Batches):
	@tap.table(("DATA", False, 1), ("BDAT", True, 1), ("BDAT, 4 workers", True, 4))
	def test_kept(self, chunking, workers):
		"a session a worker, for any number of messages, {0}"
		with bulk.Server(chunking=chunking) as server:
			self.send(server, [bulk.message(i) for i in range(1, 401)], "--workers", str(workers))
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (400, 1))
			self.assertLessEqual(len(server.sessions), workers)
			self.assertEqual(server.commands["BDAT"] > 0, chunking)

	@tap.table(("DATA, one processor", False, True), ("BDAT, one processor", True, True), ("DATA", False, False), ("BDAT", True, False))
	def test_order(self, chunking, one):
		"one worker sends in the order of the lines, bad lines and large ones among them, {0}"
		lines = [bulk.message(i) for i in range(1, 401)]
		for i in range(20, 400, 40):
			lines[i]["body"] = "large\n" * 20000
			lines[i + 1]["to"] = "two words@example.org"
		with bulk.Server(chunking=chunking) as server:
			cpu = {min(os.sched_getaffinity(0))}
			r = self.send(server, lines, "--workers", "1", code=1, preexec=(lambda: os.sched_setaffinity(0, cpu)) if one else None)
			self.assertEqual([x["line"] for x in r.results if x["result"] != "sent"], list(range(22, 401, 40)))
			self.assertEqual([int(t.subject[2:]) for t in server.taken], [i for i in range(1, 401) if (i - 22) % 40])

	@tap.table(("DATA", False, 1), ("BDAT", True, 1), ("BDAT, 2 workers", True, 2))
	def test_ahead(self, chunking, workers):
		"what was composed ahead when a signal came is not told, and a resumed run sends it, {0}"
		lines = [bulk.message(i) for i in range(1, 301)]
		journal = os.path.join(self.tempdir(), "journal")
		with bulk.Server(chunking=chunking, delay=0.004) as server:
			options = "--workers", str(workers), "--journal", journal
			running = mc.start("--batch", self.file(lines), "-S", server.url, *FROM, "--report=json", *options, lines=None, signal=15)
			tmp.wait_for(lambda: len(server.taken) > 100, 30, "a hundred messages")
			running.kill()
			told = self.checked(running.wait(10).stdout)
			server.settle()
			self.assertLessEqual(len(told), len(server.taken) + 2 + 64 * workers)
			self.send(server, lines, *options, "--resume", "--unknown", "retry")
			self.assertEqual(len(server.arrived), 300)
			twice = {n for n, count in server.arrived.items() if count > 1}
			self.assertLessEqual(len(twice), sum(x["result"] == "unknown" for x in told))

	@tap.table(("DATA", False), ("BDAT", True))
	def test_max_per_session(self, chunking):
		"--max-per-session 7: no session has more, {0}"
		with bulk.Server(chunking=chunking) as server:
			self.send(server, [bulk.message(i) for i in range(1, 101)], "--max-per-session", "7", "--workers", "2")
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (100, 1))
			self.assertLessEqual(max(s.messages for s in server.sessions), 7)
			self.assertLessEqual(len(server.sessions), 17)

	@tap.table(("DATA", False), ("BDAT", True))
	def test_enough(self, chunking):
		"a server that closes with 421 after 9 messages: a further session, each message once, {0}"
		with bulk.Server(chunking=chunking, after=9) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 101)], "--workers", "1")
			self.assertEqual((len(server.arrived), max(server.arrived.values()), {x["result"] for x in r.results}), (100, 1, {"sent"}))

	@tap.table(("3 workers, DATA", False, ["--workers", "3"]), ("3 workers, BDAT", True, ["--workers", "3"]), ("by need", False, []))
	def test_not_greeted(self, chunking, argv):
		"a server that greets one session only: its messages do not wait for the others, {0}"
		release = threading.Event()
		with bulk.Server(chunking=chunking, delay=0.001, greet=lambda number: number == 1 or release.wait(30)) as server:
			running = mc.start("--batch", self.file([bulk.message(i) for i in range(1, 601)]), "-S", server.url, *FROM, "--report=json", *argv,
			                   lines=None)
			tmp.wait_for(lambda: len(server.taken) == 600, 10 * mc.SLOW, lambda: f"600 messages ({len(server.taken)} came)")
			release.set()
			r = running.wait(20)
			self.assertEqual(r.code, 0, r)
			self.assertEqual((len(server.arrived), max(server.arrived.values()), len(self.checked(r.stdout))), (600, 1, 600))

	def test_transactions_each_lost(self):
		"a server that ends each session after one transaction: a message in eight of them gets to all"
		with bulk.Server(after=1) as server:
			self.send(server, [bulk.message(1, *[f"r{i}@example.org" for i in range(8)])], "--max-rcpt", "1")
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (8, 1))

	@tap.table(("SIGINT", []), ("max_time", ["--max-time", "1"]))
	def test_more(self, argv):
		"what was not read is told as well as what was read and not begun, {0}"
		lines = [bulk.message(i) for i in range(1, 5001)]
		with bulk.Server(delay=0.005) as server:
			running = mc.start("--batch", self.file(lines), "-S", server.url, *FROM, "--report=json", *argv, lines=None, signal=0 if argv else 2)
			if not argv:
				tmp.wait_for(lambda: len(server.taken) > 20, 10, "twenty messages")
				running.kill(2)
			r = running.wait(20)
			self.assertRegex(r.stderr, r"lines read and not begun; .*; the input was not read to its end")

	def test_busy(self):
		"a server that bears two sessions, and 8 workers: each message once"
		with bulk.Server(busy=2, delay=0.002) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 201)], "--workers", "8")
			self.assertEqual((len(server.arrived), max(server.arrived.values()), {x["result"] for x in r.results}), (200, 1, {"sent"}))

	def test_lost(self):
		"sessions that are lost at some dots: those are unknown and not sent again, the others are sent once"
		def dot(taken):
			if int(taken.subject[2:]) % 17 == 0:
				raise ConnectionError
		with bulk.Server(dot=dot) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 101)], "--workers", "2", code=1)
			self.assertEqual([x["line"] for x in r.results if x["result"] == "unknown"], [17, 34, 51, 68, 85], r)
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (95, 1))
			self.assertEqual(len(r.results), 100)

	def test_many_recipients(self):
		"messages of 250 recipients among small ones"
		with bulk.Server(chunking=True) as server:
			lines = [bulk.message(i, *[f"r{i}x{k}@example.org" for k in range(250 if i % 5 == 0 else 1)]) for i in range(1, 21)]
			self.send(server, lines, "--workers", "1", "--window", "3")
			self.assertEqual((len(server.arrived), max(server.arrived.values())), (4 * 250 + 16, 1))

	def test_retries(self):
		"--retries: who was deferred is tried again, and nobody else, while the others go on"
		def refuse(address, number):
			return "450 4.7.1 greylisted" if address.startswith("r3@") and number == 1 else None
		with bulk.Server(refuse=refuse) as server:
			r = self.send(server, [bulk.message(i, f"r{i}@example.org", f"s{i}@example.org") for i in range(1, 11)], "--retries", "2", "--retry-delay", "1")
			self.assertEqual((len(server.arrived), max(server.arrived.values()), len(r.results)), (20, 1, 10))
			self.assertEqual((server.asked["r3@example.org"], server.asked["s3@example.org"]), (2, 1))

	def test_second(self):
		"--max-per-second 20: 40 messages take about two seconds"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 41)], "--max-per-second", "20")
			self.assertGreater(r.duration, 1.6)
			self.assertLess(r.duration, 2.5 * mc.SLOW + 1)
			at = sorted(t.at for t in server.taken)
			self.assertLessEqual(max(sum(1 for t in at if s <= t < s + 1) for s in at), 24)

	def test_minute(self):
		"--max-per-minute 600: 20 messages do not come at once, nor much later"
		with bulk.Server() as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 46)], "--max-per-minute", "600")
			self.assertGreater(r.duration, 1)
			self.assertLess(r.duration, 5 * mc.SLOW)

	def test_max_time(self):
		"--max-time ends the batch: what was not begun is not sent, and the exit code says so"
		with bulk.Server(delay=0.05) as server:
			r = self.send(server, [bulk.message(i) for i in range(1, 201)], "--max-time", "2", "--workers", "1", code=1)
			self.assertLess(r.duration, 6 * mc.SLOW)
			self.assertLess(len(server.taken), 100)
			sent = {x["line"] for x in r.results if x["result"] == "sent"}
			self.assertLessEqual({int(t.subject[2:]) for t in server.taken} - sent, {x["line"] for x in r.results if x["result"] == "unknown"})
			self.assertLessEqual(sent, {int(t.subject[2:]) for t in server.taken})

	def test_dry(self):
		"--dry-run connects to nothing, and tells each"
		with bulk.Server() as server:
			place = self.tempdir()
			r = self.send(server, [bulk.message(1), b"{", bulk.message(3)], "--output", place + "/", code=1)
			self.assertEqual(([x["result"] for x in r.results], len(server.sessions), sorted(os.listdir(place))),
			                 (["composed", "error", "composed"], 0, ["000001.eml", "000003.eml"]), r)

	def test_any(self):
		"whatever the sizes, recipients, servers and refusals: each line one result, which is what the server did"
		chance = random.Random(7)
		refused = {f"r{i}@example.org": chance.choice(("550 5.1.1 no", "450 4.2.0 later")) for i in range(1, 301) if chance.random() < 0.2}
		lines = [bulk.message(i, body="x" * chance.choice((1, 100, 5000, 100000)) + "\n.\n") for i in range(1, 301)]
		for i in chance.sample(range(300), 30):
			lines[i]["nonsense"] = 1
		with bulk.Server(chunking=True, refuse=refused, after=23) as server:
			r = self.send(server, lines, "--workers", "4", "--window", "5", "--ordered", code=1)
			self.assertEqual(len(r.results), 300)
			want = {}
			for i, line in enumerate(lines, 1):
				reply = refused.get(f"r{i}@example.org", "250")
				want[i] = "error" if "nonsense" in line else {"2": "sent", "5": "rejected", "4": "deferred"}[reply[0]]
			self.assertEqual({x["line"]: x["result"] for x in r.results}, want)
			self.assertEqual({int(t.subject[2:]) for t in server.taken}, {i for i in want if want[i] == "sent"})
			self.assertEqual(max(server.arrived.values()), 1)


class Large(Batches):
	def run_of(self, count, *argv):
		path = os.path.join(self.tempdir(), "b.jsonl")
		with open(path, "w", encoding="ascii") as out:
			for i in range(1, count + 1):
				out.write(f'{{"to":["r{i}@example.org"],"subject":"m {i}","body":"text of some length, number {i}\\n"}}\n')
		with bulk.Server(chunking=True) as server:
			r = mc.run("--batch", path, "-S", server.url, *FROM, "--report=json", *argv, lines=None, timeout=60, watch=True)
			server.settle()
			self.assertEqual(r.code, 0, str(r)[-500:])
			found = bulk.results(r.stdout)
			self.assertEqual((len(found), {x["result"] for x in found}), (count, {"sent"}))
			self.assertEqual((len(server.taken), len({t.id for t in server.taken}), len(server.arrived)), (count,) * 3)
			self.assertEqual({x["message_id"] for x in found}, {t.id for t in server.taken})
			return r.peak_kb

	@tap.row("JSL-06")
	@tap.table(("1 worker", ["--workers", "1"]), ("8 workers, in order", ["--workers", "8", "--ordered"]))
	def test_many(self, argv):
		"20,000 lines, {0}: each exactly once, and the memory is that of 5,000"
		few, many = self.run_of(5000, *argv), self.run_of(20000, *argv)
		if mc.SLOW == 1:        # a sanitizer keeps what was freed
			# by chance more results wait to be told in one run: 2048 at most, of some 4 KiB
			self.assertLess(many, few * 1.2 + 8192, f"{few} kB, {many} kB")


if __name__ == "__main__":
	tap.main(jobs=8)
