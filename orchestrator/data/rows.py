"""What is known of a sample once it is measured, and how it travels through Arrow.

Letters: L text tokens and image slots of a sample.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.bad_sample import BadRow

IMAGE_SLOT = -1
"""Id of a place that one picture fills, whatever number of tokens it turns out to be."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleRow:
    """One usable sample, measured. Pictures are lists of equal length, in order."""

    id: str
    row: int
    ids_L: npt.NDArray[np.int32]
    """Token ids; each picture is one ``IMAGE_SLOT``."""

    labels_L: npt.NDArray[np.bool_]
    """True where a token carries loss; never the first."""

    uris: tuple[str, ...]
    media_keys: tuple[str, ...]
    """Path, bytes and time of last change of each picture as measured."""

    widths: tuple[int, ...]
    """In the file, EXIF applied, in pixels."""

    heights: tuple[int, ...]
    target_heights: tuple[int, ...]
    """What the picture is resized to, in pixels."""

    target_widths: tuple[int, ...]
    image_tokens: int
    text_tokens: int
    label_tokens: int
    patches: int
    tokens: int
    """Length in the language model: text and image tokens."""

    cost: float
    """Estimated cost of a training step, in tokens of the language model."""


_INTS = pa.list_(pa.int32())
_TEXTS = pa.list_(pa.string())

SAMPLE_FIELDS = (
    pa.field("id", pa.string()),
    pa.field("row", pa.int64()),
    pa.field("ids_L", _INTS),
    pa.field("labels_L", pa.list_(pa.bool_())),
    pa.field("uris", _TEXTS),
    pa.field("media_keys", _TEXTS),
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
)
_FAULT_FIELDS = tuple(pa.field(name, pa.string()) for name in ("source", "reason", "remedy"))

ROWS_SCHEMA = pa.schema([*SAMPLE_FIELDS, *_FAULT_FIELDS])
"""Good and bad rows side by side: a bad one has a ``reason`` and no token ids."""


def rows_to_table(rows: Iterable[SampleRow | BadRow]) -> pa.Table:
    """Write rows, good and bad, as one table in their order."""
    return pa.Table.from_pylist([_to_values(row) for row in rows], schema=ROWS_SCHEMA)


def table_to_rows(table: pa.Table) -> Iterator[SampleRow | BadRow]:
    """Read what ``rows_to_table`` wrote."""
    for values in table.to_pylist():
        yield _bad_row(values) if values["reason"] is not None else _sample_row(values)


def _to_values(row: SampleRow | BadRow) -> dict[str, object]:
    if isinstance(row, BadRow):
        return asdict(row)
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _bad_row(values: dict[str, Any]) -> BadRow:
    return BadRow(**{field.name: values[field.name] for field in fields(BadRow)})


def _sample_row(values: dict[str, Any]) -> SampleRow:
    given = {field.name: _value(values[field.name]) for field in fields(SampleRow)}
    given["ids_L"] = np.asarray(given["ids_L"], dtype=np.int32)
    given["labels_L"] = np.asarray(given["labels_L"], dtype=np.bool_)
    return SampleRow(**given)


def _value(value: Any) -> Any:  # noqa: ANN401 - any cell of a row
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, eq=False)
class RenderRow:
    """The part of a sample that rendering needs."""

    sample: int
    """Number in the index."""

    id: str
    ids_L: npt.NDArray[np.int32]
    labels_L: npt.NDArray[np.bool_]
    uris: tuple[str, ...]
    targets: tuple[tuple[int, int], ...]
    """Height and width that each picture is resized to, in pixels."""
