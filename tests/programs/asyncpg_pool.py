"""asyncpg: a pool of five connections over TLS, ten queries at once, a notification, a query that is cancelled."""

import asyncio
import ssl
import sys

import asyncpg


async def main(host, port, authority):
    context = ssl.create_default_context(cafile=authority)
    login = {"host": host, "port": int(port), "user": "user", "password": "secret", "database": "test"}
    async with asyncpg.create_pool(**login, ssl=context, min_size=5, max_size=5) as pool:
        print(await asyncio.gather(*(pool.fetchval("SELECT $1::int * 2", number) for number in range(10))))
        async with pool.acquire() as listener:
            told = asyncio.get_running_loop().create_future()
            await listener.add_listener("news", lambda *words: told.done() or told.set_result(words[-1]))
            await pool.execute("NOTIFY news, 'hello'")
            print(await asyncio.wait_for(told, 30))
        try:
            # Asks the server to cancel, by a connection of its own.
            await pool.fetchval("SELECT pg_sleep(60)", timeout=0.5)
        except TimeoutError:
            print("cancelled")


asyncio.run(main(*sys.argv[1:]))
