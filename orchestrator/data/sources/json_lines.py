"""JSON Lines: one object a line. A bad line is one bad row."""

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from orchestrator.data.sources.opening import blocks, is_packed, open_text, read_between
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import Span, spans_of

BOM = b"\xef\xbb\xbf"

UNPARSABLE = (ValueError, RecursionError)
"""What ``json.loads`` raises for bytes from outside; a deep nesting ends in RecursionError."""

_LINE_BREAK = ord("\n")


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the file at line breaks. Start and stop are bytes."""
    with open_text(url) as file:
        # Each run of a packed file unpacks all before it, so they had better be few.
        yield from spans_of(_ends(file), sys.maxsize if is_packed(file) else rows)


def read(url: str, span: Span) -> Iterator[Record]:
    """Parse each line. Blank ones are no rows, but count: a row is the line an editor shows."""
    lines = read_between(url, span.start, span.stop).split(b"\n")
    for row, line in enumerate(lines, start=span.first_row):
        if stripped := line.removeprefix(BOM).strip():
            yield parsed(row, stripped)


def parsed(row: int, text: bytes) -> Record:
    """The record of one object's JSON."""
    try:
        return record_of(row, json.loads(text))
    except UNPARSABLE as error:
        return Record(row, None, f"is not JSON ({brief(error)})")


def record_of(row: int, value: object) -> Record:
    """The record of a value that should be an object."""
    if isinstance(value, dict):
        return Record(row, value)
    return Record(row, None, f"is a JSON {type(value).__name__}, not an object")


def brief(error: Exception) -> str:
    """One line of an error; a UnicodeDecodeError would print the whole input."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error) or type(error).__name__


def _ends(file: BinaryIO) -> Iterator[npt.NDArray[np.int64]]:
    offset, last = 0, b"\n"
    for block in blocks(file):
        bytes_N = np.frombuffer(block, np.uint8)
        yield np.flatnonzero(bytes_N == _LINE_BREAK) + (offset + 1)
        offset, last = offset + len(block), block[-1:]
    if last != b"\n":
        yield np.array([offset])
