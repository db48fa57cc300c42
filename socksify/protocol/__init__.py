"""The protocols SOCKS4, SOCKS4A, SOCKS5 and HTTP CONNECT without I/O: messages, and the dialogues of both roles.

This package uses no socket and no clock. A client's script yields the number of bytes that it needs. Therefore its code
follows the RFC line by line, cannot take a byte that belongs to the client program, and can be tested without a
network.
"""
