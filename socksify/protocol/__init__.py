"""The protocols SOCKS4, SOCKS4A, SOCKS5 and HTTP CONNECT, sans-IO: messages, and the dialogues of both roles.

Nothing here reads a socket or a clock. A client's script yields how many bytes it needs. It therefore reads like the
RFC, cannot take a byte that belongs to the client program, and can be tested without a network.
"""
