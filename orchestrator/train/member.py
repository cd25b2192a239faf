"""What every member of a crew does: its share of the work, in step with the others.

Each holds a part of the frozen base, so all have to run the model at the same time and equally
often. What is added up among them are the integers of ``train.exact``: how many they are
changes nothing of what comes out.

Letters: M micro-batches asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import FaultError, NonFiniteError
from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.contracts import Score
from orchestrator.train.crew import Source, add_gradient, score_units
from orchestrator.train.exact import Culprit, GradientSum
from orchestrator.train.orders import LEADER, CrewGroups
from orchestrator.train.state import Replica
from orchestrator.train.work import NUM_SCORES


class CrewLearner(Protocol):
    """The model of one member. Its ``.grad`` and scores are those of a model held whole."""

    def image_passes(self, batch: MicroBatch | None) -> int: ...

    def backward(self, batch: MicroBatch | None, *, image_passes: int) -> float: ...

    def score(self, batch: MicroBatch | None, *, image_passes: int) -> Score: ...


@dataclass(frozen=True)
class Member:
    """What every member does with its share of the work, the leader as the followers."""

    groups: CrewGroups
    replica: Replica
    learner: CrewLearner
    source: Source

    def compute(self, plan: StepPlan, micros: Sequence[int]) -> tuple[GradientSum, Tensor]:
        """Compute one's share of these micro-batches.

        Returns:
            A sum that knows the culprits of all members, and its payload: on the leader, added
            up over all members.
        """
        share = GradientSum(
            self.replica.tensors, self.replica.progress.grid, num_micros=len(plan.micros)
        )
        for batch, passes in self._turns("train", plan, micros):
            loss = self.learner.backward(batch, image_passes=passes)
            if batch is not None:
                add_gradient(share, self.replica, plan, batch, loss)
        share.culprits = self._all_culprits(share.culprits)
        payload = share.payload(self.replica.fingerprint())
        dist.reduce(payload, group_dst=LEADER, group=self.groups.work)
        return share, payload

    def score(self, plan: StepPlan, micros: Sequence[int]) -> Tensor:
        """Score one's share; on the leader, the scores of all, int64 of shape [M, 4]."""
        units_M4 = torch.zeros(len(micros), NUM_SCORES, dtype=torch.int64)
        trouble: NonFiniteError | None = None
        for batch, passes in self._turns("eval", plan, micros):
            if batch is None or not batch.samples:
                self.learner.score(None, image_passes=passes)
                continue
            try:
                units = score_units(_Turn(self.learner, passes), batch)
            except NonFiniteError as error:
                # Not at once: the others wait for this member's next pass.
                trouble = trouble or error
            else:
                units_M4[list(micros).index(batch.address.micro)] = units
        self._agree(0, failed=trouble is not None)
        if trouble is not None:
            raise trouble
        dist.reduce(units_M4, group_dst=LEADER, group=self.groups.work)
        return units_M4

    def _turns(
        self, part: Part, plan: StepPlan, micros: Sequence[int]
    ) -> Iterator[tuple[MicroBatch | None, int]]:
        """One's micro-batches, then None as long as others have some.

        With each comes how often all members run the vision tower in this turn.
        """
        cost_M = plan.cost_K[np.array(micros, dtype=np.int64)]
        hands = deal_step(cost_M, world_size=self.groups.size)
        hand = [micros[place] for place in hands[self.groups.rank]]
        for turn in range(max(map(len, hands))):
            batch = None
            try:
                if turn < len(hand):
                    batch = self.source.fetch(part, plan, hand[turn])
            except Exception:
                self._agree(0, failed=True)
                raise
            yield batch, self._agree(self.learner.image_passes(batch), failed=False)

    def _agree(self, passes: int, *, failed: bool) -> int:
        """The most passes that any member has to make.

        Raises:
            FaultError: Another member failed, who says why itself.
        """
        most = torch.tensor([passes, failed], dtype=torch.int64)
        dist.all_reduce(most, dist.ReduceOp.MAX, group=self.groups.work)
        if most[1] and not failed:
            raise FaultError(
                "another worker of this cell failed", "train.crew", "See that worker's error"
            )
        return int(most[0])

    def _all_culprits(self, culprits: Sequence[Culprit]) -> list[Culprit]:
        """The culprits of all members, by micro-batch."""
        lists = self.groups.tell_all([asdict(culprit) for culprit in culprits])
        found = [
            Culprit(entry["micro"], tuple(entry["tensors"]), tuple(entry["samples"]))
            for entries in lists
            for entry in entries
        ]
        return sorted(found, key=lambda culprit: culprit.micro)


@dataclass(frozen=True)
class _Turn:
    """A member's learner in one turn: ``train.contracts.Learner``."""

    learner: CrewLearner
    passes: int

    def backward(self, batch: MicroBatch) -> float:
        return self.learner.backward(batch, image_passes=self.passes)

    def score(self, batch: MicroBatch) -> Score:
        return self.learner.score(batch, image_passes=self.passes)
