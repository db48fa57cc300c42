"""What users are told about code that goes past the patches: each subject is named once, with what to do about it."""

from __future__ import annotations

# When so many notices were given, they are forgotten, and some may be given a second time.
_MOST = 4096
SEAL = "start the program with python -m socksify --seal=on"


class Notices:
    """The notices that this process has given: one object in a process. A sealed process gives none."""

    def __init__(self) -> None:
        # Subject, and what was said about it in short.
        self._given: set[tuple[str, str]] = set()

    def give(self, text: str, subject: str, why: str = "") -> None:
        """Write a text to stderr and to the log, unless `subject` was named before with the same `why`.

        This also holds if install() is called again.
        """
        if (subject, why) in self._given or _is_sealed():
            return
        if len(self._given) >= _MOST:
            self._given.clear()
        self._given.add((subject, why))
        # Pythons that lack something cannot import this module.
        from socksify.routing import log

        log.warn(text)

    def say(self, text: str) -> None:
        """Write a text to stderr."""
        from socksify.routing import log

        if not _is_sealed():
            log.notice(text)


NOTICES = Notices()


def goes_past(what: str, instead: str | None = None) -> str:
    """Return the sentence about a module or a library that connects. `instead` is what to use in its place."""
    why = f"{what} has network code of its own, outside Python, that goes past the proxy"
    return f"{why}; {advice(instead)}"


def advice(instead: str | None = None) -> str:
    """Return the words about what to do, so that nothing goes past the proxy."""
    return f"instead use {instead}, or {SEAL}" if instead else SEAL


def how_to_allow(name: str) -> str:
    """Return the words about the setting that lets a module or a library in although strict forbids it."""
    return f'--allow {name}, or allow=["{name}"], lets it in all the same, past the proxy'


def _is_sealed() -> bool:
    """Return True in a sealed process: there nothing goes past the proxy."""
    from socksify._supervision import is_sealed

    return is_sealed()
