#!/usr/bin/python3
"""What a malicious server or an unlucky machine did to us once, each as a test of its own."""

import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, fake, mc, tap, tmp  # noqa: E402

BOB = "bob@example.org"
ARGS = ["-f", "ann@example.net", "-s", "hello"]
LOGIN = {"auth": "PLAIN", "auth_clear": True}


def run(*argv, input=b"text\n", **how):
	return mc.run(*argv, *ARGS, BOB, input=input, **how)


class Renegotiation:
	"""openssl s_server under TLS 1.2, and a man in the middle who lets nothing of it pass behind its HelloRequest."""

	def __init__(self):
		pair = certs.get("good")
		with socket.create_server(("127.0.0.1", 0)) as s:
			inner = s.getsockname()[1]
		self.process = subprocess.Popen(["openssl", "s_server", "-accept", str(inner), "-cert", pair.cert, "-key", pair.key, "-tls1_2", "-crlf"],
		                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		self.inner = inner
		self.seen = b""
		self.listener = socket.create_server(("127.0.0.1", 0))
		self.port = self.listener.getsockname()[1]
		self.cut = threading.Event()
		for run in (self.watch, self.relay):
			threading.Thread(target=run, daemon=True).start()

	def watch(self):
		while octets := os.read(self.process.stdout.fileno(), 65536):
			self.seen = self.seen[-200000:] + octets

	def connect(self):
		for _ in range(100):
			try:
				return socket.create_connection(("127.0.0.1", self.inner))
			except ConnectionRefusedError:
				time.sleep(0.05)
		raise AssertionError("openssl s_server does not listen")

	def relay(self):
		client = self.listener.accept()[0]
		server = self.connect()
		threading.Thread(target=self.upwards, args=(client, server), daemon=True).start()
		records = 0
		while octets := server.recv(65536):
			if not self.cut.is_set():
				client.sendall(octets)
			elif not records:
				length = 5 + int.from_bytes(octets[3:5], "big")
				client.sendall(octets[:length])
				records = 1

	@staticmethod
	def upwards(client, server):
		try:
			while octets := client.recv(65536):
				server.sendall(octets)
		except OSError:
			pass

	def say(self, line, wait_for):
		self.process.stdin.write(line + b"\n")
		self.process.stdin.flush()
		self.heard(wait_for)

	def heard(self, text):
		tmp.wait_for(lambda: text in self.seen, 20 * mc.SLOW, f"{text!r} to be heard")
		self.seen = self.seen.replace(text, b"", 1)

	def close(self):
		self.process.kill()
		self.process.wait()
		self.process.stdin.close()
		self.listener.close()


class Tls(tap.Case):
	@tap.table(("timeout", ["--timeout", "2"], "took nothing more"),
	           ("max_time", ["--timeout", "20", "--max-time", "4"], "max_time"))
	def test_renegotiation(self, limits, said):
		"""a renegotiation amid the message that the server leaves lying ends at the clock, and the processor rests until then: {0}"""
		server = Renegotiation()
		self.addCleanup(server.close)
		client = subprocess.Popen([mc.BINARY, "-S", f"smtps://localhost:{server.port}", "--tls-ca-file", certs.ca(), *limits,
		                           "--limit-rate", "2000000", *ARGS, BOB], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=mc.environment())
		self.addCleanup(client.kill)
		client.stdin.write(b"text of a line\n" * 1000000)
		client.stdin.close()
		server.say(b"220 hi", b"EHLO")
		server.say(b"250 hi", b"MAIL")
		server.say(b"250 ok", b"RCPT")
		server.say(b"250 ok", b"DATA")
		server.say(b"354 go", b"text of a line")
		server.cut.set()
		server.process.stdin.write(b"r\n")
		server.process.stdin.flush()
		began = time.monotonic()
		before = self.busy(client.pid)
		time.sleep(1)
		self.assertLess(self.busy(client.pid) - before, 0.5 * mc.SLOW, "the processor is kept busy")
		client.wait(10 * mc.SLOW)
		self.assertLess(time.monotonic() - began, 6 * mc.SLOW)
		text = client.stderr.read().decode()
		client.stderr.close()
		self.assertEqual(client.returncode, 75, text)
		self.assertIn(said, text)

	@staticmethod
	def busy(pid):
		with open(f"/proc/{pid}/stat") as file:
			fields = file.read().rsplit(")", 1)[1].split()
		return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

	@tap.table(("SMTP", False), ("LMTP", True))
	def test_pinned(self, lmtp):
		"""a pinned key is not pinned to nothing where STARTTLS was taken off the way: {0}"""
		pin = ["--tls-pinned-key", certs.pin("good")]
		with fake.Server(lmtp=lmtp) as server:
			self.assertEqual(run("-S", server.url, *pin).code, 77)
			self.assertEqual(server.messages, [])
			self.assertEqual(run("-S", server.url, *pin, "--no-starttls").code, 0)
		with fake.Server(lmtp=lmtp, tls="starttls") as server:
			r = run("-S", server.url.replace("127.0.0.1", "localhost"), *pin, "--tls-ca-file", certs.ca())
			self.assertEqual(r.code, 0, r)
			self.assertTrue(server.session.tls)

	# TLS takes several records whole or not at all: so does this libcurl, and the last record waits half a second.
	RECORDS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
typedef int sender(void *, const void *, size_t, size_t *);
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
int curl_easy_send(void *easy, const void *mem, size_t len, size_t *n)
{
	static const void *held;
	static double until;
	size_t part = len, most = 0;
	sender *send = (sender *)dlsym(RTLD_NEXT, "curl_easy_send");
	if (len <= 16384 || memcmp((const char *)mem + len - 11, "\r\n.\r\nQUIT\r\n", 11))
		return send(easy, mem, len, n);
	*n = 0;
	if (held != mem) {
		held = mem;
		until = now() + 0.5;
		for (part -= 6; most < part; most += *n)
			if (send(easy, (const char *)mem + most, part - most, n) && (*n = 0, 0))
				return 55;
		*n = 0;
	}
	if (now() < until)
		return 81;
	send(easy, (const char *)mem + len - 6, 6, n);
	*n = len;
	return 0;
}
"""

	def test_dot_in_another_record(self):
		"""the record with the dot is with the server and the one with QUIT is not: the answer is the answer to the dot"""
		directory = tmp.directory("mcrecords-")
		library, source = os.path.join(directory, "records.so"), os.path.join(directory, "records.c")
		with open(source, "w") as file:
			file.write(self.RECORDS)
		subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
		env = {"LD_PRELOAD": library, "ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=99"}
		with fake.Server() as server:
			r = run("-S", server.url, "--timeout", "5", input=b"x" * 70 + b"\n" + b"text\n" * 5000, env=env)
			self.assertEqual(r.code, 0, r)
			self.assertEqual(len(server.messages), 1)


class Resolver(tap.Case):
	MUTE = "#include <unistd.h>\nint getaddrinfo(void) { sleep(9); return -3; }\n"

	@tap.table(("unknown", "nosuch0", 64), ("unknown address", "192.0.2.1", 64), ("an interface", "lo", 0), ("an address", "127.0.0.1", 0),
	           ("IPv6 for IPv4", "::1", 64))
	def test_interface(self, name, code):
		"""the name of an interface is not looked up as a host's, out of reach of every clock: {0}"""
		directory = tmp.directory("mcmute-")
		library, source = os.path.join(directory, "mute.so"), os.path.join(directory, "mute.c")
		with open(source, "w") as file:
			file.write(self.MUTE)
		subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
		env = {"LD_PRELOAD": library, "ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=99"}
		with fake.Server() as server:
			r = run("-S", server.url, "--helo-name", "ann.example.net", "--message-id", "<a@example.net>", "--interface", name, env=env)
			self.assertEqual(r.code, code, r)
			self.assertLess(r.duration, 4 * mc.SLOW, r)


class Servers(tap.Case):
	@tap.table(("an unknown host", "nosuch.invalid:2525"), ("no socket", "lmtp+unix:/nonexistent/socket"))
	def test_come_again(self, next_server):
		"""a server's "come again" is not undone by the next one, which cannot be had at all: {0}"""
		with fake.Server(mail="450 4.3.0 later") as server:
			r = run("-S", server.url, "-S", next_server, "--report=json")
			self.assertEqual(r.code, 75, r)
			if "invalid" in next_server:
				self.assertEqual(r.json["server"], f"127.0.0.1:{server.port}", r)
				self.assertEqual(r.json["recipients"][0]["code"], 450, r)


class Secrets(tap.Case):
	@tap.table(("a control character", "pa\x01ss"), ("UTF-8 and DEL", "pä\\ss\x7fw"), ("a tab", "tab\tpw"),
	           ("longer than the room for a text", "x" * 590 + "the tail"))
	def test_echo(self, password):
		"""a server that says the password is not quoted, however it is shown: {0}"""
		path = os.path.join(tmp.directory("mcpw-"), "pw")
		with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
			file.write(password)
		said = fake.raw(b"535 5.7.8 no such user with " + password.encode() + b", sorry\r\n")
		with fake.Server(**LOGIN, auth_final=said) as server:
			r = run("-S", server.url, "--username", "u", "--password-file", path, secrets=[password])
			self.assertEqual(r.code, 77, r)
			self.assertIn("no such user with ***, sorry", r.stderr)
			self.assertNotIn("xxxx", r.stderr)

	def test_core(self):
		"""no core is dumped of a process that holds a password, not even while it waits for its text"""
		path = os.path.join(tmp.directory("mccore-"), "params.json")
		with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
			file.write('{"server":"127.0.0.1:1","username":"u","password":"hunter22","body_file":"-"}')
		process = subprocess.Popen([mc.BINARY, "--params", path, *ARGS, BOB], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=mc.environment(),
		                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))

		def limited():
			with open(f"/proc/{process.pid}/limits") as file:
				return any(l.split()[4] == "0" for l in file if l.startswith("Max core"))
		try:
			tmp.wait_for(limited, 5 * mc.SLOW, "the limit of core files to be 0")
			self.assertIsNone(process.poll())
		finally:
			process.kill()
			process.communicate()

	@tap.table(("http", "http://u:hunter22@127.0.0.1:1", 64), ("socks5h", "socks5h://u:hunter22@127.0.0.1:1", 64),
	           ("no scheme", "u:hunter22@127.0.0.1:1", 64), ("a user alone", "http://u@127.0.0.1:1", 75))
	def test_proxy(self, url, code):
		"""a proxy's password on the command line is refused, as every other one is: {0}"""
		r = run("-S", "mail.example.org", "--helo-name", "ann.example.net", "--proxy", url, secrets=["hunter22"])
		self.assertEqual(r.code, code, r)

	def test_descriptor_of_ours(self):
		"""a descriptor that nobody opened is not one of our own"""
		for number in range(3, 20):
			r = run("--dry-run", "-a", '{"fd":%d}' % number, "--timeout", "5", lines=None)
			self.assertEqual(r.code, 66, r)
			self.assertLess(r.duration, 3 * mc.SLOW, r)


class Machine(tap.Case):
	def test_descriptors(self):
		"""no descriptor left: exit 71, and not a tale of servers and resolvers that are silent"""
		seen = set()
		with fake.Server() as server:
			for limit in range(3, 14):
				for to in (server.url, "mail.invalid:2525"):
					p = subprocess.run([mc.BINARY, "-S", to, *ARGS, BOB, "--body", "text"], stdin=subprocess.DEVNULL, capture_output=True,
					                   env=mc.environment({"ASAN_OPTIONS": "detect_leaks=0"}),
					                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
					if p.returncode in (0, 68):
						continue
					seen.add(p.returncode)
					self.assertIn(p.returncode, (71, 127), p.stderr)    # 127: not even ld.so can
		self.assertIn(71, seen)

	def test_output_mode(self):
		"""a file of --output keeps the mode of the one it replaces, without a program's rights"""
		path = os.path.join(tmp.directory("mcout-"), "out")
		with open(path, "w"):
			pass
		os.chmod(path, 0o6755)
		self.assertEqual(run("--output", path).code, 0)
		self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o755)


if __name__ == "__main__":
	tap.main()
