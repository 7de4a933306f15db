"""Free ports for servers that cannot be told to choose their own."""

import socket


def free(count, host="127.0.0.1"):
	"""@count ports nobody listens on now, all different. A server that finds one taken is to be started anew."""
	held = []
	for _ in range(count):
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind((host, 0))
		held.append(s)
	numbers = [s.getsockname()[1] for s in held]
	for s in held:
		s.close()
	return numbers


def greets(port, host="127.0.0.1"):
	"""Whether a server on that port says something, or at least takes the connection."""
	try:
		with socket.create_connection((host, port), 1) as s:
			s.settimeout(3)
			return s.recv(4)[:1] == b"2"
	except OSError:
		return False


def listens(port, host="127.0.0.1"):
	try:
		socket.create_connection((host, port), 1).close()
		return True
	except OSError:
		return False
