"""imaplib: STARTTLS with the certificate checked, a login, a message put away, searched for and fetched."""

import imaplib
import ssl
import sys

host, port, authority = sys.argv[1:]
with imaplib.IMAP4(host, int(port), timeout=30) as server:
    print(server.starttls(ssl.create_default_context(cafile=authority))[0])
    print(server.login("user", "secret")[0], server.create("box")[0])
    print(server.append("box", None, None, b"Subject: hello\r\n\r\nhello\r\n")[0], server.select("box"))
    print(server.search(None, "SUBJECT", "hello"), server.fetch("1", "(BODY[TEXT])")[1][0][1])
    print(server.delete("box")[0])
