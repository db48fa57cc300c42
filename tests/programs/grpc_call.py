"""grpcio, whose sockets are its core's: one call."""

import sys

try:
    import grpc
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    with grpc.insecure_channel(f"{sys.argv[1]}:{sys.argv[2]}") as channel:
        print(channel.unary_unary("/echo/Echo")(b"hello", timeout=10, wait_for_ready=True))
