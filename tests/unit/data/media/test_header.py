"""Headers read without Pillow, against Pillow."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media import pillow
from orchestrator.data.media.header import Header, read_header


def written(
    kind: str, size: tuple[int, int] = (53, 37), mode: str = "RGB", **save: Any
) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **save)
    return file.getvalue()


def exif_of(orientation: int, **more: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "A camera's maker"
    exif[0x0112] = orientation
    exif[0x8769] = more
    return exif


PLAIN = {
    "baseline": written("JPEG"),
    "progressive": written("JPEG", progressive=True),
    "grey": written("JPEG", mode="L"),
    "four colours": written("JPEG", mode="CMYK"),
    "turned": written("JPEG", exif=exif_of(6)),
    "of no orientation": written("JPEG", exif=exif_of(9)),
    "large profile": written("JPEG", icc_profile=bytes(150_000)),
    "png": written("PNG"),
    "palette": written("PNG", mode="P", transparency=0),
    "16 bits": written("PNG", mode="I;16"),
    "turned png": written("PNG", exif=exif_of(5)),
    "lossy webp": written("WEBP"),
    "lossless webp": written("WEBP", lossless=True),
    "clear webp": written("WEBP", mode="RGBA"),
}


def by_pillow(data: bytes) -> tuple[int, int, int, int]:
    with pillow.opened(data, "a", 10**9) as image:
        frames = pillow.frames_of(image)
        return image.width, image.height, pillow.orientation_of(image), frames


def by_header(header: Header) -> tuple[int, int, int | None, int]:
    return header.width, header.height, header.orientation, 1


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_a_plain_header_says_what_pillow_says(data: bytes) -> None:
    header = read_header(io.BytesIO(data))
    assert header is not None
    assert by_header(header) == by_pillow(data)


@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    orientation=st.integers(1, 8),
)
def test_sizes_and_orientations_are_pillows(
    kind: str, width: int, height: int, orientation: int
) -> None:
    exif = {} if kind == "WEBP" else {"exif": exif_of(orientation)}
    data = written(kind, (width, height), **exif)
    header = read_header(io.BytesIO(data))
    assert header is not None
    assert by_header(header) == (width, height, orientation if exif else 1, 1)


@given(
    data=st.sampled_from(list(PLAIN.values())),
    cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4), st.binary(max_size=4))),
)
def test_a_garbled_header_is_never_read_otherwise_than_by_pillow(
    data: bytes, cuts: list[tuple[int, int, bytes]]
) -> None:
    for start, length, put in cuts:
        data = data[:start] + put + data[start + length :]
    header = read_header(io.BytesIO(data))
    if header is None:
        return
    try:
        width, height, _, _ = by_pillow(data)
    except BadSampleError:
        # Damage behind the size; whoever loads it will see.
        return
    assert (header.width, header.height) == (width, height)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"GIF89a",
        PLAIN["baseline"][:150],
        PLAIN["png"][:25],
        PLAIN["lossy webp"][:25],
        PLAIN["lossless webp"][:20],
        written("BMP"),
        written("TIFF"),
        written("JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1),
        written("PNG")[:16] + b"\0" * 4 + written("PNG")[20:],
    ],
    ids=range(11),
)
def test_what_is_not_plain_is_left_to_pillow(data: bytes) -> None:
    assert read_header(io.BytesIO(data)) is None


@pytest.mark.parametrize(
    "data",
    [
        written("WEBP", exif=exif_of(6)),
        written("PNG", save_all=True, append_images=[Image.new("RGB", (53, 37), "red")]),
        written("WEBP", save_all=True, append_images=[Image.new("RGB", (53, 37), "red")]),
        written("JPEG", xmp=b'<x tiff:Orientation="6"/>'),
    ],
    ids=["exif behind the pixels", "moving png", "moving webp", "xmp"],
)
def test_where_there_is_more_to_say_only_the_size_is_taken(data: bytes) -> None:
    header = read_header(io.BytesIO(data))
    assert header is not None
    assert by_header(header) == (53, 37, None, 1)


def test_a_header_takes_a_few_thousand_bytes_of_a_large_file() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, num_bytes: int | None = -1, /) -> bytes:
            data = super().read(num_bytes)
            self.taken += len(data)
            return data

    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    for kind in ("JPEG", "PNG", "WEBP"):
        file = Counted()
        Image.fromarray(noise).save(file, kind, quality=95)
        file.seek(0)
        file.taken = 0
        assert read_header(file) is not None
        assert file.taken <= 4096
