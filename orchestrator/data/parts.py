"""Measured blocks of rows, kept on disk: what has not changed is not measured again.

A part is named by all that its rows depend on, so a part that is there is right, as long as its
media are in the state in which they were measured. An index that was not finished goes on where
it was.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.data.measure import MeasureSettings, media_state
from orchestrator.data.sources.chunks import Chunk, state_of

# Raised whenever the same inputs would give other rows.
_FORMAT = 3
# Where a medium lies and when it changed says nothing about what is learned from it, and
# nothing is learned from a bad row.
_INCIDENTAL = {"urls", "offsets", "lengths", "media_keys", "file", "notes", "question"}
_INCIDENTAL |= {"reason", "remedy"}
_DIGEST, _STATE = b"digest", b"state"


def settings_key(settings: MeasureSettings) -> str:
    """SHA-256 of everything that rows depend on, besides the files."""
    parts = {
        "format": _FORMAT,
        "places": repr(settings.places),
        "blobs": settings.blobs and settings.blobs.url,
        "chat": settings.chat.fingerprint(),
        "coder": repr(settings.coder),
        "kinds": repr(sorted(settings.kinds.items())),
        "max_images": settings.max_images,
        "select": settings.select,
        "micro_tokens": settings.micro_tokens,
        "fusion": [settings.fusion_budget, settings.fusion_floor],
        "template": repr(settings.template),
        "images": settings.images,
    }
    return _sha256(json.dumps(parts, sort_keys=True))


def part_key(settings: str, source: int, chunk: Chunk) -> str:
    """SHA-256 that names the part of one chunk.

    Args:
        settings: Of ``settings_key``.
        source: Place of the data set in the job.
        chunk: What was measured.
    """
    described = {**asdict(chunk), "identity": state_of(chunk)}
    return _sha256(json.dumps([settings, source, described], sort_keys=True))


@dataclass(frozen=True, slots=True)
class Parts:
    """A folder of parts."""

    folder: Path

    def read(self, key: str) -> pa.Table:
        """A part's rows, memory-mapped."""
        with pa.memory_map(str(self._path(key))) as file:
            return pa.ipc.open_file(file).read_all().replace_schema_metadata()

    def write(self, key: str, rows: pa.Table) -> None:
        """Keep a part; it appears whole or not at all, whoever else writes it."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(f".{uuid.uuid4().hex}")
        told = {_DIGEST: digest(rows), _STATE: _state(rows)}
        with pa.ipc.new_file(str(written), rows.schema.with_metadata(told)) as file:
            file.write_table(rows)
        written.replace(path)

    def told(self, key: str) -> tuple[str, str]:
        """A part's ``digest``, and another that follows also where its media lie."""
        with pa.memory_map(str(self._path(key))) as file:
            metadata = pa.ipc.open_file(file).schema.metadata
        return metadata[_DIGEST].decode(), metadata[_STATE].decode()

    def is_current(self, key: str) -> bool:
        """Whether a part is there, and its media are as they were measured.

        Files are asked for their size and time of change. Objects of a remote store are not
        asked for again, only those that were missing.

        Raises:
            StorageError: A store did not answer.
        """
        if not self._path(key).exists():
            return False
        rows = self.read(key)
        states = zip(_values(rows, "urls"), _values(rows, "media_keys"), strict=True)
        return all(
            media_state(url) == state
            for url, state in dict(states).items()
            if not state or "://" not in url
        )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.arrow"


def digest(rows: pa.Table) -> str:
    """SHA-256 of what is learned from rows: equal on every machine, wherever the files lie.

    Of media's content it follows the number of bytes.
    """
    sha = hashlib.sha256(_learned(rows).encode())
    good = rows.filter(pc.is_null(rows.column("reason")))
    sizes = zip(_values(good, "lengths"), _values(good, "media_keys"), strict=True)
    for length, state in sizes:
        sha.update((str(length) if length >= 0 else state.partition(":")[0]).encode() + b" ")
    return sha.hexdigest()


def _state(rows: pa.Table) -> str:
    """Another string for other rows; of equal rows it may differ, where Arrow does."""
    hashed = hashlib.blake2b(digest_size=32)
    for batch in rows.combine_chunks().to_batches():
        hashed.update(batch.serialize())
    return hashed.hexdigest()


def _learned(rows: pa.Table) -> str:
    sha = hashlib.sha256()
    for name in rows.column_names:
        if name not in _INCIDENTAL:
            column = rows.column(name)
            sha.update(name.encode())
            if pa.types.is_list(column.type):
                _update(sha, pc.list_value_length(column))
                column = pc.list_flatten(column)
            _update(sha, column)
    return sha.hexdigest()


def fingerprint_of(settings: MeasureSettings, digests: Iterable[str]) -> str:
    """SHA-256 of an index: what its rows are, and what their pictures become."""
    pixels = repr((settings.coder, sorted(settings.kinds.items())))
    return _sha256(json.dumps([_FORMAT, pixels, *digests]))


def _values(rows: pa.Table, name: str) -> list[Any]:
    values: list[Any] = pc.list_flatten(rows.column(name)).to_pylist()
    return values


def _update(sha: "hashlib._Hash", column: pa.ChunkedArray) -> None:
    """Hash values and not buffers: those hold what lies before, behind and between."""
    sha.update(repr(len(column)).encode())
    sha.update(column.is_null().to_numpy().tobytes())
    if pa.types.is_string(column.type):
        sha.update(pc.binary_length(column).fill_null(-1).to_numpy().tobytes())
        sha.update("".join(column.fill_null("").to_pylist()).encode())
    else:
        zero = pa.scalar(0).cast(column.type) if column.null_count else None
        filled = column if zero is None else column.fill_null(zero)
        sha.update(filled.to_numpy().tobytes())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
