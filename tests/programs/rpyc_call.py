"""rpyc: a call, one that is waited for later, a callback."""

import sys

import rpyc

heard = []
connection = rpyc.connect(sys.argv[1], int(sys.argv[2]), keepalive=True)
print(connection.root.add(2, 3))
later = rpyc.async_(connection.root.add)(20, 22)
later.wait()
print(later.value)
connection.root.tell(heard.append)
print(heard)
connection.close()
