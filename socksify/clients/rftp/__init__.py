"""rftp, the FTP client of the first SOCKS package, built on the standard library's ftplib."""
