"""A patched Python under a seal does the same as without, and one decision is for it and all that it starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.via.world import Direct, World, saying
from tests.support import targets
from tests.support.bad_proxy import BadProxy
from tests.support.ftpd import PASSWORD, USER, vsftpd
from tests.support.network import separated
from tests.support.network.lookup_network import lookup_network
from tests.support.paths import ROOT
from tests.support.processes import unavailable

SECONDS = 60
# A Python that nothing reaches: without site and environment it finds no hook. It stands for a program of any language.
PLAIN = """
import errno, socket, subprocess, sys
def plain(code, **more):
    argv = [sys.executable, "-I", "-S", "-c", "import errno, os, socket, sys\\n" + code]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, **more).stdout.strip()

SAYS = '''
try:
    with socket.create_connection(("203.0.113.9", 80), 20) as sock:
        print(sock.recv(1).decode())
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
'''
def here():
    try:
        with socket.create_connection(("203.0.113.9", 80), 20) as sock:
            return sock.recv(1).decode()
    except OSError as error:
        return errno.errorcode.get(error.errno, error)
"""


@pytest.fixture(scope="module", autouse=True)
def sealed_system() -> None:
    tried = subprocess.run(
        [sys.executable, "-m", "socksify", "--seal=on", "--proxy", "socks5h://127.0.0.1:9", "-c", ""],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if tried.returncode:
        unavailable(tried.stderr)


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with BadProxy(saying(b"a")) as a, BadProxy(saying(b"b")) as b, targets.serve(Direct) as target:
        yield World(a, b, target.address)


@pytest.fixture
def proxies(running: World) -> World:
    running.begin()
    return running


def run(proxies: World, program: str, *words: str, seal: str = "on", options: tuple[str, ...] = ()) -> list[str]:
    """Run a program with the proxy `a`, and return the lines of its output."""
    argv = [sys.executable, "-W", "error", "-m", "socksify", f"--seal={seal}", "--proxy", proxies.a.url()]
    argv += [*options, "--route", "*=proxy", "-c", PLAIN + program, proxies.b.url(), *words]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


ALIKE = {
    "by name": """
print(here(), socket.gethostbyname("name.example").startswith("198."))
with socket.create_connection(("name.example", 80), 20) as sock:
    print(sock.recv(1), sock.getpeername()[1], socket.gethostbyaddr(sock.getpeername()[0])[0])
""",
    "asyncio": """
import asyncio
async def main():
    reader, writer = await asyncio.open_connection("name.example", 80)
    print(await reader.readexactly(1), writer.get_extra_info("peername")[1])
    writer.close()
    await writer.wait_closed()
    many = await asyncio.gather(*(asyncio.open_connection(f"{number}.example", 80) for number in range(50)))
    print(sorted([await reader.readexactly(1) for reader, _ in many]))
    for _, writer in many:
        writer.close()
asyncio.run(main())
""",
    "without blocking": """
import errno, selectors
with socket.socket() as sock, selectors.DefaultSelector() as selector:
    sock.setblocking(False)
    print(errno.errorcode[sock.connect_ex(("203.0.113.9", 80))])
    try:
        sock.getpeername()
    except OSError as error:
        print(errno.errorcode[error.errno])
    print(errno.errorcode[sock.connect_ex(("203.0.113.9", 80))])
    selector.register(sock, selectors.EVENT_WRITE)
    print(len(selector.select(20)), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), sock.getpeername())
    print(errno.errorcode[sock.connect_ex(("203.0.113.9", 80))])
    selector.modify(sock, selectors.EVENT_READ)
    print(len(selector.select(20)), sock.recv(1))
""",
    "local servers": """
import os, tempfile, threading
def serve(listener):
    stream, _ = listener.accept()
    stream.sendall(b"S")
    stream.close()
path = os.path.join(tempfile.mkdtemp(), "socket")
for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0)), (socket.AF_UNIX, path)):
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.bind(address)
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        client.connect(listener.getsockname())
        print(client.recv(1), client.getpeername() == listener.getsockname())
        thread.join()
""",
    "datagrams": """
import errno
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    for send in (lambda: sock.sendto(b"x", ("203.0.113.9", 80)), lambda: sock.sendto(b"x", ("name.example", 80))):
        try:
            send()
        except OSError as error:
            print(errno.errorcode[error.errno])
    sock.connect(("203.0.113.9", 80))
    print(sock.getpeername(), sock.getsockname()[0] != "0.0.0.0")
    try:
        sock.send(b"x")
    except OSError as error:
        print(errno.errorcode[error.errno])
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    print(list(pool.map(lambda _: here(), range(64))))
""",
    "blocks": """
import socksify
for via in ("direct", "block", sys.argv[1], "proxy"):
    with socksify.via(via):
        with socket.socket() as sock:
            print(via == "direct" or here())
print(here())
""",
    "a fork": """
import os
pid = os.fork()
if not pid:
    print("child", here(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("parent", here())
""",
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_patched_program_does_the_same(proxies: World, name: str) -> None:
    """Also its proxies are asked for the same."""
    routes = ("--route", "127.0.0.0/8=direct", "--route", "::1=direct") if name == "local servers" else ()
    said = {}
    for seal in ("off", "on"):
        proxies.begin()
        lines = run(proxies, ALIKE[name], seal=seal, options=routes)
        said[seal] = lines, [sorted(map(str, asked)) for asked in proxies.asked()]
    assert said["on"] == said["off"]
    assert said["on"][0]


TREE = """
import ctypes, _socket
name = "name.example"
address = socket.gethostbyname(name)
print(plain(f"print(socket.gethostbyname({name!r}))") == address)
print(_socket.gethostbyname(name) == address, plain(f"print(socket.gethostbyaddr({address!r})[0])"))
other = plain("print(socket.gethostbyname('child.example'))")
print(socket.gethostbyaddr(other)[0], socket.gethostbyname("child.example") == other)
print(plain(f"print(socket.create_connection(({address!r}, 80), 20).recv(1))"))
with socket.create_connection((other, 80), 20) as sock:
    print(sock.recv(1))
print(socket.getaddrinfo(name, 80, socket.AF_INET6)[0][4][0] == plain(
    f"print(socket.getaddrinfo({name!r}, 80, socket.AF_INET6)[0][4][0])"))
"""


def test_a_name_has_one_address_in_the_tree(proxies: World) -> None:
    assert run(proxies, TREE) == ["True", "True name.example", "child.example True", "b'a'", "b'a'", "True"]
    assert proxies.asked()[0] == [("name.example", 80), ("child.example", 80)]


BLOCKS = """
import os, socksify
def everyone():
    python = [sys.executable, "-c", "import errno, socket\\n" + SAYS]
    started = [
        here(),
        plain(SAYS),
        plain(SAYS, env={}),
        subprocess.run(python, capture_output=True, text=True).stdout.strip(),
        # A grandchild of a patched child.
        subprocess.run(
            [sys.executable, "-c", f"import subprocess, sys\\n{PLAIN}\\nprint(plain(SAYS))"],
            capture_output=True, text=True,
        ).stdout.strip(),
        os.popen(f"{sys.executable} -I -S -c 'import errno, socket, sys; exec(sys.argv[1])' '{QUOTED}'").read().strip(),
    ]
    print(*started)

QUOTED = SAYS.replace("(\\"203.0.113.9\\", 80)", "(str(203) + chr(46) + \\"0.113.9\\", 80)")
everyone()
with socksify.via(sys.argv[1]):
    everyone()
    with socksify.via("block"):
        everyone()
    with socksify.via("direct"):
        print(plain(f"print(socket.create_connection(('127.0.0.1', {sys.argv[2]}), 20).recv(1))"))
        print(socket.create_connection(("127.0.0.1", int(sys.argv[2])), 20).recv(1))
everyone()
print("SOCKSIFY_INHERITED_VIA" in os.environ)
"""


def test_a_block_is_for_everything_that_is_started_in_it(proxies: World) -> None:
    program = f"PLAIN = {PLAIN!r}\n{BLOCKS}"
    lines = run(proxies, program, str(proxies.target[1]))
    assert lines[0] == lines[5] == "a a a a a a"
    assert lines[1] == "b b b b b b"
    assert lines[2] == "EACCES EACCES EACCES EACCES EACCES EACCES"
    assert lines[3:5] == ["b'T'", "b'T'"]
    assert lines[6] == "False"


def test_a_patched_child_of_a_block_is_in_it(proxies: World) -> None:
    """What the child starts is in the block, too, with an environment of its own or without."""
    child = """
import os, socksify
print(here(), plain(SAYS), plain(SAYS, env={}), plain(SAYS, env=dict(os.environ)), flush=True)
socksify.uninstall()
print(plain(SAYS), here(), "SOCKSIFY_INHERITED_VIA" in os.environ)
"""
    program = f"""
import socksify
with socksify.via(sys.argv[1]):
    subprocess.run([sys.executable, "-c", {PLAIN + child!r}], check=True)
"""
    assert run(proxies, program) == ["b b b b", "b b False"]


LOOKED_UP_HERE = """
import socksify
say = '''
with socket.create_connection(("www.corp.example", 80), 20) as sock:
    print(sock.recv(1).decode(), sock.getpeername()[0])
'''
with socksify.via(sys.argv[1]):
    exec(say)
    print(plain(say))
    with socket.socket() as sock:
        sock.settimeout(20)
        sock.connect(("www.corp.example", 80))
        print(sock.recv(1).decode())
"""


def test_a_block_may_look_up_names_on_this_machine() -> None:
    """The resolver knows nothing of the block, and gets a fake address. The supervisor asks the name server."""
    with lookup_network() as network, network.inside(), BadProxy(saying(b"a")) as a, BadProxy(saying(b"b")) as b:
        argv = ["-m", "socksify", "--seal=on", "--proxy", a.url(), "--route", "*=proxy", "-c", PLAIN + LOOKED_UP_HERE]
        first, second, third = network.run(*argv, b.url("socks5")).splitlines()
    assert first.startswith("b 198.")
    assert (second, third) == (first, "b")
    assert [session.target for session in a.sessions] == []
    assert [session.target for session in b.sessions] == [("203.0.113.7", 80)] * 3


FORGED = """
import os
for number in ("1", "9" * 19, "0", "x"):
    print(plain(SAYS, env={"SOCKSIFY_INHERITED_VIA": number}), end="")
os.environ["SOCKSIFY_INHERITED_VIA"] = "5"
print(plain(SAYS))
"""


def test_a_forged_number_changes_nothing(proxies: World) -> None:
    assert run(proxies, FORGED) == ["aaaaa"]


INSTALLED = """
import socksify
socksify.install(sys.argv[1], routes=["127.0.0.1:%s=direct" % sys.argv[2], "*=proxy"])
target = f"print(socket.create_connection(('127.0.0.1', {sys.argv[2]}), 20).recv(1))"
print(here(), plain(SAYS), plain(target))
print(socket.create_connection(("127.0.0.1", int(sys.argv[2])), 20).recv(1))
socksify.uninstall()
print(here(), plain(SAYS))
"""


def test_settings_of_a_program_count_for_it_and_its_children(proxies: World) -> None:
    """After uninstall() the seal is still there, with its own settings."""
    assert run(proxies, INSTALLED, str(proxies.target[1])) == ["b b b'T'", "b'T'", "a a"]


DEAD = """
import os, signal
address = socket.gethostbyname("name.example")
os.kill(os.getppid(), signal.SIGKILL)
with socket.socket(socket.AF_UNIX) as sock:
    while True:
        try:
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as error:
            print(errno.errorcode[error.errno])
            break
for ask in (
    lambda: socket.gethostbyname("other.example"),
    lambda: socket.create_connection((address, 80), 5),
    lambda: socket.create_connection(("203.0.113.9", 80), 5),
    lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5),
):
    try:
        print(ask())
    except OSError as error:
        print(type(error) is socket.gaierror or errno.errorcode[error.errno])
from socksify import _supervision
print(_supervision.is_sealed(), here(), plain(SAYS))
import socksify
with socksify.via(sys.argv[1]):
    print(here(), plain(SAYS))
socksify.install(sys.argv[1], routes=["*=direct"])
print(here())
"""


def test_nothing_goes_out_after_the_supervisor_has_ended(proxies: World) -> None:
    argv = [sys.executable, "-m", "socksify", "--seal=on", "--proxy", proxies.a.url(), "--route", "*=proxy", "-c"]
    words = [PLAIN + DEAD, proxies.b.url(), str(proxies.target[1])]
    ended = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT)
    lines = ended.stdout.splitlines()
    assert lines[:5] == ["ENOSYS", "True", "ENOSYS", "ENOSYS", "ENOSYS"], ended.stderr
    assert lines[5:] == ["True ENOSYS ENOSYS", "ENOSYS ENOSYS", "ENOSYS"], ended.stderr
    assert proxies.asked() == ([], [])


@pytest.mark.parametrize(("host", "scheme"), [(separated.SERVER, "socks5"), (separated.NAME, "socks5h")])
def test_a_server_of_ftp_calls_back(host: str, scheme: str) -> None:
    """The proxy listens for it (BIND). The server cannot reach the client."""
    with separated.separated_network() as network, network.server.inside(), vsftpd("", separated.SERVER, 21):
        argv = [sys.executable, "-m", "socksify", "--seal=on", "--proxy", network.url(scheme), "--route", "*=proxy"]
        argv += [str(ROOT / "tests/programs/ftp_active.py"), host, USER, PASSWORD]
        command = network.client.command(*argv)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT)
    assert ended.stdout.splitlines() == ["greeting.txt", "hello from the client"], ended.stderr
