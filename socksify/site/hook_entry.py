"""The entry point of the package for the hook. The hook calls it as soon as `socket` is imported."""

from __future__ import annotations

import os
import sys

from socksify import config
from socksify.config import toml_file
from socksify.config.errors import ConfigError
from socksify.config.inherited import VARIABLE, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings


def install(environ: Mapping[str, str], directory: str, settings_file: str, with_settings: bool = False) -> None:
    """Install with the settings that load() returns. Raises the exceptions of load() and of patches.install().

    The arguments are those of load().
    """
    from socksify import patches
    from socksify.patches import children

    settings = load(environ, directory, settings_file, with_settings=with_settings)
    inherited = received(environ)
    if inherited is not None:
        children.inherit(inherited)
    patches.install(settings, environ)


def load(environ: Mapping[str, str], directory: str, settings_file: str, *, with_settings: bool) -> Settings:
    """Return the settings of a process that the hook covers.

    `environ` and `directory` are the environment and the working directory with which the interpreter has started.
    `settings_file` is the hook's own settings file. If it exists, it replaces the files that are searched for
    elsewhere, unless SOCKSIFY_CONFIG names another file, or a parent process has passed its settings on.
    `with_settings` is True if the settings file was installed, so it must exist. Raises ConfigError if it is missing or
    if any settings are not valid.
    """
    if environ.get("SOCKSIFY_CONFIG") or VARIABLE in environ:
        return config.load({}, environ, directory)
    if not with_settings and not os.path.lexists(settings_file):
        return config.load({}, environ, directory)
    if with_settings and not os.path.lexists(settings_file):
        raise _broken_settings(settings_file, "it was installed and is gone; put it back")
    named = {**environ, "SOCKSIFY_CONFIG": settings_file}
    try:
        settings = config.load({}, named, directory)
    except ConfigError:
        if with_settings and not _names_proxy(settings_file):
            raise _broken_settings(settings_file, _NAMELESS) from None
        raise
    if with_settings and not settings.sources["proxy"].startswith(settings_file) and not _names_proxy(settings_file):
        # A variable names a proxy, but the rules of the settings file are lost.
        raise _broken_settings(settings_file, _NAMELESS)
    return settings


# `site install` writes no settings file without a proxy.
_NAMELESS = "it was installed with a proxy and names none any more"


def _names_proxy(settings_file: str) -> bool:
    return "proxy" in toml_file.load(settings_file).values


def _broken_settings(settings_file: str, problem: str) -> ConfigError:
    # Without the settings that were installed, the program would connect directly, or through another proxy.
    again = f"{sys.executable} -m socksify site install --proxy URL ..."
    return ConfigError(f"{settings_file}: {problem}, or give the options again: {again}")
