"""Rows to make nasty."""

import json
from pathlib import Path
from typing import Any

from tests.nasty.drawing import QUARTERS, good
from tests.nasty.outcomes import Case, Outcome, Row, Trained

PLAIN = Trained(quarters=QUARTERS, pictures=1)
"""Nothing is wrong after all."""


def asks(*images: Any, ask: Any = "Which?", answer: Any = "The first.", **more: Any) -> Row:
    """A row of a question over images, and its answer."""
    return {"images": list(images), "conversations": talk(ask, answer), **more}


def talk(ask: Any = "Which?", answer: Any = "The first.") -> list[Row]:
    """A question and its answer."""
    return [{"from": "human", "value": ask}, {"from": "gpt", "value": answer}]


def line(row: Any) -> bytes:
    """A row as it stands in a file of lines."""
    return json.dumps(row).encode()


def says(name: str, row: Any, expected: Outcome) -> Case:
    """A row in which ``GOOD`` stands for a good picture."""

    def write(folder: Path) -> Row:
        text = json.dumps(row).replace("GOOD", good(folder))
        found: Row = json.loads(text)
        return found

    return Case(name, write, expected)


def raw(name: str, text: bytes, expected: Outcome) -> Case:
    """A line as it stands in the file."""
    return Case(name, lambda folder: text.replace(b"GOOD", good(folder).encode()), expected)


def turns(*given: Any, **more: Any) -> Row:
    """A row of turns, over a good picture."""
    return {"images": ["GOOD"], "conversations": list(given), **more}
