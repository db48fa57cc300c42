"""The proxy options of rftp and rtelnet. They are the launcher's, made from the keywords of socksify.install().

The clients are ordinary programs: they install the patches, and then use ftplib and sockets as if there were no proxy.
"""

from __future__ import annotations

import argparse
import inspect
import re
from typing import NoReturn

import socksify

# The keywords whose options have another name: an option adds one item, a keyword takes all of them.
_OPTIONS = {"routes": "--route", "bind_services": "--bind-service", "children": "--no-children"}


class Parser(argparse.ArgumentParser):
    """A parser for the command line of the client `name`, with the launcher's proxy options.

    A wrong command line ends the program with status 2. Its message contains no password.
    """

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, description=description, allow_abbrev=False)
        group = self.add_argument_group("proxy", "as for socksify, see socksify --help; so are variables and files")
        for keyword, parameter in inspect.signature(socksify.install).parameters.items():
            option, kind = _option(keyword), str(parameter.annotation)
            if "bool" in kind:
                says = "store_false" if option.startswith("--no-") else "store_true"
                group.add_argument(option, action=says, default=None, dest=keyword)
            else:
                action = "append" if "Sequence" in kind else "store"
                group.add_argument(option, action=action, metavar=option[2:].upper(), dest=keyword)
        group.add_argument("-v", action="store_const", const="stderr", dest="log", help="short for --log stderr")
        self.add_argument("--version", action="version", version=f"{name} {socksify.__version__}")

    def error(self, message: str) -> NoReturn:
        # argparse quotes the words that it does not understand. One of them may be a URL with a password.
        super().error(re.sub(r"://\S*@", "://***@", message))

    def install(self, options: argparse.Namespace, **defaults: object) -> None:
        """Install socksify with the parsed `options`, the environment and the configuration files.

        `defaults` are keywords of install() for options that were not given. Exits with status 2 after an error.
        """
        keywords = inspect.signature(socksify.install).parameters
        given = {keyword: getattr(options, keyword) for keyword in keywords}
        given |= {keyword: value for keyword, value in defaults.items() if given[keyword] is None}
        try:
            socksify.install(**given)
        except (socksify.ConfigError, OSError, ImportError) as error:
            self.exit(2, f"{self.prog}: {_as_typed(str(error))}\n")
        socksify.init(self.prog)


def _option(keyword: str) -> str:
    return _OPTIONS.get(keyword, f"--{keyword.replace('_', '-')}")


def _as_typed(message: str) -> str:
    """Replace keywords of install() in an error message by the options that the user has typed."""
    return re.sub(r"\binstall\((\w+)=\)", lambda found: _option(found[1]), message)
