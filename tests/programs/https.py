"""urllib over TLS, the certificate checked: arguments host, port, the authority's file."""

import ssl
import sys
import urllib.request

host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with urllib.request.urlopen(f"https://{host}:{port}/", timeout=30, context=context) as answer:
    print(answer.status, answer.read().decode().strip())
