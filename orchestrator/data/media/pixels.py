"""Any mode of picture as 8-bit grey or colour, nothing transparent.

Letters: H, W pixels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


def to_8_bit(image: Image.Image, background: str) -> Image.Image:
    """Bring any mode to L or RGB, before resizing, or hidden colours bleed into the edges.

    Args:
        image: A decoded picture.
        background: What lies behind a transparent one, as #rrggbb.

    Returns:
        16-bit grey scaled by its range; 32-bit whole numbers and floats by the range of the
        values that are there, as the file does not say theirs.

    Raises:
        ValueError: It has no finite value.
    """
    if image.mode.startswith("I;16"):
        return _over(_from_16_bit(image), image, background)
    if image.mode in ("I", "F"):
        return _from_32_bit(image)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        _shorten_clear_colour(image)
        behind = Image.new("RGBA", image.size, background)
        return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _shorten_clear_colour(image: Image.Image) -> None:
    """Pillow keeps the upper byte of each 16-bit colour, but both of the one that is clear."""
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _from_16_bit(image: Image.Image) -> Image.Image:
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    scaled = _scaled(np.asarray(image, dtype=np.float32), 0.0, float(2**bits - 1))
    # Pillow minds this for 8 bits only.
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    return Image.fromarray(scaled)


def _from_32_bit(image: Image.Image) -> Image.Image:
    values_HW = np.asarray(image, dtype=np.float64)
    finite = values_HW[np.isfinite(values_HW)]
    if not finite.size:
        raise ValueError("no finite value in it")
    low, high = float(finite.min()), float(finite.max())
    clipped_HW = np.nan_to_num(values_HW, nan=low, posinf=high, neginf=low)
    return Image.fromarray(_scaled(clipped_HW, low, high))


def _scaled(
    values_HW: npt.NDArray[np.floating[Any]], low: float, high: float
) -> npt.NDArray[np.uint8]:
    scaled_HW = (values_HW - low) * (255.0 / ((high - low) or 1.0))
    bytes_HW: npt.NDArray[np.uint8] = np.rint(scaled_HW).clip(0, 255).astype(np.uint8)
    return bytes_HW


def _over(grey: Image.Image, image: Image.Image, background: str) -> Image.Image:
    """Put the background where 16-bit grey has the one value that its file calls clear."""
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    seen = Image.fromarray(np.asarray(image) != clear)
    behind = Image.new("RGB", image.size, background)
    behind.paste(grey.convert("RGB"), mask=seen)
    return behind
