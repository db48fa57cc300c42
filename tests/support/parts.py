"""Parts of the suite: what one run on one of several Pythons does.

A part has a fourth of the files, and of their tests a fifth. The two numbers have no common divisor, so each
combination of their remainders occurs once in `PARTS`. A file that is not in the part is not imported: to collect the
whole suite takes longer than to run a twentieth of it.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

FILE_PARTS, TEST_PARTS = 4, 5
PARTS = FILE_PARTS * TEST_PARTS
# The marker of tests that are in each part.
EVERY_VERSION = "every_version"


@dataclass(frozen=True)
class Part:
    """One part of the suite. Paths are relative to the root of the project."""

    number: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Return the part that this Python runs. Each minor version shifts the number, so no two run the same part."""
        return cls(int(text) + sys.version_info.minor)

    def has_file(self, path: Path) -> bool:
        """Whether the file must be imported: it is in the part, or it may have tests that are in each part."""
        return self._is_chosen(path.as_posix(), FILE_PARTS) or EVERY_VERSION in path.read_text()

    def has_test(self, path: Path, identifier: str) -> bool:
        return self._is_chosen(path.as_posix(), FILE_PARTS) and self._is_chosen(identifier, TEST_PARTS)

    def _is_chosen(self, name: str, parts: int) -> bool:
        # The low bits of a CRC are much the same for names that are much the same.
        digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
        return int.from_bytes(digest) % parts == self.number % parts
