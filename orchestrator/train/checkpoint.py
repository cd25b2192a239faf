"""Checkpoints: a folder whose manifest, with the SHA-256 of every file, is written last.

``checkpoints/step-00000012/`` holds the files and ``manifest.json``; without a manifest that
vouches for every one of them there is no checkpoint. A stored file carries its hash in its
name: a trainer that was frozen, replaced and thawed again can add files beside those of its
successor, but never change one that a manifest already vouches for.

Whether one is whole is found out by reading it. ``Verified`` remembers what this process has
written, or read whole, and what the store's listing said of each file at that time: as long as
the listing says the same, nothing is read again.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypedDict

from orchestrator.errors import StorageError
from orchestrator.object_store import Stamp
from orchestrator.storage import Store

_FOLDER: Final = "checkpoints"
_MANIFEST: Final = "manifest.json"
_STEP: Final = re.compile(rf"{_FOLDER}/step-(\d{{8,}})/")
_LEFTOVER_S: Final = 3600.0  # no writer is an hour within one file
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


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file's content and its SHA-256, computed once however often it is written."""

    content: bytes | bytearray
    sha256: str

    @classmethod
    def of(cls, content: bytes | bytearray) -> "Sealed":
        """Seal a content."""
        return cls(content, _sha256(content))


class Verified:
    """Checkpoints that this process has seen whole, and their files' stamps at that time."""

    def __init__(self) -> None:
        self._stamps: dict[int, Mapping[str, Stamp]] = {}

    def note(self, step: int, stamps: Mapping[str, Stamp]) -> None:
        """Remember a whole checkpoint by the files that make it up."""
        self._stamps[step] = dict(stamps)

    def vouches_for(self, step: int, stamps: Mapping[str, Stamp]) -> bool:
        """Whether a checkpoint is one of those, and its files have not changed since."""
        seen = self._stamps.get(step)
        return seen is not None and all(stamps.get(path) == seen[path] for path in seen)

    def forget(self, step: int) -> None:
        """A checkpoint is gone."""
        self._stamps.pop(step, None)


def write_checkpoint(
    store: Store, step: int, files: Mapping[str, bytes | bytearray], guard: Callable[[], None]
) -> str:
    """Seal the files and write them: see ``write_sealed``."""
    sealed = {name: Sealed.of(content) for name, content in files.items()}
    return write_sealed(store, step, sealed, guard, Verified())


def write_sealed(
    store: Store,
    step: int,
    files: Mapping[str, Sealed],
    guard: Callable[[], None],
    verified: Verified,
) -> str:
    """Write one checkpoint: the files, then ``guard()``, then the manifest that makes it one.

    A checkpoint that is whole stays whole at every moment, also one of the same step: other
    contents go by other names. No content is copied here.

    Args:
        store: The run's store.
        step: Steps done.
        files: Contents by name; a name may have folders in it.
        guard: Raises if this process may not write any more.
        verified: Told of the checkpoint once the store lists every file at its full size.

    Returns:
        The checkpoint's folder in the store.

    Raises:
        StorageError: The store did not take it.
    """
    folder = _folder(step)
    entries: dict[str, _Entry] = {}
    sizes: dict[str, int] = {}
    for name, file in sorted(files.items()):
        entries[name] = _Entry(path=_stored_name(name, file.sha256), sha256=file.sha256)
        path = f"{folder}/{entries[name]['path']}"
        store.write(path, file.content)
        sizes[path] = len(file.content)
    manifest = json.dumps(
        {"step": step, "files": entries, "sha256": _seal(step, entries)}, indent=1
    ).encode()
    guard()
    _write_manifest(store, f"{folder}/{_MANIFEST}", manifest, guard)
    _verify_sizes(store, step, {**sizes, f"{folder}/{_MANIFEST}": len(manifest)}, verified)
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


def prune(
    store: Store,
    keep: int,
    guard: Callable[[], None] = lambda: None,
    verified: Verified | None = None,
) -> tuple[int, ...]:
    """Delete what is older than the newest ``keep`` whole checkpoints, whole or torn.

    Torn ones between those kept go too. What is newer than the newest whole one stays: somebody
    may be writing it. Without a whole one, all stay.

    Args:
        store: The run's store.
        keep: Whole checkpoints to leave, at least 1.
        guard: Raises if this process may not delete any more; asked before each deletion.
        verified: Checkpoints that need not be read to be known as whole; those that had to be
            read are added.

    Returns:
        Steps of the folders deleted.

    Raises:
        StorageError: The store did not answer.
    """
    assert keep >= 1, f"keep {keep} checkpoints"
    known = Verified() if verified is None else verified
    num_whole = 0
    doomed: list[int] = []
    stamps = store.stamps(_FOLDER)
    for step in _steps(stamps):
        # Verified, not believed: counting one that is damaged could leave no whole one at all.
        if num_whole < keep and _is_whole(store, step, stamps, known):
            num_whole += 1
        elif num_whole:
            doomed.append(step)
    for step in doomed:
        guard()
        # First, so that one half deleted is nobody's checkpoint.
        store.delete(f"{_folder(step)}/{_MANIFEST}")
        store.delete(_folder(step))
        known.forget(step)
    store.sweep(_FOLDER, before_s=time.time() - _LEFTOVER_S)
    return tuple(doomed)


def discard(store: Store, step: int, guard: Callable[[], None]) -> None:
    """Remove what a write that failed left of a step; nothing, if a manifest is there.

    Raises:
        StorageError: The store did not answer.
    """
    folder = _folder(step)
    if store.list(folder) and not store.exists(f"{folder}/{_MANIFEST}"):
        guard()
        store.delete(folder)


def _write_manifest(
    store: Store, path: str, manifest: bytes, guard: Callable[[], None]
) -> None:
    if store.create(path, manifest) or store.read(path) == manifest:
        return
    # An earlier try's, or a successor's that came while this process was frozen.
    guard()
    store.write(path, manifest)


def _verify_sizes(
    store: Store, step: int, sizes: Mapping[str, int], verified: Verified
) -> None:
    stamps = store.stamps(_folder(step))
    for path, size in sizes.items():
        if path not in stamps or stamps[path].size != size:
            raise StorageError(
                f"step {step}: {path} is not there as it was written",
                store.url,
                "Check that nobody else writes to this run's folder",
            )
    verified.note(step, {path: stamps[path] for path in sizes})


def _is_whole(store: Store, step: int, stamps: Mapping[str, Stamp], verified: Verified) -> bool:
    if verified.vouches_for(step, stamps):
        return True
    if not isinstance(_read(store, step, stamps.keys()), Checkpoint):
        return False
    # All of the folder's: which of them the manifest names is not worth a second look.
    top = f"{_folder(step)}/"
    verified.note(step, {path: stamps[path] for path in stamps if path.startswith(top)})
    return True


def _newest_first(store: Store) -> Iterator[Checkpoint | TornCheckpoint]:
    names = frozenset(store.list(_FOLDER))
    for step in _steps(names):
        yield _read(store, step, names)


def _steps(names: Iterable[str]) -> list[int]:
    return sorted({int(m[1]) for name in names if (m := _STEP.match(name))}, reverse=True)


def _read(store: Store, step: int, names: Collection[str]) -> Checkpoint | TornCheckpoint:
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


def _sha256(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(step: int, entries: Mapping[str, _Entry]) -> str:
    """Hash of a manifest's own words, so that damage to them is noticed like any other."""
    return _sha256(json.dumps([step, entries], sort_keys=True).encode())
