"""Arrow IPC streams, as Hugging Face's ``datasets`` writes them: batches one by one."""

from collections.abc import Iterator

import pyarrow as pa

from orchestrator.data.sources.arrow_file import (
    arrow_source,
    records_between,
    spans_of_batches,
)
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import Span


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide the stream within its batches. Start and stop are rows.

    Raises:
        DataError: The stream is broken.
    """
    with arrow_source(url) as source, pa.ipc.open_stream(source) as stream:
        yield from spans_of_batches(iter(stream), rows)


def read(url: str, span: Span) -> Iterator[Record]:
    """Read the batch that holds the rows; of those before it, only where they end.

    Raises:
        DataError: The stream is broken.
    """
    with arrow_source(url) as source, pa.ipc.open_stream(source) as stream:
        yield from records_between(iter(stream), span)
