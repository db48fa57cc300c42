"""An HTTP client as anybody writes it: it knows nothing of proxies. Fetches each URL, prints status and body."""

import sys
import urllib.request

for url in sys.argv[1:]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        print(url, answer.status, answer.read().decode().strip())
