"""What all tests share: a tiny model, small data sets, and jobs over them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from orchestrator.config.job import Job
from orchestrator.demo.tiny_model import write_tiny_model

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


def write_picture(path: Path, seed: int, width: int = 84, height: int = 60) -> None:
    """A picture of noise; every seed another."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 groups of 1 to 3 pictures to learn from, and 12 to be measured on."""
    folder = tmp_path_factory.mktemp("data")
    for part, num_rows in (("train", 40), ("eval", 12)):
        rows = []
        for row in range(num_rows):
            names = [f"{part}-{row}-{number}.jpg" for number in range(1 + row % 3)]
            for number, name in enumerate(names):
                write_picture(folder / name, 1000 * row + number, height=56 + 14 * (row % 5))
            talk = [
                {"role": "human", "content": "Which one?"},
                {"role": "assistant", "content": f"image {row % 3}"},
            ]
            rows.append({"id": f"{part}{row}", "images": names, "conversations": talk})
        (folder / f"{part}.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="session")
def make_job(
    tiny_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeJob:
    """Makes a resolved job over the small data; sections given replace or extend its own.

    All jobs share one folder, so that the data is indexed once and MLflow has one database.
    """
    shared = tmp_path_factory.mktemp("shared")

    def make(name: str, **sections: dict[str, Any]) -> Job:
        job: dict[str, Any] = {
            "name": name,
            "model": {"path": str(tiny_model)},
            "data": {
                "train": {"path": str(small_data / "train.json")},
                "eval": {"path": str(small_data / "eval.json")},
            },
            "images": {"max_images": 3, "max_pixels": 50_176},
            "lora": {"rank": 4, "dropout": 0.1},
            "train": {
                "epochs": 3,
                "global_batch": 16,
                "micro_tokens": 128,
                "learning_rate": 1e-3,
                "checkpoint_every_steps": 4,
            },
            "tracking": {"uri": f"sqlite:///{shared}/mlflow.db"},
            "storage": {"path": str(shared / "runs")},
        }
        for section, fields in sections.items():
            job[section] = {**job.get(section, {}), **fields}
        return Job.model_validate_json(json.dumps(job)).resolved(Path.cwd())

    return make
