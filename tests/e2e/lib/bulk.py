"""A quick SMTP or LMTP server for many messages, which counts what it was given.

	with bulk.Server(chunking=True) as server:
		mc.run("-S", server.url, "--batch", path, ...)
		server.settle()                      # what the client had sent before it went is read to its end
	server.taken                                 # [Taken], in the order of their dots
	server.arrived                               # Counter: address -> how often a message arrived for it

It knows PIPELINING and CHUNKING in earnest: whatever order and grouping the commands come in, they are taken one by
one, and replies leave when the client has to be waited for. fake.py scripts a session; this one is for thousands.

Keywords:
	chunking, pipelining, lmtp
	refuse      {address: reply} to RCPT, or a function(address, number) -> reply or None; number: of its RCPTs, from 1
	dot         a function(Taken) -> reply or None, or {address: reply} (LMTP: for that recipient)
	after       close with 421 instead of the (n+1)th MAIL of a session
	delay       seconds before each dot is answered
	busy        sessions at most; further ones are greeted with 421
	greet       a function(number of the session), which returns when it is to be greeted
	keep        True: Taken.data is kept
	trap        (kind, number, when): at the number-th event of the server, of kind "mail", "rcpt", "data", "body" (some
	            of a message was read) or "dot" (BDAT LAST too), the victim is killed by SIGKILL, when: "before" its
	            reply left, "lost": so, and the message is not kept either, or "after"
"""

import collections
import json
import os
import signal
import socket
import threading
import time

from . import tmp, wire

Taken = collections.namedtuple("Taken", "id sender rcpts session subject data at")
LINE_MAX = 1 << 20


class _Gone(Exception):
	"""The session is over."""


class _Session:
	def __init__(self, server, sock, number):
		self.server, self.sock, self.number = server, sock, number
		self.at, self.buffer = 0, b""
		self.out = []
		self.messages = 0
		self.sender, self.rcpts, self.mails = None, [], 0
		self.chunks = []

	def flush(self):
		if self.out:
			octets = b"".join(self.out)
			self.out = []
			self.sock.sendall(octets)

	def fill(self):
		self.flush()
		more = self.sock.recv(1 << 18)
		if not more:
			raise _Gone
		self.buffer = self.buffer[self.at:] + more
		self.at = 0

	def line(self):
		while True:
			end = self.buffer.find(b"\r\n", self.at)
			if end >= 0:
				found = self.buffer[self.at:end]
				self.at = end + 2
				return found
			if len(self.buffer) - self.at > LINE_MAX:
				raise _Gone
			self.fill()

	def exactly(self, count):
		while len(self.buffer) - self.at < count:
			self.fill()
		found = self.buffer[self.at:self.at + count]
		self.at += count
		return found

	def message(self):
		"""The octets up to the dot, as they came."""
		if self.buffer.startswith(b".\r\n", self.at):
			self.at += 3
			return b""
		start = self.at
		while True:
			end = self.buffer.find(b"\r\n.\r\n", start)
			if end >= 0:
				found = self.buffer[self.at:end + 2]
				self.at = end + 5
				return found
			start = max(self.at, len(self.buffer) - 4)
			gone = self.at
			self.fill()
			start -= gone

	def put(self, text):
		self.out.append(text.encode() + b"\r\n")

	def answer(self, kind, text, keep=None):
		"""Say @text, with what the trap does about it; @keep makes the message one that arrived."""
		s = self.server
		hit = s.event(kind)
		if keep and hit != "lost":
			keep()
		if hit in ("before", "lost"):
			s.kill()
			self.out = []
			s.dumb.add(self.number)
		else:
			for one in text if isinstance(text, list) else [text]:
				self.put(one)
		if hit == "after":
			self.flush()
			s.kill()

	def run(self):
		s = self.server
		if s.greet:
			s.greet(self.number)
		if s.busy and s.open > s.busy:
			self.put("421 4.3.2 too many sessions")
			self.flush()
			return
		self.put("220 bulk.example")
		while True:
			line = self.line()
			verb = line[:4].upper()
			s.commands[verb.decode("latin-1")] += 1
			if verb in (b"EHLO", b"LHLO"):
				offered = ["bulk.example"] + ["PIPELINING"] * s.pipelining + ["CHUNKING"] * s.chunking
				offered += ["SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
				for i, word in enumerate(offered):
					self.put("250" + ("-" if i + 1 < len(offered) else " ") + word)
			elif verb == b"MAIL":
				self.mail(line)
			elif verb == b"RCPT":
				self.rcpt(line)
			elif verb == b"DATA":
				self.data()
			elif verb == b"BDAT":
				self.bdat(line)
			elif verb == b"RSET":
				self.sender, self.rcpts, self.chunks = None, [], []
				self.put("250 2.0.0 ok")
			elif verb == b"NOOP":
				self.put("250 2.0.0 ok")
			elif verb == b"QUIT":
				self.put("221 2.0.0 bye")
				self.flush()
				return
			else:
				self.put("500 5.5.2 what?")

	def mail(self, line):
		s = self.server
		if s.after and self.mails == s.after:
			self.put("421 4.7.0 enough for this session")
			self.flush()
			raise _Gone
		self.mails += 1
		self.sender = line[line.index(b"<") + 1:line.rindex(b">")].decode()
		self.rcpts, self.chunks = [], []
		self.answer("mail", "250 2.1.0 ok")

	def rcpt(self, line):
		s = self.server
		address = line[line.index(b"<") + 1:line.rindex(b">")].decode()
		with s.lock:
			s.asked[address] += 1
			number = s.asked[address]
		reply = s.refuse(address, number) if callable(s.refuse) else s.refuse.get(address)
		if not reply:
			self.rcpts.append(address)
		self.answer("rcpt", reply or "250 2.1.5 ok")

	def data(self):
		if self.sender is None or not self.rcpts:
			self.put("503 5.5.1 nobody is to have it")
			return
		self.answer("data", "354 go on")
		self.whole(self.message(), stuffed=True)

	def bdat(self, line):
		words = line.split()
		octets = self.exactly(int(words[1]))
		last = len(words) > 2
		if self.sender is None or not self.rcpts:
			self.put("503 5.5.1 nobody is to have it")
			return
		self.chunks.append(octets)
		if last:
			self.whole(b"".join(self.chunks), stuffed=False)
		else:
			self.answer("body", "250 2.0.0 more")

	def whole(self, octets, stuffed):
		s = self.server
		head, _, _ = octets.partition(b"\r\n\r\n")
		fields = {}
		for field in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
			name, _, value = field.partition(b":")
			fields.setdefault(name.lower(), value.strip().decode("utf-8", "replace"))
		data = b""
		if s.keep:
			data = wire.unstuff(octets) if stuffed else octets
		taken = Taken(fields.get(b"message-id", ""), self.sender, list(self.rcpts), self.number, fields.get(b"subject", ""), data,
		              time.monotonic())
		said = s.dot(taken) if callable(s.dot) else s.dot.get(taken.rcpts[0])
		if s.lmtp:
			replies = [(s.dot.get(a) if not callable(s.dot) else said) or f"250 2.1.5 <{a}> ok" for a in taken.rcpts]
		else:
			replies = [said or "250 2.0.0 queued"]
		good = [a for a, r in zip(taken.rcpts, replies if s.lmtp else replies * len(taken.rcpts)) if r[0] == "2"]
		self.sender, self.rcpts, self.chunks = None, [], []
		self.messages += 1

		def keep():
			if not good:
				return
			with s.lock:
				s.taken.append(taken._replace(rcpts=good))
				s.arrived.update(good)
		if s.delay:
			self.flush()
			time.sleep(s.delay)
		self.answer("dot", replies, keep)


class Server:
	def __init__(self, chunking=False, pipelining=True, lmtp=False, refuse=None, dot=None, after=0, delay=0.0, busy=0, keep=False,
	             trap=None, port=0, greet=None):
		self.chunking, self.pipelining, self.lmtp = chunking, pipelining, lmtp
		self.refuse, self.dot = refuse or {}, dot or {}
		self.after, self.delay, self.busy, self.keep, self.greet = after, delay, busy, keep, greet
		self.trap, self.victim, self.killed = trap, None, threading.Event()
		self.has_victim = threading.Event()
		self.lock = threading.Lock()
		self.settled = threading.Condition(self.lock)
		self.taken, self.sessions = [], []
		self.arrived, self.asked, self.commands = collections.Counter(), collections.Counter(), collections.Counter()
		self.events = collections.Counter()
		self.dumb = set()
		self.open = self.most = 0
		self.trouble = []
		self.closing = False
		self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
		self.port = self.listener.getsockname()[1]

	url = property(lambda self: f"{'lmtp' if self.lmtp else 'smtp'}://127.0.0.1:{self.port}")

	def __enter__(self):
		threading.Thread(target=self._accept, daemon=True).start()
		return self

	def __exit__(self, kind, _value, _trace):
		self.closing = True
		try:
			self.listener.shutdown(socket.SHUT_RDWR)
		except OSError:
			pass
		self.listener.close()
		with self.lock:
			left = list(self.sessions)
		for session in left:
			try:
				session.sock.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
		if self.trouble and kind is None:
			raise AssertionError(f"within the server: {self.trouble[0]!r}") from self.trouble[0]

	def settle(self, seconds=10):
		"""All sessions are over."""
		tmp.wait_for(lambda: self.open == 0, seconds, "the sessions' end")

	# Those who are killed --------------------------------------------

	def kills(self, process):
		"""The trap is for @process."""
		self.victim = process
		self.has_victim.set()

	def event(self, kind):
		if not self.trap:
			return None
		with self.lock:
			self.events[kind] += 1
			return self.trap[2] if self.trap[:2] == (kind, self.events[kind]) else None

	def kill(self):
		if not self.has_victim.wait(10):
			raise AssertionError("nobody to kill")
		os.kill(self.victim.pid, signal.SIGKILL)
		self.killed.set()

	# Connections -----------------------------------------------------

	def _accept(self):
		while True:
			try:
				sock, _peer = self.listener.accept()
			except OSError:
				return
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			with self.lock:
				session = _Session(self, sock, len(self.sessions) + 1)
				self.sessions.append(session)
				self.open += 1
				self.most = max(self.most, self.open)
			threading.Thread(target=self._serve, args=(session,), daemon=True).start()

	def _serve(self, session):
		try:
			session.run()
		except (_Gone, OSError):
			pass
		except Exception as e:                  # noqa: BLE001: told at the end
			self.trouble.append(e)
		finally:
			try:
				session.sock.shutdown(socket.SHUT_WR)
				session.sock.settimeout(1)
				while session.sock.recv(1 << 18):
					pass            # what is unread would turn our end into RST, and our last reply lost
			except OSError:
				pass
			session.sock.close()
			with self.settled:
				self.open -= 1
				self.settled.notify_all()


# What the tests of batches do over and over ------------------------

def jsonl(path, objects):
	"""A file of lines: of dicts, or of octets as they are."""
	with open(path, "wb") as out:
		for one in objects:
			out.write((one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode()) + b"\n")
	return path


def message(number, *to, **more):
	return {"to": list(to) or [f"r{number}@example.org"], "subject": f"m {number}", "body": f"text {number}\n", **more}


def results(octets):
	"""The report lines of standard output."""
	if octets and not octets.endswith(b"\n"):
		raise AssertionError(f"the last report line is not ended: {octets[-200:]!r}")
	return [json.loads(line) for line in octets.splitlines()]
