"""Data sets on disk, read back through the door that everybody uses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.data import DataSource
from orchestrator.data.sources.chunks import cut, read_chunk
from orchestrator.data.sources.record import Record

Read = Callable[..., list[Record]]


@pytest.fixture
def read() -> Read:
    """Read a data set, in runs of a few rows."""

    def records(path: Path | str, rows: int = 256, **more: Any) -> list[Record]:
        source = DataSource(path=str(path), **more)
        return [record for chunk in cut(source, rows) for record in read_chunk(chunk)]

    return records
