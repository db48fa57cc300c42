"""websockets, threaded: one message there and back."""

import sys

from websockets.sync.client import connect

with connect(f"ws://{sys.argv[1]}:{sys.argv[2]}/") as connection:
    connection.send("hello")
    print(connection.recv())
