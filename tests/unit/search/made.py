"""Searches and trials made by hand."""

import itertools
import json
from pathlib import Path
from typing import Any

from orchestrator.config.job import Job
from orchestrator.config.search import SearchConfig
from orchestrator.search.naming import trial_name
from orchestrator.search.trials import Trial, TrialFigures

SPACE = {"images.max_images": [2, 4, 6], "train.global_batch": [8, 16]}


def a_search(**given: Any) -> SearchConfig:
    return SearchConfig.model_validate_json(json.dumps({"space": SPACE, **given}))


def a_job(storage: Path | str = "runs", **search: Any) -> Job:
    job = {
        "name": "demo",
        "model": {"path": "org/model"},
        "data": {"train": {"path": "train.json"}, "eval": {"path": "eval.json"}},
        "images": {"select": "even"},
        "storage": {"path": str(storage)},
        "search": {"space": SPACE, **search},
    }
    return Job.model_validate_json(json.dumps(job)).resolved(Path("/"))


def figures_of(loss: float, **given: Any) -> TrialFigures:
    usual = {
        "steps": 30,
        "planned_steps": 30,
        "micro_batches": 4.0,
        "train_loss": loss,
        "accuracy": 0.5,
        "peak_memory_mb": 900.0,
        "samples_per_s": 20.0,
        "device_hours": 0.01,
    }
    return TrialFigures(loss=loss, **{**usual, **given})


def a_trial(number: int, values: dict[str, Any], loss: float = 1.0, **given: Any) -> Trial:
    usual: dict[str, Any] = {
        "name": trial_name("demo", values),
        "status": "finished",
        "figures": figures_of(loss),
        "weights_sha256": "ab" * 32,
    }
    return Trial(number=number, values=values, **{**usual, **given})


def whole_grid() -> list[Trial]:
    """Loss falls with images, and grows a little with the batch."""
    return [
        a_trial(number, dict(zip(SPACE, point, strict=True)), 1 / point[0] + point[1] / 1000)
        for number, point in enumerate(itertools.product(*SPACE.values()), 1)
    ]
