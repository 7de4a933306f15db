"""A unittest-based runner that prints TAP, one line a test.

	class Greeting(tap.Case):
		@tap.row("SRV-01")
		def test_close(self):
			"a server that closes before its greeting: deferred"
			...

		@tap.row("SRV-13", "SRV-14")
		@tap.table(
			("close", fake.close(), 75),
			("RST", fake.rst(), 75),
		)
		def test_mail(self, action, want):
			"MAIL answered by {0}"
			...

	if __name__ == "__main__":
		tap.main(jobs=4)

`row` names the rows of testcases.md that a test covers (tests/rows.txt has the ids; a row may be cited as
"SRV-31" only, ranges are not read). A `table` makes one TAP line for each entry: its first value is the
label, the rest are the arguments. `table` may also be given a list of such tuples with *list. With
`rows=True`, an entry's second value is a row id or a tuple of them, printed and not passed on.

A test that made no assertion through self.assert* fails: it would prove nothing. A test that calls
self.skipTest(reason) is printed as skipped.

`main(jobs=N)` runs N tests of a class at a time in threads (most wait for timeouts). Tests in such a file must
not touch the process's own state (environment, working directory, signals). A class with `jobs = N` of its own has
that instead. Fixtures: setUpClass and
tearDownClass run once a class, setUp and tearDown for each test, addCleanup works.

Arguments choose tests whose description contains one of them; -l lists them. Environment: MC_JOBS overrides
jobs; MC_SLOW multiplies every time limit (valgrind, sanitizers, a loaded machine).
"""

import concurrent.futures
import faulthandler
import functools
import io
import os
import sys
import threading
import time
import traceback
import unittest

from . import tmp

SLOW = float(os.environ.get("MC_SLOW", "1"))


def row(*ids):
	"""The rows of testcases.md that the test covers."""
	def mark(function):
		function.tap_rows = tuple(ids)
		return function
	return mark


def table(*entries, rows=False):
	"""One test for each entry (label, argument...); {0} in the docstring is the label, {1} the first argument."""
	def mark(function):
		function.tap_table = list(entries)
		function.tap_table_rows = rows
		return function
	return mark


def limit(seconds):
	"""A time limit of the test's own instead of 120 seconds (scaled by MC_SLOW)."""
	def mark(function):
		function.tap_limit = seconds
		return function
	return mark


class _Meta(type):
	"""Turns each table-marked function into one method an entry."""

	def __new__(mcs, name, bases, members):
		out = {}
		for key, value in members.items():
			entries = getattr(value, "tap_table", None)
			if entries is None:
				out[key] = value
				continue
			if not entries:
				raise ValueError(f"{name}.{key}: an empty table tests nothing")
			for number, entry in enumerate(entries):
				out[f"{key}_{number:04d}"] = mcs.entry(value, entry)
		return super().__new__(mcs, name, bases, out)

	@staticmethod
	def entry(function, entry):
		label, *args = entry if isinstance(entry, tuple) else (entry, entry)
		ids = getattr(function, "tap_rows", ())
		if function.tap_table_rows:
			own = args.pop(0)
			ids = ids + ((own,) if isinstance(own, str) else tuple(own))

		@functools.wraps(function)
		def method(self):
			return function(self, *args)
		del method.tap_table
		method.tap_rows = ids
		text = (function.__doc__ or function.__name__.replace("_", " ")).strip().split("\n")[0]
		filled = text.format(label, *args) if "{" in text else f"{text}: {label}"
		method.__doc__ = filled
		return method


class Case(unittest.TestCase, metaclass=_Meta):
	jobs = None
	maxDiff = 4000
	longMessage = True

	def __init__(self, name="runTest"):
		super().__init__(name)
		self._asserted = 0

	def __getattribute__(self, name):
		if name.startswith("assert"):
			self.__dict__["_asserted"] = self.__dict__.get("_asserted", 0) + 1
		return super().__getattribute__(name)

	def run(self, result=None):
		self._asserted = 0
		super().run(result)

	def tempdir(self):
		"""A directory of the test's own, removed after it."""
		path = tmp.directory()
		self.addCleanup(tmp.remove, path)
		return path

	def hole(self, name, size):
		"""A sparse file of @size octets, all of them a hole; returns its path."""
		path, place = tmp.hole(name, size)
		self.addCleanup(tmp.remove, place)
		return path

	def write(self, name, content, mode=0o600, directory=None):
		"""Write a file in a new temporary directory (or @directory); returns its path."""
		path = os.path.join(directory or self.tempdir(), name)
		data = content.encode() if isinstance(content, str) else content
		with open(path, "wb") as out:
			out.write(data)
		os.chmod(path, mode)
		return path


class _Result(unittest.TestResult):
	"""What became of one test."""

	def __init__(self):
		super().__init__()
		self.failfast = self.buffer = False
		self.trouble = []
		self.skip = None

	def _add(self, kind, err, test):
		# unittest's own way to write an exception, which leaves out its own frames.
		self.trouble.append(kind + "\n" + self._exc_info_to_string(err, test))

	def addError(self, test, err):
		super().addError(test, err)
		self._add("error", err, test)

	def addFailure(self, test, err):
		super().addFailure(test, err)
		self._add("failure", err, test)

	def addSubTest(self, test, subtest, err):
		super().addSubTest(test, subtest, err)
		if err is not None:
			self._add(f"in {subtest._subDescription()}", err, test)

	def addSkip(self, test, reason):
		super().addSkip(test, reason)
		self.skip = reason

	def addUnexpectedSuccess(self, test):
		super().addUnexpectedSuccess(test)
		self.trouble.append("an expected failure passed")


def _clean(text):
	"""Text that cannot be taken for TAP syntax: one line, no '#'."""
	return " ".join(text.split()).replace("#", "No.").encode("ascii", "backslashreplace").decode()


def describe(test):
	method = getattr(test, test._testMethodName)
	text = (method.__doc__ or test._testMethodName.replace("_", " ")).strip().split("\n")[0]
	ids = getattr(method, "tap_rows", ())
	return _clean(f"{type(test).__name__}: {text}" + (f" [{' '.join(ids)}]" if ids else ""))


class _Watchdog:
	"""Ends the program when one test hangs: the plan stays unfinished, which the runner reports."""

	def __init__(self):
		self.running = {}
		self.lock = threading.Lock()
		threading.Thread(target=self._watch, daemon=True).start()

	def enter(self, test):
		method = getattr(test, test._testMethodName)
		end = time.monotonic() + getattr(method, "tap_limit", 120) * SLOW
		with self.lock:
			self.running[test] = end

	def leave(self, test):
		with self.lock:
			self.running.pop(test, None)

	def _watch(self):
		while True:
			time.sleep(0.5)
			with self.lock:
				late = [t for t, end in self.running.items() if time.monotonic() > end]
			if late:
				print(f"Bail out! no end in sight: {describe(late[0])}", flush=True)
				faulthandler.dump_traceback(all_threads=True)
				tmp.clean_up()
				os._exit(3)


def _run_one(test, watchdog):
	result = _Result()
	watchdog.enter(test)
	try:
		test.run(result)
	finally:
		watchdog.leave(test)
	if not result.trouble and result.skip is None and not test._asserted:
		result.trouble.append("the test asserted nothing")
	return result


class _Printer:
	def __init__(self, out):
		self.out, self.number, self.failed = out, 0, 0

	def line(self, test, result):
		self.number += 1
		text = describe(test)
		if result.trouble:
			self.failed += 1
			print(f"not ok {self.number} - {text}", file=self.out)
			for trouble in result.trouble:
				for line in trouble.rstrip().split("\n"):
					print("# " + line.encode("ascii", "backslashreplace").decode(), file=self.out)
		elif result.skip is not None:
			print(f"ok {self.number} - {text} # SKIP {_clean(result.skip)}", file=self.out)
		else:
			print(f"ok {self.number} - {text}", file=self.out)
		self.out.flush()


def _run_class(tests, printer, jobs, watchdog):
	cls = type(tests[0])
	broken = None
	try:
		cls.setUpClass()
	except unittest.SkipTest as e:
		broken = _Result()
		broken.skip = str(e)
	except BaseException as e:
		if isinstance(e, KeyboardInterrupt):
			raise
		broken = _Result()
		broken.trouble.append("setUpClass\n" + traceback.format_exc())
	try:
		if broken:
			for test in tests:
				printer.line(test, broken)
		elif jobs <= 1:
			for test in tests:
				printer.line(test, _run_one(test, watchdog))
		else:
			with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
				futures = [pool.submit(_run_one, t, watchdog) for t in tests]
				try:
					for test, future in zip(tests, futures):
						printer.line(test, future.result())
				except BaseException:
					for future in futures:
						future.cancel()
					tmp.stop_processes()
					raise
	finally:
		if not broken or broken.trouble:
			cls.tearDownClass()
			cls.doClassCleanups()


def _collect(module):
	loader = unittest.TestLoader()
	classes = [v for v in vars(module).values()
	           if isinstance(v, type) and issubclass(v, Case) and v.__module__ == module.__name__]
	return [[cls(name) for name in loader.getTestCaseNames(cls)] for cls in classes]


def main(jobs=1, module=None):
	module = module or sys.modules["__main__"]
	groups = _collect(module)
	wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
	if wanted:
		groups = [[t for t in g if any(w in describe(t) or w in t._testMethodName for w in wanted)]
		          for g in groups]
	groups = [g for g in groups if g]
	if "-l" in sys.argv:
		for group in groups:
			for test in group:
				print(describe(test))
		sys.exit(0)

	out = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8", line_buffering=True)
	sys.stdout = sys.stderr         # a stray print() must not end up amid the TAP
	tmp.catch_signals()
	watchdog = _Watchdog()
	forced = os.environ.get("MC_JOBS")
	print(f"1..{sum(map(len, groups))}", file=out, flush=True)
	printer = _Printer(out)
	try:
		for group in groups:
			_run_class(group, printer, int(forced or group[0].jobs or jobs), watchdog)
	except (KeyboardInterrupt, SystemExit):
		print("Bail out! interrupted", file=out, flush=True)
		tmp.clean_up()
		os._exit(130)
	tmp.clean_up()
	out.flush()
	# Threads of a fake server may still wait in a system call; nothing of theirs matters any more.
	os._exit(1 if printer.failed else 0)
