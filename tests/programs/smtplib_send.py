"""smtplib: sends a message; EHLO says this machine's name, for which smtplib asks getfqdn()."""

import smtplib
import sys

with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=30) as server:
    print(server.sendmail("a@example.com", ["b@example.com"], "Subject: hello\r\n\r\nhello\r\n"), server.noop())
