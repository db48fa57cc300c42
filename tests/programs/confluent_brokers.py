"""confluent-kafka, whose sockets are librdkafka's: asks for the brokers."""

import sys

try:
    from confluent_kafka.admin import AdminClient
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    client = AdminClient({"bootstrap.servers": f"{sys.argv[1]}:{sys.argv[2]}", "log_level": 0})
    print(sorted(broker.port for broker in client.list_topics(timeout=10).brokers.values()))
