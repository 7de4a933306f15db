"""The octets with which somebody tries to get from a value into another header field, the body, or a command."""

import json

# (label, payload). surrogateescape stands for octets that are not UTF-8.
PAYLOADS = [
	("CRLF and a field", "\r\nBcc: e@x.example"),
	("LF and a field", "\nBcc: e@x.example"),
	("CR and a field", "\rBcc: e@x.example"),
	("CRLF CRLF and a body", "\r\n\r\nbody of mine"),
	("LF LF and a body", "\n\nbody of mine"),
	("a fold", "\r\n Bcc: e@x.example"),
	("vertical tab", "\vBcc: e@x.example"),
	("form feed", "\fBcc: e@x.example"),
	("octet 85", "\udc85Bcc: e@x.example"),
	("U+0085", "\x85Bcc: e@x.example"),
	("U+2028", "\u2028Bcc: e@x.example"),
	("NUL", "\0\nBcc: e@x.example"),
	("encoded CRLF", "=?utf-8?Q?=0D=0ABcc:_e=40x.example?="),
	("percent LF", "%0aBcc: e@x.example"),
	("escapes as text", "\\r\\nBcc: e@x.example"),
]


def breaks(payload):
	"""Whether it has what is refused everywhere: CR, LF, NUL, and what is not UTF-8."""
	return any(c in payload for c in "\r\n\0\udc85")


def in_json(payload):
	"""As it stands within a JSON string; the octets that are not UTF-8 raw."""
	text = json.dumps(payload.replace("\udc85", "\ue001"))[1:-1].encode()
	return text.replace(b"\\ue001", b"\x85")
