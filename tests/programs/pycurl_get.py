"""pycurl, whose sockets are libcurl's: GET /."""

import io
import sys

try:
    import pycurl
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    body = io.BytesIO()
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://{sys.argv[1]}:{sys.argv[2]}/")
    curl.setopt(pycurl.TIMEOUT, 10)
    curl.setopt(pycurl.WRITEDATA, body)
    curl.perform()
    print(curl.getinfo(pycurl.RESPONSE_CODE), body.getvalue())
