"""One trial's training under way: in a thread, asked now and then how it stands."""

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, assert_never

from orchestrator.cluster.driver import may_pass
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.restarts import GiveUp, Restart, Tally, after_fault
from orchestrator.cluster.training import TrainResult, train
from orchestrator.errors import LeaseError, OrchestratorError
from orchestrator.search.trials import Status, TrialFigures
from orchestrator.storage import Store
from orchestrator.tracking.events import Event
from orchestrator.tracking.run_log import newest_step, read_log
from orchestrator.tracking.summary import summarise

REPORT_S = 2.0
"""The longest that a trial goes without a word."""
STOP_S = 25.0
"""How long a training may take to clear up: as long as its cells' process may."""


class StoppedError(Exception):
    """Nobody wants more of this training."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a trial stands."""

    status: Status | Literal["paused"]
    reason: str = ""
    weights_sha256: str = ""
    figures: TrialFigures = field(default_factory=TrialFigures)
    measured_now: bool = False
    """Whether it was measured on held-out data since the last report."""
    note: str = ""
    """What it waits for, if it does."""

    @property
    def has_ended(self) -> bool:
        """Whether this is the last one."""
        return self.status != "running"

    def as_json(self) -> dict[str, Any]:
        """As Ray Tune hands it on."""
        return asdict(self)


class TrialRun:
    """A training in a thread of its own, from wherever its run stands to its end or pause.

    Args:
        prepared: The trial's job and indexes. A Ray session is open.
        until: Step at which it pauses; None: never.
        begun_at: Steps that its run was copied with.
    """

    def __init__(
        self, prepared: Prepared, *, until: int | None = None, begun_at: int = 0
    ) -> None:
        self._until, self._begun_at = until, begun_at
        self._prepared = prepared
        self._store = Store.open(prepared.job.storage.path).child(prepared.job.name)
        self._planned = prepared.num_steps("train")
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._evals_told = 0
        self._last_eval_held = False
        self._note = ""
        self._end: Report | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def next_report(self) -> Report:
        """How it stands, at once if it was measured or has ended, else within ``REPORT_S``."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._end is not None or self._num_evals() > self._evals_told, REPORT_S
            )
            if self._end is not None:
                return self._end
            measured_now = self._num_evals() > self._evals_told
            self._evals_told = self._num_evals()
            return Report(
                "running", figures=self._figures(), measured_now=measured_now, note=self._note
            )

    def stop(self) -> None:
        """End it, so that it can be taken up again; return once it has cleared up."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _num_evals(self) -> int:
        """Measurements under way: the one at the end is told with the end, when all is safe."""
        return sum(
            event["kind"] == "eval" and int(event["step"] or 0) < self._planned
            for event in self._events
        )

    def _figures(self) -> TrialFigures:
        return TrialFigures.of(
            summarise(self._events),
            planned_steps=self._planned - self._begun_at,
            workers_per_cell=self._prepared.job.scale.workers_per_cell,
        )

    def _watch(self, events: list[Event]) -> None:
        if self._stop.is_set():
            raise StoppedError
        if not events:
            return
        with self._changed:
            self._events.extend(event for event in events if event["kind"] != "waiting")
            waiting = [event for event in events if event["kind"] == "waiting"]
            self._note = str(waiting[-1]["reason"]) if waiting else ""
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            result = self._train()
            status: Literal["finished", "paused"] = (
                "finished" if self._until is None else "paused"
            )
            end = Report(status, weights_sha256=result.weights_sha256)
        except StoppedError:
            end = Report("stopped")
        except OrchestratorError as error:
            end = Report("failed", reason=error.problem.splitlines()[0])
        except Exception as error:  # noqa: BLE001 - the boundary of an actor
            end = Report("failed", reason=f"{type(error).__name__}: {error}")
        with self._changed:
            figures = (
                self._whole_figures()
                if end.status in ("finished", "paused")
                else self._figures()
            )
            self._end = Report(end.status, end.reason, end.weights_sha256, figures)
            self._changed.notify_all()

    def _whole_figures(self) -> TrialFigures:
        """From the log: a run that was finished before told no events now."""
        self._events = read_log(self._store)
        return self._figures()

    def _train(self) -> TrainResult:
        """Train, again after each fault that may pass, as a supervised driver would."""
        tally = Tally()
        while True:
            with self._changed:
                # Each attempt tells all events from the first on.
                self._events, self._evals_told = [], 0
            try:
                return train(self._prepared, self._watch, recorded=False, until=self._until)
            except OrchestratorError as error:
                # A driver that was killed may hold the run for a moment yet.
                if not (may_pass(error, again=True) or isinstance(error, LeaseError)):
                    raise
                decision = after_fault(tally, newest_step(self._store))
                match decision:
                    case GiveUp():
                        raise
                    case Restart(pause_s=pause_s, tally=tally):
                        self._pause(pause_s, error.problem)
                    case _:
                        assert_never(decision)

    def _pause(self, pause_s: float, why: str) -> None:
        with self._changed:
            self._note = f"{why}; again in {pause_s:g} s"
        end_s = time.monotonic() + pause_s
        while time.monotonic() < end_s:
            if self._stop.wait(0.2):
                raise StoppedError
