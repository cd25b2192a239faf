"""A range of bytes as a file that can be sought in."""

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

Fetch = Callable[[int, int], bytes]
"""Gives bytes from a place up to another; fewer where it likes, none at the end only."""

BLOCK_BYTES = 128 << 10
"""What is fetched at once from a store: the headers of all but a few images are shorter."""

_MOST_BLOCKS = 64
_MOST_AHEAD = 32
_BUFFER_BYTES = 64 << 10


class Blocks:
    """Fetches in blocks, keeps the last of them, and more at once the longer one reads on."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next = 0
        self._ahead = 1

    def __call__(self, start: int, stop: int) -> bytes:
        """What one block has of the range."""
        number, skipped = divmod(start, BLOCK_BYTES)
        if number not in self._kept:
            self._load(number)
        self._kept.move_to_end(number)
        return self._kept[number][skipped : skipped + stop - start]

    def _load(self, number: int) -> None:
        reads_on = number == self._next and number > 0
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if reads_on else 1
        self._next = number + self._ahead
        data = self._fetch(number * BLOCK_BYTES, self._next * BLOCK_BYTES)
        for place in range(self._ahead):
            block = data[place * BLOCK_BYTES : (place + 1) * BLOCK_BYTES]
            self._kept[number + place] = block
        while len(self._kept) > _MOST_BLOCKS:
            self._kept.popitem(last=False)


class RangeFile(io.RawIOBase):
    """What ``io`` asks of a file, over one function that fetches.

    Args:
        fetch: Of places counted from the start of the range.
        num_bytes: How long the range is; asked for only when somebody seeks from the end.
        close: Called once at the end.
    """

    def __init__(
        self, fetch: Fetch, num_bytes: Callable[[], int], close: Callable[[], None]
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._num_bytes = num_bytes
        self._close = close
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: lambda: 0, io.SEEK_CUR: self.tell, io.SEEK_END: self._num_bytes}
        place = start[whence]() + offset
        if place < 0:
            raise ValueError(f"seek to {place}")
        self._place = place
        return place

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - bytes that can be written
        data = self._fetch(self._place, self._place + len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


def buffered(raw: RangeFile) -> BinaryIO:
    """As ``open`` gives a file."""
    return io.BufferedReader(raw, _BUFFER_BYTES)
