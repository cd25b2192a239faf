"""Photographs to measure by: made ones, and real ones where a package ships some.

A photograph's amplitudes fall with frequency (as 1/f^1.2 here), and its sensor adds noise:
without both, files are small, decode fast, and every way of reducing them looks the same.

Letters: H, W pixels; C channels.
"""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]

QUALITY = 88
SAVED_AS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": QUALITY},
    "progressive": {"format": "JPEG", "quality": QUALITY, "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "quality": QUALITY},
}
_LEAST_PIXELS, _MOST_PIXELS = 0.3e6, 12e6
_ASPECTS = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3)
_NOISE = (1.0, 2.0, 3.0, 4.0)
_SIDE = 2048


def write_set(folder: Path, kind: str, num_images: int) -> list[Path]:
    """Write a set of photographs, unless it lies there already.

    Args:
        folder: For this set alone.
        kind: One of ``SAVED_AS``.
        num_images: How many; those of a smaller set are spread over the same sizes.

    Returns:
        The files.
    """
    paths = [folder / f"{number:03d}.{kind}" for number in range(num_images)]
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        if not path.exists():
            picture = Image.fromarray(_picture(number, num_images))
            # Most cameras halve the colours; one in ten does not.
            colours = {"subsampling": 0 if number % 10 == 9 else 2} if "jp" in kind else {}
            unfinished = path.with_suffix(".part")
            picture.save(unfinished, **SAVED_AS[kind], **colours)
            unfinished.rename(path)
    return paths


def _picture(number: int, num_images: int) -> npt.NDArray[np.uint8]:
    real = _real_photographs()
    if number < len(real):
        return real[number]
    area = _LEAST_PIXELS * (_MOST_PIXELS / _LEAST_PIXELS) ** (
        ((number + 0.5) / num_images) ** 0.9
    )
    rng = np.random.default_rng(number)
    aspect = _ASPECTS[number % len(_ASPECTS)] * math.exp(rng.normal(0, 0.05))
    height = int(math.sqrt(area / aspect))
    return _made(height, int(height * aspect), _NOISE[number % len(_NOISE)], rng)


def _made(
    height: int, width: int, noise: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    light, warmth, tint = (_window(field, height, width, rng) for field in _textures())
    channels = (light + 12 * tint, light - 8 * warmth - 4 * tint, light + 12 * warmth)
    photo_HWC = np.stack(channels, axis=-1)
    photo_HWC += rng.standard_normal((height, width, 1), np.float32) * noise
    photo_HWC += rng.standard_normal((height, width, 3), np.float32) * (noise / 2)
    return photo_HWC.clip(0, 255).astype(np.uint8)


def _window(field: Floats, height: int, width: int, rng: np.random.Generator) -> Floats:
    """Part of a texture that goes on for ever."""
    rows, columns = (
        (start + np.arange(side)) % _SIDE
        for start, side in zip(rng.integers(0, _SIDE, 2), (height, width), strict=True)
    )
    window: Floats = field[np.ix_(rows, columns)]
    return window


@cache
def _textures() -> tuple[Floats, Floats, Floats]:
    """Lightness, and two of colour."""
    return (128 + 45 * _texture(1), _texture(2), _texture(3))


def _texture(seed: int) -> Floats:
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    frequency[0, 0] = np.inf
    white = np.random.default_rng(seed).standard_normal((_SIDE, _SIDE))
    texture = np.fft.irfft2(np.fft.rfft2(white) / frequency**1.2, s=(_SIDE, _SIDE))
    return (texture / texture.std()).astype(np.float32)


@cache
def _real_photographs() -> tuple[npt.NDArray[np.uint8], ...]:
    try:
        from sklearn.datasets import load_sample_images  # noqa: PLC0415 - there or not
    except ImportError:
        return ()
    return tuple(load_sample_images().images)


def describe(paths: list[Path]) -> Iterator[str]:
    """Say what a set is: sizes, and bytes a pixel."""
    areas = []
    for path in paths:
        with Image.open(path) as image:
            areas.append(image.width * image.height)
    density = np.array([path.stat().st_size for path in paths]) / areas
    yield f"{len(paths)} files, {np.mean(areas) / 1e6:.1f} MP on average"
    yield f"{min(areas) / 1e6:.1f} to {max(areas) / 1e6:.1f} MP"
    yield f"{density.mean():.2f} bytes a pixel, at least {density.min():.2f}"
    yield f"{len(_real_photographs())} of them real photographs"
