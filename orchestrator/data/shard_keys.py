"""What a picture at the job's size is known by, and which ones an index still lacks.

A key follows from the file's state, the picture's place in it and the size asked for: whoever
wants the same picture at the same size finds the copy that somebody made.

Letters: N samples; I pictures of all samples, one after the other; E catalogued pictures.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from orchestrator.data.index import Index
from orchestrator.data.index_writer import SAMPLES
from orchestrator.data.media.medium import Medium
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium

ENCODING = "JPEG quality 95, 4:4:4"
"""Halved colour would save a quarter of the bytes and cost 3 to 8 dB."""
KEY = "S16"

_COLUMNS = (
    "kinds",
    "urls",
    "offsets",
    "lengths",
    "media_keys",
    "pictures",
    "target_heights",
    "target_widths",
)
_ROWS = 4096

Keys = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Sought:
    """A medium that is to be written, and its pictures' keys."""

    medium: RenderMedium
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, eq=False)
class IndexKeys:
    """The pictures of an index."""

    keys_I: Keys
    first_N1: npt.NDArray[np.int64]
    """Where each sample's pictures begin, and the end."""


def digest(told: bytes) -> bytes:
    """16 bytes that differ where what was told does."""
    return hashlib.sha256(told).digest()[:16]


def picture_keys(medium: RenderMedium, media_key: str, settings: str) -> tuple[bytes, ...]:
    """What the pictures of a medium are known by.

    Args:
        medium: Where it is, and what its pictures are resized to.
        media_key: The state of its file.
        settings: The ``repr`` of the ``Medium`` that loads it.
    """
    place = medium.location
    state = (place.url, place.offset, place.length, media_key)
    told = repr((ENCODING, settings, medium.kind, medium.targets, *state)).encode()
    return tuple(digest(b"%d %s" % (number, told)) for number in range(len(medium.targets)))


def index_keys(index: Index, kinds: Mapping[str, Medium]) -> IndexKeys:
    """Read what all pictures of an index are known by: 24 bytes each, and 8 a sample."""
    settings = {kind: repr(medium) for kind, medium in kinds.items()}
    keys_I = np.empty(index.summary.num_images, dtype=KEY)
    first_N1 = np.zeros(index.num_samples + 1, dtype=np.int64)
    place = 0
    for sample, media in enumerate(_samples(index)):
        for medium, media_key in media:
            keys = picture_keys(medium, media_key, settings[medium.kind])
            keys_I[place : place + len(keys)] = keys
            place += len(keys)
        first_N1[sample + 1] = place
    assert place == len(keys_I), "the index counts other pictures than it lists"
    return IndexKeys(keys_I, first_N1)


def unwritten(index: Index, keys_I: Keys, known_E: Keys) -> Iterator[Sought]:
    """The media of which some picture is not known yet, each once, in the index's order."""
    wanted_I = np.zeros(len(keys_I), dtype=np.bool_)
    wanted_I[np.unique(keys_I, return_index=True)[1]] = True
    wanted_I &= ~np.isin(keys_I, known_E)
    if not wanted_I.any():
        return
    place = 0
    for media in _samples(index):
        for medium, _ in media:
            own = slice(place, place + len(medium.targets))
            place = own.stop
            if wanted_I[own].any():
                # Padded: NumPy drops zeros at the end of what it gives back.
                keys = tuple(bytes(key).ljust(16, b"\0") for key in keys_I[own])
                yield Sought(medium, keys)


def _samples(index: Index) -> Iterator[list[tuple[RenderMedium, str]]]:
    """Each sample's media and the states of their files, read a few thousand rows at a time."""
    with pq.ParquetFile(index.folder / SAMPLES) as file:
        for batch in file.iter_batches(_ROWS, columns=list(_COLUMNS)):
            columns = [batch.column(name).to_pylist() for name in _COLUMNS]
            for values in zip(*columns, strict=True):
                yield list(_media(*values))


def _media(
    kinds: list[str],
    urls: list[str],
    offsets: list[int],
    lengths: list[int],
    media_keys: list[str],
    *sizes: list[int],
) -> Iterator[tuple[RenderMedium, str]]:
    pictures, heights, widths = sizes
    targets = zip(heights, widths, strict=True)
    each = zip(kinds, urls, offsets, lengths, media_keys, pictures, strict=True)
    for kind, url, offset, length, media_key, num_pictures in each:
        where = Location(url, offset, None if length < 0 else length)
        yield RenderMedium(kind, where, tuple(islice(targets, num_pictures))), media_key
