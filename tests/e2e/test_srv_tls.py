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


if __name__ == "__main__":
	tap.main(jobs=8)
