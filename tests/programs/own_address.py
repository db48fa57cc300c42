"""Asks what this machine's own address is called: the address that a datagram to a far host would come from."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.connect((sys.argv[1], 9))
    address = sender.getsockname()[0]
for look_up in (socket.getfqdn, socket.gethostbyaddr, lambda host: socket.getnameinfo((host, 80), 0)):
    try:
        look_up(address)
    except OSError:
        pass
print(address.startswith("203.0.113."))
