"""A micro-batch as it travels from a renderer to whoever trains on it.

Letters: S samples; L text tokens and image slots of all samples, one after the other;
I pictures; P patches of all pictures; D bytes of a patch.
"""

from dataclasses import dataclass
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

    @property
    def label_tokens(self) -> int:
        """Tokens that carry loss."""
        return int(np.count_nonzero(self.labels_L))

    def to_table(self) -> pa.Table:
        """Write the micro-batch as a table of one row; the patches are not copied."""
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


def address_of(table: pa.Table) -> Address:
    """Read the address of a one-row table of a request or a micro-batch."""
    epoch, step, micro = (table.column(name)[0].as_py() for name in ("epoch", "step", "micro"))
    return Address(epoch, step, micro)
