"""Faulty servers, as tables: what each of them must come to, whatever the way there.

test_srv.py runs them over plain SMTP and LMTP, test_srv_tls.py under TLS. A way is a class with the attribute
`way`, a row of WAYS. Each run is checked by Faults.send() for what holds in every case: every recipient has one
verdict, within the configured time; the line on standard error names the server; the wire is clean; accepted means
that our own dot was answered 2xx; no dot went out where the recipients were only deferred.
"""

import json

from lib import certs, fake, mc, tap

KEYWORDS = list(fake.KEYWORDS)
BOB = "bob@example.org"
T = 1                                   # seconds; every clock that is not the matter of a test
TEXT = "text\n.dot\n"
MB = 1 << 20
# More than the buffers of both sockets hold: what is cut off at 1 MB cannot have been sent whole before.
BIG = b"0123456789 0123456789 0123456789 0123456789\n" * 300000         # 13 MB

# name: keywords of the server, flags of the client
WAYS = {
	"smtp": ({}, []),
	"smtp, no extensions": ({"ehlo": []}, []),
	"lmtp": ({"lmtp": True}, []),
	"lmtp, no extensions": ({"lmtp": True, "ehlo": []}, []),
	"lmtp unix": ({"lmtp": True, "unix": True}, []),
	"smtps": ({"tls": "implicit"}, ["--tls-ca-file", certs.ca]),
	"starttls": ({"tls": "starttls"}, ["--starttls", "--tls-ca-file", certs.ca]),
	"lmtps": ({"lmtp": True, "tls": "implicit"}, ["--tls-ca-file", certs.ca]),
	"lmtp starttls": ({"lmtp": True, "tls": "starttls"}, ["--starttls", "--tls-ca-file", certs.ca]),
}

SIX = {
	"close": [fake.close()],
	"RST": [fake.rst()],
	"421 and close": ["421 4.3.2 going down", fake.close()],
	"451": "451 4.3.0 not now",
	"554": "554 5.7.1 go away",
	"silence": [fake.silence()],
}
ROWS = "SRV-01..SRV-42"                 # by stage_faults()
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "dot", "quit")
# stage: (cause, exit) of a 554 there
REFUSED = {"greeting": ("sender", 69), "ehlo": ("sender", 69), "mail": ("sender", 69), "rcpt": ("recipient", 67),
           "data": ("content", 65), "dot": ("content", 65)}
REPLY_CODE = {"421 and close": 421, "451": 451, "554": 554}


def stage_faults():
	"""(label, row, stage, fault): the 42 of SRV-01 to SRV-42."""
	return [(f"{stage}, {fault}", f"SRV-{1 + 6 * s + f:02d}", stage, fault)
	        for s, stage in enumerate(STAGES) for f, fault in enumerate(SIX)]


def expected(stage, fault, lmtp):
	"""(exit, state, cause, code) of a single recipient."""
	code = REPLY_CODE.get(fault, 0)
	if stage == "quit":
		return 0, "accepted", "", 250
	if stage == "dot" and not code:
		return 2, "unknown", "timeout" if fault == "silence" else "lost", 0
	if fault == "554":
		cause, status = REFUSED[stage]
		if lmtp and stage == "dot":
			cause, status = "recipient", 67         # RFC 2033, 4.2: the reply is the recipient's own
		return status, "rejected", cause, code
	if fault == "silence":
		return 75, "deferred", "timeout", 0
	if fault in ("close", "RST"):
		return 75, "deferred", "lost", 0
	# 421 and 451: what the cause is called differs by stage; what it comes to does not.
	return 75, "deferred", None, code


def params(rcpts):
	"""A params file for more recipients than an argument list should hold."""
	return json.dumps({"to": list(rcpts), "headers": {"To": "many:;"}, "body": TEXT})


def reply_heard(r):
	return r.json["recipients"][0]["code"] != 0


class Faults(tap.Case):
	way = None
	lmtp = property(lambda self: "lmtp" in self.way)
	tls = property(lambda self: "tls" in self.way or self.way in ("smtps", "lmtps"))

	def server(self, **how):
		keywords, _ = WAYS[self.way]
		return fake.Server(**{**keywords, **how})

	def at_stage(self, stage, action):
		"""The script of that stage. Under STARTTLS, EHLO is the one within TLS."""
		if stage == "ehlo":
			# As a keyword it would be the list of what is offered.
			return {"sessions": [{"ehlo": fake.turns(None, action) if "starttls" in self.way else action}] * 3}
		return {stage: action}

	def arguments(self, server, *more, rcpts=(BOB,), timeout=T):
		_, flags = WAYS[self.way]
		flags = [f() if callable(f) else f for f in flags]
		# With sanitizers or valgrind, and a busy machine, a reply or a TLS handshake takes longer than a second.
		limit = str(timeout * max(1, int(mc.SLOW)))
		return ["-S", server.url, "--timeout", limit, "--connect-timeout", limit,
		        "--dot-timeout", limit, *flags, "-f", "ann@example.net", "-s", "hello", "--report=json",
		        *more, *rcpts]

	def send(self, server, *more, rcpts=(BOB,), timeout=T, within=None, input=TEXT, lint=(), truth=True, **how):
		"""
		Run, and check what holds in every case. @within: seconds until the verdict, timeout + 1 by default; @lint:
		findings that are the server's own doing; @truth: False where the server ends amid the replies to the dot.
		"""
		r = mc.run(*self.arguments(server, *more, rcpts=rcpts, timeout=timeout), input=input, **how)
		self.check(server, r, list(rcpts), timeout + 1 if within is None else within, lint, truth)
		return r

	def check(self, server, r, rcpts, within, lint=(), truth=True):
		report = r.json
		self.assertEqual([p["address"] for p in report["recipients"]], rcpts, r)
		self.assertLessEqual(report["timings_ms"]["total"], within * 1000 * mc.SLOW, r)
		# The process itself: its start, and a second for the farewell.
		self.assertLessEqual(r.duration, (within + 3) * mc.SLOW, r)
		accepted = [p["address"] for p in report["recipients"] if p["state"] == "accepted"]
		failed = len(accepted) < len(rcpts)
		self.assertEqual(failed, r.code != 0, r)
		self.assertEqual(failed, report["error"] is not None, r)
		if failed:
			self.assertEqual(report["error"]["exit"], r.code, r)
			where = server.unix or server.address
			self.assertEqual(len(r.lines), 1, r)
			self.assertIn(where, r.stderr, r)
			self.assertIn(where, report["error"]["text"], r)
			self.assertNotIn("not attempted", r.stderr, r)
		for session in server.sessions:
			session.done.wait(5 * mc.SLOW)
		self.assertEqual([f for f in server.lint if not f.startswith(tuple(lint) or ("?",))], [], r)
		if truth:
			self.check_truth(server, report, r)

	def check_truth(self, server, report, r):
		"""The report against what the server knows."""
		delivered = [a for m in server.messages if m.dot for a in m.delivered]
		dotted = [a for m in server.messages if m.dot and m.rcpts for a in m.rcpts]
		for p in report["recipients"]:
			self.assertIn(p["state"], ("accepted", "rejected", "deferred", "unknown", "not_attempted"), r)
			if p["state"] == "accepted":
				self.assertIn(p["address"], delivered, r)
				self.assertEqual(p["code"] // 100, 2, r)
				self.assertEqual(p["stage"], "dot", r)
			else:
				self.assertTrue(p["text"] or p["code"], r)
				self.assertNotEqual(p["cause"], "", r)
			if p["state"] in ("deferred", "rejected", "not_attempted") and p["stage"] != "dot":
				self.assertNotIn(p["address"], dotted, r)
			if p["state"] == "unknown":
				self.assertEqual(p["stage"], "dot", r)
		self.assertEqual(len(set(delivered)), len(delivered), r)

	def verdict(self, r, code, state, stage, cause=None, reply=None, at=0):
		p = r.json["recipients"][at]
		self.assertEqual((r.code, p["state"], p["stage"]), (code, state, stage), r)
		if cause is not None:
			self.assertEqual(p["cause"], cause, r)
		if reply is not None:
			self.assertEqual(p["code"], reply, r)
		return p

	def no_dot(self, server, r=None):
		self.assertFalse([m for m in server.messages if m.dot and m.rcpts], r)


class Stages(Faults):
	@tap.table(*stage_faults(), rows=True)
	def test_stage(self, stage, fault):
		"{0}"
		code, state, cause, reply = expected(stage, fault, self.lmtp)
		# RFC 5321, 3.2: HELO will do where nothing that was asked for needs EHLO; TLS is there already.
		helo = stage == "ehlo" and fault in ("451", "554") and not self.lmtp
		with self.server(**self.at_stage(stage, SIX[fault])) as server:
			r = self.send(server)
			if helo:
				self.verdict(r, 0, "accepted", "dot", "", 250)
				self.assertIn("HELO", [c.split()[0] for c in server.session.commands])
				return
			if stage == "greeting" and fault in ("close", "RST", "421 and close") and not reply_heard(r):
				# Gone again before our side had seen the connection made.
				self.verdict(r, code, state, r.json["recipients"][0]["stage"])
				self.assertIn(r.json["recipients"][0]["stage"], ("connect", "greeting"), r)
				reply = 0
			else:
				self.verdict(r, code, state, "dot" if stage == "quit" else stage, cause, reply)
			if stage not in ("dot", "quit"):
				self.no_dot(server, r)
			if state == "unknown":
				self.assertIn("may have been delivered", r.stderr, r)
			if reply and stage != "quit":
				self.assertIn(str(reply), r.stderr, r)
			if stage == "quit":
				# QUIT is no part of the result; its silence costs a second at most.
				self.assertLess(r.duration, 2.5 * mc.SLOW, r)


# SRV-46. What is no reply, told at once by its first wrong octet.
GARBAGE = {
	"letters": b"abc\r\n",
	"two digits": b"25\r\n",
	"four digits": b"2500 ok\r\n",
	"a sign": b"-250 ok\r\n",
	"a tab": b"250\tok\r\n",
	"NUL before": b"\x00250 ok\r\n",
	"NUL within": b"250 o\x00k\r\n",
	"001": b"001 ok\r\n",
	"100": b"100 ok\r\n",
	"600": b"600 ok\r\n",
	"999": b"999 ok\r\n",
	"260 octets of 0xff": b"\xff" * 260 + b"\r\n",
	"UTF-16": "250 ok\r\n".encode("utf-16"),
	"a space before": b" 250 ok\r\n",
	"HTTP": b"HTTP/1.1 200 OK\r\n\r\n",
}


class Garbage(Faults):
	@tap.row("SRV-46")
	@tap.table(*[(f"{stage}, {name}", stage, octets) for stage in STAGES[:-1] for name, octets in GARBAGE.items()])
	def test_garbage(self, stage, octets):
		"garbage at {0}: a protocol error at once"
		with self.server(**self.at_stage(stage, [fake.raw(octets), fake.silence()])) as server:
			r = self.send(server, timeout=8, within=4)
			if stage == "dot":
				self.verdict(r, 2, "unknown", "dot", "protocol")
			else:
				self.verdict(r, 76, "deferred", stage, "protocol")
				self.no_dot(server, r)

	@tap.row("SRV-48")
	@tap.table(
		("mixed 2xx, 5xx", b"250-a\r\n550 b\r\n"), ("mixed 5xx, 2xx", b"550-a\r\n250 b\r\n"),
		("mixed 2xx, 354", b"250-a\r\n354 b\r\n"), ("blank within", b"250-a\r\n\r\n250 b\r\n"),
		("text within", b"250-a\r\nb\r\n250 c\r\n"),
	)
	def test_mixed(self, octets):
		"a reply with two meanings is none: {0}"
		for stage in ("mail", "rcpt", "dot"):
			with self.subTest(stage=stage), self.server(**{stage: [fake.raw(octets), fake.silence()]}) as server:
				r = self.send(server, timeout=8, within=4)
				if stage == "dot":
					self.verdict(r, 2, "unknown", "dot", "protocol")
				else:
					self.verdict(r, 76, "deferred", stage, "protocol")
					self.no_dot(server, r)

	@tap.row("SRV-48")
	@tap.table(("then silence", fake.silence(), "timeout"), ("then close", fake.close(), "lost"))
	def test_half(self, then, cause):
		"half a reply, {0}"
		for stage in ("mail", "rcpt", "data", "dot"):
			half = b"354-go\r\n" if stage == "data" else b"250-ok\r\n"
			with self.subTest(stage=stage), self.server(**{stage: [fake.raw(half), then]}) as server:
				r = self.send(server)
				if stage == "dot":
					self.verdict(r, 2, "unknown", "dot", cause, 0)
				else:
					self.verdict(r, 75, "deferred", stage, cause, 0)
					self.no_dot(server, r)

	@tap.row("SRV-48")
	@tap.table(("greeting", "greeting", ["220-a", "220-b", "220 c"]), ("mail", "mail", ["250-a", "250-b", "250 c"]),
	           ("rcpt", "rcpt", ["250-a", "250 c"]), ("data", "data", ["354-a", "354 c"]),
	           ("dot", "dot", ["250-a", "250-", "250"]))
	def test_lines(self, stage, lines):
		"a reply of several lines is one reply, at {0}"
		action = [fake.reply(*lines)] if stage != "dot" else [fake.reply(*lines)]
		with self.server(**{stage: action}) as server:
			self.verdict(self.send(server), 0, "accepted", "dot", "", 250)


class Forms(Faults):
	@tap.row("SRV-47")
	@tap.table(*[(f"{stage}, {name}", stage, form) for stage in STAGES[:-1] for name, form in (
		("three digits", b"%s\r\n"), ("three digits and a space", b"%s \r\n"), ("LF", b"%s ok\n"),
		("a blank line before", b"\r\n%s ok\r\n"))])
	def test_form(self, stage, form):
		"accepted without delay: {0}"
		code = {"greeting": b"220", "data": b"354"}.get(stage, b"250")
		with self.server(**self.at_stage(stage, fake.raw(form % code))) as server:
			r = self.send(server, timeout=8, within=4)
			self.verdict(r, 0, "accepted", "dot", "", 250)

	@tap.row("SRV-49")
	@tap.table(200, 250, 251, 252, 299)
	def test_yes(self, code):
		"any 2xx of the dot's own is acceptance: {0}"
		with self.server(dot=f"{code} fine") as server:
			self.verdict(self.send(server), 0, "accepted", "dot", "", code)

	@tap.row("SRV-50")
	@tap.table("211 help", "214 help", "220 hello", "221 bye", "235 welcome", "300 what", "334 ", "354 go", "354-a\r\n354 b")
	def test_other(self, line):
		"an answer to something else is none to the dot: {0}"
		with self.server(dot=[fake.raw(line.encode() + b"\r\n"), fake.silence()]) as server:
			r = self.send(server, timeout=8, within=4)
			self.verdict(r, 2, "unknown", "dot", "protocol")
			self.assertIn("may have been delivered", r.stderr)

	@tap.row("SRV-60")
	@tap.table(("absent", "250 ok", ""), ("contradicting", "250 5.1.1 ok", ""), ("right", "250 2.6.0 ok", "2.6.0"),
	           ("malformed", "250 2.6 ok", ""), ("too long", "250 2.6.1234 ok", ""), ("leading zero", "250 2.06.0 ok", ""),
	           ("of a bad class", "250 9.1.1 ok", ""))
	def test_enhanced(self, line, enhanced):
		"an enhanced code is reported, and decides nothing: {0}"
		with self.server(dot=line) as server:
			self.assertEqual(self.verdict(self.send(server), 0, "accepted", "dot", "", 250)["enhanced"], enhanced)

	@tap.row("SRV-60")
	@tap.table(("2.x.x", "550 2.1.5 no", ""), ("4.x.x", "550 4.2.2 no", ""), ("right", "550 5.1.1 no", "5.1.1"))
	def test_enhanced_no(self, line, enhanced):
		"a refusal stays one, whatever its enhanced code: {0}"
		with self.server(rcpt=line) as server:
			self.assertEqual(self.verdict(self.send(server), 67, "rejected", "rcpt", "recipient", 550)["enhanced"], enhanced)

	@tap.row("SRV-61")
	@tap.table(*[(f"{code} at {stage}", stage, code, cause, status) for stage, code, cause, status in (
		("mail", 530, "auth", 77), ("mail", 534, "auth", 77), ("mail", 535, "auth", 77), ("mail", 538, "auth", 77),
		("mail", 555, "extension", 69), ("rcpt", 530, "auth", 77), ("rcpt", 555, "extension", 69),
		("mail", 571, "sender", 69), ("rcpt", 571, "recipient", 67), ("data", 571, "content", 65),
		("mail", 552, "size", 69), ("mail", 503, "sender", 69), ("rcpt", 552, "recipient", 67),
		("data", 503, "content", 65))])
	def test_class(self, stage, code, cause, status):
		"what a code is about: {0}"
		with self.server(**{stage: f"{code} 5.0.0 no"}) as server:
			r = self.send(server)
			self.verdict(r, status, "rejected", stage, cause, code)
			self.no_dot(server, r)

	@tap.row("SRV-61")
	def test_no_recipients(self):
		"503 at DATA, when nobody was accepted, is not the answer"
		with self.server(rcpt="550 5.1.1 no", data="503 5.5.1 no recipients") as server:
			self.verdict(self.send(server), 67, "rejected", "rcpt", "recipient", 550)


class Text(Faults):
	@tap.row("SRV-62")
	@tap.table(("ESC", b"\x1b[2J\x1b[1;31mred"), ("OSC 52", b"\x1b]52;c;ZXZpbA==\x07"), ("BEL", b"\x07\x07"),
	           ("BS", b"ok\x08\x08no"), ("CR", b"one\rtwo"), ("C1", b"\x9b31mred\x85"), ("C1 in UTF-8", "\u009b31m\u0085".encode()),
	           ("bidi", "\u202e\u2066evil\u2069\u200f".encode()), ("line separators", "a\u2028b\u2029c".encode()),
	           ("invalid UTF-8", b"\xff\xfe\xc0\x80\xed\xa0\x80"), ("10 KB", b"x" * 10240), ("backslash", b"a\\x1b\"b"))
	def test_control(self, text):
		"control characters in a reply do nothing: {0}"
		for stage in ("greeting", "mail", "rcpt", "data", "dot"):
			line = b"554 5.0.0 " + text + b" end\r\n"
			with self.subTest(stage=stage), self.server(**{stage: fake.raw(line)}) as server:
				r = self.send(server)
				self.assertIn(r.code, (65, 67, 69), r)
				self.assertEqual(r.json["recipients"][0]["state"], "rejected", r)
				for output in (r.err, r.stdout):
					shown = output.decode("utf-8")
					self.assertNotRegex(shown.rstrip("\n"), "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", r)
				self.assertNotRegex(r.json["recipients"][0]["text"], "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", r)
				self.assertEqual(len(r.lines), 1, r)
				self.assertLess(len(r.err), 4200, r)

	@tap.row("SRV-51")
	@tap.table(("512 octets", 512), ("4 KB", 4096), ("100 KB", 100_000), ("1 MB", MB - 100))
	def test_long(self, octets):
		"a line that ends in time counts, however long: {0}"
		for stage in ("mail", "dot"):
			with self.subTest(stage=stage), self.server(**{stage: fake.raw(b"250 " + b"x" * octets + b"\r\n")}) as server:
				r = self.send(server, timeout=5, watch=True)
				self.verdict(r, 0, "accepted", "dot", "", 250)

	@tap.row("SRV-51")
	@tap.table(*[(f"{stage}, {name}", stage, octets) for stage in ("greeting", "ehlo", "mail", "dot")
	             for name, octets in (("no line end", b"250 " + b"x" * 3 * MB), ("no last line", b"250-xxxxxxxx\r\n" * 300000))])
	def test_endless(self, stage, octets):
		"a reply without an end at {0}: a protocol error, and no memory for it"
		octets = octets.replace(b"250", b"220") if stage == "greeting" else octets
		with self.server(**self.at_stage(stage, [fake.raw(octets), fake.silence()])) as server:
			r = self.send(server, timeout=6, watch=True)
			if stage == "dot":
				self.verdict(r, 2, "unknown", "dot", "protocol")
			else:
				self.verdict(r, 76, "deferred", stage, "protocol")
			if r.peak_kb and not mc.WRAP and mc.SLOW == 1:
				self.assertLess(r.peak_kb, 24 * 1024, r)


class Timing(Faults):
	@tap.row("SRV-52")
	@tap.table("greeting", "ehlo", "mail", "data", "dot")
	def test_drip(self, stage):
		"an octet now and then is not a reply in time: {0}"
		line = {"greeting": b"220 hello there\r\n", "data": b"354 go ahead\r\n"}.get(stage, b"250 fine and good\r\n")
		with self.server(**self.at_stage(stage, fake.drip(line, 0.45))) as server:
			r = self.send(server, within=2)
			if stage == "dot":
				self.verdict(r, 2, "unknown", "dot", "timeout")
			else:
				self.verdict(r, 75, "deferred", stage, "timeout")

	@tap.row("SRV-52")
	@tap.table("ehlo", "mail", "dot")
	def test_drip_lines(self, stage):
		"a line now and then is not a reply in time either: {0}"
		lines = [step for _ in range(12) for step in (fake.raw(b"250-more\r\n"), fake.delay(0.4))] + ["250 end"]
		with self.server(**self.at_stage(stage, lines)) as server:
			r = self.send(server, within=2)
			if stage == "dot":
				self.verdict(r, 2, "unknown", "dot", "timeout")
			else:
				self.verdict(r, 75, "deferred", stage, "timeout")

	@tap.row("SRV-53")
	def test_slow_dot(self):
		"the dot has a clock of its own: a reply later than --timeout, in time for --dot-timeout"
		with self.server(dot=[fake.delay(2.2), "250 2.0.0 at last"]) as server:
			r = self.send(server, "--dot-timeout", "8", within=4)
			self.verdict(r, 0, "accepted", "dot", "", 250)

	def test_slow_everywhere(self):
		"a server that needs most of the time at each stage is served"
		slow = {s: [fake.delay(0.6), fake.default()] for s in ("greeting", "ehlo", "mail", "rcpt", "data")}
		with self.server(sessions=[slow]) as server:
			self.verdict(self.send(server, within=7), 0, "accepted", "dot", "", 250)

	@tap.table(*STAGES[:-1])
	def test_max_time(self, stage):
		"--max-time bounds the whole, whatever is waited for: {0}"
		with self.server(**self.at_stage(stage, fake.silence())) as server:
			r = self.send(server, "--max-time", "1", timeout=30, within=2)
			self.verdict(r, 2 if stage == "dot" else 75, "unknown" if stage == "dot" else "deferred", stage, "timeout", 0)

	def test_max_time_sum(self):
		"--max-time counts from the beginning: many short waits are one long one"
		slow = {s: [fake.delay(0.7), fake.default()] for s in ("greeting", "ehlo", "mail", "rcpt", "data")}
		with self.server(sessions=[slow]) as server:
			r = self.send(server, "--max-time", "2", timeout=30, within=3)
			self.assertEqual((r.code, r.json["recipients"][0]["cause"]), (75, "timeout"), r)
			self.no_dot(server, r)

	@tap.row("SRV-44")
	@tap.table(("close", [fake.close()], "lost", 0), ("RST", [fake.rst()], "lost", 0),
	           ("421 and close", ["421 4.3.2 bye", fake.close()], None, 421),
	           ("stops reading", [fake.deaf()], "timeout", 0), ("reads 1 octet a second", [fake.slow(1)], "timeout", 0))
	def test_body(self, then, cause, reply):
		"the server fails amid the message, no dot: {0}"
		with self.server(body=fake.at(MB, *then), rcvbuf=65536) as server:
			# What the sockets hold is not yet taken: the silence begins when they are full.
			r = self.send(server, input=BIG, within=3)
			self.verdict(r, 75, "deferred", "data", cause, reply)
			self.no_dot(server, r)

	@tap.row("SRV-44")
	def test_small_window(self):
		"a server with a tiny window takes the whole message"
		with self.server(rcvbuf=1) as server:
			r = self.send(server, input=BIG[:200000], within=20, timeout=5)
			self.verdict(r, 0, "accepted", "dot", "", 250)

	@tap.row("SRV-44")
	def test_slow_reader(self):
		"a reader that is slow but never stops is bounded by --max-time alone"
		with self.server(body=fake.at(1000, fake.slow(300000)), rcvbuf=16384) as server:
			r = self.send(server, "--max-time", "3", input=BIG, within=4)
			self.verdict(r, 75, "deferred", "data", "timeout")
			self.no_dot(server, r)

	@tap.row("SRV-45")
	@tap.table(*[(f"{code}, {what}", code, then) for code in (552, 451, 250, 354)
	             for what, then in (("reads on", []), ("closes", [fake.close()]), ("stops reading", [fake.deaf()]))])
	def test_early(self, code, then):
		"a reply before the dot ends it without one: {0}"
		with self.server(body=fake.at(MB, f"{code} 5.3.4 early", fake.flush(), *then)) as server:
			r = self.send(server, input=BIG)
			if code == 552:
				self.verdict(r, 65, "rejected", "data", "content", 552)
			elif code == 451:
				self.verdict(r, 75, "deferred", "data", None, 451)
			else:
				self.verdict(r, 76, "deferred", "data", "protocol")
			self.no_dot(server, r)

	@tap.row("SRV-66")
	@tap.table(*[(f"354 and {code}", code) for code in (250, 354, 451, 550)])
	def test_early_at_once(self, code):
		"in one segment: {0}"
		with self.server(data=[fake.reply("354 go", f"{code} early")], dot="550 5.0.0 no") as server:
			r = self.send(server)
			want = {451: (75, "deferred"), 550: (65, "rejected")}.get(code, (76, "deferred"))
			self.verdict(r, *want, "data")
			self.no_dot(server, r)

	@tap.row("SRV-45")
	@tap.table(("then the rest", b"0 5.0.0 early\r\n", 65), ("then silence", b"", 75))
	def test_early_half(self, rest, code):
		"half a reply amid the message: the dot waits for what it becomes, {0}"
		begun = fake.at(10, fake.raw(b"55"), fake.flush(), fake.delay(0.4), fake.raw(rest), fake.flush())
		with self.server(body=begun, rcvbuf=16384) as server:
			# The rate keeps the dot back until the half is here.
			r = self.send(server, "--limit-rate", "400000", input=BIG[:200000], within=3)
			self.verdict(r, code, "rejected" if rest else "deferred", "data", None, 550 if rest else 0)
			self.no_dot(server, r)

	@tap.row("SRV-51")
	def test_octets(self):
		"replies that come octet by octet, quickly, are replies"
		lines = {"greeting": b"220 hello there\r\n", "mail": b"250 fine\r\n", "rcpt": b"250-a\r\n250 b\r\n", "data": b"354 go\r\n",
		         "dot": b"250 2.0.0 queued as X1\r\n"}
		with self.server(**{s: fake.drip(l, 0.005) for s, l in lines.items()}) as server:
			r = self.send(server, timeout=3)
			self.verdict(r, 0, "accepted", "dot", "", 250)

	@tap.row("SRV-54")
	@tap.table(("MAIL", "mail"), ("RCPT", "rcpt"))
	def test_missing_reply(self, stage):
		"a reply too few, to {0}: never a message for it"
		with self.server(**{stage: fake.raw(b"")}) as server:
			r = self.send(server)
			self.assertIn(r.json["recipients"][0]["state"], ("deferred", "rejected"), r)
			self.no_dot(server, r)

	@tap.row("SRV-48")
	def test_no_line_end(self):
		"250 without its line end, then nothing: no acceptance"
		with self.server(dot=[fake.raw(b"250 2.0.0 ok"), fake.close()]) as server:
			self.verdict(self.send(server, truth=False), 2, "unknown", "dot", "lost", 0)

	@tap.row("SRV-55")
	@tap.table(("200", "200 ok", 76), ("250", "250 ok", 76), ("220", "220 ok", 76), ("334", "334 ok", 76), ("550", "550 no", 65),
	           ("353", "353 no", 76), ("355", "355 no", 76))
	def test_not_354(self, line, code):
		"not an octet of the message without 354: {0}"
		with self.server(data=[line, fake.silence(1)]) as server:
			r = self.send(server, timeout=4, within=3)
			self.verdict(r, code, "rejected" if code == 65 else "deferred", "data", None if code == 65 else "protocol")
			self.assertNotIn(b"Subject", server.wire_text)
			self.assertFalse([m for m in server.messages if m.started])

	@tap.row("SRV-54")
	@tap.table(("MAIL", "mail", ["250 one", "250 two"]), ("RCPT", "rcpt", ["250 one", "250 two"]))
	def test_two_replies(self, stage, lines):
		"two replies to {0} where one was due"
		with self.server(**{stage: [fake.reply(*lines)]}) as server:
			r = self.send(server, timeout=3)
			self.verdict(r, 76, "deferred", r.json["recipients"][0]["stage"], "protocol")
			self.no_dot(server, r)

	@tap.row("SRV-54")
	def test_extra_dot(self):
		"a reply too many after the dot changes nothing, and nothing follows in that session"
		with self.server(dot=[fake.reply("250 one", "550 two")]) as server:
			r = self.send(server)
			self.verdict(r, 0, "accepted", "dot", "", 250)

	@tap.row("SRV-54")
	def test_extra_next(self):
		"a reply too many must not answer the next transaction: that goes to a session of its own"
		rcpts = ["a@example.org", "b@example.org"]
		with self.server(dot=[fake.reply("250 one", "250 two")]) as server:
			r = self.send(server, "--max-rcpt", "1", rcpts=rcpts)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(len(server.sessions), 2, r)
			self.assertEqual([m.rcpts for m in server.messages], [["a@example.org"], ["b@example.org"]])

	@tap.row("SRV-56", "SRV-54")
	@tap.table(("two greetings", "greeting", ["220 a", "220 b"]), ("two answers to EHLO", "ehlo", ["250 a", "250 b"]))
	def test_two_openings(self, stage, lines):
		"{0} in one segment: a protocol error"
		with self.server(**self.at_stage(stage, [fake.reply(*lines)])) as server:
			r = self.send(server, timeout=3)
			if stage == "ehlo" and self.tls and not self.lmtp and r.code == 0:
				# Within TLS it was in libcurl's buffer and is gone with it: it can answer nothing any more.
				return
			self.assertEqual(r.code, 76, r)
			self.assertEqual(r.json["recipients"][0]["cause"], "protocol", r)
			self.assertEqual(server.messages, [])
