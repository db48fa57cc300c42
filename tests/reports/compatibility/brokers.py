"""What passes messages on: mosquitto (MQTT), the NATS server (TLS), RabbitMQ (AMQP, STOMP); a socket of ZeroMQ."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tests.reports.compatibility.server_host import Port, ServerHost
from tests.support.network.addresses import TARGET4, TARGET6
from tests.support.processes import require

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@contextlib.contextmanager
def mosquitto(host: ServerHost) -> Iterator[None]:
    listeners = "".join(f"listener {Port.MQTT} {address}\n" for address in (TARGET4, TARGET6))
    config = host.directory / "mosquitto.conf"
    config.write_text(f"{listeners}allow_anonymous true\n")
    with host.running([require("mosquitto"), "-c", str(config)], Port.MQTT):
        yield


@contextlib.contextmanager
def nats(host: ServerHost) -> Iterator[None]:
    certificate, key = host.certificate()
    tls = ["--tls", "--tlscert", str(certificate), "--tlskey", str(key)]
    with host.running([require("nats-server"), "--addr", "::", "--port", str(Port.NATS), *tls], Port.NATS):
        yield


@contextlib.contextmanager
def rabbitmq(host: ServerHost) -> Iterator[None]:
    """With its STOMP plugin. What it starts beside itself ends with it: they have a process namespace of their own."""
    home = host.subdirectory("rabbitmq")
    config, plugins = home / "rabbitmq.conf", home / "enabled_plugins"
    config.write_text(
        f"loopback_users = none\nlisteners.tcp.1 = :::{Port.AMQP}\nstomp.listeners.tcp.1 = :::{Port.STOMP}\n"
    )
    plugins.write_text("[rabbitmq_stomp].\n")
    variables = {
        "HOME": home, "RABBITMQ_NODENAME": "rabbit@localhost", "RABBITMQ_CONFIG_FILE": config,
        "RABBITMQ_ENABLED_PLUGINS_FILE": plugins, "RABBITMQ_MNESIA_BASE": home, "RABBITMQ_LOG_BASE": home,
        "RABBITMQ_LOGS": "-", "LANG": "C.UTF-8",
    }  # fmt: skip
    environment = ["env", *(f"{name}={value}" for name, value in variables.items())]
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    # The last to come up.
    with host.running([*environment, *alone, require(RABBITMQ)], Port.STOMP):
        yield


@contextlib.contextmanager
def zeromq(host: ServerHost) -> Iterator[None]:
    """A socket of the library's own, which sends back what it is asked."""
    import zmq

    with host.network.namespace.inside():
        context = zmq.Context()
        socket = context.socket(zmq.REP)
        socket.set(zmq.IPV6, 1)
        socket.bind(f"tcp://[::]:{Port.ZEROMQ}")

    def echo() -> None:
        with socket, contextlib.suppress(zmq.ContextTerminated):
            while True:
                socket.send(socket.recv())

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    try:
        yield
    finally:
        context.term()
        thread.join()
