"""Videos: the right frames, in the right order, at the right size, from any container."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media.medium import ImageSize, Probed
from orchestrator.data.media.timeline import KeyFrames, Timeline
from orchestrator.data.media.video import VideoMedium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from tests.unit.data.media.films import Grid, Pixels, content_of, numbers, write_film

FilmCalled = Callable[[str], Content]

# Everything that frames may be packed in, and what is odd about each.
FILMS: dict[str, dict[str, Any]] = {
    "a.mp4": {},
    "b-frames.mp4": {"b_frames": 2},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "fragments.mp4": {"b_frames": 2, "options": {"movflags": "frag_keyframe+empty_moov"}},
    "late.mp4": {"times": range(1000, 1020)},
    "intra.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "a.mkv": {"b_frames": 2},
    "late.mkv": {"times": range(1000, 1020)},
    "a.webm": {"codec": "libvpx-vp9"},
    "endless.webm": {"codec": "libvpx-vp9", "options": {"live": "1"}},
    "a.avi": {"codec": "mpeg4"},
    "slow.avi": {"codec": "mpeg4", "rate": Fraction(1, 2)},
    "a.ts": {"b_frames": 2},
    "late.ts": {"times": range(1000, 1020)},
    "a.flv": {"b_frames": 2},
    "a.wmv": {"codec": "msmpeg4", "container": "asf"},
    "a.gif": {"codec": "gif", "pixels": "gray"},
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> FilmCalled:
    """Films by name, each made once."""
    folder = tmp_path_factory.mktemp("films")

    def called(name: str) -> Content:
        path = folder / name
        return content_of(path if path.exists() else write_film(path, **FILMS[name]))

    return called


def medium(
    frames: int = 4, select: Literal["even", "key"] = "even", max_pixels: int = 4096
) -> VideoMedium:
    return VideoMedium(
        frames=frames, select=select, max_pixels=max_pixels, max_source_pixels=10_000
    )


def taken(content: Content, video: VideoMedium) -> list[Pixels]:
    return video.load(content, video.cost(video.probe(content), Grid()))


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize(
    ("frames", "expected"),
    [(1, [10]), (4, [2, 7, 12, 17]), (5, [2, 6, 10, 14, 18]), (20, list(range(20)))],
)
def test_frames_are_those_at_the_centres_of_equal_parts(
    film: FilmCalled, name: str, frames: int, expected: list[int]
) -> None:
    assert numbers(taken(film(name), medium(frames))) == expected


@pytest.mark.parametrize("name", [name for name in FILMS if name != "a.gif"])
def test_key_frames_are_evenly_chosen_ones(film: FilmCalled, name: str) -> None:
    with av.open(str(film(name).path)) as container:
        decoded = list(container.decode(video=0))
    keys = [number for number, frame in enumerate(decoded) if frame.key_frame]
    assert len(keys) >= 4
    assert numbers(taken(film(name), medium(50, "key"))) == keys
    assert numbers(taken(film(name), medium(1, "key"))) == [keys[len(keys) // 2]]


def test_what_lies_before_the_beginning_is_not_taken(tmp_path: Path) -> None:
    content = content_of(write_film(tmp_path / "a.mp4", times=range(-7, 13), b_frames=2))
    assert numbers(taken(content, medium(13))) == list(range(7, 20))
    assert numbers(taken(content, medium(50))) == list(range(7, 20))
    assert numbers(taken(content, medium(50, "key"))) == [10, 15]


def test_frames_of_uneven_length_are_taken_by_time(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", times=[0, 1, 2, 3, 20, 21, 40])
    # Centres at 5.1, 15.4, 25.6 and 35.9 of 41.
    assert numbers(taken(content_of(path), medium(4))) == [3, 3, 5, 5]


def test_a_broadcast_with_a_hole_stands_still_meanwhile(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.ts", times=[*range(5), *range(15, 20)])
    assert numbers(taken(content_of(path), medium(4))) == [2, 4, 4, 7]


def test_a_program_stream_is_taken_by_the_times_that_its_writer_gave_it(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mpg", "mpeg2video", rate=25, b_frames=2)
    found = numbers(taken(content_of(path), medium(4)))
    assert np.abs(np.array(found) - [2, 7, 12, 17]).max() <= 1


@pytest.mark.parametrize("select", ["even", "key"])
@pytest.mark.parametrize("name", ["b-frames.mp4", "a.mkv", "endless.webm", "a.ts"])
def test_a_film_in_a_larger_file_gives_the_same_bytes_every_time(
    film: FilmCalled, tmp_path: Path, name: str, select: Literal["even", "key"]
) -> None:
    whole = film(name)
    data = whole.read()
    pack = tmp_path / "pack.tar"
    pack.write_bytes(b"before" * 100 + data + b"after" * 100)
    part = Content(name, Location(str(pack), offset=600, length=len(data)))
    video = medium(6, select)
    assert video.probe(part) == video.probe(whole)
    first, again, within = (
        [frame.tobytes() for frame in taken(content, video)] for content in (whole, whole, part)
    )
    assert first == again == within


def test_a_short_film_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    content = content_of(write_film(tmp_path / "a.mp4", times=range(3)))
    assert medium(8).probe(content) == Probed(
        (ImageSize(width=64, height=48),) * 3, ("3 frames, 8 wanted",)
    )
    assert medium(8, "key").probe(content).notes == ("1 key frames, 8 wanted",)
    assert medium(3).probe(content).notes == ()
    assert numbers(taken(content, medium(8))) == [0, 1, 2]


def test_a_film_that_was_longer_when_it_was_indexed_is_refused(film: FilmCalled) -> None:
    for select in ("even", "key"):
        with pytest.raises(
            BadSampleError, match="frames to choose from, 30 when it was indexed"
        ):
            medium(30, select).load(film("a.mp4"), ((48, 64),) * 30)


def test_pixels_are_shown_as_wide_as_the_header_says(tmp_path: Path) -> None:
    def stretch(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    content = content_of(write_film(tmp_path / "a.mkv", setup=stretch))
    assert medium().probe(content).pictures[0] == ImageSize(width=96, height=48)


def test_transparent_frames_lie_on_the_background(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 32, 48))
    clear.save(tmp_path / "a.gif")
    video = VideoMedium(
        frames=1, select="even", max_pixels=4096, max_source_pixels=9999, background="#00ff00"
    )
    (pixels_HWC,) = taken(content_of(tmp_path / "a.gif"), video)
    assert pixels_HWC[24, 8].tolist() == [0, 0, 255]
    assert pixels_HWC[24, 56].tolist() == [0, 255, 0]


def test_colours_keep_their_order(tmp_path: Path) -> None:
    red_HWC = np.full((48, 64, 3), (250, 10, 10), dtype=np.uint8)
    content = content_of(write_film(tmp_path / "a.mp4", times=range(2), picture=red_HWC))
    (pixels_HWC,) = taken(content, medium(1))
    assert pixels_HWC.shape == (48, 64, 3)
    assert np.abs(pixels_HWC.astype(int) - (250, 10, 10)).max() < 8


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    side=st.sampled_from([4, 14, 28, 32]),
    max_pixels=st.integers(2_000, 500_000),
)
def test_a_frame_is_never_larger_than_allowed(
    width: int, height: int, side: int, max_pixels: int
) -> None:
    probed = Probed((ImageSize(width=width, height=height),) * 3)
    longest, shortest = max(width, height), min(width, height)
    if longest > 20 * shortest:
        return
    targets = medium(max_pixels=max_pixels).cost(probed, Grid(side))
    assert len(set(targets)) == 1
    ((h, w), *_) = targets
    assert len(targets) == 3
    assert h * w <= max_pixels or min(h, w) == side
    assert h % side == w % side == 0


def test_a_small_frame_is_left_to_the_coder() -> None:
    probed = Probed((ImageSize(width=60, height=44),))
    assert medium(max_pixels=100_000).cost(probed, Grid(4)) == ((44, 60),)
    with pytest.raises(ValueError, match="too long"):
        medium().cost(Probed((ImageSize(width=4000, height=4),)), Grid(4))


@given(start=st.integers(-1000, 1000), span=st.integers(1, 10_000), number=st.integers(1, 64))
def test_centres_ascend_within_the_film(start: int, span: int, number: int) -> None:
    centres = Timeline(start, start + span, span).centres(number)
    assert len(centres) == number
    assert centres == sorted(centres)
    assert start <= centres[0]
    assert centres[-1] < start + span


@given(total=st.integers(1, 500), number=st.integers(1, 64))
def test_as_many_key_frames_as_wanted_are_all_different(total: int, number: int) -> None:
    keys = KeyFrames(tuple(range(total)), are_indexed=True)
    chosen = keys.even(min(total, number))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(total, number)


def test_a_medium_is_small_and_names_its_settings() -> None:
    video = medium(3, "key")
    assert pickle.loads(pickle.dumps(video)) == video
    assert len(pickle.dumps(video)) < 300
    for setting in ("frames=3", "'key'", "4096", "10000", "#ffffff"):
        assert setting in repr(video)


def test_whoever_has_only_pictures_does_not_load_ffmpeg() -> None:
    asks = "import sys, orchestrator.data.media.kinds; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asks], check=False).returncode == 0
