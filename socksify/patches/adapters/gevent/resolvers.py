"""gevent's resolvers by c-ares and by a copy of dnspython; those by threads and of the stdlib call the stdlib."""

from __future__ import annotations

from socksify.patches.adapters import wrap
from socksify.patches.adapters.resolver_functions import NAMES, answering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap every method that looks up: resolvers that exist have them, too."""
    for name in NAMES:
        wrap(journal, module.Resolver, name, answering(name))
