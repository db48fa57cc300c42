"""httpx, synchronous."""

import sys

import httpx

answer = httpx.get(f"http://{sys.argv[1]}:{sys.argv[2]}/", timeout=30)
print(answer.status_code, answer.text.strip())
