#!/usr/bin/python3
"""The demonstration itself; see demo.sh."""

import email
import email.policy
import os
import shlex
import struct
import subprocess
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
from lib import mc, postfix, tmp  # noqa: E402


def png(width, height):
	"""A little picture: a colour gradient."""
	def chunk(kind, data):
		return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
	rows = b"".join(b"\0" + bytes(c for x in range(width) for c in (255 * x // width, 255 * y // height, 160))
	                for y in range(height))
	return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
	        chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def show(part, depth=0):
	"""The tree of parts, a line each."""
	kind = part.get_content_type()
	line = "  " * depth + kind
	if part.is_multipart():
		print(f"    {line}")
		for child in part.iter_parts():
			show(child, depth + 1)
		return
	content = part.get_payload(decode=True)
	notes = [f"{len(content)} octets"]
	if part["content-transfer-encoding"]:
		notes.append(f"sent as {part['content-transfer-encoding']}")
	if part.get_filename():
		notes.append(f"file name {part.get_filename()!r}")
	if part["content-id"]:
		notes.append(f"Content-ID {part['content-id']}")
	if part.get_content_disposition():
		notes.append(part.get_content_disposition())
	print(f"    {line:<34} {', '.join(notes)}")


def send(directory, mta):
	files = {
		"report.csv": "month;messages\nJanuary;1042\nFebruary;998\n".encode(),
		"gradient.png": png(64, 48),
		"message.html": ("<h1>It works</h1>\n<p>Grüße from mailchute.</p>\n"
		                 "<p><img src=\"cid:gradient@demo\" alt=\"a gradient\"></p>\n").encode(),
	}
	for name, content in files.items():
		with open(os.path.join(directory, name), "wb") as f:
			f.write(content)
	argv = [mc.BINARY, "--server", f"127.0.0.1:{mta.port}", "--from", "Mailchute Demo <demo@example.net>",
	        "--subject", "It works: Grüße ✓", "--body", "It works.\n\nGrüße from mailchute.\n",
	        "--html-file", "message.html",
	        "--attach", '{"path":"gradient.png","content_id":"gradient@demo","disposition":"inline"}',
	        "--attach", "report.csv", "--cc", "Zoë <zoe@example.org>", "Reader <reader@example.org>"]
	print("\n$ mailchute " + " ".join(map(shlex.quote, argv[1:])))
	run = subprocess.run(argv, cwd=directory, env=mc.environment(), stdin=subprocess.DEVNULL, check=False)
	print(f"exit code {run.returncode}" + (" (and silence: success says nothing)" if run.returncode == 0 else ""))
	if run.returncode:
		sys.exit(run.returncode)
	return files


def main():
	if not postfix.available():
		sys.exit("demo: needs root and Postfix; tests/setup.sh installs it")
	tmp.catch_signals()
	directory = tmp.directory("mcdemo-")
	with postfix.Server() as mta:
		print(f"Postfix {mta.version()} listens on 127.0.0.1:{mta.port}.")
		files = send(directory, mta)
		delivery = mta.wait(2)[0]
		message = email.message_from_bytes(delivery.data, policy=email.policy.default)

		print("\nWhat arrived:")
		print(f"  envelope\n    from  <{delivery.sender}>")
		for rcpt in delivery.rcpts:
			print(f"    to    <{rcpt}>")
		print("  header")
		for name in ("From", "To", "Cc", "Subject", "Date", "Message-ID"):
			print(f"    {name + ':':<12}{message[name]}")
		print("  structure")
		show(message)

		parts = {p.get_filename(): p.get_payload(decode=True) for p in message.walk() if p.get_filename()}
		same = all(parts.get(name) == files[name] for name in ("report.csv", "gradient.png"))
		defects = [d for p in message.walk() for d in p.defects]
		print(f"\nThe attachments are {'octet for octet what was sent' if same else 'NOT what was sent'}; "
		      f"Python's parser found {len(defects) or 'no'} defects.")
		if len(sys.argv) == 3 and sys.argv[1] == "--keep":
			with open(sys.argv[2], "wb") as f:
				f.write(delivery.data)
			print(f"The message is in {sys.argv[2]}.")
	return 0 if same and not defects else 1


if __name__ == "__main__":
	try:
		code = main()
	except KeyboardInterrupt:
		code = 130
	finally:
		tmp.clean_up()
	sys.exit(code)
