"""rftp, the FTP client of the first SOCKS package, over the standard library's ftplib."""
