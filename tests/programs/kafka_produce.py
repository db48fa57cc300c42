"""kafka-python: told of one broker, produces to the one that leads, and consumes from it."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

servers = f"{sys.argv[1]}:{sys.argv[2]}"
producer = KafkaProducer(bootstrap_servers=servers)
print(producer.send("words", b"hello", partition=0).get(timeout=30).partition)
producer.close()
consumer = KafkaConsumer(bootstrap_servers=servers, consumer_timeout_ms=30_000, enable_auto_commit=False)
partition = TopicPartition("words", 0)
consumer.assign([partition])
consumer.seek(partition, 0)
print(next(consumer).value)
consumer.close()
