"""A scripted SMTP or LMTP server.

	with fake.Server() as server:                            # well-behaved, plain SMTP on 127.0.0.1
		mc.run("-S", server.url, ...)
	server.session.lint == []                                # the wire lint (wire.py)
	server.messages[0].data                                  # un-stuffed octets of the message

	fake.Server(rcpt={"bob@example.org": "550 5.1.1 no", 3: "450 later"}, dot=[fake.reply("421 bye"), fake.close()])
	fake.Server(lmtp=True, unix=True, dot={"bob@example.org": "452 4.2.2 full"})
	fake.Server(tls="starttls", cert="expired", auth="PLAIN LOGIN", users={"u": "pw"})

Server(...) keywords:
	lmtp            LHLO, and one reply for each accepted recipient after the dot
	unix            True: a Unix socket in a new directory; or a path
	host            "127.0.0.1", or "::1"
	tls             None, "implicit" or "starttls"; cert: name of certs.py; tls_min, tls_max: "1.0" ... "1.3";
	                client_ca: ask for a client certificate of certs.ca(client_ca)
	ehlo            the keywords offered, a list (KEYWORDS by default); STARTTLS and AUTH are added by themselves;
	                ehlo_tls: the list after STARTTLS (the same by default)
	auth            "PLAIN LOGIN ...": offered, by default only within TLS where the server has STARTTLS
	                (auth_clear=True: also before). users {name: password}, tokens {name: token}; None accepts any.
	require_auth    MAIL without it is answered 530
	eod             "strict" (CRLF.CRLF alone), "lf" (a lenient receiver: bare LF ends lines too), "cr" (bare CR too)
	store           False: count and hash the message's octets, keep none, no lint of them (for huge ones)
	rcvbuf          SO_RCVBUF of the listening socket
	sessions        [script, script ...]: the script of the first session, second ..., {} after the last;
	                each a dict of the stages below. Stages given as keywords hold for every session.

Stages, in order: greeting ehlo helo starttls auth auth_challenge auth_final mail rcpt data body dot rset noop quit unknown.
Each can be overridden by an action or a list of them:
	"250 ok" (str or bytes)     a reply line, CRLF added; reply("250-a", "250 b"): several lines
	raw(bytes)                  exactly these octets
	close() rst() bye()         close (FIN; under TLS without close_notify), RST, close with close_notify
	silence(s)                  say nothing until the client has gone (or s seconds), still reading
	deaf(s)                     say and read nothing until the client has gone (or s seconds)
	delay(s)                    wait, then go on with the next action
	drip(bytes, interval)       one octet each interval
	flush()                     write now: what follows is a segment of its own
	default()                   what the server would have done
	handshake(cert)             the TLS handshake (part of the default of starttls)
	slow(rate)                  from now on read `rate` octets a second
	a function f(session)       anything, by session.put(), .flush(), .readline(), .receive()
What the server does next follows from what it said: RCPT is accepted if the first reply of the stage was 2xx,
the message is read if the stage said 354, and so on. Replies of a stage are written at once, when the server
next waits for the client: all replies to a pipelined group are one burst.

turns(a, b, c)  as a stage: a the first time in a session, b the second, c from then on; None: the default
rcpt, dot       may be a dict by address or ordinal (from 1, in the transaction); "*" is for the others. In LMTP a
                plain string for dot is said for each recipient; a list or a function is performed once.
body            [at(octets, action, ...), ...]: performed once that many octets of the message were read

Recorded in a Session: see its head. Errors within the server itself are raised at the end of the with block.
"""

import base64
import errno
import hashlib
import hmac
import os
import re
import select
import socket
import ssl
import struct
import threading
import time

from . import certs, tmp, wire

KEYWORDS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
HOST = "fake.example"
CHUNK = 65536
LINE_MAX = 1 << 21
_TLS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3}
_EOD = {
	"strict": re.compile(rb"\r\n\.\r\n"),
	"lf": re.compile(rb"\n\.\r?\n"),
	"cr": re.compile(rb"[\r\n]\.(?:\r\n|\r|\n)"),
}
_EOD_AT_START = {
	"strict": re.compile(rb"\.\r\n"),
	"lf": re.compile(rb"\.\r?\n"),
	"cr": re.compile(rb"\.(?:\r\n|\r|\n)"),
}


class _Ended(Exception):
	"""The session is over, by whom says session.end."""


# Actions ---------------------------------------------------------------

def _octets(text):
	return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _action(label):
	def mark(function):
		function.label = label
		return function
	return mark


def reply(*lines):
	@_action(f"reply {lines!r}")
	def act(s):
		for line in lines:
			s.put(_octets(line) + b"\r\n")
	return act


def raw(octets):
	@_action(f"raw {octets!r}")
	def act(s):
		s.put(octets)
	return act


def flush():
	return _action("flush")(lambda s: s.flush())


def close():
	return _action("close")(lambda s: s.close())


def rst():
	return _action("RST")(lambda s: s.reset())


def bye():
	return _action("bye")(lambda s: s.close(notify=True))


def silence(seconds=None):
	return _action("silence")(lambda s: s.silent(seconds))


def deaf(seconds=None):
	return _action("deaf")(lambda s: s.deaf(seconds))


def delay(seconds):
	@_action(f"delay {seconds}")
	def act(s):
		s.flush()
		s.pause(seconds)
	return act


def drip(octets, interval):
	@_action(f"drip {octets!r}")
	def act(s):
		s.flush()
		for i in range(len(octets)):
			s.put(octets[i:i + 1])
			s.flush()
			s.pause(interval)
	return act


def default():
	return _action("default")(lambda s: s._default())


def handshake(cert=None):
	return _action("handshake")(lambda s: s.handshake(cert))


def slow(rate):
	@_action(f"slow {rate}")
	def act(s):
		s.rate = rate
	return act


class turns:
	def __init__(self, *actions):
		self.actions = actions

	def pick(self, number):
		return self.actions[min(number, len(self.actions)) - 1]


class at:
	def __init__(self, octets, *actions):
		self.octets, self.actions = octets, list(actions)


# Records ---------------------------------------------------------------

class Message:
	"""One mail transaction that got as far as MAIL accepted.

	sender, mail_line, mail_params {NAME: value or None}
	rcpts       addresses accepted, in order; refused: the others; rcpt_lines; rcpt_params {address: {NAME: value}}
	started     354 was said; dot: the final dot was seen (BDAT LAST for chunked)
	wire        the octets as they came, without the final dot line; data: un-stuffed
	octets, sha256   of the un-stuffed (store=False: of the wire) octets
	codes       what was said after the dot
	early       replies said amid the body
	"""

	def __init__(self, line, sender, params):
		self.mail_line, self.sender, self.mail_params = line, sender, params
		self.rcpts, self.refused, self.rcpt_lines, self.rcpt_params = [], [], [], {}
		self.started = self.dot = self.chunked = False
		self.wire = b""
		self.octets, self.sha256 = 0, ""
		self.codes = []

	@property
	def data(self):
		return self.wire if self.chunked else wire.unstuff(self.wire)

	@property
	def delivered(self):
		"""Recipients for whom the dot was answered 2xx."""
		if len(self.codes) == 1:
			return list(self.rcpts) if 200 <= self.codes[0] < 300 else []
		return [r for r, c in zip(self.rcpts, self.codes) if 200 <= c < 300]

	def parsed(self):
		import email
		import email.policy
		return email.message_from_bytes(self.data, policy=email.policy.default)


class Session:
	"""One connection.

	commands    every command line as text, in order, without CRLF ("DATA" included, message data not)
	log         (time, "C" or "S", octets) of everything but message data, which is logged as its length
	messages    [Message]; all of them, complete or not
	lint        findings of wire.py
	bursts      groups of replies written after the client was waited for, the greeting included
	tls         None or {"version", "cipher", "sni", "alpn", "client"}; tls_error: why a handshake failed
	auths       [{"mech", "user", "secret", "ok", "raw"}]
	quit        QUIT was heard; quit_with_dot: it had come by the time the dot was read
	end         "quit", "eof", "reset", "closed" (by the server), "tls", or None while it lasts
	began, ended, peer; extra: octets heard during silence()
	"""

	def __init__(self, server, sock, number):
		self.server, self.sock, self.number = server, sock, number
		self.script = dict(server.stages)
		if number <= len(server.scripts):
			self.script.update(server.scripts[number - 1])
		self.commands, self.log, self.messages, self.auths = [], [], [], []
		self.wire_lint = wire.Lint(lmtp=server.lmtp)
		self.bursts = 0
		self.tls = self.tls_error = self.end = None
		self.quit = self.quit_with_dot = False
		self.extra = b""
		self.began, self.ended = time.monotonic(), None
		self.rate = 0
		self.buffer = bytearray()
		self.out = bytearray()
		self.waited = True
		self.counts = {}
		self.stage_out = b""
		self._default = lambda: None
		self.message = None
		self.hello = None
		self.authenticated = False
		self.done = threading.Event()

	lint = property(lambda self: self.wire_lint.found)

	# Octets ------------------------------------------------------------

	def put(self, octets):
		self.out += octets
		self.stage_out += octets

	def flush(self):
		if not self.out:
			return
		octets = bytes(self.out)
		self.out.clear()
		if self.waited:
			self.bursts += 1
			self.waited = False
		self.log.append((time.monotonic(), "S", octets))
		try:
			self.sock.sendall(octets)
		except (OSError, ValueError) as e:
			self._lost(e)

	def _lost(self, e):
		if self.end is None:
			number = getattr(e, "errno", 0)
			self.end = "reset" if number in (errno.ECONNRESET, errno.EPIPE) else "eof"
		raise _Ended

	def _fill(self, limit=CHUNK):
		"""Wait for octets of the client."""
		self.flush()
		self.waited = True
		if self.rate:
			limit = max(1, min(limit, self.rate // 10 or 1))
			self.pause(limit / self.rate)
		try:
			octets = self.sock.recv(limit)
		except (OSError, ValueError) as e:
			self._lost(e)
		if not octets:
			if self.end is None:
				self.end = "eof"
			raise _Ended
		self.buffer += octets

	def _ahead(self, wait=0.0):
		"""What the client has sent already beyond what was read."""
		if not self.buffer:
			try:
				pending = getattr(self.sock, "pending", lambda: 0)()
				if pending or select.select([self.sock], [], [], wait)[0]:
					if isinstance(self.sock, ssl.SSLSocket):
						self.sock.settimeout(0.05)
						try:
							self.buffer += self.sock.recv(CHUNK)
						except (ssl.SSLError, TimeoutError):
							pass
						finally:
							self.sock.settimeout(None)
					else:
						return self.sock.recv(CHUNK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
			except (OSError, ValueError):
				pass
		return bytes(self.buffer[:200])

	def readline(self):
		"""A line with its end. A bare LF ends one too; the lint reports that."""
		while True:
			at_lf = self.buffer.find(b"\n")
			if at_lf >= 0:
				line = bytes(self.buffer[:at_lf + 1])
				del self.buffer[:at_lf + 1]
				self.log.append((time.monotonic(), "C", line))
				return line
			if len(self.buffer) > LINE_MAX:
				self.wire_lint.say("long command", f"over {LINE_MAX} octets")
				self.close()
			self._fill()

	def receive(self, count):
		while len(self.buffer) < count:
			self._fill()
		octets = bytes(self.buffer[:count])
		del self.buffer[:count]
		return octets

	def pause(self, seconds):
		if self.server.stopping.wait(seconds):
			raise _Ended

	def close(self, notify=False):
		self.flush()
		self.end = self.end or "closed"
		if notify and isinstance(self.sock, ssl.SSLSocket):
			try:
				self.sock.settimeout(0.2)
				self.sock.unwrap()
			except (OSError, ValueError):
				pass
		self._drain()
		raise _Ended

	def _drain(self):
		"""Octets left unread would turn our FIN into a RST. Bounded: the client may never stop."""
		try:
			with socket.socket(fileno=os.dup(self.sock.fileno())) as tcp:
				for _ in range(64):
					if not tcp.recv(CHUNK, socket.MSG_DONTWAIT):
						return
		except OSError:
			pass

	def reset(self):
		self.flush()
		self.end = self.end or "closed"
		try:
			self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		except OSError:
			pass
		raise _Ended

	def silent(self, seconds=None):
		self.flush()
		end = time.monotonic() + seconds if seconds is not None else None
		while not self.server.stopping.is_set():
			wait = 0.2 if end is None else min(0.2, end - time.monotonic())
			if wait <= 0:
				return
			if not self.buffer and not select.select([self.sock], [], [], wait)[0]:
				continue
			if not self.buffer:
				self._fill()
			self.extra += bytes(self.buffer)
			self.buffer.clear()
		raise _Ended

	def deaf(self, seconds=None):
		self.flush()
		end = time.monotonic() + seconds if seconds is not None else None
		poll = select.poll()
		poll.register(self.sock, select.POLLRDHUP)
		while not self.server.stopping.is_set():
			if end is not None and time.monotonic() > end:
				return
			if poll.poll(100):
				self.end = self.end or "eof"
				raise _Ended
		raise _Ended

	def handshake(self, cert=None):
		self.flush()
		context = self.server.context(cert)
		sni = []
		context.sni_callback = lambda _sock, name, _context: sni.append(name)
		self.buffer.clear()
		try:
			self.sock = context.wrap_socket(self.sock, server_side=True)
		except (OSError, ValueError) as e:
			self.tls_error = str(e)
			self.end = "tls"
			raise _Ended
		self.tls = {"version": self.sock.version(), "cipher": self.sock.cipher()[0],
		            "sni": sni[0] if sni else None, "alpn": self.sock.selected_alpn_protocol(),
		            "client": self.sock.getpeercert() or None}

	# Stages ------------------------------------------------------------

	def perform(self, action):
		if action is None:
			self._default()
		elif isinstance(action, (str, bytes)):
			self.put(_octets(action) + b"\r\n")
		elif isinstance(action, (list, tuple)):
			for one in action:
				self.perform(one)
		else:
			action(self)

	def stage(self, name, standard, override=...):
		"""Perform a stage; returns the codes of the replies it said."""
		number = self.counts[name] = self.counts.get(name, 0) + 1
		if override is ...:
			override = self.script.get(name)
		if isinstance(override, turns):
			override = override.pick(number)
		self.stage_out = b""
		self._default = standard
		self.perform(override)
		return self.codes()

	def codes(self):
		found = []
		for line in self.stage_out.split(b"\n"):
			m = re.match(rb"(\d{3})(?:[ \r]|\Z)", line)
			if m:
				found.append(int(m.group(1)))
		return found

	def run(self):
		try:
			self._run()
		except _Ended:
			pass
		except Exception as e:                  # the fake's own bug, or a test's assertion in an action
			self.server.errors.append(e)
		finally:
			self._finish()

	def _finish(self):
		try:
			self.sock.close()
		except OSError:
			pass
		self.ended = time.monotonic()
		self.done.set()
		with self.server.changed:
			self.server.changed.notify_all()

	def _run(self):
		server = self.server
		if server.tls == "implicit":
			self.handshake()
		ahead = self._ahead()
		if ahead:
			self.wire_lint.sent_ahead("CONNECT", ahead)
		self.stage("greeting", lambda: self.perform(f"220 {HOST} {'LMTP' if server.lmtp else 'ESMTP'}"))
		while True:
			line = self.readline()
			verb, argument = self.wire_lint.command(line)
			self.commands.append(line.rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
			ahead = bytes(self.buffer[:200]) or (self._ahead() if verb in wire.LAST_OF_GROUP else b"")
			if ahead:
				self.wire_lint.sent_ahead(verb, ahead)
			handler = getattr(self, "do_" + verb.lower().replace("-", "_"), None)
			if handler is None or (verb == "LHLO") != (server.lmtp and verb in ("LHLO", "EHLO", "HELO")):
				handler = self.do_unknown
			handler(argument)

	def do_unknown(self, _argument):
		self.stage("unknown", lambda: self.perform("500 5.5.1 command not recognised"))

	# Openings ----------------------------------------------------------

	def keywords(self):
		server = self.server
		offered = list(server.ehlo_tls if self.tls and server.ehlo_tls is not None else server.ehlo)
		if server.tls == "starttls" and not self.tls:
			offered.append("STARTTLS")
		if server.auth and (self.tls or server.tls != "starttls" or server.auth_clear):
			offered.append("AUTH " + server.auth)
		return offered

	def _hello(self, stage, name):
		def standard():
			lines = [f"{HOST} greets {name}"] + self.keywords()
			for line in lines[:-1]:
				self.perform("250-" + line)
			self.perform("250 " + lines[-1])
		codes = self.stage(stage, standard)
		if codes and codes[-1] == 250:
			lines = [l.rstrip(b"\r")[4:] for l in self.stage_out.split(b"\n") if l.startswith(b"250")]
			self.wire_lint.ehlo_reply([l.decode("utf-8", "replace") for l in lines[1:]])
			self.hello = name
			self.message = None

	def do_ehlo(self, name):
		self._hello("ehlo", name)

	do_lhlo = do_ehlo

	def do_helo(self, name):
		codes = self.stage("helo", lambda: self.perform(f"250 {HOST}"))
		if codes and codes[-1] == 250:
			self.wire_lint.ehlo_reply([])
			self.hello = name

	def do_starttls(self, _argument):
		def standard():
			if self.server.tls != "starttls" or self.tls:
				self.perform("502 5.5.1 not here")
				return
			self.perform("220 2.0.0 ready")
			self.handshake()
		had = self.tls
		self.stage("starttls", standard)
		if self.tls is not had:
			self.buffer.clear()
			self.hello = None
			self.wire_lint.greeted = False
			self.wire_lint.offered = set()

	# Authentication ----------------------------------------------------

	def challenge(self, octets):
		"""Say 334 and hear the response, decoded; None if it was cancelled or is not base64."""
		codes = self.stage("auth_challenge", lambda: self.perform(b"334 " + base64.b64encode(octets)))
		if not codes or codes[-1] != 334:
			return None
		line = self.readline()
		self.wire_lint.auth_line(line)
		return self._decode(line.strip())

	@staticmethod
	def _decode(text):
		try:
			return base64.b64decode(text, validate=True)
		except ValueError:
			return None

	def do_auth(self, argument):
		mech, _, initial = argument.partition(" ")
		mech = mech.upper()
		if "auth" in self.script:
			codes = self.stage("auth", lambda: self._auth(mech, initial))
			while codes and codes[-1] == 334:
				line = self.readline()
				self.wire_lint.auth_line(line)
				self.auths.append({"mech": mech, "user": None, "secret": None, "ok": False, "raw": line})
				codes = self.stage("auth", lambda: self.perform("535 5.7.8 no"))
			self.authenticated = 235 in codes
		else:
			self._auth(mech, initial)

	def _auth(self, mech, initial):
		offered = (self.server.auth or "").upper().split()
		if mech not in offered:
			self.perform("504 5.5.4 mechanism not offered")
			return
		first = None
		if initial:
			first = b"" if initial == "=" else self._decode(initial)
			if first is None:
				self.perform("501 5.5.2 not base64")
				return
		user, secret, ok = getattr(self, "_auth_" + mech.lower().replace("-", "_"))(first)
		self.auths.append({"mech": mech, "user": user, "secret": secret, "ok": ok, "raw": initial})
		if user is None and secret is None and mech != "EXTERNAL":
			standard = lambda: self.perform("501 5.5.2 cannot decode")
			ok = False
		else:
			standard = lambda: self.perform("235 2.7.0 welcome" if ok else "535 5.7.8 bad credentials")
		codes = self.stage("auth_final", standard)
		self.authenticated = self.authenticated or 235 in codes

	def _known(self, table, user, secret):
		return table is None or table.get(user) == secret

	def _auth_plain(self, first):
		octets = first if first is not None else self.challenge(b"")
		parts = (octets or b"").split(b"\0")
		if len(parts) != 3:
			return None, None, False
		user, secret = parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace")
		return user, secret, self._known(self.server.users, user, secret)

	def _auth_login(self, first):
		user = first if first is not None else self.challenge(b"Username:")
		secret = self.challenge(b"Password:") if user is not None else None
		if user is None or secret is None:
			return None, None, False
		user, secret = user.decode("utf-8", "replace"), secret.decode("utf-8", "replace")
		return user, secret, self._known(self.server.users, user, secret)

	def _auth_cram_md5(self, _first):
		text = f"<{self.number}.{time.time_ns()}@{HOST}>".encode()
		octets = self.challenge(text)
		if not octets or b" " not in octets:
			return None, None, False
		user, _, digest = octets.rpartition(b" ")
		user, digest = user.decode("utf-8", "replace"), digest.decode("ascii", "replace")
		if self.server.users is None:
			return user, digest, True
		key = self.server.users.get(user)
		ok = key is not None and hmac.new(key.encode(), text, "md5").hexdigest() == digest
		return user, digest, ok

	def _bearer(self, octets, failure_reply):
		text = (octets or b"").decode("utf-8", "replace")
		token = re.search(r"(?:\A|\x01)auth=Bearer ([^\x01]*)\x01", text)
		user = re.search(r"(?:\A|\x01)user=([^\x01]*)\x01", text) or re.match(r"n,a=([^,]*),", text)
		if not token or not user:
			return None, None, False
		user, token = user.group(1), token.group(1)
		ok = self._known(self.server.tokens, user, token)
		if not ok:
			self.perform(b"334 " + base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}'))
			line = self.readline()
			self.wire_lint.auth_line(line)
			if line.strip() not in failure_reply:
				self.wire_lint.say("grammar", f"after the failure challenge: {line[:40]!r}")
		return user, token, ok

	def _auth_xoauth2(self, first):
		return self._bearer(first if first is not None else self.challenge(b""), (b"", b"*", b"AQ=="))

	def _auth_oauthbearer(self, first):
		return self._bearer(first if first is not None else self.challenge(b""), (b"AQ==", b"*"))

	def _auth_external(self, first):
		octets = first if first is not None else self.challenge(b"")
		if octets is None:
			return None, None, False
		return octets.decode("utf-8", "replace"), None, bool(self.tls and self.tls["client"])

	# The transaction ---------------------------------------------------

	@staticmethod
	def _path(argument):
		m = re.match(r'[A-Za-z]+:\s*<((?:"(?:[^"\\]|\\.)*"|[^>"])*)>\s*(.*)\Z', argument, re.S)
		if not m:
			return argument, {}
		params = {}
		for word in m.group(2).split():
			name, equals, value = word.partition("=")
			params[name.upper()] = value if equals else None
		return m.group(1), params

	def do_mail(self, argument):
		sender, params = self._path(argument)

		def standard():
			if self.server.require_auth and not self.authenticated:
				self.perform("530 5.7.0 authentication required")
			elif self.message is not None:
				self.perform("503 5.5.1 nested MAIL")
			elif self.hello is None:
				self.perform("503 5.5.1 say hello first")
			else:
				self.perform("250 2.1.0 sender ok")
		codes = self.stage("mail", standard)
		if codes and codes[0] // 100 == 2:
			self.message = Message(self.commands[-1], sender, params)
			self.messages.append(self.message)
		else:
			self.message = None
			self.wire_lint.mail_refused()

	def do_rcpt(self, argument):
		address, params = self._path(argument)
		message = self.message
		if message is None:
			self.stage("rcpt_refused", lambda: self.perform("503 5.5.1 no MAIL"))
			return
		message.rcpt_lines.append(self.commands[-1])
		message.rcpt_params[address] = params
		ordinal = len(message.rcpt_lines)
		override = self.script.get("rcpt")
		if isinstance(override, turns):
			override = override.pick(ordinal)
		if isinstance(override, dict):
			override = override.get(address, override.get(ordinal, override.get("*")))
		codes = self.stage("rcpt", lambda: self.perform("250 2.1.5 recipient ok"), override)
		accepted = bool(codes) and codes[0] // 100 == 2
		(message.rcpts if accepted else message.refused).append(address)

	def do_rset(self, _argument):
		self.stage("rset", lambda: self.perform("250 2.0.0 ok"))
		self.message = None

	def do_noop(self, _argument):
		self.stage("noop", lambda: self.perform("250 2.0.0 ok"))

	def do_vrfy(self, _argument):
		self.stage("vrfy", lambda: self.perform("252 2.0.0 perhaps"))

	def do_quit(self, _argument):
		self.quit = True
		self.stage("quit", lambda: self.perform("221 2.0.0 bye"))
		self.end = "quit"
		self.close(notify=True)

	def do_data(self, _argument):
		message = self.message

		def standard():
			if message is None or not message.rcpts:
				self.perform("503 5.5.1 no valid recipients")
			else:
				self.perform("354 go ahead")
		codes = self.stage("data", standard)
		if 354 in codes:
			if message is None:
				message = self.message = Message("", "", {})
				self.messages.append(message)
			self._read_message(message)
			self._after_dot(message)
		elif message is not None and not message.rcpts:
			self.wire_lint.reset()
			self.message = None

	def do_bdat(self, argument):
		words = argument.split()
		octets = self.receive(int(words[0])) if words and words[0].isdigit() else b""
		message = self.message
		if message is None or not message.rcpts:
			self.perform("503 5.5.1 no valid recipients")
			return
		message.chunked = message.started = True
		message.wire += octets
		if len(words) > 1:
			message.dot = True
			self.wire_lint.data(message.wire, stuffed=False)
			message.octets, message.sha256 = len(message.wire), hashlib.sha256(message.wire).hexdigest()
			self._after_dot(message)
		else:
			self.stage("bdat", lambda: self.perform(f"250 2.0.0 {len(octets)} octets"))

	def _read_message(self, message):
		"""Read up to the final dot. At each mark of the script's body stage, perform its actions."""
		message.started = True
		marks = self.script.get("body") or []
		marks = sorted(marks if isinstance(marks, list) else [marks], key=lambda m: m.octets)
		body = bytearray()
		eod, first = _EOD[self.server.eod], _EOD_AT_START[self.server.eod]
		digest = hashlib.sha256()
		counted, start = 0, 0
		self._default = lambda: None
		self.log.append((time.monotonic(), "C", b"(message)"))
		try:
			while True:
				body += self.buffer
				fresh = len(self.buffer)
				self.buffer.clear()
				while marks and counted + len(body) >= marks[0].octets:
					self.stage_out = b""
					self.perform(marks.pop(0).actions)
					self.flush()
				end = first.match(body) if counted == 0 else None
				text_end = 0
				# bytes.find is an order faster than a search, for the long messages of the benchmarks.
				if not end and (self.server.eod != "strict" or body.find(b"\r\n.\r\n", start) >= 0):
					end = eod.search(body, start)
					if end:
						# The line end before the dot belongs to the message.
						text_end = end.start() + (2 if self.server.eod == "strict" else 1)
				if end:
					self.buffer += body[end.end():]
					body = body[:text_end]
					message.dot = True
					break
				start = max(0, len(body) - 8)
				if not self.server.store and len(body) > 1 << 20:
					keep = 8
					digest.update(body[:-keep])
					counted += len(body) - keep
					body = body[-keep:]
					start = 0
				self._fill(CHUNK if self.server.store else 1 << 20)
		finally:
			digest.update(body)
			if self.server.store:
				message.wire = bytes(body)
				octets = message.data
				message.octets, message.sha256 = len(octets), hashlib.sha256(octets).hexdigest()
				self.wire_lint.data(message.wire, complete=message.dot)
			else:
				message.octets, message.sha256 = counted + len(body), digest.hexdigest()
			self.log.append((time.monotonic(), "C", f"({message.octets} octets, dot {message.dot})".encode()))

	def _after_dot(self, message):
		ahead = bytes(self.buffer) or self._ahead(0.002)
		self.quit_with_dot = ahead.upper().startswith(b"QUIT\r\n")
		if ahead and "PIPELINING" not in self.wire_lint.offered:
			self.wire_lint.sent_ahead("the dot", ahead)
		override = self.script.get("dot")
		number = self.counts.get("dot", 0) + 1
		if isinstance(override, turns):
			override = override.pick(number)
		if not self.server.lmtp:
			standard = lambda: self.perform(f"250 2.0.0 queued as F{self.number}M{len(self.messages)}")
			if isinstance(override, dict):
				raise AssertionError("dot by recipient is for LMTP")
			message.codes = self.stage("dot", standard, override)
		else:
			self._lmtp_replies(message, override)
		self.message = None
		self.wire_lint.reset()

	def _lmtp_replies(self, message, override):
		def standard():
			for ordinal, address in enumerate(message.rcpts, 1):
				one = override
				if isinstance(override, dict):
					one = override.get(address, override.get(ordinal, override.get("*")))
				if isinstance(one, (str, bytes)):
					self.put(_octets(one) + b"\r\n")
				elif one is None or one is override:
					self.put(f"250 2.0.0 <{address}> delivered\r\n".encode("utf-8", "surrogateescape"))
				else:
					self.perform(one)
		whole = None if override is None or isinstance(override, (str, bytes, dict)) else override
		message.codes = self.stage("dot", standard, whole)


class Server:
	"""See the head of the file."""

	def __init__(self, lmtp=False, unix=False, host="127.0.0.1", tls=None, cert="good", tls_min=None, tls_max=None,
	             client_ca=None, ehlo=KEYWORDS, ehlo_tls=None, auth=None, auth_clear=False, users=None, tokens=None,
	             require_auth=False, eod="strict", store=True, rcvbuf=None, sessions=(), port=0, **stages):
		known = {"greeting", "ehlo", "helo", "starttls", "auth", "auth_challenge", "auth_final", "mail", "rcpt", "data",
		         "body", "dot", "rset", "noop", "vrfy", "quit", "unknown"}
		for script in [stages, *sessions]:
			if set(script) - known:
				raise TypeError(f"no such stage: {set(script) - known}")
		self.lmtp, self.tls, self.cert, self.host = lmtp, tls, cert, host
		self.tls_min, self.tls_max, self.client_ca = tls_min, tls_max, client_ca
		self.ehlo, self.ehlo_tls = list(ehlo), (None if ehlo_tls is None else list(ehlo_tls))
		self.auth, self.auth_clear, self.users, self.tokens = auth, auth_clear, users, tokens
		self.require_auth, self.eod, self.store = require_auth, eod, store
		self.stages, self.scripts = stages, list(sessions)
		self.sessions, self.errors = [], []
		self.changed = threading.Condition()
		self.stopping = threading.Event()
		self.unix = None
		self._own_directory = None
		self._listen(unix, port, rcvbuf)

	def _listen(self, unix, port, rcvbuf):
		if unix:
			if unix is True:
				self._own_directory = tmp.directory("mcsock-")
				unix = os.path.join(self._own_directory, "s")
			self.unix = unix
			self.listener = socket.socket(socket.AF_UNIX)
			self.listener.bind(unix)
			self.port = None
		else:
			self.listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
			self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
			self.listener.bind((self.host, port))
			self.port = self.listener.getsockname()[1]
		if rcvbuf:
			self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
		self.listener.listen(128)
		self.threads = []
		self._thread = threading.Thread(target=self._accept, daemon=True)
		self._thread.start()

	def _accept(self):
		while not self.stopping.is_set():
			try:
				sock, _peer = self.listener.accept()
			except OSError:
				return
			if not self.unix:
				sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			with self.changed:
				session = Session(self, sock, len(self.sessions) + 1)
				self.sessions.append(session)
				self.changed.notify_all()
			thread = threading.Thread(target=session.run, daemon=True)
			self.threads.append(thread)
			thread.start()

	def context(self, cert=None):
		pair = certs.get(cert or self.cert)
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		context.set_ciphers("ALL:@SECLEVEL=0")
		context.load_cert_chain(pair.cert, pair.key)
		if self.tls_min or self.tls_max:
			import warnings
			with warnings.catch_warnings():
				warnings.simplefilter("ignore", DeprecationWarning)
				if self.tls_min:
					context.minimum_version = _TLS[self.tls_min]
				if self.tls_max:
					context.maximum_version = _TLS[self.tls_max]
		if self.client_ca:
			context.verify_mode = ssl.CERT_OPTIONAL
			context.load_verify_locations(certs.ca(self.client_ca))
		return context

	# What a test asks --------------------------------------------------

	@property
	def address(self):
		host = f"[{self.host}]" if ":" in self.host else self.host
		return f"{host}:{self.port}"

	def url_for(self, host):
		"""The URL by another name of the same host ("localhost")."""
		scheme = ("lmtp" if self.lmtp else "smtp") + ("s" if self.tls == "implicit" else "")
		return f"{scheme}://{host}:{self.port}"

	@property
	def url(self):
		if self.unix:
			return f"{'lmtp' if self.lmtp else 'smtp'}+unix:{self.unix}"
		return self.url_for(f"[{self.host}]" if ":" in self.host else self.host)

	def wait(self, sessions=1, seconds=10.0):
		"""Wait until at least @sessions sessions have ended; returns all sessions so far."""
		tmp.wait_for(lambda: sum(s.done.is_set() for s in self.sessions) >= sessions, seconds,
		             f"{sessions} sessions to end (there are {[(s.end, s.commands[-3:]) for s in self.sessions]})")
		self._raise()
		return list(self.sessions)

	@property
	def session(self):
		"""The one session there was."""
		self.wait(1)
		if len(self.sessions) != 1:
			raise AssertionError(f"{len(self.sessions)} sessions, expected one: {[s.commands for s in self.sessions]}")
		return self.sessions[0]

	@property
	def messages(self):
		return [m for s in self.sessions for m in s.messages]

	@property
	def message(self):
		"""The one message there was."""
		self.wait(1)
		if len(self.messages) != 1:
			raise AssertionError(f"{len(self.messages)} messages, expected one")
		return self.messages[0]

	@property
	def lint(self):
		return [f for s in self.sessions for f in s.lint]

	@property
	def wire_text(self):
		"""Every octet the clients sent, for a search for secrets or for commands that must not be there."""
		return b"".join(o for s in self.sessions for _t, who, o in s.log if who == "C") + \
			b"".join(m.wire for m in self.messages) + b"".join(s.extra for s in self.sessions)

	def _raise(self):
		if self.errors:
			raise self.errors[0]

	def stop(self):
		self.stopping.set()
		try:
			self.listener.shutdown(socket.SHUT_RDWR)
		except OSError:
			pass
		self.listener.close()
		for session in list(self.sessions):
			if not session.done.is_set():
				try:
					session.sock.shutdown(socket.SHUT_RDWR)
				except (OSError, ValueError):
					pass
		for thread in self.threads:
			thread.join(5)
		if self._own_directory:
			tmp.remove(self._own_directory)

	def __enter__(self):
		return self

	def __exit__(self, kind, _value, _trace):
		# Let the last words (QUIT) arrive before everything is cut.
		for session in list(self.sessions):
			session.done.wait(0.5 if kind is None else 0)
		self.stop()
		if kind is None:
			self._raise()
		return False


# Hosts that do not answer ----------------------------------------------

def closed_port():
	"""A port on which nothing listens."""
	with socket.socket() as s:
		s.bind(("127.0.0.1", 0))
		return s.getsockname()[1]


class Filtered:
	"""A port that does not answer SYNs: its accept queue is full."""

	def __enter__(self):
		self.listener = socket.socket()
		self.listener.bind(("127.0.0.1", 0))
		self.listener.listen(0)
		self.port = self.listener.getsockname()[1]
		self.fillers = []
		for _ in range(4):
			s = socket.socket()
			s.setblocking(False)
			s.connect_ex(("127.0.0.1", self.port))
			self.fillers.append(s)
		time.sleep(0.05)
		return self

	def __exit__(self, *_):
		for s in self.fillers:
			s.close()
		self.listener.close()


class Recorder:
	"""Accepts connections and records octets; never speaks. To prove that nothing connects: connections == 0."""

	def __init__(self):
		self.listener = socket.socket()
		self.listener.bind(("127.0.0.1", 0))
		self.listener.listen(16)
		self.port = self.listener.getsockname()[1]
		self.connections = 0
		self.octets = b""
		self._held = []
		threading.Thread(target=self._accept, daemon=True).start()

	def _accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			self.connections += 1
			self._held.append(sock)
			threading.Thread(target=self._read, args=(sock,), daemon=True).start()

	def _read(self, sock):
		try:
			while octets := sock.recv(CHUNK):
				self.octets += octets
		except OSError:
			pass

	def __enter__(self):
		return self

	def __exit__(self, *_):
		time.sleep(0.05)
		for sock in self._held + [self.listener]:
			try:
				sock.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
			sock.close()
