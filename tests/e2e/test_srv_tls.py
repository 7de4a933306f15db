#!/usr/bin/python3
"""Faulty servers under TLS: the tables of srv_cases.py once more, over smtps, STARTTLS and LMTP with either."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import tap  # noqa: E402


class SmtpsStages(cases.Stages):
	way = "smtps"


class StarttlsStages(cases.Stages):
	way = "starttls"


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
