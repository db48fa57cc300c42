"""requests: a session, two requests on one connection."""

import sys

import requests

url = f"http://{sys.argv[1]}:{sys.argv[2]}/"
with requests.Session() as session:
    print(session.get(url, timeout=30).status_code, session.post(url, data="posted", timeout=30).text)
