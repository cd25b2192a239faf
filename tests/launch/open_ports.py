"""The ports of a job that ask for no token: each with the reason, and with what closes it.

Everything else that listens beyond loopback has to ask. What closes each is in the list of all
ports, ``orchestrator.launch.ports``, by the names that are given here.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class OpenPort:
    """A kind of port that answers whoever reaches it."""

    role: str
    """Of the process, as ``listening`` names it."""

    says: str
    """What a stranger hears there: a pattern over ``stranger``'s verdict."""

    names: tuple[str, ...]
    """Of what listens, in the list of all ports."""

    why: str


OPEN = (
    OpenPort(
        "lighthouse",
        r"HTTP|torchft\.LighthouseService",
        ("the lighthouse",),
        "torchft 0.2 knows no token; it holds who is alive, and no data",
    ),
    OpenPort(
        "cell",
        r"HTTP|torchft\.ManagerService",
        ("torchft's managers",),
        "as above; its Kill ends a cell, which starts again",
    ),
    OpenPort(
        "cell",
        r"it takes a connection",
        (
            "the cells' stores, where they meet",
            "Ray Train's store of each cell",
            "Gloo, between cells and within",
        ),
        "neither knows a token; sums of gradients pass through Gloo",
    ),
    OpenPort(
        "agent",
        r"HTTP 200|HTTP 404",
        ("Ray's metrics",),
        "Ray gives figures of load to whoever asks",
    ),
    OpenPort(
        "dashboard",
        r"HTTP 200|HTTP 404",
        ("Ray's metrics of autoscaler and dashboard",),
        "as above",
    ),
    OpenPort(
        "monitor",
        r"HTTP 200|HTTP 404",
        ("Ray's metrics of autoscaler and dashboard",),
        "as above",
    ),
)


def is_listed(roles: set[str], verdict: str) -> bool:
    """Whether an open port is known to be so, in all processes that share it."""
    return all(
        any(port.role == role and re.search(port.says, verdict) for port in OPEN)
        for role in roles
    )
