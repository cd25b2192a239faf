"""What a chat template writes around people's texts: rendered once a shape, filled often.

A shape says who speaks and what each turn is made of, not which words. It is rendered with
stand-ins where texts go, and cut at the special tokens that the template wrote.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Role, Text, Turn

# Private-use characters: no template holds them, and people's text is not in yet when we look.
OPEN, CLOSE = "\ue000", "\ue001"
STAND_IN = re.compile(f"{OPEN}([0-9]+){CLOSE}")

TEXT = "text"
Shape = tuple[tuple[Role, tuple[str, ...]], ...]
"""Who speaks, and what each turn is made of: texts and pictures, not which."""


@dataclass(frozen=True, slots=True)
class Run:
    """Text between two special tokens, people's words in place."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Where answers are in it, in characters."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Text between two special tokens before people's words are known."""

    parts: tuple[str | int, ...]
    """The template's own words, and numbers of people's texts."""

    spans: tuple[tuple[int, int], ...]
    """Where answers are in it, in parts."""

    def filled(self, texts: list[str]) -> Run | None:
        """Put people's words in place; None where nothing stands."""
        words = [texts[part] if isinstance(part, int) else part for part in self.parts]
        ends = [0, *accumulate(map(len, words))] if self.spans else []
        spans = tuple((ends[low], ends[high]) for low, high in self.spans)
        text = "".join(words)
        return Run(text, spans) if text else None


@dataclass(frozen=True, slots=True)
class Special:
    """A special token that the template wrote."""

    token: str
    is_label: bool


def stand_ins() -> Iterator[str]:
    """Stand for people's texts, each with its number."""
    number = 0
    while True:
        yield f"{OPEN}{number}{CLOSE}"
        number += 1


def shape_of(turns: Iterable[Turn]) -> Shape:
    """Say what turns are made of."""
    return tuple(
        (
            turn.role,
            tuple(TEXT if isinstance(part, Text) else part.kind for part in turn.parts),
        )
        for turn in turns
    )


def messages(shape: Shape, texts: Iterator[str]) -> list[dict[str, Any]]:
    """Write turns as the template reads them, taking each text part's words from ``texts``."""
    return [
        {
            "role": role,
            "content": [
                {"type": "text", "text": next(texts)} if kind == TEXT else {"type": kind}
                for kind in kinds
            ],
        }
        for role, kinds in shape
    ]


def answer_numbers(shape: Shape) -> Iterator[tuple[int, int]]:
    """Give the first and last text part of each assistant turn, counted over all turns."""
    number = 0
    for role, kinds in shape:
        num_texts = kinds.count(TEXT)
        if role == "assistant" and num_texts:
            yield number, number + num_texts - 1
        number += num_texts


def recipe(rendered: str, bounds: tuple[int, int], answers: list[tuple[int, int]]) -> Recipe:
    """Cut what lies between two special tokens at stand-ins and at answers' bounds."""
    start, end = bounds
    stand_ins = {match.span(): match for match in STAND_IN.finditer(rendered, start, end)}
    marks = {start, end, *chain.from_iterable(stand_ins)}
    marks |= {mark for span in answers for mark in span if start < mark < end}
    cuts = sorted(marks)
    parts = tuple(
        int(stand_ins[span].group(1)) if span in stand_ins else rendered[slice(*span)]
        for span in pairwise(cuts)
    )
    spans = tuple(
        (cuts.index(max(low, start)), cuts.index(min(high, end)))
        for low, high in answers
        if max(low, start) < min(high, end)
    )
    return Recipe(parts, spans)


def refuse_changed_order(scaffold: str, num_texts: int) -> None:
    """Raise BadSampleError unless every text is there once, in order."""
    if [int(match.group(1)) for match in STAND_IN.finditer(scaffold)] != list(range(num_texts)):
        raise BadSampleError(
            "the chat template leaves out or repeats a turn",
            "Alternate user and assistant turns, and keep to roles that the model knows",
        )


def refuse_lost_pictures(num_slots: int, num_pictures: int) -> None:
    """Raise BadSampleError unless every picture has a slot."""
    if num_slots != num_pictures:
        raise BadSampleError(
            f"the chat template places {num_slots} of {num_pictures} images",
            "Move images to the user's turns",
        )
