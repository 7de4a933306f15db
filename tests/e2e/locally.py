"""What the tests of flags, params, addresses, headers and messages do over and over."""

import email
import email.policy
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, wire  # noqa: E402

FROM = "ann@example.net"
TO = "bob@example.org"
ARGS = ("-f", FROM)
# The commands of a session with one recipient, by their first words.
SESSION = ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def params(case, members, **more):
	"""A params file of @members, a dict; from and to are there unless a member says None."""
	all_ = {"from": FROM, "to": [TO], **members, **more}
	return case.write("job.json", json.dumps({k: v for k, v in all_.items() if v is not None}))


def refused(case, code, *argv, says=(), server=None, **how):
	"""Run; it must end with @code (or one of several) before it connects, with one line that has each of @says.

	And a dry run must refuse it just so (CLI-22)."""
	with fake.Recorder() as nobody:
		r = mc.run("-S", f"smtp://127.0.0.1:{nobody.port}" if server is None else server, *argv, **how)
		case.assertIn(r.code, code if isinstance(code, (tuple, list, set)) else (code,), r)
		case.assertEqual(nobody.connections, 0, r)
		dry = mc.run("--dry-run", "-S", f"smtp://127.0.0.1:{nobody.port}" if server is None else server, *argv, **how)
		case.assertEqual((dry.code, dry.stderr, dry.stdout), (r.code, r.stderr, b""), dry)
	case.assertEqual(len(r.lines), 1, r)
	for text in (says,) if isinstance(says, str) else says:
		case.assertIn(text, r.stderr, r)
	return r


def composed(case, *argv, code=0, **how):
	"""The octets of a dry run, which must be clean."""
	r = mc.run("--dry-run", *argv, **how)
	case.assertEqual(r.code, code, r)
	case.assertEqual(wire.message(r.stdout), [], r)
	return r.stdout


def delivered(case, server, *argv, code=0, **how):
	"""Run against @server, whose sessions before do not matter; gives the one message, which must be clean."""
	before = len(server.sessions)
	r = mc.run("-S", server.url, *argv, **how)
	case.assertEqual(r.code, code, r)
	server.wait(before + 1)
	case.assertEqual(len(server.sessions), before + 1)
	session = server.sessions[before]
	case.assertEqual(session.lint, [], r)
	case.assertEqual(len(session.messages), 1, session.commands)
	case.assertTrue(session.messages[0].dot)
	return session.messages[0]


def parsed(octets):
	return email.message_from_bytes(octets, policy=email.policy.default)


def verbs(session):
	return [c.split()[0].upper() for c in session.commands]


def leaves(octets):
	"""The decoded leaves, by Python's parser."""
	return [p.get_payload(decode=True) for p in parsed(octets).walk() if not p.is_multipart()]


def canonical(text):
	"""The newline rule: LF, CRLF and lone CR each end a line, which is CRLF."""
	return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def one_newline(text):
	"""Canonical text with exactly one line end behind it: the end of a message is one, whatever the text had."""
	return canonical(text).rstrip(b"\r\n") + b"\r\n"
