"""What the standard library makes of sockets and pollers: children with pipes, pools, servers, sendfile, asyncio.

HOST PORT of a server that sends everything back.
"""

import asyncio
import multiprocessing
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor

ADDRESS = (sys.argv[1], int(sys.argv[2]))


def say(text):
    with socket.create_connection(ADDRESS, 20) as stream:
        stream.sendall(text.encode())
        return stream.makefile().read(len(text))


def executor():
    with ProcessPoolExecutor(1) as workers:
        return list(workers.map(say, ["from an executor's worker"]))


def pool():
    with multiprocessing.Pool(1) as workers:
        said = workers.map(say, ["from a pool's worker"])
        workers.close()
        workers.join()
        return said


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(say(self.rfile.readline().decode().strip()).encode())


def server():
    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as here:
        thread = threading.Thread(target=here.serve_forever, args=(0.05,))
        thread.start()
        with socket.create_connection(here.server_address, 20) as stream:
            stream.sendall(b"from a server's handler\n")
            said = stream.makefile().read()
        here.shutdown()
        thread.join()
        return said


def sendfile():
    with tempfile.TemporaryFile() as file, socket.create_connection(ADDRESS, 20) as stream:
        file.write(b"x" * 300_000)
        file.seek(0)
        sent = []
        thread = threading.Thread(target=lambda: sent.append(stream.sendfile(file)))
        thread.start()
        got = stream.makefile("rb").read(300_000)
        thread.join()
        return sent, len(got)


async def streams():
    reader, writer = await asyncio.wait_for(asyncio.open_connection(*ADDRESS), 20)
    writer.write(b"from a coroutine")
    said = await reader.readexactly(16)
    writer.close()
    await writer.wait_closed()
    return said


if __name__ == "__main__":
    print("child:", subprocess.run(["echo", "hi"], capture_output=True))
    print("executor:", executor())
    print("pool:", pool())
    print("server:", server())
    print("sendfile:", sendfile())
    print("asyncio:", asyncio.run(streams()))
