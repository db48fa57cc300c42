"""Connects when the main program is over: in a thread that goes on, and in a function for the exit."""

import atexit
import socket
import sys
import threading


def echo(word):
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as stream:
        stream.sendall(word)
        print(stream.recv(100).decode().strip())


def go_on():
    threading.main_thread().join()
    echo(b"thread\n")


atexit.register(echo, b"exit\n")
threading.Thread(target=go_on).start()
