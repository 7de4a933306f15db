"""Independent readers of message octets, with one view of what they saw.

	for view in readers.views(octets):      # Python's email, reformime (Courier), mblaze, GMime
		view.parts, view.subject ...
	readers.agree(case, octets, subject="hello", to=["b@example.org"],
	              parts=[("text/plain", None, None, b"text\n"), ("image/png", "a.png", "logo@x", png)])

A View: reader; subject (decoded, white space folded); sender, to, cc (lists of addresses); names (the message's
own header field names, lower case; GMime gives the content fields last); parts (leaves in order, a message/rfc822 is one leaf); defects
(what the reader complained of; Python's and GMime's only).
A Part: type, filename, cid (without <>), content (decoded octets; of text with LF line ends and no newline at
the end, for the readers differ in the last one), sha256. A field that a reader cannot tell is readers.UNKNOWN, which
equals anything.
"""

import base64
import email
import email.header
import email.policy
import hashlib
import os
import re
import subprocess

from . import mc, tmp


class _Unknown:
	def __eq__(self, other):
		return True

	def __ne__(self, other):
		return False

	__hash__ = None

	def __repr__(self):
		return "UNKNOWN"


UNKNOWN = _Unknown()


class Part:
	def __init__(self, kind, filename, cid, content):
		self.type, self.filename = kind.lower(), filename or None
		self.cid = cid if cid is UNKNOWN or cid is None else cid.strip("<>")
		if content is not UNKNOWN:
			if self.type.startswith("text/"):
				content = content.replace(b"\r\n", b"\n").rstrip(b"\n")
			self.sha256 = hashlib.sha256(content).hexdigest()
		else:
			self.sha256 = UNKNOWN
		self.content = content

	@property
	def key(self):
		return self.type, self.filename, self.cid, self.sha256

	def __repr__(self):
		size = "?" if self.content is UNKNOWN else len(self.content)
		return f"({self.type} {self.filename!r} cid={self.cid!r} {size} octets)"


class View:
	def __init__(self, reader):
		self.reader = reader
		self.subject, self.sender, self.to, self.cc = "", [], [], []
		self.names, self.parts, self.defects = [], [], []

	@property
	def count(self):
		return len(self.names)

	def __repr__(self):
		return f"{self.reader}: {self.subject!r} {self.sender} {self.to} {self.cc} {self.parts} {self.defects}"


def _squeeze(text):
	return " ".join(text.split())


def _run(*argv, octets=None):
	run = subprocess.run(argv, input=octets, capture_output=True, timeout=120 * mc.SLOW,
	                     env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": mc.home()})
	return run.stdout


# Python ----------------------------------------------------------------

def python(octets):
	view = View("python")
	message = email.message_from_bytes(octets, policy=email.policy.default)
	view.names = [n.lower() for n in message.keys()]
	view.subject = _squeeze(str(message["subject"] or ""))
	for field, into in (("from", view.sender), ("to", view.to), ("cc", view.cc)):
		for header in message.get_all(field, []):
			into += [a.addr_spec for a in header.addresses]
	_python_parts(view, message)
	return view


def _python_parts(view, message):
	todo = [message]
	while todo:
		part = todo.pop(0)
		view.defects += [f"{type(d).__name__}: {d}" for d in part.defects]
		for name, header in part.items():
			view.defects += [f"{name}: {type(d).__name__}: {d}" for d in getattr(header, "defects", ())]
		if part.is_multipart() and part.get_content_maintype() == "multipart":
			todo[:0] = part.get_payload()
			continue
		if part.get_content_maintype() == "message" and part.is_multipart():
			content = UNKNOWN
		else:
			content = part.get_payload(decode=True)
			view.defects += [f"{type(d).__name__}: {d}" for d in part.defects
			                 if "Base64" in type(d).__name__]
		view.parts.append(Part(part.get_content_type(), part.get_filename(), part["content-id"], content or b""
		                       if content is not UNKNOWN else UNKNOWN))


# reformime -------------------------------------------------------------

def reformime(octets):
	view = View("reformime")
	head = re.split(rb"\r?\n\r?\n", octets, 1)[0]
	unfolded = re.sub(rb"\r?\n(?=[ \t])", b"", head)
	# reformime does not list header fields; the names are ours, so that only the parts are its vote.
	view.names = [l.split(b":")[0].strip().lower().decode("ascii", "replace") for l in unfolded.splitlines() if l]
	view.sender = view.to = view.cc = UNKNOWN
	view.subject = UNKNOWN
	for line in unfolded.splitlines():
		if line.lower().startswith(b"subject:"):
			text = _run("reformime", "-c", "utf-8", "-h", line.split(b":", 1)[1].strip().decode("utf-8", "replace"))
			view.subject = _squeeze(text.decode("utf-8", "replace"))
	within = []
	for block in re.split(rb"\n\s*\n", _run("reformime", "-i", octets=octets)):
		fields = dict(l.split(b": ", 1) for l in block.splitlines() if b": " in l)
		section = fields.get(b"section", b"").decode()
		if not section or any(section.startswith(m + ".") for m in within):
			continue
		kind = fields[b"content-type"].decode().lower()
		if kind.startswith("multipart/"):
			continue
		name = fields.get(b"content-disposition-filename") or fields.get(b"content-name")
		cid = fields.get(b"content-id")
		if kind.startswith("message/rfc822"):
			within.append(section)
			content = UNKNOWN
		else:
			content = _run("reformime", "-s", section, "-e", octets=octets)
		view.parts.append(Part(kind, name.decode("utf-8", "replace") if name else None,
		                       cid.decode() if cid else None, content))
	return view


# mblaze ----------------------------------------------------------------

def mblaze(octets):
	view = View("mblaze")
	directory = tmp.directory()
	path = os.path.join(directory, "m.eml")
	try:
		with open(path, "wb") as f:
			f.write(octets)
		view.subject = _squeeze(_run("mhdr", "-d", "-h", "subject", path).decode("utf-8", "replace"))
		for field in ("from", "to", "cc"):
			found = _run("maddr", "-a", "-h", field, path).decode("utf-8", "replace").split("\n")
			setattr(view, "sender" if field == "from" else field, [a for a in found if a])
		view.names = [l.split(":")[0].lower() for l in _run("mhdr", path).decode("utf-8", "replace").splitlines()]
		_mblaze_parts(view, path)
	finally:
		tmp.remove(directory)
	return view


def _mblaze_parts(view, path):
	inside = None
	for line in _run("mshow", "-t", path).decode("utf-8", "replace").split("\n")[1:]:
		m = re.match(r'( *)(\d+): (\S+) size=(\d+)(?: name="(.*)")?\Z', line)
		if not m:
			continue
		depth = len(m.group(1))
		if inside is not None and depth > inside:
			continue
		inside = None
		kind = m.group(3).lower()
		if kind.startswith("multipart/"):
			continue
		if kind == "message/rfc822":
			inside, content = depth, UNKNOWN
		else:
			content = _run("mshow", "-O", path, m.group(2))
		view.parts.append(Part(kind, m.group(5), UNKNOWN, content))


# GMime -----------------------------------------------------------------

_gmime_program = None


def _gmime_path():
	"""Built by meson; a test run by hand builds it where nobody else sees it."""
	global _gmime_program
	if _gmime_program is None:
		for build in (os.environ.get("MC_BUILD"), os.path.join(mc.TOP, "build")):
			path = os.path.join(build or "", "tests", "gmime_reader")
			if build and os.access(path, os.X_OK):
				_gmime_program = path
				return path
		path = os.path.join(tmp.directory(), "gmime_reader")
		flags = subprocess.run(["pkg-config", "--cflags", "--libs", "gmime-3.0"], check=True, capture_output=True,
		                       text=True).stdout.split()
		subprocess.run(["cc", "-o", path, os.path.join(os.path.dirname(__file__), "gmime_reader.c"), *flags], check=True)
		_gmime_program = path
	return _gmime_program


def _unescape(text):
	return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)), text)


def gmime(octets):
	view = View("gmime")
	for line in _run(_gmime_path(), octets=octets).decode("utf-8", "surrogateescape").split("\n"):
		kind, *fields = [_unescape(f) for f in line.split("\t")]
		if kind == "subject":
			view.subject = _squeeze(fields[0])
		elif kind == "address":
			getattr(view, "sender" if fields[0] == "from" else fields[0]).append(fields[1])
		elif kind == "header":
			view.names.append(fields[0].lower())
		elif kind == "warning":
			view.defects.append(f"warning {fields[0]} at {fields[1]}: {fields[2]}")
		elif kind == "part":
			content = UNKNOWN if fields[0].lower() == "message/rfc822" else base64.b64decode(fields[4])
			view.parts.append(Part(fields[0], fields[1], fields[2] or None, content))
	return view


# A file name that is not ASCII is given twice, plain and by RFC 2231, for readers that know only the first.
BY_DESIGN = re.compile(r"Content-(?:Type|Disposition): InvalidHeaderDefect: duplicate parameter name|"
                       r"warning 11 at \d+: (?:file)?name\Z", re.I)

READERS = (python, reformime, mblaze, gmime)


def views(octets, readers=READERS):
	return [reader(octets) for reader in readers]


def agree(case, octets, subject=None, sender=None, to=None, cc=None, parts=None, defects=False, readers=READERS):
	"""Assert that each reader sees the same, and what is given. @parts: (type, filename, cid, octets) in order.

	Returns the views. @defects: defects are allowed."""
	seen = views(octets, readers)
	first = seen[0]
	for view in seen:
		who = f"{view.reader} (others: {seen})"
		case.assertEqual(sorted(view.names), sorted(first.names), who)
		case.assertEqual([p.key for p in view.parts], [p.key for p in first.parts], who)
		case.assertTrue(view.subject == first.subject, who)
		for field in ("sender", "to", "cc"):
			case.assertTrue(getattr(view, field) == getattr(first, field), f"{field}: {who}")
		if not defects:
			case.assertEqual([d for d in view.defects if not BY_DESIGN.match(d)], [], who)
		for field, wanted in (("subject", subject), ("sender", sender), ("to", to), ("cc", cc)):
			if wanted is not None:
				case.assertTrue(getattr(view, field) == wanted, f"{field} is not {wanted!r}: {who}")
		if parts is not None:
			case.assertEqual([p.key for p in view.parts], [Part(*p).key for p in parts], who)
	return seen
