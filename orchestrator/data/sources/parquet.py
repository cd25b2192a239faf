"""Parquet: row groups, or slices of those that are large."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow.parquet as pq

from orchestrator.data.sources.opening import open_file
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import CHUNK_BYTES, Span
from orchestrator.data.sources.tables import READ_ROWS, records_of, sound

_MOST_SLICES = 32
"""Of one row group: reading a slice means reading all rows of the group before it."""


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the file within its row groups. Start and stop are rows.

    Raises:
        DataError: The file is broken.
    """
    with _opened(url) as file:
        first = 0
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            stop = first + group.num_rows
            size = _slice_rows(group.num_rows, group.total_byte_size, rows)
            for start in range(first, stop, size):
                yield Span(start, min(start + size, stop), start + 1)
            first = stop


def read(url: str, span: Span) -> Iterator[Record]:
    """Read a slice of one row group.

    Raises:
        DataError: The file is broken.
    """
    with _opened(url) as file:
        number, first = _group_of(file, span.start)
        left = span.start - first
        needed = span.stop - span.start
        row = span.first_row
        for batch in file.iter_batches(READ_ROWS, row_groups=[number]):
            part = batch.slice(left, needed)
            left = max(0, left - batch.num_rows)
            yield from records_of([part], row)
            row += part.num_rows
            needed -= part.num_rows
            if not needed:
                return


def _slice_rows(num_rows: int, num_bytes: int, rows: int) -> int:
    fit = max(1, CHUNK_BYTES * num_rows // max(1, num_bytes))
    return max(1, min(rows, fit), -(-num_rows // _MOST_SLICES))


def _group_of(file: pq.ParquetFile, row: int) -> tuple[int, int]:
    """The row group that holds a row, and the number of its first row."""
    first, number = 0, 0
    while first + (held := file.metadata.row_group(number).num_rows) <= row:
        first, number = first + held, number + 1
    return number, first


@contextmanager
def _opened(url: str) -> Iterator[pq.ParquetFile]:
    # Groups are read in parts: what was buffered ahead of a slice would be thrown away.
    with (
        open_file(url) as file,
        sound(url, "Parquet"),
        pq.ParquetFile(file, pre_buffer=False) as opened,
    ):
        yield opened
