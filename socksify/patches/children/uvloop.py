"""uvloop starts processes in C: with the environment of C, unless one is given, which is then told all it lacks."""

from __future__ import annotations

from socksify.patches.children import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.patches.journal import Journal


def adapt(journal: Journal, module: Any) -> None:
    """Wrap the two methods of its loops that start a process."""

    class Children:
        """In front of uvloop's own, which are inherited."""

        async def subprocess_exec(self, factory: Any, program: Any, *args: Any, **how: Any) -> Any:
            how = starting.announced([program, *args], how)
            return await super(module.Loop, self).subprocess_exec(factory, program, *args, **how)  # type: ignore[misc]

        async def subprocess_shell(self, factory: Any, command: Any, **how: Any) -> Any:
            how = starting.announced(["/bin/sh", "-c", command], how)
            return await super(module.Loop, self).subprocess_shell(factory, command, **how)  # type: ignore[misc]

    for name in ("subprocess_exec", "subprocess_shell"):
        method = vars(Children)[name]
        method.__qualname__ = f"Loop.{name}"
        journal.set_attribute(module.Loop, name, method)
