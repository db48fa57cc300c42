"""imaplib: logs in and out."""

import imaplib
import sys

with imaplib.IMAP4(sys.argv[1], int(sys.argv[2]), timeout=30) as server:
    print(server.login("user", "secret"))
