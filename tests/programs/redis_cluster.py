"""redis.RedisCluster: told of one node, finds the others by the names that they go by, and is sent to them."""

import sys

import redis

with redis.RedisCluster(host=sys.argv[1], port=int(sys.argv[2]), socket_timeout=30) as client:
    for number in range(20):
        client.set(f"key {number}", number)
    print(sum(int(client.get(f"key {number}")) for number in range(20)))
    print(sorted(node.port for node in client.get_nodes()))
