"""Background checkpoints through an outage of their store: reported, tried again, written."""

import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.storage import Store
from orchestrator.train.background import STATE, BackgroundCheckpoints, Pauses
from orchestrator.train.checkpoint import latest_checkpoint
from tests.stores.conftest import Bucket
from tests.stores.disks import SmallDisk

QUICK = Pauses(first_s=0.02, most_s=0.1)
SOON_S = 40.0
LARGE = bytes(1 << 20)


class Told:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def wait_for(self, kind: str) -> dict[str, Any]:
        deadline_s = time.monotonic() + SOON_S
        while not self.of(kind):
            assert time.monotonic() < deadline_s, f"no {kind}: {self.events}"
            time.sleep(0.01)
        return self.of(kind)[0]


def no_guard() -> None:
    """Nobody else wants the run."""


def newest(store: Store) -> tuple[int, bytes] | None:
    found, _ = latest_checkpoint(store)
    return (found.step, found.files[STATE]) if found else None


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(".tmp-*"))


def test_a_full_disk_is_told_once_and_the_checkpoint_is_written_when_there_is_room(
    disk: SmallDisk,
) -> None:
    store, told = Store.open(str(disk.root)), Told()
    checkpoints = BackgroundCheckpoints(store, 1, no_guard, told, QUICK)
    checkpoints.offer(1, b"small")
    assert checkpoints.flush(SOON_S)
    disk.fill()
    checkpoints.offer(2, LARGE)
    assert "No space left" in told.wait_for("checkpoint_failed")["reason"]
    assert not checkpoints.flush(0.5)
    assert newest(store) == (1, b"small")
    assert leftovers(disk.root) == []
    disk.make_room()
    assert checkpoints.flush(SOON_S)
    assert newest(store) == (2, LARGE)
    assert checkpoints.newest_written == 2
    assert len(told.of("checkpoint_failed")) == 1
    assert told.of("checkpoint")[-1]["tries"] > 1
    assert checkpoints.close()


def test_what_failed_tries_left_does_not_keep_a_disk_full(disk: SmallDisk) -> None:
    store, told = Store.open(str(disk.root)), Told()
    refuses = True

    def guard() -> None:
        if refuses:
            raise OSError("the lease cannot be read")

    checkpoints = BackgroundCheckpoints(store, 1, guard, told, QUICK)
    # Each takes a quarter of the disk before it fails at the guard.
    for step in range(1, 4):
        checkpoints.offer(step, LARGE)
        deadline_s = time.monotonic() + SOON_S
        while not store.list(f"checkpoints/step-{step:08d}"):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    refuses = False
    checkpoints.offer(4, LARGE, urgent=True)
    assert checkpoints.flush(SOON_S)
    checkpoints.offer(5, LARGE, urgent=True)
    assert checkpoints.flush(SOON_S)
    assert newest(store) == (5, LARGE)
    assert checkpoints.close()


def test_a_disk_that_cannot_be_written_is_waited_for(disk: SmallDisk) -> None:
    store, told = Store.open(str(disk.root)), Told()
    disk.make_readonly(readonly=True)
    checkpoints = BackgroundCheckpoints(store, 1, no_guard, told, QUICK)
    checkpoints.offer(1, b"state")
    assert "Read-only" in told.wait_for("checkpoint_failed")["reason"]
    disk.make_readonly(readonly=False)
    assert checkpoints.close(SOON_S)
    assert newest(store) == (1, b"state")


@pytest.mark.timeout(120)
def test_a_bucket_that_cannot_be_reached_is_waited_for_and_the_newest_state_written(
    bucket: Bucket,
) -> None:
    told = Told()
    checkpoints = BackgroundCheckpoints(bucket.store, 1, no_guard, told, QUICK)
    checkpoints.offer(1, b"one")
    assert checkpoints.flush(SOON_S)
    bucket.road.set("closed")
    begun_s = time.monotonic()
    for step in (2, 3):
        checkpoints.offer(step, b"state %d" % step)
    assert time.monotonic() - begun_s < 0.5
    told.wait_for("checkpoint_failed")
    assert not checkpoints.flush(0.1)
    bucket.road.set("open")
    assert checkpoints.flush(SOON_S)
    assert newest(bucket.store) == (3, b"state 3")
    assert checkpoints.close()


@pytest.mark.timeout(120)
def test_a_server_that_froze_in_the_middle_of_an_upload_gets_a_whole_checkpoint(
    bucket: Bucket,
) -> None:
    told = Told()
    checkpoints = BackgroundCheckpoints(bucket.store, 1, no_guard, told, QUICK)
    bucket.server.freeze()
    try:
        checkpoints.offer(1, LARGE)
        told.wait_for("checkpoint_failed")
    finally:
        bucket.server.thaw()
    assert checkpoints.close(SOON_S)
    assert newest(bucket.store) == (1, LARGE)


@pytest.mark.timeout(120)
def test_a_slow_road_delays_a_checkpoint_and_not_the_training(bucket: Bucket) -> None:
    told = Told()
    checkpoints = BackgroundCheckpoints(bucket.store, 1, no_guard, told, QUICK)
    bucket.road.set("slow")
    begun_s = time.monotonic()
    checkpoints.offer(1, LARGE)
    assert time.monotonic() - begun_s < 0.1
    assert checkpoints.close(SOON_S)
    assert newest(bucket.store) == (1, LARGE)
    assert told.of("checkpoint")[0]["seconds"] > 1


@pytest.mark.timeout(120)
def test_a_server_that_lost_everything_gets_the_next_checkpoint(bucket: Bucket) -> None:
    told = Told()
    checkpoints = BackgroundCheckpoints(bucket.store, 2, no_guard, told, QUICK)
    checkpoints.offer(1, b"one")
    assert checkpoints.flush(SOON_S)
    bucket.server.stop()
    checkpoints.offer(2, b"two")
    told.wait_for("checkpoint_failed")
    bucket.server.start()
    bucket.make()
    assert checkpoints.close(SOON_S)
    assert newest(bucket.store) == (2, b"two")
