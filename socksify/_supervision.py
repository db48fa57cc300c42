"""How a sealed process talks to the supervisor of its seal.

The supervisor sees the calls of socket options at one level, which is no protocol's. Outside a seal the kernel refuses
that level, and nothing happens.
"""

from __future__ import annotations

# The level of setsockopt(2) and getsockopt(2): "SOCK" in ASCII. The kernel's own levels are far below.
PRIVATE_LEVEL = 0x534F434B
