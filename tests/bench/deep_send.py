"""Composes a multipart with the email package, sends it by smtplib: PORT DEPTH SENDER RECIPIENT"""
import smtplib
import sys
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

port, depth, sender, to = sys.argv[1:]
sys.setrecursionlimit(1000000)  # the package recurses: at the default limit it gives up below 900
part = MIMEText("Hello.\n")
for _ in range(int(depth)):
	outer = MIMEMultipart()
	outer.attach(part)
	part = outer
part["From"], part["To"], part["Subject"] = sender, to, "bench"
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.example") as session:
	session.send_message(part)
