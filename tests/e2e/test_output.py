#!/usr/bin/python3
"""What the program says: reports that hold to their schema, exit codes, one line that no server can forge."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, FROM, TO  # noqa: E402

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.schema.json"), encoding="utf-8") as schema_file:
	SCHEMA = json.load(schema_file)
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None), "boolean": bool}
# Keywords below; one that is not among them would be believed and not checked.
KNOWN = {"$schema", "title", "type", "required", "additionalProperties", "properties", "const", "enum", "pattern", "minimum", "maximum",
         "minLength", "maxLength", "items"}
# Octets that drive terminals, overwrite lines, or look like a line of our own.
HOSTILE = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\b\b\rmailchute: sent\x7f"
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def faults(value, schema, where="report"):
	"""What is wrong with @value by @schema: the part of JSON Schema that ours uses."""
	if set(schema) - KNOWN:
		yield f"{where}: schema keywords {set(schema) - KNOWN} are not checked"
	types = schema.get("type")
	if types is not None:
		types = [types] if isinstance(types, str) else types
		if not any(isinstance(value, TYPES[t]) and not (t == "integer" and isinstance(value, bool)) for t in types):
			yield f"{where}: {value!r} is not {types}"
			return
	if "const" in schema and value != schema["const"]:
		yield f"{where}: {value!r} is not {schema['const']!r}"
	if "enum" in schema and value not in schema["enum"]:
		yield f"{where}: {value!r} is not one of {schema['enum']}"
	if isinstance(value, str):
		if "pattern" in schema and not re.search(schema["pattern"], value):
			yield f"{where}: {value!r} does not match {schema['pattern']}"
		if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
			yield f"{where}: {len(value)} characters"
	if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
		yield f"{where}: {value} is out of range"
	if isinstance(value, dict):
		for key in set(schema.get("required", ())) - set(value):
			yield f"{where}: {key} is missing"
		for key, member in value.items():
			if key in schema.get("properties", {}):
				yield from faults(member, schema["properties"][key], f"{where}.{key}")
			elif schema.get("additionalProperties") is False:
				yield f"{where}: {key} is not in the schema"
	if isinstance(value, list):
		for n, item in enumerate(value):
			yield from faults(item, schema.get("items", {}), f"{where}[{n}]")



GOOD = {"tls": "starttls", "auth": "PLAIN", "users": {"u": "right"}}
# (label, exit, server's keywords or None, further arguments)
OUTCOMES = [
	("sent", 0, {}, []),
	("sent by LMTP", 0, {"lmtp": True, "unix": True}, []),
	("sent under TLS with AUTH", 0, GOOD, ["--starttls", "--tls-ca-file", "{ca}", "--username", "u", "--password-env", "RIGHT"]),
	("some of them", 1, {"rcpt": {TO: "550 5.1.1 no such user"}}, ["c@example.org"]),
	("some by LMTP's dot", 1, {"lmtp": True, "dot": {TO: "452 4.2.2 full"}}, ["c@example.org"]),
	("lost after the dot", 2, {"dot": fake.close()}, []),
	("nonsense after the dot", 2, {"dot": "hello"}, []),
	("a flag unknown", 64, None, ["--nonsense"]),
	("no recipient", 64, None, []),
	("two texts", 64, None, [TO, "--body", "x", "--body-file", "/dev/null"]),
	("a bad address", 65, None, ["b@@example.org"]),
	("content refused", 65, {"dot": "554 5.7.1 spam"}, []),
	("DATA refused", 65, {"data": "554 5.7.1 no"}, []),
	("a file missing", 66, None, [TO, "-a", "/nonexistent/file"]),
	("recipient refused", 67, {"rcpt": "550 5.1.1 no such user"}, []),
	("all of LMTP refused", 67, {"lmtp": True, "dot": "550 5.1.1 no"}, []),
	("host unknown", 68, None, [TO, "-S", "smtp://nowhere.invalid"]),
	("sender refused", 69, {"mail": "550 5.7.1 not you"}, []),
	("too large", 69, {"ehlo": ["SIZE 10"]}, []),
	("no extension", 69, {"ehlo": ["PIPELINING"]}, ["--dsn-notify", "failure"]),
	("no descriptors", 71, {}, ["{few}"]),
	("output not to be made", 73, None, [TO, "--output", "/nonexistent/m.eml"]),
	("output to a full device", 74, None, [TO, "--output", "/dev/full"]),
	("nobody listens", 75, None, [TO, "-S", "smtp://127.0.0.1:{closed}"]),
	("recipient deferred", 75, {"rcpt": "450 4.2.0 later"}, []),
	("lost amid the opening", 75, {"ehlo": ["X"], "mail": fake.close()}, []),
	("greeting 421", 75, {"greeting": "421 4.3.2 busy"}, []),
	("silent", 75, {"greeting": fake.silence()}, ["--timeout", "1"]),
	("no SMTP", 76, {"greeting": "HTTP/1.1 400 Bad Request"}, []),
	("no SMTP at MAIL", 76, {"mail": "what?"}, []),
	("no STARTTLS", 77, {}, ["--starttls"]),
	("certificate unknown", 77, {"tls": "starttls"}, ["--starttls"]),
	("AUTH refused", 77, GOOD, ["--starttls", "--tls-ca-file", "{ca}", "--username", "u", "--password-env", "WRONG"]),
	("AUTH not offered", 77, {}, ["--username", "u", "--password-env", "RIGHT"]),
	("no file of certificates", 78, {"tls": "starttls"}, ["--starttls", "--tls-ca-file", "/nonexistent"]),
	("no secret", 78, GOOD, ["--starttls", "--tls-ca-file", "{ca}", "--username", "u", "--password-file", "/nonexistent"]),
]


def few_descriptors():
	resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))


class Outcomes(tap.Case):
	def outcome(self, stages, argv, report, **how):
		few = "{few}" in argv
		argv = [a.format(ca=certs.ca(), closed=fake.closed_port() if "{closed}" in a else 0) for a in argv if a != "{few}"]
		how.setdefault("input", "x\n")
		env = {"RIGHT": "right", "WRONG": "wrong"}
		if few:
			# The leak checker would need some as well.
			how["preexec"], env["ASAN_OPTIONS"] = few_descriptors, "exitcode=99:detect_leaks=0"
		argv = [*ARGS, *report, *argv]
		if stages is None:
			return mc.run(*argv, env=env, **how)
		with fake.Server(**stages) as server:
			return mc.run("-S", server.url, *argv, TO, env=env, **how)

	@tap.row("OUT-01", "OUT-05")
	@tap.table(*OUTCOMES)
	def test_report(self, code, stages, argv):
		"the report of a run that ends with {1}: {0}"
		r = self.outcome(stages, argv, ["--report=json"])
		self.assertEqual(r.code, code, r)
		self.assertEqual(r.stdout.count(b"\n"), 1, r)
		report = r.json
		self.assertEqual(list(faults(report, SCHEMA)), [], r)
		self.assertEqual(report["error"] is None, code == 0, r)
		self.assertEqual((report["error"] or {"exit": 0})["exit"], code, r)
		# The same sentence on standard error.
		if code:
			self.assertIn(report["error"]["text"], r.stderr)
		if shutil.which("jq"):
			p = subprocess.run(["jq", "-c", "."], input=r.stdout, stdout=subprocess.PIPE, check=True)
			self.assertEqual(json.loads(p.stdout), report)
		states = {p["state"] for p in report["recipients"]}
		self.assertEqual("accepted" in states, code in (0, 1), r)
		self.assertEqual("unknown" in states, code == 2, r)

	@tap.row("OUT-03")
	@tap.table(*OUTCOMES)
	def test_no_stderr(self, code, stages, argv):
		"standard error full, and closed; the exit code is still {1}: {0}"
		with open("/dev/full", "wb") as full:
			r = self.outcome(stages, argv, [], stderr_file=full, checks=False)
			self.assertEqual(r.code, code, r)

		def close():
			if "{few}" in argv:
				few_descriptors()
			os.close(2)
		if "{few}" not in argv:
			r = self.outcome(stages, argv, [], preexec=close, checks=False)
			self.assertEqual(r.code, code, r)

	@tap.row("OUT-01")
	def test_dry_run(self):
		"the report of a dry run"
		out = os.path.join(self.tempdir(), "m.eml")
		r = mc.run("--output", out, *ARGS, TO, "--report=json", input="x\n")
		self.assertEqual(r.code, 0, r)
		self.assertEqual(list(faults(r.json, SCHEMA)), [])
		self.assertEqual((r.json["result"], r.json["size"]), ("composed", os.path.getsize(out)))

	@tap.row("OUT-01")
	def test_schema_checks(self):
		"the checker itself: a report that is wrong in each way is found out"
		r = mc.run("--output", "/dev/null", *ARGS, TO, "--report=json", input="x\n")
		good = r.json
		self.assertEqual(list(faults(good, SCHEMA)), [])
		for key, value in (("version", 2), ("result", "fine"), ("message_id", "x"), ("size", -1), ("size", "1"), ("recipients", {}),
		                   ("more", 1), ("timings_ms", {}), ("error", {"exit": 3})):
			self.assertNotEqual(list(faults({**good, key: value}, SCHEMA)), [], key)
		self.assertNotEqual(list(faults({k: v for k, v in good.items() if k != "size"}, SCHEMA)), [])

	@tap.row("OUT-01")
	def test_many(self):
		"ten thousand recipients, one line"
		rcpts = [f"r{n}@example.org" for n in range(10000)]
		with fake.Server(rcpt=fake.turns(*[None] * 999, "550 5.1.1 no")) as server:
			r = mc.run("-S", server.url, "--report=json", "--params", locally.params(self, {"to": rcpts, "body": "x"}))
			self.assertEqual(r.code, 1, r)
			self.assertEqual([p["address"] for p in r.json["recipients"]], rcpts)
			self.assertEqual(list(faults(r.json, SCHEMA)), [])
			self.assertLess(len(r.stderr), 3000)


class Hostile(tap.Case):
	def clean(self, r):
		self.assertEqual(len(r.lines), 1, r)
		self.assertEqual(UNPRINTABLE.search(r.stderr), None, r)
		self.assertEqual(UNPRINTABLE.search(r.stdout.decode("utf-8")), None, r)
		self.assertTrue(r.stderr.startswith("mailchute: "), r)

	@tap.row("OUT-02")
	@tap.table(*[(f"{name} at {stage}", stage, text) for stage in ("greeting", "ehlo", "mail", "rcpt", "data", "dot") for name, text in (
		("terminal control", HOSTILE.encode()), ("C1", b"\x9b2J\x9d52;c;x\x9c"), ("C1 in UTF-8", "\x9b2J\x85x".encode()),
		("bidi", "\u202egpj.exe\u2066x\u2069\u200f".encode()), ("not UTF-8", b"\xff\xfe\xc3("), ("bare CR", b"a\rmailchute: sent"))])
	def test_server(self, stage, text):
		"a server's words: {0}"
		script = {stage: fake.raw(b"550 5.0.0 " + text + b"\r\n")}
		if stage == "ehlo":
			script["helo"] = script["ehlo"]
		with fake.Server(sessions=[script, script]) as server:
			for form in ("json", "text"):
				r = mc.run("-S", server.url, *ARGS, TO, f"--report={form}", input="x\n")
				self.assertNotIn(r.code, (0, None), r)
				self.clean(r)
				if form == "json":
					self.assertEqual(list(faults(r.json, SCHEMA)), [], r)

	@tap.row("OUT-02")
	def test_server_accepting(self):
		"a server's words when it accepts, in the report"
		with fake.Server(dot=fake.raw(b"250 2.0.0 Ok: queued as \x1b[31m\x9b\xff\x07id\r\n")) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "--report=json", input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(list(faults(r.json, SCHEMA)), [])
			self.assertEqual(UNPRINTABLE.search(r.stdout.decode("utf-8").replace("\n", "")), None)

	@tap.row("OUT-02")
	@tap.table(("a flag", ["--x" + HOSTILE]), ("an address", ["b" + HOSTILE + "@example.org"]), ("an address with LF", ["b\nmailchute: sent@x.example"]),
	           ("a file name", [TO, "-a", "/nonexistent/" + HOSTILE]), ("a file name with LF", [TO, "-a", "/nonexistent/\nmailchute: sent"]),
	           ("not UTF-8", [TO, "-a", b"/nonexistent/\xff\x9b"]), ("bidi", [TO, "-a", "/nonexistent/\u202egpj"]),
	           ("a server", [TO, "-S", "smtp://" + HOSTILE]), ("a subject", [TO, "-s", "x" + HOSTILE + "\n"]), ("a value", [TO, "--port", HOSTILE]),
	           ("a header", [TO, "--headers", json.dumps({"X" + HOSTILE: "x"})]), ("JSON", [TO, "-a", '{"path' + HOSTILE + '":1}']))
	def test_argv(self, argv):
		"what was asked for, in an error: {0}"
		with fake.Recorder() as nobody:
			r = mc.run("-S", f"127.0.0.1:{nobody.port}", *ARGS, *argv, "--body", "x")
			self.assertIn(r.code, (64, 65, 66), r)
			self.clean(r)
			self.assertEqual(nobody.connections, 0)

	@tap.row("OUT-02")
	def test_params(self):
		"names and keys of a params file"
		for members in ({"x" + HOSTILE: 1}, {"attachments": [{"path": "/nonexistent/" + HOSTILE}]}, {"to": ["x" + HOSTILE]}):
			self.clean(mc.run("--params", locally.params(self, {"body": "x", **members})))
		directory = self.tempdir()
		path = self.write("job" + HOSTILE.replace("/", "") + ".json", "{", directory=directory)
		self.clean(mc.run("--params", path))

	@tap.row("OUT-02")
	def test_environment(self):
		"a variable's value"
		self.clean(mc.run(*ARGS, TO, "--body", "x", env={"MAILCHUTE_PORT": HOSTILE}))


class Trace(tap.Case):
	@tap.row("OUT-04")
	def test_bounded(self):
		"the trace of a large message is short, on standard error, and marks who speaks"
		with fake.Server() as server:
			r = mc.run("-S", server.url, *ARGS, TO, "-v", input=b"one line of text\n" * 200000)
			self.assertEqual(r.code, 0, r)
		self.assertLess(len(r.err), 20000)
		self.assertEqual(r.stdout, b"")
		for line in ("> EHLO", "> MAIL FROM:<", "> RCPT TO:<", "> DATA", "< 354", "< 250", "* 3"):
			self.assertIn(line, r.stderr)
		self.assertTrue(all(l[:2] in ("> ", "< ", "* ") or l.startswith("mailchute: ") for l in r.lines), r)

	@tap.row("OUT-04")
	def test_many_replies(self):
		"a trace of long lines: each is cut, none is left out"
		with fake.Server(ehlo=["X" * 400] * 20 + ["PIPELINING"]) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "-v", input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(sum(l.startswith("< 250-X") for l in r.lines), 20)
			self.assertTrue(all(len(l) < 1200 for l in r.lines))

	@tap.row("OUT-04", "OUT-02")
	def test_hostile(self):
		"control characters in a trace are escaped"
		with fake.Server(dot=fake.raw(b"250 \x1b[2J\x9b\x07 ok\r\n")) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "-v", input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(UNPRINTABLE.search(r.stderr), None, r)

	@tap.row("OUT-04")
	def test_quiet(self):
		"-q: no warning; the error is still told"
		with fake.Server(tls="starttls", rcpt="550 no") as server:
			argv = ["-S", server.url, *ARGS, TO, "--starttls", "--no-tls-verify"]
			r = mc.run(*argv, input="x\n")
			self.assertEqual((r.code, len(r.lines)), (67, 2), r)
			self.assertIn("warning", r.lines[0])
			r = mc.run(*argv, "-q", input="x\n")
			self.assertEqual((r.code, len(r.lines)), (67, 1), r)
			self.assertNotIn("warning", r.stderr)


if __name__ == "__main__":
	tap.main(jobs=4)
