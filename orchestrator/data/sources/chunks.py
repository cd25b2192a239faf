"""From a data set, as a job names it, to runs of rows, and from a run to its rows."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from orchestrator.config.data import DataSource
from orchestrator.data.sources.data_file import DataFile
from orchestrator.data.sources.files import files_of
from orchestrator.data.sources.form import Form, form_of
from orchestrator.data.sources.kinds import READERS, TABLES, TEXTS, kind_of
from orchestrator.data.sources.opening import (
    answering,
    identity,
    is_packed,
    is_remote,
    open_text,
    read_between,
)
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.reshaping import reshape
from orchestrator.data.sources.spans import Span
from orchestrator.errors import DataError

_LOOKED_AT = 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of rows of one file, small enough for one task. Plain values only."""

    file: str
    """Absolute path, or URL."""

    reader: str
    """Key of ``READERS``."""

    start: int
    stop: int
    """Where it begins and ends: bytes of a text file or a tar, rows of a table."""

    first_row: int
    """Number of its first row within the file, counted from 1."""

    identity: str
    """Equal where the file is: its bytes, and time of change or etag."""

    form: Form
    """How the file's rows are written."""


def cut(source: DataSource, rows_per_chunk: int = 256) -> Iterator[Chunk]:
    """Divide a data set, in its order: files by name, rows as they stand.

    Little of each file is read: borders of rows, and a few rows that tell how it is written.

    Args:
        source: A data set, as the job names it.
        rows_per_chunk: Rows of a run; fewer where they are large, more where to find the place
            of a row means reading all before it.

    Raises:
        DataError: The data set as a whole cannot be used.
        StorageError: A store did not answer.
    """
    is_empty = True
    with answering(source.path):
        files = files_of(source)
    for file in files:
        with answering(file.url):
            for chunk in _cut_file(file, rows_per_chunk):
                is_empty = False
                yield chunk
    if is_empty:
        raise DataError("holds no rows", source.path, "Give a data set with rows")


def read_chunk(chunk: Chunk) -> Iterator[Record]:
    """Give the rows of a run in the one form. A row that cannot be has a fault.

    The one form: ``id`` (if any), ``system`` (if any), ``conversations`` of ``role`` and
    ``content``, ``images`` and ``videos``, each a path, URL or data URI, bytes, a struct of
    ``bytes`` and ``path``, or a ``MediaRef``; ``placing.parse`` takes also the names that
    sharegpt and openai files have for them.

    Raises:
        DataError: The file is gone, or is no longer what it was.
        StorageError: Its store did not answer.
    """
    into_form = reshape(chunk.form)
    span = Span(chunk.start, chunk.stop, chunk.first_row)
    with answering(chunk.file):
        if identity(chunk.file) != chunk.identity:
            raise DataError("changed while it was read", chunk.file, "Run again")
        for record in READERS[chunk.reader].read(chunk.file, span):
            yield into_form(record)


def state_of(chunk: Chunk) -> str:
    """Equal where the run's rows are: of text files on disks by the bytes of the run itself.

    So rows that are added to such a file leave the runs before them as they were.
    """
    if chunk.reader not in TEXTS or is_remote(chunk.file):
        return chunk.identity
    with answering(chunk.file):
        with open_text(chunk.file) as file:
            if is_packed(file):
                return chunk.identity
        content = read_between(chunk.file, chunk.start, chunk.stop)
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _cut_file(file: DataFile, rows: int) -> Iterator[Chunk]:
    kind = kind_of(file.url)
    reader, state = READERS[kind], identity(file.url)
    form = None
    for span in reader.cut(file.url, rows):
        if form is None:
            first = islice(reader.read(file.url, span), _LOOKED_AT)
            form = form_of(file, first, is_table=kind in TABLES)
        yield Chunk(file.url, kind, span.start, span.stop, span.first_row, state, form)
