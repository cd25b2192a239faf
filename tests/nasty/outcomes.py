"""What has to become of a nasty input."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Colour = tuple[int, int, int]
Four = tuple[Colour, Colour, Colour, Colour]
"""Colours of a picture's quarters: upper left, upper right, lower left, lower right."""

ROW_NUMBER = "(its row)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """It is learned from, and learned right."""

    quarters: Four | None = None
    """What the first picture shows; None: whatever it is."""

    size: tuple[int, int] | None = None
    """Width and height of the first picture, as shown."""

    pictures: int | None = None
    reads: str = ""
    """In what the model reads, ``▣`` for a picture."""

    note: str = ""
    """In what is said of its media."""

    id: str | None = None
    """What the index calls it; ``ROW_NUMBER`` for that."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Its row is in the ledger before training begins."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Emptied:
    """Its header is fine; its slot stays empty once its pixels are asked for."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The data file as a whole is refused, by name, before anything is measured."""

    problem: str
    fix: str = ""


Outcome = Trained | Quarantined | Emptied
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A row, and what has to become of it."""

    name: str
    """A sentence."""

    write: Callable[[Path], Row | bytes]
    """Puts media into a folder, and gives the row: an object, or a line of JSONL as it is."""

    expected: Outcome


@dataclass(frozen=True, slots=True)
class FileCase:
    """A data file, and what has to become of each of its rows, or of all at once."""

    name: str
    """A sentence."""

    write: Callable[[Path], Path]
    """Writes the data file, and media, into a folder."""

    expected: tuple[Outcome, ...] | Refused
