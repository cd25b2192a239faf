"""A JSON list of objects. Its borders are found without parsing it; tasks parse their part."""

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from orchestrator.data.sources.json_lines import UNPARSABLE, brief, parsed, record_of
from orchestrator.data.sources.opening import (
    blocks,
    is_packed,
    open_text,
    read_between,
)
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import Span, spans_of
from orchestrator.errors import DataError

_QUOTE, _COMMA = ord('"'), ord(",")
_IS_MARK = np.isin(np.arange(256), list(b'"[]{},'))
_DEPTH = np.zeros(256, np.int64)
_DEPTH[list(b"[{")] = 1
_DEPTH[list(b"]}")] = -1
_BLANK = b" \t\r\n"


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the list at its own commas. Start and stop are bytes.

    Raises:
        DataError: The list is not closed, or something follows it.
    """
    with open_text(url) as file:
        start = _opening(file)
        file.seek(start)
        ends = _checked_ends(file, start, url)
        limit = sys.maxsize if is_packed(file) else rows
        for span in spans_of(ends, limit, start=start):
            if span.first_row > 1 or not _is_empty(url, span):
                yield span


def read(url: str, span: Span) -> Iterator[Record]:
    """Parse the elements, one by one only where they do not parse together."""
    text = read_between(url, span.start, span.stop)
    values = _together(text)
    for row, value in enumerate(values, start=span.first_row):
        yield record_of(row, value)
    if not values:
        yield from _one_by_one(text, span.first_row)


def _together(text: bytes) -> list[object]:
    """All elements of a run, or none where that cannot be."""
    try:
        # The last byte is the comma or the bracket behind the last element.
        values: list[object] = json.loads(b"[" + text[:-1] + b"]")
    except UNPARSABLE:
        return []
    return values


def _one_by_one(text: bytes, first_row: int) -> Iterator[Record]:
    ends_N = _Scan(depth=1).ends(text)
    start = 0
    for row, end in enumerate(ends_N.tolist(), start=first_row):
        element = text[start : end - 1].strip()
        start = end
        yield parsed(row, element) if element else Record(row, None, "is left out")


class _Scan:
    """Finds where elements end, block by block: what it holds is where the last one stopped."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.in_string = 0

    def ends(self, block: bytes) -> npt.NDArray[np.int64]:
        """Where elements end in the block: behind each comma of the list, and its bracket.

        Args:
            block: Must not end within an escape.
        """
        # Of equal length, so that places stay: now every quote opens or closes a string.
        plain = block.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        bytes_N = np.frombuffer(plain, np.uint8)
        marks = np.flatnonzero(_IS_MARK[bytes_N])
        kinds = bytes_N[marks]
        in_string = (np.cumsum(kinds == _QUOTE) + self.in_string) & 1
        is_outside = (in_string == 0) & (kinds != _QUOTE)
        if len(in_string):
            self.in_string = int(in_string[-1])
        marks, kinds = marks[is_outside], kinds[is_outside]
        depth = np.cumsum(_DEPTH[kinds]) + self.depth
        if len(depth):
            self.depth = int(depth[-1])
        is_end = ((kinds == _COMMA) & (depth == 1)) | (depth <= 0)
        ends_N: npt.NDArray[np.int64] = marks[is_end] + 1
        return ends_N


def _opening(file: BinaryIO) -> int:
    """Where the list's first element begins."""
    head = b""
    while b"[" not in head and (block := file.read(4096)):
        head += block
    return head.index(b"[") + 1


def _checked_ends(file: BinaryIO, start: int, url: str) -> Iterator[npt.NDArray[np.int64]]:
    scan, offset = _Scan(depth=1), start
    for block in _unbroken(file):
        ends_N = scan.ends(block)
        if scan.depth <= 0:
            closed = int(ends_N[_first_close(block, ends_N)])
            rest = block[closed:] + file.read()
            if rest.strip(_BLANK):
                raise _broken(url)
            yield ends_N[ends_N <= closed] + offset
            return
        yield ends_N + offset
        offset += len(block)
    raise _broken(url)


def _first_close(block: bytes, ends_N: npt.NDArray[np.int64]) -> int:
    """Which of the ends is the list's own: the first that is no comma."""
    ends = np.frombuffer(block, np.uint8)[ends_N - 1]
    return int(np.argmax(ends != _COMMA))


def _unbroken(file: BinaryIO) -> Iterator[bytes]:
    """Blocks that do not end within an escape."""
    for block in blocks(file):
        whole = block
        while whole.endswith(b"\\") and (more := file.read(1)):
            whole += more
        yield whole


def _is_empty(url: str, span: Span) -> bool:
    """Whether this is the inside of ``[]``."""
    return span.stop - span.start < 4096 and not (
        read_between(url, span.start, span.stop - 1).strip(_BLANK)
    )


def _broken(url: str) -> DataError:
    with open_text(url) as file:
        text = file.read()
    try:
        json.loads(text)
    except UNPARSABLE as error:
        reason = brief(error)
    else:
        reason = "more than one list"
    return DataError(
        f"is not JSON ({reason})",
        url,
        "Correct it there, or write one object a line (JSONL), where a bad line is one row",
    )
