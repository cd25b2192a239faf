"""On a CPU: ours beside the stock recipe, fusion under a budget, and the forecast held to both.

The goals are those of the model with 8 + 8 layers, 512 wide, in float32, with 196 tokens an
image and random weights.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from orchestrator.config.fusion import FusionConfig
from orchestrator.models.forward import encode_images
from orchestrator.models.memory.activations import activations
from tests.bench.memory.drawn import NUM_DRAWN, drawn
from tests.bench.memory.measuring import MB, measure, seconds
from tests.bench.memory.models import (
    Group,
    Trained,
    Way,
    facts_8,
    grids_of,
    pixels_of,
)
from tests.bench.memory.stock import Stock

CPU = torch.device("cpu")
GRID = (28, 28)
TEXT, LABELS = 100, 40
REPEATS = 3
FUSED = FusionConfig(budget=392)
"""Two images' tokens."""


def group_of(images: int) -> Group:
    return Group(grids=(GRID,) * images, text=TEXT, labels=LABELS)


def report_stock() -> None:
    """Times are taken in turns, so that both see the same machine."""
    ours, stock = Trained(facts_8(), Way(), CPU), Stock(facts_8(), Way(), CPU)
    print(f"{'':8}{'images':>7}{'saved MB':>10}{'peak MB':>9}{'forecast':>9}{'CPU s':>7}")
    for images in (4, 8):
        steps = {"ours": ours.step([group_of(images)]), "stock": stock.step(group_of(images))}
        found = {name: measure(step) for name, step in steps.items()}
        spent: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(REPEATS):
            for name, step in steps.items():
                spent[name].append(seconds(step))
        sketch = ours.sketch([group_of(images)])
        expected = activations(ours.shape, ours.recipe, sketch).peak / MB
        for name, one in found.items():
            forecast = f"{expected:.0f}" if name == "ours" else ""
            print(
                f"{name:8}{images:7}{one.saved_bytes / MB:10.1f}{one.peak_bytes / MB:9.0f}"
                f"{forecast:>9}{median(spent[name]):7.1f}",
                flush=True,
            )


def report_fusion() -> None:
    trained = Trained(facts_8(), Way(fusion=FUSED), CPU)
    print(f"\n{'images':>7}{'LM tokens':>10}{'saved MB':>10}{'peak MB':>9}{'forecast':>9}"
          f"{'tower s':>9}{'rest s':>8}")  # fmt: skip
    for images in (2, 4, 8, 16, 32):
        groups = [group_of(images)]
        step, sketch = trained.step(groups), trained.sketch(groups)
        found = measure(step)
        whole_s = median(seconds(step) for _ in range(REPEATS))
        tower_s = median(took_s(tower_of(trained, groups)) for _ in range(REPEATS))
        expected = activations(trained.shape, trained.recipe, sketch).peak / MB
        print(
            f"{images:7}{sketch.tokens:10}{found.saved_bytes / MB:10.1f}"
            f"{found.peak_bytes / MB:9.0f}{expected:9.0f}{tower_s:9.2f}"
            f"{whole_s - tower_s:8.2f}",
            flush=True,
        )


def tower_of(trained: Trained, groups: list[Group]) -> Callable[[], Any]:
    patches_PD, grids_I3 = pixels_of(groups, trained.info), grids_of(groups)
    return lambda: encode_images(trained.model, patches_PD, grids_I3, trained.info.images)


def took_s(call: Callable[[], Any]) -> float:
    started_s = time.process_time()
    call()
    return time.process_time() - started_s


def report_drawn() -> None:
    print(f"\n{'':4}{'MB':>8}{'forecast':>9}{'ratio':>7}   saved: ratio")
    ratios = []
    for number in range(NUM_DRAWN):
        one = drawn(number)
        trained = Trained(one.config, one.way, CPU)
        expected = activations(trained.shape, trained.recipe, trained.sketch(one.groups))
        found = measure(trained.step(one.groups))
        ratios.append(expected.peak / found.peak_bytes)
        print(
            f"{number:4}{found.peak_bytes / MB:8.1f}{expected.peak / MB:9.1f}{ratios[-1]:7.2f}"
            f"{expected.saved / found.saved_bytes:10.2f}   {one.name}",
            flush=True,
        )
    low, high = min(ratios), max(ratios)
    print(f"forecast over measured: {low:.2f} to {high:.2f} in {len(ratios)} configurations")
