"""urllib3: a pool manager."""

import sys

import urllib3

answer = urllib3.PoolManager().request("GET", f"http://{sys.argv[1]}:{sys.argv[2]}/", timeout=30, retries=False)
print(answer.status, answer.data.decode().strip())
