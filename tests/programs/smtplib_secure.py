"""smtplib: STARTTLS with the certificate checked, a login, a message."""

import email.message
import smtplib
import ssl
import sys

host, port, authority = sys.argv[1:]
message = email.message.EmailMessage()
message["Subject"], message["From"], message["To"] = "hello", "a@example.com", "b@example.com"
message.set_content("hello\n")
with smtplib.SMTP(host, int(port), timeout=30) as server:
    print(server.starttls(context=ssl.create_default_context(cafile=authority))[0])
    print(server.login("user", "secret")[0], server.send_message(message))
