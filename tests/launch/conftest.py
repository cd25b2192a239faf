"""One job for all clusters of this folder, and what it learns where nothing happens to it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config.job import Job
from tests.launch.worlds import PROGRAM, ROOT, hosts_allowed

__all__ = ["hosts_allowed"]

EPOCHS = 40
NUM_SAMPLES = 40 * EPOCHS
"""Samples of the small data, over its epochs."""
CHECKPOINT_EVERY = 4
LONG = {"epochs": EPOCHS, "checkpoint_every_steps": CHECKPOINT_EVERY}


@pytest.fixture(scope="session")
def far_job(make_job: Callable[..., Job]) -> Callable[[str, int], Job]:
    """A job that takes one place on each of so many machines."""

    def make(name: str, workers: int) -> Job:
        scale = {"workers": [1, workers], "resources": {"slot": 1.0}, "gpu": False}
        return make_job(name, train=LONG, scale=scale)

    return make


def write_job(job: Job, folder: Path) -> str:
    """The job's file, with full paths: those of folders that all hosts share."""
    path = folder / f"{job.name}.yaml"
    path.write_text(yaml.safe_dump(job.model_dump(mode="json")))
    return str(path)


@pytest.fixture(scope="session")
def undisturbed(
    hosts_allowed: None, make_job: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What ``train`` says of the same job on one worker of a private cluster."""
    del hosts_allowed
    job = make_job("undisturbed-far", train=LONG, scale={"gpu": False})
    path = write_job(job, tmp_path_factory.mktemp("undisturbed"))
    done = subprocess.run(
        [*PROGRAM, "train", path, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["samples_used"] == NUM_SAMPLES
    return result
