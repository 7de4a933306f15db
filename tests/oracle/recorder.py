"""A recorder: an SMTP server that keeps each transaction's envelope and bytes, and refuses nothing."""
import collections
import re
import socketserver
import threading

Transaction = collections.namedtuple("Transaction", "sender rcpts message")
FULL = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class _Session(socketserver.StreamRequestHandler):
	def say(self, text):
		self.wfile.write(text.encode() + b"\r\n")

	def read_message(self):
		"""The message with its dots un-stuffed, or None where the client left before the dot."""
		lines = []
		for line in self.rfile:
			if line == b".\r\n":
				return b"".join(lines)
			lines.append(line[1:] if line.startswith(b".") else line)
		return None

	def handle(self):
		self.say("220 recorder.example ESMTP")
		sender, rcpts = None, []
		for line in self.rfile:
			text = line.decode("utf-8").rstrip("\r\n")
			verb = text[:4].upper()
			if verb == "EHLO":
				offered = ("recorder.example",) + self.server.offered
				self.say("\r\n".join(f"250{' ' if k is offered[-1] else '-'}{k}" for k in offered))
			elif verb == "MAIL":
				sender, rcpts = path(text), []
				self.say("250 2.1.0 Ok")
			elif verb == "RCPT":
				rcpts.append(path(text))
				self.say("250 2.1.5 Ok")
			elif verb == "DATA":
				self.say("354 Go on")
				message = self.read_message()
				if message is None:
					return
				self.server.transactions.append(Transaction(sender, rcpts, message))
				self.say("250 2.0.0 Ok")
			elif verb == "QUIT":
				self.say("221 2.0.0 Bye")
				return
			else:
				self.say("250 2.0.0 Ok" if verb in ("HELO", "RSET", "NOOP") else "500 5.5.1 Unknown command")


def path(command):
	"""The address of MAIL or RCPT, without what follows it: parameters are each client's own."""
	found = re.match(r'\w+ (?:FROM|TO):<((?:"(?:[^"\\]|\\.)*"|[^">])*)>(?: .*)?$', command, re.I)
	return found.group(1) if found else f"? {command}"


class Recorder(socketserver.ThreadingTCPServer):
	"""with Recorder(offered) as r: r.url; r.take() gives the transactions since the last call."""
	daemon_threads = True

	def __init__(self, offered=FULL):
		super().__init__(("127.0.0.1", 0), _Session)
		self.offered, self.transactions = offered, []
		self.url = f"smtp://127.0.0.1:{self.server_address[1]}"
		threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

	def __exit__(self, *args):
		self.shutdown()
		super().__exit__(*args)

	def take(self):
		taken, self.transactions = self.transactions, []
		return taken
