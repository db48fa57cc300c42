"""poplib: over TLS from the start, a login, a listing."""

import poplib
import ssl
import sys

host, port, authority = sys.argv[1:]
server = poplib.POP3_SSL(host, int(port), timeout=30, context=ssl.create_default_context(cafile=authority))
server.user("user")
server.pass_("secret")
print(server.stat(), server.list()[0])
server.quit()
