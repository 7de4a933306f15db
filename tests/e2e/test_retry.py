#!/usr/bin/python3
"""Further tries: for those deferred and nobody else, with a pause that grows, within max_time; and a token asked for again."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import fake, mc, ports, tap, tmp  # noqa: E402

TRY = ("--retries", "2", "--retry-delay", "1")


class Retries(tap.Case):
	def send(self, server, *argv, **how):
		return mc.run("-S", server.url, "-f", "a@example.org", "--report=json", *argv, input="x\n", **how)

	@tap.row("SRV-59")
	def test_greylisted(self):
		"450 to RCPT, and taken at the second try"
		with fake.Server(sessions=[{"rcpt": "450 4.7.1 greylisted"}, {}]) as server:
			r = self.send(server, *TRY, "b@example.org")
			self.assertEqual((r.code, [bool(m.data) for m in server.messages]), (0, [False, True]), r)
			self.assertGreaterEqual(r.duration, 1)

	def test_only_deferred(self):
		"who was accepted or refused is not asked again; the report has the last word of each"
		with fake.Server(sessions=[{"rcpt": {"c@example.org": "450 4.2.0 later", "d@example.org": "550 5.1.1 no"}}, {}]) as server:
			r = self.send(server, *TRY, "b@example.org", "c@example.org", "d@example.org")
			self.assertEqual(r.code, 1, r)
			self.assertEqual([list(m.rcpts) for m in server.messages], [["b@example.org"], ["c@example.org"]])
			self.assertEqual(server.messages[0].data, server.messages[1].data)
			self.assertEqual([x["state"] for x in r.json["recipients"]], ["accepted", "accepted", "rejected"])
			self.assertNotIn("RCPT TO:<d@example.org>", server.sessions[1].commands)

	@tap.table(("refused for good", {"rcpt": "550 5.1.1 no"}, 67), ("unknown", {"dot": fake.close()}, 2), ("content refused", {"dot": "554 5.6.0 no"}, 65),
	           ("no TLS where it is needed", {"tls": None}, 77))
	def test_never(self, how, code):
		"not tried again: {0}"
		argv = ["--starttls"] if code == 77 else []
		with fake.Server(**how) as server:
			r = self.send(server, *TRY, *argv, "b@example.org")
			self.assertEqual((r.code, len(server.sessions)), (code, 1), r)
			self.assertLess(r.duration, 1 * mc.SLOW)

	def test_given_up(self):
		"still deferred after the last: 75, three sessions, the pause doubled"
		with fake.Server(mail="421 4.3.2 later") as server:
			r = self.send(server, *TRY, "b@example.org")
			self.assertEqual((r.code, len(server.sessions)), (75, 3), r)
			self.assertGreaterEqual(r.duration, 3)
			self.assertLess(r.duration, 4.5 * mc.SLOW + 1)

	def test_refused_connection(self):
		"nobody listens, and then somebody does"
		port = ports.free(1)[0]
		running = mc.start("-S", f"127.0.0.1:{port}", "-f", "a@example.org", "--retries", "8", "--retry-delay", "1", "--max-time", "20",
		                   "b@example.org", input="x\n")
		time.sleep(0.5)
		with fake.Server(port=port) as server:
			r = running.wait(40)
			self.assertEqual((r.code, len(server.messages)), (0, 1), r)

	def test_max_time(self):
		"no pause that max_time would end"
		with fake.Server(mail="451 4.3.2 later") as server:
			r = self.send(server, "--retries", "5", "--retry-delay", "30", "--max-time", "5", "b@example.org")
			self.assertEqual((r.code, len(server.sessions)), (75, 1), r)
			self.assertLess(r.duration, 3 * mc.SLOW)

	def test_signal(self):
		"a signal ends the pause"
		with fake.Server(mail="451 4.3.2 later") as server:
			running = mc.start("-S", server.url, "-f", "a@example.org", "--retries", "5", "--retry-delay", "60", "b@example.org", input="x\n",
			                   signal=15)
			time.sleep(1.5 * mc.SLOW)
			running.kill()
			r = running.wait()
			self.assertEqual(r.signal, 15, r)
			self.assertLess(r.duration, 15 * mc.SLOW)

	def test_stream(self):
		"a stream cannot be sent twice: 64"
		r = mc.run("-S", "127.0.0.1:1", "-f", "a@example.org", "--stream", *TRY, "b@example.org", input="x\n")
		self.assertEqual(r.code, 64, r)

	def test_trace(self):
		"-v tells of the pause"
		with fake.Server(sessions=[{"mail": "451 later"}, {}]) as server:
			r = mc.run("-v", "-S", server.url, "-f", "a@example.org", *TRY, "b@example.org", input="x\n")
			self.assertEqual(r.code, 0, r)
			self.assertRegex(r.stderr, r"\* retry 1 of 2 in [12] s, for 1 recipient\n")

	def test_all_servers(self):
		"each try goes through all servers in order"
		with fake.Server(mail="451 4.3.2 one") as one, fake.Server(sessions=[{"mail": "451 4.3.2 two"}, {}]) as two:
			r = mc.run("-S", one.url, "-S", two.url, "-f", "a@example.org", *TRY, "b@example.org", input="x\n")
			self.assertEqual((r.code, len(one.sessions), len(two.sessions)), (0, 2, 2), r)


class Token(tap.Case):
	"""A command that gives another token each time, and writes down how it was asked."""

	def command(self, tokens):
		place = tmp.directory("mctoken-")
		path = os.path.join(place, "token")
		with open(path, "w", encoding="ascii") as f:
			f.write(f"#!/bin/sh\necho \"${{TOKEN_REFUSED:-first}}\" >> {place}/asked\nset -- {' '.join(tokens)}\n"
			        f"n=$(wc -l < {place}/asked)\nshift $((n - 1))\necho \"$1\"\n")
		os.chmod(path, 0o700)
		return path, os.path.join(place, "asked")

	def send(self, tokens, accepted, code):
		path, asked = self.command(tokens)
		with fake.Server(auth="XOAUTH2 OAUTHBEARER", auth_clear=True, tokens={"u": accepted}) as server:
			r = mc.run("-S", server.url, "-f", "a@example.org", "--username", "u", "--oauth2-token-command", path, "b@example.org", input="x\n",
			           secrets=tokens)
			self.assertEqual(r.code, code, r)
			with open(asked, encoding="ascii") as f:
				return r, f.read().split(), len(server.sessions)

	@tap.row("AUT-07")
	def test_renewed(self):
		"refused, asked for once more, accepted"
		_r, asked, sessions = self.send(["oldtoken-aaaa", "newtoken-bbbb"], "newtoken-bbbb", 0)
		self.assertEqual((asked, sessions), (["first", "1"], 2))

	@tap.row("AUT-07")
	def test_twice(self):
		"refused twice: 77, asked twice and no more"
		r, asked, sessions = self.send(["oldtoken-aaaa", "newtoken-bbbb", "thirdtoken-cccc"], "thirdtoken-cccc", 77)
		self.assertEqual((asked, sessions), (["first", "1"], 2), r)

	def test_same(self):
		"the same token again is not tried again"
		_r, asked, sessions = self.send(["sametoken-aaaa", "sametoken-aaaa"], "othertoken-bbbb", 77)
		self.assertEqual((asked, sessions), (["first", "1"], 1))

	def test_accepted(self):
		"accepted at once: asked once"
		_r, asked, sessions = self.send(["goodtoken-aaaa"], "goodtoken-aaaa", 0)
		self.assertEqual((asked, sessions), (["first"], 1))


if __name__ == "__main__":
	tap.main(jobs=6)
