"""The SOCKS4, SOCKS4A, SOCKS5 and HTTP CONNECT protocols, sans-IO: messages, and the scripts of both roles.

Nothing here reads a socket or a clock: a script yields how many bytes it needs, so that it reads like the
RFC, cannot take a byte that belongs to the client program, and is tested without a network.
"""
