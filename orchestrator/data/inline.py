"""Content that came in rows (bytes, base64) becomes ranges of files that renderers can read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Text
from orchestrator.data.places.blobs import write_blob
from orchestrator.data.places.location import Location
from orchestrator.storage import Store

BLOB_BYTES = 64 << 20
"""A file of contents is ended when it has grown to this."""

Parsed = Conversation | BadSampleError


def spool(conversations: Sequence[Parsed], blobs: Store | None) -> list[Parsed]:
    """Write inline content to ``blobs``, and have the conversations refer to it there.

    Args:
        conversations: Of one block of rows; faults pass through.
        blobs: Where to; None: samples with inline content become faults.

    Raises:
        StorageError: The store did not take it.
    """
    inline = [
        ref.content
        for one in conversations
        if isinstance(one, Conversation)
        for ref in one.media
        if ref.content is not None
    ]
    if not inline:
        return list(conversations)
    if blobs is None:
        return [_refused(one) for one in conversations]
    places = (place for block in _blocks(inline) for place in write_blob(blobs, block))
    return [
        one if isinstance(one, BadSampleError) else _placed(one, places)
        for one in conversations
    ]


def _refused(one: Parsed) -> Parsed:
    if isinstance(one, BadSampleError) or all(ref.content is None for ref in one.media):
        return one
    return BadSampleError("the row carries an image's bytes", "Name a file instead")


def _blocks(contents: Sequence[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    num_bytes = 0
    for content in contents:
        if block and num_bytes + len(content) > BLOB_BYTES:
            yield block
            block, num_bytes = [], 0
        block.append(content)
        num_bytes += len(content)
    yield block


def _placed(conversation: Conversation, places: Iterator[Location]) -> Conversation:
    def one(part: Part) -> Part:
        if isinstance(part, Text) or part.content is None:
            return part
        return _moved(part, next(places))

    turns = tuple(
        replace(turn, parts=tuple(one(part) for part in turn.parts))
        for turn in conversation.turns
    )
    return replace(conversation, turns=turns)


def _moved(ref: MediaRef, place: Location) -> MediaRef:
    span = place.offset, place.length
    return MediaRef(place.url, ref.kind, *span, is_own=True, name=ref.shown_as)
