"""gevent's resolvers by c-ares and by a copy of dnspython. Its other resolvers call the standard library's look-ups."""

from __future__ import annotations

from socksify.patches.adapters import wrap
from socksify.patches.adapters.resolver_functions import NAMES, answering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap every look-up method of the class Resolver, which also covers the resolvers that exist already."""
    for name in NAMES:
        wrap(journal, module.Resolver, name, answering(name))
