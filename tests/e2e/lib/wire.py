"""The wire lint: what a client must never put on the wire, found in what it did put there.

fake.py feeds every session to a Lint; `session.lint` is the list of its findings, empty for a clean client.
A finding is a sentence that begins with its kind:

	bare CR / bare LF / NUL           RFC 5321, 2.3.8 and 4.5.2
	long line                         text line over 998 octets and CRLF (RFC 5322, 2.1.1; RFC 5321, 4.5.3.1.6)
	long command                      RFC 5321, 4.5.3.1.4, with what each extension adds
	unannounced 8-bit                 8-bit text without BODY=8BITMIME, 8-bit header fields without SMTPUTF8,
	                                  8-bit octets in a command without SMTPUTF8
	grammar                           RFC 5321, 4.1.2 and each extension's parameters
	not offered                       a parameter or command the last EHLO did not announce
	sequence                          MAIL before EHLO, RCPT before MAIL, MAIL within a transaction ...
	lock step                         octets sent before a reply they had to wait for (RFC 2920, 3.1; a client
	                                  that speaks before the greeting)
	size                              SIZE= differs from the message's octets (RFC 1870: un-stuffed, with every CRLF,
	                                  without the final dot line)
	dot                               a line of data that begins with one un-stuffed dot

It is also a command: `python3 wire.py FILE` lints a file of message data as received (dot-stuffed, ended by
CRLF.CRLF); `--plain` takes it as not stuffed.
"""

import re
import sys

# RFC 5321, 4.1.2 and 4.1.3.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
UATOM = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[\u0080-\U0010ffff])"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
ULABEL = r"(?:[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?)"
DOMAIN = rf"{LABEL}(?:\.{LABEL})*"
UDOMAIN = rf"{ULABEL}(?:\.{ULABEL})*"
LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+|[A-Za-z0-9-]*[A-Za-z0-9]:[\x21-\x5a\x5e-\x7e]+)\]"
QUOTED = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"'
UQUOTED = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*"'
MAILBOX = re.compile(rf"(?P<local>{ATOM}+(?:\.{ATOM}+)*|{QUOTED})(?:@(?P<domain>{DOMAIN}|{LITERAL}))?\Z")
UMAILBOX = re.compile(rf"(?P<local>{UATOM}+(?:\.{UATOM}+)*|{UQUOTED})(?:@(?P<domain>{UDOMAIN}|{LITERAL}))?\Z")
HELO_NAME = re.compile(rf"(?:{DOMAIN}|{LITERAL})\Z")
XTEXT = r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})"     # RFC 3461, 4

MAIL_PARAMS = {
	"SIZE": ("SIZE", re.compile(r"\d{1,20}\Z"), 26),
	"BODY": ("8BITMIME", re.compile(r"(?:7BIT|8BITMIME|BINARYMIME)\Z", re.I), 17),
	"SMTPUTF8": ("SMTPUTF8", None, 10),
	"RET": ("DSN", re.compile(r"(?:FULL|HDRS)\Z", re.I), 8),
	"ENVID": ("DSN", re.compile(rf"{XTEXT}{{1,100}}\Z"), 107),
	"AUTH": ("AUTH", re.compile(rf"(?:<>|{XTEXT}+)\Z"), 500),
	"REQUIRETLS": ("REQUIRETLS", None, 11),
	"MT-PRIORITY": ("MT-PRIORITY", re.compile(r"-?\d\Z"), 15),
}
RCPT_PARAMS = {
	"NOTIFY": ("DSN", re.compile(r"(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})\Z", re.I),
	           28),
	"ORCPT": ("DSN", re.compile(rf"[A-Za-z0-9-]+;(?:{XTEXT}+|[^\x00-\x20+=]+)\Z"), 500),
}
PATHS = {k: re.compile(rf"{k}:<((?:{UQUOTED}|[^<>\"])*)>(?: (.*))?\Z", re.I) for k in ("FROM", "TO")}
PLAIN_COMMANDS = ("DATA", "RSET", "QUIT", "STARTTLS", "NOOP", "HELP", "VRFY", "EXPN")
# RFC 2920, 3.1: these can only be the last command of a group (AUTH and STARTTLS by their own RFCs).
LAST_OF_GROUP = ("EHLO", "HELO", "LHLO", "DATA", "VRFY", "EXPN", "TURN", "QUIT", "NOOP", "STARTTLS", "AUTH")


class Lint:
	"""@lmtp, @bare_local: an address without a domain is allowed (a server of the same host)."""

	def __init__(self, lmtp=False, bare_local=True):
		self.found = []
		self.lmtp, self.bare_local = lmtp, bare_local
		self.offered = set()
		self.greeted = self.in_mail = self.refused = False
		self.rcpts = 0
		self.body, self.utf8, self.size = "7BIT", False, None

	def say(self, kind, text):
		finding = f"{kind}: {text}"
		if len(self.found) < 50:
			self.found.append(finding)

	# Capabilities ------------------------------------------------------

	def ehlo_reply(self, keywords):
		self.offered = {k.split()[0].split("=")[0].upper() for k in keywords if k.split()}
		self.greeted = True
		self.reset()

	def reset(self):
		self.in_mail, self.rcpts = False, 0
		self.body, self.utf8, self.size = "7BIT", False, None

	def mail_refused(self):
		"""RCPT and DATA that were pipelined behind a refused MAIL are in sequence."""
		self.reset()
		self.refused = "PIPELINING" in self.offered

	# Commands ----------------------------------------------------------

	def command(self, line):
		"""One command line as received, its line end included. Returns (verb, argument) as text."""
		if not line.endswith(b"\r\n"):
			self.say("bare LF", f"the command {line[:80]!r} does not end with CRLF")
		text = line.rstrip(b"\r\n")
		self._octets(text, f"command {text[:80]!r}")
		string = text.decode("utf-8", "surrogateescape")
		verb, _, argument = string.partition(" ")
		verb = verb.upper()
		limit = 512
		if not string.isascii() and verb not in ("MAIL", "RCPT", "VRFY", "EXPN"):
			self.say("unannounced 8-bit", f"in {verb}")
		if verb in ("EHLO", "HELO", "LHLO"):
			self._hello(verb, argument)
		elif verb == "MAIL":
			limit = self._mail(argument)
		elif verb == "RCPT":
			limit = self._rcpt(argument)
		elif verb == "AUTH":
			limit = 12288                           # RFC 4954, 4
			if not re.match(r"[A-Z0-9_-]{1,20}(?: (?:=|[A-Za-z0-9+/]+={0,2}))?\Z", argument):
				self.say("grammar", "AUTH with a malformed mechanism or initial response")
			if "AUTH" not in self.offered:
				self.say("not offered", "AUTH")
			if self.in_mail:
				self.say("sequence", "AUTH within a transaction")
		elif verb == "BDAT":
			if not re.match(r"\d+(?: LAST)?\Z", argument, re.I):
				self.say("grammar", f"BDAT {argument!r}")
			if "CHUNKING" not in self.offered:
				self.say("not offered", "BDAT")
		elif verb in PLAIN_COMMANDS:
			self._plain(verb, argument)
		else:
			self.say("grammar", f"unknown command {string[:80]!r}")
		if len(text) + 2 > limit:
			self.say("long command", f"{verb} of {len(text) + 2} octets, at most {limit}")
		return verb, argument

	def auth_line(self, line):
		"""A line of a SASL exchange."""
		text = line.rstrip(b"\r\n")
		if not line.endswith(b"\r\n"):
			self.say("bare LF", "a SASL response does not end with CRLF")
		if text != b"*" and not re.match(rb"[A-Za-z0-9+/]*={0,2}\Z", text):
			self.say("grammar", "a SASL response that is not base64")
		if len(text) + 2 > 12288:
			self.say("long command", f"SASL response of {len(text) + 2} octets")

	def sent_ahead(self, verb, what):
		"""@what (bytes) stood in the receive buffer when the reply to @verb was still to be written."""
		if verb == "CONNECT":
			self.say("lock step", f"spoke before the greeting: {what[:60]!r}")
		elif verb in LAST_OF_GROUP and verb != "QUIT":
			self.say("lock step", f"octets behind {verb} before its reply: {what[:60]!r}")
		elif verb == "QUIT":
			self.say("lock step", f"octets behind QUIT: {what[:60]!r}")
		elif "PIPELINING" not in self.offered:
			self.say("lock step", f"PIPELINING was not offered, octets behind {verb}: {what[:60]!r}")

	def _octets(self, text, where):
		if b"\0" in text:
			self.say("NUL", f"in {where}")
		if b"\r" in text:
			self.say("bare CR", f"in {where}")
		if b"\n" in text:
			self.say("bare LF", f"in {where}")

	def _hello(self, verb, name):
		if not HELO_NAME.match(name):
			self.say("grammar", f"{verb} name {name!r} is neither a domain nor an address literal")
		if len(name) > 255:
			self.say("grammar", f"{verb} name of {len(name)} octets")
		if (verb == "LHLO") != self.lmtp:
			self.say("grammar", f"{verb} to {'an LMTP' if self.lmtp else 'an SMTP'} server")
		if self.in_mail:
			self.say("sequence", f"{verb} within a transaction")

	def _plain(self, verb, argument):
		if argument and verb in ("DATA", "RSET", "QUIT", "STARTTLS"):
			self.say("grammar", f"{verb} takes no argument")
		if verb == "DATA" and not self.in_mail and not self.refused:
			self.say("sequence", "DATA before MAIL")
		if verb == "DATA" and self.in_mail and not self.rcpts:
			self.say("sequence", "DATA before RCPT")
		if verb == "STARTTLS":
			if "STARTTLS" not in self.offered:
				self.say("not offered", "STARTTLS")
			if self.in_mail:
				self.say("sequence", "STARTTLS within a transaction")
		if verb == "RSET":
			self.reset()
			self.refused = False

	def _path(self, verb, argument, keyword):
		"""Split 'FROM:<path> params'; returns (path text, list of (name, value)) or None."""
		m = PATHS[keyword].match(argument)
		if not m:
			self.say("grammar", f"{verb} {argument[:120]!r}")
			return None
		params = []
		for word in (m.group(2).split(" ") if m.group(2) is not None else []):
			p = re.match(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=]+))?\Z", word)
			if not p:
				self.say("grammar", f"{verb} parameter {word!r}")
				continue
			params.append((p.group(1).upper(), p.group(2)))
		if len({name for name, _ in params}) != len(params):
			self.say("grammar", f"{verb} with a parameter given twice")
		return m.group(1), params

	def _params(self, verb, params, known):
		extra = 0
		for name, value in params:
			if name not in known:
				self.say("not offered", f"{verb} parameter {name}")
				continue
			keyword, grammar, length = known[name]
			extra += length
			if keyword not in self.offered:
				self.say("not offered", f"{verb} parameter {name} without {keyword}")
			if grammar is None and value is not None:
				self.say("grammar", f"{name} takes no value")
			elif grammar is not None and (value is None or not grammar.match(value)):
				self.say("grammar", f"{name}={value}")
		return extra

	def _mailbox(self, verb, path, null_allowed):
		if not path:
			if not null_allowed:
				self.say("grammar", f"{verb} with an empty path")
			return
		m = (UMAILBOX if self.utf8 else MAILBOX).match(path)
		if not m:
			eight = any(ord(c) > 127 for c in path)
			self.say("unannounced 8-bit" if eight and not self.utf8 else "grammar", f"{verb} mailbox {path[:120]!r}")
			return
		octets = path.encode("utf-8", "surrogateescape")
		if len(octets) + 2 > 256:
			self.say("grammar", f"{verb} path of {len(octets) + 2} octets, at most 256")
		if len(m.group("local").encode("utf-8", "surrogateescape")) > 64:
			self.say("grammar", f"{verb} local part over 64 octets")
		domain = m.group("domain")
		if domain is None and not self.bare_local and path.lower() != "postmaster":
			self.say("grammar", f"{verb} mailbox without a domain {path!r}")
		if domain and len(domain.encode("utf-8", "surrogateescape")) > 255:
			self.say("grammar", f"{verb} domain over 255 octets")
		if domain and len(domain) > 63 and not domain.startswith("[") and any(len(l) > 63 for l in domain.split(".")):
			self.say("grammar", f"{verb} domain label over 63 octets")

	def _mail(self, argument):
		if not self.greeted:
			self.say("sequence", "MAIL before EHLO")
		if self.in_mail:
			self.say("sequence", "MAIL within a transaction")
		self.reset()
		self.in_mail, self.refused = True, False
		split = self._path("MAIL", argument, "FROM")
		if split is None:
			return 512
		path, params = split
		values = dict(params)
		self.utf8 = "SMTPUTF8" in values
		self.body = (values.get("BODY") or "7BIT").upper()
		if (values.get("SIZE") or "").isdigit():
			self.size = int(values["SIZE"])
		self._mailbox("MAIL", path, True)
		return 512 + self._params("MAIL", params, MAIL_PARAMS)

	def _rcpt(self, argument):
		if not self.in_mail and not self.refused:
			self.say("sequence", "RCPT before MAIL")
		self.rcpts += 1
		split = self._path("RCPT", argument, "TO")
		if split is None:
			return 512
		self._mailbox("RCPT", split[0], False)
		# RFC 3461, 5.1: both parameters of DSN together add 500 octets.
		return 512 + (500 if self._params("RCPT", split[1], RCPT_PARAMS) else 0)

	# Message data ------------------------------------------------------

	def data(self, wire, stuffed=True, complete=True):
		"""The octets between DATA's 354 and the final dot line (not included); all lines end with CRLF."""
		self.data_octets(wire, stuffed)
		if not complete:
			return
		if wire and not wire.endswith(b"\r\n"):
			self.say("bare LF", "the last line does not end with CRLF")
		octets = len(unstuff(wire)) if stuffed else len(wire)
		if self.size is not None and self.size != octets:
			self.say("size", f"SIZE={self.size} and {octets} octets")
		self.reset()

	def data_octets(self, wire, stuffed=True):
		if b"\0" in wire:
			self.say("NUL", f"at octet {wire.index(0)} of the message")
		# To count is an order faster than to search, and the messages are long. A search then only finds the place.
		pairs = wire.count(b"\r\n")
		if wire.count(b"\r") != pairs:
			m = re.search(rb"\r(?!\n)", wire)
			if m.start() != len(wire) - 1:
				self.say("bare CR", f"at octet {m.start()} of the message: {_around(wire, m.start())}")
		if wire.count(b"\n") != pairs:
			m = re.search(rb"(?<!\r)\n", wire)
			self.say("bare LF", f"at octet {m.start()} of the message: {_around(wire, m.start())}")
		longest = max((len(l) for l in wire.split(b"\r\n")), default=0)
		# A stuffing dot does not count (RFC 5321, 4.5.3.1.6).
		if longest > 998:
			for number, line in enumerate(wire.split(b"\r\n"), 1):
				if len(line) - (stuffed and line.startswith(b"..")) > 998:
					self.say("long line", f"line {number} of the message has {len(line)} octets")
					break
		if not wire.isascii():
			head, _, body = wire.partition(b"\r\n\r\n")
			if not head.isascii() and not self.utf8:
				self.say("unannounced 8-bit", f"header field without SMTPUTF8: {_first_8bit(head)}")
			if not body.isascii() and self.body != "8BITMIME":
				self.say("unannounced 8-bit", f"text without BODY=8BITMIME: {_first_8bit(body)}")
		if stuffed and (wire.count(b"\r\n.") != wire.count(b"\r\n..") or wire[:1] == b"." != wire[1:2]):
			m = re.search(rb"(?:\A|\r\n)\.(?!\.)", wire)
			if m.end() != len(wire):
				self.say("dot", f"an un-stuffed dot at octet {m.end() - 1}: {_around(wire, m.end())}")


def unstuff(wire):
	"""Message octets from the wire's (RFC 5321, 4.5.2)."""
	if wire.startswith(b"."):
		wire = wire[1:]
	return wire.replace(b"\r\n.", b"\r\n")


def _around(wire, at):
	return repr(wire[max(0, at - 20):at + 20])


def _first_8bit(text):
	at = next(i for i, c in enumerate(text) if c > 127)
	return f"at octet {at}: {_around(text, at)}"


def message(octets, eightbit=False, utf8=False):
	"""Lint a whole message that is not on a wire (--output); returns the findings."""
	lint = Lint()
	lint.body, lint.utf8 = ("8BITMIME" if eightbit else "7BIT"), utf8
	lint.data(octets, stuffed=False)
	return lint.found


def main():
	plain = "--plain" in sys.argv
	bad = False
	for path in (a for a in sys.argv[1:] if not a.startswith("-")):
		with open(path, "rb") as f:
			octets = f.read()
		lint = Lint()
		if not plain and octets.endswith(b"\r\n.\r\n"):
			octets = octets[:-3]
		lint.data(octets, stuffed=not plain)
		for finding in lint.found:
			print(f"{path}: {finding}")
			bad = True
	sys.exit(bad)


if __name__ == "__main__":
	main()
