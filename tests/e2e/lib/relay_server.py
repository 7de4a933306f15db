"""A server for many messages in one session, and in many: it knows for certain which of them it has.

	with relay_server.Relay() as relay:                      # PIPELINING, plain SMTP on 127.0.0.1
		mc.run("--batch", relay.batch(8), "-S", relay.url, ...)
	relay.taken                                              # {(7, "r7@example.org"): 1}

Message k is the one whose MAIL is from <mk@example.net>, and whose Subject is "mk"; batch() of test_pipelining.py writes
such lines. Everything is answered in order, and replies are written when no further command is there: with
`patience`, when none has come for so many seconds, so that a group is what the client sends without hearing anything.

Relay(...) keywords:
	keywords        offered
	bdat            "known"; or it is answered 502, and what follows is read as "commands", "skipped", or not at all: "close"
	lmtp, tls       LHLO and replies for each recipient; implicit TLS
	patience        see above; 0: replies leave as soon as nothing more is to be read
	most            connections at a time; one more is greeted with 421
	session_most    messages in a session; the next MAIL is answered 421
	slow_dot        seconds before the reply to a message
	act             act(session, stage, k): None or an action for the answer to that command. Stages: greeting ehlo mail
	                rcpt data dot bdat rset quit; k: number of the message (of a stage without: None); session.rcpt: of rcpt, and
	                of dot and bdat in LMTP, the recipient

Actions: "550 no" (a reply instead), close(), reset(), silence(), bye(line) (421 and close), garbage(), extra(line) (the
answer due and one too many), nothing() (one too few), after(seconds), broken(action) (the message is taken, and then it
is not answered but by that). What is said decides what the server does: only a 2xx takes a message.

Recorded: taken {(k, rcpt): times}, said {(k, rcpt)}: a 2xx for it was written; faults: [(session, stage, k)]; sessions,
each with groups [["EHLO"], ["MAIL", "RCPT", "DATA"], ...], messages [k, ...] whose octets were there whole, commands,
lint; peak: most connections at a time; times: of each message taken.
"""

import collections
import select
import socket
import ssl
import struct
import threading
import time

from . import certs

CHUNK = 1 << 16
IDLE = 30


class _End(Exception):
	pass


def close():
	return ("close",)


def reset():
	return ("reset",)


def silence():
	return ("silence",)


def bye(line="421 4.3.2 closing"):
	return ("bye", line)


def garbage(octets=b"\xff\xfehello\r\n"):
	return ("garbage", octets)


def extra(line="250 2.0.0 once more"):
	return ("extra", line)


def nothing():
	return ("nothing",)


def after(seconds):
	return ("after", seconds)


def broken(action):
	return ("broken", action)


class Session:
	def __init__(self, relay, sock, number):
		self.relay, self.sock, self.number = relay, sock, number
		self.inbuf, self.out = b"", []
		self.groups, self.group = [], []
		self.commands, self.messages, self.lint = [], [], []
		self.n_mail = 0
		self.owed = []                  # (k, rcpt) whose 2xx is in self.out
		self.ended = threading.Event()
		self.counted = False            # among those connected
		self.began = time.monotonic()
		self.forget()

	def forget(self):
		self.k, self.rcpts, self.open, self.bad_chunk = None, [], False, False

	# octets

	def flush(self):
		if not self.out:
			return
		data, self.out = b"".join(self.out), []
		self.groups.append(self.group)
		self.group = []
		try:
			self.sock.sendall(data)
		except OSError:
			raise _End("lost") from None
		with self.relay.lock:
			self.relay.said.update(self.owed)
		self.owed = []

	def more(self):
		if self.out:
			pending = getattr(self.sock, "pending", None)
			quiet = not (pending and pending()) and not select.select([self.sock], [], [], self.relay.patience)[0]
			if quiet:
				self.flush()
		try:
			data = self.sock.recv(CHUNK)
		except (OSError, ValueError):
			raise _End("lost") from None
		if not data:
			raise _End("closed")
		self.inbuf += data

	def line(self):
		while True:
			line, eol, rest = self.inbuf.partition(b"\r\n")
			if eol:
				self.inbuf = rest
				return line
			self.more()

	def exactly(self, n):
		parts, have = [self.inbuf[:n]], min(n, len(self.inbuf))
		self.inbuf = self.inbuf[n:]
		while have < n:
			self.more()
			parts.append(self.inbuf[:n - have])
			self.inbuf = self.inbuf[n - have:]
			have += len(parts[-1])
		return b"".join(parts)

	def until_dot(self):
		self.inbuf = b"\r\n" + self.inbuf       # of DATA's own line
		start = 0
		while True:
			at = self.inbuf.find(b"\r\n.\r\n", max(0, start - 5))
			if at >= 0:
				data, self.inbuf = self.inbuf[2:at + 2], self.inbuf[at + 5:]
				return data.replace(b"\r\n.", b"\r\n")
			start = len(self.inbuf)
			self.more()

	# answers

	def say(self, line):
		self.out.append(line if isinstance(line, bytes) else line.encode() + b"\r\n")

	def end(self, how):
		try:
			if how == "reset":
				self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			elif how == "close":
				# what has come is read, so that the end is an end, and no reset
				self.sock.setblocking(False)
				try:
					while self.sock.recv(CHUNK):
						pass
				except (OSError, ValueError):
					pass
				self.sock.shutdown(socket.SHUT_WR)
		except OSError:
			pass
		raise _End(how)

	def answer(self, stage, k, line, action=None):
		"""Answer with @line, or with @action or as the relay's act wants it. Returns the code that this means."""
		if self.relay.act and action is None:
			action = self.relay.act(self, stage, k)
		if action is None:
			self.say(line)
			return int(line[:3])
		with self.relay.lock:
			self.relay.faults.append((self.number, stage, k))
		if isinstance(action, str):
			self.say(action)
			return int(action[:3])
		how, *args = action
		if how == "after":
			self.flush()
			time.sleep(args[0])
			self.say(line)
			return int(line[:3])
		if how == "extra":
			self.say(line)
			self.say(args[0])
			return int(line[:3])
		if how == "nothing":
			return int(line[:3])
		if how == "bye":
			self.say(args[0])
			self.flush()
			self.end("close")
		self.flush()
		if how == "garbage":
			self.say(args[0])
			self.flush()
		if how in ("silence", "garbage"):
			try:
				while self.sock.recv(CHUNK):
					pass
			except (OSError, ValueError):
				pass
			raise _End(how)
		self.end(how)

	def take(self, rcpts):
		with self.relay.lock:
			for rcpt in rcpts:
				self.relay.taken[(self.k, rcpt)] += 1
			self.relay.times.append(time.monotonic())

	def have(self, stage, data):
		"""The message is there whole."""
		self.messages.append(self.k)
		if b"\r\nSubject: m%d\r\n" % self.k not in data:
			self.lint.append(f"message {self.k} has the octets of another")
		if self.relay.slow_dot:
			self.flush()
			time.sleep(self.relay.slow_dot)
		each = [[r] for r in self.rcpts] if self.relay.lmtp else [self.rcpts]
		good = True
		for number, rcpts in enumerate(each):
			self.rcpt = rcpts[0]
			action = self.relay.act and self.relay.act(self, "taken", self.k)
			if action and action[0] == "broken":
				self.take(rcpts)
				with self.relay.lock:
					self.relay.faults.append((self.number, stage, self.k))
				self.flush()
				self.end(action[1][0])
			code = self.answer(stage, self.k, f"250 2.0.0 Ok: queued as {self.k}-{number}")
			if code // 100 == 2:
				self.take(rcpts)
				self.owed += [(self.k, r) for r in rcpts]
			else:
				good = False
		return good

	# commands

	def run(self):
		try:
			self.sock.settimeout(IDLE)
			if isinstance(self.sock, ssl.SSLSocket):
				self.sock.do_handshake()
			relay = self.relay
			with relay.lock:
				self.counted = not relay.most or relay.now < relay.most
				relay.now += self.counted
				relay.refused += not self.counted
				relay.peak = max(relay.peak, relay.now)
			if not self.counted:
				self.say("421 4.7.0 too many connections")
				self.flush()
				self.end("close")
			if self.answer("greeting", None, "220 relay.example ESMTP") != 220:
				self.flush()
				self.end("close")
			self.flush()
			self.groups, self.group = [], []
			while True:
				self.command(self.line())
		except (_End, ssl.SSLError, OSError) as e:
			self.how = str(e)
		except BaseException as e:
			self.relay.errors.append(repr(e))
			raise
		finally:
			with self.relay.lock:
				self.relay.now -= self.counted
			try:
				self.sock.close()
			except OSError:
				pass
			self.ended.set()

	def command(self, line):
		verb = line[:4].upper().decode("latin-1")
		if verb == "LHLO":
			verb = "EHLO"
		self.group.append(verb)
		self.commands.append(verb)
		handler = getattr(self, "do_" + verb.lower(), None) if verb.isalpha() else None
		if not handler:
			if self.relay.bdat != "commands":
				self.lint.append(f"unknown command {line[:60]!r}")
			self.say("500 5.5.1 what")
			return
		handler(line)

	def do_ehlo(self, line):
		self.forget()
		action = self.relay.act and self.relay.act(self, "ehlo", None)
		if action and action[0] == "after":
			time.sleep(action[1])
		elif action:
			self.answer("ehlo", None, "250 relay.example", action)
			return
		lines = ["relay.example", *self.relay.keywords]
		for i, text in enumerate(lines):
			self.say(f"250{' ' if i == len(lines) - 1 else '-'}{text}")

	def do_helo(self, line):
		self.say("250 relay.example")

	def do_mail(self, line):
		address = line[line.find(b"<") + 1:line.find(b">")].decode()
		k = int(address[1:address.find("@")])
		if self.open:
			self.lint.append(f"MAIL of {k} amid the transaction of {self.k}")
			self.say("503 5.5.1 nested MAIL")
			return
		if self.relay.session_most and self.n_mail >= self.relay.session_most:
			self.say("421 4.7.0 enough messages in this session")
			self.flush()
			self.end("close")
		self.k_seen = k
		code = self.answer("mail", k, "250 2.1.0 Ok")
		if code // 100 == 2:
			self.n_mail += 1
			self.forget()
			self.k, self.open = k, True

	def do_rcpt(self, line):
		address = line[line.find(b"<") + 1:line.find(b">")].decode()
		if not self.open or self.bad_chunk:
			self.say("503 5.5.1 MAIL first")
			return
		self.rcpt = address
		code = self.answer("rcpt", self.k, "250 2.1.5 Ok")
		if code // 100 == 2:
			self.rcpts.append(address)

	def do_data(self, line):
		if not self.open:
			self.say("503 5.5.1 MAIL first")
			return
		if not self.rcpts:
			self.say("554 5.5.1 no valid recipients")
			return
		if self.answer("data", self.k, "354 go ahead") != 354:
			return
		self.have("dot", self.until_dot())
		self.forget()

	def do_bdat(self, line):
		words = line.split()
		size = int(words[1])
		if self.relay.bdat != "known":
			self.say("502 5.5.1 unknown command")
			self.flush()
			self.relay.no_bdat += 1
			if self.relay.bdat == "close":
				self.end("close")
			if self.relay.bdat == "skipped":
				self.exactly(size)
			return
		data = self.exactly(size)
		if len(words) != 3 or words[2].upper() != b"LAST":
			self.lint.append(f"{line!r}")
		if not self.open or not self.rcpts or self.bad_chunk:
			self.bad_chunk = True
			self.say("503 5.5.1 no valid recipients")
			return
		if self.have("bdat", data):
			self.forget()
		else:
			self.bad_chunk = True   # RFC 3030, 4.2: only RSET helps

	def do_rset(self, line):
		k = self.k
		self.forget()
		self.answer("rset", k, "250 2.0.0 Ok")

	def do_noop(self, line):
		self.say("250 2.0.0 Ok")

	def do_quit(self, line):
		self.answer("quit", None, "221 2.0.0 Bye")
		self.flush()
		self.end("close")


class Relay:
	def __init__(self, keywords=("PIPELINING",), lmtp=False, tls=False, patience=0, most=0, session_most=0, slow_dot=0,
	             bdat="known", act=None):
		self.keywords, self.lmtp, self.patience, self.most = keywords, lmtp, patience, most
		self.session_most, self.slow_dot, self.bdat = session_most, slow_dot, bdat
		self.act = act
		self.lock = threading.Lock()
		self.sessions, self.errors, self.faults = [], [], []
		self.taken, self.said = collections.Counter(), set()
		self.times = []
		self.now = self.peak = self.refused = self.no_bdat = 0
		self.attempts = []              # when a connection came
		self.gone = None                # "reset": every connection is reset; set by a test
		self.context = None
		if tls:
			pair = certs.get("good")
			self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
			self.context.load_cert_chain(pair.cert, pair.key)
		self.listener = socket.socket()
		self.listener.bind(("127.0.0.1", 0))
		self.listener.listen(256)
		self.port = self.listener.getsockname()[1]

	@property
	def url(self):
		return f"{'lmtp' if self.lmtp else 'smtp'}{'s' if self.context else ''}://127.0.0.1:{self.port}"

	@property
	def lint(self):
		return [f"session {s.number}: {text}" for s in self.sessions for text in s.lint]

	def __enter__(self):
		threading.Thread(target=self.accept, daemon=True).start()
		return self

	def __exit__(self, kind, value, trace):
		try:
			self.listener.shutdown(socket.SHUT_RDWR)
		except OSError:
			pass
		self.listener.close()
		for s in list(self.sessions):
			try:
				s.sock.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
		if kind is None and self.errors:
			raise AssertionError(f"the server itself failed: {self.errors}")

	def accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			self.attempts.append(time.monotonic())
			if self.gone == "reset":
				sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
				sock.close()
				continue
			sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			if self.context:
				sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
			session = Session(self, sock, len(self.sessions) + 1)
			self.sessions.append(session)
			threading.Thread(target=session.run, daemon=True).start()

	def settled(self, timeout=5):
		"""All sessions are over."""
		for s in list(self.sessions):
			s.ended.wait(timeout)
