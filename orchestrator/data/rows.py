"""What is known of a sample once it is measured, and how it travels through Arrow.

Letters: L text tokens and image slots of a sample.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.media.medium import Targets
from orchestrator.data.places.location import Location

IMAGE_SLOT = -1
"""Id of a place that one picture fills, whatever number of tokens it turns out to be."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SampleRow:
    """One usable sample, measured. Lists of media, and of their pictures, are in order."""

    id: str
    source: int
    """Place of its data set in the job."""

    file: str
    """The data file."""

    row: int
    """In the data file, counted from 1."""

    ids_L: npt.NDArray[np.int32]
    """Token ids; each picture is one ``IMAGE_SLOT``."""

    labels_L: npt.NDArray[np.bool_]
    """True where a token carries loss; never the first."""

    kinds: tuple[str, ...]
    """Of each medium: what names its ``Medium``."""

    uris: tuple[str, ...]
    """Of each medium: as the data file writes it."""

    urls: tuple[str, ...]
    """Of each medium: where it was found."""

    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    """Of each medium: bytes; -1 for a whole file."""

    media_keys: tuple[str, ...]
    """Of each medium: the state in which it was measured."""

    pictures: tuple[int, ...]
    """Of each medium: how many it gives, one for an image."""

    widths: tuple[int, ...]
    """Of each picture: in the file, EXIF applied, in pixels."""

    heights: tuple[int, ...]
    target_heights: tuple[int, ...]
    """Of each picture: what it is resized to, in pixels."""

    target_widths: tuple[int, ...]
    image_tokens: int
    text_tokens: int
    label_tokens: int
    patches: int
    tokens: int
    """Length in the language model: text and image tokens."""

    cost: float
    """Estimated cost of a training step, in tokens of the language model."""

    text_hash: str
    """Equal where all turns' text is."""

    says_count: bool
    """Whether the instruction says how many images there are."""

    question: str
    """How the first user turn's text begins."""

    notes: tuple[str, ...]
    """What a person should hear once of its media."""


_INTS = pa.list_(pa.int32())
_LONGS = pa.list_(pa.int64())
_TEXTS = pa.list_(pa.string())

SAMPLE_FIELDS = (
    pa.field("id", pa.string()),
    pa.field("source", pa.int32()),
    pa.field("file", pa.string()),
    pa.field("row", pa.int64()),
    pa.field("ids_L", _INTS),
    pa.field("labels_L", pa.list_(pa.bool_())),
    pa.field("kinds", _TEXTS),
    pa.field("uris", _TEXTS),
    pa.field("urls", _TEXTS),
    pa.field("offsets", _LONGS),
    pa.field("lengths", _LONGS),
    pa.field("media_keys", _TEXTS),
    pa.field("pictures", _INTS),
    pa.field("widths", _INTS),
    pa.field("heights", _INTS),
    pa.field("target_heights", _INTS),
    pa.field("target_widths", _INTS),
    pa.field("image_tokens", pa.int64()),
    pa.field("text_tokens", pa.int64()),
    pa.field("label_tokens", pa.int64()),
    pa.field("patches", pa.int64()),
    pa.field("tokens", pa.int64()),
    pa.field("cost", pa.float64()),
    pa.field("text_hash", pa.string()),
    pa.field("says_count", pa.bool_()),
    pa.field("question", pa.string()),
    pa.field("notes", _TEXTS),
)
_FAULT_FIELDS = tuple(pa.field(name, pa.string()) for name in ("reason", "remedy"))
_OF_BAD = {"file": "source"} | {
    name: name for name in ("row", "id", "reason", "remedy", "urls", "media_keys")
}

ROWS_SCHEMA = pa.schema([*SAMPLE_FIELDS, *_FAULT_FIELDS])
"""Good and bad rows side by side: a bad one has a ``reason`` and no token ids."""


def rows_to_table(rows: Iterable[SampleRow | BadRow], source: int = 0) -> pa.Table:
    """Write rows, good and bad, as one table in their order.

    Args:
        rows: Of one data set.
        source: Its place in the job, for the bad ones.
    """
    given = list(rows)
    # Column by column: a dictionary a row would take as long as measuring it.
    columns = [_column(field, given, source) for field in ROWS_SCHEMA]
    return pa.table(columns, schema=ROWS_SCHEMA)


def _column(field: pa.Field, rows: Sequence[SampleRow | BadRow], source: int) -> pa.Array:
    name = str(field.name)
    values = [
        getattr(row, name, None)
        if isinstance(row, SampleRow)
        else _bad_value(row, name, source)
        for row in rows
    ]
    if name in ("ids_L", "labels_L"):
        return _array_column(values, field.type)
    return pa.array(values, field.type)


def _bad_value(row: BadRow, name: str, source: int) -> object:
    if name == "source":
        return source
    return getattr(row, _OF_BAD[name]) if name in _OF_BAD else None


def _array_column(values: Sequence[object], kind: pa.ListType) -> pa.Array:
    """A column of NumPy arrays, joined and not taken apart into Python numbers."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    lengths = [len(value) if isinstance(value, np.ndarray) else 0 for value in values]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    joined = np.concatenate(arrays) if arrays else np.zeros(0)
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(
        offsets, pa.array(joined, kind.value_type), type=kind, mask=missing
    )


def table_to_rows(table: pa.Table) -> list[SampleRow | BadRow]:
    """Read what ``rows_to_table`` wrote."""
    return [
        _bad_row(values) if values["reason"] is not None else _sample_row(values)
        for values in table.to_pylist()
    ]


def _bad_row(values: dict[str, object]) -> BadRow:
    given = {ours: _tupled(values[column]) for column, ours in _OF_BAD.items()}
    return BadRow(**given)  # type: ignore[arg-type]


def _tupled(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _sample_row(values: dict[str, object]) -> SampleRow:
    given = {field.name: _tupled(values[field.name]) for field in fields(SampleRow)}
    given["ids_L"] = np.asarray(given["ids_L"], dtype=np.int32)
    given["labels_L"] = np.asarray(given["labels_L"], dtype=np.bool_)
    return SampleRow(**given)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class RenderMedium:
    """One medium of a sample, as rendering needs it."""

    kind: str
    location: Location
    targets: Targets


@dataclass(frozen=True, slots=True, eq=False)
class RenderRow:
    """The part of a sample that rendering needs."""

    sample: int
    """Number in the index."""

    id: str
    ids_L: npt.NDArray[np.int32]
    labels_L: npt.NDArray[np.bool_]
    media: tuple[RenderMedium, ...]
