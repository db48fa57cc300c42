"""ftplib: a listing and a file, each over a passive data connection."""

import ftplib
import sys

ftp = ftplib.FTP()
ftp.connect(sys.argv[1], int(sys.argv[2]), timeout=30)
ftp.login()
pieces = []
ftp.retrbinary("RETR greeting", pieces.append)
print(ftp.nlst(), b"".join(pieces).decode().strip())
ftp.quit()
