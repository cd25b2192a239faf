"""A rank's side of the hand-out: micro-batches fetched ahead, each held against the plan."""

import logging
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from orchestrator.cluster.lookahead import LookAhead
from orchestrator.cluster.patience import patiently
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import render_table
from orchestrator.errors import FaultError, JobError
from orchestrator.plan.steps import Address, Part, Slot, StepPlan
from orchestrator.train.contracts import Deal

PULL_S = 0.25
"""How long a rendered block may take to come over; one that went with its node never does."""
ANSWER_S = 60.0
"""The longest the hand-out itself is waited for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HandOutClient:
    """One rank's side of the hand-out.

    A rank that would have to wait, because a block went with its node or rendering lags behind,
    renders for itself: the result is the same to the bit, whoever makes it.
    """

    actor: Any

    def step_plan(self, part: Part, step: int, *, is_begun: bool = True) -> StepPlan:
        """The plan of a step, which the trainers have agreed to do or only expect to do next.

        Raises:
            FaultError: The hand-out is out of reach.
        """
        plan: StepPlan = self._ask("step_plan", part, step, is_begun=is_begun)
        return plan

    def fetch_table(self, part: Part, address: Address) -> pa.Table:
        """One rendered micro-batch.

        Raises:
            StorageError: The pictures' store has not answered for a while.
            FaultError: The hand-out is out of reach.
        """
        for ref in self._ask("fetch", part, address):
            try:
                return ray.get(ref, timeout=PULL_S)
            except (ray.exceptions.RayError, TimeoutError):
                pass
        log.info("micro-batch %s is rendered here", tuple(address))
        request, renderer = self._ask("request", part, address)
        return patiently(lambda: render_table(request, renderer))

    def _ask(self, method: str, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - its own
        try:
            asked = getattr(self.actor, method).remote(*args, **more)
            return ray.get(asked, timeout=ANSWER_S)
        except ray.exceptions.RayTaskError as error:
            # Its own error, and not that it is gone: trying again would only repeat it.
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise FaultError(
                f"waited for the hand-out's {method} in vain: {type(error).__name__}",
                "cluster.handout",
                "The cell is started anew; look whether the head node is well",
            ) from error


class Batches:
    """Micro-batches from the hand-out: ``train.contracts.Batches``.

    Fetched ahead of the computing, and each held against the plan.

    Args:
        client: Asks the hand-out.
        left_out: Of the training data: what an earlier life of the run found empty.
    """

    def __init__(self, client: HandOutClient, left_out: frozenset[Slot]) -> None:
        self._client, self._left_out = client, left_out
        self._plans: dict[tuple[Part, int], StepPlan] = {}
        self._ahead: LookAhead[tuple[Part, int, int], MicroBatch] = LookAhead(self._fetch)

    def step_plan(self, part: Part, step: int) -> StepPlan:
        return self._plan(part, step, is_begun=True)

    def _plan(self, part: Part, step: int, *, is_begun: bool) -> StepPlan:
        plan = self._plans.get((part, step))
        if plan is None:
            plan = self._client.step_plan(part, step, is_begun=is_begun)
            # Of this step and of the next; both threads may ask for either.
            self._plans = {
                k: p for k, p in self._plans.items() if k[0] != part or k[1] >= step - 1
            }
            self._plans[part, step] = plan
        return plan

    def expect(self, part: Part, step: int, deal: Deal) -> None:
        def keys() -> list[tuple[Part, int, int]]:
            plan = self._plan(part, step, is_begun=False)
            return [(part, step, micro) for micro in deal(plan)]

        if (part, step) in self._plans:
            self._ahead.want(keys())
        else:
            self._ahead.then(keys)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        return self._ahead.take((part, plan.step, micro))

    def _fetch(self, key: tuple[Part, int, int]) -> MicroBatch:
        part, step, micro = key
        plan = self._plan(part, step, is_begun=False)
        address = plan.address(micro)
        batch = MicroBatch.from_table(self._client.fetch_table(part, address))
        found = sorted([*batch.samples, *(fault.sample for fault in batch.faults)])
        # Sorted and not a set: a data set of weight 2 may have a sample here twice.
        planned = sorted(
            sample
            for sample in plan.micros[micro].samples
            if part == "eval" or (plan.epoch, plan.step, sample) not in self._left_out
        )
        if batch.address != address or found != planned:
            raise JobError(
                f"asked for micro-batch {tuple(address)} and got {tuple(batch.address)} "
                f"with samples {found}",
                "cluster.handout",
                "This is a bug; the run can be resumed",
            )
        return batch
