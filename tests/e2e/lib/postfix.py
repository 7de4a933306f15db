"""A private Postfix: own configuration, queue, data, log and ports; the system's is not touched. Needs root.

	with postfix.Server(auth="/path/of/a/dovecot/auth/socket") as mta:
		mta.port            plain; offers STARTTLS
		mta.smtps           TLS from the first octet
		mta.submission      STARTTLS and AUTH required (when auth is given)
		mta.submissions     the same, TLS from the first octet
		mta.small           SIZE 20000
		mta.old             announces neither SMTPUTF8, 8BITMIME nor DSN
		mta.nopipe          announces no PIPELINING
		mta.deliveries()    [Delivery]: what was delivered so far: sender, rcpts, data; in order
		mta.wait(n)         waits until n recipients have been delivered; returns the deliveries
		mta.log             the log's text

Recipients at example.org (and, with a U-label, bücher.example) exist unless the local part begins with "no"; mail for them
goes through pipe(8) to a file each, with its envelope. Mail for bulk.example is discarded, and its recipients are found in
the log (mta.sent()). Limits are Postfix's own: smtpd_recipient_limit 1000, smtpd_soft_error_limit 10,
smtpd_hard_error_limit 20. Strict: strict_rfc821_envelopes, smtpd_forbid_bare_newline = reject for everyone.
"""

import grp
import os
import pwd
import re
import subprocess
import sys
import time

from . import capture, certs, ports, tmp

LIBEXEC = "/usr/lib/postfix/sbin"

_MASTER = """
127.0.0.1:{port}        inet  n - n - - smtpd
127.0.0.1:{smtps}       inet  n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{submission}  inet  n - n - - smtpd -o smtpd_tls_security_level=encrypt {sasl}
127.0.0.1:{submissions} inet  n - n - - smtpd -o smtpd_tls_wrappermode=yes {sasl}
127.0.0.1:{small}       inet  n - n - - smtpd -o message_size_limit=20000
127.0.0.1:{old}         inet  n - n - - smtpd -o smtpd_discard_ehlo_keywords=smtputf8,8bitmime,dsn,chunking
127.0.0.1:{nopipe}      inet  n - n - - smtpd -o smtpd_discard_ehlo_keywords=pipelining,chunking
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
local     unix - n n - - local
virtual   unix - n n - - virtual
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
capture   unix - n n - 4 pipe flags= user=nobody argv={python} {flags} {capture} {mail} ${{sender}} ${{recipient}}
"""

_MAIN = """
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = {libexec}
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {logfile}
maillog_file_prefixes = {top}
maillog_file_permissions = 0644
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME
myhostname = mta.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
local_recipient_maps =
relayhost =
relay_domains =
default_transport = error:this test server sends nothing anywhere
virtual_mailbox_domains = example.org, bulk.example, xn--bcher-kva.example
virtual_mailbox_maps = regexp:{etc}/users
virtual_transport = capture
transport_maps = inline:{{ {{ bulk.example = discard: }} }}
capture_destination_recipient_limit = 5000
capture_destination_concurrency_limit = 4
message_size_limit = 20971520
mailbox_size_limit = 0
strict_rfc821_envelopes = yes
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtputf8_enable = yes
local_header_rewrite_clients =
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
smtpd_sasl_security_options = noanonymous
smtpd_sasl_authenticated_header = yes
minimal_backoff_time = 1s
maximal_backoff_time = 2s
bounce_template_file =
"""

def available():
	return os.geteuid() == 0 and os.access(f"{LIBEXEC}/master", os.X_OK)


class Server:
	NAMES = ("port", "smtps", "submission", "submissions", "small", "old", "nopipe")

	def __init__(self, auth=None, cert="rsa", settings=""):
		self.auth, self.cert, self.settings = auth, cert, settings
		self.process = None

	# Life --------------------------------------------------------------

	def __enter__(self):
		for attempt in range(3):
			try:
				self._start()
				return self
			except AssertionError:
				self._stop()
				if attempt == 2:
					raise
		return self

	def __exit__(self, *_):
		self._stop()
		return False

	def _start(self):
		self.top = tmp.directory("mcpostfix-")
		os.chmod(self.top, 0o755)
		for name, number in zip(self.NAMES, ports.free(len(self.NAMES))):
			setattr(self, name, number)
		self._make_directories()
		self._configure()
		self.process = tmp.start([f"{LIBEXEC}/master", "-c", self.etc, "-d"], stdout=subprocess.DEVNULL,
		                         stderr=open(os.path.join(self.top, "stderr"), "wb"), cwd=self.queue,
		                         env={"PATH": os.environ["PATH"], "MAIL_CONFIG": self.etc, "LANG": "C",
		                              "MAIL_LOGTAG": "postfix"})
		tmp.wait_for(lambda: self.process.poll() is not None or ports.greets(self.port), 20, "Postfix to greet")
		if self.process.poll() is not None:
			raise AssertionError(f"Postfix did not start: {self._stderr()} {self.log[-2000:]}")

	def _stderr(self):
		with open(os.path.join(self.top, "stderr"), errors="replace") as f:
			return f.read()

	def _make_directories(self):
		owner = pwd.getpwnam("postfix").pw_uid
		drop = grp.getgrnam("postdrop").gr_gid
		for name in ("etc", "queue", "data", "mail"):
			setattr(self, name, os.path.join(self.top, name))
			os.mkdir(getattr(self, name), 0o755)
		os.chown(self.data, owner, -1)
		os.chown(self.mail, pwd.getpwnam("nobody").pw_uid, -1)
		for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
		             "trace"):
			os.mkdir(os.path.join(self.queue, name), 0o700)
			os.chown(os.path.join(self.queue, name), owner, -1)
		os.mkdir(os.path.join(self.queue, "pid"), 0o755)
		for name, mode in (("maildrop", 0o1730), ("public", 0o2710)):
			os.mkdir(os.path.join(self.queue, name))
			os.chown(os.path.join(self.queue, name), owner, drop)
			os.chmod(os.path.join(self.queue, name), mode)

	def _configure(self):
		def put(name, text):
			with open(os.path.join(self.etc, name), "w", encoding="utf-8") as f:
				f.write(text)
		pair = certs.get(self.cert)
		self.logfile = os.path.join(self.top, "log")
		sasl = "-o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject" \
			if self.auth else ""
		main = _MAIN.format(libexec=LIBEXEC, queue=self.queue, data=self.data, etc=self.etc, top=self.top,
		                    logfile=self.logfile, cert=pair.cert, key=pair.key, auth=self.auth or "none")
		# Postfix 3.7.11 has it, off by default; 3.7.6 and older have not.
		if "smtpd_forbid_bare_newline" in subprocess.run(["postconf", "-d"], capture_output=True, text=True).stdout:
			main += "smtpd_forbid_bare_newline = reject\nsmtpd_forbid_bare_newline_exclusions =\n"
		main += "smtpd_sasl_auth_enable = no\n" + self.settings + "\n"
		put("main.cf", main)
		put("capture.py", capture.SCRIPT)
		put("users", "if !/^no/\n/./ ok\nendif\n")
		put("master.cf", _MASTER.format(sasl=sasl, flags=capture.FLAGS, python=sys.executable if sys.executable.startswith("/usr/")
		                                else "/usr/bin/python3", capture=os.path.join(self.etc, "capture.py"),
		                                mail=self.mail, **{n: getattr(self, n) for n in self.NAMES}))

	def _stop(self):
		if self.process:
			tmp.stop(self.process, 10)
			# master's children end by themselves once their sockets to it close; the directory must outlast them.
			end = time.monotonic() + 5
			while time.monotonic() < end and self._children():
				time.sleep(0.05)
			self.process = None
		tmp.remove(self.top)

	def _children(self):
		"""Processes whose working directory is our queue."""
		found = []
		for pid in filter(str.isdigit, os.listdir("/proc")):
			try:
				if os.readlink(f"/proc/{pid}/cwd").startswith(self.queue):
					found.append(int(pid))
			except OSError:
				pass
		return found

	# What arrived ------------------------------------------------------

	@property
	def log(self):
		try:
			with open(self.logfile, errors="replace") as f:
				return f.read()
		except OSError:
			return ""

	def deliveries(self):
		return capture.deliveries(self.mail)

	def count(self):
		"""How many deliveries there are, unread."""
		return capture.count(self.mail)

	def forget(self):
		"""Remove what was delivered so far, between tests."""
		capture.forget(self.mail)

	@staticmethod
	def version():
		return subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True).stdout.strip()

	def wait(self, rcpts, seconds=20):
		tmp.wait_for(lambda: sum(len(d.rcpts) for d in self.deliveries()) >= rcpts, seconds,
		             f"{rcpts} recipients delivered; log: {self.log[-3000:]}")
		return self.deliveries()

	def sent(self, domain):
		"""Recipients of @domain with status=sent in the log, in order, with repetitions."""
		return re.findall(rf"to=<([^>]*@{re.escape(domain)})>.* status=sent", self.log)
