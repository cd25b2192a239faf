"""What a person may wish of a grouping."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.data.grouping.rules import NAME_PATTERN
from orchestrator.data.templates.template import MARK
from orchestrator.errors import ConfigError

How = Literal["folder", "name", "time", "look"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """What makes a group, and what is asked of it."""

    how: How = "folder"
    """By folder, by a key in the name, by the time of capture, or by likeness."""

    max_size: int = 6
    """Images in a group; larger ones are cut evenly."""

    min_size: int = 2
    """Images that a group must have, before it is cut; others are left out, and listed."""

    pattern: str = NAME_PATTERN
    """For name: a regular expression whose one group is the key."""

    gap_s: float = 60.0
    """For time: a new group begins after more seconds than these without an image."""

    use_file_time: bool = False
    """For time: take the file's time where EXIF has none."""

    distance: int = 10
    """For look: bits of 64 that two images may differ in."""

    across_folders: bool = False
    """For name, time and look: a group may hold images of several folders."""

    template: str | None = "vqa"
    """Instruction template; None leaves it to the job."""

    question: str | None = None
    """What is asked; None takes the template's question."""

    answer: str | None = None
    """The answer to every group that the table does not answer."""

    answers: Path | None = None
    """CSV with the columns answer and id, or answer and image."""

    sheets: bool = True
    """Draw the contact sheets; images that turn out broken then leave their groups."""

    force: bool = False
    """Write over a data file that is not as it was written."""


def check(wanted: Grouping, data_file: Path) -> None:
    """Refuse what could only go wrong later.

    Raises:
        ConfigError: A wish cannot be met.
    """
    problems = (
        (data_file.suffix != ".jsonl", f"{data_file.name} is no JSONL", "Call it .jsonl"),
        (wanted.min_size < 1, f"min_size is {wanted.min_size}", "Take at least 1"),
        (
            wanted.max_size < wanted.min_size,
            f"max_size ({wanted.max_size}) is below min_size ({wanted.min_size})",
            "Raise one, or lower the other",
        ),
        (not wanted.gap_s >= 0, f"gap_s is {wanted.gap_s}", "Take 0 or more seconds"),
        (not 0 <= wanted.distance <= 64, f"distance is {wanted.distance}", "Take 0 to 64 bits"),
        (
            MARK in (wanted.question or ""),
            f"the question holds {MARK}",
            "Leave it out: the template places the images",
        ),
        (
            wanted.template is None and not (wanted.question or "").strip(),
            "neither a template nor a question",
            "Name one of them",
        ),
    )
    for is_wrong, problem, fix in problems:
        if is_wrong:
            raise ConfigError(problem, "group", fix)
