"""redis: a pipeline, a subscription with a thread of its own, and a client that the server throws out."""

import queue
import sys

import redis

host, port = sys.argv[1], int(sys.argv[2])
heard = queue.Queue()
with redis.Redis(host=host, port=port, socket_timeout=30, decode_responses=True) as client:
    with client.pipeline() as pipeline:
        print(pipeline.set("key", "value").incr("{count}").delete("{count}").get("key").execute())
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(news=heard.put)
        thread = subscription.run_in_thread(sleep_time=0.1)
        while not client.publish("news", "hello"):
            pass
        print(heard.get(timeout=30)["data"])
        thread.stop()
        thread.join()
    client.client_kill_filter(_type="normal", skipme=False)
    print(client.get("key"))
