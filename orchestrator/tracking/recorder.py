"""A run's record, kept up to date beside the training: events to MLflow, a plot at the end.

A tracking server that is slow or away holds up nothing: what it has not got yet is kept, tried
again, and at worst brought up to date by the next attempt.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import ConfigError, StorageError
from orchestrator.storage import Store
from orchestrator.tracking.events import Event
from orchestrator.tracking.mlflow_run import MlflowRun, Status
from orchestrator.tracking.summary import summarise

PLOT = "plot.png"
RUN_ID = "mlflow_run_id"


@dataclass(frozen=True, slots=True)
class Patience:
    """How much time a tracking server is given."""

    gather_s: float = 1.0
    """Events are gathered for: a database takes ten as easily as one."""
    retry_s: float = 5.0
    """Between tries at a server that does not answer."""
    finish_s: float = 60.0
    """How long the end of a run waits for such a server."""


class Recorder:
    """Copies events from a thread of its own.

    Args:
        config: Where the record is kept.
        store: The run's store; keeps the plot, and the id of the MLflow run to continue.
        run_name: The run's name for people.
        params: Settings, nested as they are.
        patience: How long a server may take.
        open_run: Opens the MLflow run.
    """

    def __init__(
        self,
        config: TrackingConfig,
        store: Store,
        run_name: str,
        params: Mapping[str, object],
        patience: Patience = Patience(),
        open_run: Callable[..., MlflowRun] = MlflowRun.open,
    ) -> None:
        self._config, self._store = config, store
        self._run_name, self._params = run_name, params
        self._patience, self._open_run = patience, open_run
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._end: tuple[Status, Path | None] | None = None
        self.problem: str | None = None
        """Why MLflow lacks something at the end; None where it has everything."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def log(self, events: Sequence[Event]) -> None:
        """Hand on the next events of the run's log, which begins with the first ever."""
        if events:
            with self._changed:
                self._events.extend(events)
                self._changed.notify_all()

    def finish(self, status: Status, adapter: Path | None) -> None:
        """Draw the plot, and end the MLflow run with everything in it.

        Args:
            status: How the run ended.
            adapter: A folder that goes to the artifacts; None where there is none yet.
        """
        # Before anything is asked of a server: a run has its plot wherever MLflow is.
        self._draw()
        with self._changed:
            self._end = (status, adapter)
            self._changed.notify_all()
        finish_s = self._patience.finish_s
        self._thread.join(finish_s)
        if self._thread.is_alive():
            silence = f"MLflow at {self._config.uri} did not answer for {finish_s:g} s"
            self.problem = self.problem or silence

    def _draw(self) -> None:
        # Here: it loads matplotlib.
        from orchestrator.tracking.plot import plot_run  # noqa: PLC0415

        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / PLOT
            plot_run(self._events, picture, title=self._run_name)
            self._store.write(PLOT, picture.read_bytes())

    def _work(self) -> None:
        run: MlflowRun | None = None
        while True:
            try:
                run = run or self._open()
                self._copy(run)
            except StorageError as error:
                self.problem = str(error)
                time.sleep(self._patience.retry_s)
            except ConfigError as error:
                # Trying again would not help, and ending the training even less.
                self.problem = str(error)
                return
            else:
                return

    def _open(self) -> MlflowRun:
        known = self._store.read(RUN_ID).decode() if self._store.exists(RUN_ID) else None
        run = self._open_run(
            self._config, run_name=self._run_name, run_id=known, params=self._params
        )
        if run.run_id != known:
            self._store.write(RUN_ID, run.run_id.encode())
        return run

    def _copy(self, run: MlflowRun) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._end is not None, timeout=self._patience.gather_s
                )
                events, end = list(self._events), self._end
            run.log_events(events)
            self.problem = None
            if end is not None:
                self._close(run, events, *end)
                return

    def _close(
        self, run: MlflowRun, events: Sequence[Event], status: Status, adapter: Path | None
    ) -> None:
        run.log_figures(summarise(events))
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / PLOT
            picture.write_bytes(self._store.read(PLOT))
            run.log_artifacts(picture)
        if adapter is not None:
            run.log_artifacts(adapter, "adapter")
        run.finish(status)


@contextmanager
def recording(
    config: TrackingConfig, store: Store, run_name: str, params: Mapping[str, object]
) -> Iterator[Recorder]:
    """Keep a record; a run that ends by an error is recorded as failed."""
    recorder = Recorder(config, store, run_name, params)
    try:
        yield recorder
    except BaseException:
        recorder.finish("FAILED", None)
        raise
