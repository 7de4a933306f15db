"""
The benchmarks of many messages: over kept sessions to the sink, far away, to a real Postfix; and the merge.

Numbers of messages are chosen for each contestant so that a trial lasts some seconds (BENCH_BATCH_SECONDS), and
rounds go in turn. The server counts: a trial that did not bring exactly its messages fails the benchmark.
"""
import contextlib
import csv
import glob
import json
import os
import subprocess
import sys
import time

import contestants as who
from harness import Failure, Relay, Sink, measure, median, prose, spread, table

ROUNDS = int(os.environ.get("BENCH_BATCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_BATCH_SECONDS", "2"))
ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
PATIENCE = 60 + 20 * SECONDS	# seconds of a trial: what hangs is a failure
JOBS_MAX = 400 << 20		# octets of a file of jobs
BASE = "smtp-source -d"
TO = "r@example.org"
ROUND_TRIP, WINDOW = 0.05, 64


def is_there(place, option):
	"""Whether this mailchute has the option: the others are measured without it."""
	run = subprocess.run([place.mailchute, "--help"], env=place.env, capture_output=True, text=True)
	return option in run.stdout + run.stderr


class Entry:
	"""A contestant in one place: where it sends, how many messages a trial has, and its trials so far."""

	def __init__(self, name, command, size, sink, proof, port=None, distinct=True):
		self.name, self.command, self.sink, self.proof, self.port = name, command, sink, proof, port
		self.size, self.distinct = size, distinct
		self.messages, self.uses, self.sink_cpu, self.sessions = 0, [], [], set()

	def trial(self, place, messages, sink, port=None):
		"""One run, counted. The sink's share of the processor is known too."""
		command, before = self.command(port or self.port or sink.port, messages), sink.cpu()
		use = measure(place, command, patience=PATIENCE)
		try:
			proved = self.distinct and sink is self.proof
			sessions = sink.fresh(messages, messages, messages if proved else None, messages * self.size)
		except Failure as failure:
			raise Failure(f"{self.name}: {failure}") from None
		return use, (sink.cpu() - before) / messages, len(sessions)

	def calibrate(self, place, seconds, most):
		"""Chooses the number of messages; every trial of this is proved by the sink that knows Message-IDs."""
		n = 20
		while True:
			use, _, _ = self.trial(place, n, self.proof)
			if use.wall >= seconds * 0.7 or n >= most:
				break
			n = min(most, n * 20, max(2 * n, int(n * seconds / use.wall)))
		self.messages = rounded(min(most, max(20, n * seconds / use.wall)))

	def run(self, place):
		use, cpu, sessions = self.trial(place, self.messages, self.sink)
		self.uses.append(use)
		self.sink_cpu.append(cpu)
		self.sessions.add(sessions)

	def rates(self):
		return [self.messages / u.wall for u in self.uses]

	def cpu(self):
		return median([u.user + u.system for u in self.uses]) / self.messages


def rounded(n):
	"""To two digits, so that the same file of jobs does for many."""
	unit = 10 ** max(0, len(str(int(n))) - 2)
	return int(n) // unit * unit


def number(x):
	return f"{x:.0f}" if x >= 100 else f"{x:.1f}"


def in_turn(place, entries, rounds):
	for _ in range(rounds):
		for e in entries:
			e.run(place)


RATE_HEAD = ["sender", "messages/s", "middle half", f"to {BASE}", "messages", "sessions", "CPU us/message", "peak MiB"]


def rate_rows(entries, base=BASE):
	bases = [median(e.rates()) for e in entries if e.name == base]
	rows = []
	for e in entries:
		rates = e.rates()
		low, high = spread(rates)
		seen = sorted(e.sessions)
		rows.append([e.name, number(median(rates)), f"{number(low)} to {number(high)}",
			     f"{median(rates) / bases[0]:.2f}" if bases else "-", e.messages,
			     "-" if not seen else seen[0] if len(seen) == 1 else f"{seen[0]} to {seen[-1]}",
			     f"{e.cpu() * 1e6:.0f}", f"{max(u.peak for u in e.uses):.1f}"])
	return rows


def forget_jobs(place):
	for path in glob.glob(place.file("jobs.*")):
		os.unlink(path)


# Many messages over kept sessions, to the sink.

SINKS = (), ("--chunking",), ("--quick-ack",)


def batch_entries(place, sessions, size, sinks):
	"""Ours first. sinks: by (option, proof)."""
	bind = lambda f, more=None: (lambda port, n: f(place, port, sessions, n, size, TO, *([more] if more else [])))
	plain, chunking, quick = [(sinks[o, False], sinks[o, True]) for o in SINKS]
	entries = []
	if is_there(place, "--batch"):
		ours = who.mailchute_batch
		entries += [Entry("mailchute, CHUNKING", bind(ours), size, *chunking),
			    Entry("mailchute, DATA", bind(ours), size, *plain),
			    Entry("mailchute, --window 1", bind(ours, ["--window", "1"]), size, *chunking)]
	for name, f in who.batches(place).items():
		entries.append(Entry(name, bind(f), size, *plain, distinct=f is not who.msmtp_each))
		if f in (who.nodemailer_batch, who.msmtp_each):
			entries.append(Entry(f"{name}, no ACK delayed", bind(f), size, *quick,
					     distinct=f is not who.msmtp_each))
	return entries


def batch_cell(place, sessions, size):
	with contextlib.ExitStack() as stack:
		sinks = {(o, p): stack.enter_context(Sink(place, more=["--eager", *o, *["--ids"] * p]))
			 for o in SINKS for p in (False, True)}
		entries = batch_entries(place, sessions, size, sinks)
		for e in entries:
			e.calibrate(place, SECONDS, rounded(JOBS_MAX / (size + 200)))
		os.sync()	# the files of jobs are not to be written while others are measured
		in_turn(place, entries, ROUNDS)
	forget_jobs(place)
	rows = [row[:-1] + [f"{median(e.sink_cpu) * 1e6:.0f}", row[-1]] for row, e in zip(rate_rows(entries), entries)]
	return table(RATE_HEAD[:-1] + ["sink's", RATE_HEAD[-1]], rows)


def note_missing(place, option="--batch"):
	return "" if is_there(place, option) else prose(f"This mailchute has no {option}: only the others were measured.")


def bench_batch(place):
	text = prose(f"""Messages a second to the sink on loopback, by the number of sessions and the size of the text;
		whole processes, {ROUNDS} rounds in turn, each trial with so many messages that it lasts about
		{SECONDS:g} s. Every message was counted by the sink, in every trial. mailchute: `--batch` with a file of
		JSON Lines, `--workers` as there are sessions, to a sink that offers CHUNKING (BDAT, 64 messages unanswered,
		or 1 with `--window 1`) and to one that does not (DATA, the next envelope with the dot). The others use
		DATA, a reply for each command. smtp-source sends the same text each time, and smtplib a ready message
		with a number in it (ten sessions: ten processes); mailchute and nodemailer compose each message. msmtp is
		started for each message, so many at a time as there are sessions. nodemailer and msmtp write a message in
		pieces without TCP_NODELAY, and so wait for the server's delayed ACK with each, as they do for Postfix's;
		so they are measured with a sink that delays none, too. Where a trial has few messages, CPU times have
		the program's start in them. Ratios are of rates: above 1 is
		faster.""") + note_missing(place)
	for size, label in ((1000, "1 KB"), (50000, "50 KB")):
		for sessions in (1, 10):
			print(f"bench: batch: {label}, sessions {sessions}", file=sys.stderr, flush=True)
			text += f"{label}, {sessions} session{'s' * (sessions > 1)}:\n\n"
			text += batch_cell(place, sessions, size) + "\n\n"
	return text.rstrip()


# One session, far away.

def delay_entries(place, sinks, relays):
	"""Each with the messages a second that its way of sending allows it there; None: as it comes."""
	seconds = SECONDS * 5
	bind = lambda f: (lambda port, n: f(place, port, 1, n, 1000, TO))
	entries = []
	def add(name, f, chunking, allowed, expected):
		e = Entry(name, bind(f), 1000, sinks[chunking], sinks[chunking], relays[chunking].port)
		e.allowed, e.messages = allowed, rounded(max(10, expected * seconds))
		entries.append(e)
	if is_there(place, "--batch"):
		add("mailchute, CHUNKING", who.mailchute_batch, True, WINDOW / ROUND_TRIP, WINDOW / ROUND_TRIP)
		add("mailchute, DATA", who.mailchute_batch, False, 1 / ROUND_TRIP, 1 / ROUND_TRIP)
	for name, f in who.batches(place).items():
		if f is not who.msmtp_each:
			add(name, f, False, None, 1 / ROUND_TRIP / 4)
	return entries


def bench_delay(place):
	with contextlib.ExitStack() as stack:
		sinks = {c: stack.enter_context(Sink(place, more=["--eager", "--ids"] + ["--chunking"] * c))
			 for c in (False, True)}
		relays = {c: stack.enter_context(Relay(place, sinks[c].port, ROUND_TRIP)) for c in (False, True)}
		entries = delay_entries(place, sinks, relays)
		in_turn(place, entries, 3 if ROUNDS > 3 else ROUNDS)
	forget_jobs(place)
	base = [median(e.rates()) for e in entries if e.name == "smtplib"]
	rows = []
	for e in entries:
		rate = median(e.rates())
		low, high = spread(e.rates())
		rows.append([e.name, number(rate), f"{number(low)} to {number(high)}",
			     f"{rate / e.allowed * 100:.0f} % of {e.allowed:.0f}" if e.allowed else "-",
			     f"{rate / base[0]:.1f}", e.messages, f"{e.cpu() * 1e6:.0f}"])
	return prose(f"""One session to the sink by a relay of our own (delay.c) that hands every octet on
		{ROUND_TRIP * 500:g} ms after it came, both ways: a round trip is {ROUND_TRIP * 1e3:g} ms. Texts of 1 KB;
		whole processes, so with the round trips that opening and QUIT take. What a window allows:
		with DATA one message a round trip, the replies to the dot and to the next DATA coming together; with
		CHUNKING {WINDOW} (`--window`'s default). Ratios are of rates: above 1 is faster.""") + \
		note_missing(place) + \
		table(["sender", "messages/s", "middle half", "of what the window allows", "to smtplib", "messages",
		       "CPU us/message"], rows)


# A real Postfix.

class Postfix:
	"""The tests' own Postfix, which discards all. Counts what it discarded."""

	SETTINGS = "smtpd_tls_security_level = none\nin_flow_delay = 0\n"

	def __init__(self):
		sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
		from lib import postfix
		if not postfix.available():
			raise Failure("no Postfix here, or not root")
		self.server, self.read_to = postfix.Server(settings=self.SETTINGS), 0

	def __enter__(self):
		self.server.__enter__()
		return self

	def __exit__(self, *_):
		return self.server.__exit__()

	def delivered(self):
		"""How many were discarded since this was asked last."""
		with open(self.server.logfile, "rb") as f:
			f.seek(self.read_to)
			text = f.read()
		whole = text[:text.rfind(b"\n") + 1]
		self.read_to += len(whole)
		return whole.count(b"status=sent (")

	def fresh(self, messages, *_):
		"""Waits until all of a trial are through, so that the next one has the machine for itself."""
		got, end = 0, time.monotonic() + 120
		while got < messages and time.monotonic() < end:
			time.sleep(0.1)
			got += self.delivered()
		time.sleep(0.3)
		got += self.delivered()
		if got != messages:
			raise Failure(f"Postfix delivered {got} messages of {messages}")
		return []

	def cpu(self):
		return 0.0


class PostfixEntry(Entry):
	def run(self, place):
		use, _, _ = self.trial(place, self.messages, self.sink)
		self.uses.append(use)


def postfix_cell(place, mta, sessions):
	bind = lambda f: (lambda port, n: f(place, port, sessions, n, 1000, "r@bulk.example"))
	entries = []
	def add(name, f, port):
		entries.append(PostfixEntry(name, bind(f), 1000, mta, mta, port))
	if is_there(place, "--batch"):
		add("mailchute, CHUNKING", who.mailchute_batch, mta.server.port)
		add("mailchute, DATA", who.mailchute_batch, mta.server.old)
	for name, f in who.batches(place).items():
		if f is not who.msmtp_each:
			add(name, f, mta.server.port)
	for e in entries:
		e.calibrate(place, SECONDS, 20000)
	os.sync()
	in_turn(place, entries, ROUNDS)
	forget_jobs(place)
	drop = RATE_HEAD.index("sessions")
	without = lambda row: [*row[:drop], *row[drop + 1:]]
	return table(without(RATE_HEAD), [without(row) for row in rate_rows(entries)])


def bench_postfix(place):
	text = prose(f"""Messages a second that a real Postfix took, with its queue on this machine's disk and its
		discard transport behind it; texts of 1 KB, {ROUNDS} rounds in turn, trials of about {SECONDS:g} s. It is
		the tests' own, with TLS and in_flow_delay off; DATA: on a port of it that offers no CHUNKING. Each trial
		waits until Postfix has logged every message as sent, not counted in the time. Ratios are of rates: above
		1 is faster.""") + note_missing(place)
	with Postfix() as mta:
		for sessions in (1, 10):
			print(f"bench: postfix: sessions {sessions}", file=sys.stderr, flush=True)
			text += f"{sessions} session{'s' * (sessions > 1)}:\n\n" + postfix_cell(place, mta, sessions) + "\n\n"
	return text.rstrip()


# Mail merge.

CITIES = ("Berlin", "Reykjavík", "São Paulo", "Kraków", "New York", "Zürich", "Oslo", "Aix-en-Provence")
LETTER = """Dear {{name}},

thank you for your order. The amount of {{amount}} EUR was booked today, and the goods are on
their way to {{city}}. We write to {{email}} because that is the address you gave us.

""" + "\n".join("Line %d of the terms, which nobody reads, though they are here and take their room." % i
		for i in range(1, 11)) + """

With kind regards to you, {{name}},
the shop
"""


def merge_files(place, rows):
	"""The rows and the template; and the size of the text."""
	data, template = place.file(f"rows{rows}.csv"), place.file("template.json")
	with open(data, "w", newline="", encoding="utf-8") as f:
		out = csv.writer(f)
		out.writerow(["name", "email", "amount", "city"])
		out.writerows([f"Person {i}", f"p{i}@example.org", f"{i % 1000}.{i % 100:02}", CITIES[i % len(CITIES)]]
			      for i in range(rows))
	place.file("template.json", json.dumps({"from": who.SENDER, "to": "{{name}} <{{email}}>",
						"subject": "Your order, {{name}}", "body": LETTER}).encode())
	os.chmod(template, 0o600)
	return data, template


def merge_proof(place):
	"""The same to the sink, fewer: each row is a message of its own there."""
	data, template = merge_files(place, 1000)
	with Sink(place, more=["--eager", "--ids"]) as sink:
		measure(place, [place.mailchute, "--data", data, "--params", template, "-q",
				"--server", f"smtp://127.0.0.1:{sink.port}"])
		sink.fresh(1000, 1000, 1000)


def bench_merge(place):
	python_rows = max(1, ROWS // 10)
	small, template = merge_files(place, python_rows)
	data, _ = merge_files(place, ROWS)
	core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
	field = {"Python: csv, format, email": (core + [place.python, f"{place.here}/merge_python.py", small, template],
						python_rows)}
	proved = ""
	if is_there(place, "--data"):
		merge_proof(place)
		proved = "1000 rows of it were sent to the sink before, and each came."
		ours = [place.mailchute, "--data", data, "--params", template, "--dry-run", "--output", "/dev/null"]
		field = {"mailchute": (core + ours, ROWS), **field}
	uses = {name: [] for name in field}
	for r in range(ROUNDS + 1):
		for name, (command, _) in field.items():
			use = measure(place, command)
			if r:
				uses[name].append(use)
	rows = []
	for name, (_, n) in field.items():
		rates = [n / u.wall for u in uses[name]]
		low, high = spread(rates)
		cpu = median([u.user + u.system for u in uses[name]]) / n
		rows.append([name, number(median(rates)), f"{number(low)} to {number(high)}", n, f"{cpu * 1e6:.1f}",
			     f"{max(u.peak for u in uses[name]):.1f}"])
	return prose(f"""{ROWS} rows of CSV (name, email, amount, city) and a template whose subject and text
		({len(LETTER) / 1000:.1f} KB, 5 tags) are filled in, to the null output: `--data rows.csv --params
		template.json --dry-run --output /dev/null`, whole process, on one core (taskset), {ROUNDS} rounds. {proved}
		Python has a tenth of the rows.""") + \
		note_missing(place, "--data") + \
		table(["", "messages/s", "middle half", "messages", "CPU us/message", "peak MiB"], rows)


def resident(pid):
	"""MiB in memory now; 0 when it is gone."""
	try:
		with open(f"/proc/{pid}/status") as f:
			return next((int(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS")), 0)
	except OSError:
		return 0


def million_run(place, path, n, workers):
	"""One batch, looked at all the time: what it had after 10,000 messages' time, at the most, and how fast it was."""
	with Sink(place, more=["--chunking", "--ids"]) as sink:
		began = time.monotonic()
		run = subprocess.Popen([place.mailchute, "--batch", path, "--server", f"smtp://127.0.0.1:{sink.port}", "--workers",
					str(workers), "-q"], env=place.env)
		seen = []
		while run.poll() is None:
			seen.append((time.monotonic() - began, resident(run.pid)))
			time.sleep(0.05)
		wall = time.monotonic() - began
		if run.returncode:
			raise Failure(f"exit {run.returncode} of a million lines")
		sink.fresh(n, n, n)
	early = [mib for at, mib in seen if mib and at < max(wall / 100, 0.3)]
	late = [mib for at, mib in seen if mib and at >= wall / 100]
	return [f"{workers}", number(n / wall), f"{max(early):.1f}", f"{min(late):.1f} to {max(late):.1f}"]


def bench_million(place):
	n = int(os.environ.get("BENCH_LINES", "1000000"))
	path = os.path.join(place.dir, "million.jsonl")
	with open(path, "w") as f:
		for i in range(n):
			f.write('{"from":"n@example.org","to":"r%d@example.net","subject":"number %d","body":"a short text"}\n' % (i, i))
	rows = [million_run(place, path, n, workers) for workers in (1, 50)]
	os.unlink(path)
	return prose(f"""A batch of {n} lines, once by one session and once by fifty: its memory in the first hundredth of the run
		and after that, in MiB. The sink counted {n} distinct Message-IDs each time.""") + \
		table(["workers", "messages/s", "MiB at first", "MiB after"], rows)
