"""Videos that are none, lie, or lead elsewhere: refused by name, and never trusted."""

import errno
import io
import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media.medium import ImageSize
from orchestrator.data.media.video import VideoMedium
from orchestrator.errors import StorageError
from tests.unit.data.media.films import Grid, content_of, numbers, write_film, write_song

VIDEO = VideoMedium(frames=4, select="even", max_pixels=4096, max_source_pixels=10_000)
KEYS = VideoMedium(frames=4, select="key", max_pixels=4096, max_source_pixels=10_000)
FASTSTART = {"movflags": "faststart"}


def use(content: Any, video: VideoMedium = VIDEO) -> list[int]:
    return numbers(video.load(content, video.cost(video.probe(content), Grid())))


def refusal(content: Any, video: VideoMedium = VIDEO) -> str:
    with pytest.raises(BadSampleError) as caught:
        use(content, video)
    assert caught.value.remedy
    return caught.value.reason


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("data", [b"x", b"No film at all.\n" * 99, b"\0" * 5000, png()])
def test_what_is_no_video_is_refused_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert refusal(content_of(path)).startswith(
        "video 'a.mp4' is no video of a kind we read, or cut short ("
    )


def test_a_video_is_known_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4")
    assert use(content_of(path.rename(tmp_path / "a.m3u8"))) == [2, 7, 12, 17]


def test_a_song_is_no_video_and_nor_is_its_cover(tmp_path: Path) -> None:
    content = content_of(write_song(tmp_path / "a.mp4"))
    assert refusal(content) == "video 'a.mp4' holds no pictures"


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{name}\n#EXT-X-ENDLIST\n",
    "a.txt": "ffconcat version 1.0\nfile {name}\n",
}


@pytest.mark.parametrize("playlist", PLAYLISTS)
def test_a_playlist_opens_nothing(tmp_path: Path, playlist: str) -> None:
    write_film(tmp_path / "secret.ts")
    path = tmp_path / playlist
    path.write_text(PLAYLISTS[playlist].format(name="secret.ts"))
    # It does lead there, for whoever follows it.
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 20
    assert "is no video of a kind we read" in refusal(content_of(path))


@pytest.mark.parametrize("playlist", PLAYLISTS)
def test_a_playlist_that_names_a_pipe_does_not_wait_for_it(
    tmp_path: Path, playlist: str
) -> None:
    os.mkfifo(tmp_path / "secret.ts")
    path = tmp_path / playlist
    path.write_text(PLAYLISTS[playlist].format(name="secret.ts"))
    assert "is no video of a kind we read" in refusal(content_of(path))


def test_large_frames_are_refused_by_the_header(tmp_path: Path) -> None:
    content = content_of(write_film(tmp_path / "a.mp4", size=(128, 96), times=range(2)))
    assert refusal(content) == "video of 128 x 96 pixels a frame, at most 10000 in all"


def test_a_header_that_belittles_its_frames_is_not_believed(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", size=(2048, 1024), times=range(1))
    data = bytearray(path.read_bytes())
    place = data.index(b"avc1", data.index(b"stsd")) + 28
    assert data[place : place + 4] == bytes.fromhex("08000400")
    data[place : place + 4] = bytes.fromhex("00400030")
    path.write_bytes(data)
    assert refusal(content_of(path))


def test_a_film_that_grows_half_way_is_refused_by_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, size in enumerate([(64, 48)] * 12 + [(2048, 1024)] * 8):
            still: Any = av.CodecContext.create("mjpeg", "w")
            still.width, still.height = size
            still.pix_fmt, still.time_base = "yuvj420p", Fraction(1, 10)
            frame = av.VideoFrame(*size, "yuvj420p")
            frame.pts = number
            for packet in still.encode(frame):
                packet.stream = stream
                film.mux(packet)
    content = content_of(path)
    assert VIDEO.probe(content).pictures[0] == ImageSize(width=64, height=48)
    assert "cannot be decoded" in refusal(content)


CUT: list[tuple[str, dict[str, Any], float, str]] = [
    ("a.mp4", {}, 0.3, "is no video of a kind we read, or cut short"),
    ("faststart.mp4", {"options": FASTSTART}, 0.7, "cannot be decoded"),
    ("a.mkv", {}, 0.7, "ends at "),
    ("a.webm", {"codec": "libvpx-vp9"}, 0.7, "ends at "),
    ("a.avi", {"codec": "mpeg4"}, 0.7, "has a damaged frame"),
]


@pytest.mark.parametrize(("name", "settings", "kept", "reason"), CUT)
def test_a_film_that_is_cut_short_is_refused(
    tmp_path: Path, name: str, settings: dict[str, Any], kept: float, reason: str
) -> None:
    path = write_film(tmp_path / name, **settings)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert reason in refusal(content_of(path))


def test_key_frames_that_a_header_lists_must_be_there(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", options=FASTSTART)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    assert refusal(content_of(path), KEYS)


def test_damaged_frames_are_refused(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", options=FASTSTART)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 800
    data[start : start + 400] = b"\xa5" * 400
    path.write_bytes(data)
    assert refusal(content_of(path))


def test_titles_may_be_in_any_encoding(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", title="Zuerich")
    path.write_bytes(path.read_bytes().replace(b"Zuerich", b"Z\xfcrich!"))
    assert use(content_of(path)) == [2, 7, 12, 17]


def test_ffmpeg_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_film(tmp_path / "a.mp4", options=FASTSTART)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 8 // 10])
    refusal(content_of(path))
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    made = [
        write_film(folder / "a.mp4", b_frames=2),
        write_film(folder / "a.mkv"),
        write_film(folder / "a.ts"),
        write_film(folder / "a.wmv", "msmpeg4", container="asf"),
    ]
    return {path.name: path.read_bytes() for path in made}


@given(
    name=st.sampled_from(["a.mp4", "a.mkv", "a.ts", "a.wmv"]),
    video=st.sampled_from([VIDEO, KEYS]),
    place=st.floats(0, 1, exclude_max=True),
    lost=st.integers(0, 40),
    put=st.binary(max_size=12),
)
def test_damage_anywhere_is_the_samples_fault_and_ends_nothing(
    films: dict[str, bytes], name: str, video: VideoMedium, place: float, lost: int, put: bytes
) -> None:
    data = films[name]
    start = int(place * len(data))
    damaged = data[:start] + put + data[start + lost :]
    content: Any = Elsewhere(lambda: io.BytesIO(damaged))
    with suppress(BadSampleError):
        assert 0 < len(use(content, video)) <= 4


class Failing(io.RawIOBase):
    """A file whose store stops answering after some reads."""

    def __init__(self, data: bytes, good_reads: int, fault: Exception) -> None:
        self._data = io.BytesIO(data)
        self._left = good_reads
        self._fault = fault

    def read(self, size: int = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise self._fault
        return self._data.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._data.seek(offset, whence)

    def tell(self) -> int:
        return self._data.tell()


class Elsewhere:
    """Content that such a file holds."""

    name = "a.mkv"
    path = None

    def __init__(self, opens: Callable[[], io.IOBase]) -> None:
        self.open = opens


FAULTS = [
    OSError(errno.EIO, "Input/output error"),
    StorageError("does not answer", "s3://bucket", "Check the store and run again"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_store_that_stops_answering_is_not_the_videos_fault(
    tmp_path: Path, name: str, fault: Exception
) -> None:
    data = write_film(tmp_path / name, b_frames=2, size=(96, 96)).read_bytes()

    def after(good_reads: int) -> bool:
        """Whether that many reads are enough."""
        content: Any = Elsewhere(lambda: Failing(data, good_reads, fault))
        try:
            return len(VIDEO.load(content, ((48, 64),) * 4)) == 4
        except StorageError:
            return False

    assert next(reads for reads in range(1000) if after(reads)) > 2
