"""When it pays to keep what the vision tower made of images.

    .venv/bin/python -m tests.bench.features

First, how many images a worker finds again, epoch by epoch: micro-batches are dealt by cost, so
an image comes to another worker each time. Then CPU seconds of an epoch on one thread, of a
model whose vision tower and language model are to each other as in Qwen2.5-VL-3B.
"""

import itertools
import json
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.demo import tiny_model
from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import Address, Plan
from orchestrator.train.learner import VisionLanguageLearner

SAMPLES, EPOCHS = 600, 5
PICTURES = 8
"""Of a micro-batch of two samples, at 196 tokens each."""
MICROS = 3
SIDE = 392
FUSION = {"budget": 128, "floor": 4, "narrow": 64, "grid": 2, "heads": 2, "layers": 1}
"""16 to 32 tokens of an image."""


class Newest:
    """Makes room for the newest by what was not asked for the longest."""

    def __init__(self, room: int) -> None:
        self._room, self._kept = room, OrderedDict[Any, None]()

    def has(self, image: Any) -> bool:
        if found := image in self._kept:
            self._kept.move_to_end(image)
        else:
            self._kept[image] = None
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
        return found


class First:
    """What is in it stays, as in ``models.features``."""

    def __init__(self, room: int) -> None:
        self._room, self._kept = room, set[Any]()

    def has(self, image: Any) -> bool:
        found = image in self._kept
        if not found and len(self._kept) < self._room:
            self._kept.add(image)
        return found


def asked(plan: Plan, epoch: int, world_size: int, images_N: Any) -> Iterator[tuple[int, Any]]:
    """Every image of an epoch, with the rank that it falls to."""
    first = epoch * plan.steps_per_epoch
    for step in map(plan.step, range(first, first + plan.steps_per_epoch)):
        for rank, hand in enumerate(deal_step(step.cost_K, world_size=world_size)):
            for sample in itertools.chain.from_iterable(step.micros[k].samples for k in hand):
                yield from ((rank, (sample, image)) for image in range(images_N[sample]))


def report_hits() -> None:
    images_N = np.random.default_rng(0).integers(1, 5, SAMPLES)
    tokens_N = 40 + 200 * images_N
    plan = Plan(
        tokens_N=tokens_N,
        cost_N=tokens_N.astype(float),
        epochs=EPOCHS,
        global_batch=32,
        micro_tokens=2048,
        seed=1,
    )
    print(f"{'workers':>8} {'room of each':>13} {'keeps':>7}   found again, by epoch")
    for world_size, share, kind in itertools.product((1, 3, 8), (1.0, 0.5), (First, Newest)):
        caches = [kind(int(share * images_N.sum())) for _ in range(world_size)]
        found = []
        for epoch in range(EPOCHS):
            hits = [caches[r].has(i) for r, i in asked(plan, epoch, world_size, images_N)]
            found.append(np.mean(hits))
        rates = " ".join(f"{rate:5.0%}" for rate in found)
        print(f"{world_size:8} {share:13.0%} {kind.__name__.lower():>7}   {rates}")


def make_batch(learner: VisionLanguageLearner, number: int) -> MicroBatch:
    rng, coder = np.random.default_rng(number), learner.info.images
    size = coder.target_size(SIDE, SIDE)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(PICTURES)]
    slots = np.full(PICTURES // 2, -1)
    texts = [np.concatenate([[11], slots, rng.integers(20, 60, 40)]) for _ in range(2)]
    return MicroBatch(
        address=Address(0, 0, number),
        samples=(0, 1),
        ids=("a", "b"),
        faults=(),
        ids_L=np.concatenate(texts).astype(np.int32),
        labels_L=np.concatenate([np.arange(len(text)) >= len(text) - 12 for text in texts]),
        lengths_S=np.array([len(text) for text in texts], np.int32),
        images_S=np.full(2, PICTURES // 2, np.int32),
        grids_I3=np.array([coder.grid(*size)] * PICTURES, np.int32),
        patches_PD=np.concatenate([coder.patches(picture) for picture in pictures]),
    )


def epochs_s(model: Path, fusion: dict[str, int] | None, cache_gib: float) -> list[float]:
    """CPU seconds of each of three epochs."""
    job = {
        "name": "bench",
        "model": {"path": str(model)},
        "data": {"train": {"path": "none.json"}},
        "images": {"max_pixels": SIDE * SIDE},
        "fusion": fusion,
        "train": {"cache_features_gib": cache_gib},
    }
    learner = VisionLanguageLearner.load(
        Job.model_validate_json(json.dumps(job)), torch.device("cpu")
    )
    batches = [make_batch(learner, number) for number in range(MICROS)]
    learner.backward(make_batch(learner, MICROS))
    spent = []
    for _ in range(3):
        started_s = time.process_time()
        for batch in batches:
            learner.backward(batch)
        spent.append(time.process_time() - started_s)
    return spent


def report_times() -> None:
    tiny_model._DIMS["test"] = tiny_model._Dims(
        hidden=512, layers=4, vision_hidden=192, vision_layers=4, head_dim=64, mlp=1376
    )
    print(f"\n{'':24} {'cache':>6}   CPU s of epochs 1, 2 and 3")
    with tempfile.TemporaryDirectory() as folder:
        tiny_model.write_tiny_model(Path(folder), size="test")
        for name, fusion in (("196 tokens an image", None), ("fused: 16 to 32", FUSION)):
            for cache_gib in (0.0, 1.0):
                times = " ".join(f"{s:6.2f}" for s in epochs_s(Path(folder), fusion, cache_gib))
                print(f"{name:24} {'on' if cache_gib else 'off':>6}   {times}", flush=True)


if __name__ == "__main__":
    report_hits()
    report_times()
