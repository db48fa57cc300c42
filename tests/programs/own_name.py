"""Asks for this machine's own name, as smtplib and many a logger do."""

import socket

print(type(socket.getfqdn()).__name__)
