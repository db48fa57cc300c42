"""A child process connects: by subprocess, or by multiprocessing's spawn or forkserver."""

import multiprocessing
import socket
import subprocess
import sys


def echo(host, port):
    with socket.create_connection((host, int(port)), timeout=30) as stream:
        stream.sendall(b"hello\n")
        return stream.recv(100).decode().strip()


if __name__ == "__main__":
    way, host, port = sys.argv[1:]
    if way == "subprocess":
        code = f"import child; print(child.echo({host!r}, {port!r}))"
        print(subprocess.check_output([sys.executable, "-c", code], cwd=sys.path[0], text=True).strip())
    else:
        with multiprocessing.get_context(way).Pool(1) as pool:
            print(pool.apply(echo, (host, port)))
