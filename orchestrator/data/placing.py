"""From a row as people write it to a conversation with every medium at its place.

Three ways to place an image (and likewise a video, or whatever kinds there are): an ``<image>``
mark in the text takes the next of the row's ``images``; a content part of type ``image`` names
its own or takes the next; and where nothing places any, all of them come before the first user
turn's text. What does not add up is refused, never guessed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Text, Turn
from orchestrator.data.media_refs import refs_of, show
from orchestrator.data.sources.record import Record
from orchestrator.data.turns import (
    Grammar,
    Placeholder,
    RawPart,
    RawTurn,
    grammar_of,
    only_one,
    system_turn,
    turns_of,
)

KINDS = ("image", "video")


def record_id(record: Record) -> str:
    """Give the row's own id, or its row number where it has none."""
    given = (record.value or {}).get("id")
    if isinstance(given, str | int) and str(given).strip():
        # Half a surrogate pair is legal JSON, and no file or table can hold it.
        return str(given).encode("utf-8", "replace").decode()
    return str(record.row)


def parse(record: Record, kinds: tuple[str, ...] = KINDS) -> Conversation:
    """Turn a row into a conversation.

    Takes ``conversations`` or ``messages``; ``from``/``value`` or ``role``/``content``; the
    roles of ``turns.ROLES``; content as a string or a list of parts; media as the column of a
    kind (``images`` or ``image``), a list or a single one, each as ``media_refs`` takes it.

    Args:
        record: The row.
        kinds: Names of the kinds of media; where nothing places them, they come in this order.

    Raises:
        BadSampleError: Anything is missing, blank, of a wrong type or count.
    """
    value = record.value
    if value is None or record.fault is not None:
        raise BadSampleError(f"row {record.fault}", record.remedy)
    grammar = grammar_of(kinds)
    _refuse_unsupported(value, grammar)
    media = {kind: _listed(value, kind) for kind in kinds}
    raw = [*system_turn(value, grammar), *turns_of(value, grammar)]
    conversation = Conversation(record_id(record), tuple(_place(raw, media)))
    _check(conversation)
    return conversation


def _refuse_unsupported(value: dict[str, Any], grammar: Grammar) -> None:
    for name in grammar.unsupported:
        if value.get(name):
            raise BadSampleError(
                f"{name!r} is not supported: only {' and '.join(grammar.kinds)} are",
                f"Remove {name!r}, or leave the row out",
            )


def _listed(value: dict[str, Any], kind: str) -> list[MediaRef]:
    name = only_one(value, f"{kind}s", kind)
    return refs_of(value[name], kind, name) if name else []


def _place(raw: list[RawTurn], media: Mapping[str, list[MediaRef]]) -> Iterator[Turn]:
    """Put each medium at its mark, or all before the first user turn's text."""
    parts = [part for _, parts in raw for part in parts if not isinstance(part, Text)]
    if parts:
        _refuse_uneven(parts, media)
    elif any(media.values()):
        raw = _before_first_user(raw, media)
    left = {kind: iter(refs) for kind, refs in media.items()}
    for role, turn_parts in raw:
        # A generator, so that marks take the media in the order of the conversation.
        yield Turn(role, tuple(_filled(part, left) for part in turn_parts))


def _refuse_uneven(parts: Sequence[RawPart], media: Mapping[str, list[MediaRef]]) -> None:
    num_marks = Counter(part.kind for part in parts if isinstance(part, Placeholder))
    for kind, refs in media.items():
        if num_marks[kind] != len(refs):
            raise BadSampleError(
                f"{_count(num_marks[kind], f'{kind} mark')}, {_count(len(refs), kind)} listed",
                f"Write one <{kind}> for each {kind}, or no mark to have all come first",
            )


def _filled(part: RawPart, left: Mapping[str, Iterator[MediaRef]]) -> Part:
    return next(left[part.kind]) if isinstance(part, Placeholder) else part


def _before_first_user(
    raw: list[RawTurn], media: Mapping[str, list[MediaRef]]
) -> list[RawTurn]:
    places = tuple(Placeholder(kind) for kind, refs in media.items() for _ in refs)
    for number, (role, parts) in enumerate(raw):
        if role == "user":
            return [*raw[:number], (role, places + parts), *raw[number + 1 :]]
    listed = " and ".join(_count(len(refs), kind) for kind, refs in media.items() if refs)
    raise BadSampleError(
        f"{listed} listed, but no user turn to hold them",
        f"Add a user turn, or place each with <{places[0].kind}>",
    )


def _check(conversation: Conversation) -> None:
    answers = [turn for turn in conversation.turns if turn.role == "assistant"]
    if not any(turn.text.strip() for turn in answers):
        raise BadSampleError(
            "no label: no assistant turn with text", "Add the answer that is to be learned"
        )
    for part in chain.from_iterable(turn.parts for turn in answers):
        if isinstance(part, MediaRef):
            raise BadSampleError(
                f"an assistant turn holds {_article(part.kind)} {part.kind}",
                f"Move it, or its <{part.kind}>, to a user turn",
            )
    for part in conversation.parts():
        _refuse_half_characters(part.text if isinstance(part, Text) else part.uri)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _refuse_half_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadSampleError(
            f"half a character, {text[error.start]!r}, in {show(text)}",
            "Write the text as valid Unicode",
        ) from error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
