"""aiosmtplib: STARTTLS with the certificate checked, a login, a message."""

import asyncio
import email.message
import ssl
import sys

import aiosmtplib


async def main(host, port, authority):
    message = email.message.EmailMessage()
    message["Subject"], message["From"], message["To"] = "hello", "a@example.com", "b@example.com"
    message.set_content("hello\n")
    context = ssl.create_default_context(cafile=authority)
    login = {"username": "user", "password": "secret"}
    answer = await aiosmtplib.send(message, hostname=host, port=int(port), start_tls=True, tls_context=context, **login)
    print(answer[0])


asyncio.run(main(*sys.argv[1:]))
