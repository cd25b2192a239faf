"""The bytes of one medium, wherever they are."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from orchestrator.data.places.answers import PATIENCE, Patience
from orchestrator.data.places.disk import disk_faults, read_range
from orchestrator.data.places.location import Location
from orchestrator.data.places.ranges import Blocks, Fetch, RangeFile, buffered
from orchestrator.data.places.remote import fetch_range
from orchestrator.data.places.status import status
from orchestrator.data.places.wording import empty, shown, too_short


@dataclass(frozen=True, slots=True)
class Content:
    """What is at a location; nothing is read before it is asked for.

    Opened behind a URL, it raises what ``read`` raises whenever a decoder reads on; opened on a
    disk, OSError with an ``errno``.
    """

    name: str
    """What messages call it."""

    location: Location
    kind: str = "image"
    """What it is meant to be, for messages."""

    patience: Patience = PATIENCE

    @property
    def path(self) -> Path | None:
        """The local file, where the content is a whole one."""
        place = self.location
        return Path(place.url) if place.is_whole and not place.is_remote else None

    def read(self) -> bytes:
        """All bytes.

        Raises:
            MissingMediumError: It is not there.
            BadSampleError: It ends early.
            StorageError: The store did not answer.
        """
        place = self.location
        stop = None if place.length is None else place.offset + place.length
        if place.is_remote:
            data = self._fetched(place.offset, stop)
        else:
            data = read_range(place.url, place.offset, stop, self._what)
        if place.length is not None and len(data) < place.length:
            raise too_short(self._what, place.offset + place.length, place.offset + len(data))
        if not data:
            raise empty(self._what)
        return data

    def open(self) -> BinaryIO:
        """A file of exactly these bytes, that can be sought in.

        Of a remote one, blocks are fetched as they are read: a header takes one.

        Raises:
            MissingMediumError: It is not there; if it is remote, reading says so.
            StorageError: The store did not answer.
        """
        if self.location.is_remote:
            return self._ranged(Blocks(self._fetched), close=lambda: None)
        with disk_faults(self.location.url, self._what):
            # No Path and no buffer: both take longer than reading a header.
            file = io.FileIO(self.location.url)
        if self.location.is_whole:
            return cast("BinaryIO", file)

        def fetch(start: int, stop: int) -> bytes:
            file.seek(start)
            return file.read(stop - start)

        return self._ranged(fetch, file.close)

    @property
    def _what(self) -> str:
        return shown(self.kind, self.name)

    def _fetched(self, start: int, stop: int | None) -> bytes:
        return fetch_range(self.location.url, (start, stop), self._what, self.patience)

    def _ranged(self, fetch: Fetch, close: Callable[[], None]) -> BinaryIO:
        """The range of the location out of what ``fetch`` gives of the whole."""
        place = self.location

        def inside(start: int, stop: int) -> bytes:
            last = stop if place.length is None else min(stop, place.length)
            if start >= last:
                return b""
            return fetch(place.offset + start, place.offset + last)

        def num_bytes() -> int:
            return status(place, self.name, self.kind, self.patience).num_bytes

        return buffered(RangeFile(inside, num_bytes, close))
