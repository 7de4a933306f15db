"""
Sends messages with smtplib over kept connections, a process each: PORT SESSIONS MESSAGES SIZE SENDER RECIPIENT.
The message is one text with its number and Message-ID in it: the email package is not measured.
"""
import multiprocessing
import os
import smtplib
import sys

port, sessions, messages, size = map(int, sys.argv[1:5])
sender, to = sys.argv[5:7]
BODY = (("x" * 76 + "\r\n") * (size // 78 + 1))[:size - 2] + "\r\n"
RUN = f"bench{os.getpid()}"
HEAD = f"From: {sender}\r\nTo: {to}\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n"


def send(first):
	with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example") as session:
		for i in range(first, messages, sessions):
			message = f"{HEAD}Message-ID: <{i}.{RUN}@example.org>\r\nSubject: bench {i}\r\n\r\n{BODY}"
			session.sendmail(sender, to, message)


if sessions == 1:
	send(0)
else:
	context = multiprocessing.get_context("fork")
	workers = [context.Process(target=send, args=(i,)) for i in range(sessions)]
	for worker in workers:
		worker.start()
	for worker in workers:
		worker.join()
	sys.exit(any(worker.exitcode for worker in workers))
