"""pymongo's asynchronous client: ten documents put in at once, and found."""

import asyncio
import sys

import pymongo


async def main(host, port):
    async with pymongo.AsyncMongoClient(host, port, serverSelectionTimeoutMS=30_000) as client:
        words = client.test.words
        await asyncio.gather(*(words.insert_one({"_id": 10 + number}) for number in range(10)))
        print(await words.find_one({"_id": 13}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
