"""The reverse look-ups of an address; whether anybody knows its name is not told."""

import socket
import sys

for look_up in (socket.gethostbyaddr, socket.getfqdn, lambda host: socket.getnameinfo((host, 80), 0)):
    try:
        look_up(sys.argv[1])
    except OSError:
        pass
print("done")
