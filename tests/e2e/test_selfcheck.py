#!/usr/bin/python3
"""The test house checks itself: what the other tests rely on must see what it claims to see."""

import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, tmp, wire  # noqa: E402


class Peer:
	"""A client that sends exactly what it is told to."""

	def __init__(self, server):
		if server.unix:
			self.sock = socket.socket(socket.AF_UNIX)
			self.sock.connect(server.unix)
		else:
			self.sock = socket.create_connection((server.host, server.port))
		self.sock.settimeout(5)
		self.file = self.sock.makefile("rb")

	def send(self, octets):
		self.sock.sendall(octets)

	def hear(self, replies=1):
		lines = []
		while replies:
			line = self.file.readline()
			if not line:
				return lines + [b""]
			lines.append(line)
			replies -= line[3:4] != b"-"
		return lines

	def open(self, name=b"EHLO client.example"):
		self.hear()
		self.send(name + b"\r\n")
		return self.hear()

	def close(self):
		self.file.close()
		self.sock.close()


def speak(server, octets, replies):
	peer = Peer(server)
	peer.open(b"LHLO client.example" if server.lmtp else b"EHLO client.example")
	peer.send(octets)
	heard = peer.hear(replies)
	peer.close()
	return heard


ENVELOPE = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"


class FakeServer(tap.Case):
	def test_smtplib(self):
		"smtplib delivers; the message is recorded as sent, un-stuffed, and the lint is clean"
		with fake.Server() as server:
			with smtplib.SMTP(server.host, server.port) as client:
				client.sendmail("a@x.example", ["b@x.example", "c@x.example"], "Subject: t\r\n\r\n.dot\r\nend\r\n")
			message = server.message
			self.assertEqual(message.data, b"Subject: t\r\n\r\n.dot\r\nend\r\n")
			self.assertIn(b"..dot", message.wire)
			self.assertEqual(message.rcpts, ["b@x.example", "c@x.example"])
			self.assertEqual(message.delivered, message.rcpts)
			self.assertTrue(message.dot)
			self.assertEqual(server.lint, [])
			# Greeting, EHLO, MAIL, RCPT, RCPT, DATA, dot, QUIT: one burst each.
			self.assertEqual(server.session.bursts, 8)
			self.assertEqual(server.session.end, "quit")
			self.assertFalse(server.session.quit_with_dot)

	@tap.table(("implicit", "implicit"), ("STARTTLS", "starttls"))
	def test_tls(self, mode):
		"smtplib over {0} TLS, verified by the test CA, with AUTH"
		context = ssl.create_default_context(cafile=certs.ca())
		with fake.Server(tls=mode, auth="PLAIN LOGIN", users={"u": "pw"}) as server:
			if mode == "implicit":
				client = smtplib.SMTP_SSL(server.host, server.port, context=context)
			else:
				client = smtplib.SMTP(server.host, server.port)
				client.starttls(context=context)
			client.login("u", "pw")
			client.sendmail("a@x.example", "b@x.example", "Subject: t\r\n\r\nhello\r\n")
			client.quit()
			self.assertEqual(server.message.data, b"Subject: t\r\n\r\nhello\r\n")
			self.assertTrue(server.session.auths[0]["ok"])
			self.assertEqual(server.session.tls["version"], "TLSv1.3")
			self.assertEqual(server.lint, [])

	@tap.table(*[(n, n) for n in ("wrong_host", "wildcard", "cn_only", "ip_as_name", "expired", "not_yet", "self_signed",
	                              "unknown_ca", "wrong_eku", "chain_missing")])
	def test_certificates(self, name):
		"a client that verifies refuses the certificate {0}"
		context = ssl.create_default_context(cafile=certs.ca())
		context.hostname_checks_common_name = False
		with fake.Server(tls="implicit", cert=name) as server:
			with self.assertRaises(ssl.SSLError):
				smtplib.SMTP_SSL("localhost" if name != "ip_as_name" else server.host, server.port, context=context)
			self.assertEqual(server.session.end, "tls")

	@tap.table(*[(n, n) for n in ("good", "rsa", "chain", "name_only", "revoked")])
	def test_good_certificates(self, name):
		"a client that verifies takes the certificate {0}"
		context = ssl.create_default_context(cafile=certs.ca())
		with fake.Server(tls="implicit", cert=name) as server:
			smtplib.SMTP_SSL("localhost", server.port, context=context).quit()
			self.assertEqual(server.session.end, "quit")

	def test_crl(self):
		"the CRL refuses the revoked certificate"
		context = ssl.create_default_context(cafile=certs.ca())
		context.load_verify_locations(certs.crl())
		context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
		with fake.Server(tls="implicit", cert="revoked") as server:
			with self.assertRaisesRegex(ssl.SSLError, "revoked"):
				smtplib.SMTP_SSL("localhost", server.port, context=context)

	def test_client_certificate(self):
		"EXTERNAL is accepted with the client certificate, refused without"
		for pair in (certs.get("client"), None):
			context = ssl.create_default_context(cafile=certs.ca())
			if pair:
				context.load_cert_chain(pair.cert, pair.key)
			with fake.Server(tls="implicit", client_ca="ca", auth="EXTERNAL") as server:
				client = smtplib.SMTP_SSL("localhost", server.port, context=context)
				client.ehlo()
				code, _ = client.docmd("AUTH", "EXTERNAL =")
				client.quit()
				self.assertEqual(code, 235 if pair else 535)

	@tap.table("PLAIN", "LOGIN", "CRAM-MD5")
	def test_auth(self, mech):
		"AUTH {0}: right and wrong password"
		for password, code in (("pw", 235), ("no", 535)):
			with fake.Server(auth=mech, users={"u": "pw"}) as server:
				client = smtplib.SMTP(server.host, server.port)
				client.ehlo()
				try:
					client.login("u", password)
					self.assertEqual(code, 235)
				except smtplib.SMTPAuthenticationError as e:
					self.assertEqual(e.smtp_code, code)
				client.quit()
				self.assertEqual(server.session.auths[-1]["ok"], code == 235)
				self.assertEqual(server.lint, [])

	@tap.table(("XOAUTH2", "XOAUTH2", "user=u\x01auth=Bearer tok\x01\x01"),
	           ("OAUTHBEARER", "OAUTHBEARER", "n,a=u,\x01host=h\x01port=25\x01auth=Bearer tok\x01\x01"))
	def test_bearer(self, mech, text):
		"AUTH {0}: right and wrong token"
		import base64
		for token, last in (("tok", b"235"), ("bad", b"535")):
			with fake.Server(auth=mech, tokens={"u": token}) as server:
				peer = Peer(server)
				peer.open()
				peer.send(f"AUTH {mech} ".encode() + base64.b64encode(text.encode()) + b"\r\n")
				heard = peer.hear()
				if heard[0].startswith(b"334"):
					peer.send(b"AQ==\r\n")
					heard = peer.hear()
				peer.close()
				self.assertTrue(heard[0].startswith(last), heard)
				self.assertEqual(server.lint, [])

	def test_lmtp(self):
		"LMTP on a Unix socket: a reply for each accepted recipient, as scripted"
		with fake.Server(lmtp=True, unix=True, rcpt={"r@x.example": "550 no"},
		                 dot={"b@x.example": "452 full", 3: "550 gone"}) as server:
			heard = speak(server, b"MAIL FROM:<>\r\n" + b"".join(
				b"RCPT TO:<%s@x.example>\r\n" % r for r in (b"a", b"r", b"b", b"c", b"d")) + b"DATA\r\n", 7)
			self.assertEqual([l[:3] for l in heard], [b"250", b"250", b"550", b"250", b"250", b"250", b"354"])
		with fake.Server(lmtp=True, unix=True, rcpt={2: "550 no"}, dot={"b@x.example": "452 full", 3: "550 gone"}) as server:
			peer = Peer(server)
			peer.open(b"LHLO c.example")
			peer.send(b"MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<r@x.example>\r\nRCPT TO:<b@x.example>\r\n"
			          b"RCPT TO:<c@x.example>\r\nDATA\r\n")
			peer.hear(6)
			peer.send(b"Subject: t\r\n\r\n.\r\n")
			heard = peer.hear(3)
			peer.close()
			self.assertEqual([l[:3] for l in heard], [b"250", b"452", b"550"])
			self.assertEqual(server.message.delivered, ["a@x.example"])
			self.assertEqual(server.lint, [])

	def test_pipelining_bursts(self):
		"a pipelined group is answered in one burst, and QUIT in the dot's segment is seen"
		with fake.Server() as server:
			peer = Peer(server)
			peer.open()
			peer.send(b"MAIL FROM:<a@x.example>\r\n" + b"RCPT TO:<b@x.example>\r\n" * 50 + b"DATA\r\n")
			peer.hear(52)
			peer.send(b"Subject: t\r\n\r\n.\r\nQUIT\r\n")
			peer.hear(2)
			peer.close()
			session = server.session
			self.assertEqual(session.bursts, 4)
			self.assertTrue(session.quit_with_dot)
			self.assertEqual(session.lint, [])

	@tap.table(
		("close", [fake.close()], "eof"), ("RST", [fake.rst()], "reset"),
		("421 and close", ["421 bye", fake.close()], b"421"), ("451", "451 later", b"451"),
		("silence", fake.silence(), "silence"), ("drip", fake.drip(b"250 ok\r\n", 0.01), b"250"),
		("delay", [fake.delay(0.2), "250 ok"], b"250"), ("raw", fake.raw(b"junk\r\n"), b"junk"))
	def test_actions(self, action, want):
		"stage override: {0}"
		with fake.Server(mail=action) as server:
			peer = Peer(server)
			peer.open()
			peer.sock.settimeout(0.3)
			peer.send(b"MAIL FROM:<a@x.example>\r\n")
			try:
				heard = peer.hear()[0] or "eof"
			except TimeoutError:
				heard = "silence"
			except ConnectionResetError:
				heard = "reset"
			peer.close()
			self.assertTrue(heard == want or (isinstance(want, bytes) and heard.startswith(want)), heard)

	def test_body_marks(self):
		"an early reply amid the message, and a message cut short has no dot"
		with fake.Server(body=fake.at(1000, "552 too big")) as server:
			peer = Peer(server)
			peer.open()
			peer.send(ENVELOPE)
			peer.hear(3)
			peer.send(b"x" * 500 + b"\r\n" + b"y" * 500 + b"\r\n")
			heard = peer.hear()[0]
			peer.close()
			self.assertEqual(heard[:3], b"552")
			self.assertFalse(server.message.dot)
			self.assertEqual(server.session.end, "eof")
			self.assertEqual(len(server.message.wire), 1004)

	def test_turns_and_sessions(self):
		"turns() within a session, scripts by session"
		with fake.Server(sessions=[{"mail": fake.turns("451 a", None)}, {"mail": "550 b"}]) as server:
			heard = speak(server, b"MAIL FROM:<a@x.example>\r\nMAIL FROM:<a@x.example>\r\n", 2)
			self.assertEqual([l[:3] for l in heard], [b"451", b"250"])
			self.assertEqual(speak(server, b"MAIL FROM:<a@x.example>\r\n", 1)[0][:3], b"550")
			self.assertEqual(speak(server, b"MAIL FROM:<a@x.example>\r\n", 1)[0][:3], b"250")
			self.assertEqual(len(server.wait(3)), 3)

	@tap.table(("strict", "strict", 1), ("LF", "lf", 2), ("CR", "cr", 2))
	def test_end_of_data(self, eod, messages):
		"a {0} receiver and a smuggled end of data"
		with fake.Server(eod=eod) as server:
			peer = Peer(server)
			peer.open()
			peer.send(ENVELOPE)
			peer.hear(3)
			peer.send(b"one\r\n" + {"strict": b"\n.\n", "lf": b"\n.\n", "cr": b"\r.\r"}[eod] +
			          b"MAIL FROM:<e@x.example>\r\nRCPT TO:<f@x.example>\r\nDATA\r\ntwo\r\n.\r\n")
			peer.hear(1 if messages == 1 else 5)
			peer.close()
			server.wait(1)
			self.assertEqual(len(server.messages), messages)
			self.assertNotEqual(server.lint, [])

	def test_store_off(self):
		"store=False counts and hashes a large message"
		import hashlib
		body = b"x" * 70 + b"\r\n"
		with fake.Server(store=False) as server:
			peer = Peer(server)
			peer.open()
			peer.send(ENVELOPE)
			peer.hear(3)
			peer.send(body * 100000 + b".\r\n")
			peer.hear()
			peer.close()
			self.assertEqual(server.message.octets, 7200000)
			self.assertEqual(server.message.sha256, hashlib.sha256(body * 100000).hexdigest())

	def test_swaks(self):
		"swaks --pipeline delivers over STARTTLS with AUTH"
		with fake.Server(tls="starttls", auth="PLAIN", users={"u": "pw"}) as server:
			run = subprocess.run(["swaks", "--server", server.host, "--port", str(server.port), "--tls", "--auth", "PLAIN",
			                      "-au", "u", "-ap", "pw", "--pipeline", "-f", "a@x.example", "-t", "b@x.example"],
			                     capture_output=True, timeout=20)
			self.assertEqual(run.returncode, 0, run.stdout)
			self.assertTrue(server.message.dot)
			self.assertIsNotNone(server.session.tls)

	def test_curl(self):
		"curl delivers over smtps with a certificate of the test CA"
		path = self.write("m", b"Subject: t\r\n\r\nhello\r\n")
		with fake.Server(tls="implicit") as server:
			run = subprocess.run(["curl", "-sS", "--cacert", certs.ca(), server.url_for("localhost"), "--mail-from",
			                      "a@x.example", "--mail-rcpt", "b@x.example", "-T", path], capture_output=True, timeout=20)
			self.assertEqual(run.returncode, 0, run.stderr)
			self.assertEqual(server.message.data, b"Subject: t\r\n\r\nhello\r\n")

	def test_filtered(self):
		"a filtered port does not answer, a closed one refuses"
		with fake.Filtered() as port:
			s = socket.socket()
			s.settimeout(0.5)
			with self.assertRaises(TimeoutError):
				s.connect(("127.0.0.1", port.port))
			s.close()
		with self.assertRaises(ConnectionRefusedError):
			socket.create_connection(("127.0.0.1", fake.closed_port()))


class WireLint(tap.Case):
	@tap.table(
		("bare LF", b"a\nb\r\n", "bare LF"), ("bare CR", b"a\rb\r\n", "bare CR"), ("NUL", b"a\0b\r\n", "NUL"),
		("CR CR LF", b"a\r\r\n", "bare CR"), ("999 octets", b"x" * 999 + b"\r\n", "long line"),
		("un-stuffed dot", b"a\r\n.b\r\n", "dot"), ("un-stuffed first dot", b".b\r\n", "dot"),
		("8-bit", b"Subject: a\r\n\r\n\xc3\xa4\r\n", "unannounced 8-bit"),
		("8-bit header", b"Subject: \xc3\xa4\r\n\r\n", "unannounced 8-bit"))
	def test_data(self, octets, kind):
		"data with {0} is found"
		lint = wire.Lint()
		lint.data(octets)
		self.assertEqual([f.split(":")[0] for f in lint.found][:1], [kind])

	@tap.table(
		("plain", b"Subject: t\r\n\r\nx\r\n"), ("998 octets", b"x" * 998 + b"\r\n"), ("stuffed", b"..a\r\n...\r\n"),
		("998 octets and a stuffing dot", b".." + b"x" * 997 + b"\r\n"), ("nothing", b""))
	def test_clean_data(self, octets):
		"clean data: {0}"
		lint = wire.Lint()
		lint.data(octets)
		self.assertEqual(lint.found, [])

	@tap.table(
		("space after the colon", b"MAIL FROM: <a@x.example>", "grammar"), ("no brackets", b"MAIL FROM:a@x.example", "grammar"),
		("display name", b"MAIL FROM:<Joe <a@x.example>>", "grammar"), ("8-bit", "MAIL FROM:<ä@x.example>".encode(), "unannounced"),
		("SIZE not offered", b"MAIL FROM:<a@x.example> SIZE=1", "not offered"),
		("SIZE=x", b"MAIL FROM:<a@x.example> SIZE=x", "not offered"),
		("two spaces", b"MAIL FROM:<a@x.example>  BODY=8BITMIME", "grammar"),
		("trailing space", b"MAIL FROM:<a@x.example> ", "grammar"),
		("unknown parameter", b"MAIL FROM:<a@x.example> FOO=1", "not offered"),
		("local part over 64", b"MAIL FROM:<" + b"a" * 65 + b"@x.example>", "grammar"),
		("label over 63", b"MAIL FROM:<a@" + b"b" * 64 + b".example>", "grammar"),
		("line over 512", b"MAIL FROM:<a@x.example> BODY=" + b"8" * 600, "grammar"),
		("EHLO with a space", b"EHLO a b", "grammar"), ("LHLO to SMTP", b"LHLO a", "grammar"),
		("unknown command", b"FOO", "grammar"), ("DATA x", b"DATA x", "grammar"))
	def test_commands(self, line, kind):
		"command with {0} is found"
		lint = wire.Lint()
		lint.ehlo_reply(["8BITMIME"])
		lint.command(line + b"\r\n")
		self.assertTrue(any(f.startswith(kind) for f in lint.found), lint.found)

	@tap.table(
		("null sender", b"MAIL FROM:<>"), ("quoted", b'MAIL FROM:<"a> b\\"c"@x.example> SIZE=12 BODY=8BITMIME'),
		("literal", b"MAIL FROM:<a@[127.0.0.1]>"), ("IPv6 literal", b"MAIL FROM:<a@[IPv6:::1]>"),
		("SMTPUTF8", "MAIL FROM:<ä@bücher.example> SMTPUTF8".encode()),
		("DSN", b"MAIL FROM:<a@x.example> RET=HDRS ENVID=QQ+2B314"), ("EHLO literal", b"EHLO [127.0.0.1]"))
	def test_clean_commands(self, line):
		"clean command: {0}"
		lint = wire.Lint()
		lint.ehlo_reply(["SIZE", "8BITMIME", "SMTPUTF8", "DSN"])
		lint.command(line + b"\r\n")
		self.assertEqual(lint.found, [])

	def test_size(self):
		"SIZE= is compared with the un-stuffed octets"
		for size, wrong in ((7, False), (8, True)):
			lint = wire.Lint()
			lint.ehlo_reply(["SIZE"])
			lint.command(b"MAIL FROM:<a@x.example> SIZE=%d\r\n" % size)
			lint.data(b"..abcd\r\n")
			self.assertEqual(any(f.startswith("size") for f in lint.found), wrong)

	def test_lock_step(self):
		"pipelining that was not offered, and octets behind DATA, are found"
		with fake.Server(ehlo=["SIZE"]) as server:
			speak(server, ENVELOPE, 3)
			server.wait(1)
			self.assertTrue(any("PIPELINING was not offered" in f for f in server.lint), server.lint)
		with fake.Server() as server:
			speak(server, ENVELOPE + b"early\r\n.\r\n", 4)
			server.wait(1)
			self.assertTrue(any("behind DATA" in f for f in server.lint), server.lint)


class Runner(tap.Case):
	def shell(self, text, *args, **how):
		return mc.run("-c", text, "sh", *args, executable="/bin/sh", wrap=[], **how)

	@tap.table(
		("output nobody asked for", "echo hi"), ("noise on success", "echo hi >&2"), ("no reason given", "exit 75"),
		("two lines", "echo a >&2; echo b >&2; exit 75"), ("an exit code out of the table", "echo a >&2; exit 3"),
		("a signal", "kill -SEGV $$"), ("a sanitizer", "echo '==1==ERROR: AddressSanitizer: x' >&2; exit 64"),
		("a secret", "echo cGFzc3dvcmQxMjM= >&2; exit 64"), ("a secret in AUTH PLAIN", "echo AHUAcGFzc3dvcmQxMjM= >&2; exit 64"))
	def test_catches(self, text):
		"mc.run catches {0}"
		with self.assertRaises(AssertionError):
			self.shell(text, secrets=["password123"])

	def test_time_limit(self):
		"mc.run ends a run that gives no verdict"
		began = time.monotonic()
		with self.assertRaisesRegex(AssertionError, "no verdict"):
			self.shell("exec sleep 30", timeout=0.3 / mc.SLOW)
		self.assertLess(time.monotonic() - began, 5)

	def test_passes(self):
		"mc.run gives code, output, error line and environment"
		r = self.shell("cat; echo $X >&2; exit 65", input="text", env={"X": "reason"}, stdout=True)
		self.assertEqual((r.code, r.stdout, r.lines), (65, b"text", ["reason"]))
		r = self.shell("env | cut -d= -f1 | sort", stdout=True)
		self.assertEqual(r.stdout.count(b"MAILCHUTE"), r.stdout.count(b"MAILCHUTE_CONFIG"))

	def test_nothing_left(self):
		"a program of tests that is interrupted leaves no process and no directory"
		script = self.write("t.py", f"""
import sys, time
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from lib import tap, tmp
class T(tap.Case):
	def test_x(self):
		"hangs"
		p = tmp.start(["sleep", "1000"])
		print(p.pid, tmp.directory(), file=sys.stderr, flush=True)
		time.sleep(1000)
tap.main()
""")
		process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
		pid, directory = process.stderr.readline().split()
		process.terminate()
		out, _ = process.communicate(timeout=20)
		self.assertIn("Bail out!", out)
		self.assertFalse(os.path.exists(directory))
		tmp.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the process to end")


if __name__ == "__main__":
	tap.main(jobs=4)
