#!/usr/bin/python3
"""Faulty servers under TLS: the tables of srv_cases.py once more, over smtps, STARTTLS and LMTP with either."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import fake, mc, tap  # noqa: E402


class SmtpsStages(cases.Stages):
	way = "smtps"


class StarttlsStages(cases.Stages):
	way = "starttls"


class Clear(cases.Faults):
	"""The EHLO before STARTTLS."""

	way = "starttls"

	@tap.row("SRV-07..SRV-12")
	@tap.table(("close", "close", 75, "deferred", "lost", 0), ("421 and close", "421 and close", 75, "deferred", "refused", 421),
	           ("451", "451", 75, "deferred", "refused", 451), ("554", "554", 77, "rejected", "policy", 554),
	           ("silence", "silence", 75, "deferred", "timeout", 0))
	def test_ehlo(self, fault, code, state, cause, reply):
		"EHLO before STARTTLS: never HELO, never a message in clear: {0}"
		with self.server(sessions=[{"ehlo": cases.SIX[fault]}]) as server:
			self.verdict(self.send(server), code, state, "ehlo", cause, reply)
			self.assertEqual([c.split()[0] for c in server.session.commands], ["EHLO"])

	@tap.row("SRV-07..SRV-12")
	@tap.table(("451", "451 4.3.0 later", 75, "deferred"), ("554", "554 5.7.1 no", 77, "rejected"))
	def test_auth(self, line, code, state):
		"EHLO refused, credentials given: never HELO, never a message: {0}"
		with fake.Server(auth="PLAIN", auth_clear=True, sessions=[{"ehlo": line}]) as server:
			r = mc.run("-S", server.url, "-f", "ann@example.net", "--report=json", "--username", "u", "--password-env", "PW", cases.BOB,
			           input="text\n", env={"PW": "secret pw"}, secrets=["secret pw"])
			self.verdict(r, code, state, "ehlo")
			self.assertEqual([c.split()[0] for c in server.session.commands], ["EHLO"])


class LmtpsStages(cases.Stages):
	way = "lmtps"


class LmtpStarttlsStages(cases.Stages):
	way = "lmtp starttls"


class SmtpsGarbage(cases.Garbage):
	way = "smtps"


class LmtpStarttlsGarbage(cases.Garbage):
	way = "lmtp starttls"


class SmtpsForms(cases.Forms):
	way = "smtps"


class StarttlsText(cases.Text):
	way = "starttls"


class StarttlsTiming(cases.Timing):
	way = "starttls"


class LmtpsTiming(cases.Timing):
	way = "lmtps"


class Unannounced(cases.Faults):
	"""A connection that ends with a bare FIN or RST, without TLS's close_notify."""

	@tap.row("TLS-07")
	@tap.table(*[(f"{way}, {how}", way, end) for way in ("smtps", "starttls", "lmtps", "lmtp starttls")
	             for how, end in (("FIN", fake.close()), ("RST", fake.rst()), ("close_notify", fake.bye()))])
	def test_end(self, way, end):
		"what was accepted before it stays accepted, what was not answered is unknown: {0}"
		self.way = way
		with self.server(dot=["250 2.0.0 ok", fake.flush(), fake.delay(0.1), end]) as server:
			# The server's own books are closed before it could note what it said: the log has it.
			self.verdict(self.send(server, truth=False), 0, "accepted", "dot", "", 250)
			self.assertTrue(server.message.dot)
			self.assertEqual([o for _t, who, o in server.session.log if who == "S"][-1], b"250 2.0.0 ok\r\n")
		with self.server(dot=[end]) as server:
			self.verdict(self.send(server), 2, "unknown", "dot", "lost", 0)
		with self.server(data=[end]) as server:
			r = self.send(server)
			self.verdict(r, 75, "deferred", "data", "lost", 0)
			self.no_dot(server, r)


if __name__ == "__main__":
	tap.main(jobs=8)
