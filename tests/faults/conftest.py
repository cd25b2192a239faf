"""A cluster to break, and trainings that are watched and disturbed."""

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster, start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import TrainResult, train
from orchestrator.config.job import Job
from orchestrator.storage import Store
from orchestrator.tracking.run_log import read_log
from tests.faults.disasters import SLOT, Disturbance

NODES = 3
EPOCHS = 10
NUM_SAMPLES = 40 * EPOCHS
"""Samples of the small data, over its epochs."""


def scale(most: int, least: int = 1) -> dict[str, Any]:
    return {"workers": [least, most], "resources": SLOT, "gpu": False}


_open = ExitStack()
"""The cluster, as long as tests of this folder run: those of others have Ray for themselves."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path.parent != item.path.parent:
        _open.close()


@pytest.fixture(scope="session")
def shared_cluster() -> LocalCluster:
    local = _open.enter_context(start_cluster(NODES, cpus=2, resources=SLOT))
    _open.enter_context(open_session(local.address, cpus=1))
    return local


@pytest.fixture
def cluster(shared_cluster: LocalCluster) -> LocalCluster:
    """Three nodes that nothing has happened to; a test may do as it likes with them."""
    shared_cluster.renew(NODES, cpus=2, resources=SLOT)
    return shared_cluster


@pytest.fixture
def run_on(cluster: LocalCluster) -> Callable[..., TrainResult]:
    """Trains a job while the disturbances are done from this thread: it may stop nodes."""
    assert cluster.address
    return train_disturbed


@pytest.fixture(scope="session")
def undisturbed_sha256(shared_cluster: LocalCluster, make_job: Callable[..., Any]) -> str:
    """What one worker alone learns: what all others are held against."""
    assert shared_cluster.address
    result = train_disturbed(long_job(make_job, "alone", scale(1)))
    assert result.figures.world_sizes == (1,)
    assert_every_sample_once(result)
    return result.weights_sha256


def long_job(make_job: Callable[..., Any], name: str, scaled: dict[str, Any]) -> Any:
    """Long enough for every cell to have come before it ends, on a slow machine too."""
    return make_job(name, train={"epochs": EPOCHS}, scale=scaled)


def assert_every_sample_once(result: TrainResult) -> None:
    assert result.figures.samples_used == NUM_SAMPLES
    assert result.figures.steps_replayed == 0
    assert result.exact


def events_of(result: TrainResult, *kinds: str) -> list[dict[str, Any]]:
    """What the run's log holds of some kinds."""
    events = read_log(Store.open(result.run_dir))
    return [dict(event) for event in events if event["kind"] in kinds]


def train_disturbed(job: Job, *disturbances: Disturbance) -> TrainResult:
    """Train, and do what is to be done once its time has come."""
    prepared = prepare(job)
    due: queue.Queue[tuple[Disturbance, dict[str, Any]] | None] = queue.Queue()

    def watch(events: list[Any]) -> None:
        for event in events:
            for disturbance in disturbances:
                if victim := disturbance.due(event):
                    due.put((disturbance, victim))

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train, prepared, watch)
        training.add_done_callback(lambda _: due.put(None))
        while found := due.get(timeout=500):
            disturbance, victim = found
            disturbance.act(victim)
        result = training.result()
    assert all(d.is_done for d in disturbances), "a disturbance came too late"
    return result
