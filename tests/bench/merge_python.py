"""The merge as Python would do it: csv, str.format, email.message; to the null device. CSV TEMPLATE.JSON"""
import csv
import email.message
import email.policy
import email.utils
import json
import re
import sys

rows, template = sys.argv[1:3]
with open(template, encoding="utf-8") as f:
	template = json.load(f)
fill = {k: re.sub(r"{{(\w+)}}", r"{\1}", v) for k, v in template.items()}
with open(rows, newline="", encoding="utf-8") as f, open("/dev/null", "wb") as out:
	for row in csv.DictReader(f):
		m = email.message.EmailMessage(policy=email.policy.SMTP)
		m["From"], m["To"] = fill["from"], fill["to"].format(**row)
		m["Date"], m["Message-ID"] = email.utils.formatdate(), email.utils.make_msgid(domain="example.org")
		m["Subject"] = fill["subject"].format(**row)
		m.set_content(fill["body"].format(**row))
		out.write(m.as_bytes())
