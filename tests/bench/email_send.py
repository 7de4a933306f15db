"""Composes one attachment with the email package, sends it by smtplib: PORT FILE SENDER RECIPIENT"""
import smtplib
import sys
from email.message import EmailMessage

port, path, sender, to = sys.argv[1:]
message = EmailMessage()
message["From"], message["To"], message["Subject"] = sender, to, "bench"
message.set_content("Hello.\n")
with open(path, "rb") as f:
	message.add_attachment(f.read(), maintype="application", subtype="octet-stream", filename="attachment.bin")
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.example") as session:
	session.send_message(message)
