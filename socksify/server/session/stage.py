"""The stages of a session, and the methods of the session that a stage may call.

A session is a sequence of stages: the negotiation, the ident query, a command, the relay in which a command ends, and
the lingering close after a refusal. Only one stage exists at a time. It watches the sockets while it lasts.

A stage knows the two protocols of this module. The session imports its stages, so no stage may import the session.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from socksify import _originals
    from socksify.protocol.address import Address
    from socksify.protocol.server import Request
    from socksify.server.core.loop import Loop
    from socksify.server.core.thread_pool import Threads
    from socksify.server.net.resolver import Resolver
    from socksify.server.policy.limits import Counts
    from socksify.server.policy.policy import Denied, Permitted, Policy

    class Stage(Protocol):
        """One stage of a session. `start` is called once, and `close` when the session leaves the stage.

        A stage ends when it calls a method of its session: `serve`, `relay`, `refuse`, `dismiss` or `end`.
        """

        @property
        def name(self) -> str:
            """The name of the stage in reports (see `Report.stage`)."""

        @property
        def up(self) -> int:
            """How many bytes of data went from the client to the target in this stage."""

        @property
        def down(self) -> int:
            """How many bytes of data went from the target to the client in this stage."""

        def start(self) -> None:
            """Begin to watch the sockets, or to wait for an answer."""

        def close(self) -> None:
            """Release everything that belongs to this stage. The client's connection belongs to the session."""

    class SessionContext(Protocol):
        """The session, as far as its stages know it."""

        @property
        def loop(self) -> Loop:
            """The event loop. All calls between a session and its stages are made by the loop's thread."""

        @property
        def policy(self) -> Policy:
            """The policy in force, with the limits. A reload replaces it, so a stage does not keep it."""

        @property
        def counts(self) -> Counts:
            """The connections and failed authentications of all clients."""

        @property
        def resolver(self) -> Resolver:
            """Looks up names in threads."""

        @property
        def verifiers(self) -> Threads:
            """The threads that verify passwords."""

        @property
        def stream(self) -> _originals.Socket:
            """The client's connection."""

        @property
        def host(self) -> str:
            """The literal of the client's address, empty on a Unix socket."""

        @property
        def port(self) -> int:
            """The client's port, 0 on a Unix socket."""

        @property
        def own(self) -> tuple[str, int]:
            """The host and the port that the client has connected to; ("", 0) on a Unix socket."""

        @property
        def over(self) -> bool:
            """True if the session has ended. A stage that has waited for a thread checks this first."""

        def identify(self, user: bytes) -> Denied | None:
            """Note the user whose password was verified. Return Denied if the user has too many connections."""

        def verdict(self, command: int, name: str | None, address: str | None, port: int) -> Permitted | Denied | None:
            """Return the verdict of the rules in force on a destination; the arguments are those of `Demand`."""

        def note_rule(self, rule: str) -> None:
            """Note the rule that permits what is being done, for the report."""

        def tell(self, answer: bytes) -> bool:
            """Send a reply. If the client has gone, end the session and return False."""

        def serve(self, request: Request, early: bytes) -> None:
            """Serve the request. `early` is the data that the client has sent after the request, for the target."""

        def relay(self, target: _originals.Socket, bound: Address) -> None:
            """Grant the request, and relay between the client and `target`, a socket of the loop.

            `bound` is the reply's BND.ADDR and BND.PORT.
            """

        def refuse(self, code: int, outcome: str, detail: str) -> None:
            """Answer the request with a failure, one of SOCKS5's reply codes, and close the connection.

            `outcome` and `detail` are for the report.
            """

        def dismiss(self, answer: bytes, outcome: str, detail: str) -> None:
            """Send a last answer, if it is not empty, and close the connection. The client has time to read it."""

        def end(self, outcome: str, detail: str = "") -> None:
            """End the session, and close everything at once. `outcome` and `detail` are for the report."""
