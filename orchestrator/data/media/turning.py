"""Which way up a film is shown, from its header alone: a telephone turns no pixel.

FFmpeg knows as much, but hands it out with decoded frames only.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from math import isfinite
from typing import Protocol

from orchestrator.data.media.orientation import UPRIGHT

# Rows (a, b), (c, d) of the matrix that takes stored places to shown ones: EXIF orientations.
_BY_MATRIX = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
# Quarter turns against the clock; the same, mirrored.
_BY_TURNS = {0: 1, 1: 8, 2: 3, 3: 6}
_MIRRORED = {1: 2, 8: 5, 3: 4, 6: 7}

_MP4_HEADER = (b"moov", b"trak", b"tkhd")
# Segment, Tracks, TrackEntry, Video; within that Projection, ProjectionPoseYaw and -Roll.
_MATROSKA_VIDEO = (0x18538067, 0x1654AE6B, 0xAE, 0xE0)
_PROJECTION = (0x7670,)
_YAW, _ROLL = 0x7673, 0x7675
_CLUSTER = 0x1F43B675
_MOST_PARTS = 4096
"""Parts of a header that are looked at: a hostile one could go on without end."""
_MOST_BYTES = 4096

_Span = tuple[int, int]
"""Where what a part of a file holds begins and ends."""


class Readable(Protocol):
    """As much of a file as is needed here."""

    def read(self, num_bytes: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


_PartsOf = Callable[[Readable, int, int], Iterator[tuple[object, int, int]]]


def mp4_orientation(file: Readable, track: int) -> int:
    """EXIF orientation of a track of an MP4 or QuickTime file; the nearest, where it slants.

    Args:
        file: Left where the last part was read.
        track: Its number in the file.

    Source: ISO/IEC 14496-12, 6.2.2 and 8.3.2.
    """
    for start, stop in _inside(file, _boxes, _MP4_HEADER):
        orientation = _of_track_header(_bytes(file, start, stop), track)
        if orientation is not None:
            return orientation
    return UPRIGHT


def matroska_orientation(file: Readable, video: int) -> int:
    """EXIF orientation of the ``video``-th video track of a Matroska or WebM file.

    Source: RFC 9559, elements Projection and ProjectionPoseRoll.
    """
    tracks = _inside(file, _elements, _MATROSKA_VIDEO)
    for settings in islice(tracks, video, video + 1):
        for projection in _inside(file, _elements, _PROJECTION, settings):
            return _of_projection(file, projection)
    return UPRIGHT


def _of_track_header(header: bytes, track: int) -> int | None:
    """Orientation in a ``tkhd`` box; None where it is another track's, or cut short."""
    is_long = header[:1] == b"\x01"
    id_at, matrix_at = (20, 52) if is_long else (12, 40)
    if len(header) < matrix_at + 36 or struct.unpack_from(">I", header, id_at) != (track,):
        return None
    a, b, _, c, d = struct.unpack_from(">5i", header, matrix_at)
    return _BY_MATRIX.get((_sign(a), _sign(b), _sign(c), _sign(d)), UPRIGHT)


def _sign(fixed_point: int) -> int:
    """A whole part of 1, 0 or -1 of a number with 16 binary places."""
    return round(fixed_point / 65536)


def _of_projection(file: Readable, span: _Span) -> int:
    degrees = {
        name: _number(_bytes(file, start, stop)) for name, start, stop in _elements(file, *span)
    }
    orientation = _BY_TURNS[round(degrees.get(_ROLL, 0.0) / 90) % 4]
    # Turned about its upright axis, it is seen from behind.
    is_mirrored = abs(degrees.get(_YAW, 0.0)) == 180
    return _MIRRORED[orientation] if is_mirrored else orientation


def _number(value: bytes) -> float:
    """A Matroska number; zero where it is none, as infinite ones are not."""
    kind = {4: ">f", 8: ">d"}.get(len(value))
    number = struct.unpack(kind, value)[0] if kind else 0.0
    return float(number) if isfinite(number) else 0.0


def _inside(
    file: Readable, parts_of: _PartsOf, path: tuple[object, ...], within: _Span | None = None
) -> Iterator[_Span]:
    """Find parts by the names on the way to them, from the top; each as where it lies."""
    span = within or (0, file.seek(0, 2))
    if not path:
        yield span
        return
    for name, start, stop in parts_of(file, *span):
        if name == path[0]:
            yield from _inside(file, parts_of, path[1:], (start, stop))


def _boxes(file: Readable, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Boxes of an MP4, one after the other."""
    for _ in range(_MOST_PARTS):
        head = _bytes(file, start, min(start + 16, stop))
        if len(head) < 8:
            return
        (size,), inner = struct.unpack_from(">I", head), 8
        if size == 1 and len(head) == 16:
            (size,), inner = struct.unpack_from(">Q", head, 8), 16
        end = start + size if size else stop
        if size and size < inner:
            return
        yield head[4:8], start + inner, min(end, stop)
        start = end


def _elements(file: Readable, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Elements of a Matroska file, up to the first cluster of frames."""
    for _ in range(_MOST_PARTS):
        head = _bytes(file, start, min(start + 12, stop))
        if len(head) < 2 or not head[0]:
            return
        id_bytes = 9 - head[0].bit_length()
        name = int.from_bytes(head[:id_bytes])
        size = head[id_bytes : id_bytes + 8]
        if name == _CLUSTER or not size or not size[0]:
            return
        size_bytes = 9 - size[0].bit_length()
        marker = 1 << 7 * size_bytes
        num_bytes = int.from_bytes(size[:size_bytes]) & (marker - 1)
        inner = start + id_bytes + size_bytes
        # All ones: a live stream, whose length nobody knew.
        end = stop if num_bytes == marker - 1 else inner + num_bytes
        yield name, inner, min(end, stop)
        start = end


def _bytes(file: Readable, start: int, stop: int) -> bytes:
    if start >= stop:
        return b""
    file.seek(start)
    return file.read(min(stop - start, _MOST_BYTES))
