"""CSV with a header. What is a list within a cell is made out by ``form``."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from orchestrator.data.sources.json_lines import BOM
from orchestrator.data.sources.opening import is_packed, open_text
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import CHUNK_BYTES, Span
from orchestrator.errors import DataError

_DELIMITERS = ",\t;|"
# What is no UTF-8 is carried through as halves of characters, and found again in the cells.
_CARRIED = "surrogateescape"
_UNCLOSED = "unexpected end of data"
_REMEDY = "Write a cell for each name of the header, as UTF-8, in quotes where it has any"
# The module refuses cells of 128 KiB; an image as base64 is larger.
_MOST_LETTERS = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class _Header:
    names: list[str]
    delimiter: str
    stop: int
    """Where the first row begins, in bytes."""


class _Lines:
    """Lines of a file, one at a time as the csv module asks for them."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        file.seek(start)
        self.offset = start
        self._file = file
        self._stop = stop

    def __iter__(self) -> Iterator[str]:
        while self.offset < self._stop and (line := self._file.readline()):
            self.offset += len(line)
            yield line.decode("utf-8", _CARRIED)


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the file where rows end. Start and stop are bytes.

    Raises:
        DataError: It has no header, or a quote is opened and never closed.
    """
    with open_text(url) as file:
        header = _header(file, url)
        limit = sys.maxsize if is_packed(file) else rows
        start, first_row, held = header.stop, 1, 0
        lines = _Lines(file, start, sys.maxsize)
        before = start
        for _, fault in _rows(lines, header.delimiter):
            if fault is not None and _UNCLOSED in fault:
                raise _unclosed(file, before, url)
            before, held = lines.offset, held + 1
            if held == limit or before - start >= CHUNK_BYTES:
                yield Span(start, before, first_row)
                start, first_row, held = before, first_row + held, 0
        if held:
            yield Span(start, before, first_row)


def read(url: str, span: Span) -> Iterator[Record]:
    """Give each row by the names of the header. An empty cell is None."""
    with open_text(url) as file:
        header = _header(file, url)
        lines = _Lines(file, span.start, span.stop)
        rows = _rows(lines, header.delimiter)
        for row, (cells, fault) in enumerate(rows, start=span.first_row):
            yield _record(row, header.names, cells, fault)


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[list[str], str | None]]:
    """Each row's cells, or what is wrong with it; blank lines are none."""
    csv.field_size_limit(_MOST_LETTERS)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield [], str(error)
        else:
            if cells:
                yield cells, None


def _record(row: int, names: list[str], cells: list[str], fault: str | None) -> Record:
    if fault is None and len(cells) != len(names):
        fault = f"has {len(cells)} cells, and the header {len(names)} names"
    elif fault is not None:
        fault = f"is not CSV ({fault})"
    elif not _is_text("".join(cells)):
        fault = "is not UTF-8"
    if fault is not None:
        return Record(row, None, fault, _REMEDY)
    values = zip(names, cells, strict=True)
    return Record(row, {name: cell or None for name, cell in values})


def _header(file: BinaryIO, url: str) -> _Header:
    start = len(BOM) if file.read(len(BOM)) == BOM else 0
    lines = _Lines(file, start, sys.maxsize)
    first = next(iter(lines), "")
    delimiter = next((one for one in _DELIMITERS if one in first), ",")
    lines = _Lines(file, start, sys.maxsize)
    names, fault = next(_rows(lines, delimiter), ([], "it is empty"))
    named = [name.strip() for name in names]
    if fault is None and not all(named):
        fault = "a column has no name"
    elif fault is None and len(set(named)) < len(named):
        fault = "two columns have one name"
    elif fault is None and not _is_text("".join(named)):
        fault = "it is not UTF-8"
    if fault is not None:
        raise DataError(
            f"has no header that can be used ({fault})",
            url,
            "Write the columns' names in the first line, and save the file as UTF-8",
        )
    return _Header(named, delimiter, lines.offset)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unclosed(file: BinaryIO, start: int, url: str) -> DataError:
    file.seek(0)
    line = file.read(start).count(b"\n") + 1
    return DataError(
        f"opens a quote in the row of line {line} that is never closed",
        url,
        'Close it; a quote within a quoted cell is written twice: ""',
    )
