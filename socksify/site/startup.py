"""The files in site-packages that call the hook at each start of Python, as texts.

Up to 3.17, site executes the import line of a .pth file. From 3.18 on it ignores such lines, and calls what a .start
file names (PEP 829). 3.15 to 3.17 know both; there we write no .start file. It would switch the import line off, whose
`except` closes the network where the hook is damaged, and it would make site import pkgutil and re at each start.
"""

from __future__ import annotations

import sys

from socksify._hook import NAME

# The module that a .start file names. It is beside the hook, not in it: it closes the network where the hook is gone.
MODULE = f"{NAME}_start"
START = f"{MODULE}:start\n"
# Run where the hook cannot be loaded. 100 is ENETDOWN; what is not imported has sockets in C.
_SHUT = f"""
def refuse(event, args, text=f'socksify: the network is closed: {{sitedir}}/{NAME}.pth: {{error}}.\
 To go without: SOCKSIFY_DISABLE=1, or delete {{sitedir}}/{NAME}*'):
 if event.startswith('socket.'):
  raise OSError(100, text)
 if event == 'import' and args[0].startswith(('gevent.resolver.cares', 'pycares', 'uvloop', 'zmq')):
  raise ImportError(text, name=args[0])
import sys
sys.addaudithook(refuse)
"""


def needs_start_file() -> bool:
    """Whether this Python ignores the import lines of .pth files."""
    return sys.version_info >= (3, 18)


def pth_text(*, with_settings: bool) -> str:
    """The .pth file. Its line knows whether settings were installed: where they are gone, the network is closed.

    site executes it with `sitedir`, the directory that it is in. Each start compiles it, and of what is in quotes no
    more than is run. Left alone it closes the network: whoever takes the hook out deletes it first.
    """
    return f"import os; os.getenv('SOCKSIFY_DISABLE') != '1' and exec({_call(with_settings)!r})\n"


def module_text(*, with_settings: bool) -> str:
    """The module that the .start file names; site calls its function without arguments."""
    return f"""\
import os


def start():
    if os.getenv("SOCKSIFY_DISABLE") != "1":
        exec({_call(with_settings)!r}, {{"sitedir": os.path.dirname(__file__)}})
"""


def tells_settings(pth_or_module: str) -> bool:
    """Whether the text of one of these files says that settings were installed."""
    return _WITH_SETTINGS in pth_or_module


_WITH_SETTINGS = "with_settings=True"


def _call(with_settings: bool) -> str:
    told = f", {_WITH_SETTINGS}" if with_settings else ""
    return f"""
try:
 __import__({NAME!r}).start(packages=sitedir{told})
except Exception as error:
 exec({_SHUT!r})
"""
