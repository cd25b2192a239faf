"""One job for all clusters of this folder, and what it learns where nothing happens to it."""

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config.job import Job
from tests.launch.worlds import PROGRAM, ROOT, hosts_allowed

__all__ = ["hosts_allowed"]

EPOCHS = 40
ROWS = 40
"""Samples of the small data."""
CHECKPOINT_EVERY = 4
MakeFarJob = Callable[[str, int, int], Job]


def recipe(epochs: int) -> dict[str, Any]:
    return {"epochs": epochs, "checkpoint_every_steps": CHECKPOINT_EVERY}


@pytest.fixture(scope="session")
def far_job(make_job: Callable[..., Job]) -> MakeFarJob:
    """Makes a job that takes one place on each of so many machines, for so many epochs."""

    def make(name: str, workers: int, epochs: int) -> Job:
        scale = {"workers": [1, workers], "resources": {"slot": 1.0}, "gpu": False}
        return make_job(name, train=recipe(epochs), scale=scale)

    return make


def write_job(job: Job, folder: Path) -> str:
    """The job's file, with full paths: those of folders that all hosts share."""
    path = folder / f"{job.name}.yaml"
    path.write_text(yaml.safe_dump(job.model_dump(mode="json")))
    return str(path)


@pytest.fixture(scope="session")
def undisturbed(
    hosts_allowed: None, make_job: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], str]:
    """The SHA-256 that ``train`` comes to on one worker of a private cluster, by epochs."""
    del hosts_allowed
    folder = tmp_path_factory.mktemp("undisturbed")

    @cache
    def train(epochs: int) -> str:
        job = make_job(f"undisturbed{epochs}", train=recipe(epochs), scale={"gpu": False})
        done = subprocess.run(
            [*PROGRAM, "train", write_job(job, folder), "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert result["samples_used"] == ROWS * epochs
        return str(result["weights_sha256"])

    return train
