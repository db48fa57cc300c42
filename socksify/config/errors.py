"""The error that the configuration raises, and how a value is shown in it: without passwords."""

from __future__ import annotations


class ConfigError(ValueError):
    """A setting cannot be used.

    The message is one line. It names the source of the setting, shows the value (passwords masked) and says what is
    expected.
    """

    def __init__(self, message: str) -> None:
        # The name of a file may contain a line break.
        super().__init__(" ".join(message.splitlines()))


def masked(text: str) -> str:
    """Return a URL, a list of URLs or a rule as it may be shown: everything before the last `@` is masked.

    The last `@` counts, not the first, because a password may contain any character, also an unquoted `@`, `/` or `,`,
    and broken values have to be shown as well.
    """
    credentials, at, rest = text.rpartition("@")
    if not at:
        return text
    scheme, separator, _ = credentials.partition("://")
    return f"{scheme}://***@{rest}" if separator and _is_scheme(scheme) else f"***@{rest}"


def _is_scheme(text: str) -> bool:
    return text.isascii() and text.isalnum()
