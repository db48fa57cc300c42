"""pyzmq, whose sockets are libzmq's: a request and its answer."""

import sys

try:
    import zmq
except ImportError as error:
    print("refused:", type(error).__name__)
else:
    with zmq.Context() as context, context.socket(zmq.REQ) as sender:
        sender.setsockopt(zmq.LINGER, 0)
        sender.setsockopt(zmq.RCVTIMEO, 10_000)
        sender.connect(f"tcp://{sys.argv[1]}:{sys.argv[2]}")
        sender.send(b"hello")
        print(sender.recv())
