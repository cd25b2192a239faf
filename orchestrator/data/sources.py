"""Read a data file row by row. A bad line is a row with a fault, never the end of the file."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestrator.config.data import DataSource
from orchestrator.errors import DataError

_LINES = {".jsonl", ".ndjson"}
_BOM = b"\xef\xbb\xbf"
_SNIFFED_BYTES = 4096

# What ``json.loads`` raises for bytes from outside; a deep nesting ends in RecursionError.
_UNPARSABLE = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it was read: an object, or what kept it from being one."""

    row: int
    """Line in a JSONL file, position in a JSON list; counted from 1."""

    value: dict[str, Any] | None
    fault: str | None = None


def read_records(source: DataSource) -> Iterator[Record]:
    """Give every row of the file, in order.

    ``.jsonl`` and ``.ndjson`` are read line by line. Any other file that opens with ``[`` is
    one JSON list and is parsed whole; if it does not, it is taken for lines as well.

    Raises:
        DataError: The file cannot be read, or is a JSON list that cannot be parsed.
    """
    path = Path(source.path)
    try:
        if path.suffix.lower() in _LINES or not _opens_a_list(path):
            yield from _read_lines(path)
        else:
            yield from _read_list(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"cannot be read ({reason})", str(path), "Give the path of a JSON or JSONL file"
        ) from error


def _opens_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
    return head.removeprefix(_BOM).lstrip()[:1] == b"["


def _read_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for row, line in enumerate(file, start=1):
            # Blank lines are no rows, but they count: a row is the line an editor shows.
            if stripped := line.removeprefix(_BOM).strip():
                yield _parse_line(row, stripped)


def _parse_line(row: int, line: bytes) -> Record:
    try:
        return _record(row, json.loads(line))
    except _UNPARSABLE as error:
        return Record(row, None, f"is not JSON ({_brief(error)})")


def _read_list(path: Path) -> Iterator[Record]:
    try:
        values = json.loads(path.read_bytes().removeprefix(_BOM))
    except _UNPARSABLE as error:
        raise DataError(
            f"is not JSON ({_brief(error)})",
            str(path),
            "Correct it there, or write one object a line (JSONL), where a bad line is one row",
        ) from error
    # Opened with "[", so it is a list.
    for row, value in enumerate(values, start=1):
        yield _record(row, value)


def _record(row: int, value: object) -> Record:
    if isinstance(value, dict):
        return Record(row, value)
    return Record(row, None, f"is a JSON {type(value).__name__}, not an object")


def _brief(error: Exception) -> str:
    """One line of an error; a UnicodeDecodeError would print the whole input."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error) or type(error).__name__


_RECORDS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("value", pa.string()),
        pa.field("fault", pa.string()),
    ]
)


def records_to_table(records: Iterable[Record]) -> pa.Table:
    """Write rows as a table, each object as its JSON, for the way to another process."""
    rows = [
        {
            "row": record.row,
            "value": None if record.value is None else json.dumps(record.value),
            "fault": record.fault,
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows, schema=_RECORDS_SCHEMA)


def table_to_records(table: pa.Table) -> Iterator[Record]:
    """Read what ``records_to_table`` wrote."""
    for row in table.to_pylist():
        value = None if row["value"] is None else json.loads(row["value"])
        yield Record(row["row"], value, row["fault"])
