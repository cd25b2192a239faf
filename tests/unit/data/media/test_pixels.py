"""Modes of pictures, brought to 8 bits."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from orchestrator.data.media.pixels import to_8_bit

WHITE = "#ffffff"


def tiff(values: npt.NDArray[Any]) -> Image.Image:
    """Written and read again."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    image = Image.open(file)
    image.load()
    return image


def values_of(image: Image.Image) -> list[Any]:
    values: list[Any] = np.asarray(image).reshape(-1).tolist()
    return values


def test_16_bit_grey_is_scaled_by_its_range() -> None:
    image = Image.fromarray(np.array([[0, 257, 25_700, 65_535]], np.uint16))
    assert values_of(to_8_bit(image, WHITE)) == [0, 1, 100, 255]


def test_16_bit_grey_that_counts_from_white_is_turned_round() -> None:
    image = tiff(np.array([[0, 25_700, 65_535]], np.uint16))
    image.tag_v2[262] = 0  # type: ignore[attr-defined]
    assert values_of(to_8_bit(image, WHITE)) == [255, 155, 0]


def test_12_bits_are_scaled_by_the_range_of_12() -> None:
    image = tiff(np.array([[0, 4_095]], np.uint16))
    image.tag_v2[258] = (12,)  # type: ignore[attr-defined]
    assert values_of(to_8_bit(image, WHITE)) == [0, 255]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_32_bits_are_scaled_by_the_range_that_is_there(kind: Any) -> None:
    image = Image.fromarray(np.array([[-100, 0, 100]], kind))
    assert values_of(to_8_bit(image, WHITE)) == [0, 127, 255]


def test_values_that_are_no_numbers_are_kept_out_of_the_range() -> None:
    image = Image.fromarray(np.array([[np.nan, -1, 1, np.inf, -np.inf]], np.float32))
    assert values_of(to_8_bit(image, WHITE)) == [0, 0, 255, 255, 0]
    with pytest.raises(ValueError, match="no finite value"):
        to_8_bit(Image.fromarray(np.full((1, 1), np.nan, np.float32)), WHITE)


def test_one_value_throughout_is_no_division_by_zero() -> None:
    assert values_of(to_8_bit(Image.fromarray(np.full((1, 2), 7, np.float32)), WHITE)) == [0, 0]


@pytest.mark.parametrize(
    ("image", "clear", "wanted"),
    [
        (Image.fromarray(np.array([[9, 25_700]], np.uint16)), 9, [1, 2, 3, 100, 100, 100]),
        (Image.frombytes("L", (2, 1), b"\x09\x64"), 9, [1, 2, 3, 100, 100, 100]),
        (Image.frombytes("RGB", (2, 1), b"\1\1\1\2\2\2"), (1, 1, 1), [1, 2, 3, 2, 2, 2]),
        # As of 16-bit colour: Pillow keeps only the upper byte of the pixels.
        (Image.frombytes("RGB", (2, 1), b"\1\1\1\2\2\2"), (300, 300, 300), [1, 2, 3, 2, 2, 2]),
    ],
    ids=["16-bit grey", "grey", "colour", "16-bit colour"],
)
def test_the_background_shows_where_one_value_is_clear(
    image: Image.Image, clear: Any, wanted: list[int]
) -> None:
    image.info["transparency"] = clear
    assert values_of(to_8_bit(image, "#010203")) == wanted


def test_what_is_grey_or_colour_already_is_left_alone() -> None:
    for mode in ("L", "RGB"):
        image = Image.new(mode, (2, 2))
        assert to_8_bit(image, WHITE) is image
