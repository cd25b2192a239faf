"""Arrow IPC files: any batch can be read on its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from orchestrator.data.sources.opening import is_remote, open_file
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import CHUNK_BYTES, Span
from orchestrator.data.sources.tables import records_of, sound


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the file within its batches. Start and stop are rows.

    Raises:
        DataError: The file is broken.
    """
    with arrow_source(url) as source, pa.ipc.open_file(source) as file:
        sizes = (file.get_batch(number) for number in range(file.num_record_batches))
        yield from spans_of_batches(sizes, rows)


def read(url: str, span: Span) -> Iterator[Record]:
    """Read the batches that hold the rows.

    Raises:
        DataError: The file is broken.
    """
    with arrow_source(url) as source, pa.ipc.open_file(source) as file:
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
        yield from records_between(batches, span)


def spans_of_batches(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[Span]:
    """Divide batches into runs, none over a border of batches."""
    first = 0
    for batch in batches:
        stop = first + batch.num_rows
        fit = max(1, CHUNK_BYTES * batch.num_rows // max(1, batch.nbytes))
        for start in range(first, stop, min(rows, fit)):
            yield Span(start, min(start + min(rows, fit), stop), start + 1)
        first = stop


def records_between(batches: Iterator[pa.RecordBatch], span: Span) -> Iterator[Record]:
    """Give the rows of one run of ``spans_of_batches``."""
    first = 0
    for batch in batches:
        if first + batch.num_rows > span.start:
            part = batch.slice(span.start - first, span.stop - span.start)
            yield from records_of([part], span.first_row)
            return
        first += batch.num_rows


@contextmanager
def arrow_source(url: str) -> Iterator[pa.NativeFile]:
    """Open a file for Arrow: mapped into memory where it is a local one."""
    with sound(url, "Arrow"):
        if not is_remote(url):
            with pa.memory_map(url) as source:
                yield source
        else:
            with open_file(url) as file, pa.PythonFile(file) as source:
                yield source
