from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LeaseError, StorageError
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.checkpoint import latest_checkpoint, prune, write_checkpoint


def no_guard() -> None:
    """Nobody else wants the run."""


def contents(step: int) -> dict[str, bytes]:
    weights = bytes([step % 256]) * 1000
    return {"adapter/weights.safetensors": weights, "state.json": b'{"epoch": 0}'}


def write(store: Store, *steps: int) -> None:
    for step in steps:
        write_checkpoint(store, step, contents(step), no_guard)


def file_of(store: Store, step: int, pattern: str) -> Path:
    return next(Path(store.url, "checkpoints", f"step-{step:08d}").rglob(pattern))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def test_what_was_written_is_what_is_read(store: Store) -> None:
    assert write_checkpoint(store, 12, contents(12), no_guard) == "checkpoints/step-00000012"
    newest, torn = latest_checkpoint(store)
    assert newest is not None
    assert (newest.step, newest.files, torn) == (12, contents(12), ())


def test_a_run_without_checkpoints_has_none(store: Store) -> None:
    assert latest_checkpoint(store) == (None, ())
    assert prune(store, keep=1) == ()


def test_the_newest_is_by_number_and_not_by_spelling(store: Store) -> None:
    write(store, 99_999_999, 100_000_000, 9)
    newest, _ = latest_checkpoint(store)
    assert newest is not None
    assert newest.step == 100_000_000


@pytest.mark.parametrize(
    ("pattern", "damage", "reason"),
    [
        ("manifest.json", Path.unlink, "no manifest.json"),
        ("manifest.json", flip_a_bit, "manifest.json is damaged"),
        ("manifest.json", cut_short, "manifest.json is damaged"),
        ("weights.*", Path.unlink, "is missing"),
        ("weights.*", flip_a_bit, "is not what was written"),
        ("weights.*", cut_short, "is not what was written"),
        ("state.*", flip_a_bit, "is not what was written"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    store: Store, pattern: str, damage: Callable[[Path], Any], reason: str
) -> None:
    write(store, 1, 2)
    damage(file_of(store, 2, pattern))
    newest, torn = latest_checkpoint(store)
    assert newest is not None
    assert (newest.step, newest.files) == (1, contents(1))
    assert [each.step for each in torn] == [2]
    assert reason in torn[0].reason


def test_any_bit_of_a_manifest_is_vouched_for(store: Store) -> None:
    write_checkpoint(store, 1, {"a": b"content"}, no_guard)
    path = file_of(store, 1, "manifest.json")
    whole = path.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        newest, _ = latest_checkpoint(store)
        # A changed space between words changes nothing that is said.
        assert newest is None or newest.files == {"a": b"content"}


def test_all_damaged_checkpoints_are_named_when_none_is_left(store: Store) -> None:
    write(store, 1, 2)
    for step in (1, 2):
        flip_a_bit(file_of(store, step, "weights.*"))
    newest, torn = latest_checkpoint(store)
    assert newest is None
    assert [each.step for each in torn] == [2, 1]


def test_the_guard_is_asked_when_all_but_the_manifest_is_written(store: Store) -> None:
    seen: list[list[str]] = []
    write_checkpoint(
        store,
        3,
        contents(3),
        lambda: seen.append(sorted(p.name for p in Path(store.url).rglob("*.*"))),
    )
    (names,) = seen
    assert len(names) == 2
    assert "manifest.json" not in names


def test_a_writer_that_lost_its_lease_makes_no_checkpoint(store: Store) -> None:
    def lost() -> None:
        raise LeaseError("the run is held by another", "run", "Stop")

    write(store, 1)
    with pytest.raises(LeaseError):
        write_checkpoint(store, 2, contents(2), lost)
    newest, torn = latest_checkpoint(store)
    assert newest is not None
    assert newest.step == 1
    assert [each.step for each in torn] == [2]


def test_a_thawed_writer_cannot_change_a_checkpoint_of_its_successor(store: Store) -> None:
    def lost() -> None:
        raise LeaseError("the run is held by another", "run", "Stop")

    write(store, 2)
    with pytest.raises(LeaseError):
        write_checkpoint(store, 2, {"state.json": b"from before the thaw"}, lost)
    newest, _ = latest_checkpoint(store)
    assert newest is not None
    assert newest.files == contents(2)


def test_a_step_can_be_written_again_with_other_contents(store: Store) -> None:
    write(store, 2)
    write_checkpoint(store, 2, {"state.json": b"again"}, no_guard)
    newest, _ = latest_checkpoint(store)
    assert newest is not None
    assert newest.files == {"state.json": b"again"}


def test_pruning_keeps_the_newest_whole_ones(store: Store) -> None:
    write(store, 1, 2, 3, 4)
    assert prune(store, keep=2) == (2, 1)
    newest, torn = latest_checkpoint(store)
    assert newest is not None
    assert (newest.step, torn) == (4, ())
    assert {path.name for path in Path(store.url, "checkpoints").iterdir()} == {
        "step-00000003",
        "step-00000004",
    }


def test_pruning_counts_only_whole_ones_and_leaves_one_being_written(store: Store) -> None:
    write(store, 1, 2, 3, 4, 5)
    flip_a_bit(file_of(store, 3, "weights.*"))
    file_of(store, 5, "manifest.json").unlink()
    assert prune(store, keep=2) == (3, 1)
    assert latest_checkpoint(store)[0] is not None
    assert file_of(store, 5, "weights.*").exists()
    assert file_of(store, 2, "manifest.json").exists()


def test_pruning_deletes_nothing_when_nothing_is_whole(store: Store) -> None:
    write(store, 1, 2)
    for step in (1, 2):
        flip_a_bit(file_of(store, step, "weights.*"))
    assert prune(store, keep=1) == ()
    assert file_of(store, 1, "weights.*").exists()


class ForgetfulPlace(LocalPlace):
    """A disk that lists its files and does not give them."""

    def read(self, name: str, /) -> bytes:
        raise OSError(5, "Input/output error", name)


def test_a_store_that_does_not_answer_is_no_damaged_checkpoint(store: Store) -> None:
    write(store, 1, 2)
    silent = Store(store.url, ForgetfulPlace(Path(store.url)))
    with pytest.raises(StorageError):
        latest_checkpoint(silent)
    with pytest.raises(StorageError):
        prune(silent, keep=1)
