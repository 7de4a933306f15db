#!/usr/bin/python3
"""Installing: what `meson install` puts where, and the Debian packages, which are built, looked at by lintian, and run."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, tap, tmp  # noqa: E402


def run(*command, cwd=None, **how):
	done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
	                      timeout=400 * mc.SLOW, **how)
	if done.returncode:
		raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}")
	return done.stdout


def files_of(root):
	"""{path: link's text, or None} of everything below @root that is no directory."""
	found = {}
	for directory, names, others in os.walk(root):
		for name in names + others:
			path = os.path.join(directory, name)
			if os.path.islink(path):
				found["/" + os.path.relpath(path, root)] = os.readlink(path)
			elif not os.path.isdir(path):
				found["/" + os.path.relpath(path, root)] = None
	return found


class Install(tap.Case):
	@classmethod
	def setUpClass(cls):
		# One build for all of them: what is installed is no matter of how it was compiled.
		cls.build, cls.plain = tmp.directory("mcbuild-"), tmp.directory("mcroot-")
		cls.addClassCleanup(tmp.remove, cls.build)
		cls.addClassCleanup(tmp.remove, cls.plain)
		run("meson", "setup", cls.build, mc.TOP, "-Dtests=false", "--prefix=/usr", "-Dbuildtype=debug")
		run("meson", "install", "-C", cls.build, env={**os.environ, "DESTDIR": cls.plain})

	def install(self, *options):
		root = self.tempdir()
		run("meson", "configure", self.build, *options)
		run("meson", "install", "-C", self.build, env={**os.environ, "DESTDIR": root})
		return root

	@tap.limit(300)
	def test_links(self):
		"-Dsendmail and -Dmail add the links, and they work; without them there is none"
		root = self.install("-Dsendmail=true", "-Dmail=true")
		got = files_of(root)
		for path in ("/usr/bin/mailchute", "/usr/share/man/man1/mailchute.1", "/usr/share/man/man1/mailchute-sendmail.1",
		             "/usr/share/man/man5/mailchute-config.5", "/usr/share/man/man5/mailchute-params.5", "/usr/share/man/man5/mailchute-report.5",
		             "/usr/share/bash-completion/completions/mailchute", "/usr/share/zsh/site-functions/_mailchute",
		             "/usr/share/fish/vendor_completions.d/mailchute.fish", "/usr/share/doc/mailchute/examples/config.json"):
			self.assertIn(path, got)
		for name, where in (("sendmail", "sbin"), ("mailq", "bin"), ("newaliases", "bin"), ("mail", "bin"), ("mailx", "bin")):
			self.assertEqual(os.path.realpath(f"{root}/usr/{where}/{name}"), os.path.realpath(f"{root}/usr/bin/mailchute"))
			self.assertEqual(got[f"/usr/share/man/man1/{name}.1"], "mailchute-sendmail.1")
		self.assertEqual(os.path.realpath(f"{root}/usr/lib/sendmail"), os.path.realpath(f"{root}/usr/bin/mailchute"))
		with fake.Server() as server:
			r = mc.run("-t", "-i", f"--server={server.url}", "-f", "a@example.org", input="To: b@example.org\n\nx\n", executable=f"{root}/usr/lib/sendmail")
			self.assertEqual((r.code, len(server.messages)), (0, 1), r)
		# the example is a configuration that can be read
		r = mc.run("--config", f"{root}/usr/share/doc/mailchute/examples/config.json", "--print-params", "a@example.org", input="")
		self.assertEqual(r.code, 0, r)

	@tap.limit(300)
	def test_none(self):
		"by default no link of another program's name"
		got = files_of(self.plain)
		self.assertIn("/usr/bin/mailchute", got)
		self.assertEqual([p for p in got if os.path.basename(p) in ("sendmail", "mailq", "newaliases", "mail", "mailx")], [])


class Package(tap.Case):
	@tap.limit(500)
	def test_debian(self):
		"dpkg-buildpackage builds both packages, lintian finds no error, and the links are there"
		top = self.tempdir()
		shutil.copytree(mc.TOP, f"{top}/src", ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
		run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=f"{top}/src", env={**os.environ, "HOME": mc.home(), "DEB_BUILD_OPTIONS": "noddebs"})
		debs = sorted(n.split("_")[0] for n in os.listdir(top) if n.endswith(".deb"))
		self.assertEqual(debs, ["mailchute", "mailchute-mta"])
		changes = [f"{top}/{n}" for n in os.listdir(top) if n.endswith(".changes")][0]
		said = run("lintian", "--allow-root", "--fail-on", "error", "--no-tag-display-limit", changes)
		self.assertNotIn("E:", said)
		root = tmp.directory("mcdeb-")
		for name in os.listdir(top):
			if name.endswith(".deb"):
				run("dpkg", "-x", f"{top}/{name}", root)
				if name.startswith("mailchute-mta"):
					control = run("dpkg-deb", "-f", f"{top}/{name}", "Provides", "Conflicts")
					self.assertEqual(control.count("mail-transport-agent"), 2)
		got = files_of(root)
		for path in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases"):
			self.assertEqual(os.path.realpath(root + path), os.path.realpath(f"{root}/usr/bin/mailchute"))
		self.assertIn("/usr/share/man/man1/sendmail.1.gz", got)
		r = mc.run(executable=f"{root}/usr/bin/mailq", stdout=True)
		self.assertEqual((r.code, r.stdout), (0, b"Mail queue is empty\n"), r)


if __name__ == "__main__":
	tap.main()
