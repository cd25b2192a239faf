"""A population that is bred: who trains next, and what happens when all have come as far.

Everything is found in the ledger again: a driver that dies in the middle of breeding is
followed by one that breeds the same.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from orchestrator.config.job import Job
from orchestrator.search.ledger import Ledger
from orchestrator.search.naming import trial_name
from orchestrator.search.objectives import IS_BETTER_HIGH
from orchestrator.search.population import Copy, Standing, replaced
from orchestrator.search.space import Values, draw, job_with
from orchestrator.search.trials import Life, Trial
from orchestrator.storage import Store
from orchestrator.tracking.summary import EvalFigures
from orchestrator.train.copying import copy_run


class Generations:
    """The members of a search with ``scheduler: pbt``.

    Args:
        job: The resolved job of the search.
        ledger: What is kept.
        measured: What a trial's run has found on held-out data.
        is_open: Whether a trial may go on.
    """

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        measured: Callable[[Trial], tuple[EvalFigures, ...]],
        is_open: Callable[[Trial], bool],
    ) -> None:
        assert job.search is not None
        assert job.train.eval_every_steps is not None
        self._job, self._config, self._every = job, job.search, job.train.eval_every_steps
        self._ledger, self._measured, self._is_open = ledger, measured, is_open

    def next(self, running: set[str]) -> Trial | Literal["wait"] | None:
        """Who trains next, up to its ``until``; None where nobody is left to."""
        members = range(1, self._config.pbt.members + 1)
        newest = {member: self._newest(member) for member in members}
        for member, trial in newest.items():
            if trial is None:
                return self._first(member)
        going_on = [trial for trial in newest.values() if trial and self._is_open(trial)]
        if not going_on:
            return None
        step = min(_life(trial).until for trial in going_on)
        behind = [
            trial
            for trial in going_on
            if _life(trial).until == step and not _life(trial).is_waiting
        ]
        if not behind:
            self._breed(step)
            return self.next(running)
        return next((trial for trial in behind if trial.name not in running), "wait")

    def _newest(self, member: int, *, before: int | None = None) -> Trial | None:
        """Who has a member's place, or had it when a step was measured."""
        found = [
            trial
            for trial in self._ledger.trials.values()
            if trial.life is not None and trial.life.member == member
            if before is None or not trial.life.parent or trial.life.parent_step < before
        ]
        return found[-1] if found else None

    def _first(self, member: int) -> Trial:
        values = draw(self._config.space, seed=self._config.seed, number=member)
        return self._trial(values, Life(member=member, until=self._every))

    def _trial(self, values: Values, life: Life) -> Trial:
        place: Values = {"member": life.member}
        if life.parent:
            place["from"] = life.parent_step
        name = trial_name(self._job.name, {**place, **values})
        number = self._ledger.next_number()
        return Trial(name=name, number=number, values=values, status="running", life=life)

    def _breed(self, step: int) -> None:
        """Compare all at a step; whoever is left goes on to the next one.

        What is found half done is done to its end: survivors are told last.
        """
        members = range(1, self._config.pbt.members + 1)
        there = [t for member in members if (t := self._newest(member, before=step))]
        standings = [self._standing(trial, step) for trial in there]
        config = self._config
        copies = {
            copy.member: copy
            for copy in replaced(
                standings, config.space, config.pbt, seed=config.seed, step=step
            )
        }
        survivors = []
        for trial in there:
            copy = copies.get(_life(trial).member)
            if copy is None:
                survivors.append(trial)
            else:
                self._put_in_place_of(trial, copy, step)
        for trial in survivors:
            if self._is_open(trial):
                life = replace(_life(trial), until=step + self._every)
                self._ledger.put(replace(trial, status="running", reason="", life=life))

    def _standing(self, trial: Trial, step: int) -> Standing:
        first = self._config.objectives[0]
        cost = None
        if trial.status not in ("failed", "refused"):
            for found in self._measured(trial):
                if found.step == step:
                    value = found.loss if first == "loss" else found.accuracy
                    cost = -value if IS_BETTER_HIGH[first] else value
        return Standing(_life(trial).member, trial.name, trial.values, cost)

    def _put_in_place_of(self, trial: Trial, copy: Copy, step: int) -> None:
        life = Life(
            member=copy.member,
            until=step + self._every,
            paused_at=step,
            parent=copy.of.trial,
            parent_step=step,
        )
        child = self._trial(copy.values, life)
        if child.name not in self._ledger.trials:
            runs = Store.open(self._job.storage.path)
            job = job_with(self._job, child.values, name=child.name)
            source, target = runs.child(copy.of.trial), runs.child(child.name)
            copy_run(source, target, step, job.model_dump(mode="json"))
            self._ledger.put(child)
        if self._is_open(trial):
            of = self._ledger.trials[copy.of.trial].number
            reason = f"given up at step {step} for a copy of trial {of}"
            self._ledger.put(replace(trial, status="stopped", reason=reason))


def _life(trial: Trial) -> Life:
    assert trial.life is not None, f"{trial.name} is no member"
    return trial.life
