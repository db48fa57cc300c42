"""What there is to say of a session: one value for the log, the list of live sessions and the metrics."""

from __future__ import annotations

from typing import NamedTuple

# How a session may end:
#   done        both directions came to their ends
#   denied      by a rule or a limit
#   rejected    credentials that are wrong, or missing
#   failed      the target could not be reached, or does not exist
#   unsupported a command or an address type that is not served
#   garbled     something else than SOCKS was spoken
#   left        the client closed or reset before it was served
#   reset       one side reset the connection in mid-stream
#   timeout     the client said nothing, the target or a peer did not come, or both were silent for too long
#   ended       by this server, which ends
OUTCOMES = ("done", "denied", "rejected", "failed", "unsupported", "garbled", "left", "reset", "timeout", "ended")


class Report(NamedTuple):
    """A session, live or over.

    `client` and `target` are `host:port` (IPv6 in brackets), `target` empty until it is known; `user` is None without
    authentication. `command` is "connect", "bind", "associate" or empty. `stage` is where a live session is:
    "negotiating", "resolving", "connecting", "waiting" (BIND), "relaying", "associated" or "leaving"; `outcome` is one
    of OUTCOMES, empty while it lives; `detail` is for people. `up` are bytes from the client to the target, `down`
    those that came back, `seconds` its age. `number` counts this process's sessions from 1. Texts are printable.
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
    """The report as a line for people."""
    who = report.client if report.user is None else f"{report.user}@{report.client}"
    what = f"{report.command} {report.target}" if report.command else "?"
    outcome = report.outcome or report.stage
    why = f" ({report.detail})" if report.detail else ""
    return f"{who} {what}: {outcome}{why}, {report.up} bytes up, {report.down} down, {report.seconds:.3f} s"
