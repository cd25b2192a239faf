"""Checkpoints: a folder whose manifest, with the SHA-256 of every file, is written last.

``checkpoints/step-00000012/`` holds the files and ``manifest.json``; without a manifest that
vouches for every one of them there is no checkpoint. A stored file carries its hash in its
name: a trainer that was frozen, replaced and thawed again can add files beside those of its
successor, but never change one that a manifest already vouches for.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypedDict

from orchestrator.storage import Store

_FOLDER: Final = "checkpoints"
_MANIFEST: Final = "manifest.json"
_STEP: Final = re.compile(rf"{_FOLDER}/step-(\d{{8,}})/")
_HASH_CHARS: Final = 16  # of 64: enough for names to differ; the manifest has them all


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint, every byte verified."""

    step: int
    """Steps done when it was written."""

    files: Mapping[str, bytes]
    """Contents by the name they were written under."""


@dataclass(frozen=True, slots=True)
class TornCheckpoint:
    """A folder that is no checkpoint: half written, or damaged since."""

    step: int
    reason: str


class _Entry(TypedDict):
    path: str
    sha256: str


def write_checkpoint(
    store: Store, step: int, files: Mapping[str, bytes], guard: Callable[[], None]
) -> str:
    """Write one checkpoint: the files, then ``guard()``, then the manifest that makes it one.

    A checkpoint that is whole stays whole at every moment, also one of the same step: other
    contents go by other names.

    Args:
        store: The run's store.
        step: Steps done.
        files: Contents by name; a name may have folders in it.
        guard: Raises if this process may not write any more.

    Returns:
        The checkpoint's folder in the store.

    Raises:
        StorageError: The store did not take it.
    """
    folder = _folder(step)
    entries: dict[str, _Entry] = {}
    for name, content in sorted(files.items()):
        sha256 = _sha256(content)
        entries[name] = _Entry(path=_stored_name(name, sha256), sha256=sha256)
        store.write(f"{folder}/{entries[name]['path']}", content)
    manifest = json.dumps(
        {"step": step, "files": entries, "sha256": _seal(step, entries)}, indent=1
    )
    guard()
    store.write(f"{folder}/{_MANIFEST}", manifest.encode())
    return folder


def latest_checkpoint(store: Store) -> tuple[Checkpoint | None, tuple[TornCheckpoint, ...]]:
    """The newest whole checkpoint, and those newer than it that are not, with the reasons.

    A file that is missing or differs makes a checkpoint torn. A store that does not answer does
    not: falling back for that would train steps again that are safely there.

    Raises:
        StorageError: The store did not answer.
    """
    torn: list[TornCheckpoint] = []
    for found in _newest_first(store):
        if isinstance(found, Checkpoint):
            return found, tuple(torn)
        torn.append(found)
    return None, tuple(torn)


def prune(store: Store, keep: int) -> tuple[int, ...]:
    """Delete what is older than the newest ``keep`` whole checkpoints, whole or torn.

    Torn ones between those kept go too. What is newer than the newest whole one stays: somebody
    may be writing it. Without a whole one, all stay.

    Args:
        store: The run's store.
        keep: Whole checkpoints to leave, at least 1.

    Returns:
        Steps of the folders deleted.

    Raises:
        StorageError: The store did not answer.
    """
    assert keep >= 1, f"keep {keep} checkpoints"
    num_whole = 0
    doomed: list[int] = []
    # Verified, not believed: counting one that is damaged could leave no whole one at all.
    for found in _newest_first(store):
        if isinstance(found, Checkpoint) and num_whole < keep:
            num_whole += 1
        elif num_whole:
            doomed.append(found.step)
    for step in doomed:
        # First, so that one half deleted is nobody's checkpoint.
        store.delete(f"{_folder(step)}/{_MANIFEST}")
        store.delete(_folder(step))
    return tuple(doomed)


def _newest_first(store: Store) -> Iterator[Checkpoint | TornCheckpoint]:
    names = frozenset(store.list(_FOLDER))
    steps = {int(match[1]) for name in names if (match := _STEP.match(name))}
    for step in sorted(steps, reverse=True):
        yield _read(store, step, names)


def _read(store: Store, step: int, names: frozenset[str]) -> Checkpoint | TornCheckpoint:
    folder = _folder(step)
    if f"{folder}/{_MANIFEST}" not in names:
        return TornCheckpoint(step, f"no {_MANIFEST}: it was never finished")
    entries = _entries(store.read(f"{folder}/{_MANIFEST}"), step)
    if entries is None:
        return TornCheckpoint(step, f"{_MANIFEST} is damaged")
    files: dict[str, bytes] = {}
    for name, entry in entries.items():
        path = f"{folder}/{entry['path']}"
        if path not in names:
            return TornCheckpoint(step, f"{entry['path']} is missing")
        files[name] = store.read(path)
        if _sha256(files[name]) != entry["sha256"]:
            return TornCheckpoint(step, f"{entry['path']} is not what was written")
    return Checkpoint(step, files)


def _entries(manifest: bytes, step: int) -> dict[str, _Entry] | None:
    """The files that a manifest vouches for; None if it is not as it was written."""
    try:
        value = json.loads(manifest)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("files"), dict):
        return None
    entries: dict[str, _Entry] = value["files"]
    return entries if value.get("sha256") == _seal(step, entries) else None


def _folder(step: int) -> str:
    return f"{_FOLDER}/step-{step:08d}"


def _stored_name(name: str, sha256: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.{sha256[:_HASH_CHARS]}{path.suffix}"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(step: int, entries: Mapping[str, _Entry]) -> str:
    """Hash of a manifest's own words, so that damage to them is noticed like any other."""
    return _sha256(json.dumps([step, entries], sort_keys=True).encode())
