#!/usr/bin/python3
"""The configuration: where it is, what it says, which account is taken, whom its secrets are for; and aliases_file."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap, tmp  # noqa: E402

SECRET = "correct horse battery"


class Config(tap.Case):
	def file(self, content, mode=0o600, name="config.json"):
		text = content if isinstance(content, (str, bytes)) else json.dumps(content)
		return self.write(name, text, mode)

	def effective(self, config, *argv, input="x\n", code=0, env=None, **how):
		"""The effective settings, as {name: value}, or the result where it fails."""
		r = mc.run("--config", config, *argv, "--print-params", input=input, env=env, stdout=True, **how)
		self.assertEqual(r.code, code, r)
		return {k: v["value"] for k, v in json.loads(r.stdout).items()} if code == 0 else r

	def send(self, server, config, *argv, input="x\n", **how):
		return mc.run("--config", config, *argv, input=input, secrets=[SECRET], **how)


class File(Config):
	@tap.row("CFG-01")
	@tap.table(("missing", "missing"), ("unreadable", "unreadable"), ("a directory", "directory"), ("a FIFO", "fifo"), ("1 GB", "huge"),
	           ("NUL octets", "nul"), ("empty", "empty"))
	def test_unusable(self, what):
		"{0}: 78, named, nothing sent"
		place = self.tempdir()
		path = os.path.join(place, "config.json")
		wrap = None
		if what == "directory":
			os.mkdir(path)
		elif what == "fifo":
			os.mkfifo(path)
		elif what != "missing":
			with open(path, "wb") as f:
				f.write(b'{"subject": "a\0b"}' if what == "nul" else b"" if what == "empty" else b"{}")
			if what == "huge":
				os.truncate(path, 1 << 30)
			if what == "unreadable":
				os.chmod(path, 0)
				os.chmod(place, 0o755)
		preexec = (lambda: (os.setgid(65534), os.setuid(65534))) if what == "unreadable" and os.getuid() == 0 else None
		executable = None
		if preexec:
			executable = os.path.join(tmp.directory("mcbin-"), "mailchute")
			os.chmod(os.path.dirname(executable), 0o755)
			subprocess.run(["cp", mc.BINARY, executable], check=True)
		with fake.Server() as server:
			r = mc.run("-S", server.url, "--config", path, "-f", "a@example.org", "b@example.org", input="x\n", wrap=wrap, preexec=preexec,
			           executable=executable, cwd="/" if preexec else None)
			self.assertEqual((r.code, server.sessions), (78, []), r)
			self.assertIn("config.json", r.stderr)

	@tap.row("CFG-01")
	@tap.table(("no final newline", '{"subject": "s"}'), ("CRLF", '{\r\n"subject": "s" // x\r\n}\r\n'),
	           ("comments", '/* a */ { // b "\n "subject": /* " */ "s" /* c */ }\n// d'))
	def test_usable(self, text):
		"taken: {0}"
		got = self.effective(self.file(text), "-f", "a@example.org", "b@example.org")
		self.assertEqual(got["subject"], "s")

	def test_comments(self):
		"what looks like a comment inside of a string is text"
		got = self.effective(self.file('{"subject": "a // b /* c */ \\" // d"}'), "-f", "a@example.org", "b@example.org")
		self.assertEqual(got["subject"], 'a // b /* c */ " // d')

	@tap.row("CFG-02")
	@tap.table(
		("unknown key", '{\n  "sever": "x"\n}', ":2:12: sever: unknown key, did you mean 'server'?"),
		("unknown key of an account", '{"accounts": {"a": {"prt": 1}}}', "accounts.a.prt: unknown key"),
		("duplicate key", '{"subject": "a",\n "subject": "b"}', ":2:"),
		("alias and name", '{"user": "a", "username": "b"}', "already"),
		("bad value", '{"port": 0}', ":1:10: port"), ("bad type", '{"port": "x"}', ":1:10: port"),
		("unterminated quote", '{"subject": "a}', ":1:"), ("unclosed comment", '{} /* x', ":1:4: the comment"),
		("a list", '[]', ":1:1: must be one object"), ("trailing comma", '{"subject": "a",}', ":1:"),
		("output", '{"output": "/tmp/x"}', "cannot be set"), ("config", '{"config": "/tmp/x"}', "cannot be set"),
		("relative path", '{"body_file": "x"}', "begins with '/'"),
		("relative secret", '{"password": {"file": "x"}}', "begins with '/'"),
		("accounts no object", '{"accounts": []}', "accounts"), ("account no object", '{"accounts": {"a": 1}}', "accounts.a"),
		("inherits nobody", '{"accounts": {"a": {"inherits": "b"}}}', "no account 'b'"),
		("a circle", '{"accounts": {"a": {"inherits": "b"}, "b": {"inherits": "a"}}}', "circle"),
		("default of none", '{"account": "x", "accounts": {"y": {}}}', "no account 'x'"),
		("match no pattern", '{"accounts": {"a": {"match": [1]}}}', "match"),
		("account in an account", '{"accounts": {"a": {"account": "b"}}}', "account"),
	)
	def test_bad(self, text, want):
		"{0}: file, line, column; 78, nothing sent"
		with fake.Server() as server:
			path = self.file(text)
			r = mc.run("-S", server.url, "--config", path, "-f", "a@example.org", "b@example.org", input="x\n")
			self.assertEqual((r.code, server.sessions), (78, []), r)
			self.assertIn(want, r.stderr)
			self.assertIn(path + ":", r.stderr)

	@tap.row("CFG-02")
	def test_addresses(self):
		"an address of the configuration that is none is 65, as everywhere"
		r = self.effective(self.file({"to": "a@@b"}), "-f", "a@example.org", code=65)
		self.assertIn("to", r.stderr)

	@tap.row("CFG-03")
	@tap.table(
		("0600", 0o600, 0), ("0640", 0o640, 0), ("0644", 0o644, 78), ("0666", 0o666, 78), ("0604", 0o604, 78),
	)
	def test_mode(self, mode, code):
		"a file with a literal secret and mode {0}"
		for content in ({"password": SECRET, "username": "u"}, {"accounts": {"a": {"password": SECRET}}},
		                {"proxy": f"http://u:{SECRET.replace(' ', '')}@p.example"}):
			path = self.file(content, mode)
			r = mc.run("--config", path, "-n", "-f", "a@example.org", "--body", "x", "b@example.org", secrets=[SECRET])
			self.assertEqual(r.code, code, r)
			if code:
				self.assertIn("chmod 600 " + path, r.stderr)
		path = self.file({"password": {"command": "echo x"}, "username": "u"}, mode)
		self.assertEqual(mc.run("--config", path, "-n", "-f", "a@example.org", "--body", "x", "b@example.org").code, 0)

	@tap.row("CFG-03")
	def test_owner(self):
		"another user's file is refused; one in a group-writable directory is not"
		if os.getuid():
			self.fail("this test needs root")
		path = self.file({"subject": "s"})
		os.chmod(os.path.dirname(path), 0o775)
		self.assertEqual(self.effective(path, "-f", "a@example.org", "b@example.org")["subject"], "s")
		os.chown(path, 65534, -1)
		r = self.effective(path, "-f", "a@example.org", "b@example.org", code=78)
		self.assertIn("belongs to another user", r.stderr)

	@tap.row("CFG-04")
	def test_one_open(self):
		"a symbolic link is followed, and the file is opened once and not looked up again"
		path = self.file({"subject": "s"})
		link = os.path.join(self.tempdir(), "link.json")
		os.symlink(path, link)
		log = os.path.join(self.tempdir(), "strace")
		r = mc.run("--config", link, "-n", "-f", "a@example.org", "--body", "x", "b@example.org",
		           wrap=["strace", "-f", "-e", "trace=file", "-o", log])
		self.assertEqual(r.code, 0, r)
		with open(log, encoding="utf-8", errors="replace") as f:
			calls = [l for l in f if "link.json" in l and "execve" not in l]
		self.assertEqual(len(calls), 1, calls)
		self.assertIn("openat(", calls[0])

	def test_lookup(self):
		"$XDG_CONFIG_HOME, else ~/.config; MAILCHUTE_CONFIG and --config before them; empty: none"
		home = self.tempdir()
		for directory, subject in ((".config", "home"), ("xdg", "xdg")):
			os.makedirs(os.path.join(home, directory, "mailchute"))
			self.write("config.json", json.dumps({"subject": subject}), directory=os.path.join(home, directory, "mailchute"))
		other = self.file({"subject": "other"})
		base = {"HOME": home, "MAILCHUTE_CONFIG": None}
		xdg = dict(base, XDG_CONFIG_HOME=os.path.join(home, "xdg"))
		for env, argv, want in ((base, [], b"home"), (xdg, [], b"xdg"), (dict(base, XDG_CONFIG_HOME="relative"), [], b"home"),
		                        (dict(xdg, MAILCHUTE_CONFIG=other), [], b"other"), (dict(xdg, MAILCHUTE_CONFIG="/nonexistent"), ["--config", other], b"other"),
		                        (dict(xdg, MAILCHUTE_CONFIG=""), [], None), (xdg, ["--config", ""], None), (xdg, ["--config", "/dev/null"], None),
		                        (dict(base, HOME=None), [], None)):
			r = mc.run(*argv, "-n", "-f", "a@example.org", "--body", "x", "b@example.org", env=env)
			self.assertEqual(r.code, 0, r)
			got = [l for l in r.stdout.split(b"\r\n") if l.startswith(b"Subject:")]
			self.assertEqual(got, [b"Subject: " + want] if want else [])

	def test_system(self):
		"/etc/mailchute/config.json is the last one looked for"
		if os.getuid():
			self.fail("this test needs root")
		place = self.tempdir()
		self.write("config.json", '{"subject": "system"}', directory=place)
		script = (f"for again in 1 2 3 4 5; do mkdir -p /etc/mailchute && mount --bind {place} /etc/mailchute && break; done; "
		          "exec \"$@\"")
		made = not os.path.exists("/etc/mailchute")
		r = mc.run("-n", "-f", "a@example.org", "--body", "x", "b@example.org", env={"MAILCHUTE_CONFIG": None},
		           wrap=["unshare", "-m", "sh", "-c", script, "sh"])
		if made and os.path.isdir("/etc/mailchute"):
			os.rmdir("/etc/mailchute")
		self.assertEqual(r.code, 0, r)
		self.assertIn(b"Subject: system\r\n", r.stdout)

	def test_origins(self):
		"below environment, JSON and flags; lists are replaced whole"
		path = self.file({"subject": "config", "cc": ["c@example.org"], "priority": "high", "reply_to": "r@example.org"})
		params = self.file({"priority": "low", "body": "x"}, name="p.json")
		got = self.effective(path, "-f", "a@example.org", "-c", "d@example.org", "--params", params, "b@example.org",
		                     env={"MAILCHUTE_SUBJECT": "env"})
		self.assertEqual((got["subject"], got["cc"], got["priority"], got["reply_to"]), ("env", ["d@example.org"], "low", ["r@example.org"]))


ACCOUNTS = {
	"mail_domain": "example.org", "headers": [["X-Of", "whole"]], "retries": 1,
	"accounts": {
		"work": {"server": "127.0.0.1:1001", "username": "w", "password": {"env": "NO"}, "match": ["*@example.org"], "headers": [["X-Of", "work"]]},
		"list": {"inherits": "work", "match": "list@*", "retries": 3, "from": "list@lists.example"},
		"home": {"server": "127.0.0.1:1002", "from": "Ann <ann@home.example>"},
		"other": {"inherits": "work", "server": "localhost:1003"},
	},
	"account": "home",
}


class Accounts(Config):
	@tap.table(
		("by the sender", ["-f", "bob@example.org"], "work"), ("in any case", ["-f", "BOB@EXAMPLE.ORG"], "work"),
		("the longest pattern", ["-f", "list@example.org"], "work"), ("by its from", ["-f", "ann@home.example"], "home"),
		("the default", ["-f", "x@elsewhere.example"], "home"), ("named", ["-f", "bob@example.org", "--account", "list"], "list"),
		("none", ["-f", "bob@example.org", "--account", ""], ""),
	)
	def test_choice(self, argv, want):
		"the account: {0}"
		got = self.effective(self.file(ACCOUNTS), *argv, "b@example.org")
		self.assertEqual(got.get("account", ""), want)

	@tap.table(("From", "From: Bob <bob@example.org>\n", [], "work"), ("From before -f", "From: x@y.example\n", ["-f", "bob@example.org"], "home"),
	           ("-f without From", "Subject: x\n", ["-f", "bob@example.org"], "work"), ("the first author", "From: bob@example.org, x@y.example\n", [], "work"))
	def test_message(self, header, argv, want):
		"the account of a ready message: by {0}"
		got = self.effective(self.file(ACCOUNTS), "-t", *argv, input=header + "To: b@example.org\n\nx\n")
		self.assertEqual(got.get("account"), want)

	def test_layers(self):
		"an account over what it inherits over the whole; a list of it replaces theirs"
		got = self.effective(self.file(ACCOUNTS), "--account", "list", "b@example.org")
		self.assertEqual((got["server"], got["username"], got["retries"], got["from"]), (["127.0.0.1:1001"], "w", 3, "list@lists.example"))
		self.assertEqual(got["headers"], [["X-Of", "work"]])
		self.assertEqual(got["mail_domain"], "example.org")

	@tap.row("CFG-09")
	@tap.table(("unknown", "wrok", "did you mean 'work'?"), ("far off", "zzzzzzzz", "no account 'zzzzzzzz'"))
	def test_wrong(self, name, want):
		"an account that is not there is 78, and no other takes its place: {0}"
		r = self.effective(self.file(ACCOUNTS), "--account", name, "-f", "bob@example.org", "b@example.org", code=78)
		self.assertIn(want, r.stderr)
		r = self.effective("", "--account", name, "-f", "bob@example.org", "b@example.org", code=78)
		self.assertIn("there is no configuration", r.stderr)

	@tap.row("CFG-09")
	def test_waivers(self):
		"an account with another server inherits neither login nor waiver; a --server that is another gets none"
		config = {"accounts": {
			"a": {"server": "127.0.0.1:1", "username": "u", "password": SECRET, "tls_verify": False, "starttls": False, "allow_insecure_auth": True,
			      "tls_min_version": "1.0", "timeout": 7},
			"b": {"inherits": "a", "server": "other.example"}, "c": {"inherits": "a", "server": "127.0.0.1:2"}}}
		path = self.file(config)
		bound = ("username", "password", "starttls", "allow_insecure_auth")
		for argv, has in ((["--account", "a"], True), (["--account", "b"], False), (["--account", "c"], True),
		                  (["--account", "a", "-S", "other.example"], False), (["--account", "a", "-S", "127.0.0.1:9"], True)):
			got = self.effective(path, *argv, "-f", "x@example.org", "b@example.org", secrets=[SECRET])
			self.assertEqual([n in got for n in bound if n != "starttls"], [has] * 3, (argv, got))
			self.assertEqual((got["tls_verify"], got["tls_min_version"], got["timeout"]), (not has, "1.0" if has else "1.2", 7))

	@tap.row("CFG-09")
	def test_elsewhere(self):
		"on the wire: the password goes to its own server and to no other"
		with fake.Server(auth="PLAIN", auth_clear=True, users={"u": SECRET}) as mine, \
				fake.Server(auth="PLAIN", auth_clear=True, users={"u": SECRET}, host="::1") as other:
			path = self.file({"server": mine.url, "username": "u", "password": SECRET, "from": "a@example.org"})
			r = self.send(mine, path, "b@example.org")
			self.assertEqual(r.code, 0, r)
			self.assertTrue([c for c in mine.session.commands if c.startswith("AUTH")])
			r = self.send(other, path, "-S", other.url, "b@example.org")
			self.assertEqual(r.code, 0, r)
			self.assertFalse([c for c in other.session.commands if c.startswith("AUTH")])

	def test_hint(self):
		"a server that wants a login, and the configuration has one for another: the line says so"
		path = self.file({"server": "mail.example:587", "username": "u", "password": SECRET, "from": "a@example.org"})
		with fake.Server(require_auth=True, auth="PLAIN", auth_clear=True) as server:
			r = self.send(server, path, "-S", server.url, "b@example.org")
			self.assertEqual(r.code, 77, r)
			self.assertIn("the configuration's login is for another server", r.stderr)

	def test_patterns(self):
		"%U, %H and %% in the configuration and variables, not in flags"
		name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
		path = self.file({"from": "%U+%%@example.org", "envelope_from": "bounce-%U@example.org"})
		with fake.Server() as server:
			r = mc.run("--config", path, "-S", server.url, "b@example.org", input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(server.messages[0].sender, f"bounce-{name}@example.org")
			self.assertIn(f"From: {name}+%@example.org\r\n".encode(), server.messages[0].data)
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "%U@example.org", "b@example.org", input="x\n")
			self.assertEqual(server.messages[0].sender, "%U@example.org")


class Aliases(Config):
	FILE = ("# aliases\npostmaster: root\nroot:\tann@example.org,\n\t\"Bob B\" <bob@example.org>,, ops\n"
	        "ops: \\ops, carl@example.org # not a comment\n") .replace(" # not a comment", "") + \
		"loop: loop2\nloop2: loop\ncmd: \"|/bin/vacation\"\nfile: /var/mail/x\ninc: :include:/etc/list\nself: self, ann@example.org\n"

	def expand(self, *argv, code=0, content=None):
		path = self.write("aliases", content or self.FILE)
		r = mc.run("--as=sendmail", "-bv", f"--aliases-file={path}", "--mail-domain=d.example", "--server=s.example", *argv, stdout=True)
		self.assertEqual(r.code, code, r)
		return r.stdout.decode().split() if code == 0 else r.stderr

	@tap.table(
		("recursive", "postmaster", ["ann@example.org", "bob@example.org", "ops@d.example", "carl@example.org"]),
		("in any case", "ROOT", ["ann@example.org", "bob@example.org", "ops@d.example", "carl@example.org"]),
		("at localhost", "root@localhost", ["ann@example.org", "bob@example.org", "ops@d.example", "carl@example.org"]),
		("elsewhere", "root@other.example", ["root@other.example"]), ("no entry", "nobody", ["nobody@d.example"]),
		("itself", "self", ["self@d.example", "ann@example.org"]), ("a circle", "loop", ["loop@d.example"]),
	)
	def test_expand(self, name, want):
		"aliases_file: {0}"
		self.assertEqual(self.expand(name), want)

	@tap.table(("a command", "cmd"), ("a file", "file"), ("an include", "inc"))
	def test_refused(self, name):
		"{0} is refused where it is used, and only there"
		self.assertIn(f"alias '{name}' goes to a command or a file", self.expand(name, code=65))

	def test_default(self):
		"default stands for every name without an entry, not for addresses; the setting goes before the file"
		got = self.expand("--aliases=default: all@example.org", "--aliases=root: one@example.org", "root", "x", "y@example.com")
		self.assertEqual(got, ["one@example.org", "all@example.org", "y@example.com"])

	@tap.table(("no colon", "root ann@example.org\n", ":1:"), ("no address", "root:\n", ":1:"), ("nothing to go on with", "# x\n  a@b.example\n", ":2:"),
	           ("a NUL", "root: a\0b\n", "NUL"), ("not UTF-8", b"root: caf\xe9@x.example\n", "UTF-8"))
	def test_bad(self, content, want):
		"a file that cannot be read: {0}: 78"
		self.assertIn(want, self.expand("root", code=78, content=content))

	def test_confined(self):
		"an aliases_file that a params file names stays beneath files_dir"
		outside = self.write("outside", "root: a@example.org\n")
		inside = self.tempdir()
		self.write("aliases", "root: b@example.org\n", directory=inside)
		for name, code in (("aliases", 0), (outside, 78), ("../outside", 78)):
			params = self.write("p.json", json.dumps({"aliases_file": name, "to": "root", "from": "a@example.org", "body": "x"}))
			r = mc.run("--params", params, "--files-dir", inside, "-n")
			self.assertEqual(r.code, code, r)

	def test_many(self):
		"100 000 aliases cost a pass"
		content = "".join(f"n{i}: u{i}@example.org\n" for i in range(100_000))
		self.assertEqual(self.expand("n99999", content=content), ["u99999@example.org"])

	def test_deep(self):
		"a chain of 49 is followed, one of 60 is refused"
		content = "".join(f"n{i}: n{i + 1}\n" for i in range(60)) + "n60: end@example.org\n"
		self.assertEqual(self.expand("n12", content=content), ["end@example.org"])
		self.assertIn("too deeply", self.expand("n0", content=content, code=65))

	@tap.row("ADR-09", "ADR-10", "ADR-11")
	def test_names(self):
		"a bare name: accepted by a local server, or with a domain, else refused; postmaster always; duplicates once"
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "a@example.org", "bob", "postmaster", input="x\n")
			self.assertEqual((r.code, list(server.messages[0].rcpts)), (0, ["bob", "postmaster"]), r)
		r = mc.run("-n", "-S", "mail.example", "-f", "a@example.org", "postmaster", input="x\n")
		self.assertEqual(r.code, 0, r)
		r = mc.run("-n", "-S", "mail.example", "-f", "a@example.org", "bob", input="x\n")
		self.assertEqual(r.code, 65, r)
		self.assertIn("mail_domain", r.stderr)
		with fake.Server() as server:
			r = mc.run("-S", server.url, "-f", "a@example.org", "--mail-domain", "example.org", "bob", "bob@EXAMPLE.ORG", "Bob@example.org", input="x\n")
			self.assertEqual((r.code, list(server.messages[0].rcpts)), (0, ["bob@example.org", "Bob@example.org"]), r)


if __name__ == "__main__":
	tap.main(jobs=4)
