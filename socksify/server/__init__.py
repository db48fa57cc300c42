# A hook that waits for it installs now, while none of the modules that it needs is half imported.
import socket  # noqa: F401
