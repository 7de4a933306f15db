#!/usr/bin/python3
"""The programs that send through /usr/sbin/sendmail, from Debian's packages, with mailchute in its place and Postfix behind it.

Each runs in a mount namespace of its own, where the program under test lies over /usr/sbin/sendmail (and /usr/bin/mail) and
/etc/mailchute has its configuration. What arrives is what Postfix delivered.
"""

import configparser
import email
import email.policy
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import mc, postfix, tap, tmp  # noqa: E402

THIRD = os.environ.get("MC_THIRD") or os.path.join(mc.TOP, "build", "third")
AWKWARD = "Gr\u00fc\u00dfe\n.\nFrom the start\n..two dots\n" + "long " * 300 + "\n\n.\n"
# Everything that a daemon's spool could write to is the namespace's own.
ENTER = """
set -e
mount --make-rprivate /
# another test may make and remove this directory at the same time
for again in 1 2 3 4 5; do mkdir -p /etc/mailchute && mount --bind "$PLACE/etc" /etc/mailchute && break; done
mountpoint -q /etc/mailchute
mount --bind "$PROGRAM" /usr/sbin/sendmail
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
mkdir -m 1770 /var/spool/cron/atjobs /var/spool/cron/atspool
echo 0 > /var/spool/cron/atjobs/.SEQ
chmod 600 /var/spool/cron/atjobs/.SEQ
chown daemon:daemon /var/spool/cron/atjobs /var/spool/cron/atspool /var/spool/cron/atjobs/.SEQ
exec "$@"
"""


def body_of(delivery):
	return delivery.data.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


def field(delivery, name):
	head = delivery.data.replace(b"\r\n", b"\n").partition(b"\n\n")[0].replace(b"\n ", b" ").replace(b"\n\t", b" ")
	return [l.split(b":", 1)[1].strip().decode() for l in head.split(b"\n") if l.lower().startswith(name.lower().encode() + b":")]


class Callers(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not postfix.available():
			raise AssertionError("Postfix is needed, and root; see tests/setup.sh")
		cls.mta = postfix.Server()
		cls.addClassCleanup(cls.mta.__exit__)
		cls.mta.__enter__()
		cls.place = tmp.directory("mccallers-")
		os.chmod(cls.place, 0o755)
		cls.program = os.path.join(cls.place, "mailchute")
		shutil.copy(mc.BINARY, cls.program)
		os.chmod(cls.program, 0o755)
		os.mkdir(os.path.join(cls.place, "etc"), 0o755)
		cls.log = os.path.join(cls.place, "log")
		cls.had = os.path.isdir("/etc/mailchute")
		cls.configure()

	@classmethod
	def tearDownClass(cls):
		try:
			if not cls.had:
				os.rmdir("/etc/mailchute")
		except FileNotFoundError:
			pass

	@classmethod
	def configure(cls, **more):
		config = {"server": f"127.0.0.1:{cls.mta.port}", "starttls": False, "from": "alerts@example.org", "mail_domain": "example.org",
		          "aliases": {"root": "admin@example.org", "norefused": "no-such@example.org"}, "log": cls.log, **more}
		path = os.path.join(cls.place, "etc", "config.json")
		with open(path, "w", encoding="utf-8") as f:
			f.write("// what the callers know nothing of\n" + json.dumps(config))
		os.chmod(path, 0o644)

	def setUp(self):
		self.mta.forget()

	def call(self, *argv, input="", code=0, env=None, timeout=60, cwd=None):
		"""Run a caller in the namespace. Without `code` None its exit code is checked."""
		home = tmp.directory("mchome-")
		names = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LANG": "C.UTF-8", "PLACE": self.place,
		         "PROGRAM": self.program, "USER": "root", "LOGNAME": "root", **(env or {})}
		done = subprocess.run(["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", ENTER, "sh", *argv],
		                      input=input.encode() if isinstance(input, str) else input, capture_output=True, env=names, cwd=cwd or home,
		                      timeout=timeout * mc.SLOW)
		if code is not None:
			self.assertEqual(done.returncode, code, (argv, done.stdout, done.stderr))
		return done

	def daemon(self, script):
		"""Run @script in the namespace; there mailed() waits until one more line is in the log, tick() for a moment."""
		wait = f"""
log={self.log} limit={int(200 * mc.SLOW)}
tick() {{ sleep 0.1; limit=$((limit - 1)); [ $limit -gt 0 ]; }}
lines() {{ [ ! -f $log ] || wc -l < $log; }}
had=$(lines)
mailed() {{ while [ "$(lines)" = "$had" ] && tick; do :; done; sleep 0.3; }}
"""
		self.call("sh", "-c", wait + script, code=None)

	def one(self, sender, rcpts, count=None):
		"""The one message that arrived."""
		deliveries = self.mta.wait(count or len(rcpts))
		self.assertEqual(len(deliveries), 1, deliveries)
		d = deliveries[0]
		self.assertEqual((d.sender, sorted(d.rcpts)), (sender, sorted(rcpts)))
		self.assertEqual([len(field(d, n)) for n in ("From", "Date", "Message-ID")], [1, 1, 1])
		return d


class Daemons(Callers):
	@tap.row("TIN-15")
	@tap.limit(100)
	def test_cron(self):
		"cron: a job's output, to root and another; unqualified From and To are put right"
		script = """
printf '%s\\n' 'MAILTO=root,ann@example.org' '@reboot echo "cron says"; printf ".\\nFrom x\\n"' > /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root; chgrp crontab /var/spool/cron/crontabs/root
mount -t tmpfs none /etc/cron.d; mount --bind /dev/null /etc/crontab
cron -f & mailed; kill $!
"""
		self.daemon(script)
		d = self.one("alerts@example.org", ["admin@example.org", "ann@example.org"])
		self.assertEqual(field(d, "From"), ["Cron Daemon <root@example.org>"])
		self.assertEqual(field(d, "X-Original-From"), ["root (Cron Daemon)"])
		self.assertEqual(field(d, "To"), ["admin@example.org, ann@example.org"])
		self.assertIn("Cron <root@", field(d, "Subject")[0])
		self.assertEqual(body_of(d), b"cron says\n.\nFrom x\n")

	@tap.row("TIN-15")
	@tap.limit(100)
	def test_cron_refused(self):
		"cron, and a server that refuses: cron logs the status"
		script = """
printf '%s\\n' 'MAILTO=norefused' '@reboot echo x' > /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root; chgrp crontab /var/spool/cron/crontabs/root
mount -t tmpfs none /etc/cron.d; mount --bind /dev/null /etc/crontab
cron -f -L 15 & mailed; kill $!
"""
		self.daemon(script)
		with open(self.log, encoding="utf-8") as f:
			line = f.read().splitlines()[-1]
		self.assertIn("exit=67", line)
		self.assertIn("rejected=<no-such@example.org>", line)

	@tap.row("TIN-15")
	@tap.limit(100)
	def test_at(self):
		"at: a job's output"
		script = """
atd -f & until [ -s /run/atd.pid ] || ! tick; do :; done
printf 'echo at says\\nprintf ".\\\\n"\\n' | at -q a now 2>/dev/null; mailed; kill $!
"""
		self.daemon(script)
		d = self.one("alerts@example.org", ["admin@example.org"])
		self.assertEqual(body_of(d), b"at says\n.\n")
		self.assertIn("Output from your job", field(d, "Subject")[0])

	@tap.row("TIN-15")
	def test_logwatch(self):
		"logwatch --output mail"
		script = """
mount -t tmpfs none /var/log; mkdir -p /var/cache/logwatch
echo "$(date '+%b %e %H:%M:%S') web1 sshd[7]: Invalid user mallory from 192.0.2.7 port 22" > /var/log/auth.log
exec logwatch --output mail --mailto root --service sshd --range all
"""
		self.call("sh", "-c", script, timeout=90)
		d = self.one("alerts@example.org", ["admin@example.org"])
		self.assertIn(b"Logwatch", body_of(d))
		self.assertEqual(field(d, "To"), ["admin@example.org"])

	@tap.row("TIN-15")
	def test_fail2ban(self):
		"fail2ban: the line of its action sendmail, run as it stands"
		parser = configparser.RawConfigParser()
		parser.read(["/etc/fail2ban/action.d/sendmail-common.conf", "/etc/fail2ban/action.d/sendmail.conf"])
		tags = {"name": "sshd", "ip": "192.0.2.7", "fq-hostname": "web1.example.org", "failures": "5", "sender": "fail2ban@example.org", "dest": "root",
		        "sendername": "Fail2Ban", "mailcmd": parser.get("Init", "mailcmd") if parser.has_option("Init", "mailcmd") else
		        parser.get("DEFAULT", "mailcmd", fallback='/usr/sbin/sendmail -f "<sender>" "<dest>"')}
		line = parser.get("Definition", "actionban").replace("%%", "%")
		for _ in range(3):
			for name, value in tags.items():
				line = line.replace(f"<{name}>", value)
		self.call("bash", "-c", line)
		d = self.one("fail2ban@example.org", ["admin@example.org"])
		self.assertEqual(field(d, "Subject"), ["[Fail2Ban] sshd: banned 192.0.2.7 from web1.example.org"])
		self.assertIn(b"The IP 192.0.2.7 has just been banned", body_of(d))
		self.assertEqual(field(d, "From"), ["Fail2Ban <fail2ban@example.org>"])

	@tap.row("TIN-15")
	def test_systemd_cron(self):
		"systemd-cron: its mail_on_failure, with a systemctl that tells of a unit"
		bin_dir = self.tempdir()
		with open(os.path.join(bin_dir, "systemctl"), "w", encoding="ascii") as f:
			f.write("#!/bin/sh\ncase $3 in --property=User) echo User= ;; --property=Environment) echo Environment=MAILTO=root ;; "
			        "*) echo 'cron-x.service - failed'; exit 3 ;; esac\n")
		os.chmod(os.path.join(bin_dir, "systemctl"), 0o755)
		os.chmod(bin_dir, 0o755)
		self.call("/usr/bin/python3", f"{THIRD}/lib/systemd-cron/mail_on_failure", "cron-x.service",
		          env={"PATH": f"{bin_dir}:/usr/sbin:/usr/bin:/sbin:/bin"})
		d = self.one("alerts@example.org", ["admin@example.org"])
		self.assertIn("cron-x.service", field(d, "Subject")[0] + body_of(d).decode("utf-8", "replace"))

	@tap.row("TIN-15")
	@tap.table(
		("anacron", "-FAnacron -odi root", "From: root (Anacron)\nTo: root\nSubject: Anacron job\n\nout\n.\n", "out\n.\n"),
		("unattended-upgrades, apt-listchanges", "-oi -t", "To: root\nSubject: upgrade\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nout\n", "out\n"),
		("mdadm", "-t", "From: mdadm monitoring <root>\nTo: root\nSubject: TestMessage event on /dev/md0\n\nThis is a test.\n.\nend\n", "This is a test.\n.\nend\n"),
		("busybox crond", "-ti", "To: root\nSubject: cron: x\n\nout\n", "out\n"),
	)
	def test_forms(self, argv, text, body):
		"the exact arguments and text of {0}"
		self.call("/usr/sbin/sendmail", *argv.split(), input=text)
		d = self.one("alerts@example.org", ["admin@example.org"])
		self.assertEqual(body_of(d).decode(), body)
		self.assertNotIn("root>", field(d, "From")[0].replace("root@example.org>", ""))


class Programs(Callers):
	@tap.row("TIN-15")
	@tap.table(("arrives", "ann@example.org", 0), ("is refused", "nobody@example.org", 1))
	def test_mutt(self, to, code):
		"mutt: a message with awkward text and an attachment {0}"
		attached = self.write("a.bin", os.urandom(5000))
		done = self.call("mutt", "-n", "-F", "/dev/null", "-e", "set from=me@example.org use_envelope_from=yes envelope_from_address=me@example.org copy=no",
		                 "-s", "Gr\u00fc\u00dfe", "-a", attached, "--", to, input=AWKWARD, code=None)
		self.assertEqual(done.returncode != 0, code != 0, done)
		if code:
			self.assertEqual(self.mta.deliveries(), [])
			return
		d = self.one("me@example.org", ["ann@example.org"])
		read = email.message_from_bytes(d.data, policy=email.policy.default)
		self.assertEqual(read["Subject"], "Gr\u00fc\u00dfe")
		text, file = list(read.iter_parts())
		self.assertEqual(text.get_content().replace("\r\n", "\n"), AWKWARD)
		with open(attached, "rb") as f:
			self.assertEqual(file.get_content(), f.read())

	@tap.row("TIN-15")
	@tap.table(("as the smtp server", ["--smtp-server=/usr/sbin/sendmail"], "ann@example.org", 0),
	           ("as sendmailCmd", ["--sendmail-cmd=/usr/sbin/sendmail"], "ann@example.org", 0),
	           ("refused", ["--smtp-server=/usr/sbin/sendmail"], "nobody@example.org", 1))
	def test_git(self, how, to, code):
		"git send-email {0}"
		repo = self.tempdir()
		git = ["git", "-c", "user.name=Ann", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"]
		with open(os.path.join(repo, "x"), "w", encoding="utf-8") as f:
			f.write("gr\u00fc\u00dfe\n.\n")
		for command in (["init", "-q"], ["add", "x"], ["commit", "-q", "-m", "A change\n\n.\nFrom here"]):
			subprocess.run(git + command, cwd=repo, check=True, capture_output=True)
		done = self.call(*git, "send-email", "--confirm=never", "--from=Ann <me@example.org>", f"--to={to}", "--suppress-cc=all", "--8bit-encoding=UTF-8", "--envelope-sender=auto", *how, "-1", cwd=repo,
		                 code=None)
		self.assertEqual(done.returncode != 0, code != 0, done)
		if code:
			self.assertEqual(self.mta.deliveries(), [])
			return
		d = self.one("me@example.org", ["ann@example.org"])
		self.assertEqual(field(d, "Subject"), ["[PATCH] A change"])
		self.assertIn("+gr\u00fc\u00dfe\n+.\n".encode(), body_of(d))

	@tap.row("TIN-15")
	@tap.table(("arrives", "ann@example.org", "true"), ("is refused", "nobody@example.org", "false"))
	def test_php(self, to, said):
		"PHP's mail() with a sender as fifth argument {0}"
		script = f'var_export(mail("{to}", "s", "one\\n.\\ntwo\\n", "From: web@example.org\\r\\nX-Y: z", "-fbounce@example.org"));'
		done = self.call("php", "-r", script)
		self.assertEqual(done.stdout.decode(), said, done)
		if said == "false":
			self.assertEqual(self.mta.deliveries(), [])
			return
		d = self.one("bounce@example.org", ["ann@example.org"])
		self.assertEqual((field(d, "X-Y"), body_of(d).rstrip(b"\n")), (["z"], b"one\n.\ntwo"))

	@tap.row("TIN-15")
	@tap.table(("s-nail", "s-nail", "-r", "me@example.org"), ("bsd-mailx", f"{THIRD}/usr/bin/bsd-mailx", "-r", "me@example.org"))
	def test_mailx(self, program, *sender):
		"{0} through sendmail: text as it is, a bad recipient is a failure"
		done = self.call(program, "-s", "Subject", *sender, "ann@example.org", input="one\n.\ntwo\n")
		d = self.one("me@example.org", ["ann@example.org"])
		self.assertEqual((field(d, "Subject"), body_of(d).rstrip(b"\n")), (["Subject"], b"one\n.\ntwo"), done)
		if "s-nail" in program:
			done = self.call(program, "-S", "sendwait", "-s", "x", *sender, "nobody@example.org", input="x\n", code=None)
			self.assertNotEqual(done.returncode, 0)

	@tap.row("TIN-15")
	def test_mail_by_name(self):
		"mail by name, as smartd's script calls it"
		link = os.path.join(self.place, "mail")
		if not os.path.exists(link):
			os.symlink(self.program, link)
		self.call("sh", "-c", f"exec {link} -s 'SMART error (FailedTest) detected on host: web1' root", input="smartd says\n.\n")
		d = self.one("alerts@example.org", ["admin@example.org"])
		self.assertEqual((field(d, "To"), field(d, "X-Original-To"), body_of(d)), (["admin@example.org"], ["root"], b"smartd says\n.\n"))

	@tap.row("TIN-15")
	@tap.table(("arrives", "ann@example.org", ""), ("is refused", "nobody@example.org", "error"))
	def test_nodemailer(self, to, said):
		"nodemailer's sendmail transport {0}"
		script = f"""
const t = require('nodemailer').createTransport({{sendmail: true, newline: 'unix', path: '/usr/sbin/sendmail'}});
t.sendMail({{from: 'Web <web@example.org>', to: '{to}', bcc: 'carl@example.org', subject: 'Gr\u00fc\u00dfe', text: 'one\\n.\\ntwo\\n'}},
  (e) => console.log(e ? 'error' : ''));"""
		node = "/usr/bin/node" if os.path.exists("/usr/bin/node") else "node"
		done = self.call(node, "-e", script, env={"NODE_PATH": "/usr/share/nodejs"})
		self.assertEqual(done.stdout.decode().strip(), said, done)
		d = self.one("web@example.org", ["carl@example.org"] + ([] if said else ["ann@example.org"]))
		self.assertNotIn(b"carl@", d.data)
		self.assertEqual(body_of(d).rstrip(b"\n"), b"one\n.\ntwo")

	@tap.row("TIN-15")
	@tap.table(("-bs", "/usr/sbin/sendmail -bs", "ann@example.org", "sent"), ("-bs, refused", "/usr/sbin/sendmail -bs", "nobody@example.org", "refused"),
	           ("-t", "/usr/sbin/sendmail -t -i", "ann@example.org", "sent"), ("-t, refused", "/usr/sbin/sendmail -t -i", "nobody@example.org", "refused"))
	def test_symfony(self, command, to, said):
		"Symfony's mailer by {0}: two messages"
		script = f"""
require '/usr/share/php/Symfony/Component/Mailer/autoload.php';
use Symfony\\Component\\Mime\\Email;
$t = new Symfony\\Component\\Mailer\\Transport\\SendmailTransport('{command}');
$m = new Symfony\\Component\\Mailer\\Mailer($t);
try {{
  for ($i = 1; $i <= 2; $i++)
    $m->send((new Email())->from('web@example.org')->to('{to}')->subject("Gr\u00fc\u00dfe $i")->text("one\\n.\\ntwo\\n"));
  echo 'sent';
}} catch (Exception $e) {{ echo 'refused'; }}"""
		done = self.call("php", "-r", script)
		self.assertEqual(done.stdout.decode(), said, done)
		if said == "refused":
			self.assertEqual(self.mta.deliveries(), [])
			return
		deliveries = self.mta.wait(2)
		self.assertEqual([(d.sender, d.rcpts) for d in deliveries], [("web@example.org", ["ann@example.org"])] * 2)
		for d in deliveries:
			self.assertEqual(body_of(d).rstrip(b"\n"), b"one\n.\ntwo")

	@tap.row("TIN-15")
	@tap.table(("empty", ""), ("no line end", "x"), ("8-bit", "gr\u00fc\u00dfe\n"), ("a long line", "y" * 5000 + "\n"), ("mbox", "From x\n>From y\n"),
	           ("CRLF", "a\r\nb\r\n"))
	def test_awkward(self, text):
		"a script's text to sendmail: {0}"
		self.call("/usr/sbin/sendmail", "-i", "-f", "me@example.org", "ann@example.org", input="Subject: x\n\n" + text)
		d = self.one("me@example.org", ["ann@example.org"])
		read = email.message_from_bytes(d.data, policy=email.policy.default)
		got = read.get_content().replace("\r\n", "\n")
		want = text.replace("\r\n", "\n")
		self.assertEqual(got.rstrip("\n"), want.rstrip("\n"))


if __name__ == "__main__":
	tap.main()
