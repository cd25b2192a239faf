"""The job that the benchmarks train: a tiny model on made pictures, a sample a micro-batch."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import render
from orchestrator.demo.tiny_model import Size, write_tiny_model
from tests.bench.breaking import SLOT

PICTURES = 2
"""Of a sample."""
TOKENS = 32
"""Of a sample, its pictures included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a job is like."""

    steps: int
    """At least; there are as many more as make whole epochs."""
    global_batch: int
    workers: tuple[int, int]
    samples_a_micro: int = 1
    size: Size = "test"
    checkpoint_every_steps: int = 20

    @property
    def rows(self) -> int:
        """Samples in the data: whole steps of them."""
        return self.global_batch * max(1, 48 // self.global_batch)


def make_job(folder: Path, shape: Shape) -> Job:
    """A resolved job, with its data and its model, in a folder."""
    _write_data(folder / "data", shape.rows)
    write_tiny_model(folder / "model", size=shape.size)
    job: dict[str, Any] = {
        "name": "bench",
        "model": {"path": str(folder / "model")},
        "data": {"train": {"path": str(folder / "data/train.json")}},
        "images": {"max_images": PICTURES, "max_pixels": 50_176},
        "lora": {"rank": 4, "dropout": 0.1},
        "train": {
            "epochs": -(-shape.steps * shape.global_batch // shape.rows),
            "global_batch": shape.global_batch,
            # Too few for one sample more.
            "micro_tokens": TOKENS * shape.samples_a_micro + TOKENS // 2,
            "learning_rate": 1e-3,
            "checkpoint_every_steps": shape.checkpoint_every_steps,
        },
        "scale": {"workers": list(shape.workers), "resources": SLOT, "gpu": False},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        "storage": {"path": str(folder / "runs")},
    }
    return Job.model_validate_json(json.dumps(job)).resolved(folder)


def _write_data(folder: Path, num_rows: int) -> None:
    folder.mkdir(parents=True)
    rows = []
    for row in range(num_rows):
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
