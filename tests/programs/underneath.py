"""Opens the C class under socket.socket, as nobody should."""

import _socket
import sys

try:
    stream = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    stream.connect((sys.argv[1], int(sys.argv[2])))
    stream.send(b"hello\n")
    print(stream.recv(100).decode().strip())
    stream.close()
except OSError as error:
    print("refused:", type(error).__name__)
