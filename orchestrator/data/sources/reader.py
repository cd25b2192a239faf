"""What a kind of data file has to offer."""

from collections.abc import Iterator
from typing import Protocol

from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import Span


class Reader(Protocol):
    """Reads one kind of file. Holds no state: each call may come from another machine.

    Rows come out as the file has them, names and all; a bad row is a record with a fault. What
    makes the file as a whole unusable is a DataError; errors of opening are the caller's.
    """

    def cut(self, url: str, rows: int, /) -> Iterator[Span]:
        """Divide the file into runs of about ``rows`` rows, in order, reading little of it."""
        ...

    def read(self, url: str, span: Span, /) -> Iterator[Record]:
        """Give the rows of one run, in order."""
        ...
