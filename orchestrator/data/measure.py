"""What a sample costs, from its text and its pictures' headers. No pixel is decoded.

Letters: L text tokens and image slots of a sample.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestrator.data.bad_sample import BadRow, BadSampleError
from orchestrator.data.chat import ChatEncoder
from orchestrator.data.coder import ImageCoder
from orchestrator.data.conversation import Conversation
from orchestrator.data.media import ImageSize, media_key, probe, resolve
from orchestrator.data.placing import parse, record_id
from orchestrator.data.rows import IMAGE_SLOT, SampleRow, rows_to_table
from orchestrator.data.sources import Record, table_to_records

# A patch passes once, forwards, through a tower of some fifth of the language model's size; a
# token passes forwards and backwards.
_TOKENS_A_PATCH = 0.1
# At this length, attention costs a layer of width 2,700 as much as its matrices.
_ATTENTION_TOKENS = 16_384.0


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """Everything that a row of the index depends on, besides the files."""

    source: str
    """The data file, as the ledger names it."""

    media_dir: Path
    coder: ImageCoder
    chat: ChatEncoder
    max_images: int
    """Images a sample may have."""

    micro_tokens: int
    """Tokens a sample may have: it has to fit one micro-batch."""


def measure_records(
    records: Iterable[Record], settings: MeasureSettings
) -> Iterator[SampleRow | BadRow]:
    """Measure each row; a bad one comes out as its line of the ledger, in its place."""
    for record in records:
        try:
            yield measure(parse(record, settings.max_images), record.row, settings)
        except BadSampleError as error:
            yield BadRow(
                settings.source, record.row, record_id(record), error.reason, error.remedy
            )


def measure_table(table: pa.Table, settings: MeasureSettings) -> pa.Table:
    """Measure a table of ``records_to_table``: one row in, one row of ``rows_to_table`` out."""
    return rows_to_table(measure_records(table_to_records(table), settings))


def measure(conversation: Conversation, row: int, settings: MeasureSettings) -> SampleRow:
    """Measure one conversation.

    Raises:
        BadSampleError: A picture is missing or no picture, or the sample is too long.
        StorageError: The store did not answer.
    """
    uris = tuple(ref.uri for ref in conversation.media)
    paths = [resolve(uri, settings.media_dir) for uri in uris]
    sizes = [probe(path) for path in paths]
    targets = [
        _target(settings.coder, size, uri) for size, uri in zip(sizes, uris, strict=True)
    ]
    encoded = settings.chat.encode(conversation)
    image_tokens = sum(settings.coder.num_tokens(*target) for target in targets)
    text_tokens = int(np.count_nonzero(encoded.ids_L != IMAGE_SLOT))
    patches = sum(settings.coder.num_patches(*target) for target in targets)
    tokens = text_tokens + image_tokens
    if tokens > settings.micro_tokens:
        raise BadSampleError(
            f"too long: {tokens} tokens ({image_tokens} of images), "
            f"at most {settings.micro_tokens} allowed",
            "Raise train.micro_tokens, lower images.max_pixels, or shorten the sample",
        )
    return SampleRow(
        id=conversation.id,
        row=row,
        ids_L=encoded.ids_L,
        labels_L=encoded.labels_L,
        uris=uris,
        media_keys=tuple(map(media_key, uris, paths)),
        widths=tuple(size.width for size in sizes),
        heights=tuple(size.height for size in sizes),
        target_heights=tuple(height for height, _ in targets),
        target_widths=tuple(width for _, width in targets),
        image_tokens=image_tokens,
        text_tokens=text_tokens,
        label_tokens=int(np.count_nonzero(encoded.labels_L)),
        patches=patches,
        tokens=tokens,
        cost=cost_of(tokens, patches),
    )


def cost_of(tokens: int, patches: int) -> float:
    """Estimate what training on a sample costs, in units of one language model token.

    Only ratios matter: costs deal micro-batches to ranks. Each token costs one; attention adds
    tokens squared over 16,384; a patch of a picture costs a tenth.
    """
    return tokens * (1.0 + tokens / _ATTENTION_TOKENS) + _TOKENS_A_PATCH * patches


def _target(coder: ImageCoder, size: ImageSize, uri: str) -> tuple[int, int]:
    try:
        return coder.target_size(size.height, size.width)
    except ValueError as error:
        raise BadSampleError(
            f"image {uri!r} cannot be used ({error})", "Crop it, or leave the sample out"
        ) from error
