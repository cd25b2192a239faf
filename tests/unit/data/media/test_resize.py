"""Resizing by vector instructions, against Pillow."""

from typing import Any

import cykooz_resizer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.media.resize import image_of, pixels_of, resized


def smooth(height: int, width: int, channels: int) -> Any:
    rng = np.random.default_rng(height * width)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 4), dtype=np.uint8), "RGBA")
    # Far from black and white: overshoot cut off between rows and columns differs by order.
    fine = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)) // 2 + 64
    return np.ascontiguousarray(fine[..., :channels])


@given(
    source=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    target=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    left_out=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
)
def test_any_size_and_part_is_resized_as_by_pillow(
    source: tuple[int, int], target: tuple[int, int], left_out: tuple[float, float]
) -> None:
    seen = (source[0] - left_out[0], source[1] - left_out[1])
    image = Image.fromarray(smooth(*source, 3))
    wanted = image.resize(target[::-1], Image.Resampling.BICUBIC, box=(0, 0, seen[1], seen[0]))
    difference = pixels_of(resized(image, target, seen)).astype(int) - np.asarray(wanted)
    worst = int(np.abs(difference).max())
    assert worst <= 2


@pytest.mark.parametrize("channels", [1, 4])
def test_an_array_gives_the_pixels_that_its_picture_gives(channels: int) -> None:
    pixels_HWC = smooth(60, 90, channels)
    seen = (60, 89.5)
    by_array = pixels_of(resized(image_of(pixels_HWC), (28, 56), seen))
    picture = Image.fromarray(pixels_HWC[..., 0] if channels == 1 else pixels_HWC[..., :3])
    assert np.array_equal(by_array, pixels_of(resized(picture, (28, 56), seen)))


@pytest.mark.parametrize("extensions", list(cykooz_resizer.CpuExtensions))
def test_every_kind_of_processor_gives_the_same_bytes(
    extensions: cykooz_resizer.CpuExtensions,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (301, 203, 4), dtype=np.uint8)
    resizer = cykooz_resizer.Resizer()
    try:
        resizer.cpu_extensions = extensions
    except (ValueError, RuntimeError):
        pytest.skip("of another kind of processor")
    target = Image.new("CMYK", (56, 84))
    bicubic = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.catmull_rom)
    options = cykooz_resizer.ResizeOptions(resize_alg=bicubic)
    resizer.resize_pil(image_of(noise), target, options)
    ours = resized(image_of(noise), (84, 56), (301, 203))
    assert np.array_equal(np.asarray(target), np.asarray(ours))


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = Image.fromarray(smooth(28, 56, 3))
    assert resized(image, (28, 56), (28, 56)) is image
