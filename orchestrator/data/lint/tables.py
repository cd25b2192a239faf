"""The tables of an index, read by column and in pieces.

Letters: N samples.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.data.bad_sample import BadRow

SAMPLES = "samples.parquet"
QUARANTINE = "quarantine.jsonl"

_ROWS_A_BATCH = 4_096


@dataclass(frozen=True, slots=True)
class IndexTables:
    """A folder with ``samples.parquet`` and ``quarantine.jsonl``."""

    folder: Path
    datasets: tuple[str, ...] = ()
    """Names of the data sets, in the order of their numbers."""

    @property
    def num_samples(self) -> int:
        """Usable samples."""
        return int(pq.read_metadata(self.folder / SAMPLES).num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns, in pieces of bounded size, in the order of the samples."""
        with pq.ParquetFile(self.folder / SAMPLES) as file:
            if not file.metadata.num_rows:
                yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow).select(
                    list(columns)
                )
            yield from file.iter_batches(_ROWS_A_BATCH, columns=list(columns))

    def numbers(self, column: str) -> npt.NDArray[Any]:
        """Read a column of numbers, one a sample."""
        return np.concatenate(
            [batch.column(0).to_numpy(zero_copy_only=False) for batch in self.batches([column])]
        )

    def rows(
        self, samples: Collection[int], columns: Sequence[str]
    ) -> dict[int, dict[str, Any]]:
        """Read some samples, by number; what has none of them is not decoded."""
        found: dict[int, dict[str, Any]] = {}
        with pq.ParquetFile(self.folder / SAMPLES) as file:
            for group, (first, wanted) in _by_group(file.metadata, samples).items():
                batches = file.iter_batches(
                    _ROWS_A_BATCH, row_groups=[group], columns=list(columns)
                )
                found.update(_taken(batches, first, wanted))
        return found

    def quarantine(self) -> Iterator[BadRow]:
        """Read the unusable rows one by one, in the order of their files."""
        with (self.folder / QUARANTINE).open(encoding="utf-8") as lines:
            for line in lines:
                yield BadRow(**json.loads(line))


def _by_group(
    metadata: pq.FileMetaData, samples: Collection[int]
) -> dict[int, tuple[int, list[int]]]:
    """Sort sample numbers by row group, each with the number of the group's first sample."""
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    ends_G = np.cumsum(sizes, dtype=np.int64)
    groups: dict[int, list[int]] = defaultdict(list)
    for number in sorted(set(samples)):
        groups[int(np.searchsorted(ends_G, number, side="right"))].append(number)
    return {group: (int(ends_G[group]) - sizes[group], groups[group]) for group in groups}


def _taken(
    batches: Iterator[pa.RecordBatch], first: int, wanted: list[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for batch in batches:
        inside = [number for number in wanted if first <= number < first + batch.num_rows]
        if inside:
            taken = batch.take(pa.array([number - first for number in inside]))
            yield from zip(inside, taken.to_pylist(), strict=True)
        first += batch.num_rows
        if first > wanted[-1]:
            return
