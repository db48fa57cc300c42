"""The report of a session: one value for the log, for the list of live sessions and for the metrics."""

from __future__ import annotations

from typing import NamedTuple

# How a session may end:
#   done        both directions have ended
#   denied      a rule or a limit denied it
#   rejected    the credentials were wrong, or missing
#   failed      the target does not exist, or could not be reached
#   unsupported the command or the address type is not supported
#   garbled     the client did not speak SOCKS
#   left        the client closed or reset the connection before it was served
#   reset       one side reset the connection while it was relayed
#   timeout     the client sent no request in time, no peer connected for a BIND, or nothing was relayed for too long
#   ended       this server has ended
OUTCOMES = ("done", "denied", "rejected", "failed", "unsupported", "garbled", "left", "reset", "timeout", "ended")


class Report(NamedTuple):
    """A session, live or over. All texts are printable.

    `number` counts the sessions of this process from 1. `client` and `target` are `host:port`, with an IPv6 host in
    brackets; `target` is empty until it is known. `user` is None without authentication. `command` is "connect",
    "bind", "associate" or empty. `stage` is where a live session is: "negotiating", "resolving", "connecting",
    "waiting" (BIND), "relaying", "associated" or "leaving". `outcome` is one of OUTCOMES, and empty while the session
    lives; `detail` explains it to people. `up` counts the bytes from the client to the target, `down` the bytes
    from the target to the client. `seconds` is the session's age, `rule` the rule that permitted the request.
    """

    number: int
    client: str
    user: str | None
    command: str
    target: str
    stage: str
    outcome: str
    detail: str
    up: int
    down: int
    seconds: float
    rule: str = ""


def line(report: Report) -> str:
    """Return the report as a line for people."""
    client = report.client if report.user is None else f"{report.user}@{report.client}"
    request = f"{report.command} {report.target}" if report.command else "?"
    outcome = report.outcome or report.stage
    why = f" ({report.detail})" if report.detail else ""
    return f"{client} {request}: {outcome}{why}, {report.up} bytes up, {report.down} down, {report.seconds:.3f} s"
