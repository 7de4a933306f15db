#!/usr/bin/python3
"""Every test file is run by the build: a file that nobody put into meson.build would pass for ever.

registered.py BUILD SOURCE compares the tests meson knows of (meson-info/intro-tests.json) with the files test_* and
fuzz_*; the fuzz targets, which have a build of their own, with the list in tests/fuzz/meson.build.
"""

import glob
import json
import os
import re
import sys


def main():
	build, source = sys.argv[1:]
	with open(os.path.join(build, "meson-info", "intro-tests.json"), encoding="utf-8") as f:
		known = {test["name"] for test in json.load(f)}
	with open(os.path.join(source, "tests", "fuzz", "meson.build"), encoding="utf-8") as f:
		known |= {f"fuzz_{name}" for name in re.findall(r"^  '(\w+)',$", f.read(), re.M)}
	# test_examples.py is the test "examples"
	known |= {f"test_{name}" for name in known}
	files = [path for where in ("unit/test_*.c", "e2e/test_*.py", "lint/test_*.py", "fuzz/fuzz_*.c")
		 for path in sorted(glob.glob(os.path.join(source, "tests", where)))]
	print(f"1..{len(files)}")
	missing = 0
	for number, path in enumerate(files, 1):
		found = os.path.splitext(os.path.basename(path))[0] in known
		print(f"{'ok' if found else 'not ok'} {number} - {os.path.relpath(path, source)} is run")
		missing += not found
	return bool(missing or not files)


if __name__ == "__main__":
	sys.exit(main())
