"""A data file as it stands, to be made nasty."""

from pathlib import Path

from tests.nasty.drawing import QUARTERS, good, put
from tests.nasty.outcomes import FileCase, Outcome, Quarantined, Refused, Trained

FINE = Trained(quarters=QUARTERS, pictures=1)
GONE = Quarantined("'gone.jpg' not found", "Put the file there")


def file(
    name: str, called: str, content: bytes | str, *expected: Outcome | Refused
) -> FileCase:
    """A data file as it stands; ``good.jpg`` is there."""
    text = content.encode() if isinstance(content, str) else content

    def write(folder: Path) -> Path:
        good(folder)
        return folder / put(folder, called, text)

    return FileCase(name, write, all_of_them(expected))


def all_of_them(expected: tuple[Outcome | Refused, ...]) -> tuple[Outcome, ...] | Refused:
    refused = [one for one in expected if isinstance(one, Refused)]
    return (
        refused[0]
        if refused
        else tuple(one for one in expected if not isinstance(one, Refused))
    )
