"""Where the checkout is, and the things in it that tests use."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
# Unmodified clients, and programs made of them, that tests run in processes of their own.
PROGRAMS = ROOT / "tests" / "programs"
