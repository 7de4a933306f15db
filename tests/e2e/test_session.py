#!/usr/bin/python3
"""Openings alone, through tests/tools/session_probe.c: every stage and fault, by what struct session_failure says.

The program's own tests see exit codes; here stage, cause, code and advice are looked at, and that what must not
be sent was not.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap  # noqa: E402

PROBE = os.environ.get("SESSION_PROBE", "session_probe")
T = 2
USER = {"user": "u", "password": "secretpw"}


def probe(server=None, **settings):
	settings = {"timeout": int(T * mc.SLOW), "connect": int(T * mc.SLOW), **settings}
	if server is not None and "unix" not in settings:
		settings.setdefault("host", server.host)
		settings.setdefault("port", server.port)
	argv = [PROBE] + [f"{k}={v}" for k, v in settings.items()]
	return subprocess.run(argv, capture_output=True, text=True, errors="surrogateescape", timeout=60 * mc.SLOW)


def commands(server):
	return [c for s in server.sessions for c in s.commands]


class Opening(tap.Case):
	def opens(self, want, settings=None, ehlo_stage=None, **server):
		"""Open to a fake server; @want is part of the answer."""
		if ehlo_stage is not None:
			server["sessions"] = [{"ehlo": ehlo_stage}]
		began = time.monotonic()
		with fake.Server(**server) as s:
			r = probe(s, **(settings or {}))
			self.assertEqual((r.returncode, r.stderr), (0, ""))
			self.assertIn(want, r.stdout)
			self.assertLess(time.monotonic() - began, (T + 1) * mc.SLOW + 1)
			self.said = commands(s)
		return r.stdout

	def lmtp(self, lmtp):
		return {"lmtp": int(lmtp)}


STAGE_FAULTS = [
	("close", fake.close(), "deferred stage={} cause=lost"),
	("421", ["421 4.3.2 bye", fake.close()], "deferred stage={} cause=refused code=421 enhanced='4.3.2'"),
	("silence", fake.silence(), "deferred stage={} cause=timeout"),
	("two codes", fake.raw(b"220-a\r\n550 b\r\n"), "deferred stage={} cause=protocol"),
	("250- without an end", fake.raw(b"250-xxx\r\n" * 20000), "deferred stage={} cause=protocol"),
] + [(f"garbage {g!r}", fake.raw(g), "deferred stage={} cause=protocol") for g in (
	b"abc\r\n", b"25\r\n", b"2500 ok\r\n", b"-250 \r\n", b"250\tok\r\n", b"\x00250 ok\r\n", b"001 ok\r\n", b"100 ok\r\n",
	b"999 ok\r\n", b"\xff\xfe2\x00\r\n", b"354 ok\r\n")]


class Replies(Opening):
	@tap.row("SRV-01", "SRV-03", "SRV-06", "SRV-46", "SRV-48", "SRV-51")
	@tap.table(*STAGE_FAULTS)
	def test_greeting(self, action, want):
		"greeting: {0}"
		self.opens(want.format("greeting"), greeting=action)
		self.opens(want.format("greeting"), {"lmtp": 1}, lmtp=True, greeting=action)
		self.assertEqual(self.said, [])

	@tap.row("SRV-07", "SRV-09", "SRV-12", "SRV-46", "SRV-48", "SRV-51")
	@tap.table(*STAGE_FAULTS)
	def test_ehlo(self, action, want):
		"EHLO: {0}"
		self.opens(want.format("ehlo"), ehlo_stage=action)
		self.opens(want.format("ehlo"), {"lmtp": 1}, ehlo_stage=action, lmtp=True)

	@tap.row("SRV-04", "SRV-05")
	def test_greeting_refusal(self):
		"greeting: 451 defers, 554 rejects"
		for lmtp in False, True:
			self.opens("deferred stage=greeting cause=refused code=451", self.lmtp(lmtp), lmtp=lmtp, greeting="451 later")
			self.opens("rejected stage=greeting cause=sender code=554 enhanced='5.7.1'", self.lmtp(lmtp), lmtp=lmtp,
			           greeting="554 5.7.1 no")

	@tap.row("SRV-10", "SRV-11", "AUT-03")
	def test_ehlo_refused(self):
		"EHLO refused: HELO where it does, policy where TLS or AUTH is needed"
		for refusal, want in (("451 later", "deferred stage=ehlo cause=refused code=451"),
		                      ("500 what", "rejected stage=ehlo cause=policy code=500")):
			self.opens("open esmtp=0", ehlo_stage=refusal)
			self.opens(want, {"loopback": 1, **USER}, ehlo_stage=refusal)
			self.assertEqual(len(self.said), 1)
			self.opens(want, {"tls": "starttls"}, ehlo_stage=refusal)
			self.assertEqual(len(self.said), 1)
		self.opens("rejected stage=ehlo cause=sender code=500", ehlo_stage="500 what", helo="500 what")

	@tap.row("LMT-07")
	def test_not_lmtp(self):
		"LHLO answered by 500 is not LMTP, and the line says so"
		self.assertIn("not LMTP", self.opens("cause=protocol", {"lmtp": 1}))

	@tap.row("SRV-47", "SRV-51")
	@tap.table(*((repr(g[:40]), g) for g in (
		b"250\r\n", b"250 \r\n", b"250 ok\n", b"\r\n250 ok\r\n", b"250-a\n250-PIPELINING\n250 SIZE 5\n",
		b"250-" + b"x" * 4000 + b"\r\n250 ok\r\n", b"250-" + b"x" * 100000 + b"\r\n250 ok\r\n")))
	def test_tolerated(self, octets):
		"accepted forms: {0}"
		self.opens("open esmtp=1", ehlo_stage=fake.raw(octets))
		self.opens("open esmtp=1", {"lmtp": 1}, lmtp=True, ehlo_stage=fake.raw(octets))

	@tap.row("SRV-56", "SRV-54")
	def test_too_many(self):
		"two greetings; replies behind the last line of EHLO's answer"
		for lmtp in False, True:
			self.opens("cause=protocol", self.lmtp(lmtp), lmtp=lmtp, greeting=fake.raw(b"220 a\r\n220 b\r\n"))
			for extra in b"250 c\r\n", b"421 c\r\n":
				self.opens("cause=protocol", self.lmtp(lmtp), lmtp=lmtp,
				           ehlo_stage=fake.raw(b"250-a\r\n250 b\r\n" + extra))

	@tap.row("SRV-51")
	@tap.table(("three megabytes", 3000000), ("a hundred kilobytes", 100000))
	def test_endless_line(self, octets):
		"a line without an end: {0}"
		self.opens("stage=ehlo cause=protocol", ehlo_stage=fake.raw(b"250-" + b"x" * octets))

	@tap.row("SRV-52")
	@tap.table(("SMTP", False), ("LMTP", True))
	def test_drip(self, lmtp):
		"a drip does not wind the clock up, {0}"
		self.opens("stage=greeting cause=timeout", self.lmtp(lmtp), lmtp=lmtp,
		           greeting=fake.drip(b"220 hello there, dripping\r\n", 0.4 * mc.SLOW))
		self.opens("stage=ehlo cause=timeout", self.lmtp(lmtp), lmtp=lmtp,
		           ehlo_stage=fake.drip(b"250-a\r\n250-b\r\n250-c\r\n250-d\r\n", 0.4 * mc.SLOW))

	def test_max_time(self):
		"max_time ends a wait that has time left"
		self.assertIn("--max-time", self.opens("cause=timeout", {"max": 1}, greeting=fake.silence()))


class Connecting(Opening):
	@tap.row("SRV-43")
	def test_refused(self):
		"nothing listens: advice for localhost:25, the usual ports for others"
		listener = socket.create_server(("127.0.0.1", 0))
		port = listener.getsockname()[1]
		listener.close()
		r = probe(host="127.0.0.1", port=port)
		self.assertIn("deferred stage=connect cause=refused", r.stdout)
		self.assertIn("587", r.stdout)

	@tap.row("SRV-43")
	def test_filtered(self):
		"no answer to SYN: the connect clock, not the others"
		listener = socket.create_server(("127.0.0.1", 0), backlog=0)
		fill = []
		for _ in range(4):
			s = socket.socket()
			s.setblocking(False)
			s.connect_ex(listener.getsockname())
			fill.append(s)
		time.sleep(0.2)
		began = time.monotonic()
		r = probe(host="127.0.0.1", port=listener.getsockname()[1], connect=1, timeout=50)
		self.assertIn("deferred stage=connect cause=timeout", r.stdout)
		self.assertLess(time.monotonic() - began, 2 * mc.SLOW)
		for s in fill + [listener]:
			s.close()

	def test_slow_greeting(self):
		"the connect clock ends with TCP"
		for lmtp in False, True:
			self.opens("open", {"connect": 1, **self.lmtp(lmtp)}, lmtp=lmtp, greeting=[fake.delay(1.5), fake.default()])

	@tap.row("LMT-05")
	def test_unix(self):
		"Unix sockets: missing, a directory, a file, a path too long"
		for lmtp in 0, 1:
			for path in "/nonexistent/s", self.tempdir(), self.write("plain", b"x"):
				self.assertIn("deferred stage=connect cause=refused", probe(unix=path, lmtp=lmtp).stdout)
			self.assertIn("error", probe(unix="/tmp/" + "x" * 108, lmtp=lmtp).stdout)
			with fake.Server(unix=True, lmtp=bool(lmtp)) as s:
				self.assertIn("open", probe(unix=s.unix, lmtp=lmtp).stdout)

	def test_helo(self):
		"EHLO says the name that was set, else an address literal or a qualified name, never localhost"
		for lmtp in False, True:
			self.opens("open", {"helo": "client.example.net", **self.lmtp(lmtp)}, lmtp=lmtp)
			self.assertEqual(self.said[0][5:], "client.example.net")
			self.opens("open", {"host": "localhost", **self.lmtp(lmtp)}, lmtp=lmtp)
			self.assertRegex(self.said[0], r"^(EHLO|LHLO) (\[.*\]|[^ ]+\.[^ ]+)$")
		self.opens("error class=1", {"helo": "a b"})
		self.assertEqual(self.said, [])

	@tap.row("SIG-01")
	def test_signal(self):
		"a signal ends each wait at once"
		for script in {"greeting": fake.silence()}, {"sessions": [{"ehlo": fake.silence()}]}:
			for lmtp in 0, 1:
				with fake.Server(lmtp=bool(lmtp), **script) as s:
					p = subprocess.Popen([PROBE, "host=127.0.0.1", f"port={s.port}", f"lmtp={lmtp}"],
					                     stdout=subprocess.PIPE, text=True)
					time.sleep(0.4 * mc.SLOW)
					began = time.monotonic()
					p.send_signal(signal.SIGTERM)
					self.assertIn("cause=lost", p.communicate(timeout=20)[0])
					self.assertLess(time.monotonic() - began, 0.5 * mc.SLOW)


def socks(listener, answer):
	"""One SOCKS5 session: @answer None says nothing, else its code; 0 goes on to the target."""
	def pump(a, b):
		try:
			while octets := a.recv(65536):
				b.sendall(octets)
		except OSError:
			pass

	def run():
		client, _ = listener.accept()
		with client:
			if answer is None:
				time.sleep(10)
				return
			client.recv(10)
			client.sendall(b"\5\0")
			head = client.recv(4)
			name = client.recv(client.recv(1)[0] if head[3] == 3 else 4)
			port = int.from_bytes(client.recv(2), "big")
			assert name
			client.sendall(bytes([5, answer, 0, 1, 0, 0, 0, 0, 0, 0]))
			if answer == 0:
				target = socket.create_connection(("127.0.0.1", port))
				threading.Thread(target=pump, args=(client, target), daemon=True).start()
				pump(target, client)
	threading.Thread(target=run, daemon=True).start()


class Proxies(Opening):
	@tap.table(*((f"{'LMTP' if lmtp else 'SMTP'}, {tls or 'plain'}", lmtp, tls)
	             for lmtp in (0, 1) for tls in (None, "starttls", "implicit")))
	def test_socks(self, lmtp, tls):
		"through SOCKS5: {0}"
		with socket.create_server(("127.0.0.1", 0)) as listener, fake.Server(lmtp=bool(lmtp), tls=tls) as s:
			socks(listener, 0)
			r = probe(s, host="localhost", lmtp=lmtp, tls=tls or "never", ca=certs.ca(),
			          proxy=f"socks5h://127.0.0.1:{listener.getsockname()[1]}")
			self.assertIn("open", r.stdout)

	@tap.table(("a proxy that refuses", 5, "cause=refused"), ("a proxy that says nothing", None, "cause=timeout"))
	def test_no_way(self, answer, want):
		"{0}"
		for lmtp in 0, 1:
			with socket.create_server(("127.0.0.1", 0)) as listener:
				socks(listener, answer)
				r = probe(host="localhost", port=25, lmtp=lmtp, connect=1, timeout=30,
				          proxy=f"socks5h://127.0.0.1:{listener.getsockname()[1]}")
				self.assertIn("deferred stage=connect " + want, r.stdout)


class Tls(Opening):
	MODES = [(f"{m}{', LMTP' if l else ''}", m, l) for m in ("implicit", "starttls") for l in (0, 1)]

	@tap.row("TLS-01")
	@tap.table(*MODES)
	def test_certificates(self, mode, lmtp):
		"certificates that are refused, and nothing said behind them: {0}"
		for name in ("wrong_host", "cn_only", "name_only", "ip_as_name", "expired", "not_yet", "self_signed", "unknown_ca",
		             "wrong_eku", "chain_missing"):
			text = self.opens("not_attempted stage=tls cause=tls", {"tls": mode, "ca": certs.ca(), "lmtp": lmtp, **USER},
			                  lmtp=bool(lmtp), tls=mode, cert=name, auth="PLAIN")
			self.assertIn("--tls-ca-file", text)
			self.assertEqual([c for c in self.said if not c.startswith(("EHLO", "LHLO", "STARTTLS"))], [])
		self.opens("cause=tls", {"tls": mode, "lmtp": lmtp}, lmtp=bool(lmtp), tls=mode)

	@tap.row("TLS-06", "TLS-11", "TLS-12")
	@tap.table(*MODES)
	def test_good(self, mode, lmtp):
		"what is accepted: {0}"
		both = {"tls": mode, "lmtp": lmtp}
		server = {"tls": mode, "lmtp": bool(lmtp)}
		for name in "good", "rsa", "chain":
			self.opens("times=110", {**both, "ca": certs.ca()}, cert=name, **server)
		self.opens("open", {**both, "verify": 0}, cert="self_signed", **server)
		self.opens("open", {**both, "ca": certs.ca(), "pin": certs.pin("good")}, **server)
		self.opens("cause=tls", {**both, "ca": certs.ca(), "pin": certs.pin("rsa")}, **server)
		self.opens("cause=tls", {**both, "ca": certs.ca()}, tls_min="1.0", tls_max="1.1", **server)
		self.opens("open", {**both, "ca": certs.ca(), "min": 3}, tls_min="1.3", **server)

	@tap.row("TLS-09", "TLS-10")
	def test_files(self):
		"files that cannot be used are ours, before anything is said"
		client, encrypted, mismatch = (certs.get(n) for n in ("client", "client_encrypted", "client_mismatch"))
		readable = os.path.join(self.tempdir(), "key")
		shutil.copy(client.key, readable)
		os.chmod(readable, 0o644)
		for settings in ({"ca": "/nonexistent"}, {"ca": self.tempdir()}, {"ca": self.write("empty", b"")},
		                 {"ca": self.write("junk", b"junk")}, {"cert": client.cert, "key": readable},
		                 {"cert": client.cert, "key": "/nonexistent"}, {"cert": encrypted.cert, "key": encrypted.key},
		                 {"cert": client.cert, "key": client.cert}):
			self.opens("error class=", {"tls": "implicit", "ca": certs.ca(), **settings}, tls="implicit")
		self.opens("error class=", {"tls": "implicit", "ca": certs.ca(), "cert": mismatch.cert, "key": mismatch.key},
		           tls="implicit")
		for lmtp in 0, 1:
			self.opens("times=111", {"tls": "starttls", "ca": certs.ca(), "cert": client.cert, "key": client.key,
			                         "external": 1, "auth": "EXTERNAL", "lmtp": lmtp}, tls="starttls", auth="EXTERNAL",
			           client_ca="ca", lmtp=bool(lmtp))

	@tap.row("TLS-02", "TLS-03")
	@tap.table(*[(f"{label}, {'LMTP' if lmtp else 'SMTP'}, {tls}", action, want, lmtp, tls)
	             for lmtp in (0, 1) for tls in ("starttls", "try") for label, action, want in (
		("454", "454 no", "deferred stage=tls cause=tls code=454"),
		("501", "501 no", "not_attempted stage=tls cause=tls code=501"),
		("554", "554 no", "not_attempted stage=tls cause=tls code=554"),
		("250", "250 no", "cause=protocol"),
		("220 and close", ["220 go", fake.close()], "deferred stage=tls cause=lost"),
		("220 and silence", ["220 go", fake.silence()], "deferred stage=tls cause=timeout"),
		("220 and garbage", ["220 go", fake.flush(), fake.delay(0.2), fake.raw(b"250 no TLS here, none at all\r\n"),
		                     fake.flush(), fake.silence()], "stage=tls cause=protocol"),
		("220 and more in the same segment", fake.raw(b"220 go\r\n250 injected\r\n"), "stage=tls cause=protocol"),
	)])
	def test_starttls(self, action, want, lmtp, tls):
		"STARTTLS: {0}, required or not, never a word in clear after it"
		for cred in {}, {"insecure": 1, **USER}:
			self.opens(want, {"tls": tls, "ca": certs.ca(), "lmtp": lmtp, **cred}, tls="starttls",
			           lmtp=bool(lmtp), starttls=action, auth="PLAIN", auth_clear=True)
			self.assertEqual([c.split()[0] for c in self.said][1:2], ["STARTTLS"])
			self.assertNotIn("AUTH", [c.split()[0] for c in self.said[:2]])

	@tap.row("TLS-02")
	def test_stripped(self):
		"STARTTLS not offered, or in lower case that an old libcurl does not hear"
		for lmtp in 0, 1:
			self.opens("not_attempted stage=tls cause=tls", {"tls": "starttls", "lmtp": lmtp}, lmtp=bool(lmtp))
			self.opens("open", {"tls": "try", "lmtp": lmtp}, lmtp=bool(lmtp))
			self.opens("not_attempted stage=tls cause=policy", {"tls": "try", "lmtp": lmtp, **USER}, lmtp=bool(lmtp),
			           auth="PLAIN", auth_clear=True)
			self.assertEqual(len(self.said), 1)
		for tls in "try", "starttls":
			text = self.opens("", {"tls": tls, "ca": certs.ca()}, ehlo=["starttls"])
			self.assertNotIn("open", text)

	@tap.row("TLS-08")
	def test_mixed_up(self):
		"smtps to a plain port, smtp to a TLS port: the hint"
		self.assertIn("--starttls", self.opens("cause=protocol", {"tls": "implicit"}))
		self.assertIn("--tls", self.opens("cause=timeout", tls="implicit"))

	@tap.row("TLS-05")
	def test_again(self):
		"STARTTLS offered within TLS is left alone"
		self.opens("open", {"tls": "starttls", "ca": certs.ca()}, tls="starttls", ehlo_tls=["STARTTLS", "SIZE 9"])


class Auth(Opening):
	BOTH = [("SMTP", 0), ("LMTP", 1)]

	@tap.row("AUT-01")
	@tap.table(*BOTH)
	def test_mechanisms(self, lmtp):
		"every mechanism: {0}"
		both = {"loopback": 1, "lmtp": lmtp}
		names = ["PLAIN", "LOGIN"] + ([] if lmtp else ["CRAM-MD5"])
		for name in names:
			server = {"lmtp": bool(lmtp), "auth": name, "users": {"u": "secretpw"}}
			self.opens("times=101", {**both, "auth": name, **USER}, **server)
			self.opens("not_attempted stage=auth cause=auth code=535", {**both, "auth": name, "user": "u", "password": "no"},
			           **server)
			self.assertEqual(len([c for c in self.said if c.startswith("AUTH")]), 1)
		for name in "XOAUTH2", "OAUTHBEARER":
			server = {"lmtp": bool(lmtp), "auth": name + " CRAM-MD5 PLAIN", "tokens": {"u": "tok123"}}
			self.opens("times=101", {**both, "user": "u", "token": "tok123"}, **server)
			self.opens("not_attempted stage=auth cause=auth", {**both, "user": "u", "token": "tok124"}, **server)
		self.opens("times=101", {**both, "user": "u@x", "password": "secretpw"}, lmtp=bool(lmtp), users={"u@x": "secretpw"},
		           auth="GSSAPI NTLM LOGIN PLAIN")
		self.opens("times=101", {**both, "user": "u", "password": "p" * 1000}, lmtp=bool(lmtp), users={"u": "p" * 1000},
		           auth="PLAIN")

	@tap.row("AUT-03")
	@tap.table(*BOTH)
	def test_absent(self, lmtp):
		"AUTH absent, unknown, or in the form AUTH=: {0}"
		for server in {}, {"auth": "GSSAPI NTLM"}, {"ehlo": ["AUTH=PLAIN LOGIN"]}:
			self.opens("not_attempted stage=auth cause=auth", {"loopback": 1, "lmtp": lmtp, **USER}, lmtp=bool(lmtp), **server)
			self.assertEqual(len(self.said), 1)

	@tap.row("AUT-02")
	@tap.table(*BOTH)
	def test_clear(self, lmtp):
		"no credentials in clear unless asked, not even a connection: {0}"
		server = {"lmtp": bool(lmtp), "auth": "PLAIN", "auth_clear": True, "users": {"u": "secretpw"}}
		self.opens("not_attempted stage=local cause=policy", {"lmtp": lmtp, **USER}, **server)
		self.assertEqual(self.said, [])
		self.opens("times=101", {"lmtp": lmtp, "insecure": 1, **USER}, **server)

	@tap.row("AUT-04")
	@tap.table(
		("454", {"auth_final": "454 later"}, "deferred stage=auth cause=auth code=454"),
		("421", {"auth_final": ["421 bye", fake.close()]}, "deferred stage=auth cause=auth code=421"),
		("534", {"auth_final": "534 no"}, "not_attempted stage=auth cause=auth code=534"),
		("334 for ever", {"auth_final": "334 "}, "cause=protocol"),
		("235 too early", {"auth": "LOGIN", "auth_challenge": "235 ok"}, "cause=protocol"),
		("close", {"auth_final": fake.close()}, "deferred stage=auth cause=lost"),
		("250", {"auth_final": "250 ok"}, "cause=protocol"),
	)
	def test_answers(self, server, want):
		"AUTH answered by {0}"
		for lmtp in 0, 1:
			self.opens(want, {"loopback": 1, "lmtp": lmtp, **USER}, **{"auth": "PLAIN", "lmtp": bool(lmtp), **server})

	@tap.row("AUT-05")
	def test_no_fall_back(self):
		"CRAM-MD5 fails, or its challenge is broken: PLAIN is not tried"
		for server in {"users": {"u": "other"}}, {"auth_challenge": "334 !!!"}, {"auth_challenge": "535 no"}:
			self.opens("stage=auth", {"loopback": 1, "auth": "CRAM-MD5", **USER}, auth="CRAM-MD5 PLAIN", **server)
			self.assertEqual([c for c in self.said if c.startswith("AUTH PLAIN")], [])

	@tap.row("AUT-08")
	@tap.table(*[(f"{n} {'LMTP' if l else 'SMTP'}", n, l) for n in ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER") for l in (0, 1)])
	def test_trace(self, name, lmtp):
		"no secret in the trace, also where the server echoes it: {0}"
		secret = "gH7secretpw"
		cred = {"user": "u", "token" if name[0] in "XO" else "password": secret}
		echo = " ".join(f.decode() for f in mc.forms(secret) if f != secret.encode().hex().encode()) + " " + secret
		with fake.Server(lmtp=bool(lmtp), auth=name, auth_final=["535 " + echo]) as s:
			r = probe(s, loopback=1, lmtp=lmtp, trace=1, **cred)
			self.assertIn("> AUTH " + name, r.stderr)
			self.assertIn("535", r.stderr)
			self.assertEqual(mc.leaks([secret], r.stderr.encode(), r.stdout.encode()), [])


if __name__ == "__main__":
	tap.main(jobs=8)
