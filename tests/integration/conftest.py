"""A private Ray on this machine, for all tests of this folder."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import TrainResult, train
from orchestrator.config.job import Job


@pytest.fixture(scope="session")
def session() -> Iterator[None]:
    with open_session(None, cpus=3):
        yield


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """What the training of a test told."""
    return []


@pytest.fixture
def run_job(session: None, events: list[dict[str, Any]]) -> Callable[[Job], TrainResult]:
    """Indexes and trains a job, and keeps its events."""
    del session

    def run(job: Job) -> TrainResult:
        return train(prepare(job), events.extend)

    return run
