"""Films that are stored lying and shown standing."""

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.media.medium import ImageSize
from orchestrator.data.media.turning import matroska_orientation, mp4_orientation
from orchestrator.data.media.video import VideoMedium
from tests.unit.data.media.films import Grid, content_of, write_film

VIDEO = VideoMedium(frames=1, select="even", max_pixels=9999, max_source_pixels=10_000)
CORNER, REST = 220, 30


def turn(degrees: int, *flips: str) -> Any:
    return lambda stream: stream.set_display_rotation(degrees, **dict.fromkeys(flips, True))


def as_ffmpeg_shows(path: Path, stored_HW: np.ndarray) -> np.ndarray:
    """Turn pixels by the matrix that FFmpeg gives with a decoded frame."""
    with av.open(str(path)) as film:
        frame = next(film.decode(video=0))
        found = [frame.side_data[place] for place in range(len(frame.side_data))]
        matrices = [bytes(data) for data in found if data.type == Type.DISPLAYMATRIX]
    if not matrices:
        return stored_HW
    a, b, _, c, d = (round(part / 65536) for part in struct.unpack_from("5i", matrices[0]))
    height, width = stored_HW.shape
    shape = (height, width) if a else (width, height)
    shown = np.zeros(shape, dtype=stored_HW.dtype)
    ys, xs = np.mgrid[:height, :width]
    # Negative places count from the far end, less one.
    shown[b * xs + d * ys - (b + d < 0), a * xs + c * ys - (a + c < 0)] = stored_HW
    return shown


@pytest.mark.parametrize("flips", [(), ("hflip",), ("vflip",)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_turned_film_is_measured_and_shown_as_ffmpeg_would(
    tmp_path: Path, name: str, degrees: int, flips: tuple[str, ...]
) -> None:
    stored_HW = np.full((48, 64), REST, dtype=np.uint8)
    stored_HW[:24, :32] = CORNER
    picture = np.repeat(stored_HW[:, :, None], 3, axis=2)
    path = write_film(
        tmp_path / name,
        times=range(1),
        picture=picture,
        setup=turn(degrees, *flips),
    )
    expected_HW = as_ffmpeg_shows(path, stored_HW).astype(int)
    height, width = expected_HW.shape
    probed = VIDEO.probe(content_of(path))
    assert probed.pictures == (ImageSize(width=width, height=height),)
    (shown_HWC,) = VIDEO.load(content_of(path), VIDEO.cost(probed, Grid()))
    off_HW = np.abs(shown_HWC.mean(axis=2) - expected_HW)
    assert np.median(off_HW) < 5
    assert (off_HW < 40).mean() > 0.95


def test_a_track_is_told_from_another(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", times=range(1), setup=turn(90))
    with path.open("rb") as file:
        assert mp4_orientation(file, 1) == 8
        assert mp4_orientation(file, 2) == 1


def test_the_second_video_track_has_its_own_orientation(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", times=range(1), setup=turn(90))
    with path.open("rb") as file:
        assert matroska_orientation(file, 0) == 8
        assert matroska_orientation(file, 1) == 1


HEADERS = (
    b"",
    b"\0\0\0\0moov\0\0\0\0trak\0\0\0\x64tkhd",
    bytes.fromhex("1a45dfa380 18538067ff 1654ae6bff aeff e0ff 7670ff"),
)


@given(header=st.sampled_from(HEADERS), cut=st.integers(0, 40), data=st.binary(max_size=200))
def test_any_bytes_have_some_orientation(header: bytes, cut: int, data: bytes) -> None:
    file = io.BytesIO(header[:cut] + data)
    assert 1 <= mp4_orientation(file, 1) <= 8
    assert 1 <= matroska_orientation(file, 0) <= 8
