"""Temporary directories and child processes, none of which outlives the test program.

Every directory made and every process started here is registered, and removed or ended by its own pid when
the test does, when the program ends, or when it is interrupted. A started server also gets a parent-death
signal, for the case that the program itself is killed.
"""

import atexit
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time

_lock = threading.RLock()
_directories = []
_processes = []
_owner = os.getpid()


def directory(prefix="mctest-", where=None):
	"""A new directory of mode 0700, in @where or among the machine's; remove() or the end of the program removes it."""
	path = tempfile.mkdtemp(prefix=prefix, dir=where)
	with _lock:
		_directories.append(path)
	return path


def remove(path):
	with _lock:
		if path in _directories:
			_directories.remove(path)

	def make_writable(function, entry, _info):
		# Only what is ours: the parent of @path itself is the machine's temporary directory.
		if os.path.abspath(entry) == os.path.abspath(path):
			return
		try:
			os.chmod(os.path.dirname(entry), stat.S_IRWXU)
			function(entry)
		except OSError:
			pass

	# A server's last child may still be writing.
	for _ in range(20):
		shutil.rmtree(path, onerror=make_writable)
		if not os.path.lexists(path):
			return
		time.sleep(0.05)


def hole(name, size):
	"""
	A file of @size octets that has no block, in a directory of its own: (its path, the directory). To be in memory is
	what it is for: a disk's file system makes a page for every 4 KB of it that is read, and gigabytes of them take more
	of the machine's time than all that the program does with them.
	"""
	for where in "/dev/shm", None:
		try:
			place = directory(where=where)
		except OSError:
			continue
		path = os.path.join(place, name)
		try:
			with open(path, "wb") as out:
				out.truncate(size)
			return path, place
		except OSError:
			remove(place)
			if where is None:
				raise


def start(argv, **popen):
	"""Start a long-lived process that dies with us."""
	argv = ["setpriv", "--pdeathsig", "TERM", "--"] + list(argv)
	popen.setdefault("stdin", subprocess.DEVNULL)
	# A group of its own: stop() reaches the children too, and Ctrl-C reaches us first.
	popen.setdefault("start_new_session", True)
	process = subprocess.Popen(argv, **popen)
	register(process)
	return process


def register(process):
	with _lock:
		_processes.append(process)


def forget(process):
	with _lock:
		if process in _processes:
			_processes.remove(process)


def stop(process, wait=5.0):
	"""End one process: TERM, then KILL after @wait seconds."""
	forget(process)
	if process.poll() is not None:
		_stop_group(process.pid)
		return
	try:
		process.terminate()
		process.wait(wait)
	except subprocess.TimeoutExpired:
		process.kill()
		process.wait()
	except ProcessLookupError:
		pass
	_stop_group(process.pid)


def _alive(group):
	"""Whether a process of the group runs. Zombies do not: whose parent never reaps them would count for ever."""
	for pid in filter(str.isdigit, os.listdir("/proc")):
		try:
			with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
				state, _parent, pgrp = f.read().rpartition(")")[2].split()[:3]
		except (OSError, ValueError):
			continue
		if int(pgrp) == group and state not in "ZX":
			return True
	return False


def _stop_group(leader):
	"""What is left of the session that start() made. A group that has our own id would be ourselves."""
	if leader == os.getpgrp():
		return
	for number in (signal.SIGTERM, signal.SIGKILL):
		if not _alive(leader):
			return
		try:
			os.killpg(leader, number)
		except (ProcessLookupError, PermissionError):
			return
		end = time.monotonic() + 1
		while time.monotonic() < end and _alive(leader):
			time.sleep(0.02)


def stop_processes():
	with _lock:
		left = list(_processes)
	for process in left:
		stop(process)


def clean_up():
	if os.getpid() != _owner:
		return
	stop_processes()
	with _lock:
		left = list(_directories)
	for path in left:
		remove(path)


def wait_for(condition, seconds=10.0, what="the condition"):
	"""Poll until @condition() is true; its value is returned. Bounded, and scaled by MC_SLOW."""
	end = time.monotonic() + seconds * float(os.environ.get("MC_SLOW", "1"))
	while True:
		value = condition()
		if value:
			return value
		if time.monotonic() > end:
			raise AssertionError(f"waited {seconds} s in vain for {what}")
		time.sleep(0.02)


def catch_signals():
	"""TERM and HUP become KeyboardInterrupt, so that clean-up runs."""
	def interrupt(_number, _frame):
		raise KeyboardInterrupt
	for number in (signal.SIGTERM, signal.SIGHUP):
		signal.signal(number, interrupt)


atexit.register(clean_up)
