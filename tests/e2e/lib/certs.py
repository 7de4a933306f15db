"""Certificates for the tests, made with openssl, each when first asked for, in one directory a test program.

	pair = certs.get("good")        # pair.cert (with chain), pair.key: PEM files
	certs.ca()                      # the CA's certificate, for --tls-ca-file
	certs.pin("good")               # "sha256//..." of the leaf's public key

Leaves by name:
	good            SAN localhost, 127.0.0.1, ::1
	rsa             the same with an RSA key of 2048 bits
	wrong_host      SAN mail.invalid only
	wildcard        SAN *.localhost only: does not match localhost
	cn_only         subject CN=localhost, no SAN at all
	name_only       SAN DNS:localhost only (refused for the address 127.0.0.1)
	ip_as_name      SAN DNS:127.0.0.1, which is not an address
	expired, not_yet, self_signed, unknown_ca, wrong_eku (clientAuth only), revoked (see crl()),
	rsa1024, sha1   too weak for OpenSSL's security level 2
	example         SAN mail.example.org, the server of the documents' examples
	chain           by an intermediate CA, which is sent along
	chain_missing   the same leaf without the intermediate
	client          for a client: clientAuth
	other_client    the same from the unknown CA
	client_encrypted  its key is under the pass phrase "secret"
	client_mismatch   the certificate of client with another key
"""

import base64
import collections
import hashlib
import os
import subprocess
import threading
import time

from . import tmp

Pair = collections.namedtuple("Pair", "cert key")
_lock = threading.RLock()
_dir = None
_made = {}

_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
# name: subject, SAN (or None), EKU, CA, start and end in days from now, key, digest
_LEAVES = {
	"good": ("good", _NAMES, "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"rsa": ("rsa", _NAMES, "serverAuth", "ca", -2, 30, "rsa:2048", "sha256"),
	"wrong_host": ("mail.invalid", "DNS:mail.invalid", "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"wildcard": ("wildcard", "DNS:*.localhost", "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"cn_only": ("localhost", None, "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"name_only": ("localhost", "DNS:localhost", "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"ip_as_name": ("127.0.0.1", "DNS:127.0.0.1", "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"expired": ("expired", _NAMES, "serverAuth", "ca", -40, -10, "ec", "sha256"),
	"not_yet": ("not yet", _NAMES, "serverAuth", "ca", 10, 40, "ec", "sha256"),
	"unknown_ca": ("unknown", _NAMES, "serverAuth", "otherca", -2, 30, "ec", "sha256"),
	"wrong_eku": ("eku", _NAMES, "clientAuth", "ca", -2, 30, "ec", "sha256"),
	"revoked": ("revoked", _NAMES, "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"rsa1024": ("weak", _NAMES, "serverAuth", "ca", -2, 30, "rsa:1024", "sha256"),
	"sha1": ("sha1", _NAMES, "serverAuth", "ca", -2, 30, "ec", "sha1"),
	"example": ("mail.example.org", "DNS:mail.example.org", "serverAuth", "ca", -2, 30, "ec", "sha256"),
	"chain": ("chain", _NAMES, "serverAuth", "interca", -2, 30, "ec", "sha256"),
	"client": ("client", None, "clientAuth", "ca", -2, 30, "ec", "sha256"),
	"other_client": ("client", None, "clientAuth", "otherca", -2, 30, "ec", "sha256"),
}


def _openssl(*argv, **how):
	run = subprocess.run(("openssl",) + argv, capture_output=True, cwd=_directory(), **how)
	if run.returncode:
		raise RuntimeError(f"openssl {' '.join(argv)}: {run.stderr.decode()}")
	return run.stdout


def _directory():
	global _dir
	with _lock:
		if _dir is None:
			_dir = tmp.directory("mccerts-")
		return _dir


def _path(name):
	return os.path.join(_directory(), name)


def _day(days):
	return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))


def _key(name, kind):
	if kind == "ec":
		_openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
	else:
		_openssl("genrsa", "-out", f"{name}.key", kind.split(":")[1])
	os.chmod(_path(f"{name}.key"), 0o600)


def _authority(name):
	"""Make the CA @name: ca, otherca, or interca (signed by ca)."""
	if name in _made:
		return
	_key(name, "ec")
	if name == "interca":
		_sign(name, "Intermediate CA", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n",
		      "ca", -3, 60, "sha256")
	else:
		_openssl("req", "-x509", "-new", "-key", f"{name}.key", "-days", "90", "-subj", f"/CN=Test {name}",
		         "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", f"{name}.pem")
	_made[name] = True


def _sign(name, subject, extensions, issuer, start, end, digest):
	_authority(issuer)
	state = _path(f"{issuer}.d")
	if not os.path.isdir(state):
		os.mkdir(state)
		open(os.path.join(state, "index"), "w").close()
		with open(os.path.join(state, "serial"), "w") as f:
			f.write("1000\n")
		with open(os.path.join(state, "crlnumber"), "w") as f:
			f.write("01\n")
	with open(_path(f"{name}.cnf"), "w") as f:
		f.write("[ca]\ndefault_ca=a\n[a]\n"
		        f"database={state}/index\nserial={state}/serial\ncrlnumber={state}/crlnumber\n"
		        f"new_certs_dir={state}\nunique_subject=no\npolicy=p\ndefault_md={digest}\ndefault_crl_days=30\n"
		        "[p]\ncommonName=supplied\n[e]\n" + extensions)
	_openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={subject}", "-out", f"{name}.csr")
	_openssl("ca", "-batch", "-config", f"{name}.cnf", "-notext", "-cert", f"{issuer}.pem", "-keyfile",
	         f"{issuer}.key", "-extensions", "e", "-startdate", _day(start), "-enddate", _day(end),
	         "-in", f"{name}.csr", "-out", f"{name}.pem", "-md", digest)


def _make(name):
	if name == "self_signed":
		_key(name, "ec")
		_openssl("req", "-x509", "-new", "-key", f"{name}.key", "-days", "30", "-subj", "/CN=localhost",
		         "-addext", f"subjectAltName={_NAMES}", "-out", f"{name}.pem")
		return Pair(_path(f"{name}.pem"), _path(f"{name}.key"))
	if name == "chain_missing":
		get("chain")
		return Pair(_path("chain.leaf.pem"), _path("chain.key"))
	if name == "client_encrypted":
		pair = get("client")
		_openssl("ec", "-in", pair.key, "-aes128", "-passout", "pass:secret", "-out", f"{name}.key")
		os.chmod(_path(f"{name}.key"), 0o600)
		return Pair(pair.cert, _path(f"{name}.key"))
	if name == "client_mismatch":
		_key(name, "ec")
		return Pair(get("client").cert, _path(f"{name}.key"))
	subject, san, eku, issuer, start, end, kind, digest = _LEAVES[name]
	_key(name, kind)
	extensions = f"basicConstraints=CA:FALSE\nextendedKeyUsage={eku}\n"
	if san:
		extensions += f"subjectAltName={san}\n"
	_sign(name, subject, extensions, issuer, start, end, digest)
	if name == "chain":
		os.rename(_path("chain.pem"), _path("chain.leaf.pem"))
		with open(_path("chain.pem"), "wb") as out:
			for part in ("chain.leaf.pem", "interca.pem"):
				with open(_path(part), "rb") as f:
					out.write(f.read())
	return Pair(_path(f"{name}.pem"), _path(f"{name}.key"))


def get(name="good"):
	"""The certificate (with its chain) and key @name."""
	with _lock:
		if name not in _made:
			_made[name] = _make(name)
		return _made[name]


def ca(name="ca"):
	"""The certificate of the CA that signed the good ones ("otherca": of the unknown one)."""
	with _lock:
		_authority(name)
		return _path(f"{name}.pem")


def crl():
	"""A CRL of the CA in which "revoked" is revoked."""
	with _lock:
		pair = get("revoked")
		if "crl" not in _made:
			common = ("-config", "revoked.cnf", "-cert", "ca.pem", "-keyfile", "ca.key")
			_openssl("ca", *common, "-revoke", pair.cert)
			_openssl("ca", *common, "-gencrl", "-out", "ca.crl")
			_made["crl"] = True
		return _path("ca.crl")


def pin(name="good"):
	"""libcurl's form of a pinned public key: sha256// and the base64 of the SHA-256 of the SubjectPublicKeyInfo."""
	pem = _openssl("x509", "-in", get(name).cert, "-noout", "-pubkey").decode()
	der = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))
	return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()
