"""
The benchmarks: each is a function that gives its section of RESULTS.md. Run by run.sh, which builds what is
needed: bench.py DIR PROGRAMS MAILCHUTE RESULTS NAME... (no name: all).

Sizes can be scaled for a trial by BENCH_ROUNDS and its like; RESULTS.md then says so. What sends many messages
is in many.py.
"""
import json
import os
import platform
import shutil
import sys

import contestants as who
import many
from harness import (Failure, Place, Sink, instructions, measure, median, prose, round_robin, spread, table,
		     version)

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "51"))
BIG_ROUNDS = int(os.environ.get("BENCH_BIG_ROUNDS", "3"))
MIB = int(os.environ.get("BENCH_MIB", "1024"))
RCPTS = int(os.environ.get("BENCH_RCPTS", "10000"))
FROM, TO = who.SENDER, who.rcpts(1)


def ms(seconds):
	return f"{seconds * 1e3:.2f}"


def ratio(a, b):
	return f"{a / b:.2f}"


def check_sessions(sink, messages, rcpts=None):
	"""Every run must have delivered: a fast failure is no figure."""
	sessions = sink.sessions()
	got = sum(s["messages"] for s in sessions)
	if got != messages:
		raise Failure(f"the sink had {got} messages of {messages}")
	if rcpts is not None and sum(s["rcpts"] for s in sessions) != rcpts:
		raise Failure(f"the sink had {sum(s['rcpts'] for s in sessions)} recipients of {rcpts}")
	return sessions


# a. One small message.

def small_rows(uses, base):
	"""A row for each contestant; base is who the ratio is to."""
	middle = median([u.wall for u in uses[base]])
	rows = []
	for name, list_of in uses.items():
		walls = [u.wall for u in list_of]
		low, high = spread(walls)
		cpu = median([u.user + u.system for u in list_of])
		peak = max(u.peak for u in list_of)
		rows.append([name, ms(median(walls)), f"{ms(low)} to {ms(high)}", ratio(median(walls), middle),
			     ms(cpu), f"{peak:.1f}"])
	return rows


SMALL_HEAD = ["sender", "median ms", "middle half", "to curl", "CPU ms", "peak MiB"]


def small(place, tls):
	ready = place.file("small.eml", who.message())
	with Sink(place, tls=tls) as sink:
		field = who.everyone(place, sink.port, TO, ready, tls)
		field.pop("swaks --pipeline", None)
		senders = len(field)
		field["(curl --version)"] = (["curl", "--version"], None)
		field["(curl file:///dev/null)"] = (["curl", "-s", "file:///dev/null"], None)
		field["(mailchute --version)"] = ([place.mailchute, "--version"], None)
		field["(true)"] = (["/bin/true"], None)
		uses = round_robin(place, field, ROUNDS)
		sessions = check_sessions(sink, (ROUNDS + 1) * senders)
		if any(s["tls"] != tls for s in sessions):
			raise Failure("a session's TLS is not what was asked for")
	with Sink(place, tls=tls) as sink:
		field = who.everyone(place, sink.port, TO, ready, tls)
		counts = [[name, f"{instructions(place, *field[name]):.1f}"] for name in
			  ("mailchute", "mailchute, ready message", "curl")] if shutil.which("valgrind") else []
	text = table(SMALL_HEAD, small_rows(uses, "curl"))
	if counts:
		text += "\n\nInstructions of the whole process by callgrind, in millions:\n\n"
		text += table(["sender", "Mi"], counts)
	return text


def bench_small(place):
	return prose(f"""One small message to a sink on loopback, whole process from fork to exit; {ROUNDS} rounds,
		one run of each a round, in turn. mailchute composes the message, and sends a ready one; the others are given it
		ready. In parentheses: programs that send nothing, as the floor. Aim: no slower than curl's own
		start.""") + small(place, False)


def bench_small_tls(place):
	if not os.path.isdir(place.ca):
		return "Not run: it needs root for a mount namespace (see README.md)."
	store = len(os.listdir("/etc/ssl/certs"))
	return prose(f"""The same by STARTTLS, certificate verified, each program with the store that it takes by
		default: Debian's /etc/ssl/certs ({store} entries), with the test's CA added as a file, by its
		hash, and in the bundle, laid over the real one in a mount namespace. The key is P-256.
		Aim: at most half of curl's time.""") + small(place, True)


# b. Bursts.

def count_bursts(place, name, n, linger):
	"""The bursts of one run, or of several that must agree; "4 to 5" where they do not."""
	ready, counts = place.file("small.eml", who.message()), []
	for _ in range(1 if linger else 5):
		with Sink(place, linger=linger) as sink:
			measure(place, *who.everyone(place, sink.port, who.rcpts(n), ready)[name])
			counts.append(check_sessions(sink, 1, n)[0]["bursts"])
	return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def bench_bursts(place):
	rows, patience = [], 100
	for name in who.everyone(place, 0, TO, "-"):
		counts = [count_bursts(place, name, n, linger) for linger in (0, patience) for n in (1, 50)]
		rows.append([name] + counts)
	return prose(f"""Bursts of server replies, greeting included, with PIPELINING offered: groups of replies after
		which the sink had to wait for the client before it could go on. At once: replies leave as soon as a
		read would block, as a real server's do. Patient: the sink first waits {patience} ms for more, so that
		only what the client itself waits for is counted. Aim: 4 and 4.""") + table(
			["sender", "at once: 1 recipient", "50", "patient: 1 recipient", "50"], rows)


# c. A large attachment.

def big_file(place, mib):
	"""Pseudo-random: 16 MiB of it, again and again. In the page cache afterwards."""
	path, blocks = place.file(f"{mib}.bin"), [os.urandom(1 << 20) for _ in range(16)]
	with open(path, "wb") as f:
		for i in range(mib):
			f.write(blocks[i % 16])
	return path


def attach_field(place, port, path):
	"""{name: command} of those who send a file as a base64 attachment."""
	script = f"{place.here}/email_send.py"
	curl = ["curl", "-sS", f"smtp://127.0.0.1:{port}/client.example", "--mail-from", FROM, "--mail-rcpt", *TO]
	curl += ["-H", f"From: {FROM}", "-H", f"To: {TO[0]}", "-H", "Subject: bench"]
	return {
		"mailchute": (who.mailchute(place, port, TO, more=["--attach", path]), None),
		"curl -F": (curl + ["-F", "=Hello.;type=text/plain", "-F", f"=@{path};encoder=base64"], None),
		"smtplib and email": ([place.python, script, str(port), path, FROM, *TO], None),
	}


def rates(uses, size, base):
	rows = []
	middle = median([u.wall for u in uses[base]])
	for name, list_of in uses.items():
		wall = median([u.wall for u in list_of])
		rows.append([name, f"{wall:.2f}", f"{size / wall / 1e6:.0f}", ratio(wall, middle),
			     f"{median([u.user + u.system for u in list_of]):.2f}",
			     f"{max(u.peak for u in list_of):.1f}"])
	return rows


RATE_HEAD = ["", "median s", "MB/s of input", "time to mailchute's", "CPU s", "peak MiB"]


def bench_attachment(place):
	path = big_file(place, MIB)
	try:
		with Sink(place) as sink:
			field = attach_field(place, sink.port, path)
			uses = round_robin(place, field, BIG_ROUNDS, warmup=0)
			sessions = check_sessions(sink, BIG_ROUNDS * len(field))
		if min(s["octets"] for s in sessions) < MIB * (1 << 20) / 3 * 4:
			raise Failure("a message came short")
		null = round_robin(place, null_field(place, path), BIG_ROUNDS)
	finally:
		os.unlink(path)
	return (prose(f"""A file of {MIB} MiB, pseudo-random and in the page cache, as a base64 attachment to the
			sink; {BIG_ROUNDS} rounds, in turn. Aim: five times the throughput of the others.""") +
		table(RATE_HEAD, rates(uses, MIB << 20, "mailchute")) +
		"\n\nThe same file to the null output, nothing is sent. Aim: above 1000 MB/s.\n\n" +
		table(RATE_HEAD, rates(null, MIB << 20, "mailchute")))


def null_field(place, path):
	"""mailchute --output /dev/null, beside what coreutils need for the encoding and for reading alone."""
	null = ["--output", "/dev/null", "--attach", path]
	return {
		"mailchute": (who.mailchute(place, 1, TO, more=null), None),
		"base64": (["sh", "-c", 'base64 "$1" > /dev/null', "sh", path], None),
		"dd to /dev/null": (["dd", f"if={path}", "of=/dev/null", "bs=64k", "status=none"], None),
	}


def bench_memory(place):
	"""Peak memory by the size of the attachment."""
	kib = place.file("1k.bin", os.urandom(1024))
	rows, big = {}, big_file(place, MIB)
	try:
		for path in (kib, big):
			with Sink(place) as sink:
				for name, (command, stdin) in attach_field(place, sink.port, path).items():
					use = measure(place, command, stdin)
					rows.setdefault(name, []).append(f"{use.peak:.1f}")
				check_sessions(sink, 3)
			use = measure(place, *null_field(place, path)["mailchute"])
			rows.setdefault("mailchute --output", []).append(f"{use.peak:.1f}")
	finally:
		os.unlink(big)
	return ("Peak resident memory (MiB) of the process, by the attachment's size. Aim: flat, under 16 MiB.\n\n" +
		table(["sender", "1 KiB", f"{MIB} MiB"], [[n, *v] for n, v in rows.items()]))


# Ready messages, as sendmail -t gets them.

def ready_file(place, size):
	"""A text message of @size octets: its lines have 76 columns, as an encoded attachment has."""
	path, line = place.file(f"{size}.eml"), b"x" * 76 + b"\n"
	block = line * (1 << 14)
	with open(path, "wb") as f:
		f.write(who.message().replace(b"\r\n", b"\n"))
		while f.tell() < size:
			f.write(block[:size - f.tell()])
	return path


def ready_field(place, port, path):
	"""{name: (command, standard input)} of those who take the recipients from the message."""
	ours = [place.mailchute, "--server", f"smtp://127.0.0.1:{port}", "-t", "-f", FROM]
	field = {
		"mailchute -t < file": (ours, path),
		"cat file, mailchute -t": (["sh", "-c", 'cat "$0" | "$@"', path, *ours], None),
		"msmtp -t < file": (who.msmtp(place, port, ["-t"]), path),
		"curl -T file": (who.curl(place, port, TO, ready=path), None),
	}
	return {name: c for name, c in field.items() if shutil.which(c[0][0])}


def bench_ready(place):
	small, big = 10 * 1000 * 1000, MIB << 20
	text = prose(f"""A ready message of 10 MB, and one of {MIB} MiB, on standard input to the sink, recipients from its
		To field (curl: named); rounds in turn. Peak memory is the largest process's. Aim: flat, under 16 MiB.""")
	for size, rounds in ((small, 11), (big, BIG_ROUNDS)):
		path = ready_file(place, size)
		try:
			with Sink(place) as sink:
				field = ready_field(place, sink.port, path)
				uses = round_robin(place, field, rounds, warmup=1 if size == small else 0)
				sessions = check_sessions(sink, (rounds + (size == small)) * len(field))
			if min(s["octets"] for s in sessions) < size:
				raise Failure("a message came short")
		finally:
			os.unlink(path)
		text += f"{size // 1000000} MB:\n\n" + table(RATE_HEAD, rates(uses, size, "mailchute -t < file")) + "\n\n"
	return text.rstrip()


# Start-up with a configuration.

def config_file(place, accounts):
	"""A configuration of so many accounts, each with the settings that people have in one."""
	account = lambda i: {"server": f"mail{i}.example.net:587", "username": f"user{i}", "from": f"user{i}@d{i}.example",
			     "password": {"command": f"pass show mail{i}"}, "match": [f"*@d{i}.example"]}
	config = {"mail_domain": "example.org", "aliases": {"root": "admin@example.org"},
		  "accounts": {f"account{i}": account(i) for i in range(accounts)}}
	path = place.file(f"config{accounts}.json", json.dumps(config, indent=2).encode())
	os.chmod(path, 0o600)
	return path


def bench_config(place):
	with Sink(place) as sink:
		send = who.mailchute(place, sink.port, TO)
		field = {"no configuration": ([*send, "--config", ""], None)}
		for n in (1, 20, 200):
			field[f"{n} account{'s' if n > 1 else ''}"] = ([*send, "--config", config_file(place, n)], None)
		uses = round_robin(place, field, ROUNDS)
		check_sessions(sink, (ROUNDS + 1) * len(field))
	middle = median([u.wall for u in uses["no configuration"]])
	rows = []
	for name, list_of in uses.items():
		wall = median([u.wall for u in list_of])
		with Sink(place) as sink:
			command = list(field[name][0])
			command[2] = f"smtp://127.0.0.1:{sink.port}"
			count = f"{instructions(place, command):.1f}" if shutil.which("valgrind") else "-"
		rows.append([name, ms(wall), f"{(wall - middle) * 1e3:+.2f}", ratio(wall, middle), count,
			     f"{max(u.peak for u in list_of):.1f}"])
	return prose(f"""One small message to the sink, whole process, by the accounts that the configuration has ({ROUNDS}
		rounds, in turn). All accounts are read and checked, whichever is used. Instructions by callgrind, in
		millions.""") + table(["configuration", "median ms", "more ms", "ratio", "Mi", "peak MiB"], rows)


# d. Many and deep.

def params_file(place, name, params):
	path = place.file(name, json.dumps(params).encode())
	os.chmod(path, 0o600)
	return path


def bench_recipients(place):
	ready, to = place.file("small.eml", who.message()), who.rcpts(RCPTS)
	asked = {"from": FROM, "rcpt": to, "subject": "bench", "body": "Hello.\n"}
	params = params_file(place, "many.json", asked)
	rounds = 5
	with Sink(place) as sink:
		server = ["--server", f"smtp://127.0.0.1:{sink.port}"]
		field = {
			"mailchute, max_rcpt 1000": ([place.mailchute, *server, "--params", params], None),
			f"mailchute, max_rcpt {RCPTS}": (
				[place.mailchute, *server, "--max-rcpt", str(RCPTS), "--params", params], None),
			"curl": (who.curl(place, sink.port, to, ready=ready), None),
			"msmtp": (who.msmtp(place, sink.port, to), ready),
			"smtplib": (who.smtplib(place, sink.port, to, ready=ready), None),
		}
		field = {n: c for n, c in field.items() if shutil.which(c[0][0])}
		uses = round_robin(place, field, rounds)
		messages = len(field) - 1 + -(-RCPTS // 1000)
		check_sessions(sink, (rounds + 1) * messages, (rounds + 1) * len(field) * RCPTS)
	return prose(f"""One small message to {RCPTS} recipients (mailchute: a params file with rcpt; the others:
		their command line); {rounds} rounds, in turn.""") + table(SMALL_HEAD, small_rows(uses, "curl"))


def deep_params(depth):
	"""A multipart in a multipart, depth times, as JSON text; json.dumps would recurse."""
	head = json.dumps({"from": FROM, "to": TO, "headers": {"subject": "bench"}})[:-1]
	inner = '{"body": {"parts": [' * (depth - 1) + '{"body": "Hello."}' + "]}}" * (depth - 1)
	return head + ', "body": {"parts": [' + inner + "]}}"


def bench_deep(place):
	rounds, files = 11, {}
	for depth in (1, 150, 300):
		files[depth] = place.file(f"deep{depth}.json", deep_params(depth).encode())
		os.chmod(files[depth], 0o600)
	with Sink(place) as sink:
		server = ["--server", f"smtp://127.0.0.1:{sink.port}"]
		field = {}
		for depth, path in files.items():
			field[f"mailchute, {depth} deep"] = ([place.mailchute, *server, "--params", path], None)
			script = [place.python, f"{place.here}/deep_send.py", str(sink.port), str(depth), FROM, *TO]
			field[f"smtplib and email, {depth} deep"] = (script, None)
		uses = round_robin(place, field, rounds)
		check_sessions(sink, (rounds + 1) * len(field))
	return (prose(f"""A multipart in a multipart by a params file, sent to the sink: a multipart is three
			levels of JSON, so 300 deep is 900 levels (the reader takes 999). {rounds} rounds, in turn.
			Python's email package does it with its recursion limit raised.""") +
		table(DEEP_HEAD, small_rows(uses, "smtplib and email, 300 deep")) + "\n\n" +
		prose("""Through the C interface: composed, and its source read to the end; a stack of 128 KiB
			(deep.c).""") +
		deep_by_c(place))


DEEP_HEAD = SMALL_HEAD[:3] + ["to the last"] + SMALL_HEAD[4:]


def deep_by_c(place):
	program = os.path.join(place.programs, "deep")
	if not os.path.exists(program):
		return "Not run: it was not built (see README.md)."
	rows = []
	for depth in (1, 1000, 10000, 100000):
		command = ["sh", "-c", 'ulimit -s 128; exec "$@"', "sh", program, str(depth)]
		uses = round_robin(place, {"deep": (command, None)}, 5)["deep"]
		rows.append([depth, ms(median([u.wall for u in uses])), f"{max(u.peak for u in uses):.1f}"])
	return table(["depth", "median ms", "peak MiB"], rows)


BENCHES = {
	"small": ("One small message", bench_small),
	"small-tls": ("One small message, STARTTLS", bench_small_tls),
	"bursts": ("Bursts of replies", bench_bursts),
	"attachment": ("A large attachment", bench_attachment),
	"memory": ("Peak memory", bench_memory),
	"ready": ("Ready messages", bench_ready),
	"config": ("Start-up with a configuration", bench_config),
	"recipients": ("Many recipients", bench_recipients),
	"deep": ("Deep multiparts", bench_deep),
	"batch": ("Many messages", many.bench_batch),
	"delay": ("Many messages, far away", many.bench_delay),
	"postfix": ("Many messages to a real Postfix", many.bench_postfix),
	"merge": ("Mail merge", many.bench_merge),
	"million": ("A million messages", many.bench_million),
}


def machine():
	with open("/proc/cpuinfo") as f:
		models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
	model = models[0] if models else platform.machine()
	return f"{os.cpu_count()} x {model}, Linux {platform.release().split('-')[0]}, {platform.machine()}"


def versions(place):
	"""One line of every program that took part."""
	programs = [place.mailchute, "curl", "msmtp", "swaks", place.python, "valgrind"]
	found = [version([p, "--version"]) for p in programs]
	postfix = version([who.installed("postconf") or "postconf", "-dh", "mail_version"])
	node = version(["node", "--version"])
	mailer = version(["node", f"{place.here}/nodemailer_batch.js", "--version"])
	found += [f"Postfix {postfix} (smtp-source)" if postfix else None]
	found += [f"nodemailer {mailer}, Node.js {node}" if mailer else None]
	return [v for v in found if v]


def sections(path):
	"""{title: text} of a RESULTS.md that is there already, so that one bench can be run again alone."""
	try:
		with open(path) as f:
			parts = f.read().split("\n## ")[1:]
	except FileNotFoundError:
		return {}
	return {p.split("\n", 1)[0]: p.split("\n", 1)[1].strip() for p in parts}


def write_results(place, path, done):
	old = sections(path)
	text = ["# Benchmarks", "",
		"Made by `sh tests/bench/run.sh`; what each figure is, and what it needs: README.md.",
		"Times are medians of whole processes; ratios above 1 are slower, but those of rates (messages/s), which",
		"are faster.", ""]
	text += [f"* {machine()}"] + [f"* {v}" for v in versions(place)]
	for name, (title, _) in BENCHES.items():
		body = done.get(name) or old.get(title)
		if body:
			text += ["", f"## {title}", "", body]
	with open(path, "w") as f:
		f.write("\n".join(text) + "\n")


def scale():
	"""What makes a trial differ from a full run; empty for the full one."""
	names = [n for n in ("BENCH_ROUNDS", "BENCH_BIG_ROUNDS", "BENCH_MIB", "BENCH_RCPTS", "BENCH_BATCH_ROUNDS",
			     "BENCH_BATCH_SECONDS", "BENCH_ROWS") if n in os.environ]
	return " ".join(f"{n}={os.environ[n]}" for n in names)


def main():
	directory, programs, mailchute, results, *names = sys.argv[1:]
	unknown = [n for n in names if n not in BENCHES]
	if unknown:
		print(f"bench: no bench '{unknown[0]}' (there are: {' '.join(BENCHES)})", file=sys.stderr)
		return 64
	place, done, failed = Place(directory, programs, mailchute), {}, 0
	for name in names or BENCHES:
		print(f"bench: {name} ...", file=sys.stderr, flush=True)
		try:
			text = BENCHES[name][1](place)
			# Others' work on the machine lengthens everybody's times: the ratios and CPU times stand.
			command = f"`{scale() + ' ' if scale() else ''}sh tests/bench/run.sh {name}`"
			done[name] = f"{command} (load average behind it {os.getloadavg()[0]:.1f})\n\n{text}"
		except Failure as failure:
			print(f"bench: {name}: {failure}", file=sys.stderr)
			failed += 1
			continue
		print(f"## {BENCHES[name][0]}\n\n{done[name]}\n", flush=True)
	write_results(place, results, done)
	return failed > 0


if __name__ == "__main__":
	sys.exit(main())
