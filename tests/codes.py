#!/usr/bin/python3
"""Row "OUT-05": the exit codes a whole run saw (one a line in the file given) against the table of mailchute(1).

None but the table's may ever be seen, and each is reached by at least one test: except 70, which means a bug of
ours and has no test by its nature. The second is asked only once COVERAGE.md declares the suite complete.
"""

import collections
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
from lib.mc import CODES  # noqa: E402

ROW = "OUT-05"
UNREACHABLE = {70}


def main():
	with open(sys.argv[1], encoding="ascii") as f:
		seen = collections.Counter(int(line) for line in f if line.strip())
	complete = os.path.exists(os.path.join(HERE, "COVERAGE.md"))
	print("1..2" if complete else "1..1")
	strange = sorted(set(seen) - CODES)
	print(f"{'not ' if strange else ''}ok 1 - no exit code out of the table was seen [{ROW}]")
	if strange:
		print(f"# seen: {strange}")
	missing = sorted(CODES - UNREACHABLE - set(seen)) if complete else []
	if complete:
		print(f"{'not ' if missing else ''}ok 2 - every exit code was reached by a test [{ROW}]")
	if missing:
		print(f"# never seen: {missing}")
	print("# " + ", ".join(f"{code}: {n} times" for code, n in sorted(seen.items())))
	return bool(strange or missing)


if __name__ == "__main__":
	sys.exit(main())
