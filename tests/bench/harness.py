"""What every benchmark needs: the sink, the meter, round robin, medians, Markdown tables."""
import os
import re
import statistics
import subprocess
import tempfile
import textwrap
import time


class Failure(Exception):
	"""A contestant, or the sink, did not do what it must; no figure is made of that."""


class Place:
	"""Where things are: the programs, and a directory that goes away with the run."""

	def __init__(self, directory, programs, mailchute, python="/usr/bin/python3"):
		self.dir, self.programs, self.mailchute, self.python = directory, programs, mailchute, python
		self.here = os.path.dirname(os.path.abspath(__file__))
		self.ca = os.path.join(directory, "ca")
		self.env = {"PATH": os.environ["PATH"], "HOME": directory, "TMPDIR": directory, "LC_ALL": "C.UTF-8"}

	def file(self, name, data=None):
		path = os.path.join(self.dir, name)
		if data is not None:
			with open(path, "wb") as f:
				f.write(data)
		return path


class Sink:
	"""The sink, for the length of a with block."""

	def __init__(self, place, linger=0, tls=False, more=()):
		self.place = place
		self.log = tempfile.NamedTemporaryFile(dir=place.dir, prefix="sink", suffix=".log")
		self.args = [os.path.join(place.programs, "sink"), "--linger", str(linger), "--log", self.log.name, *more]
		self.told = 0
		if tls:
			self.args += ["--cert", f"{place.ca}/server.pem", "--key", f"{place.ca}/server.key"]

	def __enter__(self):
		self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		self.port = int(self.process.stdout.readline())
		return self

	def __exit__(self, *_):
		self.process.stdin.close()
		self.process.wait()
		self.log.close()

	def sessions(self, settle=0.1):
		"""The sessions that ended, as dictionaries of numbers; a line may follow the client's end."""
		time.sleep(settle)
		with open(self.log.name) as f:
			return [{k: int(v) for k, v in (pair.split("=") for pair in line.split())} for line in f]


	def fresh(self, messages, rcpts=None, ids=None, octets=0):
		"""
		The sessions since this was asked last, once they have so many messages: no more, no fewer; octets: at
		least.
		"""
		for _ in range(100):
			sessions = self.sessions(0.02)[self.told:]
			if sum(s["messages"] for s in sessions) >= messages:
				break
		self.told += len(sessions)
		for what, wanted in (("messages", messages), ("rcpts", rcpts), ("ids", ids)):
			got = sum(s[what] for s in sessions)
			if wanted is not None and got != wanted:
				raise Failure(f"the sink had {got} {what} of {wanted}")
		if sum(s["octets"] for s in sessions) < octets:
			raise Failure(f"the sink had {sum(s['octets'] for s in sessions)} octets of {octets}")
		return sessions

	def cpu(self):
		"""Seconds of processor time that it had so far."""
		with open(f"/proc/{self.process.pid}/stat") as f:
			user, system = f.read().rpartition(")")[2].split()[11:13]
		return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Relay:
	"""The way to a port that takes its time (delay.c), for the length of a with block."""

	def __init__(self, place, port, round_trip):
		micro = str(int(round_trip * 1e6 / 2))
		self.args = [os.path.join(place.programs, "delay"), micro, str(port)]

	def __enter__(self):
		self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		self.port = int(self.process.stdout.readline())
		return self

	def __exit__(self, *_):
		self.process.stdin.close()
		self.process.wait()


class Usage:
	def __init__(self, wall, user, system, peak):
		self.wall, self.user, self.system, self.peak = wall, user, system, peak


def measure(place, command, stdin=None, ok=(0,), patience=1800):
	"""Runs a command whole under the meter, for patience seconds at most. Times in seconds, memory in MiB."""
	result, output = place.file("meter.result"), place.file("meter.output", b"")
	try:
		run = subprocess.run([os.path.join(place.programs, "meter"), result, stdin or "/dev/null", output,
				      *command], env=place.env, cwd=place.dir, timeout=patience)
	except subprocess.TimeoutExpired:
		raise Failure(f"{' '.join(command)[:300]}: not over after {patience} s") from None
	if run.returncode:
		raise Failure(f"the meter could not run {command[0]}: {run.returncode}")
	with open(result) as f:
		wall, user, system, peak, status = map(int, f.read().split())
	if status not in ok:
		with open(output, errors="replace") as f:
			raise Failure(f"{' '.join(command)[:300]}: exit {status}: {f.read(600)}")
	return Usage(wall / 1e6, user / 1e6, system / 1e6, peak / 1024)


def round_robin(place, contestants, rounds, warmup=1):
	"""
	Runs every contestant once a round, so that a slow minute of the machine is everybody's. contestants:
	{name: (command, stdin or None)}. Gives {name: [Usage, ...]} without the warm-up rounds.
	"""
	uses = {name: [] for name in contestants}
	for r in range(rounds + warmup):
		for name, (command, stdin) in contestants.items():
			use = measure(place, command, stdin)
			if r >= warmup:
				uses[name].append(use)
	return uses


def median(values):
	return statistics.median(values)


def spread(values):
	"""The middle half, as text: what the medians are worth."""
	quarters = statistics.quantiles(values, n=4) if len(values) > 3 else [min(values), 0, max(values)]
	return quarters[0], quarters[2]


def instructions(place, command, stdin=None):
	"""What callgrind counts for one run, in millions of instructions; None where there is no valgrind."""
	callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
	try:
		with open(stdin or "/dev/null", "rb") as source:
			run = subprocess.run(callgrind + command, env=place.env, cwd=place.dir, stdin=source,
					     capture_output=True, text=True)
	except FileNotFoundError:
		return None
	found = re.search(r"Collected : (\d+)", run.stderr)
	if run.returncode or not found:
		raise Failure(f"callgrind of {command[0]}: exit {run.returncode}: {run.stderr[-500:]}")
	return int(found.group(1)) / 1e6


def prose(text):
	"""A paragraph, wrapped for RESULTS.md, and the empty line behind it."""
	return textwrap.fill(" ".join(text.split()), 110, break_on_hyphens=False) + "\n\n"


def table(head, rows):
	lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
	return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def version(command):
	"""The first line that a program says of its version."""
	try:
		run = subprocess.run(command, capture_output=True, text=True)
	except FileNotFoundError:
		return None
	return ((run.stdout or run.stderr).splitlines() or [""])[0].strip()
