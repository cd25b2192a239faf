"""Pictures are as large, as noisy and as repeatable as the demo needs."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from orchestrator.demo.pictures import KINDS, draw, draw_jpeg, picture_size

HUE_RANGES = {
    "red": (-0.1, 0.07),
    "yellow": (0.07, 0.24),
    "green": (0.26, 0.46),
    "blue": (0.5, 0.69),
    "purple": (0.7, 0.9),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", range(4))
def test_a_picture_is_mostly_of_its_kind(kind: str, index: int) -> None:
    pixels_HWC = draw(kind, height=120, width=160, seed=0, index=index)
    red, green, blue = np.median(pixels_HWC.reshape(-1, 3), axis=0) / 255
    hue = colorsys.rgb_to_hsv(red, green, blue)[0]
    low, high = HUE_RANGES[kind]
    assert low < (hue if hue < 0.95 else hue - 1) < high


def test_equal_arguments_draw_equal_bytes_and_others_do_not() -> None:
    def jpeg(index: int) -> bytes:
        return draw_jpeg("red", height=90, width=70, seed=3, index=index)

    assert jpeg(1) == jpeg(1) != jpeg(2)


def test_a_file_has_the_noise_of_a_photo() -> None:
    height, width = picture_size(3)
    file = draw_jpeg("green", height=height, width=width, seed=0, index=3)
    with Image.open(io.BytesIO(file)) as image:
        assert image.size == (width, height)
    assert 0.15 < len(file) / (height * width) < 1


def test_grain_never_wraps_from_dark_to_bright() -> None:
    pixels_HWC = draw("blue", height=600, width=700, seed=0, index=5).astype(int)
    assert np.abs(np.diff(pixels_HWC, axis=1)).max() < 150


def test_sizes_run_from_a_third_to_twelve_megapixels_and_the_mean_is_a_few() -> None:
    areas = np.array([np.prod(picture_size(index)) for index in range(60)]) / 1e6
    assert (areas.min(), areas.max()) == pytest.approx((0.3, 12), rel=0.01)
    assert 2 < areas.mean() < 4
    assert len({height > width for height, width in map(picture_size, range(12))}) == 2
