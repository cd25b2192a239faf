"""The record that is kept beside a training, with MLflow well, late, or gone."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import ConfigError, StorageError
from orchestrator.storage import Store
from orchestrator.tracking.events import Event, make_event
from orchestrator.tracking.recorder import PLOT, RUN_ID, Patience, Recorder, recording

CONFIG = TrackingConfig(uri="http://nowhere:5000", experiment="e")
EAGER = Patience(gather_s=0.01, retry_s=0.01, finish_s=20.0)
HASTY = Patience(gather_s=0.01, retry_s=0.01, finish_s=0.1)


def an_event(step: int) -> Event:
    return make_event(
        "step",
        wall_s=1000.0 + step,
        step=step,
        epoch=0,
        loss=2.0,
        samples=8,
        round_s=1.0,
        world_size=1,
    )


EVENTS = [make_event("started", wall_s=999.0), *map(an_event, range(3))]


@dataclass
class FakeRun:
    """As much of an MLflow run as a recorder uses; kept over all attempts to open it."""

    run_id: str = "run1"
    failures: int = 0
    """How many calls from here on are not answered."""
    events: list[Event] = field(default_factory=list)
    artifacts: list[tuple[str, str | None]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    opened_with: list[str | None] = field(default_factory=list)

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageError("MLflow: connection refused", CONFIG.uri, "Start it")

    def open(self, config: TrackingConfig, *, run_id: str | None, **_: Any) -> "FakeRun":
        assert config == CONFIG
        self._answer()
        self.opened_with.append(run_id)
        return self

    def log_events(self, events: Sequence[Event]) -> None:
        self._answer()
        self.events = list(events)

    def log_figures(self, figures: Any) -> None:
        self._answer()
        assert figures.steps == sum(event["kind"] == "step" for event in self.events)

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        self._answer()
        assert path.exists()
        self.artifacts.append((path.name, folder))

    def finish(self, status: str) -> None:
        self._answer()
        self.statuses.append(status)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "run"))


def begin(store: Store, run: Any, patience: Patience = EAGER) -> Recorder:
    return Recorder(CONFIG, store, "demo", {"seed": 0}, patience, run.open)


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_everything_is_recorded_at_the_end(store: Store, tmp_path: Path) -> None:
    run = FakeRun()
    adapter = tmp_path / "weights"
    adapter.mkdir()
    recorder = begin(store, run)
    recorder.log(EVENTS[:2])
    recorder.log(EVENTS[2:])
    recorder.finish("FINISHED", adapter)
    assert recorder.problem is None
    assert (run.events, run.statuses) == (EVENTS, ["FINISHED"])
    assert run.artifacts == [(PLOT, None), ("weights", "adapter")]
    assert store.read(PLOT).startswith(b"\x89PNG")


def test_events_are_copied_while_the_training_goes_on(store: Store) -> None:
    run = FakeRun()
    recorder = begin(store, run)
    recorder.log(EVENTS)
    until(lambda: run.events == EVENTS)
    recorder.finish("FINISHED", None)


def test_the_next_attempt_continues_the_same_run(store: Store) -> None:
    run = FakeRun()
    for _ in range(2):
        begin(store, run).finish("FINISHED", None)
    assert run.opened_with == [None, "run1"]
    assert store.read(RUN_ID) == b"run1"


@pytest.mark.parametrize("failures", [1, 4])
def test_a_server_that_is_late_gets_everything_in_the_end(store: Store, failures: int) -> None:
    run = FakeRun(failures=failures)
    recorder = begin(store, run)
    recorder.log(EVENTS)
    recorder.finish("FINISHED", None)
    assert recorder.problem is None
    assert (run.events, run.statuses) == (EVENTS, ["FINISHED"])


def test_a_server_that_goes_away_under_way_is_asked_again(store: Store) -> None:
    run = FakeRun()
    recorder = begin(store, run)
    recorder.log(EVENTS[:2])
    until(lambda: len(run.events) == 2)
    run.failures = 3
    until(lambda: run.failures == 0)
    recorder.log(EVENTS[2:])
    recorder.finish("FINISHED", None)
    assert recorder.problem is None
    assert run.events == EVENTS


def test_a_server_that_never_answers_is_named_and_the_run_has_its_plot(store: Store) -> None:
    run = FakeRun(failures=1_000_000)
    recorder = begin(store, run, HASTY)
    recorder.log(EVENTS)
    recorder.finish("FINISHED", None)
    assert recorder.problem is not None
    assert "connection refused" in recorder.problem
    assert store.exists(PLOT)
    # Its thread ends with the test.
    run.failures = 0
    until(lambda: run.statuses == ["FINISHED"])


class SilentRun(FakeRun):
    """A server that takes a request and says nothing until it is woken."""

    woken = threading.Event()

    def _answer(self) -> None:
        assert self.woken.wait(20)


def test_a_server_that_is_silent_holds_nothing_up(store: Store) -> None:
    run = SilentRun()
    recorder = begin(store, run, HASTY)
    began_s = time.monotonic()
    for event in EVENTS:
        recorder.log([event])
    assert time.monotonic() - began_s < 1.0
    recorder.finish("FINISHED", None)
    assert recorder.problem == "MLflow at http://nowhere:5000 did not answer for 0.1 s"
    run.woken.set()
    until(lambda: run.statuses == ["FINISHED"])


def test_an_address_that_can_be_none_is_said_and_not_tried_again(store: Store) -> None:
    class Refusing:
        def open(self, *_: Any, **__: Any) -> FakeRun:
            raise ConfigError("'runs' is a folder", "tracking.uri", "Name a file")

    recorder = begin(store, Refusing())
    recorder.log(EVENTS)
    recorder.finish("FINISHED", None)
    assert recorder.problem == "tracking.uri: 'runs' is a folder. Name a file."
    assert store.exists(PLOT)


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_a_run_that_ends_by_an_error_is_recorded_as_failed(
    store: Store, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    config = TrackingConfig(uri=f"sqlite:///{database}", experiment="e")

    def train() -> None:
        with recording(config, store, "demo", {"seed": 0}) as recorder:
            recorder.log(EVENTS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    with sqlite3.connect(database) as connection:
        [row] = connection.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        [steps] = connection.execute("SELECT count(*) FROM metrics WHERE key = 'loss'")
    connection.close()
    assert row == (store.read(RUN_ID).decode(), "demo", "FAILED")
    assert steps == (3,)
