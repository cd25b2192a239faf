"""What samples cost, from their text and their media's headers. No pixel is decoded.

Each stage takes what the one before made of every record, and passes faults through in their
place: a fault is a value here, as one bad row must not end the block that it came in.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np

from orchestrator.data.bad_sample import BadRow, BadSampleError
from orchestrator.data.chat import ChatEncoder, Encoded
from orchestrator.data.coder import ImageCoder
from orchestrator.data.conversation import Conversation, MediaRef, Part, Text
from orchestrator.data.grouping.similarity import perceptual_hash
from orchestrator.data.inline import spool
from orchestrator.data.lint.counting import says_count
from orchestrator.data.media.medium import Medium, Probed, Targets
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.places import Places
from orchestrator.data.places.status import status
from orchestrator.data.places.wording import shown
from orchestrator.data.placing import parse, record_id
from orchestrator.data.rows import IMAGE_SLOT, SampleRow
from orchestrator.data.sources.record import Record
from orchestrator.data.templates.template import Template, apply
from orchestrator.data.thinning import Select, thin
from orchestrator.data.variants import Images, only_first
from orchestrator.fusion.blocks import cut_at_answers
from orchestrator.fusion.budget import fused_tokens
from orchestrator.storage import Store

T = TypeVar("T")
R = TypeVar("R")

LOCAL_READERS = 4
"""Samples whose headers are read at once: disks answer several as fast as one."""
REMOTE_READERS = 16
"""The same where a store is not a disk."""
QUESTION_LETTERS = 200

# A patch passes once, forwards, through a tower of some fifth of the language model's size; a
# token passes forwards and backwards.
_TOKENS_A_PATCH = 0.1
# At this length, attention costs a layer of width 2,700 as much as its matrices.
_ATTENTION_TOKENS = 16_384.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSettings:
    """Everything that a row of the index depends on, besides the files."""

    places: Places
    """What media may be read from."""

    kinds: Mapping[str, Medium]
    coder: ImageCoder
    chat: ChatEncoder
    max_images: int
    """Images a sample may have."""

    select: Select
    """What becomes of a sample with more."""

    max_source_pixels: int
    """Area that an image may claim, where its likeness to others is asked."""

    micro_tokens: int
    """Tokens a sample may have: it has to fit one micro-batch."""

    fusion_budget: int | None = None
    """Tokens that the images before an answer become together; None leaves all whole."""

    fusion_floor: int = 1
    """Tokens that every one of them keeps."""

    template: Template | None = None
    images: Images = "all"
    """Which images samples keep; anything but all is for evaluation."""

    blobs: Store | None = None
    """Where content that came in rows is kept; None: such rows are refused."""

    @property
    def is_remote(self) -> bool:
        """Whether media may have to be fetched over a network."""
        roots = [self.places.media_dir, *self.places.roots]
        roots += [self.blobs.url] if self.blobs else []
        return bool(self.places.hosts) or any("://" in root for root in roots)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One medium of a sample."""

    ref: MediaRef
    location: Location
    key: str
    probed: Probed
    targets: Targets


@dataclass(frozen=True, slots=True)
class _Draft:
    """A sample whose media are measured, and its text not yet."""

    conversation: Conversation
    media: tuple[_Measured, ...]


def measure_records(
    records: Sequence[Record], file: str, settings: MeasureSettings, *, source: int = 0
) -> list[SampleRow | BadRow]:
    """Measure rows of one data file; a bad one comes out as its line of the ledger.

    Args:
        records: A block of rows; their inline content is held at once.
        file: The data file, as the ledger names it.
        settings: What else the rows depend on.
        source: Place of the data set in the job.

    Raises:
        StorageError: A store did not answer.
    """
    parsed = _each(records, lambda record: _parsed(record, settings))
    placed = spool(parsed, settings.blobs)
    at_once = REMOTE_READERS if settings.is_remote else LOCAL_READERS
    drafts = _each(placed, lambda one: _draft(one, settings), at_once)
    encoded = _encoded(drafts, settings)
    rows: list[SampleRow | BadRow] = []
    stages = zip(records, placed, drafts, encoded, strict=True)
    for record, conversation, draft, text in stages:
        try:
            rows.append(_row(draft, text, (source, file, record.row), settings))
        except BadSampleError as error:
            watched = _watched(conversation, settings)
            name = record_id(record)
            rows.append(BadRow(file, record.row, name, error.reason, error.remedy, *watched))
    return rows


def cost_of(tokens: int, patches: int) -> float:
    """Estimate what training on a sample costs, in units of one language model token.

    Only ratios matter: costs deal micro-batches to ranks. Each token costs one; attention adds
    tokens squared over 16,384; a patch of a picture costs a tenth.
    """
    return tokens * (1.0 + tokens / _ATTENTION_TOKENS) + _TOKENS_A_PATCH * patches


def _each(
    values: Sequence[T | BadSampleError], action: Callable[[T], R], at_once: int = 1
) -> list[R | BadSampleError]:
    """Do something to every value that is no fault, several at once where that pays."""

    def one(value: T | BadSampleError) -> R | BadSampleError:
        if isinstance(value, BadSampleError):
            return value
        try:
            return action(value)
        except BadSampleError as error:
            return error

    if at_once == 1:
        return [one(value) for value in values]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, values))


def _parsed(record: Record, settings: MeasureSettings) -> Conversation:
    conversation = parse(record, tuple(settings.kinds))
    return only_first(conversation) if settings.images == "first" else conversation


def _draft(conversation: Conversation, settings: MeasureSettings) -> _Draft:
    thinned = thin(
        conversation,
        settings.max_images,
        settings.select,
        look=lambda ref: perceptual_hash(
            Content(ref.shown_as, settings.places.locate(ref)), settings.max_source_pixels
        ),
    )
    # After thinning: a template says how many there are.
    put = apply(settings.template, thinned) if settings.template else thinned
    return _Draft(put, tuple(_measured(ref, settings) for ref in put.media))


def _watched(
    conversation: Conversation | BadSampleError, settings: MeasureSettings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where a bad sample's media are and in what state, as far as that can be said."""
    urls = [
        _url(ref, settings)
        for ref in (() if isinstance(conversation, BadSampleError) else conversation.media)
    ]
    return tuple(urls), tuple(map(media_state, urls))


def _url(ref: MediaRef, settings: MeasureSettings) -> str:
    """Where a medium is, or where it would be: it may yet come, and its folder with it."""
    try:
        return settings.places.locate(ref).url
    except BadSampleError:
        is_path = "://" not in ref.uri and "://" not in settings.places.media_dir
        return f"{settings.places.media_dir}/{ref.uri}" if is_path else ""


def media_state(url: str) -> str:
    """The state that a medium's file is in now; blank where it is not there.

    Raises:
        StorageError: The store did not answer.
    """
    try:
        return status(Location(url), url).key if url else ""
    except BadSampleError:
        return ""


def _measured(ref: MediaRef, settings: MeasureSettings) -> _Measured:
    location = settings.places.locate(ref)
    key = status(location, ref.shown_as, ref.kind).key
    medium = settings.kinds[ref.kind]
    probed = medium.probe(Content(ref.shown_as, location, ref.kind))
    try:
        targets = medium.cost(probed, settings.coder)
    except ValueError as error:
        raise BadSampleError(
            f"{shown(ref.kind, ref.shown_as)} cannot be used ({error})",
            "Crop it, or leave the sample out",
        ) from error
    return _Measured(ref, location, key, probed, targets)


def _encoded(
    drafts: Sequence[_Draft | BadSampleError], settings: MeasureSettings
) -> list[Encoded | BadSampleError]:
    """Token ids of every draft, with a place for each picture of each medium."""
    good = [_with_pictures(draft) for draft in drafts if isinstance(draft, _Draft)]
    encoded = iter(settings.chat.encode_all(good))
    return [next(encoded) if isinstance(draft, _Draft) else draft for draft in drafts]


def _with_pictures(draft: _Draft) -> Conversation:
    """Let a medium of several pictures stand there as so many images."""
    media = iter(draft.media)

    def parts_of(part: Part) -> tuple[Part, ...]:
        return (part,) if isinstance(part, Text) else _AS_IMAGE * len(next(media).targets)

    turns = tuple(
        replace(turn, parts=tuple(chain.from_iterable(map(parts_of, turn.parts))))
        for turn in draft.conversation.turns
    )
    return replace(draft.conversation, turns=turns)


_AS_IMAGE = (MediaRef("picture"),)


def _row(
    draft: _Draft | BadSampleError,
    text: Encoded | BadSampleError,
    place: tuple[int, str, int],
    settings: MeasureSettings,
) -> SampleRow:
    """Put together all that is known of a sample; its fault is raised, if it has one."""
    for stage in (draft, text):
        if isinstance(stage, BadSampleError):
            raise stage
    assert isinstance(draft, _Draft)
    assert isinstance(text, Encoded)
    source, file, row = place
    media, conversation = draft.media, draft.conversation
    targets = [target for medium in media for target in medium.targets]
    sizes = [size for medium in media for size in medium.probed.pictures]
    text_tokens = int(np.count_nonzero(text.ids_L != IMAGE_SLOT))
    image_tokens = _image_tokens(text, targets, settings)
    patches = sum(settings.coder.num_patches(*target) for target in targets)
    _refuse_too_long(text_tokens, image_tokens, settings.micro_tokens)
    question = next((turn.text for turn in conversation.turns if turn.role == "user"), "")
    return SampleRow(
        id=conversation.id,
        source=source,
        file=file,
        row=row,
        ids_L=text.ids_L,
        labels_L=text.labels_L,
        kinds=tuple(medium.ref.kind for medium in media),
        uris=tuple(medium.ref.shown_as for medium in media),
        urls=tuple(medium.location.url for medium in media),
        offsets=tuple(medium.location.offset for medium in media),
        lengths=tuple(
            -1 if medium.location.length is None else medium.location.length for medium in media
        ),
        media_keys=tuple(medium.key for medium in media),
        pictures=tuple(len(medium.targets) for medium in media),
        widths=tuple(size.width for size in sizes),
        heights=tuple(size.height for size in sizes),
        target_heights=tuple(height for height, _ in targets),
        target_widths=tuple(width for _, width in targets),
        image_tokens=image_tokens,
        text_tokens=text_tokens,
        label_tokens=int(np.count_nonzero(text.labels_L)),
        patches=patches,
        tokens=text_tokens + image_tokens,
        cost=cost_of(text_tokens + image_tokens, patches),
        text_hash=_text_hash(conversation),
        says_count=says_count(question, len(targets)),
        question=question[:QUESTION_LETTERS],
        notes=tuple(note for medium in media for note in medium.probed.notes),
    )


def _image_tokens(
    text: Encoded, targets: Sequence[tuple[int, int]], settings: MeasureSettings
) -> int:
    """Tokens of the language model that the images take, at most."""
    tokens_N = np.array([settings.coder.num_tokens(*target) for target in targets], np.int64)
    blocks = cut_at_answers(text.ids_L == IMAGE_SLOT, text.labels_L)
    budget, floor = settings.fusion_budget, settings.fusion_floor
    most = int(np.bincount(blocks.image_N).max(initial=0))
    if budget is not None and most * floor > budget:
        raise BadSampleError(
            f"{most} images before an answer, and a budget of {budget} tokens for them",
            "Raise fusion.budget, lower fusion.floor, or take fewer frames of a video",
        )
    return fused_tokens(tokens_N, blocks.image_N, budget)


def _refuse_too_long(text_tokens: int, image_tokens: int, micro_tokens: int) -> None:
    tokens = text_tokens + image_tokens
    if tokens > micro_tokens:
        raise BadSampleError(
            f"too long: {tokens} tokens ({image_tokens} of images), "
            f"at most {micro_tokens} allowed",
            "Raise train.micro_tokens, set fusion.budget or lower images.max_pixels, "
            "or shorten the sample",
        )


def _text_hash(conversation: Conversation) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for turn in conversation.turns:
        digest.update(f"{turn.role}\0{turn.text}\0".encode())
    return digest.hexdigest()
