"""The same message by each program, in the shortest way its manual gives."""
import os
import shutil

SENDER = "sender@example.org"


def rcpts(n):
	return [f"r{i}@example.org" for i in range(n)]


def message():
	text = b"From: sender@example.org\r\nTo: r0@example.org\r\nSubject: bench\r\n"
	return text + b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <bench@example.org>\r\n\r\nHello.\r\n"


def mailchute(place, port, to, tls=False, ready=None, more=()):
	"""Composes the message; ready: sends that file instead."""
	command = [place.mailchute, "--server", f"smtp://127.0.0.1:{port}"] + (["--starttls"] if tls else [])
	if ready:
		return command + ["--envelope-from", SENDER, "--message-file", ready, *more, *to]
	return command + ["--from", SENDER, "--subject", "bench", "--body", "Hello.", *more, *to]


def curl(place, port, to, tls=False, ready=None):
	command = ["curl", "-sS", f"smtp://127.0.0.1:{port}/client.example", "--mail-from", SENDER, "-T", ready]
	for r in to:
		command += ["--mail-rcpt", r]
	return command + (["--ssl-reqd"] if tls else [])


def msmtp(place, port, to, tls=False, ready=None):
	"""Reads the message from standard input."""
	command = ["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={port}", f"--from={SENDER}"]
	return command + (["--tls=on", "--tls-starttls=on"] if tls else ["--tls=off"]) + list(to)


def swaks(place, port, to, tls=False, ready=None, pipeline=False):
	command = ["swaks", "--silent", "2", "--server", f"127.0.0.1:{port}", "--helo", "client.example"]
	command += ["--from", SENDER, "--to", ",".join(to), "--data", f"@{ready}"]
	return command + (["--tls", "--tls-verify"] if tls else []) + (["--pipeline"] if pipeline else [])


def smtplib(place, port, to, tls=False, ready=None):
	script, mode = f"{place.here}/smtplib_send.py", "tls" if tls else "plain"
	return [place.python, script, mode, str(port), ready, SENDER, *to]


def everyone(place, port, to, ready, tls=False):
	"""{name: (command, standard input)} of all that are installed, ours first."""
	all_of_them = {
		"mailchute": (mailchute(place, port, to, tls), None),
		"mailchute, ready message": (mailchute(place, port, to, tls, ready), None),
		"curl": (curl(place, port, to, tls, ready), None),
		"msmtp": (msmtp(place, port, to, tls), ready),
		"swaks": (swaks(place, port, to, tls, ready), None),
		"swaks --pipeline": (swaks(place, port, to, tls, ready, True), None),
		"smtplib": (smtplib(place, port, to, tls, ready), None),
	}
	return {name: c for name, c in all_of_them.items() if shutil.which(c[0][0])}


# Many messages: by (place, port, sessions, messages, size, to), a command that sends them all.

def installed(name):
	"""Its path; what is for administrators is looked for where they have it."""
	return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def smtp_source(place, port, sessions, messages, size, to):
	command = [installed("smtp-source"), "-d", "-s", str(sessions), "-m", str(messages), "-l", str(size)]
	return command + ["-N", "-M", "client.example", "-f", SENDER, "-t", to, f"inet:127.0.0.1:{port}"]


def smtplib_batch(place, port, sessions, messages, size, to):
	numbers = map(str, (port, sessions, messages, size))
	return [place.python, f"{place.here}/smtplib_batch.py", *numbers, SENDER, to]


def nodemailer_batch(place, port, sessions, messages, size, to):
	numbers = map(str, (port, sessions, messages, size))
	return ["node", f"{place.here}/nodemailer_batch.js", *numbers, SENDER, to]


def msmtp_each(place, port, sessions, messages, size, to):
	"""A process a message, so many at a time."""
	ready = place.file(f"msmtp{size}.eml")
	if not os.path.exists(ready):
		place.file(ready, message().replace(b"Hello.\r\n", text(size).encode().replace(b"\n", b"\r\n")))
	one = " ".join(msmtp(place, port, [to])) + f" < {ready}"
	each = f"seq {messages} | xargs -P {sessions} -n 1 sh -c 'exec {one}'"
	return ["sh", "-c", each]


def mailchute_batch(place, port, sessions, messages, size, to, more=()):
	command = [place.mailchute, "--batch", jobs(place, messages, size, to), "--workers", str(sessions), "-q"]
	return command + ["--server", f"smtp://127.0.0.1:{port}", *more]


def text(size):
	"""So many octets of text in lines of 76 columns, a CRLF counted as two."""
	return ("x" * 76 + "\n") * (size // 78) + "x" * (size % 78 - 2) + "\n" * (size % 78 > 0)


def jobs(place, messages, size, to):
	"""A file of JSON Lines: a message a line, each with a subject of its own."""
	path = place.file(f"jobs.{messages}.{size}.{to}.jsonl")
	if not os.path.exists(path):
		start = f'{{"from":"{SENDER}","to":"{to}","subject":"bench '
		end = '","body":"' + text(size).replace("\n", "\\n") + '"}\n'
		with open(path, "w") as f:
			f.writelines(f"{start}{i}{end}" for i in range(messages))
		os.chmod(path, 0o600)
	return path


def batches(place):
	"""{name: function} of those installed that send many messages, but mailchute."""
	all_of_them = {
		"smtp-source -d": ("smtp-source", smtp_source),
		"smtplib": (place.python, smtplib_batch),
		"nodemailer pool": ("node", nodemailer_batch),
		"msmtp, a process each": ("msmtp", msmtp_each),
	}
	return {name: f for name, (program, f) in all_of_them.items() if installed(program)}
