"""Tiny films whose frames tell their own number, by how bright they are."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location

SIZE = (64, 48)
Pixels = npt.NDArray[np.uint8]
DARKEST, STEP = 10, 12


@dataclass(frozen=True)
class Grid:
    """Sides are rounded to multiples of ``side``, up where they are smaller."""

    side: int = 4

    def target_size(self, height: int, width: int, /) -> tuple[int, int]:
        if max(height, width) > 200 * min(height, width):
            raise ValueError(f"a picture of {width} x {height} pixels is too long")
        h, w = (max(1, round(length / self.side)) * self.side for length in (height, width))
        return h, w

    def grid(self, h: int, w: int, /) -> tuple[int, int, int]:
        return 1, h // self.side, w // self.side

    def num_patches(self, h: int, w: int, /) -> int:
        return h // self.side * (w // self.side)

    def num_tokens(self, h: int, w: int, /) -> int:
        return self.num_patches(h, w)

    def patches(self, pixels_HWC: Pixels, /) -> Pixels:
        h, w, _ = pixels_HWC.shape
        s = self.side
        cells = pixels_HWC.reshape(h // s, s, w // s, s, 3).swapaxes(1, 2)
        return np.ascontiguousarray(cells).reshape(-1, s * s * 3)


def write_film(  # noqa: PLR0913 - every one of them is what some test is about
    path: Path,
    codec: str = "libx264",
    *,
    container: str | None = None,
    times: list[int] | range = range(20),
    rate: int | Fraction = 10,
    gop: int = 5,
    b_frames: int = 0,
    size: tuple[int, int] = SIZE,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    title: str | None = None,
    setup: Any = None,
    picture: Pixels | None = None,
) -> Path:
    """Write a film with a frame at each of ``times``, or with one picture in all of them."""
    width, height = size
    with av.open(str(path), "w", format=container, options=options or {}) as film:
        if title:
            film.metadata["title"] = title
        stream: Any = film.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        if codec == "libx264":
            # Key frames where they are asked for, and nowhere else.
            stream.codec_context.options = {
                "preset": "ultrafast",
                "sc_threshold": "0",
                "bf": str(b_frames),
            }
        if setup:
            setup(stream)
        for number, time in enumerate(times):
            grey_HWC = np.full((height, width, 3), DARKEST + STEP * number, dtype=np.uint8)
            shown_HWC = grey_HWC if picture is None else picture
            frame = av.VideoFrame.from_ndarray(shown_HWC).reformat(format=pixels)
            frame.pts = time
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def write_song(path: Path) -> Path:
    """Write a tenth of a second of silence, with a cover."""
    with av.open(str(path), "w", format="mp4") as film:
        stream: Any = film.add_stream("aac", rate=16_000)
        cover: Any = film.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = *SIZE, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame(*SIZE, "yuvj420p")
        picture.pts = 0
        film.mux([*cover.encode(picture), *cover.encode()])
        silence = np.zeros((1, 1_600), dtype=np.float32)
        sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        sound.sample_rate = 16_000
        film.mux(stream.encode(sound))
        film.mux(stream.encode())
    return path


def content_of(path: Path) -> Content:
    """The whole of a file."""
    return Content(path.name, Location(str(path)))


def numbers(frames: list[Pixels]) -> list[int]:
    """The numbers that frames tell, by the brightness of their middles."""
    middles = [frame[frame.shape[0] // 2, frame.shape[1] // 2].mean() for frame in frames]
    return [round((float(middle) - DARKEST) / STEP) for middle in middles]
