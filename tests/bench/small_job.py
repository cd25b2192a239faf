"""The job that the benchmarks train: a tiny model on made pictures, a sample a micro-batch."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestrator.cluster.prepare import Prepared
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import render
from orchestrator.demo.tiny_model import Size, write_tiny_model
from tests.bench.breaking import SLOT

ROWS = 48
PICTURES = 2
"""Of a sample, which has some 32 tokens with them."""


def make_job(
    folder: Path,
    *,
    steps: int,
    global_batch: int,
    workers: tuple[int, int],
    size: Size = "test",
    checkpoint_every_steps: int = 20,
) -> Job:
    """A resolved job of so many steps, or as few more as make whole epochs."""
    _write_data(folder / "data")
    write_tiny_model(folder / "model", size=size)
    steps_an_epoch = -(-ROWS // global_batch)
    job: dict[str, Any] = {
        "name": "bench",
        "model": {"path": str(folder / "model")},
        "data": {"train": {"path": str(folder / "data/train.json")}},
        "images": {"max_images": PICTURES, "max_pixels": 50_176},
        "lora": {"rank": 4, "dropout": 0.1},
        "train": {
            "epochs": -(-steps // steps_an_epoch),
            "global_batch": global_batch,
            # Fewer than two samples have: so every sample is a micro-batch of its own.
            "micro_tokens": 54,
            "learning_rate": 1e-3,
            "checkpoint_every_steps": checkpoint_every_steps,
        },
        "scale": {"workers": list(workers), "resources": SLOT, "gpu": False},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        "storage": {"path": str(folder / "runs")},
    }
    return Job.model_validate_json(json.dumps(job)).resolved(folder)


def _write_data(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = []
    for row in range(ROWS):
        names = [f"{row}-{number}.jpg" for number in range(PICTURES)]
        for number, name in enumerate(names):
            rng = np.random.default_rng(1000 * row + number)
            pixels = rng.integers(0, 255, (56, 84, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
        talk = [
            {"role": "human", "content": "Which one?"},
            {"role": "assistant", "content": f"image {row % 3}"},
        ]
        rows.append({"id": f"row{row}", "images": names, "conversations": talk})
    (folder / "train.json").write_text(json.dumps(rows))


def write_rendered(prepared: Prepared, path: Path) -> None:
    """Every step's micro-batches as one file, for loops that stream nothing."""
    course = prepared.courses["train"]
    index, plan = course.open()
    with path.open("wb") as file:
        for step in plan.steps_from(0):
            batches = [
                render(index.rows(micro.samples), step.address(number), course.spec)
                for number, micro in enumerate(step.micros)
            ]
            assert len(batches) == len(step.cost_K)
            pickle.dump([batch.to_table() for batch in batches], file)


def read_rendered(path: Path) -> Iterator[list[MicroBatch]]:
    """The micro-batches that ``write_rendered`` wrote, a step at a time."""
    with path.open("rb") as file:
        while file.peek(1):
            yield [MicroBatch.from_table(table) for table in pickle.load(file)]
