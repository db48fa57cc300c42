"""stomp.py: a subscription, heard by a thread, and a message sent to it."""

import queue
import sys

import stomp


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.heard = queue.Queue()

    def on_message(self, frame):
        self.heard.put(frame.body)


connection = stomp.Connection([(sys.argv[1], int(sys.argv[2]))], timeout=30)
listener = Listener()
connection.set_listener("", listener)
connection.connect("guest", "guest", wait=True)
connection.subscribe("/topic/news", id="1", headers={"receipt": "subscribed"})
connection.send("/topic/news", "hello")
print(listener.heard.get(timeout=30))
connection.disconnect()
