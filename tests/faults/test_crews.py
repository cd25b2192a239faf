"""Cells of two workers, each holding half of the frozen base: the same weights as one alone."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster
from orchestrator.cluster.training import TrainResult
from tests.faults.conftest import assert_every_sample_once, long_job
from tests.faults.disasters import Disturbance, parent_of

Run = Callable[..., TrainResult]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(800)]


def crews(least: int) -> dict[str, Any]:
    """Two cells of two at most; workers are counted over all cells."""
    return {"workers": [least, 4], "workers_per_cell": 2, "gpu": False}


@pytest.mark.long
def test_two_cells_of_two_learn_what_one_worker_does(
    make_job: Callable[..., Any], run_on: Run, undisturbed_sha256: str
) -> None:
    result = run_on(long_job(make_job, "crews", crews(least=4)))
    # What has two workers is one member of the quorum.
    assert result.figures.world_sizes == (2,)
    assert_every_sample_once(result)
    assert result.weights_sha256 == undisturbed_sha256


@pytest.mark.parametrize("who", ["leader", pytest.param("follower", marks=pytest.mark.long)])
def test_a_cell_that_loses_a_worker_is_lost_as_one_and_changes_nothing(
    make_job: Callable[..., Any],
    run_on: Run,
    cluster: LocalCluster,
    undisturbed_sha256: str,
    who: str,
) -> None:
    kill = KillOfOne(cluster, who)
    result = run_on(long_job(make_job, f"crews-{who}", crews(least=2)), kill)
    assert kill.killed
    assert result.figures.losses == 1
    assert_every_sample_once(result)
    assert result.weights_sha256 == undisturbed_sha256


@dataclass
class KillOfOne:
    """SIGKILL to one worker of a cell of two, as a ``Disturbance``."""

    cluster: LocalCluster
    who: str
    leaders: set[int] = field(default_factory=set)
    killed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._when = Disturbance(step=2, world_size=2, act=self.act)

    @property
    def is_done(self) -> bool:
        return self._when.is_done

    def due(self, event: dict[str, Any]) -> dict[str, Any] | None:
        if event["kind"] == "joined":
            self.leaders.add(event["pid"])
        return self._when.due(event)

    def act(self, joined: dict[str, Any]) -> None:
        followers = train_workers(self.cluster) - self.leaders
        self.killed.append(joined["pid"] if self.who == "leader" else min(followers))
        os.kill(self.killed[0], signal.SIGKILL)


def train_workers(cluster: LocalCluster) -> set[int]:
    """Processes in which Ray Train runs a worker, on this cluster's nodes and no other's."""
    raylets = {
        started.process.pid
        for node in cluster.cluster.list_all_nodes()
        for started in node.all_processes["raylet"]
    }
    found = set()
    for line in Path("/proc").iterdir():
        if line.name.isdecimal():
            try:
                title = (line / "cmdline").read_bytes()
                if b"TrainWorker" in title and parent_of(int(line.name)) in raylets:
                    found.add(int(line.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
