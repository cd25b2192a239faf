"""What torch had allocated while something ran: on a CPU from its profiler, on a GPU by itself.

Memory of the process is no measure: freed memory stays with it, and NumPy's is in it too.
"""

import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.profiler import profile, record_function

MB = 1e6
_SAVED, _LOOK = "orchestrator saved", "orchestrator look"


@dataclass(frozen=True)
class Measured:
    """Of one forward and backward pass, beyond what was there before."""

    saved_bytes: int
    """Between forward and backward."""

    peak_bytes: int


@dataclass(frozen=True)
class Pass:
    """A forward pass that returns a loss; gradients are let go of afterwards."""

    forward: Callable[[], torch.Tensor]
    forget: Callable[[], None]
    device: torch.device


def measure(step: Pass) -> Measured:
    """Run it once, with nobody clearing up after an earlier one meanwhile."""
    step.forget()
    gc.collect()
    gc.disable()
    try:
        return _on_gpu(step) if step.device.type == "cuda" else _on_cpu(step)
    finally:
        gc.enable()


def seconds(step: Pass) -> float:
    """CPU seconds on a CPU, wall seconds on a GPU."""
    step.forget()
    if step.device.type == "cuda":
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        step.forward().backward()
        torch.cuda.synchronize()
        return time.perf_counter() - started_s
    started_s = time.process_time()
    step.forward().backward()
    return time.process_time() - started_s


def _on_gpu(step: Pass) -> Measured:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    loss = step.forward()
    torch.cuda.synchronize()
    saved = torch.cuda.memory_allocated() - before
    loss.backward()
    torch.cuda.synchronize()
    return Measured(saved, torch.cuda.max_memory_allocated() - before)


def _on_cpu(step: Pass) -> Measured:
    series, marks = trace(step)
    at_mark = [held for when, held in series if when <= marks[_SAVED][0]]
    return Measured(at_mark[-1], max(held for _, held in series))


def trace(
    step: Pass, inside: AbstractContextManager[Any] | None = None
) -> tuple[list[tuple[int, int]], dict[str, list[int]]]:
    """Bytes held at each change, by time in ns, and when each mark was passed."""
    with inside or nullcontext(), profile(use_cpu=True, profile_memory=True) as found:
        loss = step.forward()
        with record_function(_SAVED):
            pass
        loss.backward()
    events = found.kineto_results.events()
    held, series = 0, []
    for event in sorted(
        (event for event in events if event.name() == "[memory]"), key=lambda e: e.start_ns()
    ):
        held += event.nbytes()
        series.append((event.start_ns(), held))
    marks: dict[str, list[int]] = {}
    for event in events:
        if event.name().startswith("orchestrator "):
            marks.setdefault(event.name(), []).append(event.start_ns())
    return series, marks
