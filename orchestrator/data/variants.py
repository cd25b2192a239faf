"""The same held-out samples with pictures taken away or exchanged: does the answer need them?

A figure that does not fall when the pictures are swapped was not read off the pictures.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
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


def partners(media: Sequence[tuple[int, Hashable]]) -> dict[int, int]:
    """Who gets whose media: each the next one's that has as many pictures, and others.

    Args:
        media: Of each sample its number of pictures, and what is equal where the media are.

    Returns:
        By the place of each sample that has pictures the place of the one that gives; its own
        where no other has as many, or all have the same.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for place, (num_pictures, _) in enumerate(media):
        if num_pictures:
            alike[num_pictures].append(place)
    return {
        place: next(
            (
                giver
                for giver in places[turn + 1 :] + places[:turn]
                if media[giver] != media[place]
            ),
            place,
        )
        for places in alike.values()
        for turn, place in enumerate(places)
    }


def swap_media(
    rows: Sequence[SampleRow | BadRow], micro_tokens: int
) -> list[SampleRow | BadRow]:
    """Give each sample the media of its partner.

    Samples without pictures stay as they are, and so do bad rows. A sample that finds no
    partner becomes a bad row, and so does one that the exchange makes longer than
    ``micro_tokens``: there is nothing to ask them.
    """
    swapped = list(rows)
    for place, giver in partners([_media_of(row) for row in rows]).items():
        swapped[place] = _with_media(rows[place], rows[giver], micro_tokens)
    return swapped


def _media_of(row: SampleRow | BadRow) -> tuple[int, Hashable]:
    if isinstance(row, BadRow):
        return 0, None
    return sum(row.pictures), (row.urls, row.offsets, row.lengths)


def _with_media(
    row: SampleRow | BadRow, giver: SampleRow | BadRow, micro_tokens: int
) -> SampleRow | BadRow:
    assert isinstance(row, SampleRow)
    assert isinstance(giver, SampleRow)
    tokens = row.text_tokens + giver.image_tokens
    if row is giver:
        reason = f"no other sample has {sum(row.pictures)} other pictures to exchange"
        return BadRow(row.file, row.row, row.id, reason, "Hold out another of this size")
    if tokens > micro_tokens:
        reason = f"too long with another's pictures: {tokens} tokens"
        return BadRow(row.file, row.row, row.id, reason, "Raise train.micro_tokens")
    given = {name: getattr(giver, name) for name in _OF_MEDIA}
    # The cost stays: it deals work to workers, and that only roughly.
    return replace(row, **given, tokens=tokens)
