#!/usr/bin/python3
"""Faulty servers, over plain SMTP and LMTP. The tables are in srv_cases.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import srv_cases as cases  # noqa: E402
from lib import fake, mc, tap  # noqa: E402


class SmtpStages(cases.Stages):
	way = "smtp"


class SimpleSmtpStages(cases.Stages):
	way = "smtp, no extensions"


class LmtpStages(cases.Stages):
	way = "lmtp"


class UnixLmtpStages(cases.Stages):
	way = "lmtp unix"


class SmtpGarbage(cases.Garbage):
	way = "smtp"


class LmtpGarbage(cases.Garbage):
	way = "lmtp"


class SmtpForms(cases.Forms):
	way = "smtp"


class LmtpForms(cases.Forms):
	way = "lmtp"


class SmtpText(cases.Text):
	way = "smtp"


class LmtpText(cases.Text):
	way = "lmtp"


class SmtpTiming(cases.Timing):
	way = "smtp"


class LmtpTiming(cases.Timing):
	way = "lmtp"


if __name__ == "__main__":
	tap.main(jobs=8)
