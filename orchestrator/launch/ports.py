"""Every port that a job opens, who may use it, and what keeps strangers out.

Security groups and network policies are made from this, and a test compares it with what really
listens. Numbers that are fixed here are given to ``ray start``; all others are the system's.
"""

from dataclasses import dataclass
from typing import Literal

Place = Literal["head", "node", "worker"]
"""The head; every node; every node that trains."""

GCS, OBJECT_MANAGER, NODE_MANAGER = 6379, 8076, 8077
CLIENT, DASHBOARD, MLFLOW = 10001, 8265, 5000
AGENT_GRPC, AGENT_HTTP, RUNTIME_ENV, METRICS = 8078, 8079, 8080, 8081
WORKERS = (10002, 19999)
"""Where Ray's worker processes listen."""
ANY = (1024, 65535)
"""Whatever the system gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """What listens, and who gets an answer."""

    name: str
    numbers: tuple[int, int]
    """From and to, both included."""
    place: Place
    loopback: bool
    """Whether it can be reached from the machine itself only."""
    token: bool
    """Whether it answers only to who has a token, Ray's or the run's."""
    closed_by: str
    """What keeps strangers out."""


_GROUP = "the security group: from its own members only"
_LOOPBACK = "loopback: reached through an SSH tunnel"

PORTS = (
    Port(name="ssh", numbers=(22, 22), place="node", loopback=False, token=False,
         closed_by="the key pair, and the security group: from the connect endpoint only"),
    Port(name="Ray's GCS", numbers=(GCS, GCS), place="head", loopback=False, token=True,
         closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's client server", numbers=(CLIENT, CLIENT), place="head", loopback=False,
         token=True, closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's dashboard and jobs", numbers=(DASHBOARD, DASHBOARD), place="head",
         loopback=True, token=True, closed_by=f"Ray's token; {_LOOPBACK}"),
    Port(name="Ray's raylet", numbers=(NODE_MANAGER, NODE_MANAGER), place="node",
         loopback=False, token=True, closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's object manager", numbers=(OBJECT_MANAGER, OBJECT_MANAGER), place="node",
         loopback=False, token=True, closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's node agent", numbers=(AGENT_GRPC, AGENT_HTTP), place="node",
         loopback=False, token=True, closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's runtime environments", numbers=(RUNTIME_ENV, RUNTIME_ENV), place="node",
         loopback=False, token=True, closed_by=f"Ray's token; {_GROUP}"),
    Port(name="Ray's metrics", numbers=(METRICS, METRICS), place="node", loopback=False,
         token=False, closed_by=_GROUP),
    Port(name="Ray's metrics of autoscaler and dashboard", numbers=(44217, 44227), place="head",
         loopback=False, token=False, closed_by=_GROUP),
    Port(name="Ray's workers", numbers=WORKERS, place="node", loopback=False, token=True,
         closed_by=f"Ray's token; {_GROUP}"),
    Port(name="the lighthouse", numbers=ANY, place="head", loopback=False, token=False,
         closed_by=_GROUP),
    Port(name="torchft's managers", numbers=ANY, place="worker", loopback=False, token=False,
         closed_by=_GROUP),
    Port(name="the cells' stores, where they meet", numbers=ANY, place="worker",
         loopback=False, token=False, closed_by=_GROUP),
    Port(name="Ray Train's store of each cell", numbers=ANY, place="worker", loopback=False,
         token=False, closed_by=_GROUP),
    Port(name="Gloo, between cells and within", numbers=ANY, place="worker", loopback=False,
         token=False, closed_by=_GROUP),
    Port(name="a neighbour's state", numbers=ANY, place="worker", loopback=False, token=True,
         closed_by=f"the run's token; {_GROUP}"),
    Port(name="MLflow", numbers=(MLFLOW, MLFLOW), place="head", loopback=True, token=False,
         closed_by=_LOOPBACK),
)  # fmt: skip
"""All of them. Between themselves machines of a cluster may use any port: most are the system's
choice. From outside none is open but SSH, and that to the cloud's own tunnel only."""


def ray_start_ports() -> str:
    """The fixed numbers, as ``ray start`` takes them on every node."""
    low, high = WORKERS
    options = {
        "object-manager-port": OBJECT_MANAGER,
        "node-manager-port": NODE_MANAGER,
        "dashboard-agent-grpc-port": AGENT_GRPC,
        "dashboard-agent-listen-port": AGENT_HTTP,
        "runtime-env-agent-port": RUNTIME_ENV,
        "metrics-export-port": METRICS,
        "min-worker-port": low,
        "max-worker-port": high,
    }
    return " ".join(f"--{name}={number}" for name, number in options.items())
