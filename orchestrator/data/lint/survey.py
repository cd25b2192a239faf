"""One pass over the samples: what lint asks of them, as arrays of numbers.

Letters: N samples; M media of all samples; P pictures of all media.
"""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.data.lint.finding import NUM_EXAMPLES
from orchestrator.data.lint.hashing import Hashes, hash_strings, mix, sums
from orchestrator.data.lint.tables import IndexTables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_COLUMNS = (
    *(
        "source",
        "file",
        "kinds",
        "uris",
        "urls",
        "offsets",
        "lengths",
        "media_keys",
        "pictures",
    ),
    *("widths", "heights", "target_widths", "target_heights", "tokens", "label_tokens", "cost"),
    *("text_hash", "says_count", "notes"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """What is known of each sample, medium and picture; some hundred bytes a sample."""

    num_media_N: Ints
    says_count_N: Bools
    tokens_N: Ints
    label_tokens_N: Ints
    cost_N: Floats
    text_N: Hashes
    """Of all that is said."""

    uris_N: Hashes
    """Of the media as people wrote them, whatever their order."""

    places_N: Hashes
    """Of where the media lie, whatever their order."""

    likes_N: Hashes
    """Of the media's bytes and pixels: equal for copies of the same media."""

    place_M: Hashes
    num_pictures_M: Ints
    is_image_M: Bools
    source_area_P: Floats
    """In pixels, as is the target's."""

    target_area_P: Floats

    @classmethod
    def joined(cls, pieces: list[Self]) -> Self:
        """Put pieces together, in their order."""
        names = [each.name for each in fields(cls)]
        return cls(
            **{name: np.concatenate([getattr(one, name) for one in pieces]) for name in names}
        )


@dataclass(slots=True)
class Mentions:
    """Names and notes that occur in an index."""

    files: set[str] = field(default_factory=set)
    """Those with at least one usable sample."""

    datasets: Counter[int] = field(default_factory=Counter)
    """Usable samples of each data set."""

    notes: Counter[str] = field(default_factory=Counter)
    noted: dict[str, list[int]] = field(default_factory=dict)
    """Some samples that have the note."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All samples of an index in figures."""

    arrays: Arrays
    mentions: Mentions

    @property
    def num_samples(self) -> int:
        """Usable samples."""
        return len(self.arrays.tokens_N)

    @property
    def sample_M(self) -> Ints:
        """The sample that each medium is in."""
        return np.repeat(np.arange(self.num_samples), self.arrays.num_media_N)

    def position_of(self, medium: int) -> tuple[int, int]:
        """The sample that a medium is in, and its place there."""
        ends_N = np.cumsum(self.arrays.num_media_N)
        sample = int(np.searchsorted(ends_N, medium, side="right"))
        return sample, medium - int(ends_N[sample] - self.arrays.num_media_N[sample])

    @property
    def medium_P(self) -> Ints:
        """The medium that each picture is of."""
        return np.repeat(np.arange(len(self.arrays.place_M)), self.arrays.num_pictures_M)


def survey(tables: IndexTables) -> Survey:
    """Read an index once, in pieces; nothing of its text is kept."""
    first = 0
    pieces: list[Arrays] = []
    mentions = Mentions()
    for batch in tables.batches(_COLUMNS):
        pieces.append(_arrays(batch, first))
        mentions.files.update(batch.column("file").unique().to_pylist())
        for entry in batch.column("source").value_counts().to_pylist():
            mentions.datasets[entry["values"]] += entry["counts"]
        _count_notes(mentions, batch.column("notes"), first)
        first += batch.num_rows
    return Survey(Arrays.joined(pieces), mentions)


def spread(numbers: npt.NDArray[np.integer]) -> list[int]:
    """Take a few that lie evenly among all, or all where there are no more."""
    few = min(NUM_EXAMPLES, len(numbers))
    return [int(numbers[place * len(numbers) // few]) for place in range(few)]


def _arrays(batch: pa.RecordBatch, first: int) -> Arrays:
    num_media_N = _list_lengths(batch, "uris")
    num_pictures_M = _flat(batch, "pictures")
    widths_P, heights_P = (_flat(batch, name) for name in ("widths", "heights"))
    targets = (_flat(batch, name) for name in ("target_widths", "target_heights"))
    target_area_P = np.multiply(*targets, dtype=np.float64)
    size_P = mix(widths_P * (1 << 32) + heights_P)
    like_M = mix(_bytes_or_state(batch) + sums(size_P, num_pictures_M))
    place_M = _places(batch, num_media_N, first)
    return Arrays(
        num_media_N=num_media_N,
        says_count_N=_numbers(batch, "says_count").astype(np.bool_),
        tokens_N=_numbers(batch, "tokens"),
        label_tokens_N=_numbers(batch, "label_tokens"),
        cost_N=_numbers(batch, "cost").astype(np.float64),
        text_N=hash_strings(batch.column("text_hash")),
        uris_N=sums(hash_strings(batch.column("uris").flatten()), num_media_N),
        places_N=sums(place_M, num_media_N),
        likes_N=sums(like_M, num_media_N),
        place_M=place_M,
        num_pictures_M=num_pictures_M,
        is_image_M=_to_numpy(pc.equal(batch.column("kinds").flatten(), "image")),
        source_area_P=np.multiply(widths_P, heights_P, dtype=np.float64),
        target_area_P=target_area_P,
    )


def _places(batch: pa.RecordBatch, num_media_N: Ints, first: int) -> Hashes:
    """Hash where each medium lies; what has no place of its own is equal to nothing."""
    urls = batch.column("urls").flatten()
    offset_M = np.maximum(_flat(batch, "offsets"), 0)
    length_M = np.maximum(_flat(batch, "lengths"), -1)
    place_M = mix(mix(hash_strings(urls) + mix(offset_M)) + mix(length_M))
    nowhere_M = _to_numpy(pc.equal(pc.utf8_length(urls.fill_null("")), 0))
    if nowhere_M.any():
        sample_M = np.repeat(np.arange(first, first + len(num_media_N)), num_media_N)
        order_M = np.arange(len(sample_M)) + 1
        place_M[nowhere_M] = mix(mix(sample_M) + mix(order_M))[nowhere_M]
    return place_M


def _bytes_or_state(batch: pa.RecordBatch) -> Hashes:
    """Hash what tells contents apart: the bytes of each medium, or its store's word for it."""
    keys = batch.column("media_keys").flatten()
    sizes = pc.struct_field(pc.extract_regex(keys, r"^(?P<bytes>\d{1,18}):"), "bytes")
    size_M = pc.cast(sizes, pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    length_M = _flat(batch, "lengths")
    size_M = np.where(length_M >= 0, length_M, size_M)
    hash_M = mix(size_M)
    unsized_M = size_M < 0
    if unsized_M.any():
        hash_M[unsized_M] = hash_strings(keys.filter(pa.array(unsized_M)))
    return hash_M


def _count_notes(found: Mentions, notes: pa.Array, first: int) -> None:
    flat = notes.flatten()
    if not len(flat):
        return
    # One note for animations of any length.
    kinds = pc.replace_substring_regex(flat, r"\d[\d,.]*", "N")
    parents = pc.list_parent_indices(notes)
    for entry in kinds.value_counts().to_pylist():
        kind = str(entry["values"])
        found.notes[kind] += entry["counts"]
        picked = found.noted.setdefault(kind, [])
        where = parents.filter(pc.equal(kinds, kind))[:NUM_EXAMPLES].to_pylist()
        picked += [first + place for place in where][: NUM_EXAMPLES - len(picked)]


def _list_lengths(batch: pa.RecordBatch, name: str) -> Ints:
    lengths_N: Ints = _to_numpy(pc.list_value_length(batch.column(name)).fill_null(0))
    return lengths_N.astype(np.int64)


def _flat(batch: pa.RecordBatch, name: str) -> Ints:
    """Members of all lists of a column; null is -1."""
    flat_M: Ints = _to_numpy(batch.column(name).flatten().fill_null(-1))
    return flat_M.astype(np.int64)


def _numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    return _to_numpy(batch.column(name))


def _to_numpy(column: pa.Array) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values
