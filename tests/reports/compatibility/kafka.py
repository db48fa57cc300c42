"""A stand-in for Kafka, which Debian does not have: two brokers, of which the second leads the one partition there is.

The messages are read and written by kafka-python's own classes. What was produced last is what is there to be fetched.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import time
from collections.abc import Callable
from typing import Any

from kafka.protocol.consumer import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse
from kafka.protocol.producer import InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse

from tests.reports.compatibility.server_host import Port
from tests.support.network.addresses import TARGET

LEADER, FOLLOWER = 1, 0
BROKERS = {FOLLOWER: Port.KAFKA, LEADER: Port.KAFKA_LEADER}
# The newest version of each that is understood here.
VERSIONS = {
    ApiVersionsRequest: 2,
    MetadataRequest: 5,
    InitProducerIdRequest: 1,
    ProduceRequest: 7,
    ListOffsetsRequest: 1,
    FetchRequest: 4,
}
UNSUPPORTED_VERSION = 35


class Kafka(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while length := self.rfile.read(4):
                self.wfile.write(_reply(self.rfile.read(int.from_bytes(length))))


def _reply(message: bytes) -> bytes:
    """The answer, in the version of the request; who asks in too new a one is told, in the oldest, which there are."""
    key, version, number = struct.unpack_from(">hhi", message)
    (kind,) = (kind for kind in ANSWERS if key == kind.API_KEY)
    if version <= VERSIONS[kind]:
        answer = ANSWERS[kind](kind.decode(message, version=version, header=True))
    else:
        answer, version = _versions(error=UNSUPPORTED_VERSION), 0
    answer.API_VERSION = version
    answer.with_header(correlation_id=number)
    encoded: bytes = answer.encode(header=True, framed=True)
    return encoded


def _versions(_: Any = None, error: int = 0) -> Any:
    keys = [ApiVersionsResponse.ApiVersion(kind.API_KEY, 0, newest) for kind, newest in VERSIONS.items()]
    return ApiVersionsResponse(error_code=error, api_keys=keys, throttle_time_ms=0)


def _metadata(request: Any) -> Any:
    broker, topic = MetadataResponse.MetadataResponseBroker, MetadataResponse.MetadataResponseTopic
    brokers = [broker(node_id=number, host=TARGET, port=port) for number, port in BROKERS.items()]
    everywhere = list(BROKERS)
    partition = topic.MetadataResponsePartition(
        error_code=0, partition_index=0, leader_id=LEADER, replica_nodes=everywhere, isr_nodes=everywhere,
        offline_replicas=[],
    )  # fmt: skip
    topics = [topic(error_code=0, name=asked.name, partitions=[partition]) for asked in request.topics or []]
    return MetadataResponse(throttle_time_ms=0, controller_id=LEADER, brokers=brokers, topics=topics)


def _init_producer(_: Any) -> Any:
    return InitProducerIdResponse(throttle_time_ms=0, error_code=0, producer_id=1, producer_epoch=0)


def _produce(request: Any) -> Any:
    topic = ProduceResponse.TopicProduceResponse
    (wanted,) = request.topic_data
    (records,) = (partition.records for partition in wanted.partition_data)
    _produced[wanted.name] = bytes(records)
    partition = topic.PartitionProduceResponse(
        index=0, error_code=0, base_offset=0, log_append_time_ms=-1, log_start_offset=0
    )
    return ProduceResponse(throttle_time_ms=0, responses=[topic(name=wanted.name, partition_responses=[partition])])


def _list_offsets(request: Any) -> Any:
    topic = ListOffsetsResponse.ListOffsetsTopicResponse
    partition = topic.ListOffsetsPartitionResponse(partition_index=0, error_code=0, timestamp=-1, offset=0)
    topics = [topic(name=asked.name, partitions=[partition]) for asked in request.topics]
    return ListOffsetsResponse(throttle_time_ms=0, topics=topics)


def _fetch(request: Any) -> Any:
    topic = FetchResponse.FetchableTopicResponse
    (wanted,) = request.topics
    first = wanted.partitions[0].fetch_offset == 0
    if not first:
        # There is no more, which is told when the client would not wait any longer.
        time.sleep(request.max_wait_ms / 1000)
    partition = topic.PartitionData(
        partition_index=0, error_code=0, high_watermark=1, last_stable_offset=1, log_start_offset=0,
        aborted_transactions=None, records=_produced[wanted.topic] if first else b"",
    )  # fmt: skip
    return FetchResponse(throttle_time_ms=0, responses=[topic(topic=wanted.topic, partitions=[partition])])


_produced: dict[str, bytes] = {}
ANSWERS: dict[Any, Callable[[Any], Any]] = {
    ApiVersionsRequest: _versions,
    MetadataRequest: _metadata,
    InitProducerIdRequest: _init_producer,
    ProduceRequest: _produce,
    ListOffsetsRequest: _list_offsets,
    FetchRequest: _fetch,
}
