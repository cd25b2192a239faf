"""Whoever computes a cell's micro-batches: one worker, or several that share the base.

Letters: M micro-batches asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import NonFiniteError
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.contracts import Batches, Learner
from orchestrator.train.exact import LOSS_EXPONENT, Count, GradientSum, Grid
from orchestrator.train.mean import MeanGradients
from orchestrator.train.state import Replica
from orchestrator.train.work import NUM_SCORES


class Ledger(Protocol):
    """Where empty slots are noted: a part of ``train.contracts.Observer``."""

    def empty_slots(self, part: Part, batch: MicroBatch) -> None: ...

    def halved(self, batch: MicroBatch, *, parts: int) -> None: ...


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

    portion = 1

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

    def apply(self, gradients_T: MeanGradients, *, learning_rate: float, grid: Grid) -> None:
        self.replica.apply(gradients_T, learning_rate=learning_rate, grid=grid)


def add_gradient(
    total: GradientSum, replica: Replica, plan: StepPlan, batch: MicroBatch, loss: float
) -> None:
    """Add the gradient that a micro-batch left in ``.grad``; none if it has no sample."""
    micro = batch.address.micro
    gradients_T = take_gradients(replica) if batch.samples else []
    counts = {
        Count.LABEL_TOKENS: batch.label_tokens,
        Count.SAMPLES: len(batch.samples),
        Count.TOKENS: plan.micros[micro].tokens,
    }

    def take() -> None:
        total.mark(micro)
        if gradients_T and not total.take(gradients_T, loss, counts):
            total.blame(micro, gradients_T, batch.ids)

    total.add(take)


def take_gradients(replica: Replica) -> list[Tensor]:
    """Take the gradients out of ``.grad``, in name order; zeros where none arrived."""
    gradients_T = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in replica.tensors.values()
    ]
    for parameter in replica.tensors.values():
        parameter.grad = None
    return gradients_T


def score_units(learner: Learner, batch: MicroBatch) -> Tensor:
    """Score a micro-batch as integers that add up in any order: int64 of shape [4].

    Raises:
        NonFiniteError: The loss is NaN or infinite.
    """
    if not batch.samples:
        return torch.zeros(4, dtype=torch.int64)
    score = learner.score(batch)
    if not math.isfinite(score.loss):
        raise NonFiniteError(
            f"NaN or infinity in the held-out loss, from samples {', '.join(batch.ids)}",
            "eval",
            "Lower train.learning_rate, or look at these samples",
        )
    loss_units = round(score.loss * (1 << LOSS_EXPONENT))
    return torch.tensor([loss_units, score.label_tokens, score.samples, score.correct])
