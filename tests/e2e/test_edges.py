#!/usr/bin/python3
"""What no row of the list asks for and users meet: proxies, streams, the progress line, --interface, reports of refusals."""

import os
import pty
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap  # noqa: E402

ARGS = ("-f", "a@example.net", "bob@example.org")


def pump(a, b):
	try:
		while octets := a.recv(65536):
			b.sendall(octets)
	except OSError:
		pass


def read_line(sock):
	line = b""
	while not line.endswith(b"\n"):
		octet = sock.recv(1)
		if not octet:
			break
		line += octet
	return line


def http(client):
	port = int(read_line(client).split()[1].rsplit(b":", 1)[1])
	while read_line(client).strip():
		pass
	client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
	return port


def socks4(client):
	head = client.recv(8)
	while client.recv(1) != b"\0":
		pass
	if head[4:7] == b"\0\0\0":      # 4a: a name follows
		while client.recv(1) != b"\0":
			pass
	client.sendall(b"\0\x5a\0\0\0\0\0\0")
	return int.from_bytes(head[2:4], "big")


def proxy(listener, speak):
	"""One session through a proxy that @speak understands: it gives the port wanted."""
	def run():
		client, _ = listener.accept()
		with client, socket.create_connection(("127.0.0.1", speak(client))) as target:
			threading.Thread(target=pump, args=(client, target), daemon=True).start()
			pump(target, client)
	threading.Thread(target=run, daemon=True).start()


class Ways(tap.Case):
	@tap.table(*[(f"{scheme}, {'LMTP' if lmtp else 'SMTP'}", scheme, speak, lmtp)
	             for scheme, speak in (("http", http), ("socks4", socks4), ("socks4a", socks4)) for lmtp in (False, True)])
	def test_proxy(self, scheme, speak, lmtp):
		"a message through a proxy: {0}"
		with socket.create_server(("127.0.0.1", 0)) as listener, fake.Server(lmtp=lmtp) as s:
			proxy(listener, speak)
			r = mc.run("-S", s.url, "--proxy", f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", *ARGS, input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(s.message.rcpts, ["bob@example.org"])
			self.assertEqual(s.lint, [])

	def test_interface(self):
		"--interface with an address: the server sees it"
		seen = []

		def note(session):
			seen.append(session.sock.getpeername()[0])
			session.put(b"250 ok\r\n")
		with fake.Server(mail=note) as s:
			r = mc.run("-S", s.url, "--interface", "127.0.0.7", *ARGS, input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(seen, ["127.0.0.7"])

	@tap.table(("6", "127.0.0.1"), ("4", "[::1]"))
	def test_family(self, host):
		"--ip-version {0} with an address of the other family: 64, nothing tried"
		r = mc.run("-S", host, "--ip-version", "6" if host[0] == "1" else "4", *ARGS, input="text\n")
		self.assertEqual(r.code, 64, r)
		self.assertIn("--ip-version", r.stderr)

	@tap.table(("4", "127.0.0.1"), ("6", "::1"))
	def test_localhost(self, host):
		"--ip-version {0} and localhost: that address is used"
		with fake.Server(host=host) as s:
			r = mc.run("-S", f"localhost:{s.port}", "--ip-version", "4" if "." in host else "6", *ARGS, input="text\n")
			self.assertEqual(r.code, 0, r)
			self.assertEqual(len(s.messages), 1)


class Streams(tap.Case):
	def test_text(self):
		"--stream: no SIZE, quoted-printable, all of it"
		text = "".join(f"line {i} ü\n" for i in range(20000))
		with fake.Server() as s:
			r = mc.run("-S", s.url, "--stream", *ARGS, input=text)
			self.assertEqual(r.code, 0, r)
			self.assertEqual([c for c in s.session.commands if "SIZE=" in c], [])
			message = s.message.parsed()
			self.assertEqual(message["content-transfer-encoding"], "quoted-printable")
			self.assertEqual(message.get_content().replace("\r", ""), text)
			self.assertEqual(s.lint, [])

	def test_two_servers(self):
		"--stream with two servers: 64, nothing tried"
		r = mc.run("-S", "127.0.0.1", "-S", "127.0.0.2", "--stream", *ARGS, input="text\n")
		self.assertEqual(r.code, 64, r)


class Progress(tap.Case):
	def on_terminal(self, *argv):
		path = self.write("big", os.urandom(3000000))
		env = mc.environment()
		with fake.Server(store=False) as s:
			# between fork() and execve() nothing that another thread could have locked
			pid, terminal = pty.fork()
			if pid == 0:
				os.execve(mc.BINARY,
				          ["mailchute", "-S", s.url, "--body", "x", "-a", path, "--limit-rate", "2M", *argv, *ARGS], env)
			shown = b""
			while True:
				try:
					octets = os.read(terminal, 4096)
				except OSError:
					break
				if not octets:
					break
				shown += octets
			status = os.waitpid(pid, 0)[1]
			os.close(terminal)
			self.assertEqual(os.waitstatus_to_exitcode(status), 0, shown)
			return shown.decode()

	def test_shown(self):
		"on a terminal, a message of seconds shows how far it is, and wipes that at the end"
		shown = self.on_terminal()
		self.assertRegex(shown, r"mailchute: [\d.]+ of 4\.1 MB sent \(\d+ %\)")
		self.assertTrue(shown.endswith("\r\x1b[K"), shown[-80:])
		done = [int(n) for n in re.findall(r"\((\d+) %\)", shown)]
		self.assertEqual(done, sorted(done))

	@tap.table(("-q",),)
	def test_quiet(self):
		"{0}: nothing is shown"
		self.assertEqual(self.on_terminal("-q"), "")


class Reports(tap.Case):
	@tap.table(("before it", ("--report=json", "--bogus"), {}), ("behind it", ("--bogus", "--report=json"), {}),
	           ("behind it, in two words", ("--bogus", "--report", "json"), {}),
	           ("in the environment", ("--bogus",), {"MAILCHUTE_REPORT": "json"}))
	def test_refused(self, argv, env):
		"a flag that is none, and the report asked for {0}: a report of it"
		r = mc.run(*argv, env=env, stdout=True)
		self.assertEqual(r.code, 64, r)
		self.assertEqual((r.json["result"], r.json["error"]["exit"], r.json["error"]["cause"]), ("error", 64, "usage"))

	def test_in_force(self):
		"--print-params shows the one of tls and starttls that decides"
		r = mc.run("--tls", "--print-params", *ARGS, env={"MAILCHUTE_STARTTLS": "true"})
		self.assertEqual(r.code, 0, r)
		self.assertTrue(r.json["tls"]["value"])
		self.assertNotIn("starttls", r.json)

	def test_twice(self):
		"a field given twice: the setting is named"
		r = mc.run("-n", "--headers", "Subject: a", "--headers", "subject: b", "--body", "x", *ARGS)
		self.assertEqual(r.code, 65, r)
		self.assertIn("mailchute: headers:", r.stderr)


if __name__ == "__main__":
	tap.main(jobs=4)
