#!/usr/bin/python3
"""Golden messages: tests/golden/NAME.json is a params file, NAME.eml the exact octets of its message.

What a run decides is fixed: the clock by SOURCE_DATE_EPOCH, the Message-ID by the params or by its form, boundaries
by their form; each is replaced by a text of the same length, so that folding and sizes are what they were.

	tests/e2e/test_golden.py --update [NAME...]     writes the .eml files anew (look at the difference before committing)
"""

import email
import email.policy
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import mc, readers, tap

GOLDEN = os.path.join(mc.TOP, "tests", "golden")
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": "UTC"}

# Whose Message-ID is made by the program.
OWN_ID = ("ready-missing",)

# Files that arrive as they are under their own names.
PLAIN_FILES = ("dot.png", "octets.bin", "empty.bin", "invite.ics", "note.txt", "forwarded-8bit.eml")

# Where a reader's own way differs: GMime names no file for a message and shows U-labels; reformime and mblaze do not
# read a backslash in a quoted string, mblaze no continuations (RFC 2231).
NOT_ASKED = {
	"attachment-messages": (readers.gmime,),
	"attachment-names": (readers.reformime, readers.mblaze),
	"to-idn": (readers.gmime,),
}


def names():
	return sorted(n[:-5] for n in os.listdir(GOLDEN) if n.endswith(".json"))


def compose(name):
	return mc.run("--params", os.path.join(GOLDEN, name + ".json"), "--dry-run", cwd=GOLDEN, env=EPOCH)


def normal(octets, name):
	"""Each boundary of ours by its number, a made Message-ID by zeros: of the same length."""
	seen = {}

	def boundary(m):
		return seen.setdefault(m.group(0), b"=_boundary%018d" % (len(seen) + 1))

	octets = re.sub(rb"=_[a-z2-7]{26}(?![a-z0-9])", boundary, octets)
	if name in OWN_ID:
		octets = re.sub(rb"(?m)^(Message-ID: <)([^@]+)@", lambda m: m.group(1) + b"0" * len(m.group(2)) + b"@", octets)
	return octets


def golden(name):
	with open(os.path.join(GOLDEN, name + ".eml"), "rb") as f:
		return f.read()


class Golden(tap.Case):
	@tap.row("MSG-19", "MSG-03", "MSG-05", "MSG-06", "MSG-09")
	@tap.table(*[(name, name) for name in names()])
	def test_golden(self, name):
		"golden message {0}"
		run = compose(name)
		self.assertEqual(run.code, 0, str(run))
		self.assertEqual(normal(run.stdout, name), golden(name))

	@tap.row("MSG-17")
	@tap.table(*[(name, name) for name in names()])
	def test_read(self, name):
		"golden message {0} as independent readers see it"
		asked = tuple(r for r in readers.READERS if r not in NOT_ASKED.get(name, ()))
		seen = readers.agree(self, golden(name), readers=asked)
		files = [p for p in seen[0].parts if p.filename in PLAIN_FILES]
		for part in files:
			with open(os.path.join(GOLDEN, "files", part.filename), "rb") as f:
				self.assertEqual(readers.Part(part.type, None, None, f.read()).sha256, part.sha256, part)

	@tap.row("MSG-19")
	def test_twice(self):
		"the same params twice: the same octets but for the boundaries"
		for name in ("everything", "recursive", "ready-missing"):
			self.assertEqual(normal(compose(name).stdout, name), normal(compose(name).stdout, name))

	@tap.row("MSG-10")
	def test_boundaries(self):
		"each boundary is new in each run, and of 130 random bits"
		found = set()
		for _ in range(3):
			mine = set(re.findall(rb"=_[a-z2-7]{26}", compose("everything").stdout))
			self.assertEqual(len(mine), 3)
			self.assertFalse(found & mine)
			found |= mine

	@tap.row("MSG-10")
	def test_fed_back(self):
		"a message that holds another run's boundaries is read as one part"
		before = compose("everything").stdout
		run = mc.run("--from=a@example.org", "--subject=x", "--attach={\"text\":\"y\",\"filename\":\"y\"}", "--dry-run",
		             "b@example.org", input=before)
		parts = email.message_from_bytes(run.stdout, policy=email.policy.default).get_payload()
		self.assertEqual(len(parts), 2)
		self.assertEqual(parts[0].get_content().replace("\r\n", "\n").strip(),
		                 before.decode().replace("\r\n", "\n").strip())


def update(chosen):
	for name in chosen or names():
		run = compose(name)
		if run.code:
			sys.exit(str(run))
		with open(os.path.join(GOLDEN, name + ".eml"), "wb") as f:
			f.write(normal(run.stdout, name))


if __name__ == "__main__":
	if "--update" in sys.argv:
		update(sys.argv[sys.argv.index("--update") + 1:])
	else:
		tap.main()
