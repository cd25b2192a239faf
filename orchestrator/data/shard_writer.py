"""Write pictures at the job's size, once: as JPEG members of tar shards.

A shard and its catalogue are named by their content, and the catalogue is written last: a shard
without one was left by a writer that was killed, and counts for nothing.

Letters: E pictures of a catalogue.
"""

import hashlib
import io
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.coder import Pixels
from orchestrator.data.media.medium import Medium
from orchestrator.data.places.content import Content
from orchestrator.data.rows import RenderMedium
from orchestrator.data.shard_keys import KEY, Sought, digest
from orchestrator.errors import StorageError
from orchestrator.storage import Store

SHARD_BYTES = 64 << 20
"""A shard that has this much is closed."""
RUN_PIXELS = 2 * SHARD_BYTES
RUN_PICTURES = 256
"""What one task writes at most: about a shard, at half a byte a pixel."""
ENTRY = np.dtype([("key", KEY), ("content", "S16"), ("offset", "<i8"), ("length", "<i8")])
"""A picture's key, the hash of its JPEG, and that one's range in the shard."""

REMOTE_AT_ONCE = 8
"""Media behind URLs that one task reads ahead."""
_CATALOGUE = ".npy"
_READERS = 16

Entries = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """What is in one shard."""

    shard: str
    """SHA-256 of its members' names: its own name."""

    entries_E: Entries

    @property
    def name(self) -> str:
        """The object it is kept in. The same shard can be known by other keys as well."""
        return f"{self.shard}.{digest(self.entries_E.tobytes()).hex()}{_CATALOGUE}"


def shard_name(shard: str) -> str:
    """The object that a shard is kept in."""
    return f"{shard}.tar"


def runs(wanted: Iterable[Sought]) -> Iterator[list[Sought]]:
    """Cut what is to be written into tasks."""
    run: list[Sought] = []
    pictures = pixels = 0
    for each in wanted:
        run.append(each)
        pictures += len(each.keys)
        pixels += sum(height * width for height, width in each.medium.targets)
        if pictures >= RUN_PICTURES or pixels >= RUN_PIXELS:
            yield run
            run, pictures, pixels = [], 0, 0
    if run:
        yield run


def write_shards(
    wanted: Iterable[Sought],
    kinds: Mapping[str, Medium],
    store: Store,
    shard_bytes: int = SHARD_BYTES,
) -> Iterator[Catalogue]:
    """Write media into shards; one that cannot be decoded stays where it is.

    Args:
        wanted: What to write, in the order of the shards' members.
        kinds: What loads it.
        store: Where to.
        shard_bytes: A shard that has so much is closed; all of a medium is in one.

    Yields:
        Each shard's catalogue, once both are in the store.

    Raises:
        StorageError: A store did not answer, or a file is gone since it was indexed.
    """
    shard = _Shard()
    for each, pictures in _all_loaded(wanted, kinds):
        if pictures is None:
            continue
        for key, pixels_HWC in zip(each.keys, pictures, strict=True):
            shard.add(key, encode(pixels_HWC))
        if shard.num_bytes >= shard_bytes:
            yield shard.written(store)
            shard = _Shard()
    if shard.num_bytes:
        yield shard.written(store)


def encode(pixels_HWC: Pixels) -> bytes:
    """A picture as it is kept."""
    jpeg = io.BytesIO()
    Image.fromarray(pixels_HWC).save(jpeg, "JPEG", quality=95, subsampling=0)
    return jpeg.getvalue()


def read_catalogues(store: Store) -> list[Catalogue]:
    """Everything that is in a store, whoever wrote it."""
    names = [name for name in store.list() if name.endswith(_CATALOGUE)]
    # In a bucket each is a round trip.
    with ThreadPoolExecutor(_READERS) as pool:
        contents = pool.map(store.read, names)
        return [
            Catalogue(name.partition(".")[0], np.load(io.BytesIO(content), allow_pickle=False))
            for name, content in zip(names, contents, strict=True)
        ]


def _all_loaded(
    wanted: Iterable[Sought], kinds: Mapping[str, Medium]
) -> Iterator[tuple[Sought, Sequence[Pixels] | None]]:
    """Load media in their order: remote ones a few ahead, side by side, local ones in turn."""
    coming: deque[tuple[Sought, Callable[[], Sequence[Pixels] | None]]] = deque()
    with ThreadPoolExecutor(REMOTE_AT_ONCE) as pool:
        for each in wanted:
            load = partial(_loaded, each.medium, kinds)
            is_remote = each.medium.location.is_remote
            coming.append((each, pool.submit(load).result if is_remote else load))
            if len(coming) > REMOTE_AT_ONCE:
                first, its_load = coming.popleft()
                yield first, its_load()
        for each, load_now in coming:
            yield each, load_now()


def _loaded(medium: RenderMedium, kinds: Mapping[str, Medium]) -> Sequence[Pixels] | None:
    """The pictures of a medium; None where they cannot be decoded."""
    url = medium.location.url
    content = Content(url.rpartition("/")[2], medium.location, medium.kind)
    try:
        return kinds[medium.kind].load(content, medium.targets)
    except MissingMediumError as error:
        raise StorageError(
            f"{error.reason} since it was indexed", url, "Put it back, or index anew"
        ) from error
    except BadSampleError:
        # Rendering will find it as it is, and name its sample.
        return None


class _Shard:
    """A shard in the making."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._parts: list[bytes] = []
        self._ranges: dict[bytes, tuple[int, int]] = {}
        self._entries: list[tuple[bytes, bytes, int, int]] = []

    def add(self, key: bytes, jpeg: bytes) -> None:
        """Add a picture; its bytes only where no other picture has the same."""
        sha256 = hashlib.sha256(jpeg).digest()
        if sha256 not in self._ranges:
            member = tarfile.TarInfo(f"{sha256.hex()}.jpg")
            member.size = len(jpeg)
            header = member.tobuf(tarfile.USTAR_FORMAT)
            self._ranges[sha256] = self.num_bytes + len(header), len(jpeg)
            parts = (header, jpeg, bytes(-len(jpeg) % tarfile.BLOCKSIZE))
            self._parts += parts
            self.num_bytes += sum(map(len, parts))
        self._entries.append((key, sha256[:16], *self._ranges[sha256]))

    def written(self, store: Store) -> Catalogue:
        """Put the shard into the store, then its catalogue."""
        name = hashlib.sha256(b"".join(self._ranges)).hexdigest()
        catalogue = Catalogue(name, np.array(self._entries, dtype=ENTRY))
        if not store.exists(shard_name(name)):
            end = bytes(2 * tarfile.BLOCKSIZE)
            store.write(shard_name(name), b"".join([*self._parts, end]))
        held = io.BytesIO()
        np.save(held, catalogue.entries_E, allow_pickle=False)
        store.write(catalogue.name, held.getvalue())
        return catalogue
