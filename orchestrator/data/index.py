"""The index: one row a usable sample, the costs as arrays, and the ledger of all others.

Opening takes no memory worth the name, however many samples there are: everything is mapped.
``index.json`` is written last; a folder without it holds no index.

Letters: N samples; L text tokens and image slots of a sample.
"""

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.index_writer import (
    QUARANTINE,
    ROWS,
    ROWS_A_BATCH,
    Counts,
    IndexWriter,
)
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.errors import DataError, StorageError

SUMMARY = "index.json"
_TRIES = 5
_MEDIA_COLUMNS = (
    "kinds",
    "urls",
    "offsets",
    "lengths",
    "pictures",
    "target_heights",
    "target_widths",
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index holds, in figures."""

    fingerprint: str
    """Of everything it was made from."""

    source: str
    """The data files' places, as the job names them."""

    num_samples: int
    by_source: tuple[int, ...]
    """Usable samples of each of the job's data sets, which lie one after the other."""

    num_bad: int
    """Rows in the quarantine ledger."""

    num_images: int
    text_tokens: int
    image_tokens: int
    label_tokens: int
    patches: int
    longest: int
    """Tokens of the longest sample."""


class Index:
    """An index, open for reading. Samples are numbered from 0, in the order of their file."""

    def __init__(self, folder: Path, summary: Summary) -> None:
        self.folder = folder
        self.summary = summary
        self.tokens_N: npt.NDArray[np.int64] = _column(folder, "tokens")
        self.patches_N: npt.NDArray[np.int64] = _column(folder, "patches")
        self.label_tokens_N: npt.NDArray[np.int64] = _column(folder, "label_tokens")
        self.cost_N: npt.NDArray[np.float64] = _column(folder, "cost")
        self._rows = pa.ipc.open_file(pa.memory_map(str(folder / ROWS)))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an index.

        Raises:
            DataError: There is none, or it was written by another version.
        """
        if not (folder / SUMMARY).exists():
            raise DataError("holds no index", str(folder), "Build it: orchestrator index")
        try:
            fields = json.loads((folder / SUMMARY).read_bytes())
            summary = Summary(**{**fields, "by_source": tuple(fields["by_source"])})
            return cls(folder, summary)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"holds an index that cannot be read ({error})",
                str(folder),
                "Build it again: orchestrator index",
            ) from error

    @property
    def num_samples(self) -> int:
        """Usable samples."""
        return self.summary.num_samples

    @property
    def quarantine(self) -> list[BadRow]:
        """Every unusable row, in the order of the file."""
        with (self.folder / QUARANTINE).open(encoding="utf-8") as lines:
            return [BadRow(**json.loads(line)) for line in lines]

    def count_images(self) -> npt.NDArray[np.int64]:
        """Pictures of each sample, [N]: all that its media give. Reads one column of all."""
        counts = []
        for number in range(self._rows.num_record_batches):
            given = self._rows.get_batch(number).column("pictures")
            sample_M, num_M = pc.list_parent_indices(given), given.flatten()
            counts.append(np.bincount(sample_M, weights=num_M, minlength=len(given)))
        return np.concatenate([np.zeros(0), *counts]).astype(np.int64)

    def sample(self, number: int) -> RenderRow:
        """Read what rendering needs of one sample, from its place in the file."""
        assert 0 <= number < self.num_samples, f"sample {number} of {self.num_samples}"
        batch = self._rows.get_batch(number // ROWS_A_BATCH)
        place = number % ROWS_A_BATCH
        return RenderRow(
            sample=number,
            id=batch.column("id")[place].as_py(),
            ids_L=batch.column("ids_L")[place].values.to_numpy(),
            labels_L=batch.column("labels_L")[place].values.to_numpy(zero_copy_only=False),
            media=tuple(_media(batch, place)),
        )

    def rows(self, samples: Sequence[int]) -> list[RenderRow]:
        """Read what rendering needs of some samples, in the order asked for."""
        return [self.sample(number) for number in samples]


def write_index(
    folder: Path,
    blocks: Iterable[pa.Table],
    *,
    source: str,
    num_sources: int = 1,
    fingerprint: str,
    may_be_empty: bool = False,
) -> Index:
    """Write an index from blocks of rows as they come; never holds more than a few of them.

    It is written aside and then put in place, so that of several who write the same one, all
    find it whole.

    Args:
        folder: Where to; an index that is there is replaced.
        blocks: Tables as ``rows_to_table`` makes them, each of one run of a file, in the order
            of the job's data sets, their files, and the rows in those.
        source: What it is made from, for people.
        num_sources: The job's data sets.
        fingerprint: Of everything that the rows are.
        may_be_empty: No usable row is no error.

    Returns:
        The index, open.

    Raises:
        DataError: Not one row of a data set is usable. The ledger is written all the same.
    """
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    aside.mkdir(parents=True)
    try:
        counts = _write_rows(aside, blocks)
        figures = {**asdict(counts), "by_source": _by_source(counts, num_sources)}
        summary = Summary(fingerprint=fingerprint, source=source, **figures)
        text = json.dumps(asdict(summary), indent=2) + "\n"
        (aside / SUMMARY).write_text(text, encoding="utf-8")
        if not may_be_empty:
            _refuse_useless(aside, folder, summary)
        _put_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Index.open(folder)


def _write_rows(folder: Path, blocks: Iterable[pa.Table]) -> Counts:
    with IndexWriter(folder) as writer:
        for block in blocks:
            writer.add(block)
    return writer.counts


def _by_source(counts: Counts, num_sources: int) -> tuple[int, ...]:
    return tuple(counts.by_source.get(number, 0) for number in range(num_sources))


def _put_in_place(aside: Path, folder: Path) -> None:
    for _ in range(_TRIES):
        try:
            aside.rename(folder)
        except OSError:
            # Whoever has the old files mapped keeps them.
            shutil.rmtree(folder, ignore_errors=True)
        else:
            return
    raise StorageError("cannot be replaced", str(folder), "Check that it may be written to")


def _refuse_useless(aside: Path, folder: Path, summary: Summary) -> None:
    """Keep the ledger, and no index, where a data set has nothing to learn from."""
    if 0 not in summary.by_source:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    (aside / QUARANTINE).replace(folder / QUARANTINE)
    if not summary.num_samples:
        problem = _nothing_usable(folder, summary.num_bad)
        raise DataError(problem, summary.source, "Mend the rows named there")
    sources = summary.by_source
    raise DataError(
        f"data set {sources.index(0) + 1} of {len(sources)} has no row that can be used "
        f"(see {folder / QUARANTINE})",
        summary.source,
        "Mend its rows, or take it out of the job",
    )


def _nothing_usable(folder: Path, num_bad: int) -> str:
    if not num_bad:
        return "holds no rows"
    with (folder / QUARANTINE).open(encoding="utf-8") as lines:
        first = BadRow(**json.loads(next(lines)))
    return (
        f"not one of {num_bad} rows can be used; row {first.row}: {first.reason} "
        f"(all in {folder / QUARANTINE})"
    )


def _media(batch: pa.RecordBatch, place: int) -> Iterator[RenderMedium]:
    """A sample's media, each with the targets of its own pictures."""
    kinds, urls, offsets, lengths, pictures, heights, widths = (
        batch.column(name)[place].as_py() for name in _MEDIA_COLUMNS
    )
    targets = zip(heights, widths, strict=True)
    each = zip(kinds, urls, offsets, lengths, pictures, strict=True)
    for kind, url, offset, length, num_pictures in each:
        where = Location(url, offset, None if length < 0 else length)
        yield RenderMedium(kind, where, tuple(islice(targets, num_pictures)))


def _column(folder: Path, name: str) -> npt.NDArray[Any]:
    column_N: npt.NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return column_N
