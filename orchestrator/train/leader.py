"""The leader of a crew, and its followers.

Member 0 leads: it alone runs the loop and speaks with the other cells. The others do as they
are told, and hold the same trained state to the bit: it is told to them when it comes from
elsewhere, and otherwise each takes the same optimizer steps.

Letters: M micro-batches asked for; E trained numbers in all.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import torch
from torch import Tensor

from orchestrator.errors import JobError
from orchestrator.plan.steps import StepPlan
from orchestrator.train.exact import GradientSum, Grid
from orchestrator.train.mean import MeanGradients
from orchestrator.train.member import Member
from orchestrator.train.orders import Order, OrderGiver, losses_found, next_order
from orchestrator.train.state import Progress, Replica
from orchestrator.train.work import NUM_SCORES

WHERE = "train.crew"


class Leader:
    """Member 0 of a cell of several workers: ``Crew`` that gives its followers orders."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._replica = member.replica
        self._orders = OrderGiver(member.groups)
        # Not what the replica says: whatever it began with, the followers have not seen it.
        self._loads_told = -1

    @property
    def portion(self) -> int:
        """Two a member: enough that one of them seldom waits for the others."""
        return 2 * self._member.groups.size

    def compute(self, plan: StepPlan, micros: Sequence[int], total: GradientSum) -> None:
        if not micros:
            return
        self._bring_along()
        with self._orders.giving("compute", **self._work(plan, micros)), losses_found(WHERE):
            share, payload = self._member.compute(plan, micros)
        if total.reduced(payload).has_drifted(self._member.groups.size):
            raise JobError(
                f"step {plan.step + 1}: the states of a cell's workers have drifted apart",
                WHERE,
                "Train again from the last checkpoint, on machines of one kind",
            )
        total.absorb(payload)
        total.culprits += share.culprits

    def score(self, plan: StepPlan, micros: Sequence[int]) -> Tensor:
        if not micros:
            return torch.zeros(0, NUM_SCORES, dtype=torch.int64)
        self._bring_along()
        with self._orders.giving("score", **self._work(plan, micros)), losses_found(WHERE):
            return self._member.score(plan, micros)

    def apply(self, gradients_T: MeanGradients, *, learning_rate: float, grid: Grid) -> None:
        self._bring_along()
        # In float32, as the optimizer takes them: rounding once more changes nothing.
        numbers = range(len(gradients_T))
        flat_E = torch.cat([gradients_T.cast(t, torch.float32).reshape(-1) for t in numbers])
        self._orders.give(
            "apply",
            flat_E.cpu().numpy().tobytes(),
            progress=self._replica.progress.encode(),
            learning_rate=learning_rate,
            exponents=grid.exponents_T,
        )
        self._replica.apply(gradients_T, learning_rate=learning_rate, grid=grid)

    def close(self) -> None:
        """Send the followers home."""
        self._orders.close()

    def _bring_along(self) -> None:
        """Give the followers this replica's state where it came from elsewhere."""
        if self._loads_told != self._replica.loads:
            loads = self._replica.loads
            self._orders.give("load", self._replica.to_bytes())
            self._loads_told = loads

    def _work(self, plan: StepPlan, micros: Sequence[int]) -> dict[str, Any]:
        progress = self._replica.progress.encode()
        return {"step": plan.step, "micros": list(micros), "progress": progress}


def follow(member: Member) -> None:
    """Do what the leader says, until it sends its followers home.

    Raises:
        FaultError: The leader or another member is gone.
    """
    while (order := next_order(member.groups)).kind != "end":
        with losses_found(WHERE):
            _obey(member, order)


def _obey(member: Member, order: Order) -> None:
    replica, fields = member.replica, order.fields
    if "progress" in fields:
        # A round done again, and a piece of an evaluation, move nothing else.
        replica.progress = Progress.decode(fields["progress"])
    match order.kind:
        case "load":
            replica.load_bytes(order.content)
        case "compute":
            plan = member.source.batches.step_plan("train", fields["step"])
            member.compute(plan, fields["micros"])
        case "score":
            plan = member.source.batches.step_plan("eval", fields["step"])
            member.score(plan, fields["micros"])
        case "apply":
            _apply(replica, order)
        case "end":
            return
        case kind:
            assert_never(kind)


def _apply(replica: Replica, order: Order) -> None:
    flat_E = torch.from_numpy(np.frombuffer(order.content, np.float32).copy())
    sizes = [tensor.numel() for tensor in replica.tensors.values()]
    parts = zip(torch.split(flat_E, sizes), replica.tensors.values(), strict=True)
    replica.apply(
        [part.reshape(tensor.shape) for part, tensor in parts],
        learning_rate=order.fields["learning_rate"],
        grid=Grid(tuple(order.fields["exponents"])),
    )
