"""Decode a JPEG at a fraction of its size: most of the work is left out, not thrown away.

Letters: H, W pixels; C channels.
"""

from dataclasses import dataclass

import simplejpeg

from orchestrator.data.coder import Pixels
from orchestrator.data.media.faults import broken
from orchestrator.data.media.header import Header

# How many times the target a picture decoded at some eighths has to be, so that the result is
# within 45 dB of that of a full decode. Measured on textures that fall off with frequency as
# photographs do: the 4/8 one needs 1.5 up to 0.36 bytes a pixel (48 dB), 2.0 at 0.51 (46 dB).
# Eighths between these are decoded without vector instructions: slower than all eight.
_SPARE = {1: 2.5, 2: 2.0, 4: 1.5}
_USUAL_BYTES_A_PIXEL = 0.36
_SPARE_A_BYTE = 3.3
_FULL = 8

# A smaller picture is soon decoded, and mostly was reduced before: neighbouring pixels differ
# by more than a camera's. Below some side, two numbers of eighths are as many pixels.
_LEAST_AREA = 1_000_000
_LEAST_SIDE = 16

_DAMAGED = ("premature end", "bad huffman code", "instead of rst", "inconsistent progression")


@dataclass(frozen=True, slots=True)
class Scaled:
    """A picture, decoded at some eighths of its size."""

    pixels_HWC: Pixels
    """Grey, or RGB and a byte that says nothing: whole words are decoded and resized faster."""

    seen_hw: tuple[float, float]
    """Height and width that hold the picture: the last pixels are rarely whole."""


def decode(
    data: bytes, header: Header, name: str, target_hw: tuple[int, int] | None = None
) -> Scaled | None:
    """Decode a JPEG of one or three channels.

    The same bytes everywhere: libjpeg-turbo's vector and plain code agree to the bit.

    Args:
        data: The file.
        header: Its header.
        name: What to call it.
        target_hw: Height and width, as stored, that it is to be resized to; None: decode all.

    Returns:
        None where the file is out of the ordinary, and for Pillow.

    Raises:
        BadSampleError: Data is missing or garbled, which others make grey pixels of.
    """
    if header.channels not in (1, 3):
        return None
    eighths = _eighths(header, len(data), target_hw) if target_hw else _FULL
    scaled = eighths != _FULL
    try:
        pixels_HWC: Pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="GRAY" if header.channels == 1 else "RGBX",
            min_height=_part(header.height, eighths) if scaled else 0,
            min_width=_part(header.width, eighths) if scaled else 0,
        )
    except ValueError as error:
        # It stops at warnings too; those about anything but lost pixels are no reason to.
        if any(sign in str(error).lower() for sign in _DAMAGED):
            raise broken(name, error) from error
        return None
    return Scaled(pixels_HWC, (header.height * eighths / 8, header.width * eighths / 8))


def _eighths(header: Header, num_bytes: int, target_hw: tuple[int, int]) -> int:
    area = header.height * header.width
    if area < _LEAST_AREA or min(header.height, header.width) < _LEAST_SIDE:
        return _FULL
    height, width = target_hw
    times = min(header.height / height, header.width / width)
    more = _SPARE_A_BYTE * max(0.0, num_bytes / area - _USUAL_BYTES_A_PIXEL)
    enough = (part for part, spare in _SPARE.items() if times * part / 8 >= spare + more)
    return next(enough, _FULL)


def _part(side: int, eighths: int) -> int:
    return -(-side * eighths // 8)
