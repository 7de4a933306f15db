"""Runs the program under test, and checks at each run what must hold for every run.

	r = mc.run("-S", server.url, "-f", "a@example.org", "-s", "hello", "b@example.org", input=b"text\n")
	self.assertEqual(r.code, 0)

Checked on each run, whatever the test looks at:
  - it did not die of a signal (unless `signal=N` says that it must), no sanitizer or valgrind report;
  - the exit code is one of interface.md's table;
  - standard output is empty unless output was asked for (--report, --dry-run, --print-*, --help, ...; or
    stdout=True says so);
  - standard error: nothing on success, one line on failure, besides warnings (lines "mailchute: warning: ...").
    `lines=N` allows N lines instead, `lines=None` any number; -v and --help lift the rule, -q allows none;
  - none of `secrets` appears in standard output or error, as it is, in base64 (of itself or of the AUTH PLAIN
    and OAUTH forms, at any offset), or in hexadecimal.

The environment is clean: HOME is an empty directory, LANG=C.UTF-8, PATH, and no configuration; nothing else but what `env` adds
(a value of None removes).

Environment of the tests: MAILCHUTE the program's path, MC_WRAP a command to run it under (valgrind ...),
MC_CODES a file to which each exit code seen is appended (row OUT-05), MC_SLOW a factor for time limits.
"""

import base64
import fcntl
import os
import re
import shlex
import signal as signals
import subprocess
import threading
import time

from . import tmp

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BINARY = os.environ.get("MAILCHUTE") or os.path.join(TOP, "build", "src", "mailchute")
WRAP = shlex.split(os.environ.get("MC_WRAP", ""))
SLOW = float(os.environ.get("MC_SLOW", "1"))

# interface.md, "Outcomes and exit codes".
CODES = frozenset((0, 1, 2, 64, 65, 66, 67, 68, 69, 70, 71, 73, 74, 75, 76, 77, 78))

_OUTPUT_FLAGS = re.compile(
	r"^(--report(=|$)|--dry-run$|--output|--print-|--help|--version|-h$|-V$|-n$)")
_NOISE_FLAGS = re.compile(r"^(-v+$|--verbose|--help|-h$)")
_REPORTS = (b"AddressSanitizer", b"LeakSanitizer", b"UndefinedBehaviorSanitizer", b"runtime error:",
            b"MemorySanitizer", b"ThreadSanitizer")
_VALGRIND = re.compile(rb"^==\d+== ", re.M)
_home_lock = threading.Lock()
_home = None


def home():
	global _home
	with _home_lock:
		if _home is None:
			_home = tmp.directory("mchome-")
	return _home


def environment(extra=None):
	env = {
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": home(),
		"LANG": "C.UTF-8",
		"MAILCHUTE_CONFIG": "",         # not that of the machine the tests run on
		"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1",
		"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
		"LSAN_OPTIONS": "exitcode=99",
	}
	for name, value in (extra or {}).items():
		if value is None:
			env.pop(name, None)
		else:
			env[name] = value
	return env


class Result:
	"""code (None if a signal ended it), signal, stdout (bytes), stderr (str), err (bytes), duration (s), peak_kb"""

	def __init__(self, argv, status, out, err, duration, peak_kb):
		self.argv = argv
		self.code = status if status >= 0 else None
		self.signal = -status if status < 0 else 0
		self.stdout = out
		self.err = err
		self.stderr = err.decode("utf-8", "backslashreplace")
		self.duration = duration
		self.peak_kb = peak_kb

	@property
	def lines(self):
		return [l for l in self.stderr.splitlines() if l]

	@property
	def json(self):
		"""The one report object on standard output."""
		import json
		text = self.stdout.decode("utf-8")
		if not text.endswith("\n"):
			raise AssertionError(f"the report does not end with a newline: {self}")
		return json.loads(text, object_pairs_hook=_no_duplicates)

	def __str__(self):
		how = f"exit {self.code}" if self.code is not None else f"signal {self.signal}"
		return (f"{' '.join(map(str, self.argv))[:1000]}\n-> {how} after {self.duration:.2f} s\n"
		        f"stdout: {self.stdout[:2000]!r}\nstderr: {self.stderr[:4000]}")


def _no_duplicates(pairs):
	keys = [k for k, _ in pairs]
	if len(set(keys)) != len(keys):
		raise AssertionError(f"duplicate key in report: {keys}")
	return dict(pairs)


def forms(secret):
	"""The forms in which a secret could leak: itself, and what base64 makes of it at each of three offsets."""
	raw = secret.encode() if isinstance(secret, str) else secret
	found = {raw, raw.hex().encode()}
	for shift in range(3):
		coded = base64.b64encode(b"\0" * shift + raw)
		# Only the characters that depend on the secret alone.
		first = (shift * 8 + 5) // 6
		last = (shift + len(raw)) * 8 // 6
		if last - first >= 6:
			found.add(coded[first:last])
	return found


def leaks(secrets, *texts):
	return [s for s in secrets for f in forms(s) for t in texts if len(f) >= 4 and f in t]


def _note_code(code):
	path = os.environ.get("MC_CODES")
	if not path:
		return
	with open(path, "a") as out:
		fcntl.flock(out, fcntl.LOCK_EX)
		out.write(f"{code}\n")


class Running:
	"""A run under way: .process, .pid; wait() ends it and gives the checked Result."""

	def __init__(self, argv, input=b"", env=None, stdin=None, cwd=None, pass_fds=(), executable=None,
	             stdout=None, stdout_file=None, stderr_file=None, lines=1, secrets=(), signal=0, wrap=None,
	             preexec=None, checks=True, watch=False):
		self.argv = [executable or BINARY] + [os.fspath(a) if not isinstance(a, bytes) else a for a in argv]
		self.wanted_stdout, self.wanted_lines = stdout, lines
		self.secrets, self.wanted_signal, self.checks = secrets, signal, checks
		self.ours = executable is None or os.path.basename(os.fspath(executable)) == "mailchute"
		self.input = input.encode() if isinstance(input, str) else input
		self.started = time.monotonic()
		self.peak_kb = 0
		wrap = WRAP if wrap is None else list(wrap)
		env = environment(env)
		if any(os.path.basename(word) in ("strace", "gdb", "ltrace") for word in wrap):
			# LeakSanitizer cannot work under ptrace and would call that a failure.
			env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
		self.process = subprocess.Popen(
			wrap + self.argv,
			stdin=subprocess.PIPE if stdin is None else stdin,
			stdout=stdout_file or subprocess.PIPE, stderr=stderr_file or subprocess.PIPE,
			env=env, cwd=cwd or home(), pass_fds=pass_fds, preexec_fn=preexec)
		self.own_stdin = stdin is None
		tmp.register(self.process)
		if watch:
			threading.Thread(target=self._watch_memory, daemon=True).start()

	@property
	def pid(self):
		return self.process.pid

	def _watch_memory(self):
		# ru_maxrss would count the forked Python; the high-water mark of the address space does not.
		while True:
			try:
				with open(f"/proc/{self.pid}/status") as status:
					for line in status:
						if line.startswith("VmHWM:"):
							self.peak_kb = max(self.peak_kb, int(line.split()[1]))
			except (OSError, ValueError):
				return
			time.sleep(0.005)

	def kill(self, number=signals.SIGTERM):
		self.process.send_signal(number)

	def wait(self, timeout=30.0):
		limit = timeout * SLOW
		try:
			out, err = self.process.communicate(self.input if self.own_stdin else None, limit)
		except subprocess.TimeoutExpired:
			self.process.kill()
			out, err = self.process.communicate()
			raise AssertionError(f"no verdict within {limit} s\n" + str(Result(
				self.argv, self.process.returncode, out or b"", err or b"",
				time.monotonic() - self.started, self.peak_kb))) from None
		finally:
			tmp.forget(self.process)
		result = Result(self.argv, self.process.returncode, out or b"", err or b"",
		                time.monotonic() - self.started, self.peak_kb)
		if self.checks:
			self._check(result)
		return result

	def _check(self, r):
		def wrong(text):
			raise AssertionError(f"{text}\n{r}")

		if any(mark in r.err for mark in _REPORTS) or _VALGRIND.search(r.err) or r.code == 99:
			wrong("a sanitizer or valgrind report")
		if r.signal and r.signal != self.wanted_signal:
			wrong(f"died of signal {r.signal} ({signals.Signals(r.signal).name})")
		if self.wanted_signal and r.signal != self.wanted_signal:
			wrong(f"should have died of signal {self.wanted_signal}")
		if r.code is not None:
			if self.ours:
				_note_code(r.code)
			if r.code not in CODES:
				wrong(f"exit code {r.code} is not in the table")
		text = [a.decode("utf-8", "replace") if isinstance(a, bytes) else str(a) for a in self.argv[1:]]
		options = text[:text.index("--")] if "--" in text else text
		wanted = self.wanted_stdout
		if wanted is None:
			wanted = any(_OUTPUT_FLAGS.match(a) for a in options)
		if not wanted and r.stdout:
			wrong("output nobody asked for")
		found = leaks(self.secrets, r.stdout, r.err)
		if found:
			wrong(f"leaked secret {found[0]!r}")
		if self.wanted_lines is None or any(_NOISE_FLAGS.match(a) for a in options):
			return
		said = [l for l in r.lines if not l.startswith("mailchute: warning:")]
		quiet = any(a in ("-q", "--quiet") for a in options)
		if r.code == 0 and said:
			wrong("success must be silent")
		if r.code not in (0, None) and not said and not quiet:
			wrong("a failure must say why")
		if len(said) > self.wanted_lines:
			wrong(f"{len(said)} lines on standard error")


def start(*argv, **how):
	return Running(argv, **how)


def run(*argv, timeout=30.0, **how):
	"""Run to the end. See Running for the keywords."""
	return Running(argv, **how).wait(timeout)
