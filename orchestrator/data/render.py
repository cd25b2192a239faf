"""From rows of the index to a micro-batch: pictures decoded, resized and cut into patches.

Loads no tokenizer. A broken picture empties its sample's slot and nothing else; a store that
does not answer is raised, for whoever called to try again.

Letters: S samples; L text tokens and image slots; M media; I pictures; P patches; D bytes of a
patch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.coder import ImageCoder
from orchestrator.data.media.medium import Medium
from orchestrator.data.micro_batch import Fault, MicroBatch, address_of
from orchestrator.data.packed import pack, texts, unpack
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.wording import without_secrets
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.errors import StorageError
from orchestrator.plan.steps import Address

REMOTE_AT_ONCE = 8
"""Media behind URLs that one micro-batch waits for at a time."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

Patches = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Renderer:
    """What rendering needs beside its rows; a few hundred bytes."""

    coder: ImageCoder
    """The model family's, the one that the index was measured with."""

    kinds: Mapping[str, Medium]


def render(rows: Sequence[RenderRow], address: Address, renderer: Renderer) -> MicroBatch:
    """Render one micro-batch.

    Args:
        rows: Its samples, in the planned order.
        address: Where it belongs.
        renderer: What pictures become.

    Returns:
        The micro-batch; samples with a broken picture are in its ``faults``.

    Raises:
        StorageError: The store did not answer, or a file is gone since it was indexed.
    """
    present: list[RenderRow] = []
    faults: list[Fault] = []
    patches: list[Patches] = []
    with _loading(rows, renderer) as loads:
        for row, loads_of_row in zip(rows, loads, strict=True):
            try:
                # All of a sample's pictures or none: a list, so that a fault leaves no half.
                patches += list(chain.from_iterable(load() for load in loads_of_row))
            except MissingMediumError as error:
                raise StorageError(
                    f"{error.reason} since it was indexed",
                    row.id,
                    "Put it back, or index anew",
                ) from error
            except BadSampleError as error:
                faults.append(Fault(row.sample, row.id, error.reason))
            else:
                present.append(row)
    targets = [target for row in present for one in row.media for target in one.targets]
    grids = [renderer.coder.grid(h, w) for h, w in targets]
    return MicroBatch(
        address=address,
        samples=tuple(row.sample for row in present),
        ids=tuple(row.id for row in present),
        faults=tuple(faults),
        ids_L=_joined([row.ids_L for row in present], np.int32),
        labels_L=_joined([row.labels_L for row in present], np.bool_),
        lengths_S=np.array([len(row.ids_L) for row in present], dtype=np.int32),
        images_S=np.array([num_pictures(row) for row in present], dtype=np.int32),
        grids_I3=np.array(grids, dtype=np.int32).reshape(-1, 3),
        patches_PD=np.concatenate(patches) if patches else np.zeros((0, 0), dtype=np.uint8),
    )


def num_pictures(row: RenderRow) -> int:
    """Pictures of a sample, each a slot in its text."""
    return sum(len(medium.targets) for medium in row.media)


@contextmanager
def _loading(
    rows: Sequence[RenderRow], renderer: Renderer
) -> Iterator[list[list[Callable[[], list[Patches]]]]]:
    """Of each sample, what gives its media's patches; remote ones come side by side."""
    with ThreadPoolExecutor(REMOTE_AT_ONCE) as pool:

        def loading(medium: RenderMedium) -> Callable[[], list[Patches]]:
            if medium.location.is_remote:
                return pool.submit(_patches, medium, renderer).result
            return partial(_patches, medium, renderer)

        try:
            yield [[loading(medium) for medium in row.media] for row in rows]
        finally:
            # After an error, what has not begun would only find the same store silent.
            pool.shutdown(wait=False, cancel_futures=True)


def _patches(medium: RenderMedium, renderer: Renderer) -> list[Patches]:
    content = Content(_name(medium.location), medium.location, medium.kind)
    pictures = renderer.kinds[medium.kind].load(content, medium.targets)
    return [renderer.coder.patches(pixels_HWC) for pixels_HWC in pictures]


def _name(place: Location) -> str:
    """What messages call a medium: a file, or a run of bytes in one."""
    file = without_secrets(place.url).rpartition("/")[2]
    if place.length is None:
        return file
    return f"{file}, bytes {place.offset} to {place.offset + place.length}"


def render_table(table: pa.Table, renderer: Renderer) -> pa.Table:
    """Render a request: one row in, one row out. See ``render``."""
    return render(request_rows(table), address_of(table), renderer).to_table()


def request_table(address: Address, rows: Sequence[RenderRow]) -> pa.Table:
    """Ask for a micro-batch: a table of one row with all that rendering needs."""
    epoch, step, micro = address
    media = [medium for row in rows for medium in row.media]
    targets = [target for medium in media for target in medium.targets]
    return pa.table(
        {
            "epoch": pa.array([epoch], pa.int64()),
            "step": pa.array([step], pa.int64()),
            "micro": pa.array([micro], pa.int64()),
            "samples_S": pack(np.array([row.sample for row in rows], dtype=np.int64)),
            "ids": texts(tuple(row.id for row in rows)),
            "ids_L": pack(_joined([row.ids_L for row in rows], np.int32)),
            "labels_L": pack(_joined([row.labels_L for row in rows], np.bool_)),
            "lengths_S": pack(np.array([len(row.ids_L) for row in rows], dtype=np.int32)),
            "media_S": pack(np.array([len(row.media) for row in rows], dtype=np.int32)),
            "kinds": texts(tuple(medium.kind for medium in media)),
            "urls": texts(tuple(medium.location.url for medium in media)),
            "ranges_M2": pack(np.array([_range(medium) for medium in media], dtype=np.int64)),
            "pictures_M": pack(
                np.array([len(medium.targets) for medium in media], dtype=np.int32)
            ),
            "targets_I2": pack(np.array(targets, dtype=np.int32)),
        }
    )


def request_rows(table: pa.Table) -> list[RenderRow]:
    """Read the rows that ``request_table`` wrote."""
    assert table.num_rows == 1, "one request is one row"
    media = _request_media(table)
    ids_L = unpack(table, "ids_L", np.int32)
    labels_L = unpack(table, "labels_L", np.bool_)
    samples = unpack(table, "samples_S", np.int64).tolist()
    tokens = _slices(unpack(table, "lengths_S", np.int32))
    shares = _slices(unpack(table, "media_S", np.int32))
    ids = table.column("ids")[0].as_py()
    return [
        RenderRow(
            sample=sample,
            id=row_id,
            ids_L=ids_L[token],
            labels_L=labels_L[token],
            media=tuple(media[share]),
        )
        for sample, row_id, token, share in zip(samples, ids, tokens, shares, strict=True)
    ]


def _request_media(table: pa.Table) -> list[RenderMedium]:
    targets = [(h, w) for h, w in unpack(table, "targets_I2", np.int32).reshape(-1, 2).tolist()]
    kinds, urls = (table.column(name)[0].as_py() for name in ("kinds", "urls"))
    ranges = unpack(table, "ranges_M2", np.int64).reshape(-1, 2).tolist()
    pictures = _slices(unpack(table, "pictures_M", np.int32))
    return [
        RenderMedium(
            kind,
            Location(url, offset, None if length < 0 else length),
            tuple(targets[picture]),
        )
        for kind, url, (offset, length), picture in zip(
            kinds, urls, ranges, pictures, strict=True
        )
    ]


def _range(medium: RenderMedium) -> tuple[int, int]:
    place = medium.location
    return place.offset, -1 if place.length is None else place.length


def _slices(counts_S: npt.NDArray[np.int32]) -> list[slice]:
    """Give each sample's part of an array that holds all samples' one after the other."""
    ends = np.cumsum(counts_S, dtype=np.int64).tolist()
    return [slice(start, end) for start, end in pairwise([0, *ends])]


def _joined(
    parts: Sequence[npt.NDArray[_Scalar]], dtype: type[_Scalar]
) -> npt.NDArray[_Scalar]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
