"""A private Dovecot: own configuration, sockets, mailboxes and ports; the system's is not touched. Needs root.

	with dovecot.Server() as store:
		store.lmtp          port of LMTP, offers STARTTLS; store.lmtp_socket: the same on a Unix socket
		store.lmtps         LMTP, TLS from the first octet
		store.auth          socket for Postfix's smtpd_sasl_path
		store.submission, store.submissions     with `relay=PORT` of an SMTP server that takes the mail: Dovecot's
		                    submission service, STARTTLS and AUTH required, or TLS from the first octet
		store.mailbox("alice")      the messages in it, oldest first: their octets, CRLF line ends
		store.wait("alice", n)      waits for n messages

Users alice, bob, carol, "über" (password: PASSWORD) and full, whose quota of 10 KiB is used up by a first message over
it. Any other is unknown. Mechanisms: PLAIN, LOGIN, CRAM-MD5, and with `oauth=True` XOAUTH2 and OAUTHBEARER with the
token TOKEN for alice (a little HTTP server answers Dovecot's introspection). EXTERNAL, at the submission service, for
the user "client" by the client certificate of that name.
"""

import http.server
import json
import os
import pwd
import subprocess
import threading
import urllib.parse

from . import certs, ports, tmp

PASSWORD = "tr0ub4dor & 3 horses"
TOKEN = "ya29.a0AfH6SMBx-token-of-the-tests"
USERS = ("alice", "bob", "carol", "über", "full")

_CONF = """
base_dir = {run}
state_dir = {run}
instance_name = mctest
log_path = {logfile}
info_log_path = {logfile}
protocols = {protocols}
listen = 127.0.0.1
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_plugins = quota
auth_mechanisms = {mechanisms}
auth_username_chars =
auth_username_format = %Ln
disable_plaintext_auth = no
auth_failure_delay = 0
auth_debug = yes
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
ssl_dh =
lmtp_save_to_detail_mailbox = no
{submission}
{oauth}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {users}
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {users}
}}
plugin {{
  quota = maildir:User quota
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  inet_listener lmtps {{
    address = 127.0.0.1
    port = {lmtps}
    ssl = yes
  }}
}}
service auth {{
  unix_listener postfix-auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol lmtp {{
  mail_plugins = quota
  postmaster_address = postmaster@example.org
}}
"""

_SUBMISSION = """
hostname = submission.example.org
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
ssl_ca = <{ca}
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
ssl_require_crl = no
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
service submission-login {{
  inet_listener submission {{
    address = 127.0.0.1
    port = {submission}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {submissions}
    ssl = yes
  }}
}}
"""

_OAUTH_PASSDB = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {args}
}}
"""

_OAUTH_ARGS = """
introspection_mode = post
introspection_url = http://127.0.0.1:{port}/
username_attribute = username
username_format = %n
active_attribute = active
active_value = true
"""


class _Introspection(http.server.BaseHTTPRequestHandler):
	"""RFC 7662, for one token."""

	def do_POST(self):
		form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
		good = form.get("token") == [TOKEN]
		body = json.dumps({"active": good, "username": "alice"} if good else {"active": False}).encode()
		self.send_response(200)
		self.send_header("Content-Type", "application/json")
		self.send_header("Content-Length", str(len(body)))
		self.end_headers()
		self.wfile.write(body)

	def log_message(self, *_):
		pass


def available():
	return os.geteuid() == 0 and os.access("/usr/sbin/dovecot", os.X_OK)


class Server:
	def __init__(self, cert="rsa", oauth=False, relay=None):
		self.cert, self.oauth, self.relay = cert, oauth, relay
		self.process = self.http = None

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
		self.top = tmp.directory("mcdovecot-")
		os.chmod(self.top, 0o755)
		self.lmtp, self.lmtps, self.submission, self.submissions = ports.free(4)
		self.run = os.path.join(self.top, "run")
		self.mail = os.path.join(self.top, "mail")
		os.mkdir(self.run, 0o755)
		os.mkdir(self.mail, 0o755)
		self.logfile = os.path.join(self.top, "log")
		self.lmtp_socket = os.path.join(self.run, "lmtp")
		self.auth = os.path.join(self.run, "postfix-auth")
		conf = os.path.join(self.top, "dovecot.conf")
		pair = certs.get(self.cert)
		with open(conf, "w", encoding="utf-8") as f:
			f.write(_CONF.format(run=self.run, logfile=self.logfile, cert=pair.cert, key=pair.key,
			                     users=self._write_users(), lmtp=self.lmtp, lmtps=self.lmtps,
			                     mechanisms="plain login cram-md5" + (" xoauth2 oauthbearer" if self.oauth else "")
			                     + (" external" if self.relay else ""),
			                     protocols="lmtp submission" if self.relay else "lmtp",
			                     submission=_SUBMISSION.format(
				                     relay=self.relay, ca=certs.ca(), submission=self.submission,
				                     submissions=self.submissions) if self.relay else "",
			                     oauth=self._start_oauth() if self.oauth else ""))
		self.process = tmp.start(["/usr/sbin/dovecot", "-F", "-c", conf], stdout=subprocess.DEVNULL,
		                         stderr=open(os.path.join(self.top, "stderr"), "wb"))
		tmp.wait_for(lambda: self.process.poll() is not None
		             or (ports.greets(self.lmtp) and os.path.exists(self.lmtp_socket)), 20, "Dovecot to greet")
		if self.process.poll() is not None:
			with open(os.path.join(self.top, "stderr"), errors="replace") as f:
				raise AssertionError(f"Dovecot did not start: {f.read()} {self.log[-2000:]}")

	def _write_users(self):
		nobody = pwd.getpwnam("nobody")
		path = os.path.join(self.top, "users")
		with open(path, "w", encoding="utf-8") as f:
			for user in (*USERS, "client"):
				home = os.path.join(self.mail, user)
				os.mkdir(home, 0o700)
				os.chown(home, nobody.pw_uid, nobody.pw_gid)
				rule = "userdb_quota_rule=*:storage=10K" if user == "full" else ""
				f.write(f"{user}:{{PLAIN}}{PASSWORD}:{nobody.pw_uid}:{nobody.pw_gid}::{home}::{rule}\n")
		return path

	def _start_oauth(self):
		self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Introspection)
		threading.Thread(target=self.http.serve_forever, daemon=True).start()
		args = os.path.join(self.top, "oauth2")
		with open(args, "w", encoding="ascii") as f:
			f.write(_OAUTH_ARGS.format(port=self.http.server_address[1]))
		return _OAUTH_PASSDB.format(args=args)

	def _stop(self):
		if self.process:
			tmp.stop(self.process, 10)
			self.process = None
		if self.http:
			self.http.shutdown()
			self.http.server_close()
			self.http = None
		tmp.remove(self.top)

	@property
	def log(self):
		try:
			with open(self.logfile, errors="replace") as f:
				return f.read()
		except OSError:
			return ""

	def mailbox(self, user):
		found = []
		for kind in ("new", "cur"):
			directory = os.path.join(self.mail, user, "Maildir", kind)
			if os.path.isdir(directory):
				found += [os.path.join(directory, n) for n in os.listdir(directory)]
		messages = []
		for path in sorted(found, key=lambda p: os.stat(p).st_mtime_ns):
			with open(path, "rb") as f:
				messages.append(f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
		return messages

	def wait(self, user, count=1, seconds=20):
		tmp.wait_for(lambda: len(self.mailbox(user)) >= count, seconds,
		             f"{count} messages for {user}; log: {self.log[-3000:]}")
		return self.mailbox(user)


def sent_part(octets):
	"""A delivered message without the fields Dovecot prepends (Return-Path, Delivered-To, Received)."""
	lines = octets.split(b"\r\n")
	while lines and (lines[0].split(b":")[0].lower() in (b"return-path", b"delivered-to", b"received")):
		del lines[0]
		while lines and lines[0][:1] in (b" ", b"\t"):
			del lines[0]
	return b"\r\n".join(lines)
