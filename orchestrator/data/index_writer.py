"""Write the files of an index block by block.

Letters: N samples.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.data.rows import ROWS_SCHEMA, SAMPLE_FIELDS

SAMPLES = "samples.parquet"
ROWS = "rows.arrow"
QUARANTINE = "quarantine.jsonl"
COLUMNS = {"tokens": "<i8", "patches": "<i8", "label_tokens": "<i8", "cost": "<f8"}
"""Columns that the plan reads, each a file of its own, and their types."""

ROWS_A_BATCH = 256
"""Every record batch but the last has this many, so a sample's place is a division."""

_SAMPLES_SCHEMA = pa.schema(
    [field for field in SAMPLE_FIELDS if field.name not in ("ids_L", "labels_L")]
)
_ROWS_SCHEMA = pa.schema(
    [
        ROWS_SCHEMA.field(name)
        for name in (
            "id",
            "ids_L",
            "labels_L",
            "kinds",
            "urls",
            "offsets",
            "lengths",
            "pictures",
            "target_heights",
            "target_widths",
        )
    ]
)
_BAD_COLUMNS = {
    "file": "source",
    "row": "row",
    "id": "id",
    "reason": "reason",
    "remedy": "remedy",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over what has been written."""

    num_samples: int = 0
    by_source: dict[int, int] = field(default_factory=dict)
    """Usable samples of each data set, by its place in the job."""

    num_bad: int = 0
    num_images: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    label_tokens: int = 0
    patches: int = 0
    longest: int = 0


class IndexWriter:
    """The files of an index while they are being written. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.counts = Counts()
        self._stack = ExitStack()
        enter = self._stack.enter_context
        for name in (SAMPLES, ROWS, QUARANTINE, *(f"{column}.npy" for column in COLUMNS)):
            # A new file, not the old one cut short: somebody may have that mapped.
            (folder / name).unlink(missing_ok=True)
        self._samples = enter(pq.ParquetWriter(folder / SAMPLES, _SAMPLES_SCHEMA))
        self._rows = enter(pa.ipc.new_file(str(folder / ROWS), _ROWS_SCHEMA))
        self._ledger = enter((folder / QUARANTINE).open("w", encoding="utf-8"))
        self._columns = {
            name: enter(_ColumnFile(folder / f"{name}.npy", descr))
            for name, descr in COLUMNS.items()
        }
        self._pending = _ROWS_SCHEMA.empty_table()
        self._last_source = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write_batches(at_least=1)
        self._stack.__exit__(kind, error, trace)

    def add(self, block: pa.Table) -> None:
        """Write a block of rows, good and bad, in the order of the data file."""
        block = block.select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA)
        if not block.num_rows:
            return
        self._assert_ascending(block)
        is_good = pc.is_null(block.column("reason"))
        good, bad = block.filter(is_good), block.filter(pc.invert(is_good))
        ledger = bad.select(list(_BAD_COLUMNS)).rename_columns(list(_BAD_COLUMNS.values()))
        for row in ledger.to_pylist():
            self._ledger.write(json.dumps(row, ensure_ascii=False) + "\n")
        if good.num_rows:
            self._samples.write_table(good.select(_SAMPLES_SCHEMA.names))
            for name, column in self._columns.items():
                column.append(good.column(name))
            self._pending = pa.concat_tables([self._pending, good.select(_ROWS_SCHEMA.names)])
            self._write_batches(at_least=ROWS_A_BATCH)
        self.counts = _counted(self.counts, good, bad.num_rows)

    def _assert_ascending(self, block: pa.Table) -> None:
        # Sample numbers are what the plan's order is made of: they may not depend on luck.
        sources, rows = (block.column(name).to_pylist() for name in ("source", "row"))
        assert sorted([self._last_source, *sources]) == [self._last_source, *sources], (
            "data sets came out of the job's order"
        )
        assert all(np.diff(rows) > 0), "rows came out of their file's order"
        self._last_source = sources[-1]

    def _write_batches(self, at_least: int) -> None:
        while self._pending.num_rows >= at_least:
            batch = self._pending.slice(0, ROWS_A_BATCH).combine_chunks()
            self._rows.write_table(batch)
            self._pending = self._pending.slice(ROWS_A_BATCH)


class _ColumnFile:
    """A ``.npy`` file of one axis that grows; its header is set right when it is closed."""

    def __init__(self, path: Path, descr: str) -> None:
        self._file: BinaryIO = path.open("wb")
        self._descr = descr
        self._num_values = 0
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # NumPy leaves room in a header for the first axis to grow.
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def append(self, column: pa.ChunkedArray) -> None:
        self._file.write(column.to_numpy().astype(self._descr).tobytes())
        self._num_values += len(column)

    def _write_header(self) -> None:
        header = {"descr": self._descr, "fortran_order": False, "shape": (self._num_values,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _counted(counts: Counts, good: pa.Table, num_bad: int) -> Counts:
    def total(name: str) -> int:
        return int(pc.sum(good.column(name)).as_py() or 0)

    return replace(
        counts,
        num_samples=counts.num_samples + good.num_rows,
        by_source=_added(counts.by_source, good.column("source")),
        num_bad=counts.num_bad + num_bad,
        num_images=counts.num_images
        + int(pc.sum(pc.list_value_length(good.column("widths"))).as_py() or 0),
        text_tokens=counts.text_tokens + total("text_tokens"),
        image_tokens=counts.image_tokens + total("image_tokens"),
        label_tokens=counts.label_tokens + total("label_tokens"),
        patches=counts.patches + total("patches"),
        longest=max(counts.longest, pc.max(good.column("tokens")).as_py() or 0),
    )


def _added(by_source: dict[int, int], sources: pa.ChunkedArray) -> dict[int, int]:
    found = dict(by_source)
    for entry in sources.value_counts().to_pylist():
        found[entry["values"]] = found.get(entry["values"], 0) + entry["counts"]
    return found
