"""redis.asyncio: twenty commands at once over a pool, TLS with the certificate checked: arguments host, port, CA file."""

import asyncio
import sys

import redis.asyncio


async def main(host, port, authority):
    secure = {"ssl": True, "ssl_ca_certs": authority, "ssl_check_hostname": True}
    async with redis.asyncio.Redis(host=host, port=int(port), **secure, socket_timeout=30) as client:
        await asyncio.gather(*(client.set(f"tls {number}", number) for number in range(20)))
        print(sum(map(int, await asyncio.gather(*(client.get(f"tls {number}") for number in range(20))))))


asyncio.run(main(*sys.argv[1:]))
