"""The ports of a job that ask for no token: each with the reason, and with what closes it.

Everything else that listens beyond loopback has to ask. ``GROUP`` is the rule that a cluster's
security group needs: machines of the cluster reach each other, and nobody else reaches them.
"""

import re
from dataclasses import dataclass

GROUP = "the cluster's security group: in from itself alone"


@dataclass(frozen=True)
class OpenPort:
    """A kind of port that answers whoever reaches it."""

    role: str
    """Of the process, as ``listening`` names it."""

    says: str
    """What a stranger hears there: a pattern over ``stranger``'s verdict."""

    what: str
    why: str
    closed_by: str = GROUP


OPEN = (
    OpenPort(
        "lighthouse",
        r"HTTP|torchft\.LighthouseService",
        "torchft's lighthouse: gRPC, and a page",
        "torchft 0.2 knows no token; it holds who is alive, and no data",
    ),
    OpenPort(
        "cell",
        r"HTTP|torchft\.ManagerService",
        "torchft's manager",
        "as above; its Kill ends a cell, which starts again",
    ),
    OpenPort(
        "cell",
        r"it takes a connection",
        "torch's TCPStore, and Gloo's pairs",
        "neither knows a token; sums of gradients pass through Gloo",
    ),
    OpenPort(
        "agent",
        r"HTTP 200|HTTP 404",
        "the metrics of a node, for Prometheus",
        "Ray gives figures of load to whoever asks",
    ),
    OpenPort(
        "dashboard",
        r"HTTP 200|HTTP 404",
        "the metrics of the dashboard, for Prometheus",
        "as above",
    ),
    OpenPort(
        "monitor",
        r"HTTP 200|HTTP 404",
        "the metrics of the autoscaler, for Prometheus",
        "as above",
    ),
)


def is_listed(roles: set[str], verdict: str) -> bool:
    """Whether an open port is known to be so, in all processes that share it."""
    return all(
        any(port.role == role and re.search(port.says, verdict) for port in OPEN)
        for role in roles
    )
