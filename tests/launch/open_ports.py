"""The ports of a job that ask for no token: each with the reason, and with what closes it.

Everything else that listens beyond loopback has to ask. ``GROUP`` is the rule that a cluster's
security group needs: machines of the cluster reach each other, and nobody else reaches them.
"""

from dataclasses import dataclass

GROUP = "the cluster's security group: in from itself alone"


@dataclass(frozen=True)
class OpenPort:
    """A kind of port that answers whoever reaches it."""

    role: str
    """Of the process, as ``listening`` names it."""

    what: str
    why: str
    closed_by: str = GROUP


OPEN = (
    OpenPort(
        "lighthouse",
        "torchft's lighthouse (gRPC and a page)",
        "torchft 0.2 knows no token; it holds who is alive and no data",
    ),
    OpenPort(
        "cell",
        "torchft's manager, torch's TCPStore, Gloo's pairs",
        "none of the three knows a token; sums go through Gloo, torchft's Kill ends a cell",
    ),
    OpenPort(
        "agent",
        "the metrics of a node, for Prometheus",
        "Ray gives metrics to whoever asks; they are figures of load",
    ),
    OpenPort(
        "dashboard",
        "the metrics of the dashboard, for Prometheus",
        "as above",
    ),
    OpenPort(
        "monitor",
        "the metrics of the autoscaler, for Prometheus",
        "as above",
    ),
)
