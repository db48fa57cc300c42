"""An open connection that is given to another process has the same two addresses there as a native one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.steps import HANG, READ_GREETING, READ_REQUEST, Send, Step

OPEN: list[Step] = [READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(b"\x05\0\0\x01\xcb\0\x71\x07\0\x09"), HANG]
SAID = "AF_INET ('127.0.0.9', 80) ('203.0.113.7', 9)\n"
PROGRAM = """
import array, multiprocessing, os, socket, subprocess, sys
from multiprocessing import connection, reduction

def tell(sock):
    print(sock.family.name, sock.getpeername(), sock.getsockname(), flush=True)

def tell_received(pipe):
    pipe.send("ready")
    tell(pipe.recv())

def connect():
    return socket.create_connection(("127.0.0.9", 80))

def send_one(pipe):
    sock = connect()
    pipe.send(sock)
    pipe.recv()

def receive(channel):
    return socket.socket(fileno=socket.recv_fds(channel, 1, 1)[1][0])

def worker(method, target, *more):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=more or (theirs,))
    process.start()
    return ours, process

TELL = "import program, socket, sys; program.tell(socket.socket(fileno=int(sys.argv[1])))"
RECEIVE = "import program, socket, sys; program.tell(program.receive(socket.socket(fileno=int(sys.argv[1]))))"
SEND = '''import program, socket, sys
sock = program.connect()
channel = socket.socket(fileno=int(sys.argv[1]))
socket.send_fds(channel, [b"x"], [sock.fileno()])
channel.recv(1)'''

def run(code, fd, **how):
    return subprocess.run([sys.executable, "-c", code, str(fd)], pass_fds=[fd], check=True, timeout=60, **how)

if __name__ == "__main__":
    import socksify
    if len(sys.argv) > 1:
        socksify.install(sys.argv[1], routes=["127.0.0.0/8=proxy"])
"""
START_METHODS = {
    "pass_fds": "run(TELL, connect().detach())",
    "no environment": "run(TELL, connect().detach(), env={'PYTHONPATH': '.'})",
    "a copy": "sock = connect(); run(TELL, os.dup(sock.fileno()))",
    "exec": "fd = connect().detach(); os.set_inheritable(fd, True)\n"
    "    os.execv(sys.executable, [sys.executable, '-c', TELL, str(fd)])",
    "fork and exec": "fd = connect().detach(); os.set_inheritable(fd, True)\n"
    "    os.spawnv(os.P_WAIT, sys.executable, [sys.executable, '-c', TELL, str(fd)])",
    "posix_spawn": "fd = connect().detach(); os.set_inheritable(fd, True)\n"
    "    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', TELL, str(fd)], os.environ), 0)",
    "a grandchild": "fd = connect().detach()\n    run('import program, sys;"
    " program.run(program.TELL, int(sys.argv[1]))', fd)",
    "made from a number and duplicated": "run('import os, program, socket, sys;"
    " program.tell(socket.socket(fileno=int(sys.argv[1])).dup())', connect().detach())",
    "fromfd": "run('import program, socket, sys;"
    " program.tell(socket.fromfd(int(sys.argv[1]), socket.AF_INET, socket.SOCK_STREAM))', connect().detach())",
    "an argument, spawn": "sock = connect(); worker('spawn', tell, sock)[1].join()",
    "an argument, forkserver": "sock = connect(); worker('forkserver', tell, sock)[1].join()",
    "a pipe, spawn": "pipe, process = worker('spawn', tell_received); pipe.recv()\n"
    "    pipe.send(connect()); process.join()",
    "a pipe, forkserver": "pipe, process = worker('forkserver', tell_received); pipe.recv()\n"
    "    pipe.send(connect()); process.join()",
    "a pipe, fork": "pipe, process = worker('fork', tell_received); pipe.recv()\n"
    "    pipe.send(connect()); process.join()",
    "from a child, spawn": "pipe, process = worker('spawn', send_one); tell(pipe.recv()); pipe.send(1); process.join()",
    "from a child, fork": "pipe, process = worker('fork', send_one); tell(pipe.recv()); pipe.send(1); process.join()",
    "send_fds": "ours, theirs = socket.socketpair(); sock = connect()\n    os.set_inheritable(theirs.fileno(), True)\n"
    "    child = subprocess.Popen([sys.executable, '-c', RECEIVE, str(theirs.fileno())], pass_fds=[theirs.fileno()])\n"
    "    socket.send_fds(ours, [b'x'], [sock.fileno()]); child.wait()",
    "send_fds between children": "ours, theirs = socket.socketpair()\n"
    "    child = subprocess.Popen([sys.executable, '-c', SEND, str(theirs.fileno())], pass_fds=[theirs.fileno()])\n"
    "    run(RECEIVE, ours.fileno()); ours.send(b'x'); child.wait()",
}


def run(program: str, directory: Path, *arguments: str) -> tuple[str, str]:
    (directory / "program.py").write_text(f"{PROGRAM}    {program}\n")
    environ = {"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory)}
    command = [sys.executable, "program.py", *arguments]
    ended = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=90)
    return ended.stdout, ended.stderr


@pytest.mark.parametrize("method", START_METHODS)
def test_both_names_are_those_of_the_process_that_connected(method: str, tmp_path: Path) -> None:
    with BadProxy(OPEN) as proxy:
        assert run(START_METHODS[method], tmp_path, proxy.url()) == (SAID, "")


@pytest.mark.parametrize("method", ["pass_fds", "exec", "a pipe, spawn", "from a child, fork"])
def test_the_proxy_may_listen_on_a_unix_socket(method: str, tmp_path: Path) -> None:
    """In this case the kernel's socket has another family."""
    with BadProxy(OPEN, path=tmp_path / "proxy") as proxy:
        assert run(START_METHODS[method], tmp_path, proxy.url()) == (SAID, "")


def test_where_the_parent_is_gone_it_is_as_the_kernel_says(tmp_path: Path) -> None:
    code = (
        "import os, program, socket, sys; os.read(0, 1);"
        " print(socket.socket(fileno=int(sys.argv[1])).getpeername()[0], flush=True)"
    )
    program = "reader, writer = os.pipe(); sock = connect()\n"
    program += f"    subprocess.Popen([sys.executable, '-c', {code!r}, str(sock.fileno())],"
    program += " stdin=reader, pass_fds=[sock.fileno()])"
    with BadProxy(OPEN) as proxy:
        assert run(program, tmp_path, proxy.url()) == ("127.0.0.1\n", "")
