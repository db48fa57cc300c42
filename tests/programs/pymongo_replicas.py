"""pymongo: told of a secondary, finds the primary by the name that the set gives, over TLS: host, port, CA file."""

import sys

import pymongo

host, port, authority = sys.argv[1:]
secure = {"tls": True, "tlsCAFile": authority}
with pymongo.MongoClient(f"mongodb://{host}:{port}/?replicaSet=rs0", **secure, serverSelectionTimeoutMS=30_000) as client:
    client.test.words.insert_one({"_id": 2, "word": "hello"})
    print(client.test.words.find_one({"_id": 2}), client.primary)
