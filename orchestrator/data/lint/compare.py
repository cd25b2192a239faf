"""Whether samples that look alike are alike: the content of their media is read and compared.

Letters: N samples; S suspects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.data.lint.finding import SameContent
from orchestrator.data.lint.survey import Ints
from orchestrator.data.lint.tables import IndexTables

_Place = tuple[str, int, int | None]


@dataclass(frozen=True, slots=True)
class Comparer:
    """Reads the media of suspects, up to a limit."""

    same_content: SameContent
    most: int
    """Media read in one go, at most."""

    def contents(
        self, tables: IndexTables, suspects_S: Ints, num_media_N: Ints
    ) -> dict[int, tuple[str, ...]]:
        """Digests of the media of some samples, sorted, by sample number.

        Args:
            tables: Where the samples are.
            suspects_S: Their numbers; the first are read when there are too many.
            num_media_N: Media of each sample of the tables.

        Returns:
            Those that could be read: not all, where the limit or the store is in the way.
        """
        within = np.cumsum(num_media_N[suspects_S]) <= self.most
        read_S = [int(sample) for sample in suspects_S[within]]
        rows = tables.rows(read_S, ("urls", "offsets", "lengths"))
        known: dict[_Place, str | None] = {}
        found: dict[int, tuple[str, ...]] = {}
        for sample in read_S:
            digests = [self._digest(place, known) for place in _places(rows[sample])]
            if None not in digests:
                found[sample] = tuple(sorted(str(digest) for digest in digests))
        return found

    def _digest(self, place: _Place, known: dict[_Place, str | None]) -> str | None:
        if place not in known:
            known[place] = self.same_content(*place) if place[0] else None
        return known[place]


def _places(row: dict[str, Any]) -> Sequence[_Place]:
    """Where the media of a sample lie, in order; without a length, it is the whole file."""
    return [
        (url or "", max(offset or 0, 0), length if length is not None and length >= 0 else None)
        for url, offset, length in zip(row["urls"], row["offsets"], row["lengths"], strict=True)
    ]
