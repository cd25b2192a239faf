"""A search's record in MLflow: a run for the search, and one inside it for each trial.

Kept by the search's driver alone, from the event logs in the store. So trials load no MLflow,
a trial that is ended early has the right status, and a server that is away loses nothing: what
it has not got yet is still in the logs, and is copied when it is back, by a later driver if
need be. Marks in the store say what is complete.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import ConfigError, StorageError
from orchestrator.storage import Store
from orchestrator.tracking.mlflow_run import MlflowRun, Status
from orchestrator.tracking.recorder import RUN_ID, Patience
from orchestrator.tracking.run_log import read_log
from orchestrator.tracking.summary import summarise

COMPLETE: Final = "mlflow_complete"
"""Mark in a store: MLflow has all of it, and the status that it says."""
ADAPTER: Final = "adapter"
JOB: Final = "job.yaml"
_PATIENCE: Final = Patience(gather_s=3.0)
_SHARE: Final = 20
"""So many times as long as a copy took, nothing is copied, and at most ``_REST_S``."""
_REST_S: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """A trial, as the record needs it."""

    name: str
    run: Store
    settings: Callable[[], Mapping[str, object]]
    """Its job, nested as it is."""
    values: Mapping[str, object]
    status: Status | None
    """How it ended; None while it may go on."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What there is to record when a search is over."""

    best: str | None
    """Name of the best trial."""
    files: Mapping[str, bytes]
    figures: Mapping[str, float]
    job: bytes = b""
    """The best job's file, which goes with its adapter."""


@dataclass
class SearchRecord:
    """Copies what happens from a thread of its own.

    Args:
        config: Where the record is kept.
        name: Of the search.
        store: The search's.
        settings: Its job, nested as it is.
        trials: Its trials, as they are now.
        patience: How long a server may take.
    """

    config: TrackingConfig
    name: str
    store: Store
    settings: Mapping[str, object]
    trials: Callable[[], Sequence[Tracked]]
    patience: Patience = _PATIENCE
    problem: str | None = None
    """Why MLflow lacks something; None where it has everything."""

    _open: dict[str, MlflowRun] = field(default_factory=dict)
    _complete: dict[str, Status] = field(default_factory=dict)
    """Trials of which MLflow has all, with the end that they came to."""
    _parent: MlflowRun | None = None
    _ending: Ending | None = None
    _given_up: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def is_complete(self) -> bool:
        """Whether MLflow has all of a search that is over."""
        return self.store.exists(COMPLETE)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the record for as long as the block takes.

        A block that is left without an ending leaves the search's run as it is: a later driver
        goes on with it.
        """
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._given_up = self._ending is None
                self._changed.notify_all()
            finish_s = self.patience.finish_s if self._ending is not None else 0.0
            thread.join(finish_s)
            if self._ending is not None and thread.is_alive():
                silence = f"MLflow at {self.config.uri} did not answer for {finish_s:g} s"
                self.problem = self.problem or silence

    def conclude(self, ending: Ending) -> None:
        """Say that the search is over, and what goes into its record last."""
        with self._changed:
            self._ending = ending
            self._changed.notify_all()

    def _work(self) -> None:
        pause_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._given_up, timeout=pause_s)
                ending, given_up = self._ending, self._given_up
            if given_up:
                return
            began_s = time.monotonic()
            try:
                self._copy(ending)
            except StorageError as error:
                self.problem = str(error)
                # Not interrupted by the end: a server that is away is not asked in a hurry.
                time.sleep(self.patience.retry_s)
                pause_s = 0.0
                continue
            except ConfigError as error:
                # Trying again would not help, and ending the search even less.
                self.problem = str(error)
                return
            self.problem = None
            if ending is not None:
                return
            rest_s = min(_REST_S, _SHARE * (time.monotonic() - began_s))
            pause_s = max(self.patience.gather_s, rest_s)

    def _copy(self, ending: Ending | None) -> None:
        """Bring MLflow up to date; it may be done again after any part of it."""
        parent = self._parent_run()
        for trial in self.trials():
            if self._complete.get(trial.name) != (trial.status or "under way"):
                self._copy_trial(parent, trial)
        if ending is not None:
            self._close(parent, ending)

    def _parent_run(self) -> MlflowRun:
        if self._parent is None:
            known = self.store.read(RUN_ID).decode() if self.store.exists(RUN_ID) else None
            self._parent = MlflowRun.open(
                self.config, run_name=self.name, run_id=known, params=self.settings
            )
            self.store.write(RUN_ID, self._parent.run_id.encode())
        return self._parent

    def _copy_trial(self, parent: MlflowRun, trial: Tracked) -> None:
        # An end may be taken back: a larger budget goes on with what a smaller one ended.
        if trial.status is not None and _mark(trial.run) == trial.status:
            self._complete[trial.name] = trial.status
            return
        run = self._open.get(trial.name)
        if run is None:
            known = trial.run.read(RUN_ID).decode() if trial.run.exists(RUN_ID) else None
            tags = {f"trial.{name}": str(value) for name, value in trial.values.items()}
            run = MlflowRun.open(
                self.config,
                run_name=trial.name,
                run_id=known,
                params=trial.settings(),
                tags={"mlflow.parentRunId": parent.run_id, **tags},
            )
            trial.run.write(RUN_ID, run.run_id.encode())
            self._open[trial.name] = run
        events = read_log(trial.run)
        run.log_events(events)
        if trial.status is not None:
            run.log_figures(summarise(events))
            if trial.reason:
                run.set_tags({"trial.reason": trial.reason})
            run.finish(trial.status)
            trial.run.write(COMPLETE, trial.status.encode())
            self._complete[trial.name] = trial.status
            del self._open[trial.name]

    def _close(self, parent: MlflowRun, ending: Ending) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in ending.files.items():
                (Path(folder) / name).write_bytes(content)
            parent.log_artifacts(Path(folder))
        parent.log_values(ending.figures)
        if ending.best is not None:
            parent.set_tags({"search.best": ending.best})
            self._register(ending)
        parent.finish("FINISHED" if ending.best is not None else "FAILED")
        self.store.write(COMPLETE, b"FINISHED")

    def _register(self, ending: Ending) -> None:
        """Keep the best adapter with its job as a version of the model named as the search."""
        best = next(trial for trial in self.trials() if trial.name == ending.best)
        run_id = best.run.read(RUN_ID).decode()
        run = MlflowRun.open(self.config, run_name=best.name, run_id=run_id, params={})
        with tempfile.TemporaryDirectory() as folder:
            for name in best.run.list(ADAPTER):
                path = Path(folder) / name.removeprefix(f"{ADAPTER}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(best.run.read(name))
            (Path(folder) / JOB).write_bytes(ending.job)
            run.log_artifacts(Path(folder), ADAPTER)
        run.register(self.name, ADAPTER)
        run.finish("FINISHED")


def _mark(run: Store) -> str | None:
    return run.read(COMPLETE).decode() if run.exists(COMPLETE) else None
