"""Put the first user turn of a conversation into a template.

Whatever a row says stays text: parts are put together here, never strings that are read again.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Text, Turn

MARK = "<image>"
"""An image's place in text, as data files write it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a template that is filled for every row."""

    name: str
    options: tuple[str, ...] = ()
    """What stands behind the bar: singular and plural, or the question by default."""


Piece = str | Field


@dataclass(frozen=True, slots=True)
class Template:
    """A template as read; its ``repr`` tells all that its results depend on."""

    name: str = field(repr=False, compare=False)
    """For messages; what comes out does not depend on it."""

    each: tuple[Piece, ...]
    """One image: text, ``number``, and one ``image``."""

    body: tuple[Piece, ...]
    """The turn: text, ``num_images``, one ``numbered_images`` and one ``instruction``."""


def apply(template: Template, conversation: Conversation) -> Conversation:
    """Let the template speak in the first user turn.

    The images in that turn and before it go to the numbered places, in their order; later ones
    stay where they are, and so do media of other kinds, as parts of the instruction. Where
    images stood between words, the words get "Image 1" in their stead. A conversation without
    images up to there, or without a user turn, stays as it is.

    Args:
        template: As ``load_template`` gives.
        conversation: After thinning, as the template says how many images there are.

    Raises:
        BadSampleError: The turn asks nothing, and the template has no question of its own.
    """
    place = _first_user(conversation.turns)
    before = [_split(turn.parts) for turn in conversation.turns[: place + 1]]
    images = [image for images, _ in before for image in images]
    if place < 0 or not images:
        return conversation
    asked = conversation.turns[place]
    first = len(images) - len(before[-1][0]) + 1
    instruction = _instruction(template, asked.parts, before[-1][1], first)
    parts = _merged(_filled(template, images, instruction))
    kept = [
        replace(turn, parts=tuple(rest))
        for turn, (_, rest) in zip(conversation.turns[:place], before, strict=False)
        if rest
    ]
    turns = (*kept, Turn(asked.role, parts), *conversation.turns[place + 1 :])
    return replace(conversation, turns=turns)


def _first_user(turns: Sequence[Turn]) -> int:
    return next((place for place, turn in enumerate(turns) if turn.role == "user"), -1)


def _is_image(part: Part) -> bool:
    return isinstance(part, MediaRef) and part.kind == "image"


def _split(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The images, and all else."""
    return [p for p in parts if _is_image(p)], [p for p in parts if not _is_image(p)]


def _instruction(
    template: Template, parts: Sequence[Part], others: list[Part], first: int
) -> list[Part]:
    """What the row asks, without blanks around it, else the template's question."""
    asked = _referring(template, parts, first) if _is_interleaved(parts) else others
    asked = _stripped(asked)
    if any(isinstance(part, Text) for part in asked):
        return asked
    question = "".join(
        chain.from_iterable(
            piece.options
            for piece in template.body
            if isinstance(piece, Field) and piece.name == "instruction"
        )
    )
    if not question:
        raise BadSampleError(
            "the first user turn asks nothing",
            f"Write a question there, or behind a bar in template {template.name}: "
            "{instruction|question}",
        )
    return [*asked, Text(question)]


def _is_interleaved(parts: Sequence[Part]) -> bool:
    """Whether words stand both before and behind an image, or images both around words."""
    # Blanks and line ends between marks are no words.
    row = "".join(
        "i" if _is_image(part) else "w"
        for part in parts
        if _is_image(part) or (isinstance(part, Text) and part.text.strip())
    )
    return re.fullmatch("i*w*|w*i*", row) is None


def _referring(template: Template, parts: Sequence[Part], first: int) -> list[Part]:
    """The parts with each image's name, "Image 1", where the image stood."""
    numbers = count(first)
    referring: list[Part] = []
    was_image = False
    for part in parts:
        is_image = _is_image(part)
        said = Text(_name(template, next(numbers))) if is_image else part
        if (is_image or was_image) and _would_run_together(referring, said):
            referring.append(Text(" "))
        referring.append(said)
        was_image = is_image
    return referring


def _name(template: Template, number: int) -> str:
    """What an image is called: its line without the place, and without a colon at the end."""
    words = "".join(piece for piece in _one(template, number) if isinstance(piece, str))
    return words.strip(" \t:：.-–—")  # noqa: RUF001 - a Chinese colon, a dash


def _would_run_together(before: Sequence[Part], said: Part) -> bool:
    last = before[-1] if before else None
    if not isinstance(last, Text) or not isinstance(said, Text):
        return False
    # Chinese needs no blank between words.
    return all(edge.isascii() and edge.isalnum() for edge in (last.text[-1:], said.text[:1]))


def _stripped(parts: Sequence[Part]) -> list[Part]:
    """Parts without blanks at either end of their words; words of nothing but blanks go."""
    merged = list(_merged(parts))
    for end, strip in ((0, str.lstrip), (-1, str.rstrip)):
        if merged and isinstance(edge := merged[end], Text):
            merged[end] = Text(strip(edge.text))
    return [part for part in merged if not isinstance(part, Text) or part.text.strip()]


def _filled(
    template: Template, images: Sequence[Part], instruction: Sequence[Part]
) -> Iterator[Part]:
    for piece in template.body:
        if isinstance(piece, str):
            yield Text(piece)
        elif piece.name == "num_images":
            yield Text(_counted(len(images), piece.options))
        elif piece.name == "numbered_images":
            yield from _numbered(template, images)
        else:
            yield from instruction


def _counted(number: int, words: tuple[str, ...]) -> str:
    return f"{number} {words[number != 1]}" if words else str(number)


def _numbered(template: Template, images: Sequence[Part]) -> Iterator[Part]:
    """One line for each image."""
    for number, image in enumerate(images, start=1):
        if number > 1:
            yield Text("\n")
        for piece in _one(template, number):
            yield Text(piece) if isinstance(piece, str) else image


def _one(template: Template, number: int) -> Iterator[Piece]:
    """An image's line, its number written out."""
    for piece in template.each:
        yield str(number) if piece == Field("number") else piece


def _merged(parts: Sequence[Part] | Iterator[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one, or a tokenizer would see seams in it."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + part.text)
        elif not isinstance(part, Text) or part.text:
            merged.append(part)
    return tuple(merged)
