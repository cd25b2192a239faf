"""Faults, done to a cluster of this machine whoever trains on it."""

import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import psutil
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2

from orchestrator.cluster.internals import raylet_pid
from orchestrator.cluster.local import LocalCluster, processes_below

Fault = Literal[
    "worker",
    "node",
    "freeze",
    "drain",
    "controller",
    "lighthouse",
    "grow",
    "all_workers",
    "all_nodes",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
IN_WORDS: dict[str, str] = {
    "none": "nothing",
    "worker": "worker SIGKILLed in mid-step",
    "node": "node lost",
    "freeze": "node frozen",
    "drain": "notice of 30 s, then node lost",
    "controller": "a controller SIGKILLed",
    "lighthouse": "the lighthouse SIGKILLed",
    "grow": "node added",
    "all_workers": "all workers SIGKILLed",
    "all_nodes": "all nodes lost, as many added",
}
OURS_ALONE: tuple[Fault, ...] = ("lighthouse",)
"""Faults of what stock Ray Train does not have."""
SLOT = {"slot": 1.0}
"""A worker's place: one a node."""
NODES = 3
NOTICE_S = 30.0
CONTROLLER, LIGHTHOUSE = "ray::TrainController", "ray::Lighthouse"


@dataclass(frozen=True, slots=True)
class Victim:
    """A worker, and where it runs."""

    pid: int
    node: str


@dataclass
class Breaker:
    """Does a fault. Nodes are added and killed from the thread that started the cluster."""

    local: LocalCluster
    began_s: float = 0.0
    """When the fault began, in seconds since 1970."""
    capacity_s: float = 0.0
    """When there was room for a newcomer again, or still."""
    frozen: list[int] = field(default_factory=list)

    def act(self, fault: Fault, workers: list[Victim]) -> None:
        """Do it, to the last of the workers or to all of them."""
        self.began_s = self.capacity_s = time.time()
        act = {
            "worker": lambda: os.kill(workers[-1].pid, signal.SIGKILL),
            "all_workers": lambda: [os.kill(each.pid, signal.SIGKILL) for each in workers],
            "node": lambda: self.local.kill_node(workers[-1].node),
            "all_nodes": lambda: self._replace(workers),
            "freeze": lambda: self._freeze(workers[-1].node),
            "drain": lambda: self._drain(workers[-1].node),
            "controller": lambda: os.kill(newest_process(CONTROLLER), signal.SIGKILL),
            "lighthouse": lambda: os.kill(newest_process(LIGHTHOUSE), signal.SIGKILL),
            "grow": self._grow,
        }
        act[fault]()

    def _grow(self) -> None:
        self.local.add_node(2, SLOT)
        self.began_s = self.capacity_s = time.time()

    def _replace(self, workers: list[Victim]) -> None:
        for worker in workers:
            self.local.kill_node(worker.node)
        for number in range(len(workers)):
            self.local.add_node(2, SLOT)
            if not number:
                self.capacity_s = time.time()

    def _freeze(self, node: str) -> None:
        [found] = [n for n in self.local.cluster.worker_nodes if n.node_id == node]
        for pid in processes_below(raylet_pid(found)):
            os.kill(pid, signal.SIGSTOP)
            self.frozen.append(pid)

    def _drain(self, node: str) -> None:
        deadline_ms = int(1000 * (time.time() + NOTICE_S))
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        GcsClient(address=self.local.address).drain_node(node, reason, "spot", deadline_ms)

    def end_notice(self, node: str) -> None:
        """Take a node away whose notice has run out."""
        self.local.kill_node(node)

    def clear_up(self) -> None:
        """End what is frozen: it would not hear that it is to stop."""
        for pid in self.frozen:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def called(title: str) -> list[psutil.Process]:
    """The processes that Ray calls so, of all that came from this one."""
    return [p for p in psutil.Process().children(recursive=True) if _is_called(p, title)]


def newest_process(title: str) -> int:
    """The one of them that was started last."""
    found = called(title)
    assert found, f"no process is called {title}"
    return max(found, key=lambda process: process.create_time()).pid


def _is_called(process: psutil.Process, title: str) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(title)
    except psutil.Error:
        return False


def started_s(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None where it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or only its entry is left."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def record(breaker: Breaker, workers: list[Victim]) -> dict[str, Any]:
    """What the figures need to know of a fault."""
    return {
        "began_s": breaker.began_s,
        "capacity_s": breaker.capacity_s,
        "workers": [worker.pid for worker in workers],
    }
