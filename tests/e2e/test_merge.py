#!/usr/bin/python3
"""Mail merge: a template and rows; whatever the values are, each stays in the one place that it was made for."""

import csv
import email
import email.policy
import io
import json
import mailbox
import os
import shutil
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import bulk, fake, mc, tap, wire  # noqa: E402
from injections import PAYLOADS, breaks  # noqa: E402
from test_output import SCHEMA, faults  # noqa: E402

TEMPLATE = {"from": "a@example.net", "to": ["{{mail}}"], "subject": "s", "body": "t\n"}


def parsed(octets):
	return email.message_from_bytes(octets, policy=email.policy.default)


def text_of(octets):
	return parsed(octets).get_body(("plain",)).get_content().replace("\r\n", "\n")


class Merges(tap.Case):
	def template(self, **more):
		return self.write("t.json", json.dumps({**TEMPLATE, **more}))

	def rows(self, rows, delimiter=","):
		"""CSV by Python's writer."""
		out = io.StringIO()
		names = list(rows[0])
		writer = csv.DictWriter(out, names, delimiter=delimiter)
		writer.writeheader()
		for row in rows:
			writer.writerow(row)
		return self.write("rows.csv", out.getvalue().encode("utf-8", "surrogateescape"))

	def lines(self, rows):
		return bulk.jsonl(os.path.join(self.tempdir(), "rows.jsonl"), rows)

	def run_it(self, template, data, *argv, code=0, **how):
		how.setdefault("lines", None)
		r = mc.run("--params", template, "--data", data, *argv, **how)
		self.assertIn(r.code, code if isinstance(code, tuple) else (code,), r)
		return r

	def send(self, rows, *argv, code=0, kind="csv", data=None, **template):
		"""(Taken by subject order of arrival, report lines) of rows that are sent."""
		data = data or (self.rows(rows) if kind == "csv" else self.lines(rows))
		with bulk.Server(keep=True) as server:
			r = self.run_it(self.template(**template), data, "-S", server.url, "--report=json", "--ordered", "--workers", "1", *argv, code=code)
			server.settle()
			told = bulk.results(r.stdout)
			for one in told:
				if "line" in one:
					self.assertEqual(list(faults(one, SCHEMA)), [])
			for taken in server.taken:
				self.assertEqual(wire.message(taken.data), [])
			return server.taken, told, r


class Places(Merges):
	@tap.table(("CSV", "csv"), ("JSON Lines", "jsonl"))
	def test_all(self, kind):
		"every place is filled in: {0}"
		place = self.tempdir()
		self.write("inv-17.txt", "the file of 17\n", directory=place)
		rows = [{"n": "17", "mail": "b@example.org", "name": "Bó, \"the\" <B>", "copy": "", "html": "a<b>&\"c\"", "id": "row-1"},
		        {"n": "17", "mail": "c@example.org", "name": "C", "copy": "d@example.org", "html": "<i>", "id": "row-2"}]
		taken, told, r = self.send(
			rows, "--files-dir", place, kind=kind, **{
				"from": "{{name}} <a{{n}}@example.net>", "to": ["{{name}} <{{mail}}>"], "cc": ["{{copy}}"], "reply_to": ["\"{{name}}\" <r{{n}}@example.net>"],
				"subject": "m {{n}} for {{name}}", "headers": {"X-N": "n={{n}}"}, "body": "Dear {{name}},\n{{#copy}}copied to {{copy}}\n{{/copy}}{{^copy}}nobody\n{{/copy}}",
				"html": "<p>{{html}} {{{html}}}</p>",
				"attachments": [{"text": "text {{name}}", "filename": "f-{{n}}.txt"}, {"path": "inv-{{n}}.txt"}]})
		self.assertEqual([t.rcpts for t in taken], [["b@example.org"], ["c@example.org", "d@example.org"]], r)
		self.assertEqual([(x["line"], x["id"], x["result"]) for x in told], [(2, "row-1", "sent"), (3, "row-2", "sent")] if kind == "csv" else
		                 [(1, "row-1", "sent"), (2, "row-2", "sent")])
		for t, row in zip(taken, rows):
			m = parsed(t.data)
			self.assertEqual(t.sender, "a17@example.net")
			self.assertEqual(m["Subject"], f"m 17 for {row['name']}")
			self.assertEqual([(a.display_name, a.addr_spec) for h in ("From", "To", "Reply-To") for a in m[h].addresses],
			                 [(row["name"], "a17@example.net"), (row["name"], row["mail"]), (row["name"], "r17@example.net")])
			self.assertEqual(m["Cc"] is not None, bool(row["copy"]))
			self.assertEqual(m["X-N"], "n=17")
			self.assertEqual(text_of(t.data), f"Dear {row['name']},\n" + (f"copied to {row['copy']}\n" if row["copy"] else "nobody\n"))
			page = m.get_body(("html",)).get_content().strip()
			self.assertEqual(page, "<p>" + row["html"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") + " " + row["html"] + "</p>")
			parts = {p.get_filename(): p.get_content() for p in m.iter_attachments()}
			self.assertEqual({k: v.strip() for k, v in parts.items()}, {"f-17.txt": f"text {row['name']}", "inv-17.txt": "the file of 17"})

	def test_sections(self):
		"sections over lists and objects of JSON Lines, with a comment, a dot, and another delimiter"
		rows = [{"mail": "b@example.org", "items": [{"what": "x", "n": 1}, {"what": "y", "n": 2}], "words": ["p", "q"], "who": {"first": "F"}, "no": []}]
		taken, _told, _r = self.send(rows, kind="jsonl", body="{{! no }}{{#items}}{{n}} {{what}}\n{{/items}}{{#words}}<{{.}}>{{/words}} {{who.first}}{{^no}} none{{/no}}"
		                             "{{=<% %>=}} <%who.first%>\n")
		self.assertEqual(text_of(taken[0].data), "1 x\n2 y\n<p><q> F none F\n")

	def test_defaults(self):
		"flags are a template too; literal text without {{ stays as it is"
		data = self.rows([{"who": "x"}])
		with bulk.Server(keep=True) as server:
			r = mc.run("--data", data, "-S", server.url, "-f", "a@example.net", "-s", "hi {{who}} {x} }}", "--body", "t {{who}}", "--", "{{who}}@example.org", lines=None)
			server.settle()
			self.assertEqual((r.code, server.arrived, server.taken[0].subject), (0, {"x@example.org": 1}, "hi x {x} }}"), r)

	def test_body_file(self):
		"a template in files: body_file and html_file"
		body, page = self.write("b.txt", "Dear {{n}}\n"), self.write("b.html", "<p>{{n}}</p>")
		taken = self.files(body, page)
		self.assertEqual(text_of(taken[0].data), "Dear <N>\n")
		self.assertIn("&lt;N&gt;", parsed(taken[0].data).get_body(("html",)).get_content())

	def files(self, body, page):
		with bulk.Server(keep=True) as server:
			r = mc.run("--data", self.rows([{"mail": "b@example.org", "n": "<N>"}]), "-S", server.url, "-f", "a@example.net", "-s", "x", "--body-file", body,
			           "--html-file", page, "--", "{{mail}}", lines=None)
			server.settle()
			self.assertEqual(r.code, 0, r)
			return server.taken

	def test_path(self):
		"a path with {{}}: without files_dir 64; with it, nothing beside it can be reached"
		place = self.tempdir()
		os.mkdir(os.path.join(place, "in"))
		self.write("a.txt", "inside\n", directory=os.path.join(place, "in"))
		self.write("secret.txt", "never\n", directory=place)
		os.symlink("../secret.txt", os.path.join(place, "in", "link"))
		names = ["a.txt", "../secret.txt", os.path.join(place, "secret.txt"), "/etc/passwd", "link", "", "-", "/dev/stdin", "a.txt\0", "."]
		rows = [{"mail": f"r{i}@example.org", "f": f} for i, f in enumerate(names)]
		_taken, _told, r = self.send(rows, kind="jsonl", code=64, attachments=[{"path": "{{f}}"}])
		self.assertIn("files_dir", r.stderr)
		taken, told, r = self.send(rows, "--files-dir", os.path.join(place, "in"), kind="jsonl", code=1, attachments=[{"path": "{{f}}"}])
		self.assertEqual([x["result"] for x in told], ["sent"] + ["error"] * 9, r)
		self.assertEqual([t.rcpts for t in taken], [["r0@example.org"]])

	@tap.table(("cc", "cc"), ("bcc", "bcc"))
	def test_empty(self, key):
		"an entry that the data leave empty is nobody: {0}; where nobody is left the row is refused"
		taken, told, _r = self.send([{"mail": "b@example.org", "x": ""}, {"mail": "", "x": "  "}, {"mail": "", "x": "c@example.org"}], code=1, **{key: ["{{x}}"]})
		self.assertEqual([t.rcpts for t in taken], [["b@example.org"], ["c@example.org"]])
		self.assertEqual([x["result"] for x in told], ["sent", "error", "sent"])

	def test_ready(self):
		"a ready message has no places: 64"
		ready = self.write("m.eml", "From: a@example.net\n\nx\n")
		r = mc.run("--data", self.rows([{"mail": "b"}]), "-S", "127.0.0.1:1", "--message-file", ready, "b@example.org")
		self.assertEqual(r.code, 64, r)

	@tap.table(("an open section", "{{#x}}"), ("a stray end", "{{/x}}"), ("crossed", "{{#a}}{{#b}}{{/a}}{{/b}}"), ("an open tag", "{{x"), ("an empty name", "{{}}"))
	def test_syntax(self, text):
		"a template's fault is told at once, before anything is sent: {0}"
		for key in ("subject", "body", "html"):
			with bulk.Server() as server:
				r = self.run_it(self.template(**{key: text}), self.rows([{"mail": "b@example.org", "x": "1", "a": "", "b": ""}]), "-S", server.url, code=65)
				self.assertEqual(len(server.sessions), 0)
				self.assertIn(key, r.stderr)


class Values(Merges):
	VALUES = ["plain", "a\r\nb", "a\nb\n", ",;\t", "\"", "\"\"", "'", "<>", "<x@y.example>", "Ünï ✓", "{{n}}", "{{{n}}}", "\\", "a\\\"b", " lead and trail ",
	          "x, y@z.example", "=?utf-8?Q?x?=", "z" * 3000, ".", "\n.\n", "From x\n>From y\nFrom z", "\u2028", "&lt;"]

	@tap.table(("CSV", "csv"), ("JSON Lines", "jsonl"))
	def test_text(self, kind):
		"values stay what they are in a text: {0}"
		rows = [{"mail": f"r{i}@example.org", "n": v} for i, v in enumerate(self.VALUES)]
		taken, _told, _r = self.send(rows, kind=kind, body="[{{n}}]\n")
		for t, v in zip(taken, self.VALUES):
			self.assertEqual(text_of(t.data), "[" + v.replace("\r\n", "\n") + "]\n")

	def test_names(self):
		"a display name is one, whatever is in it; with a line break the row is refused"
		rows = [{"mail": f"r{i}@example.org", "n": v} for i, v in enumerate(self.VALUES)]
		taken, told, _r = self.send(rows, code=1, to=["{{n}} <{{mail}}>"])
		self.assertEqual([x["result"] for x in told], ["error" if "\n" in v or v == "\u2028" else "sent" for v in self.VALUES])
		by = {t.rcpts[0]: t for t in taken}
		for i, v in enumerate(self.VALUES):
			if "\n" in v or v == "\u2028":
				continue
			t = by[f"r{i}@example.org"]
			self.assertEqual(t.rcpts, [f"r{i}@example.org"])
			if v in ("z" * 3000, "=?utf-8?Q?x?="):
				continue        # how Python shows those is Python's
			self.assertEqual([(a.display_name.strip(), a.addr_spec) for a in parsed(t.data)["To"].addresses], [(v.strip(), f"r{i}@example.org")])

	@tap.table(*[(repr(v), v) for v in ("b@example.org, c@example.org", "b@example.org>, <c@example.org", "b@example.org\r\nRCPT TO:<c@example.org>", "b@example.org>\nx",
	                                    "x <b@example.org>, c@example.org", "g: b@example.org, c@example.org;", "b@example.org c@example.org", "b@example.org\0",
	                                    "b@example.org> NOTIFY=NEVER", "(c) b@example.org, c@example.org", "b@example.org;c@example.org", "b", "@", "<>", "b@", "b@@c")])
	def test_second(self, value):
		"an address cannot become two: {0}"
		for place in ({"to": ["{{mail}}"]}, {"to": ["N <{{mail}}>"]}, {"cc": ["{{mail}}"]}, {"bcc": ["x <{{mail}}>"]}, {"to": ["{{mail}}", "z@example.org"]}):
			taken, told, _r = self.send([{"mail": value}], kind="jsonl", code=(0, 1, 65), **{"to": [], **place})
			for t in taken:
				self.assertLessEqual(len([a for a in t.rcpts if a != "z@example.org"]), 1, told)
				self.assertNotIn("c@example.org", t.rcpts)
				self.assertFalse(any(" " in a or "NOTIFY" in a for a in t.rcpts))

	@tap.row("HDR-01")
	@tap.table(*[(label, payload) for label, payload in PAYLOADS])
	def test_injection(self, payload):
		"injected into each place: {0}"
		value = "v" + payload
		octets = json.dumps({"mail": "b@example.org", "v": value.replace("\udc85", "\ue001")}, ensure_ascii=False).encode().replace("\ue001".encode(), b"\x85")
		clean = {"mail": "b@example.org", "v": "v"}
		places = {"subject": {"subject": "{{v}}"}, "raw": {"subject": "x {{{v}}} y"}, "header": {"headers": {"X-V": "{{v}}"}}, "from": {"from": "{{v}} <a@example.net>"},
		          "from_name": {"from_name": "{{v}}"}, "to": {"to": ["{{v}} <{{mail}}>"]}, "address": {"to": ["{{mail}}", "{{v}}"]}, "domain": {"to": ["{{mail}}", "x@{{v}}"]},
		          "reply_to": {"reply_to": ["{{v}} <r@example.net>"]}, "message_id": {"message_id": "<{{v}}@example.net>"},
		          "filename": {"attachments": [{"text": "x", "filename": "{{v}}"}]}, "references": {"references": ["<{{v}}@example.net>"]},
		          "envelope_from": {"envelope_from": "{{v}}@example.net"}, "body": {"body": "{{v}}"}}
		for name, place in places.items():
			whole, _told, _r = self.send([clean], kind="jsonl", code=(0, 1, 65), **place)
			taken, told, r = self.send([octets], kind="jsonl", code=(0, 1, 65), **place)
			self.assertEqual(len(told), 1, name)
			self.assertLessEqual(len(taken), 1, name)
			if breaks(payload) and name != "body":
				# a fold is white space to some; that it is refused is what the table says
				self.assertEqual((len(taken), told[0]["result"]), (0, "error"), f"{name}: {r}")
			for t in taken:
				self.assertNotIn("e@x.example", t.rcpts, name)
				if whole:
					self.assertEqual(t.rcpts, whole[0].rcpts, name)
				m = parsed(t.data)
				self.assertIsNone(m["Bcc"], name)
				if whole:
					varies = {"Content-Transfer-Encoding", "Content-Type", "MIME-Version"}
					self.assertEqual([k for k in m.keys() if k not in varies], [k for k in parsed(whole[0].data).keys() if k not in varies], name)


class Data(Merges):
	def test_missing_csv(self):
		"a column that is not there: 65 at the start, named with the columns; nothing is sent"
		for key in ("subject", "body"):
			taken, _told, r = self.send([{"mail": "b@example.org", "x": "1"}], code=65, **{key: "{{nam}}"})
			self.assertEqual(taken, [])
			for text in ("nam", "mail", "x"):
				self.assertIn(text, r.stderr + r.stdout.decode())

	def test_missing_jsonl(self):
		"a name that a line does not have: that line is refused, the others are sent"
		taken, told, _r = self.send([{"mail": "b@example.org", "x": "1"}, {"mail": "c@example.org"}, {"mail": "d@example.org", "x": ""}], code=1, kind="jsonl", subject="s {{x}}")
		self.assertEqual(([x["result"] for x in told], [t.rcpts[0] for t in taken]), (["sent", "error", "sent"], ["b@example.org", "d@example.org"]))
		self.assertIn(":2", told[1]["error"]["text"])
		self.assertIn("x", told[1]["error"]["text"])

	@tap.table(("CSV", "csv"), ("JSON Lines", "jsonl"))
	def test_missing_empty(self, kind):
		"--missing=empty: what is not there is empty, {0}"
		taken, _told, _r = self.send([{"mail": "b@example.org"}], "--missing=empty", kind=kind, subject="s{{x}}s", body="[{{x}}{{#y}}no{{/y}}]\n", cc=["{{z}}"])
		self.assertEqual((taken[0].subject, text_of(taken[0].data), taken[0].rcpts), ("ss", "[]\n", ["b@example.org"]))

	@tap.table(
		("too few fields", b"mail,x\nb@example.org,1\nc@example.org\nd@example.org,3\n", 3), ("too many fields", b"mail,x\nb@example.org,1\nc@example.org,2,3\nd@example.org,3\n", 3),
		("a quote within", b"mail,x\nb@example.org,1\nc@example.org,a\"b\"\nd@example.org,3\n", 3), ("not UTF-8", b"mail,x\nb@example.org,1\nc@example.org,\xff\nd@example.org,3\n", 3),
		("NUL", b"mail,x\nb@example.org,1\nc@example.org,\0\nd@example.org,3\n", 3), ("a bad address", b"mail,x\nb@example.org,1\nc@@,1\nd@example.org,3\n", 3),
		("behind a quoted line break", b"mail,x\nb@example.org,\"1\n2\n\"\nc@example.org\nd@example.org,3\n", 5))
	def test_bad_row(self, octets, line):
		"a row that has {0}: refused by its line, the others are sent"
		taken, told, _r = self.send(None, data=self.write("r.csv", octets), code=1, subject="s", body="{{x}}\n")
		self.assertEqual([x["result"] for x in told], ["sent", "error", "sent"])
		self.assertEqual((told[1]["line"], [t.rcpts[0] for t in taken]), (line, ["b@example.org", "d@example.org"]))
		self.assertIn(f":{line}", told[1]["error"]["text"])

	@tap.table(
		("no header", b""), ("a column twice", b"mail,x,x\nb@example.org,1,2\n"), ("a column without a name", b"mail,\nb@example.org,1\n"),
		("an open quote in the header", b"mail,\"x\nb@example.org,1\n"), ("not UTF-8 in the header", b"mail,x\xff\nb@example.org,1\n"))
	def test_bad_header(self, octets):
		"{0}: 65, nothing is sent"
		taken, _told, _r = self.send(None, data=self.write("r.csv", octets), code=65)
		self.assertEqual(taken, [])

	@tap.table(*((json.dumps(value), value, "error") for value in (True, [1], 1.5, {})), *((json.dumps(value), value, "sent") for value in (None, "", 7, "a")))
	def test_ids(self, value, result):
		"an id in the data is as one in a line: {0}"
		_taken, told, _r = self.send([{"mail": "b@example.org", "id": value}], kind="jsonl", code=0 if result == "sent" else 65)
		self.assertEqual([x["result"] for x in told], [result])
		self.assertEqual(told[0]["id"], str(value) if value and result == "sent" else None)

	def test_stray_quotes(self):
		"stray quotes in two rows: those two are in error, no other is lost"
		text = b"mail,x\na@example.org,ok\nb@example.org,5\" disk\nc@example.org,ok\nd@example.org,ok\ne@example.org,3\" disk\nf@example.org,ok\n"
		taken, told, _r = self.send(None, data=self.write("r.csv", text), code=1, body="{{x}}\n")
		self.assertEqual([x["result"] for x in told], ["sent", "error", "sent", "sent", "error", "sent"])
		self.assertEqual([x["line"] for x in told if x["result"] == "error"], [3, 6])
		self.assertEqual([t.rcpts[0][0] for t in taken], ["a", "c", "d", "f"])

	def test_open_quote(self):
		"the file ends in a quote: the last row is refused, not sent"
		taken, told, _r = self.send(None, data=self.write("r.csv", b"mail,x\nb@example.org,1\nc@example.org,\"2\nd@example.org,3\n"), code=1, body="{{x}}\n")
		self.assertEqual(([t.rcpts[0] for t in taken], [x["result"] for x in told]), (["b@example.org"], ["sent", "error"]))
		self.assertIn("r.csv:3: the file ends inside a quoted field (lines 3 to 4)", told[1]["error"]["text"])

	@tap.table(
		("a byte order mark", b"\xef\xbb\xbfmail,x\nb@example.org,1\n"), (";", b"mail;x\nb@example.org;1\n"), ("tabulators", b"mail\tx\nb@example.org\t1\n"),
		("CRLF", b"mail,x\r\nb@example.org,1\r\n"), ("no line end", b"mail,x\nb@example.org,1"), ("quotes", b"\"mail\",\"x\"\n\"b@example.org\",\"1\"\n"),
		("blank lines", b"mail,x\n\n\nb@example.org,1\n\n"), ("a mark and quotes and ;", b"\xef\xbb\xbf\"mail\";\"x\"\r\n\"b@example.org\";\"1\"\r\n"))
	def test_forms(self, octets):
		"CSV with {0}"
		taken, _told, _r = self.send(None, data=self.write("r.csv", octets), subject="s{{x}}")
		self.assertEqual([(t.rcpts, t.subject) for t in taken], [(["b@example.org"], "s1")])

	def test_stdin(self):
		"--data - is CSV from standard input"
		with bulk.Server() as server:
			r = self.run_it(self.template(), "-", "-S", server.url, input="mail\nb@example.org\nc@example.org\n")
			server.settle()
			self.assertEqual(server.arrived, {"b@example.org": 1, "c@example.org": 1}, r)

	@tap.table(("an array", b'["x"]'), ("a text", b'"x"'), ("cut", b'{"mail":'), ("a key twice", b'{"mail":"x@example.org","mail":"y@example.org"}'), ("NUL", b'{"mail":"x\\u0000@example.org"}'))
	def test_bad_line(self, line):
		"a line of JSON data that is {0}: refused alone"
		taken, told, _r = self.send([b'{"mail":"b@example.org"}', line, b'{"mail":"d@example.org"}'], kind="jsonl", code=1)
		self.assertEqual(([x["result"] for x in told], [t.rcpts[0] for t in taken]), (["sent", "error", "sent"], ["b@example.org", "d@example.org"]))

	def test_no_settings(self):
		"a row is data: names of settings in it set nothing"
		taken, _told, _r = self.send([{"mail": "b@example.org", "server": "127.0.0.1:1", "to": "x@example.org", "bcc": "y@example.org"}])
		self.assertEqual(taken[0].rcpts, ["b@example.org"])


class Dry(Merges):
	BODIES = ["a\n", "From the start\nFrom again\n>From quoted\n>>From twice\n", "\n\nFrom here\n\n", ".\n..\n", "x" * 900 + "\n", "grüße\n", "no end"]

	def rows_of(self):
		return [{"mail": f"r{i}@example.org", "n": str(i), "b": b} for i, b in enumerate(self.BODIES)]

	def dry(self, *argv, **how):
		"""A dry run at which nobody listens; no socket may be asked for."""
		with fake.Recorder() as nobody:
			r = self.run_it(self.template(subject="m {{n}}", body="{{b}}"), self.rows(self.rows_of()), "-S", f"127.0.0.1:{nobody.port}", *argv, **how)
			self.assertEqual(nobody.connections, 0)
			return r

	def agree(self, messages):
		self.assertEqual(len(messages), len(self.BODIES))
		for i, m in enumerate(messages):
			self.assertEqual(m["Subject"], f"m {i}")
			self.assertEqual(m.get_content().replace("\r\n", "\n").rstrip("\n"), self.BODIES[i].rstrip("\n"))

	def test_directory(self):
		"a directory: a file a message, by its line, as on the wire"
		for place in (self.tempdir(), self.tempdir() + "/new/"):
			r = self.dry("--output", place, "--report=json")
			told = bulk.results(r.stdout)
			self.assertEqual({x["result"] for x in told}, {"composed"})
			names = sorted(os.listdir(place))
			self.assertEqual(names, [f"{x:06d}.eml" for x in sorted(x["line"] for x in told)])
			octets = []
			for name in names:
				with open(os.path.join(place, name), "rb") as f:
					octets.append(f.read())
			for one in octets:
				self.assertEqual(wire.message(one), [])
			self.agree([parsed(o) for o in octets])
			self.assertEqual(sorted(x["size"] for x in told), sorted(len(o) for o in octets))

	def mbox(self, octets):
		path = self.write("read.mbox", octets)
		box = mailbox.mbox(path, factory=None, create=False)
		self.addCleanup(box.close)
		found = []
		for message in box:
			# mboxrd: a quote is taken off each line that it was put on
			lines = message.as_bytes().split(b"\n")
			found.append(parsed(b"\n".join(l[1:] if l.lstrip(b">").startswith(b"From ") and l.startswith(b">") else l for l in lines)))
		return found

	def test_mbox(self):
		"an mbox: as many messages to Python's reader, texts as they were, each \"From \" quoted"
		path = os.path.join(self.tempdir(), "out.mbox")
		self.dry("--output", path)
		with open(path, "rb") as f:
			octets = f.read()
		self.assertEqual(octets.count(b"\nFrom ") + octets.startswith(b"From "), len(self.BODIES))
		self.assertIn(b"\n>>From quoted\n", octets)
		self.agree(self.mbox(octets))

	def test_stdout(self):
		"standard output: the same mbox"
		self.agree(self.mbox(self.dry("--dry-run").stdout))

	def test_null(self):
		"/dev/null: composed, and the device is still one"
		self.dry("--output", "/dev/null")
		self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

	def test_socket(self):
		"a dry run asks for no socket but the local ones, whatever its settings"
		if not shutil.which("strace") or os.environ.get("MC_WRAP"):
			self.skipTest("needs strace")
		log = os.path.join(self.tempdir(), "calls")
		r = self.run_it(self.template(subject="m {{n}}", body="{{b}}"), self.rows(self.rows_of()), "-S", "smtps://mail.example.net", "--username", "u",
		                "--password-env", "X", "--output", "/dev/null", wrap=["strace", "-f", "-o", log, "-e", "trace=network"], env={"X": "geheimnis"}, code=(0, 64))
		self.assertNotEqual(r.code, 64, r)
		with open(log, encoding="ascii", errors="replace") as f:
			self.assertEqual([l for l in f if "AF_INET" in l or "connect(" in l and "AF_UNIX" not in l], [])

	def test_bad_row(self):
		"a bad row of a dry run: the others are written, 1"
		place = self.tempdir()
		r = self.run_it(self.template(), self.write("r.csv", "mail\nb@example.org\nc@@\nd@example.org\n"), "--output", place, "--report=json", code=1)
		self.assertEqual([x["result"] for x in sorted(bulk.results(r.stdout), key=lambda x: x["line"])], ["composed", "error", "composed"])
		self.assertEqual(sorted(os.listdir(place)), ["000002.eml", "000004.eml"])

	@tap.table(("no such directory", "/nonexistent/x/y"), ("beneath a file", "/etc/passwd/x/"))
	def test_place(self, path):
		"an output that cannot be: 73, {0}"
		self.dry("--output", path, code=73)


if __name__ == "__main__":
	tap.main(jobs=8)
