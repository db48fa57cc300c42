# A hook that waits for `socket` installs during this import, before any module that it needs is half imported. The
# import is a call, because a statement may be a lazy import (PEP 810).
__import__("socket")
