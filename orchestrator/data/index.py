"""The index: one row a usable sample, the costs as arrays, and the ledger of all others.

Opening takes no memory worth the name, however many samples there are: everything is mapped.
``index.json`` is written last; a folder without it holds no index.

Letters: N samples; L text tokens and image slots of a sample.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.index_writer import (
    QUARANTINE,
    ROWS,
    ROWS_A_BATCH,
    IndexWriter,
)
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.errors import DataError

SUMMARY = "index.json"
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
) -> Index:
    """Write an index from blocks of rows as they come; never holds more than a few of them.

    Args:
        folder: Where to; what an earlier index left there is replaced.
        blocks: Tables as ``rows_to_table`` makes them, in the order of the job's data sets,
            their files, and the rows in those.
        source: What it is made from, for people.
        num_sources: The job's data sets.
        fingerprint: Of everything that the rows are.

    Returns:
        The index, open.

    Raises:
        DataError: Not one row of a data set is usable. The ledger is written all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    with IndexWriter(folder) as writer:
        for block in blocks:
            writer.add(block)
    counts = writer.counts
    if not counts.num_samples:
        raise DataError(
            _nothing_usable(folder, counts.num_bad), source, "Mend the rows named there"
        )
    by_source = tuple(counts.by_source.get(number, 0) for number in range(num_sources))
    if 0 in by_source:
        raise DataError(
            f"data set {by_source.index(0) + 1} of {num_sources} has no row that can be used "
            f"(see {folder / QUARANTINE})",
            source,
            "Mend its rows, or take it out of the job",
        )
    figures = {**asdict(counts), "by_source": by_source}
    summary = Summary(fingerprint=fingerprint, source=source, **figures)
    written = folder / f"{SUMMARY}.new"
    written.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    written.replace(folder / SUMMARY)
    return Index(folder, summary)


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
