"""Green threads inside a block of via() and beside it: each goes its own way, and so do its look-ups in threads."""

from __future__ import annotations

import sys
import warnings

NAME, PROXY, HOST, PORT = sys.argv[1:]
warnings.simplefilter("ignore")
if NAME == "gevent":
    from gevent import monkey, spawn

    monkey.patch_all()
else:
    import eventlet
    from eventlet import spawn

    eventlet.monkey_patch()

import socket

import socksify


def answer(host: str) -> str:
    with socket.create_connection((host, int(PORT)), timeout=30) as sock:
        sock.sendall(b"ping")
        return sock.recv(4).decode()


def inside() -> str:
    with socksify.via(PROXY):
        return answer(HOST)


def beside() -> str:
    return answer("127.0.0.1")


socksify.install(PROXY, routes=["*=direct"], allow=["psycopg2"])
threads = [spawn(inside), spawn(beside), spawn(inside)]
sys.stdout.write(" ".join(thread.get() if NAME == "gevent" else thread.wait() for thread in threads))
