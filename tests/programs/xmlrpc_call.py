"""xmlrpc.client: one call."""

import sys
import xmlrpc.client

with xmlrpc.client.ServerProxy(f"http://{sys.argv[1]}:{sys.argv[2]}/") as server:
    print(server.pow(2, 10))
