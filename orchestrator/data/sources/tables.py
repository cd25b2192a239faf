"""Rows of Arrow tables, as Python values."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from orchestrator.data.sources.record import Record
from orchestrator.errors import DataError

READ_ROWS = 64
"""Rows that are Python values at once; with images in them, each may be megabytes."""

_NOT_UTF8 = "Write its text as UTF-8"


def records_of(batches: Iterable[pa.RecordBatch], first_row: int) -> Iterator[Record]:
    """Give the rows of some batches; text that is no UTF-8 makes one bad row."""
    row = first_row
    for batch in batches:
        for start in range(0, batch.num_rows, READ_ROWS):
            part = batch.slice(start, READ_ROWS)
            yield from _records(part, row)
            row += part.num_rows


def _records(batch: pa.RecordBatch, first_row: int) -> Iterator[Record]:
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        values = [_value(batch.slice(place, 1)) for place in range(batch.num_rows)]
    for row, value in enumerate(values, start=first_row):
        if value is None:
            yield Record(row, None, "is not UTF-8", _NOT_UTF8)
        else:
            yield Record(row, value)


def _value(batch: pa.RecordBatch) -> dict[str, object] | None:
    try:
        return dict(batch.to_pylist()[0])
    except UnicodeDecodeError:
        return None


@contextmanager
def sound(url: str, kind: str) -> Iterator[None]:
    """Say in our words that a table is broken.

    Raises:
        DataError: It is.
    """
    try:
        yield
    except pa.ArrowInvalid as error:
        raise _broken(url, kind, error) from error
    except OSError as error:
        # Arrow complains so of a part cut short, without a number; disks and stores give one.
        if type(error) is not OSError or error.errno is not None:
            raise
        raise _broken(url, kind, error) from error


def _broken(url: str, kind: str, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0].strip(" .")
    return DataError(f"is broken {kind} ({reason})", url, "Write the file again")
