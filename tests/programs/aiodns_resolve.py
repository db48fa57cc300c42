"""aiodns: the addresses of a name, from c-ares, which has sockets of its own in C."""

import asyncio
import socket
import sys

import aiodns


async def main(host):
    resolver = aiodns.DNSResolver(timeout=5, tries=2)
    result = await resolver.getaddrinfo(host, family=socket.AF_INET, type=socket.SOCK_STREAM)
    print(len(result.nodes), "address")


try:
    asyncio.run(main(sys.argv[1]))
except (OSError, aiodns.error.DNSError) as error:
    print("refused:", type(error).__name__)
