"""Free ports for servers that cannot be told to choose their own."""

import random
import socket


def _below():
	"""The first of the ports that the system gives to who asks for any: the fake servers of the programs beside us."""
	try:
		with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
			return int(f.read().split()[0])
	except (OSError, ValueError):
		return 32768


def free(count, host="127.0.0.1"):
	"""@count ports nobody listens on now, all different. A server that finds one taken is to be started anew."""
	held = []
	least, below = 10000, _below()
	while len(held) < count:
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		try:
			s.bind((host, random.randrange(least, below) if below > least + 1000 else 0))
		except OSError:
			s.close()
			continue
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
