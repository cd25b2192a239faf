"""JPEGs decoded at a fraction of their size."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import Pixels
from orchestrator.data.media import jpeg
from orchestrator.data.media.header import Header, read_header
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location


def photo(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Something with detail of every size, as photographs have."""
    rng = np.random.default_rng(0)
    shape = (height, width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    layers = [
        np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / frequency**1.2, s=shape)
        for _ in range(3)
    ]
    light, warm, tint = (layer / layer.std() for layer in layers)
    colours = np.stack([light * 45 + 12 * warm, light * 45, light * 45 + 12 * tint], axis=-1)
    return (colours + 128).clip(0, 255).astype(np.uint8)


def encoded(pixels_HWC: Pixels, mode: str = "RGB", **save: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).convert(mode).save(file, "JPEG", quality=88, **save)
    return file.getvalue()


def header_of(data: bytes) -> Header:
    header = read_header(io.BytesIO(data))
    assert header is not None
    return header


PHOTO = photo(301, 403)
DATA = encoded(PHOTO)
FLAT = encoded(np.zeros((1201, 903, 3), np.uint8))
NOISE = encoded(np.random.default_rng(0).integers(0, 256, (1201, 903, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "target", "size"),
    [
        (FLAT, (1201, 903), (1201, 903)),
        (FLAT, (401, 302), (1201, 903)),
        (FLAT, (400, 301), (601, 452)),
        (FLAT, (150, 113), (601, 452)),
        (FLAT, (150, 112), (301, 226)),
        (FLAT, (60, 45), (151, 113)),
        (FLAT, (60, 600), (1201, 903)),
        # What takes more bytes loses more, and what is small may have been reduced already.
        (NOISE, (400, 301), (1201, 903)),
        (DATA, (60, 45), (301, 403)),
    ],
)
def test_a_decoded_size_leaves_the_resize_enough_to_do(
    data: bytes, target: tuple[int, int], size: tuple[int, int]
) -> None:
    scaled = jpeg.decode(data, header_of(data), "a", target)
    assert scaled is not None
    assert scaled.pixels_HWC.shape == (*size, 4)


@pytest.fixture(scope="module")
def large_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sides, so that scaled ones end within their last pixels."""
    path = tmp_path_factory.mktemp("photo") / "a.jpg"
    path.write_bytes(encoded(photo(1203, 905)))
    return path


@pytest.mark.parametrize("ratio", [0.7, 1.2, 2.1, 3.02, 4.5, 8.1, 21.0])
def test_a_jpeg_decoded_small_is_within_45_decibels_of_one_decoded_whole(
    large_photo: Path, ratio: float
) -> None:
    medium = ImageMedium(max_source_pixels=10**8, background="#ffffff")
    target = (round(1203 / ratio), round(905 / ratio))
    (pixels_HWC,) = medium.load(Content("a", Location(str(large_photo))), (target,))
    with Image.open(large_photo) as image:
        wanted = np.asarray(image.resize(target[::-1], Image.Resampling.BICUBIC), dtype=float)
    error = np.mean((pixels_HWC - wanted) ** 2)
    assert 10 * np.log10(255**2 / error) >= 45


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_jpeg_is_pillows_to_the_bit(
    subsampling: str, mode: str, *, progressive: bool
) -> None:
    data = encoded(PHOTO, mode, subsampling=subsampling, progressive=progressive)
    scaled = jpeg.decode(data, header_of(data), "a")
    assert scaled is not None
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(image)
    assert np.array_equal(scaled.pixels_HWC[..., :3].squeeze(), wanted)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("target", [None, (300, 225), (60, 45)])
def test_missing_data_is_refused_even_where_the_end_mark_is_there(
    kept: float, target: tuple[int, int] | None, *, progressive: bool
) -> None:
    data = encoded(np.tile(PHOTO, (4, 3, 1)), progressive=progressive)
    for cut in (data[: int(kept * len(data))], data[: int(kept * len(data))] + b"\xff\xd9"):
        with pytest.raises(
            BadSampleError, match=r"image 'a' cannot be decoded \(.*remature end"
        ):
            jpeg.decode(cut, header_of(data), "a", target)


def test_a_warning_about_nothing_lost_leaves_the_file_to_pillow() -> None:
    padded = DATA[:-2] + bytes(50) + DATA[-2:]
    assert jpeg.decode(padded, header_of(DATA), "a") is None


def test_bytes_behind_the_end_do_no_harm() -> None:
    assert jpeg.decode(DATA + bytes(1000), header_of(DATA), "a") is not None


def test_four_colours_are_left_to_pillow() -> None:
    data = encoded(PHOTO, "CMYK")
    assert jpeg.decode(data, header_of(data), "a") is None
