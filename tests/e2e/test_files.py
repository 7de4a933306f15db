#!/usr/bin/python3
"""Files that are read while they are sent: what cannot be read, what fails or changes amid the message, what is out of bounds."""

import errno
import json
import os
import resource
import shutil
import socket
import stat
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap, tmp  # noqa: E402
import locally  # noqa: E402
from locally import ARGS, FROM, TO, composed, delivered, refused  # noqa: E402

NOBODY = 65534
MEGABYTE = 1 << 20
# More than the buffers of both sockets hold: the client is still reading it when the server has seen the first part.
BIG = 24 * MEGABYTE
SANITIZED = mc.SLOW > 1
root_only = unittest.skipUnless(os.geteuid() == 0, "needs root")


def as_nobody(*command):
	return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


def on_tmpfs(options, directory, *command):
	"""A wrapper: @directory is a tmpfs of a mount namespace that ends with the program."""
	return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o {options} tmpfs "$1" && shift && exec "$@"', "sh", directory, *command]


class Unreadable(tap.Case):
	def setUp(self):
		self.directory = self.tempdir()

	def at(self, name):
		return os.path.join(self.directory, name)

	def path_of(self, kind):
		path = self.at("x")
		if kind == "directory":
			os.mkdir(path)
		elif kind == "socket":
			self.socket = socket.socket(socket.AF_UNIX)
			self.addCleanup(self.socket.close)
			self.socket.bind(path)
		elif kind == "dangling link":
			os.symlink("nowhere", path)
		elif kind == "loop of links":
			os.symlink("y", path)
			os.symlink("x", self.at("y"))
		elif kind == "device":
			return "/dev/zero"
		elif kind == "kernel messages":
			return "/proc/kmsg"
		elif kind == "name too long":
			return self.at("x" * 300)
		elif kind == "path too long":
			return "/x" * 4000
		elif kind == "empty name":
			return ""
		return path

	@tap.row("ATT-01")
	@tap.table(*[(f"{kind}, {way}", kind, way) for kind in (
		"missing", "directory", "socket", "device", "kernel messages", "dangling link", "loop of links", "name too long",
		"path too long", "empty name") for way in ("attachment", "body", "params")])
	def test_kind(self, kind, way):
		"refused before anything is sent: {0}"
		path = self.path_of(kind)
		if way == "params":
			job = locally.params(self, {"body": "x", "attachments": [{"path": path}]})
			argv, codes = ["--params", job], (66, 65, 64) if not path else 66
		elif way == "body":
			argv, codes = [*ARGS, TO, "--body-file", path], (66, 65, 64) if not path else 66
		else:
			argv, codes = [*ARGS, TO, "--body", "x", "-a", path], (66, 65, 64) if not path else 66
		if kind == "kernel messages":
			# One that says it is a regular file, and whose reading never comes to an end.
			codes = (65, 66, 74)
		r = refused(self, codes, *argv, "--timeout", "1", timeout=10)
		self.assertLess(len(r.stderr), 1500)

	@tap.row("ATT-01")
	@root_only
	def test_permission(self):
		"no permission, for one who is not root"
		path = self.write("secret", "x", mode=0o600)
		os.chmod(os.path.dirname(path), 0o755)
		r = refused(self, 66, *ARGS, TO, "--body", "x", "-a", path, wrap=as_nobody(), says="Permission denied")
		self.assertIn("secret", r.stderr)

	@tap.row("ATT-01")
	def test_fifo_silent(self):
		"a FIFO without a writer: refused within the timeout"
		path = self.at("fifo")
		os.mkfifo(path)
		r = refused(self, 66, *ARGS, TO, "--body", "x", "-a", path, "--timeout", "1")
		self.assertLess(r.duration, 2 * mc.SLOW, r)

	@tap.row("ATT-01")
	def test_fifo_writer(self):
		"a FIFO with a writer that takes its time: all of it"
		path = self.at("fifo")
		os.mkfifo(path)
		content = os.urandom(300000)

		def feed():
			with open(path, "wb", buffering=0) as out:
				for at in range(0, len(content), 50000):
					out.write(content[at:at + 50000])
					time.sleep(0.05)
		thread = threading.Thread(target=feed, daemon=True)
		thread.start()
		with fake.Server() as server:
			message = delivered(self, server, *ARGS, TO, "--body", "x", "-a", path, "--timeout", "5")
		self.assertEqual(locally.leaves(message.data)[1], content)
		thread.join(5)

	@tap.row("ATT-01")
	@tap.table("/dev/fd/{}", "/proc/self/fd/{}")
	def test_descriptor(self, form):
		"a pipe by its descriptor: with a writer all of it, without one what was left in it, silent: refused: {0}"
		ours, theirs = os.pipe()
		self.addCleanup(os.close, ours)
		os.write(theirs, b"piped")
		os.close(theirs)
		octets = composed(self, *ARGS, TO, "--body", "x", "-a", form.format(ours), pass_fds=[ours])
		self.assertEqual(locally.leaves(octets)[1], b"piped")
		octets = composed(self, *ARGS, TO, "--body", "x", "-a", form.format(ours), pass_fds=[ours])
		self.assertEqual(locally.leaves(octets)[1], b"")
		ours2, theirs2 = os.pipe()
		self.addCleanup(os.close, ours2)
		self.addCleanup(os.close, theirs2)
		r = refused(self, 66, *ARGS, TO, "--body", "x", "-a", form.format(ours2), "--timeout", "1", pass_fds=[ours2])
		self.assertLess(r.duration, 2 * mc.SLOW, r)

	@tap.row("ATT-01")
	def test_descriptor_closed(self):
		"a descriptor that is not open"
		refused(self, 66, *ARGS, TO, "--body", "x", "-a", "/dev/fd/77")
		refused(self, (66, 74), "--params", locally.params(self, {"body": "x", "attachments": [{"fd": 77, "filename": "x"}]}))

	@tap.row("ATT-05")
	@root_only
	def test_setgid(self):
		"installed setgid: files are opened with the caller's rights"
		directory = self.directory
		group = 54321
		os.chmod(directory, 0o755)
		program = os.path.join(directory, "mailchute")
		shutil.copy(mc.BINARY, program)
		os.chown(program, 0, group)
		os.chmod(program, 0o2755)
		path = self.write("for-the-group", "x", mode=0o640, directory=directory)
		os.chown(path, 0, group)
		r = mc.run("--dry-run", *ARGS, TO, "--body", "x", "-a", path, executable=program, wrap=as_nobody())
		self.assertEqual(r.code, 66, r)
		os.chmod(program, 0o4755)
		os.chmod(path, 0o600)
		r = mc.run("--dry-run", *ARGS, TO, "--body", "x", "-a", path, executable=program, wrap=as_nobody())
		self.assertEqual(r.code, 66, r)


class Amid(tap.Case):
	"""Whatever happens to a file while it is sent: no final dot, nobody accepted."""

	def blob(self, size, name="big.bin", directory=None):
		path = os.path.join(directory or self.tempdir(), name)
		with open(path, "wb") as out:
			for _ in range(size // MEGABYTE):
				out.write(os.urandom(MEGABYTE))
		return path

	def dotless(self, server, r, code):
		self.assertEqual(r.code, code, r)
		self.assertNotIn("accepted", [p["state"] for p in r.json["recipients"]], r)
		session = server.session
		self.assertFalse(any(m.dot for m in session.messages))
		self.assertFalse(session.quit)
		self.assertEqual([c for c in session.commands if c.startswith(("RSET", "QUIT"))], [])

	@tap.row("ATT-02")
	@tap.table(("the first read", 1, 1), ("the third", 3, 3), ("the 20th", 20, 3), ("the last", "end", 3))
	def test_read_error(self, which, size):
		"EIO at {0} of an attachment: no dot, 74"
		path = self.blob(size * MEGABYTE)
		when = which
		if which == "end":
			log = os.path.join(self.tempdir(), "log")
			r = mc.run("--output", "/dev/null", *ARGS, TO, "--body", "x", "-a", path,
			           wrap=["strace", "-f", "-o", log, "-P", path, "-e", "trace=read"])
			self.assertEqual(r.code, 0, r)
			with open(log) as f:
				when = sum("read(" in line for line in f)
		with fake.Server() as server:
			r = mc.run("-S", server.url, *ARGS, "--report=json", TO, "--body", "x", "-a", path, wrap=[
				"strace", "-f", "-o", "/dev/null", "-P", path, "-e", "trace=read,pread64,readv",
				"-e", f"inject=read,pread64,readv:error=EIO:when={when}+"])
			self.dotless(server, r, 74)
			self.assertIn("big.bin", r.stderr)

	@tap.row("ATT-02")
	def test_read_error_text(self):
		"EIO amid a text, in the pass before it is sent: nothing is sent"
		path = self.write("text", b"0123456789 0123456789\n" * 60000)
		refused(self, 74, *ARGS, TO, "--body-file", path, says="text", wrap=[
			"strace", "-f", "-o", "/dev/null", "-P", path, "-e", "trace=read", "-e", "inject=read:error=EIO:when=2+"])

	@tap.row("ATT-02")
	@tap.table(*[(f"{what}, {where}", what, where) for what in (
		"truncated", "grown", "replaced", "touched", "removed", "rewritten in place") for where in ("while it is read", "after it was read")])
	def test_changed(self, what, where):
		"a file {0}: 65 and no dot"
		directory = self.tempdir()
		first, second = self.blob(MEGABYTE, "first.bin", directory), self.blob(BIG, "second.bin", directory)
		path = second if where == "while it is read" else first

		def change(_session):
			size = os.path.getsize(path)
			if what == "truncated":
				os.truncate(path, size // 2)
			elif what == "grown":
				with open(path, "ab") as f:
					f.write(b"x")
			elif what == "replaced":
				os.replace(shutil.copy2(path, path + ".new"), path)
			elif what == "touched":
				os.utime(path)
			elif what == "removed":
				os.unlink(path)
			else:
				with open(path, "r+b") as f:
					f.seek(size - 10)
					f.write(b"changed")
		with fake.Server(body=fake.at(3 * MEGABYTE, change)) as server:
			r = mc.run("-S", server.url, *ARGS, "--report=json", TO, "--body", "x", "-a", first, "-a", second)
			self.dotless(server, r, 65)
			self.assertIn(os.path.basename(path), r.stderr)

	@tap.row("ATT-02")
	def test_unchanged(self):
		"a file that is only read by others, or linked: nothing is wrong with it"
		directory = self.tempdir()
		path = self.blob(BIG, "a.bin", directory)

		def look(_session):
			with open(path, "rb") as f:
				f.read(1000)
		with fake.Server(body=fake.at(3 * MEGABYTE, look)) as server:
			message = delivered(self, server, *ARGS, TO, "--body", "x", "-a", path)
		with open(path, "rb") as f:
			self.assertTrue(locally.leaves(message.data)[1] == f.read())

	@tap.row("ATT-02")
	def test_ready(self):
		"a ready message that is cut while it is sent: 65 and no dot"
		path = self.write("m.eml", b"From: a@example.net\r\nTo: b@example.org\r\n\r\n" + b"line of text\r\n" * (BIG // 14))

		def cut(_session):
			os.truncate(path, 5000)
		with fake.Server(body=fake.at(MEGABYTE, cut)) as server:
			r = mc.run("-S", server.url, "--report=json", "--envelope-from", FROM, "--rcpt", TO, "--message-file", path)
			self.dotless(server, r, 65)


class Beneath(tap.Case):
	"""files_dir: what comes as data names files beneath it, or none."""

	def setUp(self):
		self.top = self.tempdir()
		self.base = os.path.join(self.top, "base")
		os.makedirs(os.path.join(self.base, "sub"))
		self.write("secret", "outside", directory=self.top)
		self.write("good", "inside", directory=self.base)
		self.write("deep", "inside", directory=os.path.join(self.base, "sub"))

	def job(self, path, **more):
		return locally.params(self, {"body": "x", "attachments": [{"path": path, "filename": "f"}], **more})

	@tap.row("ATT-08")
	@tap.table("good", "sub/deep", "./good", "sub/../good", "sub//deep")
	def test_inside(self, path):
		"beneath: {0}"
		octets = composed(self, "--files-dir", self.base, "--params", self.job(path))
		self.assertEqual(locally.leaves(octets)[1], b"inside")

	@tap.row("ATT-08")
	def test_inside_link(self):
		"a link that stays beneath"
		os.symlink("sub/deep", os.path.join(self.base, "link"))
		octets = composed(self, "--files-dir", self.base, "--params", self.job("link"))
		self.assertEqual(locally.leaves(octets)[1], b"inside")

	@tap.row("ATT-08")
	@tap.table("../secret", "sub/../../secret", "/etc/passwd", "/proc/self/environ", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0",
	           "file:///etc/passwd", "http://127.0.0.1/", "out", "absolute", "loop", "dirlink/secret", "{top}/secret", "{base}/good")
	def test_outside(self, path):
		"not beneath: {0}"
		os.symlink("../secret", os.path.join(self.base, "out"))
		os.symlink("/etc/passwd", os.path.join(self.base, "absolute"))
		os.symlink("loop", os.path.join(self.base, "loop"))
		os.symlink("..", os.path.join(self.base, "dirlink"))
		path = path.format(top=self.top, base=self.base)
		for job in (self.job(path), locally.params(self, {"body_file": path}), locally.params(self, {"body": {"file": path}})):
			r = refused(self, (65, 66), "--files-dir", self.base, "--params", job, input="outside")
			self.assertNotIn("root:", r.stderr)

	@tap.row("ATT-08")
	@tap.table(("secret by environment", {"username": "u", "password": {"env": "PATH"}}),
	           ("secret by command", {"username": "u", "password": {"command": "touch {top}/ran"}}),
	           ("secret by descriptor", {"username": "u", "password": {"fd": 0}}),
	           ("server", {"server": "127.0.0.1"}), ("unix_socket", {"unix_socket": "/run/lmtp"}),
	           ("content by descriptor", {"attachments": [{"fd": 0, "filename": "x"}]}), ("files_dir of its own", {"files_dir": "/"}),
	           ("output", {"output": "/tmp/x"}))
	def test_settings(self, members):
		"with files_dir the params cannot reach further: {0}"
		members = json.loads(json.dumps(members).replace("{top}", self.top))
		with fake.Recorder() as nobody:
			r = mc.run("--files-dir", self.base, "--params", locally.params(self, {"body": "x", **members}), input="x",
			           env={"MAILCHUTE_SERVER": f"127.0.0.1:{nobody.port}"})
			self.assertIn(r.code, (64, 65), r)
			self.assertEqual(nobody.connections, 0)
		self.assertFalse(os.path.exists(os.path.join(self.top, "ran")))

	@tap.row("ATT-04")
	def test_race(self):
		"a link swapped as fast as can be: what is beneath, or a refusal, never what is outside"
		link, spare = os.path.join(self.base, "link"), os.path.join(self.base, "spare")
		os.symlink("good", link)
		stop, swaps = threading.Event(), [0]

		def swap():
			targets = ("../secret", "good", "sub", "sub/deep")
			while not stop.is_set():
				os.symlink(targets[swaps[0] % 4], spare)
				os.replace(spare, link)
				swaps[0] += 1
		thread = threading.Thread(target=swap, daemon=True)
		thread.start()
		job, seen = self.job("link"), set()
		try:
			for _ in range(60 if SANITIZED else 200):
				r = mc.run("--dry-run", "--files-dir", self.base, "--params", job)
				self.assertIn(r.code, (0, 65, 66), r)
				seen.add(r.code)
				if r.code == 0:
					self.assertEqual(locally.leaves(r.stdout)[1], b"inside")
				self.assertNotIn(b"b3V0c2lkZ", r.stdout)
		finally:
			stop.set()
			thread.join()
		self.assertGreater(swaps[0], 100)
		self.assertTrue(seen & {65, 66}, seen)

	@tap.row("ATT-04")
	def test_kind_race(self):
		"a file swapped for a directory and a FIFO between two looks: read or refused, never waited for"
		path = os.path.join(self.base, "x")
		stop = threading.Event()
		fifo = os.path.join(self.top, "fifo")
		os.mkfifo(fifo)
		spare = os.path.join(self.top, "spare")

		def swap():
			n = 0
			while not stop.is_set():
				os.symlink((os.path.join(self.base, "good"), self.top, fifo)[n % 3], spare)
				os.replace(spare, path)
				n += 1
		thread = threading.Thread(target=swap, daemon=True)
		thread.start()
		try:
			for _ in range(30 if SANITIZED else 60):
				r = mc.run("--dry-run", *ARGS, TO, "--body", "x", "-a", path, "--timeout", "1", timeout=8)
				self.assertIn(r.code, (0, 65, 66), r)
				if r.code == 0:
					self.assertEqual(locally.leaves(r.stdout)[1], b"inside")
		finally:
			stop.set()
			thread.join()


class Size(tap.Case):
	@tap.row("ATT-06", "RES-08")
	@tap.limit(600)
	@tap.table(("0", 0), ("1", 1), ("2^31 - 1", (1 << 31) - 1), ("2^31", 1 << 31), ("2^32", 1 << 32), ("2^32 + 1", (1 << 32) + 1),
	           ("10 GB", 10_000_000_000))
	def test_size(self, size):
		"a sparse file of {0} octets: read whole, in little memory, of the size that base64 makes of it"
		if SANITIZED and size > 1 << 31:
			self.skipTest("takes minutes with sanitizers")
		path = self.hole("hole.bin", size)
		argv = ["--report=json", "--date", "@1700000000", "--zone", "+0000", "--message-id", "<a@example.net>", *ARGS, TO, "--body", "x"]
		r = mc.run("--output", "/dev/null", *argv, "-a", path, watch=True, timeout=300)
		self.assertEqual(r.code, 0, r)
		empty = self.write("hole.bin", "")
		base = mc.run("--output", "/dev/null", *argv, "-a", empty).json["size"]
		coded = (size + 2) // 3 * 4
		# The line end of the last line of base64 is the boundary's.
		self.assertEqual(r.json["size"] - base, coded + 2 * max(0, (coded + 75) // 76 - 1))
		if not SANITIZED:
			self.assertLess(r.peak_kb, 40000, r)

	@tap.row("ATT-06")
	def test_needs(self):
		"a file beyond the server's SIZE is refused before it is read, and without a socket's worth of it"
		path = self.hole("hole.bin", 1 << 33)
		with fake.Server(ehlo=["PIPELINING", "SIZE 1000000"]) as server:
			r = mc.run("-S", server.url, *ARGS, TO, "--body", "x", "-a", path, timeout=10)
			self.assertEqual(r.code, 69, r)
			self.assertEqual([c.split()[0] for c in server.session.commands if c.startswith(("MAIL", "DATA"))], [])

	@tap.row("ATT-07")
	def test_many(self):
		"one file a thousand times: descriptors are needed one at a time"
		path = self.write("a.bin", b"\0content")

		def few():
			resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
		octets = composed(self, *ARGS, TO, "--body", "x", *["-a", path] * 1000, preexec=few)
		self.assertEqual(locally.leaves(octets)[1:], [b"\0content"] * 1000)


class Staging(tap.Case):
	PIPED = b"0123456789 0123456789\n" * 150000

	@tap.row("ATT-09")
	def test_unlinked(self):
		"what came through a pipe stands in a file without a name, of mode 0600, which kill -9 leaves nothing of"
		place = self.tempdir()
		with fake.Server(greeting=fake.silence()) as server:
			run = mc.start("-S", server.url, *ARGS, TO, input=self.PIPED, env={"TMPDIR": place}, signal=9, lines=None)
			octets, run.input = run.input, None
			run.process.stdin.write(octets)
			run.process.stdin.close()
			run.process.stdin = None
			tmp.wait_for(lambda: server.sessions, 10, "the connection")
			staged = []
			for name in os.listdir(f"/proc/{run.pid}/fd"):
				path = f"/proc/{run.pid}/fd/{name}"
				if os.readlink(path).startswith(place):
					staged.append(os.stat(path))
			self.assertEqual(len(staged), 1)
			# The first megabyte is in memory.
			self.assertEqual(staged[0].st_size, len(self.PIPED) - MEGABYTE)
			self.assertEqual(stat.S_IMODE(staged[0].st_mode) & 0o077, 0)
			self.assertEqual(staged[0].st_nlink, 0)
			self.assertEqual(os.listdir(place), [])
			run.kill(9)
			run.wait()
		self.assertEqual(os.listdir(place), [])

	@tap.row("ATT-09")
	def test_small(self):
		"less than a megabyte needs no file"
		place = self.tempdir()
		os.rmdir(place)
		octets = composed(self, *ARGS, TO, input=b"0123456789\n" * 80000, env={"TMPDIR": place})
		self.assertIn(b"0123456789\r\n", octets)

	@tap.row("RES-01", "RES-02")
	@root_only
	@tap.table(("no space", "size=1m", 74, "No space left"), ("no inodes", "nr_inodes=1", (73, 74), "No space left"),
	           ("read-only", "size=8m,ro", 73, "Read-only"))
	def test_full(self, options, codes, says):
		"no room for what came through a pipe: {0}"
		place = self.tempdir()
		refused(self, codes, *ARGS, TO, input=self.PIPED, env={"TMPDIR": place}, wrap=on_tmpfs(options, place), says=says)
		self.assertEqual(os.listdir(place), [])


if __name__ == "__main__":
	tap.main(jobs=2)
