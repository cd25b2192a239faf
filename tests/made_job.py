"""A tiny model, small data, and jobs over them: what tests and measurements train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestrator.config.job import Job
from orchestrator.demo.tiny_model import write_tiny_model


def write_picture(path: Path, seed: int, width: int = 84, height: int = 60) -> None:
    """A picture of noise; every seed another."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_small_data(folder: Path, num_rows: int = 40) -> Path:
    """Groups of 1 to 3 pictures to learn from, and 12 to be measured on."""
    for part, most in (("train", num_rows), ("eval", 12)):
        rows = []
        for row in range(most):
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


def job_over(
    model: Path, data: Path, shared: Path, name: str, **sections: dict[str, Any]
) -> Job:
    """A resolved job; sections given replace or extend its own."""
    job: dict[str, Any] = {
        "name": name,
        "model": {"path": str(model)},
        "data": {
            "train": {"path": str(data / "train.json")},
            "eval": {"path": str(data / "eval.json")},
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


def made_job(folder: Path, name: str, num_rows: int = 40, **sections: dict[str, Any]) -> Job:
    """The same with a model and data made on the spot."""
    model, data = folder / "model", folder / "data"
    for each in (model, data):
        each.mkdir()
    write_tiny_model(model, size="test")
    return job_over(model, write_small_data(data, num_rows), folder, name, **sections)
