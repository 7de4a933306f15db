#!/usr/bin/python3
"""Mustache's own specification, case by case, from Debian's r-cran-whisker, which has its files.

The package is not installed, for it needs R: where it is not there it is fetched into the test's own directory. Left
out are partials, which we refuse (the two cases of delimiters that have some are checked to be refused), and lambdas,
which are no data. The rest is rendered by tests/tools/mustache_render.c as HTML with missing names empty, as the
specification has it; its other flags are tests/unit/test_mustache.c's.
"""

import glob
import json
import os
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import tap, tmp  # noqa: E402

PACKAGE = "r-cran-whisker"
SPECS = "usr/lib/R/site-library/whisker/specs"
# How many cases each has at least: a file that is cut, or of another format, proves nothing.
FILES = {"interpolation": 30, "sections": 25, "inverted": 21, "comments": 11, "delimiters": 14}


def fetch(top):
	"""The package unpacked beneath @top, with lists of our own where the system has none; or what went wrong."""
	def apt(*argv):
		return subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", *argv], cwd=top, stdin=subprocess.DEVNULL,
		                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)

	r = apt("download", PACKAGE)
	if r.returncode:
		own = [f"-oDir::State::Lists={top}/lists", f"-oDir::Cache={top}/cache"]
		os.makedirs(f"{top}/lists/partial")
		os.makedirs(f"{top}/cache/archives/partial")
		apt(*own, "update")
		r = apt(*own, "download", PACKAGE)
	for package in glob.glob(f"{top}/{PACKAGE}_*.deb"):
		subprocess.run(["dpkg-deb", "-x", package, top], check=True)
	return r.stdout


def load():
	"""{file: its cases}, and an explanation where they are not there."""
	places, told = ["/"], ""
	if not os.path.isdir("/" + SPECS):
		places = [tmp.directory()]
		told = fetch(places[0])
	top = os.path.join(places[0], SPECS)
	found = {}
	for name in FILES:
		path = os.path.join(top, name + ".yml")
		if os.path.exists(path):
			with open(path, encoding="utf-8") as f:
				found[name] = yaml.safe_load(f)["tests"]
	return found, told


CASES, TOLD = load()


def render(case):
	job = json.dumps({"template": case["template"], "data": case["data"]})
	return subprocess.run([os.environ["MUSTACHE_RENDER"]], input=job.encode(), stdout=subprocess.PIPE,
	                      stderr=subprocess.PIPE, timeout=20 * tap.SLOW)


class Specification(tap.Case):
	def test_there(self):
		"the specification's files are there, and whole"
		for name, least in FILES.items():
			self.assertGreaterEqual(len(CASES.get(name, [])), least, f"{name}.yml of {PACKAGE}: {TOLD}")
			self.assertTrue(all({"template", "data", "expected"} <= set(case) for case in CASES[name]), name)

	@tap.table(*FILES)
	def test_file(self, name):
		"{0}.yml"
		passed, refused, wrong = 0, 0, []
		for case in CASES.get(name, []):
			r = render(case)
			if "partials" in case:
				self.assertEqual(r.returncode, 65, case)
				self.assertIn(b"partials", r.stderr)
				refused += 1
			elif r.returncode or r.stdout != case["expected"].encode():
				wrong.append(f"{case['name']}: {case['template']!r} with {case['data']!r}: "
				             f"{r.stdout!r} {r.stderr!r}, not {case['expected']!r}")
			else:
				passed += 1
		print(f"# {name}: {passed} of {len(CASES.get(name, []))} cases pass" +
		      (f", {refused} have partials and are refused" if refused else ""), flush=True)
		self.assertEqual(wrong, [])
		self.assertGreater(passed, 0)


if __name__ == "__main__":
	tap.main()
