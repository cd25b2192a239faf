"""A round under way: its plan, what of it this rank has computed, and what is left to do.

Nobody asks the others what they have. Each rank computes what it takes to be its own, and the
sum, which counts every micro-batch, tells what nobody had.

Letters: K micro-batches of the round, W ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.contracts import Departures, Membership
from orchestrator.train.exact import GradientSum

NUM_SCORES = 4
"""Loss, label tokens, samples, correct answers."""


class EvalSum:
    """One rank's share of a piece of an evaluation; integers, so any order gives the same."""

    def __init__(self, num_micros: int) -> None:
        self._scores = torch.zeros(NUM_SCORES, dtype=torch.int64)
        self._times_K = torch.zeros(num_micros, dtype=torch.int64)

    def take(self, micro: int, scores: Tensor) -> None:
        """Add a micro-batch's scores, int64 of shape [4]."""
        self._times_K[micro] += 1
        self._scores += scores

    def has(self, micro: int) -> bool:
        """Whether a micro-batch is in this share already."""
        return bool(self._times_K[micro])

    def payload(self, wishes: Sequence[int]) -> Tensor:
        """What goes into the reduction: int64 of shape [4 + K + 3]."""
        asked = torch.tensor(wishes, dtype=torch.int64)
        return torch.cat((self._scores, self._times_K, asked))

    def reduced(self, payload: Tensor) -> "ReducedScores":
        """Read a reduced payload."""
        scores, times_K, asked = torch.split(payload, [NUM_SCORES, len(self._times_K), 3])
        departures = Departures.of(asked.tolist())
        return ReducedScores(scores.tolist(), times_K.tolist(), departures)


@dataclass(frozen=True)
class ReducedScores:
    """A piece's sum over all ranks."""

    scores: list[int]
    times_K: list[int]
    departures: Departures


@dataclass
class Work:
    """A round under way. What was computed of it stays computed when its sum fails."""

    round: int
    part: Part
    plan: StepPlan
    share: GradientSum | EvalSum
    todo: list[int]
    """Micro-batches that this rank has still to compute, ascending."""


def hand_of(plan: StepPlan, membership: Membership | None) -> list[int]:
    """The micro-batches that fall to this rank if all of the last round are still there.

    Nothing where this rank was not in the last round: the others do not reckon with it yet.
    """
    if membership is None:
        return []
    return deal_step(plan.cost_K, world_size=membership.world_size)[membership.rank]


def share_out(missing: Sequence[int], plan: StepPlan, membership: Membership) -> list[int]:
    """This rank's part of the micro-batches that nobody had; all present deal alike."""
    missing_M = np.array(missing)
    hands = deal_step(plan.cost_K[missing_M], world_size=membership.world_size)
    return [int(missing_M[place]) for place in hands[membership.rank]]
