"""A 3B-shaped model with random weights on a GPU: memory, time, and both as forecast.

    python -m tests.bench.memory --cuda

One JSON object a line, as they come: whatever stops it, what was measured has been printed.
Needs torch, transformers and peft, and no Ray. The dry run of it needs no GPU:

    python -m tests.bench.memory --cuda --device cpu --shape tiny
"""

import gc
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from orchestrator.config.fusion import FusionConfig
from orchestrator.models.memory.activations import activations
from orchestrator.models.memory.resident import resident
from orchestrator.models.memory.work import Work, work
from tests.bench.memory.measuring import MB, Pass, measure, seconds
from tests.bench.memory.models import Group, Trained, Way, qwen_3b, tiny
from tests.bench.memory.stock import Stock

SHAPES: dict[str, Callable[[], Any]] = {"3b": qwen_3b, "tiny": tiny}
TEXT, LABELS = 100, 40
PACKED = 8
"""Samples of four images in the micro-batch whose speed is measured."""
REPEATS = 3


def report(options: Namespace) -> None:
    """Measure until it is done or the time is up."""
    bench = _Bench(options)
    for part in (bench.plain, bench.fused, bench.stock, bench.others):
        for line in _guarded(part, bench):
            print(json.dumps(line), flush=True)


class _Bench:
    def __init__(self, options: Namespace) -> None:
        self.device = torch.device(options.device)
        self.dtype = torch.bfloat16
        self.peak_tflops = options.peak_tflops
        self.until_s = time.monotonic() + options.budget_s
        self.config = SHAPES[options.shape]
        self.way = Way(dtype=self.dtype)
        self.images = options.images
        self.grid = (options.side, options.side)
        self.image_tokens = options.side**2 // 4

    def group(self, images: int) -> Group:
        return Group(grids=(self.grid,) * images, text=TEXT, labels=LABELS)

    def plain(self) -> Iterator[dict[str, Any]]:
        yield self.machine()
        trained, held = self.make(self.way)
        first = trained.step([self.group(2)])
        measure(first)
        yield self.standing(trained, held, first)
        for groups in [[self.group(n)] for n in self.images] + [[self.group(4)] * PACKED]:
            yield self.row("plain", trained, groups)

    def fused(self) -> Iterator[dict[str, Any]]:
        two = FusionConfig(budget=2 * self.image_tokens)
        trained, _ = self.make(replace(self.way, fusion=two))
        measure(trained.step([self.group(2)]))
        for images in self.images:
            yield self.row("fused", trained, [self.group(images)])

    def stock(self) -> Iterator[dict[str, Any]]:
        stock = Stock(self.config(), self.way, self.device)
        measure(stock.step(self.group(2)))
        for images in self.images[:-1]:
            step = stock.step(self.group(images))
            found = measure(step)
            tokens = self.image_tokens * images + TEXT
            yield {
                "part": "stock", "images": images, "tokens": tokens,
                "saved_mb": found.saved_bytes / MB, "peak_mb": found.peak_bytes / MB,
                **speed(step, tokens),
            }  # fmt: skip

    def others(self) -> Iterator[dict[str, Any]]:
        """Other settings, four images."""
        for name, way in (
            ("recompute off", replace(self.way, recompute=False)),
            ("offload", replace(self.way, offload=True)),
            ("projector", replace(self.way, gate="projector")),
            ("tower", replace(self.way, gate="tower")),
        ):
            trained, _ = self.make(way)
            measure(trained.step([self.group(2)]))
            yield self.row(name, trained, [self.group(4)])
            del trained

    def make(self, way: Way) -> tuple[Trained, int]:
        """A model, and the bytes that were there before."""
        empty(self.device)
        held = allocated(self.device)
        return Trained(self.config(), way, self.device), held

    def machine(self) -> dict[str, Any]:
        gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if gpu else "cpu"
        return {"part": "machine", "device": name, "torch": torch.__version__}

    def standing(self, trained: Trained, held: int, step: Pass) -> dict[str, Any]:
        """What is there between steps: the model, and what CUDA's libraries keep."""
        step.forget()
        gc.collect()
        kept = allocated(self.device) - held
        found = resident(trained.shape, trained.recipe)
        model = found.weights + found.trained // 3
        return {
            "part": "standing",
            "allocated_mb": kept / MB,
            "forecast_model_mb": model / MB,
            "libraries_mb": (kept - model) / MB,
            "forecast_total_mb": found.total / MB,
        }

    def row(self, part: str, trained: Trained, groups: list[Group]) -> dict[str, Any]:
        """One micro-batch: measured beside its forecast."""
        sketch = trained.sketch(groups)
        expected = activations(trained.shape, trained.recipe, sketch)
        step = trained.step(groups)
        found = measure(step)
        return {
            "part": part,
            "samples": len(groups),
            "images": sketch.images,
            "tokens": sketch.tokens,
            "saved_mb": found.saved_bytes / MB,
            "forecast_saved_mb": expected.saved / MB,
            "peak_mb": found.peak_bytes / MB,
            "forecast_peak_mb": expected.peak / MB,
            "ratio": expected.peak / found.peak_bytes,
            **speed(step, sketch.tokens),
            **self.share(step, work(trained.shape, trained.recipe, sketch)),
        }

    def share(self, step: Pass, done: Work) -> dict[str, Any]:
        """Of the chip's peak: by what is useful, and by all that is done."""
        took_s = median(seconds(step) for _ in range(REPEATS))
        peak = self.peak_tflops * 1e12 * took_s
        return {
            "tflop": done.total / 1e12,
            "useful_share": done.useful / peak,
            "total_share": done.total / peak,
        }


def speed(step: Pass, tokens: int) -> dict[str, Any]:
    """Seconds of a step, the median of a few, and tokens a second."""
    took_s = median(seconds(step) for _ in range(REPEATS))
    return {"s": took_s, "tokens_per_s": tokens / took_s}


def allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated() if device.type == "cuda" else 0


def empty(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _guarded(
    part: Callable[[], Iterator[dict[str, Any]]], bench: _Bench
) -> Iterator[dict[str, Any]]:
    """A part's lines; what stops it is one of them, and the next part has its turn."""
    lines = part()
    try:
        for line in lines:
            yield {key: _rounded(value) for key, value in line.items()}
            if time.monotonic() > bench.until_s:
                yield {"part": part.__name__, "stopped": "time is up"}
                sys.exit()
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        yield {"part": part.__name__, "error": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        lines.close()


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
