"""elasticsearch: asks the node that it was told of for the others, indexes, searches."""

import sys

from elasticsearch import Elasticsearch

with Elasticsearch(f"http://{sys.argv[1]}:{sys.argv[2]}", sniff_on_start=True, request_timeout=30) as client:
    print(client.index(index="words", id="1", document={"word": "hello"})["result"])
    print([hit["_source"] for hit in client.search(index="words")["hits"]["hits"]])
    print(sorted(node.config.port for node in client.transport.node_pool.all()))
