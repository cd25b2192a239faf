"""A conversation over images, whatever file it came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant", "system", "tool"]
Kind = Literal["image"]


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Where a picture is, not what is in it."""

    uri: str
    """Path as the data file gives it: relative to ``media_dir``, or absolute inside it."""

    kind: Kind = "image"


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody wrote. A model's special token in it is text."""

    text: str


Part = Text | MediaRef


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says before the next one does: text and pictures, in order."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text of the turn, the pictures left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Conversation:
    """One sample: its turns, each picture at its place."""

    id: str
    turns: tuple[Turn, ...]

    @property
    def media(self) -> tuple[MediaRef, ...]:
        """Every picture, in the order of the conversation; one used twice is there twice."""
        return tuple(part for part in self.parts() if isinstance(part, MediaRef))

    def parts(self) -> Iterator[Part]:
        """Every part of every turn, in order."""
        for turn in self.turns:
            yield from turn.parts
