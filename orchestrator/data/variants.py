"""The same held-out samples with pictures taken away or exchanged: does the answer need them?

A figure that does not fall when the pictures are swapped was not read off the pictures.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.conversation import Conversation, MediaRef, Turn
from orchestrator.data.rows import SampleRow

Images = Literal["all", "first", "swapped"]

_OF_MEDIA = (
    "kinds",
    "uris",
    "urls",
    "offsets",
    "lengths",
    "media_keys",
    "pictures",
    "widths",
    "heights",
    "target_heights",
    "target_widths",
    "image_tokens",
    "patches",
    "notes",
)
"""What a sample owes to its media; everything else to its text."""


def only_first(conversation: Conversation) -> Conversation:
    """Keep the first medium and all text; a turn left with nothing goes."""
    left = iter(conversation.media[:1])
    turns = []
    for turn in conversation.turns:
        parts = [
            next(left, None) if isinstance(part, MediaRef) else part for part in turn.parts
        ]
        kept = tuple(part for part in parts if part is not None)
        if kept:
            turns.append(Turn(turn.role, kept))
    return replace(conversation, turns=tuple(turns))


def partners(num_pictures: Sequence[int]) -> dict[int, int]:
    """Who gets whose pictures: each the next one's with as many, the last the first's.

    Args:
        num_pictures: Of each sample, in order.

    Returns:
        By the place of each sample that has pictures the place of the one that gives; its own
        where no other has as many.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(num_pictures):
        if number:
            alike[number].append(place)
    return {
        place: giver
        for places in alike.values()
        for place, giver in zip(places, places[1:] + places[:1], strict=True)
    }


def swap_media(
    rows: Sequence[SampleRow | BadRow], micro_tokens: int
) -> list[SampleRow | BadRow]:
    """Give each sample the media of its partner.

    Samples without pictures stay as they are, and so do bad rows. A sample that no other has as
    many pictures as becomes a bad row, and so does one that the exchange makes longer than
    ``micro_tokens``: there is nothing to ask them.
    """
    counts = [sum(row.pictures) if isinstance(row, SampleRow) else 0 for row in rows]
    swapped = list(rows)
    for place, giver in partners(counts).items():
        swapped[place] = _with_media(rows[place], rows[giver], micro_tokens)
    return swapped


def _with_media(
    row: SampleRow | BadRow, giver: SampleRow | BadRow, micro_tokens: int
) -> SampleRow | BadRow:
    assert isinstance(row, SampleRow)
    assert isinstance(giver, SampleRow)
    tokens = row.text_tokens + giver.image_tokens
    if row is giver:
        reason = f"no other sample has {sum(row.pictures)} pictures to exchange"
        return BadRow(row.file, row.row, row.id, reason, "Hold out another of this size")
    if tokens > micro_tokens:
        reason = f"too long with another's pictures: {tokens} tokens"
        return BadRow(row.file, row.row, row.id, reason, "Raise train.micro_tokens")
    given = {name: getattr(giver, name) for name in _OF_MEDIA}
    # The cost stays: it deals work to workers, and that only roughly.
    return replace(row, **given, tokens=tokens)
