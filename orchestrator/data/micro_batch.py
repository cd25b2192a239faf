"""A micro-batch as it travels from a renderer to whoever trains on it.

Letters: S samples; L text tokens and image slots of all samples, one after the other;
I pictures; P patches of all pictures; D bytes of a patch.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.data.packed import pack, texts, unpack
from orchestrator.plan.steps import Address

_FAULTS = pa.list_(
    pa.struct(
        [
            pa.field("sample", pa.int64()),
            pa.field("id", pa.string()),
            pa.field("reason", pa.string()),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An empty slot: a sample whose pictures turned out to be broken."""

    sample: int
    """Number in the index."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MicroBatch:
    """Token ids, image slots and patches at an address. No rank, no sequence: those come later.

    A pure function of the index and the address.
    """

    address: Address
    samples: tuple[int, ...]
    """Numbers in the index of those present, in the planned order."""

    ids: tuple[str, ...]
    """Their ids, for people."""

    faults: tuple[Fault, ...]
    """Those planned and left out."""

    ids_L: npt.NDArray[np.int32]
    """Token ids; -1 is the slot of one picture."""

    labels_L: npt.NDArray[np.bool_]
    lengths_S: npt.NDArray[np.int32]
    """Of ``ids_L``, per sample."""

    images_S: npt.NDArray[np.int32]
    """Pictures per sample."""

    grids_I3: npt.NDArray[np.int32]
    """Patches in time, down and across."""

    patches_PD: npt.NDArray[np.uint8]
    """[0, 0] where there is no picture."""

    fraction: int = 1
    """Which part of what stands at the address: 1 is all of it, 2n and 2n + 1 are the halves
    of n. Nothing but a whole micro-batch is written to a table."""

    @property
    def label_tokens(self) -> int:
        """Tokens that carry loss."""
        return int(np.count_nonzero(self.labels_L))

    def halves(self) -> tuple[Self, Self]:
        """Two micro-batches at the same address, the first samples and the others.

        Cut where the halves are nearest to each other in tokens of text and patches together.
        Faults are told of a whole micro-batch; halves have none.
        """
        assert len(self.samples) > 1, "one sample has no halves"
        patches_I = self.grids_I3.prod(axis=1)
        picture_S = np.repeat(np.arange(len(self.samples)), self.images_S)
        patches_S = np.bincount(picture_S, patches_I, minlength=len(self.samples))
        before_S = (self.lengths_S + patches_S).cumsum()
        cut = 1 + int(np.abs(2 * before_S[:-1] - before_S[-1]).argmin())
        return self._cut(slice(0, cut), 0), self._cut(slice(cut, len(self.samples)), 1)

    def _cut(self, some: slice, which: int) -> Self:
        tokens = _stretch(self.lengths_S, some)
        pictures = _stretch(self.images_S, some)
        patches = _stretch(self.grids_I3.prod(axis=1), pictures)
        return replace(
            self,
            samples=self.samples[some],
            ids=self.ids[some],
            faults=(),
            ids_L=self.ids_L[tokens],
            labels_L=self.labels_L[tokens],
            lengths_S=self.lengths_S[some],
            images_S=self.images_S[some],
            grids_I3=self.grids_I3[pictures],
            patches_PD=self.patches_PD[patches],
            fraction=2 * self.fraction + which,
        )

    def to_table(self) -> pa.Table:
        """Write the micro-batch as a table of one row; the patches are not copied."""
        assert self.fraction == 1, "a half of a micro-batch travels nowhere"
        epoch, step, micro = self.address
        faults = [
            {"sample": fault.sample, "id": fault.id, "reason": fault.reason}
            for fault in self.faults
        ]
        return pa.table(
            {
                "epoch": pa.array([epoch], pa.int64()),
                "step": pa.array([step], pa.int64()),
                "micro": pa.array([micro], pa.int64()),
                "samples_S": pack(np.array(self.samples, dtype=np.int64)),
                "ids": texts(self.ids),
                "faults": pa.array([faults], _FAULTS),
                "ids_L": pack(self.ids_L),
                "labels_L": pack(self.labels_L),
                "lengths_S": pack(self.lengths_S),
                "images_S": pack(self.images_S),
                "grids_I3": pack(self.grids_I3),
                "patch_bytes": pa.array([self.patches_PD.shape[1]], pa.int64()),
                "patches_PD": pack(self.patches_PD),
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Read what ``to_table`` wrote; the arrays are read-only views of its memory."""
        assert table.num_rows == 1, "one micro-batch is one row"
        grids_I3 = unpack(table, "grids_I3", np.int32).reshape(-1, 3)
        num_patches = int(grids_I3.prod(axis=1).sum())
        patch_bytes = table.column("patch_bytes")[0].as_py()
        return cls(
            address=address_of(table),
            samples=tuple(unpack(table, "samples_S", np.int64).tolist()),
            ids=tuple(table.column("ids")[0].as_py()),
            faults=tuple(Fault(**fault) for fault in table.column("faults")[0].as_py()),
            ids_L=unpack(table, "ids_L", np.int32),
            labels_L=unpack(table, "labels_L", np.bool_),
            lengths_S=unpack(table, "lengths_S", np.int32),
            images_S=unpack(table, "images_S", np.int32),
            grids_I3=grids_I3,
            patches_PD=unpack(table, "patches_PD", np.uint8).reshape(num_patches, patch_bytes),
        )


def _stretch(counts: npt.NDArray[np.integer], some: slice) -> slice:
    """Where the elements of some things lie, each having as many as ``counts`` says."""
    return slice(int(counts[: some.start].sum()), int(counts[: some.stop].sum()))


def address_of(table: pa.Table) -> Address:
    """Read the address of a one-row table of a request or a micro-batch."""
    epoch, step, micro = (table.column(name)[0].as_py() for name in ("epoch", "step", "micro"))
    return Address(epoch, step, micro)
