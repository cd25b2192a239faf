"""A cluster of several nodes on this machine: real raylets, each with its own workers."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from orchestrator.cluster.internals import (
    connect_gcs,
    draining_nodes,
    raylet_pid,
    require_token,
)
from orchestrator.errors import FaultError

FAST_HEALTH_CHECK = {
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""With Ray's defaults, what ran on a dead node is missed for half a minute."""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A head that trains nothing, and nodes that can be killed.

    Nodes are added and killed from the thread that started the cluster.
    """

    cluster: Any

    @property
    def address(self) -> str:
        """Where to connect to."""
        return str(self.cluster.address)

    def add_node(self, cpus: int, resources: dict[str, float], *, gpus: int = 0) -> None:
        """Start another node."""
        self.cluster.add_node(num_cpus=cpus, num_gpus=gpus, resources=resources)

    def renew(self, nodes: int, *, cpus: int, resources: dict[str, float]) -> None:
        """Have so many nodes that nothing has happened to: those there are, or new ones."""
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        gone = draining_nodes(connect_gcs(self.address))
        for node in list(self.cluster.worker_nodes):
            if node.node_id not in alive or node.node_id in gone:
                self.cluster.remove_node(node, allow_graceful=False)
        while len(self.cluster.worker_nodes) < nodes:
            self.add_node(cpus, resources)

    def kill_node(self, node_id: str) -> None:
        """Kill a node with everything on it at once, without a word of warning.

        Raises:
            FaultError: There is no such node.
        """
        for node in self.cluster.worker_nodes:
            if node.node_id == node_id:
                # Left to themselves, workers notice up to a second later that they are alone.
                for pid in processes_below(raylet_pid(node)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.cluster.remove_node(node, allow_graceful=False)
                return
        raise FaultError(f"node {node_id} is not there", "local cluster", "Name a node of it")


def processes_below(pid: int) -> list[int]:
    """A process and all that descend from it, as they are now."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may end, and a process, while we look.
        with suppress(OSError):
            for child in map(int, thread.read_text().split()):
                found += processes_below(child)
    return found


@contextmanager
def start_cluster(
    nodes: int,
    *,
    cpus: int = 2,
    gpus: int = 0,
    resources: dict[str, float] | None = None,
    health_check: dict[str, int] | None = None,
) -> Iterator[LocalCluster]:
    """Start a head and some nodes behind a token of their own; end them with the block.

    Args:
        nodes: Nodes beside the head.
        cpus: CPUs that each of them offers, whatever this machine has.
        gpus: GPUs that each of them offers. All begin at this machine's first, and share it.
        resources: What else each of them offers.
        health_check: How the head tells that a node is dead; None: ``FAST_HEALTH_CHECK``.
    """
    require_token()
    config = FAST_HEALTH_CHECK if health_check is None else health_check
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": config}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    local = LocalCluster(cluster)
    try:
        for _ in range(nodes):
            local.add_node(cpus, resources or {}, gpus=gpus)
        yield local
    finally:
        cluster.shutdown()
