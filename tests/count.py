#!/usr/bin/python3
"""Counts the tests of a run, shows what failed, and closes with "N passed, N failed, N skipped".

count.py DIRECTORY reads every *.json (meson's testlog, one test program a line, its TAP in "stdout") and every *.tap
there. A test program that was killed, timed out, exited in disorder or did not finish its plan is a failure of its
own, also when every line it printed was "ok". An empty *.json is a failure: a pass that ran nothing. So is a run with
no test at all. Exit code: 0 if nothing failed.
"""

import glob
import json
import os
import re
import sys

LINE = re.compile(r"\s*(not )?ok\b\s*(\d+)?\s*-?\s*([^#]*)(?:#\s*(SKIP|TODO)\b\s*(.*))?", re.I)
PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*SKIP\b\s*(.*))?", re.I)


class Count:
	def __init__(self):
		self.passed = self.failed = self.skipped = 0
		self.details = []
		self.skips = []

	def add(self, other):
		self.passed += other.passed
		self.failed += other.failed
		self.skipped += other.skipped
		self.details += other.details
		self.skips += other.skips


def read_tap(text, where):
	"""Count a TAP stream. Comment lines after a "not ok" and before the next test line are its details."""
	count, plan, ran, notes, bailed = Count(), None, 0, [], False
	failing = None
	for line in text.splitlines():
		test = LINE.match(line)
		plan_line = PLAN.match(line)
		if plan_line and plan is None:
			plan = int(plan_line.group(1))
			if plan == 0:
				count.skipped += 1
				count.skips.append(f"{where}: {plan_line.group(2) or 'no test'}")
		elif test and re.match(r"(not )?ok\b", line):
			ran += 1
			failing = None
			directive = (test.group(4) or "").upper()
			name = test.group(3).strip()
			if directive == "SKIP":
				count.skipped += 1
				count.skips.append(f"{where}: {name}: {test.group(5)}")
			elif test.group(1) and directive != "TODO":
				count.failed += 1
				# unit tests print their complaints before the line, the Python ones after it
				failing = [f"not ok: {where}: {name}"] + [f"    {n}" for n in notes]
				count.details.append(failing)
			else:
				count.passed += 1
			notes = []
		elif line.startswith("Bail out!"):
			bailed = True
			count.failed += 1
			count.details.append([f"{where}: {line}"])
		elif line.startswith("#"):
			(failing if failing is not None else notes).append(("    " if failing else "") + line)
	if plan is None:
		count.failed += 1
		count.details.append([f"{where}: printed no plan", text[-2000:]])
	elif ran != plan and not bailed:
		count.failed += 1
		count.details.append([f"{where}: planned {plan} tests, ran {ran}"] + notes)
	return count


def read_program(entry, where):
	"""One line of meson's testlog."""
	out, result = entry.get("stdout") or "", entry["result"]
	name = f"{where}: {entry['name']}"
	if PLAN.search(out) or LINE.match(out):
		count = read_tap(out, name)
	else:
		count = Count()
		if result in ("OK", "EXPECTEDFAIL"):
			count.passed = 1
		elif result == "SKIP":
			count.skipped = 1
			count.skips.append(name)
	if result not in ("OK", "SKIP", "EXPECTEDFAIL") and not count.failed:
		count.failed += 1
		count.details.append([f"{name}: {result}, exit {entry.get('returncode')}"])
	if count.failed and entry.get("stderr"):
		count.details.append([f"{name}: standard error"] + ["    " + l for l in entry["stderr"].splitlines()[-60:]])
	return count


def main():
	directory, total = sys.argv[1], Count()
	for path in sorted(glob.glob(os.path.join(directory, "*"))):
		where, kind = os.path.splitext(os.path.basename(path))
		one = Count()
		if kind == ".json":
			seconds = 0.0
			with open(path, encoding="utf-8") as f:
				entries = [json.loads(line) for line in f if line.strip()]
			for entry in entries:
				one.add(read_program(entry, where))
				seconds += entry.get("duration") or 0
			if not entries:
				one.failed += 1
				one.details.append([f"{where}: no test ran"])
			print(f"{where}: {len(entries)} programs, {one.passed} passed, {one.failed} failed, "
			      f"{one.skipped} skipped, {seconds:.0f} s of tests")
		elif kind == ".tap":
			with open(path, encoding="utf-8") as f:
				one = read_tap(f.read(), where)
			print(f"{where}: {one.passed} passed, {one.failed} failed, {one.skipped} skipped")
		total.add(one)
	for skip in total.skips:
		print(f"skipped: {skip}")
	for detail in total.details:
		print()
		for line in detail[:80]:
			print(line)
	if not total.passed and not total.failed:
		print("nothing was run")
		total.failed += 1
	print()
	print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
	return bool(total.failed)


if __name__ == "__main__":
	sys.exit(main())
