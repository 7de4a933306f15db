"""A third MTA: Exim, unpacked from Debian's package (it cannot be installed beside Postfix) and run by path. Needs root.

tests/setup.sh unpacks it into build/third (or $MC_THIRD).

	with third.Server() as mta:
		mta.port            plain, offers STARTTLS; mta.smtps: TLS from the first octet
		mta.wait(n)         waits for n deliveries; [Delivery] with sender, rcpts, data, received

Exim checks what Postfix does not: its own syntax of addresses and header fields (ACL verify = header_syntax), lines over
998 octets (message_linelength_limit), HELO names; it offers CHUNKING, PIPELINING, 8BITMIME, SIZE, DSN,
SMTPUTF8. AUTH PLAIN and LOGIN for user "exim", password PASSWORD, offered within TLS only.
"""

import os
import shutil
import subprocess

from . import capture, certs, ports, tmp
from .mc import TOP

PASSWORD = "exim's own, with a space"

_CONF = r"""
exim_path = {top}/exim4
deliver_drop_privilege = true
exim_user = nobody
exim_group = nogroup
primary_hostname = exim.example.org
spool_directory = {top}/spool
log_file_path = {top}/log/%slog
pid_file_path = {top}/pid
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
add_environment = PATH=/usr/bin:/bin
never_users =
daemon_smtp_ports = {port} : {smtps}
tls_on_connect_ports = {smtps}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
pipelining_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
accept_8bitmime = true
helo_accept_junk_hosts =
strict_acl_vars = true
message_size_limit = 10M
recipients_max = 2000
smtp_accept_max_per_connection = 1000
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
smtp_max_synprot_errors = 0
smtp_max_unknown_commands = 0
smtp_enforce_sync = true
queue_run_max = 5
remote_max_parallel = 1
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = rcpt
acl_smtp_data = data
acl_smtp_helo = helo
untrusted_set_sender = *
local_from_check = false
allow_utf8_domains = false

begin acl
helo:
	accept
rcpt:
	deny	local_parts = ^no
		message = no such user
	accept	domains = example.org
	deny	message = relay not permitted
data:
	deny	condition = ${{if > {{$max_received_linelength}}{{998}}}}
		message = line too long: $max_received_linelength
	deny	!verify = header_syntax
		message = header syntax: $acl_verify_message
	accept

begin routers
all:
	driver = accept
	transport = capture

begin transports
capture:
	driver = pipe
	command = /usr/bin/python3 {flags} {top}/capture.py {top}/mail - $pipe_addresses
	environment = SENDER=$sender_address
	path = /usr/bin:/bin
	user = nobody
	group = nogroup
	batch_max = 2000
	message_prefix =
	message_suffix =
	use_crlf = false
	return_fail_output
	log_output

begin retry
* * F,1h,1m

begin authenticators
plain:
	driver = plaintext
	public_name = PLAIN
	server_prompts = :
	server_condition = ${{if and{{{{eq{{$auth2}}{{exim}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
	server_set_id = $auth2
login:
	driver = plaintext
	public_name = LOGIN
	server_prompts = Username:: : Password::
	server_condition = ${{if and{{{{eq{{$auth1}}{{exim}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
	server_set_id = $auth1
"""


def program():
	base = os.environ.get("MC_THIRD") or os.path.join(os.environ.get("MC_BUILD") or os.path.join(TOP, "build"), "third")
	for path in (base, os.path.join(TOP, "build", "third")):
		if os.access(os.path.join(path, "usr/sbin/exim4"), os.X_OK):
			return os.path.join(path, "usr/sbin/exim4")
	return None


def available():
	return os.geteuid() == 0 and program() is not None


class Server:
	def __init__(self, cert="rsa"):
		self.cert, self.process = cert, None

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
		self.top = tmp.directory("mcexim-")
		os.chmod(self.top, 0o755)
		self.port, self.smtps = ports.free(2)
		self.mail = os.path.join(self.top, "mail")
		for name in ("mail", "spool", "log"):
			path = os.path.join(self.top, name)
			os.mkdir(path, 0o755)
			subprocess.run(["chown", "nobody:nogroup", path], check=True)
		pair = certs.get(self.cert)
		# Exim has given up root when it reads them.
		os.chmod(os.path.dirname(pair.key), 0o755)
		for path in pair:
			os.chmod(path, 0o644)
		conf = os.path.join(self.top, "exim.conf")
		with open(conf, "w", encoding="utf-8") as f:
			f.write(_CONF.format(flags=capture.FLAGS, top=self.top, port=self.port, smtps=self.smtps, cert=pair.cert, key=pair.key,
			                     password=PASSWORD))
		with open(os.path.join(self.top, "capture.py"), "w", encoding="utf-8") as f:
			f.write(capture.SCRIPT)
		# A copy without the set-user-ID bit: it runs as nobody once it has its ports, and takes LD_PRELOAD.
		binary = os.path.join(self.top, "exim4")
		shutil.copyfile(program(), binary)
		os.chmod(binary, 0o755)
		self.process = tmp.start([binary, "-C", conf, "-bdf", "-q1m"], stdout=subprocess.DEVNULL,
		                         stderr=open(os.path.join(self.top, "stderr"), "wb"), cwd=self.top, env=self._users())
		tmp.wait_for(lambda: self.process.poll() is not None or ports.greets(self.port), 20, "Exim to greet")
		if self.process.poll() is not None:
			raise AssertionError(f"Exim did not start: {self.log}")

	def _users(self):
		"""An environment in which the user compiled into Debian's Exim exists, though its package is not installed."""
		for name, line in (("passwd", "Debian-exim:x:65533:65533::/nonexistent:/usr/sbin/nologin\n"),
		                   ("group", "Debian-exim:x:65533:\n")):
			with open(f"/etc/{name}", encoding="utf-8") as f:
				text = f.read()
			with open(os.path.join(self.top, name), "w", encoding="utf-8") as f:
				f.write(text if "Debian-exim:" in text else text + line)
		return {"PATH": "/usr/bin:/bin", "LD_PRELOAD": "libnss_wrapper.so",
		        "NSS_WRAPPER_PASSWD": os.path.join(self.top, "passwd"),
		        "NSS_WRAPPER_GROUP": os.path.join(self.top, "group")}

	def _stop(self):
		if self.process:
			tmp.stop(self.process, 10)
			self.process = None
		tmp.remove(self.top)

	@property
	def log(self):
		text = ""
		for name in ("stderr", "log/mainlog", "log/paniclog", "log/rejectlog"):
			try:
				with open(os.path.join(self.top, name), errors="replace") as f:
					text += f.read()
			except OSError:
				pass
		return text

	def deliveries(self):
		return capture.deliveries(self.mail)

	def forget(self):
		"""Remove what was delivered so far, between tests."""
		capture.forget(self.mail)

	def wait(self, rcpts, seconds=20):
		tmp.wait_for(lambda: sum(len(d.rcpts) for d in self.deliveries()) >= rcpts, seconds,
		             f"{rcpts} recipients delivered; log: {self.log[-3000:]}")
		return self.deliveries()
