"""http.client: GET /."""

import http.client
import sys

host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, port, timeout=30)
connection.request("GET", "/")
answer = connection.getresponse()
print(answer.status, answer.read().decode().strip())
