"""pika: publishes with confirmation, and gets it back, on a blocking connection."""

import sys

import pika

login = pika.PlainCredentials("guest", "guest")
parameters = pika.ConnectionParameters(sys.argv[1], int(sys.argv[2]), credentials=login)
with pika.BlockingConnection(parameters) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"hello")
    for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=30):
        print(body)
        break
    channel.cancel()
