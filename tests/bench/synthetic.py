"""A model that only takes time, and micro-batches that hold nothing: what is left is overhead.

Letters: E trained numbers in all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import Parameter

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import MicroPlan, Part, StepPlan

NUM_TENSORS = 56


@dataclass
class Rank:
    """One process's place, and what it is to do."""

    rank: int
    world_size: int
    trained: int
    """E."""
    steps: int
    micros: int
    """Of a step, over all ranks."""
    step_s: float
    """What the computing of a step takes each rank."""
    checkpoint_every_steps: int
    times_s: list[float] = field(default_factory=list)

    @property
    def micro_s(self) -> float:
        """What a micro-batch takes."""
        return self.step_s * self.world_size / self.micros

    def step_done(self, step: int) -> None:
        """Note a step's end."""
        assert step == len(self.times_s) + 1, f"step {step} after {len(self.times_s)}"
        self.times_s.append(time.monotonic())


class Synthetic:
    """``train`` Learner: a made-up gradient, after the time that computing one would take."""

    def __init__(self, rank: Rank) -> None:
        torch.manual_seed(0)
        each = rank.trained // NUM_TENSORS
        self.tensors = {
            f"tensor{number:02}": Parameter(torch.randn(each)) for number in range(NUM_TENSORS)
        }
        self._gradients = [1e-2 * torch.randn(each) for _ in self.tensors]
        self._micro_s = rank.micro_s

    def backward(self, batch: MicroBatch) -> float:
        end_s = time.monotonic() + self._micro_s
        for parameter, gradient in zip(self.tensors.values(), self._gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient.clone()
            else:
                parameter.grad.add_(gradient)
        # As an accelerator would: the processor is free meanwhile.
        time.sleep(max(0.0, end_s - time.monotonic()))
        return float(batch.label_tokens)

    def score(self, batch: MicroBatch) -> Any:
        raise AssertionError(f"nothing is held out: {batch.address}")


@dataclass(frozen=True)
class Batches:
    """``train`` Batches from memory: one sample of one token each."""

    rank: Rank

    def step_plan(self, part: Part, step: int) -> StepPlan:
        assert part == "train"
        micros = tuple(MicroPlan((number,), 1, 1.0) for number in range(self.rank.micros))
        return StepPlan(0, step, micros)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        assert part == "train"
        return empty_batch(plan, micro)

    def expect(self, part: Part, step: int, deal: Any) -> None:
        """A hint that this one has no use for."""


def empty_batch(plan: StepPlan, micro: int) -> MicroBatch:
    """One token, and no picture."""
    return MicroBatch(
        address=plan.address(micro),
        samples=plan.micros[micro].samples,
        ids=(str(micro),),
        faults=(),
        ids_L=np.zeros(1, np.int32),
        labels_L=np.ones(1, np.bool_),
        lengths_S=np.ones(1, np.int32),
        images_S=np.zeros(1, np.int32),
        grids_I3=np.zeros((0, 3), np.int32),
        patches_PD=np.zeros((0, 0), np.uint8),
    )


class Spent(dict[str, float]):
    """Seconds by what they were spent on."""

    def time(self, name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        """The same action, timed."""

        def timed(*args: Any, **fields: Any) -> Any:
            started_s = time.monotonic()
            try:
                return action(*args, **fields)
            finally:
                self[name] = self.get(name, 0.0) + time.monotonic() - started_s

        return timed


class Timed:
    """Stands for something whose methods are timed."""

    def __init__(self, real: Any, spent: Spent) -> None:
        self._real, self._spent = real, spent

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._spent.time(name, found) if callable(found) else found
