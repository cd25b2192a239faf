"""The same held-out samples with pictures taken away or exchanged: does the answer need them?

A figure that does not fall when the pictures are swapped was not read off the pictures.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Turn
from orchestrator.data.placing import parse
from orchestrator.data.sources import Record

Images = Literal["all", "first", "swapped"]


@dataclass(frozen=True, slots=True)
class Swapped:
    """Conversations with one another's pictures."""

    conversations: tuple[Conversation, ...]
    """In the order given."""

    unmatched: tuple[str, ...]
    """Ids of those that nobody shares a number of pictures with; they keep none."""


def only_first(conversation: Conversation) -> Conversation:
    """Keep the first picture and all text; a turn left with nothing goes."""
    media = conversation.media[:1]
    return _with_media(conversation, media)


def swap_images(conversations: Sequence[Conversation]) -> Swapped:
    """Give each conversation the pictures of the next one with as many, the last the first's.

    One without pictures stays as it is.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for number, conversation in enumerate(conversations):
        alike[len(conversation.media)].append(number)
    swapped = list(conversations)
    unmatched = []
    for num_images, numbers in alike.items():
        if num_images and len(numbers) == 1:
            swapped[numbers[0]] = _with_media(conversations[numbers[0]], ())
            unmatched.append(conversations[numbers[0]].id)
            continue
        for number, giver in zip(numbers, numbers[1:] + numbers[:1], strict=True):
            swapped[number] = _with_media(conversations[number], conversations[giver].media)
    return Swapped(tuple(swapped), tuple(unmatched))


def vary(conversations: Sequence[Conversation], images: Images) -> Swapped:
    """Do what ``images`` names to every conversation; only ``swapped`` leaves any unmatched."""
    match images:
        case "all":
            return Swapped(tuple(conversations), ())
        case "first":
            return Swapped(tuple(map(only_first, conversations)), ())
        case "swapped":
            return swap_images(conversations)
        case _:
            assert_never(images)


def vary_records(
    records: Iterable[Record], images: Images, max_images: int
) -> tuple[list[Record], tuple[str, ...]]:
    """``vary`` for rows of a file, so that an index of the variant is built like any other.

    Args:
        records: Rows in file order; all are held at once.
        images: The variant.
        max_images: As for ``parse``.

    Returns:
        The rows, unusable ones unchanged; and the ids that ``swapped`` found no partner for.
    """
    varied = list(records)
    if images == "all":
        return varied, ()
    places, conversations = [], []
    for place, record in enumerate(varied):
        try:
            conversations.append(parse(record, max_images))
        except BadSampleError:
            # Stays as it was: indexing will name it, with the reason.
            continue
        places.append(place)
    result = vary(conversations, images)
    for place, conversation in zip(places, result.conversations, strict=True):
        varied[place] = replace(varied[place], value=to_value(conversation))
    return varied, result.unmatched


def to_value(conversation: Conversation) -> dict[str, Any]:
    """Write a conversation as a row with content parts; ``parse`` reads the same one back."""
    return {
        "id": conversation.id,
        "conversations": [
            {"role": turn.role, "content": [_part_value(part) for part in turn.parts]}
            for turn in conversation.turns
        ],
    }


def _part_value(part: Part) -> dict[str, str]:
    if isinstance(part, MediaRef):
        return {"type": part.kind, "image": part.uri}
    return {"type": "text", "text": part.text}


def _with_media(conversation: Conversation, media: Sequence[MediaRef]) -> Conversation:
    """Fill the pictures' places from the front; places beyond ``media`` go."""
    left = iter(media)
    turns = []
    for turn in conversation.turns:
        parts = [
            next(left, None) if isinstance(part, MediaRef) else part for part in turn.parts
        ]
        kept = tuple(part for part in parts if part is not None)
        if kept:
            turns.append(Turn(turn.role, kept))
    return replace(conversation, turns=tuple(turns))
