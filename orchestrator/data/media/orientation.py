"""Which way up a picture is shown: the EXIF orientation, read and obeyed.

Letters: H, W pixels; C channels.
"""

import struct

from PIL import Image

from orchestrator.data.coder import Pixels

UPRIGHT = 1
ABSENT = 0
_TAG = 0x0112
_SHORT = 3
EXIF_PREFIX = b"Exif\x00\x00"
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}


def swaps_sides(orientation: int) -> bool:
    """Whether a picture stored lying is shown standing."""
    return orientation >= 5


def checked(orientation: object) -> int:
    """Take a number that EXIF allows; anything else means upright."""
    if isinstance(orientation, int) and orientation in _STEPS:
        return orientation
    return UPRIGHT


def turned(pixels_HWC: Pixels, orientation: int) -> Pixels:
    """Turn pixels as stored into pixels as shown; a view where that is possible."""
    if swaps_sides(orientation):
        pixels_HWC = pixels_HWC.swapaxes(0, 1)
    down, across = _STEPS[orientation]
    return pixels_HWC[::down, ::across]


# What is done after the sides are swapped, where they are: -1 reads an axis from its end.
_STEPS = {
    1: (1, 1),
    2: (1, -1),
    3: (-1, -1),
    4: (-1, 1),
    5: (1, 1),
    6: (1, -1),
    7: (-1, -1),
    8: (-1, 1),
}


def read_exif(block: bytes) -> int | None:
    """Orientation in a block of EXIF, with or without its ``Exif`` prefix.

    Returns:
        1 to 8; ABSENT where it has none; None for a block that is anything but plain, which
        Pillow may still make out.

    Source: TIFF 6.0, section 2; EXIF 2.32, 4.6.4.
    """
    block = block.removeprefix(EXIF_PREFIX)
    order = _BYTE_ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return None
    (count,) = struct.unpack_from(f"{order}H", block, start)
    end = start + 2 + 12 * count
    if end > len(block):
        return None
    found = [
        entry
        for entry in struct.iter_unpack(f"{order}HHI4s", block[start + 2 : end])
        if entry[0] == _TAG
    ]
    if not found:
        return ABSENT
    _, kind, number, value = found[0]
    if len(found) > 1 or (kind, number) != (_SHORT, 1):
        return None
    return checked(struct.unpack_from(f"{order}H", value)[0])


PILLOW_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The same in Pillow's words."""


def as_stored(shown_hw: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Height and width before turning, of a picture shown with these; or the other way."""
    height, width = shown_hw
    return (width, height) if swaps_sides(orientation) else (height, width)
