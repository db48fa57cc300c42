"""The error of a seal that cannot be had."""

from __future__ import annotations


class SealUnavailableError(Exception):
    """This system cannot seal a program. The message names the call that failed, the reason, and what can be done."""
