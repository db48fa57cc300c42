"""pymongo: a document put in and found; MongoClient has threads of its own that watch the server."""

import sys

import pymongo

with pymongo.MongoClient(sys.argv[1], int(sys.argv[2]), serverSelectionTimeoutMS=30_000) as client:
    print(client.admin.command("ping"))
    client.test.words.insert_one({"_id": 1, "word": "hello"})
    print(client.test.words.find_one({"_id": 1}))
