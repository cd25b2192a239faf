"""The loop that every rank runs: agree who is there, compute one's share, add up, apply.

A round is one agreement. It ends with an optimizer step, with a grid found to be too fine (and
the step done again), or with a piece of an evaluation; or it fails because somebody died, and
those who are left agree anew and do the very same round among themselves.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, assert_never

import torch
from torch import Tensor

from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError, NonFiniteError
from orchestrator.plan.deal import deal_step, redeal
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.exact import LOSS_EXPONENT, Count, GradientSum, Grid, ReducedSum, clip
from orchestrator.train.rounds import Done, EvalPiece, Terms, TrainStep, next_task
from orchestrator.train.schedule import learning_rate
from orchestrator.train.state import EvalSums, Replica


@dataclass(frozen=True, slots=True)
class Membership:
    """Who takes part in a round, as this rank sees it."""

    rank: int
    cells: tuple[int, ...]
    """Numbers of the cells that take part, by rank."""

    @property
    def world_size(self) -> int:
        """How many take part."""
        return len(self.cells)


@dataclass(frozen=True)
class _Attempt:
    """One try at a step. A hand that was done stays done when the try fails."""

    round: int
    hands: dict[int, list[int]]
    """Micro-batch numbers by cell."""
    total: GradientSum


class Peers(Protocol):
    """The other replicas. Must not raise because one of them died: it says False instead."""

    def agree(self) -> Membership | None:
        """Find out who is there; bring this replica up to the others' state if it is behind.

        None where the agreement failed and has to be sought again.
        """
        ...

    def add(self, payload: Tensor) -> bool:
        """Sum an int64 tensor over all ranks, in place."""
        ...

    def commit(self) -> bool:
        """End the round: whether its result may be applied."""
        ...


class Batches(Protocol):
    """Micro-batches by address. Must not depend on who asks, nor on the order of asking."""

    def step_plan(self, part: Part, step: int) -> StepPlan: ...

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch: ...


@dataclass(frozen=True, slots=True)
class Score:
    """What a micro-batch of held-out data says."""

    loss: float
    label_tokens: int
    samples: int
    correct: int


class Learner(Protocol):
    """The model. A gradient is a pure function of weights, micro-batch and its address."""

    def backward(self, batch: MicroBatch) -> float:
        """Leave the gradient of the summed loss in ``.grad``; return the loss, in nats."""
        ...

    def score(self, batch: MicroBatch) -> Score: ...


class Observer(Protocol):
    """Receives what happens, and answers nothing."""

    def record(self, kind: str, **fields: Any) -> None: ...  # noqa: ANN401 - flat JSON values

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        """Make durable that these samples are left out. Returns once it is."""
        ...

    def step_done(self, replica: Replica, membership: Membership) -> None:
        """A step was applied: a chance to write a checkpoint."""
        ...


@dataclass
class Loop:
    """One rank's training, from wherever its replica stands to the end."""

    replica: Replica
    config: TrainConfig
    terms: Terms
    batches: Batches
    learner: Learner
    peers: Peers
    observer: Observer
    _attempt: "_Attempt | None" = None

    def run(self) -> None:
        """Train until everything is done.

        Raises:
            NonFiniteError: A gradient or loss is NaN or infinite.
            JobError: Replicas with different states took part in one round.
        """
        while not isinstance(next_task(self.replica.progress, self.terms), Done):
            membership = self.peers.agree()
            if membership is None:
                continue
            # Only now: agreeing may have replaced this replica's state by a neighbour's.
            match next_task(self.replica.progress, self.terms):
                case TrainStep(step=step):
                    self._train_step(step, membership)
                case EvalPiece(piece=piece):
                    self._eval_piece(piece, membership)
                case Done():
                    return
                case task:
                    assert_never(task)

    def _train_step(self, step: int, membership: Membership) -> None:
        started_s = time.monotonic()
        plan = self.batches.step_plan("train", step)
        attempt = self._attempt = self._begin(plan, membership)
        for micro in attempt.hands[membership.cells[membership.rank]]:
            if not attempt.total.has(micro):
                self._take(attempt.total, plan, micro)
        payload = attempt.total.payload(self.replica.fingerprint())
        if not self.peers.add(payload):
            self.peers.commit()
            return
        reduced = attempt.total.reduced(payload)
        self._refuse_nonsense(attempt.total, reduced, membership)
        if not reduced.is_whole:
            self._redo(reduced.grid, membership, "micro-batches were dealt in two ways")
        elif reduced.counts[Count.OUT_OF_RANGE]:
            self._redo(reduced.next_grid, membership, "the grid was too fine for a gradient")
        else:
            self._apply(plan, reduced, membership, started_s)

    def _begin(self, plan: StepPlan, membership: Membership) -> "_Attempt":
        """Deal a step; where an attempt at it failed, only what the missing had.

        Nobody asks the others what they have: whoever was in that attempt has done its hand.
        Where that is not so (a cell died and is back, and knows of nothing), the sum tells.
        """
        progress = self.replica.progress
        before, cells = self._attempt, membership.cells
        if before and before.round == progress.round and before.hands.keys() >= set(cells):
            return replace(before, hands=redeal(plan.cost_K, before.hands, present=cells))
        hands = deal_step(plan.cost_K, world_size=membership.world_size)
        total = GradientSum(self.replica.tensors, progress.grid, num_micros=len(plan.micros))
        return _Attempt(progress.round, dict(zip(cells, hands, strict=True)), total)

    def _take(self, total: GradientSum, plan: StepPlan, micro: int) -> None:
        batch = self.batches.fetch("train", plan, micro)
        if batch.faults:
            self.observer.empty_slots("train", batch)
        total.mark(micro)
        if not batch.samples:
            return
        loss = self.learner.backward(batch)
        gradients_T = take_gradients(self.replica)
        counts = {
            Count.LABEL_TOKENS: batch.label_tokens,
            Count.SAMPLES: len(batch.samples),
            Count.TOKENS: plan.micros[micro].tokens,
        }
        if not total.take(gradients_T, loss, counts):
            total.blame(micro, gradients_T, batch.ids)

    def _refuse_nonsense(
        self, total: GradientSum, reduced: ReducedSum, membership: Membership
    ) -> None:
        step = self.replica.progress.step + 1
        if reduced.has_drifted(membership.world_size):
            raise JobError(
                f"step {step}: the replicas' states have drifted apart",
                "train",
                "Train again from the last checkpoint, on machines of one kind",
            )
        if total.culprits:
            raise total.culprits[0].error(step)
        if reduced.counts[Count.NON_FINITE]:
            raise NonFiniteError(
                f"step {step}: NaN or infinity on another worker",
                "train",
                "See that worker's error",
            )

    def _redo(self, grid: Grid, membership: Membership, reason: str) -> None:
        """End a round without a step; everybody that saw its sum does the same."""
        if not self.peers.commit():
            return
        progress = self.replica.progress
        self.replica.progress = replace(progress, round=progress.round + 1, grid=grid)
        self.observer.record(
            "redo",
            step=progress.step + 1,
            round=progress.round + 1,
            world_size=membership.world_size,
            reason=reason,
        )

    def _apply(
        self, plan: StepPlan, reduced: ReducedSum, membership: Membership, started_s: float
    ) -> None:
        gradients_T = reduced.per_token()
        norm = clip(gradients_T, self.config.max_grad_norm)
        rate = learning_rate(
            plan.step,
            num_steps=self.terms.num_steps,
            peak=self.config.learning_rate,
            warmup_fraction=self.config.warmup_fraction,
            schedule=self.config.schedule,
        )
        if not self.peers.commit():
            return
        self.replica.apply(gradients_T, learning_rate=rate, grid=reduced.next_grid)
        self.observer.record(
            "step",
            step=self.replica.progress.step,
            round=self.replica.progress.round,
            epoch=plan.epoch,
            loss=reduced.loss,
            learning_rate=rate,
            grad_norm=norm,
            label_tokens=reduced.counts[Count.LABEL_TOKENS],
            samples=reduced.counts[Count.SAMPLES],
            tokens=reduced.counts[Count.TOKENS],
            num_micro=len(plan.micros),
            round_s=time.monotonic() - started_s,
            world_size=membership.world_size,
        )
        self.observer.step_done(self.replica, membership)

    def _eval_piece(self, piece: int, membership: Membership) -> None:
        plan = self.batches.step_plan("eval", piece)
        sums = torch.zeros(4, dtype=torch.int64)
        for micro in deal_step(plan.cost_K, world_size=membership.world_size)[membership.rank]:
            batch = self.batches.fetch("eval", plan, micro)
            if batch.faults:
                self.observer.empty_slots("eval", batch)
            sums += score_units(self.learner, batch)
        added = self.peers.add(sums)
        if not (self.peers.commit() and added):
            return
        self._take_eval(sums.tolist(), membership)

    def _take_eval(self, piece_sums: Sequence[int], membership: Membership) -> None:
        before = self.replica.progress
        old = before.eval_sums
        sums = EvalSums(
            loss_units=old.loss_units + piece_sums[0],
            label_tokens=old.label_tokens + piece_sums[1],
            samples=old.samples + piece_sums[2],
            correct=old.correct + piece_sums[3],
        )
        pieces, rounds = before.eval_step + 1, before.round + 1
        self.replica.progress = replace(before, round=rounds, eval_step=pieces, eval_sums=sums)
        if pieces < self.terms.eval_pieces:
            return
        self.replica.progress = replace(
            before, round=rounds, eval_step=0, eval_sums=EvalSums(), evaluated_at=before.step
        )
        self.observer.record(
            "eval",
            step=before.step,
            round=rounds,
            world_size=membership.world_size,
            loss=sums.loss_units / (1 << LOSS_EXPONENT) / max(1, sums.label_tokens),
            accuracy=sums.correct / max(1, sums.samples),
            samples=sums.samples,
        )


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
