"""An index in the figures that the summary page draws.

Letters: N samples; P pictures of all media.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from orchestrator.data.lint.tables import IndexTables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One part of the data."""

    source_N: Ints
    """Number of the data set that each sample is from."""

    num_media_N: Ints
    tokens_N: Ints
    image_tokens_N: Ints
    label_tokens_N: Ints
    cost_N: Floats
    megapixels_P: Floats
    """Of each picture as it is stored."""

    @property
    def num_samples(self) -> int:
        """Usable samples."""
        return len(self.tokens_N)

    @property
    def image_share(self) -> float:
        """Share of the tokens that images take."""
        return float(self.image_tokens_N.sum() / max(1, self.tokens_N.sum()))


def portrait(tables: IndexTables) -> Portrait:
    """Read an index's figures; of its text, nothing."""
    return Portrait(
        source_N=tables.numbers("source"),
        num_media_N=_media_a_sample(tables),
        tokens_N=tables.numbers("tokens"),
        image_tokens_N=tables.numbers("image_tokens"),
        label_tokens_N=tables.numbers("label_tokens"),
        cost_N=tables.numbers("cost"),
        megapixels_P=_megapixels(tables),
    )


def _media_a_sample(tables: IndexTables) -> Ints:
    counts = [
        pc.list_value_length(batch.column(0)).to_numpy(zero_copy_only=False)
        for batch in tables.batches(["pictures"])
    ]
    return np.concatenate(counts).astype(np.int64)


def _megapixels(tables: IndexTables) -> Floats:
    areas = [
        np.multiply(
            *(batch.column(name).flatten().to_numpy() for name in ("widths", "heights")),
            dtype=np.float64,
        )
        for batch in tables.batches(["widths", "heights"])
    ]
    megapixels_P: Floats = np.concatenate(areas) / 1e6
    return megapixels_P
