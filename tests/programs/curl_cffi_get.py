"""curl_cffi, whose sockets are libcurl's: GET /."""

import sys

try:
    from curl_cffi import requests
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    answer = requests.get(f"http://{sys.argv[1]}:{sys.argv[2]}/", timeout=10)
    print(answer.status_code, answer.text.strip())
