"""The loop that every rank runs: compute one's share, agree who is there, add up, apply.

A round ends with an optimizer step, with a grid found to be too fine (and the step done again),
or with a piece of an evaluation. Every rank computes what falls to it if all who were there in
the last round still are; the agreement comes after that and is the only place where ranks wait
for each other, so whoever dies, freezes or comes meanwhile is found there. The sum counts every
micro-batch: those that nobody had are shared out among all present, computed, and the sum is
made again. What a rank has computed of a round it keeps until the round is over.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from orchestrator.config.train import TrainConfig
from orchestrator.errors import JobError, NonFiniteError
from orchestrator.plan.steps import StepPlan
from orchestrator.train.contracts import (
    Batches,
    Crew,
    Departures,
    Membership,
    Observer,
    Peers,
    Wishes,
)
from orchestrator.train.exact import LOSS_EXPONENT, Count, GradientSum, Grid, ReducedSum, clip
from orchestrator.train.rounds import Done, EvalPiece, Terms, TrainStep, next_task
from orchestrator.train.schedule import learning_rate
from orchestrator.train.state import EvalSums, Replica
from orchestrator.train.work import EvalSum, ReducedScores, Work, hand_of, share_out

TWICE = "a micro-batch was computed by two"
TOO_FINE = "the grid was too fine for a gradient"


@dataclass
class Loop:
    """One rank's training, from wherever its replica stands to the end."""

    replica: Replica
    config: TrainConfig
    terms: Terms
    batches: Batches
    crew: Crew
    peers: Peers
    observer: Observer
    _present: Membership | None = None
    """Who committed the last round, this rank among them, less who left at its end."""
    _work: Work | None = None
    _asked: Wishes = field(default_factory=Wishes)
    """What this rank asked in the sum that is being made."""
    _started_s: float = 0.0
    _beside: Executor = field(init=False)
    """A thread that does what the next micro-batch need not wait for."""
    _fingerprint: "Future[int]" = field(init=False)
    """Of the state that the round under way began with."""

    def run(self) -> Literal["done", "left"]:
        """Train until everything is done, or this rank is let go.

        Raises:
            NonFiniteError: A gradient or loss is NaN or infinite.
            FaultError: A worker of this cell was lost.
            JobError: Replicas with different states took part in one round.
        """
        with ThreadPoolExecutor(1, "beside") as self._beside:
            while not self._is_done():
                round_ = self.replica.progress.round
                # Who has just come has nothing to compute, and may be far behind: its step is
                # nobody's, and not to be asked for.
                if self._work is not None or self._present is not None:
                    self._compute(self._under_way())
                membership = self.peers.agree()
                if membership is None:
                    continue
                if self.replica.progress.round != round_:
                    # A neighbour was ahead: its state is ours now, and its round has begun.
                    self._present = None
                    if self._is_done():
                        break
                if self._add_up(self._under_way(), membership) and self._asked.leaving:
                    return "left"
        return "done"

    def _is_done(self) -> bool:
        return isinstance(next_task(self.replica.progress, self.terms), Done)

    def _under_way(self) -> Work:
        """The round that this rank is in; a new one where the last is over."""
        progress = self.replica.progress
        if self._work is not None and self._work.round == progress.round:
            return self._work
        match next_task(progress, self.terms):
            case TrainStep(step=step):
                plan = self.batches.step_plan("train", step)
                share = GradientSum(
                    self.replica.tensors,
                    progress.grid,
                    num_micros=len(plan.micros),
                    beside=self._beside,
                )
                # Nothing changes the state before the round is over.
                self._fingerprint = self._beside.submit(self.replica.fingerprint)
                work = Work(progress.round, "train", plan, share, self._hand(plan))
            case EvalPiece(piece=piece):
                plan = self.batches.step_plan("eval", piece)
                scores = EvalSum(len(plan.micros))
                work = Work(progress.round, "eval", plan, scores, self._hand(plan))
            case Done():
                raise AssertionError("asked for the work of a round after the last")
            case task:
                assert_never(task)
        self._work, self._started_s = work, time.monotonic()
        return work

    def _hand(self, plan: StepPlan) -> list[int]:
        return hand_of(plan, self._present)

    def _compute(self, work: Work) -> None:
        todo, work.todo = work.todo, []
        if not todo:
            return
        self.batches.expect(work.part, work.plan.step, lambda _: todo)
        self._expect_next(work)
        for start in range(0, len(todo), self.crew.portion):
            if start and self.observer.is_regrouping():
                # The sum will find the rest missing, and all present share it out.
                return
            self._compute_some(work, todo[start : start + self.crew.portion])

    def _compute_some(self, work: Work, micros: Sequence[int]) -> None:
        match work.share:
            case GradientSum() as total:
                self.crew.compute(work.plan, micros, total)
            case EvalSum() as scores:
                units_M4 = self.crew.score(work.plan, micros)
                for micro, units in zip(micros, units_M4, strict=True):
                    scores.take(micro, units)
            case share:
                assert_never(share)

    def _expect_next(self, work: Work) -> None:
        """Have fetched what this rank will want when this round is over, if nothing happens."""
        step = work.plan.step + 1
        if work.part == "train" and step < self.terms.last_step:
            self.batches.expect("train", step, self._hand)

    def _add_up(self, work: Work, membership: Membership) -> bool:
        """Make the sum and draw the consequence; whether the round was committed."""
        self._asked = self.observer.wishes()
        numbers = self._asked.numbers(membership.rank)
        match work.share:
            case GradientSum() as total:
                total.wish(numbers)
                payload = total.payload(self._fingerprint.result())
            case EvalSum() as scores:
                payload = scores.payload(numbers)
            case share:
                assert_never(share)
        if not self.peers.add(payload):
            # Ends the attempt for everybody: whoever is left agrees anew.
            self.peers.commit()
            return False
        reduced = work.share.reduced(payload)
        if isinstance(reduced, ReducedSum) and isinstance(work.share, GradientSum):
            self._refuse_nonsense(work.share, reduced, membership)
        if not all(reduced.times_K) and max(reduced.times_K) < 2:
            # Of a sum too large to keep a copy of, nobody has anything left.
            is_spent = isinstance(work.share, GradientSum) and work.share.is_spent
            missing = [k for k, times in enumerate(reduced.times_K) if is_spent or not times]
            work.todo = share_out(missing, work.plan, membership)
            return False
        return self._conclude(work, reduced, membership)

    def _conclude(
        self, work: Work, reduced: ReducedSum | ReducedScores, membership: Membership
    ) -> bool:
        departures = (
            Departures.of(reduced.wishes)
            if isinstance(reduced, ReducedSum)
            else reduced.departures
        )
        if max(reduced.times_K) > 1:
            grid = self.replica.progress.grid
            committed = self._redo(grid, membership, TWICE)
        elif isinstance(reduced, ReducedScores):
            committed = self._take_eval(reduced.scores, membership)
        elif reduced.counts[Count.OUT_OF_RANGE]:
            committed = self._redo(reduced.next_grid, membership, TOO_FINE)
        else:
            committed = self._apply(work.plan, reduced, membership)
        if committed:
            self.observer.round_done(self.replica, membership, departures)
            self._present = membership
            if departures.leaver is not None and departures.leaver != membership.rank:
                self._present = membership.without(departures.leaver)
        return committed

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

    def _redo(self, grid: Grid, membership: Membership, reason: str) -> bool:
        """End a round without a step; everybody that saw its sum does the same."""
        if not self.peers.commit():
            return False
        progress = self.replica.progress
        self.replica.progress = replace(progress, round=progress.round + 1, grid=grid)
        self.observer.record(
            "redo",
            step=progress.step + 1,
            round=progress.round + 1,
            world_size=membership.world_size,
            reason=reason,
        )
        return True

    def _apply(self, plan: StepPlan, reduced: ReducedSum, membership: Membership) -> bool:
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
            return False
        self.crew.apply(gradients_T, learning_rate=rate, grid=reduced.next_grid)
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
            round_s=time.monotonic() - self._started_s,
            world_size=membership.world_size,
        )
        return True

    def _take_eval(self, piece_sums: Sequence[int], membership: Membership) -> bool:
        if not self.peers.commit():
            return False
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
            return True
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
        return True
