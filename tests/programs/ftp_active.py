"""An FTP client as the standard library's users write them; knows nothing of proxies."""

import ftplib
import io
import sys

host, user, password = sys.argv[1:]

with ftplib.FTP(host, user, password, timeout=20) as ftp:
    ftp.set_pasv(False)
    ftp.storbinary("STOR greeting.txt", io.BytesIO(b"hello from the client\n"))
    ftp.retrlines("NLST")
    # What was printed before waits in the text layer.
    sys.stdout.flush()
    ftp.retrbinary("RETR greeting.txt", sys.stdout.buffer.write)
