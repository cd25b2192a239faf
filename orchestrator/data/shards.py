"""Which pictures of an index have copies at the job's size, and where those are.

The map lies beside the index as columns that are memory-mapped. It is used when samples are
read for rendering: planning, costs and token counts know nothing of it.

Letters: N samples; I pictures of all samples, one after the other; T shards; E catalogued
pictures.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from orchestrator.data.index import Index
from orchestrator.data.media.medium import Medium
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.data.shard_keys import ENCODING, IndexKeys
from orchestrator.data.shard_writer import ENTRY, Catalogue, Entries, shard_name
from orchestrator.storage import Store

MAP = "map.json"
SHARD_MEDIUM = "image"
"""Whatever a picture came from, its copy is an image."""

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class MapSummary:
    """What a map was made from, and what it gives."""

    fingerprint: str
    """Of the index, the settings of its media, and the place of the shards."""

    pixels: str
    """SHA-256 over the copies' own: equal where all copies are, whatever shards hold them."""

    url: str
    """Where the shards are."""

    num_pictures: int
    num_left: int
    """Pictures that could not be decoded, and are read where they were."""


class ShardMap:
    """A map, open for reading. Takes no memory worth the name."""

    def __init__(self, folder: Path, summary: MapSummary) -> None:
        self.folder = folder
        self.summary = summary
        self._first_N1 = _mapped(folder, "first")
        self._shard_I = _mapped(folder, "shard")
        self._offset_I = _mapped(folder, "offset")
        self._length_I = _mapped(folder, "length")
        self._sha256_T32 = _mapped(folder, "sha256")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a map that ``write_map`` wrote."""
        return cls(folder, MapSummary(**json.loads((folder / MAP).read_bytes())))

    @classmethod
    def find(cls, index: Index, kinds: Mapping[str, Medium], store: Store) -> Self | None:
        """The map of an index, if it was made, and all of its shards are still there."""
        folder = map_folder(index, kinds, store)
        if not (folder / MAP).exists():
            return None
        found = cls.open(folder)
        return found if found.shard_names() <= set(store.list()) else None

    def shard_names(self) -> set[str]:
        """The objects that hold the copies."""
        return {shard_name(bytes(sha256).hex()) for sha256 in self._sha256_T32}

    def apply(self, rows: Sequence[RenderRow]) -> list[RenderRow]:
        """The same samples, each medium replaced by its pictures' copies where it has them."""
        return [self._applied(row) for row in rows]

    def _applied(self, row: RenderRow) -> RenderRow:
        first, end = self._first_N1[row.sample : row.sample + 2].tolist()
        columns = (self._shard_I, self._offset_I, self._length_I)
        copies = zip(*(column_I[first:end].tolist() for column_I in columns), strict=True)
        media: list[RenderMedium] = []
        for medium in row.media:
            own = list(islice(copies, len(medium.targets)))
            if any(shard < 0 for shard, _, _ in own):
                media.append(medium)
                continue
            media += [
                RenderMedium(SHARD_MEDIUM, Location(self._url(shard), offset, length), (hw,))
                for (shard, offset, length), hw in zip(own, medium.targets, strict=True)
            ]
        return replace(row, media=tuple(media))

    def _url(self, shard: int) -> str:
        return f"{self.summary.url}/{shard_name(self._sha256_T32[shard].tobytes().hex())}"


def map_folder(index: Index, kinds: Mapping[str, Medium], store: Store) -> Path:
    """Where the map of an index lies."""
    return index.folder / f"shards-{_fingerprint(index, kinds, store)[:16]}"


def write_map(
    index: Index,
    kinds: Mapping[str, Medium],
    store: Store,
    pictures: IndexKeys,
    catalogues: Sequence[Catalogue],
) -> ShardMap:
    """Write the map of an index; it appears whole, and replaces an older one.

    Args:
        index: Whose pictures they are.
        kinds: What loaded them.
        store: Where the shards are.
        pictures: As ``index_keys`` gives them.
        catalogues: Of all shards there are; more than the index needs do no harm.
    """
    found_I, shard_I = _looked_up(pictures, catalogues)
    used_T = np.unique(shard_I[shard_I >= 0])
    names = b"".join(bytes.fromhex(catalogues[shard].shard) for shard in used_T)
    columns = {
        "first": pictures.first_N1,
        "shard": np.where(shard_I >= 0, np.searchsorted(used_T, shard_I), -1),
        "offset": found_I["offset"],
        "length": found_I["length"],
        "sha256": np.frombuffer(names, np.uint8).reshape(-1, 32),
    }
    summary = MapSummary(
        fingerprint=_fingerprint(index, kinds, store),
        pixels=hashlib.sha256(found_I["content"].tobytes()).hexdigest(),
        url=store.url,
        num_pictures=len(shard_I),
        num_left=int(np.count_nonzero(shard_I < 0)),
    )
    folder = map_folder(index, kinds, store)
    _write_folder(folder, columns, summary)
    return ShardMap.open(folder)


def _looked_up(
    pictures: IndexKeys, catalogues: Sequence[Catalogue]
) -> tuple[Entries, npt.NDArray[np.int64]]:
    """Each picture's entry and the place of its catalogue; -1 where there is none."""
    nothing = np.array([(b"", b"", -1, -1)], dtype=ENTRY)
    entries_E = np.concatenate([nothing, *(each.entries_E for each in catalogues)])
    sizes = [1, *(len(each.entries_E) for each in catalogues)]
    shard_E = np.repeat(np.arange(-1, len(catalogues)), sizes)
    order_E = np.argsort(entries_E["key"], kind="stable")
    place_I = np.searchsorted(entries_E["key"], pictures.keys_I, sorter=order_E)
    found_I = order_E[np.minimum(place_I, len(order_E) - 1)]
    found_I = np.where(entries_E["key"][found_I] == pictures.keys_I, found_I, 0)
    return entries_E[found_I], shard_E[found_I]


def _fingerprint(index: Index, kinds: Mapping[str, Medium], store: Store) -> str:
    settings = sorted((kind, repr(medium)) for kind, medium in kinds.items())
    told = repr((index.summary.fingerprint, ENCODING, settings, store.url))
    return hashlib.sha256(told.encode()).hexdigest()


def _write_folder(folder: Path, columns: Mapping[str, Column], summary: MapSummary) -> None:
    # Made aside: two jobs over one index may write their maps at once.
    made = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    made.mkdir()
    for name, column in columns.items():
        np.save(made / f"{name}.npy", column, allow_pickle=False)
    (made / MAP).write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        made.rename(folder)
    except OSError:
        # Somebody else's, of the same index and the same shards, was there first.
        shutil.rmtree(made)


def _mapped(folder: Path, name: str) -> Column:
    column: Column = np.load(folder / f"{name}.npy", mmap_mode="r")
    return column
