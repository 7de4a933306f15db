#!/usr/bin/python3
"""JSON params, end to end: read strictly, each error with its place, nothing into another header or command."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap  # noqa: E402
import injections  # noqa: E402
import locally  # noqa: E402
from locally import FROM, TO, delivered, refused  # noqa: E402

PLACE = r": .*job\.json:\d+:\d+: "

# What RFC 8259 does not have. Each stands where a value may stand, in a member "subject".
NOT_JSON = [
	"", "tru", "nul", "TRUE", "None", "undefined", "NaN", "Infinity", "-Infinity", "'x'", "x", '"x', '"\\', '"\\x"',
	'"\\u12"',
	'"\\u12g4"', '"\\a"', '"\\\'"', '"a\tb"', '"a\nb"', '"\\uD800"', '"\\uDC00"', '"\\uD800x"', '"\\uD800\\u0041"',
	"01", "-", "-a",
	"+1", ".5", "5.", "1.e1", "1e", "1e+", "0x1", "1_000", "1 000", "--1", "- 1", "0e", "00", "-01", "[", "]", "[,]",
	"[1,]",
	"[,1]", "[1 2]", "[1;2]", "[1", "[\"a\"", "{", "}", "{,}", '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', "{1:1}",
	"{null:1}",
	'{"a" "b"}', '{"a":1 "b":2}', '{"a"::1}', '{"a":1', '["a",\n', "[*]", "<x>", "/*c*/ 1", "//c\n1", "#c\n1", "1 2",
	"\\u0022x\\u0022",
	"\u00a01", "\u20601", "\ufeff1", "\x0c1", "\x0b1", '"a"b', '"a" "b"', "true false", "[1]]", "{}}", '["a"]x',
	"[1,2,3,,4]",
]
# What it has, in the same place.
JSON = [
	'"x"', '""', '"\\u0041"', '"\\u00e9"', '"\\uD834\\uDD1E"', '"\\/"', '"\\"\\\\"', '"\u2028"', '"\U0001f600"',
	' "x" ', '\t"x"\r\n',
	'"\\ufffe"', '"\\u007f"', '"\ufdd0"', '"null"',
]
# What readers differ on: the list of what we do. All refused.
EITHER = [
	("lone continuation", b'"\x80"'), ("overlong slash", b'"\xc0\xaf"'), ("overlong NUL", b'"\xc0\x80"'),
	("surrogate", b'"\xed\xa0\x80"'),
	("over U+10FFFF", b'"\xf4\x90\x80\x80"'), ("five octets", b'"\xf8\x88\x80\x80\x80"'), ("cut off", b'"\xe2\x82"'),
	("latin-1", b'"\xe9"'),
	("0xff", b'"\xff"'), ("lone high surrogate escape", b'"\\uDADA"'), ("two high surrogates", b'"\\uD800\\uD800"'),
	("inverted surrogates", b'"\\uDd1e\\uD834"'), ("huge exponent", b"1e999"), ("huge negative", b"-1e999"),
	("very big integer", b"1" * 400),
	("over 2^53", b"9007199254740993"), ("depth 1000", b"[" * 1000 + b"]" * 1000),
]


def with_subject(octets):
	"""A params file whose member "subject" is @octets."""
	head = json.dumps({"from": FROM, "to": [TO], "body": "x"})[:-1].encode()
	return head + b', "subject": ' + (octets if isinstance(octets, bytes) else octets.encode()) + b"}"


class Syntax(tap.Case):
	def refuse(self, octets, *says, code=65):
		path = self.write("job.json", octets)
		r = refused(self, code, "--params", path, says=says)
		self.assertRegex(r.stderr, PLACE)
		return r

	@tap.row("JSN-01")
	@tap.table(*[(repr(t)[:60], t) for t in NOT_JSON])
	def test_not_json(self, text):
		"refused with line and column: {0}"
		self.refuse(with_subject(text))

	@tap.row("JSN-02")
	@tap.table(*[(ascii(t), t) for t in JSON])
	def test_json(self, text):
		"taken: {0}"
		path = self.write("job.json", with_subject(text))
		octets = locally.composed(self, "--params", path)
		want = json.loads(text)
		if want.isprintable():
			self.assertEqual(locally.parsed(octets)["subject"] or "", want)

	@tap.row("JSN-02")
	@tap.table("[1]", "1", "true", "false", "null", "-0", "123456", "1e2", "{}", '{"a": [1, {"b": null}]}', "[[[]]]")
	def test_wrong_type(self, text):
		"syntax that is right and a type that is wrong: {0}"
		self.refuse(with_subject(text), "subject")

	@tap.row("JSN-03")
	@tap.table(*EITHER)
	def test_either(self, octets):
		"refused, for readers differ on it: {0}"
		self.refuse(with_subject(octets))

	@tap.row("JSN-03")
	@tap.table(("UTF-8 BOM", b"\xef\xbb\xbf{}"), ("UTF-16 LE", "{}".encode("utf-16")),
	           ("UTF-16 BE", "{}".encode("utf-16-be")),
	           ("UTF-32", "{}".encode("utf-32")))
	def test_encoding(self, octets):
		"another encoding: {0}"
		self.refuse(octets)

	@tap.row("JSN-04")
	@tap.table(
		("in a value", b'{"subject": "a\\u0000b"}', "subject"), ("in a key", b'{"sub\\u0000ject": "a"}', ""),
		("nested", b'{"headers": {"X-Y": ["a", "b\\u0000"]}}', "headers"), ("raw", b'{"subject": "a\0b"}', ""),
		("behind the end", b'{"subject": "a"}\0', ""), ("between tokens", b'{"subject":\0 "a"}', ""),
		("in a body part", b'{"body": {"parts": [{"body": "a\\u0000"}]}}', "body"))
	def test_nul(self, octets, says):
		"NUL {0}"
		self.refuse(octets, says)

	@tap.row("JSN-06", "JSN-07")
	@tap.table(
		("TO", {"TO": "x"}, ["TO", "to"]), ("To", {"To": "x"}, ["To", "to"]), ("tO", {"tO": "x"}, ["tO", "to"]),
		("subjct", {"subjct": "x"}, ["subjct", "did you mean 'subject'"]),
		("nonsense", {"qqqqqqq": 1}, ["qqqqqqq", "unknown"]),
		("output", {"output": "/tmp/x"}, ["output"]), ("params", {"params": "x"}, ["params"]),
		("help", {"help": True}, ["help"]),
		("in an attachment", {"attachments": [{"pth": "x"}]}, ["attachments[0].pth", "did you mean 'path'"]),
		("in a recipient", {"to": [{"addres": "x"}]}, ["to[0].addres", "did you mean 'address'"]),
		("in a part", {"body": {"parts": [{"boddy": "x"}]}}, ["body.parts[0].boddy", "did you mean 'body'"]),
		("in a secret", {"password": {"fil": "x"}}, ["password.fil", "did you mean 'file'"]),
		("a control character in it", {"a\u001bb": 1}, ["unknown"]))
	def test_unknown(self, members, says):
		"an unknown key, {0}"
		r = self.refuse(json.dumps(members), *says)
		self.assertNotIn("\x1b", r.stderr)

	@tap.table(("the same", '{"subject": "a", "subject": "b"}'), ("alias", '{"helo_name": "a", "domain": "b"}'),
	           ("escaped", '{"subject": "a", "s\\u0075bject": "b"}'),
	           ("nested", '{"attachments": [{"path": "a", "path": "b"}]}'))
	def test_twice(self, text):
		"a key twice, {0}"
		self.refuse(text)

	@tap.row("JSN-09")
	@tap.table(*[(f"{text}: {code}", text, code) for text, code in (
		("25.0", 0), ("25", 0), ("25.5", 65), ("1e2", 65), ("-0", 65), ("2147483648", 65), ("9007199254740993", 65),
		("1e999", 65),
		("-25", 65), ("65536", 65), ("25.00000000000000000000000000000000001", 65), ("true", 65), ("null", 65))])
	def test_number(self, text, code):
		"port {0}"
		path = self.write("job.json", '{"from": "%s", "to": "%s", "body": "x", "port": %s}' % (FROM, TO, text))
		r = mc.run("--dry-run", "--params", path)
		self.assertEqual(r.code, code, r)
		if code:
			self.assertRegex(r.stderr, PLACE + "port")

	@tap.row("JSN-10")
	@tap.table(("empty file", "", 65), ("white space", " \n\t ", 65), ("null", "null", 65), ("[]", "[]", 65),
	           ('"x"', '"x"', 65),
	           ("{}", "{}", 64), ("a list of objects", '[{"to": "x"}]', 65))
	def test_no_object(self, text, code):
		"no object: {0}"
		path = self.write("job.json", text)
		refused(self, code, "--params", path)

	@tap.row("JSN-13")
	@tap.table(("text", "{} x"), ("a second document", "{}{}"), ("a second, on its own line", "{}\n{}\n"),
	           ("a comma", "{},"),
	           ("a brace", "{}}"), ("a comment", "{} // end"))
	def test_trailing(self, text):
		"behind the end: {0}"
		self.refuse(text)

	@tap.row("JSN-14")
	@tap.table(*[(f"0x{c:02x}", c) for c in [*range(32), 127]])
	def test_control(self, char):
		"control character {0}, raw and escaped"
		raw = self.write("job.json", with_subject(b'"a' + bytes([char]) + b'b"'))
		escaped = self.write("job.json", with_subject('"a\\u%04xb"' % char))
		refused(self, 65, "--params", raw)
		if char in (0, 10, 13):
			refused(self, 65, "--params", escaped, says="subject")
			return
		octets = locally.composed(self, "--params", escaped)
		head = octets.split(b"\r\n\r\n")[0]
		self.assertFalse(set(head) & (set(range(32)) - {9, 10, 13}), head)


class Types(tap.Case):
	SCHEMA = None

	@classmethod
	def setUpClass(cls):
		cls.SCHEMA = json.loads(subprocess.run([mc.BINARY, "--print-schema"], capture_output=True, check=True).stdout)

	def takes(self, form):
		"""The JSON types that a schema allows."""
		while "$ref" in form:
			_, where, name = form["$ref"].split("/")
			form = self.SCHEMA[where][name]
		if "anyOf" in form:
			return set().union(*(self.takes(f) for f in form["anyOf"]))
		if "enum" in form:
			return {{str: "string", int: "integer", bool: "boolean"}[type(v)] for v in form["enum"]}
		kind = form.get("type", ["string", "integer", "boolean", "null", "array", "object"])
		return {kind} if isinstance(kind, str) else set(kind)

	@tap.row("JSN-08")
	@tap.table(("string", "string", '"\\u0001?"'), ("integer", "integer", "-7"), ("boolean", "boolean", "true"),
	           ("null", "null", "null"),
	           ("array", "array", "[[0]]"), ("object", "object", '{"?": 0}'))
	def test_matrix(self, kind, text):
		"a value of type {0}, for each key that does not take one: refused, and the key is named"
		tried = 0
		for key, form in self.SCHEMA["properties"].items():
			# A number may be given as a word, and an array or object of this content fits nothing.
			if kind in self.takes(form) and kind not in ("array", "object"):
				continue
			with self.subTest(key):
				path = self.write("job.json", '{"%s": %s}' % (key, text))
				r = mc.run("--params", path)
				self.assertEqual(r.code, 65, r)
				self.assertRegex(r.stderr, PLACE + key)
			tried += 1
		self.assertGreater(tried, 15)

	@tap.row("JSN-15")
	@tap.limit(300)
	@tap.table(*injections.PAYLOADS)
	def test_inject(self, payload):
		"{0} in every key of text: refused or inert"
		octets = payload.encode("utf-8", "surrogateescape")
		plain = {"from": FROM, "to": [TO], "subject": "s", "body": "text\n", "timeout": 5, "connect_timeout": 2}
		with fake.Server() as server:
			for key, form in self.SCHEMA["properties"].items():
				if "string" not in self.takes(form) or key in ("server", "unix_socket", "proxy", "interface",
				                                               "password", "oauth2_token",
				                                               "username", "user", "tls_key_file"):
					continue
				with self.subTest(key):
					self.one(server, {**plain, **({"html": None} if key == "html" else {})}, key, payload, octets)

	def one(self, server, members, key, payload, octets):
		for drop in {"body_file": ["body"], "message_file": ["body", "subject"], "rcpt": ["to"]}.get(key, ()):
			members.pop(drop, None)
		value = ("a@x.example"
		         if key in ("from", "sender", "envelope_from", "to", "cc", "bcc", "rcpt", "reply_to") else "x")
		members[key] = "\ue000"
		members = {k: v for k, v in members.items() if v is not None}
		text = json.dumps(members).encode().replace(b"\\ue000", value.encode() + injections.in_json(payload))
		path = self.write("job.json", text)
		before = len(server.sessions)
		r = mc.run("-S", server.url, "--params", path)
		# A name of a file or interface that is not there is no bad value.
		self.assertIn(r.code, (0, 65, 66, 68, 74, 75, 78), r)
		if r.code:
			self.assertEqual(len(server.sessions), before, r)
			return
		server.wait(before + 1)
		session = server.sessions[-1]
		self.assertEqual(session.lint, [])
		self.assertEqual([v for v in locally.verbs(session) if v not in locally.SESSION], [], session.commands)
		self.assertEqual(session.commands.count("DATA"), 1)
		names = [n.lower() for n in session.messages[0].parsed().keys()]
		self.assertNotIn("bcc", names)
		self.assertEqual(len(set(names)), len(names), names)
		known = {"date", "from", "to", "cc", "sender", "reply-to", "subject", "message-id", "in-reply-to",
		         "references", "mime-version",
		         "content-type", "content-transfer-encoding", "auto-submitted", "importance", "priority",
		         "x-priority", "x-msmail-priority"}
		self.assertEqual(set(names) - known, set())


class Sources(tap.Case):
	GOOD = json.dumps({"from": FROM, "to": [TO], "subject": "from a pipe", "body": "text\n"}).encode()

	@tap.row("JSN-16")
	def test_stdin(self):
		"params from standard input, by - and by /dev/stdin"
		for name in ("-", "/dev/stdin"):
			with fake.Server() as server:
				message = delivered(self, server, "--params", name, input=self.GOOD)
				self.assertEqual(message.parsed()["subject"], "from a pipe")

	@tap.row("JSN-16")
	def test_substitution(self):
		"params from a process substitution, in pieces"
		script = '"$1" --dry-run --params <(head -c 20 "$2"; sleep 0.3; tail -c +21 "$2")'
		path = self.write("job.json", self.GOOD)
		run = subprocess.run(["bash", "-c", script, "bash", mc.BINARY, path], capture_output=True,
		                     timeout=20 * mc.SLOW,
		                     env=mc.environment())
		self.assertEqual(run.returncode, 0, run)
		self.assertIn(b"Subject: from a pipe\r\n", run.stdout)

	@tap.row("JSN-16")
	def test_fifo(self):
		"params from a FIFO with a writer"
		path = os.path.join(self.tempdir(), "fifo")
		os.mkfifo(path)

		def feed():
			with open(path, "wb") as f:
				f.write(self.GOOD)
		thread = threading.Thread(target=feed, daemon=True)
		thread.start()
		self.assertIn(b"from a pipe", locally.composed(self, "--params", path))
		thread.join(5)

	@tap.row("JSN-16")
	def test_fifo_alone(self):
		"params from a FIFO that nobody writes: ends within the time"
		path = os.path.join(self.tempdir(), "fifo")
		os.mkfifo(path)
		began = time.monotonic()
		r = refused(self, (66, 74, 75), "--params", path, "--timeout", "1", says="fifo")
		self.assertLess(time.monotonic() - began, 3 * mc.SLOW, r)

	@tap.row("JSN-16")
	@tap.table(("a directory", "/tmp", (66,)), ("/dev/zero", "/dev/zero", (66,)),
	           ("missing", "/nonexistent/job.json", (66,)),
	           ("through a file", "/etc/passwd/job.json", (66,)), ("too long a name", "/" + "x" * 5000, (66,)),
	           ("an empty name", "", (64, 66)), ("/dev/null", "/dev/null", (65, 66)))
	def test_no_file(self, path, codes):
		"params from {0}"
		refused(self, codes, "--params", path)

	@tap.row("JSN-16")
	def test_unreadable(self):
		"params that we may not read: 66"
		if os.geteuid() == 0:
			wrap = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
		else:
			wrap = []
		path = self.write("job.json", self.GOOD, mode=0o000)
		r = mc.run("--dry-run", "--params", path, wrap=wrap, cwd="/")
		self.assertEqual(r.code, 66, r)

	@tap.row("JSN-16")
	def test_growing(self):
		"params that grow while they are read: an end, and never half of it"
		path = self.write("job.json", self.GOOD)
		stop = threading.Event()

		def grow():
			with open(path, "ab") as f:
				while not stop.is_set() and f.tell() < 400 << 20:
					f.write(b" " * 65536)
		thread = threading.Thread(target=grow, daemon=True)
		thread.start()
		try:
			r = mc.run("--dry-run", "--params", path, timeout=60)
		finally:
			stop.set()
			thread.join(10)
		self.assertIn(r.code, (0, 65), r)

	@tap.row("JSN-17")
	@tap.table(
		("body_file", {"body_file": "-"}), ("html_file", {"body": "x", "html_file": "-"}),
		("body", {"body": {"file": "-"}}),
		("fd 0", {"body": {"fd": 0}}), ("attachment", {"body": "x", "attachments": [{"fd": 0}]}),
		("message_file", {"message_file": "-"}),
		("deep", {"body": {"parts": [{"body": "x"}, {"body": {"parts": [{"body": {"file": "-"}}]}}]}}),
		("secret", {"body": "x", "username": "u", "password": {"fd": 0}}))
	def test_both(self, members):
		"params and {0} from standard input: 64"
		for name in ("-", "/dev/stdin"):
			refused(self, 64, "--params", name, input=json.dumps({"from": FROM, "to": [TO], **members}),
			        says="standard input")

	@tap.row("JSN-17")
	def test_both_flag(self):
		"params from standard input and --body-file -: 64"
		refused(self, 64, "--params", "-", "--body-file", "-", input=json.dumps({"from": FROM, "to": [TO]}),
		        says="standard input")

	@tap.row("JSN-18")
	@tap.table(("password", {"username": "u", "password": "hunter2secret"}),
	           ("oauth2_token", {"username": "u", "oauth2_token": "hunter2secret"}),
	           ("proxy", {"proxy": "socks5h://u:hunter2secret@127.0.0.1:1"}))
	def test_mode(self, members):
		"a literal secret in a file that everybody can read: 77 and chmod ({0})"
		text = json.dumps({"from": FROM, "to": [TO], "body": "x", **members})
		for mode, code in ((0o644, 77), (0o640, 0), (0o604, 77), (0o600, 0), (0o400, 0)):
			path = self.write("job.json", text, mode=mode)
			r = mc.run("--dry-run", "--params", path, secrets=["hunter2secret"])
			self.assertEqual(r.code, code, r)
			if code:
				self.assertIn(f"chmod 600 {path}", r.stderr)


class Large(tap.Case):
	@tap.row("JSN-11")
	@tap.limit(240)
	def test_string(self):
		"a body of 100 MB as one string: sent, in bounded memory"
		line = "0123456789" * 7 + "abcdefg\\n"
		path = os.path.join(self.tempdir(), "job.json")
		with open(path, "w") as f:
			f.write('{"from": "%s", "to": ["%s"], "body": "' % (FROM, TO))
			for _ in range(1290):
				f.write(line * 1000)
			f.write('"}')
		size = os.path.getsize(path)
		with fake.Server(store=False, ehlo=["PIPELINING", "SIZE"]) as server:
			r = mc.run("-S", server.url, "--params", path, watch=True, timeout=120)
			self.assertEqual(r.code, 0, r)
			self.assertGreater(server.message.octets, size)
		# The text, the tree and the copy that is kept; sanitizers keep what was freed as well.
		self.assertLess(r.peak_kb * 1024, (4 if mc.SLOW == 1 else 8) * size)
		self.assertLess(r.duration, 60 * mc.SLOW)

	@tap.row("JSN-11")
	@tap.table(
		("1,000,000 keys", lambda: "{" + ",".join(f'"k{n}":1' for n in range(1000000)) + "}"),
		("a key of 1 MB", lambda: '{"' + "k" * 1000000 + '": 1}'),
		("3,000,000 values", lambda: '{"to": [' + "0," * 3000000 + "0]}"),
		("1,000,000 equal keys", lambda: "{" + '"a":1,' * 1000000 + '"a":1}'))
	def test_refused(self, make):
		"{0}: refused in linear time"
		path = self.write("job.json", make())
		r = refused(self, 65, "--params", path, watch=True, timeout=60)
		self.assertLess(r.peak_kb, 800000)
		self.assertLess(len(r.stderr), 5000)

	@tap.row("JSN-11")
	@tap.limit(240)
	def test_recipients(self):
		"1,000,000 recipients: an end in time, sent or refused"
		path = locally.params(self, {"to": None, "rcpt": [f"u{n}@example.org" for n in range(1000000)], "body": "x"})
		r = mc.run("--params", path, "--output", "/dev/null", watch=True, timeout=120)
		self.assertIn(r.code, (0, 65), r)
		self.assertLess(r.peak_kb, 1500000)

	@tap.row("JSN-12")
	@tap.table(("array, 998", "[", "]", 998), ("array, 999", "[", "]", 999), ("array, 1000", "[", "]", 1000),
	           ("array, 1,000,000", "[", "]", 1000000), ("object, 999", '{"a":', "}", 999),
	           ("object, 1,000,000", '{"a":', "}", 1000000))
	def test_nesting(self, left, right, depth):
		"a stack of 256 KiB and nesting that means nothing: {0}"
		path = self.write("job.json", '{"subject": ' + left * (depth - 1) + "0" + right * (depth - 1) + "}")
		script = 'ulimit -s 256; exec "$0" "$@"'
		r = mc.run("-c", script, mc.BINARY, "--params", path, executable="/bin/sh", wrap=[])
		self.assertEqual(r.code, 65, r)
		self.assertEqual("nested deeper" in r.stderr, depth > 999, r)

	@tap.row("JSN-12")
	@tap.table(("1", 1, 0), ("100", 100, 0), ("332", 332, 0), ("334", 334, 65))
	def test_parts(self, depth, code):
		"multipart in multipart, {0} levels, with a stack of 256 KiB"
		# Each level of parts is three of JSON: {"body": {"parts": [ ... ]}}.
		text = '{"parts": [{"body": ' * depth + '"deepest"' + "}]}" * depth
		path = self.write("job.json", '{"from": "%s", "to": ["%s"], "body": %s}' % (FROM, TO, text))
		script = 'ulimit -s 256; exec "$0" "$@"'
		r = mc.run("-c", script, mc.BINARY, "--dry-run", "--params", path, executable="/bin/sh", wrap=[], stdout=True)
		self.assertEqual(r.code, code, r)
		if not code:
			self.assertIn(b"deepest", r.stdout)
			self.assertEqual(r.stdout.count(b"Content-Type: multipart/"), depth)


if __name__ == "__main__":
	tap.main(jobs=4)
