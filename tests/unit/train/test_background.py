"""Checkpoints that are written beside the training."""

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LeaseError
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.background import STATE, BackgroundCheckpoints
from orchestrator.train.checkpoint import latest_checkpoint

PATIENCE_S = 20.0


class Told:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def steps(self, kind: str) -> list[int]:
        return [event["step"] for event in self.events if event["kind"] == kind]


class Disk(LocalPlace):
    """A disk that is full for one step."""

    def write(self, name: str, data: bytes, /) -> None:
        if "step-00000002/state" in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(name, data)


class Gate:
    """A guard that keeps a writer waiting until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)


def no_guard() -> None:
    """Nobody else wants the run."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def states(store: Store) -> list[str]:
    return sorted(name.split("/")[1] for name in store.list() if "manifest" in name)


def test_what_is_offered_is_written_and_old_ones_are_pruned(store: Store) -> None:
    told = Told()
    for step in (1, 2, 3):
        checkpoints = BackgroundCheckpoints(store, 2, no_guard, told)
        checkpoints.offer(step, b"state %d" % step)
        checkpoints.close()
    newest, _ = latest_checkpoint(store)
    assert newest is not None
    assert newest.files == {STATE: b"state 3"}
    assert states(store) == ["step-00000002", "step-00000003"]
    assert told.steps("checkpoint") == [1, 2, 3]
    assert told.events[0]["path"] == "checkpoints/step-00000001"
    assert told.events[0]["seconds"] >= 0


def test_a_full_disk_is_told_and_the_next_checkpoint_is_written(tmp_path: Path) -> None:
    store, told = Store(str(tmp_path), Disk(tmp_path)), Told()
    for step in (1, 2, 3):
        checkpoints = BackgroundCheckpoints(store, 2, no_guard, told)
        checkpoints.offer(step, b"state")
        checkpoints.close()
    assert told.steps("checkpoint") == [1, 3]
    [refused] = [event for event in told.events if event["kind"] == "checkpoint_failed"]
    assert refused["step"] == 2
    assert "No space left" in refused["reason"]


def test_one_thread_lives_through_a_refusal(tmp_path: Path) -> None:
    store, told, gate = Store(str(tmp_path), Disk(tmp_path)), Told(), Gate()
    checkpoints = BackgroundCheckpoints(store, 2, gate, told)
    checkpoints.offer(1, b"state")
    assert gate.reached.wait(PATIENCE_S)
    checkpoints.offer(2, b"state")
    gate.opened.set()
    checkpoints.close()
    assert [event["kind"] for event in told.events] == ["checkpoint", "checkpoint_failed"]


def test_a_trainer_that_lost_its_lease_writes_no_checkpoint(store: Store) -> None:
    def lost() -> None:
        raise LeaseError("held by another", "run", "Stop")

    told = Told()
    checkpoints = BackgroundCheckpoints(store, 2, lost, told)
    checkpoints.offer(1, b"state")
    checkpoints.close()
    assert told.steps("checkpoint_failed") == [1]
    assert latest_checkpoint(store)[0] is None


def test_of_those_that_wait_only_the_newest_is_kept_and_offering_never_waits(
    store: Store,
) -> None:
    gate, told = Gate(), Told()
    checkpoints = BackgroundCheckpoints(store, 9, gate, told)
    checkpoints.offer(1, b"first")
    assert gate.reached.wait(PATIENCE_S)
    for step in (2, 3, 4):
        checkpoints.offer(step, b"state")
    assert told.events == []
    gate.opened.set()
    checkpoints.close()
    assert told.steps("checkpoint") == [1, 4]


def test_closing_waits_for_what_is_being_written(store: Store) -> None:
    gate, told = Gate(), Told()
    checkpoints = BackgroundCheckpoints(store, 2, gate, told)
    checkpoints.offer(1, b"state")
    closing = threading.Thread(target=checkpoints.close)
    closing.start()
    assert gate.reached.wait(PATIENCE_S)
    assert closing.is_alive()
    gate.opened.set()
    closing.join(PATIENCE_S)
    assert told.steps("checkpoint") == [1]


def test_closing_without_an_offer_writes_nothing(store: Store) -> None:
    BackgroundCheckpoints(store, 2, no_guard, Told()).close()
    assert store.list() == []
