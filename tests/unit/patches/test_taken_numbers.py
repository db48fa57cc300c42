"""A program that closes descriptors behind our back: what it opens next on the same numbers is nobody's but its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.descriptor_closing import program
from tests.support.servers import Server
from tests.support.steps import HANG, READ_GREETING, RESET, good
from tests.support.targets import Target


@pytest.mark.parametrize("where", ["s.log", "stderr"])
@pytest.mark.parametrize("lowest", [2, 3])
def test_a_daemons_files_are_left_alone(
    lowest: int, where: str, tmp_path: Path, microsocks: Server, echo_server: Target
) -> None:
    code = f"""
connect().close()
files = data({lowest})
os.chdir("/")
connect().close()
import socksify
from socksify.routing import log
log.notice("notice")
log.warn("warning")
socksify.uninstall()
still(files)
"""
    done = program(tmp_path, microsocks.port, code, "--log", where, port=echo_server.port)
    assert (done.returncode, (tmp_path / "data.db").read_bytes()) == (0, b""), done
    lines = (tmp_path / where).read_text() if where != "stderr" else done.stderr
    # A log goes on; a standard error that the program has closed is no more.
    assert lines.count(" ok\n") == (2 if where != "stderr" or lowest > 2 else 1)
    assert ("warning" in lines) is (where != "stderr" or lowest > 2)


def test_no_file_that_children_read_is_closed(tmp_path: Path, microsocks: Server) -> None:
    """The table of fake addresses is there for them."""
    code = """
import subprocess
child = [sys.executable, "-c", "import socket"]
socket.getaddrinfo("name.example", 80)
subprocess.run(child, check=True)
files = data(3)
socket.getaddrinfo("another.example", 80)
subprocess.run(child, check=True)
import socksify
socksify.uninstall()
still(files)
"""
    done = program(tmp_path, microsocks.port, code)
    assert (done.returncode, (tmp_path / "data.db").read_bytes()) == (0, b""), done


def check(tmp_path: Path, microsocks: Server, echo_server: Target, code: str, **more: int) -> None:
    done = program(tmp_path, microsocks.port, textwrap.dedent(code), port=echo_server.port, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_what_comes_next_has_no_dead_tunnels_names(tmp_path: Path, microsocks: Server, echo_server: Target) -> None:
    code = """
    kept = [connect() for _ in range(6)]
    numbers = {sock.fileno() for sock in kept}
    told = {sock.getsockname() for sock in kept}
    close()
    server = socket.create_server(("127.0.0.1", 0))
    assert server.fileno() in numbers
    assert server.getsockname() not in told
    # Natively, so that accept() has something to do with us alone.
    import _socket
    client = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    accepted, address = server.accept()
    assert accepted.fileno() in numbers
    assert accepted.getpeername() == address == client.getsockname()
    assert accepted.getsockname() == server.getsockname()
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    again = socket.socket(fileno=os.dup(accepted.fileno()))
    assert again.getpeername() == address
    adopted = socket.socket(fileno=accepted.detach())
    assert adopted.getpeername() == address
    fresh = socket.socket()
    assert fresh.fileno() in numbers
    try:
        fresh.getpeername()
    except OSError as error:
        assert error.errno == errno.ENOTCONN
    else:
        raise AssertionError(fresh.getpeername())
    """
    check(tmp_path, microsocks, echo_server, code)


def test_the_objects_that_were_closed_answer_as_natively(
    tmp_path: Path, microsocks: Server, echo_server: Target
) -> None:
    code = """
    first, second = connect(), connect()
    os.close(first.fileno())
    for call in (first.getpeername, first.getsockname, lambda: first.recv(1), lambda: first.send(b"x"), first.dup):
        try:
            call()
        except OSError as error:
            assert error.errno == errno.EBADF, error
        else:
            raise AssertionError(call)
    # Now its number is a listener's, of whose names it tells, as natively.
    server = socket.create_server(("127.0.0.1", 0))
    assert server.fileno() == first.fileno()
    assert first.getsockname() == server.getsockname()
    assert second.getpeername() == ("127.0.0.1", PORT)
    second.sendall(b"ping")
    assert second.recv(4) == b"ping"
    first.detach()
    """
    check(tmp_path, microsocks, echo_server, code)


POLLERS = {
    "select": "select.select([sock], [sock], [sock], 0)",
    "poll": "polled(select.poll())",
    "epoll": "polled(select.epoll())",
}


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("fails", [False, True], ids=["pending", "failing"])
def test_a_pending_connect_hands_nothing_to_the_next_socket(poller: str, fails: bool, tmp_path: Path) -> None:
    code = f"""
    def polled(poller):
        poller.register(sock)
        return poller.poll(0)
    pending = begin()
    fd = pending.fileno()
    if {fails}:
        # Its failure has been noticed, and not been told.
        waiting = select.poll()
        waiting.register(fd)
        assert waiting.poll(20000)
    os.close(fd)
    sock, other = socket.socketpair()
    assert sock.fileno() == fd
    sock.setblocking(False)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    found = {POLLERS[poller]}
    assert found in (([], [sock], []), [(fd, select.POLLOUT)]), found
    assert sock.send(b"ping") == 4
    assert other.recv(4) == b"ping"
    try:
        sock.recv(1)
    except BlockingIOError:
        pass
    # What becomes of the object does nothing to the socket, but that close(2) is close(2).
    pending.detach()
    del pending
    gc.collect()
    assert sock.send(b"ping") == 4
    assert sock.getpeername() == ""
    assert type(sock) is socket.socket
    """
    with BadProxy([RESET] if fails else [READ_GREETING, HANG]) as proxy:
        done = program(tmp_path, proxy.port, textwrap.dedent(code), silent=9)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_time_limit_shuts_nobody_elses_socket_down(tmp_path: Path) -> None:
    code = """
    pending = begin()
    fd = pending.fileno()
    os.close(fd)
    sock, other = socket.socketpair()
    assert sock.fileno() == fd
    # Another wait in which it is over.
    reader, writer = socket.socketpair()
    assert select.select([reader], [], [], 1.5) == ([], [], [])
    pending.detach()
    sock.sendall(b"ping")
    assert other.recv(4) == b"ping"
    """
    with BadProxy([READ_GREETING, HANG]) as proxy:
        done = program(tmp_path, proxy.port, textwrap.dedent(code), "--connect-timeout", "1", silent=9)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_uninstalling_shuts_nobody_elses_socket_down(tmp_path: Path) -> None:
    code = """
    import socksify
    pending = [begin() for _ in range(3)]
    numbers = [sock.fileno() for sock in pending]
    close()
    pairs = [socket.socketpair() for _ in range(3)]
    assert pairs[0][0].fileno() in numbers
    socksify.uninstall()
    for sock, other in pairs:
        sock.sendall(b"ping")
        assert other.recv(4) == b"ping"
    for sock in pending:
        sock.detach()
    """
    with BadProxy([READ_GREETING, HANG]) as proxy:
        done = program(tmp_path, proxy.port, textwrap.dedent(code), silent=9)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_new_epoll_object_watches_what_it_was_told(tmp_path: Path, microsocks: Server, echo_server: Target) -> None:
    """Epoll objects share one inode: one is believed when it has the registration that it ought to have."""
    code = """
    old = select.epoll()
    sock = socket.socket()
    sock.setblocking(False)
    old.register(sock, select.EPOLLIN)
    number = old.fileno()
    os.close(number)
    new = select.epoll()
    assert new.fileno() == number
    # Fails, and is replaced by a fresh kernel socket before the next.
    assert sock.connect_ex(("127.0.0.1", 1)) == errno.EINPROGRESS
    assert select.select([], [sock], [], 20)[1] == [sock]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    assert sock.connect_ex(("127.0.0.1", PORT)) == errno.EINPROGRESS
    assert select.select([], [sock], [], 20)[1] == [sock]
    sock.setblocking(True)
    sock.sendall(b"ping")
    assert sock.recv(4) == b"ping"
    sock.sendall(b"ping")
    assert select.select([sock], [], [], 20)[0] == [sock]
    assert new.poll(0) == []
    """
    check(tmp_path, microsocks, echo_server, code)


def test_a_dead_control_connection_calls_nobody_back(tmp_path: Path) -> None:
    """A listener of a client of FTP listens through the proxy; of one whose connection is gone it does not."""
    code = """
    control = socket.create_connection(("127.0.0.1", 21), timeout=20)
    close()
    server = socket.socket()
    server.bind(("", 0))
    server.listen()
    assert server.getsockname()[0] == "0.0.0.0"
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    """
    script = good("socks5h")
    with BadProxy([*script[:3], script[4], HANG]) as proxy:
        done = program(tmp_path, proxy.port, textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert len(proxy.sessions) == 1


def test_a_registration_from_before_keeps_no_descriptor(tmp_path: Path) -> None:
    """An epoll object of the client's is reopened for a moment: what was kept would be closed by its number."""
    code = """
    import socksify
    epoll = select.epoll()
    sock = socket.socket()
    sock.setblocking(False)
    epoll.register(sock, select.EPOLLOUT)
    assert sock.connect_ex(("127.0.0.1", SILENT)) == errno.EINPROGRESS
    assert epoll.poll(0.05) == []
    files = data()
    select.select([], [], [], 0.05)
    socksify.uninstall()
    gc.collect()
    # These two are the client's own.
    sock.detach()
    still(file for file in files if file.fileno() != epoll.fileno())
    """
    with BadProxy([READ_GREETING, HANG]) as proxy:
        done = program(tmp_path, proxy.port, textwrap.dedent(code), silent=9)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


EMBEDDED = {
    "goes on": "",
    "forks": """
import warnings
warnings.simplefilter("ignore")
child = os.fork()
if not child:
    still(files)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    "connects": """
try:
    connect()
except ConnectionRefusedError:
    pass
else:
    raise AssertionError("nobody listens")
""",
    "uninstalls": """
import socksify
socksify.uninstall()
""",
}


@pytest.mark.parametrize("does", EMBEDDED)
@pytest.mark.parametrize("lowest", [2, 3])
def test_an_embedded_server_leaves_the_programs_files_alone(
    lowest: int, does: str, tmp_path: Path, echo_server: Target
) -> None:
    code = f"""
kept = [connect() for _ in range(3)]
pipe = socket.create_connection(("127.0.0.1", PORT))
pipe.sendall(bytes(1 << 16))
for sock in (*kept, pipe):
    sock.detach()
files = data({lowest})
{EMBEDDED[does]}
still(files)
buffered = open("buffered", "w")
buffered.write("flushed at the end")
"""
    done = program(tmp_path, 0, code, port=echo_server.port)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "data.db").read_bytes() == b""
    assert (tmp_path / "buffered").read_text() == "flushed at the end"
