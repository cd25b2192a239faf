"""A cluster to break, and a training that is watched and disturbed."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster, start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import TrainResult, train
from orchestrator.config.job import Job
from tests.faults.disasters import SLOT, Disturbance


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with (
        start_cluster(3, cpus=2, resources=SLOT) as local,
        open_session(local.address, cpus=1),
    ):
        yield local


@pytest.fixture(scope="module")
def run_on(cluster: LocalCluster) -> Callable[..., TrainResult]:
    """Trains a job while the disturbance is done from this thread: it may stop nodes."""
    assert cluster.address
    return _train_disturbed


def _train_disturbed(job: Job, disturbance: Disturbance | None = None) -> TrainResult:
    prepared = prepare(job)
    victims: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def watch(events: list[Any]) -> None:
        for event in events:
            if disturbance and (victim := disturbance.due(event)):
                victims.put(victim)

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train, prepared, watch)
        training.add_done_callback(lambda _: victims.put(None))
        while victim := victims.get(timeout=200):
            assert disturbance is not None
            disturbance.act(victim)
        result = training.result()
    assert disturbance is None or disturbance.is_done, "the disturbance came too late"
    return result
