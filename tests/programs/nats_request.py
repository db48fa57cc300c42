"""nats-py: a subscription that answers requests, a message to it, over TLS with the certificate checked."""

import asyncio
import ssl
import sys

import nats


async def main(host, port, authority):
    context = ssl.create_default_context(cafile=authority)
    client = await nats.connect(f"tls://{host}:{port}", tls=context, connect_timeout=30)

    async def answer(message):
        await message.respond(message.data.upper())

    await client.subscribe("shout", cb=answer)
    answers = await asyncio.gather(*(client.request("shout", word, timeout=30) for word in (b"one", b"two")))
    print([answer.data for answer in answers])
    await client.drain()


asyncio.run(main(*sys.argv[1:]))
