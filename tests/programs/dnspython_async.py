"""dnspython's asynchronous resolver, on asyncio."""

import asyncio
import sys

import dns.asyncresolver
import dns.exception

try:
    answer = asyncio.run(dns.asyncresolver.resolve(sys.argv[1], "A", lifetime=10))
    print(len(answer), "address")
except (OSError, dns.exception.DNSException) as error:
    print("refused:", type(error).__name__)
