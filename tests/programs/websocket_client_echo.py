"""websocket-client: one message there and back, and a ping."""

import sys

import websocket

connection = websocket.create_connection(f"ws://{sys.argv[1]}:{sys.argv[2]}/", timeout=30)
connection.send("hello")
print(connection.recv())
connection.ping("are you there?")
print(connection.recv_data(control_frame=True)[1])
connection.close()
