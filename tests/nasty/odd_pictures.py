"""Pictures of every odd kind, as bytes."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tests.nasty.asking import asks
from tests.nasty.drawing import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    YELLOW,
    all_of,
    png,
    put,
    quarters,
    replaced,
    saved,
    segment,
    with_segments,
)
from tests.nasty.outcomes import Case, Outcome, Row

CLEAR_BELOW = (RED, GREEN, WHITE, WHITE)
GREYS = ((60, 60, 60), (120, 120, 120), (180, 180, 180), (240, 240, 240))


def picture(name: str, file: str, make: Callable[[], bytes], expected: Outcome) -> Case:
    """A row over one picture."""

    def write(folder: Path) -> Row:
        return asks(put(folder, file, make()))

    return Case(name, write, expected)


def half_clear(mode: str = "RGBA") -> Image.Image:
    """The quarters, the lower ones clear and black beneath."""
    image = quarters((RED, GREEN, (0, 0, 0), (0, 0, 0))).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 24, 64, 48))
    return image.convert(mode)


def clear_palette() -> bytes:
    """A palette picture one of whose colours is clear."""
    image = quarters((RED, GREEN, (1, 2, 3), (1, 2, 3))).quantize(4)
    return saved(image, "PNG", transparency=image.getpixel((10, 40)))


def deep_grey(dtype: type[np.generic], steps: tuple[float, ...]) -> Image.Image:
    """Four quarters of numbers."""
    values_HW = np.zeros((48, 64), dtype)
    for place, step in enumerate(steps):
        top, left = place // 2 * 24, place % 2 * 32
        values_HW[top : top + 24, left : left + 32] = step
    return Image.fromarray(values_HW)


def white_is_zero() -> bytes:
    """A TIFF whose numbers mean the opposite."""
    return saved(quarters(GREYS).convert("L"), "TIFF", tiffinfo={262: 0})


def ycck() -> bytes:
    """A JPEG of four channels as Photoshop writes it: YCC and black, inverted."""
    # Pillow inverts once more as it writes, and knows of no YCC.
    ycc = ImageOps.invert(quarters()).convert("YCbCr")
    planes = [ImageOps.invert(plane) for plane in ycc.split()]
    image = Image.merge("CMYK", [*planes, Image.new("L", ycc.size, 0)])
    return replaced(
        saved(image), b"Adobe\x00\x64\x00\x00\x00\x00\x00", b"Adobe\x00\x64\x00\x00\x00\x00\x02"
    )


def several(kind: str, **options: object) -> bytes:
    """A file of three frames, of which the quarters are the first."""
    others = [quarters(all_of(colour)) for colour in (BLUE, YELLOW)]
    return saved(quarters(), kind, save_all=True, append_images=others, **options)


def one_block(frame: int, scan: bytes) -> bytes:
    """A grey JPEG of 8 x 8 pixels, its frame of some rare kind."""
    tables = segment(0xDB, b"\0" + b"\x10" * 64) + segment(
        0xC4, b"\0" + b"\1" + bytes(15) + b"\0"
    )
    shape = segment(frame, b"\x08\0\x08\0\x08\x01\x01\x11\0")
    start = segment(0xDA, b"\x01\x01\0" + (b"\x01\0\0" if frame == 0xC3 else b"\0\x3f\0"))
    return b"\xff\xd8" + tables + shape + start + scan + b"\xff\xd9"


def with_thumbnail() -> bytes:
    """A JPEG with a smaller JPEG in its EXIF."""
    small = saved(quarters(all_of(BLUE), size=(16, 12)))
    return with_segments(
        saved(quarters()), segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + small)
    )


def turned_by_xmp() -> bytes:
    """A JPEG turned by XMP alone."""
    body = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    stored = saved(quarters().rotate(180))
    return with_segments(stored, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + body))


def with_icc(profile: bytes) -> bytes:
    """A JPEG with a colour profile."""
    return saved(quarters(), icc_profile=profile)


def huge_pixels() -> bytes:
    """A PNG whose pixels unpack to 16 MB more than it has."""
    rows = b"".join(b"\0" + bytes(row.tobytes()) for row in np.asarray(quarters()))
    return png((64, 48), 8, 2, rows + bytes(16 << 20))


def bytes_behind(kind: str) -> bytes:
    """A picture with a film behind it, as phones write it."""
    return saved(quarters(), kind) + b"\0\0\0\x18ftypmp42" + bytes(4096)


def frames_apart() -> bytes:
    """A PNG that moves, its first picture no part of the film."""
    film = [quarters(all_of(colour)) for colour in (BLUE, YELLOW)]
    return saved(quarters(), "PNG", save_all=True, default_image=True, append_images=film)


def page_loop() -> bytes:
    """A TIFF whose directory says that the next one is itself."""
    data = bytearray(saved(quarters(), "TIFF"))
    start = int.from_bytes(data[4:8], "little")
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    data[end : end + 4] = start.to_bytes(4, "little")
    return bytes(data)


def mpo() -> bytes:
    """Two JPEGs in one file, as cameras with two lenses write them."""
    file = io.BytesIO()
    second = quarters(all_of(BLUE))
    quarters().save(
        file, "MPO", save_all=True, append_images=[second], quality=95, subsampling=0
    )
    return file.getvalue()
