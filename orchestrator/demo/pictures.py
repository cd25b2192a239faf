"""Photo-like JPEGs of a dominant colour, made from nothing, fast, and the same every time.

A picture is a small scene (texture whose strength falls with frequency, as in nature, slanting
light, a few soft shapes), enlarged, with fine grain and sensor noise on top. The noise is what
makes the files as large, and as slow to decode, as those of a camera.

Letters: H, W pixels; T side of the tile of grain; C = 3 channels.
"""

import colorsys
import io
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

KINDS = ("red", "yellow", "green", "blue", "purple")
"""Classes of dominant colour, which is what the demo's question is about."""

_HUES = {"red": 0.0, "yellow": 0.14, "green": 0.36, "blue": 0.59, "purple": 0.8}

SIZES_MEGAPIXELS = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.0, 3.0, 3.0, 4.0, 6.0, 12.0)
_ASPECTS = (4 / 3, 3 / 2, 1.0, 16 / 9, 3 / 4, 2 / 3)

_SCENE_PIXELS = 320 * 320
_TILE = 512
# Scene bytes stay this far from 0 and 255 and grain below it: the two add up without wrapping.
_MARGIN = 20


def picture_size(index: int) -> tuple[int, int]:
    """Height and width of picture number ``index``, in pixels: 0.3 to 12 MP, mixed aspects.

    Consecutive numbers go through all sizes, and through all pairs of size and aspect.
    """
    area = SIZES_MEGAPIXELS[index % len(SIZES_MEGAPIXELS)] * 1e6
    # The quotient shifts the aspect a step further each time the sizes have gone round.
    aspect = _ASPECTS[(index + index // len(SIZES_MEGAPIXELS)) % len(_ASPECTS)]
    return round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)


def draw_jpeg(kind: str, *, height: int, width: int, seed: int, index: int) -> bytes:
    """One picture as the bytes of a JPEG file of quality 88.

    Args:
        kind: One of ``KINDS``.
        height: In pixels.
        width: In pixels.
        seed: Of the whole collection.
        index: Of the picture in it; equal arguments give equal bytes.

    Returns:
        The file, 0.15 to 1 byte a pixel.
    """
    pixels_HWC = draw(kind, height=height, width=width, seed=seed, index=index)
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "JPEG", quality=88)
    return file.getvalue()


def draw(kind: str, *, height: int, width: int, seed: int, index: int) -> Pixels:
    """The pixels of one picture, uint8 [H, W, C]. Arguments as for ``draw_jpeg``."""
    rng = np.random.default_rng((seed, index, KINDS.index(kind)))
    shrink = min(1.0, (_SCENE_PIXELS / (height * width)) ** 0.5)
    scene_HWC = _scene(kind, max(8, round(height * shrink)), max(8, round(width * shrink)), rng)
    image = Image.fromarray(scene_HWC).resize((width, height), Image.Resampling.BILINEAR)
    pixels_HWC: Pixels = np.array(image)
    _add_grain(pixels_HWC, rng)
    return pixels_HWC


def _scene(kind: str, height: int, width: int, rng: np.random.Generator) -> Pixels:
    down_H1 = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across_1W = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    colour_HWC = np.broadcast_to(_colour(_HUES[kind], (0.5, 0.85), rng), (height, width, 3))
    for _ in range(rng.integers(2, 5)):
        cover_HW1 = _soft_ellipse(down_H1, across_1W, rng)[..., None]
        # Nearly grey: a shape must not pass for another kind.
        grey = _colour(rng.random(), (0.0, 0.2), rng)
        colour_HWC = colour_HWC * (1 - cover_HW1) + grey * cover_HW1
    slant = rng.uniform(-0.2, 0.2, 2).astype(np.float32)
    light_HW = 1 + slant[0] * down_H1 + slant[1] * across_1W
    light_HW = light_HW + 0.14 * _natural_noise(height, width, rng)
    bytes_HWC = 255 * colour_HWC * light_HW[..., None]
    scene_HWC: Pixels = np.clip(bytes_HWC, _MARGIN, 255 - _MARGIN).astype(np.uint8)
    return scene_HWC


def _colour(hue: float, saturation: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Red, green and blue in 0..1, a little off the given hue, of any usual brightness."""
    shifted = (hue + rng.uniform(-0.03, 0.03)) % 1
    return np.array(
        colorsys.hsv_to_rgb(shifted, rng.uniform(*saturation), rng.uniform(0.5, 0.85)),
        dtype=np.float32,
    )


def _soft_ellipse(down_H1: Floats, across_1W: Floats, rng: np.random.Generator) -> Floats:
    """How much a blurred shape of 1 to 6 % of the area covers each pixel, 0..1."""
    (y, x), (tall, broad) = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.1, 0.28, 2)
    radius_HW = ((down_H1 - y) / tall) ** 2 + ((across_1W - x) / broad) ** 2
    cover_HW: Floats = np.clip(3 * (1.2 - radius_HW), 0, 1).astype(np.float32)
    return cover_HW


def _natural_noise(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Noise of unit variance whose amplitude falls as one over frequency."""
    white = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise_HW = np.fft.irfft2(white / frequency, s=(height, width))
    noise: Floats = (noise_HW / noise_HW.std()).astype(np.float32)
    return noise


@cache
def _grain_tile() -> npt.NDArray[np.uint8]:
    """Fine texture and sensor noise, [T, T, C]; negative numbers as two's complement bytes."""
    rng = np.random.default_rng(0)
    texture_TT1 = 4 * _natural_noise(_TILE, _TILE, rng)[..., None]
    sensor_TTC = rng.normal(0, 4, (_TILE, _TILE, 3))
    grain_TTC = np.clip(np.rint(texture_TT1 + sensor_TTC), -_MARGIN, _MARGIN)
    return grain_TTC.astype(np.int8).view(np.uint8)


def _add_grain(pixels_HWC: Pixels, rng: np.random.Generator) -> None:
    """Add the tile over and over, in place, from a random corner on."""
    tile_TTC = np.roll(_grain_tile(), tuple(rng.integers(0, _TILE, 2)), axis=(0, 1))
    height, width, _ = pixels_HWC.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            part = pixels_HWC[top : top + _TILE, left : left + _TILE]
            # Bytes wrap: adding 253 takes 3 away. The margin keeps the sum within 0..255.
            part += tile_TTC[: part.shape[0], : part.shape[1]]
