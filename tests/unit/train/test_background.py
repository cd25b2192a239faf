"""Checkpoints that are written beside the training."""

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import LeaseError, StorageError
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.background import STATE, BackgroundCheckpoints, Pauses
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


QUICK = Pauses(first_s=0.002, most_s=0.005)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.002)


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


def test_the_memory_of_a_written_state_is_there_for_the_next(store: Store) -> None:
    checkpoints = BackgroundCheckpoints(store, 2, no_guard, Told())
    state = bytearray(b"state")
    assert checkpoints.spare() is None
    checkpoints.offer(1, state)
    assert checkpoints.flush(10)
    assert checkpoints.spare() is state
    assert checkpoints.spare() is None
    checkpoints.close()


class BalksOnce(LocalPlace):
    """A disk that refuses the first state."""

    refused: ClassVar[list[str]] = []

    def write(self, name: str, data: bytes | bytearray, /) -> None:
        if "state" in name and not self.refused:
            self.refused.append(name)
            raise OSError(errno.EIO, "Input/output error")
        super().write(name, data)


def test_memory_that_a_failed_put_may_still_read_is_given_to_nobody(tmp_path: Path) -> None:
    store = Store(str(tmp_path), BalksOnce(tmp_path))
    checkpoints = BackgroundCheckpoints(store, 2, no_guard, Told(), QUICK)
    checkpoints.offer(1, bytearray(b"state"))
    wait_for(lambda: checkpoints.newest_written == 1)
    assert checkpoints.spare() is None
    checkpoints.close()


def test_a_disk_that_stays_full_is_told_and_the_next_checkpoint_is_written(
    tmp_path: Path,
) -> None:
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
    assert not checkpoints.close()
    assert [event["kind"] for event in told.events] == ["checkpoint", "checkpoint_failed"]


def test_a_trainer_that_lost_its_lease_writes_no_checkpoint(store: Store) -> None:
    def lost() -> None:
        raise LeaseError("held by another", "run", "Stop")

    told = Told()
    checkpoints = BackgroundCheckpoints(store, 2, lost, told)
    checkpoints.offer(1, b"state")
    assert not checkpoints.flush(PATIENCE_S)
    assert isinstance(checkpoints.lost_lease, LeaseError)
    with pytest.raises(LeaseError, match="held by another"):
        checkpoints.offer(2, b"state")
    assert not checkpoints.close()
    assert told.steps("checkpoint_failed") == [1]
    assert latest_checkpoint(store)[0] is None


@dataclass
class Flaky:
    """A guard that fails so many times, each time in the words of another request."""

    failures: int
    asked: int = 0
    kinds: tuple[str, ...] = ("no route",)

    def __call__(self) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            kind = self.kinds[self.asked % len(self.kinds)]
            where = f"step-{self.asked:08d}/state.{self.asked:016x}"
            raise StorageError(f"{kind} to {where}", "s3://bucket", "Wait")


def test_a_failed_checkpoint_is_tried_until_it_is_written_and_told_once(store: Store) -> None:
    told, guard = Told(), Flaky(failures=5)
    checkpoints = BackgroundCheckpoints(store, 2, guard, told, QUICK)
    checkpoints.offer(1, b"state")
    wait_for(lambda: checkpoints.newest_written == 1)
    assert checkpoints.close()
    assert told.steps("checkpoint_failed") == [1]
    [written] = [event for event in told.events if event["kind"] == "checkpoint"]
    assert written["tries"] == 6


def test_each_reason_is_told_once_and_anew_after_a_success(store: Store) -> None:
    told, guard = Told(), Flaky(failures=6, kinds=("no route", "denied"))
    checkpoints = BackgroundCheckpoints(store, 2, guard, told, QUICK)
    checkpoints.offer(1, b"state")
    wait_for(lambda: checkpoints.newest_written == 1)
    assert len(told.steps("checkpoint_failed")) == 2
    guard.asked = 4
    checkpoints.offer(2, b"state")
    wait_for(lambda: checkpoints.newest_written == 2)
    assert told.steps("checkpoint_failed") == [1, 1, 2, 2]
    assert checkpoints.close()


@pytest.mark.parametrize("how", ["urgent", "flush", "close"])
def test_a_long_pause_holds_up_nobody_in_a_hurry(store: Store, how: str) -> None:
    told, guard = Told(), Flaky(failures=1)
    checkpoints = BackgroundCheckpoints(store, 2, guard, told, Pauses(first_s=3600.0))
    checkpoints.offer(1, b"state")
    wait_for(lambda: bool(told.events))
    checkpoints.offer(2, b"state")
    time.sleep(0.05)
    assert checkpoints.newest_written is None
    begun_s = time.monotonic()
    match how:
        case "urgent":
            checkpoints.offer(3, b"state", urgent=True)
            wait_for(lambda: checkpoints.newest_written == 3)
        case "flush":
            assert checkpoints.flush(PATIENCE_S)
        case _:
            assert checkpoints.close(PATIENCE_S)
    assert time.monotonic() - begun_s < PATIENCE_S / 2
    assert checkpoints.close()


def test_a_store_that_does_not_answer_ends_no_trainer_late(store: Store) -> None:
    gate, told = Gate(), Told()
    checkpoints = BackgroundCheckpoints(store, 2, gate, told)
    checkpoints.offer(1, b"state")
    assert not checkpoints.flush(0.05)
    assert not checkpoints.close(0.05)
    [event] = told.events
    assert event["kind"] == "checkpoint_failed"
    assert "did not take it within 0.05 s" in event["reason"]
    gate.opened.set()


def test_a_try_that_was_under_way_at_the_end_is_followed_by_one_more(store: Store) -> None:
    told, gate = Told(), Gate()
    flaky = Flaky(failures=1)

    def guard() -> None:
        gate()
        flaky()

    checkpoints = BackgroundCheckpoints(store, 2, guard, told, Pauses(first_s=3600.0))
    checkpoints.offer(1, b"state")
    assert gate.reached.wait(PATIENCE_S)
    closing = threading.Thread(target=checkpoints.close)
    closing.start()
    time.sleep(0.05)
    gate.opened.set()
    closing.join(PATIENCE_S)
    assert told.steps("checkpoint") == [1]


def test_nothing_offered_is_durable_already(store: Store) -> None:
    checkpoints = BackgroundCheckpoints(store, 2, no_guard, Told())
    assert checkpoints.flush(0.0)
    assert checkpoints.newest_written is None
    assert checkpoints.close()


def test_pauses_grow_to_their_bound_and_no_further() -> None:
    pauses = Pauses(first_s=1.0, factor=2.0, most_s=30.0)
    assert [pauses.after(n) for n in (1, 2, 3, 5, 6, 100_000)] == [1, 2, 4, 16, 30, 30]


def test_a_recorder_that_fails_stops_no_checkpoint(store: Store) -> None:
    def broken(kind: str, **_fields: Any) -> None:
        assert kind == "checkpoint"
        raise RuntimeError("the journal is away")

    checkpoints = BackgroundCheckpoints(store, 2, no_guard, broken)
    checkpoints.offer(1, b"state")
    assert checkpoints.flush(PATIENCE_S)
    assert checkpoints.close()


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
