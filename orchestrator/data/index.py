"""The index: one row a usable sample, the costs as arrays, and the ledger of all others.

Opening takes no memory worth the name, however many samples there are: everything is mapped.
``index.json`` is written last; a folder without it holds no index.

Letters: N samples; L text tokens and image slots of a sample.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
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
from orchestrator.data.rows import RenderRow
from orchestrator.errors import DataError

SUMMARY = "index.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index holds, in figures."""

    fingerprint: str
    """Of everything it was made from."""

    source: str
    num_samples: int
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
            return cls(folder, Summary(**json.loads((folder / SUMMARY).read_bytes())))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"holds an index that cannot be read ({error})",
                str(folder),
                "Build it again: orchestrator index",
            ) from error

    @classmethod
    def find(cls, folder: Path, fingerprint: str) -> Self | None:
        """Open the index if there is one and it was made from the same; else None."""
        try:
            index = cls.open(folder)
        except DataError:
            return None
        return index if index.summary.fingerprint == fingerprint else None

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
        heights, widths = (
            batch.column(f"target_{name}")[place] for name in ("heights", "widths")
        )
        return RenderRow(
            sample=number,
            id=batch.column("id")[place].as_py(),
            ids_L=batch.column("ids_L")[place].values.to_numpy(),
            labels_L=batch.column("labels_L")[place].values.to_numpy(zero_copy_only=False),
            uris=tuple(batch.column("uris")[place].as_py()),
            targets=tuple(zip(heights.as_py(), widths.as_py(), strict=True)),
        )

    def rows(self, samples: Sequence[int]) -> list[RenderRow]:
        """Read what rendering needs of some samples, in the order asked for."""
        return [self.sample(number) for number in samples]


def write_index(
    folder: Path, blocks: Iterable[pa.Table], *, source: str, fingerprint: str
) -> Index:
    """Write an index from blocks of rows as they come; never holds more than a few of them.

    Args:
        folder: Where to; what an earlier index left there is replaced.
        blocks: Tables as ``rows_to_table`` makes them, in the order of the data file.
        source: The data file.
        fingerprint: Of everything that the rows were made from.

    Returns:
        The index, open.

    Raises:
        DataError: Not one row is usable. The ledger is written all the same.
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
    summary = Summary(fingerprint=fingerprint, source=source, **asdict(counts))
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


def _column(folder: Path, name: str) -> npt.NDArray[Any]:
    column_N: npt.NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return column_N
