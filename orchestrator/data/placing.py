"""From a row as people write it to a conversation with every picture at its place.

Three ways to place a picture: an ``<image>`` mark in the text takes the next of the row's
``images``; a content part of type ``image`` names its own or takes the next; and where nothing
places any, all of them come before the first user turn's text. What does not add up is refused,
never guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Role, Text, Turn
from orchestrator.data.sources import Record

MARK = "<image>"

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}

# Fields that carry something we would otherwise lose without a word.
_UNSUPPORTED = ("videos", "video", "audios", "audio", "tools")


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """A place for the next of the row's ``images``."""


_RawPart = Part | _Placeholder
_RawTurn = tuple[Role, tuple[_RawPart, ...]]


def record_id(record: Record) -> str:
    """Give the row's own id, or its row number where it has none."""
    given = (record.value or {}).get("id")
    if isinstance(given, str | int) and str(given).strip():
        # Half a surrogate pair is legal JSON, and no file or table can hold it.
        return str(given).encode("utf-8", "replace").decode()
    return str(record.row)


def parse(record: Record, max_images: int) -> Conversation:
    """Turn a row into a conversation.

    Takes ``conversations`` or ``messages``; ``from``/``value`` or ``role``/``content``; the
    roles human, user, gpt, assistant, system, tool and observation; content as a string or a
    list of parts; ``images`` (or ``image``) as a list or one string.

    Raises:
        BadSampleError: Anything is missing, blank, of a wrong type or count.
    """
    if record.value is None:
        raise BadSampleError(f"row {record.fault}", "Write one JSON object a row")
    value = record.value
    _refuse_unsupported(value)
    images = _images(value)
    raw = [*_system(value), *_turns(value)]
    conversation = Conversation(record_id(record), tuple(_place(raw, images)))
    _check(conversation, max_images)
    return conversation


def _refuse_unsupported(value: dict[str, Any]) -> None:
    for name in _UNSUPPORTED:
        if value.get(name):
            raise BadSampleError(
                f"{name!r} is not supported: only images are",
                f"Remove {name!r}, or leave the row out",
            )


def _images(value: dict[str, Any]) -> list[str]:
    name = _only_one(value, "images", "image")
    given = value.get(name) if name else None
    if given is None:
        return []
    uris = [given] if isinstance(given, str) else given
    if not isinstance(uris, list):
        raise BadSampleError(f"{name!r} is {_show(given)}", "Write a list of paths")
    for number, uri in enumerate(uris, start=1):
        if not isinstance(uri, str) or not uri.strip():
            raise BadSampleError(f"image {number} is {_show(uri)}", "Write its path, as text")
    return uris


def _system(value: dict[str, Any]) -> Iterator[_RawTurn]:
    """Yield the turn of a top-level ``system`` field; blank means none, as elsewhere."""
    given = value.get("system")
    if given is None or given == "":
        return
    if not isinstance(given, str):
        raise BadSampleError(f"'system' is {_show(given)}", "Write it as text")
    yield "system", tuple(_split_marks(given))


def _turns(value: dict[str, Any]) -> Iterator[_RawTurn]:
    name = _only_one(value, "conversations", "messages")
    if name is None:
        raise BadSampleError(
            f"neither 'conversations' nor 'messages', but {_show(sorted(value))}",
            "Write the turns as a list under 'conversations'",
        )
    turns = value[name]
    if not isinstance(turns, list) or not turns:
        raise BadSampleError(f"{name!r} is {_show(turns)}", "Write a list of turns")
    for number, turn in enumerate(turns, start=1):
        yield _turn(turn, f"turn {number}")


def _turn(turn: object, where: str) -> _RawTurn:
    if not isinstance(turn, dict):
        raise BadSampleError(f"{where} is {_show(turn)}", "Write it as an object")
    speaker = _field(turn, "from", "role", where)
    content = _field(turn, "value", "content", where)
    role = ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise BadSampleError(
            f"{where} is spoken by {_show(speaker)}", f"Use one of {', '.join(sorted(ROLES))}"
        )
    if isinstance(content, str):
        return role, tuple(_split_marks(content))
    if isinstance(content, list):
        return role, tuple(chain.from_iterable(_content_part(part, where) for part in content))
    raise BadSampleError(f"{where} says {_show(content)}", "Write text, or a list of parts")


def _field(turn: dict[str, Any], one: str, other: str, where: str) -> object:
    name = _only_one(turn, one, other)
    if name is None:
        raise BadSampleError(
            f"{where} has neither {one!r} nor {other!r}, but {_show(sorted(turn))}",
            f"Write {where}'s {other!r}",
        )
    given = turn[name]
    if given is None or given == [] or (isinstance(given, str) and not given.strip()):
        raise BadSampleError(
            f"{where}: {name!r} is blank", "Write something there, or remove the turn"
        )
    return given


def _content_part(part: object, where: str) -> Iterator[_RawPart]:
    if isinstance(part, str):
        yield from _split_marks(part)
        return
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or kind not in ("text", "image", "image_url"):
        raise BadSampleError(f"{where} holds {_show(part)}", "Use parts of type text or image")
    if kind == "text":
        if not isinstance(part.get("text"), str):
            raise BadSampleError(f"{where}: a text part is {_show(part)}", "Write its 'text'")
        yield from _split_marks(part["text"])
        return
    uri = _part_uri(part)
    if uri is None:
        yield _Placeholder()
    elif isinstance(uri, str) and uri.strip():
        yield MediaRef(uri)
    else:
        raise BadSampleError(f"{where}: an image is {_show(uri)}", "Write its path, as text")


def _part_uri(part: dict[str, Any]) -> object:
    """Give what an image part names, or None for "the next one"."""
    for name in ("image", "image_url", "path", "url"):
        if (given := part.get(name)) is not None:
            return given.get("url") if isinstance(given, dict) else given
    return None


def _split_marks(text: str) -> Iterator[_RawPart]:
    for number, piece in enumerate(text.split(MARK)):
        if number:
            yield _Placeholder()
        if piece:
            yield Text(piece)


def _place(raw: list[_RawTurn], images: list[str]) -> Iterator[Turn]:
    """Put each image at its mark, or all before the first user turn's text."""
    parts = [part for _, parts in raw for part in parts]
    num_marks = sum(isinstance(part, _Placeholder) for part in parts)
    placed = num_marks or any(isinstance(part, MediaRef) for part in parts)
    if images and not placed:
        raw = _before_first_user(raw, len(images))
    elif num_marks != len(images):
        raise BadSampleError(
            f"{_count(num_marks, 'image mark')}, {_count(len(images), 'image')} listed",
            f"Write one {MARK} for each image, or none to have them all come first",
        )
    left = iter(images)
    for role, turn_parts in raw:
        # A generator, so that the marks take the images in the order of the conversation.
        yield Turn(role, tuple(_filled(part, left) for part in turn_parts))


def _filled(part: _RawPart, left: Iterator[str]) -> Part:
    return MediaRef(next(left)) if isinstance(part, _Placeholder) else part


def _before_first_user(raw: list[_RawTurn], num_images: int) -> list[_RawTurn]:
    for number, (role, parts) in enumerate(raw):
        if role == "user":
            first: _RawTurn = (role, (_Placeholder(),) * num_images + parts)
            return [*raw[:number], first, *raw[number + 1 :]]
    raise BadSampleError(
        f"{_count(num_images, 'image')} listed, but no user turn to hold them",
        f"Add a user turn, or place each with {MARK}",
    )


def _check(conversation: Conversation, max_images: int) -> None:
    answers = [turn for turn in conversation.turns if turn.role == "assistant"]
    if not any(turn.text.strip() for turn in answers):
        raise BadSampleError(
            "no label: no assistant turn with text", "Add the answer that is to be learned"
        )
    if any(isinstance(part, MediaRef) for turn in answers for part in turn.parts):
        raise BadSampleError(
            "an assistant turn holds an image", f"Move it, or its {MARK}, to a user turn"
        )
    for part in conversation.parts():
        _refuse_half_characters(part.text if isinstance(part, Text) else part.uri)
    if len(conversation.media) > max_images:
        raise BadSampleError(
            f"{len(conversation.media)} images, at most {max_images} allowed",
            "Raise images.max_images, or split the sample",
        )


def _refuse_half_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadSampleError(
            f"half a character, {text[error.start]!r}, in {_show(text)}",
            "Write the text as valid Unicode",
        ) from error


def _only_one(value: dict[str, Any], one: str, other: str) -> str | None:
    """Give the name that is there; both at once would be a guess."""
    names = [name for name in (one, other) if name in value]
    if len(names) == 2:
        names = [name for name in names if value[name] is not None] or names[:1]
    if len(names) == 2:
        raise BadSampleError(f"both {one!r} and {other!r} are given", "Keep one of them")
    return names[0] if names else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _show(value: object) -> str:
    """Show a value from outside, short enough for a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
