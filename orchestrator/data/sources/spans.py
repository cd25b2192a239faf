"""Runs of rows of one file, small enough for one task each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 32 << 20
"""A run ends at the first row that takes it to this many bytes, however few rows it has."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a run of rows begins and ends, in its reader's own unit."""

    start: int
    stop: int
    first_row: int
    """Number of its first row, counted from 1."""


def spans_of(
    ends: Iterable[npt.NDArray[np.int64]], rows: int, *, start: int = 0
) -> Iterator[Span]:
    """Put rows that lie side by side into runs.

    Args:
        ends: Where each row ends, in bytes, ascending; in blocks of any size.
        rows: Rows of a run, unless they are large.
        start: Where the first row begins.
    """
    first_row, held, end = 1, 0, start
    for ends_N in ends:
        used = 0
        while used < len(ends_N):
            full = int(np.searchsorted(ends_N, start + CHUNK_BYTES))
            last = min(used + rows - held - 1, full)
            if last >= len(ends_N):
                held += len(ends_N) - used
                break
            stop = int(ends_N[last])
            yield Span(start, stop, first_row)
            first_row += held + last - used + 1
            start, held, used = stop, 0, last + 1
        end = int(ends_N[-1]) if len(ends_N) else end
    if held:
        yield Span(start, end, first_row)
