"""What the hook calls in the package, once `socket` is there."""

from __future__ import annotations

import os

from socksify import config, patches
from socksify.config.passing import VARIABLE, received
from socksify.patches import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def install(environ: Mapping[str, str], directory: str, settings_file: str) -> None:
    """Install by the variables, the working directory and the settings file that the interpreter started with.

    The settings file, where there is one, is read instead of the files that are looked for elsewhere, unless
    SOCKSIFY_CONFIG names another or a parent process has passed its settings on. Raises what config.load() and
    patches.install() raise.
    """
    if not environ.get("SOCKSIFY_CONFIG") and VARIABLE not in environ and os.path.lexists(settings_file):
        environ = {**environ, "SOCKSIFY_CONFIG": settings_file}
    settings = config.load({}, environ, directory)
    inherited = received(environ)
    if inherited is not None:
        children.inherit(inherited)
    patches.install(settings, environ)
