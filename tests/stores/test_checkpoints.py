"""Checkpoints on a disk and behind S3: the newest whole one is found, whatever happens."""

import os
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.object_store import RemotePlace
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.checkpoint import (
    Sealed,
    Verified,
    latest_checkpoint,
    prune,
    write_checkpoint,
    write_sealed,
)
from tests.stores.conftest import Bucket

STEPS = (1, 2, 3)
DAMAGES = ("flip", "cut", "delete", "grow")


def no_guard() -> None:
    """Nobody else wants the run."""


def contents(step: int) -> dict[str, bytes]:
    return {"state.safetensors": bytes([step]) * 100, "more/notes.json": b'{"step": %d}' % step}


def damage(store: Store, name: str, kind: str, place: float, bit: int) -> None:
    data = bytearray(store.read(name))
    where = int(place * len(data))
    match kind:
        case "flip" if data:
            data[where] ^= 1 << bit
        case "flip":
            return
        case "cut":
            del data[where:]
        case "grow":
            data += b"\0"
        case _:
            store.delete(name)
            return
    store.write(name, bytes(data))


harms = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(0, 2),
        st.sampled_from(DAMAGES),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 7),
    ),
    max_size=4,
)


def hold_against_harms(store: Store, harms: list[tuple[int, int, str, float, int]]) -> None:
    store.delete("checkpoints")
    names: dict[int, list[str]] = {}
    for step in STEPS:
        write_checkpoint(store, step, contents(step), no_guard)
        names[step] = store.list(f"checkpoints/step-{step:08d}")
    before = {name: store.read(name) for each in names.values() for name in each}
    for step, number, kind, place, bit in harms:
        if names[step][number] in store.list():
            damage(store, names[step][number], kind, place, bit)
    after = {name: store.read(name) for name in store.list("checkpoints")}
    changed = {step for step in STEPS if any(after.get(n) != before[n] for n in names[step])}
    newest, torn = latest_checkpoint(store)
    expected = max(set(STEPS) - changed, default=None)
    if newest is not None and newest.step in changed:
        # White space of a manifest that says the same: nothing of the content can differ.
        assert newest.files == contents(newest.step)
    else:
        assert (newest.step if newest else None) == expected
        assert newest is None or newest.files == contents(newest.step)
    assert {each.step for each in torn} <= changed
    # Pruning agrees, and leaves what was found.
    prune(store, keep=1)
    again, _ = latest_checkpoint(store)
    assert again == newest


@settings(max_examples=60, deadline=None)
@given(harms=harms)
def test_whatever_is_damaged_on_a_disk_the_newest_whole_one_is_found(
    tmp_path_factory: pytest.TempPathFactory, harms: list[tuple[int, int, str, float, int]]
) -> None:
    hold_against_harms(Store.open(str(tmp_path_factory.mktemp("run"))), harms)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(harms=harms)
@pytest.mark.timeout(180)
def test_whatever_is_damaged_behind_s3_the_newest_whole_one_is_found(
    bucket: Bucket, harms: list[tuple[int, int, str, float, int]]
) -> None:
    hold_against_harms(bucket.store, harms)


class CountingDisk(LocalPlace):
    """A disk that knows how many bytes were read from it."""

    num_read: ClassVar[Counter[str]] = Counter()

    def read(self, name: str, /) -> bytes:
        data = super().read(name)
        self.num_read["bytes"] += len(data)
        return data


class CountingBucket(RemotePlace):
    """The same for a bucket."""

    num_read: ClassVar[Counter[str]] = Counter()

    def read(self, name: str, /) -> bytes:
        data = super().read(name)
        self.num_read["bytes"] += len(data)
        return data


@pytest.fixture
def counting(store: Store) -> tuple[Store, Counter[str]]:
    place = store.place
    if isinstance(place, RemotePlace):
        found = CountingBucket(
            place.filesystem, place.root, place.once, place.puts, place.bounds
        )
    else:
        assert isinstance(place, LocalPlace)
        found = CountingDisk(place.root)
    found.num_read.clear()
    return Store(store.url, found), found.num_read


def save(store: Store, step: int, verified: Verified) -> None:
    state = {"state": Sealed.of(bytes([step]) * 100_000)}
    write_sealed(store, step, state, no_guard, verified)


def test_pruning_reads_nothing_of_what_this_process_has_written(
    counting: tuple[Store, Counter[str]],
) -> None:
    store, num_read = counting
    verified = Verified()
    for step in range(1, 7):
        save(store, step, verified)
        prune(store, 2, no_guard, verified)
    assert num_read["bytes"] == 0
    assert {name.split("/")[1] for name in store.list("checkpoints")} == {
        "step-00000005",
        "step-00000006",
    }
    # As it was, with nothing remembered: both that are kept.
    prune(store, 2)
    assert num_read["bytes"] > 200_000


def test_what_an_earlier_process_wrote_is_read_once_and_what_is_doomed_never(
    counting: tuple[Store, Counter[str]],
) -> None:
    store, num_read = counting
    for step in (1, 2, 3):
        save(store, step, Verified())
    verified = Verified()
    prune(store, 2, no_guard, verified)
    once = num_read["bytes"]
    assert 200_000 < once < 210_000
    prune(store, 2, no_guard, verified)
    assert num_read["bytes"] == once


def test_a_checkpoint_that_changed_since_it_was_written_is_read_and_not_counted(
    counting: tuple[Store, Counter[str]],
) -> None:
    store, _ = counting
    verified = Verified()
    for step in (1, 2, 3):
        save(store, step, verified)
    for step in (2, 3):
        [name] = [n for n in store.list(f"checkpoints/step-{step:08d}") if "manifest" not in n]
        damage(store, name, "flip", 0.5, 0)
    assert prune(store, 1, no_guard, verified) == ()
    newest, torn = latest_checkpoint(store)
    assert newest is not None
    assert newest.step == 1
    assert [each.step for each in torn] == [3, 2]


def test_a_writer_that_was_killed_leaves_no_file_for_long(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    write_checkpoint(store, 1, contents(1), no_guard)
    folder = tmp_path / "checkpoints" / "step-00000001"
    old, young = folder / ".tmp-old", folder / ".tmp-young"
    for leftover in (old, young):
        leftover.write_bytes(b"half")
    os.utime(old, (1, 1))
    prune(store, 1)
    assert not old.exists()
    assert young.exists()
    assert latest_checkpoint(store)[0] is not None
