"""One unit of the study, in a process of its own.

``python -m tests.bench.fusion.unit TASK SEED METHOD...`` prints one line of JSON a
training. Encoder and bases are kept between runs.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import nn

from tests.bench.fusion import base, encoder
from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.measure import (
    BAR_IMAGES,
    CONTROLS,
    TEST_SAMPLES,
    packed,
    score,
    sizes_of,
)
from tests.bench.fusion.model import Answerer
from tests.bench.fusion.results import VERSION
from tests.bench.fusion.train import STEPS, Student, train

KEPT: Final = Path(".bench/fusion")
M = TypeVar("M", bound=nn.Module)


def kept(name: str, empty: M, teach: Callable[[], M]) -> M:
    """A module as it was taught by an earlier run, or else now."""
    path = KEPT / f"{name}-{VERSION}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may come here at once: both teach the same, and the later one stays.
        new = path.with_suffix(f".{time.monotonic_ns()}")
        torch.save(teach().state_dict(), new)
        new.replace(path)
    empty.load_state_dict(torch.load(path, weights_only=True))
    return empty


def measured(student: Student, seeing: Encoder, task: str) -> dict[str, Any]:
    """Accuracy by number of pictures, the controls, and what answering takes."""
    started_s = time.monotonic()
    at_bar = score(student, seeing, task, BAR_IMAGES)
    answer_ms = 1000 * (time.monotonic() - started_s) / TEST_SAMPLES
    scores = {
        images: at_bar if images == BAR_IMAGES else score(student, seeing, task, images)
        for images in sizes_of(task)
    }
    return {
        "accuracy": {str(images): round(one.accuracy, 4) for images, one in scores.items()},
        "lm_tokens": {str(images): round(one.lm_tokens, 2) for images, one in scores.items()},
        "controls": {
            name: round(score(student, seeing, task, BAR_IMAGES, name).accuracy, 4)
            for name in CONTROLS
        },
        "right": packed(at_bar.is_right_S),
        "answer_ms": round(answer_ms, 2),
    }


def main() -> None:
    """Teach what is not there yet, then train and measure method after method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("seed", type=int)
    parser.add_argument("methods", nargs="+")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeing = kept("encoder", Encoder(), lambda: encoder.teach(0)).eval()
    reading = kept(
        f"base-{asked.task}-{asked.seed}",
        Answerer(),
        lambda: base.teach(asked.task, asked.seed, seeing),
    )
    for method in asked.methods:
        student, spent = train(asked.task, method, asked.seed, encoder=seeing, base=reading)
        found = {
            "task": asked.task,
            "method": method,
            "seed": asked.seed,
            "steps": STEPS,
            "parameters": spent.parameters,
            "wall_s": round(spent.wall_s, 1),
            "cpu_s": round(spent.cpu_s, 1),
            **measured(student, seeing, asked.task),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
