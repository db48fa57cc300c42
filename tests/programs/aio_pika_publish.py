"""aio-pika: a robust connection, a message published and consumed."""

import asyncio
import sys

import aio_pika


async def main(host, port):
    async with await aio_pika.connect_robust(f"amqp://guest:guest@{host}:{port}/", timeout=30) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), queue.name)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    print(message.body)
                break


asyncio.run(main(*sys.argv[1:]))
