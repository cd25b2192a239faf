"""One row of a data file, whatever the file is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.data.conversation import MediaRef

ONE_OBJECT = "Write one JSON object a row"


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it was read, or what kept it from being one."""

    row: int
    """Line in a JSONL file, position in any other; counted from 1."""

    value: dict[str, Any] | None
    """The row in the one form; with a ``fault``, of use for its id only."""

    fault: str | None = None
    """What is wrong with the row; it cannot be used."""

    remedy: str = ONE_OBJECT
    """What to do about the ``fault``."""

    members: Mapping[str, MediaRef] = field(default_factory=dict)
    """What came with the row in a tar, by name, in order; gone once the row refers to it."""
