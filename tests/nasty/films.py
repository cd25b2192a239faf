"""Videos that cannot be used, and odd ones that can."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.nasty.asking import asks
from tests.nasty.drawing import all_of, good, part, put, quarters, saved
from tests.nasty.outcomes import Case, Colour, Outcome, Quarantined, Row, Trained

SIZE = (64, 48)
DARK: Colour = (40, 40, 40)


def film(folder: Path, name: str, frames: int = 12, kind: str = "mp4") -> bytes:
    """A film of one dark grey, as bytes."""
    path = folder.parent / f"whole-{name}"
    with av.open(str(path), "w", format=kind) as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        picture = np.full((48, 64, 3), DARK[0], dtype=np.uint8)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def song(folder: Path) -> bytes:
    """A tenth of a second of silence, as bytes."""
    path = folder.parent / "song.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1_600), np.float32), "fltp", "mono")
        silence.sample_rate = 16_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    return path.read_bytes()


def shows(
    name: str, file: str, make: Callable[[Path], bytes], expected: Outcome, **more: Any
) -> Case:
    """A row over one video."""

    def write(folder: Path) -> Row:
        return asks(videos=[put(folder, file, make(folder))], **more)

    return Case(name, write, expected)


def moving(folder: Path) -> bytes:
    """A GIF of two frames."""
    del folder
    second = [quarters((*all_of(DARK)[:3], (90, 90, 90)))]
    return saved(quarters(all_of(DARK)), "GIF", save_all=True, append_images=second)


def _both(folder: Path) -> Row:
    name = put(folder, "both.mp4", film(folder, "both.mp4", frames=3))
    return asks(good(folder), videos=[name], ask="<video>then <image>same?")


_UNREAD = "is no video of a kind we read, or cut short"
_AGAIN = "Write the file again, as MP4, WebM or AVI"
_GREY = all_of(DARK)

FILMS = (
    shows(
        "a video of fewer frames than wanted gives those it has, and says so",
        "short.mp4",
        lambda folder: film(folder, "short.mp4", frames=3),
        Trained(quarters=_GREY, pictures=3, note="3 frames, 8 wanted"),
    ),
    shows(
        "a video of one frame is one picture",
        "still.mp4",
        lambda folder: film(folder, "still.mp4", frames=1),
        Trained(quarters=_GREY, pictures=1, note="1 frames, 8 wanted"),
    ),
    shows(
        "a GIF may be a video", "moving.gif.mp4", moving, Trained(quarters=_GREY, pictures=2)
    ),
    Case(
        "a video and an image keep their places",
        _both,
        Trained(quarters=_GREY, pictures=4, reads="▣▣▣then ▣same?"),
    ),
    shows(
        "a video cut before its index is named",
        "cut.mp4",
        lambda folder: film(folder, "cut.mp4").partition(b"moov")[0],
        Quarantined(f"video 'cut.mp4' {_UNREAD}", _AGAIN),
    ),
    shows(
        "a video cut within its index is named, and told to be whole",
        "index.mp4",
        lambda folder: part(film(folder, "index.mp4"), 0.5),
        Quarantined("video 'index.mp4' holds no pictures", "Give a whole file"),
    ),
    shows(
        "a film without pictures is named",
        "song.mp4.mp4",
        song,
        Quarantined("video 'song.mp4.mp4' holds no pictures", "Give a whole file that has"),
    ),
    shows(
        "an empty video is named",
        "empty.mp4",
        lambda _: b"",
        Quarantined("video 'empty.mp4' is empty (0 bytes)", "Write the file again"),
    ),
    shows(
        "words are no video",
        "words.mp4",
        lambda _: b"hello " * 99,
        Quarantined(f"video 'words.mp4' {_UNREAD}", _AGAIN),
    ),
    shows(
        "a picture is no video",
        "picture.mp4",
        lambda _: saved(Image.new("RGB", SIZE)),
        Quarantined(f"video 'picture.mp4' {_UNREAD}", _AGAIN),
    ),
    shows(
        "a list of places to play leads nowhere",
        "list.mp4",
        lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        Quarantined(f"video 'list.mp4' {_UNREAD}", _AGAIN),
    ),
    shows(
        "a script that joins files joins none",
        "join.mp4",
        lambda _: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        Quarantined(f"video 'join.mp4' {_UNREAD}", _AGAIN),
    ),
    shows(
        "a mark for a video too many is refused",
        "few.mp4",
        lambda folder: film(folder, "few.mp4", frames=2),
        Quarantined("2 video marks, 1 video listed", "Write one <video> for each"),
        ask="<video><video>Which?",
    ),
    Case(
        "a video that is not there is named",
        lambda _: asks(videos=["gone.mp4"]),
        Quarantined("video 'gone.mp4' not found", "Put the file there"),
    ),
    Case(
        "a video that is a picture's path elsewhere is refused",
        lambda _: asks(videos=["../a.mp4"]),
        Quarantined("video '../a.mp4' leads out of media_dir"),
    ),
)
