"""A search under way: which trial is next, which are running, what became of the others.

It decides by plain values and writes the ledger; Ray Tune, which calls it, runs trials.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.searching.generations import Generations
from orchestrator.config.job import Job
from orchestrator.config.search import SearchConfig
from orchestrator.errors import InputError
from orchestrator.search.budget import Spent, exhausted, may_begin
from orchestrator.search.ledger import Ledger
from orchestrator.search.naming import trial_name
from orchestrator.search.objectives import costs_of
from orchestrator.search.space import Values, job_with
from orchestrator.search.suggesting import Suggester, known_first
from orchestrator.search.trials import Trial, TrialFigures
from orchestrator.storage import Store
from orchestrator.tracking.run_log import read_log
from orchestrator.tracking.summary import EvalFigures, summarise

CUT_SHORT = "budget"
"""How the reason of a trial begins that the budget ended: with more of it, it goes on."""
LOOK_S = 0.5
"""Between two looks of a person at the table."""
KEEP_S = 30.0
"""Between two notes of how running trials stand."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What is to be trained now: a trial, whole or to where it is compared with others."""

    prepared: Prepared
    until: int | None
    """Step at which it pauses; None: it goes on to its end."""
    begun_at: int
    """Steps that it was copied with."""


Next: TypeAlias = Leg | Literal["wait", "over"]


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of a search."""

    trials: tuple[Trial, ...]
    spent: Spent
    room: int
    notes: dict[str, str]
    """What running trials wait for."""


class Checker(Protocol):
    """Says whether a trial's job can run.

    Raises:
        InputError: It cannot.
    """

    def __call__(self, job: Job, /) -> Prepared: ...


class Stage:
    """The trials of one driver.

    Args:
        job: The resolved job of the search.
        ledger: What is kept.
        suggester: What to try.
        check: Whether a combination can run.
        room: How many may run at once, in the cluster as it is now.
        show: Told how all stand, about twice a second.
    """

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        suggester: Suggester,
        check: Checker,
        room: Callable[[], int],
        show: Callable[[View], None],
    ) -> None:
        assert job.search is not None
        self.job, self.config = job, job.search
        self.ledger = ledger
        self._suggester, self._check, self._room, self._show = suggester, check, room, show
        self._notes: dict[str, str] = {}
        self._shown_s = self._kept_s = 0.0
        trials = list(ledger.trials.values())
        self._unfinished = [trial for trial in trials if is_open(trial)]
        self.running: set[str] = set()
        known_first(suggester, _known(trials, self.config))
        for trial in self._unfinished:
            suggester.began(trial.values)
        self._generations = (
            Generations(job, ledger, self.measured, is_open)
            if self.config.scheduler == "pbt"
            else None
        )

    def next(self) -> Next:
        """What is to be trained next, if there is room for it now."""
        if len(self.running) >= self._room():
            return "wait"
        while (trial := self._candidate()) is not None:
            if trial == "wait":
                return "wait"
            prepared = self._checked(trial)
            if prepared is not None:
                self.running.add(trial.name)
                self._notes.pop(trial.name, None)
                self.ledger.put(replace(trial, status="running", reason=""))
                return _leg(trial, prepared)
        return "over"

    def _candidate(self) -> Trial | Literal["wait"] | None:
        """A trial of an earlier driver that goes on, or a new one; None where all is tried."""
        spent = self.spent()
        if self._generations is not None:
            is_over = exhausted(self.config.budget, spent) is not None
            return None if is_over else self._generations.next(self.running)
        if self._unfinished and exhausted(self.config.budget, spent) is None:
            return self._unfinished.pop(0)
        if not may_begin(self.config.budget, spent):
            return None
        values = self._suggester.next()
        return None if values is None else self._trial(values)

    def _trial(self, values: Values) -> Trial:
        name = trial_name(self.job.name, values)
        number = self.ledger.next_number()
        known = self.ledger.trials.get(name)
        return known or Trial(name=name, number=number, values=values, status="running")

    def _checked(self, trial: Trial) -> Prepared | None:
        """Its job with its indexes; None where it cannot run, which is noted."""
        if trial.status != "refused":
            try:
                return self._check(job_with(self.job, trial.values, name=trial.name))
            except InputError as error:
                self.ledger.put(replace(trial, status="refused", reason=error.problem))
        self._suggester.tell(trial.values, None, whole=False)
        return None

    def refuse(self, values: Values, error: InputError) -> None:
        """Note a combination that cannot run."""
        trial = self._trial(values)
        self.ledger.put(replace(trial, status="refused", reason=error.problem))

    def stands(self, name: str, figures: TrialFigures, note: str) -> None:
        """A running trial says how it is."""
        self._notes[name] = note
        trial = replace(self.ledger.trials[name], figures=figures)
        if time.monotonic() - self._kept_s > KEEP_S:
            self._kept_s = time.monotonic()
            self.ledger.put(trial)
        else:
            self.ledger.look(trial)

    def paused(self, name: str, figures: TrialFigures) -> None:
        """A trial has come to where it is compared with others."""
        trial = self.ledger.trials[name]
        assert trial.life is not None, f"{name} paused, and nobody had asked it to"
        step = trial.life.until
        self.running.discard(name)
        self._notes[name] = f"for the others at step {step}"
        self.ledger.put(
            replace(trial, figures=figures, life=replace(trial.life, paused_at=step))
        )

    def ended(self, trial: Trial) -> None:
        """A trial has ended, in whichever way."""
        self.running.discard(trial.name)
        self._notes.pop(trial.name, None)
        self.ledger.put(trial)
        whole = trial.status == "finished"
        useful = whole or trial.status == "stopped"
        costs = (
            costs_of(trial.figures, self.config.objectives)
            if useful and trial.figures
            else None
        )
        self._suggester.tell(trial.values, costs, whole=whole)

    def measured(self, trial: Trial) -> tuple[EvalFigures, ...]:
        """What a trial's run has found on held-out data, in order."""
        run = Store.open(self.job.storage.path).child(trial.name)
        return summarise(read_log(run)).evals

    def cut_short(self) -> str | None:
        """Why everything is to end now; None while it may go on."""
        return exhausted(self.config.budget, self.spent())

    def spent(self) -> Spent:
        """What all trials have cost so far."""
        return Spent.on(list(self.ledger.trials.values()), self.ledger.hours)

    def look(self) -> None:
        """Let a person see how it stands, now and then."""
        if time.monotonic() - self._shown_s < LOOK_S:
            return
        self._shown_s = time.monotonic()
        self._show(self.view())

    def view(self) -> View:
        """How it stands."""
        trials = tuple(self.ledger.trials.values())
        return View(trials, self.spent(), self._room(), dict(self._notes))


def _leg(trial: Trial, prepared: Prepared) -> Leg:
    if trial.life is None:
        return Leg(prepared, until=None, begun_at=0)
    is_last = trial.life.until >= prepared.num_steps("train")
    return Leg(prepared, None if is_last else trial.life.until, trial.life.parent_step)


def is_open(trial: Trial) -> bool:
    """Whether a trial goes on when its search does."""
    was_cut = trial.status == "stopped" and trial.reason.startswith(CUT_SHORT)
    return trial.status == "running" or was_cut


def _known(
    trials: Sequence[Trial], config: SearchConfig
) -> Iterable[tuple[Values, tuple[float, ...] | None, bool]]:
    for trial in trials:
        if is_open(trial) or list(trial.values) != list(config.space):
            # Of a space that was another then.
            continue
        costs = costs_of(trial.figures, config.objectives) if trial.figures else None
        useful = trial.status in ("finished", "stopped")
        yield trial.values, costs if useful else None, trial.status == "finished"
