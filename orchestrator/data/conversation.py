"""A conversation over images, whatever file it came from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["user", "assistant", "system", "tool"]


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Where an image or a video is, or what is in it where the row itself carries that."""

    uri: str
    """As the data file gives it; a short name for messages where ``content`` is there."""

    kind: str = "image"
    """Names a ``Medium``."""

    offset: int = 0
    """Where the content begins in what ``uri`` names, in bytes."""

    length: int | None = None
    """Bytes of the content; None: all there are."""

    content: bytes | None = field(default=None, repr=False)
    """What the row itself carried."""

    is_own: bool = False
    """True where a reader of ours wrote ``uri`` and not the row: nothing to be wary of."""

    name: str = field(default="", compare=False)
    """What messages call it, where ``uri`` would tell a person nothing."""

    @property
    def shown_as(self) -> str:
        """What messages call it."""
        return self.name or self.uri


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
