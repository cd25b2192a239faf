"""Sizes of plain JPEG, PNG and WebP files from a few thousand bytes; the rest is for Pillow.

Hundreds of thousands of headers are read to build an index: this takes a small part of Pillow's
time. Whatever is not quite as the standards' first pages have it is left to Pillow.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from orchestrator.data.media.orientation import ABSENT, EXIF_PREFIX, UPRIGHT, read_exif

_BLOCK_BYTES = 4096

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"

_APPLICATION_1, _START_OF_SCAN = 0xE1, 0xDA
# Baseline, extended and progressive; whatever else begins a frame is rare.
_FRAMES = {0xC0, 0xC1, 0xC2}
# Tables, restart interval, what applications add, comment.
_SKIPPED = {0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/"
_XMP_ORIENTATION = b"tiff:Orientation"

# Bits of a value that each type of colour allows.
_PNG_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
# Animation, EXIF and texts (one of which may be EXIF too) are not among them.
_PNG_SKIPPED = {
    *(b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST", b"pHYs"),
    *(b"sPLT", b"tIME"),
}

# Colour profile and alpha: an extended WebP with no more than these is a plain picture.
_WEBP_PLAIN = 0x30


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a picture say."""

    kind: str
    """Pillow's word: JPEG, PNG or WEBP."""

    width: int
    """As stored, before the EXIF orientation is applied."""

    height: int

    channels: int = 0
    """Of a JPEG."""

    orientation: int | None = UPRIGHT
    """None: there is more to say (unusual EXIF, frames), and Pillow can."""


def read_header(file: BinaryIO) -> Header | None:
    """Read the header of a plain JPEG, PNG or WebP.

    Args:
        file: The picture, nothing of it read yet.

    Returns:
        None where it is anything else, or in any way out of the ordinary.
    """
    window = _Window(file)
    start = window.at(0, 12)
    try:
        if start.startswith(_JPEG_START):
            return _jpeg(window)
        if start.startswith(_PNG_START):
            return _png(window)
        if start[:4] == b"RIFF" and start[8:] == b"WEBP":
            return _webp(window)
    except (struct.error, ValueError, IndexError):
        # It ends too soon, or holds what we do not expect.
        pass
    return None


class _Window:
    """An open file, and the block of it that was read last."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._block = file.read(_BLOCK_BYTES)

    def at(self, offset: int, num_bytes: int) -> bytes:
        """Bytes from an offset on; fewer where the file ends."""
        begin = offset - self._start
        if begin < 0 or begin + num_bytes > len(self._block):
            self._file.seek(offset)
            self._start, begin = offset, 0
            self._block = self._file.read(max(num_bytes, _BLOCK_BYTES))
        return self._block[begin : begin + num_bytes]


def _jpeg(window: _Window) -> Header | None:
    frames: list[bytes] = []
    exif: list[int | None] = []
    has_xmp = False
    for marker, offset, length in _segments(window):
        if marker in _FRAMES:
            frames.append(window.at(offset, 6))
        elif marker == _APPLICATION_1:
            segment = window.at(offset, length)
            exif += [read_exif(segment)] if segment.startswith(EXIF_PREFIX) else []
            has_xmp |= segment.startswith(_XMP_PREFIX) and _XMP_ORIENTATION in segment
    (frame,) = frames
    depth, height, width, channels = struct.unpack(">BHHB", frame)
    if depth != 8 or channels not in (1, 3, 4) or not width * height:
        return None
    return Header("JPEG", width, height, channels, _jpeg_orientation(exif, has_xmp=has_xmp))


def _jpeg_orientation(exif: list[int | None], *, has_xmp: bool) -> int | None:
    # Pillow joins several blocks into one, and looks into XMP where EXIF says nothing.
    if len(exif) > 1 or None in exif:
        return None
    return next(filter(None, exif), None if has_xmp else UPRIGHT)


def _segments(window: _Window) -> Iterator[tuple[int, int, int]]:
    """Marker, beginning and bytes of each segment before the scan.

    Source: ITU T.81, B.1 and B.2.
    """
    offset = 2
    while True:
        fill, marker, length = struct.unpack(">BBH", window.at(offset, 4))
        if fill == 0xFF and marker == _START_OF_SCAN:
            return
        if fill != 0xFF or length < 2 or marker not in _SKIPPED | _FRAMES:
            raise ValueError("no plain JPEG")
        yield marker, offset + 4, length - 2
        offset += 2 + length


def _png(window: _Window) -> Header | None:
    """Source: PNG, third edition, 5.3 and 11.2.1."""
    length, kind, width, height, depth, colour = struct.unpack(">I4sIIBB", window.at(8, 18))
    (checksum,) = struct.unpack(">I", window.at(29, 4))
    if (length, kind) != (13, b"IHDR") or checksum != zlib.crc32(window.at(12, 17)):
        return None
    if depth not in _PNG_DEPTHS.get(colour, ()) or not width * height:
        return None
    return Header("PNG", width, height, orientation=_png_orientation(window))


def _png_orientation(window: _Window) -> int | None:
    offset = 33
    orientation: int | None = UPRIGHT
    while True:
        length, kind = struct.unpack(">I4s", window.at(offset, 8))
        if kind == b"IDAT":
            return orientation
        if kind == b"eXIf":
            found = read_exif(window.at(offset + 8, min(length, 0xFFFF)))
            orientation = UPRIGHT if found == ABSENT else found
        elif kind not in _PNG_SKIPPED:
            return None
        offset += 12 + length


def _webp(window: _Window) -> Header | None:
    """Source: RFC 9649, 2.4 to 2.7."""
    kind = window.at(12, 4)
    body = window.at(20, 10)
    if kind == b"VP8X":
        flags, size = body[0], int.from_bytes(body[4:10], "little")
        width, height = (size & 0xFFFFFF) + 1, (size >> 24) + 1
        known = UPRIGHT if not flags & ~_WEBP_PLAIN else None
        return Header("WEBP", width, height, orientation=known) if len(body) == 10 else None
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", body[6:10]))
    elif kind == b"VP8L" and body[0] == 0x2F:
        (bits,) = struct.unpack("<I", body[1:5])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        return None
    return Header("WEBP", width, height) if width * height else None
