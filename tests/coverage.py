#!/usr/bin/python3
"""Which rows of the list of cases (rows.txt) the tests cover, and whether COVERAGE.md accounts for the rest.

A row is covered by a test that names it: in Python a string that is just its id (`row("SRV-31")`, an entry
of a table); in C `row("ADR-07")`, a comment `rows: ADR-07, ADR-08`, or its id in a string. A range
"SRV-01..SRV-06" names each of its rows.

COVERAGE.md has a table line for each row without a test, or for whatever part of a row is left out:

	| RES-11 | why no test covers it |
	| SRV-53 (part) | what part is not covered, and why |

Prints TAP; fails when an uncovered row has no line, when a line without "(part)" is for a covered row, when an id
does not exist, when a reason is missing. `--list` prints the rows not covered, `--where` each row's files.
"""

import ast
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ID = r"(?:CLI|JSN|ADR|HDR|MSG|SRV|TLS|AUT|RCP|LMT|RES|ATT|SIG|OUT|TIN|CFG|JSL|CON)-\d\d"
ITEM = re.compile(rf"({ID})(?:\.\.({ID}))?\Z")
IN_TEXT = re.compile(rf"({ID})(?:\.\.({ID}))?")


def rows():
	with open(os.path.join(HERE, "rows.txt"), encoding="utf-8") as f:
		return dict(line.rstrip("\n").split(" ", 1) for line in f if not line.startswith("#"))


def expand(first, last):
	if not last:
		return [first]
	family, a = first.rsplit("-", 1)
	return [f"{family}-{n:02d}" for n in range(int(a), int(last.rsplit("-", 1)[1]) + 1)]


def ids_of_python(text):
	for node in ast.walk(ast.parse(text)):
		if isinstance(node, ast.Constant) and isinstance(node.value, str):
			m = ITEM.match(node.value)
			if m:
				yield from expand(*m.groups())


def ids_of_c(text):
	for m in re.finditer(r'"(?:[^"\\\n]|\\.)*"', text):
		for found in IN_TEXT.finditer(m.group(0)):
			yield from expand(*found.groups())
	for m in re.finditer(r"\brows?:(.*?)(?:\*/|\n\s*\n|\Z)", text, re.S):
		for found in IN_TEXT.finditer(m.group(1)):
			yield from expand(*found.groups())


def ids_of_shell(text):
	for m in re.finditer(r"^\s*#\s*rows?:(.*)$", text, re.M):
		for found in IN_TEXT.finditer(m.group(1)):
			yield from expand(*found.groups())


READERS = {".py": ids_of_python, ".c": ids_of_c, ".h": ids_of_c, ".sh": ids_of_shell}


def covered():
	where = {}
	for directory, names, files in os.walk(HERE):
		names[:] = sorted(n for n in names if n not in ("lib", "__pycache__") and not n.startswith("."))
		for name in sorted(files):
			reader = READERS.get(os.path.splitext(name)[1])
			path = os.path.join(directory, name)
			if not reader or os.path.samefile(path, __file__):
				continue
			with open(path, encoding="utf-8") as f:
				for found in reader(f.read()):
					where.setdefault(found, set()).add(os.path.relpath(path, HERE))
	return where


def excuses():
	found = {}
	with open(os.path.join(HERE, "COVERAGE.md"), encoding="utf-8") as f:
		for line in f:
			m = re.match(rf"\|\s*({ID})\s*(\(part\))?\s*\|(.*)\|\s*$", line)
			if m:
				found.setdefault(m.group(1), []).append((bool(m.group(2)), m.group(3).strip()))
	return found


def main():
	known, where = rows(), covered()
	left = [r for r in known if r not in where]
	if "--where" in sys.argv:
		for row in known:
			print(row, " ".join(sorted(where.get(row, []))) or "-", "#", known[row])
		return 0
	if "--list" in sys.argv:
		for row in left:
			print(f"| {row} | ({known[row]}) |")
		print(f"{len(known) - len(left)} of {len(known)} rows covered", file=sys.stderr)
		return 0

	said = excuses()
	trouble = [f"{r} is not covered and has no line in COVERAGE.md: {known[r]}" for r in left if r not in said]
	trouble += [f"{r} has a test and a line without (part)" for r in said if r in where
	            and not all(part for part, _ in said[r])]
	trouble += [f"{r} is in COVERAGE.md as a part, but has no test" for r in said if r not in where
	            and all(part for part, _ in said[r])]
	trouble += [f"{r} is in COVERAGE.md without a reason" for r in said if any(len(why) < 10 for _, why in said[r])]
	trouble += [f"{r}, named by {sorted(where.get(r, ['COVERAGE.md']))}, is no row" for r in sorted({*where, *said})
	            if r not in known]
	print("1..1")
	for line in trouble:
		print(f"# {line}")
	print(f"{'not ' if trouble else ''}ok 1 - {len(known) - len(left)} of {len(known)} rows have a test, "
	      f"{len(left)} are accounted for")
	return bool(trouble)


if __name__ == "__main__":
	sys.exit(main())
