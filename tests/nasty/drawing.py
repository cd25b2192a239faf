"""Pictures to make nasty: four quarters of colour, and noise, as bytes of any format."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.nasty.outcomes import Colour, Four

RED, GREEN, BLUE, YELLOW = (200, 40, 40), (40, 180, 60), (40, 60, 200), (220, 200, 40)
WHITE = (255, 255, 255)
QUARTERS: Four = (RED, GREEN, BLUE, YELLOW)
SIZE = (64, 48)
SHARP = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}

_TO_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def put(folder: Path, name: str, content: bytes) -> str:
    """Write a file, unless it is there, and give its name."""
    path = folder / name
    if path.exists():
        assert path.read_bytes() == content, f"{name} is already another file"
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return name


def good(folder: Path) -> str:
    """Put a picture with nothing wrong into a folder."""
    return put(folder, "good.jpg", saved(quarters()))


def quarters(colours: Four = QUARTERS, size: tuple[int, int] = SIZE) -> Image.Image:
    """Four quarters of colour."""
    width, height = size
    image = Image.new("RGB", size)
    for place, colour in enumerate(colours):
        left, top = place % 2 * (width // 2), place // 2 * (height // 2)
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def all_of(colour: Colour) -> Four:
    """One colour in every quarter."""
    return (colour,) * 4


def noise(size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture that does not compress, so that half its file is half its pixels."""
    width, height = size
    pixels_HWC = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels_HWC)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, kind, **{**SHARP.get(kind, {}), **options})
    return file.getvalue()


def stored_turned(orientation: int, kind: str = "JPEG") -> bytes:
    """The quarters, stored so that their EXIF orientation turns them upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = quarters()
    if orientation in _TO_STORED:
        image = image.transpose(_TO_STORED[orientation])
    return saved(image, kind, exif=exif)


def part(data: bytes, share: float) -> bytes:
    """The beginning of a file."""
    return data[: int(len(data) * share)]


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """A file with its first ``old`` made ``new``."""
    assert old in data
    return data.replace(old, new, 1)


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG's segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments behind its first marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def jpeg_of_size(width: int, height: int, jpeg: bytes | None = None) -> bytes:
    """A baseline JPEG whose header claims another size than it has."""
    data = bytearray(jpeg or saved(quarters()))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A PNG's chunk; its checksum is right unless another one is given."""
    given = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", given)


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand, of any depth and type of colour.

    Args:
        size: Width and height that it claims.
        depth: Bits of a value.
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        rows: Its pixels, each row with its filter's byte.
        extra: Chunks before the pixels.
    """
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    end = chunk(b"IEND", b"")
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *extra, data, end])


def with_chunk(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def deep_png(image: Image.Image, colour: int) -> bytes:
    """A PNG of 16 bits a value, as Pillow cannot write them in colour."""
    values_HWC = np.asarray(image).reshape(image.height, -1).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in values_HWC)
    return png(image.size, 16, colour, rows)


def tiff(*tags: tuple[int, int, int], next_ifd: int = 0) -> bytes:
    """A TIFF of one directory, its numbers as they are given: tag, type, value."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<I", next_ifd)
    )
