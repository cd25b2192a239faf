"""From rows of the index to a micro-batch: pictures decoded, resized and cut into patches.

Loads no tokenizer. A broken picture empties its sample's slot and nothing else; a store that
does not answer is raised, for whoever called to try again.

Letters: S samples; L text tokens and image slots; I pictures; P patches; D bytes of a patch.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import ImageCoder
from orchestrator.data.media import find, load
from orchestrator.data.micro_batch import Fault, MicroBatch, address_of
from orchestrator.data.packed import pack, texts, unpack
from orchestrator.data.rows import RenderRow
from orchestrator.plan.steps import Address

_Scalar = TypeVar("_Scalar", bound=np.generic)

Patches = npt.NDArray[np.uint8]


def render(
    rows: Sequence[RenderRow], address: Address, coder: ImageCoder, media_dir: Path
) -> MicroBatch:
    """Render one micro-batch.

    Args:
        rows: Its samples, in the planned order.
        address: Where it belongs.
        coder: The model family's, the one that the index was measured with.
        media_dir: Where image paths start.

    Returns:
        The micro-batch; samples with a broken picture are in its ``faults``.

    Raises:
        StorageError: The store did not answer, or a file is gone since it was indexed.
    """
    present: list[RenderRow] = []
    faults: list[Fault] = []
    patches: list[Patches] = []
    for row in rows:
        try:
            # All of a sample's pictures or none: a list, so that a fault leaves no half.
            patches += [
                coder.patches(load(find(uri, media_dir), target))
                for uri, target in zip(row.uris, row.targets, strict=True)
            ]
        except BadSampleError as error:
            faults.append(Fault(row.sample, row.id, error.reason))
        else:
            present.append(row)
    grids = [coder.grid(h, w) for row in present for h, w in row.targets]
    return MicroBatch(
        address=address,
        samples=tuple(row.sample for row in present),
        ids=tuple(row.id for row in present),
        faults=tuple(faults),
        ids_L=_joined([row.ids_L for row in present], np.int32),
        labels_L=_joined([row.labels_L for row in present], np.bool_),
        lengths_S=np.array([len(row.ids_L) for row in present], dtype=np.int32),
        images_S=np.array([len(row.uris) for row in present], dtype=np.int32),
        grids_I3=np.array(grids, dtype=np.int32).reshape(-1, 3),
        patches_PD=np.concatenate(patches) if patches else np.zeros((0, 0), dtype=np.uint8),
    )


def render_table(table: pa.Table, coder: ImageCoder, media_dir: Path) -> pa.Table:
    """Render a request: one row in, one row out. See ``render``."""
    return render(request_rows(table), address_of(table), coder, media_dir).to_table()


def request_table(address: Address, rows: Sequence[RenderRow]) -> pa.Table:
    """Ask for a micro-batch: a table of one row with all that rendering needs."""
    epoch, step, micro = address
    targets = [target for row in rows for target in row.targets]
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
            "uris": texts(tuple(uri for row in rows for uri in row.uris)),
            "images_S": pack(np.array([len(row.uris) for row in rows], dtype=np.int32)),
            "targets_I2": pack(np.array(targets, dtype=np.int32)),
        }
    )


def request_rows(table: pa.Table) -> list[RenderRow]:
    """Read the rows that ``request_table`` wrote."""
    assert table.num_rows == 1, "one request is one row"
    ids, uris = (table.column(name)[0].as_py() for name in ("ids", "uris"))
    ids_L = unpack(table, "ids_L", np.int32)
    labels_L = unpack(table, "labels_L", np.bool_)
    targets = [(h, w) for h, w in unpack(table, "targets_I2", np.int32).reshape(-1, 2).tolist()]
    samples = unpack(table, "samples_S", np.int64).tolist()
    tokens = _slices(unpack(table, "lengths_S", np.int32))
    images = _slices(unpack(table, "images_S", np.int32))
    return [
        RenderRow(
            sample=sample,
            id=row_id,
            ids_L=ids_L[token],
            labels_L=labels_L[token],
            uris=tuple(uris[image]),
            targets=tuple(targets[image]),
        )
        for sample, row_id, token, image in zip(samples, ids, tokens, images, strict=True)
    ]


def _slices(counts_S: npt.NDArray[np.int32]) -> list[slice]:
    """Give each sample's part of an array that holds all samples' one after the other."""
    ends = np.cumsum(counts_S, dtype=np.int64).tolist()
    return [slice(start, end) for start, end in pairwise([0, *ends])]


def _joined(
    parts: Sequence[npt.NDArray[_Scalar]], dtype: type[_Scalar]
) -> npt.NDArray[_Scalar]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
