"""What is wrong with a file, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SHOWN = 60
"""The longest value that is shown whole, in characters."""
_SAID = 160
"""The longest sentence of another's library."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    place: str
    """Where in the file: ``available_node_types.head.resources``."""
    value: str
    """What is there; "" where something is missing."""
    problem: str
    remedy: str

    def line(self, file: str) -> str:
        """In one line."""
        got = f", got {self.value}" if self.value else ""
        return f"{file}: {self.place}: {self.problem}{got}. {self.remedy}."

    def as_json(self, file: str) -> dict[str, str]:
        """What ``--json`` prints."""
        return {
            "file": file,
            "place": self.place,
            "value": self.value,
            "problem": self.problem,
            "remedy": self.remedy,
        }


Findings = Iterator[Finding]


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a file holds
    """A value as a person may read it in a line; "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _cut(value if isinstance(value, str) else repr(value), _SHOWN)


def said(message: str) -> str:
    """What another's library says, in one line that a person may read."""
    return _cut(message, _SAID)


def _cut(words: str, most: int) -> str:
    text = " ".join(words.split())
    return text if len(text) <= most else text[: most - 3] + "..."
