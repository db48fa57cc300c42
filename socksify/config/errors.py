"""The error of the configuration, and a function that masks the passwords in its message."""

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
    """Return a URL, a list of URLs or a rule with everything before the last `@` masked.

    The last `@` counts, because a password may contain any character, even an unquoted `@`, `/` or `,`, and malformed
    values are shown as well.
    """
    credentials, at, rest = text.rpartition("@")
    if not at:
        return text
    scheme, separator, _ = credentials.partition("://")
    return f"{scheme}://***@{rest}" if separator and _is_scheme(scheme) else f"***@{rest}"


def _is_scheme(text: str) -> bool:
    return text.isascii() and text.isalnum()
