"""redis: a value set and got."""

import sys

import redis

with redis.Redis(host=sys.argv[1], port=int(sys.argv[2]), socket_timeout=30) as client:
    print(client.set("key", "value"), client.get("key"))
