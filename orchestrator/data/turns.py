"""Turns as people write them: who speaks, and in what parts. Media are not placed yet."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Part, Role, Text
from orchestrator.data.media_refs import ref_of, show

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}

# Fields that carry something we would otherwise lose without a word.
MEANINGFUL = ("images", "image", "videos", "video", "audios", "audio", "tools")
_TEXT_TYPES = {"text", "input_text", "output_text"}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place for the next of the row's media of a kind."""

    kind: str


RawPart = Part | Placeholder
RawTurn = tuple[Role, tuple[RawPart, ...]]


@dataclass(frozen=True, slots=True)
class Grammar:
    """How media are written, for some kinds of them."""

    kinds: tuple[str, ...]
    marks: re.Pattern[str]
    types: Mapping[str, str]
    """Kind of a content part, by its type."""

    unsupported: tuple[str, ...]
    """Columns of other kinds."""


@lru_cache
def grammar_of(kinds: tuple[str, ...]) -> Grammar:
    """How media of some kinds are written: marks, content parts and columns by their names."""
    columns = {name for kind in kinds for name in (f"{kind}s", kind)}
    return Grammar(
        kinds,
        re.compile(f"<({'|'.join(map(re.escape, kinds))})>"),
        {name: kind for kind in kinds for name in (kind, f"{kind}_url", f"input_{kind}")},
        tuple(name for name in MEANINGFUL if name not in columns),
    )


def system_turn(value: dict[str, Any], grammar: Grammar) -> Iterator[RawTurn]:
    """Yield the turn of a top-level ``system`` field; blank means none, as elsewhere."""
    given = value.get("system")
    if given is None or given == "":
        return
    if not isinstance(given, str):
        raise BadSampleError(f"'system' is {show(given)}", "Write it as text")
    yield "system", _split_marks(given, grammar)


def turns_of(value: dict[str, Any], grammar: Grammar) -> Iterator[RawTurn]:
    """Yield the row's turns.

    Raises:
        BadSampleError: One is missing something, or is something else.
    """
    name = only_one(value, "conversations", "messages")
    if name is None:
        raise BadSampleError(
            f"neither 'conversations' nor 'messages', but {show(sorted(value))}",
            "Write the turns as a list under 'conversations'",
        )
    turns = value[name]
    if not isinstance(turns, list) or not turns:
        raise BadSampleError(f"{name!r} is {show(turns)}", "Write a list of turns")
    for number, turn in enumerate(turns, start=1):
        yield _turn(turn, f"turn {number}", grammar)


def _turn(turn: object, where: str, grammar: Grammar) -> RawTurn:
    if not isinstance(turn, dict):
        raise BadSampleError(f"{where} is {show(turn)}", "Write it as an object")
    if turn.get("tool_calls"):
        raise BadSampleError(
            f"{where}: 'tool_calls' are not supported", "Write the call as text"
        )
    speaker = _field(turn, "from", "role", where)
    content = _field(turn, "value", "content", where)
    role = ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise BadSampleError(
            f"{where} is spoken by {show(speaker)}", f"Use one of {', '.join(sorted(ROLES))}"
        )
    if isinstance(content, str):
        return role, _split_marks(content, grammar)
    if isinstance(content, list):
        parts = (_content_part(part, where, grammar) for part in content)
        return role, tuple(chain.from_iterable(parts))
    raise BadSampleError(f"{where} says {show(content)}", "Write text, or a list of parts")


def _field(turn: dict[str, Any], one: str, other: str, where: str) -> object:
    name = only_one(turn, one, other)
    if name is None:
        raise BadSampleError(
            f"{where} has neither {one!r} nor {other!r}, but {show(sorted(turn))}",
            f"Write {where}'s {other!r}",
        )
    given = turn[name]
    if given is None or given == [] or (isinstance(given, str) and not given.strip()):
        raise BadSampleError(
            f"{where}: {name!r} is blank", "Write something there, or remove the turn"
        )
    return given


def _content_part(part: object, where: str, grammar: Grammar) -> tuple[RawPart, ...]:
    if isinstance(part, str):
        return _split_marks(part, grammar)
    given = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(given, str):
        raise _no_part(part, where, grammar)
    if given in _TEXT_TYPES:
        if not isinstance(part.get("text"), str):
            raise BadSampleError(f"{where}: a text part is {show(part)}", "Write its 'text'")
        return _split_marks(part["text"], grammar)
    kind = grammar.types.get(given)
    if kind is None:
        raise _no_part(part, where, grammar)
    entry = _entry(part, kind)
    return (Placeholder(kind) if entry is None else ref_of(entry, kind, f"{kind} of {where}"),)


def _no_part(part: object, where: str, grammar: Grammar) -> BadSampleError:
    known = ", ".join(("text", *grammar.kinds))
    return BadSampleError(f"{where} holds {show(part)}", f"Use parts of type {known}")


def _entry(part: dict[str, Any], kind: str) -> object:
    """Give what a part names, or None for "the next one"."""
    for name in (kind, f"{kind}_url", "path", "url", "base64"):
        if (given := part.get(name)) is not None:
            url = given.get("url") if isinstance(given, dict) else None
            return given if url is None else url
    return None


def _split_marks(text: str, grammar: Grammar) -> tuple[RawPart, ...]:
    if "<" not in text:
        return (Text(text),) if text else ()
    # Text and kinds of marks by turns.
    pieces = grammar.marks.split(text)
    return tuple(
        Placeholder(piece) if place % 2 else Text(piece)
        for place, piece in enumerate(pieces)
        if piece
    )


def only_one(value: dict[str, Any], one: str, other: str) -> str | None:
    """Give the name that is there; both at once would be a guess."""
    if other not in value:
        return one if one in value else None
    if one not in value or value[one] is None:
        return other
    if value[other] is None:
        return one
    raise BadSampleError(f"both {one!r} and {other!r} are given", "Keep one of them")
