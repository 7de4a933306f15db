"""How the real MTAs hand over what they deliver: a pipe to a script that writes a file each.

A file is a line with the envelope, words in hexadecimal with NUL between them, then the message as the MTA gave it.
"""

import os
import re

# argv: directory, sender ("-": the environment's SENDER), recipient... Written under another name and renamed, so that who reads the directory
# sees whole files only. A process a message: what it need not import it does not.
FLAGS = "-IS"
SCRIPT = """
import os, sys, time
directory, sender, *rcpts = sys.argv[1:]
sender = os.environ["SENDER"] if sender == "-" else sender
name = "%d.%d" % (time.time_ns(), os.getpid())
with open(os.path.join(directory, ".tmp." + name), "wb") as out:
	out.write(os.fsencode("\\0".join([sender, *rcpts])).hex().encode() + b"\\n")
	out.write(sys.stdin.buffer.read())
os.rename(os.path.join(directory, ".tmp." + name), os.path.join(directory, name))
"""

_RECEIVED = re.compile(rb"Received: (?:.*\n)(?:[ \t].*\n)*")


class Delivery:
	"""sender, rcpts; raw: as delivered, LF line ends and a Received field in front"""

	def __init__(self, path):
		with open(path, "rb") as f:
			self.sender, *self.rcpts = os.fsdecode(bytes.fromhex(f.readline().decode("ascii"))).split("\0")
			self.raw = f.read()

	@property
	def received(self):
		"""The Received field, LF line ends."""
		m = _RECEIVED.match(self.raw)
		return m.group(0).decode() if m else ""

	@property
	def data(self):
		"""The message as it was sent: CRLF line ends, without the Received field."""
		m = _RECEIVED.match(self.raw)
		return self.raw[m.end() if m else 0:].replace(b"\n", b"\r\n")


def deliveries(directory):
	return [Delivery(os.path.join(directory, n)) for n in sorted(os.listdir(directory)) if not n.startswith(".")]


def count(directory):
	return sum(not n.startswith(".") for n in os.listdir(directory))


def forget(directory):
	for name in os.listdir(directory):
		os.unlink(os.path.join(directory, name))
