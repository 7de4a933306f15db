"""Sends a ready message with smtplib, the shortest way: MODE PORT FILE SENDER RECIPIENT..."""
import smtplib
import sys

mode, port, path, sender, *to = sys.argv[1:]
with open(path, "rb") as f:
	message = f.read()
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.example") as session:
	if mode == "tls":
		import ssl
		session.starttls(context=ssl.create_default_context())
	session.sendmail(sender, to, message)
