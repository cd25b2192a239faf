"""The steps of a training, each from its number alone.

Letters: N samples in the index, S samples of one step, K micro-batches of one step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from orchestrator.errors import PlanError
from orchestrator.plan.columns import Column, Pick, open_column
from orchestrator.plan.deal import Costs
from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.order import Integers, epoch_order
from orchestrator.plan.pack import pack_samples

Part = Literal["train", "eval"]
"""The parts of a job's data, each with a plan of its own."""


Slot = tuple[int, int, int]
"""A sample's turn: epoch, step and sample number."""


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
    divide the slots, so that each slot is used exactly once an epoch.
    """

    tokens_N: Column
    """Length of each sample in the language model. May be memory-mapped."""
    cost_N: Column
    """Estimated cost of each sample. May be memory-mapped."""
    epochs: int
    global_batch: int
    """Slots in a step, each one sample."""
    micro_tokens: int
    """The most tokens in a micro-batch."""
    seed: int | None
    """Shuffles each epoch; None keeps the order of the index (evaluation)."""
    mix: Mix | None = None
    """How often the samples of which data set are used; None: each once an epoch."""

    def __post_init__(self) -> None:
        num_samples = len(self.tokens_N)
        if self.mix is not None and self.mix.num_samples != num_samples:
            raise PlanError(
                f"data sets of {self.mix.num_samples} samples, an index of {num_samples}",
                "plan.steps",
                "Mix the data sets that the index was built from",
            )

    @cached_property
    def _slots(self) -> Mix:
        return self.mix or Mix((Share(len(self.tokens_N)),))

    @cached_property
    def _columns(self) -> tuple[Pick, Pick]:
        return open_column(self.tokens_N), open_column(self.cost_N)

    @property
    def slots_per_epoch(self) -> int:
        """Samples used in one epoch, each as often as its data set's weight says."""
        return self._slots.num_slots

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps in one epoch, a short last one included."""
        return -(-self.slots_per_epoch // self.global_batch)

    @property
    def num_steps(self) -> int:
        """Steps in all epochs."""
        return self.steps_per_epoch * self.epochs

    def epoch_of(self, step: int) -> int:
        """The epoch in which a step lies."""
        return step // self.steps_per_epoch

    def samples_of(self, step: int) -> Integers:
        """Sample numbers of one step, int64 of shape [S], in the order of the epoch.

        Where a data set's weight is above 1, a sample may stand in a step more than once.
        """
        if not 0 <= step < self.num_steps:
            raise PlanError(
                f"step {step} of {self.num_steps}", "plan.steps", "Ask for a step of the job"
            )
        epoch, place = divmod(step, self.steps_per_epoch)
        first = place * self.global_batch
        last = min(first + self.global_batch, self.slots_per_epoch)
        slots_S = np.arange(first, last, dtype=np.int64)
        if self.seed is not None:
            slots_S = epoch_order(
                slots_S, num_samples=self.slots_per_epoch, seed=self.seed, epoch=epoch
            )
        return self._slots.samples_of(slots_S, seed=self.seed, epoch=epoch)

    def step(self, step: int) -> StepPlan:
        """Everything about one step. A pure function of the plan and the number."""
        samples_S = self.samples_of(step)
        pick_tokens, pick_cost = self._columns
        tokens_S = pick_tokens(samples_S).astype(np.int64)
        cost_S = pick_cost(samples_S).astype(np.float64)
        micros = tuple(
            MicroPlan(
                samples=tuple(samples_S[places].tolist()),
                tokens=int(tokens_S[places].sum()),
                cost=float(cost_S[places].sum()),
            )
            for places in map(np.array, pack_samples(tokens_S, max_tokens=self.micro_tokens))
        )
        return StepPlan(epoch=self.epoch_of(step), step=step, micros=micros)

    def steps_from(self, step: int) -> Iterator[StepPlan]:
        """The steps from a cursor to the end; what lies before costs nothing."""
        return (self.step(number) for number in range(step, self.num_steps))
