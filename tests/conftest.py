"""What all tests share: a tiny model, small data sets, and jobs over them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from orchestrator.demo.tiny_model import write_tiny_model
from tests.made_job import job_over, write_small_data

# Machines are shared: a deadline would time the neighbours.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# One thread a process: the clusters of the tests have more processes than this machine cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

MakeJob = Callable[..., "Any"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest model that goes every way that a real one goes."""
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder, size="test")
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 groups of 1 to 3 pictures to learn from, and 12 to be measured on."""
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def make_job(
    tiny_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeJob:
    """Makes a resolved job over the small data; sections given replace or extend its own.

    All jobs share one folder, so that the data is indexed once and MLflow has one database.
    """
    return partial(job_over, tiny_model, small_data, tmp_path_factory.mktemp("shared"))
