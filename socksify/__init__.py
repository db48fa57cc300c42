"""socksify: makes unmodified Python clients go through a SOCKS server."""

__version__ = "0.1.0"
