"""aiomysql: a pool of three, TLS with the certificate checked, ten queries at once."""

import asyncio
import ssl
import sys

import aiomysql


async def main(host, port, authority):
    login = {"host": host, "port": int(port), "user": "user", "password": "secret", "db": "test"}
    context = ssl.create_default_context(cafile=authority)
    async with aiomysql.create_pool(minsize=3, maxsize=3, ssl=context, **login) as pool:

        async def square(number):
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT %s * %s", (number, number))
                return (await cursor.fetchone())[0]

        print(await asyncio.gather(*map(square, range(10))))


asyncio.run(main(*sys.argv[1:]))
