"""The same message by each program, in the shortest way its manual gives."""
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
