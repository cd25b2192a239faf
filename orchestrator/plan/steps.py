"""The steps of a training, each from its number alone.

Letters: N samples in the index, S samples of one step, K micro-batches of one step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import PlanError
from orchestrator.plan.deal import Costs
from orchestrator.plan.order import Integers, epoch_order
from orchestrator.plan.pack import pack_samples

Part = Literal["train", "eval"]
"""The parts of a job's data, each with a plan of its own."""


Slot = tuple[int, int]
"""A sample's turn: epoch and sample number."""


class Address(NamedTuple):
    """Where a micro-batch stands: nothing in it says who computes it."""

    epoch: int
    step: int
    micro: int


@dataclass(frozen=True, slots=True)
class MicroPlan:
    """One micro-batch before anything of it was opened."""

    samples: tuple[int, ...]
    """Sample numbers, in the order in which they are laid out."""
    tokens: int
    """Tokens in the language model, images included."""
    cost: float
    """Estimated cost, in the unit of the index."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One optimizer step: what is computed, and not by whom."""

    epoch: int
    step: int
    micros: tuple[MicroPlan, ...]

    @property
    def cost_K(self) -> Costs:
        """Cost of each micro-batch, float64 of shape [K]."""
        return np.array([micro.cost for micro in self.micros], dtype=np.float64)

    def address(self, micro: int) -> Address:
        """Where one micro-batch of this step is fetched."""
        return Address(self.epoch, self.step, micro)


@dataclass(frozen=True)
class Plan:
    """All steps of a training over one index, none of them held.

    Steps count through all epochs; the last of an epoch is short where the batch does not
    divide the samples, so that each sample is used exactly once an epoch.
    """

    tokens_N: NDArray[np.generic]
    """Length of each sample in the language model. May be memory-mapped."""
    cost_N: NDArray[np.generic]
    """Estimated cost of each sample. May be memory-mapped."""
    epochs: int
    global_batch: int
    """Samples in a step."""
    micro_tokens: int
    """The most tokens in a micro-batch."""
    seed: int | None
    """Shuffles each epoch; None keeps the order of the index (evaluation)."""

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps in one epoch, a short last one included."""
        return -(-len(self.tokens_N) // self.global_batch)

    @property
    def num_steps(self) -> int:
        """Steps in all epochs."""
        return self.steps_per_epoch * self.epochs

    def epoch_of(self, step: int) -> int:
        """The epoch in which a step lies."""
        return step // self.steps_per_epoch

    def samples_of(self, step: int) -> Integers:
        """Sample numbers of one step, int64 of shape [S], in the order of the epoch."""
        if not 0 <= step < self.num_steps:
            raise PlanError(
                f"step {step} of {self.num_steps}", "plan.steps", "Ask for a step of the job"
            )
        epoch, place = divmod(step, self.steps_per_epoch)
        first = place * self.global_batch
        last = min(first + self.global_batch, len(self.tokens_N))
        positions_S = np.arange(first, last, dtype=np.int64)
        if self.seed is None:
            return positions_S
        return epoch_order(
            positions_S, num_samples=len(self.tokens_N), seed=self.seed, epoch=epoch
        )

    def step(self, step: int) -> StepPlan:
        """Everything about one step. A pure function of the plan and the number."""
        samples_S = self.samples_of(step)
        tokens_S = np.asarray(self.tokens_N[samples_S], dtype=np.int64)
        cost_S = np.asarray(self.cost_N[samples_S], dtype=np.float64)
        micros = tuple(
            MicroPlan(
                samples=tuple(int(samples_S[place]) for place in places),
                tokens=int(tokens_S[places].sum()),
                cost=float(cost_S[places].sum()),
            )
            for places in pack_samples(tokens_S, max_tokens=self.micro_tokens)
        )
        return StepPlan(epoch=self.epoch_of(step), step=step, micros=micros)

    def steps_from(self, step: int) -> Iterator[StepPlan]:
        """The steps from a cursor to the end; what lies before costs nothing."""
        return (self.step(number) for number in range(step, self.num_steps))
