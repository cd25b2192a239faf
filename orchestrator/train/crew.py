"""Whoever computes a cell's micro-batches: one worker, or several that share the base.

Letters: M micro-batches asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.exact import Count, GradientSum, Grid
from orchestrator.train.loop import Batches, Learner, score_units, take_gradients
from orchestrator.train.state import Replica

NUM_SCORES = 4
"""Loss, label tokens, samples, correct answers."""


class Crew(Protocol):
    """Whoever computes a cell's micro-batches. The loop calls it, and knows not how many it is.

    Must not change what comes out by how many it is, nor by what it was asked before.
    """

    def compute(self, plan: StepPlan, micros: Sequence[int], total: GradientSum) -> None:
        """Add the gradients of these micro-batches, each once.

        Asked for all that it has to do at once, a crew can share it out; one by one it cannot.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...

    def score(self, plan: StepPlan, micros: Sequence[int]) -> Tensor:
        """Score held-out micro-batches, int64 of shape [M, 4], as ``train.loop.score_units``.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...

    def apply(self, gradients_T: list[Tensor], *, learning_rate: float, grid: Grid) -> None:
        """Take the optimizer step, as ``Replica.apply``, wherever the trained state is held.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...


class Ledger(Protocol):
    """Where empty slots are noted: a part of ``train.loop.Observer``."""

    def empty_slots(self, part: Part, batch: MicroBatch) -> None: ...


@dataclass(frozen=True)
class Source:
    """Micro-batches of which the empty slots are noted as they are fetched."""

    batches: Batches
    ledger: Ledger

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        """One micro-batch; what is missing in it is durable when it is returned."""
        batch = self.batches.fetch(part, plan, micro)
        if batch.faults:
            self.ledger.empty_slots(part, batch)
        return batch


@dataclass(frozen=True)
class Alone:
    """A cell of one worker: ``Crew`` without anybody else."""

    replica: Replica
    learner: Learner
    source: Source

    def compute(self, plan: StepPlan, micros: Sequence[int], total: GradientSum) -> None:
        for micro in micros:
            batch = self.source.fetch("train", plan, micro)
            loss = self.learner.backward(batch) if batch.samples else 0.0
            add_gradient(total, self.replica, plan, batch, loss)

    def score(self, plan: StepPlan, micros: Sequence[int]) -> Tensor:
        rows = [
            score_units(self.learner, self.source.fetch("eval", plan, micro))
            for micro in micros
        ]
        return torch.stack(rows) if rows else torch.zeros(0, NUM_SCORES, dtype=torch.int64)

    def apply(self, gradients_T: list[Tensor], *, learning_rate: float, grid: Grid) -> None:
        self.replica.apply(gradients_T, learning_rate=learning_rate, grid=grid)


def add_gradient(
    total: GradientSum, replica: Replica, plan: StepPlan, batch: MicroBatch, loss: float
) -> None:
    """Add the gradient that a micro-batch left in ``.grad``; none if it has no sample."""
    micro = batch.address.micro
    total.mark(micro)
    if not batch.samples:
        return
    gradients_T = take_gradients(replica)
    counts = {
        Count.LABEL_TOKENS: batch.label_tokens,
        Count.SAMPLES: len(batch.samples),
        Count.TOKENS: plan.micros[micro].tokens,
    }
    if not total.take(gradients_T, loss, counts):
        total.blame(micro, gradients_T, batch.ids)
