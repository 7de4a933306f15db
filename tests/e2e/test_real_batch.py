#!/usr/bin/python3
"""Batches to real servers: Postfix (CHUNKING with a window), Dovecot's LMTP and submission, with TLS and a login."""

import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import certs, dovecot, mc, postfix, tap, tmp  # noqa: E402


run = 0         # of the test: what an earlier one sent may arrive late


def line(i, to, **more):
	return json.dumps({"from": "News <news@example.net>", "to": to, "subject": f"number {run}.{i}",
	                   "body": f"message {i}\n.\nlast line of {i}\n", **more})


class Real(tap.Case):
	@classmethod
	def setUpClass(cls):
		if not postfix.available() or not dovecot.available():
			raise AssertionError("Postfix and Dovecot are needed, and root; see tests/setup.sh")
		cls.mta = postfix.Server()
		cls.addClassCleanup(cls.mta.__exit__)
		cls.mta.__enter__()
		cls.store = dovecot.Server(oauth=True, relay=cls.mta.port)
		cls.addClassCleanup(cls.store.__exit__)
		cls.store.__enter__()

	def setUp(self):
		global run
		run += 1
		self.mta.forget()

	def batch(self, lines, *argv, code=0, **how):
		path = self.write("jobs.jsonl", "".join(one + "\n" for one in lines))
		r = mc.run("--batch", path, "--report=json", "-q", *argv, **how)
		self.assertEqual(r.code, code, r)
		return [json.loads(text) for text in r.stdout.decode().splitlines()]

	def arrived(self, n):
		def ours():
			return [d for d in self.mta.deliveries() if f"Subject: number {run}.".encode() in d.data]
		tmp.wait_for(lambda: self.mta.count() >= n and len(ours()) >= n, 30, f"{n} deliveries")
		found = collections.Counter()
		for delivery in ours():
			text = delivery.data.replace(b"\r\n", b"\n")
			for number in set(map(int, re.findall(rb"Subject: number %d\.(\d+)\n" % run, text))):
				self.assertIn(f"message {number}\n.\nlast line of {number}\n".encode(), text)
				found[number] += 1
		self.assertEqual(found, collections.Counter(range(n)))

	@tap.row("CON-01")
	@tap.table(("one session", 1), ("three sessions", 3))
	def test_postfix(self, workers):
		"300 messages to Postfix by {0}: each once, with its own text"
		n = 300
		reports = self.batch([line(i, "rcpt@example.org") for i in range(n)], "-S", f"smtp://127.0.0.1:{self.mta.port}",
		                     "--workers", str(workers))
		self.assertEqual([r["result"] for r in reports], ["sent"] * n)
		self.assertEqual(sorted(r["line"] for r in reports), list(range(1, n + 1)))
		self.assertEqual(len({r["queue_id"] for r in reports}), n)
		self.arrived(n)

	def test_chunking(self):
		"Postfix is sent BDAT, and RSET before a message where the one before is unanswered"
		path = self.write("jobs.jsonl", "".join(line(i, "rcpt@example.org") + "\n" for i in range(3)))
		r = mc.run("--batch", path, "-v", "--workers", "1", "-S", f"smtp://127.0.0.1:{self.mta.port}")
		self.assertEqual(r.code, 0, r)
		sent = [text for text in r.stderr.splitlines() if text.startswith("> ")]
		self.assertEqual(len([text for text in sent if text.startswith("> BDAT ") and text.endswith(" LAST")]), 3, r)
		self.assertEqual(sent.count("> RSET"), 1, r)
		self.assertNotIn("> DATA", sent)
		self.arrived(3)

	def test_refusals(self):
		"refused recipients between good ones: each line has its own answer, and nothing is out of step"
		lines = [line(i, ["rcpt@example.org", "x@example.org"] if i % 3 == 1 else "rcpt@example.org",
		              **({"envelope_from": "a@" + "b" * 40 + ".example.net", "rcpt": ["user@"]} if i % 5 == 4 else {}))
		         for i in range(30)]
		reports = self.batch(lines, "-S", f"smtp://127.0.0.1:{self.mta.port}", "--workers", "1", "--ordered", code=1)
		self.assertEqual([r["result"] for r in reports], ["error" if i % 5 == 4 else "sent" for i in range(30)])

	def test_lmtp(self):
		"40 messages to Dovecot by LMTP, some with two recipients, one over quota: each recipient his own answer"
		before = {name: len(self.store.mailbox(name)) for name in ("alice", "carol")}
		lines = [line(i, ["alice@example.org", "carol@example.org"] if i % 2 else ["alice@example.org"]) for i in range(40)]
		lines.append(line(40, ["full@example.org"], body="line of text\n" * 2000))
		lines.append(line(41, ["nobody@example.org", "carol@example.org"]))
		reports = self.batch(lines, "-S", f"lmtp://127.0.0.1:{self.store.lmtp}", "--workers", "1", "--ordered", code=1)
		self.assertEqual([r["result"] for r in reports], ["sent"] * 40 + ["rejected", "partial"])
		self.assertEqual(len(self.store.mailbox("alice")) - before["alice"], 40)
		self.assertEqual(len(self.store.mailbox("carol")) - before["carol"], 21)

	@tap.table(("STARTTLS", "smtp"), ("TLS from the first octet", "smtps"))
	def test_submission(self, scheme):
		"50 messages with a login over {0}: one session, one login"
		port = self.store.submissions if scheme == "smtps" else self.store.submission
		reports = self.batch([line(i, "rcpt@example.org") for i in range(50)], "-S", f"{scheme}://localhost:{port}",
		                     *(["--starttls"] if scheme == "smtp" else []), "--tls-ca-file", certs.ca(), "--workers", "1",
		                     "--username", "bob", "--password-env", "PW", env={"PW": dovecot.PASSWORD},
		                     secrets=[dovecot.PASSWORD])
		self.assertEqual([r["result"] for r in reports], ["sent"] * 50)
		self.arrived(50)


if __name__ == "__main__":
	tap.main()
