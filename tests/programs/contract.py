"""A client as the original package's documentation asks for one, call by call; knows nothing of proxies.

    contract.py HOST PORT KIND FILE

connects to an FTP server (TCP only; the first socket call is connect()), logs in, and takes a FILE by a data connection
that the server makes: bind() after the connect(), then getsockname(), listen() and accept(), in that order. KIND is
`blocking` or `nonblocking`; the latter waits with select() and calls connect() again until that says EISCONN. It writes
the address that the data came from on a line, and the data.
"""

import errno
import select
import socket
import sys

host, port, kind, name = sys.argv[1:]
address = (host, int(port))

control = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
if kind == "blocking":
    control.connect(address)
else:
    control.setblocking(False)
    assert control.connect_ex(address) == errno.EINPROGRESS
    # No I/O until another connect() with the same arguments fails with EISCONN, even if select() says it is writable.
    while (said := control.connect_ex(address)) != errno.EISCONN:
        assert said == errno.EALREADY, errno.errorcode[said]
        assert select.select([], [control], [], 10)[1] == [control]
    control.setblocking(True)

lines = control.makefile("rb")


def answer(code):
    while not (line := lines.readline()).startswith(code + b" "):
        assert line, "the server hung up"


def command(text, code):
    control.sendall(text.encode() + b"\r\n")
    answer(code)


answer(b"220")
command("USER alice", b"331")
command("PASS open sesame", b"230")
command("TYPE I", b"200")

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("0.0.0.0", 0))
where, number = listener.getsockname()
listener.listen(1)
command("PORT " + where.replace(".", ",") + f",{number >> 8},{number & 255}", b"200")
command("RETR " + name, b"150")
if kind == "nonblocking":
    listener.setblocking(False)
    assert select.select([listener], [], [], 10)[0] == [listener]
data, peer = listener.accept()
data.setblocking(True)
assert peer == data.getpeername(), peer
assert data.getsockname() == (where, number)
sys.stdout.buffer.write(peer[0].encode() + b"\n")
with data, data.makefile("rb") as stream:
    sys.stdout.buffer.write(stream.read())
answer(b"226")
listener.close()
lines.close()
control.close()
